"""Schema violations in words, each with its place in the answer and the place in the spec that it breaks.

``jsonschema-rs`` says whether there is any, in a few microseconds; most answers have none, and a long history has a hundred
thousand. Where there is one, or it cannot say, ``jsonschema`` finds and explains it: its errors know their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from reprlib import Repr
from typing import Any

from harness.model import Json
from harness.validation import quick, validator

MAX_VIOLATIONS = 20


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: ``path`` in the answer, ``at`` the schema's place in the spec file.

    ``about`` are the places there that an ambiguity may be about: the schema, and the keyword of it that is broken.
    """

    path: tuple[str | int, ...]
    at: str
    about: tuple[str, ...]
    message: str
    expected: str
    observed: str

    @property
    def place(self) -> str:
        """The path as a JSON Pointer (``/images/0/url``)."""
        return "".join(f"/{part}" for part in self.path) or "/"


def violations(schema: Mapping[str, Any], value: Json) -> Iterator[Violation]:
    """The rules of a schema that a value breaks, at most ``MAX_VIOLATIONS``.

    Of several alternatives the one that fits best is explained.
    """
    held = _Held(schema)
    if _is_valid(held, value):
        return
    for number, error in enumerate(_validator(held).iter_errors(value)):
        if number >= MAX_VIOLATIONS:
            return
        yield from _explain(error)


class _Held:
    """A schema as a cache key: dictionaries have no hash, and this one keeps its schema alive."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and other.schema is self.schema


def _is_valid(held: _Held, value: Json) -> bool:
    """Whether a value certainly breaks no rule; False also where the quick validator cannot say."""
    try:
        return bool(_quick(held).is_valid(value))
    except (ValueError, TypeError, OverflowError, RecursionError):
        return False


@lru_cache(maxsize=256)
def _quick(held: _Held) -> Any:
    return quick(held.schema)


@lru_cache(maxsize=256)
def _validator(held: _Held) -> Any:
    return validator(held.schema)


def _explain(error: Any) -> Iterator[Violation]:
    if error.validator in ("anyOf", "oneOf") and error.context:
        best: dict[int, list[Any]] = {}
        for inner in error.context:
            best.setdefault(inner.schema_path[0], []).append(inner)
        # A wrong constant means that another alternative was meant; fewest and deepest errors come nearest.
        closest = min(
            best.values(), key=lambda errors: (any(e.validator in ("const", "enum") for e in errors), len(errors))
        )
        for inner in closest:
            yield from _explain(inner)
        return
    path = tuple(error.absolute_path)
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    at = str(schema.get("x-at", "#"))
    if error.validator == "required":
        # The validator reports each missing name by itself, and tells which one only in its message.
        for index, name in enumerate(error.validator_value):
            if error.message.startswith(repr(name)):
                missing = schema.get("properties", {}).get(name, {})
                where = str(missing.get("x-at", f"{at}/properties/{name}"))
                about = (where, f"{at}/required/{index}")
                yield Violation((*path, name), where, about, "the field is missing", "present", "missing")
        return
    rule = f"{error.validator} {_short(error.validator_value)}"
    yield Violation(path, at, (at, f"{at}/{error.validator}"), f"breaks {rule}", rule, _short(error.instance))


class _Bounded(Repr):
    """Writes values as Python does, long ones in part: an answer of megabytes is not written out to be cut."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = 300
        self.maxlist = self.maxdict = 50


written = _Bounded().repr
"""A JSON value as text, of a bounded length."""


def _short(value: Any) -> str:
    text = written(value)
    return text if len(text) <= 100 else text[:99] + "…"
