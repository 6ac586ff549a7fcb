"""One conformance run, from targets to a run directory: the only place where all stages meet.

Rules
-----
* Everything that can be refused is refused before anything is sent: flows, keys, origins, price, output place.
* A key goes to a pair of variable and origin that a shipped spec, ``--base-url`` or the configuration names.
* When the engine has ended, the report is computed from the history that it left, and from nothing else.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import signal
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from harness import __version__, config, plan
from harness.audit import Watch
from harness.clock import NS, Clock, RealClock, wall_time
from harness.config import Config
from harness.engine import Ended, Engine, Options, Progress, Work
from harness.errors import HarnessError, InputError, OutputError, UsageError
from harness.flow import Route
from harness.history import FORMAT, FileJournal, History, Journal, call_row, exchange_row, intent_row, plan_json, read
from harness.ledger import Ledger
from harness.metrics.cost import UsdPrice, in_usd
from harness.metrics.phases import phases
from harness.model import Call, Case, Exchange, Fact, Plan
from harness.report import document
from harness.report.results import RunResult
from harness.schedule import Schedule
from harness.secret import BoundKey, Secret, read_key
from harness.spec import Flow, Price, Spec, SpecError, load, parse, shipped_targets
from harness.transport.guard import GuardedResolver
from harness.transport.live import AiohttpTransport
from harness.transport.redact import Redactor
from harness.transport.wire import Wire
from harness.urls import Origin, origin, show_origin

Source = Literal["simulate", "live"]
SIMULATED_KEY = "simulated-key"
DEFAULT_MAX_COST = Decimal("1.00")
SIGINT_SECONDS, SIGTERM_SECONDS = 5.0, 1.5


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    source: Source
    flow: str | None = None
    base_urls: Mapping[tuple[str, str | None], str] = field(default_factory=dict)
    tier: str = "one-way"
    rejects: bool = True
    cases: tuple[str, ...] = ()
    max_cases: int | None = None
    max_cost: Decimal | None = None
    concurrency: int = 8
    deadline_seconds: float = 300.0
    poll_interval: float | None = None
    seed: int = 0
    out: Path | None = None
    command: Sequence[str] = ()


@dataclass(frozen=True)
class Target:
    """One target of a run, with everything decided about it."""

    route: Route
    plan: Plan
    price: UsdPrice
    key: BoundKey | None
    concurrency: int
    rate: float | None


@dataclass(frozen=True)
class Finished:
    """A run that has ended: where it is, what was found, and how it ended."""

    directory: Path
    result: RunResult
    ended: Ended
    unfinished: Mapping[str, str | None]
    exit_status: int


def flow_of(spec: Spec, name: str | None) -> Flow:
    """A target's flow by name; the default one for None.

    Raises:
        UsageError: the target has no such flow.
    """
    if name is None:
        return spec.default_flow
    if name not in spec.flows:
        raise UsageError(f"{spec.target} has no flow {name!r}: it has {', '.join(spec.flows)}")
    return spec.flows[name]


def price_of(spec: Spec, settings: Config) -> UsdPrice:
    """The price of one image in USD, the user's own before the spec's.

    Raises:
        UsageError: there is no rate for the currency.
    """
    own = settings.provider(spec.provider).price
    if own is None:
        return in_usd(spec.price, settings.rates)
    amount, currency, source, date = own
    fact = Fact(source, str(settings.path), "price set by the user", "observed")
    return in_usd(Price(amount, currency, date, fact), settings.rates)


def plan_of(spec: Spec, flow: Flow, request: Request, settings: Config) -> Plan:
    """A target's plan, narrowed to the cases asked for.

    Raises:
        UsageError: a live run has no input images that the provider could fetch.
    """
    from harness.plan.partitions import assets_for

    if request.source == "live" and _wants_images(spec) and not assets_for(spec, settings.assets):
        raise UsageError(
            f'{spec.target} needs input images and its document shows none: add assets = ["https://…"] to harness.toml'
        )
    whole = plan.build(
        spec,
        flow=flow,
        tier=request.tier,
        seed=request.seed,
        usd_per_image=price_of(spec, settings).amount,
        assets=settings.assets,
        with_rejects=request.rejects,
    )
    cases = [c for c in whole.cases if not request.cases or any(fnmatchcase(c.id, glob) for glob in request.cases)]
    if request.max_cases is not None:
        accepts = [case.id for case in cases if case.fault is None][: request.max_cases]
        cases = [case for case in cases if case.fault is not None or case.id in accepts]
    return replace(whole, cases=tuple(cases))


def _wants_images(spec: Spec) -> bool:
    return any(p.required and p.role in ("image", "images") for p in spec.parameters)


def base_url(spec: Spec, flow: Flow, request: Request, settings: Config, environment: Mapping[str, str]) -> str:
    """Where a target is: the command line before the environment, the file and the document.

    Raises:
        UsageError: nobody names a host.
    """
    provider = spec.provider
    named = (
        request.base_urls.get((provider, flow.name))
        or request.base_urls.get((provider, None))
        or config.environment_base_url(provider, environment)
        or settings.provider(provider).base_url
    )
    if named:
        return named.rstrip("/")
    if flow.server:
        return flow.server.rstrip("/")
    variable = provider.upper().replace("-", "_") + "_BASE_URL"
    raise UsageError(f"{spec.target}: its document names no host: set {variable} or --base-url {provider}=https://…")


def key_of(route: Route, request: Request, settings: Config, environment: Mapping[str, str]) -> BoundKey | None:
    """The key of a target, bound to the origins it may go to.

    Raises:
        UsageError: the key is missing or malformed, or nobody named this pair of variable and origin.
    """
    spec, own = route.spec, settings.provider(route.spec.provider).credential
    scheme, variable = own or (spec.credential.scheme, spec.credential.env)
    if request.source == "simulate":
        return BoundKey(Secret(SIMULATED_KEY), spec.credential.header, scheme, route.origins)
    _require_named_pair(route, variable, request, settings)
    return BoundKey(read_key(variable, dict(environment)), spec.credential.header, scheme, route.origins)


def _require_named_pair(route: Route, variable: str, request: Request, settings: Config) -> None:
    spec, provider = route.spec, settings.provider(route.spec.provider)
    if spec.shipped:
        return
    named: set[Origin] = {origin(url) for (name, _), url in request.base_urls.items() if name == spec.provider}
    if provider.credential is not None:
        named |= {origin(url) for url in (provider.base_url or "", *provider.origins)}
    for path in shipped_targets().values():
        shipped = load(path, shipped=True)
        if shipped.credential.env == variable:
            named |= set(map(origin, shipped.servers))
    for wanted in route.origins - named:
        scheme, host, port = wanted
        where = show_origin(f"{scheme}://{host}:{port}")
        line = f'origins = ["{where}"], credential = {{ scheme = "{spec.credential.scheme}", env = "{variable}" }}'
        raise UsageError(
            f"{spec.path} would send {variable} to {where}, which no shipped spec does: to allow it, add to harness.toml "
            f"under [tool.harness.providers.{spec.provider}]: {line}"
        )


def targets_of(
    specs: Sequence[Spec], request: Request, settings: Config, environment: Mapping[str, str]
) -> tuple[Target, ...]:
    """Everything about a run's targets, decided before anything is sent.

    Raises:
        UsageError: something about one of them cannot be used.
    """
    return tuple(_target(spec, request, settings, environment) for spec in specs)


def _target(spec: Spec, request: Request, settings: Config, environment: Mapping[str, str]) -> Target:
    flow = flow_of(spec, request.flow)
    route = Route(spec, flow, base_url(spec, flow, request, settings, environment))
    own = settings.provider(spec.provider)
    return Target(
        route=route,
        plan=plan_of(spec, flow, request, settings),
        price=price_of(spec, settings),
        key=key_of(route, request, settings, environment),
        concurrency=min(request.concurrency, own.max_concurrency or request.concurrency),
        rate=own.rate,
    )


def budget(targets: Sequence[Target], request: Request, settings: Config) -> Decimal | None:
    """The run's budget; None for a run that costs nothing.

    Raises:
        UsageError: the plan is dearer than the default budget and nobody named one.
    """
    named = request.max_cost if request.max_cost is not None else settings.max_cost
    if request.source == "simulate":
        return named
    price = sum((target.plan.usd for target in targets), Decimal(0))
    if named is None and price > DEFAULT_MAX_COST:
        raise UsageError(
            f"the plan costs {price:.2f} USD, over the default budget of {DEFAULT_MAX_COST} USD: allow it with --max-cost "
            f"{price:.2f}, or send less with --max-cases or --case"
        )
    return named if named is not None else DEFAULT_MAX_COST


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


def header_row(run_id: str, targets: Sequence[Target], request: Request, clock: Clock) -> Mapping[str, Any]:
    """A run's first row: with it, the run can be judged with nothing else at hand."""
    return {
        "type": "header",
        "format": FORMAT,
        "segment": 0,
        "run_id": run_id,
        "started_at": wall_time().isoformat(timespec="milliseconds"),
        "anchor_ns": clock.now_ns(),
        "harness_version": __version__,
        "mode": request.source,
        "recorded_from": None,
        "recorded_at": None,
        "seed": request.seed,
        "command": shlex.join(request.command),
        "schedule": Schedule(request.poll_interval).describe(),
        "targets": {
            target.plan.target: {
                "base_url": target.route.base_url,
                "usd_per_image": str(target.price.amount),
                "price_source": target.price.source,
            }
            for target in targets
        },
        "specs": {
            target.plan.target: {"path": target.route.spec.path.name, "text": target.route.spec.text}
            for target in targets
        },
        "plans": [plan_json(target.plan) for target in targets],
    }


