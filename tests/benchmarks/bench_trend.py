"""How often ``harness trend`` sees a change where there is none, and how soon it sees a step.

Measured: per 1000 series without a change, those in which one is reported (``A/A``), and of series whose level rises by 25 %
at one run, the number of runs after which it is first reported within four runs of its place (median; ``-`` where half of
the series never show it within 25).

How: a series is the total p50 of nightly runs of 20 lognormal jobs (sigma 0.3), polled by the harness's schedule, as in
``bench_compare``. The nights drift together: each night's drift is 0.7 of the night's before, with a deviation of 5 % or
10 %. Series have 20, 40 or 60 runs; a step is looked for after every further run, in all runs so far, at most the last 60.
Beside it on the same series: the same statistic with single runs shuffled, which is what a permutation test without blocks
does, and ``jump``: the mean of the last three runs 10 % over that of the five before, anywhere in the series.

Decides: the length of blocks and the level of ``harness.compare.changepoints``.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from harness.compare import changepoints
from harness.compare.digest import latency
from harness.compare.numbers import PRIMARY
from harness.compare.trend import trends
from harness.schedule import Schedule
from tests.compare import histories

TOLERANCE, STEP, AFTER, NEAR, WINDOW = 0.10, 1.25, 25, 4, 60
MEMORY, JOBS = 0.7, 20


@dataclass(frozen=True, slots=True)
class Scenario:
    """How many runs there are, and how much a night drifts."""

    runs: int
    drift: float


def values(scenario: Scenario, seed: int, step: int | None = None) -> list[float]:
    """The total p50 of each run, in seconds; from run ``step`` on, of a slower provider."""
    rng = random.Random(seed)
    drift, found = rng.gauss(0, scenario.drift), []
    for number in range(scenario.runs + (AFTER if step is not None else 0)):
        slower = math.log(STEP) if step is not None and number >= step else 0.0
        jobs = histories.Model().jobs(rng, JOBS, drift + slower)
        midpoints = sorted(sample.midpoint for sample in histories.samples(jobs, Schedule(), rng)["total"])
        found.append(latency(midpoints, 0.5).value)
        drift = MEMORY * drift + rng.gauss(0, scenario.drift) * math.sqrt(1 - MEMORY**2)
    return found


Finder = Callable[[Sequence[float]], list[int]]


def blocks(series: Sequence[float]) -> list[int]:
    """The changes that the harness finds, by the function that every trend goes through."""
    return [change.at for change in changepoints.changes(list(map(math.log, series)), math.log1p(TOLERANCE))]


def singles(series: Sequence[float]) -> list[int]:
    """The likeliest change, with single runs shuffled."""
    logs = np.log(np.asarray(series))
    rng = np.random.default_rng(0)
    shuffled = np.stack([rng.permutation(logs) for _ in range(299)])
    marked = changepoints._marked(logs[np.newaxis])[0]
    rare = (1 + int((changepoints._marked(shuffled).max(axis=1) >= marked.max()).sum())) / 300
    at = changepoints.SIDE + int(marked.argmax())
    far = abs(float(logs[at:].mean() - logs[:at].mean())) >= math.log1p(TOLERANCE)
    return [at] if rare <= changepoints.LEVEL and far else []


def jump(series: Sequence[float]) -> list[int]:
    """Wherever three runs are a tenth slower than the five before."""
    means = [
        (statistics.fmean(series[i - 5 : i]), statistics.fmean(series[i : i + 3])) for i in range(5, len(series) - 2)
    ]
    return [place for place, (before, after) in enumerate(means, 5) if after > before * (1 + TOLERANCE)]


FINDERS: dict[str, Finder] = {"harness": blocks, "single runs": singles, "jump": jump}


def alarms_of(job: tuple[Scenario, int]) -> Counter[str]:
    """Which finders see a change in a series without one."""
    series = values(*job)
    return Counter({name: int(bool(find(series))) for name, find in FINDERS.items()})


def seen_after(job: tuple[Scenario, int]) -> dict[str, int]:
    """After how many runs each finder first sees the step."""
    scenario, seed = job
    series = values(scenario, seed, scenario.runs)
    return {name: _first(find, series, scenario.runs) for name, find in FINDERS.items()}


def _first(find: Finder, series: Sequence[float], step: int) -> int:
    for after in range(1, AFTER + 1):
        start = max(0, step + after - WINDOW)
        if any(abs(start + at - step) <= NEAR for at in find(series[start : step + after])):
            return after
    return AFTER + 1


def by_trend(scenario: Scenario, seed: int) -> bool:
    """Whether a trend of digests finds the same changes as the finder of a list."""
    series = values(scenario, seed, scenario.runs)
    rng = random.Random(0)
    model = histories.digest(0, histories.samples(histories.Model().jobs(rng, 5), Schedule(), rng))
    runs = [
        replace(histories.renamed(model, number), figures={PRIMARY: replace(model.figures[PRIMARY], value=value)})
        for number, value in enumerate(series)
    ]
    (found,) = trends(runs, PRIMARY, TOLERANCE)
    return [change.at for change in found.changes] == blocks(series)


def main() -> None:
    """Draw, search, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--series", type=int, default=400)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="a few series of one kind")
    options = parser.parse_args()
    scenarios = [Scenario(runs, drift) for drift in (0.05, 0.1) for runs in (20, 40, 60)]
    number, steps = (6, 2) if options.quick else (options.series, options.steps)
    scenarios = scenarios[:1] if options.quick else scenarios
    print(f"{number} series without a change, {steps} with a step of {STEP - 1:.0%}; autocorrelation {MEMORY}")
    print(f"{'':28}" + "".join(f"{name:>24}" for name in FINDERS))
    print(f"{'runs, drift':28}" + "".join(f"{'A/A':>12}{'found after':>12}" for _ in FINDERS))
    print("-" * (28 + 24 * len(FINDERS)))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for scenario in scenarios:
            found = pool.map(alarms_of, [(scenario, seed) for seed in range(number)], chunksize=8)
            alarms = sum(found, Counter[str]())
            when: dict[str, list[int]] = {name: [] for name in FINDERS}
            for after in pool.map(seen_after, [(scenario, seed) for seed in range(steps)], chunksize=4):
                for name, runs in after.items():
                    when[name].append(runs)
            cells = [
                f"{alarms[name] * 1000 / number:12.0f}{_shown(statistics.median(when[name])):>12}" for name in FINDERS
            ]
            print(f"{f'{scenario.runs}, {scenario.drift:.0%}':28}{''.join(cells)}")
    same = sum(by_trend(scenarios[0], seed) for seed in range(min(10, number)))
    print(f"series that harness trend judges alike: {same} of {min(10, number)}")


def _shown(median: float) -> str:
    return f"{median:g}" if median <= AFTER else "-"


if __name__ == "__main__":
    main()
