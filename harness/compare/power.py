"""How many runs and requests it takes to see a change of a given size, from how much past runs have varied.

Rules
-----
* A run's number varies with whatever moves the run as a whole, which more requests do not average away, and with its
  own requests, which they do. Past runs tell both apart.
* The plan is the cheapest pair of candidate runs and requests in each that finds the change with ``POWER``; where no
  number of candidate runs would, the baseline is too short, and the plan says how long it has to be: no longer than a
  baseline file keeps.
* A number that is tested together with others is planned for at the level that they share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import NormalDist

from harness.compare.baseline import KEPT
from harness.compare.digest import Digest, Figure
from harness.compare.names import FEWEST_JOBS, QUANTILES
from harness.compare.statistics import FEWEST, LEVEL, POWER, power
from harness.model import Json

REQUESTS = (10, 15, 20, 30, 50, 80, 120)
"""Requests of a run that are considered: many short runs beat few long ones."""
MOST_RUNS = 40
BASELINES = (8, 12, 16, 24, KEPT)
TYPICAL_SPREAD, TYPICAL_DRIFT = 0.3, 0.1
"""What is assumed where no past run is named: the deviation of a job's logarithm, and that of a run."""


@dataclass(frozen=True, slots=True)
class Variation:
    """The variance between runs, and that of one request: a run of ``n`` has ``between + request / n``."""

    between: float
    request: float

    def of(self, n: int) -> float:
        """The variance of a run of ``n`` requests."""
        return self.between + self.request / n


def typical(q: float) -> Variation:
    """How the ``q`` quantile of runs of about lognormal jobs varies."""
    normal = NormalDist()
    return Variation(TYPICAL_DRIFT**2, TYPICAL_SPREAD**2 * q * (1 - q) / normal.pdf(normal.inv_cdf(q)) ** 2)


@dataclass(frozen=True, slots=True)
class Needed:
    """What it takes: ``runs`` candidate runs of ``requests`` each, against ``baseline`` runs of as many."""

    baseline: int
    runs: int
    requests: int


def variation(figures: Sequence[Figure], values: Sequence[float]) -> Variation:
    """How past runs have varied; ``values`` are their numbers on the scale that is compared.

    Raises:
        ValueError: there are fewer than two.
    """
    if len(values) < 2:
        raise ValueError("one run does not vary")
    own = math.fsum(figure.variance for figure in figures) / len(figures)
    request = math.fsum(figure.variance * figure.n for figure in figures) / len(figures)
    mean = math.fsum(values) / len(values)
    seen = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return Variation(max(0.0, seen - own), request)


def needed(
    varies: Variation, change: float, baseline: int, tolerance: float, least: int = 1, *, level: float = LEVEL
) -> Needed | None:
    """The fewest requests that find an effect of ``change``, those of missing baseline runs included.

    A run has ``least`` requests or more. None where even the longest baseline is too short.
    """
    lengths = [max(baseline, FEWEST), *(length for length in BASELINES if length > baseline)]
    found = [
        Needed(length, runs, requests)
        for length in lengths
        for requests in REQUESTS
        if requests >= least and (runs := _runs(varies.of(requests), change, length, tolerance, level)) is not None
    ]
    return min(found, key=lambda one: ((one.runs + one.baseline - baseline) * one.requests, one.runs), default=None)


def _runs(variance: float, change: float, baseline: int, tolerance: float, level: float) -> int | None:
    """The fewest candidate runs; the power grows with them, so it is halved for."""
    if power(change, variance, baseline, MOST_RUNS, tolerance, level=level) < POWER:
        return None
    low, high = 0, MOST_RUNS
    while high - low > 1:
        middle = (low + high) // 2
        if power(change, variance, baseline, middle, tolerance, level=level) < POWER:
            low = middle
        else:
            high = middle
    return high


