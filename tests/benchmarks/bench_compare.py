"""How often ``harness compare`` cries wolf, and how surely it sees a change, beside the rules of other tools.

Measured, per 1000 comparisons of 8 baseline runs with 3 candidate runs of the same provider (A/A) or of one whose jobs
take half as long again, each run of ``n`` jobs (10-30: drawn for each run):

* ``ours``: total p50 is ``regressed``; ``confirmed``: and again in a fresh batch of 3 runs; ``improved``: the other way
  round; ``secondary``: any other number is ``regressed``.
* On the same durations: ``asv``: a Mann-Whitney test of all jobs with p < 0.002 and medians 10 % apart; ``criterion``: a
  t test of the last baseline run and the first candidate with p < 0.05 and means more than 2 % apart (its bootstrap of t
  agrees with the t distribution at these sizes); ``pyperf``: a t test of all jobs with p < 0.05; ``p95``: p95 of the first
  candidate 10 % over that of the last baseline run.

How: runs are drawn from a model (``tests/compare/histories.py``): lognormal jobs (sigma 0.3), polled by the harness's
schedule, so that durations are intervals. Drift moves a run as a whole, by 10 % (one standard deviation); with
autocorrelation, each day's drift is 0.7 of the day's before and the fresh batch comes on the days after. Cold starts are
5 % of the jobs, four times as long. ``files`` comparisons take the long way, from history files to the verdict; the others
begin at what is read from them. The test of the digest, and the last line here, hold both equal. The poll interval rows
compare runs polled every second with candidates polled every two, the difference being allowed with ``--across``; the
naive rule there is a Mann-Whitney test of the durations until the first poll that says done.

Decides: tolerance, level and the least number of runs of ``harness.compare``.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from scipy import stats

from harness.compare.digest import Digest, digests
from harness.compare.numbers import PRIMARY
from harness.compare.verdicts import Comparison, compare, confirmed
from harness.schedule import Schedule
from tests.compare import histories

BASELINE, CANDIDATES = 8, 3
TODAY = date(2026, 12, 1)
RULES = ("ours", "confirmed", "improved", "secondary", "asv", "criterion", "pyperf", "p95")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is compared.

    Runs have ``n`` jobs, or a number drawn from ``n`` to ``most``. ``drift`` is the deviation of a run, ``memory`` its autocorrelation, ``change`` the candidates' slowness, ``polls``
    the poll intervals of baseline and candidates where they are fixed.
    """

    name: str
    n: int
    drift: float = 0.0
    memory: float = 0.0
    cold: float = 0.0
    change: float = 1.0
    polls: tuple[float, float] | None = None
    most: int | None = None


@dataclass(frozen=True)
class Drawn:
    """A run: its digest, and the durations that other rules see."""

    digest: Digest
    durations: Sequence[float]
    naive: Sequence[float]


def drifts(rng: random.Random, scenario: Scenario, runs: int) -> Iterator[float]:
    """How much slower each run is as a whole, as a logarithm, from one day to the next."""
    value = rng.gauss(0, scenario.drift)
    for _ in range(runs):
        yield value
        fresh = rng.gauss(0, scenario.drift) * math.sqrt(1 - scenario.memory**2)
        value = scenario.memory * value + fresh


def drawn(scenario: Scenario, seed: int) -> list[Drawn]:
    """The runs of one comparison: the baseline, the candidates, the fresh batch."""
    rng = random.Random(seed)
    found = []
    for number, drift in enumerate(drifts(rng, scenario, BASELINE + 2 * CANDIDATES)):
        new = number >= BASELINE
        schedule = Schedule(scenario.polls[new] if scenario.polls else None)
        model = histories.Model(cold=scenario.cold)
        jobs = model.jobs(
            rng,
            rng.randint(scenario.n, scenario.most or scenario.n),
            drift + (math.log(scenario.change) if new else 0.0),
        )
        state = rng.getstate()
        measured = histories.samples(jobs, schedule, rng)
        naive: Sequence[float] = ()
        if scenario.polls:
            rng.setstate(state)
            naive = histories.naive(jobs, schedule, rng)
        digest = histories.digest(number, measured, schedule=schedule)
        found.append(Drawn(digest, [one.midpoint for one in measured["total"]], naive))
    return found


def judged(scenario: Scenario, seed: int) -> Counter[str]:
    """What each rule says of one comparison."""
    runs = drawn(scenario, seed)
    older, newer, fresh = runs[:BASELINE], runs[BASELINE : BASELINE + CANDIDATES], runs[BASELINE + CANDIDATES :]
    first = said([one.digest for one in older], [one.digest for one in newer])
    words = {metric.name: metric.word for metric in first.targets[0].metrics}
    found = Counter[str](comparisons=1)
    found["ours"] = words[PRIMARY] == "regressed"
    found["improved"] = words[PRIMARY] == "improved"
    found["secondary"] = any(word == "regressed" for name, word in words.items() if name != PRIMARY)
    if found["ours"]:
        again = said([one.digest for one in older], [one.digest for one in fresh])
        left = confirmed(first, again, first)
        found["confirmed"] = left.targets[0].metrics[0].word == "regressed"
    return found + others(scenario, older, newer)


