"""Jobs within an objective: what is certain, what is open, and how sure the share is."""

from __future__ import annotations

import math

import pytest

from harness.metrics.goodput import bounds, goodput
from harness.metrics.intervals import Sample


def test_a_job_counts_when_its_whole_interval_does() -> None:
    """What straddles the objective is open, what never came is late."""
    samples = [Sample("", 1, 2), Sample("", 4, 5), Sample("", 4, 6), Sample("", 6, 7), Sample("", 1, math.inf)]
    found = goodput(samples, 5.0, 10.0)
    assert found is not None
    assert (found.n, found.within, found.undecided, found.per_second) == (5, 2, 1, 0.2)
    assert (found.low, found.high) == (bounds(2, 5)[0], bounds(3, 5)[1])
    assert goodput([], 5.0, 10.0) is None


@pytest.mark.parametrize(
    ("successes", "n", "expected"),
    [(0, 10, (0.0, 0.3085)), (10, 10, (0.6915, 1.0)), (5, 10, (0.1871, 0.8129)), (95, 100, (0.8872, 0.9836))],
)
def test_the_share_has_clopper_and_pearsons_bounds(successes: int, n: int, expected: tuple[float, float]) -> None:
    """As their tables have them."""
    assert bounds(successes, n) == pytest.approx(expected, abs=1e-4)
