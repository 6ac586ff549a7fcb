"""Runs that go on after a kill: nothing is paid for twice, nothing that was paid for is lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx
import pytest

from harness.cassettes import under_documented_origins
from harness.clock import ARBITRARY_START_NS, NS, VirtualClock, run_virtual
from harness.engine import REQUEST_SECONDS, UNREACHABLE_TRIES, Engine, Options
from harness.flow import encode
from harness.history import read
from harness.ledger import Ledger
from harness.model import CUT_OFF, INTERRUPTED, LOST, PAST_DEADLINE, Call, Exchange, Failure, Outcome, Response
from harness.report import document
from harness.schedule import RETRY_TRIES, Schedule
from harness.simulator import planted
from tests import fakes
from tests.calls import SPECS, TODAY
from tests.cassettes import recordings
from tests.fakes import FAL, HOME, Provider, body_of, cases, spec, work
from tests.segments import World, life

BOTH = ("crashes-on-aspect_ratio-9:21", "refuses-guidance_scale-hi-with-sync_mode-false")
LIVES: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
    "queue, probes, rejects": (FAL, (), {"cases": ("*/accept/*", "*/prompt/*", "*/probe/*"), "max_cases": 2}),
    "synchronous": (FAL, (), {"cases": ("*/accept/*", "*/prompt/*"), "max_cases": 2, "flow": "sync"}),
    "one answer each": (
        "umodelverse/flux-kontext-pro",
        (),
        {"cases": ("*/accept/*", "*/prompt/*"), "max_cases": 2},
    ),
    "poll": ("wavespeed/flux-kontext-pro-multi", (), {"cases": ("*/accept/*", "*/prompt/*"), "max_cases": 2}),
    "confirmed and isolated": (FAL, BOTH, {"cases": ("*one-url*", "*9:21*", "*=2:3*")}),
    "one at a time": (FAL, (), {"cases": ("*/accept/*",), "max_cases": 3, "concurrency": 1}),
    "short of money": (FAL, BOTH, {"cases": ("*one-url*", "*9:21*", "*=2:3*"), "max_cost": Decimal("0.40")}),
}
"""What is run: the target, the planted faults, and what is asked for."""


def begun(name, directory, **more):
    target, faults, asked = LIVES[name]
    variations, settings = planted([SPECS[target]], TODAY, [f"{target}:{fault}" for fault in faults])
    return life(World(SPECS[target], settings, variations), directory, **(asked | more))


def rows_of(name, directory):
    """How many rows the first segment of a run has when nobody kills it."""

    async def main():
        run = begun(name, directory)
        await run.segment()
        return len((run.directory / "history.jsonl").read_bytes().splitlines())

    directory.mkdir()
    return run_virtual(main())


def lived(name, directory, kills, *, gap=3.0, **more):
    """A run that is killed after each number of rows in turn, and then resumed to its end."""

    async def main():
        run = begun(name, directory, **more)
        for number, (after, at_once) in enumerate((*kills, (None, True))):
            ended = await run.segment(after, at_once=at_once, shift_ns=number * 777_777_777_777_777)
            if ended is None:
                await VirtualClock().sleep(gap)
        return run, ended

    directory.mkdir(parents=True)
    return run_virtual(main())


ALLOWED = {"short of money": {"cases without a call", "not complete"}}
"""What a run may lack that has come to its end."""


@pytest.mark.parametrize(
    ("name", "every", "gap"),
    [
        ("queue, probes, rejects", 8, 3.0),
        *(
            pytest.param("queue, probes, rejects", *more, marks=pytest.mark.exhaustive)
            for more in ((3, 3.0), (5, 1000.0))
        ),
        ("synchronous", 2, 3.0),
        ("poll", 2, 1000.0),
        ("confirmed and isolated", 7, 3.0),
        ("one at a time", 3, 3.0),
        ("short of money", 7, 3.0),
    ],
)
def test_a_run_killed_at_any_row_is_resumed_to_its_end(tmp_path, name, every, gap):
    """Killed after any row, at once or when it next needs the disk, a run goes on to a whole report.

    No request is paid for twice, the money agrees with the provider's, the budget holds at every row, and intervals
    hold the instants that they tell of.
    """
    rows = rows_of(name, tmp_path / "whole")
    found = {}
    for after in range(1, rows, every):
        for at_once in (True, False):
            run, _ = lived(name, tmp_path / f"{after}-{at_once}", [(after, at_once)], gap=gap)
            faults = {k: v for k, v in run.faults().items() if k not in ALLOWED.get(name, ())}
            if faults:
                found[after, at_once] = faults
    assert (found, rows > 15) == ({}, True)


@pytest.mark.parametrize("name", ["queue, probes, rejects", "confirmed and isolated"])
def test_a_run_killed_again_and_again_is_resumed_to_its_end(tmp_path, name):
    """Resumes may be killed too, in any row: what holds for one kill holds for several in a row."""
    rng = random.Random(20261101)
    found = {}
    for number in range(15):
        kills = [(rng.randint(1, most), rng.random() < 0.5) for most in (60, 25, 12)]
        run, ended = lived(name, tmp_path / str(number), kills)
        if run.faults() or ended is None:
            found[tuple(kills)] = run.faults()
    assert found == {}


@pytest.mark.parametrize("name", ["queue, probes, rejects", "confirmed and isolated"])
def test_a_resumed_run_judges_as_an_unbroken_one(tmp_path, name):
    """Verdicts, culprits included, are those of a run that nobody killed, but where the answer to a submit was lost."""

    def verdicts(run):
        result = document.build(run.history, {run.world.spec.target: run.world.spec})
        return {j.case.id: (j.call, j.verdict, [f.message for f in j.findings]) for j in result.targets[0].judged}

    expected = verdicts(lived(name, tmp_path / "whole", [])[0])
    rows, lost, same = rows_of(name, tmp_path / "rows"), 0, 0
    for after in range(2, rows, 5):
        run, _ = lived(name, tmp_path / str(after), [(after, True)])
        gone = {call.case.id for call in run.history.calls if call.reason == LOST}
        for case_id, (_, *found) in verdicts(run).items():
            if case_id in gone or (gone and name == "confirmed and isolated"):
                lost += 1  # a search may need just the answer that was lost
                continue
            same += 1
            assert found == list(expected[case_id][1:]), (after, case_id)
    assert same > lost


@pytest.mark.parametrize("name", ["queue, probes, rejects", "one answer each", "confirmed and isolated"])
def test_a_recording_that_was_killed_replays_as_it_was_resumed(tmp_path, name):
    """A cassette of a resumed recording, lost answers included, gives the recording's report and instants again."""
    rows, played = rows_of(name, tmp_path / "rows"), 0
    for after in range(2, rows, 7):
        for at_once in (True, False):
            place = tmp_path / f"{after}-{at_once}"
            run, _ = lived(name, place / "run", [(after, at_once)], source="record")
            if any(call.exchanges for call in run.history.calls):
                again = require_replayed(run, place / "cassettes")
                played += any(call.reason == LOST for call in again.calls)
    assert played > 0


