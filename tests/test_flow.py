from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.flow import ASSET_HOPS, RESULT_READS, Route, download, job, submit_meaning
from harness.model import Failure, Outcome, Request, Response, Wait
from harness.spec import load
from tests.fakes import FAL, HOME, PIXEL, UMODELVERSE, WAVESPEED, body_of, spec

BFL = load(Path(__file__).with_name("data") / "bfl-flux-kontext-pro.yaml")
QUEUED = {"request_id": "j1", "status": "IN_QUEUE"}
IMAGES = {"images": [{"url": PIXEL}], "prompt": "p"}
LOST = Failure("reset", "gone", left=True)
NEVER_LEFT = Failure("refused", "nobody there", left=False)


def said(status=200, value=None, **headers):
    body = value if isinstance(value, bytes) else json.dumps({} if value is None else value).encode()
    return Response(status, {name.replace("_", "-"): v for name, v in headers.items()}, body)


def status(word):
    return said(202, {"status": word, "request_id": "j1"})


def route(target=FAL, flow=None, base=HOME, contract=None):
    contract = contract or spec(target)
    return Route(contract, contract.flows[flow] if flow else contract.default_flow, base)


def played(way, replies, body=None):
    """The end of a job whose requests get these replies, the requests, and what is left of the replies."""
    flow, waiting, asked = job(way, body or body_of(way.spec, way.flow.name)), list(replies), []
    try:
        ask = next(flow)
        while True:
            asked.append(ask)
            ask = flow.send(None if isinstance(ask, Wait) else waiting.pop(0))
    except StopIteration as stop:
        return stop.value, asked, waiting


def ended(way, *replies):
    end, _, left = played(way, replies)
    assert left == []
    return end.outcome.value, end.billed, end.reason


@pytest.mark.parametrize(
    ("reply", "meaning", "expected"),
    [
        (NEVER_LEFT, "again", ("unknown", "no", "nobody there")),
        (LOST, "unknown", ("unknown", "unknown", "gone")),
        (said(400), "rejected", ("rejected", "no", "the submit was answered 400")),
        (said(404), "rejected", ("rejected", "no", "the submit was answered 404")),
        (said(413), "rejected", ("rejected", "no", "the submit was answered 413")),
        (said(422), "rejected", ("rejected", "no", "the submit was answered 422")),
        (said(401), "stop", ("unknown", "no", "the submit was answered 401")),
        (said(402), "stop", ("unknown", "no", "the submit was answered 402")),
        (said(403), "stop", ("unknown", "no", "the submit was answered 403")),
        (said(429), "again", ("unknown", "no", "the submit was answered 429")),
        (said(408), "unknown", ("unknown", "unknown", "the submit was answered 408")),
        (said(409), "unknown", ("unknown", "unknown", "the submit was answered 409")),
        (said(425), "unknown", ("unknown", "unknown", "the submit was answered 425")),
        (said(307, location="https://evil.example/"), "unknown", ("unknown", "unknown", "the submit was answered 307")),
        (said(500), "unknown", ("unknown", "unknown", "the submit was answered 500")),
        (said(503), "unknown", ("unknown", "unknown", "the submit was answered 503")),
        (said(599), "unknown", ("unknown", "unknown", "the submit was answered 599")),
        (said(200, b"<html>"), "accepted", ("failed", "yes", "the submit was accepted, its answer is not JSON")),
        (said(200, b"{}"), "accepted", ("unknown", "unknown", "the submit's answer does not say how to find the job")),
    ],
)
def test_what_the_answer_to_a_submit_means_for_request_and_money(reply, meaning, expected):
    """Every kind of answer to a submit has one meaning, one outcome, one charge, and a reason in words."""
    assert (submit_meaning(reply), ended(route(), reply)) == (meaning, expected)


@given(st.integers(100, 599))
def test_a_charge_is_denied_only_where_the_provider_said_no(code):
    """No status outside 4xx, nor an ambiguous one within, ends a job as unpaid."""
    end, _, _ = played(route(), [said(code, b"x")])
    assert (end.billed == "no") == (400 <= code < 500 and code not in (408, 409, 425))


