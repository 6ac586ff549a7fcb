"""Checks of the exchange itself: acceptance, refusal, statuses, media types, bodies, and the life of a job.

A check returns None where it does not apply, else its findings; none means that the promise was kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from harness.checks.evidence import Evidence, show
from harness.checks.schema import Violation, violations
from harness.flow import KEY_REFUSED, answer_json
from harness.isolate import Culprits
from harness.metrics.phases import state_of
from harness.model import Exchange, Fact, Failure, Finding, Outcome, State, Verdict
from harness.spec import Shape
from harness.strict import StrictError
from harness.urls import origin, show_origin, without_query

Findings = list[Finding] | None
JSON_TYPES = ("application/json", "application/problem+json")
_RANK: dict[State, int] = {"queued": 0, "running": 1, "completed": 2, "failed": 2, "cancelled": 2}


def positive_data_acceptance(seen: Evidence) -> Findings:
    """A request within the document is accepted."""
    if not seen.expects_acceptance:
        return None
    name, call = "positive_data_acceptance", seen.call
    if seen.misplaced:
        return [_misplaced(seen, name)]
    if call.outcome is Outcome.UNKNOWN and not _accepted(seen):
        return [seen.unknown(name, f"nothing is known about the request: {call.reason}")]
    if call.outcome is not Outcome.REJECTED:
        return []
    if seen.culprits is not None:
        return [_explained(seen, seen.culprits)]
    verdict, message = Verdict.FAIL, f"the request was refused although {seen.case.why}"
    if seen.case.expect == "either":
        verdict, message = Verdict.WARN, f"the request was refused; the document leaves it open: {seen.case.why}"
    return [Finding(name, verdict, seen.case.id, message, None, "accepted", _refusal(seen), seen.case.source)]


def _explained(seen: Evidence, culprits: Culprits) -> Finding:
    """A refusal with the parameters that cause it; whether it may be refused is asked of these alone."""
    blamed = [p for p in seen.spec.parameters if p.name in culprits.names]
    values = ", ".join(
        f"{name} = {show(json.dumps(culprits.body[name], ensure_ascii=False), 60)}"
        if name in culprits.body
        else f"no {name}"
        for name in culprits.names
    )
    together = "these values together" if len(culprits.names) > 1 else "this value"
    contested = seen.spec.contested(culprits.body)
    message = f"refused because of {values}; the document allows {together}"
    if contested is not None:
        message = f"refused because of {values}; the document leaves it open: {contested.states}"
    return Finding(
        check="positive_data_acceptance",
        verdict=Verdict.WARN if contested is not None else Verdict.FAIL,
        case_id=seen.case.id,
        message=message,
        parameter=", ".join(culprits.names),
        expected="accepted",
        observed=_refusal(seen),
        source=contested.places[0] if contested else blamed[0].source if blamed else seen.case.source,
        body=culprits.body,
    )


def negative_data_rejection(seen: Evidence) -> Findings:
    """A request with one fault that the document forbids is refused."""
    if seen.case.kind != "reject":
        return None
    name, call, case = "negative_data_rejection", seen.call, seen.case
    if seen.misplaced:
        return [_misplaced(seen, name)]
    if call.outcome is Outcome.REJECTED:
        return []
    if call.outcome is Outcome.UNKNOWN and not _accepted(seen):
        message = f"nothing is known about the refusal: {call.reason}"
        return [seen.unknown(name, message, parameter=case.parameter)]
    if call.outcome is Outcome.UNKNOWN:
        return [seen.unknown(name, f"accepted, end unknown: {call.reason}", parameter=case.parameter)]
    verdict = Verdict.WARN if case.expect == "either" or call.outcome is Outcome.FAILED else Verdict.FAIL
    how = "accepted" if call.outcome is Outcome.COMPLETED else f"accepted; {call.reason}"
    message = f"the request was {how} although {case.why}"
    if case.expect == "either":
        message = f"the request was {how}; the document leaves it open: {case.why}"
    source = case.source
    if source is not None and source.kind in ("observed", "assumed"):
        verdict = Verdict.WARN
    return [Finding(name, verdict, case.id, message, case.parameter, "refused", how, source)]


def _misplaced(seen: Evidence, check: str) -> Finding:
    where = show_origin(seen.route.base_url)
    message = f"every submit was answered {seen.misplaced}: is the base URL right, and the path behind {where}?"
    return seen.unknown(check, message, str(seen.misplaced))


def _accepted(seen: Evidence) -> bool:
    return any(e.response is not None and e.response.status < 300 for e in seen.call.of("submit"))


def _refusal(seen: Evidence) -> str:
    refused = [e for e, _ in seen.steps if e.response is not None and e.response.status >= 400]
    if not refused or refused[-1].response is None:
        return seen.call.reason
    return f"{refused[-1].response.status}: {show(refused[-1].response.body.decode('utf-8', 'replace'), 300)}"


def not_a_server_error(seen: Evidence) -> Findings:
    """No request is answered with a 5xx; one on a submit is confirmed by one further call before it fails."""
    name = "not_a_server_error"
    first = _server_error(seen.call.of("submit"))
    if first is not None:
        again = seen.confirmation
        if again is None or (again.outcome is Outcome.UNKNOWN and not _answered(again.of("submit"))):
            return [seen.unknown(name, f"a submit was answered {first}, and not confirmed", str(first))]
        second = _server_error(again.of("submit"))
        verdict = Verdict.FAIL if second is not None else Verdict.WARN
        twice = "also when it was sent again" if second is not None else "but not when it was sent again"
        kind = "a valid request" if seen.expects_acceptance else "an invalid request"
        message = f"{kind} was answered {first}, {twice}"
        return [Finding(name, verdict, seen.case.id, message, None, "no 5xx", _refusal(seen))]
    for read in seen.call.of("status", "result"):
        if (later := _server_error([read])) is not None:
            message = "the provider answered a read with a server error and went on"
            finding = Finding(name, Verdict.WARN, seen.case.id, message, None, "no 5xx", str(later))
            return [finding.shown_by(read)]
    return []


def _server_error(exchanges: Sequence[Exchange]) -> int | None:
    statuses = [e.response.status for e in exchanges if e.response is not None]
    return next((status for status in statuses if 500 <= status < 600), None)


def _answered(exchanges: Sequence[Exchange]) -> bool:
    return any(e.response is not None and e.response.status not in (*KEY_REFUSED, 429) for e in exchanges)


def status_code_conformance(seen: Evidence) -> Findings:
    """Every answer has a status that the document gives for its operation."""
    found = []
    for exchange, step, answer in seen.answers:
        operation = step.operation
        if 300 <= answer.status < 400 or operation.answer(answer.status) is not None:
            continue
        documented = ", ".join(operation.answers)
        finding = seen.grade(
            "status_code_conformance",
            f"{operation.method} {operation.path} was answered {answer.status}",
            sources=[operation.source],
            expected=f"one of {documented}",
            observed=str(answer.status),
        )
        if answer.status >= 400:  # none of the documents lists the refusals it knows as complete
            finding = finding.weighed(Verdict.WARN)
        found.append(finding.shown_by(exchange))
    return once(found)


def no_redirect(seen: Evidence) -> Findings:
    """No API call is answered with a redirect; it would carry the request, and a key, elsewhere."""
    return once([
        seen.grade(
            "no_redirect", f"{step.operation.method} {step.operation.path} was redirected", observed=str(a.status)
        ).shown_by(exchange)
        for exchange, step, a in seen.answers
        if 300 <= a.status < 400
    ])  # fmt: skip


def content_type_conformance(seen: Evidence) -> Findings:
    """Every answer has a media type that the document gives for its status."""
    found = []
    for exchange, step, answer in seen.answers:
        documented = step.operation.answer(answer.status) or {}
        if not documented or answer.content_type in documented:
            continue
        finding = seen.grade(
            "content_type_conformance",
            f"{step.operation.method} {step.operation.path} was answered with another media type",
            sources=[step.operation.source],
            expected=" or ".join(documented),
            observed=answer.content_type or "none",
        )
        found.append((finding if answer.status < 300 else finding.weighed(Verdict.WARN)).shown_by(exchange))
    return once(found)


def well_formed_json(seen: Evidence) -> Findings:
    """Every answer that calls itself JSON is JSON that no two parsers read differently."""
    found = []
    for exchange, step, answer in seen.answers:
        if answer.content_type not in JSON_TYPES or 300 <= answer.status < 400:
            continue
        try:
            answer_json(answer)
        except StrictError as error:
            found.append(
                seen.grade(
                    "well_formed_json",
                    f"the answer of {step.operation.method} {step.operation.path} is not well-formed: {error}",
                    observed=show(answer.body[:120].decode("utf-8", "replace")),
                ).shown_by(exchange)
            )
    return once(found)


def response_schema_conformance(seen: Evidence) -> Findings:
    """Every successful answer has the documented shape."""
    found: list[Finding] = []
    for exchange, step, answer in seen.answers:
        value = seen.value(exchange)
        if answer.status >= 300 or value is None:
            continue
        for violation in violations(step.shape.schema, value):
            found.append(
                seen.grade(
                    "response_schema_conformance",
                    f"{step.operation.id}: {violation.place}: {violation.message}",
                    sources=[_stated(step.shape, violation, step.operation.source)],
                    about=violation.about,
                    expected=violation.expected,
                    observed=violation.observed,
                ).shown_by(exchange)
            )
    return once(found)


def _stated(shape: Shape, violation: Violation, otherwise: Fact) -> Fact:
    """Where a broken rule is stated: at its field, else at the nearest field around it, else for the whole shape."""
    path = tuple("*" if isinstance(part, int) else part for part in violation.path)
    for length in range(len(path), 0, -1):
        near = [(f, f.source) for f in shape.fields if f.path == path[:length] and f.source is not None]
        if near:
            return next((source for field, source in near if field.schema["x-at"] == violation.at), near[0][1])
    return _whole(shape, otherwise)


def _whole(shape: Shape, otherwise: Fact) -> Fact:
    """What a shape as a whole rests on: the firmest of its fields' sources."""
    return min((f.source for f in shape.fields if f.source is not None), key=_firmness, default=otherwise)


