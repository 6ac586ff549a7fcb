"""Where a series of runs has changed its level, when neighbouring runs resemble each other anyway.

Rules
-----
* A change is where the means before and after are furthest apart for the number of runs on either side, at least
  ``SIDE``; it is real when shuffling the series seldom gives anything as far apart, and when it exceeds the tolerance.
* What is shuffled are blocks of neighbouring runs, never single runs: a slow week is no change, and single runs would make
  it look like one. Blocks are ``BLOCK`` runs, longer in a longer series; each shuffle cuts them elsewhere, so that the first and
  the last may be shorter.
* After a change is found, both sides are searched again. A level that rises and returns may hide: seen from either side,
  the means are not far apart. Fewer than ``FEWEST_RUNS`` runs are not searched: their blocks
  have too few orders to be rare.
* Equal series give equal changes: the shuffles are drawn from a fixed seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from harness.compare.statistics import mean

SIDE = 4
BLOCK = 4
FEWEST_RUNS = 20
LEVEL = 0.02
SHUFFLES = 999


@dataclass(frozen=True, slots=True)
class Change:
    """The level changes with run ``at`` (from 0): by ``effect`` on the series' own scale, and how rare that is by chance."""

    at: int
    effect: float
    p: float


def changes(series: Sequence[float], tolerance: float) -> tuple[Change, ...]:
    """The changes of a series of finite numbers, in order."""
    found = _split(series, 0, tolerance)
    means = [mean for _, _, mean in levels(series, [at for at, _ in found])]
    return tuple(Change(at, after - before, p) for (at, p), (before, after) in zip(found, pairwise(means), strict=True))


def levels(series: Sequence[float], changed: Sequence[int]) -> Iterator[tuple[int, int, float]]:
    """The stretches between changes, told by the runs they begin with: first run, run after the last, mean."""
    for begin, end in pairwise([0, *changed, len(series)]):
        if end > begin:
            yield begin, end, mean(series[begin:end])


def _split(series: Sequence[float], first: int, tolerance: float) -> list[tuple[int, float]]:
    """The changes of a part of a series that begins with run ``first``: where, and how rare."""
    if len(series) < FEWEST_RUNS:
        return []
    at, p = _likeliest(series)
    if p > LEVEL or abs(mean(series[at:]) - mean(series[:at])) < tolerance:
        return []
    return [*_split(series[:at], first, tolerance), (first + at, p), *_split(series[at:], first + at, tolerance)]


def _likeliest(series: Sequence[float]) -> tuple[int, float]:
    """The likeliest place of a change, and the share of shuffled series with one as marked."""
    import numpy as np

    values = np.asarray(series)
    shuffled = values[_orders(len(series))]
    marked = _marked(values[np.newaxis])[0]
    most = _marked(shuffled).max(axis=1)
    # Equal orders give equal sums but for rounding.
    rare = (1 + int((most >= marked.max() * (1 - 1e-9)).sum())) / (SHUFFLES + 1)
    return SIDE + int(marked.argmax()), rare


@lru_cache(maxsize=64)
def _orders(n: int) -> Any:
    """``SHUFFLES`` orders of ``n`` runs in which blocks of neighbours stay together."""
    import numpy as np

    rng, block = np.random.default_rng(n), BLOCK - 1 + n // 20
    orders = []
    for _ in range(SHUFFLES):
        first = int(rng.integers(1, block + 1))
        blocks = np.split(np.arange(n), range(first, n, block))
        orders.append(np.concatenate([blocks[place] for place in rng.permutation(len(blocks))]))
    return np.stack(orders)


def _marked(rows: Any) -> Any:
    """How marked a change is at each place of each row, from ``SIDE`` runs after its begin to ``SIDE`` before its end."""
    import numpy as np

    n = rows.shape[1]
    places = np.arange(SIDE, n - SIDE + 1)
    sums = np.cumsum(rows - rows.mean(axis=1, keepdims=True), axis=1)[:, SIDE - 1 : n - SIDE]
    return np.abs(sums) / np.sqrt(places * (n - places) / n)
