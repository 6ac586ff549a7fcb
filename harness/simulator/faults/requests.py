"""Faults about requests as such: texts that are no JSON, other media types, methods and credentials, useless images.

Rules
-----
* Each is a reader that is lenient in one way: it makes a valid submit of what it should have refused.
* What the document forbids is a ``fail``; where it is silent, acceptance is a ``warn``.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8, BOM_UTF16_LE
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

from harness.simulator.faults.fault import Fault, Verdict, always, planted
from harness.simulator.faults.parameters import forgiving
from harness.simulator.inputs import ROLES, unusable
from harness.spec.contract import Spec

Received: TypeAlias = tuple[bytes, str]
JSON_TYPE = "application/json"


def faults(spec: Spec) -> Iterator[Fault]:
    """Every fault of a spec's requests."""
    for name, (states, read, verdict) in _READERS.items():
        yield planted(
            spec,
            f"accepts-{name}",
            "negative_data_rejection",
            f"A body is accepted although it {states}.",
            always(received=partial(_text, read=read)),
            verdict=verdict,
            shown_by="rejects",
        )
    for name, states, received, verdict in (
        ("any-content-type", "calls itself something else than JSON", _any_type, "fail"),
        ("no-content-type", "does not say that it is JSON", _no_type, "warn"),
    ):
        yield planted(
            spec,
            f"accepts-{name}",
            "negative_data_rejection",
            f"A body is accepted although it {states}.",
            always(received=received),
            verdict=verdict,
            shown_by="rejects",
        )
    method = spec.default_flow.submit.operation.method
    yield planted(
        spec,
        "accepts-any-method",
        "negative_data_rejection",
        "A submit is accepted whatever its method.",
        always(method=lambda _: method),
        shown_by="rejects",
    )
    yield planted(
        spec,
        "accepts-any-key",
        "ignored_auth",
        "A submit is accepted with whatever stands for the key.",
        always(credential=lambda given, accepted: accepted or given is not None),
        verdict="warn" if spec.credential.optional else "fail",
        shown_by="probes",
    )
    for parameter in spec.parameters:
        if parameter.role in ROLES:
            yield planted(
                spec,
                f"accepts-{parameter.name}-unusable",
                "negative_data_rejection",
                f"A body is accepted although an image of {parameter.name} cannot be fetched or decoded.",
                always(refusal=forgiving(parameter.name, _unusable)),
                parameter.name,
                verdict="warn",
                shown_by="rejects",
            )


def _unusable(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return all(isinstance(item, str) for item in items) and any(unusable(item) for item in items)


def _any_type(got: Received) -> Received:
    return got[0], JSON_TYPE


def _no_type(got: Received) -> Received:
    return got[0], got[1] or JSON_TYPE


def _text(got: Received, read: Callable[[bytes], bytes]) -> Received:
    """The text as a lenient reader takes it, where it is not JSON for any; what makes no sense stays as it is."""
    try:
        return read(got[0]), got[1]
    except (ValueError, IndexError):
        return got


def _unmarked(data: bytes) -> bytes:
    return data.removeprefix(BOM_UTF8)


def _last_wins(data: bytes) -> bytes:
    return json.dumps(json.loads(data.decode())).encode()


def _closed(data: bytes) -> bytes:
    """A truncated object up to its last whole member."""
    if _is_json(data):
        return data
    text = data.decode("utf-8", "ignore")
    for end in range(len(text), 0, -1):
        closed = (text[:end].rstrip().rstrip(",") + "}").encode()
        if _is_json(closed):
            return closed
    return data


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data.decode())
    except ValueError:
        return False
    return True


def _relaxed(data: bytes) -> bytes:
    """Without comments and superfluous commas, apostrophes as quotes."""
    if _is_json(data):
        return data
    text = re.sub(rb"/\*.*?\*/", b"", data)
    text = re.sub(rb",\s*([}\]])", rb"\1", text)
    return text if _is_json(text) else text.replace(b"'", b'"')


def _first_value(data: bytes) -> bytes:
    """What stands before anything that follows."""
    return json.dumps(json.JSONDecoder().raw_decode(data.decode())[0]).encode()


def _any_encoding(data: bytes) -> bytes:
    if data.startswith(BOM_UTF16_LE):
        return data.decode("utf-16").encode()
    return data if _is_json(data) else data.decode("latin-1").encode()


def _no_number(data: bytes) -> bytes:
    """A number that is none counts as not given."""
    value = json.loads(data.decode())
    if not isinstance(value, dict):
        return data
    return json.dumps({name: one for name, one in value.items() if _is_number(one)}).encode()


def _is_number(value: Any) -> bool:
    return not isinstance(value, float) or (value == value and abs(value) != float("inf"))  # noqa: PLR0124 - NaN


def _any_root(data: bytes) -> bytes:
    """The object within a list or a text."""
    value = json.loads(data.decode())
    if isinstance(value, str):
        value = json.loads(value)
    return json.dumps(value[0] if isinstance(value, list) else value).encode()


_READERS: Mapping[str, tuple[str, Callable[[bytes], bytes], Verdict]] = {
    "duplicate-names": ("names a member twice", _last_wins, "warn"),
    "byte-order-marks": ("begins with a byte order mark", _unmarked, "warn"),
    "truncated-json": ("ends in the middle of its JSON", _closed, "fail"),
    "relaxed-json": ("has comments, superfluous commas or apostrophes", _relaxed, "fail"),
    "trailing-text": ("goes on after its value", _first_value, "fail"),
    "any-encoding": ("is not in UTF-8", _any_encoding, "fail"),
    "numbers-that-are-none": ("holds NaN or Infinity", _no_number, "fail"),
    "any-root": ("is a list or a text around the object", _any_root, "fail"),
}
