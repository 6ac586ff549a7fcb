"""Runs many flows on one clock: concurrency, pacing, deadlines, budget, interruption, and the record of it all.

Rules
-----
* A case's submit leaves only after its price is reserved and its intent is durable, and leaves once. Tried again is
  only what never left this machine and what was answered 429, at most ``RETRY_TRIES`` times, before acceptance.
* Time limits live here: each request has one, each job has a deadline counted from its submit; when it passes, the
  outcome is ``unknown`` and nothing is claimed about the request.
* A refused key (401, 402, 403) or an unreachable host stops its target at once, whatever it waited for; the other
  targets go on.
* Once enough rejects of a target and tier were accepted, its others are left out (``enough``): the run is not complete.
* A target's warm-up cases have ended before any other of its cases is sent.
* In an open loop (``Work.arrivals``) a submit leaves at its instant, whatever became of those before it: its intent is
  durable ``LEAD_SECONDS`` before, and the instant is its ``intended_ns``. The concurrency is a cap: a submit that meets
  it is late, and its lateness is part of its latency.
* A plan may be more than is needed (``Work.further``): then it is asked, whenever all that was sent has ended, how many
  of the rest are to be sent.
* A definite 5xx on a submit is confirmed by one further call of the same case, after the target's plan; what makes
  valid requests be refused is isolated then. Both can be left out (``confirm``).
* Downloads are flows of their own: they start when a job has completed and do not hold its place.
* Interruption: no new submits, answers in flight are awaited for a few seconds, unfinished jobs are recorded with
  their ids.
* A run goes on where another one was cut off (``Work.done``, ``Work.unfinished``): a call that was made is not made
  again, derived ones included. A cut-off call begins no job any more; its flow is led over the recorded answers, and
  then reads. Nobody has looked at its job for a while, so it is asked at once, and has ``REQUEST_SECONDS`` at least
  before it is called expired. Recorded answers stop no target: the key may be another one by now.

What the record of a cut-off call's submit tells:

=====================================  ==================================  ==========================================
last recorded answer                   what is certain                     outcome, charge; what is sent
=====================================  ==================================  ==========================================
none: the intent stands alone          nothing: it may have left           unknown, unknown; nothing
429 or never left, tries remained      nothing: a further try may have     unknown, unknown; nothing
                                       left, and its answer is not here
429 or never left, the last try        nobody took it                      unknown, no; nothing
never left, interrupted on its way     nobody took it                      unknown, no; nothing
refused, 5xx, may have left            what it says                        the flow's end; nothing
accepted                               there is a job                      the flow's end; reads and downloads
accepted, and cancelled by the engine  its deadline had passed             unknown, unknown; nothing
=====================================  ==================================  ==========================================
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

from harness.clock import NS, Clock
from harness.enough import ACCEPTED, reason, unexpected
from harness.flow import JOB, KEY_REFUSED, JobEnd, Route, body_json, download, flow_for, probes_after, submit_meaning
from harness.isolate import ISOLATION, MINIMISATION, isolations, recorded_outcome
from harness.ledger import Ledger
from harness.metrics.phases import Interval, phases
from harness.model import (
    INTERRUPTED,
    LOST,
    PAST_DEADLINE,
    TRANSPORT_FAILURES,
    Call,
    Case,
    Exchange,
    Failure,
    Json,
    Outcome,
    RejectTier,
    Reply,
    Request,
    Response,
    Wait,
)
from harness.schedule import RETRY_TRIES, Learnt, Pacer, Schedule, retry_delay
from harness.traffic import Abreast, Arrivals
from harness.transport.live import Trail
from harness.transport.wire import SIMULATOR_HEADER, Sent

REQUEST_SECONDS = 60.0
DOWNLOAD_SECONDS = 60.0
CANCEL_SECONDS = 1.5
"""How long the answer to a cancel is awaited: the job is past its deadline, and the asking is what may save money."""
LAST_LOOK_SECONDS, LAST_LOOK_SHARE = 1.0, 0.1
"""How long before its deadline, at most and as a share of it, a job is asked for a last time: it may be done by then."""
SPARE_DOWNLOADS = 4
"""So many outputs more than a case asks for are fetched: enough to see that they are images, and no flood."""
LEAD_SECONDS = 0.25
"""How long before its instant a submit of an open loop is made ready: its price reserved, its intent on the disk."""
UNREACHABLE_TRIES = 3
CONFIRMATION = "confirmation"
"""What the further call of a case that was answered with a 5xx is called in the record."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: jobs in flight per target, seconds per job, and the poll schedule.

    ``downloads`` fetches the outputs; ``abreast`` keeps the targets of a closed loop together.
    """

    concurrency: int = 8
    deadline_seconds: float = 300.0
    schedule: Schedule = field(default_factory=Schedule)
    confirm: bool = True
    seed: int = 0
    downloads: bool = True
    abreast: bool = False


class Recorder(Protocol):
    """Where a run is recorded as it happens."""

    async def intent(self, call: str, case: Case, derived: str | None) -> None:
        """Record durably that a submit is about to leave."""
        ...

    def exchange(self, exchange: Exchange) -> None:
        """Record a request and what came back."""
        ...

    def call(self, call: Call) -> None:
        """Record how a call ended."""
        ...


class Way(Protocol):
    """The way out of a call: the wire, or a recording."""

    async def send(self, request: Request, *, seconds: float, trail: Trail | None = None) -> Sent:
        """Send a request and return what came back, within ``seconds``."""
        ...


class Pace(Protocol):
    """When a call asks: by a schedule, or as it was recorded."""

    @property
    def deadline_seconds(self) -> float:
        """How long its job may take."""
        ...

    async def due(self, request: Request) -> None:
        """Wait for the instant at which a request is wanted to leave."""
        ...

    async def poll(self, wait: Wait, accepted_ns: int, deadline_ns: int) -> bool:
        """Wait for the next poll of a job; False when its deadline came first."""
        ...

    async def retry(self, tries: int, retry_after: str | None) -> None:
        """Wait before a submit that nobody took is tried again."""
        ...


Further = Callable[[Sequence[Interval]], int]
"""By the ``total`` of the timed jobs so far, how many further cases are to be sent; none ends the target's plan."""