def test_a_queued_job_is_asked_about_until_it_is_complete():
    """A queue job is one submit, waits and status reads in turn, and one result read: the images are its outputs."""
    end, asked, left = played(
        route(), [said(200, QUEUED), status("IN_QUEUE"), status("IN_PROGRESS"), status("COMPLETED"), said(200, IMAGES)]
    )
    assert [getattr(a, "step", None) or a.state for a in asked] == [
        "submit", "queued", "status", "queued", "status", "running", "status", "result",
    ]  # fmt: skip
    assert [a.url for a in asked if isinstance(a, Request)][1:] == [
        *[f"{HOME}/fal-ai/flux-pro/requests/j1/status"] * 3,
        f"{HOME}/fal-ai/flux-pro/requests/j1",
    ]
    assert (end.outcome, end.billed, end.job_id, [o.url for o in end.outputs], left) == (
        Outcome.COMPLETED, "yes", "j1", [PIXEL], [],
    )  # fmt: skip


@pytest.mark.parametrize(
    "noise",
    [
        LOST, NEVER_LEFT, said(404), said(408), said(409), said(425), said(429), said(500), said(502, b"<html>"), said(503),
        said(302), said(200, b"{"), said(200, []), said(200, {"status": "PONDERING"}), said(200, {"status": 7}),
        said(200, {}),
    ],
)  # fmt: skip
def test_a_status_answer_that_says_nothing_is_waited_out(noise):
    """Lost, missing, limited, broken, malformed or unknown status answers change nothing: the job goes on."""
    healthy = [said(200, QUEUED), status("COMPLETED"), said(200, IMAGES)]
    expected = ("completed", "yes", "")
    assert ended(route(), healthy[0], *[noise] * 50, *healthy[1:]) == expected


def test_the_state_survives_answers_that_do_not_tell_it():
    """A wait keeps the last state that was seen, so that a schedule is not confused by a lost answer."""
    replies = [
        said(200, QUEUED),
        status("IN_PROGRESS"),
        LOST,
        status("PONDERING"),
        status("COMPLETED"),
        said(200, IMAGES),
    ]
    _, asked, _ = played(route(), replies)
    assert [a.state for a in asked if isinstance(a, Wait)] == ["queued", "running", "running", "running"]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (said(401), ("unknown", "unknown", "a status was answered 401")),
        (said(402), ("unknown", "unknown", "a status was answered 402")),
        (said(403), ("unknown", "unknown", "a status was answered 403")),
        (said(400), ("failed", "unknown", "a status was answered 400")),
        (said(410), ("failed", "unknown", "a status was answered 410")),
    ],
)
def test_a_refused_status_ends_the_job_without_denying_its_charge(reply, expected):
    """A refused key or a refused read says nothing about the charge of a job that was accepted."""
    assert ended(route(), said(200, QUEUED), reply) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, ("rejected", "no", "the result was answered 422")),
        ({"x_fal_billable_units": "0"}, ("rejected", "no", "the result was answered 422")),
        ({"x_fal_billable_units": " 0.0 "}, ("rejected", "no", "the result was answered 422")),
        ({"x_fal_billable_units": "1"}, ("rejected", "yes", "the result was answered 422")),
        ({"x_fal_billable_units": "0.25"}, ("rejected", "yes", "the result was answered 422")),
    ],
)
def test_a_late_refusal_is_free_unless_units_are_counted(headers, expected):
    """A 422 from the result refuses the request; it is paid only if the provider itself counts units for it."""
    assert ended(route(), said(200, QUEUED), status("COMPLETED"), said(422, {"detail": []}, **headers)) == expected


