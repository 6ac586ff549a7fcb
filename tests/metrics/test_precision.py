"""When a quantile is known well enough: the plan, the looks, and the end."""

from __future__ import annotations

import random

import pytest

from harness.clock import cpu_seconds
from harness.errors import UsageError
from harness.metrics.intervals import Durations, Sample
from harness.metrics.precision import MOST, Precision, parse


def drawn(n: int, sigma: float = 0.3, seed: int = 0) -> Durations:
    rng = random.Random(seed)
    return Durations([Sample("", value, value) for value in (5 * rng.lognormvariate(0, sigma) for _ in range(n))])


@pytest.mark.parametrize(("text", "name", "within"), [("p95=10%", "p95", 0.1), ("p50=2.5%", "p50", 0.025)])
def test_a_precision_is_read_and_shown(text: str, name: str, within: float) -> None:
    """As it is typed."""
    assert (parse(text), str(parse(text))) == (Precision(name, within), text)


@pytest.mark.parametrize(
    "text", ["", "p95", "p95=10", "p95=0%", "p95=100%", "p90=10%", "95=10%", "p95=-1%", "p95=1e1%"]
)
def test_any_other_text_is_refused(text: str) -> None:
    """With the form that it should have."""
    with pytest.raises(UsageError, match="not of the form p95=10%"):
        parse(text)


def test_a_pilot_gives_the_interval_both_bounds() -> None:
    """Fewer would leave the p95 without an upper one."""
    for text in ("p50=10%", "p95=10%", "p99=10%"):
        precision = parse(text)
        assert precision.further(drawn(0)) == precision.pilot
        assert None not in (precision.bounds(drawn(precision.pilot)).low, precision.bounds(drawn(precision.pilot)).high)


def test_what_is_assumed_is_close_to_what_a_known_spread_takes() -> None:
    """The p95 of σ 0.3 to 10 %: some 215 for a single look, an eighth more for several; more for a wider spread."""
    assert 215 <= parse("p95=10%").assumed <= 1.2 * 215
    assert parse("p95=10%").needed(0.6) > 3 * parse("p95=10%").assumed
    assert parse("p95=5%").assumed > 3 * parse("p95=10%").assumed


@pytest.mark.parametrize(
    ("text", "sigma", "n"), [("p50=1%", 0.5, 17603), ("p95=1%", 0.5, 50179), ("p99=1%", 0.5, 156_698)]
)
def test_how_many_it_takes_is_known_at_once(text: str, sigma: float, n: int) -> None:
    """The polls of other targets wait meanwhile: a few milliseconds, where the whole sums took seconds."""
    before = cpu_seconds()
    assert parse(text).needed(sigma) == n
    assert cpu_seconds() - before < 0.2


def test_it_stops_when_it_is_reached_and_not_before() -> None:
    """By looks: the pilot, what its spread asks for, and more as long as it takes; a narrow spread ends with the pilot."""
    precision, sent, looks = parse("p95=10%"), 0, []
    while further := precision.further(drawn(sent)):
        sent += further
        looks.append(sent)
    assert looks[0] == precision.pilot
    assert precision.reached(drawn(sent))
    assert not precision.reached(drawn(looks[-2]))
    assert sent < MOST * precision.assumed
    assert precision.further(drawn(precision.pilot, sigma=0.03)) == 0


def test_jobs_that_never_came_keep_it_from_being_reached() -> None:
    """A p95 among jobs without an end is infinite; where that is certain nothing more is sent to find it."""
    samples = [*drawn(100).samples, *[Sample("", 60.0, float("inf"))] * 10]
    assert not parse("p95=10%").reached(Durations(samples))
    assert parse("p95=10%").further(Durations(samples)) > 0
    assert parse("p95=10%").further(Durations([*samples, *samples[-10:]])) == 0
