"""Baseline runs and candidate runs in, one verdict for each target out.

Rules
-----
* Runs are compared with equals only: every member of ``Key`` has to agree over all of them, unless the user names one
  that may differ. Of a run that is incomplete or badly measured nothing but the answers is used.
* Each number may regress a target; only the median of ``total`` leaves it undecided.
* What was replayed or simulated has no latency to judge; it is ``ok`` only if every candidate is whole and a question was
  answered both before and now.
* ``regressed`` before ``not comparable``, that before ``inconclusive``: what is certain is said, whatever else is open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from harness.compare.digest import Digest, differing
from harness.compare.drift import Accepted, Drift, drift
from harness.compare.names import CONTRACT_MEMBERS, MEMBERS, MODES
from harness.compare.numbers import TOLERANCE, Metric, metrics
from harness.compare.statistics import Word

NO_BASELINE = "no baseline run has this target"


@dataclass(frozen=True)
class TargetVerdict:
    """One target's verdict. ``reason`` says why it is what it is; ``unmeasured`` why latencies are not judged."""

    target: str
    word: Word
    reason: str
    mode: str
    baseline: tuple[str, ...]
    candidates: tuple[str, ...]
    left_out: Mapping[str, str]
    metrics: tuple[Metric, ...]
    unmeasured: str
    drift: Drift


@dataclass(frozen=True)
class Comparison:
    """The verdicts of all targets; ``expired`` are the accepted findings whose day has passed."""

    targets: tuple[TargetVerdict, ...]
    tolerance: float
    across: tuple[str, ...]
    expired: tuple[Accepted, ...] = ()

    @property
    def word(self) -> Word:
        """The gravest verdict."""
        words = [one.word for one in self.targets]
        ranked: tuple[Word, ...] = ("regressed", "not comparable", "inconclusive", "ok", "improved")
        return next((each for each in ranked if each in words), "not comparable")

    @property
    def exit_status(self) -> int:
        """1 for a regression, 3 where something is open, else 0."""
        return {"regressed": 1, "not comparable": 3, "inconclusive": 3}.get(self.word, 0)


def compare(
    baseline: Sequence[Digest],
    candidates: Sequence[Digest],
    *,
    tolerance: float = TOLERANCE,
    across: Collection[str] = (),
    accepted: Iterable[Accepted] = (),
    today: date,
) -> Comparison:
    """Compare candidate runs with baseline runs, target by target; a run that is in both is a candidate."""
    known, mine = tuple(accepted), {one.run for one in candidates}
    older = sorted((one for one in baseline if one.run not in mine), key=lambda one: one.started_at)
    newer = sorted(candidates, key=lambda one: one.started_at)
    verdicts = [
        _target(
            target,
            [one for one in older if one.target == target],
            [one for one in newer if one.target == target],
            both=any(one.target == target for one in baseline),
            tolerance=tolerance,
            across=across,
            accepted=known,
            today=today,
        )
        for target in dict.fromkeys(one.target for one in newer)
    ]
    expired = tuple(one for one in known if one.until < today)
    return Comparison(tuple(verdicts), tolerance, tuple(across), expired)


def _target(
    target: str,
    older: Sequence[Digest],
    newer: Sequence[Digest],
    *,
    both: bool,
    tolerance: float,
    across: Collection[str],
    accepted: Iterable[Accepted],
    today: date,
) -> TargetVerdict:
    mode = newer[0].key.mode
    base = TargetVerdict(
        target=target,
        word="not comparable",
        reason="",
        mode=mode,
        baseline=tuple(one.run for one in older),
        candidates=tuple(one.run for one in newer),
        left_out={one.run: one.unfit for one in (*older, *newer) if one.unfit},
        metrics=(),
        unmeasured="",
        drift=Drift(),
    )
    if not older:
        reason = "every baseline run of this target is a candidate too: name earlier runs" if both else NO_BASELINE
        return replace(base, reason=reason, unmeasured="there is nothing to compare with")
    reason = _differing([*older, *newer], [name for name in CONTRACT_MEMBERS if name not in across])
    if reason:
        return replace(base, reason=reason, unmeasured=reason)
    changed = drift(
        [one.contract for one in older],
        [one.contract for one in newer],
        live=mode == "live",
        accepted=accepted,
        today=today,
    )
    base = replace(base, drift=changed)
    if mode != "live":
        why = f"{MODES.get(mode, mode)} runs say nothing about how fast a provider is"
        open_question = _unanswered(older, newer)
        return _decided(replace(base, unmeasured=why), "inconclusive" if open_question else "ok", open_question)
    reason = _differing([*older, *newer], [name for name in MEMBERS if name not in across])
    if reason:
        return _decided(replace(base, unmeasured=reason), "not comparable", reason)
    found = tuple(metrics([one for one in older if not one.unfit], [one for one in newer if not one.unfit], tolerance))
    return _decided(replace(base, metrics=found), found[0].word, found[0].reason)


