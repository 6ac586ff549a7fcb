"""Hypothesis strategies for the requests that a spec documents, for tests of your own.

Every label of a parameter's partition is a strategy, a boundary ``just`` its value; numbers between their boundaries
and prompts beyond the listed ones are drawn. Images come from the document's examples and from small fixture files,
never from random strings: nothing else can be fetched or decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness.model import Json
from harness.planning.partitions import bounds_of, partition
from harness.planning.rejects import faults
from harness.spec import Parameter, Spec

PROMPT_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class InvalidRequest:
    """A request body with one fault, and which parameter has which."""

    body: dict[str, Json]
    parameter: str
    fault: str


def values(parameter: Parameter, spec: Spec, assets: Sequence[str] = ()) -> SearchStrategy[Json]:
    """The values of one parameter that the document allows."""
    listed = [label.value for label in partition(parameter, spec, assets) if not label.absent]
    drawn = _between(parameter)
    known: SearchStrategy[Json] = st.sampled_from(listed)
    return known if drawn is None else known | drawn


def _between(parameter: Parameter) -> SearchStrategy[Any] | None:
    """Values beyond the listed ones, for the parameters whose schema says where they lie."""
    schema = bounds_of(parameter)
    low, high = schema.get("minimum"), schema.get("maximum")
    if parameter.role in ("prompt", "negative_prompt"):
        text = st.characters(exclude_categories=["Cs", "Cc"])
        return st.text(text, min_size=1, max_size=PROMPT_CHARACTERS)
    if low is None or high is None:
        return None
    if schema.get("type") == "integer":
        return st.integers(low, high)
    if schema.get("type") == "number":
        return st.floats(low, high, allow_nan=False) | st.integers(int(low), int(high))
    return None


def requests(spec: Spec, assets: Sequence[str] = ()) -> SearchStrategy[dict[str, Json]]:
    """Request bodies that the document allows: required parameters always, optional ones sometimes.

    Bodies that the document leaves open (``Spec.contested``) are not drawn.
    """
    sure = {p.name: values(p, spec, assets) for p in spec.parameters if p.required or p.role == "prompt"}
    maybe = {p.name: values(p, spec, assets) for p in spec.parameters if p.name not in sure}
    constants = {name: st.just(value) for name, value in spec.constants.items()}
    bodies = st.fixed_dictionaries({**constants, **sure}, optional=maybe)
    return bodies.filter(lambda body: spec.contested(body) is None)


def invalid_requests(spec: Spec, assets: Sequence[str] = ()) -> SearchStrategy[InvalidRequest]:
    """Request bodies with exactly one fault that the document forbids."""
    rows = [(parameter, fault) for parameter in spec.parameters for fault in faults(parameter)]

    def broken(drawn: tuple[dict[str, Json], tuple[Parameter, Any]]) -> InvalidRequest:
        body, (parameter, fault) = drawn
        faulty = {name: value for name, value in body.items() if name != parameter.name}
        if not fault.missing:
            faulty[parameter.name] = fault.value
        return InvalidRequest(faulty, parameter.name, fault.name)

    drawn = st.tuples(requests(spec, assets), st.sampled_from(rows)).map(broken)
    return drawn.filter(lambda one: spec.contested(one.body) is None)
