"""The seam where planted faults and healthy variants enter; the simulator itself plants none.

Rules
-----
* A variation is a value with an id. Each of its hooks is shown what the healthy endpoint decided and returns what is
  done instead; the default returns it unchanged. Several variations are applied in order.
* Hooks stand where decisions are made, not where bytes are written: what is read of a body, whether it is refused,
  what is produced, what an answer says (by role), how it is sent, and what an output's download returns.
* A variation that must remember (two ids to swap) closes over its own memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from harness.model import Step
    from harness.simulator.images import Picture
    from harness.simulator.provider import Job, Order, Reply
    from harness.simulator.verdicts import Refusal

Body: TypeAlias = Mapping[str, Any]


def _unchanged(*shown: Any) -> Any:
    return shown[-1]


@dataclass(frozen=True, slots=True)
class Variation:
    """What one simulated endpoint does otherwise; the last argument of a hook is what it may replace.

    ``refusal``: body, None or the refusal of it.
    ``order``: body, what the endpoint understood of it (count, ratio, format, seed, durations).
    ``pictures``: job, its images.
    ``context``: step, job, the values by role that its answer will say.
    ``reply``: step, job or None where there is none, the rendered answer.
    ``asset``: picture, the answer to its download.
    """

    id: str
    refusal: Callable[[Any, Refusal | None], Refusal | None] = _unchanged
    order: Callable[[Body, Order], Order] = _unchanged
    pictures: Callable[[Job, tuple[Picture, ...]], tuple[Picture, ...]] = _unchanged
    context: Callable[[Step, Job, Mapping[str, Any]], Mapping[str, Any]] = _unchanged
    reply: Callable[[Step, Job | None, Reply], Reply] = _unchanged
    asset: Callable[[Picture, Reply], Reply] = _unchanged


def varied(variations: tuple[Variation, ...], hook: str, *shown: Any) -> Any:
    """The last of ``shown`` after every variation has had its say."""
    *seen, value = shown
    for variation in variations:
        value = getattr(variation, hook)(*seen, value)
    return value
