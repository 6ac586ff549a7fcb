"""The file that keeps what a provider used to be like: digests of past runs, and the failures that are put up with.

Rules
-----
* It is small and reads well in a diff: a line for each run, a line for each distinct state of a contract, a line for each
  accepted failure. Runs that found out the same share a contract.
* Only runs that may be compared with the newest one of their target, kind and mode are kept, and the newest of those. Where
  that would throw away more than it keeps, nothing is changed before the user says so.
* An accepted failure has a reason and a last day. After that day it counts again, and is said to have expired.
* Whoever edits the file by hand is told the place of a mistake: which member, and of a list which entry.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TypeVar

from harness.compare.contract import Fingerprint, contract_from
from harness.compare.digest import Digest, as_json, differing, from_json
from harness.compare.drift import Accepted
from harness.compare.names import MEMBERS
from harness.errors import InputError, UsageError
from harness.model import Json
from harness.report import places, text
from harness.strict import StrictError, load_json

Read = TypeVar("Read")

FORMAT = 1
NAME = "harness-baseline.json"
"""The file that is meant where none is named."""
KEPT = 30
"""Runs that are kept of each target and kind."""


@dataclass(frozen=True)
class Baseline:
    """A baseline file's content, runs in the order of time."""

    digests: tuple[Digest, ...] = ()
    accepted: tuple[Accepted, ...] = ()

    def dump(self) -> str:
        """The file's text."""
        contracts: dict[str, Json] = {}
        runs = []
        for one in self.digests:
            value = one.contract.as_json()
            name = hashlib.sha256(_line(value).encode("utf-8", "replace")).hexdigest()[:12]
            contracts[name] = value
            runs.append({**as_json(one), "contract": name})
        accepted = [_accepted_json(one) for one in self.accepted]
        named = [f"  {json.dumps(name)}: {_line(value)}" for name, value in contracts.items()]
        return (
            f'{{"format": {FORMAT},\n"accepted": [{_lines(accepted)}],\n"runs": [{_lines(runs)}],\n'
            f'"contracts": {{{_joined(named)}}}}}\n'
        )


def _line(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(values: Sequence[Json]) -> str:
    return _joined([f"  {_line(value)}" for value in values])


def _joined(lines: Sequence[str]) -> str:
    return "\n" + ",\n".join(lines) + "\n" if lines else ""


def _accepted_json(one: Accepted) -> Json:
    name = one.fingerprint
    return {
        "check": name.check,
        "target": name.target,
        "parameter": name.parameter,
        "class": name.kind,
        "reason": one.reason,
        "until": one.until.isoformat(),
    }


def read(path: Path) -> Baseline:
    """A baseline file.

    Raises:
        InputError: it cannot be read, or is none.
    """
    try:
        value = load_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except StrictError as error:
        raise InputError(f"{path}: {error}") from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        said = value.get("format") if isinstance(value, dict) else None
        raise InputError(f"{path}: no baseline of format {FORMAT} but {said}: make it with harness baseline update")
    contracts = dict(_each(path, value, "contracts", contract_from))
    runs = _each(path, value, "runs", lambda one: from_json(one, contracts[one["contract"]]))
    accepted = _each(path, value, "accepted", _accepted)
    return Baseline(tuple(one for _, one in runs), tuple(one for _, one in accepted))


def _each(path: Path, value: Json, member: str, reads: Callable[[Json], Read]) -> list[tuple[Json, Read]]:
    """Every entry of a member of the file, read, with its name or number; a mistake is told with its place."""
    held = value.get(member)
    if not isinstance(held, dict if member == "contracts" else list):
        raise InputError(f"{path}: {member} is missing or of another type: make it with harness baseline update")
    found = []
    for name, one in held.items() if isinstance(held, dict) else enumerate(held):
        try:
            found.append((name, reads(one)))
        except KeyError as error:
            raise InputError(f"{path}: {member}[{name}]: there is no {error}: add it, or remove the entry") from None
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path}: {member}[{name}]: {error}: correct it, or remove the entry") from None
    return found


def _accepted(one: Mapping[str, Json]) -> Accepted:
    names = [str(one[name]) for name in ("check", "target", "parameter", "class")]
    if not str(one["reason"]).strip():
        raise ValueError(f"accepted {' '.join(names)}, which has no reason")
    return Accepted(Fingerprint(*names), str(one["reason"]), date.fromisoformat(one["until"]))


