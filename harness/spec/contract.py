"""One endpoint's documented contract, as values that the other stages ask questions of.

Rules
-----
* A schema here has its ``$ref`` inlined, and every node of it carries ``x-at``: its own place in the spec file.
  Provenance, ambiguities and error messages are looked up by that place.
* Stages ask for **roles**, never for names: ``shape.one("job_id", answer)``, ``spec.parameter("count")``.
* A response value is found by path segments; ``*`` stands for each element of an array.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.model import Fact, Json, State
from harness.model import Step as StepName
from harness.validation import validator

Schema = Mapping[str, Any]
AT = "x-at"
EXTENSION = "x-harness"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One documented request parameter. ``detail`` is its ``x-harness`` object (encodings, units, …)."""

    name: str
    schema: Schema
    required: bool
    role: str
    source: Fact
    detail: Mapping[str, Any]

    @property
    def at(self) -> str:
        """Its place in the spec file, as ``#`` and a JSON Pointer."""
        return str(self.schema[AT])

    @property
    def default(self) -> Json:
        """The documented default, or None when there is none."""
        return self.schema.get("default")


@dataclass(frozen=True, slots=True)
class Field:
    """One documented response field: its path, role (empty when it has none), schema and source."""

    path: tuple[str, ...]
    role: str
    schema: Schema
    source: Fact | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Output:
    """One image as an answer describes it; None where the answer does not say."""

    url: str | None = None
    base64: str | None = None
    media_type: str | None = None
    width: int | None = None
    height: int | None = None


_OUTPUT_ROLES = {
    "output_url": ("url", str),
    "output_base64": ("base64", str),
    "output_type": ("media_type", str),
    "output_width": ("width", int),
    "output_height": ("height", int),
}


@dataclass(frozen=True)
class Shape:
    """A response body's schema with its fields, readable by role."""

    schema: Schema
    fields: tuple[Field, ...]

    @cached_property
    def _by_role(self) -> Mapping[str, tuple[Field, ...]]:
        found: dict[str, list[Field]] = {}
        for field in self.fields:
            found.setdefault(field.role, []).append(field)
        return {role: tuple(fields) for role, fields in found.items()}

    @cached_property
    def _paths(self) -> Mapping[str, tuple[tuple[str, ...], ...]]:
        return {role: tuple(dict.fromkeys(field.path for field in fields)) for role, fields in self._by_role.items()}

    def with_role(self, role: str) -> tuple[Field, ...]:
        """The fields that have a role, in document order."""
        return self._by_role.get(role, ())

    def all(self, role: str, value: Json) -> list[Json]:
        """Every value of a role in an answer, in order; alternatives that repeat a path are read once."""
        found: list[Json] = []
        for path in self._paths.get(role, ()):
            found.extend(_walk(value, path))
        return found

    def one(self, role: str, value: Json) -> Json:
        """The first value of a role in an answer, or None."""
        for path in self._paths.get(role, ()):
            for found in _walk(value, path):
                return found
        return None

    def outputs(self, value: Json) -> list[Output]:
        """The images that an answer describes, in order; an answer without the field has none."""
        lists = self.with_role("outputs")
        if not lists:
            single = _output(value, (), self.fields)
            return [single] if single.url or single.base64 else []
        items = next(iter(_walk(value, lists[0].path)), None)
        if not isinstance(items, list):
            return []
        return [_output(item, (*lists[0].path, "*"), self.fields) for item in items]


def _output(item: Json, prefix: tuple[str, ...], fields: tuple[Field, ...]) -> Output:
    seen: dict[str, Any] = {}
    for field in fields:
        name, kind = _OUTPUT_ROLES.get(field.role, ("", object))
        if not name or name in seen or field.path[: len(prefix)] != prefix:
            continue
        for found in _walk(item, field.path[len(prefix) :]):
            if isinstance(found, kind) and not isinstance(found, bool):
                seen[name] = found
                break
    return Output(**seen)


def _walk(value: Json, path: tuple[str, ...]) -> Iterator[Json]:
    for place, name in enumerate(path):
        if name == "*":
            if isinstance(value, list):
                for item in value:
                    yield from _walk(item, path[place + 1 :])
            return
        if not isinstance(value, dict) or name not in value:
            return
        value = value[name]
    yield value


@dataclass(frozen=True)
class Operation:
    """One documented operation: ``answers`` maps a status (``200``, ``4XX``, ``default``) to media types and shapes.

    ``takes`` are the media types of its requests.
    """

    id: str
    method: str
    path: str
    source: Fact
    answers: Mapping[str, Mapping[str, Shape]]
    takes: frozenset[str] = frozenset()

    def answer(self, status: int) -> Mapping[str, Shape] | None:
        """The documented media types and shapes of a status code, or None where the document has none for it."""
        for key in (str(status), f"{status // 100}XX", "default"):
            if key in self.answers:
                return self.answers[key]
        return None

    def documents(self, status: int) -> bool:
        """Whether the document names this status code itself, or all of its hundred."""
        return str(status) in self.answers or f"{status // 100}XX" in self.answers


