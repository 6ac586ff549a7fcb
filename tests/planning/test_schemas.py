"""Labels of any JSON Schema: a table of keywords, and properties of whole plans over schemas that Hypothesis draws."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import islice, product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from harness.errors import InputError
from harness.planning import build
from harness.planning.bare import Requests, plan_schema
from harness.planning.labels import canonical
from harness.planning.schemas import Unplannable, labels_of
from tests import schemas
from tests.calls import FAL

LABELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "integer": (
        {"type": "integer", "minimum": 1, "maximum": 50, "default": 25},
        {"minimum": 1, "just-above-minimum": 2, "default": 25, "interior": 26, "just-below-maximum": 49, "maximum": 50},
    ),
    "open integer": (
        {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9},
        {"minimum": 1, "just-above-minimum": 2, "interior": 4, "just-below-maximum": 7, "maximum": 8},
    ),
    "open number": (
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        {"just-above-minimum": 0.01, "interior": 0.5, "just-below-maximum": 0.99, "maximum": 1},
    ),
    "narrow number": (
        {"type": "number", "minimum": 0, "maximum": 0.01},
        {"minimum": 0, "just-above-minimum": 0.0001, "interior": 0.005, "just-below-maximum": 0.0099, "maximum": 0.01},
    ),
    "huge number": ({"type": "number", "minimum": 1e300, "default": 2e300}, {"minimum": 1e300, "just-above-minimum": 1.00000000000001e300, "default": 2e300}),
    "multiple": (
        {"type": "integer", "minimum": 100, "maximum": 1000, "multipleOf": 64},
        {"minimum": 128, "just-above-minimum": 192, "interior": 512, "just-below-maximum": 896, "maximum": 960},
    ),
    "multiple of a part": (
        {"type": "number", "minimum": 0, "maximum": 2, "multipleOf": 0.5},
        {"minimum": 0, "just-above-minimum": 0.5, "interior": 1, "just-below-maximum": 1.5, "maximum": 2},
    ),
    "one bound": ({"type": "integer", "minimum": 3}, {"minimum": 3, "just-above-minimum": 4}),
    "no bound": ({"type": "integer", "default": 7}, {"default": 7}),
    "three values": ({"type": "integer", "minimum": 1, "maximum": 3}, {"minimum": 1, "just-above-minimum": 2, "maximum": 3}),
    "enum": ({"enum": ["a", 1, "1", None, ""]}, {"a": "a", "1": 1, "1-2": "1", "null": None, '""': ""}),
    "const": ({"const": "only"}, {"only": "only"}),
    "boolean": ({"type": "boolean"}, {"true": True, "false": False}),
    "nullable": ({"type": ["boolean", "null"]}, {"true": True, "false": False, "null": None}),
    "lengths": (
        {"type": "string", "minLength": 2, "maxLength": 5},
        {"given": "text", "unicode": "模糊 ✗ ", "shortest": "aa", "longest": "long "},
    ),
    "format": ({"type": "string", "format": "date"}, {"given": "2026-01-31"}),
    "sizes": (
        {"type": "array", "minItems": 0, "maxItems": 6, "items": {"const": "x"}},
        {"empty": [], "1-item": ["x"], "2-items": ["x"] * 2, "4-items": ["x"] * 4, "6-items": ["x"] * 6},
    ),
    "no doubles": (
        {"type": "array", "uniqueItems": True, "maxItems": 3, "items": {"type": "integer", "minimum": 5, "maximum": 9}},
        {"1-item": [5], "2-items": [5, 6], "3-items": [5, 6, 7], "of-just-above-minimum": [6], "of-interior": [7], "of-just-below-maximum": [8], "of-maximum": [9], "mixed": [6, 7, 9]},
    ),
    "kinds of items": (
        {"type": "array", "items": {"enum": ["a", "b"]}},
        {"1-item": ["a"], "2-items": ["a", "a"], "4-items": ["a"] * 4, "of-b": ["b"], "mixed": ["a", "b"]},
    ),
    "items by place": (
        {"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": False, "minItems": 2},
        {"2-items": [1, 2]},
    ),
    "one item that has to be there": (
        {"type": "array", "items": {"enum": ["a", "b"]}, "contains": {"const": "b"}, "maxItems": 2},
        {"1-item": ["b"], "2-items": ["b", "a"], "of-b": ["b", "b"]},
    ),
    "object": (
        {"type": "object", "required": ["w"], "properties": {"w": {"enum": [1, 2]}, "h": {"type": "boolean"}}},
        {"minimal": {"w": 1}, "w=2": {"w": 2}, "h=true": {"w": 1, "h": True}, "h=false": {"w": 1, "h": False}},
    ),
    "members that need each other": (
        {"type": "object", "properties": {"w": {"const": 1}, "h": {"const": 2}}, "dependentRequired": {"w": ["h"]}},
        {"minimal": {}, "w=1": {"w": 1, "h": 2}, "h=2": {"h": 2}},
    ),
    "map": (
        {"type": "object", "additionalProperties": {"type": "boolean"}, "propertyNames": {"enum": ["k"]}},
        {"minimal": {}, "k=true": {"k": True}, "k=false": {"k": False}},
    ),
    "alternatives": ({"anyOf": [{"type": "boolean"}, {"const": "auto"}]}, {"true": True, "false": False, "auto": "auto"}),
    "exactly one alternative": (
        {"oneOf": [{"type": "integer", "minimum": 0, "maximum": 4}, {"type": "integer", "minimum": 4, "maximum": 8}]},
        {"minimum": 0, "just-above-minimum": 1, "interior": 2, "just-below-maximum": 3, "just-above-minimum-2": 5, "interior-2": 6, "just-below-maximum-2": 7, "maximum": 8},
    ),
    "all at once": (
        {"allOf": [{"type": "number", "minimum": 0}, {"type": "integer", "maximum": 3}]},
        {"minimum": 0, "just-above-minimum": 1, "just-below-maximum": 2, "maximum": 3},
    ),
    "if": (
        {"type": "integer", "minimum": 0, "maximum": 9, "if": {"minimum": 5}, "then": {"multipleOf": 3}},
        {"minimum": 6, "just-above-minimum": 9, "minimum-2": 0, "just-above-minimum-2": 1, "interior": 4},
    ),
    "not": ({"type": "boolean", "not": {"const": True}}, {"false": False}),
    "an example where nothing else fits": (
        {"type": "string", "not": {"maxLength": 12}, "example": "exactly 2026!"}, {"example": "exactly 2026!"},
    ),
}  # fmt: skip
"""Schemas with the labels that they have to have, by name."""


@pytest.mark.parametrize(("schema", "expected"), LABELS.values(), ids=LABELS)
def test_labels_of_a_keyword(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    """Boundaries, members, sizes and alternatives, each under its name and with its value."""
    found = {label.name: label.value for label in labels_of(schema)}
    if expected.keys() - found.keys() == set() and "interior" not in expected:
        found.pop("interior", None)
    assert list(expected) == list(found)
    for name, value in expected.items():
        assert canonical(value) == canonical(found[name])
        assert Draft202012Validator(schema).is_valid(found[name])


@pytest.mark.parametrize("pattern", schemas.PATTERNS)
def test_a_text_matches_its_pattern(pattern: str) -> None:
    """Drawn by Hypothesis, the same each time, within the lengths."""
    schema = {"type": "string", "pattern": pattern, "minLength": 3, "maxLength": 8}
    (label,) = labels_of(schema)
    assert re.search(pattern, label.value)
    assert 3 <= len(label.value) <= 8
    assert (label,) == labels_of(schema)


REFUSED: dict[str, tuple[Any, str]] = {
    "an empty range": (
        {"properties": {"a": {"type": "integer", "minimum": 5, "maximum": 4}}},
        "#/properties/a: no value was found that it allows: correct it, or give it an example",
    ),
    "members of another type": (
        {"properties": {"a": {"type": "integer", "enum": ["512", "256"]}}},
        "#/properties/a: none of its own values fits the rest of the schema: correct it, or give it an example",
    ),
    "a place deeper down": (
        {"properties": {"a": {"type": "array", "items": {"type": "object", "required": ["b"], "properties": {"b": {"type": "integer", "exclusiveMinimum": 1, "maximum": 1}}}}}},
        "#/properties/a/items/properties/b: no value was found that it allows: correct it, or give it an example",
    ),
    "parameters that exclude each other": (
        {"properties": {"a": {"const": 1}, "b": {"const": 2}}, "required": ["a", "b"], "not": {"required": ["a", "b"]}},
        "#: no request was found that keeps all that it says of parameters together",
    ),
    "too many values": (
        {"properties": {"a": {"enum": list(range(1000))}}},
        "#/properties/a: there are more than 200 values to send: bound it, or give it an enum of fewer",
    ),
    "recursion": (
        {"properties": {"a": {"$ref": "#"}}},
        "#/properties/a/$ref: the reference # leads out of the file",
    ),
    "another type": ({"type": "array"}, "#: a request is an object, and this is the schema of something else"),
    "no schema": ({"type": "objekt"}, "#: it is no schema: 'objekt' is not valid under any of the given schemas"),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_planned_is_refused_in_one_sentence(schema: dict[str, Any], said: str) -> None:
    """Which names the place."""
    with pytest.raises(Unplannable) as raised:
        plan_schema(schema)
    assert said == str(raised.value)


def test_a_spec_that_cannot_be_planned_is_refused_with_its_file() -> None:
    """As any input that cannot be used."""
    parameter = FAL.parameter("guidance")
    assert parameter is not None
    empty = replace(parameter, schema={**parameter.schema, "minimum": 30})
    spec = replace(FAL, parameters=tuple(empty if one is parameter else one for one in FAL.parameters))
    with pytest.raises(InputError, match=rf"^{re.escape(str(FAL.path))}: #/.*/guidance_scale: no value was found"):
        build(spec, flow=spec.default_flow, usd_per_image=1)  # type: ignore[arg-type] # nothing is priced


SLOW = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@SLOW
@given(schemas.requests())
def test_any_schema_is_planned(schema: schemas.Schema) -> None:
    """Every body is valid, every label that some request can hold is sent, and the plan is the same each time."""
    planned = plan_schema(schema)
    validator = Draft202012Validator(schema)
    assert [body for body in planned.bodies if not validator.is_valid(body)] == []
    for row, body in zip(planned.rows, planned.bodies, strict=True):
        assert {name for name, label in row.items() if label != "absent"} == set(body)
    sent = {item for row in planned.rows for item in row.items()}
    missing = [(n, label) for n, domain in planned.domains.items() for label in domain if (n, label) not in sent]
    assert [one for one in missing if holdable(schema, planned, *one)] == []
    assert json.dumps(planned.bodies) == json.dumps(plan_schema(schema).bodies)


def holdable(schema: schemas.Schema, planned: Requests, name: str, label: str) -> bool:
    """Whether some request of its labels' values can hold a label: tried out, up to some thousands."""
    values = {one: {"absent": ..., **values_of(schema, one)} for one in planned.domains}
    others = [one for one in planned.domains if one != name]
    validator = Draft202012Validator(schema)
    for chosen in islice(product(*([values[one][its] for its in planned.domains[one]] for one in others)), 3000):
        body = {
            one: its for one, its in zip((*others, name), (*chosen, values[name][label]), strict=True) if its is not ...
        }
        if validator.is_valid(body):
            return True
    return False


def values_of(schema: schemas.Schema, name: str) -> dict[str, Any]:
    return {label.name: label.value for label in labels_of(schema["properties"][name])}
