"""Runs of a bench as a live provider would have left them: drawn from a model whose truth is known, without an engine.

A job is submitted, waits, runs and is done at instants drawn by a seed; it is polled by the harness's own schedule.
``write`` leaves the run directory of such jobs; ``samples`` gives what the harness reads from it, without the detour:
``test_digest`` holds both equal, so that thousands of runs can take the short way.
"""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from PIL import Image

from harness.audit import Watch
from harness.clock import NS
from harness.compare.contract import Contract
from harness.compare.digest import Digest, Figure, Key, figures, share
from harness.compare.names import COST, ERRORS
from harness.config import Config
from harness.engine import Ended
from harness.history import FILE, MemoryJournal, call_row, exchange_row, intent_row
from harness.metrics.phases import phases
from harness.model import Call, Case, Exchange, Outcome, Response, State, Wait
from harness.report.results import Sample
from harness.run import footer_row, header_row
from harness.schedule import Pacer, Schedule
from harness.targets import Request, Target, targets_of
from tests.calls import FAL, KEY

BEGAN = datetime(2026, 11, 1, 3, 17, tzinfo=UTC)
ROUND_TRIP = 0.05
JSON_TYPE = {"content-type": "application/json"}
NOTHING = Contract((), {"bench": "accepted"}, {}, (), {})
"""What a run finds out of which every request is accepted and every promise kept."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job's truth, in seconds after its submit was sent."""

    running: float
    done: float


@dataclass(frozen=True, slots=True)
class Model:
    """How long jobs take: lognormal around ``median`` seconds with deviation ``sigma``, a fifth of it in the queue.

    A share ``cold`` of them takes four times as long.
    """

    median: float = 5.0
    sigma: float = 0.3
    cold: float = 0.0

    def jobs(self, rng: random.Random, n: int, drift: float = 0.0) -> list[Job]:
        """The jobs of a run which as a whole is slower by ``exp(drift)``."""
        return [self._job(rng, math.exp(drift)) for _ in range(n)]

    def _job(self, rng: random.Random, factor: float) -> Job:
        queue = 0.2 * self.median * factor * rng.lognormvariate(0, self.sigma)
        work = 0.8 * self.median * factor * rng.lognormvariate(0, self.sigma * 1.2)
        slow = 4.0 if rng.random() < self.cold else 1.0
        return Job(ROUND_TRIP + queue, ROUND_TRIP + queue + work * slow)


@dataclass(frozen=True, slots=True)
class Poll:
    """One status request, in seconds after the submit was sent: when it was sent, when answered, and with what."""

    sent: float
    received: float
    state: State


def polls(job: Job, schedule: Schedule, rng: random.Random) -> Iterator[Poll]:
    """The polls of a job, until one shows that it is done."""
    pacer, at, state = Pacer(schedule, rng), ROUND_TRIP, "queued"
    while state != "completed":
        at += pacer.delay(Wait(state), at - ROUND_TRIP)  # type: ignore[arg-type] # one of the two that are left
        seen = at + ROUND_TRIP / 2
        state = "completed" if seen >= job.done else "running" if seen >= job.running else "queued"
        yield Poll(at, at + ROUND_TRIP, state)  # type: ignore[arg-type] # as above
        at += ROUND_TRIP


def samples(jobs: Sequence[Job], schedule: Schedule, rng: random.Random) -> dict[str, list[Sample]]:
    """What the harness learns of some jobs: their phases as intervals."""
    found: dict[str, list[Sample]] = {"total": [], "queue": [], "inference": []}
    for number, job in enumerate(jobs):
        seen = list(polls(job, schedule, rng))
        running, done = _first(seen, ("running", "completed")), _first(seen, ("completed",))
        found["total"].append(Sample(str(number), *done))
        if any(poll.state == "running" for poll in seen):
            queue = (max(0.0, running[0] - ROUND_TRIP), running[1] - ROUND_TRIP)
            found["queue"].append(Sample(str(number), *queue))
            inference = (max(0.0, done[0] - running[1]), done[1] - running[0])
            found["inference"].append(Sample(str(number), *inference))
    return found


def _first(seen: Sequence[Poll], states: tuple[State, ...]) -> tuple[float, float]:
    after = ROUND_TRIP
    for poll in seen:
        if poll.state in states:
            return min(after, poll.received), poll.received
        after = poll.sent
    raise ValueError("a job that is never done")


def naive(jobs: Sequence[Job], schedule: Schedule, rng: random.Random) -> list[float]:
    """The durations that a client without intervals reports: until the first poll that says done."""
    return [list(polls(job, schedule, rng))[-1].received for job in jobs]


def digest(
    number: int,
    measured: dict[str, list[Sample]],
    *,
    schedule: Schedule | None = None,
    mode: str = "live",
    region: str = "unnamed",
) -> Digest:
    """The digest of a run, by the short way."""
    polled = json.dumps((schedule or Schedule()).describe())
    key = Key(mode, f"{FAL.target} (queue)", "spec", "0.1.0", "bench", region, polled)
    return Digest(
        run=f"run-{number}",
        started_at=(BEGAN + timedelta(days=number)).isoformat(),
        target=FAL.target,
        kind="bench",
        key=key,
        unfit="",
        figures={**figures(measured, (), 0.04), **_undisturbed(len(measured["total"]))},
        contract=NOTHING,
        usd_per_request=0.04,
    )


