"""What is kept of one target of one run, to compare it with others: a few numbers, and what was answered.

Rules
-----
* A digest is a function of the history. It holds no body, no URL and no prompt; what a provider said is in it only as
  the masked text of a refusal and the names of fields that no document has.
* ``Key`` says what may be compared with what. The origin is part of it for live runs only: a simulator's port says
  nothing.
* A latency is a quantile of midpoints, whatever estimate the report shows: two runs are then always estimated alike.
* What is unknown says nothing about the contract, neither that a finding is there nor that it has gone.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness import run
from harness.compare.contract import Contract, contract_of
from harness.compare.names import COST, ERRORS, FEWEST_JOBS, MEMBERS, QUANTILES
from harness.compare.statistics import scatter
from harness.errors import InputError
from harness.flow import KEY_REFUSED
from harness.history import FILE, History
from harness.metrics.quantiles import quantile
from harness.model import Call, Json, Outcome
from harness.planning.workload import template
from harness.report import document
from harness.report.results import RunResult, Sample, TargetResult
from harness.traffic import conduct_from


@dataclass(frozen=True, slots=True)
class Key:
    """What has to be equal for two runs to be comparable, each as a text."""

    mode: str
    endpoint: str
    spec: str
    version: str
    workload: str
    region: str
    schedule: str


def differing(one: Digest, other: Digest, members: Iterable[str]) -> str:
    """The first member in which the keys of two runs differ, in words; empty where they agree."""
    for name in members:
        mine, its = getattr(one.key, name), getattr(other.key, name)
        if mine != its:
            first, second = _parts(mine, its)
            return f"{MEMBERS[name]} differs: {first} in {one.run}, {second} in {other.run}"
    return ""


def _parts(mine: str, its: str) -> tuple[str, str]:
    """Two values of a member of a key; of those that are JSON objects, the entries in which they differ."""
    try:
        values = json.loads(mine), json.loads(its)
    except ValueError:
        return mine, its
    if not all(isinstance(one, dict) for one in values):
        return mine, its
    first, second = map(_entries, values)
    names = [name for name in dict.fromkeys((*first, *second)) if first.get(name) != second.get(name)]
    said = [", ".join(f"{name} {json.dumps(one.get(name))}" for name in names) for one in (first, second)]
    return said[0], said[1]


def _entries(value: Json, path: str = "") -> dict[str, Json]:
    """The leaves of a JSON object by their path."""
    found: dict[str, Json] = {}
    for name, inner in value.items():
        here = f"{path}.{name}" if path else str(name)
        found |= _entries(inner, here) if isinstance(inner, dict) else {here: inner}
    return found


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a run: seconds, USD for an image, or a share; infinite where too many jobs never ended.

    ``variance`` is that of its logarithm, for a share its own, as the run's jobs alone would give it; ``n`` are the jobs.
    """

    value: float
    variance: float
    n: int


@dataclass(frozen=True, slots=True)
class Digest:
    """One target of one run. ``unfit`` says why its latencies are not to be compared; ``kind`` is check or bench."""

    run: str
    started_at: str
    target: str
    kind: str
    key: Key
    unfit: str
    figures: Mapping[str, Figure]
    contract: Contract
    usd_per_request: float = 0.0


