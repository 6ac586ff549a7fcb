"""When a bench sends: an open loop's instants, and what keeps the targets of one run together.

Rules
-----
* An open loop's instants are fixed before anything is sent and do not wait for answers. ``constant`` ones are a step
  apart; ``poisson`` ones come at random, as independent users do: the gaps are exponential, drawn from the run's seed.
* The first submit leaves at once; several targets get the same instants, each shifted by its part of a step, so that
  they do not leave as one burst.
* Without ``downloads`` the outputs are not fetched; ``slo_seconds`` is what ``total`` is wished to stay within.
* In a closed loop no target begins a request that is more than its concurrency ahead of the slowest one: the same
  prompt meets every provider in the same minutes, or a drift of the day would pass for a difference.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from harness.clock import NS
from harness.model import Json

ArrivalKind = Literal["constant", "poisson"]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The instants of an open loop: ``rate`` submits per second and target."""

    rate: float
    kind: ArrivalKind = "constant"
    seed: int = 0

    def describe(self) -> Json:
        """The arrivals as report.json shows them."""
        return {"kind": self.kind, "rate_per_s": self.rate}

    def gaps(self, place: int = 0, of: int = 1) -> Iterator[int]:
        """Nanoseconds before each submit, for the target in this place of so many."""
        rng = random.Random(f"{self.seed}/arrivals")  # noqa: S311 - a schedule, not a secret
        yield round(place * NS / (of * self.rate))
        while True:
            yield round(NS * (rng.expovariate(self.rate) if self.kind == "poisson" else 1 / self.rate))


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a run is conducted, where the conduct decides what its figures mean; a check's is the default."""

    arrivals: Arrivals | None = None
    downloads: bool = True
    slo_seconds: float | None = None
    precision: str | None = None

    @property
    def open_loop(self) -> bool:
        """Whether submits leave at instants of their own."""
        return self.arrivals is not None

    def as_json(self) -> Json:
        """The conduct as JSON; ``conduct_from`` is its inverse."""
        arrivals = self.arrivals
        return {
            "arrivals": None if arrivals is None else {**arrivals.describe(), "seed": arrivals.seed},
            "downloads": self.downloads,
            "slo_s": self.slo_seconds,
            "precision": self.precision,
        }


DEFAULT = Conduct()


def conduct_from(value: Json) -> Conduct:
    """The conduct that ``as_json`` wrote; a record without one is of a closed loop that fetched everything."""
    if value is None:
        return DEFAULT
    arrivals = value["arrivals"]
    return Conduct(
        None if arrivals is None else Arrivals(arrivals["rate_per_s"], arrivals["kind"], arrivals["seed"]),
        value["downloads"],
        value["slo_s"],
        value["precision"],
    )


class Abreast:
    """Keeps the targets of a closed loop together; each says how far ahead of the slowest it may be."""

    def __init__(self) -> None:
        self._begun: dict[str, int] = {}
        self._moved = asyncio.Event()

    def enter(self, target: str) -> None:
        """Count with a target from now on."""
        self._begun[target] = 0

    async def turn(self, target: str, lead: int) -> None:
        """Wait until the target may begin its next request, and count it as begun; one that has left waits no more."""
        while target in self._begun and self._begun[target] - min(self._begun.values()) >= lead:
            await self._moved.wait()
        if target in self._begun:
            self._begun[target] += 1
            self._wake()

    def leave(self, target: str) -> None:
        """Count with the target no more: it has nothing to begin, or is stopped."""
        if self._begun.pop(target, None) is not None:
            self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
