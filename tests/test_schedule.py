import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.model import State, Wait
from harness.schedule import RETRY_CAP_SECONDS, RETRY_TRIES, Pacer, Schedule, retry_delay


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
