"""What a plan's requests begin with: the plainest valid body, and what its document contests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.errors import InputError
from harness.model import Json
from harness.planning.concrete import with_labels
from harness.planning.labels import Label
from harness.planning.schemas import completed
from harness.spec import Spec
from harness.spec.contract import AT
from harness.validation import validator


def base_of(spec: Spec, fixed: Mapping[str, Json], labels: Mapping[str, Sequence[Label]]) -> dict[str, Json]:
    """The plainest valid body: the fixed values, each required parameter's first value, and what these need beside them.

    Raises:
        InputError: none is found.
    """
    body: dict[str, Json] = dict(fixed)
    for name, domain in labels.items():
        if not any(label.absent for label in domain):
            body[name] = domain[0].value
    whole = completed_of(spec, labels, body)
    if whole is None:
        said = "no request was found that keeps all that the schema says of parameters together"
        raise InputError(f"{spec.path}: {spec.input_schema[AT]}: {said}")
    return whole


def completed_of(spec: Spec, labels: Mapping[str, Sequence[Label]], body: Mapping[str, Json]) -> dict[str, Json] | None:
    """A body with what it needs to be valid, each further member at its first value; None where nothing is found."""
    given = {name: tuple(label for label in domain if not label.absent) for name, domain in labels.items()}
    return completed(body, given, validator(spec.input_schema).is_valid)


def disputed_of(
    spec: Spec, base: Mapping[str, Json], labels: Mapping[str, Iterable[Label]]
) -> Mapping[str, frozenset[str]]:
    """The labels that the document contests in a body that is plain but for them."""
    return {
        name: frozenset(label.name for label in domain if spec.contested(with_labels(base, {name: label})))
        for name, domain in labels.items()
    }
