"""When the jobs of one account run: a queue with a capacity, worked out on paper instead of waited for.

Rules
-----
* A job's instants follow from its arrival, its two durations and the jobs before it. Nothing sleeps here and no task
  runs: what state a job is in is a question about an instant, so a virtual clock and a busy event loop cannot
  disagree with it.
* Places are given in order of arrival. A job waits its own queue time, and then for the first free place.
* Cancelling frees the place at once; those still waiting move up.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace

from harness.model import State


@dataclass(frozen=True, slots=True)
class Ticket:
    """A job's instants, in nanoseconds: it is ready at ``ready``, runs from ``start`` to ``finish``."""

    ready: int
    inference: int
    start: int
    finish: int
    cancelled: bool = False

    def state(self, now: int) -> State:
        """What a job is in at an instant."""
        if self.cancelled:
            return "cancelled"
        if now < self.start:
            return "queued"
        return "running" if now < self.finish else "completed"


class Queue:
    """The jobs of one account, at most ``capacity`` of them running at once."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.tickets: dict[str, Ticket] = {}
        self._busy_until: list[int] = []
        self._waiting: dict[str, None] = {}

    def enter(self, job: str, now: int, queue: int, inference: int) -> Ticket:
        """Give a job its instants; ``queue`` and ``inference`` are durations in nanoseconds."""
        self._forget_started(now)
        ticket = self._placed(now + queue, inference)
        self.tickets[job] = ticket
        self._waiting[job] = None
        return ticket

    def ahead(self, job: str, now: int) -> int:
        """How many jobs that came earlier still wait; none for a job that waits no more."""
        self._forget_started(now)
        count = 0
        if job in self.tickets and self.tickets[job].start <= now:
            return count
        for other in self._waiting:
            if other == job:
                break
            count += self.tickets[other].start > now
        return count

    def cancel(self, job: str, now: int) -> bool:
        """End a job that has not completed; False when it is too late."""
        ticket = self.tickets[job]
        if ticket.cancelled or ticket.finish <= now:
            return False
        self.tickets[job] = replace(ticket, start=min(ticket.start, now), finish=now, cancelled=True)
        self._waiting.pop(job, None)
        self._busy_until = [t.finish for t in self.tickets.values() if t.start <= now < t.finish]
        heapq.heapify(self._busy_until)
        for other in self._waiting:
            waits = self.tickets[other]
            if waits.start > now:
                self.tickets[other] = self._placed(max(waits.ready, now), waits.inference)
        return True

    def forget(self, job: str) -> None:
        """Drop a job that nobody will ask for again."""
        self.tickets.pop(job, None)
        self._waiting.pop(job, None)

    def _placed(self, ready: int, inference: int) -> Ticket:
        start = ready
        if len(self._busy_until) >= self.capacity:
            start = max(ready, heapq.heappop(self._busy_until))
        heapq.heappush(self._busy_until, start + inference)
        return Ticket(ready, inference, start, start + inference)

    def _forget_started(self, now: int) -> None:
        while self._waiting:
            first = next(iter(self._waiting))
            if self.tickets[first].start > now:
                break
            del self._waiting[first]
