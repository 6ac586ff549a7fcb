"""The state machine over jobs: healthy simulators hold its invariants, planted faults of the lifecycle break them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

import harness
from harness.clock import VirtualClock, VirtualLoop
from harness.errors import UsageError
from harness.flow import Route
from harness.lifecycle import OnLoop, machine
from harness.secret import BoundKey, Secret
from harness.simulator import Settings, application, spawned
from harness.simulator.planting import planted
from harness.spec import Spec
from harness.transport.wire import Wire
from harness.urls import origin
from tests.calls import FAL, KEY, ORIGIN, ROUTES, SINGLE, SPECS, TODAY, WAVESPEED, InProcess

SHORT = settings(
    max_examples=30, stateful_step_count=15, deadline=None, database=None, derandomize=True,
    phases=[Phase.generate], suppress_health_check=list(HealthCheck),
)  # fmt: skip
HTTP = settings(SHORT, max_examples=4)
FAULTS = {
    FAL.target: ("status-goes-back", "unknown-state", "another-id-in-status", "shared-id"),
    WAVESPEED.target: (
        "status-goes-back", "unknown-state", "outputs-in-early-submit", "outputs-in-early-status", "another-id-in-status",
        "shared-id", "completes-empty", "unknown-id-in-status", "status-without-key",
    ),
}  # fmt: skip


def in_process(*faults: str):
    """A client of a simulator of its own, in virtual time: a second passes when the machine waits."""

    def made(route: Route) -> OnLoop:
        runner, spec = asyncio.Runner(loop_factory=VirtualLoop), route.spec
        variations, _ = planted([spec], TODAY, [f"{spec.target}:{fault}" for fault in faults])

        async def wire() -> Wire:
            clock = VirtualClock()
            transport = InProcess(application([spec], TODAY, clock, variations))
            key = BoundKey(Secret(KEY), spec.credential.header, spec.credential.scheme, frozenset({origin(ORIGIN)}))
            return Wire(transport, transport, clock, key, frozenset({origin(ORIGIN)}))

        return OnLoop(runner, runner.run(wire()), step_seconds=1.0)

    return made


def run(spec: Spec, flow: str | None, *faults: str) -> None:
    chosen = spec.flows[flow] if flow else None
    run_state_machine_as_test(
        machine(
            spec,
            ORIGIN + f"/{spec.provider}/{flow or spec.default_flow.name}",
            KEY,
            flow=chosen,
            client=in_process(*faults),
        ),
        settings=SHORT,
    )


POLLED = [(spec, flow) for spec, flow in ROUTES if spec.flows[flow].status is not None or spec is SINGLE]


@pytest.mark.parametrize(("spec", "flow"), POLLED, ids=[f"{s.target}:{f}" for s, f in POLLED])
def test_a_healthy_simulator_keeps_every_invariant(spec: Spec, flow: str) -> None:
    """Whatever the order of submits, polls, reads, cancels and questions."""
    run(spec, flow)


@pytest.mark.parametrize(
    ("target", "fault"), [(target, fault) for target, faults in FAULTS.items() for fault in faults]
)
def test_a_fault_of_the_lifecycle_breaks_one(target: str, fault: str) -> None:
    """With a sentence about the job, and the steps that led there."""
    with pytest.raises(AssertionError, match=r"job|completed"):
        run(SPECS[target], None, fault)


def test_over_http() -> None:
    """As users run it: a server's base URL and key."""
    with spawned([FAL], Settings(queue_seconds=0.01, inference_seconds=0.01)) as urls:
        run_state_machine_as_test(harness.lifecycle.machine(FAL, urls["fal:queue"], KEY), settings=HTTP)


@pytest.mark.parametrize("url", ["https://queue.fal.run/", "http://queue.fal.run", "https://QUEUE.fal.run.:443"])
def test_a_provider_is_refused(url: str) -> None:
    """However it is spelled: submits cost there, and Hypothesis makes hundreds."""
    with pytest.raises(UsageError, match="each submit costs: name a simulator or a server of your own"):
        machine(FAL, url, KEY)


@pytest.mark.parametrize("url", ["", "localhost:8000", "http://key@localhost"])
def test_what_is_no_base_url_is_refused(url: str) -> None:
    """Before an example asks it, with what is wrong with it."""
    with pytest.raises(UsageError, match="cannot be used"):
        machine(FAL, url, KEY)
