"""How two specs of an endpoint differ, in sentences that a person understands, each with what it means to a client.

Rules
-----
* ``breaking``: a request that the old document allows may be refused or mean something else, or an answer may lack or be
  what the old one rules out. ``non-breaking``: anything else that a client, a bill or a verdict may notice. ``no effect``:
  provenance and planning hints.
* What narrows a request breaks; what widens an answer does. So one comparison of schemas (``moves``) serves both sides.
* Where the direction cannot be told (alternatives, conditions), it is taken to break.
* Prose is no difference: only what a schema, a flow, a price or an ambiguity requires.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from harness.model import Json
from harness.spec.contract import AT, EXTENSION, Flow, Operation, Parameter, Spec
from harness.spec.moves import Move, bare, moves, shown

Level: TypeAlias = Literal["breaking", "non-breaking", "no effect"]
LEVELS: tuple[Level, ...] = ("breaking", "non-breaking", "no effect")
Side: TypeAlias = Literal["request", "answer"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: how grave it is, what it is about, a sentence, and its place in the newer spec that has it."""

    level: Level
    area: str
    message: str
    at: str


def differences(old: Spec, new: Spec) -> tuple[Difference, ...]:
    """Everything in which two specs differ, the gravest first, otherwise in the order of the documents."""
    found = [
        *_parameters(old, new),
        *_constants(old, new),
        *_flows(old, new),
        *_operations(old, new),
        *_facts(old, new),
        *_ambiguities(old, new),
        *_hints(old, new),
    ]
    return tuple(sorted(found, key=lambda one: LEVELS.index(one.level)))


def level(found: tuple[Difference, ...]) -> Level:
    """The gravest level; ``no effect`` for none."""
    return found[0].level if found else "no effect"


def _meaning(side: Side, move: Move) -> Level:
    """What a move means to a client: a narrower request breaks, and so does a wider answer."""
    if move in ("unclear", "more"):
        return "breaking" if move == "unclear" else "non-breaking"
    return "breaking" if (move == "narrower") == (side == "request") else "non-breaking"


# ---------------------------------------------------------------- requests


def _parameters(old: Spec, new: Spec) -> Iterator[Difference]:
    before, after = ({one.name: one for one in spec.parameters} for spec in (old, new))
    for name in dict.fromkeys((*before, *after)):
        if name not in after:
            where = f"it is always {shown(new.constants[name])} now" if name in new.constants else "it has gone"
            yield Difference("breaking", "request", f"{name} is no parameter any more: {where}", before[name].at)
        elif name not in before:
            required = after[name].required
            said = f"{name} is a parameter now, and {'required' if required else 'optional'}"
            yield Difference("breaking" if required else "non-breaking", "request", said, after[name].at)
        else:
            yield from _parameter(before[name], after[name])


def _parameter(old: Parameter, new: Parameter) -> Iterator[Difference]:
    if old.required != new.required:
        said = f"{new.name} is {'required' if new.required else 'optional'} now"
        yield Difference("breaking" if new.required else "non-breaking", "request", said, new.at)
    for move, said, at in moves(old.schema, new.schema, new.name):
        yield Difference(_meaning("request", move), "request", said, at)
    was, now = old.schema.get("default"), new.schema.get("default")
    if was != now:
        said = f"who leaves {new.name} out gets {shown(now)} instead of {shown(was)}"
        yield Difference("breaking" if was is not None else "non-breaking", "request", said, new.at)
    if old.role != new.role:
        said = f"{new.name} is read as {new.role or 'nothing in particular'} instead of {old.role or 'nothing in particular'}"
        yield Difference("non-breaking", "request", said, new.at)
    if bare(dict(old.detail)) != bare(dict(new.detail)) and _asks(old) != _asks(new):
        yield Difference("breaking", "request", f"{new.name} takes or means other values: {shown(_asks(new))}", new.at)


def _asks(parameter: Parameter) -> Json:
    """What a parameter's extension requires, beside its role and provenance."""
    return {name: bare(value) for name, value in parameter.detail.items() if name not in ("role", "source")}


def _constants(old: Spec, new: Spec) -> Iterator[Difference]:
    known = {one.name for one in (*old.parameters, *new.parameters)}
    for name in dict.fromkeys((*old.constants, *new.constants)):
        was, now = old.constants.get(name), new.constants.get(name)
        if was != now and name not in known:
            said = f"{name} is always {shown(now)} instead of {shown(was)}" if now is not None else f"{name} has gone"
            yield Difference("breaking", "request", said, str(new.input_schema.get(AT, "#")))


# ---------------------------------------------------------------- flows and answers


def _flows(old: Spec, new: Spec) -> Iterator[Difference]:
    for name in dict.fromkeys((*old.flows, *new.flows)):
        at = f"#/{EXTENSION}/flows/{name}"
        if name not in new.flows:
            yield Difference("breaking", "flow", f"the flow {name} has gone", at)
        elif name not in old.flows:
            yield Difference("non-breaking", "flow", f"there is a flow {name} now", at)
        else:
            yield from (Difference(grave, "flow", said, at) for grave, said in _flow(old.flows[name], new.flows[name]))
    if old.default_flow.name != new.default_flow.name and old.default_flow.name in new.flows:
        said = f"the default flow is {new.default_flow.name} instead of {old.default_flow.name}"
        yield Difference("non-breaking", "flow", said, f"#/{EXTENSION}/flows")


