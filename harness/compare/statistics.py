"""When a difference between runs is a regression: one rule, its error rates stated in docs/comparing.md.

Rules
-----
* A run is one number: the logarithm of a quantile, or a share. Baseline and candidate are means over runs.
* The variance of a run is the larger of how much the baseline's runs differ and how much a run's own number scatters
  with the requests it was made of: eight runs that happen to agree prove little.
* ``effect > t(.99, K - 1) · s · √(1/C + 1/K)`` and an effect of at least the tolerance make a regression, the mirror
  image an improvement; an upper bound below the tolerance makes ``ok``. Anything else is ``inconclusive``.
* With fewer than ``FEWEST`` baseline runs nothing is known about how runs differ: ``inconclusive``, whatever is seen.

scipy's special functions give the distributions of t, F's kin and the binomial; they are imported when they are used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Literal, TypeAlias

Word: TypeAlias = Literal["regressed", "improved", "ok", "inconclusive", "not comparable"]

LEVEL = 0.99
"""Confidence of each side."""
FEWEST = 5
"""Baseline runs below which nothing is decided."""
POWER = 0.9
"""How surely a change is found that is called detectable."""
_STEPS = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """What a comparison of run means says, on the scale of the numbers compared.

    ``low`` and ``high`` bound the effect, each with ``LEVEL``; ``p_up`` and ``p_down`` are the one-sided probabilities of
    such an effect where nothing has changed; ``deviation`` is the standard deviation of a run.
    """

    effect: float
    low: float
    high: float
    p_up: float
    p_down: float
    deviation: float


def difference(baseline: Sequence[float], candidate: Sequence[float], floor: float, level: float = LEVEL) -> Difference:
    """Compare two groups of finite run numbers; ``floor`` is the least variance that a run can have.

    Raises:
        ValueError: the baseline has fewer than two runs, or the candidate none.
    """
    from scipy.special import stdtr, stdtrit

    k, c = len(baseline), len(candidate)
    if k < 2 or not c:
        raise ValueError(f"{k} baseline and {c} candidate runs cannot be compared")
    effect = _mean(candidate) - _mean(baseline)
    deviation = math.sqrt(max(_variance(baseline), floor))
    error = deviation * math.sqrt(1 / c + 1 / k)
    reach = float(stdtrit(k - 1, level)) * error
    up = float(stdtr(k - 1, -effect / error)) if error else float(effect <= 0)
    return Difference(effect, effect - reach, effect + reach, up, 1 - up, deviation)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def word(found: Difference, tolerance: float, *, up: bool, down: bool) -> Word:
    """The verdict; ``up`` and ``down`` say whether a rise and a fall are significant."""
    if up and found.effect >= tolerance:
        return "regressed"
    if down and found.effect <= -tolerance:
        return "improved"
    return "ok" if found.high < tolerance else "inconclusive"


def holm(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Which of several tests reject, so that one or more false ones are as rare as one of a single test (Holm 1979)."""
    rejected = [False] * len(p_values)
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] > (1 - level) / (len(p_values) - place):
            break
        rejected[index] = True
    return rejected


def scatter(ordered: Sequence[float], q: float) -> float:
    """The variance of a sample's ``q`` quantile, by Maritz and Jarrett (1978): 0 for a sample of one.

    Infinite values count as the largest finite one: they are beyond the quantile where its scatter is asked for.
    """
    from scipy.special import betainc

    n = len(ordered)
    largest = max((value for value in ordered if math.isfinite(value)), default=0.0)
    values = [min(value, largest) for value in ordered]
    a, b = q * (n + 1), (1 - q) * (n + 1)
    edges = [float(edge) for edge in betainc(a, b, [index / n for index in range(n + 1)])]
    weights = [high - low for low, high in pairwise(edges)]
    mean = math.fsum(weight * value for weight, value in zip(weights, values, strict=True))
    return math.fsum(weight * (value - mean) ** 2 for weight, value in zip(weights, values, strict=True))


def exact(few: int, of_few: int, many: int, of_many: int) -> float:
    """Fisher's one-sided probability of ``few`` hits or more of ``of_few``, beside ``many`` of ``of_many``."""
    hits, whole = few + many, of_few + of_many
    ways = math.comb(whole, of_few)
    most = min(hits, of_few)
    return sum(math.comb(hits, x) * math.comb(whole - hits, of_few - x) for x in range(few, most + 1)) / ways


def power(change: float, variance: float, baseline: int, candidates: int, tolerance: float) -> float:
    """How surely a true effect of ``change`` is called a regression, when runs have this variance."""
    import numpy as np
    from scipy.special import ndtr

    spread = math.sqrt(variance * (1 / candidates + 1 / baseline))
    if not spread:
        return float(change >= tolerance)
    # The estimated deviation is the true one times √(chi² / df): the mean over its quantiles.
    needed = np.maximum(_criticals(baseline - 1) * spread, tolerance)
    return float(ndtr((change - needed) / spread).mean())


@cache
def _criticals(freedom: int) -> Any:
    """How many true deviations an effect has to reach, at evenly spaced quantiles of the estimated one."""
    import numpy as np
    from scipy.special import chdtri, stdtrit

    places = (np.arange(_STEPS) + 0.5) / _STEPS
    return stdtrit(freedom, LEVEL) * np.sqrt(chdtri(freedom, 1 - places) / freedom)


def detectable(variance: float, baseline: int, candidates: int, tolerance: float) -> float:
    """The least effect that is found with ``POWER``."""
    low, high = tolerance, tolerance + 1.0
    while power(high, variance, baseline, candidates, tolerance) < POWER and high < 64:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        if power(middle, variance, baseline, candidates, tolerance) < POWER:
            low = middle
        else:
            high = middle
    return high
