"""What a bench sends: one plain documented request, over and over, with another prompt and seed each time.

Rules
-----
* A request is the plainest valid body: what the document requires, and nothing optional, but for the seed where the
  endpoint has one. So every target does the same work, at its documented defaults, and each request costs one image
  where nothing else is asked for.
* Prompts are numbered (``prompts``). The same number is the same text for every target: targets are compared request by
  request.
* A case's id holds its prompt's number, which decides its whole body; the run's seed chooses the first number.
* Warm-up requests take the numbers before the first: no measured request repeats a prompt that a provider may have kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from harness.errors import UsageError
from harness.model import Case, CaseKind, Json, Plan
from harness.planning import plainest
from harness.planning.partitions import LARGEST_SEED, bounds_of
from harness.planning.prompts import PROMPTS, prompt
from harness.spec import Flow, Spec

STRIDE = 1000
"""How far apart the first prompts of two neighbouring seeds are."""
WHY: Mapping[CaseKind, str] = {
    "accept": "it asks for what the document requires and for nothing optional; it is timed",
    "warm-up": "it asks for what the document requires and for nothing optional; it is sent before anything is timed",
}


def workload(
    spec: Spec,
    flow: Flow,
    requests: int,
    *,
    warmup: int = 0,
    seed: int = 0,
    usd_per_image: Decimal,
    assets: Sequence[str] = (),
) -> Plan:
    """The plan of a bench: ``warmup`` requests that are not timed, then ``requests`` that are.

    Raises:
        UsageError: there are not as many prompts.
    """
    if requests + warmup > PROMPTS:
        raise UsageError(f"a bench has {PROMPTS} prompts: ask for that many requests at most, the warm-up included")
    first = seed * STRIDE
    numbered: list[tuple[CaseKind, int]] = [("warm-up", first - 1 - place) for place in range(warmup)]
    numbered += [("accept", first + place) for place in range(requests)]
    plain = plainest(spec, flow, assets)

    def case(kind: CaseKind, number: int) -> Case:
        return _case(spec, {**plain, **dict(_varied(spec, flow, number))}, kind, number, usd_per_image)

    return Plan(
        target=spec.target,
        spec_sha256=spec.sha256,
        flow=flow.name,
        tier="bench",
        seed=seed,
        cases=tuple(case(kind, index % PROMPTS + 1) for kind, index in numbered),
        domains={},
    )


def template(spec: Spec, flow: Flow, case: Case) -> dict[str, Json]:
    """What a case asks for, without the prompt and seed that its number decides: the same in every run of a workload.

    A prompt or seed that is not its number's stays: it is the workload's own.
    """
    number = case.id.rpartition("/")[2]
    own = dict(_varied(spec, flow, int(number))) if number.isdecimal() else {}
    return {name: value for name, value in case.body.items() if name not in own or own[name] != value}


def _case(spec: Spec, body: Mapping[str, Json], kind: CaseKind, number: int, usd_per_image: Decimal) -> Case:
    contested, images = spec.contested(body), spec.images_asked(body)
    return Case(
        id=f"{spec.target}/{'bench' if kind == 'accept' else kind}/{number:04}",
        target=spec.target,
        body=body,
        expect="either" if contested else "accept",
        why=contested.states if contested else WHY[kind],
        images=images,
        usd=usd_per_image * images,
        source=contested.places[0] if contested else None,
        kind=kind,
    )


def _varied(spec: Spec, flow: Flow, number: int) -> Iterator[tuple[str, Json]]:
    """The members of a body that its number decides, within what the document allows."""
    fixed = {*spec.constants, *flow.body}
    text, seed = spec.parameter("prompt"), spec.parameter("seed")
    if text is not None and text.name not in fixed:
        yield text.name, prompt(number)[: bounds_of(text).get("maxLength")]
    if seed is not None and seed.name not in fixed:
        # Zero and less ask for a random seed at some endpoints.
        low, high = max(1, bounds_of(seed).get("minimum", 1)), bounds_of(seed).get("maximum", LARGEST_SEED)
        yield seed.name, low + (number - 1) % (high - low + 1)
