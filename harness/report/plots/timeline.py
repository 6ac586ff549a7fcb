"""What ran when: each target's jobs in as many lanes as were in flight at once.

Rules
-----
* Times are those of the record, from the first of the drawn jobs on. The first ``_WIDE`` of each target that were not
  refused are drawn, on a phone the first ``_NARROW``: enough to see how queue, concurrency and polls play together.
* A change of state is only known to lie between two polls: what lies between them is hatched, what is sure has the
  phase's colour. The thin lines below a job are its polls.
* Marks of one kind are one path, so that a job costs a few dozen bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from harness.clock import NS
from harness.flow import Route
from harness.metrics.phases import phases
from harness.model import Call, Outcome
from harness.report.plots.rows import Row, stacked
from harness.report.plots.style import BESIDE, Ink, Plot, Scale, drawable, strokes
from harness.report.results import TargetResult
from harness.report.text import count

_WIDE, _NARROW = 48, 24
_POLLS = 400
"""Of more polls of a target only every second, third, … is drawn."""
_LANE, _THIN = 11, 6
"""Pixels of a lane, and where there are many."""
_MANY = 14
_ORDER = ("undivided", "submit", "queue", "inference", "download")

Bar = tuple[str, float, float]
"""A part of the palette, and the seconds that it lasts from and to."""


@dataclass(frozen=True, slots=True)
class _Lane:
    """A call as it is drawn: its lane from the top, its bars, its polls, and when it ended for good without an image."""

    number: int
    bars: Sequence[Bar]
    polls: Sequence[float]
    lost: float | None


def swimlanes(targets: Sequence[TargetResult]) -> Plot | None:
    """The first jobs of each target on one scale; None when there was none."""
    calls = {target.spec.target: _calls(target) for target in targets}
    sent = [_started(call) for found in calls.values() for call in found]
    if not sent:
        return None
    start, plots = min(sent), {}
    for most in (_WIDE, _NARROW):
        lanes = [(target, _lanes(target, calls[target.spec.target][:most], start)) for target in targets]
        ends = [bar[2] for _, found in lanes for lane in found for bar in lane.bars]
        title = f"When the first jobs were in flight, for {count(len(targets), 'target')}"
        rows = [_row(target, found, len(calls[target.spec.target])) for target, found in lanes]
        plots[most] = stacked("timeline", title, rows, Scale(max(ends, default=1.0) * 1.02 or 1.0))
    wide, narrow = plots[_WIDE], plots[_NARROW]
    return Plot(wide.name, wide.title, wide.told, lambda w, ink: (wide if w >= BESIDE else narrow).paint(w, ink))


def _calls(target: TargetResult) -> list[Call]:
    """The jobs of a target, in the order of their going; what was refused never became one."""
    calls = (one.call for one in target.judged if one.case.kind != "probe")
    sent = [call for call in calls if call is not None and call.exchanges and call.outcome is not Outcome.REJECTED]
    return sorted(sent, key=lambda call: (_started(call), call.id))


def _started(call: Call) -> int:
    return min(exchange.sent_ns for exchange in call.exchanges)


def _ended(call: Call) -> int:
    return max(exchange.received_ns for exchange in call.exchanges)


def _lanes(target: TargetResult, calls: Sequence[Call], start: int) -> list[_Lane]:
    """Each call in the first lane that is free when it begins."""
    route = Route(target.spec, target.flow, target.base_url)
    free: list[int] = []
    found = []
    for call in calls:
        begun = _started(call)
        number = next((lane for lane, until in enumerate(free) if until <= begun), len(free))
        free[number : number + 1] = [_ended(call)]
        polls = [(exchange.received_ns - start) / NS for exchange in call.of("status")]
        gone = call.outcome in (Outcome.FAILED, Outcome.UNKNOWN)
        lost = (_ended(call) - start) / NS if gone else None
        found.append(_Lane(number, list(_bars(route, call, start)), polls, lost))
    return found


def _bars(route: Route, call: Call, start: int) -> Iterator[Bar]:
    known = phases(route, call)
    whole = route.synchronous(call.case.body)
    for exchange in call.of("submit"):
        yield "undivided" if whole else "submit", (exchange.sent_ns - start) / NS, (exchange.received_ns - start) / NS
    submits, total, queue = call.of("submit"), known["total"], known["queue"]
    if submits and not whole and total is not None:
        sent, answered = ((instant - start) / NS for instant in (submits[-1].sent_ns, submits[-1].received_ns))
        last = (_ended(call) - start) / NS  # where no end is known, the record's
        done = (min(sent + total[0], last), min(sent + total[1], last))
        if queue is None:
            yield "undivided", answered, done[1]
        else:
            running = (min(answered + queue[0], last), min(answered + queue[1], last))
            yield "queue", answered, running[0]
            yield "undivided", running[0], min(running[1], done[1])
            yield "inference", running[1], max(running[1], done[0])
            yield "undivided", max(running[1], done[0]), done[1]
    elif submits and not whole and call.of("status"):
        yield "undivided", (submits[-1].received_ns - start) / NS, (_ended(call) - start) / NS
    for exchange in call.of("result", "asset"):
        yield "download", (exchange.sent_ns - start) / NS, (exchange.received_ns - start) / NS


def _row(target: TargetResult, lanes: Sequence[_Lane], calls: int) -> Row:
    deep = max((lane.number for lane in lanes), default=-1) + 1
    height = deep * (_LANE if deep <= _MANY else _THIN)
    note = ("the first jobs" if len(lanes) < calls else "every job") if lanes else "no job was started"

    def draw(axes: Axes, width: int, ink: Ink) -> None:
        axes.set_ylim(deep or 1, 0)
        least = axes.get_xlim()[1] / width  # a pixel: nothing that happened is invisible
        for part in _ORDER:
            bars = [(b, lane.number) for lane in lanes for b in lane.bars if b[0] == part]
            boxes = [(low, max(high, low + least), number) for (_, low, high), number in bars]
            _boxes(
                axes, boxes, {"fc": ink[part], "ec": ink["muted"], "hatch": "//////" if part == "undivided" else None}
            )
        polls = [(at, lane.number + 0.7, at, lane.number + 0.95) for lane in lanes for at in lane.polls]
        strokes(axes, polls[:: 1 + len(polls) // _POLLS], edgecolor=ink["ink"], linewidth=0.8, zorder=3)
        lost = [(lane.lost, lane.number + 0.4) for lane in lanes if lane.lost is not None]
        axes.plot(*_columns(lost), ">", color=ink["late"], ms=6, mew=0, clip_on=False, zorder=4)

    return Row(drawable(target.spec.target), note, height, draw)


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _boxes(axes: Axes, boxes: Sequence[tuple[float, float, int]], how: Mapping[str, object]) -> None:
    """All boxes of one kind as one path: from, to, lane."""
    if not boxes:
        return
    corners = [
        corner
        for low, high, lane in boxes
        for corner in ((low, lane + 0.1), (high, lane + 0.1), (high, lane + 0.66), (low, lane + 0.66), (low, lane))
    ]
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(boxes)
    axes.add_artist(PathPatch(Path(corners, codes), linewidth=0, zorder=2, **how))
