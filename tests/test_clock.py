import asyncio
import socket
import time

import pytest

from harness.clock import ARBITRARY_START_NS, NS, RealClock, Stall, VirtualClock, run_virtual

STARTS = (1, ARBITRARY_START_NS, 1_764_000_000 * NS + 7)


@pytest.mark.parametrize("start_ns", STARTS)
def test_virtual_time_jumps_from_timer_to_timer(start_ns):
    """A day of virtual sleeping takes no real time and ends at the exact nanosecond, wherever the clock starts."""

    async def main():
        clock = VirtualClock()
        before = clock.now_ns()
        await clock.sleep(86_400.0)
        return before, clock.now_ns() - before

    began = time.monotonic()
    assert run_virtual(main(), start_ns) == (start_ns, 86_400 * NS)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("start_ns", STARTS)
def test_timers_fire_in_order_of_their_instants(start_ns):
    """Concurrent sleepers wake in the order of their instants, at the microsecond asked for."""

    async def main():
        clock, woken = VirtualClock(), []

        async def sleeper(seconds):
            await clock.sleep(seconds)
            woken.append((seconds, round((clock.now_ns() - start_ns) / 1000)))

        await asyncio.gather(*map(sleeper, (2.5, 0.000_25, 60.0, 1.0)))
        return woken

    expected = [(s, round(s * 1_000_000)) for s in (0.000_25, 1.0, 2.5, 60.0)]
    assert run_virtual(main(), start_ns) == expected


def test_zero_and_negative_sleeps_only_yield():
    """Sleeping for nothing, or for less, gives others a turn and moves no clock."""

    async def main():
        clock, before = VirtualClock(), VirtualClock().now_ns()
        await clock.sleep(0)
        await clock.sleep(-5)
        return clock.now_ns() - before

    assert run_virtual(main()) == 0


def test_a_wait_that_nobody_can_end_is_a_stall():
    """When every task waits and no timer is set, virtual time raises instead of hanging."""
    with pytest.raises(Stall, match="every task waits"):
        run_virtual(asyncio.Event().wait())


def test_real_io_is_refused_under_virtual_time():
    """A virtual loop refuses to open a socket: its timeouts would fire at once."""

    async def main():
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            await asyncio.open_connection(*listening.getsockname())

    with pytest.raises(RuntimeError, match="no I/O"):
        run_virtual(main())


def test_a_virtual_clock_needs_a_virtual_loop():
    """Asking a virtual clock for the time under an ordinary loop is an error, not a wrong number."""

    async def main():
        return VirtualClock().now_ns()

    with pytest.raises(RuntimeError, match="VirtualLoop"):
        asyncio.run(main())


def test_the_real_clock_is_monotonic_and_sleeps():
    """The real clock's instants never go back, and a sleep takes at least what was asked."""

    async def main():
        clock = RealClock()
        before = clock.now_ns()
        await clock.sleep(0.01)
        return clock.now_ns() - before

    assert asyncio.run(main()) >= 10_000_000 - 1_000_000
