"""A run's exchanges as an HTTP archive (HAR 1.2), which every browser's network tools open.

Rules
-----
* It is made from the record alone, masked as that is. Query strings are left out, of addresses and of those in bodies:
  signatures live there.
* Images and other binary bodies are named by their hash and size; their bytes are in the run's ``blobs``. Text is kept up
  to ``MOST_TEXT`` characters.
* An exchange that failed has status 0, with the reason where a browser shows one. Times are milliseconds; what was not
  measured is -1.

harfile writes the format.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import harfile

from harness.checks.probes import unsigned
from harness.clock import NS
from harness.history import History
from harness.model import Call, Exchange, Failure, Response
from harness.report import text
from harness.strict import StrictError, load_json
from harness.urls import without_query

MOST_TEXT = 64 * 1024
_MS = NS / 1000
_ADDRESS = re.compile(r"(https?:(?:\\?/){2}[^\s\"'<>?#]+)\?[^\s\"'<>]*")
_TEXTUAL = re.compile(r"(text/|application/([a-z.+-]*\+)?(json|xml)|application/javascript)", re.IGNORECASE)


def render(history: History, words: str) -> str:
    """The text of an HAR file; ``words`` say where the answers came from."""
    header, out = history.header, io.StringIO()
    creator = harfile.Creator(name="image-api-harness", version=text.visible(header["harness_version"], 60))
    with harfile.open(out, creator=creator, comment=words) as archive:
        for call, exchange in sorted(_exchanges(history), key=lambda pair: pair[1].intended_ns):
            begun = datetime.fromisoformat(header["targets"][call.case.target]["anchor_at"])
            began = begun + timedelta(microseconds=(exchange.intended_ns - header["anchor_ns"]) / 1000)
            archive.add_entry(
                startedDateTime=began,
                time=round((exchange.received_ns - exchange.intended_ns) / _MS, 3),
                request=_request(exchange),
                response=_response(exchange),
                timings=_timings(exchange),
                comment=f"{exchange.step} of {text.visible(exchange.case_id)}",
            )
    return out.getvalue() + "\n"


def _exchanges(history: History) -> Iterator[tuple[Call, Exchange]]:
    for call in history.calls:
        for exchange in call.exchanges:
            yield call, exchange


def _timings(exchange: Exchange) -> harfile.Timings:
    first = exchange.first_byte_ns or exchange.received_ns
    waited = exchange.sent_ns - exchange.intended_ns - exchange.connect_ns
    return harfile.Timings(
        blocked=round(max(0, waited) / _MS, 3),
        connect=round(exchange.connect_ns / _MS, 3) if exchange.connect_ns else -1,
        send=0,
        wait=round((first - exchange.sent_ns) / _MS, 3),
        receive=round((exchange.received_ns - first) / _MS, 3),
    )


def _request(exchange: Exchange) -> harfile.Request:
    body = exchange.request_body
    kind = _header(exchange.request_headers, "content-type")
    return harfile.Request(
        method=exchange.method,
        url=without_query(exchange.url),
        httpVersion="HTTP/1.1",
        headers=_records(exchange.request_headers),
        postData=None if body is None else harfile.PostData(mimeType=kind, text=_shown(body)),
        bodySize=len(body or b""),
    )


def _response(exchange: Exchange) -> harfile.Response:
    reply = exchange.reply
    if isinstance(reply, Failure):
        content = harfile.Content(size=len(reply.partial), mimeType="")
        said = text.visible(f"{reply.kind}: {reply.message}")
        return harfile.Response(status=0, statusText=said, httpVersion="HTTP/1.1", content=content, comment=said)
    return harfile.Response(
        status=reply.status,
        statusText="",
        httpVersion="HTTP/1.1",
        headers=_records(reply.headers),
        content=_content(reply),
        redirectURL=without_query(reply.headers.get("location", "")),
        bodySize=len(reply.body),
    )


def _content(reply: Response) -> harfile.Content:
    kind = reply.headers.get("content-type", "")
    if not reply.body or _TEXTUAL.match(kind):
        return harfile.Content(size=len(reply.body), mimeType=kind, text=_shown(reply.body))
    digest = hashlib.sha256(reply.body).hexdigest()
    return harfile.Content(size=len(reply.body), mimeType=kind, comment=f"sha256 {digest}, in blobs where it is long")


def _header(headers: Mapping[str, str], wanted: str) -> str:
    return next((value for name, value in headers.items() if name.lower() == wanted), "")


def _records(headers: Mapping[str, str]) -> list[harfile.Record]:
    return [
        harfile.Record(name=name, value=_ADDRESS.sub(r"\1", text.visible(value, 4000)))
        for name, value in headers.items()
    ]


def _shown(body: bytes) -> str:
    """A text body without the signatures in it."""
    try:
        said = json.dumps(unsigned(load_json(body)), ensure_ascii=False)
    except StrictError:
        said = body.decode("utf-8", "replace")
    said = _ADDRESS.sub(r"\1", said)
    return said if len(said) <= MOST_TEXT else f"{said[:MOST_TEXT]} … ({len(said) - MOST_TEXT} more characters)"
