"""When to ask again: pure functions of what has been seen, the elapsed time and a random number.

Rules
-----
* A completion is only known to lie between two polls, so the phase of the polls is random: a fixed phase would be
  late by the same amount for every job. A fresh phase is drawn whenever the state changes.
* The adaptive step grows with the time already waited: about a tenth of it on average, between a floor and a ceiling.
* Retry-After is read strictly and capped; it is advice, not a command.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from harness.model import Json, State, Wait

RETRY_TRIES = 5
RETRY_CAP_SECONDS = 60.0
_RETRY_BASE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Schedule:
    """Poll intervals, in seconds. ``fixed`` overrides the adaptive step."""

    fixed: float | None = None
    floor: float = 0.05
    ceiling: float = 2.0
    share: float = 0.2

    def describe(self) -> dict[str, Json]:
        """The schedule as report.json shows it."""
        if self.fixed is not None:
            return {"kind": "fixed", "step_s": self.fixed, "phase": "random"}
        return {"kind": "adaptive", "floor_s": self.floor, "ceiling_s": self.ceiling, "share": self.share}

    def step(self, waited: float) -> float:
        """The step after ``waited`` seconds."""
        return self.fixed if self.fixed is not None else min(self.ceiling, max(self.floor, self.share * waited))


class Pacer:
    """One job's polls."""

    def __init__(self, schedule: Schedule, rng: random.Random) -> None:
        self._schedule, self._rng = schedule, rng
        self._state: State | None = None

    def delay(self, wait: Wait, waited: float) -> float:
        """Seconds until the next poll, ``waited`` seconds after the submit was answered."""
        step = self._schedule.step(waited)
        changed, self._state = wait.state != self._state, wait.state
        if changed or self._schedule.fixed is None:
            return self._rng.random() * step
        return step


def retry_delay(tries: int, retry_after: str | None, rng: random.Random) -> float:
    """Seconds before a submit that was not taken is tried again: Retry-After in seconds, else exponential; capped."""
    if retry_after is not None and re.fullmatch(r"[0-9]{1,6}", retry_after.strip()):
        return min(RETRY_CAP_SECONDS, float(retry_after))
    backoff = min(RETRY_CAP_SECONDS, _RETRY_BASE_SECONDS * 2.0**tries)
    return backoff * (0.5 + rng.random() / 2)
