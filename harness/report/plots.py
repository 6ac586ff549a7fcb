"""Latency figures as SVG that a page with a strict content security policy can hold inline.

Rules
-----
* This is the only module that imports matplotlib; import it where a figure is drawn, never at start-up.
* Equal input gives equal bytes: matplotlib's own defaults (never the user's), a fixed salt, no dates.
* The SVG has no ``style``: plain properties are presentation attributes, and a colour is a class (``fill-ink``,
  ``stroke-queue``) which the page's style sheet paints, light or dark. Identifiers carry the figure's prefix.
* Text stays text. Labels from outside are made visible and cut, and mathematics is off, so ``$`` is a dollar sign.
* Colour never speaks alone: rows are named, segments are labelled, a job that never completed is a triangle.
* A distribution is drawn as it was measured: the dot is the midpoint, the line through it what the polls allow.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from harness.model import Json
from harness.report.results import Sample, TargetResult
from harness.report.text import NOT_SEPARABLE, count, interval, seconds, visible

WIDE, NARROW = 880, 360
"""Widths in CSS pixels at which a figure's text has its natural size: a desk's and a phone's."""

PHASES = ("submit", "queue", "inference", "download")
_TOTAL = ("submit", "queue", "inference")
_SIDE, _TOP, _BOTTOM = 12, 6, 44
_BESIDE = 600
"""From this width on, a row's note stands beside its name."""
_LABEL, _NOTE = 44, 46
_DOTS = 200
"""More jobs than this are drawn as as many evenly spaced quantiles."""

# A colour that stands for a class; no two differ by more than a reader of the SVG could mistake for black.
_CLASSES = ("ink", "muted", "grid", "dot", "late", "paper", "undivided", *PHASES)
_SENTINELS = {f"#0000{index:02x}": name for index, name in enumerate(_CLASSES, start=1)}
_COLOUR = {name: colour for colour, name in _SENTINELS.items()}

_STYLE: Mapping[Any, Any] = {
    "svg.hashsalt": "harness",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "axes.edgecolor": _COLOUR["grid"],
    "axes.labelcolor": _COLOUR["muted"],
    "text.color": _COLOUR["ink"],
    "xtick.color": _COLOUR["muted"],
    "grid.color": _COLOUR["grid"],
    "xtick.labelsize": 11.5,
    "axes.labelsize": 11.5,
    "xtick.major.size": 0,
    "hatch.color": _COLOUR["muted"],
    "hatch.linewidth": 0.6,
}


@dataclass(frozen=True, slots=True)
class _Row:
    """What one target contributes to a figure: its name, a note, and how to draw its marks.

    ``draw`` is given the height of their middle and a thickness, both in rows.
    """

    name: str
    note: str
    draw: Callable[[Axes, float, float], None]


def latency(targets: Sequence[TargetResult], prefix: str, width: int = WIDE) -> str:
    """Every job's ``total`` as a dot, a row for each target, over the median's 95 % interval."""
    finite = [sample.high for target in targets for sample in _totals(target) if math.isfinite(sample.high)]
    least = [sample.midpoint for target in targets for sample in _totals(target) if 0 < sample.midpoint < math.inf]
    edge = max(finite, default=1.0) * 1.06 or 1.0
    # One slow job must not press the others against the axis.
    log = bool(least) and edge / min(least) > 40
    rows = [_strip(target, edge) for target in targets]
    title = f"Time from submit to completion for {count(len(targets), 'target')}"
    return _figure(rows, prefix, width, title, _Scale(edge, min(least) * 0.8 if log else None))


def phases(targets: Sequence[TargetResult], prefix: str, width: int = WIDE) -> str:
    """The medians of submit, queue, inference and download end to end, a bar for each target."""
    bars = [(target, _segments(target)) for target in targets]
    edge = max((sum(length for _, length in segments) for _, segments in bars), default=0.0) * 1.06 or 1.0
    rows = [_bar(target, segments, edge, width) for target, segments in bars]
    title = f"Median duration of each phase for {count(len(targets), 'target')}"
    return _figure(rows, prefix, width, title, _Scale(edge))


