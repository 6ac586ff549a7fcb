"""How a JSON Schema has moved: which way, in words, and where.

Rules
-----
* A keyword that allows less than before is ``narrower``, one that allows more ``wider``; a property that nobody had to send
  or read before is ``more``. Where the direction cannot be told (alternatives, conditions, patterns, every keyword that has no rule here) it
  is ``unclear``; only prose is no move.
* The path of a value is told as a person writes it: ``images[].url``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from harness.model import Json
from harness.spec.contract import AT, EXTENSION, Schema

Move: TypeAlias = Literal["narrower", "wider", "more", "unclear"]
Moved: TypeAlias = tuple[Move, str, str]
"""Which way, a sentence, and the place in the newer spec that has one."""

_NARROWER_WHEN: Mapping[str, Callable[[Any, Any], bool]] = {
    **dict.fromkeys(
        ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), lambda old, new: new > old
    ),
    **dict.fromkeys(
        ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), lambda old, new: new < old
    ),
}
_SAYS = {
    "minimum": "at least {}", "exclusiveMinimum": "more than {}", "maximum": "at most {}", "exclusiveMaximum": "less than {}",
    "minLength": "{} characters or more", "maxLength": "{} characters or fewer", "minItems": "{} items or more",
    "maxItems": "{} items or fewer", "multipleOf": "a multiple of {}", "pattern": "text that matches {}",
    "format": "the format {}", "uniqueItems": "items that differ: {}",
}  # fmt: skip
_WHOLE = ("pattern", "format", "multipleOf", "uniqueItems", "contentEncoding", "contentMediaType", "propertyNames")
"""Keywords of which any value narrows, and two values cannot be ordered."""
_ALTERNATIVES = ("anyOf", "oneOf", "allOf")
_PROSE = frozenset(
    {AT, EXTENSION, "title", "description", "summary", "examples", "example", "externalDocs", "$comment"}
)
_HANDLED = frozenset({
    *_NARROWER_WHEN, *_WHOLE, *_ALTERNATIVES, "type", "const", "enum", "properties", "required", "additionalProperties", "items",
})  # fmt: skip
_TOP = "the whole"


def moves(old: Schema, new: Schema, path: str) -> Iterator[Moved]:
    """How a schema has moved: which way, in words with the path of the value, and where."""
    at, name = str(new.get(AT, old.get(AT, "#"))), path or _TOP
    for keyword in _NARROWER_WHEN:
        yield from _bound(old.get(keyword), new.get(keyword), keyword, name, at)
    for keyword in _WHOLE:
        yield from _rule(old.get(keyword), new.get(keyword), keyword, name, at)
    yield from _members(_types(old), _types(new), f"{name} as", at)
    yield from _members(_values(old), _values(new), f"{name} =", at)
    for keyword in _ALTERNATIVES:
        yield from _alternatives(old.get(keyword, ()), new.get(keyword, ()), keyword, path, at)
    for keyword in dict.fromkeys((*old, *new)):
        if keyword in _HANDLED or keyword in _PROSE:
            continue
        if bare(old.get(keyword)) != bare(new.get(keyword)):
            yield "unclear", f"the {keyword} of {name} reads otherwise", at
    yield from _properties(old, new, path, at)
    if isinstance(old.get("items"), Mapping) and isinstance(new.get("items"), Mapping):
        yield from moves(old["items"], new["items"], f"{path}[]")
    elif bare(old.get("items")) != bare(new.get("items")):
        yield "unclear", f"the items of {name} are described otherwise", at


def _alternatives(old: Sequence[Schema], new: Sequence[Schema], keyword: str, path: str, at: str) -> Iterator[Moved]:
    """As many alternatives as before are compared one by one; of more or fewer the direction is not told."""
    if len(old) != len(new):
        yield "unclear", f"the {keyword} of {path or _TOP} has {len(new)} members instead of {len(old)}", at
        return
    for before, after in zip(old, new, strict=True):
        yield from moves(before, after, path)


def _bound(before: Json, after: Json, keyword: str, name: str, at: str) -> Iterator[Moved]:
    if before == after:
        return
    says = _SAYS[keyword] if keyword in _SAYS else keyword + " {}"
    if before is None or after is None:
        said = says.format(after) if before is None else says.format(before)
        yield ("narrower", f"{name} has to be {said} now", at) if before is None else (
            "wider", f"{name} need not be {said} any more", at
        )  # fmt: skip
        return
    move: Move = "narrower" if _NARROWER_WHEN[keyword](before, after) else "wider"
    yield move, f"{name} has to be {says.format(after)} instead of {says.format(before)}", at


def _rule(before: Json, after: Json, keyword: str, name: str, at: str) -> Iterator[Moved]:
    if before == after:
        return
    says = _SAYS.get(keyword, keyword + " {}")
    if after is None or after is False:
        yield "wider", f"{name} need not be {says.format(before)} any more", at
    elif before is None or before is False:
        yield "narrower", f"{name} has to be {says.format(after)} now", at
    else:
        yield "unclear", f"{name} has to be {says.format(after)} instead of {says.format(before)}", at


def _members(before: frozenset[str] | None, after: frozenset[str] | None, name: str, at: str) -> Iterator[Moved]:
    """How a set of allowed members has moved; None allows anything."""
    if before is None or after is None:
        if before != after:
            said = ", ".join(sorted((after if before is None else before) or ()))
            yield (
                ("narrower", f"{name} {said} only", at) if before is None else ("wider", f"{name} more than {said}", at)
            )
        return
    for gone in sorted(before - after):
        yield "narrower", f"{name} {gone} is not documented any more", at
    for more in sorted(after - before):
        yield "wider", f"{name} {more} is documented now", at


def _types(schema: Schema) -> frozenset[str] | None:
    kinds = schema.get("type")
    if kinds is None:
        return None
    return frozenset([kinds] if isinstance(kinds, str) else map(str, kinds))


def _values(schema: Schema) -> frozenset[str] | None:
    if "const" in schema:
        return frozenset({shown(schema["const"])})
    return frozenset(map(shown, schema["enum"])) if "enum" in schema else None


def _properties(old: Schema, new: Schema, path: str, at: str) -> Iterator[Moved]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in dict.fromkeys((*before, *after)):
        here = f"{path}.{name}" if path else name
        if name not in after:
            yield "unclear", f"{here} is not documented any more", at
        elif name in before:
            yield from moves(before[name], after[name], here)
        else:
            yield "more", f"{here} is documented now", str(after[name].get(AT, at))
    for name in sorted({*old.get("required", ()), *new.get("required", ())} & {*before, *after}):
        here = f"{path}.{name}" if path else name
        was, now = name in old.get("required", ()), name in new.get("required", ())
        if was != now:
            yield ("narrower", f"{here} is required now", at) if now else ("wider", f"{here} is optional now", at)
    was, now = old.get("additionalProperties", True), new.get("additionalProperties", True)
    if bare(was) != bare(now):
        move: Move = "narrower" if now is False else "wider" if was is False else "unclear"
        yield move, f"{path or _TOP} {'has no' if now is False else 'may have'} members beside the documented ones", at


def bare(value: Json) -> Json:
    """A part of a schema without prose, places and the extension."""
    if isinstance(value, Mapping):
        return {name: bare(inner) for name, inner in value.items() if name not in _PROSE}
    return [bare(one) for one in value] if isinstance(value, (list, tuple)) else value


def shown(value: Json) -> str:
    """A value as JSON, cut."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"
