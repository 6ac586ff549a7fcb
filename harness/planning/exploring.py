"""Requests beyond the rows of a plan, drawn from all labels: what ``--explore`` sends, and what ``strategies`` gives to users.

Rules
-----
* The n-th request of a target and a seed is decided by its number: more of them begin with the same.
* What the document contests is not drawn, nor what its schema forbids: of parameters together, or within a range.
* A case is what its body is: its id is a hash of that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from harness.model import Case, Json
from harness.planning.bases import base_of, disputed_of
from harness.planning.concrete import Body
from harness.planning.labels import Label, canonical
from harness.spec import Spec
from harness.validation import validator

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

TRIES = 20
"""How many requests are drawn for one that is not planned yet."""
MOST_NUMBERS = 2000
"""How many numbers are looked at for the one of a request."""
EXPLORE = "explore"
Drawn: TypeAlias = "SearchStrategy[tuple[Mapping[str, str], Body]]"
"""Requests with the labels that they are of."""


def requests(spec: Spec, fixed: Mapping[str, Json], labels: Mapping[str, Sequence[Label]]) -> Drawn:
    """The requests that a document surely allows, as a strategy, with the labels that they are of."""
    from harness.planning import drawing

    disputed = disputed_of(spec, base_of(spec, fixed, labels), labels)
    sure = {
        name: [label for label in domain if label.name not in disputed[name]] or domain
        for name, domain in labels.items()
    }
    return drawing.requests(sure, fixed).filter(lambda one: allows(spec, one[1]))


def allows(spec: Spec, body: Mapping[str, Json]) -> bool:
    """Whether a document surely allows a body."""
    valid = validator(spec.input_schema).is_valid(dict(body))
    return bool(valid) and spec.contested(body) is None


def explored(
    spec: Spec,
    fixed: Mapping[str, Json],
    labels: Mapping[str, Sequence[Label]],
    planned: Sequence[Case],
    *,
    number: int,
    seed: int,
    usd_per_image: Decimal,
) -> Iterator[Case]:
    """Further requests of any labels, none that is planned already; fewer where there are not so many."""
    if not number:
        return
    from harness.planning import drawing

    seen, found = {canonical(dict(case.body)) for case in planned}, 0
    strategy = requests(spec, fixed, labels)
    for n in range(number * TRIES):
        drawn = drawing.drawn(strategy, _key(spec, seed, n))
        if drawn is not None and canonical(drawn[1]) not in seen:
            found += 1
            seen.add(canonical(drawn[1]))
            yield _case(spec, *drawn, usd_per_image)
        if found == number:
            return


def _key(spec: Spec, seed: int, number: int) -> tuple[str, int, str, int]:
    return (spec.target, seed, EXPLORE, number)


def key_of(spec: Spec, strategy: Drawn, seed: int, case: Case) -> tuple[str, int, str, int] | None:
    """The key that an explored case was drawn for; None where today's strategies do not draw it."""
    from harness.planning import drawing

    for n in range(MOST_NUMBERS):
        drawn = drawing.drawn(strategy, _key(spec, seed, n))
        if drawn is not None and canonical(drawn[1]) == canonical(dict(case.body)):
            return _key(spec, seed, n)
    return None


def is_explored(case: Case) -> bool:
    """Whether a case was drawn beyond the rows."""
    return case.id.startswith(f"{case.target}/{EXPLORE}/")


def _case(spec: Spec, named: Mapping[str, str], body: Body, usd_per_image: Decimal) -> Case:
    digest = hashlib.sha256(canonical(body).encode()).hexdigest()[:8]
    images = spec.images_asked(body)
    return Case(
        id=f"{spec.target}/{EXPLORE}/{digest}",
        target=spec.target,
        body=body,
        expect="accept",
        why="drawn beyond the plan's rows: every value lies within what the document states",
        images=images,
        usd=usd_per_image * images,
        labels=named,
    )
