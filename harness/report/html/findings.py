"""Findings of one promise, together; and where each check and parameter finds its own.

Rules
-----
* A card is what one check found of one parameter at one place of a document: its headline is the first finding's.
* Its lines are what was expected and observed, with the number of cases; where that does not differ, the messages.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.model import VERDICT_ORDER, Json, Verdict
from harness.report import text
from harness.report.results import TargetResult

MOST_LINES = 12
"""Lines of a card; report.json has them all."""
MOST_FINDINGS, FEWEST = 400, 20
"""Distinct findings that the page shows, and that it shows of each target at least; report.json has them all."""
MOST_REASONS = 5
"""Failures that the head of the page names."""


@dataclass(frozen=True)
class Line:
    """What several cases have in common: the first finding, where it stands among its target's, and how many cases."""

    first: Mapping[str, Json]
    place: int
    cases: int


@dataclass(frozen=True)
class Group:
    """What a check found of a parameter at one place of a document, in ``cases`` cases; ``place`` is the first one's.

    ``lines`` tell the findings apart, by their values or by their messages; ``more`` counts those that are not listed.
    """

    anchor: str
    target: str
    first: Mapping[str, Json]
    findings: Sequence[Mapping[str, Json]]
    place: int
    cases: int
    lines: Sequence[Line]
    more: int
    by_value: bool
    address: str | None


def most_of(targets: int) -> int:
    """Distinct findings that are shown of each of so many targets."""
    return max(FEWEST, MOST_FINDINGS // max(1, targets))


def groups_of(index: int, target: TargetResult) -> tuple[Group, ...]:
    """A target's findings, the worst first, those of one promise together."""
    findings = target.summary["findings"]
    addresses = {one["title"]: text.web_address(one["address"]) for one in target.summary["documents"]}
    ordered = sorted(
        _together(findings, promise), key=lambda same: -VERDICT_ORDER.index(Verdict(findings[same[0]]["verdict"]))
    )
    return tuple(
        _group(f"t{index}-f{number}", target.spec.target, findings, same, addresses)
        for number, same in enumerate(ordered)
    )


def promise(finding: Mapping[str, Json]) -> Hashable:
    """What findings of one card have in common: verdict, check, parameter, and the place in a document."""
    source = finding["source"] or {}
    return finding["verdict"], finding["check"], finding["parameter"], source.get("document"), source.get("where")


def values(finding: Mapping[str, Json]) -> Hashable:
    """What was expected and observed."""
    return finding["expected"], finding["observed"]


def _message(finding: Mapping[str, Json]) -> Hashable:
    return str(finding["message"])


def _together(
    findings: Sequence[Mapping[str, Json]],
    key: Callable[[Mapping[str, Json]], Hashable],
    among: Sequence[int] | None = None,
) -> list[list[int]]:
    """The places of findings, those of one key together, in the order in which they come."""
    found: dict[Hashable, list[int]] = {}
    for place in range(len(findings)) if among is None else among:
        found.setdefault(key(findings[place]), []).append(place)
    return list(found.values())


def _group(
    anchor: str,
    target: str,
    findings: Sequence[Mapping[str, Json]],
    same: Sequence[int],
    addresses: Mapping[str, str | None],
) -> Group:
    apart = _together(findings, values, same)
    by_value = len(apart) > 1
    lines = apart if by_value else _together(findings, _message, same)
    return Group(
        anchor=anchor,
        target=target,
        first=findings[same[0]],
        findings=[findings[place] for place in same],
        place=same[0],
        cases=_cases(findings, same),
        lines=[Line(findings[line[0]], line[0], _cases(findings, line)) for line in lines[:MOST_LINES]],
        more=max(0, len(lines) - MOST_LINES),
        by_value=by_value,
        address=_address(findings[same[0]], addresses),
    )


def _cases(findings: Sequence[Mapping[str, Json]], places: Sequence[int]) -> int:
    return len({findings[place]["case_id"] for place in places})


def _address(finding: Mapping[str, Json], addresses: Mapping[str, str | None]) -> str | None:
    return addresses.get(finding["source"]["document"]) if finding["source"] else None


def failures(groups: Sequence[Sequence[Group]]) -> list[Group]:
    """What the head of the page names: each target's failed checks of each parameter once, the targets taken in turn."""
    failed = [list(_distinct(found)) for found in groups]
    deepest = max(map(len, failed), default=0)
    return [found[depth] for depth in range(deepest) for found in failed if depth < len(found)]


def _distinct(groups: Sequence[Group]) -> Iterator[Group]:
    """The first failure of each check and parameter."""
    seen: set[tuple[str, str]] = set()
    for group in groups:
        about = (group.first["check"], group.first["parameter"] or "")
        if group.first["verdict"] == "fail" and about not in seen:
            seen.add(about)
            yield group


def of_check(groups: Sequence[Group], check: str) -> list[Group]:
    """The findings of a check."""
    return [group for group in groups if group.first["check"] == check]


def of_parameter(groups: Sequence[Group], parameter: str) -> list[Group]:
    """The findings that name a parameter, alone or with others."""
    return [group for group in groups if parameter in (group.first["parameter"] or "").split(", ")]


@dataclass(frozen=True)
class Fault:
    """What a case failed: in a line, and where its card is."""

    anchor: str
    message: str


def faults(groups: Sequence[Group]) -> Mapping[str, Fault]:
    """The first failure of each case that has one."""
    found: dict[str, Fault] = {}
    for group in groups:
        for one in group.findings if group.first["verdict"] == "fail" else ():
            found.setdefault(one["case_id"], Fault(group.anchor, one["message"]))
    return found


def by_case(groups: Sequence[Group]) -> Mapping[str, str]:
    """Where a case's worst finding is."""
    pairs = ((one["case_id"], f"#{group.anchor}") for group in groups for one in group.findings)
    return dict(reversed(list(pairs)))
