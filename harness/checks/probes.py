"""Checks of the questions asked beside a job: the same again, without the key, of a job that does not exist.

A probe costs nothing. Most are asked along the way of the first accept case of a plan; what no document states about
them is only noted.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from harness.checks.evidence import Evidence, show
from harness.checks.protocol import once
from harness.model import SUBMIT_PROBE, Exchange, Finding, Json, Verdict

Findings = list[Finding] | None


def ignored_auth(seen: Evidence) -> Findings:
    """Without the key, or with another credential in its place, nothing is accepted and nothing is shown."""
    submits = [e for e in seen.call.of("probe") if e.purpose.startswith(SUBMIT_PROBE)]
    asked = [*submits, *seen.probes("status-without-key", "result-without-key")]
    if not asked:
        return None
    found = []
    for exchange in asked:
        credential, answer = seen.spec.credential, exchange.response
        what = exchange.purpose.replace("-", " ")
        if answer is None or answer.status == 429 or answer.status >= 500:
            found.append(seen.unknown("ignored_auth", f"the {what} got no answer that tells").shown_by(exchange))
        elif answer.status < 300:
            finding = seen.grade(
                "ignored_auth",
                f"the {what} is answered {answer.status}",
                sources=[credential.source],
                expected="401 or 403",
                observed=str(answer.status),
            )
            found.append((finding.weighed(Verdict.WARN) if credential.optional else finding).shown_by(exchange))
    return once(found)


def unknown_job(seen: Evidence) -> Findings:
    """An id that nobody was given leads nowhere: 404."""
    asked = seen.probes("unknown-job")
    if not asked:
        return None
    found = []
    for exchange in asked:
        answer = exchange.response
        if answer is None or answer.status in (401, 403, 429) or answer.status >= 500:
            unknown = seen.unknown("unknown_job", "the question for an unknown job got no answer that tells")
            found.append(unknown.shown_by(exchange))
        elif answer.status != 404:
            finding = seen.grade(
                "unknown_job", "an unknown job is not a 404", expected="404", observed=str(answer.status)
            )
            found.append(finding.weighed(Verdict.WARN).shown_by(exchange))
    return once(found)


def repeatable_read(seen: Evidence) -> Findings:
    """A finished job read twice says the same, signatures in URLs aside."""
    again = [exchange for exchange in seen.probes("result-again") if exchange.response is not None]
    if not again or seen.final is None:
        return None
    first, step = seen.final
    answer = again[-1].response
    assert answer is not None  # noqa: S101 - filtered above
    if answer.status in (401, 403, 429) or answer.status >= 500:
        unknown = seen.unknown("repeatable_read", f"the second read was answered {answer.status}", str(answer.status))
        return [unknown.shown_by(again[-1])]
    if unsigned(seen.value(again[-1])) == unsigned(seen.value(first)):
        return []
    return [
        seen.grade(
            "repeatable_read",
            f"{step.operation.method} {step.operation.path} answers the second read with something else",
            sources=[step.operation.source],
            observed=show(answer.body.decode("utf-8", "replace")),
        ).shown_by(again[-1])
    ]


def unsigned(value: Json) -> Json:
    """A value with the query strings of its URLs left out."""
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return urlsplit(value)._replace(query="", fragment="").geturl()
    if isinstance(value, list):
        return [unsigned(item) for item in value]
    if isinstance(value, dict):
        return {name: unsigned(item) for name, item in value.items()}
    return value


def early_result(seen: Evidence) -> Findings:
    """A result is not there before the job is done, and a job that is done cannot be cancelled."""
    found = []
    for exchange in seen.probes("early-result"):
        found += _early(seen, exchange)
    for exchange in seen.probes("cancel-finished"):
        answer, step = exchange.response, seen.flow.cancel
        if answer is not None and step is not None and answer.status < 300:
            message = "a job that had completed could still be cancelled"
            finding = seen.grade("job_lifecycle", message, sources=[step.operation.source], observed=str(answer.status))
            found.append(finding.shown_by(exchange))
    return once(found) if seen.probes("early-result", "cancel-finished") else None


def _early(seen: Evidence, exchange: Exchange) -> list[Finding]:
    answer, step = exchange.response, seen.flow.result
    if answer is None or step is None or answer.status >= 300:
        return []
    early = step.shape.outputs(seen.value(exchange))
    # A job may have been quick: then the early result is the result.
    if not early or [output.url for output in early] == [output.url for output in seen.outputs]:
        return []
    message = "the result had outputs before the job was done, and later others"
    finding = seen.grade("job_lifecycle", message, sources=[step.operation.source], observed=show(early[0].url or ""))
    return [finding.shown_by(exchange)]


def second_download(seen: Evidence) -> Findings:
    """An image fetched twice is the same image."""
    again = [exchange for exchange in seen.probes("asset-again") if exchange.response is not None]
    if not again or again[-1].response is None:
        return None
    first = next((e for e in seen.call.of("asset") if e.url == again[-1].url and e.response is not None), None)
    if first is None or first.response is None or first.response.status >= 300:
        return None
    field, answer = seen.field("output_url"), again[-1].response
    if answer.status < 300 and answer.body == first.response.body:
        return []
    message = "an image cannot be fetched twice" if answer.status >= 300 else "an image fetched twice is another one"
    return [
        seen.grade(
            "image_download",
            message,
            sources=[field.source if field else None],
            expected="the same",
            observed=str(answer.status),
        ).shown_by(again[-1])
    ]
