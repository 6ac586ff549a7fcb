"""How two specs of an endpoint differ, in sentences that a person understands, each with what it means to a client.

Rules
-----
* ``breaking``: a request that the old document allows may be refused or mean something else, or an answer may lack or be
  what the old one rules out. ``non-breaking``: anything else that a client, a bill or a verdict may notice. ``no effect``:
  provenance and planning hints.
* What narrows a request breaks; what widens an answer does. So one comparison of schemas (``moves``) serves both sides.
* Where the direction cannot be told (alternatives, conditions), it is taken to break.
* Prose is no difference: only what a schema, a flow, a price or an ambiguity requires.
* Nothing is left out in silence: specs that differ in more than prose, and in nothing that has a sentence here, are said to,
  as ``breaking``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal, TypeAlias

from harness.model import Fact, Json
from harness.spec.contract import (
    AT,
    EXTENSION,
    Ambiguity,
    ErrorAnswer,
    Flow,
    Operation,
    Parameter,
    Price,
    Shape,
    Spec,
)
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
        *_kinds(old, new),
        *_hints(old, new),
    ]
    if all(one.level == "no effect" for one in found) and essence(old) != essence(new):
        said = "the specs differ in a way that there are no words for here: compare the files"
        found.append(Difference("breaking", "spec", said, "#"))
    return tuple(sorted(found, key=lambda one: LEVELS.index(one.level)))


def level(found: tuple[Difference, ...]) -> Level:
    """The gravest level; ``no effect`` for none."""
    return found[0].level if found else "no effect"


def _meaning(side: Side, move: Move) -> Level:
    """What a move means to a client: a narrower request breaks, and so does a wider answer."""
    if move in ("unclear", "more"):
        return "breaking" if move == "unclear" else "non-breaking"
    return "breaking" if (move == "narrower") == (side == "request") else "non-breaking"


# ---------------------------------------------------------------- what is no prose

_NO_MATTER: Mapping[type, frozenset[str]] = {
    Spec: frozenset({"path", "text", "sha256", "shipped", "title", "operations", "interactions"}),
    Operation: frozenset({"id"}),
    Price: frozenset({"date"}),
    Ambiguity: frozenset({"about", "states", "places"}),
}
"""The members of a spec that are names, places or prose, or have a rule of their own."""


def essence(value: Any) -> Json:
    """A part of a spec without names, places and prose; of a fact only its kind is left."""
    if isinstance(value, Fact):
        return value.kind
    if is_dataclass(value):
        left_out = _NO_MATTER.get(type(value), frozenset())
        found = {one.name: essence(getattr(value, one.name)) for one in fields(value) if one.name not in left_out}
        if isinstance(value, Spec):
            found["operations"] = {which: essence(one) for which, one in _operations_of(value).items()}
        return found
    if isinstance(value, Mapping):
        known = bare(value)
        return {str(name): essence(inner) for name, inner in known.items() if name != "source"}
    if isinstance(value, (frozenset, set)):
        return sorted(map(str, value))
    if isinstance(value, (list, tuple)):
        return [essence(one) for one in value]
    return value if value is None or isinstance(value, (str, int, float)) else str(value)


def _operations_of(spec: Spec) -> dict[str, Operation]:
    """The operations by what is sent where: their ids are names that nobody sends."""
    return {f"{one.method} {one.path}": one for one in spec.operations.values()}


# ---------------------------------------------------------------- requests


def _parameters(old: Spec, new: Spec) -> Iterator[Difference]:
    before, after = ({**one.input_schema, "properties": {}} for one in (old, new))
    for move, said, at in moves(before, after, ""):
        yield Difference(_meaning("request", move), "request", said, at)
    yield from _each_parameter(old, new)


def _each_parameter(old: Spec, new: Spec) -> Iterator[Difference]:
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
    before, after = ({**one.schema, "default": None} for one in (old, new))
    for move, said, at in moves(before, after, new.name):
        yield Difference(_meaning("request", move), "request", said, at)
    was, now = old.schema.get("default"), new.schema.get("default")
    if was != now:
        said = f"who leaves {new.name} out gets {shown(now)} instead of {shown(was)}"
        yield Difference("breaking" if was is not None else "non-breaking", "request", said, new.at)
    if old.role != new.role:
        said = f"{new.name} is read as {new.role or 'nothing in particular'} instead of {old.role or 'nothing in particular'}"
        yield Difference("non-breaking", "request", said, new.at)
    if bare(dict(old.detail)) != bare(dict(new.detail)) and _asks(old.detail) != _asks(new.detail):
        said = f"{new.name} takes or means other values: {shown(_asks(new.detail))}"
        yield Difference("breaking", "request", said, new.at)


def _asks(detail: Mapping[str, Any]) -> Json:
    """What the extension of a parameter or field requires, beside its role and provenance."""
    return {name: bare(value) for name, value in detail.items() if name not in ("role", "source")}


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
    was, now = _operations_of(old), _operations_of(new)
    for which in (which for which in was if which in now):
        before, after = was[which], now[which]
        at = _path(after)
        for media in sorted(before.takes ^ after.takes):
            grave: Level = "breaking" if media in before.takes else "non-breaking"
            yield Difference(
                grave, "request", f"{after.id} {'takes' if media in after.takes else 'takes no'} {media} now", at
            )
        yield from _answers(before, after)


def _path(operation: Operation) -> str:
    return f"#/paths/{operation.path.replace('~', '~0').replace('/', '~1')}"


def _answers(old: Operation, new: Operation) -> Iterator[Difference]:
    for status in dict.fromkeys((*old.answers, *new.answers)):
        before, after = old.answers.get(status), new.answers.get(status)
        which = f"{new.id} {status}"
        if before is None or after is None:
            said = f"{which} is {'documented now' if before is None else 'not documented any more'}"
            grave: Level = "breaking" if after is None and status.startswith("2") else "non-breaking"
            yield Difference(grave, "answer", said, _path(new))
            continue
        for media in dict.fromkeys((*before, *after)):
            if media not in before or media not in after:
                said = f"{which} {'may be' if media in after else 'is never'} {media} now"
                yield Difference("breaking", "answer", said, _path(new))
                continue
            yield from _shape(before[media], after[media], which)


def _shape(old: Shape, new: Shape, which: str) -> Iterator[Difference]:
    for move, said, at in moves(old.schema, new.schema, ""):
        yield Difference(_meaning("answer", move), "answer", f"{which}: {said}", at)
    before, after = (_read(one) for one in (old, new))
    for path in (path for path in before if path in after):
        for (role, more, _), (role_now, more_now, at) in zip(before[path], after[path], strict=False):
            if role != role_now:
                said = f"{path} is read as {role_now or 'nothing in particular'} instead of {role or 'nothing in particular'}"
                yield Difference("breaking", "answer", f"{which}: {said}", at)
            if more != more_now:
                yield Difference("breaking", "answer", f"{which}: {path} means something else: {shown(more_now)}", at)


def _read(shape: Shape) -> dict[str, list[tuple[str, Json, str]]]:
    """How the fields of an answer are read, by path: role, what else their extension says, and where."""
    found: dict[str, list[tuple[str, Json, str]]] = {}
    for one in shape.fields:
        more = _asks(one.detail)
        found.setdefault(".".join(one.path), []).append((one.role, more, str(one.schema.get(AT, "#"))))
    return found


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
        elif before is not None and after is not None:
            yield from _error_answer(kind, before, after)
    for header in ("billing_header", "job_header"):
        named, names = getattr(old, header), getattr(new, header)
        if named != names:
            said = (
                f"the {header.replace('_', ' ')} of answers is {names or 'not documented'} instead of {named or 'none'}"
            )
            yield Difference("breaking" if named else "non-breaking", "answer", said, f"{at}/{header}")
    if old.pending_status != new.pending_status:
        said = f"a job that is not done is answered {new.pending_status} instead of {old.pending_status}"
        yield Difference("breaking", "answer", said, f"{at}/pending_status")


def _error_answer(kind: str, old: ErrorAnswer, new: ErrorAnswer) -> Iterator[Difference]:
    at = f"#/{EXTENSION}/errors/{kind}"
    if dict(old.values) != dict(new.values):
        said = f"what is {kind} is answered with {shown(dict(new.values))} instead of {shown(dict(old.values))}"
        yield Difference("breaking", "error", said, at)
    for one in _shape(old.shape, new.shape, f"what is {kind}"):
        yield replace(one, area="error")


def _kinds(old: Spec, new: Spec) -> Iterator[Difference]:
    """How something is known decides whether breaking it fails or warns."""
    before, after = _sources_of(old), _sources_of(new)
    for what in (what for what in before if what in after):
        was, now = before[what].kind, after[what].kind
        if was != now:
            said = f"{what} is {now} instead of {was}: what breaks it is judged otherwise"
            yield Difference("non-breaking", "source", said, "#")


def _sources_of(spec: Spec) -> dict[str, Fact]:
    """Where everything is known from that a verdict may cite, by a name that another version has too."""
    found: dict[str, Fact | None] = {one.name: one.source for one in (*spec.parameters, *spec.fixed)}
    for which, operation in _operations_of(spec).items():
        found[which] = operation.source
        for status, answers in operation.answers.items():
            for shape in answers.values():
                found |= {f"{which} {status} {'.'.join(one.path)}": one.source for one in shape.fields}
    found |= {f"the flow {name}": flow.source for name, flow in spec.flows.items()}
    found |= {"the key": spec.credential.source, "the price": spec.price.source}
    return {what: fact for what, fact in found.items() if fact is not None}


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
