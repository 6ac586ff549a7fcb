"""Rejects, judged by what is no part of the harness: jsonschema, Python's own JSON reader, and the spec as plain YAML.

Whatever differs from the valid base differs in one marked thing; what the document does not forbid is marked silent.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from harness.config import Config, Provider
from harness.flow import WITHOUT_KEY
from harness.history import plan_from, plan_json
from harness.model import Case, Json
from harness.planning import build, plainest
from harness.planning.reconsider import reconsidered
from harness.planning.rejects import faults, sample
from harness.spec import Parameter, Spec
from harness.strict import load_json
from harness.targets import Request, plan_of
from tests.calls import FAL, ROUTES, SPECS

EACH = pytest.mark.parametrize(("spec", "flow"), ROUTES, ids=[f"{s.target}:{f}" for s, f in ROUTES])
FORBIDDEN_ON_LIVE = ("file:", "localhost", "127.0.0.1", "[::1]", "2130706433", "10.0.0.1", "169.254")


@cache
def rejects(target: str, flow: str | None = None, *, risky: bool = False) -> tuple[Case, ...]:
    spec = SPECS[target]
    chosen = spec.flows[flow] if flow else spec.default_flow
    plan = build(spec, flow=chosen, usd_per_image=Decimal(1), risky=risky)
    return tuple(case for case in plan.cases if case.kind == "reject")


def base_of(spec: Spec, flow: str) -> dict[str, Json]:
    return dict(plainest(spec, spec.flows[flow]))


def places(spec: Spec, body: Json) -> set[tuple[str | int, ...]]:
    """The JSON Pointers at which a body breaks the schema; what is missing has one too."""
    found = set[tuple[str | int, ...]]()
    for error in Draft202012Validator(dict(spec.input_schema)).iter_errors(body):
        path = tuple(error.absolute_path)
        absent = (
            [name for name in error.validator_value if name not in error.instance]
            if error.validator == "required"
            else []
        )
        found |= {(*path, name) for name in absent} or {path}
    return found


def differing(one: Any, two: Any) -> set[str]:
    """The members in which two bodies differ, numbers and booleans told apart."""
    texts = [{name: json.dumps(value, sort_keys=True) for name, value in body.items()} for body in (one, two)]
    return {name for name in texts[0].keys() | texts[1].keys() if texts[0].get(name) != texts[1].get(name)}


def rfc8259(data: bytes) -> Json:
    """The value of a text by the RFC alone: its constants refused, its names as they come."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    return json.loads(data.decode("utf-8"), parse_constant=refuse)


@EACH
def test_a_well_formed_reject_breaks_the_schema_at_one_pointer(spec: Spec, flow: str) -> None:
    """At its parameter, and at no other; nothing else of the body differs from the valid base."""
    base, seen = base_of(spec, flow), 0
    assert places(spec, base) == set()
    for case in (case for case in rejects(spec.target, flow, risky=True) if case.sending is None):
        broken = places(spec, dict(case.body))
        assert (case.id, {case.parameter}) == (case.id, differing(case.body, base))
        assert (case.id, 1 if case.tier == "A" else 0) == (case.id, len(broken) if case.priced is False else 0)
        assert {place[0] for place in broken} <= {case.parameter}
        assert (case.fault == "missing") == (case.parameter not in case.body)
        seen += 1
    assert seen >= 80


@EACH
def test_what_no_schema_forbids_is_marked(spec: Spec, flow: str) -> None:
    """A reject that the document allows expects either: contested by a place in it, or said to be silent."""
    for case in rejects(spec.target, flow, risky=True):
        contested = case.sending is None and case.expect == "either" and not case.silent
        assert (case.tier == "B") == (case.silent or contested)
        assert case.expect == ("either" if case.tier == "B" else "reject")
        if contested:
            assert spec.contested(case.body) is not None
        elif case.sending is None:
            assert (case.id, case.silent) == (case.id, not places(spec, dict(case.body)))
        assert case.priced == contested


@EACH
def test_a_number_that_is_none_stands_in_the_valid_body(spec: Spec, flow: str) -> None:
    """All else of the text is the base; the token is what only lenient readers take."""
    base, tokens = base_of(spec, flow), Counter[str]()
    for case in (case for case in rejects(spec.target, flow, risky=True) if case.sending and case.parameter):
        assert case.sending is not None
        data = case.sending.body or b""
        read = json.loads(data)
        assert {case.parameter} == differing(read, base)
        tokens[json.dumps(read[case.parameter])] += 1
        assert isinstance(read[case.parameter], float)
        assert (case.sending.method, case.sending.content_type, case.sending.credential) == (None, None, None)
        if case.fault == "overflow":
            bounded = bool({"maximum", "exclusiveMaximum"} & set(_schema(spec, case.parameter)))
            assert case.silent == (not bounded)
        else:
            assert not case.silent
            with pytest.raises(ValueError, match=r"^-?(NaN|Infinity)$"):
                rfc8259(data)
    assert set(tokens) == {"NaN", "Infinity", "-Infinity"}


