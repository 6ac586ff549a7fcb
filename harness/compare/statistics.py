"""When a difference between runs is a regression: one rule, its error rates stated in docs/comparing.md.

Rules
-----
* A run is one number: the logarithm of a quantile, or a share. Baseline and candidate are means over runs.
* The variance of a run is the larger of how much the baseline's runs differ and how much a run's own number scatters
  with the requests it was made of: eight runs that happen to agree prove little.
* ``effect > t(.99, K - 1) · s · √(1/C + 1/K)`` and an effect of at least the tolerance make a regression, the mirror
  image an improvement; an upper bound below the tolerance makes ``ok``. Anything else is ``inconclusive``.
* Where some numbers are infinite the same is asked of ranks: the rank-sum test, and the shift and bounds that belong to it
  (Hodges and Lehmann 1963).
* With fewer than ``FEWEST`` baseline runs nothing is known about how runs differ: ``inconclusive``, whatever is seen.

scipy's special functions give the distributions of t, F's kin and the binomial; they are imported when they are used.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left, bisect_right
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
    such an effect where nothing has changed; ``deviation`` is the standard deviation of a run, None where ranks were
    compared: effect and bounds may be infinite then.
    """

    effect: float
    low: float
    high: float
    p_up: float
    p_down: float
    deviation: float | None


def difference(baseline: Sequence[float], candidate: Sequence[float], floor: float, level: float = LEVEL) -> Difference:
    """Compare two groups of finite run numbers; ``floor`` is the least variance that a run can have.

    Raises:
        ValueError: the baseline has fewer than two runs, or the candidate none.
    """
    from scipy.special import stdtr, stdtrit

    k, c = len(baseline), len(candidate)
    if k < 2 or not c:
        raise ValueError(f"{k} baseline and {c} candidate runs cannot be compared")
    effect = mean(candidate) - mean(baseline)
    deviation = math.sqrt(max(_variance(baseline), floor))
    error = deviation * math.sqrt(1 / c + 1 / k)
    reach = float(stdtrit(k - 1, level)) * error
    up = float(stdtr(k - 1, -effect / error)) if error else float(effect <= 0)
    return Difference(effect, effect - reach, effect + reach, up, 1 - up, deviation)


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    middle = mean(values)
    return math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1)


def ranked(baseline: Sequence[float], candidate: Sequence[float], level: float = LEVEL) -> Difference:
    """Compare two groups of run numbers that may be infinite, by their ranks: exact, ties included."""
    k, c = len(baseline), len(candidate)
    shifts = sorted(0.0 if one == other else one - other for one in candidate for other in baseline)
    whole = sorted((*baseline, *candidate))
    twice = {value: bisect_left(whole, value) + bisect_right(whole, value) + 1 for value in whole}
    chances = _sums([twice[value] for value in whole], c)
    mine = sum(twice[value] for value in candidate)
    up = math.fsum(chance for total, chance in enumerate(chances) if total >= mine)
    down = math.fsum(chance for total, chance in enumerate(chances) if total <= mine)
    # A bound is the shift that so many pairs exceed as those sums allow which, without ties, are rare enough.
    untied, least = _sums(list(range(2, 2 * (k + c) + 1, 2)), c), c * (c + 1)
    rare = sum(math.fsum(untied[: least + 2 * place + 1]) <= 1 - level for place in range(k * c))
    low, high = (shifts[rare - 1], shifts[-rare]) if rare else (-math.inf, math.inf)
    return Difference(statistics.median(shifts), low, high, min(1.0, up), min(1.0, down), None)


def _sums(values: Sequence[int], size: int) -> Any:
    """How likely each sum is of ``size`` of some values that are drawn by chance, by the sum."""
    import numpy as np

    ways = np.zeros((size + 1, sum(values) + 1))
    ways[0, 0] = 1.0
    for value in values:
        ways[1:, value:] += ways[:-1, : ways.shape[1] - value].copy()
    return ways[size] / math.comb(len(values), size)


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


def shared(tests: int) -> float:
    """The confidence that the least probable of several tests needs when they share one ``LEVEL`` (Holm)."""
    return 1 - (1 - LEVEL) / max(1, tests)


def power(
    change: float, variance: float, baseline: int, candidates: int, tolerance: float, *, level: float = LEVEL
) -> float:
    """How surely a true effect of ``change`` is called a regression, when runs have this variance."""
    import numpy as np
    from scipy.special import ndtr

    spread = math.sqrt(variance * (1 / candidates + 1 / baseline))
    if not spread:
        return float(change >= tolerance)
    # The estimated deviation is the true one times √(chi² / df): the mean over its quantiles.
    needed = np.maximum(_criticals(baseline - 1, level) * spread, tolerance)
    return float(ndtr((change - needed) / spread).mean())


@cache
def _criticals(freedom: int, level: float) -> Any:
    """How many true deviations an effect has to reach, at evenly spaced quantiles of the estimated one."""
    import numpy as np
    from scipy.special import chdtri, stdtrit

    places = (np.arange(_STEPS) + 0.5) / _STEPS
    return stdtrit(freedom, level) * np.sqrt(chdtri(freedom, 1 - places) / freedom)


def detectable(variance: float, baseline: int, candidates: int, tolerance: float, *, level: float = LEVEL) -> float:
    """The least effect that is found with ``POWER``."""
    low, high = tolerance, tolerance + 1.0
    while power(high, variance, baseline, candidates, tolerance, level=level) < POWER and high < 64:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        if power(middle, variance, baseline, candidates, tolerance, level=level) < POWER:
            low = middle
        else:
            high = middle
    return high
