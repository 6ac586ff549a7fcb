"""When a bench sends: an open loop's instants, its cap, and targets that keep together; all in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import accumulate, islice, pairwise

import pytest

from harness.audit import most_in_flight
from harness.clock import NS, VirtualClock, run_virtual
from harness.engine import LEAD_SECONDS, Options
from harness.model import Exchange
from harness.traffic import Abreast, ArrivalKind, Arrivals, Conduct, conduct_from
from tests import fakes
from tests.fakes import FAL, WAVESPEED, Provider, cases, never_completes, work


def opened(
    arrivals: Arrivals, number: int, *, seconds: float = 3.0, concurrency: int = 100, sync: float = 0.0, limit: str | None = None,
    script: fakes.Script | None = None,
) -> fakes.Run:  # fmt: skip
    async def main() -> fakes.Run:
        clock = VirtualClock()
        provider = Provider(clock, script, seconds)
        share = work(provider, clock, cases(number), concurrency=concurrency, arrivals=arrivals)
        return await fakes.run([share], options=Options(confirm=False), sync=sync, limit=limit)

    return run_virtual(main())


def submits(run: fakes.Run) -> list[Exchange]:
    return [exchange for exchange in run.record.exchanges if exchange.step == "submit"]


def test_constant_arrivals_are_a_step_apart_whatever_the_answers_do() -> None:
    """Ten a second, of jobs that take three: each leaves at its instant, and the instant is what it was wanted for."""
    sent = submits(opened(Arrivals(10.0), 40))
    assert {100_000_000} == {b.intended_ns - a.intended_ns for a, b in pairwise(sent)}
    assert {0} == {exchange.sent_ns - exchange.intended_ns for exchange in sent}


def test_poisson_arrivals_come_at_random_and_the_seed_decides() -> None:
    """Their gaps are exponential: mean and standard deviation are alike; the same seed gives the same ones."""
    gaps = [gap / NS for gap in islice(Arrivals(5.0, "poisson", 3).gaps(), 1, 4000)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(0.2, rel=0.05)
    assert deviation == pytest.approx(0.2, rel=0.08)
    assert gaps[:50] == [gap / NS for gap in islice(Arrivals(5.0, "poisson", 3).gaps(), 1, 51)]
    assert gaps[:50] != [gap / NS for gap in islice(Arrivals(5.0, "poisson", 4).gaps(), 1, 51)]


def test_targets_are_shifted_by_a_part_of_a_step() -> None:
    """Two targets at four a second send every eighth of a second, in turns."""
    first, second = (list(accumulate(islice(Arrivals(4.0).gaps(place, 2), 3))) for place in (0, 1))
    assert [round(at / NS, 6) for at in (*first, *second)] == [0.0, 0.25, 0.5, 0.125, 0.375, 0.625]


@pytest.mark.parametrize("kind", ["constant", "poisson"])
def test_the_first_submit_leaves_at_once(kind: ArrivalKind) -> None:
    """A slow rate has nobody wait before anything is sent: only what makes it ready lies before it."""

    async def main() -> tuple[int, list[int]]:
        clock = VirtualClock()
        began, provider = clock.now_ns(), Provider(clock)
        await fakes.run([work(provider, clock, cases(2), arrivals=Arrivals(0.01, kind))])
        return began, provider.posts

    began, posts = run_virtual(main())
    assert (posts[0] - began) / NS == LEAD_SECONDS


def test_a_stopped_open_loop_does_not_wait_for_its_next_instant() -> None:
    """Its key is refused on the first submit: it ends then, and not a step of 1000 s later."""
    run = opened(Arrivals(0.001), 5, script=fakes.refuses_key)
    (submit,) = submits(run)
    assert list(run.ended.stopped) == [FAL]
    assert run.ended_ns - submit.received_ns < NS // 10


def test_an_interrupted_open_loop_does_not_wait_for_its_next_instant() -> None:
    """With nothing in flight there is nothing to wait for: it ends with the interruption."""

    async def main() -> tuple[int, int]:
        clock = VirtualClock()
        began = clock.now_ns()

        async def meanwhile(engine, _ledger):
            await clock.sleep(20.0)
            engine.interrupt(5.0)

        share = work(Provider(clock), clock, cases(5), arrivals=Arrivals(0.01))
        run = await fakes.run([share], meanwhile=meanwhile)
        return began, run.ended_ns

    began, ended = run_virtual(main())
    assert round((ended - began) / NS, 3) == 20.0


def test_a_stopped_target_does_not_wait_for_its_turn() -> None:
    """A configured rate of one in 100 s: the submits that waited for their turn are given up with the key."""

    async def main() -> tuple[int, fakes.Run]:
        clock = VirtualClock()
        began = clock.now_ns()
        share = work(Provider(clock, fakes.refuses_key), clock, cases(20), concurrency=8, rate=0.01)
        return began, await fakes.run([share])

    began, run = run_virtual(main())
    assert (len(submits(run)), (run.ended_ns - began) < NS) == (1, True)


def test_an_intent_is_durable_before_its_instant_and_costs_no_latency() -> None:
    """A disk that takes a tenth of a second delays nothing: the submit is made ready ahead of its time."""
    run = opened(Arrivals(10.0), 10, sync=0.1)
    for exchange in submits(run):
        assert run.record.durable_ns[exchange.call] <= exchange.sent_ns == exchange.intended_ns


def test_a_submit_that_meets_the_cap_is_late_and_says_so() -> None:
    """Two in flight of jobs of three seconds, four a second: the third waits, and its lateness is in the record."""
    run = opened(Arrivals(4.0), 8, concurrency=2)
    late = [exchange.sent_ns - exchange.intended_ns for exchange in submits(run)]
    assert (late[:2], min(late[2:]) > 2 * NS) == ([0, 0], True)
    assert most_in_flight(run.record.calls) >= 2
    assert run.ended.complete


def test_the_budget_ends_an_open_loop() -> None:
    """What does not fit is not sent; the rest of the arrivals do not come."""
    run = opened(Arrivals(10.0), 30, limit="0.20")
    assert (len(submits(run)), run.ended.complete) == (5, False)
    assert list(run.ended.stopped.values()) == ["the budget of 0.20 USD is spent"]


def test_an_interrupted_open_loop_sends_nothing_more() -> None:
    """Not even what was being made ready; it says so."""

    async def main() -> tuple[Provider, fakes.Run]:
        clock = VirtualClock()
        provider = Provider(clock, never_completes)
        share = work(provider, clock, cases(50), concurrency=100, arrivals=Arrivals(2.0))

        async def meanwhile(engine, _ledger):
            await clock.sleep(3.1)
            engine.interrupt(5.0)

        return provider, await fakes.run([share], meanwhile=meanwhile)

    provider, run = run_virtual(main())
    assert (run.ended.interrupted, run.ended.complete) == (True, False)
    assert len(provider.posts) == 6


def test_a_plan_that_is_more_than_needed_is_sent_in_batches() -> None:
    """Asked after each batch, when all of it has ended; what is left was not needed, and the run is complete."""
    asked: list[int] = []

    def further(totals: Sequence[tuple[float, float]]) -> int:
        asked.append(len(totals))
        return {0: 4, 4: 3}.get(len(totals), 0)

    async def main() -> fakes.Run:
        clock = VirtualClock()
        provider = Provider(clock)
        return await fakes.run([work(provider, clock, cases(20), further=further)])

    run = run_virtual(main())
    assert (asked, len(run.record.calls), run.ended.spared, run.ended.complete) == ([0, 4, 7], 7, {FAL: 13}, True)


def test_targets_of_a_closed_loop_keep_together() -> None:
    """The fast one is never more than its concurrency ahead of the slow one: both meet a prompt at the same time."""

    async def main() -> fakes.Run:
        clock = VirtualClock()
        slow = work(Provider(clock, None, 9.0), clock, cases(12), concurrency=3)
        fast = work(Provider(clock, None, 0.5), clock, cases(12, target=WAVESPEED), concurrency=3)
        return await fakes.run([slow, fast], options=Options(confirm=False, abreast=True))

    run = run_virtual(main())
    begun: dict[str, int] = {FAL: 0, WAVESPEED: 0}
    for exchange in run.record.exchanges:
        if exchange.step == "submit":
            begun[exchange.case_id.rpartition("/n/")[0]] += 1
            assert begun[WAVESPEED] - begun[FAL] <= 3
    assert begun == {FAL: 12, WAVESPEED: 12}


def test_a_target_that_is_stopped_holds_nobody_back() -> None:
    """Its key is refused; the other one goes on to its end."""

    async def main() -> fakes.Run:
        clock = VirtualClock()
        refused = work(Provider(clock, fakes.refuses_key), clock, cases(12), concurrency=2)
        other = work(Provider(clock), clock, cases(12, target=WAVESPEED), concurrency=2)
        return await fakes.run([refused, other], options=Options(confirm=False, abreast=True))

    run = run_virtual(main())
    assert list(run.ended.stopped) == [FAL]
    assert sum(call.case.target == WAVESPEED for call in run.record.calls) == 12


def test_whoever_leaves_wakes_the_others() -> None:
    """A target that has nothing to send any more is not waited for."""

    async def main() -> bool:
        abreast = Abreast()
        for target in ("a", "b"):
            abreast.enter(target)
        await abreast.turn("a", 1)
        waiting = asyncio.ensure_future(abreast.turn("a", 1))
        await asyncio.sleep(0.1)
        before = waiting.done()
        abreast.leave("b")
        await waiting
        return before

    assert run_virtual(main()) is False


def test_who_has_left_while_waiting_waits_no_more() -> None:
    """A target that is stopped while one of its workers waits for the others."""

    async def main() -> None:
        abreast = Abreast()
        for target in ("a", "b"):
            abreast.enter(target)
        await abreast.turn("a", 1)
        waiting = asyncio.ensure_future(abreast.turn("a", 1))
        await asyncio.sleep(0.1)
        abreast.leave("a")
        await waiting

    run_virtual(main())


@pytest.mark.parametrize(
    "conduct", [Conduct(), Conduct(Arrivals(2.5, "poisson", 7), downloads=False, slo_seconds=9.0, precision="p95=10%")]
)
def test_a_conduct_is_read_as_it_was_written(conduct: Conduct) -> None:
    """And a record without one is of a closed loop."""
    assert conduct_from(conduct.as_json()) == conduct
    assert conduct_from(None) == Conduct()