def _firmness(fact: Fact) -> int:
    return ("document", "client", "observed", "assumed").index(fact.kind)


def error_shape(seen: Evidence) -> Findings:
    """A refusal has the documented shape."""
    refusals = [(e, s, a) for e, s, a in seen.answers if a.status >= 400 and e.step in ("submit", "result")]
    if not refusals:
        return None
    found: list[Finding] = []
    for exchange, step, answer in refusals:
        shape = (step.operation.answer(answer.status) or {}).get("application/json")
        if shape is None:
            continue
        value = seen.value(exchange)
        if value is None:
            found.append(
                seen.grade(
                    "error_shape",
                    "the refusal is not JSON",
                    sources=[_whole(shape, step.operation.source)],
                    about=[str(shape.schema["x-at"])],
                    observed=show(answer.body.decode("utf-8", "replace")),
                ).shown_by(exchange)
            )
            continue
        for violation in violations(shape.schema, value):
            found.append(
                seen.grade(
                    "error_shape",
                    f"{violation.place}: {violation.message}",
                    sources=[_stated(shape, violation, step.operation.source)],
                    about=violation.about,
                    expected=violation.expected,
                    observed=violation.observed,
                ).shown_by(exchange)
            )
    return once([seen.about_refusal(finding) for finding in found])