@dataclass(frozen=True)
class Detection:
    """What it takes to see one number of a target change by ``change`` (a share), compared with half of it as tolerance.

    ``past`` are the runs that its variation was taken from, none where it is ``assumed``, and why; ``needed`` is None where a run's own
    drift hides the change whatever is sent. ``usd`` is the price of the candidate runs, ``usd_baseline`` of the baseline.
    """

    target: str
    number: str
    change: float
    past: int
    assumed: str
    varies: Variation
    needed: Needed | None
    usd_per_request: Decimal

    @property
    def usd(self) -> Decimal:
        """The price of the candidate runs."""
        return Decimal(0) if self.needed is None else self.usd_per_request * self.needed.runs * self.needed.requests

    @property
    def usd_baseline(self) -> Decimal:
        """The price of the baseline runs that are missing."""
        if self.needed is None:
            return Decimal(0)
        return self.usd_per_request * max(0, self.needed.baseline - self.past) * self.needed.requests


def detection(
    endpoint: tuple[str, str],
    number: str,
    change: float,
    past: Sequence[Digest],
    usd_per_request: Decimal,
    *,
    level: float,
) -> Detection:
    """What it takes to see a change of a target, by its name and flow, tested with ``level``.

    Of ``past``, the live benches of both that are like the newest of them are used.
    """
    target, flow = endpoint
    live = [
        one
        for one in past
        if one.kind == "bench" and one.key.mode == "live" and one.key.endpoint.startswith(f"{target} ({flow})")
    ]
    newest = max(live, key=lambda one: one.started_at, default=None)
    like = [one for one in live if newest and one.key == newest.key and not one.unfit and number in one.figures]
    figures = [one.figures[number] for one in like if math.isfinite(one.figures[number].value)]
    enough = len(figures) >= FEWEST
    q = QUANTILES[number][1]
    varies = variation(figures, [math.log(one.value) for one in figures]) if enough else typical(q)
    have = len(figures) if enough else 0
    found = needed(varies, math.log1p(change), have, math.log1p(change / 2), FEWEST_JOBS[q], level=level)
    assumed = "" if enough else _assumed(past, live, figures, f"{target} ({flow})", number)
    return Detection(target, number, change, have, assumed, varies, found, usd_per_request)


def _assumed(
    past: Sequence[Digest], live: Sequence[Digest], figures: Sequence[Figure], endpoint: str, number: str
) -> str:
    """Why past runs do not tell how runs vary."""
    if not past:
        return "no past runs are named: --past RUN"
    if not live:
        return f"no past run is a live bench of {endpoint}"
    return f"of the past runs like the newest {len(figures)} have a finite {number}, and {FEWEST} are needed"


def lines(found: Detection) -> Iterator[str]:
    """A detection for a terminal or a log."""
    from harness.report import text

    drift, spread = (
        math.expm1(math.sqrt(part)) for part in (found.varies.between, found.varies.of(20) - found.varies.between)
    )
    yield f"{text.visible(found.target, 80)}: to see {found.number} change by {found.change:.0%}, nine times in ten"
    whence = (
        f"as in {text.count(found.past, 'past run')}" if found.past else f"assumed, since {text.visible(found.assumed)}"
    )
    yield f"  runs differ by {drift:.0%}, and by {spread:.0%} more for the chance in 20 requests ({whence})"
    need = found.needed
    if need is None:
        yield f"  no number of runs shows that against {KEPT} baseline runs: runs differ too much by themselves; for two targets, harness versus pairs them"
        return
    more = f"{need.runs} × {need.requests} requests, USD {found.usd:.2f}"
    missing = max(0, need.baseline - found.past)
    before = f"; {missing} more baseline runs first, USD {found.usd_baseline:.2f}" if missing else ""
    yield f"  {text.count(need.runs, 'candidate run')} of {text.count(need.requests, 'request')}: {more}{before}"
    yield f"  then: harness compare BASE --candidate RUN … --tolerance {found.change / 2:.3%}"


def as_json(found: Detection) -> Json:
    """A detection as JSON."""
    need = found.needed
    return {
        "target": found.target,
        "number": found.number,
        "change": found.change,
        "power": POWER,
        "past_runs": found.past,
        "assumed": found.assumed or None,
        "variance": {"between_runs": found.varies.between, "of_a_request": found.varies.request},
        "needed": None if need is None else {"baseline": need.baseline, "runs": need.runs, "requests": need.requests},
        "usd": float(found.usd),
        "usd_baseline": float(found.usd_baseline),
        "tolerance": found.change / 2,
    }
