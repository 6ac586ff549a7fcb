"""Hypothesis strategies for the requests that a spec documents, for tests of your own.

They are the strategies that plans are drawn from, without the plan: every label of a parameter's partition is one, a
boundary ``just`` its value, an interior its range, a prompt a text. Images come from the document's examples and from small
fixture files, never from random strings: nothing else can be fetched or decoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness.model import Json
from harness.planning import exploring
from harness.planning.drawing import strategy
from harness.planning.labels import Label
from harness.planning.partitions import partition
from harness.planning.reconsider import violated
from harness.planning.rejects import faults
from harness.spec import Flow, Parameter, Spec
from harness.validation import validator


@dataclass(frozen=True, slots=True)
class InvalidRequest:
    """A request body with one fault, and which parameter has which."""

    body: dict[str, Json]
    parameter: str
    fault: str


def values(parameter: Parameter, spec: Spec, assets: Sequence[str] = ()) -> SearchStrategy[Json]:
    """The values of one parameter that the document allows."""
    drawn = st.one_of(*(strategy(label) for label in partition(parameter, spec, assets) if not label.absent))
    return drawn.filter(validator(parameter.schema).is_valid)


def requests(spec: Spec, assets: Sequence[str] = (), *, flow: Flow | None = None) -> SearchStrategy[dict[str, Json]]:
    """Request bodies that the document allows: required parameters always, optional ones sometimes.

    They are those of a flow (None: the default one), whose own parameters are fixed. Bodies that the document leaves open
    (``Spec.contested``) are not drawn.
    """
    fixed = {**spec.constants, **(flow or spec.default_flow).body}
    return exploring.requests(spec, fixed, _labels(spec, fixed, assets)).map(lambda drawn: drawn[1])


def _labels(spec: Spec, fixed: Mapping[str, Json], assets: Sequence[str]) -> dict[str, tuple[Label, ...]]:
    return {one.name: partition(one, spec, assets) for one in spec.parameters if one.name not in fixed}


def invalid_requests(spec: Spec, assets: Sequence[str] = ()) -> SearchStrategy[InvalidRequest]:
    """Request bodies with exactly one fault that the document forbids."""
    rows = [
        (parameter, fault)
        for parameter in spec.parameters
        for fault in faults(parameter, next(one.value for one in partition(parameter, spec, assets) if not one.absent))
    ]

    def broken(drawn: tuple[dict[str, Json], tuple[Parameter, Any]]) -> InvalidRequest:
        body, (parameter, fault) = drawn
        faulty = {name: value for name, value in body.items() if name != parameter.name}
        if not fault.missing:
            faulty[parameter.name] = fault.value
        return InvalidRequest(faulty, parameter.name, fault.name)

    drawn = st.tuples(requests(spec, assets), st.sampled_from(rows)).map(broken)
    return drawn.filter(
        lambda one: set(violated(spec, one.body)) == {one.parameter} and spec.contested(one.body) is None
    )
