"""Durations known only to lie between two polls, and what they say about the distribution behind them.

Rules
-----
* A sample is an interval, and its true duration lies in it. A job that failed or passed its deadline has no upper end.
* ``spread`` is the standard deviation of the midpoints without what the polls add to it (a change lies anywhere in an
  interval of width w: w²/12); ``step`` is the mean width for each polled end, since an inference has two of them.
* The headline is ``exact`` where nothing was polled, ``midpoint`` where the spread is half a step or more, else
  ``npmle``: midpoints of steady durations spread over a whole step, and their p95 is late by almost half of one.
* The 95 % bounds are order statistics, of the midpoints where the spread is at least a step, else of the intervals'
  lower and upper ends: those cover whatever the polls' phases were, and are as wide as the polls left them.
* ``npmle`` is the nonparametric maximum likelihood estimate (Turnbull 1976), spread evenly within each of its
  intervals. The lognormal fit assumes a shape, and is a diagnostic only.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from harness.metrics.quantiles import TAIL, Quantile, interpolated, least, quantile

Method = Literal["exact", "midpoint", "npmle"]
QUANTILES: Mapping[str, float] = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
NPMLE_BELOW, ENDS_BELOW = 0.5, 1.0
"""Spread in steps: below the first the headline is the NPMLE, below the second the bounds are of the intervals' ends."""
DISAGREE = 0.10
"""Estimators that differ by more are worth a word."""
_ROUNDS, _TOLERANCE = 1500, 1e-6
_LEAST_FOR_FIT = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """One duration in seconds, known to lie in [low, high]; ``high`` is infinite when the job never got there."""

    case_id: str
    low: float
    high: float

    @property
    def midpoint(self) -> float:
        """The middle of the interval."""
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Durations:
    """The samples of one phase; ``ends`` is how many ends of its durations were polled."""

    samples: Sequence[Sample]
    ends: int = 1

    @cached_property
    def ordered(self) -> Sequence[float]:
        """The midpoints, ascending."""
        return sorted(sample.midpoint for sample in self.samples)

    @cached_property
    def finite(self) -> Sequence[Sample]:
        """The samples with an upper end."""
        return [sample for sample in self.samples if math.isfinite(sample.high)]

    @property
    def censored(self) -> int:
        """How many samples have no upper end."""
        return len(self.samples) - len(self.finite)

    @cached_property
    def step(self) -> float:
        """The mean width of a polled end, in seconds; zero where nothing was polled."""
        return statistics.fmean(s.high - s.low for s in self.finite) / self.ends if self.finite else 0.0

    @cached_property
    def spread(self) -> float:
        """The standard deviation of the durations, in seconds, without what the polls add."""
        if len(self.finite) < 2:
            return 0.0
        noise = statistics.fmean((s.high - s.low) ** 2 for s in self.finite) / (12 * self.ends)
        return math.sqrt(max(0.0, statistics.variance(s.midpoint for s in self.finite) - noise))

    @property
    def resolution(self) -> float | None:
        """The spread in steps; None where nothing was polled."""
        return self.spread / self.step if self.step else None

    @property
    def method(self) -> Method:
        """How the headline figures are made."""
        if self.resolution is None:
            return "exact"
        return "midpoint" if self.resolution >= NPMLE_BELOW else "npmle"

    @property
    def mean(self) -> float | None:
        """The mean of the midpoints; None where one is infinite, and for no samples."""
        return None if self.censored or not self.samples else math.fsum(self.ordered) / len(self.ordered)

    def quantile(self, q: float, tail: float = TAIL) -> Quantile:
        """The headline quantile with distribution-free bounds, each of them wrong at most as often as ``tail`` says."""
        ends = self.resolution is not None and self.resolution < ENDS_BELOW
        found = quantile(self.ordered, q, (self._lows, self._highs) if ends else None, tail)
        if self.method != "npmle" or len(self.samples) < least(q):
            return found
        return Quantile(self.npmle.quantile(q), found.low, found.high)

    @cached_property
    def _lows(self) -> Sequence[float]:
        return sorted(sample.low for sample in self.samples)

    @cached_property
    def _highs(self) -> Sequence[float]:
        return sorted(sample.high for sample in self.samples)

    @cached_property
    def npmle(self) -> Npmle:
        """The nonparametric maximum likelihood estimate."""
        return npmle([(sample.low, sample.high) for sample in self.samples])

    def estimates(self) -> Mapping[str, Mapping[str, float | None]]:
        """p50 and p95 by each estimator, headline or not; empty where nothing was polled or there are few samples."""
        if self.resolution is None or len(self.finite) < _LEAST_FOR_FIT:
            return {}
        shown = {name: q for name, q in QUANTILES.items() if name != "p99" and len(self.samples) >= least(q)}
        fit = lognormal(self.samples)
        return {
            "midpoint": {name: _finite(interpolated(self.ordered, q)) for name, q in shown.items()},
            "npmle": {name: self.npmle.quantile(q) for name, q in shown.items()},
            "lognormal": {name: None if fit is None else fit.quantile(q) for name, q in shown.items()},
        }


