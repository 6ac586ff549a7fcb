"""A provider whose every job is known, in virtual time: the truth beside which the figures of a bench are held.

The engine, the flow, the schedule and the phases are those of any run; only the way out is another one. It answers fal's
queue: a submit is taken when it arrives, half a round trip after it was sent; a status tells the job's state when it
arrives; the result is there at once. Nothing is written, since nothing here is about writing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache

from harness.clock import NS, VirtualClock, run_virtual
from harness.engine import Engine, Further, Options, Work
from harness.flow import Route
from harness.ledger import Ledger
from harness.metrics.intervals import Durations, Sample
from harness.metrics.phases import POLLED_ENDS, Interval, phases
from harness.model import Call, Case, Exchange, Request, Response
from harness.schedule import FIRST_JOBS, Learnt, Schedule
from harness.spec import Spec, find
from harness.traffic import Arrivals
from harness.transport.live import Trail
from harness.transport.wire import Sent

TARGET, BASE = "fal/flux-pro-kontext-multi", "http://truth.test"
ROUND_TRIP_NS = 10_000_000
JSON_TYPE = {"content-type": "application/json"}
Draw = Callable[[random.Random], tuple[float, float]]
"""Draws a job's queue and inference, in seconds."""
LEARNT = {"phases": replace(FIRST_JOBS, learns="phases"), "total": replace(FIRST_JOBS, learns="total")}
"""A bench's schedules, by what the polls are to show."""


@cache
def spec() -> Spec:
    """The target's spec."""
    return find((TARGET,))[0]


@cache
def route() -> Route:
    """Its queue, at the truth's base URL."""
    return Route(spec(), spec().default_flow, BASE)


@cache
def case(number: int) -> Case:
    """One of many cases that differ in nothing but their number."""
    body = {"prompt": "a red fox", "image_urls": ["https://images.example/a.png"]}
    return Case(f"{TARGET}/bench/{number:05}", TARGET, body, "accept", "a benchmark asks", 1, Decimal("0.04"))


def lognormal(queue: float, inference: float, sigma: float) -> Draw:
    """Durations around two medians; a queue of zero is none."""

    def draw(rng: random.Random) -> tuple[float, float]:
        return queue * rng.lognormvariate(0, sigma), inference * rng.lognormvariate(0, sigma)

    return draw


@dataclass(frozen=True, slots=True)
class Job:
    """When a job was taken, began to run and was done, in nanoseconds of the virtual clock."""

    taken: int
    running: int
    done: int


class Truth:
    """The way out of one target; ``jobs`` maps each id to what really happened."""

    def __init__(self, clock: VirtualClock, draw: Draw, seed: int) -> None:
        self._clock, self._draw, self._rng = clock, draw, random.Random(seed)
        self.jobs: dict[str, Job] = {}

    async def send(self, request: Request, *, seconds: float, trail: Trail | None = None) -> Sent:
        """Answer a request a round trip later, by what is true when it arrives."""
        sent = self._clock.now_ns()
        if trail is not None:
            trail.sent_ns, trail.kept = sent, True
        arrives, received = sent + ROUND_TRIP_NS // 2, sent + ROUND_TRIP_NS
        await self._clock.until(received)
        return Sent(Response(200, JSON_TYPE, self._answer(request, arrives)), {}, sent, received, received)

    def _answer(self, request: Request, at: int) -> bytes:
        if request.step == "submit":
            name, (queue, inference) = f"job-{len(self.jobs)}", self._draw(self._rng)
            running = at + round(queue * NS)
            self.jobs[name] = Job(at, running, running + round(inference * NS))
            return b'{"request_id":"%b","status":"IN_QUEUE"}' % name.encode()
        parts = request.url.split("/")
        if parts[-1] != "status":
            return b'{"images":[{"url":"https://images.example/o.png"}],"prompt":"a red fox"}'
        job = self.jobs[parts[-2]]
        word = "IN_QUEUE" if at < job.running else "IN_PROGRESS" if at < job.done else "COMPLETED"
        return b'{"request_id":"%b","status":"%b"}' % (parts[-2].encode(), word.encode())


class Kept:
    """A recorder that keeps the calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def intent(self, call: str, case: Case, derived: str | None) -> None:
        """Nothing to keep."""

    def exchange(self, exchange: Exchange) -> None:
        """The call holds it."""

    def call(self, call: Call) -> None:
        """Keep the call."""
        self.calls.append(call)


@dataclass(frozen=True)
class Seen:
    """A run: what was seen of each job and what was true, both by phase, and how many polls each took.

    Jobs are in the order of their submits: of jobs that run side by side, the first to end are the short ones.
    """

    intervals: dict[str, list[Interval]]
    truths: dict[str, list[float]]
    polls: list[int]

    def durations(self, phase: str, number: int | None = None, *, true: bool = False) -> Durations:
        """The first jobs' durations, as they were seen or as they were."""
        whole = [(value, value) for value in self.truths[phase]] if true else self.intervals[phase]
        return Durations([Sample("", *bounds) for bounds in whole[:number]], 1 if true else POLLED_ENDS.get(phase, 1))

    @property
    def polls_per_job(self) -> float:
        """Polls of each job, the first ones included, from which the schedule was learnt."""
        return sum(self.polls) / len(self.polls)


def bench(
    draw: Draw,
    jobs: int,
    *,
    schedule: Schedule,
    seed: int = 0,
    concurrency: int = 8,
    arrivals: Arrivals | None = None,
    further: Further | None = None,
    learnt: Learnt | None = None,
    deadline_seconds: float = 3600.0,
) -> Seen:
    """A bench of the truth, with its learnt or fixed schedule."""

    async def main() -> Seen:
        clock, kept = VirtualClock(), Kept()
        truth = Truth(clock, draw, seed)
        options = Options(concurrency, deadline_seconds, schedule, confirm=False, seed=seed, downloads=False)
        cases = [case(number) for number in range(jobs)]
        work = Work(route(), truth, cases, concurrency, arrivals=arrivals, further=further, learnt=learnt or Learnt())
        await Engine(clock, kept, Ledger(None), options).run([work])
        return _seen(kept.calls, truth)

    return run_virtual(main())


def _seen(calls: Sequence[Call], truth: Truth) -> Seen:
    names = ("queue", "inference", "total")
    seen = Seen({name: [] for name in names}, {name: [] for name in names}, [])
    for call in sorted(calls, key=lambda call: call.id):
        found, submit, job = phases(route(), call), call.of("submit")[-1], truth.jobs[call.job_id or ""]
        true = {
            "queue": max(0, job.running - submit.received_ns) / NS,
            "inference": (job.done - job.running) / NS,
            "total": (job.done - submit.sent_ns) / NS,
        }
        for name in names:
            bounds = found[name]
            assert bounds is not None, f"{call.case.id} has no {name}"
            assert bounds[0] - 1e-9 <= true[name] <= bounds[1] + 1e-9, f"{name} {true[name]} is not in {bounds}"
            seen.intervals[name].append(bounds)
            seen.truths[name].append(true[name])
        seen.polls.append(len(call.of("status")))
    return seen


def shown(value: object) -> str:
    """A value on one line."""
    return json.dumps(value)
