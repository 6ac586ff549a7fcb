"""Does an endpoint do what its documents say? One pure function per promise, in a table.

Rules
-----
* A check sees the spec and the recorded calls of one case, and nothing else.
* It returns None where it does not apply, no finding where the promise was kept, findings otherwise.
* A check that crashes is ``unknown``: a defect of ours is never a provider's failure, nor its pass.
* Three jobs past the deadline and none completed is a finding about the target: ``job_completes`` fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.checks import outputs, protocol
from harness.checks.evidence import Evidence
from harness.flow import Route
from harness.model import Call, Finding, Judged, Outcome, Plan, Verdict, worst

Check = Callable[[Evidence], "list[Finding] | None"]

CHECKS: Mapping[str, Check] = {
    check.__name__: check
    for check in (
        protocol.credentials_accepted,
        protocol.positive_data_acceptance,
        protocol.negative_data_rejection,
        protocol.not_a_server_error,
        protocol.status_code_conformance,
        protocol.content_type_conformance,
        protocol.well_formed_json,
        protocol.response_schema_conformance,
        protocol.error_shape,
        protocol.no_redirect,
        protocol.limits,
        protocol.transport,
        protocol.url_origin,
        protocol.job_lifecycle,
        protocol.job_completes,
        outputs.image_count,
        outputs.image_download,
        outputs.image_decodes,
        outputs.image_format,
        outputs.image_dimensions,
        outputs.output_encoding,
        outputs.seed_echo,
        outputs.prompt_echo,
        outputs.content_flags,
    )
}
STALLED_JOBS = 3


def judge(route: Route, plan: Plan, calls: Sequence[Call]) -> tuple[Judged, ...]:
    """The verdict on every case of a plan; a case that was never sent is ``unknown``."""
    first = {call.case.id: call for call in calls if call.derived is None}
    confirmed = {call.case.id: call for call in calls if call.derived == "confirmation"}
    judged = []
    for case in plan.cases:
        call = first.get(case.id)
        if call is None:
            judged.append(Judged(case, None, Verdict.UNKNOWN, (), {}))
            continue
        judged.append(_judge(Evidence(route, case, call, confirmed.get(case.id))))
    return _with_stalled(route, judged)


def _judge(seen: Evidence) -> Judged:
    verdicts: dict[str, Verdict] = {}
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        try:
            found = check(seen)
        except Exception as error:  # noqa: BLE001 - whatever a check did not foresee says nothing about the provider
            found = [seen.unknown(name, f"the check itself failed: {type(error).__name__}: {error}"[:300])]
        if found is not None:
            verdicts[name] = worst([finding.verdict for finding in found])
            findings += found
    return Judged(seen.case, seen.call, worst(list(verdicts.values())), tuple(findings), verdicts)


def _with_stalled(route: Route, judged: Sequence[Judged]) -> tuple[Judged, ...]:
    """Turn ``job_completes`` into a failure when jobs are accepted and none is ever done."""
    accepts = [one for one in judged if one.case.fault is None]
    late = [one for one in accepts if one.call and Evidence(route, one.case, one.call).past_deadline]
    if len(late) < STALLED_JOBS or any(one.call and one.call.outcome is Outcome.COMPLETED for one in judged):
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
