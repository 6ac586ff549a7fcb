"""The queue on paper."""

from __future__ import annotations

import pytest

from harness.simulator.queue import Queue

START = 86_399_123


def test_states_follow_the_clock():
    """A job is queued, running and completed at the instants that its durations give."""
    ticket = Queue(1).enter("a", START, 10, 20)
    assert [ticket.state(START + t) for t in (0, 9, 10, 29, 30)] == [
        "queued",
        "queued",
        "running",
        "running",
        "completed",
    ]


@pytest.mark.parametrize(("capacity", "finishes"), [(1, [10, 20, 30, 40]), (2, [10, 10, 20, 20]), (9, [10] * 4)])
def test_capacity_bounds_what_runs_at_once(capacity, finishes):
    """Four jobs of ten at once take as long as the places allow."""
    queue = Queue(capacity)
    assert [queue.enter(str(n), START, 0, 10).finish - START for n in range(4)] == finishes


def test_position_counts_earlier_jobs_that_wait_and_only_falls():
    """The third of three jobs on one place sees two, one and none ahead of it."""
    queue = Queue(1)
    for job in "abc":
        queue.enter(job, START, 5, 10)
    assert [queue.ahead("c", START + t) for t in (0, 5, 15, 25)] == [2, 1, 0, 0]


def test_cancelling_moves_the_others_up():
    """The place of a cancelled job is free at once."""
    queue = Queue(1)
    for job in "abc":
        queue.enter(job, START, 0, 10)
    assert queue.cancel("b", START + 3)
    assert queue.tickets["b"].state(START + 3) == "cancelled"
    assert queue.tickets["c"].start == START + 10
    assert queue.cancel("a", START + 4)
    assert queue.tickets["c"].start == START + 4


def test_cancelling_twice_or_too_late_does_nothing():
    """A job that is over cannot be cancelled."""
    queue = Queue(1)
    queue.enter("a", START, 0, 10)
    assert not queue.cancel("a", START + 10)
    assert queue.tickets["a"].state(START + 10) == "completed"
    queue.enter("b", START + 10, 0, 10)
    assert [queue.cancel("b", START + 11), queue.cancel("b", START + 11)] == [True, False]


def test_cancelling_keeps_the_running_jobs_places():
    """Two running jobs keep both places when a third that waits is cancelled."""
    queue = Queue(2)
    for job in "abcd":
        queue.enter(job, START, 0, 10)
    queue.cancel("c", START + 1)
    assert queue.tickets["d"].start == START + 10
