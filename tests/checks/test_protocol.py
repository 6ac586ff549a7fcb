"""Checks of the exchange itself: each planted fault is found by its own check, and by no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from harness.checks import CHECKS, judge
from harness.model import PAST_DEADLINE, Call, Finding, Outcome, Response, Verdict
from tests.calls import (
    FAL,
    GATEWAY,
    MULTI,
    SINGLE,
    WAVESPEED,
    Seen,
    accepted_as_reject,
    again,
    body_of,
    case_of,
    plan_of,
    refused,
    route_of,
    seen,
    sent,
    with_answer,
    with_failure,
    with_final,
    with_reply,
    with_status,
)  # fmt: skip

Expected = list[tuple[str, str, str | None]]
VALIDATION = {"detail": [{"loc": ["body", "num_images"], "msg": "too many", "type": "less_than_equal"}]}
FAILURE = {"error": {"code": "param_error", "message": "no", "param": "8a6e", "type": "invalid_request_error"}}


def header(one: Seen, step: Any, name: str, value: str, at: int = -1) -> Seen:
    def edit(reply: Any) -> Response:
        assert isinstance(reply, Response)
        return replace(reply, headers={**reply.headers, name: value})

    return with_reply(one, step, edit, at)


def raw(one: Seen, step: Any, change: Callable[[bytes], bytes], at: int = -1) -> Seen:
    def edit(reply: Any) -> Response:
        assert isinstance(reply, Response)
        return replace(reply, body=change(reply.body))

    return with_reply(one, step, edit, at)


def without(*path: str | int) -> Callable[[Any], None]:
    """An edit that removes what stands at a path."""

    def edit(answer: Any) -> None:
        for part in path[:-1]:
            answer = answer[part]
        del answer[path[-1]]

    return edit


def answered(value: Any) -> Response:
    return Response(200, {"content-type": "application/json"}, json.dumps(value).encode())


def put(value: Any, *path: str | int) -> Callable[[Any], None]:
    """An edit that puts a value at a path."""

    def edit(answer: Any) -> None:
        for part in path[:-1]:
            answer = answer[part]
        answer[path[-1]] = value

    return edit


def led_to(origin: str, name: str) -> Callable[[Any], None]:
    """An edit that leads a link to another origin, its path as it was."""

    def edit(answer: Any) -> None:
        answer[name] = origin + "/" + answer[name].split("/", 3)[3]

    return edit


def polls(one: Seen, *words: str) -> Seen:
    """The call with these states in its first status answers."""
    for at, word in enumerate(words):
        one = with_answer(one, "status", put(word, "data", "status"), at)
    return one


def doubled(body: bytes) -> bytes:
    return body[:-1] + b',"status":"IN_QUEUE"}'


ERROR, SCHEMA = "error_shape", "response_schema_conformance"
FAULTS: dict[str, tuple[Callable[[], Seen], Expected]] = {
    "a status that the document does not have": (
        lambda: with_status(seen(FAL), "submit", 202),
        [("status_code_conformance", "fail", None)],
    ),
    "the same where only an official client knows the operation": (
        lambda: with_status(seen(FAL), "status", 206, at=1),
        [("status_code_conformance", "fail", None)],
    ),
    "another media type": (
        lambda: header(seen(FAL), "result", "content-type", "text/plain"),
        [("content_type_conformance", "fail", None)],
    ),
    "no media type": (
        lambda: header(seen(MULTI), "submit", "content-type", ""),
        [("content_type_conformance", "fail", None)],
    ),
    "a name twice in one object": (lambda: raw(seen(FAL), "status", doubled, 0), [("well_formed_json", "fail", None)]),
    "not a number in an answer": (
        lambda: raw(seen(FAL), "status", lambda b: b[:-1] + b',"x":NaN}', 0),
        [("well_formed_json", "fail", None)],
    ),
    "a result cut in its middle": (
        lambda: raw(seen(FAL), "result", lambda b: b[:-9]),
        [("well_formed_json", "fail", None), ("job_completes", "fail", None)],
    ),
    "timings missing, as in the document's example": (
        lambda: with_final(seen(FAL), without("timings")),
        [(SCHEMA, "warn", None)],
    ),
    "images missing": (
        lambda: with_final(seen(FAL), without("images")),
        [(SCHEMA, "fail", None), ("job_completes", "fail", None)],
    ),
    "the prompt missing": (lambda: with_final(seen(FAL), without("prompt")), [(SCHEMA, "fail", None)]),
    "queue position missing, which the client requires": (
        lambda: with_answer(seen(FAL), "status", without("queue_position"), 0),
        [(SCHEMA, "fail", None)],
    ),
    "WaveSpeed without the urls that may not be in every state": (
        lambda: with_answer(seen(WAVESPEED), "status", without("data", "urls"), 0),
        [(SCHEMA, "warn", None)],
    ),
    "UModelVerse without created": (lambda: with_final(seen(MULTI), without("created")), [(SCHEMA, "fail", None)]),
    "UModelVerse with an image that is nothing": (
        lambda: with_final(seen(MULTI), without("data", 0, "url")),
        [(SCHEMA, "fail", None), ("image_download", "fail", None)],
    ),
    "the states of a job backwards": (
        lambda: polls(seen(WAVESPEED), "processing", "created"),
        [("job_lifecycle", "fail", None)],
    ),
    "backwards from what the submit said": (
        lambda: with_answer(polls(seen(WAVESPEED), "created"), "submit", put("processing", "data", "status")),
        [("job_lifecycle", "fail", None)],
    ),
    "an unknown state": (
        lambda: with_answer(seen(FAL), "status", put("THINKING", "status"), 0),
        [(SCHEMA, "fail", None), ("job_lifecycle", "fail", None)],
    ),
    "outputs while the job runs": (
        lambda: with_answer(seen(WAVESPEED), "status", put(["https://cdn.example/a.png"], "data", "outputs"), 0),
        [("job_lifecycle", "fail", None)],
    ),
    "outputs in the answer to the submit of a job that waits": (
        lambda: with_answer(seen(WAVESPEED), "submit", put(["https://cdn.example/a.png"], "data", "outputs")),
        [("job_lifecycle", "fail", None)],
    ),
    "the provider says failed": (
        lambda: with_answer(seen(WAVESPEED), "status", put("failed", "data", "status")),
        [("job_completes", "fail", None)],
    ),
    "a link to another host": (
        lambda: with_answer(seen(FAL), "submit", led_to("https://evil.example", "status_url")),
        [("url_origin", "fail", None)],
    ),
    "a link to another port": (
        lambda: with_answer(seen(FAL), "submit", led_to("http://simulator.test:81", "cancel_url")),
        [("url_origin", "fail", None)],
    ),
    "a link of the gateway to neither itself nor its upstream": (
        lambda: with_answer(seen(GATEWAY), "submit", led_to("https://evil.example", "status_url")),
        [("url_origin", "fail", None), *[("url_origin", "warn", None)] * 3],
    ),
    "a redirect of a read": (lambda: with_status(seen(FAL), "status", 307, b"{}", 0), [("no_redirect", "fail", None)]),
    "a redirect of a submit": (
        lambda: refused(seen(MULTI), 307),
        [("positive_data_acceptance", "unknown", None), ("no_redirect", "fail", None)],
    ),
    "a valid request refused": (
        lambda: refused(seen(SINGLE), 400, FAILURE),
        [("positive_data_acceptance", "fail", None)],
    ),
    "an error with a success's status": (
        lambda: with_reply(seen(SINGLE), "submit", lambda _: answered(FAILURE)),
        [("positive_data_acceptance", "fail", None)],
    ),
    "a read lost": (lambda: with_failure(seen(FAL), "status", "reset", at=0), [("transport", "warn", None)]),
    "a submit lost": (
        lambda: again(one := seen(MULTI), [with_failure(one, "submit", "reset").call.exchanges[0]]),
        [("positive_data_acceptance", "unknown", None), ("transport", "unknown", None)],
    ),
    "an answer that breaks a limit": (
        lambda: with_failure(seen(FAL), "status", "limit", at=0),
        [("limits", "fail", None), ("transport", "warn", None)],
    ),
    "a read answered with a server error": (
        lambda: with_status(seen(FAL), "status", 503, b"", 0),
        [("not_a_server_error", "warn", None)],
    ),
    "the key refused": (
        lambda: refused(seen(MULTI), 401),
        [("credentials_accepted", "unknown", None), ("positive_data_acceptance", "unknown", None)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_exchange_is_found_by_its_check_alone(name: str) -> None:
    """Changing one thing in a healthy call gives that thing's finding, its verdict and parameter, and nothing else."""
    plant, expected = FAULTS[name]
    assert expected == plant().findings()