def require_replayed(run, root):
    """The replay of a recording, which has to come to what the recording came to."""
    made = under_documented_origins(run.history, {run.world.spec.target: run.world.spec})
    recordings.kept(made, root)
    again = recordings.replayed_history(run.world.spec, root)
    assert recordings.report_of(again) == recordings.report_of(made)
    assert recordings.instants(again) == recordings.instants(made)
    return again


def test_a_kill_loses_no_more_than_the_answers_that_were_under_way(tmp_path):
    """What has an answer on record is finished; unknown are only the submits that had none, one for each in flight."""
    rows, unknown = rows_of("queue, probes, rejects", tmp_path / "whole"), []
    for after in range(1, rows, 3):
        run, _ = lived("queue, probes, rejects", tmp_path / str(after), [(after, True)])
        unknown += [(c.reason, c.billed) for c in run.history.calls if c.outcome is Outcome.UNKNOWN]
    lost = Counter(unknown)
    assert set(lost) == {(LOST, "unknown")}
    assert 0 < lost.total() <= 3 * len(range(1, rows, 3))


@pytest.mark.parametrize("at", [0.2, 1.5, 3.0, 5.0])
def test_an_interrupted_run_goes_on_with_its_jobs(tmp_path, at):
    """After a SIGINT the jobs in flight are unknown; a resume reads them to their end, and sends what was never sent."""

    async def main():
        run = begun("queue, probes, rejects", tmp_path / "run", source="record")
        first = await run.segment(interrupt=at)
        cut = [c for c in run.history.calls if c.reason == INTERRUPTED]
        await VirtualClock().sleep(50)
        second = await run.segment(shift_ns=-5)
        return run, first, second, cut

    (tmp_path / "run").mkdir()
    run, first, second, cut = run_virtual(main())
    assert (first.interrupted, second.interrupted, run.faults()) == (True, False, {})
    done = {call.id: call for call in run.history.calls}
    accepted = [call for call in cut if call.job_id]
    assert {done[call.id].outcome for call in accepted} <= {Outcome.COMPLETED}
    require_replayed(run, tmp_path / "cassettes")


