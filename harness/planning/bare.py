"""The plan of a bare JSON Schema, or of a request in any OpenAPI document: no roles, no price, no provider.

What a document says in its schema is all that is known of it: a parameter's labels are those of its schema, and a row costs
one request. It answers what a plan of the endpoint would take before anybody writes a spec for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.model import Json
from harness.planning import arrays, constraints
from harness.planning.concrete import Body, bodies
from harness.planning.labels import ABSENT, Label
from harness.planning.merging import properties
from harness.planning.schemas import Unplannable, labels_of
from harness.spec.load import Fault, inline
from harness.strict import resolve
from harness.validation import validator

METHODS = {"one-way": arrays.one_way, "core": arrays.core, "pairwise": arrays.pairwise}


@dataclass(frozen=True, slots=True)
class Requests:
    """What is to be sent: the labels and the body of each request. ``domains`` maps each parameter's labels to classes."""

    domains: Mapping[str, Mapping[str, str]]
    rows: tuple[Mapping[str, str], ...]
    bodies: tuple[Body, ...]


def plan_schema(document: Any, pointer: str = "", *, tier: str = "one-way", seed: int = 0) -> Requests:
    """The requests of a tier for the schema at a JSON Pointer of a document.

    Raises:
        Unplannable: the schema is none, is not an object's, or allows nothing that can be found.
    """
    schema = _read(document, pointer)
    labels = {name: domain for name, domain in _domains(schema) if domain}
    by_name = {name: {label.name: label for label in domain} for name, domain in labels.items()}
    domains = {name: {label.name: label.kind for label in domain} for name, domain in labels.items()}
    judge = validator(schema)
    found = METHODS[tier](domains, seed=seed, cost=lambda _: 1, allowed=constraints.allowed(schema, {}, labels))
    rows = [{name: by_name[name][label] for name, label in row.items()} for row in found] or [{}]
    drawn = tuple(
        bodies(rows, {}, lambda named: (pointer, seed, sorted(named.items())), lambda body, _: judge.is_valid(body))
    )
    if not all(map(judge.is_valid, drawn)):
        raise Unplannable(f"#{pointer}", "no request was found that keeps all that it says of parameters together")
    return Requests(domains, tuple({name: label.name for name, label in row.items()} for row in rows), drawn)


def _read(document: Any, pointer: str) -> dict[str, Any]:
    """The schema with its references inlined, of an object."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        schema = inline(document, resolve(document, pointer), f"#{pointer}")
        Draft202012Validator.check_schema(schema)
    except Fault as fault:
        raise Unplannable(f"#{fault.pointer}", fault.message) from None
    except (LookupError, ValueError):
        raise Unplannable(f"#{pointer}", "there is nothing here") from None
    except SchemaError as error:
        raise Unplannable(f"#{pointer}", f"it is no schema: {error.message[:120]}") from None
    if not isinstance(schema, dict) or not ("object" in _types(schema) or properties(schema)):
        raise Unplannable(f"#{pointer}", "a request is an object, and this is the schema of something else")
    return schema


def _types(schema: Mapping[str, Any]) -> tuple[str, ...]:
    named = schema.get("type", "object")
    return (named,) if isinstance(named, str) else tuple(named)


def _domains(schema: Mapping[str, Any]) -> Any:
    """Each parameter with its labels, wherever the schema names it."""
    required = _required(schema)
    for name, found in properties(schema).items():
        schemas = [one for one in found if one is not False]
        optional = () if name in required else (Label(ABSENT, ABSENT),)
        if schemas:
            yield name, (*optional, *labels_of(schemas[0] if len(schemas) == 1 else {"anyOf": schemas}))


def _required(schema: Mapping[str, Any]) -> set[Json]:
    """The parameters that every request has."""
    found = set(schema.get("required", ()))
    return found.union(*(_required(part) for part in schema.get("allOf", ()) if isinstance(part, Mapping)))
