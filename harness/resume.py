"""What is left of a run that was cut off, and whether it may go on: decided from its record, before anything is sent.

Rules
-----
* Nothing is planned anew. Plans, specs' texts, options, prices and base URLs are the first header's; an option that
  says otherwise is a ``UsageError``. Only ``--max-cost`` may be given anew, and what the run has cost so far counts
  against it.
* A key goes where today's command line, environment, configuration or document say, as for any run. A run directory
  is no such place: it may come from somebody else. So a base URL that only the command line had named is named again.
* A simulator ends with its run and takes its jobs along: nothing is left to read.
* What becomes of each recorded call is decided by ``unfinished`` here, and for those by the table in ``engine.py``:

=============================================================  ==========================================
the last ``call`` row of a call                                the call
=============================================================  ==========================================
none: the run was killed                                       is unfinished
"the run was interrupted", its submit accepted                 is unfinished: its job goes on without us
"the run was interrupted", and it asks for nobody's job        is unfinished: its questions are free
"the run was interrupted", otherwise                           is done: there is nothing to read
any other                                                      is done
=============================================================  ==========================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from harness.config import Config
from harness.errors import InputError, UsageError
from harness.flow import UNKNOWN_JOB, Route, submit_meaning
from harness.history import History, Row, moved
from harness.ledger import ZERO, Ledger
from harness.metrics.cost import UsdPrice, cost
from harness.model import CUT_OFF, INTERRUPTED, Call, Json, Plan
from harness.spec import Spec, load, shipped_targets
from harness.targets import Request, Target, base_url, key_of, require_known_names
from harness.traffic import conduct_from

OPTIONS: Mapping[str, tuple[str, str]] = {
    "flow": ("flow", "--flow"),
    "tier": ("tier", "--tier"),
    "rejects": ("rejects", "--no-rejects"),
    "repeats": ("repeats", "--repeats"),
    "cases": ("cases", "--case"),
    "max_cases": ("max_cases", "--max-cases"),
    "explore": ("explore", "--explore"),
    "plan": ("plan", "--plan"),
    "concurrency": ("concurrency", "--concurrency"),
    "deadline_s": ("deadline_seconds", "--deadline"),
    "poll_interval_s": ("poll_interval", "--poll-interval"),
    "seed": ("seed", "--seed"),
    "cassettes": ("cassettes", "--cassettes"),
    "requests": ("requests", "--requests"),
    "warmup": ("warmup", "--warmup"),
    "rate_per_s": ("rate", "--rate"),
    "arrivals": ("arrivals", "--arrivals"),
    "downloads": ("downloads", "--download"),
    "workload": ("workload", "--workload"),
    "slo_s": ("slo_seconds", "--slo"),
    "precision": ("precision", "--precision"),
    "poll_for": ("poll_for", "--poll-for"),
    "learn_from": ("learn_from", "--learn-from"),
}
"""What a header keeps of a request: by its name there, the attribute of ``Request``, and the option that says it."""
SOURCES = frozenset({"--replay", "--simulate", "--live", "--record"})
GONE = {
    "simulate": "was simulated: its simulator has gone, and its jobs with it; start another run",
    "replay": "is a replay, which costs nothing: start another run",
}
"""Runs that cannot go on, by their source, and why."""


def recorded_options(request: Request) -> Mapping[str, Json]:
    """What a header keeps of a request."""
    return {name: _plain(getattr(request, attribute)) for name, (attribute, _) in OPTIONS.items()}


def _plain(value: Any) -> Json:
    """An attribute as JSON: ``_attribute`` is the inverse."""
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def _attribute(name: str, value: Json) -> Any:
    if name in ("cassettes", "plan", "workload", "learn_from") and value is not None:
        return Path(value)
    return tuple(value) if isinstance(value, list) else value


def is_finished(history: History) -> bool:
    """Whether nothing of a run is left: its last footer says so."""
    return bool(history.footer and history.footer.get("complete"))


def cassettes_of(history: History) -> Path | None:
    """Where a recording was told to put its cassettes; None for the usual place."""
    place: Path | None = _attribute("cassettes", history.header["options"]["cassettes"])
    return place


def unfinished(call: Call) -> bool:
    """Whether a recorded call is to be gone on with."""
    if call.reason == INTERRUPTED:
        submits = call.of("submit")
        accepted = bool(submits) and submit_meaning(submits[-1].reply) == "accepted"
        return accepted or UNKNOWN_JOB in call.case.probes
    return call.reason == CUT_OFF


def left_of(history: History, target: str, header: Row) -> tuple[Sequence[Call], Sequence[Call]]:
    """A target's calls that are done, and those to go on with, told on the clock of the segment that begins."""
    calls, by_ns = history.of(target), -history.offset_ns(header)
    done = [call for call in calls if not unfinished(call)]
    cut_off = [replace(c, exchanges=tuple(moved(e, by_ns) for e in c.exchanges)) for c in calls if unfinished(c)]
    return done, cut_off


