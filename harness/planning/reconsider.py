"""What a spec of today expects of cases that were planned for an earlier one.

Rules
-----
* A case keeps its id, its body and its price; what changes is whether the body is to be accepted, and by which fact.
* Only a parameter whose contract has changed can turn a reject into a valid request. A fault that no schema sees stays
  one: a file that cannot be fetched, a text that is no JSON.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from harness.model import Case, Json
from harness.spec import Spec
from harness.validation import validator

VALID = ("accept", "warm-up")


def reconsidered(case: Case, spec: Spec, changed: Collection[str]) -> Case:
    """A case as the spec sees it; ``changed`` are the parameters whose contract is another one than when it was planned."""
    if case.kind not in (*VALID, "reject") or not changed:
        return case
    if case.sending is not None:
        return case
    if case.silent:
        return _forbidden(case, spec, changed)
    contested = spec.contested(case.body)
    if contested is not None:
        return replace(case, expect="either", why=contested.states, source=contested.places[0])
    broken = [name for name in violated(spec, case.body) if name in changed]
    if case.kind in VALID and broken:
        source = next((one.source for one in spec.parameters if one.name == broken[0]), case.source)
        why = f"{broken[0]} is not within what the document states now"
        return replace(case, kind="reject", expect="reject", parameter=broken[0], why=why, source=source, labels={})
    if case.kind == "reject" and case.parameter in changed and not list(violated(spec, case.body)):
        return replace(case, kind="accept", expect="accept", why="every value lies within what the document states now")
    return case


def _forbidden(case: Case, spec: Spec, changed: Collection[str]) -> Case:
    """A case on which the document was silent: rejected, if it now forbids what is sent."""
    if case.parameter not in changed or case.parameter not in set(violated(spec, case.body)):
        return case
    source = next((one.source for one in spec.parameters if one.name == case.parameter), case.source)
    why = f"{case.parameter} is not within what the document states now"
    return replace(case, expect="reject", silent=False, why=why, source=source)


def violated(spec: Spec, body: Mapping[str, Json]) -> Iterator[str]:
    """The members of a body that break the spec's schema of requests, the missing ones included.

    What breaks a rule about several members, and names none, is an empty name.
    """
    for error in validator(dict(spec.input_schema)).iter_errors(dict(body)):
        if error.absolute_path:
            yield str(error.absolute_path[0])
        elif error.validator == "required":
            yield from (name for name in error.validator_value if name not in body)
        elif error.validator == "additionalProperties":
            yield from (name for name in body if name not in spec.input_schema.get("properties", {}))
        else:
            yield ""
