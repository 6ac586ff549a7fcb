# ruff: noqa: ARG001 - behaviours, scripts and scenarios have one signature each
from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.clock import ARBITRARY_START_NS, NS, VirtualClock, run_virtual
from harness.engine import UNREACHABLE_TRIES, Options
from harness.errors import OutputError
from harness.model import PAST_DEADLINE, Failure, Response
from harness.schedule import RETRY_TRIES, Schedule
from tests import fakes
from tests.fakes import FAL, WAVESPEED, Provider, cases, work

PLAIN = Options(confirm=False)


def play(
    script=None,
    number=1,
    *,
    start_ns=ARBITRARY_START_NS,
    concurrency=8,
    rate=None,
    flow=None,
    usd="0.04",
    seconds=3.0,
    **more,
):
    """A run of one fal target against a scripted provider, in virtual time."""

    async def main():
        clock = VirtualClock()
        provider = Provider(clock, script, seconds)
        share = work(provider, clock, cases(number, usd, flow=flow), concurrency=concurrency, rate=rate, flow=flow)
        return provider, await fakes.run([share], **more)

    return run_virtual(main(), start_ns)


def seconds_between(instants):
    return [round((b - a) / NS, 6) for a, b in pairwise(instants)]


def test_every_case_is_submitted_once_and_ends_completed():
    """A healthy provider gets one POST a case; every call is recorded as completed and billed."""
    provider, run = play(number=20)
    assert (len(provider.posts), run.outcomes) == (20, {str(n): ("completed", "yes") for n in range(1, 21)})
    assert (run.ended.complete, run.ended.stopped, run.ledger.billed, run.ledger.reserved) == (
        True,
        {},
        Decimal("0.80"),
        0,
    )


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (fakes.loses_the_submit, ("unknown", "unknown")),
        (fakes.breaks(1, status=500), ("unknown", "unknown")),
        (fakes.breaks(1, status=503), ("unknown", "unknown")),
        (fakes.breaks(1, status=408), ("unknown", "unknown")),
        (fakes.breaks(1, status=425), ("unknown", "unknown")),
        (fakes.breaks(1, status=302), ("unknown", "unknown")),
        (fakes.breaks(1, status=422), ("rejected", "no")),
        (fakes.breaks(1, status=200), ("failed", "yes")),
        (fakes.never_replies, ("unknown", "unknown")),
    ],
)
def test_a_submit_that_may_have_been_taken_is_never_sent_again(script, expected):
    """Whatever becomes of a submit, other than 429 or never having left, the provider sees exactly one POST."""
    provider, run = play(script)
    assert (len(provider.posts), run.outcomes) == (1, {"1": expected})
    assert sum(event == "submit" for event, _ in run.record.events) == 1


@pytest.mark.parametrize("flow", ["queue", "sync"])
def test_a_transport_without_a_trail_counts_as_having_sent(flow):
    """When nothing tells whether a submit left, it may have: a time limit is an unknown charge, not a second POST."""

    async def main():
        clock, posts = VirtualClock(), []

        async def app(scope, receive, send):
            posts.append(scope["path"])
            await asyncio.Event().wait()

        run = await fakes.run([work(httpx.ASGITransport(app), clock, cases(1, flow=flow), flow=flow)])
        reply = run.record.exchanges[0].reply
        return len(posts), run.outcomes, isinstance(reply, Failure) and reply.kind

    assert run_virtual(main()) == (1, {"1": ("unknown", "unknown")}, "timeout")


@pytest.mark.parametrize("times", range(1, RETRY_TRIES))
def test_a_rate_limited_submit_is_tried_again_outside_the_latency(times):
    """429 is tried again after Retry-After; the attempts are recorded, and the deadline counts from the last one."""
    provider, run = play(fakes.rate_limits(times, "7"), seconds=250.0)
    assert seconds_between(provider.posts) == [7.1 - 0.1] * times
    submits = [e for e in run.record.exchanges if e.step == "submit"]
    assert [e.attempt for e in submits] == list(range(1, times + 2))
    assert [e.sent_ns for e in submits] == provider.posts
    assert run.outcomes == {"1": ("completed", "yes")}


