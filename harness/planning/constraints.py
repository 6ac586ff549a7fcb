"""What a document says about parameters together: which rows of labels it forbids.

Rules
-----
* A constraint is what the request's schema states beside its properties: ``dependentRequired``, ``not``, ``if``, ``oneOf``
  and their like. It concerns the parameters that it names; one that counts or closes the properties concerns all. Where
  only alternatives name a parameter, what closes the properties around them is a constraint too.
* A constraint is judged once every parameter that it concerns is decided: fixed by the flow, or by a label of the row.
  Part of a row is therefore refused only when no further label could make up for it.
* Judgements are kept by the labels they depend on: a plan asks the same question thousands of times.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.model import Json
from harness.planning.labels import Label
from harness.spec.contract import Schema
from harness.validation import validator

Row = Mapping[str, str]

ALONE = ("anyOf", "oneOf", "not", "minProperties", "maxProperties", "propertyNames", "patternProperties")
"""Keywords that are a constraint each."""
APART = ("allOf",)
"""Keywords whose members are a constraint each."""
BY_NAME = ("dependentRequired", "dependentSchemas")
"""Keywords that have a constraint for each parameter that they name."""
CLOSING = ("properties", "patternProperties", "additionalProperties")
"""Keywords that say together which further parameters there may be."""
OF_ALL = (
    "minProperties", "maxProperties", "propertyNames", "patternProperties", "additionalProperties", "unevaluatedProperties",
)  # fmt: skip
"""Keywords that concern every parameter."""


@dataclass(frozen=True, slots=True)
class _Constraint:
    """Part of a schema, and the parameters that it concerns."""

    schema: Mapping[str, Any]
    names: tuple[str, ...]


def allowed(
    schema: Schema, fixed: Mapping[str, Json], labels: Mapping[str, Sequence[Label]]
) -> Callable[[Row], bool] | None:
    """Whether part of a row keeps what a request's schema states of parameters together; None where it states nothing.

    ``fixed`` are the values that every request has, ``labels`` those that rows choose from.
    """
    constraints = [_Constraint(part, _concerned(part, tuple(labels))) for part in _parts(schema, tuple(labels))]
    if not constraints:
        return None
    values = {name: {label.name: label for label in domain} for name, domain in labels.items()}
    judges = [(one.names, validator(dict(one.schema)), dict[tuple[str, ...], bool]()) for one in constraints]

    def keeps(row: Row) -> bool:
        for names, judge, known in judges:
            if any(name not in row for name in names):
                continue
            key = tuple(row[name] for name in names)
            if key not in known:
                chosen = {name: values[name][row[name]] for name in names}
                body = dict(fixed) | {name: label.value for name, label in chosen.items() if not label.absent}
                known[key] = bool(judge.is_valid(body))
            if not known[key]:
                return False
        return True

    return keeps


def _parts(schema: Schema, names: Collection[str]) -> Iterator[dict[str, Any]]:
    """The constraints of a schema on some parameters, each as a schema."""
    for keyword in ALONE:
        if keyword in schema:
            yield {keyword: schema[keyword]}
    for keyword in APART:
        yield from ({keyword: [member]} for member in schema.get(keyword, ()))
    for keyword in BY_NAME:
        yield from ({keyword: {name: value}} for name, value in schema.get(keyword, {}).items())
    if "if" in schema:
        yield {keyword: schema[keyword] for keyword in ("if", "then", "else") if keyword in schema}
    if "additionalProperties" in schema and not schema.get("properties", {}).keys() >= {*names}:
        yield {keyword: schema[keyword] for keyword in CLOSING if keyword in schema}
    if "unevaluatedProperties" in schema:
        yield dict(schema)


def _concerned(part: Any, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of some parameters that a part of a schema names, or all of them."""
    named = set(_named(part))
    return names if named.intersection(OF_ALL) else tuple(name for name in names if name in named)


def _named(part: Any) -> Iterator[str]:
    """Every word in a part of a schema: names of properties, and keywords."""
    if isinstance(part, Mapping):
        for name, value in part.items():
            yield name
            yield from _named(value)
    elif isinstance(part, list):
        for item in part:
            yield from _named(item)
    elif isinstance(part, str):
        yield part
