"""How long jobs took: every job, its distribution, and where the time went.

Rules
-----
* A distribution is drawn as it was measured: the dot is the midpoint, the line through it what the polls allow.
* Bands are the distribution-free 95 % intervals of ``metrics.quantiles``, at every quantile: where a band touches the edge
  the sample has no bound on that side.
* Colour never speaks alone: rows and panels are named, segments are labelled, a job that never completed is a triangle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.metrics.quantiles import quantile
from harness.model import Json
from harness.report.plots.rows import Row, stacked
from harness.report.plots.style import (
    BESIDE,
    SIDE,
    SMALL,
    Ink,
    Plot,
    Scale,
    along_x,
    canvas,
    dots,
    drawable,
    panel,
    strokes,
    write,
)
from harness.report.results import Sample, TargetResult
from harness.report.text import NOT_SEPARABLE, count, interval, seconds

PHASES = ("submit", "queue", "inference", "download")
_TOTAL = ("submit", "queue", "inference")
_DOTS = 200
"""More jobs than this are drawn as as many evenly spaced quantiles."""
_BEHIND = 50
"""The same for the grey curves behind another."""
_LEVELS = tuple(step / 40 for step in range(1, 40))
"""Quantiles at which a band is drawn: from 2.5 % to 97.5 %."""
_GUIDES = (0.5, 0.95)


def jobs(targets: Sequence[TargetResult]) -> Plot:
    """Every job's ``total`` as a dot, a row for each target, over the median's interval and the middle half."""
    scale = _scale(targets)
    title = f"Time from submit to completion for {count(len(targets), 'target')}, every job"
    return stacked("jobs", title, [_strip(target, scale.edge) for target in targets], scale)


def distributions(targets: Sequence[TargetResult]) -> Plot:
    """The share of jobs done within a time, a panel for each target with the others behind it in grey."""
    told = "; ".join(f"{_name(target)}: {_summary(target)}" for target in targets) or "no target was run"
    title = f"Share of jobs completed within a time, for {count(len(targets), 'target')}"
    return Plot("distributions", title, told, lambda width, ink: _panels(targets, width, ink))


def phases(targets: Sequence[TargetResult]) -> Plot:
    """The medians of submit, queue, inference and download end to end, a bar for each target."""
    bars = [(target, _segments(target)) for target in targets]
    edge = max((sum(length for _, length in segments) for _, segments in bars), default=0.0) * 1.06 or 1.0
    title = f"Median duration of each phase for {count(len(targets), 'target')}"
    return stacked("phases", title, [_bar(target, segments, edge) for target, segments in bars], Scale(edge))


def _scale(targets: Sequence[TargetResult]) -> Scale:
    bounds = (bound for target in targets for sample in _totals(target) for bound in (sample.midpoint, sample.high))
    return Scale.of([bound for bound in bounds if math.isfinite(bound)])


def _name(target: TargetResult) -> str:
    return drawable(target.spec.target)


def _totals(target: TargetResult) -> Sequence[Sample]:
    return target.samples.get("total", ())


def _quantile(target: TargetResult, phase: str, name: str = "p50") -> Mapping[str, Json] | None:
    found: Mapping[str, Json] = target.summary["latency"].get(phase, {})
    quantile: Mapping[str, Json] | None = found.get(name)
    return quantile if quantile is not None and quantile["value"] is not None else None


def _summary(target: TargetResult) -> str:
    """How many jobs there were, and their quantiles with the intervals."""
    samples = _totals(target)
    never = sum(math.isinf(sample.high) for sample in samples)
    parts = [count(len(samples), "job")] if samples else ["no job was measured"]
    parts += [f"{never} never completed"] if never else []
    for name in ("p50", "p95"):
        found = _quantile(target, "total", name)
        if found is not None:
            bounds = interval(found)
            parts.append(f"{name} {seconds(found['value'])}" + (f" ({bounds})" if bounds else ""))
    return ", ".join(parts)


# ---------------------------------------------------------------- every job


def _strip(target: TargetResult, edge: float) -> Row:
    samples = sorted(_totals(target), key=lambda sample: (sample.midpoint, sample.low))
    median = _quantile(target, "total")
    done = [sample for sample in samples if math.isfinite(sample.high)]
    ordered = [sample.midpoint for sample in samples]

    def draw(axes: Axes, _: int, ink: Ink) -> None:
        if median is not None:
            low = median["low"] if median["low"] is not None else median["value"]
            high = median["high"] if median["high"] is not None else edge
            axes.barh([0.6], [high - low], 0.8, left=[low], color=ink["band"], zorder=1)
            axes.plot([median["value"]] * 2, [0, 1], color=ink["ink"], linewidth=2, zorder=4)
        quartiles = [quantile(ordered, q).value for q in (0.25, 0.75)]
        if quartiles[0] is not None and quartiles[1] is not None:
            axes.barh([0.06], [quartiles[1] - quartiles[0]], 0.12, left=[quartiles[0]], color=ink["muted"], zorder=3)
        shown = _thinned(done)
        heights = [0.6 + 0.8 * _scatter(index) for index in range(len(shown))]
        placed = list(zip(shown, heights, strict=True))
        wide = [(one.low, height, one.high, height) for one, height in placed if one.high - one.low > edge / 100]
        strokes(axes, wide, edgecolor=ink["dot"], alpha=0.35, linewidth=1.5, zorder=2)
        dots(axes, [(one.midpoint, height) for one, height in placed], 4.4, edgecolor=ink["dot"], alpha=0.8, zorder=3)
        never = len(samples) - len(done)
        if never:
            late = [0.6 + 0.8 * _scatter(index) for index in range(min(never, _DOTS))]
            axes.plot([edge] * len(late), late, ">", color=ink["late"], ms=6.5, mew=0, clip_on=False, zorder=5)

    return Row(_name(target), _summary(target), 40 if samples else 0, draw)


def _thinned(samples: Sequence[Sample]) -> Sequence[Sample]:
    if len(samples) <= _DOTS:
        return samples
    return [samples[round(index * (len(samples) - 1) / (_DOTS - 1))] for index in range(_DOTS)]


def _scatter(index: int) -> float:
    """A height in -0.35..0.35 that keeps neighbours apart: multiples of the golden ratio, no chance involved."""
    return (index * 0.6180339887498949 % 1 - 0.5) * 0.7


# ---------------------------------------------------------------- distributions


def _panels(targets: Sequence[TargetResult], width: int, ink: Ink) -> Figure:
    columns = 3 if width >= BESIDE else 1
    across = (width - 2 * SIDE - (columns - 1) * 22) / columns
    head, tall, foot = 40, 104, 34
    rows = max(1, math.ceil(len(targets) / columns))
    figure, scale = canvas(width, rows * (head + tall + foot)), _scale(targets)
    curves = [sorted(sample.midpoint for sample in _totals(target)) for target in targets]
    for index, target in enumerate(targets):
        left = SIDE + index % columns * (across + 22)
        top = index // columns * (head + tall + foot)
        write(figure, left, top + 10, _name(target), weight="bold", size=SMALL)
        said = _summary(target).partition(", p95")[0]
        write(figure, left, top + 26, said, color=ink["muted"], size=SMALL - 0.5)
        axes = panel(figure, left, top + head, across - 26, tall)
        ticks = scale.ticks(4)
        along_x(axes, scale, ticks, ink)
        for level in _GUIDES:
            axes.axhline(level, color=ink["grid"], linewidth=1, zorder=0)
            middle = top + head + tall * (1 - level)
            write(figure, left + across - 22, middle, f"p{level * 100:g}", color=ink["muted"], size=SMALL)
        for place in ticks:
            under = left + scale.share(place) * (across - 26)
            write(figure, under, top + head + tall + 10, f"{place:g}", ha="center", color=ink["muted"], size=SMALL)
        for other in curves[:index] + curves[index + 1 :]:
            _curve(axes, other, scale, _BEHIND, color=ink["muted"], alpha=0.7, linewidth=1, zorder=2.5)
        _band(axes, curves[index], scale, ink)
        _curve(axes, curves[index], scale, _DOTS, color=ink["dot"], linewidth=2, zorder=3)
        if curves[index] and math.isinf(curves[index][-1]):
            share = sum(math.isfinite(value) for value in curves[index]) / len(curves[index])
            axes.plot([scale.edge], [share], ">", color=ink["late"], ms=6.5, mew=0, clip_on=False, zorder=5)
    last = rows * (head + tall + foot)
    write(figure, width - SIDE, last - 8, scale.unit, ha="right", color=ink["muted"], size=SMALL)
    return figure


def _curve(axes: Axes, ordered: Sequence[float], scale: Scale, most: int, **how: Any) -> None:
    """The empirical distribution as so many stairs at most; what never completed leaves it below one."""
    if not ordered:
        return
    n = len(ordered)
    picked = range(n) if n <= most else sorted({round(i * (n - 1) / (most - 1)) for i in range(most)})
    steps = [(ordered[i], (i + 1) / n) for i in picked if math.isfinite(ordered[i])]
    last = steps[-1][1] if steps else 0.0
    places = [scale.low, *(value for value, _ in steps), scale.edge]
    axes.plot(places, [0.0, *(share for _, share in steps), last], drawstyle="steps-post", **how)


def _band(axes: Axes, ordered: Sequence[float], scale: Scale, ink: Ink) -> None:
    if not ordered:
        return
    found = [quantile(ordered, level) for level in _LEVELS]
    lows = [scale.low if one.low is None else one.low for one in found]
    highs = [scale.edge if one.high is None else one.high for one in found]
    axes.fill_betweenx(_LEVELS, lows, highs, color=ink["band"], linewidth=0, zorder=2)


# ---------------------------------------------------------------- phases


def _segments(target: TargetResult) -> list[tuple[str, float]]:
    """The phases with their medians; the total undivided where a part of it is not known on its own."""
    known = {phase: found["value"] for phase in (*PHASES, "total") if (found := _quantile(target, phase)) is not None}
    if all(phase in known for phase in _TOTAL):
        parts = [(phase, known[phase]) for phase in _TOTAL]
    else:
        parts = [("undivided", known["total"])] if "total" in known else []
    return parts + ([("download", known["download"])] if parts and "download" in known else [])


def _bar(target: TargetResult, segments: Sequence[tuple[str, float]], edge: float) -> Row:
    parts = [
        f"total {seconds(length)} ({NOT_SEPARABLE})" if phase == "undivided" else f"{phase} {seconds(length)}"
        for phase, length in segments
    ]

    def draw(axes: Axes, width: int, ink: Ink) -> None:
        left = 0.0
        for phase, length in segments:
            hatch = "////" if phase == "undivided" else None
            axes.barh([0.5], [length], 1, left=[left], color=ink[phase], hatch=hatch, linewidth=0, zorder=2)
            if left:
                axes.plot([left, left], [0, 1], color=ink["paper"], linewidth=1.5, zorder=3)
            # A word fits when its segment is wider than seven pixels a letter.
            if hatch is None and length / edge * (width - 2 * SIDE) > 7.5 * len(phase) + 6:
                at = (left + length / 2, 0.5)
                axes.text(*at, phase, color=ink["paper"], ha="center", va="center_baseline", size=SMALL, zorder=4)
            left += length

    return Row(_name(target), ", ".join(parts) or "no median is known", 26 if segments else 0, draw)