def _undisturbed(jobs: int) -> dict[str, Figure]:
    """The numbers of a run in which every job was delivered, for 0.04 USD each."""
    return {ERRORS: share(0, jobs), COST: Figure(0.04, share(0, jobs).variance, jobs)} if jobs else {}


# ---------------------------------------------------------------- the long way


@cache
def _target(requests: int, seed: int) -> Target:
    request = Request("live", "bench", requests=requests, seed=seed)
    (target,) = targets_of((FAL,), request, Config(), {FAL.credential.env: KEY})
    return target


def write(
    place: Path,
    number: int,
    jobs: Sequence[Job],
    rng: random.Random,
    *,
    schedule: Schedule | None = None,
    mode: str = "live",
    region: str | None = None,
    seed: int = 0,
) -> Path:
    """The run directory of some jobs, made ``number`` days after the first one; what it holds is what a run leaves."""
    target = _target(len(jobs), seed)
    request = Request(
        "live", "bench", requests=len(jobs), seed=seed, poll_interval=schedule.fixed if schedule else None
    )
    began = (BEGAN + timedelta(days=number)).isoformat(timespec="milliseconds")
    header = dict(header_row(f"run-{number}", [target], request, _Stopped(), Config(region=region)))
    header |= {"started_at": began, "mode": mode}
    header["targets"] = {name: {**one, "anchor_at": began} for name, one in header["targets"].items()}
    journal = MemoryJournal()
    journal.append(header)
    for index, (case, job) in enumerate(zip(target.plan.cases, jobs, strict=True), 1):
        seen = list(polls(job, schedule or Schedule(), rng))
        call = _call(target, f"c{index}", case, seen, at_ns=index * 60 * NS)
        journal.append(intent_row(call.id, case, None))
        for exchange in call.exchanges:
            journal.append(exchange_row(exchange))
        journal.append(call_row(call, phases(target.route, call)))
    audit = Watch(_Stopped()).audit()
    journal.append({**footer_row(Ended(True, {}, False, False), audit, {}), "finished_at": began})
    directory = place / f"run-{number}"
    directory.mkdir(parents=True)
    lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in journal.rows)
    (directory / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (directory / "blobs").mkdir()
    for name, data in journal.blobs.items():
        (directory / "blobs" / name).write_bytes(data)
    return directory


class _Stopped:
    """A clock that stands: the instants here are the model's."""

    def now_ns(self) -> int:
        """Always the same."""
        return NS

    async def sleep(self, seconds: float) -> None:
        """Nobody waits."""

    async def until(self, instant_ns: int) -> None:
        """Nobody waits."""


def _call(target: Target, name: str, case: Case, seen: Sequence[Poll], *, at_ns: int) -> Call:
    route, job_id = target.route, f"job-{name}"
    home = f"{route.base_url}/fal-ai/flux-pro/requests/{job_id}"
    links = {"request_id": job_id, "response_url": home, "status_url": f"{home}/status", "cancel_url": f"{home}/cancel"}
    words = {state: word for word, state in route.flow.states.items()}

    def exchange(step: str, sent: float, received: float, value: object) -> Exchange:
        body = json.dumps(dict(case.body)).encode() if step == "submit" else None
        leaves, comes = at_ns + round(sent * NS), at_ns + round(received * NS)
        return Exchange(
            call=name,
            case_id=case.id,
            step=step,  # type: ignore[arg-type] # a step's word
            attempt=1,
            method="POST" if body else "GET",
            url=home,
            request_headers={},
            request_body=body,
            reply=Response(200, JSON_TYPE, json.dumps(value).encode()),
            intended_ns=leaves,
            sent_ns=leaves,
            first_byte_ns=comes,
            received_ns=comes,
        )

    found = [exchange("submit", 0.0, ROUND_TRIP, {**links, "status": words["queued"], "queue_position": 0})]
    for poll in seen:
        more: dict[str, object] = {"queue_position": 0} if poll.state == "queued" else {"logs": []}
        found.append(exchange("status", poll.sent, poll.received, {**links, "status": words[poll.state], **more}))
    last = seen[-1].received
    answer = {
        "images": [{"url": f"https://files.example/{name}.jpeg", "content_type": "image/jpeg"}], "timings": {}, "seed": case.body["seed"],
        "has_nsfw_concepts": [False], "prompt": case.body["prompt"],
    }  # fmt: skip
    found.append(exchange("result", last, last + ROUND_TRIP, answer))
    file = exchange("asset", last + ROUND_TRIP, last + 2 * ROUND_TRIP, None)
    image = Response(200, {"content-type": "image/jpeg"}, _jpeg())
    found.append(replace(file, url=f"https://files.example/{name}.jpeg", reply=image))
    return Call(name, case, tuple(found), Outcome.COMPLETED, job_id, "yes", case.images)


@cache
def _jpeg() -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(out, "JPEG")
    return out.getvalue()


def renamed(one: Digest, number: int) -> Digest:
    """A digest as if its run had been made on another day."""
    return replace(one, run=f"run-{number}", started_at=(BEGAN + timedelta(days=number)).isoformat())
