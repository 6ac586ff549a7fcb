"""The value that a planted fault is, and what all of its generators share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from harness.model import Fact, Json
from harness.model import Step as StepName
from harness.planning.labels import Label
from harness.planning.partitions import partition
from harness.simulator.provider import Job, Reply
from harness.simulator.variations import Variation
from harness.spec.contract import Field, Parameter, Spec

Verdict: TypeAlias = Literal["fail", "warn"]

ShownBy: TypeAlias = Literal["accepts", "rejects", "pairs", "triples", "probes", "repeats", "deadline"]
"""What a run must do to meet a fault: send every label once, or the single-fault rejects; cover classes in pairs, or
three at a time; send the free probes, or the paid repetitions; wait until jobs pass their deadline."""

Hooks: TypeAlias = Callable[[], Mapping[str, Callable[..., Any]]]
"""Makes a variation's hooks by name: anew for each simulator, since some of them remember."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that a simulated endpoint does wrong.

    ``check`` is the check that must find it, with ``verdict``; ``parameters`` are those that it takes to show it.
    """

    id: str
    target: str
    check: str
    parameters: tuple[str, ...]
    states: str
    hooks: Hooks
    verdict: Verdict = "fail"
    shown_by: ShownBy = "accepts"

    @property
    def parameter(self) -> str | None:
        """The one parameter that it concerns, or None."""
        return self.parameters[0] if len(self.parameters) == 1 else None

    def variation(self) -> Variation:
        """How it varies a simulator, with a memory of its own."""
        return Variation(self.id, **self.hooks())


def planted(
    spec: Spec,
    name: str,
    check: str,
    states: str,
    hooks: Hooks,
    *parameters: str,
    verdict: Verdict = "fail",
    shown_by: ShownBy = "accepts",
) -> Fault:
    """A row of a spec's faults."""
    return Fault(f"{spec.target}:{name}", spec.target, check, parameters, states, hooks, verdict, shown_by)


def always(**hooks: Callable[..., Any]) -> Hooks:
    """Hooks that remember nothing."""
    return lambda: hooks


def weighed(spec: Spec, *facts: Fact | None, about: Iterable[str] = ()) -> Verdict:
    """How gravely a broken promise weighs, by where it is stated and whether the documents agree about it."""
    weak = any(fact is not None and fact.kind in ("observed", "assumed") for fact in facts)
    return "warn" if weak or any(spec.about(at) for at in about) else "fail"


def at(field: Field) -> str:
    """A response field's place in the spec file."""
    return str(field.schema["x-at"])


IMAGES = ("https://images.example/first.png", "https://images.example/second.png")
"""Input images of sample bodies; faults recognise values by their kind, so that any others do as well."""


def labels_of(parameter: Parameter, spec: Spec) -> tuple[Label, ...]:
    """A parameter's labels, whichever images a plan would send."""
    return partition(parameter, spec, IMAGES)


def plain_body(spec: Spec) -> dict[str, Json]:
    """The plainest valid body: constants, and each parameter that must be sent at its first value."""
    body: dict[str, Json] = dict(spec.constants)
    for parameter in spec.parameters:
        if parameter.name not in body:
            labels = labels_of(parameter, spec)
            if labels and not any(label.absent for label in labels):
                body[parameter.name] = labels[0].value
    return body


Rewrite: TypeAlias = Callable[[Reply], Reply]


def of_answers(step: StepName, rewrite: Rewrite) -> Hooks:
    """Rewrite every successful answer of a step."""

    def reply(name: StepName, job: Job | None, sent: Reply) -> Reply:
        return rewrite(sent) if name == step and job is not None and sent.status < 300 else sent

    return always(reply=reply)


def of_first_answers(step: StepName, rewrite: Rewrite) -> Hooks:
    """Rewrite the first successful answer of a step for each job, so that a polled job goes on."""

    def hooks() -> Mapping[str, Callable[..., Any]]:
        seen: Counter[str] = Counter()

        def reply(name: StepName, job: Job | None, sent: Reply) -> Reply:
            if name != step or job is None or sent.status >= 300:
                return sent
            seen[job.id] += 1
            return rewrite(sent) if seen[job.id] == 1 else sent

        return {"reply": reply}

    return hooks
