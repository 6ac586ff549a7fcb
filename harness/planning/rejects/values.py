"""Values of one parameter that get exactly one thing wrong, from its schema alone.

Rules
-----
* A row is here only if the schema forbids its value (a validator is asked, row by row), or if the schema does not have
  the bound that the row breaks: then the row is ``silent``, unless a document contests it.
* A fault of an item, or of a member of an object, is committed in a value that is otherwise ``good``: as its first item,
  and as the second of two or more.
* What JSON cannot tell (``NaN``) is a row with a ``token``, the text that stands where the value would.
* Far from its bounds, a parameter that multiplies the price is ``risky``: an acceptance would be dear.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.model import Json
from harness.planning.partitions import bounds_of
from harness.spec import Parameter
from harness.validation import validator

Schema = Mapping[str, Any]
OTHERWISE: Mapping[str, Json] = {
    "string": "three",
    "integer": 12345,
    "number": 12345.5,
    "boolean": True,
    "array": [],
    "object": {},
}
"""A value of each type, for parameters of another one; null has a row of its own, and so has a fraction for an integer."""

NUMBERS = frozenset({"integer", "number"})
TOKENS = {"nan": "NaN", "infinity": "Infinity", "minus-infinity": "-Infinity", "overflow": "1e400"}
"""Numbers that are none in JSON, and one that is none in most readers of it."""

FAR = 1000
STEP = 0.01
"""How far outside a bound a number lies: near enough to be the bound's neighbour in any documented step."""
BEYOND_64_BITS = 2**64
NOWHERE = "no-such-value"


@dataclass(frozen=True, slots=True)
class FaultyValue:
    """One way to get one parameter wrong.

    ``missing`` leaves it out; ``token`` is JSON text in place of a value. ``silent`` says that the document does not
    forbid it; ``unseen`` that no schema could, so that nothing which contests one is about it; ``risky`` that a live
    provider is sent it only where the user allows that.
    """

    name: str
    why: str
    value: Json = None
    missing: bool = False
    token: str | None = None
    silent: bool = False
    unseen: bool = False
    risky: bool = False


def faulty_values(parameter: Parameter, good: Json) -> Iterator[FaultyValue]:
    """The faults of a parameter, in a fixed order; ``good`` is a valid value of it."""
    name, multiplies = parameter.name, parameter.role == "count"
    if parameter.required or parameter.role == "prompt":
        yield FaultyValue("missing", f"{name} is left out", missing=True, silent=not parameter.required)
    schema = _plain(parameter.schema)
    rows = [*_of(schema, {**bounds_of(parameter), **schema}, name, good), *_unbounded(parameter, schema)]
    allowed, seen = validator(parameter.schema), set[str]()
    for row in rows:
        text = row.token or json.dumps(row.value, sort_keys=True)
        forbidden = row.token is None and not allowed.is_valid(row.value)
        if text in seen or not (forbidden or row.silent or row.token):
            continue
        seen.add(text)
        far = row.name.startswith("far-") or row.name in ("infinity", "overflow")
        yield replace(row, silent=row.silent and not forbidden, risky=multiplies and far)


def _plain(schema: Schema) -> Schema:
    """A schema with what it is composed of, where that is one thing: every part of it, or something or null."""
    merged: dict[str, Any] = {}
    for part in schema.get("allOf", ()):
        merged |= _plain(_mapping(part))
    for key in ("anyOf", "oneOf"):
        branches = [branch for branch in map(_mapping, schema.get(key, ())) if branch.get("type") != "null"]
        if len(branches) == 1:
            merged |= _plain(branches[0])
    return {**merged, **schema}


def _mapping(schema: Schema | bool) -> Schema:
    """A schema that may be written as ``true`` or ``false``."""
    return schema if isinstance(schema, Mapping) else {} if schema else {"not": {}}


def _of(schema: Schema, bounds: Schema, what: str, good: Json) -> Iterator[FaultyValue]:
    """The faults of a value under a schema; ``bounds`` adds to it what only another document states."""
    yield FaultyValue("null", f"{what} is null", None)
    types = _types(schema)
    for kind, other in OTHERWISE.items():
        value = 1 if kind == "integer" and "boolean" in types else other  # what many a reader takes for true
        if types and kind not in types and not ({kind} & NUMBERS and NUMBERS & set(types)):
            yield FaultyValue(f"wrong-type-{kind}", f"{what} is of type {kind} instead of {' or '.join(types)}", value)
    if types and "string" not in types:
        yield FaultyValue("quoted", f"{what} is a value of its own in quotes", json.dumps(good))
    yield from _numbers(schema, bounds, what, good)
    yield from _texts(schema, what, good)
    yield from _lists(schema, what, good)
    if isinstance(good, dict):
        for member, inner in schema.get("properties", {}).items():
            if member not in good:
                continue
            rest = {name: value for name, value in good.items() if name != member}
            if member in schema.get("required", ()):
                yield FaultyValue(f"{member}.missing", f"{what}.{member} is left out", rest)
            for row in _of(_mapping(inner), _mapping(inner), f"{what}.{member}", good[member]):
                if row.token is None:
                    yield replace(row, name=f"{member}.{row.name}", value={**rest, member: row.value})


def _types(schema: Schema) -> tuple[str, ...]:
    """The types that a schema allows; none where it names none."""
    named = schema.get("type", ())
    if not named:
        values = [schema["const"]] if "const" in schema else schema.get("enum", ())
        named = {_type(value) for value in values}
    return (named,) if isinstance(named, str) else tuple(sorted(named))


def _type(value: Json) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "null")


