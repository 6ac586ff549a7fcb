"""One conformance run, from decided targets to a run directory: the only place where all stages meet.

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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from harness import __version__, resume
from harness.audit import Watch
from harness.clock import NS, Clock, RealClock, wall_time
from harness.config import Config
from harness.engine import Ended, Engine, Options, Progress, Work
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
    intent_row,
    plan_json,
    read,
)
from harness.ledger import Ledger
from harness.metrics.phases import phases
from harness.model import Call, Case, Exchange
from harness.report import document
from harness.report.results import RunResult
from harness.schedule import Schedule
from harness.secret import Secret
from harness.spec import Spec, SpecError, load, parse, shipped_targets
from harness.targets import Request, Target, budget, targets_of
from harness.transport.guard import GuardedResolver
from harness.transport.live import AiohttpTransport
from harness.transport.redact import Redactor
from harness.transport.wire import Wire
from harness.urls import Origin, origin

SIGINT_SECONDS, SIGTERM_SECONDS = 5.0, 0.5
TERMINATED = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Finished:
    """A run that has ended: where it is, what was found, and how it ended; ``note`` is what else is to be said."""

    directory: Path
    result: RunResult
    ended: Ended
    unfinished: Mapping[str, str | None]
    exit_status: int
    note: str = ""


class HistoryRecorder:
    """Writes a run's rows as they happen."""

    def __init__(self, journal: Journal, targets: Sequence[Target], watch: Watch) -> None:
        self._journal, self._watch = journal, watch
        self._routes = {target.route.spec.target: target.route for target in targets}

    async def intent(self, call: str, case: Case, derived: str | None) -> None:
        """Record durably that a submit is about to leave."""
        self._journal.append(intent_row(call, case, derived))
        await self._journal.durable()

    def exchange(self, exchange: Exchange) -> None:
        """Record a request and what came back."""
        self._watch.start_lags.append((exchange.sent_ns - exchange.intended_ns) / NS)
        self._journal.append(exchange_row(exchange))

    def call(self, call: Call) -> None:
        """Record how a call ended."""
        self._journal.append(call_row(call, phases(self._routes[call.case.target], call)))


