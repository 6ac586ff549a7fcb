"""The harness watches itself: a client that lags would report its own lag as a provider's latency.

``loop_lag_p99_s`` is how late the event loop runs a timer, ``start_lag_p99_s`` how late a request leaves after it was
wanted on an open connection, ``cpu_share`` the part of one core that this process used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from harness.clock import NS, Clock, cpu_seconds
from harness.model import Json

SAMPLE_SECONDS = 0.02


class Watch:
    """Samples the event loop while a run lasts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lags: list[float] = []
        self.start_lags: list[float] = []
        self._began_ns, self._cpu = clock.now_ns(), cpu_seconds()

    async def sample(self) -> None:
        """Sample until cancelled."""
        while True:
            before = self._clock.now_ns()
            await self._clock.sleep(SAMPLE_SECONDS)
            self._lags.append(max(0.0, (self._clock.now_ns() - before) / NS - SAMPLE_SECONDS))
            await asyncio.sleep(0)

    def audit(self) -> Json:
        """The audit as report.json shows it; it is judged in measuring runs only, and here just shown."""
        seconds = (self._clock.now_ns() - self._began_ns) / NS
        share = (cpu_seconds() - self._cpu) / seconds if seconds > 0 else None
        return {
            "valid": True,
            "reasons": [],
            "loop_lag_p99_s": _p99(self._lags),
            "start_lag_p99_s": _p99(self.start_lags),
            "cpu_share": None if share is None else round(share, 4),
        }


def _p99(values: Sequence[float]) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 6) if ordered else None