def test_a_submit_that_an_interruption_held_back_is_not_sent_later_either():
    """A case that has an intent is done with, though its submit never left: it stays unknown, and free."""

    async def main():
        clock = VirtualClock()
        provider = Provider(clock, fakes.rate_limits(99, "2"))
        share = work(provider, clock, cases(1))

        async def meanwhile(engine, _):
            await asyncio.sleep(1)
            engine.interrupt(5)

        first = await fakes.run([share], meanwhile=meanwhile)
        (call,) = first.record.calls
        again = await fakes.run([replace(share, done=[call])])
        return provider.posts, call, again

    posts, call, again = run_virtual(main())
    assert (len(posts), call.billed, call.reason) == (1, "no", INTERRUPTED)
    assert (again.record.calls, again.ended.complete) == ([], True)


# --- what a cut-off call's record tells ------------------------------------------------------------------------------

ACCEPTED = Response(200, {"content-type": "application/json"}, b'{"request_id":"job-1","status":"IN_QUEUE"}')
NEVER_LEFT = Failure("refused", "nobody there", left=False)
CUT = Failure("interrupted", "cut", left=True)
LIMITED = Response(429, {}, b"{}")


def recorded(*steps, target=FAL, sent_ns=ARBITRARY_START_NS - 5 * NS):
    """A call that was cut off, with these steps and replies on record; submits count as attempts."""
    (case,) = cases(1, target=target)
    contract = spec(target)
    exchanges = []
    urls = {"submit": HOME + contract.default_flow.submit.operation.path}
    for name in ("status", "result", "cancel"):
        step = contract.default_flow.steps().get(name)
        urls[name] = HOME + (step.path({"request_id": "job-1"}) or "") if step else ""
    for number, (step, reply) in enumerate(steps):
        body = encode(body_of(contract)) if step == "submit" else None
        method = {"submit": "POST", "cancel": "PUT"}.get(step, "GET")
        at = sent_ns + number
        exchanges.append(
            Exchange("c000007", case.id, step, 1, method, urls[step], {}, body, reply, at, at, at, at)
        )  # fmt: skip
    attempts = iter(range(1, 99))
    numbered = [replace(e, attempt=next(attempts)) if e.step == "submit" else e for e in exchanges]
    return Call("c000007", case, tuple(numbered), Outcome.UNKNOWN, None, "unknown", 1, CUT_OFF)


