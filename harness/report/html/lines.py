"""What the sections of the page show, in the order in which they show it; every number stays where it is in report.json."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.model import Json
from harness.report.html.findings import Group, by_case, of_check, of_parameter

WHOLE_REQUEST = "(the request)"
Reports = Mapping[str, Mapping[str, Json]]
"""The targets of report.json."""


# ---------------------------------------------------------------- at a glance


@dataclass(frozen=True)
class Fastest:
    """Which target is fastest at a quantile, and which others its interval does not tell it apart from.

    ``others`` counts those that are compared with it, ``unknown`` are those that were timed and have no such quantile.
    """

    target: str
    quantile: str
    level: Sequence[str]
    others: int
    unbounded: bool
    unknown: Sequence[str]

    @property
    def clear(self) -> bool:
        """Whether it is told apart from all that are compared with it."""
        return not self.level and not self.unbounded


def fastest(targets: Reports) -> Fastest | None:
    """The fastest target at p95, or at p50 where no target has a p95; None when nothing was timed."""
    for name in ("p95", "p50"):
        known = {target: found for target, one in targets.items() if (found := _quantile(one, name)) is not None}
        if known:
            first = min(known, key=lambda target: known[target]["value"])
            high = known[first]["high"]
            rest = {target: found for target, found in known.items() if target != first}
            level = [t for t, found in rest.items() if high is None or found["low"] is None or found["low"] <= high]
            unknown = [t for t, one in targets.items() if t not in known and one["latency"].get("total", {}).get("n")]
            return Fastest(first, name, level, len(rest), high is None, unknown)
    return None


def _quantile(target: Mapping[str, Json], name: str) -> Mapping[str, Json] | None:
    found: Mapping[str, Json] = target["latency"].get("total", {}).get(name) or {}
    return found if found.get("value") is not None else None


# ---------------------------------------------------------------- checks


@dataclass(frozen=True)
class Cell:
    """What a check or a parameter came to at one target: the verdicts there are, the worst first, and the findings."""

    target: str
    verdicts: Sequence[str]
    findings: Sequence[Group]


_WORST_FIRST = ("fail", "unknown", "warn", "pass", "masked", "unsent")


def check_rows(targets: Reports, groups: Sequence[Sequence[Group]]) -> Iterator[tuple[str, list[Cell | None]]]:
    """Checks by targets, the worst first, else in the schema's order; a check that applied to nothing has no row."""
    for check in sorted(_order(targets), key=lambda check: _worst(targets, check)):
        yield (
            check,
            [
                Cell(name, _there(target["checks"][check]), of_check(found, check))
                if check in target["checks"]
                else None
                for (name, target), found in zip(targets.items(), groups, strict=True)
            ],
        )


def _worst(targets: Reports, check: str) -> int:
    """The place of the worst verdict that any target has."""
    tallies = [target["checks"].get(check, {}) for target in targets.values()]
    return min(place for place, word in enumerate(_WORST_FIRST) if any(tally.get(word) for tally in tallies))


def _order(targets: Reports) -> Sequence[str]:
    """The checks of all targets in one order that agrees with each target's."""
    order: list[str] = []
    for target in targets.values():
        place = 0
        for check in target["checks"]:
            if check in order:
                place = order.index(check) + 1
            else:
                order.insert(place, check)
                place += 1
    return order


def _there(tally: Mapping[str, int]) -> list[str]:
    return [word for word in _WORST_FIRST if tally.get(word)]


# ---------------------------------------------------------------- parameters


@dataclass(frozen=True)
class Said:
    """One dialect's parameter of a role: where it stands in report.json, and what was found."""

    target: str
    place: int
    parameter: Mapping[str, Json]
    cell: Cell


@dataclass(frozen=True)
class RoleRow:
    """A role in every dialect, and in which respects the dialects' documents differ."""

    role: str
    said: Sequence[Said | None]
    differ: Sequence[str] = ()


_RESPECTS = {"name": "names", "values": "ranges", "default": "defaults"}


def role_rows(targets: Reports, groups: Sequence[Sequence[Group]]) -> list[RoleRow]:
    """Roles by targets; what has no role comes by its name, the request as a whole last."""
    rows: dict[str, list[Said | None]] = {}
    for index, ((name, target), found) in enumerate(zip(targets.items(), groups, strict=True)):
        for place, parameter in enumerate(target["parameters"]):
            role = parameter["role"] or parameter["name"] or WHOLE_REQUEST
            row = rows.setdefault(role, [None] * len(targets))
            about = of_parameter(found, parameter["name"]) if parameter["name"] else []
            row[index] = row[index] or Said(name, place, parameter, Cell(name, _there(parameter["tally"]), about))
    whole = rows.pop(WHOLE_REQUEST, None)
    ordered = [*rows.items(), *([(WHOLE_REQUEST, whole)] if whole else [])]
    return [RoleRow(role, said, _differ([one for one in said if one])) for role, said in ordered]


def _differ(said: Sequence[Said]) -> list[str]:
    documented = [one.parameter for one in said if one.parameter["source"]]
    return [words for respect, words in _RESPECTS.items() if len({json.dumps(one[respect]) for one in documented}) > 1]


@dataclass(frozen=True)
class Chip:
    """One value or fault of a parameter: its name, verdict, where its number of cases stands, and where its finding is."""

    name: str
    verdict: str
    path: Sequence[str | int] = ()
    href: str | None = None
    open: bool = False


@dataclass(frozen=True)
class Contract:
    """One parameter of one target: the values it should take and the faults it should refuse."""

    name: str
    values: Sequence[Chip] = field(default_factory=list)
    faults: Sequence[Chip] = field(default_factory=list)


def contract(name: str, target: Mapping[str, Json], groups: Sequence[Group]) -> list[Contract]:
    """The parameters of a target by their values and faults, those that the plan never touched left out."""
    hrefs, found = by_case(groups), []
    for place, parameter in enumerate(target["parameters"]):
        path = ("targets", name, "parameters", place, "accepts")
        values = [
            Chip(
                label,
                one["verdict"],
                (*path, label, "cases") if one["cases"] > 1 else (),
                _named(groups, parameter["name"], one["verdict"]),
            )
            for label, one in parameter["accepts"].items()
        ]
        faults = [
            Chip(
                fault,
                one["verdict"],
                (),
                None if one["verdict"] == "pass" else hrefs.get(one["case_id"]),
                one["expect"] == "either",
            )
            for fault, one in parameter["refuses"].items()
        ]
        if values or faults:
            found.append(Contract(parameter["name"] or WHOLE_REQUEST, values, faults))
    return found


def _named(groups: Sequence[Group], parameter: str | None, verdict: str) -> str | None:
    """Where the finding is that blames a parameter's value; a value that passed, or is masked, has none."""
    blaming = of_parameter(groups, parameter) if parameter else []
    return next((f"#{group.anchor}" for group in blaming if group.first["verdict"] == verdict), None)


# ---------------------------------------------------------------- latency


@dataclass(frozen=True)
class Timed:
    """A line of the latency table: a phase that was measured, or the phases that one reason hides."""

    phases: Sequence[str]
    hidden: str | None = None


def timed(latency: Mapping[str, Json]) -> Iterator[Timed]:
    """Measured phases in order, then those that are not separable, once for each reason; nothing for no jobs."""
    hidden: dict[str, list[str]] = {}
    for phase, found in latency.items():
        if "not_separable" in found:
            hidden.setdefault(found["not_separable"], []).append(phase)
        elif found["n"]:
            yield Timed([phase])
    for reason, phases in hidden.items():
        yield Timed(phases, reason)