def job_lifecycle(seen: Evidence) -> Findings:
    """A job's states are documented, never go back, and it has no outputs before it is done."""
    if seen.flow.status is None or not seen.call.of("status"):
        return None
    found: list[Finding] = []
    highest: State = "queued"
    for exchange, step in seen.steps:
        field, value = next(iter(step.shape.with_role("status")), None), seen.value(exchange)
        if exchange.step not in ("submit", "status") or value is None:
            continue
        if exchange.response is None or exchange.response.status >= 300:
            continue
        source = field.source if field else step.operation.source
        word, state = step.shape.one("status", value), state_of(seen.flow, step, exchange)
        if exchange.step == "submit" and word is None:
            continue  # a submit need not name a state
        if state is None:
            words = ", ".join(seen.flow.states)
            if word is None:
                continue  # a missing state is the schema's business
            message = f"the state {show(word, 40)} is not documented"
            finding = seen.grade(
                "job_lifecycle", message, sources=[source], expected=f"one of {words}", observed=show(word)
            )
            found.append(finding.shown_by(exchange))
            continue
        if _RANK[state] < _RANK[highest]:
            message = f"the job went back from {highest} to {state}"
            finding = seen.grade("job_lifecycle", message, sources=[source], observed=show(word))
            found.append(finding.shown_by(exchange))
        highest = max(highest, state, key=_RANK.__getitem__)
        if state in ("queued", "running") and step.shape.outputs(value):
            outputs = next(iter(step.shape.with_role("outputs")), None)
            message = f"the job has outputs while it is {state}"
            finding = seen.grade("job_lifecycle", message, sources=[outputs.source if outputs else None])
            found.append(finding.shown_by(exchange))
    return once(found)