@pytest.mark.parametrize("noise", [LOST, said(404), said(429), said(500), said(302)])
def test_a_result_is_read_a_few_times_and_then_given_up(noise):
    """A result that does not come is read ``RESULT_READS`` times; the job was accepted, so it is charged."""
    start = [said(200, QUEUED), status("COMPLETED")]
    assert ended(route(), *start, *[noise] * (RESULT_READS - 1), said(200, IMAGES)) == ("completed", "yes", "")
    end, asked, _ = played(route(), [*start, *[noise] * RESULT_READS])
    assert (end.outcome, end.billed, sum(getattr(a, "step", "") == "result" for a in asked)) == (
        Outcome.FAILED, "yes", RESULT_READS,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (said(200, {"images": []}), ("failed", "yes", "the answer holds no output")),
        (said(200, {}), ("failed", "yes", "the answer holds no output")),
        (said(200, b"{"), ("failed", "yes", "the answer holds no output")),
        (said(401), ("unknown", "unknown", "the result was answered 401")),
    ],
)
def test_a_result_without_outputs_is_a_charged_failure(answer, expected):
    """Completed without an image is the provider's failure, and its price is due."""
    assert ended(route(), said(200, QUEUED), status("COMPLETED"), answer) == expected


def wavespeed(state, **more):
    return {"code": 200, "message": "success", "data": {"id": "p/1", "status": state, "outputs": []} | more}


@pytest.mark.parametrize("state", ["failed", "cancelled", "timeout", "deleted"])
def test_a_final_state_that_is_a_failure_ends_the_job(state):
    """A state that the spec maps to failed or cancelled ends the job as failed; the charge stands."""
    replies = (said(200, wavespeed("created")), said(200, wavespeed(state)))
    assert ended(route(WAVESPEED), *replies) == ("failed", "yes", f"the job ended as {state}")


def test_outputs_in_the_last_status_need_no_result_read():
    """Without a result step the completed status holds the outputs."""
    done = said(200, wavespeed("completed", outputs=["https://cdn.example/1.png"]))
    end, asked, left = played(route(WAVESPEED), [said(200, wavespeed("created")), done])
    assert (end.outcome, [o.url for o in end.outputs], left) == (Outcome.COMPLETED, ["https://cdn.example/1.png"], [])
    assert [a.url for a in asked if isinstance(a, Request)][1:] == [f"{HOME}/api/v3/predictions/p%2F1/result"]


@pytest.mark.parametrize(
    ("way", "value", "expected"),
    [
        (route(UMODELVERSE), {"error": {"message": "bad prompt", "code": "x"}}, "rejected"),
        (route(WAVESPEED, "sync"), {"code": 400, "message": "bad", "data": None}, "rejected"),
        (route(UMODELVERSE), {"data": []}, "failed"),
        (route(UMODELVERSE), {"data": [{"url": "https://cdn.example/1.png"}], "created": 1}, "completed"),
        (route(FAL, "sync"), IMAGES, "completed"),
    ],
)
def test_a_synchronous_answer_is_judged_by_its_content(way, value, expected):
    """A 200 whose body is an error is a refusal; with outputs it is complete; with neither, a failure."""
    assert ended(way, said(200, value))[0] == expected


IDS = ["a/b", "..%2f", "a b+c", "ünï", "a?b#c", "x" * 300, "%41", "\r\nhost: evil", "a\\b", 12]


@pytest.mark.parametrize("job_id", IDS)
def test_job_ids_are_percent_encoded(job_id):
    """Whatever a provider calls a job, it stays one path segment of the documented URL and reads back as itself."""
    _, asked, _ = played(route(), [said(200, QUEUED | {"request_id": job_id}), said(410)])
    url = asked[-1].url
    segment = url.removeprefix(f"{HOME}/fal-ai/flux-pro/requests/").removesuffix("/status")
    assert (unquote(segment), set("/?#\r\n \\") & set(segment), url.isascii()) == (str(job_id), set(), True)


@pytest.mark.parametrize("job_id", [None, "", ".", "..", True, ["a"], {"a": 1}, 1.5])
def test_what_is_no_job_id_finds_no_job(job_id):
    """An identifier that is empty, a dot segment or no string is not put into a URL; the charge stays unknown."""
    replies = (said(200, QUEUED | {"request_id": job_id}),)
    assert ended(route(), *replies) == ("unknown", "unknown", "the submit's answer does not say how to find the job")


