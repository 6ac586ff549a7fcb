"""One run, check or bench, from decided targets to a run directory: the only place where all stages meet.

Rules
-----
* The output place is opened, and the header is durable, before anything is sent.
* A run that goes on is the same run with more rows: ``check`` decides from its record instead of planning, and the
  rest is one way for both.
* When the engine has ended, the report is computed from the history that it left, and from nothing else.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import signal
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from harness import __version__, resume
from harness.audit import Watch
from harness.cassettes import (
    Shelf,
    Slot,
    changed,
    compact,
    contract_of,
    slot_at,
    under_documented_origins,
    written_by_one,
)
from harness.clock import NS, Clock, RealClock, wall_time
from harness.config import Config, region_of
from harness.engine import Ended, Engine, Further, Options, Progress, Work
from harness.errors import InputError, OutputError, UsageError
from harness.history import (
    FORMAT,
    FileJournal,
    History,
    Journal,
    Row,
    call_row,
    exchange_row,
    held,
    holds_a_run,
    intent_row,
    plan_json,
    read,
)
from harness.ledger import Ledger
from harness.metrics.intervals import Durations, Sample
from harness.metrics.phases import Interval, phases
from harness.metrics.precision import ASSUMED_SIGMA
from harness.minimise import minimised
from harness.model import Call, Case, Exchange, Json
from harness.planning.exploring import is_explored
from harness.planning.reconsider import reconsidered
from harness.process import make_room, short_collections
from harness.report import document, export, junit, places
from harness.report.results import RunResult
from harness.schedule import FIRST_JOBS, Learnt, Schedule
from harness.spec import Spec, SpecError, find, load, parse, shipped_targets
from harness.targets import Request, Target, budget, targets_of
from harness.transport.guard import GuardedResolver
from harness.transport.live import AiohttpTransport, trust
from harness.transport.redact import Redactor
from harness.transport.wire import Wire
from harness.urls import Origin, origin

SIGINT_SECONDS, SIGTERM_SECONDS = 5.0, 0.5
TERMINATED = 128 + signal.SIGTERM
MOST_NAMED = 10


@dataclass(frozen=True)
class Finished:
    """A run that has ended: where it is, what was found, how it ended, and the cassettes that it wrote.

    ``note`` is what else is to be said.
    """

    directory: Path
    result: RunResult
    ended: Ended
    unfinished: Mapping[str, str | None]
    exit_status: int
    cassettes: tuple[Path, ...] = ()
    note: str = ""


class HistoryRecorder:
    """Writes a run's rows as they happen; ``durable`` intents are on the disk before anything is sent."""

    def __init__(self, journal: Journal, targets: Sequence[Target], watch: Watch, *, durable: bool = True) -> None:
        self._journal, self._watch, self._durable = journal, watch, durable
        self._targets = {target.route.spec.target: target for target in targets}

    async def intent(self, call: str, case: Case, derived: str | None) -> None:
        """Record durably that a submit is about to leave."""
        self._journal.append(intent_row(call, case, derived))
        if self._durable:
            await self._journal.durable()

    def exchange(self, exchange: Exchange) -> None:
        """Record a request and what came back.

        Raises:
            OutputError: rows cannot be written any more.
        """
        if exchange.step == "submit":
            self._watch.start_lags.append((exchange.sent_ns - exchange.intended_ns - exchange.connect_ns) / NS)
        self._journal.append(exchange_row(exchange))
        self._journal.check()  # a run that nobody will know of asks nothing more

    def call(self, call: Call) -> None:
        """Record how a call ended."""
        target = self._targets[call.case.target]
        self._journal.append(call_row(call, phases(target.route, call, open_loop=target.conduct.open_loop)))