def test_a_rate_limit_without_end_is_bounded():
    """After the last try a 429 ends the call as unknown and unpaid, without a further wait."""
    provider, run = play(fakes.rate_limits(99, "60"))
    assert (len(provider.posts), run.outcomes, run.ledger.unknown) == (RETRY_TRIES, {"1": ("unknown", "no")}, 0)
    assert seconds_between([e.received_ns for e in run.record.exchanges]) == [60.0] * (RETRY_TRIES - 1)


def test_an_unreachable_host_stops_its_target_within_few_tries():
    """A connection that is never made is tried a few times, charged to nobody, and ends the target."""
    provider, run = play(fakes.cannot_be_reached, number=5, concurrency=1)
    assert (len(provider.posts), run.outcomes) == (UNREACHABLE_TRIES, {"1": ("unknown", "no")})
    assert (run.ended.complete, list(run.ended.stopped), run.ledger.unknown) == (False, [FAL], 0)
    assert "cannot be reached" in run.ended.stopped[FAL]


def test_an_unreachable_host_behind_a_rate_limit_is_not_tried_longer():
    """Tries that were answered 429 count: a connection that fails late ends the call without another wait."""
    limited = fakes.rate_limits(RETRY_TRIES - 1, "1")

    async def script(provider, request):
        if len(provider.posts) == RETRY_TRIES:
            return await fakes.cannot_be_reached(provider, request)
        return await limited(provider, request)

    async def main():
        clock = VirtualClock()
        provider = Provider(clock, script)
        run = await fakes.run([work(provider, clock, cases(1))])
        return run, clock.now_ns() - run.record.exchanges[-1].received_ns

    run, waited = run_virtual(main())
    assert (run.outcomes, waited) == ({"1": ("unknown", "no")}, 0)


def test_an_intent_is_durable_before_its_submit_leaves():
    """The recorder has synced a call's intent before the provider sees its POST, and each call has exactly one."""
    provider, run = play(number=12, sync=0.3)
    calls = list(run.record.durable_ns)
    firsts = {call: next(event for event, name in run.record.events if name == call) for call in calls}
    sent = {e.call: e.sent_ns for e in run.record.exchanges if e.step == "submit"}
    assert (firsts, set(sent), len(provider.posts)) == (dict.fromkeys(calls, "intent"), set(calls), 12)
    assert all(run.record.durable_ns[call] <= sent[call] for call in calls)


def test_a_record_that_cannot_be_written_ends_the_run_as_itself():
    """When an intent cannot be made durable nothing is sent for it, and the error that ends the run is the record's own."""

    async def main():
        clock = VirtualClock()
        provider = Provider(clock)

        class Full(fakes.Record):
            async def intent(self, call, case, derived):
                if len(self.events) > 3:
                    raise OutputError("the disk is full")
                await super().intent(call, case, derived)

        from harness.engine import Engine
        from harness.ledger import Ledger

        engine = Engine(clock, Full(clock), Ledger(None), PLAIN)
        with pytest.raises(OutputError, match="the disk is full"):
            await engine.run([work(provider, clock, cases(20), concurrency=2)])
        return len(provider.posts) < 20

    assert run_virtual(main())


