"""The only owner of time: a real clock, and a virtual one for an event loop that never waits.

Rules
-----
* Instants are integers, nanoseconds on one monotonic clock; durations are seconds. Wall-clock time is read only to
  label a run, never to measure.
* ``VirtualLoop`` runs asyncio code with no I/O: when nothing is ready it jumps to the next timer. When there is no
  timer either, nobody can ever wake it: it raises ``Stall`` instead of hanging.
* A virtual clock starts at an arbitrary instant and never at zero, because a deadline computed against zero works
  by accident.
* Real I/O under a virtual clock is a mistake (its timeouts fire at once); a virtual loop refuses to open a socket.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
NS = 1_000_000_000
ARBITRARY_START_NS = 86_399 * NS + 123_456_789


class Clock(Protocol):
    """What the engine, the transport and the simulator know of time."""

    def now_ns(self) -> int:
        """The present instant, in nanoseconds on this clock."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; zero and less only yield."""
        ...

    async def until(self, instant_ns: int) -> None:
        """Wait for an instant; one that has passed only yields."""
        ...


class RealClock:
    """The machine's monotonic clock."""

    def now_ns(self) -> int:
        """The present instant, in nanoseconds since an arbitrary one."""
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        """Wait on the running event loop."""
        await asyncio.sleep(max(0.0, seconds))

    async def until(self, instant_ns: int) -> None:
        """Wait for an instant on the running event loop."""
        await self.sleep((instant_ns - self.now_ns()) / NS)


class VirtualClock:
    """The clock of the running ``VirtualLoop``."""

    def now_ns(self) -> int:
        """The loop's present instant, exact."""
        return _virtual_loop().now_ns

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await asyncio.sleep(max(0.0, seconds))

    async def until(self, instant_ns: int) -> None:
        """Wait for an instant, and be there to the nanosecond.

        The loop's timers are floats: a last step of a nanosecond or two makes up for their rounding.
        """
        while (left := instant_ns - self.now_ns()) > 0:
            await self.sleep(left / NS)


def wall_time() -> datetime:
    """The present date and time in UTC, to label a run with."""
    return datetime.now(UTC)


def monotonic_seconds() -> float:
    """The machine's monotonic clock in seconds, for code without an event loop."""
    return time.monotonic()


def cpu_seconds() -> float:
    """Processor time that this process has used so far, in seconds."""
    return time.process_time()


class Stall(RuntimeError):
    """Under virtual time every task waits for something that no timer will bring."""


class _JumpingSelector(selectors.BaseSelector):
    """A selector that advances the virtual clock instead of waiting; it serves the loop's own wake-up pipe only."""

    def __init__(self, start_ns: int) -> None:
        self.now_ns = start_ns
        self._inner = selectors.DefaultSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch the loop's own pipe; anything else would be real I/O."""
        if self._inner.get_map():
            message = "a virtual loop has no I/O: use the in-process simulator or a cassette"
            raise RuntimeError(message)
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Stop watching the loop's own pipe."""
        return self._inner.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; when nothing is, time moves on by ``timeout`` at once."""
        ready = self._inner.select(0)
        if ready:
            return ready
        if timeout is None:
            message = "every task waits and no timer is set"
            raise Stall(message)
        self.now_ns += max(0, round(timeout * NS))
        return []

    def close(self) -> None:
        """Release the inner selector."""
        self._inner.close()

    def get_map(self) -> Any:
        """The watched files."""
        return self._inner.get_map()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is a number."""

    def __init__(self, start_ns: int = ARBITRARY_START_NS) -> None:
        self._start_ns = start_ns
        self._jumping = _JumpingSelector(start_ns)
        super().__init__(self._jumping)
        self._clock_resolution = 1 / NS

    @property
    def now_ns(self) -> int:
        """The present virtual instant, in nanoseconds."""
        return self._jumping.now_ns

    def time(self) -> float:
        """Virtual seconds since the loop was made.

        asyncio compares these floats: counted from the start they keep their nanoseconds, whatever the start is.
        """
        return (self._jumping.now_ns - self._start_ns) / NS


def _virtual_loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        message = "a virtual clock needs a running VirtualLoop"
        raise RuntimeError(message)  # noqa: TRY004 - the state is wrong, not an argument's type
    return loop


def run_virtual(main: Coroutine[Any, Any, T], start_ns: int = ARBITRARY_START_NS) -> T:
    """Run a coroutine to its end in virtual time.

    Raises:
        Stall: every task waits and no timer is set.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start_ns)) as runner:
        return runner.run(main)