def runs_at(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The run directories that paths name: a run directory, its history, or a folder of run directories.

    Raises:
        InputError: a path is none of these.
    """
    found: list[Path] = []
    for path in paths:
        if path.name == FILE:
            found.append(path.parent)
        elif (path / FILE).exists():
            found.append(path)
        elif inside := sorted(one.parent for one in path.glob(f"*/{FILE}")):
            found += inside
        else:
            raise InputError(
                f"{path} is no run directory and holds none: name a run, a folder of runs or a baseline file"
            )
    return tuple(dict.fromkeys(found))


def digests(directory: Path) -> tuple[Digest, ...]:
    """The digests of a run directory, one for each target.

    Raises:
        InputError: its history cannot be read.
    """
    history, specs = run.recorded(directory)
    try:
        return digests_of(history, document.build(history, specs))
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(f"{directory}: the history does not fit together: {type(error).__name__} at {error}") from None


def digests_of(history: History, result: RunResult) -> tuple[Digest, ...]:
    """The digests of a run that has been read and judged."""
    return tuple(_digest(history, result, target) for target in result.targets)


def _digest(history: History, result: RunResult, target: TargetResult) -> Digest:
    said = result.document["run"]
    calls = history.of(target.spec.target)
    paid = [float(call.case.usd) for call in calls if call.case.kind == "accept"]
    return Digest(
        run=str(said["id"]),
        started_at=str(said["started_at"]),
        target=target.spec.target,
        kind=result.kind,
        key=_key(history, result, target),
        unfit=_unfit(said),
        figures=figures(target.samples, calls, float(target.price_usd)),
        contract=contract_of(target, result.kind),
        usd_per_request=round(math.fsum(paid) / len(paid), 6) if paid else 0.0,
    )


def _unfit(said: Mapping[str, Json]) -> str:
    if not said["complete"]:
        return "it is not complete"
    if not said["audit"]["valid"]:
        return "its measurement is not valid: " + "; ".join(map(str, said["audit"]["reasons"]))[:120]
    return ""


def _key(history: History, result: RunResult, target: TargetResult) -> Key:
    said, header = result.document["run"], history.header
    options = header["targets"][target.spec.target]
    mode = "live" if said["mode"] == "record" else str(said["mode"])
    where = f" at {target.summary['origin']}" if mode == "live" else ""
    conduct = conduct_from(options.get("conduct"))
    load = {
        "polls": options["schedule"],
        "concurrency": options["concurrency"],
        "rate": options["rate"],
        "arrivals": conduct.arrivals.describe() if conduct.arrivals is not None else None,
        "downloads": conduct.downloads,
    }
    return Key(
        mode=mode,
        endpoint=f"{target.spec.target} ({target.flow.name}){where}",
        spec=target.spec.sha256[:16],
        version=str(said["harness_version"]),
        workload=f"{result.kind} {_workload(target, result.kind)}",
        region=str(header.get("region") or "unnamed"),
        schedule=json.dumps(load, sort_keys=True),
    )


def _workload(target: TargetResult, kind: str) -> str:
    """A hash of what is timed: of a bench what its requests have in common, of a check its cases' ids."""
    timed = [case for case in target.plan.cases if case.kind == "accept"]
    if kind == "check":
        asked = sorted(case.id for case in timed)
    else:
        asked = sorted(
            {json.dumps(template(target.spec, target.flow, case), sort_keys=True, default=str) for case in timed}
        )
    return hashlib.sha256("\n".join(asked).encode()).hexdigest()[:16]


def figures(samples: Mapping[str, Sequence[Sample]], calls: Sequence[Call], usd: float) -> dict[str, Figure]:
    """The numbers of a run: those for which it has enough jobs."""
    found = dict(_latencies({phase: [one.midpoint for one in some] for phase, some in samples.items()}))
    asked = [call for call in calls if call.exchanges and not _key_refused(call)]
    if asked:
        lost = sum(call.outcome is Outcome.UNKNOWN or _failed(call) for call in asked)
        found[ERRORS] = share(lost, len(asked))
    paid = [call for call in calls if call.billed == "yes" and call.images]
    delivered = sum(call.images for call in paid if call.outcome is Outcome.COMPLETED)
    if delivered and usd:
        wasted = share(sum(call.outcome is not Outcome.COMPLETED for call in paid), len(paid))
        spent = math.fsum(float(call.case.usd) for call in paid)
        found[COST] = Figure(round(spent / delivered, 6), wasted.variance, len(paid))
    return found


def _latencies(durations: Mapping[str, Sequence[float]]) -> Iterator[tuple[str, Figure]]:
    for name, (phase, q) in QUANTILES.items():
        ordered = sorted(durations.get(phase, ()))
        if len(ordered) >= FEWEST_JOBS[q] and ordered[0] > 0:
            yield name, latency(ordered, q)


def latency(ordered: Sequence[float], q: float) -> Figure:
    """The ``q`` quantile of some durations in ascending order, which are positive and may be infinite."""
    value = quantile(ordered, q).value
    logs = [math.log(duration) for duration in ordered]
    variance = scatter(logs, q) if value is not None else 0.0
    return Figure(math.inf if value is None else round(value, 6), round(variance, 8), len(ordered))


def share(hits: int, of: int) -> Figure:
    """A share with its binomial variance; half a hit and half a miss are added there, so that none is not certainty."""
    likely = (hits + 0.5) / (of + 1)
    return Figure(round(hits / of, 6), round(likely * (1 - likely) / of, 8), of)


def _key_refused(call: Call) -> bool:
    return any(one.response is not None and one.response.status in KEY_REFUSED for one in call.of("submit", "status"))


def _failed(call: Call) -> bool:
    return call.outcome is Outcome.FAILED and call.case.kind in ("accept", "repeat", "warm-up")


# ---------------------------------------------------------------- JSON


def as_json(one: Digest) -> dict[str, Json]:
    """A digest without its contract, which a baseline file keeps apart; infinite figures are null."""
    return {
        "run": one.run,
        "started_at": one.started_at,
        "target": one.target,
        "kind": one.kind,
        "key": asdict(one.key),
        "unfit": one.unfit,
        "usd_per_request": one.usd_per_request,
        "figures": {
            name: [None if math.isinf(figure.value) else figure.value, figure.variance, figure.n]
            for name, figure in one.figures.items()
        },
    }


def from_json(value: Mapping[str, Json], contract: Contract) -> Digest:
    """The digest that ``as_json`` wrote.

    Raises:
        LookupError, TypeError, ValueError: it is none.
    """
    return Digest(
        run=str(value["run"]),
        started_at=str(value["started_at"]),
        target=str(value["target"]),
        kind=str(value["kind"]),
        key=Key(**{name: str(value["key"][name]) for name in MEMBERS}),
        unfit=str(value["unfit"]),
        figures={
            str(name): _figure(str(name), math.inf if number is None else float(number), float(variance), int(n))
            for name, (number, variance, n) in value["figures"].items()
        },
        contract=contract,
        usd_per_request=float(value["usd_per_request"]),
    )


def _figure(name: str, value: float, variance: float, n: int) -> Figure:
    possible = 0 <= value <= 1 if name == ERRORS else value > 0
    if not possible or not variance >= 0 or n < 1:
        raise ValueError(f"the figure {name} is [{value:g}, {variance:g}, {n}], which no run has")
    return Figure(value, variance, n)