def trend(
    values: Sequence[float], levels: Sequence[tuple[int, int, float]], told: str, prefix: str, width: int = WIDE
) -> str:
    """A number of seconds for each run, in order, and the levels between its changes: first run, one after the last, mean."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        figure, axes = _bare(width, 220, left=44)
        axes.plot(range(1, len(values) + 1), values, "o", color=_COLOUR["dot"], ms=4.4, mew=0, alpha=0.8, zorder=3)
        for begin, end, mean in levels:
            axes.plot([begin + 0.6, end + 0.4], [mean, mean], color=_COLOUR["ink"], linewidth=2, zorder=4)
            if begin:
                axes.axvline(begin + 0.5, color=_COLOUR["late"], linewidth=1.5, linestyle="--", zorder=2)
        axes.set_xlim(0.4, max(len(values), 1) + 0.6)
        axes.set_ylim(0, max(values, default=1.0) * 1.1)
        axes.xaxis.set_major_locator(MaxNLocator(8 if width >= _BESIDE else 5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} s")
        axes.tick_params(axis="y", length=0, labelsize=11.5, labelcolor=_COLOUR["muted"])
        axes.grid(visible=True, axis="y", linewidth=1)
        axes.set_axisbelow(True)
        axes.set_xlabel("run", loc="right")
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return _inline(out.getvalue(), prefix, "Level of each run, and where it has changed", told)


def _name(target: TargetResult) -> str:
    return _drawable(target.spec.target)


def _drawable(text: str) -> str:
    """A label in the alphabet that the font has (a missing glyph is a warning), cut."""
    shown = "".join(c if ord(c) < 0x100 or c in "…–≥≤" else f"\\u{ord(c):04x}" for c in visible(text, _LABEL))
    return shown if len(shown) <= 2 * _LABEL else shown[: 2 * _LABEL] + "…"


def _totals(target: TargetResult) -> Sequence[Sample]:
    return target.samples.get("total", ())


def _p50(target: TargetResult, phase: str) -> Mapping[str, Json] | None:
    found: Mapping[str, Json] = target.summary["latency"].get(phase, {})
    quantile: Mapping[str, Json] | None = found.get("p50")
    return quantile if quantile is not None and quantile["value"] is not None else None


# ---------------------------------------------------------------- rows


def _strip(target: TargetResult, edge: float) -> _Row:
    samples = sorted(_totals(target), key=lambda sample: (sample.midpoint, sample.low))
    median = _p50(target, "total")
    done = [sample for sample in samples if math.isfinite(sample.high)]
    never = len(samples) - len(done)
    parts = [count(len(samples), "job")] if samples else ["no job was measured"]
    if never:
        parts.append(f"{never} never completed")
    if median is not None:
        bounds = interval(median)
        parts.append(f"p50 {seconds(median['value'])}" + (f" ({bounds})" if bounds else ""))

    def draw(axes: Axes, y: float, thick: float) -> None:
        if median is not None:
            low = median["low"] if median["low"] is not None else median["value"]
            high = median["high"] if median["high"] is not None else edge
            axes.barh([y], [high - low], 0.9 * thick, left=[low], color=_COLOUR["grid"], zorder=1)
            axes.plot(
                [median["value"]] * 2, [y - 0.55 * thick, y + 0.55 * thick], color=_COLOUR["ink"], linewidth=2, zorder=4
            )
        shown = _thinned(done)
        heights = [y + thick * _scatter(index) for index in range(len(shown))]
        for sample, height in zip(shown, heights, strict=True):
            if sample.high - sample.low > edge / 100:
                axes.plot([sample.low, sample.high], [height] * 2, color=_COLOUR["dot"], alpha=0.35, zorder=2)
        middles = [sample.midpoint for sample in shown]
        axes.plot(middles, heights, "o", color=_COLOUR["dot"], ms=4.4, mew=0, alpha=0.8, zorder=3)
        if never:
            late = [y + thick * _scatter(index) for index in range(min(never, _DOTS))]
            axes.plot([edge] * len(late), late, ">", color=_COLOUR["late"], ms=6.5, mew=0, clip_on=False, zorder=5)

    return _Row(_name(target), ", ".join(parts), draw)


def _thinned(samples: Sequence[Sample]) -> Sequence[Sample]:
    if len(samples) <= _DOTS:
        return samples
    return [samples[round(index * (len(samples) - 1) / (_DOTS - 1))] for index in range(_DOTS)]


def _scatter(index: int) -> float:
    """A height in -0.35..0.35 that keeps neighbours apart: multiples of the golden ratio, no chance involved."""
    return (index * 0.6180339887498949 % 1 - 0.5) * 0.7


def _segments(target: TargetResult) -> list[tuple[str, float]]:
    """The phases with their medians; the total undivided where a part of it is not known on its own."""
    known = {phase: quantile["value"] for phase in (*PHASES, "total") if (quantile := _p50(target, phase)) is not None}
    if all(phase in known for phase in _TOTAL):
        parts = [(phase, known[phase]) for phase in _TOTAL]
    else:
        parts = [("undivided", known["total"])] if "total" in known else []
    return parts + ([("download", known["download"])] if parts and "download" in known else [])


def _bar(target: TargetResult, segments: Sequence[tuple[str, float]], edge: float, width: int) -> _Row:
    parts = [
        f"total {seconds(length)} ({NOT_SEPARABLE})" if phase == "undivided" else f"{phase} {seconds(length)}"
        for phase, length in segments
    ]

    def draw(axes: Axes, y: float, thick: float) -> None:
        left = 0.0
        for phase, length in segments:
            hatch = "////" if phase == "undivided" else None
            axes.barh([y], [length], thick, left=[left], color=_COLOUR[phase], hatch=hatch, linewidth=0, zorder=2)
            if left:
                axes.plot([left, left], [y - thick / 2, y + thick / 2], color=_COLOUR["paper"], linewidth=1.5, zorder=3)
            # A word fits when its segment is wider than seven pixels a letter.
            if hatch is None and length / edge * (width - 24) > 7.5 * len(phase) + 6:
                at = (left + length / 2, y)
                axes.text(*at, phase, color=_COLOUR["paper"], ha="center", va="center_baseline", size=11, zorder=4)
            left += length

    return _Row(_name(target), ", ".join(parts) or "no median is known", draw)


# ---------------------------------------------------------------- figure


@dataclass(frozen=True, slots=True)
class _Scale:
    """The axis of seconds: up to ``edge``; logarithmic from ``low`` on, or linear from zero."""

    edge: float
    low: float | None = None


def _figure(rows: Sequence[_Row], prefix: str, width: int, title: str, scale: _Scale) -> str:
    rows = rows or [_Row("no target was run", "", lambda _axes, _y, _thick: None)]
    wide = width >= _BESIDE
    with mpl.rc_context():
        # Neither a user's matplotlibrc nor an earlier figure may change a byte.
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        figure, axes = _bare(width, (64 if wide else 100) * len(rows))
        _scale(axes, scale, ticks=8 if wide else 5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        for index, row in enumerate(rows):
            _write(axes, index, row, _SIDE / (width - 2 * _SIDE), wide=wide)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    told = "; ".join(f"{row.name}: {row.note}" for row in rows)
    return _inline(out.getvalue(), prefix, title, told)


def _bare(width: int, height: int, left: int = 0) -> tuple[Figure, Axes]:
    """A figure with bare axes of a height, with room for the scale beneath, and for another one at its left.

    A CSS pixel is a point of the figure.
    """
    whole = height + _TOP + _BOTTOM
    figure = Figure(figsize=(width / 72, whole / 72))
    FigureCanvasSVG(figure)
    side = (_SIDE + left) / width
    axes = figure.add_axes((side, _BOTTOM / whole, 1 - side - _SIDE / width, height / whole))
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if not left:
        axes.set_yticks([])
    return figure, axes


def _scale(axes: Axes, scale: _Scale, ticks: int) -> None:
    if scale.low is None:
        axes.xaxis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    else:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(list(_decades(scale.low, scale.edge)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlim(scale.low or 0, scale.edge)
    axes.grid(visible=True, axis="x", linewidth=1)
    axes.set_axisbelow(True)
    axes.set_xlabel("seconds" if scale.low is None else "seconds, logarithmic", loc="right")


def _decades(low: float, high: float) -> Iterator[float]:
    """Round places of a logarithmic axis: 1, 2 and 5 times the powers of ten, only the powers when there are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for power in powers:
        for digit in (1, 2, 5) if len(powers) <= 4 else (1,):
            if low <= digit * 10**power <= high:
                yield digit * 10.0**power