def _numbers(schema: Schema, bounds: Schema, what: str, good: Json) -> Iterator[FaultyValue]:
    types = _types(schema)
    if not {"integer", "number"} & set(types) or isinstance(good, bool) or not isinstance(good, (int, float)):
        return
    whole = "number" not in types
    if whole:
        yield FaultyValue("fraction", f"{what} is no whole number", good + 0.5)
    for end, direction, words in (("minimum", -1, "below"), ("maximum", 1, "above")):
        bound, within = bounds.get(end), False
        if bound is None:
            bound, within = bounds.get(f"exclusive{end.title()}"), True
        if bound is None:
            continue
        assumed = end not in schema and f"exclusive{end.title()}" not in schema
        near = bound if within else _outside(bound, direction, whole=whole)
        said = f"{what} is {bound}, which it may not reach" if within else f"{what} is {words} {bound}"
        yield FaultyValue(f"{words}-{end}", said, near, silent=assumed)
        yield FaultyValue(
            f"far-{words}-{end}", f"{what} is far {words} {bound}", bound + direction * FAR, silent=assumed
        )
    if "multipleOf" in schema:
        step = schema["multipleOf"]
        yield FaultyValue("between-steps", f"{what} is no multiple of {step}", good + step / 2)
    for name, token in TOKENS.items():
        # A number of 401 digits is JSON, and breaks nothing where there is no maximum.
        legal = name == "overflow" and not {"maximum", "exclusiveMaximum"} & set(schema)
        yield FaultyValue(
            name, f"{what} is {token}, which is no number in JSON or in its readers", token=token, silent=legal
        )


def _outside(bound: float, direction: int, *, whole: bool) -> float:
    return math.floor(bound) + direction if whole else round(bound + direction * STEP, 6)


def _texts(schema: Schema, what: str, good: Json) -> Iterator[FaultyValue]:
    words = [schema["const"]] if "const" in schema else schema.get("enum", ())
    texts = [word for word in words if isinstance(word, str)]
    if texts:
        yield FaultyValue("unknown-member", f"{what} is not one of the documented values", NOWHERE)
        word = next((word for word in texts if word.upper() != word), texts[0])
        yield FaultyValue("wrong-case", f"{what} is a documented value in capitals", word.upper())
        yield FaultyValue("padded", f"{what} is a documented value between spaces", f" {texts[0]} ")
        yield FaultyValue("empty", f"{what} is an empty text", "")
    if not isinstance(good, str) or texts:
        return
    if "minLength" in schema:
        yield FaultyValue(
            "too-short", f"{what} is shorter than {schema['minLength']}", good[: max(0, schema["minLength"] - 1)]
        )
    if "maxLength" in schema:
        longer = good * (schema["maxLength"] // max(1, len(good)) + 1)
        yield FaultyValue("too-long", f"{what} is longer than {schema['maxLength']}", longer[: schema["maxLength"] + 1])
    if "pattern" in schema:
        for name, said, text in (
            ("empty", "is an empty text", ""),
            ("malformed", "does not have the documented form", "?"),
            ("padded", "has the documented form between spaces", f" {good} "),
            ("cut-short", "is cut off after half of its form", good[: len(good) // 2]),
            ("doubled", "has the documented form twice", good + good),
            ("full-width", "is written in full-width characters", _full_width(good)),
        ):
            yield FaultyValue(name, f"{what} {said}", text)


def _full_width(text: str) -> str:
    """A text in the full-width forms of its characters, which look like digits and letters and are none of ASCII's."""
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text)


def _lists(schema: Schema, what: str, good: Json) -> Iterator[FaultyValue]:
    if not isinstance(good, list):
        return
    first = good[0] if good else None
    if "minItems" in schema:
        yield FaultyValue(
            "too-few", f"{what} has fewer items than {schema['minItems']}", good[:1] * (schema["minItems"] - 1)
        )
    if "maxItems" in schema:
        many = schema["maxItems"] + 1
        yield FaultyValue("too-many", f"{what} has more items than {schema['maxItems']}", (good * many)[:many])
    if schema.get("uniqueItems") and good:
        yield FaultyValue("repeated-item", f"{what} has an item twice", [first, first])
    if isinstance(schema.get("items"), Mapping):
        items: Schema = schema["items"]
        for row in _of(items, items, f"an item of {what}", first):
            if row.token is None and not row.silent:
                for which, value in with_faulty_item(schema, good, row.value):
                    yield replace(row, name=f"{which}-{row.name}", value=value)


def with_faulty_item(schema: Schema, good: Sequence[Json], item: Json) -> Iterator[tuple[str, list[Json]]]:
    """A list with an item that is wrong, as its first and as its second, which are as many as the list has to have."""
    rest = list(good[1 : schema.get("minItems", 1)])
    yield "item", [item, *rest]
    if schema.get("maxItems", 2) >= 2:
        yield "second-item", [*good[:1], item, *rest[1:]]


def _unbounded(parameter: Parameter, schema: Schema) -> Iterator[FaultyValue]:
    """Values at ends that a schema leaves open, and that something has to give way at."""
    name = parameter.name
    types, bounds = _types(schema), bounds_of(parameter)
    if types == ("integer",) and not {"maximum", "exclusiveMaximum"} & set(bounds):
        yield FaultyValue("beyond-64-bits", f"{name} does not fit into 64 bits", BEYOND_64_BITS, silent=True)
    if parameter.role == "prompt" and not schema.get("minLength"):
        yield FaultyValue("empty", f"{name} is an empty text", "", silent=True)
    if parameter.role == "images" and not schema.get("minItems"):
        yield FaultyValue("empty", f"{name} has no item", [], silent=True)
