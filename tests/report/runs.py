"""Runs made by hand, as the engine and the checks would have left them; named after what they show.

``fal_queue`` polls a queue and has findings of every kind, ``umodelverse_sync`` answers at once, ``wavespeed_poll``
loses two jobs to the deadline, ``gateway_untouched`` never sent anything.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from decimal import Decimal
from functools import cache

from PIL import Image

from harness.metrics.quantiles import quantile
from harness.model import Call, Case, Expect, Fact, Finding, Json, Judged, Outcome, Plan, Verdict, worst
from harness.report import pictures, tallies
from harness.report.results import RunResult, Sample, Shown, TargetResult
from harness.spec import Flow, Spec, find

SYNCHRONOUS = "the provider answers the submit with the outputs: one duration holds every phase"
PASS, WARN, FAIL, UNKNOWN = Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.UNKNOWN


@cache
def spec(target: str) -> Spec:
    (found,) = find((target,))
    return found


def distribution(samples: Sequence[Sample]) -> Json:
    middles = sorted(sample.midpoint for sample in samples)
    censored = sum(math.isinf(value) for value in middles)
    return {
        "unit": "s",
        "n": len(middles),
        "censored": censored,
        "mean": sum(middles) / len(middles) if middles and not censored else None,
        "method": "midpoint" if any(sample.low != sample.high for sample in samples) else "exact",
        **{name: asdict(quantile(middles, q)) for name, q in {"p50": 0.5, "p95": 0.95, "p99": 0.99}.items()},
    }


def spread(n: int, median: float, polled: float = 0.0) -> tuple[Sample, ...]:
    """Durations around a median, lognormal without any chance; ``polled`` is the width of their intervals."""
    values = [median * math.exp(0.3 * _normal((index * 7 % n + 0.5) / n)) for index in range(n)]
    return tuple(Sample(f"case-{index}", value - polled / 2, value + polled / 2) for index, value in enumerate(values))


def _normal(share: float) -> float:
    return 2.2 * math.log(share / (1 - share)) / 3.6


def never(n: int) -> tuple[Sample, ...]:
    return tuple(Sample(f"late-{index}", math.inf, math.inf) for index in range(n))


def accepted(
    of: Spec, number: int, labels: Mapping[str, str], *findings: Finding, checks: Sequence[str] = ()
) -> Judged:
    case = Case(
        f"{of.target}/accept/{number:02}", of.target, {}, "accept", "covers its labels", 1, Decimal("0.04"), labels
    )
    return judged(case, findings, checks)


def refused(
    of: Spec, parameter: str | None, fault: str, *findings: Finding, sent: bool = True, either: bool = False
) -> Judged:
    name = parameter or "body"
    expect: Expect = "either" if either else "reject"
    case = Case(
        f"{of.target}/{name}/{fault}",
        of.target,
        {},
        expect,
        "",
        1,
        Decimal("0.04"),
        {},
        parameter,
        fault,
        None,
        "reject",
    )
    return judged(case, findings, ("negative_data_rejection", "error_shape", "error_names_parameter"), sent=sent)


def judged(case: Case, findings: Sequence[Finding], checks: Sequence[str], *, sent: bool = True) -> Judged:
    own = tuple(replace(finding, case_id=case.id) for finding in findings)
    verdicts = dict.fromkeys(checks, PASS) | {finding.check: finding.verdict for finding in own}
    call = Call("c-1", case, (), Outcome.COMPLETED, "job-1", "yes", 1) if sent else None
    verdict = worst([finding.verdict for finding in own]) if sent else UNKNOWN
    return Judged(case, call, verdict, own, verdicts if sent else {})


def target_result(  # noqa: PLR0917 - as a table
    of: Spec,
    flow: Flow,
    judgements: Sequence[Judged],
    samples: Mapping[str, tuple[Sample, ...]],
    not_separable: Mapping[str, str],
    domains: Mapping[str, Mapping[str, str]],
    price_source: str,
    shown: Sequence[Shown] = (),
) -> TargetResult:
    cases = tuple(one.case for one in judgements)
    plan = Plan(of.target, of.sha256, flow.name, "core", 0, cases, domains)
    ran = [one for one in judgements if one.call is not None]
    counts = Counter(one.verdict.value for one in ran)
    paid = sum(one.case.kind == "accept" for one in ran)
    verdict = worst([one.verdict for one in judgements])
    summary: dict[str, Json] = {
        "spec_sha256": of.sha256,
        "flow": flow.name,
        "origin": flow.server or "https://fal-gateway.invalid",
        "verdict": "pass" if verdict is WARN else verdict.value,
        "coverage": {
            "one_way": 1.0 if ran else 0.0,
            "two_way_classes": 0.9994,
            "two_way_values": 0.571,
            "rejects": 0.98,
        },
        "cases": {
            "planned": len(cases),
            "run": len(ran),
            **{word: counts[word] for word in ("pass", "fail", "warn", "unknown")},
        },
        "findings": [_finding(finding, of) for one in judgements for finding in one.findings],
        "polling": {"schedule": {"kind": "adaptive", "step_s": 1.0}, "polls_per_job": 2.9} if flow.status else None,
        "latency": {
            phase: {"not_separable": not_separable[phase]}
            if phase in not_separable
            else distribution(samples.get(phase, ()))
            for phase in (
                "submit",
                "queue",
                "inference",
                "total",
                "result",
                "download",
                "end_to_end",
                "reported_inference",
            )
        },
        "cost": {
            "paid_requests": paid,
            "images": paid,
            "usd": round(0.04 * paid, 6),
            "usd_per_image": 0.04 if paid else None,
            "price_source": price_source,
        },
        "checks": tallies.checks(judgements),
        "parameters": tallies.parameters(of, plan, judgements),
        "same_request": {"request": "curl --request POST https://queue.fal.run/x --data-raw '{}'", "lacks": ["steps"]},
        "pictures": [pictures.described(one) for one in shown],
        "documents": tallies.documents(of),
    }
    base_url, price = "http://127.0.0.1:1", Decimal("0.04")
    judged = tuple(judgements)
    return TargetResult(of, flow, plan, judged, samples, not_separable, price, base_url, summary, tuple(shown))


def shown(
    case_id: str, verdict: str, data: bytes | None, request: Mapping[str, str], fault: str | None = None
) -> Shown:
    """A picture of a page: 40 by 30 pixels where its data can be read."""
    width, height = (40, 30) if data and not fault else (None, None)
    return Shown(case_id, verdict, 1, 2, data, None if fault else "png", width, height, fault, request)


@cache
def png(width: int = 40, height: int = 30) -> bytes:
    """A picture with two colours."""
    image, out = Image.new("RGB", (width, height), "teal"), io.BytesIO()
    image.paste("orange", (0, 0, width // 2, height))
    image.save(out, "PNG")
    return out.getvalue()


def _finding(finding: Finding, of: Spec) -> Json:
    source = finding.source
    return {
        "check": finding.check,
        "verdict": finding.verdict.value,
        "parameter": finding.parameter,
        "case_id": finding.case_id,
        "expected": finding.expected,
        "observed": finding.observed,
        "message": finding.message,
        "source": source and {"document": source.document, "where": source.where, "states": source.states},
        "request": f"curl --request POST 'https://queue.fal.run/fal-ai/flux-pro/kontext/multi' "
        f'--header "Authorization: Key ${of.credential.env}" '
        """--header 'Content-Type: application/json' --data '{"prompt": "A harbour at dawn", "num_images": 4}'""",
        "smallest": False,
    }


def finding(  # noqa: PLR0917 - a table of findings reads best without names
    check: str, verdict: Verdict, message: str, parameter: str | None = None, expected: str = "", observed: str = "",
    source: Fact | None = None,
) -> Finding:  # fmt: skip
    return Finding(check, verdict, "set by judged", message, parameter, expected, observed, source)


JUDGED_BY = (
    "positive_data_acceptance", "status_code_conformance", "response_schema_conformance", "image_count",
    "image_format", "image_dimensions", "image_decodes", "job_lifecycle", "job_identity", "seed_echo", "timings",
)  # fmt: skip
API = "Flux Pro Kontext Multi API"
FEWER = finding(
    "image_count", FAIL, "the answer holds fewer images than were asked for", "num_images", "4 images", "1 image",
    Fact(API, "Input Schema > num_images", "integer, 1 to 4, default 1"),
)  # fmt: skip
RATIO = finding(
    "image_dimensions", FAIL, "width and height are not in the ratio that was asked for", "aspect_ratio",
    "21:9 within 3 %", "1392 × 752", Fact(API, "Input Schema > aspect_ratio", "one of nine ratios of width to height"),
)  # fmt: skip
ACCEPTS_SEVEN = finding(
    "negative_data_rejection", WARN, "a value that one place allows and another forbids was accepted", "safety_tolerance",
    "refused or accepted", "200, then COMPLETED",
    Fact(API, "Limitations > safety_tolerance", "6 is a member too"),
)  # fmt: skip
TOO_MANY = finding(
    "negative_data_rejection", UNKNOWN, "the provider answered 429, which says nothing about the request", None, "refused", "429",
)  # fmt: skip


@cache
def fal_queue() -> TargetResult:
    """Findings of every verdict, some of them in many cases; every phase is measured."""
    of = spec("fal/flux-pro-kontext-multi")
    domains = {
        "prompt": {"ascii": "plain", "one-character": "plain", "unicode": "unicode", "escapes": "unicode", "long": "long"},
        "num_images": {"absent": "absent", "minimum": "one", "2": "many", "3": "many", "maximum": "max"},
        "guidance_scale": {
            "absent": "absent", "minimum": "lo", "just-above-minimum": "lo", "default": "mid", "interior": "mid",
            "just-below-maximum": "hi", "maximum": "hi",
        },
        "aspect_ratio": {"absent": "absent", "21:9": "landscape", "16:9": "landscape", "1:1": "square", "9:21": "portrait"},
        "output_format": {"absent": "absent", "jpeg": "jpeg", "png": "png"},
    }  # fmt: skip
    rows = [
        accepted(of, number, {name: list(labels)[number // step % len(labels)] for step, (name, labels) in enumerate(domains.items(), 1)},
                 *([FEWER] if number // 2 % 5 == 4 else []), *([RATIO] if number // 4 % 5 == 1 else []), checks=JUDGED_BY)
        for number in range(24)
    ]  # fmt: skip
    faults = (
        "missing",
        "null",
        "wrong-type-string",
        "wrong-type-object",
        "below-minimum",
        "above-maximum",
        "not-a-number",
    )
    rejects = [refused(of, name, fault) for name in domains for fault in faults]
    rejects += [refused(of, "guidance_scale", "infinite", TOO_MANY), refused(of, "prompt", "empty", TOO_MANY)]
    rejects += [refused(of, "safety_tolerance", "integer-6", ACCEPTS_SEVEN, either=True)]
    rejects += [refused(of, None, "truncated"), refused(of, None, "utf-16", sent=False)]
    samples = {
        "submit": spread(24, 0.21),
        "queue": spread(24, 1.9, 0.8),
        "inference": spread(24, 6.4, 0.9),
        "total": spread(24, 8.6, 0.9),
        "result": spread(24, 0.12),
        "download": spread(24, 0.48),
        "end_to_end": spread(24, 9.4),
        "reported_inference": spread(24, 6.1),
    }
    price = "0.04 USD per image, Third-party price page read in 2026-03, 2026-03-01 (observed)"
    asked = {"prompt": "A harbour at dawn", "num_images": "2"}
    seen = [
        shown(rows[8].case.id, "fail", png(), asked),
        shown(rows[0].case.id, "pass", b"no picture", asked, "it is no PNG, JPEG, WebP or GIF image"),
        shown(rows[1].case.id, "pass", None, asked, "it was not fetched"),
    ]
    return target_result(of, of.default_flow, rows + rejects, samples, {}, domains, price, seen)


@cache
def umodelverse_sync() -> TargetResult:
    """All passes; one duration holds every phase."""
    of = spec("umodelverse/flux-kontext-pro")
    domains = {
        "prompt": {"ascii": "plain", "unicode": "unicode"},
        "n": {"absent": "absent", "minimum": "one", "2": "many"},
    }
    rows = [
        accepted(
            of,
            number,
            {name: list(labels)[number % len(labels)] for name, labels in domains.items()},
            checks=JUDGED_BY[:6],
        )
        for number in range(12)
    ]
    rows += [refused(of, "n", "above-maximum"), refused(of, "prompt", "missing")]
    hidden = dict.fromkeys(("submit", "queue", "inference", "result"), SYNCHRONOUS)
    samples = {"total": spread(12, 11.2), "download": spread(12, 0.9), "end_to_end": spread(12, 12.3)}
    price = "0.28 CNY per image, Model list, 2026-10-12 (document); CNY at 0.14 USD, 2026-11-20"
    return target_result(of, of.flows["sync"], rows, samples, hidden, domains, price)


@cache
def wavespeed_poll() -> TargetResult:
    """Two of fourteen jobs never complete; the step is too coarse for the queue."""
    of = spec("wavespeed/flux-kontext-pro-multi")
    domains = {"prompt": {"ascii": "plain"}, "guidance_scale": {"absent": "absent", "minimum": "lo", "maximum": "hi"}}
    late = finding(
        "job_completes", UNKNOWN, "the job passed the deadline of 300 s", None, "a final state", "processing"
    )
    rows = [
        accepted(of, number, {"prompt": "ascii", "guidance_scale": ("absent", "minimum", "maximum")[number % 3]},
                 *([late] if number > 11 else []), checks=JUDGED_BY)
        for number in range(14)
    ]  # fmt: skip
    coarse = "no poll fell between queue and completion: the step is too coarse for these jobs"
    samples = {
        "submit": spread(14, 0.33),
        "total": (*spread(12, 7.3, 1.0), *never(2)),
        "download": spread(12, 0.6),
        "end_to_end": spread(12, 8.1),
    }
    hidden = {"queue": coarse, "inference": coarse}
    return target_result(
        of, of.default_flow, rows, samples, hidden, domains, "0.04 USD per image, WaveSpeed, 2026-10-12 (document)"
    )


@cache
def gateway_untouched() -> TargetResult:
    """The budget was spent before its first case."""
    of = spec("fal-gateway/flux-pro-kontext-multi")
    rows = [refused(of, "num_images", "above-maximum", sent=False)]
    return target_result(of, of.default_flow, rows, {}, {}, {}, "0.035 USD per image, upstream, 2026-10-12 (assumed)")


def run(*targets: TargetResult, mode: str = "replay", recorded_from: str | None = "live", **changes: Json) -> RunResult:
    """A run of targets; ``changes`` replace members of ``run``."""
    summaries = {target.spec.target: target.summary for target in targets}
    verdict = worst([Verdict(summary["verdict"]) for summary in summaries.values()])
    spent = round(sum(summary["cost"]["usd"] for summary in summaries.values()), 6)
    document = {
        "schema_version": 1,
        "run": {
            "id": "20261121-014717-7f3a",
            "started_at": "2026-11-21T01:47:17Z",
            "finished_at": "2026-11-21T01:47:19Z",
            "complete": False,
            "mode": mode,
            "recorded_from": recorded_from,
            "recorded_at": "2026-11-18T09:30:00Z" if recorded_from else None,
            "harness_version": "0.1.0",
            "seed": 0,
            "command": "harness check --replay --tier core",
            "audit": {
                "valid": True,
                "reasons": [],
                "loop_lag_p99_s": 0.0004,
                "start_lag_p99_s": None,
                "cpu_share": 0.11,
            },
            **changes,
        },
        "totals": {
            "verdict": verdict.value,
            "paid_requests": sum(summary["cost"]["paid_requests"] for summary in summaries.values()),
            "unknown_charge": 2,
            "images": sum(summary["cost"]["images"] for summary in summaries.values()),
            "usd": spent,
            "usd_max": round(spent + 0.08, 6),
            "requests": 412,
            "cases": {
                word: sum(summary["cases"][word] for summary in summaries.values())
                for word in ("planned", "run", "pass", "fail", "warn", "unknown")
            },
        },
        "targets": summaries,
    }
    return RunResult(document, targets)


def realistic(mode: str = "replay", recorded_from: str | None = "live") -> RunResult:
    """Four providers, every verdict, every kind of latency."""
    return run(
        fal_queue(), umodelverse_sync(), wavespeed_poll(), gateway_untouched(), mode=mode, recorded_from=recorded_from
    )


HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1) style='color:red'> ${7*7} {{ 7*7 }} $\\frac$ "
    "\x1b[31mred\x07 \u202egnp.exe \u2066 \ud800 javascript:alert(1) \r\n::error::owned\n##[group]x ]]> --> "
)


def hostile() -> RunResult:
    """One target in which every text that may come from outside is hostile, and 20 000 characters long."""
    long = HOSTILE + "x" * 20_000
    source = Fact(long, long, long)
    loud = finding("error_shape", FAIL, long, long, long, long, source)
    of = spec("fal/flux-pro-kontext-multi")
    rows = [accepted(of, 1, {long: long}, loud, checks=("error_shape", long)), refused(of, long, long, loud)]
    samples = {"total": spread(8, 5.0)}
    hidden = dict.fromkeys(("queue", "inference"), long)
    seen = [shown(long, "fail", png(), {long: long}), shown(long, "fail", b"", {long: long}, long)]
    domains = {long: {long: long}}
    result = target_result(replace(of, target=long), of.default_flow, rows, samples, hidden, domains, long, seen)
    result.summary["same_request"].update(request=long, lacks=[long])
    for one in result.summary["findings"]:
        one |= {"request": long}
    result.summary["polling"]["schedule"] = {long: long}
    audit = {"valid": False, "reasons": [long], "loop_lag_p99_s": 0.1, "start_lag_p99_s": 0.1, "cpu_share": 1.0}
    return run(result, command=long, audit=audit, id=long)
