"""What a run is about, decided before anything is sent: where, with which key, with what plan, for how much.

Rules
-----
* The command line wins over the environment, the environment over the configuration, that over the document.
* A key goes to a pair of variable and origin that a shipped spec, ``--base-url`` or the configuration names; nothing
  else is asked or prompted for.
* Whatever cannot be used is a ``UsageError`` here, and never a surprise later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from harness import config, planning
from harness.cassettes import Recording, Shelf, disagreement, slot_at
from harness.config import Config
from harness.errors import InputError, UsageError
from harness.flow import Route
from harness.metrics.cost import UsdPrice, in_usd
from harness.metrics.precision import MOST, Precision
from harness.metrics.precision import parse as parse_precision
from harness.model import Case, Fact, Plan, RunKind
from harness.planning import file as plans
from harness.planning.prompts import PROMPTS
from harness.planning.workload import own_workload, read_bodies, workload
from harness.secret import BoundKey, Secret, read_key
from harness.spec import Flow, Price, Spec, load, shipped_targets
from harness.traffic import DEFAULT, ArrivalKind, Arrivals, Conduct
from harness.urls import Origin, origin, show_origin

Source = Literal["replay", "simulate", "live", "record"]
DEFAULT_REQUESTS = 20
SIMULATED_KEY = "simulated-key"
DEFAULT_MAX_COST = Decimal("1.00")


@dataclass(frozen=True)
class Request:
    """What the command line asks for.

    ``cases`` are globs on case ids, ``only`` is an exact choice of them. ``recheck`` is a cassette to replay even though
    its spec has changed since. A bench sends ``requests`` jobs to each target, after ``warmup`` that are not timed.
    ``explore`` more requests are drawn beyond the tier's rows; ``plan`` is a file with the plan to send instead of a new one.
    ``rate`` makes an open loop of a bench, with ``arrivals`` at so many per second; ``downloads`` fetches the outputs,
    ``workload`` is a file of bodies to send, ``slo_seconds`` what ``total`` is wished to stay within, ``precision`` (as
    typed) when it is enough. ``poll_for`` is what the learnt polls are to show, and ``learn_from`` an earlier run.
    ``resume`` asks to go on with the run in ``out``; ``given`` are the options named beside it, as they are typed.
    """

    source: Source
    kind: RunKind = "check"
    flow: str | None = None
    base_urls: Mapping[tuple[str, str | None], str] = field(default_factory=dict)
    tier: str = "one-way"
    rejects: bool = True
    repeats: bool = False
    cases: tuple[str, ...] = ()
    only: frozenset[str] | None = None
    max_cases: int | None = None
    explore: int = 0
    plan: Path | None = None
    max_cost: Decimal | None = None
    concurrency: int = 8
    deadline_seconds: float = 300.0
    poll_interval: float | None = None
    seed: int = 0
    out: Path | None = None
    cassettes: Path | None = None
    recheck: Path | None = None
    requests: int | None = None
    warmup: int = 0
    rate: float | None = None
    arrivals: ArrivalKind = "constant"
    downloads: bool = True
    workload: Path | None = None
    slo_seconds: float | None = None
    precision: str | None = None
    poll_for: Literal["phases", "total"] = "phases"
    learn_from: Path | None = None
    command: Sequence[str] = ()
    resume: bool = False
    given: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Target:
    """One target of a run, with everything decided about it; ``recording`` is what a replay plays."""

    route: Route
    plan: Plan
    price: UsdPrice
    key: BoundKey | None
    concurrency: int
    rate: float | None
    recording: Recording | None = None
    conduct: Conduct = DEFAULT

    @property
    def precision(self) -> Precision | None:
        """When the target has been sent enough; None where its whole plan is sent."""
        return None if self.conduct.precision is None else parse_precision(self.conduct.precision)

    @property
    def timed(self) -> Sequence[Case]:
        """The cases of a bench's plan that are timed."""
        return [case for case in self.plan.cases if case.kind == "accept"]

    @property
    def expected_usd(self) -> Decimal:
        """What the plan will cost as far as can be said: of one with a precision, what the assumed spread asks for."""
        if self.precision is None:
            return self.plan.usd
        timed = [case.usd for case in self.timed[: self.precision.assumed]]
        return sum((case.usd for case in self.plan.cases if case.kind != "accept"), sum(timed, Decimal(0)))


