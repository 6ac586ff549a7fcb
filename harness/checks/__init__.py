"""Does an endpoint do what its documents say? One pure function per promise, in a table.

Rules
-----
* A check sees the spec and the recorded calls of one case, and nothing else.
* It returns None where it does not apply, no finding where the promise was kept, findings otherwise.
* A check that crashes is ``unknown``: a defect of ours is never a provider's failure, nor its pass.
* A case that was never sent is ``unknown``; where enough was accepted before it (``enough``), the first one says so.
* Three jobs past the deadline and none completed is a finding about the target: ``job_completes`` fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.checks import billing, jobs, outputs, probes, protocol, repeats
from harness.checks.evidence import Anchor, Evidence, Others
from harness.enough import left_out
from harness.flow import Route, encode
from harness.isolate import ISOLATION, MINIMISATION, Culprits, isolations, recorded_outcome
from harness.model import Call, Case, Finding, Judged, Outcome, Plan, Verdict, worst

Check = Callable[[Evidence], "list[Finding] | None"]


def _together(*checks: Check) -> Check:
    """One check of several: it applies where any of them does."""

    def check(seen: Evidence) -> list[Finding] | None:
        found = [findings for one in checks if (findings := one(seen)) is not None]
        return [finding for findings in found for finding in findings] if found else None

    check.__doc__ = checks[0].__doc__
    return check


CHECKS: Mapping[str, Check] = {
    "credentials_accepted": protocol.credentials_accepted,
    "positive_data_acceptance": protocol.positive_data_acceptance,
    "negative_data_rejection": protocol.negative_data_rejection,
    "not_a_server_error": protocol.not_a_server_error,
    "status_code_conformance": protocol.status_code_conformance,
    "content_type_conformance": protocol.content_type_conformance,
    "well_formed_json": protocol.well_formed_json,
    "response_schema_conformance": protocol.response_schema_conformance,
    "error_shape": protocol.error_shape,
    "error_names_parameter": jobs.error_names_parameter,
    "no_redirect": protocol.no_redirect,
    "limits": protocol.limits,
    "transport": protocol.transport,
    "url_origin": protocol.url_origin,
    "job_identity": jobs.job_identity,
    "job_lifecycle": _together(protocol.job_lifecycle, probes.early_result),
    "job_completes": protocol.job_completes,
    "repeatable_read": probes.repeatable_read,
    "unknown_job": probes.unknown_job,
    "ignored_auth": probes.ignored_auth,
    "timestamps": jobs.timestamps,
    "timings": jobs.timings,
    "image_count": outputs.image_count,
    "image_download": _together(outputs.image_download, probes.second_download),
    "image_decodes": outputs.image_decodes,
    "image_format": outputs.image_format,
    "image_dimensions": outputs.image_dimensions,
    "output_encoding": outputs.output_encoding,
    "seed_echo": outputs.seed_echo,
    "prompt_echo": outputs.prompt_echo,
    "content_flags": outputs.content_flags,
    "reproducible_seed": repeats.reproducible_seed,
    "default_equals_explicit": repeats.default_equals_explicit,
    "unknown_field": repeats.unknown_field,
    "billed_units": billing.units_are_images,
}
STALLED_JOBS = 3


def promise(name: str) -> str:
    """What a check asks for, in half a line: the first clause of its docstring; empty for a name that is no check's."""
    check = CHECKS.get(name)
    return re.split(r"[;:.](?:\s|$)", (check.__doc__ or "") if check is not None else "")[0]


def judge(
    route: Route, plan: Plan, calls: Sequence[Call], anchor: Anchor | None = None, *, fetched: bool = True
) -> tuple[Judged, ...]:
    """The verdict on every case of a plan; a case that was never sent is ``unknown``.

    ``anchor`` ties the calls' instants to dates; without one, dates in answers are not judged. ``fetched`` says that the
    run set out to fetch the outputs.
    """
    first = {call.case.id: call for call in calls if call.derived is None}
    confirmed = {call.case.id: call for call in calls if call.derived == "confirmation"}
    culprits = _culprits(route, plan, first, calls)
    reasons = {rest.cases[0].id: rest.reason for rest in left_out(plan.cases, calls)}
    smaller: dict[str, list[Call]] = {}
    for call in calls:
        if call.derived == MINIMISATION:
            smaller.setdefault(call.case.id, []).append(call)
    judged, together = [], Others(calls)
    for case in plan.cases:
        sent = first.get(case.id)
        if sent is None:
            judged.append(_never_sent(case, reasons.get(case.id)))
            continue
        again, blamed = confirmed.get(case.id), culprits.get(case.id)
        one = _judge(Evidence(route, case, sent, again, together, anchor, blamed, fetched))
        judged.append(_shown_by_less(route, plan, one, smaller[case.id]) if case.id in smaller else one)
    return _with_stalled(route, judged)


