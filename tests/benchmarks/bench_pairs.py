"""How often ``harness versus`` decides between two equal providers, however often it is asked, and how soon between unequal.

Measured: of series of pairs that are looked at after every pair, up to ``PAIRS``: how many per 1000 are ever decided when
neither target is faster (A/A), and the median and 90th percentile of the pair with which it is decided when one takes 1.5,
1.25 or 1.1 times as long; the coverage of the interval for the ratio, looked at when it is decided.

How: both targets answer the same numbered request in one run that drifts by 10 %: lognormal jobs (sigma 0.3), polled by the
harness's schedule, as in ``bench_compare``; five pairs to a run. Beside it on the same pairs: a paired t test and a Wilcoxon
test, each looked at after every pair from the fifth on, which is what stopping when p < 0.05 does; and measuring the second
target at another time of day instead of pairing, 30 jobs each, with a Mann-Whitney test.

Decides: the stakes of ``harness.compare.pairs``.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from scipy import stats

from harness.compare.pairs import ALPHA, evidences, paired
from harness.schedule import Schedule
from tests.compare import histories

PAIRS, TO_A_RUN, DRIFT = 200, 5, 0.10


@dataclass(frozen=True, slots=True)
class Series:
    """When each rule first decides, None for never, and whether the interval held the truth."""

    harness: int | None
    t_test: int | None
    wilcoxon: int | None
    unpaired: bool
    covered: bool


def differences(ratio: float, seed: int, pairs: int = PAIRS) -> list[float]:
    """The differences of logarithms of some pairs."""
    rng, found = random.Random(seed), list[float]()
    while len(found) < pairs:
        drift = rng.gauss(0, DRIFT)
        mine, its = (_midpoints(rng, TO_A_RUN, drift + slower) for slower in (math.log(ratio), 0.0))
        found += [math.log(a / b) for a, b in zip(mine, its, strict=True)]
    return found[:pairs]


def _midpoints(rng: random.Random, jobs: int, drift: float) -> list[float]:
    some = histories.Model().jobs(rng, jobs, drift)
    return [one.midpoint for one in histories.samples(some, Schedule(), rng)["total"]]


def judged(job: tuple[float, int]) -> Series:
    """One series of pairs."""
    ratio, seed = job
    found = differences(ratio, seed, PAIRS if ratio == 1 else 120)
    decided = next((n for n, e in enumerate(evidences(found), 1) if e >= 1 / ALPHA), None)
    seen = paired(found[: decided or 40], "a/a", "b/b")
    covered = (seen.low is None or seen.low <= ratio) and (seen.high is None or seen.high >= ratio)
    looks: dict[str, int | None] = {"t": None, "w": None}
    for number in range(5, len(found) + 1):
        some = found[:number]
        looks["t"] = looks["t"] or (number if stats.ttest_1samp(some, 0.0).pvalue < 0.05 else None)
        looks["w"] = looks["w"] or (number if _wilcoxon(some) < 0.05 else None)
        if all(looks.values()):
            break
    rng = random.Random(seed + 10**6)
    mine, its = (_midpoints(rng, 30, rng.gauss(0, DRIFT) + slower) for slower in (math.log(ratio), 0.0))
    return Series(decided, looks["t"], looks["w"], bool(stats.mannwhitneyu(mine, its).pvalue < 0.05), covered)


def _wilcoxon(some: Sequence[float]) -> float:
    """Two-sided, by the normal approximation, which is fast enough to be looked at after every pair."""
    order = sorted(range(len(some)), key=lambda place: abs(some[place]))
    total = sum((rank if some[place] > 0 else -rank) for rank, place in enumerate(order, 1))
    n = len(some)
    return float(2 * stats.norm.sf(abs(total) / math.sqrt(n * (n + 1) * (2 * n + 1) / 6)))


def main() -> None:
    """Draw pairs, look, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="a few series")
    options = parser.parse_args()
    number = 4 if options.quick else options.series
    jobs: list[tuple[float, int]] = [(1.0, seed) for seed in range(number)]
    jobs += [(ratio, seed) for ratio in (1.5, 1.25, 1.1) for seed in range(max(2, number // 4))]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        made = list(zip(jobs, pool.map(judged, jobs, chunksize=4), strict=True))
    print(
        f"{number} series of {PAIRS} equal pairs, {max(2, number // 4)} of each unequal kind, looked at after every pair"
    )
    print(f"{'':34}{'decided':>9}{'median':>9}{'p90':>7}{'t test':>9}{'Wilcoxon':>10}{'unpaired':>10}{'covered':>9}")
    print("-" * 97)
    for ratio in (1.0, 1.5, 1.25, 1.1):
        found = [series for (of, _), series in made if of == ratio]
        print(_row("equal, per 1000" if ratio == 1 else f"x{ratio:g}, per 1000", found))


def _row(name: str, found: Sequence[Series]) -> str:
    def share(hits: Sequence[Any]) -> str:
        return f"{sum(map(bool, hits)) * 1000 / len(found):.0f}"

    stops = sorted(one.harness or 10**6 for one in found)
    shown = [f"{stop:g}" if stop < 10**6 else "-" for stop in (statistics.median(stops), stops[int(0.9 * len(stops))])]
    tests = (share([one.t_test for one in found]), share([one.wilcoxon for one in found]))
    unpaired, covered = share([one.unpaired for one in found]), share([one.covered for one in found])
    decided = share([one.harness for one in found])
    return f"{name:34}{decided:>9}{shown[0]:>9}{shown[1]:>7}{tests[0]:>9}{tests[1]:>10}{unpaired:>10}{covered:>9}"


if __name__ == "__main__":
    main()