@dataclass(frozen=True, slots=True)
class Work:
    """One target's share of a run; ``rate`` bounds its submits per second.

    ``cases`` are all of its plan. ``minimise`` searches smaller requests than some of those calls; it is asked on a simulator
    only, where nothing costs. ``done`` and ``unfinished`` are the calls that an earlier segment of the run made,
    the latter without an end and with instants of the present clock. ``learnt`` is what is known of its durations,
    ``segment`` that of the calls that it begins.
    """

    route: Route
    wire: Way
    cases: Sequence[Case]
    concurrency: int
    rate: float | None = None
    done: Sequence[Call] = ()
    unfinished: Sequence[Call] = ()
    minimise: Callable[[Sequence[Call]], Generator[Case, Call | None, None]] | None = None
    arrivals: Arrivals | None = None
    further: Further | None = None
    learnt: Learnt = field(default_factory=Learnt)
    segment: int | None = 0


@dataclass(frozen=True, slots=True)
class Again:
    """A call that a recording holds, to be run again: its way out and pace, when it is begun, whether it fetches."""

    work: Work
    case: Case
    derived: str | None
    pace: Pace
    start_ns: int
    downloads: bool = True


@dataclass(slots=True)
class Progress:
    """What a person watching wants to know."""

    planned: int = 0
    done: int = 0
    running: int = 0
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: whether every planned case was run, and why not, by target.

    ``left_out`` says of which targets rejects were not sent since enough had been accepted. ``over`` tells that nothing
    is left to go on with: what was not sent will not be. ``spared`` is how many
    planned cases were not needed, by target.
    """

    complete: bool
    stopped: dict[str, str]
    interrupted: bool
    simulated: bool
    left_out: dict[str, str] = field(default_factory=dict)
    over: bool = True
    spared: dict[str, int] = field(default_factory=dict)


class _Stopped(Exception):
    """A target sends nothing more; the message says why."""


class _Withheld(Exception):
    """A submit that has not been taken by anybody is not sent any more; the message says why."""


class RecordEnds(Exception):
    """What may have been sent before is not sent again, and its answer is not on record; the message says why."""


class _Gate:
    """Keeps a target's submits at least ``1 / rate`` seconds apart."""

    def __init__(self, clock: Clock, rate: float | None, shut: asyncio.Event) -> None:
        self._clock, self._step_ns, self._shut = clock, 0 if rate is None else round(NS / rate), shut
        self._next_ns = clock.now_ns()

    async def turn(self) -> None:
        """Wait for the next submit's turn, no longer than something is sent at all."""
        if self._step_ns:
            turn_ns = max(self._next_ns, self._clock.now_ns())
            self._next_ns = turn_ns + self._step_ns
            await _until(self._clock, turn_ns, self._shut)


async def _until(clock: Clock, instant_ns: int, shut: asyncio.Event) -> None:
    """Wait for an instant, or until ``shut`` is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout((instant_ns - clock.now_ns()) / NS):
            await shut.wait()


def _answered_5xx(exchanges: Iterable[Exchange]) -> bool:
    """Whether the last submit was answered with a definite server error."""
    submits = [exchange.response for exchange in exchanges if exchange.step == "submit"]
    return bool(submits) and submits[-1] is not None and submits[-1].status >= 500


def _sole(error: Exception) -> Exception:
    """The error that ended a task group, without the group."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


