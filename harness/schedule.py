"""When to ask again: pure functions of what has been seen, the elapsed time and a random number.

Rules
-----
* A completion is only known to lie between two polls, so the phase of the polls is random: a fixed phase would be
  late by the same amount for every job. A fresh phase is drawn whenever the state changes, or an inference would come
  out in whole steps.
* ``adaptive``: the step grows with the time already waited, between a floor and a ceiling.
* ``learnt``: silence until shortly before anything is expected, then a random phase and a constant step, a part of the
  durations' spread. What to expect is learnt from the jobs that have ended (``Learnt``), of the queue and of the
  inference each, or of the whole job where only ``total`` is wanted. Until ``FEWEST`` jobs have ended it is adaptive.
* More than ``EARLY`` of the jobs done at their first poll says that the silence was too long: it is halved.
* Retry-After is read strictly and capped; it is advice, not a command.
"""

from __future__ import annotations

import math
import random
import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.model import Json, State, Wait

RETRY_TRIES = 5
RETRY_CAP_SECONDS = 60.0
_RETRY_BASE_SECONDS = 0.5

Stage = Literal["queue", "inference", "total"]
"""What a job is waited for: to begin to run, to complete once it runs, to complete at all."""
FEWEST = 5
STEP, STEPS_BEFORE = 0.8, 2.6
"""The step as a share of the spread, and how many steps before the median the silence ends.

A lognormal of σ 0.3 is then asked for from a third of its median on, 3.7 times on average. Larger steps blur its p95; a
longer silence leaves jobs whose only bound is the end of it, and their midpoints are early.
"""
NARROWEST, WIDEST = 0.05, 0.5
"""Bounds of the step as shares of the median."""
LEAST_STEP_SECONDS = 0.02
EARLY, ENOUGH_EARLY, LEAST_BACKOFF = 0.05, 40, 0.1


@dataclass(frozen=True, slots=True)
class Schedule:
    """Poll intervals, in seconds. ``fixed`` overrides everything; ``learns`` names what a learnt schedule asks for."""

    fixed: float | None = None
    floor: float = 0.05
    ceiling: float = 2.0
    share: float = 0.2
    learns: Literal["phases", "total"] | None = None

    def describe(self) -> dict[str, Json]:
        """The schedule as report.json shows it."""
        if self.fixed is not None:
            return {"kind": "fixed", "step_s": self.fixed, "phase": "random"}
        adaptive = {"floor_s": self.floor, "ceiling_s": self.ceiling, "share": self.share}
        if self.learns is None:
            return {"kind": "adaptive", **adaptive}
        return {"kind": "learnt", "for": self.learns, "step": STEP, "steps_before": STEPS_BEFORE, "first": adaptive}

    def step(self, waited: float) -> float:
        """The step after ``waited`` seconds."""
        return self.fixed if self.fixed is not None else min(self.ceiling, max(self.floor, self.share * waited))

    def stage(self, state: State) -> Stage:
        """What a job in a state is waited for."""
        if self.learns == "total":
            return "total"
        return "queue" if state == "queued" else "inference"


FIRST_JOBS = Schedule(floor=0.05, ceiling=30.0, share=0.35)
"""How the jobs are polled from which the others' schedule is learnt."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a stage before it begins: how long to be silent, and the step after that, in seconds."""

    silence: float
    step: float


@dataclass
class _Stage:
    """The durations of one stage so far, as midpoints and squared widths, and how many ended before the first poll."""

    midpoints: list[float] = field(default_factory=list)
    squares: list[float] = field(default_factory=list)
    jobs: int = 0
    early: int = 0
    backoff: float = 1.0
    expected: Expected | None = None
    counted: int = 0


