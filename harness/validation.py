"""The one JSON Schema validator: nothing is fetched, and no answer makes it slow.

Rules
-----
* A reference leads into the schema itself, or to the metaschemas that come with the library. Any other one fails; it
  is never fetched.
* A pattern is given ``PATTERN_SECONDS`` for a text: Python's ``re`` has no limit, and ``(a+)+$`` takes for ever on forty
  characters. The ``regex`` package reads the same patterns and has one. What takes longer says nothing about the text.
* ``quick`` makes a validator that only says yes or no, in microseconds; it fetches nothing either, and its patterns take
  linear time or give up. Where it does not say yes, the other one is asked.
* ``uniqueItems`` compares in linear time; the library's own takes seconds for two thousand objects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NoReturn

from harness.errors import InputError
from harness.model import Json

PATTERN_SECONDS = 0.5


def validator(schema: Mapping[str, Any]) -> Any:
    """A validator of JSON Schema 2020-12, with the methods of ``jsonschema``'s.

    Raises, while it judges:
        InputError: a pattern takes too long.
    """
    made, registry = _bounded()
    return made(schema, registry=registry)


def quick(schema: Mapping[str, Any]) -> Any:
    """A validator whose ``is_valid`` says True of what breaks no rule; whatever else it says or raises says nothing.

    Raises:
        ValueError: it cannot read the schema, or a reference leads out of it.
    """
    from jsonschema_rs import Draft202012Validator

    return Draft202012Validator(dict(schema), retriever=_not_fetched)


def _not_fetched(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not fetched")


@cache
def _bounded() -> tuple[Any, Any]:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend
    from jsonschema_specifications import REGISTRY

    return extend(Draft202012Validator, _KEYWORDS), REGISTRY  # type: ignore[no-untyped-call]


def _found(pattern: str, text: str) -> bool:
    import regex

    try:
        return regex.search(pattern, text, timeout=PATTERN_SECONDS) is not None
    except TimeoutError:
        said = f"the pattern {pattern[:80]!r} takes too long on a text of {len(text)} characters"
        raise InputError(f"{said}: write it without repetitions that can share a text") from None


def _pattern(_: Any, pattern: str, instance: Json, __: Any) -> Iterator[Any]:
    if isinstance(instance, str) and not _found(pattern, instance):
        yield _error(f"does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Mapping[str, Any], instance: Json, _: Any) -> Iterator[Any]:
    if isinstance(instance, dict):
        for pattern, schema in patterns.items():
            for name in (name for name in instance if _found(pattern, name)):
                yield from validator.descend(instance[name], schema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, instance: Json, schema: Mapping[str, Any]) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extra = [name for name in instance if name not in named and not any(_found(p, name) for p in patterns)]
    if isinstance(allowed, dict):
        for name in extra:
            yield from validator.descend(instance[name], allowed, path=name)
    elif not allowed and extra:
        names = ", ".join(repr(name[:40]) for name in sorted(extra)[:10])
        yield _error(f"additional properties are not allowed ({names})")


def _unique_items(_: Any, wanted: Any, instance: Json, __: Any) -> Iterator[Any]:
    if wanted and isinstance(instance, list) and len(set(map(_canonical, instance))) < len(instance):
        yield _error("has elements that are the same")


def _canonical(value: Json) -> str:
    """A text that equal values share: JSON Schema takes 1 and 1.0 for equal, and neither for true."""

    def plain(value: Json) -> Json:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, list):
            return [plain(item) for item in value]
        return {name: plain(item) for name, item in value.items()} if isinstance(value, dict) else value

    return json.dumps(plain(value), sort_keys=True)


def _error(message: str) -> Any:
    from jsonschema.exceptions import ValidationError

    return ValidationError(message)


_KEYWORDS = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}