def _unanswered(older: Sequence[Digest], newer: Sequence[Digest]) -> str:
    """Why answers alone decide nothing: a run is cut short, or no question was answered before and now."""
    for one in newer:
        if one.unfit:
            return f"candidate {one.run} decides nothing: {one.unfit}"
    before, after = (
        {about for one in some for about, said in one.contract.answers.items() if said != "unknown"}
        for some in (older, newer)
    )
    return "" if before & after else "no question was answered in both the baseline and the candidates"


def _differing(runs: Sequence[Digest], members: Iterable[str]) -> str:
    """Whether kind or which member of the key differs, and between which runs; empty where they are comparable."""
    first = runs[0]
    for other in runs[1:]:
        if first.kind != other.kind:
            return f"kind differs: {first.kind} in {first.run}, {other.kind} in {other.run}"
    for name in members:
        for other in runs[1:]:
            if said := differing(first, other, [name]):
                return said if name == "mode" else f"{said}; to compare all the same: --across {name}"
    return ""


def _decided(target: TargetVerdict, primary: Word, reason: str) -> TargetVerdict:
    """The verdict of a target whose median says ``primary``."""
    worse = [one.name for one in target.metrics if one.word == "regressed"]
    broken, doubtful = target.drift.weighing("regressed"), target.drift.weighing("unconfirmed")
    if worse or broken:
        said = [*worse, *(f"{one.fingerprint.check} fails and did not" for one in broken)]
        return replace(target, word="regressed", reason="; ".join(said))
    if primary in ("ok", "improved") and doubtful:
        names = ", ".join(sorted({one.fingerprint.check for one in doubtful}))
        return replace(target, word="inconclusive", reason=f"seen to fail in too few sends to be called new: {names}")
    return replace(target, word=primary, reason=reason)


def confirmed(first: Comparison, fresh: Comparison, together: Comparison) -> Comparison:
    """What is left of the regressions of a comparison once a fresh batch of runs has been made.

    ``fresh`` compares that batch alone with the same baseline: a number that regressed and does not regress there is
    ``inconclusive``. ``together`` compares both batches: their sends count together for new failures, unless they cannot
    be compared, which takes nothing away from what the first batch has shown.
    """
    again = {one.target: one for one in fresh.targets}
    whole = {one.target: one for one in together.targets}
    return replace(
        first,
        targets=tuple(
            _confirmed(
                one,
                again.get(one.target),
                (one if whole[one.target].word == "not comparable" else whole[one.target]).drift,
            )
            for one in first.targets
        ),
    )


def _confirmed(target: TargetVerdict, again: TargetVerdict | None, whole: Drift) -> TargetVerdict:
    seen: Mapping[str, Word] = {one.name: one.word for one in again.metrics} if again else {}
    left = tuple(
        replace(
            one, word="inconclusive", reason=f"not confirmed: in a fresh batch it is {seen.get(one.name, 'unknown')}"
        )
        if one.word == "regressed" and seen.get(one.name) != "regressed"
        else one
        for one in target.metrics
    )
    doubted = [f"{one.name} is {one.reason}" for one in left if one.reason.startswith("not confirmed")]
    primary = left[0].word if left else "ok" if target.word == "regressed" else target.word
    if doubted and primary != "regressed":
        primary = "inconclusive"
    reason = "; ".join(doubted) or (left[0].reason if left else target.reason)
    return _decided(replace(target, metrics=left, drift=whole), primary, reason)
