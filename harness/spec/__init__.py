"""Specs: what a provider documents, as data with provenance."""

from harness.spec.contract import (
    Ambiguity,
    Credential,
    ErrorAnswer,
    Field,
    Flow,
    Operation,
    Output,
    Parameter,
    Price,
    Shape,
    Spec,
    Step,
)
from harness.spec.load import SpecError, find, load, parse, shipped_targets

__all__ = [
    "Ambiguity",
    "Credential",
    "ErrorAnswer",
    "Field",
    "Flow",
    "Operation",
    "Output",
    "Parameter",
    "Price",
    "Shape",
    "Spec",
    "SpecError",
    "Step",
    "find",
    "load",
    "parse",
    "shipped_targets",
]
