"""How many jobs were done in time: the share within a service level objective, and how many of them per second.

Rules
-----
* A job counts as within when its whole interval is, and as undecided when only a part of it is: polls cannot tell.
* A job that failed or passed its deadline is not within. The 95 % interval is Clopper and Pearson's: its lower end takes
  every undecided job for late, its upper end for in time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.metrics.intervals import Sample

TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Goodput:
    """Of ``n`` jobs how many took at most ``slo`` seconds, the 95 % bounds of their share, and how many a second."""

    slo: float
    n: int
    within: int
    undecided: int
    low: float
    high: float
    per_second: float | None


def goodput(samples: Sequence[Sample], slo: float, seconds: float) -> Goodput | None:
    """The jobs within ``slo`` of a window of so many seconds; None for no jobs."""
    n = len(samples)
    if not n:
        return None
    within = sum(sample.high <= slo for sample in samples)
    undecided = sum(sample.low <= slo < sample.high < math.inf for sample in samples)
    low, high = bounds(within, n)[0], bounds(within + undecided, n)[1]
    return Goodput(slo, n, within, undecided, low, high, within / seconds if seconds > 0 else None)


def bounds(successes: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share, of which ``successes`` of ``n`` are an observation."""
    from scipy.stats import beta

    low = float(beta.ppf(TAIL, successes, n - successes + 1)) if successes else 0.0
    high = float(beta.ppf(1 - TAIL, successes + 1, n - successes)) if successes < n else 1.0
    return low, high