def _lines(note: str) -> list[str]:
    """A note in lines that break after its commas only."""
    unbroken = note.replace(" ", "\u00a0").replace(",\u00a0", ", ")
    return [line.replace("\u00a0", " ") for line in textwrap.wrap(unbroken, _NOTE)]


def _write(axes: Axes, index: int, row: _Row, margin: float, *, wide: bool) -> None:
    """A row's name and note above its marks: side by side where there is room, else one under the other."""
    across = axes.get_yaxis_transform()
    # Fractions of a row: its text stands in the upper part, its marks around ``y`` in the lower.
    top = index - (0.30 if wide else 0.38)
    axes.text(-margin, top, row.name, transform=across, ha="left", va="center", weight="bold")
    if wide:
        notes, place, side, y, thick = [row.note], (1 + margin, top), "right", index + 0.16, 0.5
    else:
        notes, place, side, y, thick = _lines(row.note), (-margin, top + 0.165), "left", index + 0.27, 0.36
    for line, note in enumerate(notes[:2]):
        at = (place[0], place[1] + 0.14 * line)
        axes.text(*at, note, transform=across, ha=side, va="center", color=_COLOUR["muted"], size=11)
    row.draw(axes, y, thick)


# ---------------------------------------------------------------- SVG


def _inline(svg: str, prefix: str, title: str, told: str) -> str:
    """Matplotlib's SVG without what an inline, policy-bound page may not hold."""
    root = ET.fromstring(svg)  # noqa: S314 - matplotlib wrote it just now
    _strip_names(root)
    for tag in ("metadata", "style"):
        _remove(root, tag)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', ET.tostring(root, encoding="unicode")))
    for node in root.iter():
        _restyle(node)
        _rename(node, prefix, used)
    labelled = f"{prefix}-title {prefix}-desc"
    root.attrib = {"viewBox": root.attrib["viewBox"], "class": "plot", "role": "img", "aria-labelledby": labelled}
    for place, (tag, text) in enumerate({"title": title, "desc": told}.items()):
        node = ET.Element(tag, {"id": f"{prefix}-{tag}"})
        node.text = text
        root.insert(place, node)
    return re.sub(r"\s*\n\s*", " ", ET.tostring(root, encoding="unicode")).replace("> <", "><")