@pytest.mark.parametrize("start_ns", [ARBITRARY_START_NS, 7, 1_764_000_000 * NS + 999])
@pytest.mark.parametrize(("script", "flow"), [(fakes.never_completes, "queue"), (fakes.never_replies, "sync")])
def test_the_deadline_is_exact(script, flow, start_ns):
    """A job that does not end is unknown, charge included, at its deadline to the nanosecond, whenever the clock began."""

    async def main():
        clock = VirtualClock()
        provider = Provider(clock, script)
        run = await fakes.run(
            [work(provider, clock, cases(1, flow=flow), flow=flow)], options=Options(deadline_seconds=50.0)
        )
        return run, clock.now_ns() - provider.posts[0]

    run, lasted = run_virtual(main(), start_ns)
    assert (run.outcomes, lasted, run.ledger.unknown) == ({"1": ("unknown", "unknown")}, 50 * NS, Decimal("0.04"))
    assert [call.reason for call in run.record.calls] == [f"{PAST_DEADLINE} 50 s"]


@pytest.mark.parametrize("start_ns", [1, 1_764_000_000 * NS + 999])
def test_a_run_does_not_depend_on_when_its_clock_began(start_ns):
    """From another start the same run makes the same exchanges, each shifted by the same amount."""
    script = fakes.rate_limits(2)
    expected = fakes.relative(play(script, number=9)[1].record.exchanges, ARBITRARY_START_NS)
    assert fakes.relative(play(script, number=9, start_ns=start_ns)[1].record.exchanges, start_ns) == expected


def test_a_job_is_polled_alike_whatever_else_is_in_flight():
    """A job's polls depend on its own case and on nothing else that runs beside it."""

    def polls(concurrency):
        run = play(number=6, concurrency=concurrency)[1]
        first = {e.call: e.received_ns for e in run.record.exchanges if e.step == "submit"}
        return sorted((e.case_id, e.sent_ns - first[e.call]) for e in run.record.exchanges if e.step == "status")

    assert polls(1) == polls(6)


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_no_more_jobs_than_allowed_are_in_flight(concurrency):
    """As many jobs as the cap allows run at once, and never one more."""
    assert play(number=20, concurrency=concurrency)[0].most_running == concurrency


def test_the_rate_is_kept():
    """Submits are at least 1 / rate apart, confirmations and what waited for the budget included."""
    provider, run = play(
        fakes.breaks(2, 9, 10), number=10, rate=2.0, concurrency=4, options=Options(), limit="0.40", usd="0.10"
    )
    gaps = seconds_between(provider.posts)
    assert (min(gaps) >= 0.5, len(run.record.calls) >= 4) == (True, True)
    provider, _ = play(fakes.breaks(10), number=10, rate=2.0, options=Options(), seconds=0.2)
    assert (min(seconds_between(provider.posts)), len(provider.posts)) == (0.5, 11)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), limit=st.integers(0, 60), concurrency=st.integers(1, 6))
def test_the_budget_holds_at_every_instant(seed, limit, concurrency):
    """Billed + unknown + reserved never exceeds the limit, whatever a provider does and whoever runs out first."""
    rng = random.Random(seed)
    scripts = [
        fakes.loses_the_submit,
        fakes.rate_limits(3),
        fakes.breaks(1, 4, 5),
        fakes.breaks(2, 3, status=422),
        None,
    ]

    async def main():
        clock, over = VirtualClock(), []

        async def watch(_, ledger):
            while True:
                over.append(ledger.billed + ledger.unknown + ledger.reserved > ledger.limit)
                await clock.sleep(0.05)

        shares = [
            work(
                Provider(clock, script, rng.random() * 5),
                clock,
                cases(rng.randint(1, 6), f"0.{rng.randint(1, 20):02}", target),
                concurrency=concurrency,
            )
            for script, target in zip(rng.sample(scripts, 2), (FAL, fakes.GATEWAY), strict=True)
        ]
        run = await fakes.run(shares, limit=f"{limit / 100:.2f}", options=Options(), meanwhile=watch)
        return any(over), run

    over, run = run_virtual(main())
    charged = {
        kind: sum((c.case.usd for c in run.record.calls if c.billed == kind), Decimal(0)) for kind in ("yes", "unknown")
    }
    assert (over, run.ledger.reserved) == (False, 0)
    assert (run.ledger.billed, run.ledger.unknown) == (charged["yes"], charged["unknown"])


