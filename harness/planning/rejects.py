"""Request bodies with exactly one fault, each of which the document forbids.

Rules
-----
* The base is a valid body that asks for one image; a fault changes one parameter of it, so that no fault hides
  another and an unexpected acceptance costs one image.
* A fault is a row: its name, and the value that commits it (or nothing, for a missing parameter).
* Where a place in the document supports the body after all (``contested``), the case expects ``either``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.model import Json
from harness.spec import Parameter

_WRONG_TYPES: dict[str, Json] = {
    "string": 12345,
    "integer": "three",
    "number": "three",
    "boolean": "maybe",
    "array": "not a list",
    "object": [],
}


@dataclass(frozen=True, slots=True)
class FaultyValue:
    """One way to get one parameter wrong; ``missing`` leaves it out."""

    name: str
    why: str
    value: Json = None
    missing: bool = False


def faults(parameter: Parameter) -> Iterator[FaultyValue]:
    """The single faults of a parameter, in a fixed order."""
    schema, name = parameter.schema, parameter.name
    if parameter.required or parameter.role == "prompt":
        yield FaultyValue("missing", f"{name} is left out", missing=True)
    kind = schema.get("type")
    if isinstance(kind, str):
        yield FaultyValue("wrong-type", f"{name} is not of type {kind}", _WRONG_TYPES[kind])
        yield FaultyValue("null", f"{name} is null", None)
    if "minimum" in schema:
        low = schema["minimum"]
        yield FaultyValue("below-minimum", f"{name} is below {low}", _outside(low, -1, kind))
        if parameter.role != "count":  # a count multiplies the price of an unexpected acceptance
            yield FaultyValue("far-below-minimum", f"{name} is far below {low}", low - 1000)
    if "maximum" in schema:
        high = schema["maximum"]
        yield FaultyValue("above-maximum", f"{name} is above {high}", _outside(high, 1, kind))
        if parameter.role != "count":
            yield FaultyValue("far-above-maximum", f"{name} is far above {high}", high + 1000)
    if "enum" in schema:
        yield FaultyValue("unknown-member", f"{name} is not one of the documented values", "no-such-value")
        word = next((m for m in schema["enum"] if isinstance(m, str) and m.upper() != m), None)
        if word is not None and word.upper() not in schema["enum"]:
            yield FaultyValue("wrong-case", f"{name} is a documented value in capitals", word.upper())
    if "pattern" in schema:
        yield FaultyValue("malformed", f"{name} does not have the documented form", "?")
    if kind == "array" and isinstance(schema.get("items"), dict) and schema["items"].get("type") == "string":
        yield FaultyValue("bad-item", f"an item of {name} is not a string", [12345])


def _outside(bound: float, direction: int, kind: Json) -> float:
    return bound + direction if kind == "integer" else round(bound + direction * 0.01, 6)
