"""What a partition is made of: a named value, its class, and what else it may stand for.

Rules
-----
* A label has a plain value, which bases and comparisons use. Where it stands for more than one value (an interior, a
  text), ``among`` says which, as data: ``drawing`` makes Hypothesis strategies of it, and is the only place that draws.
* Numbers are exact decimals: a value reads the same in the JSON text as it was meant.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeAlias

from harness.model import Json

ABSENT = "absent"


EXACT = 2**53
"""Whole numbers below are the same as an integer and as a float."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The multiples ``n * step`` with ``first <= n <= last``, but for some values; whole ones are integers in JSON.

    ``whole``: they are integers however large, where others are floats from ``EXACT`` on.
    """

    first: int
    last: int
    step: Decimal = Decimal(1)
    without: tuple[float, ...] = ()
    whole: bool = False

    def value(self, n: int) -> float:
        """The multiple ``n * step``."""
        return int(n * self.step) if self.whole else exact(n * self.step)


@dataclass(frozen=True, slots=True)
class Sentences:
    """Instructions in plain English, of at most ``most`` characters; they are numbered (``prompts``)."""

    most: int | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Texts of ``least`` to ``most`` characters: printable ASCII, or of scripts all over the world with ``unicode``."""

    least: int
    most: int
    unicode: bool = False


@dataclass(frozen=True, slots=True)
class Matching:
    """Texts of ``least`` to ``most`` characters with a match of a pattern."""

    pattern: str
    least: int = 0
    most: int | None = None


Range: TypeAlias = Grid | Sentences | Text | Matching


@dataclass(frozen=True, slots=True)
class Label:
    """One value of a partition; ``value`` is meaningless when ``name`` is ``absent``.

    ``among`` are the ranges that it stands for: a plan draws from them in turn. Without any it is its value alone.
    """

    name: str
    kind: str
    value: Json = None
    among: tuple[Range, ...] = ()

    @property
    def absent(self) -> bool:
        """Whether the parameter is left out."""
        return self.name == ABSENT

    def named(self, name: str) -> Label:
        """The same label under another name."""
        return replace(self, name=name)


def exact(number: Decimal) -> float:
    """A decimal as a JSON number: an integer where it is one that every reader of JSON keeps whole."""
    return int(number) if abs(number) < EXACT and number == int(number) else float(number)


def canonical(value: Json) -> str:
    """A value as JSON text: equal for equal JSON values, in which ``1`` is ``1.0`` and ``true`` is no number."""
    return json.dumps(_whole(value), sort_keys=True, ensure_ascii=False)


def _whole(value: Json) -> Json:
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return int(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return {name: _whole(item) for name, item in value.items()} if isinstance(value, dict) else value
