"""Every planted fault turns its target to the verdict it was planted for, on the check it was planted for.

Whole runs in virtual time, narrowed to the cases that can show the fault.
"""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from harness.planning import build
from harness.report import document
from harness.simulator import Fault, faults_for, planted
from harness.targets import Request
from tests.calls import SPECS, TODAY, simulated

SHAPES = ("fal/flux-pro-kontext-multi", "umodelverse/flux-kontext-pro")
"""A queue and a synchronous answer: their faults are planted in full, of the other targets those that these lack."""

NOT_SENT = {
    "body-code-differs": "no document relates the body's code to the HTTP status",
}
ANY_PARAMETER = frozenset({"not_a_server_error", "default_equals_explicit", "response_schema_conformance"})
"""Checks whose findings blame no parameter: the promise is not about one."""


OF_EACH_SORT = 3
"""Faults of one sort (what it does, to which check, with which verdict) that are planted every time; the sweep has all."""


def rows() -> Iterator[Any]:
    """The faults that every tier shows; those of values together have tests of their own."""
    seen: set[str] = set()
    sorts: Counter[tuple[str, ...]] = Counter()
    for target in (*SHAPES, *(name for name in SPECS if name not in SHAPES)):
        for fault in faults_for(SPECS[target]):
            name = fault.id.partition(":")[2]
            if fault.shown_by in ("pairs", "triples") or name in NOT_SENT or (target not in SHAPES and name in seen):
                continue
            sort = (name.partition("-")[0], fault.check, fault.verdict, fault.shown_by)
            marks = [pytest.mark.exhaustive] if name in seen or sorts[sort] == OF_EACH_SORT else []
            sorts[sort] += not marks
            seen.add(name)
            yield pytest.param(fault, id=fault.id, marks=marks)


ODD = ("*/body/*", "*/content-type/*", "*/method/*", "*/guidance_scale/*")
"""What a lenient reader of requests takes, and numbers that only it reads."""


def request_for(fault: Fault) -> Request:
    """A run that can show a fault: its own rejects, or the accept cases, with what shows it beside them."""
    if fault.shown_by == "rejects":
        of_requests = ODD if ":accepts-" in fault.id else ("*/prompt/*",)
        return Request("simulate", cases=(f"*/{fault.parameters[0]}/*",) if fault.parameters else of_requests)
    if fault.shown_by == "probes":
        return Request("simulate", cases=("*/probe/*", "*/accept/*"))
    return Request(
        "simulate",
        rejects=False,
        repeats=fault.shown_by == "repeats",
        deadline_seconds=60 if fault.shown_by == "deadline" else 300,
    )


@pytest.mark.parametrize("fault", list(rows()))
def test_a_planted_fault_is_found(fault):
    """The declared check says so, with the declared verdict, and blames the parameter that the check concerns."""
    spec = SPECS[fault.target]
    variations, settings = planted([spec], TODAY, [fault.id])
    run = simulated(request_for(fault), spec, settings=settings, variations=variations)
    found = document.build(run.history, run.specs).document["targets"][fault.target]
    own = [finding for finding in found["findings"] if finding["check"] == fault.check]
    assert fault.verdict in {finding["verdict"] for finding in own}
    if fault.verdict == "fail":
        assert found["verdict"] == "fail"
        if fault.parameters and fault.check not in ANY_PARAMETER:
            blamed = {finding["parameter"] for finding in own if finding["verdict"] == "fail"}
            assert ", ".join(fault.parameters) in blamed


TOGETHER = [f for spec in SPECS.values() for f in faults_for(spec) if f.shown_by == "pairs" and f.verdict == "fail"]


def unmet(tier: str) -> list[str]:
    """The faults of two values together that no request of a plan meets that is surely to be accepted."""
    plans = {
        name: build(spec, flow=spec.default_flow, tier=tier, usd_per_image=Decimal(1)) for name, spec in SPECS.items()
    }
    return [
        fault.id.partition(":refuses-")[2]
        for fault in TOGETHER
        if not any(c.expect == "accept" and fault.variation().refusal(c.body, None) for c in plans[fault.target].cases)
    ]


def test_values_that_are_refused_together_are_met_by_core():
    """All pairs of classes but those of the dearest count with a parameter that it is not documented to interact with."""
    assert len(TOGETHER) >= 40
    assert [name for name in unmet("core") if not name.startswith("n-max-") and "-num_images-max" not in name] == []
    assert len(unmet("core")) <= 2


def test_values_that_are_refused_together_are_met_by_pairwise():
    """Without exception."""
    assert unmet("pairwise") == []


@pytest.mark.parametrize("target", SPECS)
def test_values_that_are_refused_together_fail_a_run_of_core(target):
    """With the check that the fault declares, and without blame for a parameter that has no part in it."""
    spec, fault = SPECS[target], next(fault for fault in TOGETHER if fault.target == target)
    variations, settings = planted([spec], TODAY, [fault.id])
    request = Request("simulate", tier="core", rejects=False)
    run = simulated(request, spec, settings=settings, variations=variations)
    found = document.build(run.history, run.specs).document["targets"][target]["findings"]
    failed = {(one["check"], one["parameter"]) for one in found if one["verdict"] == "fail"}
    assert failed
    assert {check for check, _ in failed} == {fault.check}
    assert set(fault.parameters).issuperset(name for _, names in failed for name in (names or "").split(", "))


def test_faults_are_many_and_of_every_kind():
    """At least eighty kinds of faults, over the checks of the interface."""
    names = {fault.id.partition(":")[2] for spec in SPECS.values() for fault in faults_for(spec)}
    checks = {fault.check for spec in SPECS.values() for fault in faults_for(spec)}
    assert (len(names) >= 80, len(checks) >= 25) == (True, True)


def test_left_out_rows_exist():
    """What is left out here, with its reason, is still a fault of the simulator's."""
    names = {fault.id.partition(":")[2] for spec in SPECS.values() for fault in faults_for(spec)}
    assert set(NOT_SENT) <= names
