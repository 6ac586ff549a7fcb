"""Named durations from hand-made instants: what polling cannot know is an interval, and never a guess."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from harness.clock import NS
from harness.metrics.phases import PHASES, Interval, never_running, not_separable, phases
from harness.model import PAST_DEADLINE, Exchange, Failure, Outcome, Response
from harness.spec import Spec
from tests.calls import FAL, MULTI, ROUTES, WAVESPEED, call_of, exchange, route_of, seen

IMAGES = {
    "images": [{"url": "https://cdn.example/a.png"}],
    "prompt": "",
    "seed": 1,
    "timings": {},
    "has_nsfw_concepts": [False],
}
LOST = Failure("reset", "lost", left=True)
TIMED_OUT = Failure("timeout", "no complete answer within 60 s", left=True)
CUT_OFF = Failure("interrupted", "the run was interrupted", left=True)
NEVER_LEFT = Failure("refused", "cannot connect", left=False)


def near(found: dict[str, Interval | None]) -> dict[str, Interval]:
    """The phases that were found, to the nanosecond."""
    return {
        name: (round(low, 9), round(high, 9)) for name, bounds in found.items() if bounds for low, high in (bounds,)
    }


def submit(sent: float = 0.0, answered: float = 0.5) -> Exchange:
    return exchange("submit", sent, answered, {"request_id": "j", "status": "IN_QUEUE"})


def answered(reply: int | Failure) -> Exchange:
    """A submit that was answered with a status within a second, or not at all."""
    return exchange("submit", 0, 1, status=reply) if isinstance(reply, int) else exchange("submit", 0, 1, reply=reply)


def poll(sent: float, word: str, received: float | None = None, **more: Any) -> Exchange:
    return exchange("status", sent, sent + 0.1 if received is None else received, {"status": word} | more)


def result(sent: float, received: float) -> Exchange:
    return exchange("result", sent, received, IMAGES)


def fal(*exchanges: Exchange, outcome: Outcome = Outcome.COMPLETED, reason: str = "") -> dict[str, Interval]:
    call = call_of(FAL, *exchanges, outcome=Outcome.UNKNOWN if reason else outcome)
    return near(phases(route_of(FAL), replace(call, reason=reason)))


def test_a_synchronous_answer_is_one_duration() -> None:
    """Sent to last byte is the total; nothing else is told apart, and downloads count to the end."""
    value = {"created": 1, "data": [{"url": "https://cdn.example/a.png"}]}
    assets = [exchange("asset", 6.0, 6.5), exchange("asset", 6.1, 7.25)]
    call = call_of(MULTI, exchange("submit", 1.0, 5.5, value), *assets)
    expected = {"total": (4.5, 4.5), "download": (1.25, 1.25), "end_to_end": (6.25, 6.25)}
    assert expected == near(phases(route_of(MULTI), call))


def test_a_queued_job_has_every_phase() -> None:
    """Each change lies after the last poll sent without it and before the first received with it."""
    expected = {
        "submit": (0.5, 0.5),
        "queue": (0.5, 1.6),  # running is in (1.0, 2.1]; answered at 0.5
        "inference": (1.9, 4.1),  # completed is in (4.0, 5.1]
        "total": (4.0, 5.1),
        "result": (0.3, 0.3),
        "end_to_end": (5.5, 5.5),
    }
    calls = [poll(1.0, "IN_QUEUE"), poll(2.0, "IN_PROGRESS"), poll(4.0, "IN_PROGRESS"), poll(5.0, "COMPLETED")]
    assert expected == fal(submit(), *calls, result(5.2, 5.5))


def test_a_job_never_seen_running_began_to_run_at_some_time() -> None:
    """When no poll fell into the inference, it began after the last queued poll, and its length has no lower bound."""
    found = fal(submit(), poll(1.0, "IN_QUEUE"), poll(5.0, "COMPLETED"), result(5.2, 5.5))
    assert (found["queue"], found["inference"], found["total"]) == ((0.5, 4.6), (0.0, 4.1), (1.0, 5.1))
    call = call_of(FAL, submit(), poll(5.0, "COMPLETED"))
    assert (never_running(route_of(FAL), call), never_running(route_of(FAL), call_of(FAL, submit()))) == (True, False)


def test_a_job_completed_at_its_first_poll_completed_after_its_acceptance() -> None:
    """The completion lies between the submit's answer and the first poll's."""
    found = fal(submit(), poll(3.0, "COMPLETED"), result(3.2, 3.3))
    assert (found["queue"], found["inference"], found["total"]) == ((0.0, 2.6), (0.0, 2.6), (0.5, 3.1))


def test_a_job_running_at_its_first_poll_may_have_queued_not_at_all() -> None:
    """The queue then lies between nothing and the first poll."""
    found = fal(submit(), poll(1.0, "IN_PROGRESS"), poll(3.0, "COMPLETED"), result(3.2, 3.3))
    assert (found["queue"], found["inference"]) == ((0.0, 0.6), (0.0, 2.6))


def test_a_lost_poll_widens_the_interval() -> None:
    """An answer that never came shows no state: the change may lie before it as well as after."""
    lost = exchange("status", 3.0, 3.9, reply=LOST)
    broken = exchange("status", 3.95, 3.97, reply=Response(503, {}, b""))
    found = fal(submit(), poll(1.0, "IN_PROGRESS"), lost, broken, poll(4.0, "COMPLETED"), result(4.2, 4.3))
    assert found["total"] == (1.0, 4.1)


def test_a_poll_overtaken_by_the_change_claims_nothing_false() -> None:
    """A poll that was long under way shows the state of any instant since it was sent."""
    slow = poll(1.0, "IN_PROGRESS", 3.0)
    found = fal(submit(), slow, poll(3.1, "COMPLETED", 5.0), result(5.1, 5.2))
    assert found["total"] == (1.0, 5.0)


def test_attempts_before_acceptance_are_outside_every_phase() -> None:
    """A 429 and what never left cost waiting time that is not the provider's."""
    refused = exchange("submit", -9.0, -8.9, {"detail": "slow down"}, status=429)
    never = exchange("submit", -5.0, -4.0, reply=Failure("refused", "no", left=False))
    polls = [poll(1.0, "IN_PROGRESS"), poll(5.0, "COMPLETED"), result(5.2, 5.5)]
    assert fal(submit(), *polls) == fal(refused, never, submit(), *polls)


