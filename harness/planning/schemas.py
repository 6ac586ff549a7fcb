"""The labels of any JSON Schema: boundaries by type, members, sizes, alternatives; no role and no name is read.

Rules
-----
* What is documented has boundaries: both ends of a range, a length, a size, and their neighbours inside. A side without a
  bound has none.
* Every value is validated against the schema that it was taken from before it becomes a label, and once more against each
  schema around it. Equal values are one label.
* Alternatives (``oneOf``, ``anyOf``, ``if``, several types) give the labels of all of them; what holds at once is merged.
* An object is its required members at their first label, and that with one member varied; an array is its sizes, and one of
  its sizes with each kind of item.
* A schema for which no value is found is refused in one sentence that names its place.

``jsonschema`` judges; multiples of a float are multiples to its arithmetic.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, combinations, islice
from typing import Any

from harness.errors import InputError
from harness.model import Json
from harness.planning.labels import Grid, Label, Matching, Text, canonical
from harness.planning.media import in_base64
from harness.planning.merging import alternatives
from harness.planning.numbers import numbers
from harness.spec.contract import AT, Schema
from harness.validation import validator

MOST_LABELS = 200
"""More labels of one parameter are more paid requests than anybody means to send."""
MOST_CHARACTERS, MOST_ITEMS = 20_000, 64
"""Longer texts and lists are not sent, though a schema may allow them."""
USUAL_LENGTH = 40
TRIES = 2000
"""Sets of members that are tried for one that makes a body valid."""
FORMATS: Mapping[str, str] = {
    "uri": "https://example.com/a", "uri-reference": "/a", "iri": "https://example.com/ä", "url": "https://example.com/a",
    "date-time": "2026-01-31T12:00:00Z", "date": "2026-01-31", "time": "12:00:00Z", "duration": "PT1M",
    "email": "a@example.com", "hostname": "example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1",
    "uuid": "123e4567-e89b-42d3-a456-426614174000", "byte": "YQ==", "regex": "^a$", "json-pointer": "/a",
}  # fmt: skip
"""A text of each format."""
BY_KEYWORD: Mapping[str, str] = {
    **dict.fromkeys(("properties", "required", "minProperties", "maxProperties", "additionalProperties"), "object"),
    **dict.fromkeys(("patternProperties", "dependentRequired", "dependentSchemas"), "object"),
    **dict.fromkeys(("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"), "array"),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
    **dict.fromkeys(("minLength", "maxLength", "pattern", "format", "contentEncoding"), "string"),
}
"""The type that a schema without one speaks of."""
ANYTHING: Mapping[str, Json] = {
    "string": "text",
    "integer": 1,
    "boolean": True,
    "null": None,
    "array": [],
    "object": {},
}

Labels = tuple[Label, ...]
Valid = Callable[[Json], bool]


class Unplannable(InputError):
    """No value of a schema can be planned; ``at`` is the schema's place."""

    def __init__(self, at: str, message: str) -> None:
        super().__init__(f"{at}: {message}")
        self.at = at
        self.message = message


def labels_of(schema: Any) -> Labels:
    """The labels of a schema, the plainest first; each has a value that the schema allows.

    Raises:
        Unplannable: no value is found, or there are too many.
    """
    if isinstance(schema, bool):
        schema = {} if schema else {"not": {}}
    found = tuple(islice(valid(_candidates(schema), schema), MOST_LABELS + 1)) or tuple(
        valid(_examples(schema), schema)
    )
    if not found:
        own = (
            "none of its own values fits the rest of the schema"
            if "enum" in schema
            else "no value was found that it allows"
        )
        raise Unplannable(_place(schema), f"{own}: correct it, or give it an example")
    if len(found) > MOST_LABELS:
        raise Unplannable(
            _place(schema), f"there are more than {MOST_LABELS} values to send: bound it, or give it an enum of fewer"
        )
    return found


def valid(candidates: Iterable[Label], schema: Schema) -> Iterator[Label]:
    """Those labels whose value a schema allows, each value once, under names of their own."""
    allows, values, names = _judge(schema), set[str](), dict[str, int]()
    for label in candidates:
        key = canonical(label.value)
        if key in values or not allows(label.value):
            continue
        values.add(key)
        names[label.name] = number = names.get(label.name, 0) + 1
        yield label if number == 1 else label.named(f"{label.name}-{number}")


def _judge(schema: Schema) -> Valid:
    judge = validator(schema)
    return lambda value: bool(judge.is_valid(value))


def _place(schema: Any) -> str:
    return str(schema.get(AT, "#")) if isinstance(schema, Mapping) else "#"


