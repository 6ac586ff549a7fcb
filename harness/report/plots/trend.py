"""A number of each run, in the order of time, and the levels between its changes.

Rules
-----
* A dot is a run; a bar is the mean of the runs of one level; a broken line stands where the level has changed.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from harness.report.plots.style import BESIDE, SIDE, SMALL, Ink, Plot, Scale, canvas, dots, panel, strokes, write

_LEFT, _TOP, _TALL, _FOOT = 46, 12, 220, 34
_LABELS = {True: 12, False: 6}
"""How many runs are numbered at most, where there is room and where there is not."""

Level = tuple[int, int, float]
"""The first run of a level, the one after its last, and its mean in seconds."""


def trend(values: Sequence[float], levels: Sequence[Level], told: str) -> Plot:
    """The figure of a series in seconds, one value for each run."""
    title = "Level of each run, and where it has changed"
    return Plot("trend", title, told, lambda width, ink: _painted(values, levels, width, ink))


def _painted(values: Sequence[float], levels: Sequence[Level], width: int, ink: Ink) -> Figure:
    figure = canvas(width, _TOP + _TALL + _FOOT)
    axes = panel(figure, _LEFT, _TOP, width - _LEFT - SIDE, _TALL)
    up, most = Scale(max(values, default=1.0) * 1.1), max(len(values), 1)
    axes.set_xlim(0.4, most + 0.6)
    axes.set_ylim(0, up.edge)
    for place in up.ticks(5):
        axes.axhline(place, color=ink["grid"], linewidth=1, zorder=0)
        middle = _TOP + _TALL * (1 - up.share(place))
        write(figure, _LEFT - 8, middle, f"{place:g}", ha="right", color=ink["muted"], size=SMALL)
    step = -(-most // _LABELS[width >= BESIDE])
    for run in range(1, most + 1, step):
        left = _LEFT + (run - 0.4) / (most + 0.2) * (width - _LEFT - SIDE)
        write(figure, left, _TOP + _TALL + 11, f"{run}", ha="center", color=ink["muted"], size=SMALL)
    write(figure, width - SIDE, _TOP + _TALL + 26, "run", ha="right", color=ink["muted"], size=SMALL)
    write(figure, SIDE, _TOP + _TALL + 26, "seconds", color=ink["muted"], size=SMALL)
    dots(axes, enumerate(values, start=1), 5, edgecolor=ink["dot"], alpha=0.8, zorder=3)
    strokes(
        axes,
        ((begin + 0.6, mean, end + 0.4, mean) for begin, end, mean in levels),
        edgecolor=ink["ink"],
        linewidth=2,
        zorder=4,
    )
    changes = [begin for begin, _, _ in levels if begin]
    strokes(
        axes,
        ((begin + 0.5, 0, begin + 0.5, up.edge) for begin in changes),
        edgecolor=ink["late"],
        linewidth=1.5,
        linestyle="--",
        zorder=2,
    )
    return figure
