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


def quantile(
    ordered: Sequence[float],
    q: float,
    ends: tuple[Sequence[float], Sequence[float]] | None = None,
    tail: float = TAIL,
) -> Quantile:
    """The ``q`` quantile of samples in ascending order.

    ``ends`` are the lower and the upper ends of samples known to lie between two, each ascending: the bounds are then
    taken from them. ``tail`` is how often each bound may be wrong.
    """
    n = len(ordered)
    if n == 0:
        return Quantile(None, None, None)
    lows, highs = ends or (ordered, ordered)
    low, high = ranks(n, q, tail)
    value = interpolated(ordered, q) if n >= least(q) else math.inf
    return Quantile(
        value if math.isfinite(value) else None,
        _finite(lows[low - 1]) if low else None,
        _finite(highs[high - 1]) if high else None,
    )


def least(q: float) -> float:
    """How many samples a quantile needs to have a value."""
    return round(1 / (1 - q), 9)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def interpolated(ordered: Sequence[float], q: float) -> float:
    """The ``q`` quantile of at least one sample in ascending order, interpolated linearly."""
    place = (len(ordered) - 1) * q
    below = math.floor(place)
    lower, upper = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    part = place - below
    # Infinity times zero is not a number: a place that needs no neighbour asks none.
    return lower if part == 0 or lower == upper else lower + part * (upper - lower)


@lru_cache(maxsize=4096)
def ranks(n: int, q: float, tail: float = TAIL) -> tuple[int, int]:
    """Ranks (from 1) of the order statistics that bound the quantile; 0 where there is none.

    The number of samples below the true quantile is binomial(n, q). The lower rank is the largest r with
    P(B < r) <= ``tail``, the upper one the smallest r with P(B >= r) <= ``tail``.
    """
    # By Bernstein's inequality less than e**-45 lies below the first rank that is looked at.
    first = max(1, math.floor(n * q - 12 * math.sqrt(n * q * (1 - q)) - 30))
    below, low, high = 0.0, first - 1, 0
    chance, odds = _binomial(n, first - 1, q), q / (1 - q)
    for rank in range(first, n + 1):
        below += chance
        chance *= (n - rank + 1) / rank * odds
        if below <= tail:
            low = rank
        if 1 - below <= tail:
            high = rank
            break
    return low, high


def _binomial(n: int, k: int, q: float) -> float:
    log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(log + k * math.log(q) + (n - k) * math.log1p(-q))
