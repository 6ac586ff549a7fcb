"""The seam where planted faults and healthy variants enter; the simulator itself plants none.

Rules
-----
* A variation is a value with an id. Each of its hooks is shown what the healthy endpoint decided and returns what is
  done instead; the default returns it unchanged. Several variations are applied in order.
* Hooks stand where decisions are made, not where bytes are written: whose key is taken, what is read of a body,
  whether and when it is refused, what is produced, which state a job is said to be in, what an answer says (by role),
  how it is sent, and what an output's download returns.
* A variation that must remember (which answer is a job's second) closes over its own memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from harness.model import State, Step
    from harness.simulator.images import Picture
    from harness.simulator.provider import Endpoint, Job, Order, Reply
    from harness.simulator.verdicts import Refusal

Body: TypeAlias = Mapping[str, Any]


def _unchanged(*shown: Any) -> Any:
    return shown[-1]


@dataclass(frozen=True, slots=True)
class Variation:
    """What one simulated endpoint does otherwise; the last argument of a hook is what it may replace.

    ``key``: step, whether the request's key is accepted.
    ``credential``: what stands in the credential's header or None, whether it is accepted.
    ``method``: the method of a request to the path of a submit, as it is routed.
    ``received``: a submit's bytes and media type, before they are parsed.
    ``refusal``: body, None or the refusal of it.
    ``instead``: endpoint, body, its refusal or None, None or an answer in place of everything that would follow;
    nothing is billed then.
    ``late``: whether refusals wait for the result.
    ``order``: body, what the endpoint understood of it (count, ratio, format, seed, durations).
    ``state``: step, job, the state it is said to be in.
    ``delivers``: step, job, whether the answer holds the outputs.
    ``pictures``: job, its images, whenever they are asked for.
    ``encoded``: picture, its bytes.
    ``address``: picture, the URL of its download.
    ``context``: step, job, the values by role that its answer will say.
    ``reply``: step, job or None where there is none (a refusal at once; an unknown id), the rendered answer.
    ``asset``: picture, the answer to its download.
    """

    id: str
    key: Callable[[Step, bool], bool] = _unchanged
    credential: Callable[[str | None, bool], bool] = _unchanged
    method: Callable[[str], str] = _unchanged
    received: Callable[[tuple[bytes, str]], tuple[bytes, str]] = _unchanged
    refusal: Callable[[Any, Refusal | None], Refusal | None] = _unchanged
    instead: Callable[[Endpoint, Any, Refusal | None, Reply | None], Reply | None] = _unchanged
    late: Callable[[bool], bool] = _unchanged
    order: Callable[[Body, Order], Order] = _unchanged
    state: Callable[[Step, Job, State], State] = _unchanged
    delivers: Callable[[Step, Job, bool], bool] = _unchanged
    pictures: Callable[[Job, tuple[Picture, ...]], tuple[Picture, ...]] = _unchanged
    encoded: Callable[[Picture, bytes], bytes] = _unchanged
    address: Callable[[Picture, str], str] = _unchanged
    context: Callable[[Step, Job, Mapping[str, Any]], Mapping[str, Any]] = _unchanged
    reply: Callable[[Step, Job | None, Reply], Reply] = _unchanged
    asset: Callable[[Picture, Reply], Reply] = _unchanged


def varied(variations: tuple[Variation, ...], hook: str, *shown: Any) -> Any:
    """The last of ``shown`` after every variation has had its say."""
    *seen, value = shown
    for variation in variations:
        value = getattr(variation, hook)(*seen, value)
    return value