def header_row(
    run_id: str,
    targets: Sequence[Target],
    request: Request,
    clock: Clock,
    settings: Config | None = None,
    *,
    max_cost: Decimal | None = None,
) -> Row:
    """A run's first row: with it, the run can be judged and gone on with, with nothing else at hand.

    ``anchor_at`` is the date of ``anchor_ns``: when the run began, in a replay when each recording did.
    """
    segment, own = _segment(0, run_id, request, clock, max_cost), settings or Config()
    schedule = schedule_of(request).describe()
    return {
        **segment,
        "kind": request.kind,
        "mode": request.source,
        "recorded_from": None,
        "recorded_at": None,
        "seed": request.seed,
        "region": own.region,
        "options": resume.recorded_options(request),
        "targets": {
            target.plan.target: {
                "base_url": target.route.base_url,
                "contract": dict(
                    target.recording.frozen.contract if target.recording else contract_of(target.route.spec)
                ),
                "origins": list(own.provider(target.route.spec.provider).origins),
                "anchor_at": target.recording.frozen.recorded_at if target.recording else segment["started_at"],
                "usd_per_image": str(target.price.amount),
                "price_source": target.price.source,
                "concurrency": target.concurrency,
                "rate": target.rate,
                "schedule": target.recording.frozen.schedule if target.recording else schedule,
                "conduct": target.conduct.as_json(),
            }
            for target in targets
        },
        "specs": {
            target.plan.target: {"path": target.route.spec.path.name, "text": target.route.spec.text}
            for target in targets
        },
        "plans": [plan_json(target.plan) for target in targets],
    }


def resumed_row(history: History, request: Request, clock: Clock, max_cost: Decimal | None) -> Row:
    """The header of a further segment: everything that is not its own stands in the first one."""
    return _segment(len(history.headers), history.header["run_id"], request, clock, max_cost)


def _segment(number: int, run_id: str, request: Request, clock: Clock, max_cost: Decimal | None) -> dict[str, Any]:
    date, now_ns = wall_time(), clock.now_ns()
    return {
        "type": "header",
        "format": FORMAT,
        "segment": number,
        "run_id": run_id,
        "started_at": date.isoformat(timespec="milliseconds"),
        # The instant of the date as it is written, to the millisecond: later segments are placed by it.
        "anchor_ns": now_ns - date.microsecond % 1000 * 1000,
        "harness_version": __version__,
        "command": shlex.join(request.command),
        "max_cost": None if max_cost is None else str(max_cost),
    }


def schedule_of(request: Request) -> Schedule:
    """When a request's jobs are polled: a bench learns it, since its jobs are alike."""
    if request.poll_interval is not None:
        return Schedule(request.poll_interval)
    return replace(FIRST_JOBS, learns=request.poll_for) if request.kind == "bench" else Schedule()


def options_of(request: Request) -> Options:
    """The engine's options of a request."""
    return Options(
        concurrency=request.concurrency,
        deadline_seconds=request.deadline_seconds,
        schedule=schedule_of(request),
        confirm=request.kind == "check",
        seed=request.seed,
        downloads=request.downloads,
        abreast=request.kind == "bench",
    )


def footer_row(ended: Ended, audit: Json, unfinished: Mapping[str, str | None]) -> Mapping[str, Any]:
    """A run's last row."""
    return {
        "type": "footer",
        "complete": ended.complete,
        "finished_at": wall_time().isoformat(timespec="milliseconds"),
        "simulated": ended.simulated,
        "interrupted": ended.interrupted,
        "stopped": ended.stopped,
        "left_out": ended.left_out,
        "spared": ended.spared,
        "unfinished": dict(unfinished),
        "audit": audit,
    }