def ledger_of(history: History, limit: Decimal | None) -> Ledger:
    """The budget with what a run has cost so far, and with what its unfinished calls hold reserved.

    Raises:
        UsageError: that is more than the limit.
    """
    done = cost(call for call in history.calls if not unfinished(call))
    held = sum((call.case.usd for call in history.calls if unfinished(call)), ZERO)
    if limit is not None and done.usd_max + held > limit:
        raise UsageError(f"--max-cost {limit} is less than the {done.usd_max + held} USD that the run may have cost")
    return Ledger(limit, unknown=done.usd_max - done.usd, billed=done.usd, reserved=held)


def limit_of(history: History, request: Request) -> Decimal | None:
    """The budget in USD: the one given anew, else the one that the run had last."""
    if request.max_cost is not None:
        return request.max_cost
    recorded = history.headers[-1]["max_cost"]
    return None if recorded is None else Decimal(recorded)


def request_of(history: History, specs: Sequence[Spec], request: Request) -> Request:
    """The request that a run began with, to go on as this one asks; ``specs`` are the targets named, none for all.

    Raises:
        UsageError: they contradict each other, or the run cannot go on.
        InputError: the header does not say what was asked.
    """
    header = history.header
    try:
        options = {name: header["options"][name] for name in OPTIONS}
        recorded = frozenset(header["targets"])
    except KeyError:
        raise InputError(f"{request.out}: its header lacks the run's options: an earlier version wrote it") from None
    if header["mode"] in GONE:
        raise UsageError(f"{request.out} {GONE[header['mode']]}")
    if request.kind != header["kind"]:
        raise UsageError(f"{request.out} is a {header['kind']}: go on with harness {header['kind']} --resume")
    asked = recorded_options(request)
    said = [
        f"{option} (recorded: {json.dumps(options[name], ensure_ascii=False)})"
        for name, (_, option) in OPTIONS.items()
        if option in request.given and asked[name] != options[name]
    ]
    if request.given & SOURCES and request.source != header["mode"]:
        said.append(f"--{request.source} (recorded: --{header['mode']})")
    if specs and {spec.target for spec in specs} != recorded:
        said.append(f"TARGET (recorded: {' '.join(sorted(recorded))})")
    if said:
        raise UsageError(f"{request.out} was begun otherwise: leave out {', '.join(said)}")
    begun: dict[str, Any] = {OPTIONS[name][0]: _attribute(name, value) for name, value in options.items()}
    return replace(request, source=header["mode"], **begun)


def targets_of(
    history: History, specs: Mapping[str, Spec], request: Request, settings: Config, environment: Mapping[str, str]
) -> tuple[Target, ...]:
    """A run's targets as they were decided when it began, with the key of today.

    Raises:
        UsageError: a base URL or a key cannot be used.
        InputError: the header does not fit together.
    """
    require_known_names(list(specs.values()), request, settings)
    try:
        return tuple(
            _target(
                plan,
                history.header["targets"][plan.target],
                _as_shipped(specs[plan.target]),
                request=request,
                settings=settings,
                environment=environment,
            )
            for plan in history.plans
        )
    except (LookupError, TypeError, ArithmeticError) as error:
        raise InputError(
            f"{request.out}: its header does not fit together: {type(error).__name__} at {error}"
        ) from None


def _target(
    plan: Plan, recorded: Row, spec: Spec, *, request: Request, settings: Config, environment: Mapping[str, str]
) -> Target:
    route = Route(spec, spec.flows[plan.flow], recorded["base_url"])
    if base_url(spec, route.flow, request, settings, environment) != route.base_url:
        named = f"--base-url {spec.provider}:{plan.flow}={route.base_url}"
        raise UsageError(f"{request.out} was run against {route.base_url}: name it again with {named}")
    return Target(
        route=route,
        plan=plan,
        price=UsdPrice(Decimal(recorded["usd_per_image"]), recorded["price_source"]),
        key=key_of(route, request, settings, environment),
        concurrency=recorded["concurrency"],
        rate=recorded["rate"],
        conduct=conduct_from(recorded.get("conduct")),
    )


def _as_shipped(spec: Spec) -> Spec:
    """A recorded spec as the shipped one, if it is that to the byte: only a shipped one vouches for where a key goes."""
    path: Path | None = shipped_targets().get(spec.target)
    shipped = None if path is None else load(path, shipped=True)
    return shipped if shipped is not None and shipped.text == spec.text else spec
