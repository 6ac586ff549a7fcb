"""Quantiles of small, censored samples, with intervals that assume no distribution.

Rules
-----
* A quantile is linearly interpolated between order statistics (Hyndman-Fan type 7).
* A sample that never came counts as infinite; it is never dropped.
* A value is withheld below 1/(1-q) samples and where it is infinite. Its 95 % interval is a pair of order statistics
  whose binomial coverage is at least 95 %, each side at most 2.5 % wrong; a side that no order statistic can give is
  None. Bootstrap intervals are not used: at these sizes they cover far less than they say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile and its 95 % bounds; None for what the sample cannot tell."""

    value: float | None
    low: float | None
    high: float | None


def quantile(ordered: Sequence[float], q: float) -> Quantile:
    """The ``q`` quantile of samples in ascending order."""
    n = len(ordered)
    if n == 0:
        return Quantile(None, None, None)
    low, high = _ranks(n, q)
    value = _interpolated(ordered, q) if n >= round(1 / (1 - q), 9) else math.inf
    return Quantile(
        value if math.isfinite(value) else None,
        _finite(ordered[low - 1]) if low else None,
        _finite(ordered[high - 1]) if high else None,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _interpolated(ordered: Sequence[float], q: float) -> float:
    place = (len(ordered) - 1) * q
    below = math.floor(place)
    lower, upper = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    part = place - below
    # Infinity times zero is not a number: a place that needs no neighbour asks none.
    return lower if part == 0 or lower == upper else lower + part * (upper - lower)


@lru_cache(maxsize=4096)
def _ranks(n: int, q: float) -> tuple[int, int]:
    """Ranks (from 1) of the order statistics that bound the quantile; 0 where there is none.

    The number of samples below the true quantile is binomial(n, q). The lower rank is the largest r with
    P(B < r) <= 2.5 %, the upper one the smallest r with P(B >= r) <= 2.5 %.
    """
    below, low, high = 0.0, 0, 0
    for rank in range(1, n + 1):
        below += _binomial(n, rank - 1, q)
        if below <= TAIL:
            low = rank
        if 1 - below <= TAIL:
            high = rank
            break
    return low, high


def _binomial(n: int, k: int, q: float) -> float:
    log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(log + k * math.log(q) + (n - k) * math.log1p(-q))
