"""How many requests a quantile takes, to be known to within a share of itself.

Rules
-----
* ``p95=10%`` is reached when half the width of the p95's interval is at most 10 % of its value.
* A pilot is sent first: the fewest requests that give the interval both bounds. From the spread of their logarithms
  follows how many are needed; then so many are sent, and so on until it is reached.
* Where so many jobs have no end that the quantile itself has none, no number of requests can find it: nothing more is sent.
* Who looks several times, and stops when a sample happens to look narrow, is wrong more often than each look says.
  Therefore each bound of the interval that decides may be wrong in 1.75 % instead of 2.5 % of samples, there are few
  looks: after the pilot, then whenever as many as the spread asks for have ended, each time at least ``GROWTH`` times as
  many as before (``tests/benchmarks/bench_precision.py`` counts how often the interval then holds).
"""

from __future__ import annotations

import math
import re
import statistics
from dataclasses import dataclass
from functools import lru_cache

from harness.errors import UsageError
from harness.metrics.intervals import QUANTILES, Durations
from harness.metrics.quantiles import Quantile, least, ranks

TAIL = 0.0175
ASSUMED_SIGMA = 0.3
"""The standard deviation of the logarithms that a price is told by, before anything is known."""
GROWTH = 1.15
MOST = 10
"""How many times what the assumed spread asks for is sent at most."""
_FEWEST_PILOTS, _LARGEST = 20, 1_000_000


@dataclass(frozen=True, slots=True)
class Precision:
    """A quantile (``p95``) that is to be known within a share of its value."""

    name: str
    within: float

    @property
    def q(self) -> float:
        """The quantile as a share."""
        return QUANTILES[self.name]

    def __str__(self) -> str:
        return f"{self.name}={self.within * 100:g}%"

    @property
    def pilot(self) -> int:
        """How many requests are sent before anything is decided."""
        n = max(_FEWEST_PILOTS, math.ceil(least(self.q)))
        while not all(ranks(n, self.q, TAIL)):
            n += 1
        return n

    def needed(self, sigma: float) -> int:
        """How many requests a lognormal of this spread takes."""
        low, high = self.pilot, self.pilot
        while _width(high, self.q, sigma) > self.within and high < _LARGEST:
            low, high = high, high * 2
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if _width(middle, self.q, sigma) <= self.within else (middle + 1, high)
        return low

    @property
    def assumed(self) -> int:
        """How many requests it will take, as far as can be said before any is sent."""
        return self.needed(ASSUMED_SIGMA)

    def bounds(self, durations: Durations) -> Quantile:
        """The quantile with the interval that decides."""
        return durations.quantile(self.q, TAIL)

    def reached(self, durations: Durations) -> bool:
        """Whether the interval is narrow enough."""
        found = self.bounds(durations)
        if found.value is None or found.low is None or found.high is None:
            return False
        return (found.high - found.low) / 2 <= self.within * found.value

    def further(self, durations: Durations) -> int:
        """How many further requests are to be sent; none when it is reached."""
        n = len(durations.samples)
        if n < self.pilot:
            return self.pilot - n
        if self.reached(durations) or self.bounds(durations).low is None:
            return 0
        sigma = spread(durations)
        planned = self.needed(sigma) if sigma else n
        return max(planned, math.ceil(n * GROWTH)) - n


def spread(durations: Durations) -> float:
    """The standard deviation of the logarithms of the durations that ended; zero for fewer than two."""
    logs = [math.log(sample.midpoint) for sample in durations.finite if sample.midpoint > 0]
    return statistics.stdev(logs) if len(logs) > 1 else 0.0


@lru_cache(maxsize=4096)
def _width(n: int, q: float, sigma: float) -> float:
    """Half the width of the interval that is to be expected of ``n`` lognormal samples, as a share of the quantile."""
    low, high = ranks(n, q, TAIL)
    if not low or not high:
        return math.inf
    z = statistics.NormalDist().inv_cdf
    ends = (math.exp(sigma * z(rank / (n + 1))) for rank in (high, low))
    return (next(ends) - next(ends)) / (2 * math.exp(sigma * z(q)))


def parse(text: str) -> Precision:
    """The value of ``--precision``.

    Raises:
        UsageError: it names no quantile, or no share that could be reached.
    """
    found = re.fullmatch(r"(p\d+)=(\d+(?:\.\d+)?)%", text)
    within = float(found[2]) / 100 if found else 0.0
    if found is None or found[1] not in QUANTILES or not 0.01 <= within < 1:
        known = ", ".join(QUANTILES)
        raise UsageError(f"--precision {text[:40]!r} is not of the form p95=10%: one of {known}, and from 1% to 99%")
    return Precision(found[1], within)
