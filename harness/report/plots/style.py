"""How every figure looks, in one place.

Rules
-----
* Figures are made with matplotlib's own defaults and ``_SETTINGS``, never with a user's matplotlibrc: equal input gives
  equal bytes, with a fixed salt and no dates.
* One CSS pixel is one point of a figure, so text has its natural size at the width that the figure is drawn for.
* Colours are named parts of the palette. For a page a part is a sentinel colour, which ``svg`` turns into a class; for a
  PNG file it is the light scheme's colour.
* Labels from outside are made visible, kept to the alphabet that the font has, and cut; mathematics is off, so ``$`` is a
  dollar sign.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from harness.report.palette import PARTS
from harness.report.text import visible

WIDE, NARROW = 880, 360
"""Widths in CSS pixels that figures are drawn for: a desk's and a phone's."""

BESIDE = 600
"""From this width on there is room for a note beside a name."""
SIDE = 12
SMALL, NORMAL = 11, 12
"""Sizes of text in pixels."""
_LABEL = 44

Ink = Mapping[str, str]
"""The colour of each part of the palette."""

SENTINELS: Ink = {part: f"#0000{index:02x}" for index, part in enumerate(PARTS, start=1)}
"""A colour that stands for a class; no two differ by more than a reader of the SVG could mistake for black."""

_SETTINGS: Mapping[Any, Any] = {
    "svg.hashsalt": "harness",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": NORMAL,
    "hatch.linewidth": 0.6,
    "path.simplify": False,
}


@dataclass(frozen=True)
class Plot:
    """A figure that can be drawn at any width: ``told`` is what it shows, in words, for who does not see it."""

    name: str
    title: str
    told: str
    paint: Callable[[int, Ink], Figure]


@contextmanager
def styled(ink: Ink) -> Iterator[None]:
    """Draw with our settings, whatever was set before."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        mpl.rcParams.update({"text.color": ink["ink"], "hatch.color": ink["muted"]})
        yield


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis of numbers from ``low`` to ``edge``, logarithmic or not."""

    edge: float
    low: float = 0.0
    log: bool = False

    @classmethod
    def of(cls, values: list[float]) -> Scale:
        """Seconds from zero to the largest value; logarithmic where one slow job would press the others to the axis."""
        least = min((value for value in values if value > 0), default=0.0)
        edge = max(values, default=1.0) * 1.06 or 1.0
        return cls(edge, least * 0.8, log=True) if least and edge / least > 40 else cls(edge)

    def ticks(self, most: int) -> list[float]:
        """Round places, at most so many and one."""
        if self.log:
            return list(_decades(self.low, self.edge))
        places = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.edge)
        return [float(place) for place in places if self.low <= place <= self.edge]

    def share(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1."""
        if not self.log:
            return (value - self.low) / (self.edge - self.low)
        return math.log(value / self.low) / math.log(self.edge / self.low)

    @property
    def unit(self) -> str:
        """What stands beside an axis of seconds."""
        return "seconds, logarithmic" if self.log else "seconds"


def _decades(low: float, high: float) -> Iterator[float]:
    """1, 2 and 5 times the powers of ten, only the powers when there are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for power in powers:
        for digit in (1, 2, 5) if len(powers) <= 4 else (1,):
            if low <= digit * 10**power <= high:
                yield digit * 10.0**power


def canvas(width: int, height: float) -> Figure:
    """An empty figure of a size in pixels, without a ground of its own."""
    figure = Figure(figsize=(width / 72, height / 72))
    figure.patch.set_visible(False)
    return figure


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Bare axes in a figure, placed in pixels from its upper left corner; ``y`` goes from 0 to 1."""
    across, down = figure.get_size_inches() * 72
    axes = figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))
    axes.set_axis_off()
    axes.set_ylim(0, 1)
    return axes


def write(figure: Figure, left: float, top: float, said: str, **how: Any) -> None:
    """Text in a figure, placed in pixels from its upper left corner; its middle stands at ``top``."""
    across, down = figure.get_size_inches() * 72
    figure.text(left / across, 1 - top / down, said, **{"va": "center", "size": NORMAL, **how})


def along_x(axes: Axes, scale: Scale, ticks: list[float], ink: Ink) -> None:
    """A horizontal scale, with a faint line at each of its round places."""
    if scale.log:
        axes.set_xscale("log")
    axes.set_xlim(scale.low, scale.edge)
    axes.vlines(ticks, 0, 1, color=ink["grid"], linewidth=1, zorder=0, transform=axes.get_xaxis_transform())


def strokes(axes: Axes, lines: Iterable[tuple[float, float, float, float]], **how: Any) -> None:
    """Straight lines as one path, from and to in data coordinates: a few bytes for each."""
    ends = [end for x, y, to_x, to_y in lines for end in ((x, y), (to_x, to_y))]
    if ends:
        path = Path(ends, [Path.MOVETO, Path.LINETO] * (len(ends) // 2))
        # Not ``add_patch``, which would look for the path's extent in every segment.
        axes.add_artist(PathPatch(path, facecolor="none", **how))


def dots(axes: Axes, points: Iterable[tuple[float, float]], size: float, **how: Any) -> None:
    """Discs as one path: lines too short to be seen, with round ends."""
    across = axes.get_xlim()[1] * 1e-5
    strokes(axes, ((x, y, x + across, y) for x, y in points), linewidth=size, capstyle="round", clip_on=False, **how)


def drawable(text: str) -> str:
    """A label in the alphabet that the font has (a missing glyph is a warning), cut."""
    shown = "".join(c if ord(c) < 0x100 or c in "…–≥≤" else f"\\u{ord(c):04x}" for c in visible(text, _LABEL))
    return shown if len(shown) <= 2 * _LABEL else shown[: 2 * _LABEL] + "…"
