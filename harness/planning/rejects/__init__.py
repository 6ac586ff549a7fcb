"""Requests with exactly one fault: what a provider has to refuse, and what it had better refuse.

Rules
-----
* The base is a valid body that asks for as few images as it may; a fault changes one thing of it, so that no fault hides
  another and an unexpected acceptance costs little. A parameter that the base lacks comes with what it needs beside it.
* Exactly one fault: a body whose schema finds something wrong elsewhere too, or that what the document is silent about
  does not make wrong at all, is no row.
* A fault is a row: of a value (``values``), of an input image (``images``), of the request around them (``requests``).
* Tier A is what the document forbids: it breaks the schema, is no JSON, or is a media type or method that is not
  documented. Tier B is what the document contests, and what it is silent about; both expect ``either``.
* What the document contests can prove nothing and may be billed: of each parameter it is asked once at most.
* Tier A is sent before tier B. Risky rows are left out unless they are allowed.
* A case's id is ``target/parameter/fault``, or ``target/family/fault`` where no parameter is at fault.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from harness.flow import encode
from harness.model import Case, Fact, Json, Sending
from harness.planning.partitions import bounds_of
from harness.planning.reconsider import violated
from harness.planning.rejects.images import ROLES, faulty_images
from harness.planning.rejects.requests import FaultyRequest, encode_text, faulty_credentials, faulty_requests
from harness.planning.rejects.values import FaultyValue, faulty_values
from harness.spec import Flow, Parameter, Spec

__all__ = ["FaultyRequest", "FaultyValue", "Rejects", "faults"]


def faults(parameter: Parameter, good: Json) -> Iterator[FaultyValue]:
    """The faults of a parameter that its schema forbids and JSON can tell, in a fixed order; ``good`` is a valid value."""
    rows = faulty_values(parameter, good)
    return (row for row in rows if row.token is None and not row.silent)


def sample(parameter: Parameter) -> Json:
    """A plain value of a parameter, by its schema alone: its default where it has one."""
    return _sample(bounds_of(parameter))


def _sample(schema: Mapping[str, Json]) -> Json:
    for known in ("const", "default"):
        if schema.get(known) is not None:
            return schema[known]
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return schema.get("minimum", schema.get("maximum", 1))
    if kind == "array":
        return [_sample(schema.get("items") or {})]
    return {"boolean": True, "object": {}}.get(str(kind), "text")


@dataclass(frozen=True)
class Rejects:
    """The rejects of one target; ``base`` is a valid body, ``good`` the valid values of parameters that it leaves out.

    ``complete`` adds what a body needs to be valid, and gives None where it finds nothing that does.
    ``assets`` are the input images in use, ``risky`` allows what could get an account banned or cost much.
    """

    spec: Spec
    flow: Flow
    base: Mapping[str, Json]
    good: Mapping[str, Json]
    usd_per_image: Decimal
    complete: Callable[[Mapping[str, Json]], dict[str, Json] | None]
    assets: Sequence[str] = ()
    risky: bool = False

    def cases(self) -> tuple[Case, ...]:
        """Every reject, those that the document forbids first."""
        made = [*self._of_values(), *self._of_requests()]
        return tuple(sorted(made, key=lambda case: (case.expect != "reject", case.silent)))

    def credentials(self) -> Iterator[Case]:
        """Submits with something else in place of the key: they cost nothing, and stop nothing when they are refused."""
        for fault in faulty_credentials(self.spec):
            case = self._case(f"probe/{fault.name}", fault.why, self.base, self.spec.credential.source)
            yield replace(case, kind="probe", sending=fault.sending, probes=(fault.name,))

    def _of_values(self) -> Iterator[Case]:
        fixed = self.flow.body
        for parameter in (*self.spec.parameters, *self.spec.fixed):
            if parameter.name in fixed:
                continue
            contested, base = False, self._base_with(parameter)
            if base is None:
                continue
            for fault in self._faults(parameter):
                case = self._of_value(parameter, fault, base)
                if case is None:
                    continue
                if case.expect == "either" and not case.silent:
                    if contested:
                        continue
                    contested = True
                yield case

    def _base_with(self, parameter: Parameter) -> Mapping[str, Json] | None:
        """The base with what it needs for the parameter to be in it; None where that cannot be."""
        name = parameter.name
        if name in self.base or name not in self.good:
            return self.base
        whole = self.complete({**self.base, name: self.good[name]})
        return whole and {member: value for member, value in whole.items() if member != name}

    def _faults(self, parameter: Parameter) -> Iterable[FaultyValue]:
        good = self.base.get(parameter.name, self.good.get(parameter.name, sample(parameter)))
        rows = list(faulty_values(parameter, good))
        if parameter.role in ROLES:
            rows += faulty_images(parameter, self.spec, self.assets, good)
        return [row for row in rows if self.risky or not row.risky]

    def _of_value(self, parameter: Parameter, fault: FaultyValue, base: Mapping[str, Json]) -> Case | None:
        """The case of a fault; None where something else would be wrong too, or nothing."""
        name = parameter.name
        body = {**base, name: fault.value}
        if fault.missing:
            del body[name]
        contested = None if fault.token or fault.unseen else self.spec.contested(body)
        silent = fault.silent and contested is None
        wrong = set() if fault.token else set(violated(self.spec, body))
        if wrong - {name} or (fault.missing and silent) or (not wrong and not (fault.token or silent or contested)):
            return None
        case = self._case(
            f"{name}/{fault.name}",
            contested.states if contested else fault.why,
            base if fault.token else body,
            contested.places[0] if contested else parameter.source,
        )
        case = replace(
            case,
            expect="either" if contested or silent else "reject",
            silent=silent,
            parameter=name,
            fault=fault.name,
            kind="reject",
        )
        if fault.token:
            return replace(case, sending=Sending(body=_spelt(base, name, fault.token)))
        count = self.spec.parameter("count")
        asked = body.get(name) if count is not None and count.name == name else None
        if isinstance(asked, float) and asked > 0:  # whoever rounds it may round it up
            case = replace(case, images=math.ceil(asked), usd=self.usd_per_image * math.ceil(asked))
        return case

    def _of_requests(self) -> Iterator[Case]:
        for fault in faulty_requests(self.spec, self.flow, self.base):
            case = self._case(f"{fault.family}/{fault.name}", fault.why, self.base, self.flow.submit.operation.source)
            yield replace(
                case,
                expect="either" if fault.silent else "reject",
                silent=fault.silent,
                fault=fault.name,
                sending=fault.sending,
                kind="reject",
            )

    def _case(self, name: str, why: str, body: Mapping[str, Json], source: Fact | None) -> Case:
        images = self.spec.images_asked(body)
        return Case(
            id=f"{self.spec.target}/{name}",
            target=self.spec.target,
            body=body,
            expect="reject",
            why=why,
            images=images,
            usd=self.usd_per_image * images,
            source=source,
        )


def _spelt(base: Mapping[str, Json], name: str, token: str) -> bytes:
    """A body's bytes with JSON text of one's own in the place of a member's value."""
    members = {**{known: encode({known: value})[1:-1] for known, value in base.items()}, name: b""}
    members[name] = encode_text(name) + b":" + token.encode()
    return b"{" + b",".join(members.values()) + b"}"
