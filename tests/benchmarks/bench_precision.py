"""What does ``--precision p95=10%`` take, and does the interval that ends it hold the truth?

Measured, for lognormal durations of known spread: the requests sent (median, 10th and 90th percentile), beside the fixed
number that somebody who knew the spread would send once, and in how many runs the interval holds the true quantile at
the end: the one that decides, and the plain 95 % one of the report.

How: thousands of runs of the rule itself, ``Precision.further``, on samples drawn as it asks for them. A row with cold
starts (a twelfth of the jobs takes five times as long) shows a spread that is none of a lognormal.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
from typing import NamedTuple

from harness.metrics.intervals import Durations, Sample
from harness.metrics.precision import Precision, parse
from harness.metrics.quantiles import ranks

HEAD = f"{'':34}{'known spread':>13}{'median':>8}{'10 %':>7}{'90 %':>7}{'ratio':>7}{'decides':>10}{'95 %':>8}"


class End(NamedTuple):
    """How many requests a run took, and whether each interval held the truth."""

    n: int
    decides: bool
    plain: bool


def drawn(rng: random.Random, sigma: float, cold: float) -> float:
    """A duration around one second; a share of them are cold starts."""
    return rng.lognormvariate(0, sigma) * (5 if rng.random() < cold else 1)


def run(precision: Precision, sigma: float, cold: float, true: float, seed: int) -> End:
    """One bench that stops by itself."""
    rng, samples = random.Random(seed), list[Sample]()
    while further := precision.further(Durations(samples)):
        samples += [Sample("", value, value) for value in (drawn(rng, sigma, cold) for _ in range(further))]
    durations = Durations(samples)
    decides, plain = precision.bounds(durations), durations.quantile(precision.q)
    held = [(one.low or 0) <= true <= (one.high or math.inf) for one in (decides, plain)]
    return End(len(samples), *held)


def known(precision: Precision, sigma: float) -> int:
    """How many requests a single look takes on average, for somebody who knows the spread: a plain 95 % interval."""
    z, n = statistics.NormalDist().inv_cdf, precision.pilot // 4
    while True:
        low, high = ranks(n, precision.q)
        if low and high:
            ends = [math.exp(sigma * z(rank / (n + 1))) for rank in (low, high)]
            if (ends[1] - ends[0]) / (2 * math.exp(sigma * z(precision.q))) <= precision.within:
                return n
        n += 1


def true_quantile(precision: Precision, sigma: float, cold: float) -> float:
    """The true quantile: closed, or of a large sample for a mixture."""
    if not cold:
        return math.exp(sigma * statistics.NormalDist().inv_cdf(precision.q))
    rng = random.Random(0)
    values = sorted(drawn(rng, sigma, cold) for _ in range(400_000))
    return values[round(precision.q * len(values))]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few runs: shows that it runs")
    runs = 5 if parser.parse_args().quick else 2000
    print(f"{runs} runs each")
    print(HEAD, "-" * len(HEAD), sep="\n")
    for text, sigma, cold in (
        ("p95=10%", 0.3, 0.0),
        ("p95=10%", 0.15, 0.0),
        ("p50=10%", 0.3, 0.0),
        ("p50=10%", 0.3, 1 / 12),
    ):
        precision = parse(text)
        true = true_quantile(precision, sigma, cold)
        ends = [run(precision, sigma, cold, true, seed) for seed in range(runs)]
        taken = statistics.quantiles([end.n for end in ends], n=10)
        fixed, median = known(precision, sigma), statistics.median(end.n for end in ends)
        held = [statistics.fmean(end[at] for end in ends) for at in (1, 2)]
        name = f"{text}, σ {sigma:g}" + (", cold starts" if cold else "")
        print(
            f"{name:34}{fixed:13}{median:8.0f}{taken[0]:7.0f}{taken[-1]:7.0f}{median / fixed:7.2f}"
            f"{held[0] * 100:9.1f}%{held[1] * 100:7.1f}%"
        )


if __name__ == "__main__":
    main()
