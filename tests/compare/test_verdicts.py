"""Runs in, verdicts out: the rule, what may be compared with what, and when nothing is decided."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import date
from itertools import combinations
from typing import Any

import pytest
from scipy import stats

from harness.compare import power, statistics
from harness.compare.digest import Digest, Figure, share
from harness.compare.names import MEMBERS
from harness.compare.numbers import PRIMARY, Metric
from harness.compare.verdicts import TargetVerdict, compare, confirmed
from tests.compare import histories
from tests.compare.test_drift import BAD, GOOD

TODAY = date(2026, 12, 1)
SPREAD = (-0.09, 0.11, 0.02, -0.05, 0.07, -0.12, 0.04, 0.02, 0.0, -0.03, 0.05)


def run(number: int, seconds: float, *, name: str = PRIMARY, n: int = 30, **more: Any) -> Digest:
    """A run with one number: ``seconds`` from 30 jobs of deviation 0.3."""
    empty = histories.digest(number, {"total": [], "queue": [], "inference": []})
    figures = {PRIMARY: Figure(5.0, 0.004, n), name: Figure(seconds, 0.004, n)}
    return replace(empty, figures=figures, **more)


def runs(count: int, factor: float = 1.0, *, first: int = 0, **more: Any) -> list[Digest]:
    """Some runs that differ by about a tenth, times a factor."""
    return [run(first + i, 5.0 * factor * math.exp(SPREAD[(first + i) % len(SPREAD)]), **more) for i in range(count)]


def verdict(older: list[Digest], newer: list[Digest], **options: Any) -> TargetVerdict:
    (found,) = compare(older, newer, today=TODAY, **options).targets
    return found


def metric(found: TargetVerdict, name: str = PRIMARY) -> Metric:
    return next(one for one in found.metrics if one.name == name)


@pytest.mark.parametrize(
    ("factor", "word", "status"),
    [(1.5, "regressed", 1), (1.0, "inconclusive", 3), (0.6, "improved", 0), (1.12, "inconclusive", 3)],
)
def test_a_change_beyond_chance_and_tolerance_is_called_so(factor: float, word: str, status: int) -> None:
    """Eight runs that differ by a tenth, three candidates."""
    found = compare(runs(8), runs(3, factor, first=8), today=TODAY)
    assert (found.word, found.exit_status) == (word, status)
    one = metric(found.targets[0])
    assert one.effect is not None
    assert one.low is not None
    assert one.high is not None
    assert one.low < one.effect < one.high
    assert one.effect == pytest.approx(factor, rel=0.05)


def test_enough_like_runs_are_ok() -> None:
    """The upper bound has to lie below the tolerance; with a wider one, the same runs are enough."""
    assert verdict(runs(30), runs(20, first=30)).word == "ok"
    assert verdict(runs(8), runs(3, first=8), tolerance=0.3).word == "ok"


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_a_short_baseline_decides_nothing(count: int, factor: float) -> None:
    """Fewer than five runs do not tell how runs differ, whatever is seen; it is shown all the same."""
    found = verdict(runs(count), runs(3, factor, first=8))
    assert (found.word, metric(found).word) == ("inconclusive", "inconclusive")
    assert "from 5 on" in found.reason
    assert metric(found).effect == pytest.approx(factor, rel=0.2)


def test_what_is_inconclusive_says_what_would_decide_it() -> None:
    """The detectable change, and the requests that would show twice the tolerance; these are enough by the rule."""
    one = metric(verdict(runs(8), runs(1, 1.2, first=8)))
    assert one.word == "inconclusive"
    assert one.detectable is not None
    assert one.detectable > 1.3
    assert one.needed is not None
    assert one.needed.runs >= 1
    varies = power.variation([Figure(5.0, 0.004, 30)] * 8, [math.log(each.figures[PRIMARY].value) for each in runs(8)])
    tolerance = math.log(1.1)
    need = power.needed(varies, 2 * tolerance, 8, tolerance)
    assert need == one.needed
    reached = statistics.power(2 * tolerance, varies.of(need.requests), need.baseline, need.runs, tolerance)
    assert reached >= statistics.POWER
    assert statistics.power(2 * tolerance, varies.of(need.requests), need.baseline, need.runs - 1 or 1, tolerance) < 0.9


def test_the_rule_is_the_t_test_of_runs_with_a_floor() -> None:
    """Against scipy's t distribution; agreeing runs are not taken at their word."""
    older, newer = [0.1, 0.3, 0.2, 0.15, 0.25], [0.5, 0.55]
    found = statistics.difference(older, newer, 0.0)
    s = math.sqrt(stats.tvar(older))
    t = found.effect / (s * math.sqrt(1 / 2 + 1 / 5))
    assert found.p_up == pytest.approx(stats.t.sf(t, 4))
    assert found.low == pytest.approx(found.effect - stats.t.ppf(0.99, 4) * s * math.sqrt(0.7))
    floored = statistics.difference([0.2] * 5, newer, 0.04)
    assert floored.deviation == pytest.approx(0.2)
    assert statistics.difference([0.2] * 5, [0.2], 0.0).p_up == 1.0