def _flow(old: Flow, new: Flow) -> Iterator[tuple[Level, str]]:
    name = new.name
    if old.server != new.server:
        yield (
            "breaking",
            f"the flow {name} is at {new.server or 'no documented host'} instead of {old.server or 'none'}",
        )
    for step in dict.fromkeys((*old.steps(), *new.steps())):
        before, after = old.steps().get(step), new.steps().get(step)
        if after is None or before is None:
            word = "has no" if after is None else "has a"
            yield (
                ("breaking" if after is None or step != "cancel" else "non-breaking"),
                f"the flow {name} {word} {step} now",
            )
            continue
        was, now = (f"{one.operation.method} {one.operation.path}" for one in (before, after))
        if was != now:
            yield "breaking", f"the {step} of {name} is {now} instead of {was}"
        if (before.arguments, before.follow) != (after.arguments, after.follow):
            yield "breaking", f"the {step} of {name} gets its identifiers from another place of the submit's answer"
    for word in dict.fromkeys((*old.states, *new.states)):
        was, now = old.states.get(word, "undocumented"), new.states.get(word, "undocumented")
        if was != now:
            yield "breaking", f"the state {word} of {name} means {now} instead of {was}"
    if dict(old.body) != dict(new.body):
        yield "breaking", f"the flow {name} is chosen by {shown(dict(new.body))} instead of {shown(dict(old.body))}"


def _operations(old: Spec, new: Spec) -> Iterator[Difference]:
    for name in dict.fromkeys((*old.operations, *new.operations)):
        before, after = old.operations.get(name), new.operations.get(name)
        if before is not None and after is not None:
            yield from _answers(before, after)


def _answers(old: Operation, new: Operation) -> Iterator[Difference]:
    for status in dict.fromkeys((*old.answers, *new.answers)):
        before, after = old.answers.get(status), new.answers.get(status)
        which = f"{new.id} {status}"
        if before is None or after is None:
            said = f"{which} is {'documented now' if before is None else 'not documented any more'}"
            grave: Level = "breaking" if after is None and status.startswith("2") else "non-breaking"
            yield Difference(grave, "answer", said, f"#/paths/{new.path.replace('~', '~0').replace('/', '~1')}")
            continue
        for media in dict.fromkeys((*before, *after)):
            if media not in before or media not in after:
                said = f"{which} {'may be' if media in after else 'is never'} {media} now"
                yield Difference("breaking", "answer", said, f"#/paths/{new.path.replace('/', '~1')}")
                continue
            for move, said, at in moves(before[media].schema, after[media].schema, ""):
                yield Difference(_meaning("answer", move), "answer", f"{which}: {said}", at)


# ---------------------------------------------------------------- everything else


def _facts(old: Spec, new: Spec) -> Iterator[Difference]:
    at = f"#/{EXTENSION}"
    if old.target != new.target:
        yield Difference("breaking", "endpoint", f"the endpoint is {new.target} instead of {old.target}", at)
    was, now = ((one.credential.env, one.credential.header, one.credential.scheme) for one in (old, new))
    if was != now:
        said = f"the key is sent as {now[1]}: {now[2]} ${now[0]} instead of {was[1]}: {was[2]} ${was[0]}"
        yield Difference("breaking", "key", said, "#/components/securitySchemes")
    if old.credential.optional != new.credential.optional:
        word = "optional" if new.credential.optional else "required"
        yield Difference("non-breaking" if word == "optional" else "breaking", "key", f"the key is {word} now", at)
    costs, cost = ((one.price.amount, one.price.currency) for one in (old, new))
    if costs != cost:
        share = f" ({cost[0] / costs[0] - 1:+.0%})" if costs[1] == cost[1] and costs[0] else ""
        said = f"an image costs {cost[0]} {cost[1]} instead of {costs[0]} {costs[1]}{share}"
        yield Difference("non-breaking", "price", said, f"{at}/price")
    for kind in dict.fromkeys((*old.errors, *new.errors)):
        before, after = old.errors.get(kind), new.errors.get(kind)
        first, second = (None if one is None else (one.status, one.at) for one in (before, after))
        if first != second:
            said = f"what is {kind} is answered {_error(second)} instead of {_error(first)}"
            yield Difference("breaking", "error", said, f"{at}/errors/{kind}")
    if old.pending_status != new.pending_status:
        said = f"a job that is not done is answered {new.pending_status} instead of {old.pending_status}"
        yield Difference("breaking", "answer", said, f"{at}/pending_status")


def _error(found: tuple[int, str] | None) -> str:
    return "in no documented way" if found is None else f"{found[0]} at the {found[1]}"


def _ambiguities(old: Spec, new: Spec) -> Iterator[Difference]:
    before, after = ({one.id: one for one in spec.ambiguities} for spec in (old, new))
    for name in dict.fromkeys((*before, *after)):
        at = f"#/{EXTENSION}/ambiguities"
        if name not in after:
            yield Difference("non-breaking", "ambiguity", f"the document is clear now about: {before[name].states}", at)
        elif name not in before:
            yield Difference("non-breaking", "ambiguity", f"the document leaves open: {after[name].states}", at)
        elif bare(before[name].contested) != bare(after[name].contested) or before[name].about != after[name].about:
            yield Difference("non-breaking", "ambiguity", f"it is about other requests now: {after[name].states}", at)


def _hints(old: Spec, new: Spec) -> Iterator[Difference]:
    if old.interactions != new.interactions:
        said = "other parameters are said to interact: core plans pair them otherwise"
        yield Difference("no effect", "planning", said, f"#/{EXTENSION}/interactions")
    if old.sha256 != new.sha256 and (old.title, _sources(old)) != (new.title, _sources(new)):
        yield Difference(
            "no effect", "provenance", "it cites other documents or places, or is titled otherwise", "#/info"
        )


def _sources(spec: Spec) -> list[tuple[str, str, str]]:
    facts = [one.source for one in spec.parameters]
    return [(fact.document, fact.where, fact.states) for fact in facts]