def gone_on(call, script=None, *, number=1, limit="1.00", options=None, **more):
    """A run that goes on with one call that was cut off; the provider knows its job, which ends in three seconds."""

    async def main():
        clock = VirtualClock()
        provider = Provider(clock, script)
        provider._ready["job-1"] = clock.now_ns() + 3 * NS
        share = work(provider, clock, cases(number), **more)
        ledger = Ledger(Decimal(limit), reserved=call.case.usd)
        record = fakes.Record(clock)
        engine = Engine(clock, record, ledger, options or Options(confirm=False))
        ended = await engine.run([replace(share, unfinished=[call])])
        return provider, record, ledger, ended, (clock.now_ns() - ARBITRARY_START_NS) / NS

    return run_virtual(main())


@pytest.mark.parametrize(
    ("steps", "expected", "reads"),
    [
        ([], ("unknown", "unknown"), False),
        ([("submit", LIMITED)], ("unknown", "unknown"), False),
        ([("submit", NEVER_LEFT)], ("unknown", "unknown"), False),
        ([("submit", LIMITED)] * (RETRY_TRIES - 1), ("unknown", "unknown"), False),
        ([("submit", LIMITED)] * RETRY_TRIES, ("unknown", "no"), False),
        ([("submit", NEVER_LEFT)] * UNREACHABLE_TRIES, ("unknown", "no"), False),
        ([("submit", replace(CUT, left=False))], ("unknown", "no"), False),
        ([("submit", CUT)], ("unknown", "unknown"), False),
        ([("submit", Failure("reset", "gone", left=True))], ("unknown", "unknown"), False),
        ([("submit", Response(500, {}, b"oops"))], ("unknown", "unknown"), False),
        ([("submit", Response(401, {}, b"{}"))], ("unknown", "no"), False),
        ([("submit", Response(422, {}, b"{}"))], ("rejected", "no"), False),
        ([("submit", Response(200, {}, b"not json"))], ("failed", "yes"), False),
        ([("submit", ACCEPTED)], ("completed", "yes"), True),
        ([("submit", LIMITED), ("submit", ACCEPTED)], ("completed", "yes"), True),
        (
            [("submit", ACCEPTED), ("status", Response(200, {}, b'{"status":"IN_PROGRESS"}'))],
            ("completed", "yes"),
            True,
        ),
        ([("submit", ACCEPTED), ("status", CUT), ("status", CUT)], ("completed", "yes"), True),
        ([("submit", ACCEPTED), ("status", Response(401, {}, b"{}"))], ("unknown", "unknown"), False),
        ([("submit", ACCEPTED), ("cancel", Response(202, {}, b"{}"))], ("unknown", "unknown"), False),
    ],
)
def test_a_cut_off_call_ends_as_its_record_makes_certain(steps, expected, reads):
    """The table in ``harness.engine``: what is certain decides outcome and charge, and no body leaves in any row."""
    provider, record, ledger, ended, _ = gone_on(recorded(*steps))
    (call,) = record.calls
    assert ((call.outcome.value, call.billed), call.id) == (expected, "c000007")
    assert (provider.posts, bool(provider.seen), ended.complete, ended.stopped) == ([], reads, True, {})
    price = {expected[1]: Decimal("0.04")}
    assert (ledger.billed, ledger.unknown, ledger.reserved) == (price.get("yes", 0), price.get("unknown", 0), 0)


def test_recorded_answers_are_fed_and_not_asked_for_again():
    """A job whose answers are all on record ends without a request, whatever the provider says by now."""
    done, result = Response(200, {}, b'{"status":"COMPLETED"}'), b'{"images":[{"url":"' + fakes.PIXEL.encode() + b'"}]}'
    call = recorded(("submit", ACCEPTED), ("status", done), ("result", Response(200, {}, result)))
    provider, record, *_, lasted = gone_on(call, fakes.refuses_key)
    assert (provider.seen, record.calls[0].outcome, lasted) == ([], Outcome.COMPLETED, 0)
    assert (record.exchanges, record.calls[0].exchanges) == ([], call.exchanges)