def run_engine_options(request: Request) -> Options:
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
    """Run a conformance check and leave its run directory.

    Raises:
        HarnessError: something was refused before anything was sent, or the run directory cannot be written.
    """
    run_id = f"{wall_time():%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    directory = request.out or Path("reports") / run_id
    if (directory / "history.jsonl").exists():
        raise UsageError(f"{directory} holds a run already: name another --out")
    with _provider(specs, request) as resolved:
        targets = targets_of(specs, resolved, settings, environment)
        ledger = Ledger(budget(targets, resolved, settings))
        keys = [target.key for target in targets if target.key is not None]
        journal = FileJournal(directory, Redactor(key.secret for key in keys))
        try:
            with _proper_tls(settings) as tls:
                ended, unfinished, code = asyncio.run(
                    _run(run_id, targets, resolved, settings, ledger, journal, tls, on_progress)
                )
        finally:
            journal.close()
    result = write_reports(directory)
    return Finished(directory, result, ended, unfinished, code or exit_status(result))


@contextmanager
def _provider(specs: Sequence[Spec], request: Request) -> Iterator[Request]:
    """The request with the simulator's base URLs in it, while the simulator runs; itself for a live run."""
    if request.source != "simulate":
        yield request
        return
    from harness.simulator.server import spawned
    from harness.simulator.settings import Settings

    with spawned([spec.path for spec in specs], Settings.quick(request.seed)) as urls:
        found: dict[tuple[str, str | None], str] = {}
        for name, url in urls.items():
            provider, _, flow = name.partition(":")
            found[provider, flow or None] = url
        yield replace(request, base_urls=found)