def job_completes(seen: Evidence) -> Findings:
    """An accepted job ends with its outputs."""
    if not seen.expects_acceptance or seen.call.outcome is Outcome.REJECTED:
        return None
    if not _accepted(seen) and not seen.past_deadline:
        return None
    if seen.call.outcome is Outcome.COMPLETED:
        return []
    if seen.call.outcome is Outcome.UNKNOWN:
        return [seen.unknown("job_completes", seen.call.reason, f"job {seen.call.job_id or 'without an id'}")]
    last, step = seen.steps[-1]
    outputs = next(iter(step.shape.with_role("outputs")), None)
    # Where the last answer came and has no outputs, that they should stand there is the shape's promise.
    came = last.response is not None and last.response.status < 300
    return [
        seen.grade(
            "job_completes",
            f"the job did not deliver: {seen.call.reason}",
            sources=[outputs.source if outputs and came else None],
            expected="completed",
            observed=seen.call.reason,
        )
    ]


def url_origin(seen: Evidence) -> Findings:
    """Links to the API stay on the origin in use: a client that follows them takes its key along."""
    applies, found = False, []
    for exchange, step, answer in seen.answers:
        if answer.status >= 300:
            continue
        value = seen.value(exchange)
        for field in step.shape.fields:
            if not field.role.startswith("link_"):
                continue
            link = step.shape.one(field.role, value)
            if not isinstance(link, str):
                continue
            applies = True
            if origin(link) == origin(seen.route.base_url):
                continue
            finding = seen.grade(
                "url_origin",
                f"{'.'.join(field.path)} leads to another host; a client that follows it discloses its key there",
                expected=show_origin(seen.route.base_url),
                observed=show(without_query(link)),
            )
            foreign = field.detail.get("foreign")
            if foreign and origin(link) == origin(foreign):
                message = f"{finding.message}; the document's own example does the same"
                finding = Finding(
                    "url_origin",
                    Verdict.WARN,
                    seen.case.id,
                    message,
                    None,
                    finding.expected,
                    show_origin(link),
                    field.source,
                )
            found.append(finding.shown_by(exchange))
    return once(found) if applies else None


def transport(seen: Evidence) -> Findings:
    """Every request is answered; a submit that never left and was taken when it was tried again is only noted."""
    found, submits = [], seen.call.of("submit")
    lost = bool(submits) and isinstance(submits[-1].reply, Failure)
    for exchange in seen.call.exchanges:
        reply = exchange.reply
        if not isinstance(reply, Failure) or exchange.step == "asset" or exchange.cut_off:
            continue
        message = f"the {exchange.step} got no answer ({reply.kind}): {reply.message}"
        if exchange.step == "submit" and lost:
            found.append(seen.unknown("transport", message, reply.kind))
        else:
            finding = Finding("transport", Verdict.WARN, seen.case.id, message, None, "an answer", reply.kind)
            found.append(finding.shown_by(exchange))
    return once(found)


def limits(seen: Evidence) -> Findings:
    """No answer breaks a bound of size, headers or encoding."""
    return once([
        seen.grade("limits", f"the answer to the {exchange.step} broke a limit: {exchange.reply.message}").shown_by(exchange)
        for exchange in seen.call.exchanges
        if isinstance(exchange.reply, Failure) and exchange.reply.kind == "limit"
    ])  # fmt: skip


def credentials_accepted(seen: Evidence) -> Findings:
    """The key is accepted; otherwise nothing can be said about anything else."""
    if seen.case.sending is not None:
        return None  # an odd request may be refused like a key by whatever stands in front
    refused = [e.response.status for e, _ in seen.steps if e.response is not None and e.response.status in KEY_REFUSED]
    if refused:
        return [
            seen.unknown(
                "credentials_accepted", f"the key or the account was refused with {refused[0]}", str(refused[0])
            )
        ]
    return [] if any(e.response is not None for e, _ in seen.steps) else None


def once(findings: Sequence[Finding]) -> list[Finding]:
    """Findings with the same message once: a job that is polled ten times breaks a promise once."""
    return list({(f.message, f.observed): f for f in reversed(findings)}.values())[::-1]
