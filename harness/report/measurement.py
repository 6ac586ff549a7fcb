"""What a run says about durations: the ``latency`` of report.json, and a bench's ``measurement``.

Rules
-----
* Durations are those of the accept cases; a warm-up's are in none of them. Nor are those of a job that was gone on with
  after an interruption: nobody looked at it for as long as the run was away, and its intervals are as wide as that.
* ``measurement`` holds what explains the headline figures: how the load was made, what the connections took, how far
  the estimators agree, what the provider reports beside what was seen. A check has none.
* Whatever was not fetched or cannot be told apart says so, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from harness.audit import most_in_flight
from harness.checks.billing import billed_units
from harness.clock import NS
from harness.flow import Route
from harness.metrics.goodput import goodput
from harness.metrics.intervals import QUANTILES, Durations, Sample, disagreements
from harness.metrics.phases import (
    COARSE,
    PHASES,
    POLLED_ENDS,
    Interval,
    never_running,
    not_separable,
    phases,
    too_coarse,
)
from harness.metrics.precision import TAIL, parse
from harness.metrics.quantiles import Quantile
from harness.model import Call, Exchange, Json, Judged, Outcome
from harness.spec import Spec
from harness.traffic import Conduct

NOT_FETCHED = "the outputs were not fetched: ask for them with --download"


@dataclass(frozen=True)
class Timed:
    """The timed jobs of a target: each call with its phases, the samples by phase, and what hides the other phases."""

    jobs: Sequence[tuple[Call, Mapping[str, Interval | None]]]
    samples: Mapping[str, tuple[Sample, ...]]
    hidden: Mapping[str, str]

    def durations(self, phase: str) -> Durations:
        """A phase's samples as a distribution."""
        return Durations(self.samples[phase], POLLED_ENDS.get(phase, 1))


def timed(route: Route, judged: Iterable[Judged], conduct: Conduct) -> Timed:
    """The durations of the accept cases that were taken."""
    untimed: Mapping[str, Interval | None] = dict.fromkeys(PHASES)
    jobs = [
        (one.call, untimed if one.call.segment is None else phases(route, one.call, open_loop=conduct.open_loop))
        for one in judged
        if one.call is not None and one.case.kind == "accept" and one.call.outcome is not Outcome.REJECTED
    ]
    found: dict[str, list[Sample]] = {phase: [] for phase in PHASES}
    for call, each in jobs:
        for phase, bounds in each.items():
            if bounds is not None:
                found[phase].append(Sample(call.case.id, *bounds))
    samples = {phase: tuple(sample) for phase, sample in found.items()}
    hidden = dict(not_separable(route.flow))
    unseen = sum(never_running(route, call) for call, _ in jobs if call.segment is not None)
    for phase in ("queue", "inference"):
        if phase in hidden:
            continue
        if unseen > COARSE * len(samples["queue"]):
            hidden[phase] = (
                f"{unseen} of {len(samples['queue'])} jobs were never seen running: the polls are too coarse"
            )
        elif reason := too_coarse(samples[phase]):
            hidden[phase] = reason
    if not conduct.downloads:
        hidden |= dict.fromkeys(("download", "end_to_end"), NOT_FETCHED)
    return Timed(jobs, samples, hidden)


def latency(found: Timed) -> Json:
    """Each phase's distribution, or why it cannot be told."""
    return {
        phase: {"not_separable": found.hidden[phase]} if phase in found.hidden else distribution(found.durations(phase))
        for phase in PHASES
    }


def distribution(durations: Durations) -> Json:
    """A distribution as report.json shows it."""
    return {
        "unit": "s",
        "n": len(durations.samples),
        "censored": durations.censored,
        "mean": _rounded(durations.mean),
        "method": durations.method,
        **{name: _quantile(durations.quantile(q)) for name, q in QUANTILES.items()},
    }


def _quantile(found: Quantile) -> Json:
    return {"value": _rounded(found.value), "low": _rounded(found.low), "high": _rounded(found.high)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 9)