def test_several_tests_share_one_level() -> None:
    """Holm: the smallest of m has to be below alpha over m, the next below alpha over m - 1, and so on."""
    assert statistics.holm([0.0019, 0.9, 0.0024, 0.5, 0.0034]) == [True, False, True, False, False]
    assert statistics.holm([0.0021, 0.9, 0.0024, 0.5, 0.0034]) == [False] * 5
    assert statistics.holm([0.009]) == [True]


def test_fishers_test_is_scipys() -> None:
    """For every split of a few hits."""
    for few, many in ((0, 0), (3, 1), (5, 2), (9, 0)):
        table = [[few, 30 - few], [many, 240 - many]]
        assert statistics.exact(few, 30, many, 240) == pytest.approx(stats.fisher_exact(table, "greater").pvalue)


def test_power_is_what_simulated_runs_show() -> None:
    """The share of regressions among drawn comparisons, for the rule with its estimated deviation and its tolerance."""
    tolerance, variance, change = math.log(1.1), 0.0145, math.log(1.5)
    rng = stats.Normal(mu=0.0, sigma=math.sqrt(variance))
    drawn = rng.sample((400, 11), rng=7)
    hits = 0
    for row in drawn:
        found = statistics.difference(list(row[:8]), [value + change for value in row[8:]], 0.0)
        hits += found.low > 0 and found.effect >= tolerance
    assert statistics.power(change, variance, 8, 3, tolerance) == pytest.approx(hits / 400, abs=0.06)
    least = statistics.detectable(variance, 8, 3, tolerance)
    assert statistics.power(least, variance, 8, 3, tolerance) == pytest.approx(0.9, abs=1e-6)


# --- what may be compared --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", MEMBERS)
def test_runs_that_differ_in_kind_are_not_comparable(member: str) -> None:
    """Each member of the key, with the run that differs; allowed, the same runs are judged."""
    other = {"mode": "replay"}.get(member, "another")
    newer = [replace(one, key=replace(one.key, **{member: other})) for one in runs(3, 1.5, first=8)]
    found = verdict(runs(8), newer)
    assert (found.word, found.metrics) == ("not comparable", ())
    assert found.reason.startswith(f"{MEMBERS[member]} differs: ")
    assert "run-8" in found.reason
    assert compare(runs(8), newer, today=TODAY).exit_status == 3
    if member != "mode":
        assert verdict(runs(8), newer, across=(member,)).word == "regressed"


def simulated(some: list[Digest], **more: Any) -> list[Digest]:
    return [replace(one, key=replace(one.key, mode="simulate"), **more) for one in some]


def test_a_run_that_says_nothing_is_not_ok() -> None:
    """Where only answers count, a candidate has to be whole, and one question answered before and now."""
    older, newer = simulated(runs(2)), simulated(runs(2, first=8))
    assert verdict(older, newer).word == "ok"
    cut = [newer[0], replace(newer[1], unfit="it is not complete")]
    assert (verdict(older, cut).word, verdict(older, cut).reason) == (
        "inconclusive", "candidate run-9 decides nothing: it is not complete",
    )  # fmt: skip
    for answers in ({}, {"bench": "unknown"}, {"other": "accepted"}):
        mute = [replace(one, contract=replace(one.contract, answers=answers)) for one in newer]
        found = compare(older, mute, today=TODAY)
        assert (found.word, found.exit_status) == ("inconclusive", 3)
        assert "no question was answered in both" in found.targets[0].reason


def test_a_check_and_a_bench_are_not_comparable() -> None:
    """They ask different questions."""
    found = verdict(simulated(runs(2)), simulated(runs(1, first=8), kind="check"))
    assert (found.word, found.reason) == ("not comparable", "kind differs: bench in run-0, check in run-8")


