"""Plans of endpoints that are unlike the shipped ones: whatever the schema, what is sent is what it says it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from harness.model import Case
from harness.planning import build
from harness.planning.workload import workload
from harness.spec import Spec, parse
from harness.strategies import invalid_requests, requests, values
from harness.strict import load_yaml
from tests.calls import SINGLE

SOURCE = {"source": {"document": "api", "where": "a table", "states": "a row of it"}}
AB = {"a": {"type": "integer", "minimum": 1, "maximum": 9}, "b": {"type": "integer", "minimum": 1, "maximum": 9}}
SEED = {"type": "integer", "minimum": 0, "maximum": 999, "x-harness": {"role": "seed"}}
MANY = {"type": "array", "items": {"type": "string"}, "x-harness": {"role": "images", "takes": ["url", "data_uri"]}}


def endpoint(parameters: Mapping[str, Any], **keywords: Any) -> Spec:
    """A spec of an endpoint with a prompt, an image where there are no images, and these parameters."""
    spec = load_yaml(SINGLE.path.read_bytes()).value
    spec["x-harness"]["ambiguities"] = []
    del spec["x-harness"]["interactions"]
    schema = spec["components"]["schemas"]["Input"]
    del schema["example"]
    kept = ("model", "prompt", "image") if "images" not in parameters else ("model", "prompt")
    schema["properties"] = {name: schema["properties"][name] for name in kept}
    for name, one in parameters.items():
        schema["properties"][name] = {**one, "x-harness": {**SOURCE, **one.get("x-harness", {})}}
    schema["required"] = ["model", "images" if "images" in parameters else "image"]
    return parse(json.dumps({**spec, "components": {**spec["components"], "schemas": {**spec["components"]["schemas"], "Input": schema | keywords}}}).encode(), Path("odd.yaml"))  # fmt: skip


ODD: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "a needs b": (AB, {"dependentRequired": {"a": ["b"]}}),
    "a or b": (
        AB,
        {
            "oneOf": [
                {"required": ["a"], "not": {"required": ["b"]}},
                {"required": ["b"], "not": {"required": ["a"]}},
            ]
        },
    ),
    "two of three": (
        {**AB, "c": {"type": "boolean"}},
        {"oneOf": [{"required": ["a", "c"]}, {"required": ["b", "model"], "not": {"required": ["c"]}}]},
    ),
    "a bounds b": (AB, {"if": {"properties": {"a": {"const": 1}}}, "then": {"properties": {"b": {"maximum": 3}}}}),
    "one of two ranges": ({"x": {"type": "integer", "oneOf": [{"minimum": 0, "maximum": 10}, {"minimum": 5}]}}, {}),
    "true among schemas": ({"x": {"allOf": [True, {"type": "integer", "minimum": 0, "maximum": 3}]}}, {}),
    "a member of any kind": ({"x": {"type": "object", "required": ["p"], "properties": {"p": True}}}, {}),
    "nullable": ({"x": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 4}, {"type": "null"}]}}, {}),
    "at least two images": ({"images": {**MANY, "minItems": 2, "maxItems": 8}}, {}),
    "at most one image": ({"images": {**MANY, "maxItems": 1}}, {}),
    "three images, none twice": ({"images": {**MANY, "minItems": 3, "uniqueItems": True}}, {}),
    "images by pattern": ({"images": {**MANY, "items": {"type": "string", "pattern": "^https?://"}, "minItems": 1}}, {}),
    "a count of members": ({"n": {"type": "integer", "enum": [1, 2, 4], "x-harness": {"role": "count"}}}, {}),
    "four by default": (
        {"n": {"type": "integer", "minimum": 1, "maximum": 4, "default": 4, "x-harness": {"role": "count"}}},
        {},
    ),
    "a count in floats": (
        {"n": {"type": "integer", "minimum": 1.0, "maximum": 4.0, "x-harness": {"role": "count"}}},
        {},
    ),
    "64 bits": ({"k": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}, "seed": {**SEED, "maximum": 2**63 - 1}}, {}),
    "a seed needs a": ({**AB, "seed": SEED}, {"dependentRequired": {"seed": ["a"]}}),
    "a seed by tens": ({"seed": {**SEED, "multipleOf": 10}}, {}),
    "a seed below zero": ({"seed": {**SEED, "minimum": -5, "maximum": 0}}, {}),
    "defaults that exclude each other": (
        {"seed": SEED, "w": {"type": "integer", "minimum": 1, "maximum": 9, "default": 5}, "z": {"type": "boolean", "default": True}},
        {"not": {"required": ["w", "z"]}},
    ),
    "unique tags": ({"tags": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 2, "uniqueItems": True}}, {}),
}  # fmt: skip


@pytest.fixture(params=ODD)
def odd(request: pytest.FixtureRequest) -> Spec:
    """An endpoint of the table."""
    parameters, keywords = ODD[request.param]
    return endpoint(parameters, **keywords)


def places(spec: Spec, body: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    """Where a body breaks the schema, by a validator of its own; what is missing is named."""
    found: set[tuple[Any, ...]] = set()
    for error in Draft202012Validator(dict(spec.input_schema)).iter_errors(dict(body)):
        missing = [name for name in error.validator_value if name not in error.instance] if error.validator == "required" else []  # fmt: skip
        found |= {(*error.absolute_path, name) for name in missing} or {tuple(error.absolute_path)}
    return found


def cases_of(spec: Spec) -> list[Case]:
    """Everything that a plan of it may hold, and a bench."""
    common: dict[str, Any] = {"flow": spec.default_flow, "usd_per_image": Decimal(1)}
    plan = build(spec, tier="core", explore=10, with_repeats=True, risky=True, **common)
    return [*plan.cases, *workload(spec, requests=3, warmup=1, **common).cases]


def test_what_is_said_to_be_valid_is_valid(odd):
    """Rows, explored requests, paid repetitions and benches."""
    sure = [case for case in cases_of(odd) if case.expect == "accept"]
    assert {case.id: places(odd, case.body) for case in sure if places(odd, case.body)} == {}
    assert len(sure) >= 4


def test_what_is_said_to_have_one_fault_has_one(odd):
    """In one place if the document forbids it, in none if it is silent; as few images as the document allows are asked for."""
    faulty = [case for case in cases_of(odd) if case.kind == "reject" and case.parameter and case.sending is None]
    wrong = {
        case.id: found
        for case in faulty
        if len(found := places(odd, case.body)) != (0 if case.silent else 1)
        or not all(place[0] == case.parameter for place in found)
    }
    assert (wrong, len(faulty) > 20) == ({}, True)
    assert {case.images for case in faulty if case.parameter != "n"} == {1}


def test_strategies_draw_what_they_promise(odd):
    """Requests and values that the schema allows, invalid requests that it forbids in one place."""

    @settings(max_examples=60, deadline=None)
    @given(requests(odd), invalid_requests(odd))
    def drawn(body: dict[str, Any], invalid: Any) -> None:
        assert not places(odd, body)
        found = places(odd, invalid.body)
        assert (len(found), {place[0] for place in found}) == (1, {invalid.parameter})

    drawn()


def test_values_are_allowed_by_their_own_schema(odd):
    """Of every parameter, whatever else it may be combined with."""

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def drawn(data: st.DataObject) -> None:
        parameter = data.draw(st.sampled_from(odd.parameters))
        assert Draft202012Validator(dict(parameter.schema)).is_valid(data.draw(values(parameter, odd)))

    drawn()


@pytest.mark.parametrize(
    ("name", "parameter", "sent"),
    [
        ("a count of members", "n", {1, 2, 4}),
        ("at least two images", "images", {2, 4, 8}),
        ("64 bits", "k", {0, 1, 2**63 - 2, 2**63 - 1}),
    ],
)
def test_every_documented_end_is_sent(name, parameter, sent):
    """Members of an enum, sizes of a list, ends of 64 bits, as integers."""
    parameters, keywords = ODD[name]
    spec = endpoint(parameters, **keywords)
    plan = build(spec, flow=spec.default_flow, usd_per_image=Decimal(1), with_rejects=False)
    given_ = [case.body[parameter] for case in plan.cases if parameter in case.body]
    found = {len(one) if isinstance(one, list) else one for one in given_}
    assert sent <= found
    assert all(type(one) is not float for one in given_)