def measurement(spec: Spec, found: Timed, calls: Sequence[Call], conduct: Conduct) -> Json:
    """What explains a bench's figures."""
    estimates = {
        phase: durations
        for phase in ("queue", "inference", "total")
        if phase not in found.hidden and (durations := found.durations(phase)).resolution is not None
    }
    compared = {phase: durations.estimates() for phase, durations in estimates.items()}
    arrivals = conduct.arrivals
    seconds = _window([call for call, _ in found.jobs])
    interrupted = sum(call.segment is None for call, _ in found.jobs)
    return {
        "loop": {"kind": "closed"} if arrivals is None else arrivals.describe(),
        "warm_up": sum(call.case.kind == "warm-up" for call in calls),
        "window_s": _rounded(seconds),
        "most_in_flight": most_in_flight(calls),
        "transport": _transport(found.jobs),
        "estimates": {
            phase: {
                "step_s": _rounded(durations.step),
                "spread_s": _rounded(durations.spread),
                "spread_in_steps": _rounded(durations.resolution),
                "by": {by: {q: _rounded(v) for q, v in values.items()} for by, values in compared[phase].items()},
            }
            for phase, durations in estimates.items()
        },
        "reported_difference": _reported(found),
        "goodput": _goodput(found, conduct.slo_seconds, seconds),
        "precision": _precision(found, conduct.precision),
        "billed_units": _billed_units(spec, found.jobs),
        "notes": [
            *(f"{phase}: {said}" for phase, by in compared.items() for said in disagreements(by)),
            *([f"{interrupted} jobs were cut in two by an interruption and are in no duration"] if interrupted else []),
        ],
    }


def _window(calls: Sequence[Call]) -> float:
    """The seconds in which jobs were under way: from the first submit wanted to the last answer, in each segment."""
    seconds = 0.0
    for segment in {call.segment for call in calls} - {None}:
        here = [call for call in calls if call.segment == segment]
        sent = [exchange.intended_ns for call in here for exchange in call.of("submit")[:1]]
        ended = [exchange.received_ns for call in here for exchange in call.of("submit", "status", "result")]
        seconds += (max(ended) - min(sent)) / NS if sent else 0.0
    return seconds


def _transport(jobs: Sequence[tuple[Call, object]]) -> Json:
    """What lies under the phases: opening connections, and the first byte of the submits' and the files' answers."""
    exchanges = [exchange for call, _ in jobs for exchange in call.exchanges]
    opened = [e.connect_ns / NS for e in exchanges if e.connect_ns > 0]
    return {
        "connect": _exact(opened),
        "submit_first_byte": _exact(_first_bytes(exchanges, "submit")),
        "asset_first_byte": _exact(_first_bytes(exchanges, "asset")),
    }


def _first_bytes(exchanges: Iterable[Exchange], step: str) -> list[float]:
    return [(e.first_byte_ns - e.sent_ns) / NS for e in exchanges if e.step == step and e.first_byte_ns is not None]


def _exact(seconds: Iterable[float]) -> Json:
    return distribution(Durations([Sample("", value, value) for value in seconds]))


def _reported(found: Timed) -> Json:
    """How much longer an inference was seen to take than the provider reports; the whole job where only that is seen."""
    phase = "total" if "inference" in found.hidden else "inference"
    pairs = [
        (seen, told[0])
        for _, each in found.jobs
        if (seen := each[phase]) is not None and (told := each["reported_inference"]) is not None
    ]
    finite = [(seen, told) for seen, told in pairs if math.isfinite(seen[1])]
    if not finite:
        return None
    ordered = sorted((low + high) / 2 - told for (low, high), told in finite)
    middle = Durations([Sample("", value, value) for value in ordered]).quantile(0.5)
    return {
        "of": phase,
        "n": len(ordered),
        "p50": _quantile(middle),
        "longer_than_seen": sum(told > seen[1] for seen, told in finite),
    }


def _goodput(found: Timed, slo: float | None, seconds: float) -> Json:
    result = None if slo is None else goodput(found.samples["total"], slo, seconds)
    if result is None:
        return None
    return {
        "slo_s": result.slo,
        "n": result.n,
        "within": result.within,
        "undecided": result.undecided,
        "share": {
            "value": _rounded(result.within / result.n),
            "low": _rounded(result.low),
            "high": _rounded(result.high),
        },
        "per_s": _rounded(result.per_second),
    }


def _precision(found: Timed, asked: str | None) -> Json:
    if asked is None:
        return None
    precision, durations = parse(asked), found.durations("total")
    return {
        "asked": str(precision),
        "reached": precision.reached(durations),
        "n": len(durations.samples),
        "confidence": 1 - 2 * TAIL,
        precision.name: _quantile(precision.bounds(durations)),
    }


def _billed_units(spec: Spec, jobs: Sequence[tuple[Call, object]]) -> Json:
    """What the provider counts itself, summed, beside the images that the list price counts."""
    counted = [(units, call.images) for call, _ in jobs if (units := billed_units(spec, call)) is not None]
    if not counted:
        return None
    return {
        "header": spec.billing_header,
        "units": float(sum((units for units, _ in counted), Decimal(0))),
        "images": sum(images for _, images in counted),
    }
