"""How much of a plan's partitions the cases with a final outcome have covered; each figure lies in 0..1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations, product

from harness.model import Call, Case, Outcome, Plan

Assignment = frozenset[tuple[str, str]]
NO_COVERAGE: Mapping[str, None] = dict.fromkeys(("one_way", "two_way_classes", "two_way_values", "rejects"))
"""What a run covers that does not set out to cover anything."""


def coverage(plan: Plan, calls: Iterable[Call] | None = None) -> Mapping[str, float]:
    """Shares of labels, of pairs of classes, of pairs of labels, and of reject cases that got a final outcome.

    Without ``calls`` they are those of the whole plan.
    """
    final = {case.id for case in plan.cases}
    if calls is not None:
        final = {call.case.id for call in calls if call.outcome is not Outcome.UNKNOWN}
    accepted = [case for case in plan.cases if case.id in final and case.labels]
    rejects = [case for case in plan.cases if case.kind == "reject"]
    return {
        "one_way": _share(_labels(accepted), _all(plan.domains)),
        "two_way_classes": _share(_class_pairs(plan, accepted), _all_pairs(_classes(plan))),
        "two_way_values": _share(_pairs(accepted), _all_pairs(plan.domains)),
        "rejects": len([c for c in rejects if c.id in final]) / len(rejects) if rejects else 0.0,
    }


def _share(covered: set[Assignment], wanted: set[Assignment]) -> float:
    return len(covered & wanted) / len(wanted) if wanted else 0.0


def _labels(cases: Iterable[Case]) -> set[Assignment]:
    return {frozenset({item}) for case in cases for item in case.labels.items()}


def _all(domains: Mapping[str, Iterable[str]]) -> set[Assignment]:
    return {frozenset({(name, label)}) for name, labels in domains.items() for label in labels}


def _pairs(cases: Iterable[Case]) -> set[Assignment]:
    return {frozenset(pair) for case in cases for pair in combinations(case.labels.items(), 2)}


def _all_pairs(domains: Mapping[str, Iterable[str]]) -> set[Assignment]:
    return {
        frozenset({(one, first), (two, second)})
        for (one, firsts), (two, seconds) in combinations(domains.items(), 2)
        for first, second in product(firsts, seconds)
    }


def _classes(plan: Plan) -> Mapping[str, set[str]]:
    return {name: set(labels.values()) for name, labels in plan.domains.items()}


def _class_pairs(plan: Plan, cases: Iterable[Case]) -> set[Assignment]:
    return {
        frozenset(pair)
        for case in cases
        for pair in combinations([(name, plan.domains[name][label]) for name, label in case.labels.items()], 2)
    }