def header_row(
    run_id: str, targets: Sequence[Target], request: Request, clock: Clock, max_cost: Decimal | None = None
) -> Row:
    """A run's first row: with it, the run can be judged and gone on with, with nothing else at hand."""
    return _segment(0, run_id, request, clock, max_cost) | {
        "mode": request.source,
        "recorded_from": None,
        "recorded_at": None,
        "seed": request.seed,
        "schedule": Schedule(request.poll_interval).describe(),
        "options": resume.recorded_options(request),
        "targets": {
            target.plan.target: {
                "base_url": target.route.base_url,
                "usd_per_image": str(target.price.amount),
                "price_source": target.price.source,
                "concurrency": target.concurrency,
                "rate": target.rate,
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


def options_of(request: Request) -> Options:
    """The engine's options of a request."""
    return Options(
        concurrency=request.concurrency,
        deadline_seconds=request.deadline_seconds,
        schedule=Schedule(request.poll_interval),
        seed=request.seed,
    )


def footer_row(ended: Ended, watch: Watch, unfinished: Mapping[str, str | None]) -> Mapping[str, Any]:
    """A run's last row."""
    return {
        "type": "footer",
        "complete": ended.complete,
        "finished_at": wall_time().isoformat(timespec="milliseconds"),
        "simulated": ended.simulated,
        "interrupted": ended.interrupted,
        "stopped": ended.stopped,
        "unfinished": dict(unfinished),
        "audit": watch.audit(),
    }


def check(
    specs: Sequence[Spec],
    request: Request,
    settings: Config,
    environment: Mapping[str, str],
    on_progress: Callable[[Progress, Ledger], None] = lambda _, __: None,
) -> Finished:
    """Run a conformance check and leave its run directory; go on with the one in ``request.out`` when asked to.

    ``specs`` are the targets; for a run that goes on they may be none, or have to be its own.

    Raises:
        HarnessError: something was refused before anything was sent, or the run directory cannot be written.
    """
    if request.resume:
        return _resume(specs, request, settings, environment, on_progress)
    run_id = f"{wall_time():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    directory = request.out or Path("reports") / run_id
    if (directory / "history.jsonl").exists():
        raise UsageError(f"{directory} holds a run already: name another --out")
    with simulated(specs, request) as resolved:
        targets = targets_of(specs, resolved, settings, environment)
        ledger = Ledger(budget(targets, resolved, settings))
        journal = FileJournal(directory, Redactor(_secrets(targets)))
        # The simulator is on loopback, where no proxy leads.
        direct = settings if request.source != "simulate" else replace(settings, proxy=None)

        def header(clock: Clock) -> Row:
            return header_row(run_id, targets, resolved, clock, ledger.limit)

        how = _run(_Session(header, targets, resolved, direct, ledger, journal, on_progress))
    return _reported(directory, *how)


def _resume(
    specs: Sequence[Spec],
    request: Request,
    settings: Config,
    environment: Mapping[str, str],
    on_progress: Callable[[Progress, Ledger], None],
) -> Finished:
    if request.out is None:
        raise UsageError("--resume goes on with the run in --out: name its directory")
    directory = request.out
    with held(directory) as file:
        history = read(directory)
        if resume.is_finished(history):
            return _nothing_left(directory)
        begun = resume.request_of(history, specs, request)
        kept = specs_of(history, directory, with_todays_specs=False)
        targets = resume.targets_of(history, kept, begun, settings, environment)
        ledger = resume.ledger_of(history, resume.limit_of(history, request))

        def header(clock: Clock) -> Row:
            return resumed_row(history, begun, clock, ledger.limit)

        journal = FileJournal(directory, Redactor(_secrets(targets)), file)
        how = _run(_Session(header, targets, begun, settings, ledger, journal, on_progress, history))
    return _reported(directory, *how)


def _nothing_left(directory: Path) -> Finished:
    result = write_reports(directory)
    ended = Ended(complete=True, stopped={}, interrupted=False, simulated=False)
    return Finished(directory, result, ended, {}, exit_status(result), f"{directory} is finished: nothing was sent")


def _secrets(targets: Sequence[Target]) -> list[Secret]:
    return [target.key.secret for target in targets if target.key is not None]


def _run(session: _Session) -> tuple[Ended, Mapping[str, str | None], int]:
    try:
        with tls_of(session.settings) as tls:
            return asyncio.run(session.run(tls))
    finally:
        session.journal.close()


def _reported(directory: Path, ended: Ended, unfinished: Mapping[str, str | None], code: int) -> Finished:
    with _told_to_stop() as told:
        # A report takes a moment to draw: SIGTERM promises to be gone within two.
        result = write_reports(directory, page=code != TERMINATED)
    code = code or told[0]
    return Finished(directory, result, ended, unfinished, code or exit_status(result))


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


@contextmanager
def tls_of(settings: Config) -> Iterator[ssl.SSLContext | None]:
    """The TLS settings with the user's own CA bundle; None for the machine's.

    Raises:
        UsageError: the bundle cannot be read.
    """
    if settings.ca_bundle is None:
        yield None
        return
    try:
        yield ssl.create_default_context(cafile=settings.ca_bundle)
    except (OSError, ValueError) as error:
        raise UsageError(f"{settings.path}: ca_bundle {settings.ca_bundle} cannot be read: {error}") from None


@dataclass(frozen=True)
class _Session:
    """What one segment of a run needs while it lasts; ``history`` is what earlier ones recorded."""

    header: Callable[[Clock], Row]
    targets: Sequence[Target]
    request: Request
    settings: Config
    ledger: Ledger
    journal: FileJournal
    on_progress: Callable[[Progress, Ledger], None]
    history: History | None = None

    async def run(self, tls: ssl.SSLContext | None) -> tuple[Ended, Mapping[str, str | None], int]:
        """Run the engine; how it ended, the unfinished jobs by case, and the exit status of a signal or 0."""
        clock = RealClock()
        watch = Watch(clock)
        header = self.header(clock)
        self.journal.append(header)
        await self.journal.durable()
        wire = wire_of(self.targets, self.settings, clock, tls)
        work = [self._work(target, wire, header) for target in self.targets]
        engine = Engine(
            clock,
            HistoryRecorder(self.journal, self.targets, watch),
            self.ledger,
            options_of(self.request),
            lambda progress: self.on_progress(progress, self.ledger),
        )
        stop = _Stop(engine, self.journal)
        sampling = asyncio.create_task(watch.sample())
        try:
            with stop.on_signals():
                ended = await engine.run(work)
        finally:
            sampling.cancel()
            with suppress(asyncio.CancelledError):
                await sampling
            await wire.aclose()
        unfinished = engine.unfinished() if stop.status else {}
        self.journal.append(footer_row(ended, watch, unfinished))
        await self.journal.durable()
        return ended, unfinished, stop.status

    def _work(self, target: Target, wire: Wire, header: Row) -> Work:
        work = work_of(target, wire)
        if self.history is None:
            return work
        done, cut_off = resume.left_of(self.history, target.plan.target, header)
        return replace(work, done=done, unfinished=cut_off)


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


def work_of(target: Target, wire: Wire) -> Work:
    """A target's share of a run: its cases, and the wire with its key."""
    return Work(target.route, replace(wire, key=target.key), target.plan.cases, target.concurrency, target.rate)


def _trusted(targets: Sequence[Target], settings: Config) -> frozenset[Origin]:
    named = [url for target in targets for url in settings.provider(target.route.spec.provider).origins]
    return frozenset(map(origin, named)).union(*(target.route.origins for target in targets))


def write_reports(directory: Path, *, with_todays_specs: bool = False, page: bool = True) -> RunResult:
    """Compute and write the reports of a run directory; without ``page`` only report.json.

    Raises:
        InputError: the history cannot be read.
        OutputError: a report cannot be written.
    """
    result = result_of(directory, with_todays_specs=with_todays_specs)
    texts = {"report.json": document.dump(result.document)}
    if page:
        from harness.report.html import render

        texts["report.html"] = render(result)
    for name, text in texts.items():
        path, temporary = directory / name, directory / f".{name}.{os.getpid()}"
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from None
    return result


def result_of(directory: Path, *, with_todays_specs: bool = False) -> RunResult:
    """The result of a run directory, judged by the specs it was run with, or by today's shipped ones.

    Raises:
        InputError: the history cannot be read, or its header does not fit together.
    """
    history = read(directory)
    specs = specs_of(history, directory, with_todays_specs=with_todays_specs)
    try:
        return document.build(history, specs)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(f"{directory}: the history does not fit together: {type(error).__name__} at {error}") from None


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
    """0 when everything judged passes, 1 with a failure, 3 when something is unknown or incomplete."""
    run, totals = result.document["run"], result.document["totals"]
    if totals["verdict"] == "fail":
        return 1
    return 0 if totals["verdict"] == "pass" and run["complete"] else 3