def _candidates(schema: Schema) -> Iterator[Label]:
    branches = alternatives(schema)
    if "const" in schema:
        yield from _members([schema["const"]])
    elif "enum" in schema:
        yield from _members(schema["enum"])
    elif branches is not None:
        reasons: list[Unplannable] = []
        found = False
        for branch in branches:
            try:
                for label in labels_of(branch):
                    found = True
                    yield label
            except Unplannable as reason:
                reasons.append(reason)
        if reasons and not found:
            raise reasons[0]
    else:
        for kind in types(schema):
            yield from _BY_TYPE[kind](schema)


def types(schema: Schema) -> list[str]:
    """The JSON types that a schema speaks of; all of them where it does not say."""
    named = schema.get("type")
    if named is not None:
        return [named] if isinstance(named, str) else list(named)
    return list(dict.fromkeys(kind for keyword, kind in BY_KEYWORD.items() if keyword in schema)) or ["any"]


def _members(members: Iterable[Json]) -> Iterator[Label]:
    for member in members:
        name = member if isinstance(member, str) and member else json.dumps(member, ensure_ascii=False)
        yield Label(name, name, member)


def _examples(schema: Schema) -> Iterator[Label]:
    """Values that a document shows, where none can be made of what it says."""
    shown = [schema[key] for key in ("default", "example") if key in schema]
    more = schema.get("examples", ())
    for value in (*shown, *(more if isinstance(more, (list, tuple)) else ())):
        yield Label("example", "given", value)


def _default(schema: Schema, *kinds: type) -> Iterator[Label]:
    if isinstance(schema.get("default"), kinds):
        yield Label("default", "given", schema["default"])


# Texts --------------------------------------------------------------------------------------------------------------


def _strings(schema: Schema) -> Iterator[Label]:
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    yield from _default(schema, str)
    if "pattern" in schema:
        yield from _matching(schema["pattern"], least, None if most is None else int(most))
    elif schema.get("contentEncoding") == "base64":
        yield from (Label(f"{kind}-base64", "data", in_base64(kind)) for kind in ("png", "jpeg"))
    elif schema.get("format") in FORMATS:
        yield Label("given", "given", FORMATS[schema["format"]])
    else:
        yield from _lengths(schema, least, MOST_CHARACTERS if most is None else int(most))


def _lengths(schema: Schema, least: int, most: int) -> Iterator[Label]:
    if least > MOST_CHARACTERS:
        raise Unplannable(_place(schema), f"its texts are longer than {MOST_CHARACTERS} characters")
    inside = max(1, least), max(least, min(most, max(USUAL_LENGTH, 2 * least)))
    if inside[0] <= inside[1]:
        yield Label("given", "given", filled("text", *inside), (Text(*inside),))
        yield Label("unicode", "unicode", filled("模糊 ✗ שלום e\u0301", *inside), (Text(*inside, unicode=True),))
    if "minLength" in schema:
        yield Label("shortest", "short", filled("a", least, least))
    if "maxLength" in schema and most <= MOST_CHARACTERS:
        yield Label("longest", "long", filled("long text ", most, most))


def filled(text: str, least: int, most: int) -> str:
    """A text repeated and cut to ``least`` to ``most`` characters."""
    return (text * math.ceil(least / len(text)) if len(text) < least else text)[:most]


def _matching(pattern: str, least: int, most: int | None) -> Iterator[Label]:
    from harness.planning.drawing import matching

    found = matching(pattern, least, most)
    if found is not None:
        yield Label("given", "given", found, (Matching(pattern, least, most),))


# Lists --------------------------------------------------------------------------------------------------------------


def _arrays(schema: Schema) -> Iterator[Label]:
    least, most = int(schema.get("minItems", 0)), int(min(schema.get("maxItems", MOST_ITEMS), MOST_ITEMS))
    lead, items = [labels_of(one)[0] for one in schema.get("prefixItems", ())], schema.get("items", True)
    if "contains" in schema:
        lead += labels_of(schema["contains"])[:1] * int(schema.get("minContains", 1))
    labels = labels_of(items) if items is not False else ()
    yield from _default(schema, list)
    usual = max(least, len(lead), 1)
    wanted = (
        {usual, 1, 2, 4} | ({least} if "minItems" in schema else set()) | ({most} if "maxItems" in schema else set())
    )
    sizes = sorted(n for n in wanted if least <= n <= most)
    for n in sizes:
        kind = "few" if n == sizes[0] else "many" if n == sizes[-1] else "some"
        name = "empty" if n == 0 else "1-item" if n == 1 else f"{n}-items"
        yield from _list(Label(name, kind), schema, n, [*lead, *labels[:1]], labels)
    for label in labels[1:]:
        yield from _list(Label(f"of-{label.name}", "items"), schema, max(usual, len(lead) + 1), [*lead, label], labels)
    kinds = list({label.kind: label for label in labels}.values())[:4]
    if len(kinds) > 1:
        yield from _list(Label("mixed", "items"), schema, max(usual, len(lead) + len(kinds)), [*lead, *kinds], labels)