def _schema(spec: Spec, name: str | None) -> Any:
    return spec.input_schema["properties"][name]


@EACH
def test_a_faulty_text_is_no_object_in_json(spec: Spec, flow: str) -> None:
    """Of tier A no reader that keeps to the RFC makes an object; of tier B it makes the base, but for what is marked."""
    base = base_of(spec, flow)
    bodies = [case for case in rejects(spec.target, flow) if case.id.split("/")[2] == "body"]
    assert len(bodies) >= 25
    for case in bodies:
        assert case.sending is not None
        data = case.sending.body
        assert data is not None
        assert (case.body, case.sending) == (
            base,
            replace(case.sending, method=None, content_type=None, credential=None),
        )
        if case.tier == "A":
            try:
                value = rfc8259(data)
            except ValueError:
                continue
            assert not isinstance(value, dict)
            continue
        value = rfc8259(data.removeprefix(b"\xef\xbb\xbf"))
        texts = {name for name, text in value.items() if isinstance(text, str) and "\ud83d" in text}
        assert differing(value, base) == ({"x_nested"} if "x_nested" in value else texts)
        odd = data.startswith(b"\xef\xbb\xbf") or "x_nested" in value or texts
        assert odd or len(json.loads(data, object_pairs_hook=list)) == len(base) + 1


@EACH
def test_media_types_and_methods_are_not_the_documented_ones(spec: Spec, flow: str) -> None:
    """Read from the spec as YAML; the valid body goes along wherever the method has one."""
    base, operation = base_of(spec, flow), spec.flows[flow].submit.operation
    item = yaml.safe_load(spec.text)["paths"][operation.path]
    documented = {kind.lower() for kind in item[operation.method.lower()]["requestBody"]["content"]}
    others = [c for c in rejects(spec.target, flow) if c.id.split("/")[2] in ("content-type", "method")]
    assert len(others) == 13
    for case in others:
        sending = case.sending
        assert sending is not None
        assert (case.body, sending.credential) == (base, None)
        if case.id.split("/")[2] == "method":
            assert sending.method is not None
            assert sending.method.lower() not in item
            assert sending.body == (b"" if sending.method in ("GET", "DELETE") else None)
            continue
        assert (sending.method, sending.body) == (None, None)
        assert (sending.content_type or "").partition(";")[0] not in documented


@EACH
def test_a_credential_in_place_of_the_key_is_made_up(spec: Spec, flow: str) -> None:
    """Probes, one each, with a valid body; nothing in them is longer than a word."""
    plan = build(spec, flow=spec.flows[flow], usd_per_image=Decimal(1))
    asked = [case for case in plan.cases if case.kind == "probe" and case.sending]
    assert len({case.sending for case in asked}) == len(asked) == 4
    for case in asked:
        assert case.sending is not None
        assert set((case.sending.credential or "").split()) <= {spec.credential.scheme, "Basic", "invalid"}
        assert (case.body, case.expect, case.probes[0][: len("submit-")]) == (base_of(spec, flow), "reject", "submit-")
        assert case.probes[0] != WITHOUT_KEY


@EACH
def test_risky_rejects_are_sent_only_where_they_are_allowed(spec: Spec, flow: str) -> None:
    """No address of the provider's own network, no count far outside its bounds; both where the user allows it."""
    careful, allowed = rejects(spec.target, flow), rejects(spec.target, flow, risky=True)
    assert {case.id for case in careful} < {case.id for case in allowed}
    sent = [json.dumps(case.body) for case in careful]
    assert [text for text in sent if any(word in text for word in FORBIDDEN_ON_LIVE)] == []
    assert max(case.images for case in careful) <= 5
    more = json.dumps([dict(case.body) for case in allowed if case not in careful])
    assert all(word in more for word in FORBIDDEN_ON_LIVE)


@EACH
def test_the_document_forbids_before_it_is_silent(spec: Spec, flow: str) -> None:
    """Tier A, then what is contested, then what is silent; of each parameter one contested value at most."""
    cases = rejects(spec.target, flow)
    ranks = [(case.tier, case.silent) for case in cases]
    assert sorted(ranks) == ranks
    contested = Counter(case.parameter for case in cases if case.priced)
    assert all(number == 1 for number in contested.values())
    assert [case.id for case in cases if case.images != 1 and case.parameter != _count(spec)] == []


def _count(spec: Spec) -> str | None:
    parameter = spec.parameter("count")
    return parameter.name if parameter else None


