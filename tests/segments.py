"""Runs that are killed and resumed in virtual time, against a simulated provider that outlives them.

A process is killed by its journal: after so many rows nothing reaches the disk any more. It dies ``at_once``, or it
goes on until it needs to know that a row is durable; between the two lies everything that a kill can leave behind a
given history. What it had sent by then the provider works on.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from harness import resume
from harness.audit import Watch
from harness.clock import NS, VirtualClock
from harness.config import Config
from harness.engine import Ended, Engine
from harness.flow import WITHOUT_KEY, Route, encode
from harness.history import FILE, History, MemoryJournal, Row, read
from harness.ledger import Ledger
from harness.metrics.cost import cost
from harness.metrics.phases import phases
from harness.model import CUT_OFF, INTERRUPTED, Call
from harness.run import HistoryRecorder, footer_row, header_row, options_of, resumed_row, work_of
from harness.secret import Secret
from harness.simulator import Application, Settings, Variation, application
from harness.spec import Spec
from harness.targets import Request, Target, targets_of
from harness.transport.redact import Redactor
from harness.transport.wire import Wire
from harness.urls import origin

ORIGIN = "http://provider.test"
KEY = "key-0123456789abcdef"
BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
PATIENCE_SECONDS = 400.0
"""How long a process that is to die later is left running."""


@dataclass(frozen=True)
class ShiftedClock:
    """Virtual time as another machine, or the same one after a restart, would count it."""

    shift_ns: int = 0

    def now_ns(self) -> int:
        """The present instant, in nanoseconds."""
        return VirtualClock().now_ns() + self.shift_ns

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await VirtualClock().sleep(seconds)

    async def until(self, instant_ns: int) -> None:
        """Wait for an instant."""
        await VirtualClock().until(instant_ns - self.shift_ns)


class World:
    """A simulated provider, and what it was sent: ``posts`` counts submits by whether they had a key, and body."""

    def __init__(
        self, spec: Spec, settings: Settings, variations: Mapping[str, tuple[Variation, ...]] | None = None
    ) -> None:
        self.spec = spec
        today = replace(settings, epoch=(BEGAN + _since_began()).timestamp())
        self.app: Application = application([spec], today, VirtualClock(), variations)
        self.posts: Counter[tuple[bool, bytes]] = Counter()
        self.inside = httpx.ASGITransport(self.app)

    def finished_ns(self, job_id: str) -> int:
        """When a job was done, in virtual nanoseconds."""
        return self.app._accounts[self.spec.provider].queue.tickets[job_id].finish


class Link(httpx.AsyncBaseTransport):
    """One process's way to the world. A dead process sends nothing; what it has sent arrives."""

    def __init__(self, world: World, clock: ShiftedClock) -> None:
        self.world, self.clock, self.alive = world, clock, True

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on."""
        if not self.alive:
            await asyncio.Event().wait()
        request.extensions["trail"].sent_ns = self.clock.now_ns()
        if request.method == "POST":
            self.world.posts["authorization" in request.headers, await request.aread()] += 1
        return await asyncio.shield(self.world.inside.handle_async_request(request))


class MortalJournal(MemoryJournal):
    """A journal whose process dies after so many rows of its own; ``lines`` are what reached the disk."""

    def __init__(self, dies_after: int | None, *, at_once: bool, ledger: Ledger) -> None:
        super().__init__(Redactor([Secret(KEY)]))
        self.dies_after, self.at_once, self.ledger = dies_after, at_once, ledger
        self.lines: list[bytes] = []
        self.torn = b""
        self.dead = asyncio.Event()
        self.overdrawn = False

    @property
    def full(self) -> bool:
        """Whether nothing is written any more."""
        return self.dies_after is not None and len(self.lines) >= self.dies_after

    def append(self, row: Row) -> None:
        """Add a row, as long as the process lives."""
        limit, spent = self.ledger.limit, self.ledger.billed + self.ledger.unknown + self.ledger.reserved
        self.overdrawn |= limit is not None and spent > limit
        line = self._encoder.lines([row])
        if self.full:
            self.torn = self.torn or line[: len(line) // 2]
        else:
            self.lines.append(line)
        if self.full and self.at_once:
            self.dead.set()

    async def durable(self) -> None:
        """Return once the rows are safe; a dead process never learns it."""
        if self.full:
            self.dead.set()
        if self.dead.is_set():
            await asyncio.Event().wait()


@dataclass
class Life:
    """A run from its first to its last segment, in one directory."""

    world: World
    directory: Path
    request: Request
    environment: Mapping[str, str] = field(default_factory=dict)
    segments: int = 0
    overdrawn: bool = False
    reserved: Decimal = Decimal(0)

    async def segment(
        self, dies_after: int | None = None, *, at_once: bool = True, shift_ns: int = 0, interrupt: float | None = None
    ) -> Ended | None:
        """One process; None when it was killed. ``interrupt`` is when, in seconds, it gets a SIGINT."""
        clock = ShiftedClock(shift_ns)
        history = read(self.directory) if (self.directory / FILE).exists() else None
        request, targets, ledger = self._decided(history)
        journal = MortalJournal(dies_after, at_once=at_once, ledger=ledger)
        link, watch = Link(self.world, clock), Watch(clock)
        if history is None:
            row = header_row("run-1", targets, request, clock, max_cost=ledger.limit)
        else:
            row = resumed_row(history, request, clock, ledger.limit)
        header = dated(row, clock)
        journal.append(header)
        engine = Engine(clock, HistoryRecorder(journal, targets, watch), ledger, options_of(request))
        work = []
        for target in targets:
            share = work_of(target, Wire(link, link, clock, None, frozenset({origin(ORIGIN)})))
            if history is not None:
                done, cut_off = resume.left_of(history, target.plan.target, header)
                share = replace(share, done=done, unfinished=cut_off)
            work.append(share)
        running = asyncio.ensure_future(engine.run(work))
        ended = await self._until_dead(running, engine, journal, link, interrupt)
        if ended is not None:
            journal.append(footer_row(ended, watch.audit(), engine.unfinished()))
        self._store(journal)
        self.segments += 1
        self.overdrawn |= journal.overdrawn
        self.reserved = Decimal(0) if ended is None else ledger.reserved
        return None if journal.full else ended

    def _decided(self, history: History | None) -> tuple[Request, Sequence[Target], Ledger]:
        if history is None:
            targets = targets_of([self.world.spec], self.request, Config(), self.environment)
            return self.request, targets, Ledger(self.request.max_cost)
        again = replace(self.request, resume=True, out=self.directory, max_cost=None)
        begun = resume.request_of(history, (), again)
        specs = {self.world.spec.target: self.world.spec}
        targets = resume.targets_of(history, specs, begun, Config(), self.environment)
        return begun, targets, resume.ledger_of(history, resume.limit_of(history, again))

    @staticmethod
    async def _until_dead(
        running: asyncio.Future[Ended], engine: Engine, journal: MortalJournal, link: Link, interrupt: float | None
    ) -> Ended | None:
        dying: asyncio.Future[Any] = asyncio.ensure_future(journal.dead.wait())
        if interrupt is not None:
            asyncio.get_running_loop().call_later(interrupt, engine.interrupt, 5.0)
        await asyncio.wait([running, dying], return_when=asyncio.FIRST_COMPLETED)
        if journal.dead.is_set() and not journal.at_once:
            await asyncio.wait([running], timeout=PATIENCE_SECONDS)
        dying.cancel()
        if running.done():
            return running.result()
        link.alive = False
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        return None

    def _store(self, journal: MortalJournal) -> None:
        path = self.directory / FILE
        before = path.read_bytes() if path.exists() else b""
        whole = before[: before.rfind(b"\n") + 1]
        path.write_bytes(whole + b"".join(journal.lines) + journal.torn)
        (self.directory / "blobs").mkdir(exist_ok=True)
        for digest, data in journal.blobs.items():
            (self.directory / "blobs" / digest).write_bytes(data)

    @property
    def history(self) -> History:
        """What has been recorded so far."""
        return read(self.directory)

    def faults(self) -> dict[str, Any]:
        """What must not be: empty for a run that has come to its end as promised."""
        history, calls = self.history, self.history.calls
        intents = Counter((WITHOUT_KEY not in c.case.probes, encode(c.case.body)) for c in calls if c.case.usd)
        by_case = Counter((c.case.id, c.derived) for c in calls if c.derived in (None, "confirmation"))
        isolated = Counter((c.case.id, encode(c.case.body)) for c in calls if c.derived == "isolation")
        spent, bill = cost(calls), self.world.app.ledger[self.world.spec.target]
        missing = {case.id for plan in history.plans for case in plan.cases} - {call.case.id for call in calls}
        found = {
            "posts without an intent": self.world.posts - intents,
            "calls of a case": [key for key, number in by_case.items() if number > 1],
            "isolations of a body": [key for key, number in isolated.items() if number > 1],
            "cases without a call": missing,
            "calls without an end": [call.id for call in calls if call.reason in (CUT_OFF, INTERRUPTED)],
            "not complete": not (history.footer and history.footer["complete"]),
            "money": not spent.paid_requests <= bill.paid_requests <= spent.paid_requests + spent.unknown_charge,
            "over the budget": self.overdrawn,
            "reserved at the end": self.reserved,
            "intervals": [call.id for call in calls if not self._true(call)],
            "rows of a call": [c for c, number in self._ends().items() if number > self.segments],
        }
        return {name: value for name, value in found.items() if value}

    def _true(self, call: Call) -> bool:
        """Whether the interval in which a call is said to have completed holds the instant at which it did."""
        history, flow = self.history, self.world.spec.flows[self.history.plans[0].flow]
        if call.outcome.value != "completed" or flow.status is None or call.job_id is None:
            return True
        told = phases(Route(self.world.spec, flow, history.header["targets"][call.case.target]["base_url"]), call)
        assert told["total"]
        true_ns = self.world.finished_ns(call.job_id) - call.of("submit")[-1].sent_ns
        low, high = told["total"]
        return round(low * NS) <= true_ns <= round(high * NS)

    def _ends(self) -> Counter[str]:
        rows = [json.loads(line) for line in (self.directory / FILE).read_bytes().splitlines()]
        return Counter(row["call"] for row in rows if row["type"] == "call")


def _since_began() -> timedelta:
    return timedelta(microseconds=VirtualClock().now_ns() // 1000)


def dated(row: Row, clock: ShiftedClock) -> Row:
    """A header with the date of virtual time, which does not jump as a machine's own may."""
    date = (BEGAN + _since_began()).isoformat(timespec="microseconds")
    anchor_ns = _since_began() // timedelta(microseconds=1) * 1000 + clock.shift_ns
    targets = {name: {**target, "anchor_at": date} for name, target in row.get("targets", {}).items()}
    return {**row, "started_at": date, "anchor_ns": anchor_ns} | ({"targets": targets} if targets else {})


def life(world: World, directory: Path, **asked: Any) -> Life:
    """A run that is about to begin, with the key in its environment."""
    urls = {(world.spec.provider, flow): f"{ORIGIN}/{world.spec.provider}/{flow}" for flow in world.spec.flows}
    given: dict[str, Any] = {
        "source": "live",
        "base_urls": urls,
        "max_cost": Decimal(5),
        "concurrency": 3,
        "poll_interval": 1.0,
    } | asked
    return Life(world, directory, Request(**given), {world.spec.credential.env: KEY})
