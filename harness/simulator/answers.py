"""From a response schema and what is known by role to an answer's body.

Rules
-----
* A field with a role takes the value that the context has for that role, if its schema can hold it.
* A field without one takes its ``const``, else its ``default``. Where neither is known a required field takes an
  example, an enum member or the emptiest value of its type; an optional field is left out, and so is an optional
  object of which no role is known. A required object of which nothing is known is null where null is allowed.
* Of several alternatives the first is taken whose constants agree with the context and whose required roles it
  knows; else the first whose constants agree; else the first.
* A context value that is a tuple of mappings (``outputs``, ``errors``) renders one item for each.
* Schemas are compiled once; rendering walks the compiled nodes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from harness.model import Json
from harness.spec.contract import EXTENSION, Schema

Context: TypeAlias = Mapping[str, Any]
"""Values by role: JSON values, ``OneOf``, ``Link``, or for a list of things a tuple of contexts.

``created`` is in seconds of Unix time and ``inference_time`` in seconds, whatever the field's unit is.
"""


class _Missing:
    """The type of ``MISSING``."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()


_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


@dataclass(frozen=True, slots=True)
class OneOf:
    """Several ways to say a value; a field takes the first that its schema can hold."""

    values: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A URL on the caller's own base; a field that is documented with a foreign origin shows it there."""

    base: str
    path: str


@dataclass(frozen=True, slots=True)
class Node:
    """One compiled schema node. ``types`` is empty where any type will do, ``allowed`` None where any value will.

    ``kinds`` are the Python types of ``types``, without bool, which Python takes for an integer.
    """

    role: str
    detail: Mapping[str, Any]
    types: frozenset[str]
    kinds: tuple[type, ...]
    allowed: tuple[Json, ...] | None
    known: Any
    filler: Json
    properties: tuple[tuple[str, Node], ...]
    required: frozenset[str]
    items: Node | None
    fewest: int
    every: tuple[Node, ...]
    alternatives: tuple[Node, ...]

    @property
    def bare(self) -> bool:
        """Whether it only names required fields of the object that it is an alternative of."""
        structure = (self.properties, self.every, self.alternatives, self.items, self.role, self.types, self.allowed)
        return not any(structure)

    @property
    def children(self) -> Iterator[Node]:
        """The nodes of the same answer object: properties and the parts of compositions."""
        yield from (child for _, child in self.properties)
        yield from self.every
        yield from self.alternatives


def compiled(schema: Schema) -> Node:
    """A schema whose references are inlined, ready to be rendered many times."""
    types = schema.get("type", ())
    names = frozenset((types,) if isinstance(types, str) else types)
    detail = schema.get(EXTENSION, {})
    items = schema.get("items")
    return Node(
        role=detail.get("role", ""),
        detail=detail,
        types=names,
        kinds=tuple(kind for name in names for kind in _KINDS[name]) if names else (object,),
        allowed=(schema["const"],) if "const" in schema else tuple(schema["enum"]) if "enum" in schema else None,
        known=schema["const"] if "const" in schema else schema.get("default", MISSING),
        filler=_filler(schema, names),
        properties=tuple((name, compiled(item)) for name, item in schema.get("properties", {}).items()),
        required=frozenset(schema.get("required", ())),
        items=compiled(items) if isinstance(items, dict) else None,
        fewest=schema.get("minItems", 0),
        every=tuple(compiled(part) for part in schema.get("allOf", ())),
        alternatives=tuple(compiled(part) for key in ("anyOf", "oneOf") for part in schema.get(key, ())),
    )


def _filler(schema: Schema, types: frozenset[str]) -> Json:
    if "example" in schema:
        return schema["example"]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    if "null" in types:
        return None
    if "string" in types:
        return "-" * schema.get("minLength", 0)
    if types & {"integer", "number"}:
        return schema.get("minimum", 0)
    empty: Mapping[str, Json] = {"boolean": False, "array": [], "object": {}}
    return next((value for name, value in empty.items() if name in types), None)


def render(node: Node, context: Context) -> Json:
    """The answer that a context gives under a schema."""
    value = _value(node, context, required=True)
    return None if value is MISSING else value


def _value(node: Node, context: Context, *, required: bool) -> Any:
    said = _said(node, context)
    if said is not MISSING:
        return said
    if node.properties or node.every or node.alternatives:
        return _composed(node, context, required=required)
    if node.known is not MISSING:
        return node.known
    if not required:
        return MISSING
    if node.items is not None and node.fewest:
        return [_value(node.items, context, required=True)] * node.fewest
    return node.filler


def _composed(node: Node, context: Context, *, required: bool) -> Any:
    may_be_null = "null" in node.types or any(part.types == {"null"} for part in node.alternatives)
    if (may_be_null or not required) and not _knows(node, context):
        return None if required else MISSING
    chosen = _chosen(node, context)
    needed = node.required.union(*(part.required for part in (*node.every, *chosen)))
    made: dict[str, Any] = {}
    for name, child in node.properties:
        value = _value(child, context, required=name in needed)
        if value is not MISSING:
            made[name] = value
    for part in (*node.every, *chosen):
        value = {} if part.bare else _value(part, context, required=True)
        if not isinstance(value, dict):
            return value
        made |= value
    return made


def _said(node: Node, context: Context) -> Any:
    """What the context says for the node's own role, in the node's unit; MISSING when it cannot hold it."""
    if not node.role or node.role not in context:
        return MISSING
    value = context[node.role]
    if isinstance(value, tuple):
        if node.items is None:
            return MISSING
        return [_value(node.items, {**context, **item}, required=True) for item in value]
    for candidate in value.values if isinstance(value, OneOf) else (value,):
        shown = _shown(node, candidate)
        if _holds(node, shown):
            return shown
    return MISSING


def _shown(node: Node, value: Any) -> Any:
    """A value as the field's detail wants it: its unit, its origin."""
    if isinstance(value, Link):
        return node.detail.get("foreign", value.base).rstrip("/") + value.path
    match node.detail.get("unit"):
        case None:
            return value
        case "iso8601":
            return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case "ms":
            return math.floor(value * 1000) if "number" not in node.types else value * 1000
        case "s":
            return math.floor(value) if "number" not in node.types else value
    return value


def _holds(node: Node, value: Json) -> bool:
    if node.allowed is not None and value not in node.allowed:
        return False
    if isinstance(value, bool):
        return not node.types or "boolean" in node.types
    return isinstance(value, node.kinds)


def _knows(node: Node, context: Context) -> bool:
    """Whether the context has something to say in this node or below it."""
    return _said(node, context) is not MISSING or any(_knows(child, context) for child in node.children)


def _chosen(node: Node, context: Context) -> tuple[Node, ...]:
    """The alternative to render, if there are any."""
    properties = dict(node.properties)

    def faults(part: Node) -> tuple[bool, bool]:
        return not _agrees(part, context), not _complete(part, properties | dict(part.properties), context)

    return (min(node.alternatives, key=faults),) if node.alternatives else ()


def _agrees(node: Node, context: Context) -> bool:
    """Whether no constant or enum below contradicts the context."""
    if node.role in context and node.allowed is not None and _said(node, context) is MISSING:
        return False
    return all(_agrees(part, context) for part in (*dict(node.properties).values(), *node.every))


def _complete(node: Node, properties: Mapping[str, Node], context: Context) -> bool:
    """Whether the context knows every required field that has a role and may not be null."""
    if node.role and _said(node, context) is MISSING:
        return False
    needed = [child for name, child in properties.items() if name in node.required and "null" not in child.types]
    return all(_complete(part, dict(part.properties), context) for part in (*needed, *node.every))