def conduct_of(request: Request) -> Conduct:
    """How a request wants its targets to be run.

    Raises:
        UsageError: it counts jobs as late that nobody waits for.
    """
    slo, deadline = request.slo_seconds, request.deadline_seconds
    if slo is not None and slo > deadline:
        raise UsageError(
            f"--slo {slo:g} is more than --deadline {deadline:g}, after which no job is waited for: raise that"
        )
    arrivals = None if request.rate is None else Arrivals(request.rate, request.arrivals, request.seed)
    return Conduct(arrivals, request.downloads, request.slo_seconds, request.precision)


def requests_of(request: Request) -> int:
    """How many timed jobs a bench plans for a target: as many as asked for, or as a precision may take.

    There are no more of a workload than there are prompts.
    """
    if request.requests is not None:
        return request.requests
    if request.precision is None:
        return DEFAULT_REQUESTS
    return min(MOST * parse_precision(request.precision).assumed, PROMPTS - request.warmup)


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
    """A target's plan, narrowed to the cases asked for; a replay's is the recording's.

    Raises:
        UsageError: the price has no rate in USD, or a bench has fewer prompts than requests.
        InputError: a replay has no recording that fits, or the file no plan.
    """
    if request.source == "replay":
        return narrowed(recording_of(spec, flow, request).frozen.plan, request)
    if request.kind == "bench" and request.workload is not None:
        whole = own_workload(
            spec,
            flow,
            read_bodies(request.workload),
            requests_of(request),
            warmup=request.warmup,
            seed=request.seed,
            usd_per_image=price_of(spec, settings).amount,
        )
        return narrowed(whole, request)
    if request.kind == "bench":
        whole = workload(
            spec,
            flow,
            requests_of(request),
            warmup=request.warmup,
            seed=request.seed,
            usd_per_image=price_of(spec, settings).amount,
            assets=settings.assets,
        )
        return narrowed(whole, request)
    if request.plan is not None:
        frozen = plans.load(request.plan, spec)
        return narrowed(plans.priced(frozen, spec, price_of(spec, settings).amount), request)
    whole = planning.build(
        spec,
        flow=flow,
        tier=request.tier,
        seed=request.seed,
        usd_per_image=price_of(spec, settings).amount,
        assets=settings.assets,
        with_rejects=request.rejects,
        with_repeats=request.repeats,
        explore=request.explore,
        risky=request.source == "simulate" or settings.provider(spec.provider).risky_rejects,
    )
    return narrowed(whole, request)


def narrowed(whole: Plan, request: Request) -> Plan:
    """The cases of a plan that are asked for."""
    free = () if request.rejects else ("reject", "probe")
    cases = [case for case in whole.cases if case.kind not in free]
    cases = [c for c in cases if not request.cases or any(fnmatchcase(c.id, glob) for glob in request.cases)]
    if request.only is not None:
        cases = [case for case in cases if case.id in request.only]
    if request.max_cases is not None:
        accepts = [case.id for case in cases if case.kind == "accept"][: request.max_cases]
        cases = [case for case in cases if case.kind != "accept" or case.id in accepts]
    return replace(whole, cases=tuple(cases))


def recording_of(spec: Spec, flow: Flow, request: Request) -> Recording:
    """The recording that a replay of a target plays.

    Raises:
        InputError: there is none, it is damaged, or the spec has changed since it was made.
    """
    slot = slot_at(request.recheck) if request.recheck else Shelf(request.cassettes).find(spec, flow, request.kind)
    recording = slot.read()
    plan = recording.frozen.plan
    if (plan.target, plan.flow, plan.kind) != (spec.target, flow.name, request.kind):
        raise InputError(
            f"{slot.cassette} is a recording of {plan.target} ({plan.flow}, {plan.kind}) and not of {spec.target} ({flow.name}, "
            f"{request.kind}): give it its own name back, or record again"
        )
    reason = None if request.recheck else disagreement(recording.frozen, spec)
    if reason is not None:
        raise InputError(
            f"{slot.cassette} was recorded before the spec {spec.path} changed {reason}. Record it again with harness "
            f"{request.kind} {spec.target} --record, or judge the old answers by the new spec with harness recheck {slot.cassette}"
        )
    return recording


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
    require_known_names(specs, request, settings)
    targets = tuple(_target(spec, request, settings, environment) for spec in specs)
    if request.only is None and not any(target.plan.cases for target in targets):
        what = "bench/0001" if request.kind == "bench" else "guidance_scale/above-maximum"
        example = f"{specs[0].target}/{what}"
        raise UsageError(f"no case is left to send: a --case is a glob on ids such as {example}; see harness plan")
    if request.learn_from is not None and all(target.route.flow.status is None for target in targets):
        flows = ", ".join(f"{target.plan.target} ({target.plan.flow})" for target in targets)
        raise UsageError(f"--learn-from says when jobs are polled, and none is of {flows}: leave it out")
    return targets


