"""Figures of a run, for the page and as files.

Only this package imports matplotlib; import it where a figure is drawn, never at start-up. ``style`` says how all of them
look, ``svg`` makes what a page with a strict policy can hold.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.plots.latency import distributions, jobs, phases
from harness.report.plots.style import NARROW, WIDE, Plot
from harness.report.plots.svg import file, inline, png
from harness.report.plots.timeline import swimlanes
from harness.report.plots.trend import trend
from harness.report.plots.value import cost_latency
from harness.report.results import TargetResult

__all__ = ["NARROW", "WIDE", "Plot", "file", "inline", "plots_of", "png", "trend"]


def plots_of(targets: Sequence[TargetResult]) -> dict[str, Plot]:
    """The figures that there is something to draw for, by name."""
    timed = any(target.samples.get("total") for target in targets)
    made = [distributions(targets), jobs(targets), phases(targets), cost_latency(targets)] if timed else []
    return {plot.name: plot for plot in (*made, swimlanes(targets)) if plot is not None}
