"""Rendering of answers, on schemas smaller than any provider's."""

from __future__ import annotations

import pytest

from harness.simulator.answers import Link, OneOf, compiled, render


def role(name, **schema):
    """A schema with a role."""
    detail = {"role": name} | {key: schema.pop(key) for key in ("unit", "foreign") if key in schema}
    return schema | {"x-harness": detail}


def made(properties, context, **more):
    """An answer under an object schema."""
    return render(compiled({"type": "object", "properties": properties} | more), context)


def test_optional_fields_need_a_known_value():
    """Optional fields without role, default or constant are left out; constants and defaults are known."""
    properties = {
        "id": role("job_id", type="string"),
        "seed": role("seed", type="integer"),
        "note": {"type": "string", "example": "x"},
        "error": {"type": "string", "default": ""},
        "kind": {"const": "image"},
    }
    assert made(properties, {"job_id": "j"}) == {"id": "j", "error": "", "kind": "image"}


def test_required_fields_are_always_there():
    """A required field of which nothing is known takes an example, a member, or the emptiest value of its type."""
    properties = {
        "a": {"type": "string", "example": "x"},
        "b": {"enum": ["p", "q"]},
        "c": {"type": "string"},
        "d": {"type": "integer", "minimum": 1},
        "e": {"type": ["object", "null"]},
        "f": {"type": "array", "minItems": 1, "items": {"type": "boolean"}},
        "g": {"type": "object", "properties": {"h": role("seed", type="integer")}},
    }
    expected = {"a": "x", "b": "p", "c": "", "d": 1, "e": None, "f": [False], "g": {}}
    assert made(properties, {}, required=list(properties)) == expected


def test_an_optional_object_appears_with_its_first_known_role():
    """An object is there as soon as something in it is known."""
    properties = {"metrics": {"type": "object", "properties": {"time": role("inference_time", type="number")}}}
    assert (made(properties, {}), made(properties, {"inference_time": 2.5})) == ({}, {"metrics": {"time": 2.5}})


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "unit": "ms"}, 1234),
        ({"type": "number", "unit": "ms"}, 1234.5),
        ({"type": "number", "unit": "s"}, 1.2345),
        ({"type": "integer", "unit": "s"}, 1),
        ({"type": "string", "unit": "iso8601"}, "1970-01-01T00:00:01.234Z"),
    ],
)
def test_units(schema, expected):
    """A field says a time in its own unit and type."""
    assert made({"t": role("created", **schema)}, {"created": 1.2345}) == {"t": expected}


def test_a_value_of_another_type_is_not_forced_into_a_field():
    """A boolean is no integer; the first of several values that fits is said."""
    properties = {"n": role("seed", type="integer"), "code": role("error_code", type="integer")}
    assert made(properties, {"seed": True, "error_code": OneOf(("bad_request", 400))}) == {"code": 400}


def test_links_show_a_foreign_origin_where_the_document_does():
    """The same link on the caller's base and on the documented foreign origin."""
    properties = {
        "own": role("link_status", type="string"),
        "theirs": role("link_result", type="string", foreign="https://other.example"),
    }
    link = Link("http://127.0.0.1:1/p", "/jobs/j")
    expected = {"own": "http://127.0.0.1:1/p/jobs/j", "theirs": "https://other.example/jobs/j"}
    assert made(properties, {"link_status": link, "link_result": link}) == expected


def test_lists_are_rendered_one_item_for_each():
    """Objects and plain strings alike; no outputs are an empty list."""
    items = {"type": "object", "properties": {"url": role("output_url", type="string")}}
    outputs = ({"output_url": "a"}, {"output_url": "b"})
    objects = {"images": role("outputs", type="array", items=items)}
    strings = {"images": role("outputs", type="array", items=role("output_url", type="string"))}
    assert made(objects, {"outputs": outputs}) == {"images": [{"url": "a"}, {"url": "b"}]}
    assert made(strings, {"outputs": outputs}) == {"images": ["a", "b"]}
    assert made(strings, {"outputs": ()}) == {"images": []}


@pytest.mark.parametrize(
    ("status", "expected"), [("WAIT", {"status": "WAIT", "ahead": 3}), ("DONE", {"status": "DONE", "logs": None})]
)
def test_the_alternative_whose_constants_agree(status, expected):
    """Alternatives are told apart by a constant or an enum."""
    waiting = {"status": role("status", const="WAIT"), "ahead": role("queue_position", type="integer")}
    started = {"status": role("status", enum=["RUN", "DONE"]), "logs": {"type": ["array", "null"], "default": None}}
    alternatives = [
        {"type": "object", "required": list(properties), "properties": properties} for properties in (waiting, started)
    ]
    assert render(compiled({"anyOf": alternatives}), {"status": status, "queue_position": 3}) == expected


@pytest.mark.parametrize(("known", "expected"), [("output_url", {"url": "x"}), ("output_base64", {"b64": "x"})])
def test_alternatives_that_only_name_required_fields(known, expected):
    """Of ``anyOf: [{required: [url]}, {required: [b64]}]`` the one that can be met is."""
    properties = {"url": role("output_url", type="string"), "b64": role("output_base64", type="string")}
    assert made(properties, {known: "x"}, anyOf=[{"required": ["url"]}, {"required": ["b64"]}]) == expected


def test_null_stands_for_an_object_of_which_nothing_is_known():
    """A nullable result is null until there is one, however null is written."""
    result = {"type": "object", "required": ["sample"], "properties": {"sample": role("output_url", type="string")}}
    properties = {"a": {"anyOf": [result, {"type": "null"}]}, "b": result | {"type": ["object", "null"]}}
    assert made(properties, {}, required=["a", "b"]) == {"a": None, "b": None}
    assert made(properties, {"output_url": "u"}) == {"a": {"sample": "u"}, "b": {"sample": "u"}}


def test_parts_of_all_of_are_merged():
    """``allOf`` is one object."""
    parts = [{"properties": {"id": role("job_id")}}, {"required": ["n"], "properties": {"n": {"type": "integer"}}}]
    assert render(compiled({"allOf": parts}), {"job_id": "j"}) == {"id": "j", "n": 0}
