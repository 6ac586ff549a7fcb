"""Do the 95 % intervals hold the truth as often as they say, and what do the polls cost in precision? In virtual time.

Measured: over thousands of runs, in how many of them the interval of p50 (20 and 50 jobs) and of p95 (80 and 214 jobs)
holds the true quantile: for the durations as they were, where the exact binomial coverage of the ranks is known, and as
the polls show them; and the root mean square error of p50 and p95, polled over unpolled.

How: ``virtual`` runs the engine with a learnt schedule, each run learning for itself, against a lognormal provider
(σ 0.3). One run of 214 jobs serves all four sizes by its first jobs. ``for phases`` polls for queue and inference too.

How to read it: the coverage of unpolled samples differs from the binomial's by the chance of so many runs only (half a
point); that of polled ones also by what the polls add to each duration.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections import defaultdict
from typing import NamedTuple

from harness.metrics.quantiles import ranks
from tests.benchmarks.virtual import LEARNT, Seen, bench, lognormal

SIGMA, INFERENCE = 0.3, 10.0
SIZES = ((20, 0.5), (50, 0.5), (80, 0.95), (214, 0.95))
TRUE = {q: INFERENCE * math.exp(SIGMA * statistics.NormalDist().inv_cdf(q)) for q in (0.5, 0.95)}
HEAD = f"{'':28}{'binomial':>10}{'unpolled':>10}{'polled':>10}{'error, unpolled':>17}{'polled':>9}{'ratio':>8}"


class Held(NamedTuple):
    """Whether an interval held the truth, and how far its quantile was off, as a share."""

    held: bool
    error: float


def held(seen: Seen, phase: str, number: int, q: float, *, true: bool) -> Held:
    """One run's interval of a quantile of the first jobs."""
    found = seen.durations(phase, number, true=true).quantile(q)
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    return Held(found.low <= TRUE[q] <= found.high, found.value / TRUE[q] - 1)


def binomial(n: int, q: float) -> float:
    """The exact coverage of the interval that ``n`` samples give a quantile."""
    low, high = ranks(n, q)
    return sum(math.comb(n, k) * q**k * (1 - q) ** (n - k) for k in range(low, high))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few runs: shows that it runs")
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--for", dest="of", choices=tuple(LEARNT), default="phases")
    given = parser.parse_args()
    runs = 1 if given.quick else given.runs
    # A queue that is short and steady beside the inference, whose quantiles are known in closed form.
    draw, phase = lognormal(2.0, INFERENCE, SIGMA), "inference"
    if given.of == "total":
        draw, phase = lognormal(0.0, INFERENCE, SIGMA), "total"
    found: dict[tuple[int, float, bool], list[Held]] = defaultdict(list)
    polls: list[float] = []
    for seed in range(runs):
        seen = bench(draw, SIZES[-1][0], schedule=LEARNT[given.of], seed=seed)
        polls.append(seen.polls_per_job)
        for n, q in SIZES:
            for true in (True, False):
                found[n, q, true].append(held(seen, phase, n, q, true=true))
    print(
        f"{runs} runs, {phase} polled for {given.of}, {statistics.fmean(polls):.2f} polls a job, the first ones included"
    )
    print(HEAD, "-" * len(HEAD), sep="\n")
    for n, q in SIZES:
        bare, polled = found[n, q, True], found[n, q, False]
        rms = [math.sqrt(statistics.fmean(one.error**2 for one in each)) for each in (bare, polled)]
        shares = [binomial(n, q), *(statistics.fmean(one.held for one in each) for each in (bare, polled))]
        print(
            f"{f'p{q * 100:g} of {n} jobs':28}"
            + "".join(f"{share * 100:9.1f}%" for share in shares)
            + f"{rms[0] * 100:16.1f}%{rms[1] * 100:8.1f}%{rms[1] / rms[0]:8.2f}"
        )


if __name__ == "__main__":
    main()
