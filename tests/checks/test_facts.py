"""How hard a broken promise weighs depends on where it comes from: documents may fail a provider, observations never."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.checks.protocol import _stated
from harness.checks.schema import Violation
from harness.model import Fact, Step
from harness.spec import Field, Shape, Spec
from tests.calls import ROUTES, Seen, again, seen, with_answer

WRONG: tuple[Any, ...] = (None, 7.5, "text", True, [], {}, [None], {"x": 1})
WEAK = ("observed", "assumed")


def kind(shape: Shape, field: Field) -> str | None:
    """What kind of fact states a field: its own, else that of the nearest field around it."""
    for length in range(len(field.path), 0, -1):
        near: list[Fact] = [f.source for f in shape.fields if f.path == field.path[:length] and f.source is not None]
        if near:
            own = field.source if length == len(field.path) and field.source else near[0]
            return own.kind
    return None


def places(value: Any, path: tuple[str, ...], so_far: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The concrete paths in a value that a field's path stands for."""
    if not path:
        yield so_far
    elif path[0] == "*":
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from places(item, path[1:], (*so_far, index))
    elif isinstance(value, dict) and path[0] in value:
        yield from places(value[path[0]], path[1:], (*so_far, path[0]))


def changed(value: Any, place: tuple[Any, ...], *, to: Any = ...) -> Any:
    """A value with what stands at a place replaced, or removed."""
    other = copy.deepcopy(value)
    inner = other
    for part in place[:-1]:
        inner = inner[part]
    if to is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = to
    return other


def answers(one: Seen) -> Iterator[tuple[Step, int, Shape, Any]]:
    """The answers of a call that have a shape, one for each step and state."""
    shown: set[tuple[str, str]] = set()
    steps = one.route.flow.steps()
    count: dict[str, int] = {}
    for exchange in one.call.exchanges:
        at = count.setdefault(exchange.step, 0)
        count[exchange.step] += 1
        if exchange.step not in steps or exchange.response is None:
            continue
        shape, value = steps[exchange.step].shape, json.loads(exchange.response.body)
        what = (exchange.step, str(shape.one("status", value)))
        if what not in shown:
            shown.add(what)
            yield exchange.step, at, shape, value


def put(value: Any, _: Any) -> Any:
    """The edit that replaces a whole answer."""
    return value


def healthy(spec: Spec, flow: str) -> Seen:
    """A healthy call with one poll for each state: the further ones would only repeat it."""
    one = seen(spec, flow, count=2, seed=5)
    states, kept = set(), []
    for exchange in one.call.exchanges:
        step = one.route.flow.status
        if exchange.step == "status" and step is not None and exchange.response is not None:
            word = step.shape.one("status", json.loads(exchange.response.body))
            if word in states:
                continue
            states.add(word)
        kept.append(exchange)
    return again(one, kept)


def failing(one: Seen, step: Step, at: int, value: Any) -> set[str]:
    """The checks that fail when an answer has another value."""
    return {found[0] for found in with_answer(one, step, lambda _: value, at).findings() if found[1] == "fail"}


def breaks_type(field: Field, value: Any) -> bool:
    types = field.schema.get("type")
    return types is None or not Draft202012Validator({"type": types}).is_valid(value)


@pytest.mark.parametrize(("spec", "flow"), ROUTES, ids=[f"{s.target}:{f}" for s, f in ROUTES])
def test_what_was_only_observed_or_assumed_never_fails(spec: Spec, flow: str) -> None:
    """Removing a field that no document and no client states, or breaking its type, never yields a failure."""
    one, broken = healthy(spec, flow), {}
    for step, at, shape, value in answers(one):
        for field in shape.fields:
            if kind(shape, field) not in WEAK:
                continue
            wrong = [(repr(other), other) for other in WRONG if breaks_type(field, other)]
            for place in places(value, field.path):
                others = [(name, changed(value, place, to=other)) for name, other in wrong]
                if field.path[-1] != "*":  # an item less is another count, which the request's parameter promises
                    others.append(("removed", changed(value, place)))
                for name, other in others:
                    if found := failing(one, step, at, other):
                        broken[step, ".".join(map(str, place)), name] = found
    assert broken == {}


@pytest.mark.parametrize(("spec", "flow"), ROUTES, ids=[f"{s.target}:{f}" for s, f in ROUTES])
def test_a_documented_required_field_fails_when_it_is_missing(spec: Spec, flow: str) -> None:
    """Removing a field that a document or an official client requires fails, unless an ambiguity is about it."""
    one, missed, tried = healthy(spec, flow), {}, 0
    for step, at, shape, value in answers(one):
        for place, field, ambiguous in required(spec, shape, value):
            if kind(shape, field) in WEAK:
                continue
            tried += 1
            other = changed(value, place)
            found = with_answer(one, step, partial(put, other), at).findings()
            said = {verdict for check, verdict, _ in found if check == "response_schema_conformance"}
            if said != {"warn" if ambiguous else "fail"}:
                missed[step, ".".join(map(str, place))] = said
    assert missed == {}
    assert tried


def required(spec: Spec, shape: Shape, value: Any) -> Iterator[tuple[tuple[Any, ...], Field, bool]]:
    """The places in an answer of the fields that its schema requires, and whether an ambiguity is about each."""
    for schema, parent in objects(shape.schema, value):
        for index, name in enumerate(schema.get("required", ())):
            path = tuple("*" if isinstance(part, int) else part for part in (*parent, name))
            own = schema.get("properties", {}).get(name, {}).get("x-at")
            fields = [f for f in shape.fields if f.path == path]
            field = next((f for f in fields if f.schema["x-at"] == own), fields[0])
            at = str(own or f"{schema['x-at']}/properties/{name}")
            yield (*parent, name), field, bool(spec.about(at) or spec.about(f"{schema['x-at']}/required/{index}"))


def objects(schema: Any, value: Any, so_far: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The object schemas that apply to a value, with the place of the value; of alternatives those with its status."""
    for keyword in ("anyOf", "oneOf"):
        for item in schema.get(keyword, ()):
            status = item.get("properties", {}).get("status", {})
            words = status.get("enum", [status.get("const")])
            if status and isinstance(value, dict) and value.get("status") in words:
                yield from objects(item, value, so_far)
    if isinstance(value, dict):
        yield schema, so_far
        if "else" in schema and any(name not in value for name in schema["if"].get("required", ())):
            yield schema["else"], so_far
        for name, item in schema.get("properties", {}).items():
            if name in value and name != "x-at":
                yield from objects(item, value[name], (*so_far, name))
    if isinstance(value, list) and value and isinstance(schema.get("items"), dict):
        yield from objects(schema["items"], value[0], (*so_far, 0))


def test_a_rule_without_a_source_of_its_own_rests_on_the_nearest_field() -> None:
    """What is wrong inside an observed field is as weak as that field, in a shape that a document states otherwise."""
    firm, weak = Fact("api", "a", "stated"), Fact("payloads", "b", "seen", "observed")
    fields = (
        Field(("images",), "", {"x-at": "#/images"}, firm, {}),
        Field(("logs",), "", {"x-at": "#/logs"}, weak, {}),
        Field(("logs", "*"), "", {"x-at": "#/logs/items"}, None, {}),
    )
    shape = Shape({"x-at": "#"}, fields)
    expected = {("logs", 0): weak, ("logs", 0, "text"): weak, ("images", 3): firm, (): firm, ("other",): firm}
    found = {path: _stated(shape, Violation(path, "#/x", (), "", "", ""), weak) for path in expected}
    assert expected == found