@pytest.mark.parametrize(
    ("spec", "status", "value", "step", "expected"),
    [
        (FAL, 422, VALIDATION, "result", []),
        (FAL, 422, {"detail": "a text"}, "result", [(ERROR, "warn", None)]),
        (FAL, 422, {}, "result", [(ERROR, "warn", None)]),
        (FAL, 422, [], "result", [(ERROR, "warn", None)]),
        (FAL, 422, {"detail": ["a text"]}, "result", [(ERROR, "warn", None)]),
        (MULTI, 400, FAILURE, "submit", []),
        (MULTI, 400, {"error": {"code": "c", "message": "m"}}, "submit", [(ERROR, "warn", None)]),
        (MULTI, 400, {"error": {"code": "c", "param": "p"}}, "submit", [(ERROR, "fail", None)]),
        (MULTI, 400, {"message": "no"}, "submit", [(ERROR, "fail", None)]),
        (MULTI, 400, [], "submit", [(ERROR, "fail", None)]),
        (WAVESPEED, 400, {"code": 400, "message": "no"}, "submit", []),
        (WAVESPEED, 400, {"error": "no"}, "submit", [(ERROR, "warn", None)] * 2),
        (GATEWAY, 400, {"anything": 1}, "submit", []),
        (GATEWAY, 400, [], "submit", [(ERROR, "warn", None)]),
    ],
)
def test_a_refusal_is_held_to_the_shape_that_is_documented(
    spec: Any, status: int, value: Any, step: Any, expected: Expected
) -> None:
    """The shape of an error may fail where the document has it, and only warns where it was observed or left open."""
    case = case_of(spec, body_of(spec), fault="wrong-type", parameter="prompt")
    one = refused(seen(spec), status, value, step=step)
    one = replace(one, call=replace(one.call, case=case))
    assert expected == [found for found in one.findings() if found[0] == ERROR]


