"""What has changed in what a provider answers: findings, acceptance, refusals, undocumented fields.

Rules
-----
* A **new failure** is a fingerprint that fails in the candidate and failed in no baseline run that could have shown it.
  Of a live provider it takes ``SENDS`` sends that all show it: with one, a lost connection or a broken server would be
  called a broken promise. Seen in fewer sends it is ``unconfirmed``, seen in some of them ``intermittent``.
* A failure that was accepted until a day that has passed counts as new, whatever the baseline shows.
* A baseline that never asked the question knows no answer: such a failure is ``not asked before``, and no regression.
* A finding has gone when the candidate came to a verdict where the baseline found it; a run that could not judge says
  nothing.
* Whatever else changes is told and fails nothing: the documents do not promise it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, TypeAlias

from harness.compare.contract import Contract, Fingerprint, Found

SENDS = 3
"""Sends that a new failure of a live provider takes."""
Weight: TypeAlias = Literal["regressed", "unconfirmed", "intermittent", "not asked before", "accepted", "told"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A failure that is known and put up with: why, and until which day (inclusive)."""

    fingerprint: Fingerprint
    reason: str
    until: date


@dataclass(frozen=True, slots=True)
class Change:
    """One finding that is new, has gone, or has changed; ``weight`` is what follows from it.

    ``before`` and ``after`` are the findings, None where there is none; of ``sends`` candidate sends, ``seen`` show it.
    """

    before: Found | None
    after: Found | None
    weight: Weight
    seen: int = 0
    sends: int = 0
    reason: str = ""

    @property
    def kind(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    @property
    def fingerprint(self) -> Fingerprint:
        """What it is about."""
        found = self.after or self.before
        if found is None:
            raise ValueError("a change of nothing")
        return found.fingerprint


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of one case, before and now: ``accepted`` or ``refused``, or the words of a refusal."""

    case: str
    before: str
    after: str


@dataclass(frozen=True)
class Drift:
    """Everything that has changed in what one target answers."""

    changes: tuple[Change, ...] = ()
    answers: tuple[Said, ...] = ()
    refusals: tuple[Said, ...] = ()
    appeared: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()

    def weighing(self, *weights: Weight) -> tuple[Change, ...]:
        """The changes of some weights."""
        return tuple(change for change in self.changes if change.weight in weights)


def drift(
    baseline: Sequence[Contract],
    candidates: Sequence[Contract],
    *,
    live: bool,
    accepted: Iterable[Accepted] = (),
    today: date,
) -> Drift:
    """What the candidates answer otherwise than the baseline, which is in the order of time."""
    if not baseline or not candidates:
        return Drift()
    fields_before = set[str]().union(*(one.fields for one in baseline))
    fields_always = set(baseline[0].fields).intersection(*(one.fields for one in baseline[1:]))
    fields_after = set[str]().union(*(one.fields for one in candidates))
    known = {one.fingerprint: one for one in accepted}
    return Drift(
        changes=tuple(_changes(baseline, candidates, SENDS if live else 1, known, today)),
        answers=tuple(_answers(baseline, candidates)),
        refusals=tuple(_refusals(baseline, candidates)),
        appeared=tuple(sorted(fields_after - fields_before)),
        vanished=tuple(sorted(fields_always - fields_after)),
    )


def _changes(
    baseline: Sequence[Contract],
    candidates: Sequence[Contract],
    needed: int,
    accepted: Mapping[Fingerprint, Accepted],
    today: date,
) -> Iterator[Change]:
    before, after = _latest(baseline), _latest(candidates)
    for name in sorted({**before, **after}):
        old, new = before.get(name), after.get(name)
        known = accepted.get(name)
        expired = known is not None and known.until < today
        if new is not None and new.verdict == "fail" and (old is None or old.verdict != "fail" or expired):
            allowed = None if expired else known
            change = _failure(old, new, baseline, candidates, needed=needed, accepted=allowed)
            yield replace(change, reason=f"no longer accepted since {known.until}") if expired and known else change
        elif new is None and old is not None:
            if any(one.decided(old) for one in candidates):
                yield Change(old, None, "told")
        elif old is None or (new is not None and (old.verdict, old.message) != (new.verdict, new.message)):
            yield Change(old, new, "told")


def _latest(contracts: Sequence[Contract]) -> dict[Fingerprint, Found]:
    """Every finding of some runs: a failure before anything else, a later one before an earlier."""
    found: dict[Fingerprint, Found] = {}
    for contract in contracts:
        for one in contract.findings:
            if one.fingerprint not in found or one.verdict == "fail" or found[one.fingerprint].verdict != "fail":
                found[one.fingerprint] = one
    return found


def _failure(
    old: Found | None,
    new: Found,
    baseline: Sequence[Contract],
    candidates: Sequence[Contract],
    *,
    needed: int,
    accepted: Accepted | None,
) -> Change:
    sends = [one for one in candidates if one.decided(new) or _fails(one, new.fingerprint)]
    seen = sum(_fails(one, new.fingerprint) for one in sends)
    if accepted is not None:
        return Change(old, new, "accepted", seen, len(sends), f"{accepted.reason} (until {accepted.until})")
    if not any(one.decided(new) for one in baseline):
        return Change(old, new, "not asked before", seen, len(sends))
    if seen < len(sends):
        return Change(old, new, "intermittent", seen, len(sends))
    return Change(old, new, "regressed" if seen >= needed else "unconfirmed", seen, len(sends))


def _fails(contract: Contract, name: Fingerprint) -> bool:
    return any(one.fingerprint == name and one.verdict == "fail" for one in contract.findings)


def _answers(baseline: Sequence[Contract], candidates: Sequence[Contract]) -> Iterator[Said]:
    """The cases that every baseline run saw answered one way and every candidate the other."""
    for case in dict.fromkeys(case for one in candidates for case in one.answers):
        before, after = _said(baseline, case), _said(candidates, case)
        if before is not None and after is not None and before != after:
            yield Said(case, before, after)


def _said(contracts: Sequence[Contract], case: str) -> str | None:
    said = {one.answers[case] for one in contracts if case in one.answers} - {"unknown"}
    return said.pop() if len(said) == 1 else None


def _refusals(baseline: Sequence[Contract], candidates: Sequence[Contract]) -> Iterator[Said]:
    """The cases whose refusal every candidate words in a way that no baseline run did."""
    for case in dict.fromkeys(case for one in candidates for case in one.refusals):
        before = [one.refusals[case] for one in baseline if case in one.refusals]
        after = [one.refusals[case] for one in candidates if case in one.refusals]
        if before and not set(before) & set(after):
            yield Said(case, before[-1], after[-1])