def disagreements(estimates: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    """The quantiles whose estimators differ by more than ``DISAGREE``, in words."""
    said = []
    for name in dict.fromkeys(name for found in estimates.values() for name in found):
        values = {by: value for by, found in estimates.items() if (value := found.get(name))}
        if values and max(values.values()) > min(values.values()) * (1 + DISAGREE):
            figures = ", ".join(f"{by} {value:.3g} s" for by, value in values.items())
            said.append(f"the estimates of {name} differ by more than {DISAGREE:.0%}: {figures}")
    return said


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Npmle:
    """Probability masses on intervals, ascending: each is spread evenly between its ends."""

    lows: Sequence[float]
    highs: Sequence[float]
    masses: Sequence[float]

    def quantile(self, q: float) -> float | None:
        """The ``q`` quantile; None where the mass there has no upper end."""
        below = 0.0
        for low, high, mass in zip(self.lows, self.highs, self.masses, strict=True):
            if below + mass >= q - 1e-9:
                return _finite(low + (high - low) * min(1.0, max(0.0, (q - below) / mass))) if mass else low
            below += mass
        return _finite(self.highs[-1]) if self.highs else None


def npmle(intervals: Sequence[tuple[float, float]]) -> Npmle:
    """The estimate from [low, high] intervals, by expectation-maximisation over Turnbull's innermost intervals."""
    import numpy as np

    if not intervals:
        return Npmle((), (), ())
    low, high = (np.array(ends, dtype=float) for ends in zip(*intervals, strict=True))
    ends, is_high = np.concatenate([low, high]), np.repeat([0, 1], len(low))
    order = np.lexsort((is_high, ends))
    ends, is_high = ends[order], is_high[order]
    inner = np.nonzero((is_high[:-1] == 0) & (is_high[1:] == 1))[0]
    lows, highs = ends[inner], ends[inner + 1]
    first, after = np.searchsorted(lows, low, "left"), np.searchsorted(highs, high, "right")
    count = len(lows)
    masses = np.full(count, 1 / count)
    for _ in range(_ROUNDS):
        total = np.concatenate([[0.0], np.cumsum(masses)])
        weight = 1 / (total[after] - total[first])
        change = np.bincount(first, weight, count + 1) - np.bincount(after, weight, count + 1)
        renewed = masses * np.cumsum(change)[:count] / len(low)
        settled = float(np.abs(renewed - masses).max()) < _TOLERANCE / count
        masses = renewed
        if settled:
            break
    return Npmle(lows.tolist(), highs.tolist(), masses.tolist())


@dataclass(frozen=True, slots=True)
class Lognormal:
    """A fitted lognormal: its median in seconds, and the standard deviation of its logarithm."""

    median: float
    sigma: float

    def quantile(self, q: float) -> float:
        """The ``q`` quantile, in seconds."""
        return self.median * math.exp(self.sigma * statistics.NormalDist().inv_cdf(q))


def lognormal(samples: Sequence[Sample]) -> Lognormal | None:
    """The maximum likelihood fit to intervals, those without an upper end being right-censored; None for none."""
    import numpy as np
    from scipy import stats

    inner = [(s.low, s.high) for s in samples if s.low < s.high < math.inf and s.high > 0]
    exact = [s.low for s in samples if 0 < s.low == s.high < math.inf]
    beyond = [s.low for s in samples if s.high == math.inf and 0 < s.low < math.inf]
    if len(inner) + len(exact) < _LEAST_FOR_FIT:
        return None
    # In logarithms a lognormal is a normal, whose fit is quicker and needs no bounds.
    log: Any = stats.CensoredData(
        uncensored=[math.log(value) for value in exact],
        interval=[(math.log(low) if low > 0 else -math.inf, math.log(high)) for low, high in inner],
        right=[math.log(value) for value in beyond],
    )
    with np.errstate(divide="ignore"):  # a spread that is tried and far too small gives an interval no mass
        mu, sigma = stats.norm.fit(log)
    return Lognormal(math.exp(mu), float(sigma)) if math.isfinite(mu) and math.isfinite(sigma) else None
