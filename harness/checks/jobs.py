"""Checks of what a job says about itself: whose it is, when it began, how long it took, and what was wrong with it.

Each returns None where it does not apply, else its findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urlsplit

from harness.checks.evidence import Evidence, show
from harness.checks.protocol import once
from harness.metrics.phases import Interval, phases
from harness.model import Exchange, Finding, Outcome, Response, Verdict
from harness.spec import Field, Step

Findings = list[Finding] | None

CLOCK_SECONDS = 120
LEAST_SHARE = 0.02
"""An inference below this share of what was seen from outside is in another unit."""
SHORTEST_SECONDS = 0.05
"""Below it, what was seen from outside is mostly the network's."""
_LINKS = {"link_status": "status", "link_result": "result", "link_cancel": "cancel"}


def job_identity(seen: Evidence) -> Findings:
    """One job has one id: in every answer, in every link, and in no other job."""
    job = seen.call.job_id
    if job is None:
        return None
    found = []
    if seen.same_id:
        message = "two jobs were given the same id"
        field = next(iter(seen.flow.submit.shape.with_role("job_id")), None)
        found.append(seen.grade("job_identity", message, sources=[field.source if field else None], observed=show(job)))
    for _, step, value, field in _fields(seen, "job_id"):
        told = step.shape.one("job_id", value)
        if isinstance(told, (str, int)) and str(told) != job:
            message = f"the answer to {step.operation.method} {step.operation.path} names job {show(told, 40)}, not job {show(job, 40)}"
            found.append(
                seen.grade("job_identity", message, sources=[field.source], expected=show(job), observed=show(told))
            )
    for role, name in _LINKS.items():
        target = seen.flow.steps().get(name)  # type: ignore[call-overload]
        path = target.path(seen.submitted) if target else None
        for _, step, value, field in _fields(seen, role):
            link = step.shape.one(role, value)
            if not isinstance(link, str) or not link:
                continue
            if job not in unquote(link):
                message = f"{'.'.join(field.path)} does not contain the job's id"
                found.append(
                    seen.grade("job_identity", message, sources=[field.source], expected=show(job), observed=show(link))
                )
                continue
            if path and not urlsplit(link).path.endswith(path):
                message = f"{'.'.join(field.path)} leads to another path than the documented one"
                finding = seen.grade(
                    "job_identity", message, sources=[field.source], expected=path, observed=show(urlsplit(link).path)
                )
                found.append(finding.weighed(Verdict.WARN))
    return once(found)


def _fields(seen: Evidence, role: str) -> Iterator[tuple[Exchange, Step, object, Field]]:
    for exchange, step, answer in seen.answers:
        field = next(iter(step.shape.with_role(role)), None)
        if answer.status < 300 and field is not None:
            yield exchange, step, seen.value(exchange), field


def timestamps(seen: Evidence) -> Findings:
    """The instant that an answer gives is in the documented unit, and near the request's."""
    applies, found = False, []
    for exchange, step, value, field in _fields(seen, "created"):
        told = step.shape.one("created", value)
        if told is None:
            continue
        applies, at = True, instant(told, field)
        submits = seen.call.of("submit")
        if seen.anchor is None or not submits:
            continue
        near = [seen.anchor.at(submits[-1].received_ns), *_date(exchange.response)]
        if at is None or all(abs(at - wall) > timedelta(seconds=CLOCK_SECONDS) for wall in near):
            found.append(
                seen.grade(
                    "timestamps",
                    f"{'.'.join(field.path)} is {_off(at, near[0])} the request; {CLOCK_SECONDS} s are tolerated",
                    sources=[field.source],
                    about=[str(field.schema["x-at"])],
                    expected=f"about {near[0].isoformat(timespec='seconds')}, as {field.detail.get('unit', 's')}",
                    observed=show(told),
                )
            )
    return once(found) if applies else None


def _off(at: datetime | None, near: datetime) -> str:
    """How far a told instant is from the real one, in words."""
    if at is None:
        return "no instant in the documented unit near"
    seconds = (at - near).total_seconds()
    return f"{abs(seconds):.0f} s ({abs(seconds) / 3600:.1f} h) {'after' if seconds > 0 else 'before'}"