def said(older: Sequence[Digest], newer: Sequence[Digest]) -> Comparison:
    """The verdict of ``harness compare``."""
    return compare(older, newer, across=("schedule",), today=TODAY)


def others(scenario: Scenario, older: Sequence[Drawn], newer: Sequence[Drawn]) -> Counter[str]:
    """The other tools' rules."""
    before, after = [x for one in older for x in one.durations], [x for one in newer for x in one.durations]
    last, first = older[-1].durations, newer[0].durations
    greater = {"alternative": "greater"}
    found = Counter[str]()
    slower = statistics.median(after) > 1.1 * statistics.median(before)
    found["asv"] = bool(slower and stats.mannwhitneyu(after, before).pvalue < 0.002)
    t = stats.ttest_ind(first, last, equal_var=False)
    found["criterion"] = bool(t.pvalue < 0.05 and statistics.fmean(first) > 1.02 * statistics.fmean(last))
    t = stats.ttest_ind(after, before)
    found["pyperf"] = bool(t.pvalue < 0.05 and statistics.fmean(after) > statistics.fmean(before))
    found["p95"] = _p95(first) > 1.1 * _p95(last)
    if scenario.polls:
        naive = [[x for one in some for x in one.naive] for some in (newer, older)]
        found["naive"] = bool(stats.mannwhitneyu(*naive, **greater).pvalue < 0.05)
    return found


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def by_files(scenario: Scenario, seed: int) -> bool:
    """Whether a comparison says the same, to the last digit, when its runs are read from their history files."""
    rng = random.Random(seed)
    place = Path(tempfile.mkdtemp())
    try:
        runs = list[Digest]()
        for number, drift in enumerate(drifts(rng, scenario, BASELINE + CANDIDATES)):
            jobs = histories.Model().jobs(rng, rng.randint(scenario.n, scenario.n), drift)
            runs += digests(histories.write(place, number, jobs, rng))
    finally:
        shutil.rmtree(place)
    short = [one.digest for one in drawn(scenario, seed)][: BASELINE + CANDIDATES]
    both = [said(some[:BASELINE], some[BASELINE:]).targets[0].metrics for some in (runs, short)]
    return both[0] == both[1]


def work(job: tuple[Scenario, range]) -> Counter[str]:
    """Some comparisons of a scenario."""
    scenario, seeds = job
    return sum((judged(scenario, seed) for seed in seeds), Counter[str]())


SCENARIOS = [
    *(
        scenario
        for n, most in ((10, 10), (10, 30), (30, 30))
        for said in [str(n) if n == most else f"{n}-{most}"]
        for scenario in (
            Scenario(f"A/A, n {said}, no drift", n, most=most),
            Scenario(f"A/A, n {said}, 10 % drift", n, 0.1, most=most),
            Scenario(f"A/A, n {said}, 10 % drift, 5 % cold starts", n, 0.1, cold=0.05, most=most),
            Scenario(f"A/A, n {said}, 10 % drift, autocorrelated 0.7", n, 0.1, 0.7, most=most),
            Scenario(f"x1.5, n {said}, 10 % drift", n, 0.1, change=1.5, most=most),
        )
    ),
    Scenario("A/A, n 20, polled at 1 s, then 2 s", 20, 0.0, polls=(1.0, 2.0)),
    Scenario("A/A, n 20, the same with 10 % drift", 20, 0.1, polls=(1.0, 2.0)),
]


def main() -> None:
    """Draw, compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--comparisons", type=int, default=1000)
    parser.add_argument("--files", type=int, default=12, help="comparisons that begin with history files")
    parser.add_argument("--only", default="", help="the scenarios whose names hold this")
    parser.add_argument("--quick", action="store_true", help="a few comparisons of two scenarios, one from files")
    options = parser.parse_args()
    scenarios = (
        [SCENARIOS[1], SCENARIOS[-1]] if options.quick else [one for one in SCENARIOS if options.only in one.name]
    )
    number, files = (4, 1) if options.quick else (options.comparisons, options.files)
    chunks = [range(start, min(start + 50, number)) for start in range(0, number, 50)]
    jobs = [(scenario, seeds) for scenario in scenarios for seeds in chunks]
    found: dict[str, Counter[str]] = {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for (scenario, _), counted in zip(jobs, pool.map(work, jobs), strict=True):
            found[scenario.name] = found.get(scenario.name, Counter()) + counted
        equal = sum(pool.map(by_files, [Scenario("", 20, 0.1)] * files, range(files)))
    names = (*RULES, "naive")
    print(f"per 1000 of {number} comparisons, {BASELINE} baseline and {CANDIDATES} candidate runs")
    print(f"{'':46}" + "".join(f"{name:>11}" for name in names))
    print("-" * (46 + 11 * len(names)))
    for scenario in scenarios:
        shown = [
            f"{found[scenario.name][name] * 1000 / number:11.0f}" if name != "naive" or scenario.polls else f"{'':11}"
            for name in names
        ]
        print(f"{scenario.name:46}{''.join(shown)}")
    print(f"comparisons from history files that say the same: {equal} of {files}")


if __name__ == "__main__":
    main()
