import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model import State, Wait
from harness.schedule import FIRST_JOBS, RETRY_CAP_SECONDS, RETRY_TRIES, Learnt, Pacer, Schedule, retry_delay


@pytest.mark.parametrize(
    ("said", "expected"),
    [("0", 0.0), ("7", 7.0), (" 7 ", 7.0), ("60", 60.0), ("61", 60.0), ("999999", 60.0)],
)
def test_retry_after_in_seconds_is_heeded_and_capped(said, expected):
    """A Retry-After of whole seconds is waited for, up to the cap."""
    assert retry_delay(1, said, random.Random(0)) == expected


@pytest.mark.parametrize(
    "said",
    ["-1", "nan", "inf", "1e9", "1.5", "", "soon", "9999999", "٣", "Fri, 20 Nov 2026 10:00:00 GMT", "0x10", "1 2"],
)
def test_any_other_retry_after_is_only_noise(said):
    """Negative, fractional, absurd, dated or worded values fall back to the exponential wait without a failure."""
    assert retry_delay(2, said, random.Random(3)) == retry_delay(2, None, random.Random(3))


@given(tries=st.integers(1, RETRY_TRIES), said=st.none() | st.text(max_size=12), seed=st.integers())
def test_every_wait_before_a_retry_is_bounded(tries, said, seed):
    """Whatever a server says, a wait lies between nothing and the cap."""
    assert 0 <= retry_delay(tries, said, random.Random(seed)) <= RETRY_CAP_SECONDS


@given(waited=st.floats(0, 1e6), seed=st.integers())
def test_an_adaptive_poll_is_within_a_step(waited, seed):
    """An adaptive delay is never longer than the ceiling, nor than the step for the time already waited."""
    schedule = Schedule()
    delay = Pacer(schedule, random.Random(seed)).delay(Wait("queued"), waited)
    assert 0 <= delay <= min(schedule.ceiling, max(schedule.floor, schedule.share * waited))


def test_a_fixed_step_has_a_fresh_phase_whenever_the_state_changes():
    """With a fixed interval the first poll of each state is at a random phase, the following ones a whole step apart."""
    pacer = Pacer(Schedule(fixed=2.0), random.Random(1))
    states: tuple[State, ...] = ("queued", "queued", "queued", "running", "running", "completed")
    delays = [pacer.delay(Wait(state), 0.0) for state in states]
    phases = random.Random(1)
    first, second, third = (phases.random() * 2.0 for _ in range(3))
    assert delays == [first, 2.0, 2.0, second, 2.0, third]


def test_phases_spread_over_the_whole_step():
    """First phases are spread evenly: a tenth of the step holds about a tenth of them."""
    rng = random.Random(5)
    firsts = [Pacer(Schedule(fixed=1.0), rng).delay(Wait("queued"), 0.0) for _ in range(2000)]
    counts = [sum(n / 10 <= f < (n + 1) / 10 for f in firsts) for n in range(10)]
    assert (min(counts) > 140, max(counts) < 260) == (True, True)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(), {"kind": "adaptive", "floor_s": 0.05, "ceiling_s": 2.0, "share": 0.2}),
        (Schedule(fixed=1.5), {"kind": "fixed", "step_s": 1.5, "phase": "random"}),
    ],
)
def test_a_schedule_describes_itself(schedule, expected):
    """The report shows the schedule that was used."""
    assert schedule.describe() == expected


# --- what is learnt --------------------------------------------------------------------------------------------------


def taught(durations: list[tuple[float, float]], *, seen: float = 0.2) -> Learnt:
    """A target whose jobs had these queues and inferences, each seen to within ``seen`` seconds."""
    learnt = Learnt()
    for queue, inference in durations:
        bounds = {name: (at - seen / 2, at + seen / 2) for name, at in (("queue", queue), ("inference", inference))}
        learnt.saw({"submit": (0.1, 0.1), **bounds, "total": (0.1 + queue + inference - seen, 0.1 + queue + inference)})
    return learnt


def spread_out(n: int, median: float, sigma: float) -> list[float]:
    rng = random.Random(n)
    return [median * rng.lognormvariate(0, sigma) for _ in range(n)]


def test_nothing_is_expected_of_fewer_than_five_jobs():
    """Until then polls are adaptive; from then on there is a silence."""
    jobs = [(2.0, 10.0)] * 5
    assert taught(jobs[:4]).expected("queue") is None
    assert taught(jobs).expected("queue") is not None


def test_silence_and_step_follow_from_median_and_spread():
    """Of durations around ten seconds with a deviation of three: a step below it, silence until some steps before ten."""
    expected = taught([(2.0, each) for each in spread_out(300, 10.0, 0.3)]).expected("inference")
    assert expected is not None
    assert (2.0 < expected.step < 3.0, 3.0 < expected.silence < 5.0) == (True, True)


def test_steady_jobs_are_asked_late_and_often():
    """Without a spread the step is a twentieth of the median, and the polls begin shortly before it."""
    expected = taught([(2.0, 10.0)] * 300).expected("inference")
    assert expected is not None
    assert (expected.step, 8.0 < expected.silence < 9.0) == (0.5, True)


def test_cold_starts_do_not_widen_everybodys_step():
    """A tenth of the jobs takes five times as long: the quartiles do not mind."""
    steady = spread_out(200, 10.0, 0.1)
    cold = [each * (5 if number % 10 == 0 else 1) for number, each in enumerate(steady)]
    plain, mixed = (taught([(2.0, each) for each in jobs]).expected("inference") for jobs in (steady, cold))
    assert plain is not None
    assert mixed is not None
    assert mixed.step < 1.5 * plain.step


def test_a_silence_that_was_too_long_is_halved():
    """When the durations fall to a tenth, most jobs are done at their first poll: the polls begin earlier."""
    learnt = taught([(2.0, 10.0)] * 60)
    before = learnt.expected("inference")
    for _ in range(60):
        learnt.saw({"submit": (0.1, 0.1), "queue": (1.9, 2.1), "inference": (0.0, 8.0), "total": (0.1, 8.0)})
    after = learnt.expected("inference")
    assert before is not None
    assert after is not None
    assert after.silence < 0.6 * before.silence


def test_a_learnt_schedule_is_silent_then_random_then_steady():
    """In each stage anew: a fresh phase when the job is seen running. One of ``total`` does not care about the queue."""
    learnt = taught([(2.0, 10.0)] * 300)
    pacer = Pacer(replace(FIRST_JOBS, learns="phases"), random.Random(1), learnt)
    queue, inference = learnt.expected("queue"), learnt.expected("inference")
    assert queue is not None
    assert inference is not None
    delays = [pacer.delay(Wait("queued"), 0.0), pacer.delay(Wait("queued"), 2.0), pacer.delay(Wait("running"), 2.5)]
    assert queue.silence <= delays[0] <= queue.silence + queue.step
    assert delays[1] == queue.step
    assert inference.silence <= delays[2] <= inference.silence + inference.step
    assert pacer.delay(Wait("running"), 12.0) == inference.step
    whole = Pacer(replace(FIRST_JOBS, learns="total"), random.Random(1), learnt)
    total = learnt.expected("total")
    assert total is not None
    assert whole.delay(Wait("queued"), 0.0) >= total.silence
    assert whole.delay(Wait("running"), 11.0) == total.step