def instant(told: object, field: Field) -> datetime | None:
    """The instant that a field tells in its documented unit; None when it tells none."""
    try:
        if field.detail.get("unit") == "iso8601":
            parsed = datetime.fromisoformat(str(told))
            return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        if isinstance(told, (int, float)) and not isinstance(told, bool):
            return datetime.fromtimestamp(told, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def _date(answer: Response | None) -> Iterator[datetime]:
    """The server's own idea of the time: two clocks may differ, one server's should not."""
    try:
        parsed = parsedate_to_datetime(answer.headers["date"]) if answer else None
    except (KeyError, ValueError):
        return
    if parsed is not None and parsed.tzinfo is not None:
        yield parsed


def timings(seen: Evidence) -> Findings:
    """The provider's own inference time fits into what was seen from outside, in the documented unit."""
    found, applies = [], False
    final = seen.final
    if final is None:
        return None
    outside = _outside(seen)
    for field in final[1].shape.with_role("inference_time"):
        told = final[1].shape.one("inference_time", seen.answer)
        if isinstance(told, bool) or not isinstance(told, (int, float)) or outside is None:
            continue
        applies = True
        seconds = told / 1000 if field.detail.get("unit") == "ms" else float(told)
        longest, shortest = outside
        if longest < SHORTEST_SECONDS and 0 <= seconds <= longest:
            continue
        if seconds > longest:
            message = "the reported inference time is longer than the whole job took"
        elif seconds < LEAST_SHARE * shortest or seconds <= 0:
            message = "the reported inference time is too short for what was measured; perhaps it is in another unit"
        else:
            continue
        found.append(
            seen.grade(
                "timings",
                message,
                sources=[field.source],
                about=[str(field.schema["x-at"])],
                expected=f"{LEAST_SHARE * shortest:.3f} s to {longest:.3f} s",
                observed=f"{told} {field.detail.get('unit', 's')} ({seconds:.6f} s)",
            )
        )
    return once(found + _positions(seen)) if applies or found else _positions(seen) or None


def _outside(seen: Evidence) -> tuple[float, float] | None:
    """The longest and the shortest time, in seconds, that the inference can have taken as seen from outside."""
    if seen.call.outcome is not Outcome.COMPLETED:
        return None
    measured = phases(seen.route, seen.call)
    total: Interval | None = measured["total"]
    if total is None:
        return None
    inference = measured["inference"]
    return total[1], inference[0] if inference else total[0]


def _positions(seen: Evidence) -> list[Finding]:
    """A job does not fall back in the queue."""
    last: int | None = None
    for exchange, step, answer in seen.answers:
        value = step.shape.one("queue_position", seen.value(exchange)) if answer.status < 300 else None
        if isinstance(value, bool) or not isinstance(value, int):
            continue
        if last is not None and value > last:
            finding = seen.grade("timings", "the queue position rose", expected=f"at most {last}", observed=str(value))
            return [finding.weighed(Verdict.WARN)]
        last = value
    return []


def error_names_parameter(seen: Evidence) -> Findings:
    """A refusal names the parameter that is wrong; no document promises it, so that it is only noted."""
    parameter = seen.case.parameter
    # What cannot be read as JSON has no parameter yet.
    if parameter is None or seen.case.sending is not None or seen.call.outcome is not Outcome.REJECTED:
        return None
    for _, step, answer in reversed(seen.answers):
        if answer.status < 400:
            continue
        said = answer.body.decode("utf-8", "replace")
        if parameter in said:
            return []
        shape = (step.operation.answer(answer.status) or {}).get("application/json")
        location = next(iter(shape.with_role("error_location")), None) if shape else None
        finding = seen.grade(
            "error_names_parameter",
            f"the refusal does not name {parameter}",
            sources=[location.source if location else None],
            parameter=parameter,
            expected=parameter,
            observed=show(said),
        )
        promised = location is not None and location.source is not None and location.source.kind == "document"
        return [finding if promised else finding.weighed(Verdict.WARN)]
    return None
