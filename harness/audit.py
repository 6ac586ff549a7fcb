"""The harness watches itself: a client that lags would report its own lag as a provider's latency.

Rules
-----
* ``loop_lag_p99_s`` is how late the event loop runs a timer, ``start_lag_p99_s`` how late a submit leaves after it was
  wanted on an open connection (what opening one takes is the network's), ``cpu_share`` the part of one core that this
  process used. Polls are no part of the second: they are many, on time when they leave, and would hide the submits.
* The loop is asked at every tick. A process that stood still for a second missed fifty ticks and not one: each of them
  counts, by what it was late, or a stop would hide in its own silence.
* A run that measures a provider is invalid when one of the lags is over 1 % of the median ``total``, or over 2 ms where
  that is more. Of several targets the fastest one decides: its latencies are the first to be spoilt. So is an open loop
  that had as many jobs in flight as its cap allows: what was sent was not what was wanted.
* A run that was gone on with was as late as the worst of its segments. One of them that was killed never said, and its run
  is invalid too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from harness.clock import NS, Clock, cpu_seconds
from harness.model import Call, Json

SAMPLE_SECONDS = 0.02
LAG_SHARE, LEAST_LAG_SECONDS = 0.01, 0.002
LAGS: Mapping[str, str] = {
    "loop_lag_p99_s": "the event loop of the harness was late",
    "start_lag_p99_s": "requests left late",
}
KILLED = "a part of the run was killed before it could say how late it was"


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
            lag = max(0.0, (self._clock.now_ns() - before) / NS - SAMPLE_SECONDS)
            self._lags += missed(lag)
            await asyncio.sleep(0)

    def audit(self) -> Json:
        """The audit as report.json shows it, not judged yet."""
        seconds = (self._clock.now_ns() - self._began_ns) / NS
        share = (cpu_seconds() - self._cpu) / seconds if seconds > 0 else None
        return {
            "valid": True,
            "reasons": [],
            "loop_lag_p99_s": _p99(self._lags),
            "start_lag_p99_s": _p99(self.start_lags),
            "cpu_share": None if share is None else round(share, 4),
        }


def missed(lag: float) -> list[float]:
    """The lag of a tick, in seconds, and of each further one that should have come in the meantime."""
    return [lag - tick * SAMPLE_SECONDS for tick in range(1 + int(lag / SAMPLE_SECONDS))]


def over(audits: Sequence[Json]) -> Json:
    """The audit of a whole run from those of its segments: the worst of each figure. None is a segment that was killed."""
    told = [audit for audit in audits if audit is not None]
    reasons = list(dict.fromkeys(reason for audit in told for reason in audit["reasons"]))
    figures = {
        name: max((audit[name] for audit in told if audit[name] is not None), default=None)
        for name in (*LAGS, "cpu_share")
    }
    return {"valid": not reasons, "reasons": reasons, **figures}


def judged(
    audit: Mapping[str, Json],
    medians: Mapping[str, float],
    capped: Mapping[str, int] | None = None,
    *,
    killed: bool = False,
) -> Json:
    """The audit of a run that measures, with its verdict and the reasons for it.

    ``medians`` is the median ``total`` of each target in seconds, infinite where most jobs never ended; without one,
    nothing was measured and no lag is judged. ``capped`` maps the targets whose open loop met its cap to that cap.
    ``killed`` tells that a segment of the run was killed before it could say how late it was.
    """
    reasons = [
        f"{target} had {cap} jobs in flight, which is the cap of its open loop: raise --concurrency or lower --rate"
        for target, cap in (capped or {}).items()
    ]
    if medians:
        reasons = [*_late(audit, medians), *([KILLED] if killed else []), *reasons]
    return {**audit, "valid": not reasons, "reasons": reasons}


def _late(audit: Mapping[str, Json], medians: Mapping[str, float]) -> Iterable[str]:
    fastest = min(medians, key=medians.__getitem__)
    limit = max(LAG_SHARE * medians[fastest], LEAST_LAG_SECONDS)
    share = f"{LAG_SHARE * 100:g} % of the median total of {fastest}"
    said = share if limit > LEAST_LAG_SECONDS else f"{share} is less"
    for name, what in LAGS.items():
        lag = audit[name]
        if lag is not None and lag > limit:
            yield f"{what}, by {lag * 1000:.1f} ms at the 99th percentile; the limit is {limit * 1000:.1f} ms ({said})"


def most_in_flight(calls: Iterable[Call]) -> int:
    """How many jobs were under way at once, each from the instant at which its submit was wanted to its last answer."""
    moves: list[tuple[int, int]] = []
    for call in calls:
        job = call.of("submit", "status", "result")
        if job:
            moves += [(job[0].intended_ns, 1), (max(exchange.received_ns for exchange in job), -1)]
    running = most = 0
    for _, move in sorted(moves):
        running += move
        most = max(most, running)
    return most


def _p99(values: Sequence[float]) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 6) if ordered else None