def _strip_names(root: ET.Element) -> None:
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2]
        node.attrib = {name.rpartition("}")[2]: value for name, value in node.attrib.items()}


def _remove(root: ET.Element, tag: str) -> None:
    for parent in root.iter():
        for child in [child for child in parent if child.tag == tag]:
            parent.remove(child)


def _restyle(node: ET.Element) -> None:
    declared = [part.partition(":") for part in node.attrib.pop("style", "").split(";") if part.strip()]
    properties = {name.strip(): value.strip() for name, _, value in declared}
    for name in ("fill", "stroke"):
        if name in node.attrib:
            properties.setdefault(name, node.attrib.pop(name))
    classes = []
    for name, value in properties.items():
        if value in _SENTINELS:
            classes.append(f"{name}-{_SENTINELS[value]}")
        elif name != "font-family":
            node.set(name, value.removesuffix("px") if name == "font-size" else value)
    if classes:
        node.set("class", " ".join(classes))


def _rename(node: ET.Element, prefix: str, used: set[str]) -> None:
    for name, value in list(node.attrib.items()):
        if name == "id":
            if value in used:
                node.set(name, f"{prefix}-{value}")
            else:
                del node.attrib[name]
        elif name == "href":
            node.set(name, f"#{prefix}-{value[1:]}")
        elif value.startswith("url(#"):
            node.set(name, f"url(#{prefix}-{value[5:]}")