def test_of_schedules_the_entries_that_differ_are_told() -> None:
    """Not the whole of both, in which nobody finds them."""
    older, newer = runs(8), runs(1, first=8)
    said = [json.dumps({"polls": {"step": "learnt", "least": 1}, "rate": rate}) for rate in (None, 2.0)]
    older = [replace(one, key=replace(one.key, schedule=said[0])) for one in older]
    newer = [replace(one, key=replace(one.key, schedule=said[1])) for one in newer]
    assert verdict(older, newer).reason == (
        "schedule differs: rate null in run-0, rate 2.0 in run-8; to compare all the same: --across schedule"
    )


def test_a_baseline_of_nothing_but_candidates_is_said_to_be_one() -> None:
    """The same run named on both sides."""
    assert verdict(runs(1), runs(1)).reason == "every baseline run of this target is a candidate too: name earlier runs"


@pytest.mark.parametrize("mode", ["replay", "simulate"])
def test_what_was_replayed_or_simulated_has_no_latency_verdict(mode: str) -> None:
    """However slow: nothing is said about a provider, and equal answers are enough to end well."""
    older, newer = runs(8), runs(3, 9.0, first=8)
    made = [[replace(one, key=replace(one.key, mode=mode)) for one in some] for some in (older, newer)]
    found = compare(made[0], made[1], today=TODAY)
    assert (found.word, found.exit_status, found.targets[0].metrics) == ("ok", 0, ())
    assert "say nothing about how fast" in found.targets[0].unmeasured


def test_one_foreign_run_among_the_baseline_is_enough() -> None:
    """A simulated run in a live baseline is not left out silently."""
    older = runs(8)
    older[3] = replace(older[3], key=replace(older[3].key, mode="simulate"))
    assert verdict(older, runs(3, first=8)).reason == "mode differs: live in run-0, simulate in run-3"


def test_a_run_that_measured_badly_is_left_out_and_named() -> None:
    """Of it the answers count, and no number."""
    newer = runs(3, 1.5, first=8)
    newer[0] = replace(newer[0], unfit="its measurement is not valid: late", figures={PRIMARY: Figure(90.0, 0.004, 30)})
    found = verdict(runs(8), newer)
    assert found.left_out == {"run-8": "its measurement is not valid: late"}
    assert metric(found).effect == pytest.approx(1.5, rel=0.1)
    assert verdict(runs(8), [newer[0]]).word == "inconclusive"


def test_a_candidate_in_the_baseline_is_not_compared_with_itself() -> None:
    """The same folder may be named on both sides."""
    everything = [*runs(8), *runs(1, 2.0, first=8)]
    assert verdict(everything, everything[8:]).baseline == tuple(f"run-{i}" for i in range(8))


def test_a_target_without_a_baseline_is_not_comparable() -> None:
    """There is nothing to say about it."""
    newer = [replace(one, target="a/b") for one in runs(1)]
    assert verdict(runs(8), newer).reason == "no baseline run has this target"


# --- the other numbers -----------------------------------------------------------------------------------------------


def shares(hits: list[int], first: int = 0, n: int = 30) -> list[Digest]:
    return [
        replace(one, figures={**one.figures, "errors": share(errors, n)})
        for one, errors in zip(runs(len(hits), first=first), hits, strict=True)
    ]


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        ([0, 0, 1, 0, 0, 1, 0, 0], [9, 8, 10], "regressed"),
        ([0, 0, 1, 0, 0, 1, 0, 0], [1, 0, 2], "inconclusive"),
        ([9, 8, 9, 10, 8, 9, 9, 8], [0, 0, 1], "improved"),
        ([0, 0, 12, 0, 0, 0, 0, 0], [12, 0, 0], "inconclusive"),  # an outage in each: runs differ that much
    ],
)
def test_errors_are_compared_as_shares_of_runs(before: list[int], after: list[int], word: str) -> None:
    """A rise of five points or more that neither chance nor an outage explains."""
    assert metric(verdict(shares(before), shares(after, first=8)), "errors").word == word


def test_a_secondary_number_regresses_a_target_and_never_leaves_it_open() -> None:
    """Here p95 alone."""
    older = runs(30, name="total p95")
    calm = {PRIMARY: Figure(5.0, 0.0001, 30)}
    older = [replace(one, figures={**one.figures, **calm}) for one in older]
    newer = [replace(one, figures={**one.figures, **calm}) for one in runs(20, 1.6, first=30, name="total p95")]
    found = verdict(older, newer)
    assert (found.word, found.reason, metric(found).word) == ("regressed", "total p95", "ok")
    doubtful = [replace(one, figures={**one.figures, "total p95": Figure(6.0, 4.0, 30)}) for one in newer]
    found = verdict(older, doubtful)
    assert (found.word, metric(found, "total p95").word) == ("ok", "inconclusive")


