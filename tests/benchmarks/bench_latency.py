"""How far a client's latencies are from the truth, ours beside httpx's and aiohttp's, on one server that knows it.

Measured: for each job the client's own ``total`` minus what the server says it took, arrival to departure. It is the
client's lag and the loopback's (some 0.1 ms); the median and the 99th percentile are printed, in milliseconds.

How: ``truth_server`` in a process of its own answers a synchronous job after a fixed time and adds its instants to the
answer. Ours is a whole ``harness bench``: journal, redaction and parsing included, its latencies read from the history
that it leaves. The peers are their clients with one pool and no limits, a stopwatch around the call. First a closed loop
of short jobs; then what an image API looks like, jobs of five seconds in an open loop, with up to 5 000 of them in flight
in one process; then polled jobs of twenty seconds, 2 000 in flight, each of whose instants has to lie within the
interval that is printed for it.

How to read it: the processor is shared with whatever else runs here, so compare the rows of one table. ``in flight`` is
the largest number of jobs under way at once, ``audit`` what the harness says of itself.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import httpx

from harness import run
from harness.clock import NS
from harness.config import Config
from harness.flow import Route, body_json
from harness.history import read
from harness.metrics.phases import phases
from harness.model import Call, Outcome
from harness.spec import find
from harness.targets import Request
from tests.benchmarks import truth_server

SYNCHRONOUS, QUEUE = "umodelverse/flux-kontext-pro", "fal/flux-pro-kontext-multi"
KEY = "benchmark-key-0123456789abcdef"
CONFIG = Config(assets=("https://images.example/a.png",))
PATH = "/v1/images/generations"


@dataclass(frozen=True, slots=True)
class Row:
    """A client's errors in seconds, its largest number of jobs in flight, its CPU per exchange, and a word on it."""

    name: str
    errors: Sequence[float]
    in_flight: int
    cpu_us: float
    said: str = ""

    def __str__(self) -> str:
        ordered = sorted(self.errors)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        return (
            f"{self.name:34}{len(ordered):7}{self.in_flight:11}{statistics.median(ordered) * 1000:10.2f}"
            f"{p99 * 1000:10.2f}{ordered[-1] * 1000:10.1f}{self.cpu_us:10.0f}  {self.said}"
        )


HEAD = f"{'':34}{'jobs':>7}{'in flight':>11}{'p50 ms':>10}{'p99 ms':>10}{'max ms':>10}{'CPU µs':>10}  audit"


def bench(target: str, base: str, out: Path, **asked: Any) -> tuple[Any, Sequence[Call], float]:
    """A whole ``harness bench`` against a base URL: its report, its calls, and its processor time in seconds."""
    (spec,) = find((target,))
    request = Request(
        "live", "bench", base_urls={(spec.provider, None): base}, max_cost=Decimal(1_000_000), out=out,
        downloads=False, rejects=False, **asked,
    )  # fmt: skip
    gc.collect()
    before = time.process_time()
    result = run.check([spec], request, CONFIG, {spec.credential.env: KEY})
    return result.result.document, read(out).calls, time.process_time() - before


def ours(name: str, base: str, out: Path, **asked: Any) -> Row:
    """Our errors over synchronous jobs."""
    document, calls, _ = bench(SYNCHRONOUS, base, out, **asked)
    (spec,) = find((SYNCHRONOUS,))
    route, errors = Route(spec, spec.default_flow, base), []
    for call in calls:
        assert call.outcome is Outcome.COMPLETED, f"{call.case.id}: {call.outcome} {call.reason}"
        (submit,) = call.of("submit")
        assert submit.response is not None
        truth, total = body_json(submit.response)["truth"], phases(route, call, open_loop="rate" in asked)["total"]
        assert total is not None
        errors.append(total[1] - (truth["send_ns"] - truth["arrive_ns"]) / NS)
    (target,) = document["targets"].values()
    audit = document["run"]["audit"]
    return Row(
        name, errors, target["measurement"]["most_in_flight"], audit["cpu_share"] * _seconds(calls) / len(calls) * 1e6, said_of(audit)
    )  # fmt: skip


def _seconds(calls: Sequence[Call]) -> float:
    exchanges = [exchange for call in calls for exchange in call.exchanges]
    return (max(e.received_ns for e in exchanges) - min(e.sent_ns for e in exchanges)) / NS


def said_of(audit: Any) -> str:
    """The audit in a few words."""
    lags = "/".join(f"{audit[name] * 1000:.1f}" for name in ("loop_lag_p99_s", "start_lag_p99_s"))
    return f"{'valid' if audit['valid'] else 'INVALID'}, lags {lags} ms"


Ask = Callable[[], Awaitable[bytes]]
Opened = Callable[[str], AbstractAsyncContextManager[Ask]]


