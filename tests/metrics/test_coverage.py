"""Coverage, against an independent counter that does nothing clever."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics.coverage import coverage
from harness.model import Call, Case, Outcome, Plan
from tests.calls import FAL, SPECS, body_of, case_of, whole_run

DOMAINS = {
    "a": {"absent": "absent", "1": "one", "2": "many", "3": "many"},
    "b": {"x": "edge", "y": "mid", "z": "edge"},
    "c": {"true": "true", "false": "false"},
}


def counted(plan: Plan, final: set[str]) -> dict[str, float]:
    """Every label, every pair, asked one by one."""
    cases = [case for case in plan.cases if case.labels and case.id in final]
    names = list(plan.domains)
    labels = [(n, label) for n in names for label in plan.domains[n]]
    hit = [any(case.labels.get(n) == label for case in cases) for n, label in labels]
    values: list[bool] = []
    classes: dict[tuple[str, str, str, str], bool] = {}
    for i, one in enumerate(names):
        for two in names[i + 1 :]:
            for first in plan.domains[one]:
                for second in plan.domains[two]:
                    seen = any(case.labels.get(one) == first and case.labels.get(two) == second for case in cases)
                    values.append(seen)
                    key = (one, plan.domains[one][first], two, plan.domains[two][second])
                    classes[key] = classes.get(key, False) or seen
    rejects = [case.id in final for case in plan.cases if not case.labels]

    def share(hits: list[bool]) -> float:
        return sum(hits) / len(hits) if hits else 0.0

    return {
        "one_way": share(hit),
        "two_way_classes": share(list(classes.values())),
        "two_way_values": share(values),
        "rejects": share(rejects),
    }


def ended(case: Case, outcome: Outcome) -> Call:
    return Call("c", case, (), outcome, None, "no", 1)


ROWS = st.lists(
    st.fixed_dictionaries({name: st.sampled_from(list(labels)) for name, labels in DOMAINS.items()}), max_size=9
)


@given(ROWS, st.integers(0, 4), st.data())
def test_coverage_is_what_a_brute_force_counter_counts(
    rows: list[dict[str, str]], rejects: int, data: st.DataObject
) -> None:
    """Shares of labels, class pairs, value pairs and rejects, over the cases that got a final outcome, or over all."""
    base = case_of(FAL, body_of(FAL))
    cases = [replace(base, id=f"t/a/{n}", labels=row) for n, row in enumerate(rows)]
    cases += [replace(base, id=f"t/r/{n}", labels={}, fault="x", kind="reject") for n in range(rejects)]
    outcomes = [data.draw(st.sampled_from([*Outcome, None])) for _ in cases]
    plan = Plan("t", "", "queue", "one-way", 0, tuple(cases), DOMAINS)
    calls = [ended(case, outcome) for case, outcome in zip(cases, outcomes, strict=True) if outcome is not None]
    final = {call.case.id for call in calls if call.outcome is not Outcome.UNKNOWN}
    assert counted(plan, final) == pytest.approx(dict(coverage(plan, calls)))
    assert counted(plan, {case.id for case in cases}) == pytest.approx(dict(coverage(plan)))


@pytest.mark.parametrize("target", SPECS)
def test_a_whole_run_covers_what_its_plan_holds(target: str) -> None:
    """Every label is covered, every reject has an end, and the counter agrees about the pairs."""
    history = whole_run().history
    (plan,) = [plan for plan in history.plans if plan.target == target]
    calls = history.of(target)
    found = dict(coverage(plan, calls))
    assert counted(plan, {case.id for case in plan.cases}) == pytest.approx(found)
    assert (found["one_way"], found["rejects"]) == (1.0, 1.0)
