"""From a call's exchanges to named durations, each known to lie in an interval.

Rules
-----
* Instants are the transport's. A polled change is known only to lie after the last poll sent that did not show it
  and before the first poll received that did; nothing narrower is claimed here.
* Attempts before acceptance (429, never sent) are outside every phase.
* A phase that a flow cannot show is ``not separable`` with the reason, and never a guess.
* What the provider reports as its own inference time is a series of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.clock import NS
from harness.flow import Route, body_json
from harness.model import Call, Exchange, Json, Outcome, Response, State
from harness.spec import Flow, Step

PHASES = ("submit", "queue", "inference", "total", "result", "download", "end_to_end", "reported_inference")
Interval = tuple[float, float]
"""Seconds: the duration lies between the two."""

_SYNCHRONOUS = "the provider answers the submit with the outputs: one duration holds every phase"


def not_separable(flow: Flow) -> Mapping[str, str]:
    """The phases that a flow cannot show, with the reason."""
    if flow.status is None or flow.body:
        return dict.fromkeys(("submit", "queue", "inference", "result"), _SYNCHRONOUS)
    if flow.result is None:
        return {"result": "the answer that says completed holds the outputs"}
    return {}


def phases(route: Route, call: Call) -> dict[str, Interval | None]:
    """A call's phases; None for those that its exchanges do not show.

    A completed call that asked for a synchronous answer has ``total``, ``download`` and ``end_to_end`` only.
    """
    found: dict[str, Interval | None] = dict.fromkeys(PHASES)
    submit = _accepted(call.of("submit"))
    if submit is None:
        return found
    synchronous = route.synchronous(call.case.body)
    if synchronous:
        done: Interval | None = _since(submit, submit.received_ns, submit.received_ns)
    else:
        found["submit"] = _since(submit, submit.received_ns, submit.received_ns)
        done = _polled(route.flow, submit, call, found)
    if call.outcome is not Outcome.COMPLETED:
        return found
    found["total"] = done
    _delivered(route.flow, call, submit, done, found)
    found["reported_inference"] = _reported(route.flow, call)
    return found


def _accepted(submits: Sequence[Exchange]) -> Exchange | None:
    last = submits[-1] if submits else None
    return last if last is not None and last.response is not None and last.response.status < 300 else None


def _since(submit: Exchange, low_ns: int, high_ns: int) -> Interval:
    return (low_ns - submit.sent_ns) / NS, (high_ns - submit.sent_ns) / NS


def _polled(flow: Flow, submit: Exchange, call: Call, found: dict[str, Interval | None]) -> Interval | None:
    """Fill in queue and inference; return the interval of the completion, from the submit's departure."""
    step = flow.status
    if step is None:
        return None
    seen = [(exchange, state) for exchange in call.of("status") if (state := state_of(flow, step, exchange))]
    running = _first(submit, seen, ("running", "completed"))
    completed = _first(submit, seen, ("completed",))
    if completed is None or running is None:
        return None
    answered = submit.received_ns
    if any(state == "running" for _, state in seen):
        found["queue"] = (max(0, running[0] - answered) / NS, (running[1] - answered) / NS)
        found["inference"] = (max(0, completed[0] - running[1]) / NS, (completed[1] - running[0]) / NS)
    return _since(submit, *completed)


def _first(
    submit: Exchange, seen: Sequence[tuple[Exchange, State]], wanted: tuple[State, ...]
) -> tuple[int, int] | None:
    """When a state was reached: after the last poll sent that did not show it, before the first received that did."""
    after = submit.received_ns
    for exchange, state in seen:
        if state in wanted:
            return min(after, exchange.received_ns), exchange.received_ns
        after = exchange.sent_ns
    return None


def state_of(flow: Flow, step: Step, exchange: Exchange) -> State | None:
    """The job's state as an answer tells it, in the harness's words; None when it tells none."""
    if exchange.response is None or exchange.response.status >= 300:
        return None
    word = step.shape.one("status", body_json(exchange.response))
    return flow.states.get(word) if isinstance(word, str) else None


def _delivered(
    flow: Flow, call: Call, submit: Exchange, done: Interval | None, found: dict[str, Interval | None]
) -> None:
    results, assets = call.of("result"), call.of("asset")
    if results and flow.result is not None:
        last = results[-1]
        found["result"] = ((last.received_ns - last.sent_ns) / NS,) * 2
    if assets:
        received = max(exchange.received_ns for exchange in assets)
        found["download"] = ((received - min(exchange.sent_ns for exchange in assets)) / NS,) * 2
        found["end_to_end"] = _since(submit, received, received)
    elif results:
        found["end_to_end"] = _since(submit, results[-1].received_ns, results[-1].received_ns)
    elif done is not None:
        found["end_to_end"] = (done[1], done[1])


def _reported(flow: Flow, call: Call) -> Interval | None:
    """The provider's own inference time, in seconds; zero and less are no figure."""
    for name, step in reversed(list(flow.steps().items())):
        for exchange in reversed(call.of(name)):
            value = answer_value(exchange.response)
            for field in step.shape.with_role("inference_time"):
                raw = step.shape.one("inference_time", value)
                if isinstance(raw, (int, float)) and not isinstance(raw, bool) and raw > 0:
                    seconds = raw / 1000 if field.detail.get("unit") == "ms" else float(raw)
                    return seconds, seconds
    return None


def answer_value(response: Response | None) -> Json:
    """The JSON of a successful answer, or None."""
    return body_json(response) if response is not None and response.status < 300 else None
