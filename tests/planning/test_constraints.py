"""What a request's schema says of parameters together holds for every planned body."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.planning import build
from harness.planning.constraints import allowed
from harness.planning.labels import Label
from harness.spec import Spec, load, parse
from harness.spec.lint import lint
from tests.calls import FAL, SPECS

LABELS = {
    "a": (Label("absent", "absent"), Label("one", "k", 1), Label("two", "k", 2)),
    "b": (Label("absent", "absent"), Label("x", "k", "x"), Label("y", "l", "y")),
    "c": (Label("absent", "absent"), Label("true", "k", True)),
}
"""Of three optional parameters; ``z`` is always sent."""
FIXED = {"z": 0}

CONSTRAINTS: dict[str, dict[str, Any]] = {
    "one needs another": {"dependentRequired": {"a": ["b"]}},
    "two of them need each other": {"dependentRequired": {"a": ["b"], "b": ["a"]}},
    "one value needs another": {"dependentSchemas": {"c": {"properties": {"b": {"const": "x"}}}}},
    "two values exclude each other": {"not": {"properties": {"a": {"const": 2}, "b": {"const": "y"}}, "required": ["a", "b"]}},
    "either one or the other": {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "if then else": {"if": {"required": ["c"]}, "then": {"required": ["a"]}, "else": {"not": {"required": ["a"]}}},
    "several at once": {"allOf": [{"not": {"required": ["a", "c"]}}, {"anyOf": [{"required": ["b"]}, {"required": ["c"]}]}]},
    "how many": {"maxProperties": 2},
    "with one that is fixed": {"if": {"properties": {"z": {"const": 0}}}, "then": {"required": ["a"]}},
}  # fmt: skip


def body(row: dict[str, str]) -> dict[str, Any]:
    chosen = {name: next(one for one in LABELS[name] if one.name == label) for name, label in row.items()}
    return FIXED | {name: label.value for name, label in chosen.items() if not label.absent}


def every_row() -> list[dict[str, str]]:
    return [dict(zip(LABELS, names, strict=True)) for names in product(*([x.name for x in d] for d in LABELS.values()))]


@pytest.mark.parametrize("schema", CONSTRAINTS.values(), ids=CONSTRAINTS)
def test_a_whole_row_is_allowed_when_its_body_is_valid(schema: dict[str, Any]) -> None:
    """As a validator of the whole body says, which knows of no labels."""
    keeps = allowed(schema, FIXED, LABELS)
    assert keeps is not None
    expected = [Draft202012Validator(schema).is_valid(body(row)) for row in every_row()]
    assert expected == [keeps(row) for row in every_row()]
    assert {True, False} == set(expected)


@pytest.mark.parametrize("schema", CONSTRAINTS.values(), ids=CONSTRAINTS)
def test_part_of_a_row_is_refused_only_when_nothing_makes_up_for_it(schema: dict[str, Any]) -> None:
    """Every part of an allowed row is allowed."""
    keeps = allowed(schema, FIXED, LABELS)
    assert keeps is not None
    for row in filter(keeps, every_row()):
        for left_out in LABELS:
            assert keeps({name: label for name, label in row.items() if name != left_out})


def test_a_schema_that_relates_nothing_has_no_constraint() -> None:
    """None, so that planning need not ask; so it is with the shipped specs."""
    assert allowed({"properties": {"a": {"type": "integer"}}, "required": ["a"]}, FIXED, LABELS) is None
    assert {allowed(spec.input_schema, {}, {}) for spec in SPECS.values()} == {None}


def constrained(text: str) -> Spec:
    """The spec of fal, whose requests have to keep one rule more."""
    plain = FAL.text.decode()
    planted = plain.replace(
        "      required: [prompt, image_urls]\n", f"      required: [prompt, image_urls]\n{text}", 1
    )
    assert planted != plain
    return parse(planted.encode(), FAL.path)


@pytest.mark.parametrize(
    "text",
    [
        "      dependentRequired: {seed: [guidance_scale]}\n",
        "      dependentSchemas: {aspect_ratio: {properties: {num_images: {maximum: 2}}}}\n",
        "      not: {properties: {output_format: {const: png}, sync_mode: {const: true}}, required: [output_format, sync_mode]}\n",
    ],
    ids=["dependentRequired", "dependentSchemas", "not"],
)
@pytest.mark.parametrize("tier", ["one-way", "core", "pairwise"])
def test_every_accept_case_keeps_what_a_document_relates(text: str, tier: str) -> None:
    """With a constraint in the spec's schema, all bodies are valid and every label is still sent."""
    spec = constrained(text)
    plan = build(spec, flow=spec.default_flow, tier=tier, usd_per_image=Decimal(1))
    cases = [case for case in plan.cases if case.kind == "accept"]
    validator = Draft202012Validator(dict(spec.input_schema))
    assert [case.body for case in cases if not validator.is_valid(dict(case.body))] == []
    sent = {item for case in cases for item in case.labels.items()}
    assert [(n, label) for n, domain in plan.domains.items() for label in domain if (n, label) not in sent] == []


def test_a_spec_with_dependent_parameters_loads_and_is_clean(tmp_path) -> None:
    """The names in ``dependentRequired`` and ``dependentSchemas`` are names, and no place is put among them."""
    path = tmp_path / "spec.yaml"
    rules = "      dependentRequired: {seed: [guidance_scale]}\n      dependentSchemas: {seed: {required: [guidance_scale]}}\n"
    path.write_bytes(constrained(rules).text)
    assert (lint([path]), load(path).target) == ([], FAL.target)