def _never_sent(case: Case, reason: str | None) -> Judged:
    if reason is None:
        return Judged(case, None, Verdict.UNKNOWN, (), {})
    name = "negative_data_rejection"
    finding = Finding(name, Verdict.UNKNOWN, case.id, reason, case.parameter, "refused", "not sent")
    return Judged(case, None, Verdict.UNKNOWN, (finding,), {name: Verdict.UNKNOWN})


def failed(route: Route, plan: Plan, call: Call) -> frozenset[str]:
    """The checks that a call fails, looked at by itself; a server error counts before anything confirms it."""
    alone = replace(plan, cases=(call.case,))
    (judged,) = judge(route, alone, [replace(call, derived=None)])
    answers = [exchange.response for exchange in call.of("submit")]
    crashed = bool(answers) and answers[-1] is not None and answers[-1].status >= 500
    found = {name for name, verdict in judged.checks.items() if verdict is Verdict.FAIL}
    return frozenset(found | ({"not_a_server_error"} if crashed else set()))


def _shown_by_less(route: Route, plan: Plan, one: Judged, smaller: Sequence[Call]) -> Judged:
    """The same judgement, each failure shown by the least request on record that fails the same check."""
    by_call = [(call.case.body, failed(route, plan, call)) for call in smaller]

    def shown(finding: Finding) -> Finding:
        bodies = [body for body, checks in by_call if finding.check in checks]
        if finding.verdict is not Verdict.FAIL or not bodies:
            return finding
        least = min(bodies, key=lambda body: (len(body), len(encode(body)), encode(body)))
        return replace(finding, body=least)

    return replace(one, findings=tuple(map(shown, one.findings)))


def _culprits(route: Route, plan: Plan, first: Mapping[str, Call], calls: Sequence[Call]) -> Mapping[str, Culprits]:
    """What the run's isolating calls found out: the search is led again over their record."""
    outcomes = {case_id: call.outcome for case_id, call in first.items()}
    recorded = [call for call in calls if call.derived == ISOLATION]
    search = isolations(route.spec, plan.cases, outcomes)
    try:
        case = next(search)
        while True:
            case = search.send(recorded_outcome(recorded, case))
    except StopIteration as end:
        found: Mapping[str, Culprits] = end.value
        return found


def _judge(seen: Evidence) -> Judged:
    verdicts: dict[str, Verdict] = {}
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        try:
            found = check(seen)
        except Exception as error:  # noqa: BLE001 - whatever a check did not foresee says nothing about the provider
            found = [seen.unknown(name, f"the check itself failed: {type(error).__name__}: {error}"[:300])]
        if found is not None:
            found = _unless_withheld(seen.call, found)
            verdicts[name] = worst([finding.verdict for finding in found])
            findings += found
    return Judged(seen.case, seen.call, worst(list(verdicts.values())), tuple(findings), verdicts)


def _unless_withheld(call: Call, found: list[Finding]) -> list[Finding]:
    """Failures on an answer that held a key and could not be kept say nothing: what is read is not what came."""
    if not found or not any(e.response is not None and e.response.withheld for e in call.exchanges):
        return found
    why = "an answer held the key and was withheld from the record"
    return [
        replace(f, verdict=Verdict.UNKNOWN, message=f"{f.message}; {why}") if f.verdict is Verdict.FAIL else f
        for f in found
    ]


def _with_stalled(route: Route, judged: Sequence[Judged]) -> tuple[Judged, ...]:
    """Turn ``job_completes`` into a failure when jobs are accepted and none is ever done."""
    accepts = [one for one in judged if one.case.kind == "accept"]
    late = [one for one in accepts if one.call and Evidence(route, one.case, one.call).past_deadline]
    if len(late) < STALLED_JOBS or any(one.call and one.call.outcome is Outcome.COMPLETED for one in accepts):
        return tuple(judged)
    return tuple(_stalled(one, len(late)) if one in late else one for one in judged)


def _stalled(one: Judged, jobs: int) -> Judged:
    findings = tuple(
        replace(f, verdict=Verdict.FAIL, message=f"{f.message}, nor was any of {jobs} jobs")
        if f.check == "job_completes"
        else f
        for f in one.findings
    )
    checks = {**one.checks, "job_completes": Verdict.FAIL}
    return Judged(one.case, one.call, worst(list(checks.values())), findings, checks)
