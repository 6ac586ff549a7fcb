"""One number of a target over many runs, and where its level has changed.

Rules
-----
* A series holds live runs of one key, the newest run's: what cannot be compared with it is left out and counted by reason.
* Levels are compared as ratios, so a series is one of logarithms.
* A trend judges nothing: whether the last runs have regressed is ``compare``'s question.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.compare.changepoints import FEWEST_RUNS, Change, changes, levels
from harness.compare.digest import Digest
from harness.compare.names import MEMBERS, MODES
from harness.model import Json
from harness.report import text


@dataclass(frozen=True)
class Trend:
    """A target's series: when each run began, its values in seconds, and where the level changed.

    ``left_out`` counts the runs that are not in it, by the reason; ``across`` are the members of the key that may differ.
    """

    target: str
    number: str
    runs: tuple[str, ...]
    dates: tuple[str, ...]
    values: tuple[float, ...]
    changes: tuple[Change, ...]
    left_out: Mapping[str, int]
    across: tuple[str, ...] = ()

    @property
    def levels(self) -> tuple[tuple[int, int, float], ...]:
        """The stretches between changes: first run, run after the last, geometric mean in seconds."""
        found = levels([math.log(value) for value in self.values], [change.at for change in self.changes])
        return tuple((begin, end, math.exp(mean)) for begin, end, mean in found)


def trends(runs: Sequence[Digest], number: str, tolerance: float, across: Collection[str] = ()) -> tuple[Trend, ...]:
    """The trend of a number for each target and kind of run that has it."""
    groups: dict[tuple[str, str], list[Digest]] = {}
    for one in sorted(runs, key=lambda one: (one.started_at, one.run)):
        groups.setdefault((one.target, one.kind), []).append(one)
    return tuple(_trend(some, number, tolerance, across) for some in groups.values())


def _trend(runs: Sequence[Digest], number: str, tolerance: float, across: Collection[str]) -> Trend:
    live = [one for one in runs if one.key.mode == "live"]
    newest = live[-1] if live else runs[-1]
    reasons = [(one, _why_not(one, newest, number, across)) for one in runs]
    used = [one for one, reason in reasons if not reason]
    values = tuple(one.figures[number].value for one in used)
    return Trend(
        target=newest.target,
        number=number,
        runs=tuple(one.run for one in used),
        dates=tuple(one.started_at for one in used),
        values=values,
        changes=changes([math.log(value) for value in values], math.log1p(tolerance)),
        left_out=Counter(reason for _, reason in reasons if reason),
        across=tuple(across),
    )


def _why_not(one: Digest, newest: Digest, number: str, across: Collection[str]) -> str:
    if one.key.mode != "live":
        return f"{MODES.get(one.key.mode, one.key.mode)} runs say nothing about how fast a provider is"
    for member, name in MEMBERS.items():
        if member not in across and getattr(one.key, member) != getattr(newest.key, member):
            return f"another {name} than the newest run's (--across {member} allows it)"
    if one.unfit:
        return "incomplete or badly measured"
    if number not in one.figures or math.isinf(one.figures[number].value):
        return f"no {number}: too few jobs, or most of them never ended"
    return ""


def lines(found: Sequence[Trend]) -> Iterator[str]:
    """The trends for a terminal or a log."""
    for one in found:
        yield f"{text.visible(one.target, 80)}: {one.number} over {text.count(len(one.values), 'run')}"
        if one.across:
            yield f"  although these may differ: {', '.join(one.across)}"
        yield from (f"  left out: {text.count(runs, 'run')}: {why}" for why, runs in one.left_out.items())
        if len(one.values) < FEWEST_RUNS:
            yield f"  too few runs to look for changes: {FEWEST_RUNS} are needed"
        for (begin, end, mean), change in zip(one.levels, (None, *one.changes), strict=False):
            said = f", ×{math.exp(change.effect):.2f} (p {change.p:.3f})" if change else ""
            days = f"{one.dates[begin][:10]} to {one.dates[end - 1][:10]}"
            yield f"  {days}: {text.count(end - begin, 'run')} at {text.seconds(mean)}{said}"


def as_json(found: Sequence[Trend]) -> str:
    """The trends as JSON: values in seconds, effects as ratios."""
    return json.dumps({"trends": [_json(one) for one in found]}, ensure_ascii=False, indent=2) + "\n"


def _json(one: Trend) -> Json:
    return {
        "target": one.target,
        "number": one.number,
        "runs": [
            {"run": run, "started_at": date, "value": value}
            for run, date, value in zip(one.runs, one.dates, one.values, strict=True)
        ],
        "changes": [
            {"run": one.runs[change.at], "effect": round(math.exp(change.effect), 6), "p": change.p}
            for change in one.changes
        ],
        "left_out": dict(one.left_out),
        "across": list(one.across),
    }


def page(found: Sequence[Trend], number: str) -> str:
    """The trends as one HTML page in the report's style."""
    from harness.report import html, plots

    shown = []
    for place, one in enumerate(found):
        told = "; ".join(f"{runs} runs at {text.seconds(mean)}" for runs, mean in _stretches(one))
        plot = plots.trend(one.values, one.levels, told)
        wide, narrow = (
            Markup(plots.inline(plot, f"t{place}-{name}", width))  # noqa: S704 - escaped by the XML writer
            for name, width in (("wide", plots.WIDE), ("narrow", plots.NARROW))
        )
        shown.append(
            {
                "target": one.target,
                "series": one.values,
                "across": ", ".join(one.across),
                "left_out": [(why, text.count(runs, "run")) for why, runs in one.left_out.items()],
                "levels": list(_rows(one)),
                "wide": wide,
                "narrow": narrow,
            }
        )
    return html.page("trend.html.j2", number=number, trends=shown, fewest=FEWEST_RUNS)


def _stretches(one: Trend) -> Iterator[tuple[int, float]]:
    yield from ((end - begin, mean) for begin, end, mean in one.levels)


def _rows(one: Trend) -> Iterator[Mapping[str, object]]:
    for (begin, end, mean), change in zip(one.levels, (None, *one.changes), strict=False):
        yield {
            "first": one.dates[begin][:10],
            "last": one.dates[end - 1][:10],
            "runs": end - begin,
            "mean": text.seconds(mean),
            "change": f"×{math.exp(change.effect):.2f} (p {change.p:.3f})" if change else text.NOTHING,
        }