def check(
    specs: Sequence[Spec],
    request: Request,
    settings: Config,
    environment: Mapping[str, str],
    on_progress: Callable[[Progress, Ledger], None] = lambda _, __: None,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Finished:
    """Run what the request asks for, a check or a bench, and leave its run directory; or go on with the one in its ``out``.

    ``specs`` are the targets; for a run that goes on they may be none, or have to be its own. ``say`` is told, before it is
    spent, what a precision will cost.

    Raises:
        HarnessError: something was refused before anything was sent, or the run directory cannot be written.
    """
    if request.resume:
        return _resume(specs, request, settings, environment, on_progress, say=say)
    run_id = f"{wall_time():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    directory = request.out or Path("reports") / run_id
    if holds_a_run(directory):
        raise UsageError(f"{directory} holds a run already: name another --out")
    settings = replace(settings, region=region_of(settings, environment))
    if request.source != "replay":
        # A job has a connection to the API, and while it fetches its outputs another one. The simulator inherits this.
        make_room(len(specs) * request.concurrency * (2 if request.downloads else 1))
    with ExitStack() as stack:
        resolved = stack.enter_context(simulated(specs, request))
        targets = targets_of(specs, resolved, settings, environment)
        learnt = {} if request.learn_from is None else learnt_from(request.learn_from, targets)
        ledger = Ledger(budget(targets, resolved, settings))
        for line in _prices(targets, ledger):
            say(line)
        made = _Made(run_id, directory, targets, resolved, settings, ledger, learnt=learnt, say=say)
        return _carried_out(made, stack, on_progress)


def _resume(
    specs: Sequence[Spec],
    request: Request,
    settings: Config,
    environment: Mapping[str, str],
    on_progress: Callable[[Progress, Ledger], None],
    *,
    say: Callable[[str], None],
) -> Finished:
    if request.out is None:
        raise UsageError("--resume goes on with the run in --out: name its directory")
    directory = request.out
    with ExitStack() as stack:
        file = stack.enter_context(held(directory))
        history = read(directory)
        if resume.is_finished(history):
            return _nothing_left(directory, history)
        begun = resume.request_of(history, specs, request)
        kept = specs_of(history, directory, with_todays_specs=False)
        targets = resume.targets_of(history, kept, begun, settings, environment)
        ledger = resume.ledger_of(history, resume.limit_of(history, request))
        learnt: Mapping[str, Learnt] = {}
        try:
            learnt = {} if begun.learn_from is None else learnt_from(begun.learn_from, targets)
        except InputError as error:  # what was paid for is read all the same
            say(f"{error}: the polls are learnt from this run alone")
        run_id = history.header["run_id"]
        made = _Made(run_id, directory, targets, begun, settings, ledger, history, file, learnt, say)
        return _carried_out(made, stack, on_progress)


def _nothing_left(directory: Path, history: History) -> Finished:
    result = write_reports(directory)
    written: tuple[Path, ...] = ()
    if history.header["mode"] == "record" and result.document["run"]["complete"]:
        # A kill after the last row leaves the cassettes unwritten; newer ones stay.
        specs, shelf = specs_of(history, directory, with_todays_specs=False), Shelf(resume.cassettes_of(history))
        slots = {p.target: shelf.place(specs[p.target], specs[p.target].flows[p.flow], p.kind) for p in history.plans}
        older = {target: slot for target, slot in slots.items() if not slot.since(history.header["started_at"])}
        with written_by_one(list(older.values())):
            written = keep_recording(directory, older, result.document["run"]["audit"])
    ended = Ended(complete=True, stopped={}, interrupted=False, simulated=False)
    return Finished(
        directory, result, ended, {}, exit_status(result), written, f"{directory} is finished: nothing was sent"
    )


def _carried_out(made: _Made, stack: ExitStack, on_progress: Callable[[Progress, Ledger], None]) -> Finished:
    """Run what was decided, or what is left of it, to its end and its reports."""
    directory, request = made.directory, made.request
    slots = slots_of(made.targets, request)
    stack.enter_context(written_by_one(list(slots.values())))
    keys = [target.key for target in made.targets if target.key is not None]
    journal = FileJournal(directory, Redactor(key.secret for key in keys), made.file)
    try:
        # The simulator is on loopback, where no proxy leads.
        settings = made.settings if request.source != "simulate" else replace(made.settings, proxy=None)
        tls = None if request.source == "replay" else tls_of(settings)
        session = _Session(replace(made, settings=settings), journal, tls, on_progress)
        if request.source == "replay":
            ended, unfinished, code = session.replay()
        else:
            with short_collections():
                ended, unfinished, code = asyncio.run(session.run())
    except BaseException:
        with suppress(OutputError):  # what failed first is what is said
            journal.close()
        raise
    journal.close()
    with _told_to_stop() as told:
        # A report takes a moment to draw: SIGTERM promises to be gone within two.
        result = write_reports(directory, page=code != TERMINATED, with_todays_specs=request.recheck is not None)
        audit, note = result.document["run"]["audit"], _narrower(made.targets, slots)
        final = result.document["run"]["complete"] or ended.over
        kept = keep_recording(directory, slots, audit) if slots and final else ()
    code = code or told[0]
    return Finished(directory, result, ended, unfinished, code or exit_status(result), kept, note if kept else "")


def _narrower(targets: Sequence[Target], slots: Mapping[str, Slot]) -> str:
    """What is lost when a recording of fewer cases takes the place of a fuller one; empty when nothing is."""
    said = []
    for target in targets:
        slot, cases = slots.get(target.plan.target), len(target.plan.cases)
        before = 0 if slot is None else slot.cases()
        if slot is not None and before > cases:
            said.append(f"{slot.cassette} now holds {cases} cases, and held {before}")
    return "; ".join(said)


def slots_of(targets: Sequence[Target], request: Request) -> Mapping[str, Slot]:
    """Where a recording run writes its cassettes; nowhere for any other."""
    if request.source != "record":
        return {}
    shelf = Shelf(request.cassettes)
    return {target.plan.target: shelf.place(target.route.spec, target.route.flow, request.kind) for target in targets}


def keep_recording(directory: Path, slots: Mapping[str, Slot], audit: Json) -> tuple[Path, ...]:
    """Write the cassettes of a recording that has ended, from its history and with its judged audit; their paths.

    Raises:
        OutputError: one cannot be written; the history still holds every answer.
    """
    history, specs = recorded(directory)
    written = compact(replace(history, audits=(audit,)), specs, slots)
    return tuple(slot.cassette for slot in written)


def recheck_cassette(path: Path, settings: Config) -> tuple[RunResult, Path]:
    """Judge a cassette by today's spec: its answers are given again, into a new run directory.

    Raises:
        UsageError: no shipped spec has its target.
        InputError: it is no cassette, is damaged, or does not answer what the flow of today asks.
    """
    slot = slot_at(path)
    plan = slot.read().frozen.plan
    request = Request(
        "replay",
        kind=plan.kind,
        flow=plan.flow,
        recheck=path,
        command=("harness", "recheck", str(path)),
    )
    finished = check(find((plan.target,)), request, settings, {})
    return finished.result, finished.directory


@contextmanager
def _told_to_stop() -> Iterator[list[int]]:
    """Hold back SIGINT and SIGTERM while something is finished; the exit status that the first one asks for, or 0."""
    told = [0]
    if threading.current_thread() is not threading.main_thread():
        yield told
        return

    def remember(number: int, _: object) -> None:
        told[0] = told[0] or 128 + number

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def simulated(specs: Sequence[Spec], request: Request) -> Iterator[Request]:
    """The request with the simulator's base URLs in it, while the simulator runs; itself for a live run."""
    if request.source != "simulate":
        yield request
        return
    if request.base_urls:
        raise UsageError("--simulate starts a simulator of its own: leave --base-url out, or use --live with it")
    from harness.simulator.server import spawned
    from harness.simulator.settings import Settings

    with spawned([spec.path for spec in specs], Settings.quick(request.seed)) as urls:
        found: dict[tuple[str, str | None], str] = {}
        for name, url in urls.items():
            provider, _, flow = name.partition(":")
            found[provider, flow or None] = url
        yield replace(request, base_urls=found)


def tls_of(settings: Config) -> ssl.SSLContext:
    """The TLS settings, with the user's own CA bundle or the machine's.

    Raises:
        UsageError: the bundle cannot be read.
    """
    try:
        return trust(settings.ca_bundle)
    except (OSError, ValueError) as error:
        raise UsageError(f"{settings.path}: ca_bundle {settings.ca_bundle} cannot be read: {error}") from None


def replay_into(
    journal: Journal,
    run_id: str,
    targets: Sequence[Target],
    request: Request,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Ended:
    """Run recordings again, into a journal; nothing is sent, and nothing has to be durable.

    Raises:
        InputError: a recording does not answer what its flow asks.
    """
    from harness.replay import audit_of, recorded_header, replay

    def begin(clock: Clock) -> HistoryRecorder:
        # A recording's instants are counted from its anchor, to the nanosecond.
        header = {**header_row(run_id, targets, request, clock), "anchor_ns": clock.now_ns()}
        journal.append({**header, **recorded_header(targets)})
        return HistoryRecorder(journal, targets, Watch(clock), durable=False)

    ended = replay(targets, begin, on_progress)
    journal.append(footer_row(ended, audit_of(targets), {}))
    return ended


@dataclass(frozen=True)
class _Made:
    """Everything about a run that is about to send: decided from a plan, or from the ``history`` of one cut off.

    ``file`` is that history under its lock. ``learnt`` is what an earlier run teaches about each target.
    """

    run_id: str
    directory: Path
    targets: Sequence[Target]
    request: Request
    settings: Config
    ledger: Ledger
    history: History | None = None
    file: int | None = None
    learnt: Mapping[str, Learnt] = field(default_factory=dict)
    say: Callable[[str], None] = lambda _: None

    def header(self, clock: Clock) -> Row:
        """The header of the segment that begins."""
        limit = self.ledger.limit
        if self.history is not None:
            return resumed_row(self.history, self.request, clock, limit)
        return header_row(self.run_id, self.targets, self.request, clock, self.settings, max_cost=limit)

    def work(self, wire: Wire, header: Row) -> list[Work]:
        """What is to be sent, or what is left of it."""
        work = [work_of(target, wire, self.settings.assets, self.say) for target in self.targets]
        work = [replace(one, learnt=self.learnt.get(one.route.spec.target, one.learnt)) for one in work]
        if self.history is None:
            return work
        left = [resume.left_of(self.history, target.plan.target, header) for target in self.targets]
        segment = len(self.history.headers)
        return [
            replace(one, done=done, unfinished=cut, segment=segment)
            for one, (done, cut) in zip(work, left, strict=True)
        ]


@dataclass(frozen=True)
class _Session:
    """What one segment of a run needs while it lasts."""

    made: _Made
    journal: FileJournal
    tls: ssl.SSLContext | None
    on_progress: Callable[[Progress, Ledger], None]

    def replay(self) -> tuple[Ended, Mapping[str, str | None], int]:
        """Run recordings again: nothing can be left unfinished."""
        made = self.made
        moved = lambda progress: self.on_progress(progress, made.ledger)  # noqa: E731 - as in run
        return replay_into(self.journal, made.run_id, made.targets, made.request, moved), {}, 0

    async def run(self) -> tuple[Ended, Mapping[str, str | None], int]:
        """Run the engine; how it ended, the unfinished jobs by case, and the exit status of a signal or 0."""
        clock, made = RealClock(), self.made
        watch = Watch(clock)
        header = made.header(clock)
        self.journal.append(header)
        await self.journal.durable()
        wire = wire_of(made.targets, made.settings, clock, self.tls)
        engine = Engine(
            clock,
            HistoryRecorder(self.journal, made.targets, watch),
            made.ledger,
            options_of(made.request),
            lambda progress: self.on_progress(progress, made.ledger),
        )
        stop = _Stop(engine, self.journal)
        sampling = asyncio.create_task(watch.sample())
        try:
            with stop.on_signals():
                ended = await engine.run(made.work(wire, header))
        except OutputError as error:
            raise OutputError(f"{error}{_in_flight(engine.unfinished())}") from None
        finally:
            sampling.cancel()
            with suppress(asyncio.CancelledError):
                await sampling
            await wire.aclose()
        unfinished = engine.unfinished() if stop.status else {}
        self.journal.append(footer_row(ended, watch.audit(), unfinished))
        await self.journal.durable()
        return ended, unfinished, stop.status


def _in_flight(unfinished: Mapping[str, str | None]) -> str:
    """The jobs that a run which cannot be recorded any more leaves behind: their ids may stand nowhere else."""
    named = [f"{job_id} ({case_id})" for case_id, job_id in unfinished.items() if job_id][:MOST_NAMED]
    return f"; jobs in flight: {', '.join(named)}" if named else ""


class _Stop:
    """What SIGINT and SIGTERM do to a run: the first one ends it in order, the second one at once."""

    def __init__(self, engine: Engine, journal: FileJournal) -> None:
        self._engine, self._journal = engine, journal
        self.status = 0

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Listen while the run lasts; a run outside the main thread has no signals."""
        loop = asyncio.get_running_loop()
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number, seconds in ((signal.SIGINT, SIGINT_SECONDS), (signal.SIGTERM, SIGTERM_SECONDS)):
            loop.add_signal_handler(number, self._stop, number, seconds)
        try:
            yield
        finally:
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)

    def _stop(self, number: signal.Signals, seconds: float) -> None:
        if self.status:
            self._journal.close()  # every row so far reaches the disk
            os._exit(self.status)
        self.status = 128 + number
        self._engine.interrupt(seconds)


def wire_of(targets: Sequence[Target], settings: Config, clock: Clock, tls: ssl.SSLContext | None) -> Wire:
    """The way out of some targets, as yet without a key; to be made inside a running event loop."""
    return Wire(
        api=AiohttpTransport(clock, proxy=settings.proxy, tls=tls),
        public=AiohttpTransport(clock, resolver=GuardedResolver(), proxy=settings.proxy, tls=tls),
        clock=clock,
        key=None,
        trusted=_trusted(targets, settings),
    )


def work_of(
    target: Target, wire: Wire, assets: Sequence[str] = (), say: Callable[[str], None] = lambda _: None
) -> Work:
    """A target's share of a run: its cases, and the wire with its key."""
    explored = any(map(is_explored, target.plan.cases))
    return Work(
        target.route,
        replace(wire, key=target.key),
        target.plan.cases,
        target.concurrency,
        target.rate,
        arrivals=target.conduct.arrivals,
        further=further_of(target, say),
        minimise=(lambda calls: minimised(target.route, target.plan, assets, calls)) if explored else None,
    )


def _prices(targets: Sequence[Target], ledger: Ledger) -> Iterator[str]:
    """What the precisions of some targets will take, as far as can be said before anything is sent."""
    for target in targets:
        if (precision := target.precision) is not None:
            limit = "without a limit" if ledger.limit is None else f"at most {ledger.limit} USD for the run"
            takes = f"{target.plan.target}: {precision} takes about {precision.assumed} requests"
            spread, usd = f"if durations spread as they often do (σ {ASSUMED_SIGMA})", f"{target.expected_usd:.2f} USD"
            few = len(target.timed)
            said = (
                f"{takes}, {usd}, {spread}"
                if few >= precision.assumed
                else f"{takes} {spread}, and is not reached then with the {few} that may be sent, {usd}"
            )
            yield f"{said}; {precision.pilot} will tell; {limit}"


def further_of(target: Target, say: Callable[[str], None] = lambda _: None) -> Further | None:
    """How many further requests a target's precision takes; None where its whole plan is sent."""
    precision = target.precision
    if precision is None:
        return None

    def further(totals: Sequence[Interval]) -> int:
        needed = precision.further(Durations([Sample("", *bounds) for bounds in totals]))
        if needed and totals:
            sent = min(needed, len(target.timed) - len(totals))
            usd = target.plan.usd / len(target.plan.cases) * sent
            fewer = "" if sent == needed else f" of the {needed} that it takes"
            say(
                f"{target.plan.target}: {precision} is not known after {len(totals)} jobs: {sent} more{fewer}, {usd:.2f} USD"
            )
        return needed

    return further


def learnt_from(directory: Path, targets: Sequence[Target]) -> Mapping[str, Learnt]:
    """What an earlier run teaches about the durations of some targets.

    Raises:
        InputError: it cannot be read.
    """
    history = read(directory)
    found: dict[str, Learnt] = {}
    for target in targets:
        name = target.route.spec.target
        found[name] = Learnt()
        for call in history.of(name):
            if call.case.kind == "accept" and call.derived is None:
                found[name].saw(phases(target.route, call))
    return found


def _trusted(targets: Sequence[Target], settings: Config) -> frozenset[Origin]:
    named = [url for target in targets for url in settings.provider(target.route.spec.provider).origins]
    return frozenset(map(origin, named)).union(*(target.route.origins for target in targets))


def write_reports(directory: Path, *, with_todays_specs: bool = False, page: bool = True) -> RunResult:
    """Compute and write the reports of a run directory, without ``page`` no HTML; a junit.xml there is kept up to date.

    Raises:
        InputError: the history cannot be read.
        OutputError: a report cannot be written.
    """
    with short_collections():
        result = result_of(directory, with_todays_specs=with_todays_specs)
    texts = {"report.json": document.dump(result.document)}
    if page:
        from harness.report.html import render

        texts["report.html"] = render(result)
    if (directory / export.JUNIT).exists():
        texts[export.JUNIT] = junit.render(result)
    for name, text in texts.items():
        places.write(directory / name, text)
    return result


def result_of(directory: Path, *, with_todays_specs: bool = False) -> RunResult:
    """The result of a run directory, judged by the specs it was run with, or by today's shipped ones.

    Raises:
        InputError: the history cannot be read, or its header does not fit together.
    """
    history, specs = recorded(directory, with_todays_specs=with_todays_specs)
    try:
        return document.build(_reconsidered(history, specs) if with_todays_specs else history, specs)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(f"{directory}: the history does not fit together: {type(error).__name__} at {error}") from None


def recorded(directory: Path, *, with_todays_specs: bool = False) -> tuple[History, Mapping[str, Spec]]:
    """A run directory's history and the specs to judge it by; a recording's as its cassettes keep it.

    Raises:
        InputError: the history, or a spec in it, cannot be read.
    """
    history = read(directory)
    specs = specs_of(history, directory, with_todays_specs=with_todays_specs)
    return (under_documented_origins(history, specs) if history.header["mode"] == "record" else history), specs


def _reconsidered(history: History, specs: Mapping[str, Spec]) -> History:
    """A history whose cases expect what today's specs state."""
    plans = []
    for plan in history.plans:
        names = changed(history.header["targets"][plan.target]["contract"], specs[plan.target])
        cases = tuple(reconsidered(case, specs[plan.target], names) for case in plan.cases)
        plans.append(replace(plan, cases=cases))
    return replace(history, plans=tuple(plans))


def specs_of(history: History, directory: Path, *, with_todays_specs: bool) -> Mapping[str, Spec]:
    """The contracts to judge a history by.

    Raises:
        InputError: a spec of the history cannot be read any more.
    """
    found: dict[str, Spec] = {}
    shipped = shipped_targets()
    for target, (name, text) in history.specs.items():
        if with_todays_specs and target in shipped:
            found[target] = load(shipped[target], shipped=True)
            continue
        try:
            found[target] = parse(text, Path(name))
        except SpecError as error:
            raise InputError(f"{directory}: the spec kept for {target} cannot be used: {error}") from None
    return found


def exit_status(result: RunResult) -> int:
    """0 when everything judged passes, 1 with a failure, 3 when something is unknown, incomplete or badly measured.

    Badly measured is also a quantile that is not known as well as was asked.
    """
    run, totals = result.document["run"], result.document["totals"]
    if totals["verdict"] == "fail":
        return 1
    measured = [target.get("measurement", {}) for target in result.document["targets"].values()]
    enough = all(one["precision"]["reached"] for one in measured if one.get("precision"))
    return 0 if totals["verdict"] == "pass" and run["complete"] and run["audit"]["valid"] and enough else 3