def test_a_refusal_that_is_not_json_warns_where_errors_are_not_documented() -> None:
    """A page instead of an error is a failure where the document describes errors."""
    expected = {"umodelverse": ["fail"], "wavespeed": ["warn"], "fal-gateway": ["warn"]}
    found = {}
    for spec in (MULTI, WAVESPEED, GATEWAY):
        one = refused(seen(spec), 400)
        answer = replace(one.call.exchanges[0], reply=Response(400, {"content-type": "text/html"}, b"<html>"))
        one = again(one, [answer])
        found[spec.provider] = [f.verdict.value for f in one.judged().findings if f.check == ERROR]
    assert expected == found


@pytest.mark.parametrize("status", [401, 402, 403, 429, 500, 503])
def test_an_answer_about_something_else_says_nothing_about_a_reject(status: int) -> None:
    """A key refused, an empty account, too many requests and a broken server prove nothing about a faulty body."""
    one = refused(accepted_as_reject(seen(MULTI), "n", "above-maximum"), status)
    expected = (Verdict.UNKNOWN, Verdict.UNKNOWN, "n")
    found = next(f for f in one.judged().findings if f.check == "negative_data_rejection")
    assert expected == (one.judged().verdict, found.verdict, found.parameter)


@pytest.mark.parametrize("kind", ["timeout", "reset", "protocol"])
def test_no_answer_says_nothing_about_a_reject(kind: str) -> None:
    """A submit that nobody answered is unknown, with an unknown charge."""
    lost = with_failure(accepted_as_reject(seen(MULTI), "n", "above-maximum"), "submit", kind)
    expected = ([("negative_data_rejection", "unknown", "n"), ("transport", "unknown", None)], "unknown")
    assert expected == (lost.findings(), lost.call.billed)


