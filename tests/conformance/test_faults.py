"""Every planted fault turns its target to the verdict it was planted for, on the check it was planted for.

Whole runs in virtual time, narrowed to the cases that can show the fault.
"""

from collections.abc import Iterator

import pytest

from harness.report import document
from harness.simulator import Fault, faults_for, planted
from harness.targets import Request
from tests.calls import SPECS, TODAY, simulated

SHAPES = ("fal/flux-pro-kontext-multi", "umodelverse/flux-kontext-pro")
"""A queue and a synchronous answer: their faults are planted in full, of the other targets those that these lack."""

NOT_SENT = {
    "accepts-duplicate-keys": "bodies that are not JSON are not planned yet",
    "accepts-truncated-json": "bodies that are not JSON are not planned yet",
    "accepts-any-content-type": "other media types are not planned yet",
    "body-code-differs": "no document relates the body's code to the HTTP status",
}
ANY_PARAMETER = frozenset({"not_a_server_error", "default_equals_explicit", "response_schema_conformance"})
"""Checks whose findings blame no parameter: the promise is not about one."""


def rows() -> Iterator[Fault]:
    """The faults to plant; those that only a higher tier or more than one way of coverage shows are left out."""
    seen: set[str] = set()
    for target in (*SHAPES, *(name for name in SPECS if name not in SHAPES)):
        for fault in faults_for(SPECS[target]):
            name = fault.id.partition(":")[2]
            if fault.shown_by in ("pairs", "triples") or name in NOT_SENT or (target not in SHAPES and name in seen):
                continue
            seen.add(name)
            yield fault


def request_for(fault: Fault) -> Request:
    """A run that can show a fault: its own reject, or the accept cases, with what shows it beside them."""
    if fault.shown_by == "rejects" and fault.parameters:
        return Request("simulate", cases=(f"*/{fault.parameters[0]}/*",))
    return Request(
        "simulate",
        rejects=fault.shown_by not in ("accepts", "repeats", "deadline"),
        repeats=fault.shown_by == "repeats",
        deadline_seconds=60 if fault.shown_by == "deadline" else 300,
    )


@pytest.mark.parametrize("fault", list(rows()), ids=lambda fault: fault.id)
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


def test_faults_are_many_and_of_every_kind():
    """At least eighty kinds of faults, over the checks of the interface."""
    names = {fault.id.partition(":")[2] for spec in SPECS.values() for fault in faults_for(spec)}
    checks = {fault.check for spec in SPECS.values() for fault in faults_for(spec)}
    assert (len(names) >= 80, len(checks) >= 25) == (True, True)


def test_left_out_rows_exist():
    """What is left out here, with its reason, is still a fault of the simulator's."""
    names = {fault.id.partition(":")[2] for spec in SPECS.values() for fault in faults_for(spec)}
    assert set(NOT_SENT) <= names
