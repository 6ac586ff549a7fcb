"""Which of two targets is faster, by pairs of one run, looked at after every pair."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from harness.compare.measure import Pace, until_decided
from harness.compare.pairs import ALPHA, as_json, centre, compared, differences, evidences, lines, paired, sides
from harness.history import MemoryJournal
from harness.report import document
from harness.report.results import RunResult, Sample
from harness.simulator import Variation
from harness.targets import Request
from tests.calls import FAL, SPECS, WAVESPEED, simulated

A, B = FAL.target, WAVESPEED.target


@cache
def measured(mode: str = "live", requests: int = 4, slower: int = 1) -> RunResult:
    """A bench of two targets as a provider of this mode would have left it; the second takes ``slower`` times as long."""

    def order(_: Any, understood: Any) -> Any:
        return replace(understood, inference_ns=understood.inference_ns * slower)

    asked = Request("simulate", "bench", requests=requests, rejects=False)
    run = simulated(asked, FAL, WAVESPEED, variations={B: (Variation("slower", order=order),)})
    other: dict[str, dict[str, Any]] = {"header": {"mode": mode}, "footer": {"simulated": mode == "simulate"}}
    journal = MemoryJournal()
    journal.rows, journal.blobs = [{**row, **other.get(row["type"], {})} for row in run.journal.rows], run.journal.blobs
    return document.build(journal.history(), SPECS)


def timed(pairs: Sequence[tuple[float, float]], number: int = 0) -> RunResult:
    """A run in which the n-th request took so long at A and at B; its plan has four."""
    found = measured()
    targets = []
    for place, target in enumerate(found.targets):
        cases = [case.id for case in target.plan.cases]
        samples = [Sample(name, pair[place], pair[place]) for name, pair in zip(cases, pairs, strict=False)]
        targets.append(replace(target, samples={"total": tuple(samples)}))
    run = {
        **found.document["run"],
        "started_at": f"2026-11-{number + 1:02}T00:00:00Z",
        "audit": {"valid": True, "reasons": []},
    }
    return RunResult({**found.document, "run": run}, tuple(targets), (), "bench")


def test_pairs_are_the_same_request_in_the_same_run() -> None:
    """By what is asked for, in the order of the plan; a pair of which neither ended says nothing."""
    never = math.inf
    runs = [timed([(2.0, 1.0), (3.0, 3.0), (never, 4.0), (never, never)])]
    assert list(differences(runs, A, B)) == [math.log(2), 0.0, never]
    assert list(differences([measured()], A, B)) == pytest.approx(
        [
            math.log(mine.midpoint / its.midpoint)
            for mine, its in zip(*(t.samples["total"] for t in _by_case(measured())), strict=True)
        ]
    )


def _by_case(result: RunResult) -> list[Any]:
    return [
        replace(one, samples={"total": tuple(sorted(one.samples["total"], key=lambda sample: sample.case_id))})
        for one in result.targets
    ]


def test_evidence_is_a_martingale_of_signs() -> None:
    """Over all signs of some sizes, the evidence after each pair is one on average: equal targets gain nothing."""
    sizes = [0.3, 0.1, 0.7, 0.2, 0.2, 0.9]
    total = [0.0] * len(sizes)
    for code in range(2 ** len(sizes)):
        signed = [size if code >> place & 1 else -size for place, size in enumerate(sizes)]
        total = [old + new for old, new in zip(total, evidences(signed), strict=True)]
    assert [one / 2 ** len(sizes) for one in total] == pytest.approx([1.0] * len(sizes))


def test_equal_targets_are_seldom_told_apart_and_unequal_soon() -> None:
    """Looked at after every pair: at most ALPHA of the equal ones, ever; at half as long again, within thirty pairs."""
    rng = random.Random(4)
    equal = [[rng.gauss(0, 0.42) for _ in range(80)] for _ in range(120)]
    assert sum(max(evidences(one)) >= 1 / ALPHA for one in equal) <= 120 * ALPHA
    found = paired([rng.gauss(math.log(1.5), 0.42) for _ in range(60)], A, B)
    assert found.word == "slower"
    assert found.decided is not None
    assert found.decided <= 30
    assert found.low is not None
    assert found.high is not None
    assert 1 < found.low < 1.5 < found.high
    assert paired([-one for one in [0.4] * 12], A, B).word == "faster"


def test_the_word_is_that_of_the_stakes_that_won() -> None:
    """Of most pairs a little faster and of many twice as slow, slower is what the evidence says; the ratio agrees."""
    told = 0
    for seed in range(40):
        rng = random.Random(seed)
        series = [
            math.log(2) + rng.gauss(0, 0.05) if rng.random() < 0.45 else rng.gauss(-0.02, 0.005) for _ in range(60)
        ]
        found = paired(series, A, B)
        if found.decided is not None:
            slower, faster = list(sides(series[: found.decided]))[-1]
            assert found.word == ("slower" if slower > faster else "faster")
            assert found.ratio is not None
            told += found.word == "slower" and statistics.median(series[: found.decided]) < 0 < math.log(found.ratio)
    assert told > 0


def test_the_ratio_is_the_pseudo_median() -> None:
    """The median of the means of every two, jobs that never ended among them."""
    assert centre([0.0, 1.0, 5.0]) == 1.75
    assert centre([math.inf, -math.inf, 1.0]) == 0.5
    assert centre([math.inf] * 3) == math.inf


def test_few_pairs_decide_nothing() -> None:
    """However far apart; the interval is open where nothing is rejected."""
    found = paired([3.0] * 4, A, B)
    assert (found.word, found.decided, found.low) == ("undecided", None, None)
    assert paired([], A, B).word == "undecided"


def test_jobs_that_never_end_count_as_slower() -> None:
    """By rank: the largest of all."""
    found = paired([math.inf] * 12, A, B)
    assert (found.word, found.ratio) == ("slower", None)


@pytest.mark.parametrize("mode", ["simulate", "replay"])
def test_only_live_runs_say_who_is_faster(mode: str) -> None:
    """Simulated and replayed pairs are not compared; neither are targets that no run measured both of."""
    found = compared([measured(mode)], A, B)
    assert (found.word, found.pairs) == ("not comparable", 0)
    assert "say nothing about how fast" in "".join(lines(found))
    assert compared([measured()], A, "x/y").reason.startswith("no valid run measured both")


def test_a_run_that_measured_badly_is_left_out() -> None:
    """Its pairs are not counted."""
    bad = timed([(9.0, 1.0)] * 4)
    run = {**bad.document["run"], "audit": {"valid": False, "reasons": ["late"]}}
    bad = replace(bad, document={**bad.document, "run": run})
    assert compared([bad, timed([(2.0, 1.0)] * 3)], A, B).pairs == 3


def test_measuring_stops_when_it_is_decided() -> None:
    """Batches of other prompts each, within what is left of the budget, and none after the decision."""
    asked: list[Request] = []

    def sends(request: Request) -> RunResult:
        asked.append(request)
        return timed([(2.0 + 0.1 * n, 1.0) for n in range(request.requests or 0)], len(asked))

    pace = Pace(pairs=40, batch=4, max_cost=Decimal("3.00"), request=Request("live", kind="bench"))
    results = until_decided((FAL, WAVESPEED), (), pace, sends)
    found = compared(results, A, B)
    assert found.word == "slower"
    assert found.decided is not None
    assert found.pairs - found.decided < 4
    assert [request.seed for request in asked] == list(range(len(asked)))
    spent = Decimal(str(measured().document["totals"]["usd_max"]))
    assert [request.max_cost for request in asked] == [Decimal("3.00") - spent * n for n in range(len(asked))]


@pytest.mark.parametrize(("pairs", "cost", "batches"), [(8, "9.00", 2), (40, "0.90", 2)])
def test_measuring_ends_with_its_pairs_or_its_budget(pairs: int, cost: str, batches: int) -> None:
    """Undecided, and said to be."""
    equal = [(1.0, 1.1), (1.1, 1.0)] * 2
    pace = Pace(pairs, 4, Decimal(cost), Request("live", kind="bench"))
    results = until_decided((FAL, WAVESPEED), (), pace, lambda _: timed(equal))
    assert len(results) == batches
    found = compared(results, A, B)
    assert found.word == "undecided"
    assert as_json(found)["verdict"] == "undecided"


def test_a_slower_target_is_found_in_whole_runs() -> None:
    """Through the engine, the record and the report: the second target takes three times as long to infer."""
    found = compared([measured("live", 16, 3)], A, B)
    assert (found.word, found.pairs) == ("faster", 16)
    assert found.ratio is not None
    assert found.ratio < 0.7
