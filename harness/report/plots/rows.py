"""A figure of rows over one scale of seconds: a name, a note, and the marks of one target beneath."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.report.plots.style import BESIDE, SIDE, SMALL, Ink, Plot, Scale, along_x, canvas, panel, write

_HEAD, _LINE, _GAP, _FOOT = 22, 15, 16, 40
"""Pixels: of a name, of a further line, below the marks, below the last row."""
_NOTE = 46
"""Characters of a note in one line of a phone."""


@dataclass(frozen=True, slots=True)
class Row:
    """One target's part: ``height`` of its marks in pixels, and how to draw them into axes of 0 to 1.

    ``draw`` is told the figure's width, for what has to fit.
    """

    name: str
    note: str
    height: int
    draw: Callable[[Axes, int, Ink], None]


def stacked(name: str, title: str, rows: Sequence[Row], scale: Scale) -> Plot:
    """The rows as one figure."""
    shown = list(rows) or [Row("no target was run", "", 0, lambda _axes, _width, _ink: None)]
    told = "; ".join(f"{row.name}: {row.note}" for row in shown)
    return Plot(name, title, told, lambda width, ink: _painted(shown, scale, width, ink))


def _painted(rows: Sequence[Row], scale: Scale, width: int, ink: Ink) -> Figure:
    wide = width >= BESIDE
    notes = [[row.note] if wide else _lines(row.note) for row in rows]
    heads = [_HEAD + (0 if wide else _LINE * len(lines)) for lines in notes]
    height = sum(heads) + sum(row.height + _GAP for row in rows) + _FOOT - _GAP
    figure, ticks, top = canvas(width, height), scale.ticks(8 if wide else 5), 0.0
    for row, lines, head in zip(rows, notes, heads, strict=True):
        write(figure, SIDE, top + _HEAD / 2, row.name, weight="bold")
        for number, line in enumerate(lines):
            at = (width - SIDE, top + _HEAD / 2) if wide else (SIDE, top + _HEAD + _LINE * (number + 0.4))
            write(figure, *at, line, color=ink["muted"], size=SMALL, ha="right" if wide else "left")
        if row.height:
            axes = panel(figure, SIDE, top + head, width - 2 * SIDE, row.height)
            along_x(axes, scale, ticks, ink)
            row.draw(axes, width, ink)
        top += head + row.height + _GAP
    _foot(figure, scale, ticks, top - _GAP, ink)
    return figure


def _foot(figure: Figure, scale: Scale, ticks: Sequence[float], top: float, ink: Ink) -> None:
    width = figure.get_size_inches()[0] * 72
    for place in ticks:
        left = SIDE + scale.share(place) * (width - 2 * SIDE)
        write(figure, left, top + 11, f"{place:g}", ha="center", color=ink["muted"], size=SMALL)
    write(figure, width - SIDE, top + 28, scale.unit, ha="right", color=ink["muted"], size=SMALL)


def _lines(note: str) -> list[str]:
    """A note in at most two lines that break after its commas only."""
    unbroken = note.replace(" ", "\u00a0").replace(",\u00a0", ", ")
    return [line.replace("\u00a0", " ") for line in textwrap.wrap(unbroken, _NOTE)][:2]