@contextmanager
def _proper_tls(settings: Config) -> Iterator[ssl.SSLContext | None]:
    if settings.ca_bundle is None:
        yield None
        return
    try:
        yield ssl.create_default_context(cafile=settings.ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{settings.path}: ca_bundle {settings.ca_bundle} cannot be read: {error}") from None


async def _run(
    run_id: str,
    targets: Sequence[Target],
    request: Request,
    settings: Config,
    ledger: Ledger,
    journal: FileJournal,
    tls: ssl.SSLContext | None,
    on_progress: Callable[[Progress, Ledger], None],
) -> tuple[Ended, Mapping[str, str | None], int]:
    clock = RealClock()
    watch = Watch(clock)
    journal.append(header_row(run_id, targets, request, clock))
    await journal.durable()
    wire = Wire(
        api=AiohttpTransport(clock, proxy=settings.proxy, tls=tls),
        public=AiohttpTransport(clock, resolver=GuardedResolver(), proxy=settings.proxy, tls=tls),
        clock=clock,
        key=None,
        trusted=_trusted(targets, settings),
    )
    engine = Engine(
        clock,
        HistoryRecorder(journal, targets, watch),
        ledger,
        run_engine_options(request),
        lambda progress: on_progress(progress, ledger),
    )
    sampling = asyncio.create_task(watch.sample())
    code, unfinished = 0, dict[str, str | None]()

    def stop(number: signal.Signals, seconds: float) -> None:
        nonlocal code, unfinished
        if code:  # the second signal: leave at once; every row so far is on its way to the disk
            journal.close()
            os._exit(code)
        code, unfinished = 128 + number, engine.unfinished()
        engine.interrupt(seconds)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop, signal.SIGINT, SIGINT_SECONDS)
    loop.add_signal_handler(signal.SIGTERM, stop, signal.SIGTERM, SIGTERM_SECONDS)
    try:
        ended = await engine.run(
            [Work(t.route, replace(wire, key=t.key), t.plan.cases, t.concurrency, t.rate) for t in targets]
        )
    finally:
        sampling.cancel()
        with suppress(asyncio.CancelledError):
            await sampling
        await wire.aclose()
    journal.append(footer_row(ended, watch, unfinished))
    await journal.durable()
    return ended, unfinished, code


def _trusted(targets: Sequence[Target], settings: Config) -> frozenset[Origin]:
    named = [url for target in targets for url in settings.provider(target.route.spec.provider).origins]
    return frozenset(map(origin, named)).union(*(target.route.origins for target in targets))


def write_reports(directory: Path, *, with_todays_specs: bool = False) -> RunResult:
    """Compute and write the reports of a run directory.

    Raises:
        InputError: the history cannot be read.
        OutputError: a report cannot be written.
    """
    from harness.report.html import render

    result = result_of(directory, with_todays_specs=with_todays_specs)
    for name, text in (("report.json", document.dump(result.document)), ("report.html", render(result))):
        path, temporary = directory / name, directory / f".{name}.{os.getpid()}"
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from None
    return result


def result_of(directory: Path, *, with_todays_specs: bool = False) -> RunResult:
    """The result of a run directory, judged by the specs it was run with, or by today's shipped ones."""
    history = read(directory)
    return document.build(history, specs_of(history, directory, with_todays_specs=with_todays_specs))


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


__all__ = ["Finished", "HarnessError", "Request", "check", "exit_status", "result_of", "targets_of", "write_reports"]