class Engine:
    """One run. ``interrupt`` may be called from a signal handler's callback."""

    def __init__(
        self,
        clock: Clock,
        recorder: Recorder,
        ledger: Ledger,
        options: Options,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.clock, self.recorder, self.ledger = clock, recorder, ledger
        self.options, self.on_progress = options, on_progress
        self.progress = Progress()
        self.stopped: dict[str, str] = {}
        self._interrupted = asyncio.Event()
        self._grace_seconds = 0.0
        self._calls = 0
        self._ended: dict[str, dict[str, Outcome]] = {}
        self._accepted = Counter[tuple[str, RejectTier]]()
        self._left_out = Counter[tuple[str, RejectTier]]()
        self._isolated: dict[str, list[Call]] = {}
        self._kept: dict[str, list[Call]] = {}
        self._abreast = Abreast()
        self._spared: dict[str, int] = {}
        self._gaps: dict[str, Iterator[int]] = {}
        self._shut: dict[str, asyncio.Event] = {}
        self._totals: dict[str, list[Interval]] = {}
        self._open: dict[str, _Call] = {}
        self._cut: dict[str, str | None] = {}

    async def run(self, work: Sequence[Work]) -> Ended:
        """Run every case of every target, those apart that have been run before."""
        self.progress.planned = sum(len(share.cases) for share in work)
        self._kept = {share.route.spec.target: [] for share in work if share.minimise is not None}
        for place, share in enumerate(work):
            self._recall(share)
            self._shut[share.route.spec.target] = asyncio.Event()
            if self.options.abreast and share.arrivals is None:
                self._abreast.enter(share.route.spec.target)
            elif share.arrivals is not None:
                self._gaps[share.route.spec.target] = share.arrivals.gaps(place, len(work))
        tasks = [asyncio.create_task(self._target(share)) for share in work]
        watch = asyncio.create_task(self._cut_short(tasks))
        try:
            results = await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            watch.cancel()
        for result in results:
            if isinstance(result, Exception):
                raise _sole(result)
        interrupted, left = self._interrupted.is_set(), self.progress.planned - self.progress.done
        whole = not interrupted and not self.stopped
        return Ended(
            complete=whole and left <= 0,
            stopped=dict(self.stopped),
            interrupted=interrupted,
            simulated=self.progress.simulated,
            spared=dict(self._spared),
            left_out=self._reasons(),
            over=whole and left <= self._left_out.total(),
        )

    def _reasons(self) -> dict[str, str]:
        """Why rejects were left out, by target."""
        found: dict[str, str] = {}
        for (target, tier), rest in sorted(self._left_out.items()):
            said = reason(tier, self._accepted[target, tier], rest)
            found[target] = f"{found[target]}; {said}" if target in found else said
        return found

    async def again(self, recorded: Sequence[Again]) -> Ended:
        """Run again exactly the calls of a recording, in its order and at its instants.

        What decided on them (the plan, the budget, a stop, a confirmation) was the recorded run's business.
        """
        self.progress.planned = sum(one.derived is None for one in recorded)
        try:
            async with asyncio.TaskGroup() as group:
                for one in recorded:
                    await self.clock.until(one.start_ns)
                    group.create_task(self._again(one, group))
        except ExceptionGroup as error:
            raise _sole(error) from None
        return Ended(True, {}, False, self.progress.simulated)

    async def _again(self, one: Again, group: asyncio.TaskGroup) -> None:
        downloads = None if one.derived == ISOLATION or not one.downloads else group
        gate = _Gate(self.clock, None, asyncio.Event())
        with suppress(_Stopped):
            await self._case(one.work, gate, one.case, derived=one.derived, downloads=downloads, pace=one.pace)

    def interrupt(self, seconds: float) -> None:
        """Send nothing new; leave once the answers in flight are here, or after ``seconds``."""
        self._grace_seconds = seconds
        for event in (self._interrupted, *self._shut.values()):
            event.set()

    def unfinished(self) -> dict[str, str | None]:
        """The case id and, where known, the job id of every call that has not ended."""
        return self._cut | {call.case.id: call.job_id for call in self._open.values()}

    def closed(self, target: str) -> str:
        """Why nothing new is sent to a target; empty while something may be."""
        return INTERRUPTED if self._interrupted.is_set() else self.stopped.get(target, "")

    def _recall(self, work: Work) -> None:
        """Go on from what an earlier segment did: its outcomes, its numbers, and who it talked to."""
        for call in (*work.done, *work.unfinished):
            self._calls = max(self._calls, int(call.id.removeprefix("c")))
            self.progress.simulated |= any(map(_simulated, call.exchanges))
        for call in work.done:
            self._count(call)
            self._tally(call)
            self._time(work, call)
            self.progress.done += call.derived is None

    def _count(self, call: Call) -> None:
        """Keep of an ended call what later decisions need."""
        if call.case.target in self._kept:
            self._kept[call.case.target].append(call)
        if call.derived is None:
            self._ended.setdefault(call.case.target, {})[call.case.id] = call.outcome
        elif call.derived == ISOLATION:
            self._isolated.setdefault(call.case.target, []).append(call)

    def _tally(self, call: Call) -> None:
        """Count an unexpected acceptance, before its outputs are fetched: the next case may be left out by it."""
        if (tier := unexpected(call)) is not None:
            self._accepted[call.case.target, tier] += 1

    def _time(self, work: Work, call: Call) -> None:
        """Keep of an ended call what its durations are needed for: the polls of later ones, and whether more are sent."""
        if call.derived is not None or call.segment is None or call.case.kind not in ("accept", "warm-up"):
            return
        if self.options.schedule.learns and not work.route.synchronous(call.case.body):
            work.learnt.saw(phases(work.route, call))
        if work.further is not None and call.case.kind == "accept":
            total = phases(work.route, call, open_loop=work.arrivals is not None)["total"]
            if total is not None:
                self._totals.setdefault(call.case.target, []).append(total)

    async def _cut_short(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        await self._interrupted.wait()
        await self.clock.sleep(self._grace_seconds)
        for task in tasks:
            task.cancel()

    async def _target(self, work: Work) -> None:
        """Finish a target's cut-off calls, work through its cases, then through the confirmations that they ask for."""
        before = (*work.done, *work.unfinished)
        known = {call.case.id for call in before if call.derived is None}
        confirmed = {call.case.id for call in before if call.derived == CONFIRMATION}
        left: list[tuple[Case, str | None]] = [(case, None) for case in work.cases if case.id not in known]
        first = deque(item for item in left if item[0].kind == "warm-up")
        waiting = deque(item for item in left if item[0].kind != "warm-up")
        doubtful: deque[tuple[Case, str | None]] = deque(
            (call.case, CONFIRMATION) for call in work.done if call.derived is None and _answered_5xx(call.exchanges)
        )
        cut_off = deque(
            _Call(self, work, c.case, c.id, derived=c.derived, recorded=c.exchanges) for c in work.unfinished
        )
        self._open |= {call.id: call for call in cut_off}
        gate = _Gate(self.clock, work.rate, self._shut[work.route.spec.target])
        try:
            await self._drain(work, gate, first, doubtful, deque())
            await self._plan(work, gate, waiting, doubtful, cut_off)
        finally:
            self._abreast.leave(work.route.spec.target)
            for call in cut_off:
                self.ledger.settle(call.case.usd, "unknown")
        if self.options.confirm:
            doubtful = deque(item for item in doubtful if item[0].id not in confirmed)
            await self._drain(work, gate, doubtful, None, deque())
            await self._isolate(work, gate)
            if work.minimise is not None and self.progress.simulated:
                await self._minimise(work, gate, work.minimise(tuple(self._kept[work.route.spec.target])))

    async def _minimise(self, work: Work, gate: _Gate, search: Generator[Case, Call | None, None]) -> None:
        """Ask a simulator what less shows the same, one further call at a time."""
        target = work.route.spec.target
        try:
            case = next(search)
            while True:
                call = None
                if not self.closed(target) and await self._downloaded(work, gate, case) is not None:
                    call = self._kept[target].pop()
                case = search.send(call)
        except StopIteration:
            return
        finally:
            search.close()

    async def _downloaded(self, work: Work, gate: _Gate, case: Case) -> Outcome | None:
        """Send one case of a search and fetch its outputs; None when it was not sent, or stops its target."""
        async with asyncio.TaskGroup() as downloads:
            try:
                return await self._case(work, gate, case, derived=MINIMISATION, downloads=downloads)
            except _Stopped as reason:
                self._stop(work.route.spec.target, reason)
                return None

    async def _plan(
        self,
        work: Work,
        gate: _Gate,
        waiting: deque[tuple[Case, str | None]],
        doubtful: deque[tuple[Case, str | None]],
        cut_off: deque[_Call],
    ) -> None:
        """Send a target's cases, all of them or as many as are needed."""
        if work.further is None:
            await self._drain(work, gate, waiting, doubtful, cut_off)
            return
        target = work.route.spec.target
        await self._drain(work, gate, deque(), doubtful, cut_off)
        while waiting and not self.closed(target):
            needed = work.further(self._totals.get(target, ()))
            if not needed:
                self.progress.planned -= len(waiting)
                self._spared[target] = len(waiting)
                return
            batch = deque(waiting.popleft() for _ in range(min(needed, len(waiting))))
            await self._drain(work, gate, batch, doubtful, deque())

    async def _isolate(self, work: Work, gate: _Gate) -> None:
        """Find out which parameters make valid requests be refused, one further call at a time."""
        target = work.route.spec.target
        recorded = list(self._isolated.get(target, ()))
        search = isolations(work.route.spec, work.cases, self._ended.get(target, {}))
        try:
            case = next(search)
            while True:
                outcome = recorded_outcome(recorded, case)
                if outcome is None and not self.closed(target):
                    outcome = await self._case(work, gate, case, derived=ISOLATION)
                case = search.send(outcome)
        except StopIteration:
            return
        except _Stopped as reason:
            self._stop(target, reason)

    async def _drain(
        self,
        work: Work,
        gate: _Gate,
        waiting: deque[tuple[Case, str | None]],
        doubtful: deque[tuple[Case, str | None]] | None,
        cut_off: deque[_Call],
    ) -> None:
        target = work.route.spec.target
        if target in self._gaps:
            await self._arrive(work, gate, waiting, doubtful, cut_off)
            return

        async def worker(group: asyncio.TaskGroup) -> None:
            downloads = group if self.options.downloads else None
            while True:
                try:
                    # Reading what was paid for goes on where nothing new is sent any more.
                    if cut_off and not self._interrupted.is_set():
                        call = cut_off.popleft()
                        fetching = None if call.derived == ISOLATION else downloads
                        await self._through(call, downloads=fetching, doubtful=doubtful)
                    elif waiting and not self.closed(target):
                        case, derived = waiting.popleft()
                        if case.tier is not None and self._accepted[target, case.tier] >= ACCEPTED:
                            self._left_out[target, case.tier] += 1
                            continue
                        if self.options.abreast and case.kind == "accept":
                            await self._abreast.turn(target, work.concurrency)
                        await self._case(work, gate, case, derived=derived, downloads=downloads, doubtful=doubtful)
                    else:
                        return
                except _Stopped as reason:
                    self._stop(target, reason)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(work.concurrency, len(waiting) + len(cut_off))):
                group.create_task(worker(group))

    def _stop(self, target: str, reason: _Stopped) -> None:
        self.stopped.setdefault(target, str(reason))
        self._shut[target].set()
        self._abreast.leave(target)

    async def _arrive(
        self,
        work: Work,
        gate: _Gate,
        waiting: deque[tuple[Case, str | None]],
        doubtful: deque[tuple[Case, str | None]] | None,
        cut_off: deque[_Call],
    ) -> None:
        """Send cases at their instants, an open loop, and see them to their ends."""
        target, clock = work.route.spec.target, self.clock
        places, lead = asyncio.Semaphore(work.concurrency), round(LEAD_SECONDS * NS)

        async def see(group: asyncio.TaskGroup, due_ns: int, item: tuple[Case, str | None] | _Call) -> None:
            downloads = group if self.options.downloads else None
            try:
                if isinstance(item, _Call):
                    await self._through(item, downloads=downloads, doubtful=doubtful)
                else:
                    case, derived = item
                    await self._case(
                        work, gate, case, derived=derived, downloads=downloads, doubtful=doubtful, due_ns=due_ns
                    )
            except _Stopped as reason:
                self._stop(target, reason)
            finally:
                places.release()

        async with asyncio.TaskGroup() as group:
            due = clock.now_ns() + lead
            while (cut_off or waiting) and not (self._interrupted.is_set() if cut_off else self.closed(target)):
                if not cut_off:
                    due += next(self._gaps[target])
                    await _until(clock, due - lead, self._shut[target])
                await places.acquire()
                group.create_task(see(group, due, cut_off.popleft() if cut_off else waiting.popleft()))

    async def _case(
        self,
        work: Work,
        gate: _Gate,
        case: Case,
        *,
        derived: str | None,
        downloads: asyncio.TaskGroup | None = None,
        doubtful: deque[tuple[Case, str | None]] | None = None,
        pace: Pace | None = None,
        due_ns: int | None = None,
    ) -> Outcome | None:
        """Send one case and see its job to the end; None when it was not sent."""
        if not await self.ledger.reserve(case.usd):
            if derived:
                return None
            raise _Stopped(f"the budget of {self.ledger.limit} USD is spent")
        try:
            await gate.turn()
        except asyncio.CancelledError:
            self.ledger.settle(case.usd, "no")
            raise
        if self.closed(work.route.spec.target):
            self.ledger.settle(case.usd, "no")
            return None
        self._calls += 1
        call = _Call(self, work, case, f"c{self._calls:06d}", derived=derived, pace=pace, due_ns=due_ns)
        self._open[call.id] = call
        return await self._through(call, downloads=downloads, doubtful=doubtful)

    async def _through(
        self,
        call: _Call,
        *,
        downloads: asyncio.TaskGroup | None,
        doubtful: deque[tuple[Case, str | None]] | None,
    ) -> Outcome:
        """See a call to its end; its price is reserved."""
        self._moved(running=1)
        try:
            if not call.cut_off:
                await self.recorder.intent(call.id, call.case, call.derived)
            end = await call.job()
        except asyncio.CancelledError:
            self._cut[call.case.id] = call.job_id
            self._close(call, JobEnd(Outcome.UNKNOWN, "unknown" if call.left else "no", call.job_id, INTERRUPTED))
            raise
        except BaseException:
            self.ledger.settle(call.case.usd, "unknown" if call.left else "no")
            raise
        self._tally(call.ended(end))
        if _answered_5xx(call.exchanges) and doubtful is not None and call.derived is None:
            doubtful.append((call.case, CONFIRMATION))
        if end.outcome is Outcome.COMPLETED and downloads is not None:
            downloads.create_task(self._finish(call, end))
        else:
            self._close(call, end)
        if call.stop_reason:
            raise _Stopped(call.stop_reason)
        return end.outcome

    async def _finish(self, call: _Call, end: JobEnd) -> None:
        try:
            await call.downloads(end)
        except asyncio.CancelledError:
            end = replace(end, reason=INTERRUPTED)  # so that whoever goes on with the run fetches what is missing
            self._cut[call.case.id] = call.job_id
            raise
        finally:
            self._close(call, end)

    def _close(self, call: _Call, end: JobEnd) -> None:
        self.ledger.settle(call.case.usd, end.billed)
        self._open.pop(call.id, None)
        ended = call.ended(end)
        self._count(ended)
        self._time(call.work, ended)
        self.recorder.call(ended)
        self._moved(running=-1, done=0 if call.derived else 1)

    def _moved(self, *, running: int = 0, done: int = 0) -> None:
        self.progress.running += running
        self.progress.done += done
        self.on_progress(self.progress)


class _Scheduled:
    """A live call's pace: polls by the run's schedule, everything else at once."""

    def __init__(self, engine: Engine, name: str, learnt: Learnt) -> None:
        self._clock, self._options = engine.clock, engine.options
        self._name, self._learnt = name, learnt

    @property
    def deadline_seconds(self) -> float:
        """How long the job may take."""
        return self._options.deadline_seconds

    @cached_property
    def _rng(self) -> random.Random:
        """The job's own generator: its polls do not depend on which other jobs are in flight."""
        return random.Random(f"{self._options.seed}/{self._name}")  # noqa: S311 - phases, not secrets

    @cached_property
    def _pacer(self) -> Pacer:
        return Pacer(self._options.schedule, self._rng, self._learnt)

    async def due(self, request: Request) -> None:
        """At once."""

    async def poll(self, wait: Wait, accepted_ns: int, deadline_ns: int) -> bool:
        """Wait as long as the schedule says, and no longer than leaves time to ask once before the deadline."""
        now = self._clock.now_ns()
        delay, left = self._pacer.delay(wait, (now - accepted_ns) / NS), (deadline_ns - now) / NS
        latest = left - min(LAST_LOOK_SECONDS, LAST_LOOK_SHARE * self.deadline_seconds)
        if delay >= left and latest > 0:
            delay = latest
        await self._clock.sleep(min(delay, left))
        return delay < left

    async def retry(self, tries: int, retry_after: str | None) -> None:
        """Wait as long as the answer advised, or longer each time."""
        await self._clock.sleep(retry_delay(tries, retry_after, self._rng))


def _simulated(exchange: Exchange) -> bool:
    return exchange.response is not None and SIMULATOR_HEADER in exchange.response.headers


class _Call:
    """One case on its way: drives its flow and keeps its exchanges until it has ended.

    ``recorded`` are the exchanges of a call that was cut off, None for a new one. ``due_ns`` is the instant at which an
    open loop wants its submit to leave.
    """

    def __init__(
        self,
        engine: Engine,
        work: Work,
        case: Case,
        call_id: str,
        *,
        derived: str | None,
        pace: Pace | None = None,
        recorded: Sequence[Exchange] | None = None,
        due_ns: int | None = None,
    ) -> None:
        self.engine, self.work, self.route, self.wire = engine, work, work.route, work.wire
        self.case, self.id, self.derived = case, call_id, derived
        self.exchanges: list[Exchange] = list(recorded or ())
        self.cut_off = recorded is not None
        self._unused = [exchange for exchange in self.exchanges if not exchange.cut_off]
        self._looked = not self.cut_off
        self.stop_reason = ""
        self.job_id: str | None = None
        self.submitted: Json = None
        self.due_ns = due_ns
        self.pace = pace or _Scheduled(engine, f"{case.id}/{derived}", work.learnt)
        self.synchronous = work.route.synchronous(case.body)
        for exchange in self.exchanges:
            if exchange.step == "submit":
                self._learn(exchange.reply)

    @property
    def left(self) -> bool:
        """Whether a submit of this call may have been taken by somebody."""
        return any(e.begins and submit_meaning(e.reply) != "again" for e in self.exchanges)

    async def job(self) -> JobEnd:
        """Drive the job's flow to its end or to the deadline."""
        clock, limit_ns = self.engine.clock, round(self.pace.deadline_seconds * NS)
        flow = flow_for(self.route, self.case)
        ask = next(flow)
        reply: Reply | None
        deadline, accepted = clock.now_ns() + limit_ns, clock.now_ns()
        try:
            while True:
                if isinstance(ask, Wait) and not self._looked:
                    reply = None  # recorded answers were waited for then; after them the job is asked at once
                elif isinstance(ask, Wait):
                    if not await self.pace.poll(ask, accepted, deadline):
                        await self._cancel()
                        return self._expired()
                    reply = None
                elif ask.step == "submit":
                    submit = await self._submit(ask)
                    reply, accepted, deadline = submit.reply, submit.received_ns, submit.sent_ns + limit_ns
                    if isinstance(reply, Failure) and reply.kind == "timeout" and self.synchronous:
                        return self._expired()
                    self._learn(reply)
                    if self.cut_off:
                        if any(exchange.step == "cancel" for exchange in self.exchanges):
                            return self._expired()
                        deadline = max(deadline, clock.now_ns() + round(REQUEST_SECONDS * NS))
                else:
                    reply = await self._send(ask, min(REQUEST_SECONDS, (deadline - clock.now_ns()) / NS))
                ask = flow.send(reply)
        except StopIteration as end:
            finished: JobEnd = end.value
            return finished
        except _Withheld as reason:
            return JobEnd(Outcome.UNKNOWN, "no", None, str(reason))
        except RecordEnds as reason:
            doubtful = str(reason) == LOST or self.left
            return JobEnd(Outcome.UNKNOWN, "unknown" if doubtful else "no", None, str(reason))

    async def _cancel(self) -> None:
        """Ask once, where the document says how, that a job which took too long goes no further."""
        cancel = self.route.flow.cancel
        request = self.route.read("cancel", cancel, self.submitted) if cancel is not None else None
        if request is not None:
            await self._send(request, CANCEL_SECONDS)

    def _expired(self) -> JobEnd:
        seconds = self.pace.deadline_seconds
        return JobEnd(Outcome.UNKNOWN, "unknown", self.job_id, f"{PAST_DEADLINE} {seconds:g} s")

    async def _submit(self, request: Request) -> Exchange:
        """Send the submit; again only while it is certain that nobody took it."""
        if self.cut_off:
            return self._submitted()
        engine = self.engine
        seconds = self.pace.deadline_seconds
        if not self.synchronous:
            seconds = min(seconds, REQUEST_SECONDS)
        if self.due_ns is not None:
            await engine.clock.until(self.due_ns)
        for attempt in range(1, RETRY_TRIES + 1):
            if reason := engine.closed(self.case.target):
                raise _Withheld(reason)
            reply = await self._send(request, seconds, attempt=attempt, due_ns=self.due_ns if attempt == 1 else None)
            if not self._tried_again(reply, attempt):
                break
            after = reply.headers.get("retry-after") if isinstance(reply, Response) else None
            await self.pace.retry(attempt, after)
        if isinstance(reply, Failure) and not reply.left:
            self.stop_reason = f"{self.route.base_url} cannot be reached: {reply.message}"
        return self.exchanges[-1]

    def _submitted(self) -> Exchange:
        """The submit of a cut-off call, once its answer says for certain what became of it."""
        submits = [exchange for exchange in self.exchanges if exchange.step == "submit"]
        if not submits or self._tried_again(submits[-1].reply, submits[-1].attempt):
            raise RecordEnds(LOST)
        return submits[-1]

    def _tried_again(self, reply: Reply, attempt: int) -> bool:
        """Whether a submit with this answer to this attempt, counted from 1, leaves once more."""
        if isinstance(reply, Failure) and reply.kind == "interrupted":
            return False
        return submit_meaning(reply) == "again" and attempt < (
            UNREACHABLE_TRIES if isinstance(reply, Failure) else RETRY_TRIES
        )

    def _heed(self, reply: Reply) -> None:
        # What stands in front of a provider refuses an odd request as it would a key (403 for a method): an ordinary
        # one tells.
        odd = self.case.sending is not None
        if not odd and isinstance(reply, Response) and reply.status in KEY_REFUSED:
            self.stop_reason = f"{self.route.base_url} refused the key or the account with {reply.status}"

    def _learn(self, reply: Reply) -> None:
        """Keep the job's id as soon as it is known, so that an interruption can name it."""
        if isinstance(reply, Response) and reply.status < 300:
            self.submitted = body_json(reply)
            found = self.route.flow.submit.shape.one("job_id", self.submitted)
            self.job_id = str(found) if isinstance(found, (str, int)) else None

    async def _send(self, request: Request, seconds: float, *, attempt: int = 1, due_ns: int | None = None) -> Reply:
        engine = self.engine
        if (known := self._recorded(request)) is not None:
            return known.reply
        if self.cut_off and request.begins:
            raise RecordEnds(LOST)
        self._looked |= request.step in ("status", "result")
        await self.pace.due(request)
        intended, trail = due_ns or engine.clock.now_ns(), Trail()
        try:
            sent = await self.wire.send(request, seconds=max(0.001, seconds), trail=trail)
        except asyncio.CancelledError:
            # What was under way is part of the record: a submit that was cut off may have been charged.
            cut = Failure("interrupted", TRANSPORT_FAILURES["interrupted"], trail.left)
            self._keep(
                request, attempt, intended, Sent(cut, {}, trail.sent_ns or intended, None, engine.clock.now_ns())
            )
            raise
        self._keep(request, attempt, intended, sent)
        if request.step in ("submit", "status", "result"):
            self._heed(sent.reply)
        return sent.reply

    def _recorded(self, request: Request) -> Exchange | None:
        """The recorded exchange of a request, each once and in its order; None when there is none left."""
        asked = (request.step, request.purpose, request.method, request.url)
        for number, exchange in enumerate(self._unused):
            if (exchange.step, exchange.purpose, exchange.method, exchange.url) == asked:
                return self._unused.pop(number)
        return None

    def _keep(self, request: Request, attempt: int, intended: int, sent: Sent) -> None:
        engine = self.engine
        exchange = Exchange(
            call=self.id,
            case_id=self.case.id,
            step=request.step,
            attempt=attempt,
            method=request.method,
            url=request.url,
            request_headers=sent.headers,
            request_body=request.body,
            reply=sent.reply,
            intended_ns=intended,
            sent_ns=sent.sent_ns,
            first_byte_ns=sent.first_byte_ns,
            received_ns=sent.received_ns,
            purpose=request.purpose,
            connect_ns=sent.connect_ns,
        )
        engine.progress.simulated |= _simulated(exchange)
        engine.recorder.exchange(exchange)
        self.exchanges.append(exchange)

    async def downloads(self, end: JobEnd) -> None:
        """Fetch the files of a completed job, all at once; then ask what the case wants to know about it."""
        addresses = dict.fromkeys(o.url for o in end.outputs if o.url and o.url.startswith(("http://", "https://")))
        urls = list(addresses)[: self.case.images + SPARE_DOWNLOADS]
        await asyncio.gather(*(self._follow(download(url), DOWNLOAD_SECONDS, altogether=True) for url in urls))
        if JOB in self.case.probes:
            for url in urls[:1]:
                again = Request("probe", "GET", url, authenticated=False, purpose="asset-again")
                await self._send(again, DOWNLOAD_SECONDS)
            await self._follow(probes_after(self.route, self.submitted), REQUEST_SECONDS)

    async def _follow(
        self, flow: Generator[Request, Reply, object], seconds: float, *, altogether: bool = False
    ) -> None:
        """Send what a flow without waits asks for, one after the other; ``seconds`` are each request's, or all ones'."""
        clock = self.engine.clock
        until_ns = clock.now_ns() + round(seconds * NS)
        try:
            request = next(flow)
            while True:
                left = (until_ns - clock.now_ns()) / NS if altogether else seconds
                request = flow.send(await self._send(request, left))
        except StopIteration:
            return

    def ended(self, end: JobEnd) -> Call:
        """The call as a value."""
        return Call(
            id=self.id,
            case=self.case,
            exchanges=tuple(self.exchanges),
            outcome=end.outcome,
            job_id=end.job_id or self.job_id,
            billed=end.billed,
            images=self.case.images,
            reason=end.reason,
            derived=self.derived,
            segment=None if self.cut_off else self.work.segment,
        )
