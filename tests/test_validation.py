"""The JSON Schema validator fetches nothing, judges as the library does, and takes bounded time."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from harness.checks.schema import violations
from harness.errors import InputError
from harness.validation import PATTERN_SECONDS, validator

SLOW = ["(a+)+$", "(a|aa)+$", "(a*)*b", "^(([a-z])+.)+[A-Z]([a-z])+$", r"(\w+\s?)*$", "(.*a){12}$"]


@pytest.mark.parametrize(
    ("pattern", "keyword"),
    [*((one, "pattern") for one in SLOW), (SLOW[1], "patternProperties"), (SLOW[1], "additionalProperties")],
)
def test_a_pattern_that_explodes_is_cut_off(pattern, keyword):
    """Whatever judges a text by a pattern gives up after a moment, in one sentence."""
    text = "a" * 60 + "!"
    schemas = {
        "pattern": ({"pattern": pattern}, text),
        "patternProperties": ({"patternProperties": {pattern: False}}, {text: 1}),
        "additionalProperties": ({"patternProperties": {pattern: True}, "additionalProperties": False}, {text: 1}),
    }
    schema, value = schemas[keyword]
    began = time.process_time()
    with suppress(InputError):  # some of them this engine decides at once
        list(validator(schema).iter_errors(value))
    assert time.process_time() - began < 20 * PATTERN_SECONDS  # for ever, otherwise


def test_a_pattern_that_is_cut_off_says_so():
    """The sentence names the pattern, and not the text."""
    with pytest.raises(InputError, match="takes too long on a text of 61 characters"):
        list(validator({"pattern": "^(a|a|aa)+$"}).iter_errors("a" * 60 + "!"))


@pytest.mark.parametrize(
    "reference", ["http://127.0.0.1:9/x.json", "https://json-schema.example/x", "file:///etc/passwd", "other.json"]
)
@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef"])
def test_a_reference_out_of_the_schema_is_never_fetched(reference, keyword, monkeypatch):
    """It fails, and nothing is asked."""
    asked: list[object] = []
    monkeypatch.setattr(socket, "create_connection", lambda *a, **_: asked.append(a))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **_: asked.append(a))
    with pytest.raises(Exception, match="Unresolvable"):
        list(validator({keyword: reference}).iter_errors(1))
    assert asked == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 2.5]) | st.text("ab1", max_size=2),
    lambda below: st.lists(below, max_size=5) | st.dictionaries(st.text("abc", max_size=2), below, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(value=VALUES)
def test_it_judges_as_the_library_does(value):
    """Unique items, patterns, and properties that are left: the same verdict as ``jsonschema``'s own keywords."""
    for schema in (
        {"uniqueItems": True},
        {"items": {"uniqueItems": True}},
        {"pattern": "^a|1$"},
        {"patternProperties": {"^a": {"type": "string"}}, "additionalProperties": {"type": ["integer", "null"]}},
        {"properties": {"a": True}, "patternProperties": {"b": True}, "additionalProperties": False},
    ):
        assert validator(schema).is_valid(value) == Draft202012Validator(schema).is_valid(value)


def test_unique_items_take_linear_time():
    """Tens of thousands of objects are compared as fast as they are read, equal numbers and all."""
    objects = [{"a": n, "b": [n, {"c": None}]} for n in range(20_000)]
    same_hash = [n * (2**61 - 1) for n in range(20_000)]
    began = time.process_time()
    assert validator({"uniqueItems": True}).is_valid(objects)
    assert not validator({"uniqueItems": True}).is_valid([*objects, {"b": [7.0, {"c": None}], "a": 7.0}])
    assert validator({"uniqueItems": True}).is_valid(same_hash)
    assert time.process_time() - began < 60  # minutes, otherwise


def test_what_a_violation_shows_is_short_however_large_the_value():
    """An answer of megabytes in the wrong place is told in a line."""
    for value in ("x" * 3_000_000, ["x" * 300] * 30_000, {"a" * 50_000: {"b": "c" * 9_000}}):
        (violation,) = violations({"type": "integer", "x-at": "#"}, value)
        assert len(violation.observed) + len(violation.expected) + len(violation.message) < 400
