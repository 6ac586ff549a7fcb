"""What a bench sends: one plain documented request, over and over, with another prompt and seed each time.

Rules
-----
* A request is the plainest valid body: what the document requires, and nothing optional, but for the seed where the
  endpoint has one that may stand alone. So every target does the same work, at its documented defaults, and each request
  costs one image where nothing else is asked for.
* Prompts are numbered (``prompts``). The same number is the same text for every target: targets are compared request by
  request.
* A case's id holds its prompt's number, which decides its whole body; the run's seed chooses the first number.
* Warm-up requests take the numbers before the first: no measured request repeats a prompt that a provider may have kept.
* A user's own workload is a file of bodies, one JSON object a line: a body for whatever target there is, or an object
  with a body for each target by its name. They are sent in the file's order, the warm-up first, and again from its
  beginning; a case's id holds a hash of its line, so that runs and targets are paired by it. Each has to be valid by the
  target's document.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from harness.errors import InputError, UsageError
from harness.model import Case, CaseKind, Json, Plan
from harness.planning import plainest
from harness.planning.partitions import LARGEST_SEED, bounds_of
from harness.planning.prompts import PROMPTS, prompt
from harness.planning.reconsider import violated
from harness.spec import Flow, Spec
from harness.strict import StrictError, load_json

STRIDE = 1000
"""How far apart the first prompts of two neighbouring seeds are."""
WHY: Mapping[CaseKind, str] = {
    "accept": "it asks for what the document requires and for nothing optional; it is timed",
    "warm-up": "it asks for what the document requires and for nothing optional; it is sent before anything is timed",
}
OWN_WHY: Mapping[CaseKind, str] = {
    "accept": "the user's workload holds it; it is timed",
    "warm-up": "the user's workload holds it; it is sent before anything is timed",
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
        varied = dict(_varied(spec, flow, number))
        return _case(spec, _allowed(spec, plain, varied), kind, f"{number:04}", usd_per_image)

    return Plan(
        target=spec.target,
        spec_sha256=spec.sha256,
        flow=flow.name,
        tier="bench",
        seed=seed,
        cases=tuple(case(kind, index % PROMPTS + 1) for kind, index in numbered),
        domains={},
    )


def _allowed(spec: Spec, plain: Mapping[str, Json], varied: Mapping[str, Json]) -> dict[str, Json]:
    """The plain body with what varies, but for a seed that needs something else beside it."""
    seed, whole = spec.parameter("seed"), {**plain, **varied}
    if seed is not None and seed.name not in plain and list(violated(spec, whole)):
        whole.pop(seed.name, None)
    return whole


def template(spec: Spec, flow: Flow, case: Case) -> dict[str, Json]:
    """What a case asks for, without the prompt and seed that its number decides: the same in every run of a workload.

    A prompt or seed that is not its number's stays: it is the workload's own.
    """
    number = case.id.rpartition("/")[2]
    own = dict(_varied(spec, flow, int(number))) if number.isdecimal() else {}
    return {name: value for name, value in case.body.items() if name not in own or own[name] != value}


def question(case: str) -> str:
    """What a case asks, by its id without the target: of a bench what every prompt or repetition of it has in common."""
    kind, _, name = case.partition("/")
    if kind not in ("bench", "workload", "warm-up"):
        return case
    digest, repeated, _ = name.partition("-")
    return f"{kind}/{digest}" if repeated else kind


@dataclass(frozen=True, slots=True)
class OwnBodies:
    """A user's own workload: where it was read, and each line's value with its number and its hash."""

    path: Path
    lines: tuple[tuple[int, str, Mapping[str, Json]], ...]


def read_bodies(path: Path) -> OwnBodies:
    """The workload in a file.

    Raises:
        InputError: it cannot be read, or a line is no JSON object.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the workload {path}: {error.strerror}") from None
    found: list[tuple[int, str, Mapping[str, Json]]] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            value = load_json(line)
        except StrictError as error:
            raise InputError(f"{path}:{number}: {error.message}; a workload holds one JSON object a line") from None
        if not isinstance(value, dict):
            raise InputError(f"{path}:{number}: no JSON object; a workload holds one request body a line")
        canonical = json.dumps(value, sort_keys=True, ensure_ascii=False)
        found.append((number, hashlib.sha256(canonical.encode("utf-8", "replace")).hexdigest()[:8], value))
    if not found:
        raise InputError(f"{path} holds no request body: write one JSON object a line")
    return OwnBodies(path, tuple(found))


def own_workload(
    spec: Spec, flow: Flow, own: OwnBodies, requests: int, *, warmup: int = 0, seed: int = 0, usd_per_image: Decimal
) -> Plan:
    """The plan of a bench that sends a user's own bodies.

    Raises:
        UsageError: a body is not for this target, or its document does not allow it.
    """
    bodies = [(digest, _own_body(spec, flow, own, number, value)) for number, digest, value in own.lines]
    sent: Counter[tuple[str, CaseKind]] = Counter()

    def case(kind: CaseKind, place: int) -> Case:
        digest, body = bodies[place % len(bodies)]
        sent[digest, kind] += 1
        return _case(spec, body, kind, f"{digest}-{sent[digest, kind]}", usd_per_image, own=True)

    cases = [case("warm-up" if place < warmup else "accept", place) for place in range(warmup + requests)]
    return Plan(spec.target, spec.sha256, flow.name, "bench", seed, tuple(cases), {})


def _own_body(spec: Spec, flow: Flow, own: OwnBodies, number: int, value: Mapping[str, Json]) -> Mapping[str, Json]:
    """A line's body for a target, with the members that the flow fixes."""
    if value and all("/" in name and isinstance(body, dict) for name, body in value.items()):
        if spec.target not in value:
            raise UsageError(
                f"{own.path}:{number}: there is no body for {spec.target}: add one, or leave the target out"
            )
        value = value[spec.target]
    body = {**value, **spec.constants, **flow.body}
    wrong = list(violated(spec, body))
    if wrong and spec.contested(body) is None:
        what = _broken(spec, body, wrong[0])
        raise UsageError(f"{own.path}:{number}: {spec.target} {what}: see harness specs show {spec.target}")
    return body


def _broken(spec: Spec, body: Mapping[str, Json], name: str) -> str:
    """What a target's document says against a member of a body; of an empty name, against all together."""
    if not name:
        return "does not allow these parameters together"
    if name not in body:
        return f"requires {name!r}, which is missing"
    documented = name in spec.input_schema.get("properties", {})
    return f"does not allow this value of {name!r}" if documented else f"documents no {name!r}"


def _case(
    spec: Spec, body: Mapping[str, Json], kind: CaseKind, name: str, usd_per_image: Decimal, *, own: bool = False
) -> Case:
    contested, images = spec.contested(body), spec.images_asked(body)
    what = "workload" if own else "bench"
    return Case(
        id=f"{spec.target}/{what if kind == 'accept' else kind}/{name}",
        target=spec.target,
        body=body,
        expect="either" if contested else "accept",
        why=contested.states if contested else OWN_WHY[kind] if own else WHY[kind],
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
        bounds = bounds_of(seed)
        step, low = int(bounds.get("multipleOf", 1)), max(1, int(bounds.get("minimum", 1)))
        first, last = math.ceil(low / step), int(bounds.get("maximum", LARGEST_SEED)) // step
        if first <= last:
            yield seed.name, step * (first + (number - 1) % (last - first + 1))
