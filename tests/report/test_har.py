"""The HTTP archive of a recorded run."""

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from harness.model import Response
from harness.report import har
from harness.targets import Request
from tests.calls import FAL, KEY, SINGLE, simulated

SCHEMA = Path(__file__).parents[1] / "data" / "har.schema.json"


@pytest.fixture(scope="module")
def history():
    return simulated(Request("simulate", max_cases=2, rejects=False), FAL, SINGLE).history


def archive(history):
    return json.loads(har.render(history, "Simulated"))["log"]


def with_reply(history, reply):
    """The history with another reply to its first exchange."""
    call, *calls = history.calls
    first, *others = call.exchanges
    return replace(history, calls=(replace(call, exchanges=(replace(first, reply=reply), *others)), *calls))


def test_every_exchange_is_an_entry_of_the_format(history):
    """In the order of their going, with the recorded times, by the schema that other tools use."""
    log = archive(history)
    schema = json.loads(SCHEMA.read_bytes())
    assert [error.message for error in Draft7Validator(schema).iter_errors({"log": log})] == []
    exchanges = sorted((e for call in history.calls for e in call.exchanges), key=lambda e: e.intended_ns)
    assert [entry["request"]["method"] for entry in log["entries"]] == [e.method for e in exchanges]
    for entry, exchange in zip(log["entries"], exchanges, strict=True):
        spent = sum(value for value in entry["timings"].values() if value != -1)
        assert spent == pytest.approx((exchange.received_ns - exchange.intended_ns) / 1e6, abs=0.01)
        assert entry["time"] == pytest.approx(spent, abs=0.01)
    begun = datetime.fromisoformat(log["entries"][0]["startedDateTime"])
    assert abs((begun - datetime.fromisoformat(history.header["started_at"])).total_seconds()) < 1
    assert log["comment"] == "Simulated"


def test_neither_key_nor_signature_nor_image_is_in_it(history):
    """Headers are masked as in the record; queries are gone from addresses and bodies; images are named by their hash."""
    signed = "https://cdn.example/a.png?X-Amz-Signature=s3cret&x=1"
    body = json.dumps({"images": [{"url": signed}], "note": f"see {signed}", "escaped": 1}).encode()
    for data in (body, body.replace(b"/", rb"\/"), f"<a href='{signed}'>".encode()):
        changed = with_reply(history, Response(200, {"content-type": "application/json", "location": signed}, data))
        text = har.render(changed, "")
        assert "s3cret" not in text
        assert "cdn.example" in text
        assert KEY not in text
    kinds = {entry["response"]["content"]["mimeType"] for entry in archive(history)["entries"]}
    images = [
        e["response"]["content"]
        for e in archive(history)["entries"]
        if e["response"]["content"]["mimeType"].startswith("image/")
    ]
    assert "application/json" in kinds
    assert images
    assert all("text" not in one and one["comment"].startswith("sha256 ") for one in images)


def test_what_failed_has_status_zero_and_a_reason(history):
    """As browsers write it."""
    from harness.model import Failure

    (first, *_) = archive(with_reply(history, Failure("reset", "closed", left=True)))["entries"]
    assert (first["response"]["status"], first["response"]["statusText"]) == (0, "reset: closed")


def test_a_long_text_is_cut(history):
    """An archive is for reading; the bytes are in the run."""
    text = har.render(with_reply(history, Response(200, {"content-type": "text/html"}, b"x" * 10**6)), "")
    assert len(text) < 600_000
    assert "more characters" in text