@pytest.mark.parametrize(
    ("spec", "expect", "expected"),
    [(FAL, "reject", "fail"), (FAL, "either", "warn"), (WAVESPEED, "reject", "fail"), (GATEWAY, "reject", "fail")],
)
def test_an_accepted_reject_fails_unless_it_is_contested(spec: Any, expect: Any, expected: str) -> None:
    """What the document forbids must be refused; where it contradicts itself, either is right."""
    parameter = spec.parameter("ratio").name
    one = accepted_as_reject(seen(spec, ratio="1:1"), parameter, "unknown-member", expect)
    found = [
        (f.verdict.value, f.parameter, f.source) for f in one.judged().findings if f.check == "negative_data_rejection"
    ]
    assert [(expected, parameter, spec.parameter("ratio").source)] == found


def test_a_refused_reject_passes_however_late_the_refusal_comes() -> None:
    """At fal a queued body is refused from its result, at UModelVerse at once: both are refusals, free, and healthy."""
    late = sent(FAL, None, body_of(FAL, count=5), fault="above-maximum", parameter="num_images")
    early = sent(MULTI, None, body_of(MULTI, count=5), fault="above-maximum", parameter="n")
    expected: tuple[Any, ...] = ([], Outcome.REJECTED, "no", Verdict.PASS)
    for one in (late, early):
        found = (one.findings(), one.call.outcome, one.call.billed, one.verdict("negative_data_rejection"))
        assert expected == found


def test_a_reject_that_fails_in_the_queue_only_warns() -> None:
    """A faulty body that was accepted and then failed is no clean refusal, and no acceptance either."""
    one = accepted_as_reject(seen(WAVESPEED), "seed", "above-maximum")
    one = with_answer(one, "status", put("failed", "data", "status"))
    assert one.findings() == [("negative_data_rejection", "warn", "seed")]


def test_a_contested_body_that_is_refused_warns() -> None:
    """A body that some place in the document allows may be refused."""
    one = refused(seen(SINGLE), 400, FAILURE)
    one = replace(one, call=replace(one.call, case=replace(one.call.case, expect="either")))
    assert one.findings() == [("positive_data_acceptance", "warn", None)]


@pytest.mark.parametrize(
    ("second", "expected"),
    [(None, "unknown"), (500, "fail"), (503, "fail"), (200, "warn"), (400, "warn"), (429, "unknown"), (401, "unknown"),
     ("timeout", "unknown")],
)  # fmt: skip
def test_a_server_error_fails_only_when_it_is_confirmed(second: Any, expected: str) -> None:
    """A 5xx seen twice fails, seen once and answered otherwise warns, and is unknown when nobody could ask again."""
    first = refused(seen(MULTI), 500)
    confirmation = None
    if second is not None:
        other = with_failure(seen(MULTI), "submit", second) if isinstance(second, str) else refused(seen(MULTI), second)
        confirmation = replace(other.call, derived="confirmation")
    found = replace(first, confirmation=confirmation).judged()
    assert expected == found.checks["not_a_server_error"].value