def _list(
    label: Label, schema: Schema, length: int, given: Sequence[Label], others: Sequence[Label]
) -> Iterator[Label]:
    """A list of so many values: the given ones, then the last of them again, or others where none may come twice."""
    if schema.get("uniqueItems"):
        values = _distinct((*given, *others), length)
    else:
        values = [one.value for one in given][:length]
        values += values[-1:] * (length - len(values))
    if len(values) == length:
        yield replace(label, value=values)


def _distinct(labels: Sequence[Label], length: int) -> list[Json]:
    """So many different values of some labels; fewer where there are not as many."""
    found: dict[str, Json] = {}
    for value in _values(labels):
        if len(found) == length:
            break
        found.setdefault(canonical(value), value)
    return list(found.values())


def _values(labels: Sequence[Label]) -> Iterator[Json]:
    """The values of some labels, and then further ones of their ranges."""
    yield from (label.value for label in labels)
    for one in (one for label in labels for one in label.among):
        if isinstance(one, Grid):
            yield from (one.value(n) for n in range(one.first, min(one.last, one.first + MOST_ITEMS) + 1))
        elif isinstance(one, Text) and not one.unicode:
            yield from (f"{n:0{one.least}}"[: one.most] for n in range(MOST_ITEMS))


# Objects ------------------------------------------------------------------------------------------------------------


def _objects(schema: Schema) -> Iterator[Label]:
    """The required members, and that with one member varied; members that others need are taken along."""
    members = {name: labels_of(one) for name, one in _members_of(schema).items()}
    required = [name for name in schema.get("required", ()) if name in members]
    allows, minimal = _judge(schema), {name: members[name][0].value for name in required}
    yield from _default(schema, dict)
    plainest = completed(minimal, members, allows)
    if plainest is not None:
        yield Label("minimal", "minimal", plainest)
    for name, labels in members.items():
        for label in labels:
            value = completed({**minimal, name: label.value}, members, allows)
            if value is not None:
                yield Label(f"{name}={label.name}", name, value)


def _members_of(schema: Schema) -> Mapping[str, Any]:
    """The schemas of an object's members by name; names that it only describes are made up."""
    named = {name: one for name, one in schema.get("properties", {}).items() if one is not False}
    missing = [name for name in schema.get("required", ()) if name not in schema.get("properties", {})]
    for pattern, one in schema.get("patternProperties", {}).items():
        for label in _matching(pattern, 0, None):
            if one is not False:
                named.setdefault(label.value, one)
    further = schema.get("additionalProperties")
    if isinstance(further, Mapping) or (further is not False and not named):
        named |= {name: further if isinstance(further, Mapping) else True for name in missing or [_name(schema)]}
    else:
        named |= {name: True for name in missing if further is not False}
    return named


def _name(schema: Schema) -> str:
    """A name that an object's members may have."""
    names = schema.get("propertyNames", True)
    return str(labels_of({"type": "string", **names})[0].value) if isinstance(names, Mapping) else "key"


def completed(body: Mapping[str, Json], members: Mapping[str, Labels], allows: Valid) -> dict[str, Json] | None:
    """A body with as few further members as make it valid, each at its first label; None where ``TRIES`` sets do not."""
    further = [(name, labels[0].value) for name, labels in members.items() if name not in body]
    fewest = chain.from_iterable(combinations(further, number) for number in range(len(further) + 1))
    tries = (dict(body) | dict(more) for more in chain(islice(fewest, TRIES), [further]))
    return next((whole for whole in tries if allows(whole)), None)


def _anything(_: Schema) -> Iterator[Label]:
    yield from (Label(kind, kind, value) for kind, value in ANYTHING.items())


_BY_TYPE: Mapping[str, Callable[[Schema], Iterator[Label]]] = {
    "boolean": lambda _: iter((Label("true", "true", True), Label("false", "false", False))),
    "integer": partial(numbers, whole=True),
    "number": partial(numbers, whole=False),
    "string": _strings,
    "array": _arrays,
    "object": _objects,
    "null": lambda _: iter((Label("null", "null", None),)),
    "any": _anything,
}
