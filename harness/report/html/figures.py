"""Numbers of the page: each is looked up in report.json where it is shown.

Rules
-----
* A number is a ``<data>`` element whose ``value`` is its JSON Pointer into report.json: nothing on the page was computed
  for the page, and a reader, or a test, can look every figure up.
* ``FORMS`` are the ways in which a value is written; all of them are those of every other report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from markupsafe import Markup, escape

from harness.model import Json
from harness.report import text
from harness.report.html.findings import Group, Line
from harness.strict import escape as token

FORMS: Mapping[str, Callable[[Any], str]] = {
    "count": str,
    "seconds": text.seconds,
    "usd": text.usd,
    "percent": text.percent,
    "size": text.size,
    "interval": text.interval,
    "mean": lambda value: text.NOTHING if value is None else f"{value:.3g}",
    "setting": lambda value: text.visible(value if isinstance(value, str) else json.dumps(value)),
    "length": lambda value: str(len(value)),
}

Step: TypeAlias = "str | int | Sequence[Step]"
"""A member's name, an element's place, or several of these: templates put paths together."""


def _flat(path: Sequence[Any]) -> Iterator[str | int]:
    for step in path:
        if isinstance(step, (str, int)):
            yield step
        else:
            yield from _flat(step)


@dataclass(frozen=True)
class Figures:
    """Figures of one report.json."""

    document: Mapping[str, Json]

    def __call__(self, form: str, *path: Step) -> Markup:
        """The value at a path, written in a form; nothing where the form has nothing to write."""
        steps: list[Any] = list(_flat(path))
        value: Any = self.document
        for step in steps:
            value = value[step]
        written = FORMS[form](value)
        if written in ("", text.NOTHING):
            return Markup(written)  # noqa: S704 - one of two constants
        return _data(steps, written)

    def cases(self, group: Group, line: Line | None = None) -> Markup:
        """In how many cases a target's findings say the same as the one that it points at: all of a card, or of a line."""
        place, cases = (group.place, group.cases) if line is None else (line.place, line.cases)
        return _data(["targets", group.target, "findings", place], str(cases))

    def more(self, group: Group) -> Markup:
        """How many lines of a card are not shown."""
        return _data(["targets", group.target, "findings", group.place], str(group.more))


def _data(steps: Sequence[str | int], written: str) -> Markup:
    pointer = "".join(f"/{token(str(step))}" for step in steps)
    return Markup('<data value="{}">{}</data>').format(text.visible(pointer), escape(written))
