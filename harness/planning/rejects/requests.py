"""Requests that get something wrong beside the values of their parameters: the text, its media type, the method, the key.

Rules
-----
* Each row differs from the submit of a valid body in one thing; where that is the text, all else of it stays as it was.
* What is no JSON text in UTF-8, or none of an object, is forbidden, and so are media types and methods that the document
  does not have. JSON that careful readers refuse and others do not is ``silent``.
* A row with a credential holds a made-up one. The key itself is never altered: what is like a key leaks as one.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8, BOM_UTF16_LE
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from harness.flow import encode
from harness.model import SUBMIT_PROBE, Json, Sending
from harness.spec import Flow, Spec

LEVELS = 500
"""Deeper than a careful reader goes, and not so deep that a careless one dies."""
MADE_UP = "invalid"
"""What stands for a key: nobody's, and shorter than any."""

MEDIA_TYPES = (
    "text/plain",
    "text/html",
    "application/xml",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "image/png",
)
METHODS = ("GET", "PUT", "PATCH", "DELETE")
WITHOUT_BODY = frozenset({"GET", "DELETE"})


@dataclass(frozen=True, slots=True)
class FaultyRequest:
    """One way to get a request wrong; ``family`` is what of it."""

    family: str
    name: str
    why: str
    sending: Sending
    silent: bool = False


def faulty_requests(spec: Spec, flow: Flow, base: Mapping[str, Json]) -> Iterator[FaultyRequest]:
    """The faults of a submit, in a fixed order; ``base`` is a valid body."""
    for name, states, data in _bodies(base):
        yield FaultyRequest("body", name, f"the body {states}", Sending(body=data))
    for name, states, data in _doubtful(base):
        yield FaultyRequest(
            "body", name, f"the body {states}, which careful readers refuse", Sending(body=data), silent=True
        )
    operation = flow.submit.operation
    for kind in MEDIA_TYPES:
        name = kind.partition(";")[0]
        if name not in operation.takes:
            why = f"a body in JSON is declared as {name}, which is not documented"
            yield FaultyRequest("content-type", name.replace("/", "-"), why, Sending(content_type=kind))
    why = "the body has no media type; whether it then counts as JSON is not documented"
    yield FaultyRequest("content-type", "none", why, Sending(content_type=""), silent=True)
    why = "the body is declared by an old name of JSON, which is not documented"
    yield FaultyRequest("content-type", "text-json", why, Sending(content_type="text/json"), silent=True)
    taken = {other.method for other in spec.operations.values() if other.path == operation.path}
    for method in METHODS:
        if method not in taken:
            other = (
                Sending(method=method, body=b"", content_type="") if method in WITHOUT_BODY else Sending(method=method)
            )
            why = f"{operation.path} is asked with {method}, which is not documented"
            yield FaultyRequest("method", method.lower(), why, other)


def faulty_credentials(spec: Spec) -> Iterator[FaultyRequest]:
    """Submits with something else in the place of the key."""
    scheme = spec.credential.scheme
    other = "Basic" if scheme.lower() != "basic" else "Bearer"
    for name, why, value in (
        ("wrong-key", "a submit with a key that nobody was given is refused", f"{scheme} {MADE_UP}".strip()),
        ("other-scheme", f"a submit with another scheme than {scheme} is refused", f"{other} {MADE_UP}"),
        ("scheme-alone", "a submit with a scheme and no key behind it is refused", scheme),
        ("key-alone", "a submit with a key and no scheme before it is refused", MADE_UP),
    ):
        if scheme or name == "wrong-key":
            yield FaultyRequest("credential", f"{SUBMIT_PROBE}with-{name}", why, Sending(credential=value))


def _bodies(base: Mapping[str, Json]) -> Iterator[tuple[str, str, bytes]]:
    """Texts that are not JSON in UTF-8, then JSON that is no object."""
    text = encode(base)
    yield "empty", "is empty", b""
    yield "blank", "is white space", b" \r\n"
    yield "cut-in-half", "ends in the middle", text[: len(text) // 2]
    yield "unclosed", "lacks its last bracket", text[:-1]
    yield "trailing-comma", "has a comma after its last member", text[:-1] + b",}"
    if len(base) > 1:
        name, value = next(iter(base.items()))
        first = encode({name: value})[:-1]
        yield "missing-comma", "lacks the comma between two members", first + b" " + text[len(first) + 1 :]
    yield "single-quotes", "is quoted in apostrophes", text.replace(b'"', b"'")
    yield "bare-names", "has names without quotes", re.sub(rb'([{,])"(\w+)":', rb"\1\2:", text)
    yield "comment", "holds a comment", text[:-1] + b"/* comment */}"
    yield "trailing-text", "goes on after its value", text + b" and so on"
    yield "two-values", "holds two values", text + text
    within = text.index(b':"') + 2 if b':"' in text else None
    if within is not None:
        head, tail = text[:within], text[within:]
        yield "line-break", "holds a bare line break within a text", head + b"\n" + tail
        yield "bad-escape", "holds an escape that JSON lacks", head + b"\\x" + tail
        yield "not-utf-8", "holds a byte that is not UTF-8", head + b"\xe9" + tail
    yield "utf-16", "is in UTF-16", BOM_UTF16_LE + text.decode().encode("utf-16-le")
    yield "form", "is a form", urlencode({name: str(value) for name, value in base.items()}).encode()
    yield "xml", "is XML", b'<?xml version="1.0"?><request/>'
    yield "root-null", "is null", b"null"
    yield "root-boolean", "is a boolean", b"true"
    yield "root-number", "is a number", b"42"
    yield "root-string", "is a text that holds the object", encode_text(text.decode())
    yield "root-array", "is a list that holds the object", b"[" + text + b"]"
    yield "nested-arrays", f"is a list, nested {LEVELS} levels deep", b"[" * LEVELS + b"]" * LEVELS


def _doubtful(base: Mapping[str, Json]) -> Iterator[tuple[str, str, bytes]]:
    """JSON that not every reader takes, or takes alike."""
    text = encode(base)
    yield "byte-order-mark", "begins with a byte order mark", BOM_UTF8 + text
    name, value = next(iter(base.items()))
    again = encode({name: value})[1:]
    yield "duplicate-name", "names a member twice", text[:-1] + b"," + again
    if b':"' in text:
        within = text.index(b':"') + 2
        yield "half-surrogate", "holds half of a surrogate pair", text[:within] + b"\\ud83d" + text[within:]
    nested = b"[" * LEVELS + b"]" * LEVELS
    yield (
        "nested-member",
        f"has an undocumented member, nested {LEVELS} levels deep",
        text[:-1] + b',"x_nested":' + nested + b"}",
    )


def encode_text(text: str) -> bytes:
    """A text as JSON."""
    return encode({"": text})[len(b'{"":') : -1]
