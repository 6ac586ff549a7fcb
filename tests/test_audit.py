"""When a client was too slow to measure: the rule as a table, and what counts as a late start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.audit import Watch, judged, missed, over
from harness.clock import VirtualClock, run_virtual
from harness.history import MemoryJournal
from harness.run import HistoryRecorder
from tests.calls import exchange

MS = 0.001
LOOP, START = "the event loop of the harness was late", "requests left late"


def audit(loop: float | None, start: float | None) -> dict[str, Any]:
    return {"valid": True, "reasons": [], "loop_lag_p99_s": loop, "start_lag_p99_s": start, "cpu_share": 0.5}


@pytest.mark.parametrize(
    ("loop", "start", "medians", "late"),
    [
        pytest.param(50 * MS, 50 * MS, {"a": 5.0}, [], id="one per cent itself is in time"),
        pytest.param(50.1 * MS, 1 * MS, {"a": 5.0}, [LOOP], id="the loop alone"),
        pytest.param(1 * MS, 50.1 * MS, {"a": 5.0}, [START], id="the starts alone"),
        pytest.param(60 * MS, 70 * MS, {"a": 5.0}, [LOOP, START], id="both"),
        pytest.param(2 * MS, 2 * MS, {"a": 0.01}, [], id="two milliseconds are always in time"),
        pytest.param(2.1 * MS, 0.0, {"a": 0.01}, [LOOP], id="over two milliseconds of a fast target"),
        pytest.param(20 * MS, 0.0, {"a": 60.0, "b": 1.0}, [LOOP], id="the fastest target decides"),
        pytest.param(20 * MS, 0.0, {"a": 60.0, "b": 3.0}, [], id="and is content"),
        pytest.param(None, None, {"a": 5.0}, [], id="no lag was measured"),
        pytest.param(9.0, 9.0, {}, [], id="no latency was measured"),
        pytest.param(9.0, 9.0, {"a": float("inf")}, [], id="most jobs never ended: no figure to spoil"),
        pytest.param(9.0, 0.0, {"a": float("inf"), "b": 1.0}, [LOOP], id="unless another target's did"),
    ],
)  # fmt: skip
def test_a_lag_over_one_per_cent_of_the_median_or_two_milliseconds_is_invalid(
    loop: float | None, start: float | None, medians: dict[str, float], late: list[str]
) -> None:
    """Each lag has its reason; nothing but the verdict and the reasons is changed."""
    raw = audit(loop, start)
    found = judged(raw, medians)
    assert (not late, late) == (found["valid"], [reason.partition(",")[0] for reason in found["reasons"]])
    assert raw == audit(loop, start)
    assert raw == {**found, "valid": True, "reasons": []}


def test_a_reason_names_the_figures() -> None:
    """The lag, the limit and where the limit comes from."""
    one, two = (
        judged(audit(31 * MS, 0), {"fal/x": 0.5, "b/y": 9})["reasons"],
        judged(audit(3 * MS, 0), {"fal/x": 0.1})["reasons"],
    )
    assert one == [f"{LOOP}, by 31.0 ms at the 99th percentile; the limit is 5.0 ms (1 % of the median total of fal/x)"]
    assert two == [
        f"{LOOP}, by 3.0 ms at the 99th percentile; the limit is 2.0 ms (1 % of the median total of fal/x is less)"
    ]


def test_a_stop_counts_with_every_tick_that_it_missed() -> None:
    """A tenth of a second of standing still is five late ticks and not one; a tick in time is one."""
    assert [round(lag, 3) for lag in missed(0.1)] == [0.1, 0.08, 0.06, 0.04, 0.02, 0.0]
    assert (missed(0.0), missed(0.019)) == ([0.0], [0.019])


def test_an_open_loop_at_its_cap_is_not_valid() -> None:
    """Whatever its lags are; the reason says what to change."""
    found = judged(audit(0, 0), {"a": 5.0}, {"a": 8})
    assert (found["valid"], found["reasons"]) == (
        False,
        ["a had 8 jobs in flight, which is the cap of its open loop: raise --concurrency or lower --rate"],
    )


def test_a_run_that_was_gone_on_with_was_as_late_as_its_worst_segment() -> None:
    """Each figure is the largest of its segments', one that has none counts for nothing; a killed one makes it invalid."""
    first, second = audit(9 * MS, 0) | {"start_lag_p99_s": None}, audit(0, 7 * MS)
    found = over([first, second])
    assert (found["loop_lag_p99_s"], found["start_lag_p99_s"]) == (9 * MS, 7 * MS)
    assert over([]) == {
        "valid": True,
        "reasons": [],
        "loop_lag_p99_s": None,
        "start_lag_p99_s": None,
        "cpu_share": None,
    }
    whole, killed = (judged(over([None, audit(0, 0)]), {"a": 5.0}, killed=one) for one in (False, True))
    assert (whole["valid"], killed["valid"], killed["reasons"]) == (
        True,
        False,
        ["a part of the run was killed before it could say how late it was"],
    )


def test_only_submits_can_leave_late() -> None:
    """Ten polls in time do not hide one submit that was not."""

    async def main() -> list[float]:
        watch = Watch(VirtualClock())
        recorder = HistoryRecorder(MemoryJournal(), (), watch)
        recorder.exchange(replace(exchange("submit", 1.0, 2.0, {}), intended_ns=0, sent_ns=80_000_000))
        for second in range(10):
            recorder.exchange(exchange("status", second, second + 0.1, {}))
        return watch.start_lags

    assert run_virtual(main()) == [0.08]


def test_opening_a_connection_is_no_late_start() -> None:
    """What a handshake takes is the network's; only the rest of the way from intended to sent is the client's."""

    async def main() -> list[float]:
        watch = Watch(VirtualClock())
        recorder = HistoryRecorder(MemoryJournal(), (), watch)
        one = replace(exchange("submit", 1.0, 2.0, {}), intended_ns=0, sent_ns=80_000_000)
        for opened in (0, 79_000_000):
            recorder.exchange(replace(one, connect_ns=opened))
        return watch.start_lags

    assert run_virtual(main()) == [0.08, 0.001]