class Learnt:
    """What the jobs of one target have taught so far."""

    def __init__(self) -> None:
        self._stages: dict[str, _Stage] = {}

    def saw(self, phases: Mapping[str, tuple[float, float] | None]) -> None:
        """Learn from a job that has ended, by the intervals of its phases, told from the submit's departure."""
        submit = phases.get("submit")
        for name in ("queue", "inference", "total"):
            bounds = phases.get(name)
            if submit is not None and bounds is not None and math.isfinite(bounds[1]):
                before = submit[1] if name == "total" else 0.0  # polls begin when the submit has been answered
                self._learn(self._stages.setdefault(name, _Stage()), bounds[0] - before, bounds[1] - before)

    def _learn(self, stage: _Stage, low: float, high: float) -> None:
        stage.midpoints.append((low + high) / 2)
        stage.squares.append((high - low) ** 2)
        if stage.expected is not None:
            stage.jobs, stage.early = stage.jobs + 1, stage.early + (low <= 0)
            often = EARLY * stage.jobs
            if stage.jobs >= ENOUGH_EARLY and stage.early > often + 3 * math.sqrt(often):
                stage.backoff, stage.jobs, stage.early = max(LEAST_BACKOFF, stage.backoff / 2), 0, 0
                stage.expected = _expected(stage)
        # Anew for every tenth job more: sorting for each of thousands would be felt as lag.
        if len(stage.midpoints) >= max(FEWEST, stage.counted * 1.1):
            stage.expected, stage.counted = _expected(stage), len(stage.midpoints)

    def expected(self, stage: Stage) -> Expected | None:
        """What to expect of a stage; None while too few jobs have ended."""
        known = self._stages.get(stage)
        return None if known is None else known.expected


def _expected(stage: _Stage) -> Expected:
    quarters = statistics.quantiles(stage.midpoints, n=4, method="inclusive")
    median, noise = quarters[1], statistics.fmean(stage.squares) / 12
    # The quartiles' distance, since a few cold starts must not widen everybody's step.
    spread = math.sqrt(max(0.0, ((quarters[2] - quarters[0]) / 1.349) ** 2 - noise))
    step = max(LEAST_STEP_SECONDS, min(WIDEST * median, max(NARROWEST * median, STEP * spread)))
    # What a few jobs say of the median may be far off: the fewer they are, the earlier the polls begin.
    sure = len(stage.midpoints) / (len(stage.midpoints) + FEWEST)
    return Expected(max(0.0, median - STEPS_BEFORE * step) * sure * stage.backoff, step)


class Pacer:
    """One job's polls. ``learnt`` is what the jobs before it have taught, for a schedule that learns."""

    def __init__(self, schedule: Schedule, rng: random.Random, learnt: Learnt | None = None) -> None:
        self._schedule, self._rng, self._learnt = schedule, rng, learnt
        self._at: tuple[Stage, bool] | None = None
        self._since = 0.0
        self._asked = False

    def delay(self, wait: Wait, waited: float) -> float:
        """Seconds until the next poll, ``waited`` seconds after the submit was answered."""
        done = wait.state == "completed"
        stage = self._schedule.stage(wait.state)
        if (stage, done) != self._at:
            self._at, self._since, self._asked = (stage, done), waited, False
        expected = self._learnt.expected(stage) if self._learnt and not done else None
        step = self._schedule.step(waited) if expected is None else expected.step
        if expected is None and self._schedule.fixed is None:
            return self._rng.random() * step
        if self._asked:
            return step
        self._asked = True
        silence = max(0.0, expected.silence - (waited - self._since)) if expected else 0.0
        return silence + self._rng.random() * step


def retry_delay(tries: int, retry_after: str | None, rng: random.Random) -> float:
    """Seconds before a submit that was not taken is tried again: Retry-After in seconds, else exponential; capped."""
    if retry_after is not None and re.fullmatch(r"[0-9]{1,6}", retry_after.strip()):
        return min(RETRY_CAP_SECONDS, float(retry_after))
    backoff = min(RETRY_CAP_SECONDS, _RETRY_BASE_SECONDS * 2.0**tries)
    return backoff * (0.5 + rng.random() / 2)