def test_there_are_as_many_as_planned() -> None:
    """At least 765 over the five targets without any that is risky, no two of a target alike, and of every family."""
    sent = {target: rejects(target) for target in SPECS}
    assert sum(map(len, sent.values())) >= 765
    for target, cases in sent.items():
        alike = Counter((json.dumps(case.body, sort_keys=True), case.sending) for case in cases)
        assert [body for body, number in alike.items() if number > 1] == []
        names = {case.fault for case in cases}
        assert {"null", "quoted", "fraction", "nan", "overflow", "below-minimum"} <= names, target
        assert {"unknown-member", "padded", "empty", "root-null", "utf-16", "duplicate-name"} <= names, target


@EACH
def test_a_frozen_reject_is_read_back_whole(spec: Spec, flow: str) -> None:
    """Bytes that are no text too, through the strict loader; what it cannot be is refused."""
    plan = build(spec, flow=spec.flows[flow], usd_per_image=Decimal(1), risky=True)
    text = json.dumps(plan_json(plan), ensure_ascii=False)
    assert plan == plan_from(load_json(text.encode()))
    value = plan_json(plan)
    value["cases"][0]["sending"] = {"method": 7}
    with pytest.raises(TypeError, match="sending"):
        plan_from(value)


SCHEMAS: dict[str, Any] = {
    "exclusive": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 2, "default": 1},
    "steps": {"type": "integer", "minimum": 8, "maximum": 64, "multipleOf": 8, "default": 16},
    "name": {"type": "string", "minLength": 2, "maxLength": 5, "default": "abc"},
    "either": {"type": ["string", "null"], "enum": ["a", "b", None]},
    "sizes": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 3, "uniqueItems": True},
    "box": {
        "type": "object",
        "required": ["width"],
        "properties": {"width": {"type": "integer", "minimum": 1}, "unit": {"enum": ["px", "cm"]}},
        "default": {"width": 4, "unit": "px"},
    },
    "constant": {"const": "model-1"},
    "optional": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": 3},
    "composed": {"allOf": [{"type": "string"}, {"enum": ["jpeg", "png"]}]},
    "open": {},
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEMAS)
def test_faults_of_any_schema_are_forbidden_by_it(name: str) -> None:
    """Whatever the keywords: each value breaks the schema at one pointer, and each keyword has a value that breaks it."""
    schema = SCHEMAS[name]
    parameter = Parameter(name, schema, True, "", FAL.parameters[0].source, {})
    found = [fault for fault in faults(parameter, sample(parameter)) if not fault.missing]
    validator = Draft202012Validator(schema)
    for fault in found:
        assert len({tuple(error.absolute_path) for error in validator.iter_errors(fault.value)}) == 1, fault
    broken = {error.validator for fault in found for error in validator.iter_errors(fault.value)}
    assert _keywords(schema) <= broken
    assert len(found) >= (5 if schema else 0)


def _keywords(schema: dict[str, Any]) -> set[str]:
    """The keywords of a schema that a value can break by itself."""
    found = set(schema) - {"default", "properties", "items", "allOf"}
    for inner in (*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])):
        found |= _keywords(inner)
    return found


def test_a_schema_without_rules_has_no_faulty_value() -> None:
    """Only leaving such a parameter out can be a fault of it."""
    parameter = Parameter("open", {}, True, "", FAL.parameters[0].source, {})
    assert [fault.name for fault in faults(parameter, sample(parameter))] == ["missing"]


def test_a_changed_document_changes_what_is_expected_of_values_alone() -> None:
    """Of what it was silent on, a value that it now forbids is rejected; texts and files are as they were."""
    spec = SPECS["fal/flux-pro-kontext-multi"]
    schema = json.loads(json.dumps(spec.input_schema))
    schema["properties"]["image_urls"]["maxItems"] = 1
    stricter = replace(spec, input_schema=schema)
    for case in rejects(spec.target):
        today = reconsidered(case, stricter, {"image_urls"})
        forbidden = case.silent and case.fault is not None and case.fault.startswith("second-item-")
        expected = replace(case, expect="reject", silent=False, why=today.why) if forbidden else case
        assert expected == today, case.id


def test_risky_rejects_follow_the_configuration() -> None:
    """A live run has them where its provider's settings say so, a simulated one always."""
    spec = SPECS["wavespeed/flux-kontext-pro-multi"]
    allowed = Config(providers={"wavespeed": Provider(risky_rejects=True)})
    for request, settings, risky in (
        (Request("live"), Config(), False),
        (Request("live"), allowed, True),
        (Request("record"), Config(), False),
        (Request("simulate"), Config(), True),
    ):
        ids = [case.id for case in plan_of(spec, spec.default_flow, request, settings).cases]
        assert any("loopback" in name for name in ids) == risky