def test_jobs_that_never_end_are_compared_by_rank() -> None:
    """Most jobs of every candidate past their deadline: worse than any baseline run, which chance does once in 165."""
    gone = [run(8 + i, math.inf) for i in range(3)]
    found = verdict(runs(8), gone)
    assert (found.word, metric(found).effect) == ("regressed", None)
    assert verdict(runs(8), [gone[0], *runs(2, first=9)]).word == "inconclusive"
    assert verdict(runs(8), gone[:1]).word == "inconclusive"


def test_an_outage_in_the_baseline_leaves_the_rest_to_compare_with() -> None:
    """One night of thirty in which nothing ended: much slower is still regressed, much quicker improved, equal ok."""
    older = [*runs(29), run(29, math.inf)]
    found = {factor: verdict(older, runs(6, factor, first=40), tolerance=0.2) for factor in (5.0, 1.0, 0.2)}
    assert [one.word for one in found.values()] == ["regressed", "ok", "improved"]
    assert metric(found[5.0]).effect == pytest.approx(5.0, rel=0.1)
    assert "0 of 6 candidate and 1 of 30 baseline runs: compared by rank" in metric(found[5.0]).reason


def test_an_infinite_secondary_number_shares_their_level() -> None:
    """One in 165 is rare enough for one test, and not for one of two."""
    tails, queues = ([1.0] * 8, [math.inf] * 3), ([1.0] * 8, [1.0] * 3)
    digests = []
    for place, first in ((0, 0), (1, 8)):
        some = runs(len(tails[place]), first=first)
        more = zip(some, tails[place], queues[place], strict=True)
        digests.append([
            replace(one, figures={**one.figures, "total p95": Figure(tail, 0.004, 30), "queue p50": Figure(queue, 0.004, 30)})
            for one, tail, queue in more
        ])  # fmt: skip
    found = metric(verdict(*digests), "total p95")
    assert (found.word, "too many jobs never ended in 3 of 3 candidate" in found.reason) == ("inconclusive", True)


@pytest.mark.parametrize("ties", [False, True])
def test_the_rank_test_is_that_of_all_permutations(ties: bool) -> None:
    """Of midranks; nine runs are too few for a bound."""
    older, newer = [0.1, 0.3, 0.2, 0.15, 0.25, 0.4], [0.5, 0.3 if ties else 0.35, 0.22]
    found = statistics.ranked(older, newer)
    ranks = stats.rankdata([*older, *newer])
    sums = [sum(some) for some in combinations(ranks, 3)]
    mine = sum(ranks[6:])
    assert found.p_up == pytest.approx(sum(one >= mine for one in sums) / len(sums))
    assert found.p_down == pytest.approx(sum(one <= mine for one in sums) / len(sums))
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_a_rank_bound_is_what_its_test_just_does_not_reject() -> None:
    """Shifted by a little less than the lower bound the candidates are significantly larger, by a little more not."""
    older, newer = [0.01 * n * n for n in range(8)], [1.0 + 0.013 * n for n in range(4)]
    found = statistics.ranked(older, newer)
    shifted = [statistics.ranked(older, [one - found.low - by for one in newer]).p_up for by in (-1e-6, 1e-6)]
    assert shifted[0] <= 1 - statistics.LEVEL < shifted[1]


def test_a_fresh_batch_confirms_or_clears() -> None:
    """What regressed twice stays regressed; what did not is inconclusive and says so."""
    older, newer = runs(8), runs(3, 1.5, first=8)
    first = compare(older, newer, today=TODAY)
    slow, well = (compare(older, runs(3, factor, first=11), today=TODAY) for factor in (1.5, 1.0))
    assert confirmed(first, slow, first).word == "regressed"
    foreign = [replace(one, key=replace(one.key, version="9")) for one in runs(3, 1.5, first=11)]
    broken = [replace(one, contract=BAD) for one in newer]
    sound = [replace(one, contract=GOOD) for one in older]
    twice = compare(sound, broken, today=TODAY)
    apart = [compare(sound, some, today=TODAY) for some in (foreign, [*broken, *foreign])]
    assert "seed_echo fails and did not" in confirmed(twice, *apart).targets[0].reason
    cleared = confirmed(first, well, first)
    assert (cleared.word, cleared.exit_status) == ("inconclusive", 3)
    assert "not confirmed" in cleared.targets[0].reason
