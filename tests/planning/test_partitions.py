"""What each parameter's values are cut into: the sizes of the domains, and what their labels stand for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.planning import build
from harness.planning.labels import ABSENT
from harness.planning.partitions import partition
from harness.spec import Spec
from tests.calls import FAL, GATEWAY, MULTI, SINGLE, SPECS, WAVESPEED

UPSTREAM = {
    "prompt": 5, "image_urls": 5, "seed": 5, "guidance_scale": 7, "sync_mode": 3, "num_images": 5,
    "output_format": 3, "safety_tolerance": 7, "aspect_ratio": 10,
}  # fmt: skip
SIZES: dict[str, dict[str, int]] = {
    SINGLE.target: {
        "prompt": 5, "image": 4, "n": 5, "strength": 7, "seed": 6, "steps": 7, "guidance_scale": 7,
        "negative_prompt": 4, "response_format": 3,
    },
    MULTI.target: {
        "prompt": 5, "images": 5, "n": 5, "aspect_ratio": 10, "seed": 6, "steps": 7, "guidance_scale": 7,
        "negative_prompt": 4, "response_format": 3,
    },
    WAVESPEED.target: {
        "prompt": 5, "images": 3, "seed": 6, "guidance_scale": 7, "aspect_ratio": 10, "enable_sync_mode": 3,
    },
    FAL.target: UPSTREAM | {"enhance_prompt": 3},
    GATEWAY.target: UPSTREAM,
}  # fmt: skip
CLASSES: dict[str, dict[str, str]] = {
    "count": {"absent": "absent", "1": "one", "2": "many", "3": "many", "4": "max"},
    "guidance": {
        "absent": "absent", "minimum": "lo", "just-above-minimum": "lo", "default": "mid", "interior": "mid",
        "just-below-maximum": "hi", "maximum": "hi",
    },
    "safety": {"absent": "absent", "1": "edge", "2": "mid", "3": "mid", "4": "mid", "5": "mid", "6": "edge"},
    "seed": {
        "absent": "absent", "random": "random", "zero": "edge", "interior": "fixed", "just-below-maximum": "edge",
        "maximum": "edge",
    },
    "prompt": {"ascii": "plain", "one-character": "plain", "unicode": "unicode", "escapes": "unicode", "long": "long"},
    "negative_prompt": {"absent": "absent", "ascii": "given", "unicode": "given", "empty": "given"},
    "image": {"https-url": "url", "http-url": "url", "png-data-uri": "data", "jpeg-data-uri": "data"},
    "images": {
        "one-url": "one", "two-urls": "two", "four-urls": "many", "one-data-uri": "data", "url-and-data-uri": "data",
    },
    "ratio": {
        "absent": "absent", "21:9": "landscape", "16:9": "landscape", "4:3": "landscape", "3:2": "landscape",
        "1:1": "square", "2:3": "portrait", "3:4": "portrait", "9:16": "portrait", "9:21": "portrait",
    },
    "encoding": {"absent": "absent", "true": "true", "false": "false", "url": "url", "b64_json": "b64_json"},
}  # fmt: skip


def domains(spec: Spec) -> dict[str, dict[str, str]]:
    plan = build(spec, flow=spec.default_flow, usd_per_image=Decimal(1))
    return {name: dict(domain) for name, domain in plan.domains.items()}


@pytest.mark.parametrize("target", SIZES)
def test_domains_are_as_large_as_planned(target: str) -> None:
    """The table of planning.md, absent counted as a value."""
    assert SIZES[target] == {name: len(domain) for name, domain in domains(SPECS[target]).items()}


@pytest.mark.parametrize("target", SIZES)
@pytest.mark.parametrize("role", CLASSES)
def test_labels_belong_to_their_classes(target: str, role: str) -> None:
    """Each label of a role has the class that planning.md gives it."""
    parameter = SPECS[target].parameter(role)
    if parameter is not None:
        found = domains(SPECS[target])[parameter.name]
        assert {name: CLASSES[role][name] for name in found} == found


@pytest.mark.parametrize("target", SIZES)
def test_values_are_what_their_labels_say(target: str) -> None:
    """Boundaries are the schema's own, neighbours lie inside, every value is valid, and no two labels share one."""
    spec = SPECS[target]
    for parameter in spec.parameters:
        labels = partition(parameter, spec)
        values = {label.name: label.value for label in labels if label.name != ABSENT}
        validator = Draft202012Validator(plain(parameter.schema))
        assert [name for name, value in values.items() if not validator.is_valid(value)] == []
        assert len(values) == len({repr(value) for value in values.values()})
        if "minimum" in parameter.schema and "minimum" in values:
            low, high = parameter.schema["minimum"], parameter.schema["maximum"]
            assert (low, high) == (values["minimum"], values["maximum"])
            assert low < values["just-above-minimum"] <= low + 1
            assert high - 1 <= values["just-below-maximum"] < high
            assert values.get("default") == parameter.schema.get("default")
            assert low < values["interior"] < high
        assert (ABSENT in {label.name for label in labels}) == (not parameter.required and parameter.role != "prompt")


def plain(schema: Any) -> Any:
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    return {k: plain(v) for k, v in schema.items() if k != "x-at"} if isinstance(schema, dict) else schema


def test_the_long_prompt_has_2000_characters() -> None:
    """The documents say nothing about longer ones; this one is at the end of what is not contested."""
    parameter = FAL.parameter("prompt")
    assert parameter is not None
    values = {label.name: label.value for label in partition(parameter, FAL)}
    assert (len(values["long"]), len(values["one-character"])) == (2000, 1)


def test_ones_own_assets_replace_the_documents() -> None:
    """Input images are the configured ones, repeated where there are fewer than a label asks for."""
    parameter = FAL.parameter("images")
    assert parameter is not None
    assets = ("https://mine.example/1.png", "https://mine.example/2.png")
    values = {label.name: label.value for label in partition(parameter, FAL, assets)}
    expected = {"one-url": [assets[0]], "two-urls": [*assets], "four-urls": [*assets, *assets]}
    assert expected == {name: values[name] for name in expected}