@dataclass(frozen=True)
class Step:
    """One step of a flow.

    ``arguments`` maps each path parameter to the path, in the submit's answer, of its value. ``follow`` is the path
    there of a whole URL, for the providers whose document requires following one.
    """

    operation: Operation
    shape: Shape
    arguments: Mapping[str, tuple[str, ...]]
    follow: tuple[str, ...] | None = None

    def path(self, submitted: Json) -> str | None:
        """The operation's path for a job, identifiers percent-encoded; None when the submit's answer lacks one."""
        missing = False

        def value(match: re.Match[str]) -> str:
            nonlocal missing
            found = next(_walk(submitted, self.arguments.get(match[1], ("",))), None)
            if not isinstance(found, (str, int)) or isinstance(found, bool) or found in ("", ".", ".."):
                missing = True
                return ""
            return quote(str(found), safe="")

        expanded = re.sub(r"\{([^}]+)\}", value, self.operation.path)
        return None if missing else expanded

    def imagined(self, job_id: str) -> Json:
        """A submit's answer as it would be if the job had this id: just enough of it to build this step's URL."""
        answer: dict[str, Any] = {}
        for path in self.arguments.values():
            place = answer
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = job_id
        return answer

    def followed(self, submitted: Json) -> str | None:
        """The URL that the submit's answer gives for this step, where the document requires following it."""
        found = next(_walk(submitted, self.follow), None) if self.follow else None
        return found if isinstance(found, str) else None


@dataclass(frozen=True)
class Flow:
    """How a job goes from submit to outputs, as data.

    Without ``status`` the submit's answer holds the outputs. Without ``result`` the last status does. ``body`` holds
    the parameters that choose this flow.
    """

    name: str
    server: str | None
    submit: Step
    status: Step | None
    result: Step | None
    cancel: Step | None
    states: Mapping[str, State]
    body: Mapping[str, Json]
    source: Fact | None

    @property
    def final(self) -> Step:
        """The step whose answer holds the outputs."""
        return self.result or self.status or self.submit

    def steps(self) -> Mapping[StepName, Step]:
        """The steps there are, by name."""
        named: dict[StepName, Step | None] = {
            "submit": self.submit,
            "status": self.status,
            "result": self.result,
            "cancel": self.cancel,
        }
        return {name: step for name, step in named.items() if step is not None}


@dataclass(frozen=True, slots=True)
class Credential:
    """Which variable holds the key, which header carries it, behind which word."""

    env: str
    header: str
    scheme: str
    optional: bool
    source: Fact


@dataclass(frozen=True, slots=True)
class Price:
    """List price of one image."""

    amount: Decimal
    currency: str
    date: str
    source: Fact


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """How a kind of error is answered: its status, its body's shape, fixed values by role, and at which step."""

    status: int
    shape: Shape
    values: Mapping[str, Json]
    at: str


@dataclass(frozen=True)
class Ambiguity:
    """A place where the documents contradict themselves or say nothing, with the places.

    ``contested`` is a JSON Schema of the request bodies for which both acceptance and refusal agree with some place.
    """

    id: str
    about: tuple[str, ...]
    states: str
    places: tuple[Fact, ...]
    contested: Schema | None

    @cached_property
    def _contests(self) -> Any:
        return validator(dict(self.contested or {}))

    def contests(self, body: Mapping[str, Json]) -> bool:
        """Whether the documents leave open if this request body is to be accepted."""
        return self.contested is not None and bool(self._contests.is_valid(body))


@dataclass(frozen=True)
class Spec:
    """One endpoint.

    ``constants`` are the parameters with one documented value (``model``); ``interactions`` are groups of parameters that
    the document relates to each other, by name. ``fixed`` are the parameters of the constants.
    """

    target: str
    path: Path
    text: bytes
    sha256: str
    shipped: bool
    title: str
    servers: tuple[str, ...]
    input_schema: Schema
    parameters: tuple[Parameter, ...]
    constants: Mapping[str, Json]
    operations: Mapping[str, Operation]
    flows: Mapping[str, Flow]
    credential: Credential
    price: Price
    errors: Mapping[str, ErrorAnswer]
    pending_status: int
    billing_header: str | None
    job_header: str | None
    ambiguities: tuple[Ambiguity, ...]
    interactions: tuple[tuple[str, ...], ...] = ()
    fixed: tuple[Parameter, ...] = ()

    @property
    def provider(self) -> str:
        """The part of the target before the slash."""
        return self.target.partition("/")[0]

    @property
    def default_flow(self) -> Flow:
        """The flow listed first."""
        return next(iter(self.flows.values()))

    @cached_property
    def by_role(self) -> Mapping[str, Parameter]:
        """The first parameter of each role."""
        found: dict[str, Parameter] = {}
        for parameter in self.parameters:
            found.setdefault(parameter.role, parameter)
        return found

    def parameter(self, role: str) -> Parameter | None:
        """The parameter with a role, or None."""
        return self.by_role.get(role)

    def asked(self, role: str, body: Mapping[str, Json]) -> Json:
        """What a body asks for in a role: the value given, else the documented default, else None."""
        parameter = self.parameter(role)
        if parameter is None:
            return None
        return body.get(parameter.name, parameter.default)

    def images_asked(self, body: Mapping[str, Json]) -> int:
        """How many outputs a body asks for; one when the number is absent or no positive integer."""
        asked = self.asked("count", body)
        return asked if isinstance(asked, int) and not isinstance(asked, bool) and asked > 0 else 1

    def contested(self, body: Mapping[str, Json]) -> Ambiguity | None:
        """The ambiguity that leaves open whether a request body is to be accepted, or None."""
        return next((ambiguity for ambiguity in self.ambiguities if ambiguity.contests(body)), None)

    def about(self, at: str) -> Ambiguity | None:
        """The ambiguity about a place in the spec file, or about a place above it."""
        for ambiguity in self.ambiguities:
            if any(at == place or at.startswith(place + "/") for place in ambiguity.about):
                return ambiguity
        return None
