"""A fresh batch before a build fails: what seems to have regressed is sent again, within a budget.

Rules
-----
* Only what was asked of a live provider is asked again, by the command of the candidate runs: their plan, pace and place.
  A run directory may come from somebody else, so a place that only the command line had named is named again.
* A number that regressed takes as many fresh runs as there were candidates. A failure that too few sends have shown takes
  its cases only, as often as is missing.
* The whole batch is priced before anything is sent, and is not begun when it does not fit the budget.
* Nothing is sent when the spec, the harness version or the region has changed since: the runs could not be compared.
* What cannot be sent again is no less of a regression: it is told with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from harness import __version__, resume
from harness.compare.drift import SENDS
from harness.compare.verdicts import Comparison, TargetVerdict
from harness.config import Config, region_of
from harness.errors import UsageError
from harness.history import History, read
from harness.metrics.cost import cost
from harness.spec import Spec, find
from harness.targets import DEFAULT_MAX_COST, Request, base_url, narrowed

Send = Callable[[Sequence[Spec], Request], Path]
"""Makes a run and returns its directory."""


@dataclass(frozen=True)
class Places:
    """What decides where requests go: the command line's base URLs, the configuration, the environment."""

    base_urls: Mapping[tuple[str, str | None], str]
    settings: Config
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Again:
    """One fresh run: which targets, as asked by ``request``, and at most what it costs in USD."""

    specs: tuple[Spec, ...]
    request: Request
    usd: Decimal


def doubtful(found: Comparison) -> Sequence[TargetVerdict]:
    """The targets that a fresh batch could clear: live ones with a regression, or with a failure seen too seldom."""
    return [
        one
        for one in found.targets
        if one.mode == "live" and (any(m.word == "regressed" for m in one.metrics) or one.drift.weighing("unconfirmed"))
    ]


def batch(
    found: Comparison,
    runs: Mapping[str, Path],
    to: Places,
) -> tuple[Again, ...]:
    """The fresh runs; ``runs`` are the candidates' directories by run.

    Raises:
        UsageError: a spec, the harness or the region has changed since, or a spec is not shipped, or would be sent to
            another place than before.
        InputError: a run cannot be read.
    """
    fresh = []
    for target in doubtful(found):
        histories = [read(runs[name]) for name in target.candidates]
        if any(one.word == "regressed" for one in target.metrics):
            fresh += [_whole(target, history, to) for history in histories]
            continue
        for cases, missing in _missing(target).items():
            one = _whole(target, histories[-1], to)
            ids = frozenset(f"{target.target}/{case}" for case in cases)
            plan = next(plan for plan in histories[-1].plans if plan.target == target.target)
            request = replace(one.request, only=ids)
            fresh += [Again(one.specs, request, narrowed(plan, request).usd)] * missing
    return tuple(fresh)


def _missing(target: TargetVerdict) -> Mapping[tuple[str, ...], int]:
    """The cases to send again, and how often."""
    return {change.after.cases: SENDS - change.sends for change in target.drift.weighing("unconfirmed") if change.after}


def _whole(target: TargetVerdict, history: History, to: Places) -> Again:
    (spec,) = find((target.target,))
    (plan,) = [plan for plan in history.plans if plan.target == target.target]
    _comparable(target.target, spec, plan.spec_sha256, history, to)
    begun = Request("live", kind=plan.kind, base_urls=to.base_urls, resume=True)
    request = replace(
        resume.request_of(history, (), begun), source="live", resume=False, command=("harness", "compare")
    )
    before = history.header["targets"][target.target]["base_url"]
    if base_url(spec, spec.flows[plan.flow], request, to.settings, to.environment) != before:
        named = f"--base-url {spec.provider}:{plan.flow}={before}"
        raise UsageError(f"run {history.header['run_id']} was made against {before}: name it again with {named}")
    return Again((spec,), request, plan.usd)


def _comparable(target: str, spec: Spec, spec_sha256: str, history: History, to: Places) -> None:
    """Raise if a fresh run could not be compared with a candidate."""
    header = history.header
    region, version = header.get("region"), header["harness_version"]
    changed = [
        (spec.sha256 != spec_sha256, "its spec has changed since", "compare with runs of the new one"),
        (version != __version__, f"it was made by harness {version}", f"confirm with that version, not {__version__}"),
        (
            region != region_of(to.settings, to.environment),
            f"it was made from region {region or 'unnamed'}",
            "confirm from there, or set HARNESS_REGION",
        ),
    ]
    for differs, what, instead in changed:
        if differs:
            raise UsageError(f"--confirm cannot send {target} of run {header['run_id']} again: {what}; {instead}")


def unconfirmed(found: Comparison, why: str) -> Comparison:
    """The comparison when nothing could be sent again: what is in doubt says so, and stays what it is."""
    asked = doubtful(found)
    return replace(
        found,
        targets=tuple(
            replace(one, reason=f"{one.reason}; not confirmed: {why}") if one in asked else one for one in found.targets
        ),
    )


def sent(fresh: Sequence[Again], limit: Decimal | None, send: Send) -> tuple[Path, ...]:
    """Make the fresh runs one after the other; their directories.

    Raises:
        UsageError: they cost more than the budget, by default ``DEFAULT_MAX_COST``.
    """
    price, left = sum((one.usd for one in fresh), Decimal(0)), DEFAULT_MAX_COST if limit is None else limit
    if price > left:
        raise UsageError(
            f"the fresh batch costs {price:.2f} USD, over the budget of {left} USD: allow it with --max-cost {price:.2f}"
        )
    made = []
    for one in fresh:
        directory = send(one.specs, replace(one.request, max_cost=left))
        made.append(directory)
        left -= cost(read(directory).calls).usd_max
    return tuple(made)