def updated(before: Baseline, runs: Iterable[Digest], *, replacing: bool = False) -> tuple[Baseline, Mapping[str, str]]:
    """A baseline with further runs in it, and why some are not in it any more, by run and target.

    Raises:
        UsageError: fewer comparable runs would be left than there are, and ``replacing`` is not allowed.
    """
    known = {(one.run, one.target): one for one in (*before.digests, *runs)}
    ordered = sorted(known.values(), key=lambda one: (one.started_at, one.run, one.target))
    newest = {_group(one): one for one in ordered}
    if not replacing:
        for model in newest.values():
            _keeps_most(model, [one for one in ordered if _group(one) == _group(model)])
    left, gone = list[Digest](), dict[str, str]()
    for one in reversed(ordered):
        model = newest[_group(one)]
        same = [other for other in left if _group(other) == _group(one)]
        if one.key != model.key:
            gone[f"{one.run} {one.target}"] = f"it cannot be compared with {model.run}"
        elif len(same) == KEPT:
            gone[f"{one.run} {one.target}"] = f"{KEPT} newer runs are kept"
        else:
            left.append(one)
    return replace(before, digests=tuple(reversed(left))), gone


def _group(one: Digest) -> tuple[str, str, str]:
    """What a run is a baseline for."""
    return one.target, one.kind, one.key.mode


def _keeps_most(model: Digest, group: Sequence[Digest]) -> None:
    """Raise if more runs of a group can be compared with another one than with ``model``, its newest."""
    keys = Counter(one.key for one in group)
    key, most = max(keys.items(), key=lambda pair: pair[1])
    if min(most, KEPT) > keys[model.key]:
        other = next(one for one in group if one.key == key)
        raise UsageError(
            f"{most} runs of {model.target} cannot be compared with the newest, {model.run}: "
            f"{differing(other, model, MEMBERS)}; leave that run out, or drop the others with --replace"
        )


def accepting(
    before: Baseline, names: Iterable[str], reason: str, until: date, shown_by: Iterable[Digest] = ()
) -> Baseline:
    """A baseline that puts up with some more failures, named by the short ids of their fingerprints.

    Raises:
        UsageError: a name is that of no failure which the baseline's runs or ``shown_by`` show.
    """
    shown = {
        found.fingerprint.id: found.fingerprint
        for one in (*before.digests, *shown_by)
        for found in one.contract.findings
        if found.verdict == "fail"
    }
    added = []
    for name in names:
        if name not in shown:
            known = ", ".join(sorted(shown)) or "none"
            raise UsageError(
                f"{name} is no failure of the baseline's or the named runs: known are {known}; name a run that shows it"
            )
        added.append(Accepted(shown[name], reason, until))
    kept = [one for one in before.accepted if one.fingerprint not in {new.fingerprint for new in added}]
    return replace(before, accepted=(*kept, *added))


def lines(held: Baseline, today: date) -> Iterator[str]:
    """What a baseline holds, for a terminal or a log."""
    groups: dict[tuple[str, str], list[Digest]] = {}
    for one in held.digests:
        groups.setdefault((one.target, one.kind), []).append(one)
    for (target, kind), runs in groups.items():
        days = f"{runs[0].started_at[:10]} to {runs[-1].started_at[:10]}"
        yield f"{text.visible(target, 80)}: {text.count(len(runs), kind + ' run')}, {days}, {runs[-1].key.mode}"
        for name in runs[-1].figures:
            values = [one.figures[name].value for one in runs if name in one.figures]
            yield f"  {name}: {_short(min(values))} to {_short(max(values))} in {text.count(len(values), 'run')}"
        failing = {
            found.fingerprint: found for one in runs for found in one.contract.findings if found.verdict == "fail"
        }
        for broken, found in failing.items():
            about = " ".join(part for part in (broken.check, broken.parameter, broken.kind) if part)
            yield f"  fails: {broken.id} {text.visible(about, 120)}: {text.visible(found.message, 160)}"
    for known in held.accepted:
        state, broken = "accepted" if known.until >= today else "no longer accepted", known.fingerprint
        about = " ".join(part for part in (broken.check, broken.parameter) if part)
        yield f"{state} until {known.until}: {broken.id} {text.visible(about, 120)}: {text.visible(known.reason)}"
    if not held.digests:
        yield "no runs: harness baseline update RUN adds some"


def _short(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.4g}"


def write(path: Path, baseline: Baseline) -> None:
    """Write a baseline file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    places.write(path, baseline.dump())