def test_an_interrupted_job_has_a_submit_and_nothing_later() -> None:
    """What was cut off for a reason of ours says nothing about the provider's durations."""
    expected = {"submit": (0.5, 0.5)}
    assert expected == fal(submit(), poll(1.0, "IN_PROGRESS"), outcome=Outcome.UNKNOWN)


def test_a_job_past_its_deadline_is_censored() -> None:
    """It lasted at least until the last poll; how long it queued is known where it was seen running."""
    late = f"{PAST_DEADLINE} 9 s"
    running = fal(submit(), poll(1.0, "IN_QUEUE"), poll(3.0, "IN_PROGRESS"), poll(8.0, "IN_PROGRESS"), reason=late)
    assert running == {
        "submit": (0.5, 0.5),
        "queue": (0.5, 2.6),
        "inference": (4.9, math.inf),
        "total": (8.0, math.inf),
    }
    queued = fal(submit(), poll(1.0, "IN_QUEUE"), poll(8.0, "IN_QUEUE"), reason=late)
    assert queued == {"submit": (0.5, 0.5), "queue": (7.5, math.inf), "total": (8.0, math.inf)}


def test_a_job_that_failed_never_came() -> None:
    """Its total has no end; neither has its inference, had it begun to run."""
    found = fal(submit(), poll(1.0, "IN_PROGRESS"), poll(2.0, "FAILED"), outcome=Outcome.FAILED)
    assert (found["total"][1], found["inference"][1], found["queue"]) == (math.inf, math.inf, (0.0, 0.6))
    assert "queue" not in fal(submit(), poll(2.0, "FAILED"), outcome=Outcome.FAILED)


def test_an_open_loop_counts_from_the_intended_instant() -> None:
    """What the client was late by is in total and end_to_end, and in no phase of the provider's."""
    late = replace(submit(), intended_ns=submit().sent_ns - NS)
    call = call_of(FAL, late, poll(1.0, "IN_PROGRESS"), poll(5.0, "COMPLETED"), result(5.2, 5.5))
    closed, opened = (near(phases(route_of(FAL), call, open_loop=way)) for way in (False, True))
    assert {name: (bounds, opened[name]) for name, bounds in closed.items() if bounds != opened[name]} == {
        "total": ((1.0, 5.1), (2.0, 6.1)),
        "end_to_end": ((5.5, 5.5), (6.5, 6.5)),
    }


