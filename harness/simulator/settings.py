"""How the simulated providers behave in time: one frozen value for every account that a simulator serves."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from harness.errors import UsageError


@dataclass(frozen=True, slots=True)
class Settings:
    """Seed, durations and capacity of each simulated account.

    ``queue_seconds`` and ``inference_seconds`` are medians, in seconds, of lognormal durations of spread ``sigma``;
    zero is exactly zero. ``capacity`` is how many jobs of one provider run at once. ``epoch`` dates the first request,
    in seconds of Unix time; None takes the machine's date.

    Raises:
        UsageError: a duration is negative or not finite, or nothing could ever run.
    """

    seed: int = 0
    queue_seconds: float = 1.0
    inference_seconds: float = 4.0
    sigma: float = 0.3
    capacity: int = 8
    epoch: float | None = None

    def __post_init__(self) -> None:
        for name in ("queue_seconds", "inference_seconds", "sigma"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                message = f"{name} is {value}: give zero or more, and a finite number"
                raise UsageError(message)
        if self.capacity < 1:
            message = f"capacity is {self.capacity}: give at least 1, or no job would ever run"
            raise UsageError(message)

    @classmethod
    def quick(cls, seed: int = 0) -> Settings:
        """Short times and room for every job, for a run that starts its own simulator."""
        return cls(seed=seed, queue_seconds=0.15, inference_seconds=0.35, capacity=64)

    def arguments(self) -> list[str]:
        """The command-line arguments of ``python -m harness.simulator`` that give these settings."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
