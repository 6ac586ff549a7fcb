"""Changes of level in series whose runs resemble their neighbours, and how they are shown."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from html import unescape
from xml.etree import ElementTree as ET

import pytest

from harness.compare.changepoints import FEWEST_RUNS, Change, changes, levels
from harness.compare.digest import Digest, Figure
from harness.compare.numbers import PRIMARY
from harness.compare.trend import as_json, lines, page, trends
from tests.compare import histories

TOLERANCE = math.log(1.1)


def series(
    steps: dict[int, float], n: int = 40, memory: float = 0.7, drift: float = 0.05, seed: int = 1
) -> list[float]:
    """Logarithms of seconds around 5, drifting, times a factor from each step on."""
    rng, value, level, found = random.Random(seed), 0.0, math.log(5.0), []
    for number in range(n):
        level += math.log(steps.get(number, 1.0))
        value = memory * value + rng.gauss(0, drift * math.sqrt(1 - memory**2))
        found.append(level + value + rng.gauss(0, 0.04))
    return found


def runs(logs: list[float]) -> list[Digest]:
    empty = histories.digest(0, {"total": [], "queue": [], "inference": []})
    return [
        replace(histories.renamed(empty, number), figures={PRIMARY: Figure(math.exp(log), 0.004, 20)})
        for number, log in enumerate(logs)
    ]


def test_a_step_is_found_at_its_place() -> None:
    """With its size; a second one too, once the first has been taken out."""
    (found,) = changes(series({24: 1.35}), TOLERANCE)
    assert abs(found.at - 24) <= 1
    assert found.effect == pytest.approx(math.log(1.35), abs=0.1)
    twice = changes(series({25: 1.5, 55: 1.4}, n=80), TOLERANCE)
    assert [round(one.at / 5) * 5 for one in twice] == [25, 55]


def test_runs_that_differ_are_in_the_series_if_that_is_allowed() -> None:
    """A new version of the harness does not cut a series in two for who says so; the output says so too."""
    some = runs([math.log(5.0)] * 6)
    some[4:] = [replace(one, key=replace(one.key, version="9")) for one in some[4:]]
    (apart,), (whole,) = trends(some, PRIMARY, 0.1), trends(some, PRIMARY, 0.1, ("version",))
    assert dict(apart.left_out) == {"another harness version than the newest run's (--across version allows it)": 4}
    assert (len(apart.values), len(whole.values)) == (2, 6)
    assert "  although these may differ: version" in lines([whole])
    assert "Although these may differ: version" in page([whole], PRIMARY)
    assert json.loads(as_json([whole]))["trends"][0]["across"] == ["version"]


def test_series_that_only_drift_have_no_change() -> None:
    """None of twenty, each with neighbours that resemble one another."""
    assert [changes(series({}, seed=seed), TOLERANCE) for seed in range(20)] == [()] * 20


def test_a_short_series_and_a_small_step_are_left_alone() -> None:
    """Below twenty runs nothing is looked for; a change within the tolerance is none."""
    assert changes(series({10: 3.0}, n=FEWEST_RUNS - 1), TOLERANCE) == ()
    assert changes(series({20: 1.08}, drift=0.001), TOLERANCE) == ()
    assert changes([1.0] * 30, TOLERANCE) == ()


def test_equal_series_give_equal_changes() -> None:
    """Whatever was shuffled before."""
    first = changes(series({24: 1.35}), TOLERANCE)
    changes(series({}, seed=5), TOLERANCE)
    assert changes(series({24: 1.35}), TOLERANCE) == first


def test_levels_are_the_means_between_changes() -> None:
    """Every run lies in exactly one stretch."""
    assert list(levels([1.0, 1.0, 3.0, 5.0], [2])) == [(0, 2, 1.0), (2, 4, 4.0)]


def test_only_what_can_be_compared_is_in_a_trend() -> None:
    """Simulated runs, another workload, a bad measurement and a missing number are left out and counted."""
    some = runs(series({}, n=24))
    some[1] = replace(some[1], key=replace(some[1].key, mode="simulate"))
    some[2] = replace(some[2], key=replace(some[2].key, workload="another"))
    some[3] = replace(some[3], unfit="its measurement is not valid: late")
    some[4] = replace(some[4], figures={})
    (found,) = trends(some, PRIMARY, 0.1)
    assert (len(found.values), sum(found.left_out.values())) == (20, 4)
    assert any("workload" in why for why in found.left_out)
    assert "run-1" not in found.runs


def test_a_trend_is_told_in_lines_json_and_a_page() -> None:
    """The same levels in each; the page loads nothing and draws twice, for a desk and for a phone."""
    found = trends(runs(series({24: 1.5})), PRIMARY, 0.1)
    text, value = "\n".join(lines(found)), json.loads(as_json(found))
    assert "24 runs at 5." in text
    assert [change["run"] for change in value["trends"][0]["changes"]] == ["run-24"]
    html = unescape(page(found, PRIMARY))
    assert html.count("<svg") == 2
    assert "default-src 'none'" in html
    assert "<script" not in html
    assert unescape(page(found, PRIMARY)) == html
    for part in html.split("<svg")[1:]:
        ET.fromstring(f"<svg{part.partition('</svg>')[0]}</svg>")


def test_an_empty_trend_is_a_page_too() -> None:
    """Nothing to draw is said, not drawn."""
    some = [replace(one, key=replace(one.key, mode="replay")) for one in runs(series({}, n=3))]
    (found,) = trends(some, PRIMARY, 0.1)
    assert found.values == ()
    assert "too few runs" in "\n".join(lines([found]))
    assert "Too few runs" in page([found], PRIMARY)


def test_a_change_says_how_rare_it_is() -> None:
    """As a share of shuffles, never zero."""
    (found,) = changes(series({24: 2.0}), TOLERANCE)
    assert isinstance(found, Change)
    assert 0 < found.p <= 0.02
