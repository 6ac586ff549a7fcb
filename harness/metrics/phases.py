"""From a call's exchanges to named durations, each known to lie in an interval.

Rules
-----
* Instants are the transport's. A polled change is known only to lie after the last poll sent that did not show it
  and before the first poll received that did; nothing narrower is claimed here.
* A job that never was seen running began to run somewhere between the last poll that showed it queued and its end.
* A job that failed, or that its deadline cut off, has no end: its interval is open above, from the last poll that did
  not show one. So has one that never began since its submit was shed (429 to the last try), failed (5xx) or was lost:
  who waits for an image waits for it in vain. What was cut off otherwise (an interruption, a refused key) and what nobody
  was asked for (a request that never left, one that was refused for what it says) says nothing about durations.
* ``total`` and ``end_to_end`` count from the submit's departure; in an open loop from the instant at which it was
  wanted, so that a client that lags cannot hide it.
* Attempts before acceptance (429, never sent) are outside every phase.
* A phase that a flow cannot show is ``not separable`` with the reason, and never a guess; so is one that the polls
  were too coarse for: a change that more than ``COARSE`` of the jobs had behind them at the first poll that could show it.
* What the provider reports as its own inference time is a series of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.clock import NS
from harness.flow import Route, body_json, submit_meaning
from harness.metrics.intervals import Sample
from harness.model import PAST_DEADLINE, Call, Exchange, Failure, Json, Outcome, Response, State
from harness.spec import Flow, Step

PHASES = ("submit", "queue", "inference", "total", "result", "download", "end_to_end", "reported_inference")
POLLED_ENDS: Mapping[str, int] = {"inference": 2}
"""How many ends of a phase are polled, where it is not one at most."""
COARSE = 0.25
"""The share of jobs without a lower bound above which a phase is not separable."""
Interval = tuple[float, float]
"""Seconds: the duration lies between the two; the second is infinite where there was no end."""

_SYNCHRONOUS = "the provider answers the submit with the outputs: one duration holds every phase"


def not_separable(flow: Flow) -> Mapping[str, str]:
    """The phases that a flow cannot show, with the reason."""
    if flow.status is None or flow.body:
        return dict.fromkeys(("submit", "queue", "inference", "result"), _SYNCHRONOUS)
    if flow.result is None:
        return {"result": "the answer that says completed holds the outputs"}
    return {}


def too_coarse(samples: Sequence[Sample]) -> str | None:
    """Why polled durations of a phase say too little about it; None when they say enough."""
    unbounded = sorted(sample.high for sample in samples if sample.low <= 0 and math.isfinite(sample.high))
    if len(unbounded) <= COARSE * len(samples):
        return None
    return (
        f"{len(unbounded)} of {len(samples)} jobs had it behind them at the first poll that could show it, half of "
        f"these within {unbounded[len(unbounded) // 2]:.3g} s: the polls are too coarse for it"
    )


def never_running(route: Route, call: Call) -> bool:
    """Whether a polled job completed without having been seen running: its queue and inference are one interval."""
    step = route.flow.status
    if step is None or call.outcome is not Outcome.COMPLETED or not call.of("status"):
        return False
    return all(state_of(route.flow, step, exchange) != "running" for exchange in call.of("status"))


def phases(route: Route, call: Call, *, open_loop: bool = False) -> dict[str, Interval | None]:
    """A call's phases; None for those that its exchanges do not show.

    A completed call that asked for a synchronous answer has ``total``, ``download`` and ``end_to_end`` only.
    """
    found: dict[str, Interval | None] = dict.fromkeys(PHASES)
    submits = call.of("submit")
    submit = submits[-1] if submits else None
    if submit is None:
        return found
    start = submit.intended_ns if open_loop else submit.sent_ns
    synchronous = route.synchronous(call.case.body)
    if _in_vain(submit):
        found["total"] = _since(start, submit.received_ns)
    if submit.response is None or submit.response.status >= 300:
        return found
    done: Interval | None
    if synchronous:
        failed = call.outcome is Outcome.FAILED
        done = _since(start, submit.received_ns, None if failed else submit.received_ns)
        found["total"] = done
    else:
        found["submit"] = _since(submit.sent_ns, submit.received_ns, submit.received_ns)
        done = _polled(route.flow, submit, call, found, start)
    if call.outcome is not Outcome.COMPLETED:
        return found
    _delivered(route.flow, call, start, done, found)
    found["reported_inference"] = _reported(route.flow, call)
    return found


def _in_vain(submit: Exchange) -> bool:
    """Whether a submit ended without a job and without an answer about what it asks for."""
    if isinstance(submit.reply, Failure):
        return submit.reply.left and submit.reply.kind != "interrupted"
    return submit_meaning(submit.reply) in ("unknown", "again")


def _since(start_ns: int, low_ns: int, high_ns: int | None = None) -> Interval:
    """From one instant to one between two; open above without the second."""
    return max(0, low_ns - start_ns) / NS, math.inf if high_ns is None else (high_ns - start_ns) / NS


def _polled(
    flow: Flow, submit: Exchange, call: Call, found: dict[str, Interval | None], start_ns: int
) -> Interval | None:
    """Fill in queue, inference and total; return the last, None for a job without an end that could be waited for."""
    step, expired = flow.status, call.reason.startswith(PAST_DEADLINE)
    if step is None or not (expired or call.outcome in (Outcome.COMPLETED, Outcome.FAILED)):
        return None
    seen = [(exchange, state) for exchange in call.of("status") if (state := state_of(flow, step, exchange))]
    began, running = _change(submit, seen, ("running", "completed"))
    ended, completed = _change(submit, seen, ("completed",))
    if call.outcome is not Outcome.COMPLETED:
        completed = None  # it may have said so, and had nothing to show for it
    if running is not None or expired:
        found["queue"] = _since(submit.received_ns, began, running)
    if running is not None:
        found["inference"] = _since(running, ended)[0], _since(began, began, completed)[1]
    found["total"] = total = _since(start_ns, ended, completed)
    return total


def _change(
    submit: Exchange, seen: Sequence[tuple[Exchange, State]], wanted: tuple[State, ...]
) -> tuple[int, int | None]:
    """When a state was reached: after the last poll sent that did not show it, before the first received that did.

    The second is None for a state that no poll showed.
    """
    after = submit.received_ns
    for exchange, state in seen:
        if state in wanted:
            return min(after, exchange.received_ns), exchange.received_ns
        after = exchange.sent_ns
    return after, None


def state_of(flow: Flow, step: Step, exchange: Exchange) -> State | None:
    """The job's state as an answer tells it, in the harness's words; None when it tells none."""
    if exchange.response is None or exchange.response.status >= 300:
        return None
    word = step.shape.one("status", body_json(exchange.response))
    return flow.states.get(word) if isinstance(word, str) else None


def _delivered(flow: Flow, call: Call, start_ns: int, done: Interval | None, found: dict[str, Interval | None]) -> None:
    results, assets = call.of("result"), call.of("asset")
    if results and flow.result is not None:
        last = results[-1]
        found["result"] = ((last.received_ns - last.sent_ns) / NS,) * 2
    if assets:
        received = max(exchange.received_ns for exchange in assets)
        found["download"] = ((received - min(exchange.sent_ns for exchange in assets)) / NS,) * 2
        found["end_to_end"] = _since(start_ns, received, received)
    elif results:
        found["end_to_end"] = _since(start_ns, results[-1].received_ns, results[-1].received_ns)
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
