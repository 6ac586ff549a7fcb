"""Findings that say the same, together; and where each check and parameter finds its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.model import VERDICT_ORDER, Json, Verdict
from harness.report import text
from harness.report.alike import alike
from harness.report.results import TargetResult

MOST_CASES = 10
"""Cases that a finding lists; report.json has them all."""
MOST_FINDINGS, FEWEST = 400, 20
"""Distinct findings that the page shows, and that it shows of each target at least; report.json has them all."""
MOST_REASONS = 5
"""Failures that the head of the page names."""


@dataclass(frozen=True)
class Group:
    """Findings that say the same of several cases; ``place`` is where the first one stands among its target's."""

    anchor: str
    target: str
    first: Mapping[str, Json]
    cases: Sequence[Mapping[str, Json]]
    place: int
    size: int
    address: str | None

    @property
    def more(self) -> int:
        """How many cases are not listed."""
        return self.size - len(self.cases)


def most_of(targets: int) -> int:
    """Distinct findings that are shown of each of so many targets."""
    return max(FEWEST, MOST_FINDINGS // max(1, targets))


def groups_of(index: int, target: TargetResult) -> tuple[Group, ...]:
    """A target's findings, the worst first, equal ones together."""
    findings = target.summary["findings"]
    addresses = {one["title"]: text.web_address(one["address"]) for one in target.summary["documents"]}
    ordered = sorted(alike(findings), key=lambda same: -VERDICT_ORDER.index(Verdict(findings[same[0]]["verdict"])))
    return tuple(
        Group(
            anchor=f"t{index}-f{number}",
            target=target.spec.target,
            first=findings[same[0]],
            cases=[findings[place] for place in same[:MOST_CASES]],
            place=same[0],
            size=len(same),
            address=_address(findings[same[0]], addresses),
        )
        for number, same in enumerate(ordered)
    )


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


def by_case(groups: Sequence[Group]) -> Mapping[str, str]:
    """Where a case's worst finding is, for the cases that a finding lists."""
    pairs = ((case["case_id"], f"#{group.anchor}") for group in groups for case in group.cases)
    return dict(reversed(list(pairs)))