def test_a_submit_waits_for_money_and_the_budget_is_spent_in_the_end():
    """A submit that does not fit waits for refusals; when nothing is in flight and it does not fit, the target stops."""
    provider, run = play(fakes.breaks(1, 2, status=422), number=6, limit="0.10")
    assert (len(provider.posts), run.ledger.billed, run.ledger.unknown) == (4, Decimal("0.08"), 0)
    assert (run.ended.stopped, run.ended.complete) == ({FAL: "the budget of 0.10 USD is spent"}, False)
    assert (seconds_between(provider.posts)[0], provider.posts[2] > provider.posts[0]) == (0.0, True)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_key_stops_one_target_and_not_the_other(status):
    """A refused key or account ends its target at once; jobs of other targets go on to their end."""

    async def main():
        clock = VirtualClock()
        bad, good = Provider(clock, fakes.breaks(*range(99), status=status)), Provider(clock)
        shares = [work(bad, clock, cases(30), concurrency=2), work(good, clock, cases(5, target=fakes.GATEWAY))]
        return bad, good, await fakes.run(shares)

    bad, good, run = run_virtual(main())
    assert (len(bad.posts), len(good.posts)) == (2, 5)
    assert run.ended.stopped == {FAL: f"{fakes.HOME} refused the key or the account with {status}"}
    assert run.ledger.billed == Decimal("0.20")


def test_jobs_in_flight_when_the_key_is_refused_are_read_to_their_end():
    """A refused submit stops new ones; what was accepted before is still read, for it was paid for."""

    async def script(provider, request):
        if request.method == "POST" and len(provider.posts) > 2:
            return await fakes.refuses_key(provider, request)
        return await provider.healthy(request)

    provider, run = play(script, number=9, concurrency=3)
    assert sorted(run.outcomes.items()) == [
        ("1", ("completed", "yes")),
        ("2", ("completed", "yes")),
        ("3", ("unknown", "no")),
    ]
    assert len(provider.posts) == 3


def test_a_retry_is_not_sent_to_a_stopped_target():
    """A submit that waits after a 429 does not leave any more once its target's key has been refused."""

    async def script(provider, request):
        if len(provider.posts) == 1:
            return httpx.Response(429, headers={"retry-after": "5"})
        return await fakes.refuses_key(provider, request)

    provider, run = play(script, number=2)
    assert (len(provider.posts), run.outcomes) == (2, {"1": ("unknown", "no"), "2": ("unknown", "no")})


@pytest.mark.parametrize(
    ("broken", "posts", "derived"),
    [((2,), 4, ["2"]), ((2, 4), 4, ["2"]), ((1, 2, 3), 6, ["1", "2", "3"]), ((), 3, [])],
)
def test_a_server_error_is_confirmed_by_one_further_call(broken, posts, derived):
    """Each definite 5xx is confirmed by exactly one further call of its case, after the plan, and never again."""
    provider, run = play(fakes.breaks(*broken), number=3, concurrency=1, options=Options())
    assert len(provider.posts) == posts
    assert run.record.derived == [(f"{FAL}/n/{n}", "confirmation") for n in derived]
    assert [c.derived for c in run.record.calls] == [None] * 3 + ["confirmation"] * len(derived)
    assert run.ended.complete


@pytest.mark.parametrize("script", [fakes.loses_the_submit, fakes.never_completes, fakes.rate_limits(99)])
def test_what_is_no_definite_server_error_is_not_confirmed(script):
    """Lost answers, deadlines and rate limits are not confirmed: they would only cost again."""
    assert play(script, number=2, options=Options(deadline_seconds=20.0))[1].record.derived == []


def test_a_confirmation_needs_money():
    """A confirmation that the budget does not allow is left out, and stops nothing."""
    provider, run = play(fakes.breaks(1), limit="0.07", options=Options())
    assert (len(provider.posts), run.ended.stopped, run.ended.complete) == (1, {}, True)


