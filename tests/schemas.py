"""Request schemas drawn by Hypothesis: objects whose members are of any kind that a provider documents, each satisfiable."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Schema = dict[str, Any]
NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
PATTERNS = (r"^[a-z]{2,8}$", r"^#[0-9a-f]{6}$", r"^[1-9][0-9]*:[1-9][0-9]*$", r"[0-9]+px")


@st.composite
def numbers(draw: DrawFn) -> Schema:
    """A range, half of one, or none; open or closed, perhaps of multiples, perhaps with a default."""
    whole = draw(st.booleans())
    schema: Schema = {"type": "integer" if whole else "number"}
    low, width = draw(st.integers(-1000, 1000)), draw(st.integers(4, 5000))
    scale = 1 if whole else draw(st.sampled_from([1, 10, 1000]))
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low / scale if scale > 1 else low
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = (
            (low + width) / scale if scale > 1 else low + width
        )
    if draw(st.integers(0, 4)) == 0:
        schema["multipleOf"] = draw(st.sampled_from([1, 2] if whole or scale == 1 else [0.5, 0.25]))
        if scale > 1 and width / scale < 2:
            del schema["multipleOf"]
    elif draw(st.booleans()):
        schema["default"] = low + width // 2 if scale == 1 else (low + width // 2) / scale
    return schema


@st.composite
def texts(draw: DrawFn) -> Schema:
    """Lengths, a pattern, or a format."""
    kind = draw(st.sampled_from(["plain", "lengths", "pattern", "format"]))
    if kind == "lengths":
        least = draw(st.integers(0, 50))
        return {"type": "string", "minLength": least, "maxLength": least + draw(st.integers(0, 200))}
    if kind == "pattern":
        return {"type": "string", "pattern": draw(st.sampled_from(PATTERNS))}
    return (
        {"type": "string", "format": draw(st.sampled_from(["uri", "date-time", "uuid"]))}
        if kind == "format"
        else {"type": "string"}
    )


def scalars() -> SearchStrategy[Schema]:
    """A number, a text, a choice, a constant, yes or no."""
    members = st.lists(
        st.sampled_from(["png", "jpeg", "1:1", "16:9", "", 1, 2, 0.5, None, True]), min_size=1, max_size=6
    )
    choices = members.map(lambda many: {"enum": list({repr(one): one for one in many}.values())})
    constants = st.sampled_from(["fast", 3, False]).map(lambda value: {"const": value})
    return numbers() | texts() | choices | constants | st.just({"type": "boolean"})


@st.composite
def lists(draw: DrawFn, items: SearchStrategy[Schema]) -> Schema:
    """Of some size, perhaps without doubles."""
    schema: Schema = {"type": "array", "items": draw(items)}
    least = draw(st.integers(0, 2))
    if draw(st.booleans()):
        schema["minItems"] = least
    if draw(st.booleans()):
        schema["maxItems"] = least + draw(st.integers(1, 6))
    if draw(st.integers(0, 3)) == 0:
        schema |= {"uniqueItems": True, "items": {"type": "integer", "minimum": 0, "maximum": 100}}
    return schema


@st.composite
def objects(draw: DrawFn, members: SearchStrategy[Schema], most: int = 3) -> Schema:
    """Some members, some of them required, some with another, perhaps closed."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=most, unique=True))
    schema: Schema = {"type": "object", "properties": {name: draw(members) for name in names}}
    schema["required"] = [name for name in names if draw(st.booleans())]
    if draw(st.integers(0, 3)) == 0:
        schema["additionalProperties"] = False
    if len(names) > 1:
        one, two = names[:2]
        rules: list[Schema] = [
            {"dependentRequired": {one: [two]}},
            {"if": {"required": [one]}, "then": {"required": [two]}},
            {"anyOf": [{"required": [one]}, {"required": [two]}]},
            {
                "allOf": [
                    {"if": {"required": [one], "properties": {one: {"const": "fast"}}}, "then": {"required": [two]}}
                ]
            },
        ]
        if not {one, two} & {*schema["required"]}:
            rules += [{"not": {"required": [one, two]}}, {"oneOf": [{"required": [one]}, {"required": [two]}]}]
        schema |= draw(st.sampled_from([{}, {}, *rules]))
    return schema


def nullable(schema: Schema) -> Schema:
    """The same schema, or null."""
    return (
        {**schema, "type": [schema["type"], "null"]}
        if isinstance(schema.get("type"), str)
        else {"anyOf": [schema, {"type": "null"}]}
    )


def values() -> SearchStrategy[Schema]:
    """Schemas of one value, a few levels deep."""

    def deeper(inner: SearchStrategy[Schema]) -> SearchStrategy[Schema]:
        either = st.lists(inner, min_size=2, max_size=3).map(lambda branches: {"anyOf": branches})
        one = st.tuples(numbers(), texts()).map(lambda branches: {"oneOf": list(branches)})
        both = inner.map(lambda schema: {"allOf": [schema, {"description": "and nothing else"}]})
        return lists(inner) | objects(inner) | either | one | both | inner.map(nullable)

    return st.recursive(scalars(), deeper, max_leaves=4)


def requests() -> SearchStrategy[Schema]:
    """Schemas of a request: an object of up to eight parameters."""
    return objects(values(), most=len(NAMES))