def late(number: int) -> Call:
    """A job that was accepted and was still running at its deadline."""
    one = seen(WAVESPEED)
    kept = [e for e in one.call.exchanges if e.step in ("submit", "status")][:3]
    call = again(one, kept).call
    return replace(call, id=f"late-{number}", case=replace(call.case, id=f"{call.case.id}-{number}"))


@pytest.mark.parametrize(
    ("jobs", "completed", "expected"),
    [(2, 0, {"unknown"}), (3, 0, {"fail"}), (5, 0, {"fail"}), (3, 1, {"unknown"})],
)
def test_three_jobs_past_the_deadline_and_none_done_fail(jobs: int, completed: int, expected: set[str]) -> None:
    """A provider that accepts jobs and finishes none of three has failed; fewer, or one that is done, says nothing."""
    calls = [late(number) for number in range(jobs)] + [seen(WAVESPEED).call] * completed
    judged = judge(route_of(WAVESPEED), plan_of(WAVESPEED, "poll", *(c.case for c in calls)), calls)
    stalled = [one for one in judged if one.call and one.call.reason.startswith(PAST_DEADLINE)]
    assert jobs == len(stalled)
    assert expected == {one.checks["job_completes"].value for one in stalled}
    assert expected == {f.verdict.value for one in stalled for f in one.findings if f.check == "job_completes"}


@pytest.mark.parametrize(
    ("jobs", "kind", "expected"), [(2, "timeout", "unknown"), (3, "timeout", "fail"), (3, "reset", None)]
)
def test_a_synchronous_job_past_its_deadline_is_one_that_was_not_answered(
    jobs: int, kind: str, expected: str | None
) -> None:
    """Where the submit itself waits for the outputs, no answer in time is a job past its deadline; a reset is not."""
    lost = with_failure(seen(MULTI), "submit", kind).call
    calls = [replace(lost, id=f"c{n}", case=replace(lost.case, id=f"{lost.case.id}-{n}")) for n in range(jobs)]
    judged = judge(route_of(MULTI), plan_of(MULTI, "sync", *(c.case for c in calls)), calls)
    found = {one.checks.get("job_completes") for one in judged}
    assert {expected and Verdict(expected)} == found


def test_a_check_that_crashes_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of the harness is neither a provider's failure nor its pass, and the other checks still speak."""

    def divides_by_zero(_: Any) -> list[Finding]:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("harness.checks.CHECKS", {**CHECKS, "image_count": divides_by_zero})
    one = seen(FAL)
    assert one.findings() == [("image_count", "unknown", None)]
    assert one.finding().message == "the check itself failed: ZeroDivisionError: division by zero"
    assert len(seen(MULTI).judged().checks) >= 10


def test_a_case_that_was_never_sent_is_unknown() -> None:
    """Without a call there is no verdict."""
    case = case_of(FAL, body_of(FAL))
    (judged,) = judge(route_of(FAL), plan_of(FAL, "queue", case), [])
    expected: tuple[Any, ...] = (Verdict.UNKNOWN, None, (), {})
    assert expected == (judged.verdict, judged.call, judged.findings, judged.checks)


def test_a_finding_names_its_source() -> None:
    """A finding carries the fact that makes the promise, or the first place of the ambiguity that softens it."""
    expected = ('Output Schema > body="prompt"', 'Output Schema > body="timings" type="Timings" required')
    firm = with_final(seen(FAL), without("prompt")).finding().source
    soft = with_final(seen(FAL), without("timings")).finding().source
    assert expected == (firm and firm.where, soft and soft.where)


def test_the_gateways_known_links_name_their_place() -> None:
    """The very host of the document's example is a warning that a key sent there is disclosed."""
    found = seen(GATEWAY).judged().findings
    assert {("warn", "https://queue.fal.run")} == {(f.verdict.value, f.observed) for f in found}
    assert all("discloses its key there" in f.message for f in found)
