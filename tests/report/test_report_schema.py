import copy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness import resources
from harness.strict import load_json
from tests.report import runs

SCHEMA = load_json(resources.schema("report").read_bytes())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
FAL = ("targets", "fal/flux-pro-kontext-multi")


def test_the_schema_is_a_schema():
    """It obeys the meta-schema of its own dialect."""
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("mode", ["live", "record", "replay", "simulate"])
def test_a_realistic_document_is_accepted(mode):
    """Every mode, verdict and kind of latency."""
    assert list(VALIDATOR.iter_errors(runs.realistic(mode, "live" if mode == "replay" else None).document)) == []


def _put(*path: str | int, value: Any) -> Any:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


def _drop(*path: str | int) -> Any:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


@pytest.mark.parametrize(
    "change",
    [
        _put("schema_version", value=2),
        _put("extra", value=1),
        _put("run", "mode", value="replayed"),
        _put("run", "recorded_from", value="simulate"),
        _put("run", "started_at", value="yesterday"),
        _put("run", "seed", value="0"),
        _put("run", "audit", "reasons", value="slow"),
        _put("totals", "verdict", value="warn"),
        _put("totals", "usd", value=-0.04),
        _put("targets", "no slash", value={}),
        _put(*FAL, "spec_sha256", value="abc"),
        _put(*FAL, "coverage", "one_way", value=100),
        _put(*FAL, "cases", "pass", value=1.5),
        _put(*FAL, "findings", 0, "check", value="image_counts"),
        _put(*FAL, "findings", 0, "verdict", value="pass"),
        _put(*FAL, "findings", 0, "case_id", value=None),
        _put(*FAL, "findings", 0, "source", value={"document": "x"}),
        _put(*FAL, "latency", "teardown", value={"not_separable": "x"}),
        _put(*FAL, "latency", "queue", value={"not_separable": ""}),
        _put(*FAL, "latency", "queue", value={"not_separable": "x", "n": 3}),
        _put(*FAL, "latency", "total", "unit", value="ms"),
        _put(*FAL, "latency", "total", "p50", "value", value="8.7"),
        _put(*FAL, "cost", "usd_per_image", value="0.04"),
        _drop("run", "audit"),
        _drop("totals", "unknown_charge"),
        _drop(*FAL, "polling"),
        _drop(*FAL, "findings", 0, "request"),
        _drop(*FAL, "latency", "total", "p99"),
    ],
)
def test_a_mutated_document_is_refused(change):
    """Each member's name, type and range is held to."""
    document = copy.deepcopy(runs.realistic().document)
    change(document)
    assert not VALIDATOR.is_valid(document)


def _properties(node: Any) -> Any:
    if isinstance(node, dict):
        for name, item in node.get("properties", {}).items():
            yield name, item
        for item in node.values():
            yield from _properties(item)
    elif isinstance(node, list):
        for item in node:
            yield from _properties(item)


def test_every_property_says_what_it_is_and_figures_their_unit():
    """The schema is the format's documentation."""
    units = ("second", "USD", "Number of", "Share", "SHA-256", "core")
    for name, item in _properties(SCHEMA):
        assert item.get("description"), name
        figure = item.get("$ref", "").rpartition("/")[2] in ("count", "amount", "share", "seconds")
        assert not figure or any(unit in item["description"] for unit in units), name
