"""JSON Schemas that hold at once, as one schema to take boundaries from.

Rules
-----
* What is merged serves to find candidates and never to judge them: values are validated against the schema as it was
  written. So a keyword that cannot be merged (two patterns) may lose, and costs candidates at most.
* A schema with alternatives is taken apart into schemas without: ``allOf`` first, then ``oneOf`` and ``anyOf``, then
  ``if``, as what holds with ``then`` and what holds with ``else``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from typing import Any

from harness.spec.contract import AT, Schema

Keyword = Callable[[Any, Any], Any]


def _types(one: Any, two: Any) -> Any:
    ones, twos = ([kind] if isinstance(kind, str) else list(kind) for kind in (one, two))
    both = [kind for kind in ones if kind in twos or (kind == "integer" and "number" in twos)]
    both += [kind for kind in twos if kind == "integer" and "number" in ones and kind not in both]
    return both[0] if len(both) == 1 else both


def _properties(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: merged(one[name], two[name]) if name in one and name in two else {**one, **two}[name]
        for name in {**one, **two}
    }


def _multiple(one: Any, two: Any) -> Any:
    return math.lcm(one, two) if isinstance(one, int) and isinstance(two, int) else one


def _alternatives(one: list[Any], two: list[Any]) -> list[Any]:
    return [merged(first, second) for first in one for second in two]


def merged(one: Any, two: Any) -> Any:
    """A schema that asks for what both ask for, as far as their keywords can be put together."""
    if isinstance(one, bool) or isinstance(two, bool):
        return two if one is True else one if two is True else False
    both = {**two, **one}
    for keyword in one.keys() & two.keys():
        if keyword in KEYWORDS:
            both[keyword] = KEYWORDS[keyword](one[keyword], two[keyword])
    return both


KEYWORDS: Mapping[str, Keyword] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    "required": lambda one, two: [*dict.fromkeys([*one, *two])],
    "enum": lambda one, two: [member for member in one if member in two],
    "type": _types,
    "properties": _properties,
    "multipleOf": _multiple,
    "uniqueItems": lambda one, two: one or two,
    "dependentRequired": lambda one, two: {
        name: [*one.get(name, ()), *two.get(name, ())] for name in dict.fromkeys((*one, *two))
    },
    **dict.fromkeys(("items", "additionalProperties"), merged),
    **dict.fromkeys(("anyOf", "oneOf"), _alternatives),
}
"""How two values of a keyword become one; of any other keyword the first one's value stays."""


def alternatives(schema: Schema) -> Iterator[Any] | None:
    """The schemas of which a value has to fit one; None for a schema that leaves no choice."""
    rest = dict(schema)
    if "allOf" in rest:
        parts = rest.pop("allOf")
        return iter([reduce(merged, parts, rest)])
    for keyword in ("oneOf", "anyOf"):
        if keyword in rest:
            branches = rest.pop(keyword)
            return (_within(rest, branch) for branch in branches)
    if "if" in rest:
        condition, met, otherwise = rest.pop("if"), rest.pop("then", True), rest.pop("else", True)
        return (
            merged(merged(rest, part) if part is not True else rest, other)
            for part, other in ((condition, met), (True, otherwise))
        )
    return None


def _within(rest: Schema, branch: Any) -> Any:
    """A branch with what stands beside it; its place in the file stays its own."""
    both = merged(rest, branch)
    return {**both, AT: branch[AT]} if isinstance(both, dict) and isinstance(branch, dict) and AT in branch else both


def properties(schema: Any) -> dict[str, list[Any]]:
    """The schemas that an object's schema has for each property, wherever they stand in it."""
    found: dict[str, list[Any]] = {}
    if not isinstance(schema, Mapping):
        return found
    for name, one in schema.get("properties", {}).items():
        found.setdefault(name, []).append(one)
    below = [part for keyword in ("allOf", "oneOf", "anyOf") for part in schema.get(keyword, ())]
    below += [schema[keyword] for keyword in ("then", "else") if keyword in schema]
    for part in (*below, *schema.get("dependentSchemas", {}).values()):
        for name, schemas in properties(part).items():
            found.setdefault(name, []).extend(schemas)
    return found