def test_a_cut_off_job_is_asked_at_once():
    """Nobody has looked at the job for a while: its first read waits for no poll interval."""
    provider, *_ = gone_on(recorded(("submit", ACCEPTED)))
    assert provider.seen[0] == (ARBITRARY_START_NS, "GET", "/fal-ai/flux-pro/requests/job-1/status")


@pytest.mark.parametrize("late", [1.0, 299.0, 301.0, 1e6])
def test_a_job_whose_deadline_passed_unseen_is_read_before_it_is_given_up(late):
    """A job found completed after its deadline is completed; one that is not gets a request's time, and no more."""
    call = recorded(("submit", ACCEPTED), sent_ns=ARBITRARY_START_NS - round(late * NS))
    _, record, *_ = gone_on(call)
    assert record.calls[0].outcome is Outcome.COMPLETED
    provider, record, *_, lasted = gone_on(call, fakes.never_completes)
    assert (record.calls[0].outcome, record.calls[0].reason) == (Outcome.UNKNOWN, f"{PAST_DEADLINE} 300 s")
    assert lasted == max(300 - late, REQUEST_SECONDS)
    assert [method for _, method, _ in provider.seen].count("PUT") == 1


def test_a_fixed_step_longer_than_the_grace_does_not_keep_a_job_from_being_read():
    """Whatever the poll interval, a job is read at once, and a last time before it is called expired."""
    options = Options(confirm=False, schedule=Schedule(fixed=500.0))
    call = recorded(("submit", ACCEPTED), sent_ns=ARBITRARY_START_NS - 10**6 * NS)
    provider, *_ = gone_on(call, fakes.never_completes, options=options)
    assert [method for _, method, _ in provider.seen] == ["GET", "GET", "PUT"]


def test_new_cases_wait_for_the_money_that_cut_off_calls_hold():
    """A case that fits only once a cut-off job turns out to be free is sent then; after a paid one the budget is spent."""

    async def refuses_late(provider, request):
        if request.method == "GET" and not request.url.path.endswith("/status") and len(provider.posts) == 0:
            return httpx.Response(422, json={"detail": "no"})
        return await provider.healthy(request)

    provider, _, ledger, ended, _ = gone_on(recorded(("submit", ACCEPTED)), refuses_late, number=2, limit="0.04")
    assert (len(provider.posts), ledger.billed, ended.complete) == (1, Decimal("0.04"), True)
    provider, _, ledger, ended, _ = gone_on(recorded(("submit", ACCEPTED)), number=2, limit="0.04")
    assert (len(provider.posts), ledger.billed) == (0, Decimal("0.04"))
    assert ended.stopped == {FAL: "the budget of 0.04 USD is spent"}


def test_calls_go_on_being_numbered_and_a_lost_5xx_is_confirmed_once():
    """Call ids do not collide; a 5xx on record is confirmed in the next segment, and never a second time."""
    broken = recorded(("submit", Response(500, {}, b"oops")))
    options = Options()
    provider, record, *_ = gone_on(broken, number=2, options=options)
    assert sorted(c.id for c in record.calls) == ["c000007", "c000008", "c000009"]
    assert ([c.derived for c in record.calls].count("confirmation"), len(provider.posts)) == (1, 2)

    async def main():
        clock = VirtualClock()
        provider = Provider(clock)
        share = replace(work(provider, clock, cases(2)), done=list(record.calls))
        return provider, await fakes.run([share], options=options)

    provider, run = run_virtual(main())
    assert (provider.posts, run.record.calls, run.ended.complete) == ([], [], True)


def test_what_was_read_from_the_simulator_stays_simulated(tmp_path):
    """A segment that has nothing to send still knows from the record whom the run talked to."""

    async def main():
        run = begun("one at a time", tmp_path)
        await run.segment()
        return await run.segment()

    ended = run_virtual(main())
    assert (ended.simulated, ended.complete, len(read(tmp_path).headers)) == (True, True, 2)
