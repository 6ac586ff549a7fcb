"""What to send to a target, why, and what it costs, before anything is sent.

Rules
-----
* A plan depends on the spec, the tier, the seed and the assets, and on nothing else: not on concurrency, not on time.
* Rejects come first, since they are free; accept cases follow in the order in which they add coverage.
* A case's id says what it is: ``target/parameter/fault`` for a reject, ``target/accept/parameter=label-hash`` for an
  accept case, whose hash is of the body, in whatever order its members stand.
* Every case is priced; the parameter whose role is ``count`` multiplies.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from harness.model import Case, Expect, Fact, Json, Plan
from harness.plan.partitions import Label, partition
from harness.plan.rejects import faults
from harness.spec import Flow, Parameter, Spec

TIERS = ("one-way",)


def build(
    spec: Spec,
    *,
    flow: Flow,
    tier: str = "one-way",
    seed: int = 0,
    usd_per_image: Decimal,
    assets: Sequence[str] = (),
    with_rejects: bool = True,
) -> Plan:
    """The plan of a target: single-fault rejects, then accept cases that cover every label once."""
    fixed = {**spec.constants, **flow.body}
    free = [parameter for parameter in spec.parameters if parameter.name not in fixed]
    labels = {parameter.name: partition(parameter, spec, assets) for parameter in free}
    rows = _one_way(labels, seed)
    widest = sorted(labels, key=lambda name: (-len(labels[name]), name))
    accepts = tuple(_accept(spec, fixed, row, widest, usd_per_image) for row in rows)
    base = _base(fixed, labels)
    rejects = tuple(_rejects(spec, free, base, usd_per_image)) if with_rejects else ()
    return Plan(
        target=spec.target,
        spec_sha256=spec.sha256,
        flow=flow.name,
        tier=tier,
        seed=seed,
        cases=(*rejects, *accepts),
        domains={name: {label.name: label.kind for label in domain} for name, domain in labels.items()},
    )


def _base(fixed: Mapping[str, Json], labels: Mapping[str, Sequence[Label]]) -> dict[str, Json]:
    """The plainest valid body: the fixed values, each required parameter's first value, nothing optional."""
    body: dict[str, Json] = dict(fixed)
    for name, domain in labels.items():
        if not any(label.absent for label in domain):
            body[name] = domain[0].value
    return body


def images_asked(spec: Spec, body: Mapping[str, Json]) -> int:
    """How many outputs a body asks for; one when the number is absent or no positive integer."""
    asked = spec.asked("count", body)
    return asked if isinstance(asked, int) and not isinstance(asked, bool) and asked > 0 else 1


def _one_way(labels: Mapping[str, Sequence[Label]], seed: int) -> Iterator[Mapping[str, Label]]:
    """Rows that hold every label once: as many as the largest domain, the smaller ones repeating in seeded order."""
    rng = random.Random(seed)  # noqa: S311 - a plan, not a secret
    columns: dict[str, list[Label]] = {}
    length = max((len(domain) for domain in labels.values()), default=0)
    for name, domain in labels.items():
        column = list(domain)
        while len(column) < length:
            again = list(domain)
            rng.shuffle(again)
            column += again
        columns[name] = column[:length]
    for index in range(length):
        yield {name: column[index] for name, column in columns.items()}


def _accept(
    spec: Spec, fixed: Mapping[str, Json], row: Mapping[str, Label], widest: Sequence[str], usd_per_image: Decimal
) -> Case:
    lead = next((name for name in widest if not row[name].absent), widest[0])
    body: dict[str, Json] = dict(fixed)
    body |= {name: label.value for name, label in row.items() if not label.absent}
    digest = hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:8]
    images = images_asked(spec, body)
    contested = spec.contested(body)
    return Case(
        id=f"{spec.target}/accept/{lead}={row[lead].name}-{digest}",
        target=spec.target,
        body=body,
        expect="either" if contested else "accept",
        why=contested.states if contested else "every value lies within what the document states",
        images=images,
        usd=usd_per_image * images,
        labels={name: label.name for name, label in row.items()},
        source=contested.places[0] if contested else None,
    )


def _rejects(spec: Spec, free: Sequence[Parameter], base: Mapping[str, Json], usd_per_image: Decimal) -> Iterator[Case]:
    for parameter in free:
        for fault in faults(parameter):
            body = {**base, parameter.name: fault.value}
            if fault.missing:
                del body[parameter.name]
            contested = spec.contested(body)
            expect: Expect = "either" if contested else "reject"
            source: Fact = contested.places[0] if contested else parameter.source
            yield Case(
                id=f"{spec.target}/{parameter.name}/{fault.name}",
                target=spec.target,
                body=body,
                expect=expect,
                why=contested.states if contested else fault.why,
                images=images_asked(spec, body),
                usd=usd_per_image * images_asked(spec, body),
                parameter=parameter.name,
                fault=fault.name,
                source=source,
            )
