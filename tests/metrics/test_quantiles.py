"""Quantiles of small, censored samples, against numpy and exact binomial sums."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from itertools import accumulate

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics.quantiles import Quantile, quantile, ranks

SECONDS = st.floats(0, 1e6, allow_nan=False, allow_subnormal=False)
QS = (0.5, 0.95, 0.99)
NEEDED = {0.5: 2, 0.95: 20, 0.99: 100}


@given(st.lists(SECONDS, min_size=100, max_size=250).map(sorted), st.sampled_from(QS))
def test_a_value_is_numpys_linear_percentile(ordered: list[float], q: float) -> None:
    """Hyndman and Fan's type 7 is what numpy calls linear."""
    found = quantile(ordered, q).value
    assert found == pytest.approx(float(np.percentile(ordered, 100 * q, method="linear")), rel=1e-9, abs=1e-9)


@given(st.lists(SECONDS, min_size=1, max_size=120).map(sorted), st.sampled_from(QS))
def test_a_value_is_withheld_where_the_sample_is_too_small(ordered: list[float], q: float) -> None:
    """p95 needs 20 samples and p99 a hundred."""
    assert (len(ordered) < NEEDED[q]) == (quantile(ordered, q).value is None)


@pytest.mark.parametrize(
    ("n", "q", "given_"), [(19, 0.95, False), (20, 0.95, True), (99, 0.99, False), (100, 0.99, True)]
)
def test_the_least_sample_sizes(n: int, q: float, given_: bool) -> None:
    """One sample fewer and there is no figure."""
    assert given_ == (quantile([1.0] * n, q).value is not None)


def test_nothing_measured_is_nothing_said() -> None:
    """An empty sample has no quantile and no bound."""
    assert Quantile(None, None, None) == quantile([], 0.5)


@given(st.lists(SECONDS, min_size=100, max_size=150).map(sorted), st.integers(0, 150), st.sampled_from(QS))
def test_a_job_that_never_ended_is_infinite_and_never_dropped(ordered: list[float], lost: int, q: float) -> None:
    """With infinite samples, a figure and its bounds are those of very late ones, or withheld."""
    inf = quantile([*ordered, *[math.inf] * lost], q)
    late = quantile([*ordered, *[1e12] * lost], q)
    for mine, other in ((inf.value, late.value), (inf.low, late.low), (inf.high, late.high)):
        expected = None if other is None or other > 1e6 else other
        assert expected == mine


@pytest.mark.parametrize("q", [*QS, 0.01])
@pytest.mark.parametrize("tail", [0.025, 0.0175])
def test_ranks_are_those_of_the_whole_sum(q: float, tail: float) -> None:
    """What is left out of the sum decides nothing, in small samples as in large ones: SciPy's binomial says the same."""
    for n in (1, 2, 19, 20, 71, 72, 73, 99, 100, 367, 368, 1000, 20_011, 400_000):
        low, high = ranks(n, q, tail)
        below = scipy.stats.binom(n, q).cdf  # P(B < r) is below(r - 1)
        assert low == 0 or below(low - 1) <= tail
        assert low == n or below(low) > tail
        upper = high or n + 1
        assert high == 0 or 1 - below(high - 1) <= tail
        assert upper == 1 or 1 - below(upper - 2) > tail


def below(n: int, q: float) -> list[int]:
    """For each rank from 0 to n, how many of 100**n equal chances leave fewer than that many samples below q."""
    p = round(q * 100)
    return list(accumulate((math.comb(n, k) * p**k * (100 - p) ** (n - k) for k in range(n)), initial=0))


@pytest.mark.parametrize("q", QS)
@pytest.mark.parametrize("n", [*range(1, 41), 59, 71, 72, 73, 99, 100, 130, 214, 367, 368, 369])
def testranks_are_those_of_exact_binomial_sums(n: int, q: float) -> None:
    """The lower rank is the largest, the upper the smallest, that is wrong at most 2.5 % of the time."""
    sums, whole = below(n, q), 100**n
    low = max((r for r in range(1, n + 1) if sums[r] * 1000 <= 25 * whole), default=0)
    high = min((r for r in range(1, n + 1) if (whole - sums[r]) * 1000 <= 25 * whole), default=0)
    assert (low, high) == ranks(n, q)


@pytest.mark.parametrize(
    ("q", "n", "low", "high"),
    [(0.5, 5, False, False), (0.5, 6, True, True), (0.95, 71, True, False), (0.95, 72, True, True),
     (0.99, 367, True, False), (0.99, 368, True, True)],
)  # fmt: skip
def test_where_bounds_begin_to_exist(q: float, n: int, low: bool, high: bool) -> None:
    """An upper bound of p95 needs 72 samples, one of p99 needs 368, both bounds of p50 need 6."""
    found = quantile([float(k) for k in range(n)], q)
    assert (low, high) == (found.low is not None, found.high is not None)


def test_known_bounds() -> None:
    """The order statistics that tables give: 10 samples p50, 100 samples p50 and p95."""
    found = [ranks(10, 0.5), ranks(100, 0.5), ranks(100, 0.95)]
    assert found == [(2, 9), (40, 61), (90, 100)]


@pytest.mark.parametrize(("q", "n"), [(0.5, 7), (0.5, 30), (0.95, 72), (0.95, 100), (0.95, 214)])
def test_bounds_hold_the_truth_at_least_95_of_100_times(q: float, n: int) -> None:
    """4000 skewed samples with a known quantile: the interval contains it at least as often as it says."""
    rng = random.Random(20261121)
    truth, runs, held = -math.log1p(-q), 4000, 0
    low, high = ranks(n, q)
    for _ in range(runs):
        ordered = sorted(rng.expovariate(1.0) for _ in range(n))
        found = quantile(ordered, q)
        assert (ordered[low - 1], ordered[high - 1]) == (found.low, found.high)
        held += low <= bisect_left(ordered, truth) < high
    # The exact coverage is at least 95 %; the allowance is three standard deviations of the simulation.
    assert held / runs >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs)
    sums = below(n, q)
    assert (sums[high] - sums[low]) * 100 >= 95 * 100**n