@pytest.mark.parametrize(
    "reply", [422, 401, CUT_OFF, NEVER_LEFT], ids=["refused", "no key", "interrupted", "never left"]
)
def test_a_submit_that_says_nothing_about_durations_has_no_phase(reply: int | Failure) -> None:
    """What was refused for what it says or by whom, cut off here, or never sent."""
    assert fal(answered(reply), outcome=Outcome.UNKNOWN) == {}
    assert fal(outcome=Outcome.UNKNOWN) == {}


@pytest.mark.parametrize("reply", [503, 500, 429, 408, LOST, TIMED_OUT], ids=str)
@pytest.mark.parametrize("spec", [FAL, MULTI], ids=["queue", "synchronous"])
def test_a_submit_in_vain_is_a_job_without_an_end(spec: Spec, reply: int | Failure) -> None:
    """A provider that sheds what it cannot do is not the faster for it: a total without an end, and no other phase."""
    call = call_of(spec, answered(reply), outcome=Outcome.UNKNOWN)
    assert near(phases(route_of(spec), call)) == {"total": (1.0, math.inf)}


@pytest.mark.parametrize(
    ("reported", "expected"), [(2170, 2.17), (1, 0.001), (0, None), (-5, None), (True, None), ("9", None)]
)
def test_wavespeed_reports_milliseconds(reported: Any, expected: float | None) -> None:
    """The unit is the spec's; nothing, less, and what is no number are no figure."""
    data = {
        "id": "j",
        "status": "completed",
        "outputs": ["https://cdn.example/a.png"],
        "timings": {"inference": reported},
    }
    call = call_of(
        WAVESPEED,
        exchange("submit", 0, 1, {"data": {"id": "j", "status": "created"}}),
        exchange("status", 3, 4, {"data": data}),
    )
    assert (expected and (expected, expected)) == phases(route_of(WAVESPEED), call)["reported_inference"]


def test_fal_reports_seconds() -> None:
    """The result's own figure comes before the status's."""
    done = poll(5.0, "COMPLETED", metrics={"inference_time": 2.5})
    timed = exchange("result", 5.2, 5.3, IMAGES | {"timings": {"inference": 2.25}})
    assert fal(submit(), done, result(5.2, 5.3))["reported_inference"] == (2.5, 2.5)
    assert fal(submit(), done, timed)["reported_inference"] == (2.25, 2.25)


def test_a_polled_endpoint_asked_to_wait_is_synchronous() -> None:
    """A request that asks for the outputs at once has a total, and neither queue nor inference nor submit."""
    data = {"id": "j", "status": "completed", "outputs": ["https://cdn.example/a.png"]}
    call = call_of(WAVESPEED, exchange("submit", 0, 6, {"code": 200, "message": "", "data": data}), synchronous=True)
    assert near(phases(route_of(WAVESPEED), call)) == {"total": (6.0, 6.0), "end_to_end": (6.0, 6.0)}


def test_the_phases_that_a_flow_cannot_show_say_why() -> None:
    """Synchronous flows hide four phases, a poll flow its result, a queue none."""
    expected = {
        "fal:queue": set(), "fal:sync": {"submit", "queue", "inference", "result"}, "wavespeed:poll": {"result"},
        "wavespeed:sync": {"submit", "queue", "inference", "result"}, "fal-gateway:queue": set(),
        "umodelverse:sync": {"submit", "queue", "inference", "result"},
    }  # fmt: skip
    found = {f"{spec.provider}:{flow}": not_separable(spec.flows[flow]) for spec, flow in ROUTES}
    assert expected == {name: set(hidden) for name, hidden in found.items()}
    assert all(reason for hidden in found.values() for reason in hidden.values())


@pytest.mark.parametrize(("spec", "flow"), ROUTES, ids=[f"{s.target}:{f}" for s, f in ROUTES])
def test_every_interval_is_one(spec: Any, flow: str) -> None:
    """Low is not above high, nothing is negative, and what is not separable is not shown."""
    one = seen(spec, flow)
    found = phases(one.route, one.call)
    assert list(PHASES) == list(found)
    assert all(0 <= bounds[0] <= bounds[1] for bounds in found.values() if bounds)
    hidden = not_separable(one.route.flow)
    assert [name for name in hidden if found[name] is not None] == []
    total = found["total"]
    assert total is not None
    assert total[1] - total[0] < 2.0
