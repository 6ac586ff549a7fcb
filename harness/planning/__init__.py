"""What to send to a target, why, and what it costs, before anything is sent.

Rules
-----
* A plan depends on the spec, the tier, the seed, the assets and the versions of the harness and of Hypothesis, and on
  nothing else: not on concurrency, not on time.
* Rejects come first, since they are free; accept cases follow in the order in which they add coverage. Their rows are
  those of the tier: every label once, every pair of classes, every pair of labels (``arrays``).
* A label that the document contests may be refused, and a refusal hides what else the request holds: ``one-way`` sends
  such labels in as few requests as possible, ``core`` shows every pair of other classes in a request without one. For
  ``pairwise`` that would cost a sixth more.
* In ``core``, classes of the count that cost more than ``DEAR`` times the least are paired with those parameters only
  that the spec says interact with it.
* ``pairwise`` contains the paid repetitions.
* What is explored beyond a tier follows its rows; its id is a hash of its body.
* A row names a label of each parameter; what a label leaves open (an interior, a text) is drawn for the row, by the seed,
  and stands in the plan from then on (``concrete``).
* A case's id says what it is: ``target/parameter/fault`` for a reject (``rejects``), ``target/accept/parameter=label-hash``
  for an accept case, whose hash is of its labels, in whatever order they stand, and never of what was drawn.
* Every case is priced; the parameter whose role is ``count`` multiplies.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import combinations

from harness.errors import UsageError
from harness.flow import JOB, UNKNOWN_JOB, WITHOUT_KEY
from harness.model import Case, Json, Plan
from harness.planning import arrays, constraints
from harness.planning.bases import base_of, completed_of, disputed_of
from harness.planning.concrete import Body, bodies, with_labels
from harness.planning.exploring import allows, explored
from harness.planning.labels import Label
from harness.planning.partitions import partition
from harness.planning.rejects import Rejects
from harness.spec import Flow, Parameter, Spec
from harness.validation import validator

TIERS = ("one-way", "core", "pairwise")
REPEATED_SEED = 424242
UNKNOWN_FIELD = "x_conformance_probe"
DEAR = 2
"""How many times the least images a class may take and still be paired with everything."""


def build(
    spec: Spec,
    *,
    flow: Flow,
    tier: str = "one-way",
    seed: int = 0,
    usd_per_image: Decimal,
    assets: Sequence[str] = (),
    with_rejects: bool = True,
    with_repeats: bool = False,
    explore: int = 0,
    risky: bool = False,
) -> Plan:
    """The plan of a target: single-fault rejects, the accept cases of the tier, ``explore`` more, the paid repetitions.

    ``risky`` allows rejects that could get an account banned, or be dear where they are accepted.

    Raises:
        UsageError: there is no such tier.
        InputError: the spec allows no value of a parameter, or no request, that can be found.
    """
    if tier not in TIERS:
        raise UsageError(f"there is no tier {tier!r}: use {', '.join(TIERS)}")
    fixed = {**spec.constants, **flow.body}
    free = [parameter for parameter in spec.parameters if parameter.name not in fixed]
    labels = {parameter.name: partition(parameter, spec, assets) for parameter in free}
    labels = {name: domain for name, domain in labels.items() if domain}
    base = base_of(spec, fixed, labels)
    rows = _rows(spec, tier, seed, base, labels)
    drawn = _drawn(spec, rows, fixed, seed)
    widest = sorted(labels, key=lambda name: (-len(labels[name]), name))
    accepts = tuple(_accept(spec, fixed, *both, widest, usd_per_image) for both in zip(rows, drawn, strict=True))
    accepts += tuple(explored(spec, fixed, labels, accepts, number=explore, seed=seed, usd_per_image=usd_per_image))
    rejects: tuple[Case, ...] = ()
    if with_rejects:
        good = {name: next(label.value for label in domain if not label.absent) for name, domain in labels.items()}
        cheap = _cheapest(spec, base, labels)
        faulty = Rejects(spec, flow, cheap, good, usd_per_image, partial(completed_of, spec, labels), assets, risky)
        rejects = (*_probes(spec, flow, cheap, usd_per_image), *faulty.credentials(), *faulty.cases())
        accepts = _with_probes(accepts)
    repeats = tuple(_repeats(spec, flow, base, labels, usd_per_image)) if with_repeats or tier == "pairwise" else ()
    return Plan(
        target=spec.target,
        spec_sha256=spec.sha256,
        flow=flow.name,
        tier=tier,
        seed=seed,
        cases=(*rejects, *accepts, *repeats),
        domains={name: {label.name: label.kind for label in domain} for name, domain in labels.items()},
    )


def plainest(spec: Spec, flow: Flow, assets: Sequence[str] = ()) -> dict[str, Json]:
    """The plainest valid body of a flow; ``assets`` are the input images to use."""
    fixed = {**spec.constants, **flow.body}
    free = [parameter for parameter in spec.parameters if parameter.name not in fixed]
    return base_of(spec, fixed, {parameter.name: partition(parameter, spec, assets) for parameter in free})


def _cheapest(spec: Spec, base: Mapping[str, Json], labels: Mapping[str, Sequence[Label]]) -> Mapping[str, Json]:
    """The base, with the count that asks for the fewest images where that is fewer."""
    count = spec.parameter("count")
    counted = (
        []
        if count is None
        else [{**base, count.name: one.value} for one in labels.get(count.name, ()) if not one.absent]
    )
    return min((base, *(body for body in counted if allows(spec, body))), key=spec.images_asked)


def _rows(
    spec: Spec, tier: str, seed: int, base: Mapping[str, Json], labels: Mapping[str, Sequence[Label]]
) -> list[Mapping[str, Label]]:
    """The rows of a tier: a label for each parameter."""
    by_name = {name: {label.name: label for label in domain} for name, domain in labels.items()}
    domains = {name: {label.name: label.kind for label in domain} for name, domain in labels.items()}
    fixed = {name: value for name, value in base.items() if name not in labels}
    allowed = constraints.allowed(spec.input_schema, fixed, labels)

    def chosen(row: arrays.Row) -> dict[str, Label]:
        return {name: by_name[name][label] for name, label in row.items()}

    def cost(row: arrays.Row) -> int:
        return spec.images_asked(with_labels(base, chosen(row)))

    if tier == "pairwise":
        rows = arrays.pairwise(domains, seed=seed, cost=cost, allowed=allowed)
    elif tier == "one-way":
        disputed = disputed_of(spec, base, labels)
        rows = arrays.one_way(domains, seed=seed, cost=cost, allowed=allowed, disputed=disputed)
    else:
        rows = arrays.core(
            domains,
            seed=seed,
            cost=cost,
            allowed=allowed,
            disputed=disputed_of(spec, base, labels),
            apart=_dear(spec, labels),
            interacting=[pair for group in spec.interactions for pair in combinations(group, 2)],
        )
    return [chosen(row) for row in rows]


def _dear(spec: Spec, labels: Mapping[str, Iterable[Label]]) -> Mapping[str, frozenset[str]]:
    """The classes of the count that take more than ``DEAR`` times as many images as its least."""
    count = spec.parameter("count")
    if count is None or count.name not in labels:
        return {}
    images: dict[str, int] = {}
    for label in labels[count.name]:
        asked = spec.images_asked(with_labels({}, {count.name: label}))
        images[label.kind] = min(asked, images.get(label.kind, asked))
    return {count.name: frozenset(kind for kind, least in images.items() if least > DEAR * min(images.values()))}


def _drawn(spec: Spec, rows: Sequence[Mapping[str, Label]], fixed: Mapping[str, Json], seed: int) -> Iterator[Body]:
    """The requests of some rows: valid as a whole, and as contested as their plain values."""
    judge = validator(spec.input_schema)

    def wanted(body: Body, plain: Body) -> bool:
        alike = spec.contested(body) is spec.contested(plain) and spec.images_asked(body) == spec.images_asked(plain)
        return alike and (judge.is_valid(body) or not judge.is_valid(plain))

    return bodies(rows, fixed, lambda named: (spec.target, seed, _digest(named, fixed)), wanted)


def _digest(named: Mapping[str, str], fixed: Mapping[str, Json]) -> str:
    """A hash of what a row is."""
    return hashlib.sha256(json.dumps([named, fixed], sort_keys=True).encode()).hexdigest()[:8]


def _accept(  # noqa: PLR0917 - a row and the request drawn for it come together
    spec: Spec,
    fixed: Mapping[str, Json],
    row: Mapping[str, Label],
    body: Body,
    widest: Sequence[str],
    usd_per_image: Decimal,
) -> Case:
    lead = next((name for name in widest if not row[name].absent), widest[0])
    named = {name: label.name for name, label in row.items()}
    images = spec.images_asked(body)
    contested = spec.contested(body)
    return Case(
        id=f"{spec.target}/accept/{_slug(lead)}={_slug(row[lead].name)}-{_digest(named, fixed)}",
        target=spec.target,
        body=body,
        expect="either" if contested else "accept",
        why=contested.states if contested else "every value lies within what the document states",
        images=images,
        usd=usd_per_image * images,
        labels=named,
        source=contested.places[0] if contested else None,
    )


def _slug(text: str) -> str:
    """A name or a label in an id: of letters, digits and what stands in numbers and ratios."""
    return re.sub(r"[^\w:.-]+", "-", text)[:40]


def _probes(spec: Spec, flow: Flow, base: Mapping[str, Json], usd_per_image: Decimal) -> Iterator[Case]:
    """Free questions that need no job: a submit without the key, and a job that nobody has."""
    yield Case(
        id=f"{spec.target}/probe/submit-without-key",
        target=spec.target,
        body=base,
        expect="reject",
        why="a submit without the key is refused",
        images=spec.images_asked(base),
        usd=usd_per_image * spec.images_asked(base),
        source=spec.credential.source,
        kind="probe",
        probes=(WITHOUT_KEY,),
    )
    if flow.status is not None and not flow.status.follow:
        yield Case(
            id=f"{spec.target}/probe/unknown-job",
            target=spec.target,
            body={},
            expect="reject",
            why="a job that nobody has is not found",
            images=0,
            usd=Decimal(0),
            kind="probe",
            probes=(UNKNOWN_JOB,),
        )


def _with_probes(accepts: tuple[Case, ...]) -> tuple[Case, ...]:
    """The first case that is sure to be accepted also answers the questions that need a job."""
    first = next((case.id for case in accepts if case.expect == "accept"), None)
    return tuple(replace(case, probes=(JOB,)) if case.id == first else case for case in accepts)


def _repeats(
    spec: Spec,
    flow: Flow,
    base: Mapping[str, Json],
    labels: Mapping[str, Sequence[Label]],
    usd_per_image: Decimal,
) -> Iterator[Case]:
    """Paid repetitions of the base: with one seed twice, another seed, defaults spelled out, an unknown field twice.

    Those that the document does not allow, or contests, are left out.
    """
    rows: list[tuple[str, str, dict[str, Json]]] = []
    seed = spec.parameter("seed")
    seeded = [] if seed is None or seed.name in flow.body else _seeded(spec, seed, base, labels)
    plain = seeded[0] if seeded else dict(base)
    if len(seeded) == 2:
        spelled = {p.name: p.default for p in spec.parameters if p.default is not None and p.name not in plain}
        rows += [
            ("seed", "a seed, to be repeated", plain),
            ("seed-again", "the same seed gives the same image", plain),
            ("other-seed", "another seed gives another image", seeded[1]),
        ]
        if spelled and allows(spec, {**plain, **spelled}):
            rows.append(
                ("explicit-defaults", "a documented default, spelled out, changes nothing", {**plain, **spelled})
            )
    unknown = {**plain, UNKNOWN_FIELD: True}
    rows += [
        ("unknown-field", "a field that nobody documents is ignored or refused", unknown),
        ("unknown-field-again", "and is so the second time", unknown),
    ]
    for name, why, body in rows:
        yield Case(
            id=f"{spec.target}/repeat/{name}",
            target=spec.target,
            body=body,
            expect="either" if UNKNOWN_FIELD in body else "accept",
            why=why,
            images=spec.images_asked(body),
            usd=usd_per_image * spec.images_asked(body),
            kind="repeat",
        )


def _seeded(
    spec: Spec, seed: Parameter, base: Mapping[str, Json], labels: Mapping[str, Sequence[Label]]
) -> list[dict[str, Json]]:
    """The base with two seeds, the usual ones where the document allows them, and with what these need beside them."""
    known = [label.value for label in labels[seed.name] if not label.absent and label.kind != "random"]
    bodies_ = (
        completed_of(spec, labels, {**base, seed.name: one}) for one in (REPEATED_SEED, REPEATED_SEED + 1, *known)
    )
    return [body for body in bodies_ if body is not None and allows(spec, body)][:2]
