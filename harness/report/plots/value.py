"""What an image costs against how long it takes, with what is not known about either.

Rules
-----
* A target is a letter at its price and its median; the letters are explained beneath. Targets of one price stand side by
  side, a little apart.
* The line up and down is the median's 95 % interval; the line to the right leads to what an image costs if every charge
  that nobody can say was made. A ring instead of a disc: the price is assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from harness.metrics.cost import cost
from harness.model import Judged
from harness.report.plots.style import BESIDE, SIDE, SMALL, Ink, Plot, Scale, canvas, drawable, panel, write
from harness.report.results import TargetResult
from harness.report.text import interval, seconds, usd

_LEFT, _TOP, _TALL, _FOOT, _LINE = 46, 12, 230, 50, 18
_APART = 15
"""Pixels between targets of one price."""


@dataclass(frozen=True, slots=True)
class _Point:
    letter: str
    name: str
    usd: float
    usd_max: float
    assumed: bool
    median: float
    low: float | None
    high: float | None
    told: str


def cost_latency(targets: Sequence[TargetResult]) -> Plot | None:
    """The picture of the targets that have both; None when no target does."""
    points = [point for index, target in enumerate(targets) if (point := _point(index, target)) is not None]
    if not points:
        return None
    told = "; ".join(f"{point.name}: {point.told}" for point in points)
    title = "Cost of an image against the median time from submit to completion"
    return Plot("cost-latency", title, told, lambda width, ink: _painted(points, width, ink))


def _point(index: int, target: TargetResult) -> _Point | None:
    each, total = target.summary["cost"]["usd_per_image"], target.summary["latency"].get("total", {})
    median = total.get("p50")
    if each is None or median is None or median["value"] is None:
        return None
    bounds, most = interval(median), _most(target.judged, each)
    assumed = "(assumed)" in target.summary["cost"]["price_source"]
    told = f"{usd(each)}{' assumed' if assumed else ''}, p50 {seconds(median['value'])}"
    return _Point(
        letter=chr(ord("A") + index % 26),
        name=drawable(target.spec.target),
        usd=each,
        usd_max=most,
        assumed=assumed,
        median=median["value"],
        low=median["low"],
        high=median["high"],
        told=told + (f" ({bounds})" if bounds else ""),
    )


def _most(judged: Sequence[Judged], each: float) -> float:
    """What a delivered image costs at most, with the unknown charges."""
    spent = cost(one.call for one in judged if one.call is not None)
    return each if not spent.images_delivered else max(each, float(spent.usd_max / spent.images_delivered))


def _painted(points: Sequence[_Point], width: int, ink: Ink) -> Figure:
    line = _LINE if width >= BESIDE else 2 * _LINE
    figure = canvas(width, _TOP + _TALL + _FOOT + line * len(points))
    axes = panel(figure, _LEFT, _TOP, width - _LEFT - SIDE, _TALL)
    across = Scale(max(point.usd_max for point in points) * 1.25 or 1.0)
    up = Scale(max(max(point.median, point.high or 0) for point in points) * 1.12 or 1.0)
    axes.set_xlim(0, across.edge)
    axes.set_ylim(0, up.edge)
    for place in up.ticks(5):
        axes.axhline(place, color=ink["grid"], linewidth=1, zorder=0)
        middle = _TOP + _TALL * (1 - up.share(place))
        write(figure, _LEFT - 8, middle, f"{place:g}", ha="right", color=ink["muted"], size=SMALL)
    for place in across.ticks(5 if width >= BESIDE else 4):
        axes.axvline(place, color=ink["grid"], linewidth=1, zorder=0)
        left = _LEFT + across.share(place) * (width - _LEFT - SIDE)
        write(figure, left, _TOP + _TALL + 11, f"${place:g}", ha="center", color=ink["muted"], size=SMALL)
    write(figure, width - SIDE, _TOP + _TALL + 28, "USD per image", ha="right", color=ink["muted"], size=SMALL)
    write(figure, SIDE, _TOP + _TALL + 28, "seconds, median", color=ink["muted"], size=SMALL)
    pixel = across.edge / (width - _LEFT - SIDE)
    for number, point in enumerate(points):
        same = [other for other in points if abs(other.usd - point.usd) < _APART * pixel]
        at = point.usd + (same.index(point) - (len(same) - 1) / 2) * _APART * pixel
        low = point.median if point.low is None else point.low
        axes.plot([at, at], [low, up.edge if point.high is None else point.high], color=ink["dot"], linewidth=2)
        if point.usd_max > point.usd:
            axes.plot([at, at + point.usd_max - point.usd], [point.median] * 2, color=ink["dot"], linewidth=2)
        face, letter = (ink["paper"], ink["ink"]) if point.assumed else (ink["dot"], ink["paper"])
        axes.plot([at], [point.median], "o", ms=14, mfc=face, mec=ink["dot"], mew=1.5, zorder=3)
        axes.text(
            at, point.median, point.letter, color=letter, ha="center", va="center_baseline", size=SMALL - 1, weight="bold", zorder=4
        )  # fmt: skip
        top = _TOP + _TALL + _FOOT + line * number
        write(figure, SIDE, top, point.letter, weight="bold")
        write(figure, SIDE + 18, top, point.name, size=SMALL)
        told = (width - SIDE, top) if width >= BESIDE else (SIDE + 18, top + _LINE - 3)
        write(figure, *told, point.told, ha="right" if width >= BESIDE else "left", color=ink["muted"], size=SMALL)
    return figure