def interrupted(at, grace, script=None, number=20, **more):
    seen: dict[str, Any] = {}

    async def meanwhile(engine, _):
        await asyncio.sleep(at)
        seen.update(engine.unfinished())
        engine.interrupt(grace)
        await asyncio.Event().wait()

    async def main():
        clock = VirtualClock()
        provider = Provider(clock, script, more.pop("seconds", 3.0))
        flow = more.pop("flow", None)
        run = await fakes.run(
            [work(provider, clock, cases(number, flow=flow), flow=flow, concurrency=4)], meanwhile=meanwhile, **more
        )
        return provider, run, (clock.now_ns() - ARBITRARY_START_NS) / NS, seen

    return run_virtual(main())


def test_an_interruption_sends_nothing_new_and_awaits_what_is_under_way():
    """After an interruption no submit leaves; jobs that end within the grace are recorded as they ended."""
    provider, run, lasted, _ = interrupted(1.0, 60.0)
    assert (len(provider.posts), set(run.outcomes.values())) == (4, {("completed", "yes")})
    assert (run.ended.interrupted, run.ended.complete, lasted < 10) == (True, False, True)


def test_an_interruption_lasts_no_longer_than_its_grace():
    """When the grace has passed the run ends at once; unfinished jobs are unknown, with their ids."""
    provider, run, lasted, seen = interrupted(1.0, 5.0, fakes.never_completes)
    assert (lasted, len(provider.posts), set(run.outcomes.values())) == (6.0, 4, {("unknown", "unknown")})
    assert sorted(str(c.job_id) for c in run.record.calls) == ["job-1", "job-2", "job-3", "job-4"]
    assert (set(seen), sorted(seen.values())) == (
        {f"{FAL}/n/{n}" for n in range(1, 5)},
        [f"job-{n}" for n in range(1, 5)],
    )
    assert run.engine.unfinished() == seen


def test_jobs_that_end_within_the_grace_are_not_reported_as_unfinished():
    """What ``unfinished`` tells after the run is what really has no end."""
    _, run, _, seen = interrupted(1.0, 60.0)
    assert (len(seen), run.engine.unfinished()) == (4, {})


def test_a_submit_cut_off_by_an_interruption_may_have_been_charged():
    """A submit whose answer is awaited when the grace ends is recorded as interrupted, its charge unknown."""
    provider, run, lasted, _ = interrupted(1.0, 5.0, fakes.never_replies)
    assert (lasted, len(provider.posts), run.ledger.unknown) == (6.0, 4, Decimal("0.16"))
    assert set(run.outcomes.values()) == {("unknown", "unknown")}
    replies = [e.reply for e in run.record.exchanges if e.step == "submit"]
    assert [(type(r), r.kind, r.left) for r in replies] == [(Failure, "interrupted", True)] * 4


def test_a_submit_that_was_waiting_to_be_tried_again_does_not_leave_after_an_interruption():
    """A 429's wait that ends after an interruption sends nothing; the case was not charged."""
    provider, run, _, _ = interrupted(1.0, 5.0, fakes.rate_limits(99, "2"), number=1)
    assert (len(provider.posts), run.outcomes) == (1, {"1": ("unknown", "no")})


def test_an_intent_that_is_being_synced_when_the_interruption_comes_sends_nothing():
    """A submit that has not left when the run is interrupted does not leave."""
    provider, run, _, _ = interrupted(0.5, 5.0, sync=1.0)
    assert (len(provider.posts), set(run.outcomes.values()), run.ledger.unknown) == (0, {("unknown", "no")}, 0)


def test_jobs_that_wait_for_money_end_with_an_interruption():
    """A submit that waits for the budget holds an interrupted run up for no longer than its grace."""
    provider, run, lasted, _ = interrupted(1.0, 5.0, fakes.never_completes, limit="0.05")
    assert (lasted, len(provider.posts), run.ledger.billed + run.ledger.unknown) == (6.0, 1, Decimal("0.04"))