def require_known_names(specs: Sequence[Spec], request: Request, settings: Config) -> None:
    """A misspelt provider would otherwise leave a base URL, and with it a trust, or a limit unused.

    Raises:
        UsageError: an option or the configuration names a provider or flow that there is not.
    """
    named = {*request.base_urls, *((provider, None) for provider in settings.providers)}
    known = {spec.provider: {None, *spec.flows} for spec in specs}
    if all(provider in known and flow in known[provider] for provider, flow in named):
        return  # the shipped specs, which are slow to read, are asked of other targets only
    for path in shipped_targets().values():
        shipped = load(path, shipped=True)
        known.setdefault(shipped.provider, {None}).update(shipped.flows)
    for provider, flow in request.base_urls:
        if provider not in known:
            raise UsageError(f"--base-url names {provider!r}, which is no provider: use one of {', '.join(known)}")
        if flow not in known[provider]:
            flows = ", ".join(sorted(name for name in known[provider] if name))
            raise UsageError(f"--base-url names the flow {flow!r}, which {provider} lacks: it has {flows}")
    for provider in settings.providers:
        if provider not in known:
            raise UsageError(f"{settings.path}: providers.{provider} is no provider: use one of {', '.join(known)}")


def _target(spec: Spec, request: Request, settings: Config, environment: Mapping[str, str]) -> Target:
    flow = flow_of(spec, request.flow)
    if request.plan is not None:
        flow = spec.flows[plans.load(request.plan, spec).flow]
    if request.source == "replay":
        return _recorded(spec, flow, request)
    route = Route(spec, flow, base_url(spec, flow, request, settings, environment))
    own = settings.provider(spec.provider)
    _require_no_wait_of_ours(request, own.rate, f"{settings.path} allows {spec.provider}")
    target = Target(
        route=route,
        plan=plan_of(spec, flow, request, settings),
        price=price_of(spec, settings),
        key=key_of(route, request, settings, environment),
        concurrency=min(request.concurrency, own.max_concurrency or request.concurrency),
        rate=own.rate,
        conduct=conduct_of(request),
    )
    if target.precision is not None and len(target.timed) < target.precision.pilot:
        raise UsageError(
            f"--precision {target.precision} takes {target.precision.pilot} requests at least, and {len(target.timed)} may "
            f"be sent to {spec.target}: allow more with --requests, or ask for a quantile that takes fewer"
        )
    return target


def _require_no_wait_of_ours(request: Request, allowed: float | None, who: str) -> None:
    """An open loop counts latencies from its instants: a submit that a configured rate holds back would seem slow.

    Poisson arrivals are refused beside any such rate, since at every rate some of them are closer together than its step:
    at a tenth of it the mean wait is still a twentieth of the step, many times what a measurement may be off.

    Raises:
        UsageError: submits would wait for the configured rate.
    """
    if request.rate is None or allowed is None:
        return
    limit = f"the {allowed:g} submits per second that {who}"
    if request.rate > allowed:
        raise UsageError(f"--rate {request.rate:g} is more than {limit}: lower it")
    if request.arrivals == "poisson":
        raise UsageError(
            f"--arrivals poisson sends bursts, which would wait for {limit}, and their wait would count as latency: leave "
            "--arrivals out, or the rate out of the file"
        )


def _recorded(spec: Spec, flow: Flow, request: Request) -> Target:
    recording = recording_of(spec, flow, request)
    frozen = recording.frozen
    return Target(
        route=Route(spec, flow, frozen.base_url),
        plan=narrowed(frozen.plan, request),
        price=UsdPrice(frozen.usd_per_image, frozen.price_source),
        key=None,
        concurrency=frozen.concurrency,
        rate=None,
        recording=recording,
        conduct=frozen.conduct,
    )


def budget(targets: Sequence[Target], request: Request, settings: Config) -> Decimal | None:
    """The run's budget; None for a run that costs nothing.

    Raises:
        UsageError: the plan is dearer than the default budget and nobody named one.
    """
    named = request.max_cost if request.max_cost is not None else settings.max_cost
    if request.source in ("simulate", "replay"):
        return named
    price = sum((target.expected_usd for target in targets), Decimal(0))
    if named is None and price > DEFAULT_MAX_COST:
        raise UsageError(
            f"the plan costs {price:.2f} USD, over the default budget of {DEFAULT_MAX_COST} USD: allow it with --max-cost "
            f"{price:.2f}, or send less with {'--requests' if request.kind == 'bench' else '--max-cases or --case'}"
        )
    return named if named is not None else DEFAULT_MAX_COST
