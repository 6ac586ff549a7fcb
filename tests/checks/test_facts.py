"""How hard a broken promise weighs depends on where it comes from: documents may fail a provider, observations never."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness.model import Fact, Step
from harness.spec import Field, Shape, Spec
from tests.calls import ROUTES, Seen, seen, with_answer

WRONG: tuple[Any, ...] = (None, 7.5, "text", True, [], {}, [[]], {"x": 1})
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


def healthy(spec: Spec, flow: str) -> Seen:
    return seen(spec, flow, count=2, seed=5)


def failing(one: Seen, step: Step, at: int, value: Any) -> set[str]:
    """The checks that fail when an answer has another value, and did not before."""
    before = {found[0] for found in one.findings() if found[1] == "fail"}
    return {found[0] for found in with_answer(one, step, lambda _: value, at).findings() if found[1] == "fail"} - before


@pytest.mark.parametrize(("spec", "flow"), ROUTES, ids=[f"{s.target}:{f}" for s, f in ROUTES])
def test_what_was_only_observed_or_assumed_never_fails(spec: Spec, flow: str) -> None:
    """Removing a field that no document and no client states, or breaking its type, never yields a failure."""
    one, broken = healthy(spec, flow), {}
    for step, at, shape, value in answers(one):
        for field in shape.fields:
            if kind(shape, field) not in WEAK:
                continue
            for place in places(value, field.path):
                for name, other in [("removed", changed(value, place))] + [
                    (repr(wrong), changed(value, place, to=wrong)) for wrong in WRONG
                ]:
                    found = failing(one, step, at, other)
                    if found:
                        broken[step, ".".join(map(str, place)), name] = found
    assert {} == broken


@pytest.mark.parametrize(("spec", "flow"), ROUTES, ids=[f"{s.target}:{f}" for s, f in ROUTES])
def test_a_documented_required_field_fails_when_it_is_missing(spec: Spec, flow: str) -> None:
    """Removing a field that a document or an official client requires fails, unless an ambiguity is about it."""
    one, missed, tried = healthy(spec, flow), {}, 0
    for step, at, shape, value in answers(one):
        for place, field, ambiguous in required(spec, shape, value):
            if kind(shape, field) in WEAK:
                continue
            tried += 1
            found = with_answer(one, step, lambda _, v=changed(value, place): v, at).findings()  # type: ignore[misc]
            said = {verdict for check, verdict, _ in found if check == "response_schema_conformance"}
            if said != {"warn" if ambiguous else "fail"}:
                missed[step, ".".join(map(str, place))] = said
    assert {} == missed
    assert tried or spec.provider == "fal-gateway"


def required(spec: Spec, shape: Shape, value: Any) -> Iterator[tuple[tuple[Any, ...], Field, bool]]:
    """The places in an answer of the fields that its schema requires, and whether an ambiguity is about each."""
    for field in shape.fields:
        for schema, parent in objects(shape.schema, value):
            names = list(schema.get("required", ()))
            if not names or field.path[-1] not in names or "*" in field.path[-1:]:
                continue
            at = str(field.schema["x-at"])
            if at != str(schema.get("properties", {}).get(field.path[-1], {}).get("x-at")):
                continue
            rule = f"{schema['x-at']}/required/{names.index(field.path[-1])}"
            yield (*parent, field.path[-1]), field, bool(spec.about(at) or spec.about(rule))


def objects(schema: Any, value: Any, so_far: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The object schemas that apply to a value, with the place of the value; of alternatives those with its status."""
    for keyword in ("anyOf", "oneOf"):
        for item in schema.get(keyword, ()):
            status = item.get("properties", {}).get("status", {})
            words = status.get("enum", [status.get("const")])
            if isinstance(value, dict) and value.get("status") in words:
                yield from objects(item, value, so_far)
    if isinstance(value, dict):
        yield schema, so_far
        for name, item in schema.get("properties", {}).items():
            if name in value and name != "x-at":
                yield from objects(item, value[name], (*so_far, name))
    if isinstance(value, list) and value and isinstance(schema.get("items"), dict):
        yield from objects(schema["items"], value[0], (*so_far, 0))
