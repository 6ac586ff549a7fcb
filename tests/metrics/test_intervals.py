"""What polled durations say: the estimators against samples whose truth is known."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from harness.metrics.intervals import Durations, Sample, disagreements, lognormal, npmle
from harness.metrics.phases import too_coarse

INF = math.inf


def polled(values: list[float], step: float, seed: int = 0) -> list[Sample]:
    """The samples as polls a step apart, each job's at a random phase, show them."""
    rng, found = random.Random(seed), []
    for value in values:
        first = rng.random() * step
        passed = math.floor((value - first) / step) + 1 if value > first else 0
        low = first + (passed - 1) * step if passed else 0.0
        found.append(Sample("", low, first + passed * step))
    return found


def durations(n: int, sigma: float, median: float = 6.0, seed: int = 0) -> list[float]:
    rng = random.Random(seed)
    return [median * rng.lognormvariate(0, sigma) for _ in range(n)]


def test_an_exact_sample_is_exact() -> None:
    """Where nothing was polled nothing is estimated: the quantiles are those of the values."""
    found = Durations([Sample("", value, value) for value in range(1, 101)])
    assert (found.method, found.resolution, found.estimates()) == ("exact", None, {})
    assert (found.quantile(0.5).value, found.mean) == (50.5, 50.5)


@pytest.mark.parametrize(("sigma", "method"), [(0.001, "npmle"), (0.05, "npmle"), (0.3, "midpoint"), (1.0, "midpoint")])
def test_the_method_follows_from_spread_and_step(sigma: float, method: str) -> None:
    """Durations that spread over less than half a step are estimated by the NPMLE, all others by their midpoints."""
    found = Durations(polled(durations(400, sigma), 1.0))
    assert found.method == method
    assert found.resolution == pytest.approx(statistics.stdev(durations(400, sigma)) / 1.0, abs=0.15)


def test_the_p95_of_steady_jobs_is_theirs_and_not_that_of_the_polls() -> None:
    """All jobs take six seconds: midpoints put the p95 almost half a step late, the headline does not."""
    found = Durations(polled([6.0] * 400, 1.0))
    by = found.estimates()
    assert by["midpoint"]["p95"] == pytest.approx(6.45, abs=0.05)
    assert found.quantile(0.95).value == pytest.approx(6.0, abs=0.05)
    assert found.quantile(0.5).value == pytest.approx(6.0, abs=0.02)


@pytest.mark.parametrize("sigma", [0.0, 0.1, 0.3])
def test_the_bounds_hold_the_truth_whatever_the_spread(sigma: float) -> None:
    """Of steady jobs they are as wide as the polls left them, and never narrower than what is known."""
    for seed in range(20):
        found = Durations(polled(durations(100, sigma, seed=seed), 1.0, seed)).quantile(0.5)
        assert found.low is not None
        assert found.high is not None
        assert (found.low - 0.3 < 6.0 < found.high + 0.3, found.high - found.low < 2) == (True, True)


def test_the_npmle_of_exact_values_is_their_distribution() -> None:
    """Without intervals it is the empirical distribution."""
    found = npmle([(value, value) for value in (3.0, 1.0, 2.0, 2.0)])
    assert (found.lows, [round(mass, 6) for mass in found.masses]) == ([1.0, 2.0, 3.0], [0.25, 0.5, 0.25])


def test_the_npmle_of_right_censored_values_is_kaplan_and_meiers() -> None:
    """1, 2+, 3: the mass of the censored one goes to what comes after it."""
    found = npmle([(1.0, 1.0), (2.0, INF), (3.0, 3.0), (4.0, INF)])
    assert found.masses == pytest.approx([1 / 4, 3 / 8, 3 / 8], abs=1e-4)
    assert (found.quantile(0.5), found.quantile(0.9)) == (3.0, None)


def test_jobs_without_an_end_are_infinite_and_not_left_out() -> None:
    """Six of a hundred never came: there is a median, and no p95; the mean is none either."""
    samples = [*polled(durations(94, 0.3), 0.5), *(Sample("", 60.0, INF) for _ in range(6))]
    found = Durations(samples)
    assert (found.censored, found.mean, found.quantile(0.95).value) == (6, None, None)
    assert found.quantile(0.5).value == pytest.approx(6.0, abs=0.6)
    steady = Durations([*polled([6.0] * 94, 1.0), *(Sample("", 60.0, INF) for _ in range(6))])
    assert (steady.method, steady.quantile(0.95).value) == ("npmle", None)


def test_the_lognormal_fit_finds_median_and_spread() -> None:
    """From intervals, from jobs done before their first poll, and from jobs that were cut off at the deadline."""
    values = durations(1500, 0.4, 3.0)
    samples = [s if s.high < 7 else Sample("", 7.0, INF) for s in polled(values, 1.0)]
    fit = lognormal(samples)
    assert fit is not None
    assert fit.median == pytest.approx(3.0, rel=0.05)
    assert fit.sigma == pytest.approx(0.4, rel=0.1)
    assert lognormal(samples[:5]) is None


def test_estimators_that_disagree_are_named() -> None:
    """Eight of a hundred cold starts: the lognormal's p95 is another one, and that is said."""
    values = [value * (6 if number % 12 == 0 else 1) for number, value in enumerate(durations(600, 0.2))]
    (said,) = (line for line in disagreements(Durations(polled(values, 0.5)).estimates()) if "p95" in line)
    assert "lognormal" in said
    assert disagreements(Durations(polled(durations(600, 0.3), 0.5)).estimates()) == []


def test_a_phase_is_too_coarse_when_a_quarter_of_the_jobs_has_no_lower_bound() -> None:
    """Up to a quarter may have had it behind them at their first poll; one more hides the phase."""
    seen = [Sample("", 1.0, 2.0)] * 15
    assert too_coarse([*seen, *[Sample("", 0.0, 0.5)] * 5]) is None
    assert too_coarse([*seen[1:], *[Sample("", 0.0, 0.5)] * 6]) == (
        "6 of 20 jobs had it behind them at the first poll that could show it, half of these within 0.5 s: "
        "the polls are too coarse for it"
    )
    assert too_coarse([]) is None