def test_urls_in_answers_are_not_followed():
    """The status and the result are read at the documented places, wherever the submit's answer points."""
    elsewhere = dict.fromkeys(("status_url", "response_url", "cancel_url"), "https://evil.example/x")
    _, asked, _ = played(route(), [said(200, QUEUED | elsewhere), status("COMPLETED"), said(200, IMAGES)])
    assert {a.url.startswith(HOME + "/") for a in asked if isinstance(a, Request)} == {True}


@pytest.mark.parametrize(
    ("base", "url", "followed"),
    [
        ("https://api.bfl.ai", "https://api.eu.bfl.ai/v1/get_result?id=1", True),
        ("https://api.bfl.ai", "https://api.bfl.ai:443/x", True),
        ("https://api.bfl.ai", "https://api.bfl.ai:8443/x", False),
        ("https://api.bfl.ai", "http://api.bfl.ai/x", False),
        ("https://api.bfl.ai", "https://api.bfl.ai@evil.example/x", False),
        ("https://api.bfl.ai", "https://api.bfl.ai.evil.example/x", False),
        ("https://api.bfl.ai", "//api.bfl.ai/x", False),
        ("https://api.bfl.ai", "https://[::1", False),
        ("https://api.bfl.ai", 7, False),
        ("http://127.0.0.1:9", "http://127.0.0.1:9/x", True),
        ("http://127.0.0.1:9", "https://api.bfl.ai/x", False),
    ],
)
def test_a_url_to_follow_is_followed_within_the_origins_only(base, url, followed):
    """Where a document requires following, the URL goes to the documented servers, or to the base URL that replaces them."""
    end, asked, _ = played(
        route(base=base, contract=BFL), [said(200, {"id": "1", "polling_url": url}), said(410)][: 1 + followed]
    )
    assert [a.url for a in asked if isinstance(a, Request)][1:] == [url] * followed
    assert end.reason == (
        "a status was answered 410" if followed else "the submit's answer does not say how to find the job"
    )


def test_the_bytes_of_a_submit_are_fixed_by_the_case():
    """A body is compact UTF-8 in the order of the case, and a base URL with a path stands before the documented one."""
    way = replace(route(), base_url="https://gate.example/prefix")
    asked = way.submit({"prompt": "Fuchs – 狐", "b": 1, "a": 1.0})
    assert (asked.method, asked.url, asked.body, asked.content_type) == (
        "POST",
        "https://gate.example/prefix/fal-ai/flux-pro/kontext/multi",
        '{"prompt":"Fuchs – 狐","b":1,"a":1.0}'.encode(),
        "application/json",
    )


def downloaded(url, replies):
    flow, asked = download(url), []
    try:
        asked.append(next(flow))
        for reply in replies:
            asked.append(flow.send(reply))
    except StopIteration as stop:
        return stop.value, asked
    return "more", asked


def test_a_download_follows_few_redirects_without_a_credential():
    """A file is read over at most ``ASSET_HOPS`` redirects, none of which asks for the key."""
    hops = [said(302, location=f"/{n}") for n in range(ASSET_HOPS)]
    reply, asked = downloaded("https://cdn.example/a/b.png?sig=1", [*hops, said(200, b"png")])
    assert (reply, [a.url for a in asked], {a.authenticated for a in asked}) == (
        said(200, b"png"),
        ["https://cdn.example/a/b.png?sig=1", *[f"https://cdn.example/{n}" for n in range(ASSET_HOPS)]],
        {False},
    )
    assert downloaded("https://cdn.example/", [said(302, location="/x")] * (ASSET_HOPS + 1))[0] is None


@pytest.mark.parametrize("reply", [LOST, said(404), said(500), said(304), said(302, location="http://[::1"), said(302)])
def test_a_download_that_does_not_come_is_none(reply):
    """A lost, refused or misdirected download ends as None; nothing is raised for what a server says."""
    assert downloaded("https://cdn.example/", [reply] * (ASSET_HOPS + 1))[0] is None