def test_downloads_do_not_hold_a_place():
    """While a finished job's files are fetched the next one is submitted; a file that does not come ends nothing."""

    async def main():
        clock = VirtualClock()

        async def linked(provider, request):
            if (
                request.method == "GET"
                and not request.url.path.endswith("/status")
                and "/requests/" in request.url.path
            ):
                provider.running -= 1
                return httpx.Response(
                    200,
                    json={
                        "images": [
                            {"url": u}
                            for u in ("https://cdn.example/1.png", "https://[::1", "https://cdn.example/1.png")
                        ]
                    },
                )
            return await provider.healthy(request)

        async def slow(provider, request):
            await clock.sleep(30)
            return httpx.Response(200, content=b"png")

        api, public = Provider(clock, linked), Provider(clock, slow)
        run = await fakes.run([work(api, clock, cases(3), concurrency=1, public=public)])
        return api.posts, public.seen, run

    posts, fetched, run = run_virtual(main())
    assert (len(fetched), max(seconds_between(posts)) < 10) == (3, True)
    assets = [e.reply for e in run.record.exchanges if e.step == "asset"]
    assert sum(isinstance(r, Response) and r.body == b"png" for r in assets) == 3
    assert [r.kind for r in assets if isinstance(r, Failure)] == ["forbidden"] * 3
    assert run.outcomes == {str(n): ("completed", "yes") for n in range(1, 4)}


def test_no_poll_is_sent_past_the_deadline():
    """Every read leaves before the deadline of its job, and none is awaited beyond it."""
    _, run = play(
        fakes.never_completes,
        number=3,
        options=Options(deadline_seconds=33.0, schedule=Schedule(fixed=4.0), confirm=False),
    )
    sent = {e.call: e.sent_ns for e in run.record.exchanges if e.step == "submit"}
    assert all(e.received_ns <= sent[e.call] + 33 * NS for e in run.record.exchanges)


@pytest.mark.parametrize("seconds", [1.0, 3.5])
def test_a_job_is_asked_for_a_last_time_before_its_deadline(seconds):
    """A step that leads past the deadline does not make a job late that is done in time; none is asked for afterwards."""
    options = Options(deadline_seconds=4.0, schedule=Schedule(fixed=20.0), confirm=False)
    _, run = play(seconds=seconds, number=5, options=options)
    assert run.outcomes == {str(n): ("completed", "yes") for n in range(1, 6)}

    async def cancels(provider, request):
        return httpx.Response(202) if request.method == "PUT" else await provider.healthy(request)

    _, late = play(cancels, seconds=5.0, number=5, options=options)
    assert late.outcomes == {str(n): ("unknown", "unknown") for n in range(1, 6)}
    sent = {e.call: e.sent_ns for e in late.record.exchanges if e.step == "submit"}
    polls = [e for e in late.record.exchanges if e.step == "status"]
    assert {e.call for e in polls if e.sent_ns >= sent[e.call] + 3 * NS} == {*sent}
    assert all(e.received_ns <= sent[e.call] + 4 * NS for e in polls)


def test_a_poll_flow_without_a_result_step_ends_with_its_last_status():
    """The same engine runs a flow whose status holds the outputs."""

    async def main():
        clock = VirtualClock()

        async def script(provider, request):
            state = "completed" if request.method == "GET" and len(provider.seen) > 3 else "processing"
            data = {"id": "p1", "status": state, "outputs": [fakes.PIXEL] if state == "completed" else []}
            return httpx.Response(200, json={"code": 200, "message": "", "data": data})

        return await fakes.run([work(Provider(clock, script), clock, cases(1, target=WAVESPEED))])

    run = run_virtual(main())
    assert [e.step for e in run.record.exchanges] == ["submit", "status", "status", "status"]
    assert run.outcomes == {"1": ("completed", "yes")}