@asynccontextmanager
async def over_httpx(base: str) -> Any:
    """Bare httpx, one pool."""
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=120) as client:

        async def ask() -> bytes:
            return (await client.post(base + PATH, json={"prompt": "x"}, headers={"authorization": KEY})).content

        yield ask


@asynccontextmanager
async def over_aiohttp(base: str) -> Any:
    """Bare aiohttp."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask() -> bytes:
            async with session.post(base + PATH, json={"prompt": "x"}, headers={"authorization": KEY}) as answer:
                return await answer.read()

        yield ask


async def peer(name: str, opened: Opened, base: str, jobs: int, concurrency: int) -> Row:
    """A peer's errors in a closed loop, by a stopwatch around each call."""
    errors: list[float] = []
    waiting = iter(range(jobs))
    async with opened(base) as ask:

        async def worker() -> None:
            for _ in waiting:
                began = time.monotonic_ns()
                body = await ask()
                took = time.monotonic_ns() - began
                truth = json.loads(body)["truth"]
                errors.append((took - (truth["send_ns"] - truth["arrive_ns"])) / NS)

        before = time.process_time()
        await asyncio.gather(*(worker() for _ in range(concurrency)))
        cpu = time.process_time() - before
    return Row(name, errors, concurrency, cpu / jobs * 1e6)


def queue_jobs(base: str, out: Path, jobs: int, rate: float, seconds: float) -> list[str]:
    """Polled jobs: is every true instant within its printed interval?"""
    document, calls, _ = bench(QUEUE, base, out, requests=jobs, rate=rate, concurrency=jobs, deadline_seconds=300)
    (spec,) = find((QUEUE,))
    route = Route(spec, spec.default_flow, base)
    outside, errors = 0, dict[str, list[float]]()
    for call in calls:
        assert call.outcome is Outcome.COMPLETED, f"{call.case.id}: {call.outcome} {call.reason}"
        (submit,), (result, *_) = call.of("submit"), call.of("result")
        assert result.response is not None
        truth, found = body_json(result.response)["truth"], phases(route, call, open_loop=True)
        true = {
            "queue": truth["running_ns"] - submit.received_ns,
            "inference": truth["done_ns"] - truth["running_ns"],
            "total": truth["done_ns"] - submit.intended_ns,
        }
        for phase, ns in true.items():
            bounds = found[phase]
            assert bounds is not None, f"{call.case.id} has no {phase}"
            outside += not bounds[0] <= max(0.0, ns / NS) <= bounds[1]
            errors.setdefault(phase, []).append(sum(bounds) / 2 - ns / NS)
    (target,) = document["targets"].values()
    biases = ", ".join(f"{phase} {statistics.fmean(each) * 1000:+.0f}" for phase, each in errors.items())
    said = (
        f"{len(calls)} jobs of {seconds:g} s, {target['measurement']['most_in_flight']} in flight, "
        f"{target['polling']['polls_per_job']:.1f} polls each: {outside} of {3 * len(calls)} true durations outside their "
        f"printed interval; mean of midpoint minus truth, ms: {biases}; {said_of(document['run']['audit'])}"
    )
    return [said]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="short and few: shows that it runs")
    parser.add_argument("--only", choices=("closed", "open", "queue"), help="one part of it")
    given = parser.parse_args()
    quick = given.quick
    truth_server.raise_soft_limit()
    rule = "-" * len(HEAD)
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory)
        if given.only in (None, "closed"):
            with truth_server.served(inference=0.2) as base:
                print(f"closed loop, jobs of 0.2 s\n{HEAD}\n{rule}")
                for n in (8,) if quick else (50, 500):
                    jobs = n * (2 if quick else 10)
                    print(ours(f"ours, {n}", base, out / f"closed-{n}", requests=jobs, concurrency=n), flush=True)
                    print(asyncio.run(peer(f"aiohttp, {n}", over_aiohttp, base, jobs, n)), flush=True)
                    print(asyncio.run(peer(f"httpx, {n}", over_httpx, base, min(jobs, 3 * n), n)), flush=True)
        if given.only in (None, "open"):
            seconds = 0.5 if quick else 5.0
            with truth_server.served(inference=seconds) as base:
                print(f"\nopen loop, jobs of {seconds:g} s\n{HEAD}\n{rule}")
                for n in (20,) if quick else (2000, 5000):
                    rate = n / seconds
                    name = f"ours, {rate:g} a second, {n} in flight"
                    print(
                        ours(name, base, out / f"open-{n}", requests=int(n * 1.8), rate=rate, concurrency=2 * n),
                        flush=True,
                    )
        if given.only in (None, "queue"):
            seconds, jobs = (1.0, 30) if quick else (20.0, 3000)
            with truth_server.served(queue=seconds / 4, inference=seconds * 3 / 4, sigma=0.2) as base:
                print("\npolled jobs, open loop\n" + rule)
                print("\n".join(queue_jobs(base, out / "queue", jobs, rate=30 if quick else 100, seconds=seconds)))


if __name__ == "__main__":
    main()
