"""Faults about request values: a documented one refused, a forbidden one accepted, one that crashes the endpoint.

Rules
-----
* What is refused are a partition's labels, recognised by what a value is (on the boundary, next to it, with other
  than ASCII characters, two addresses) and not by the value that a plan of today happens to send.
* What is accepted are classes of values that the schema forbids; all flaws of that parameter are then forgiven.
* A combination is refused only when every value of it is of a certain class.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from harness.model import Json
from harness.planning.labels import Label
from harness.simulator.faults.fault import Fault, Verdict, always, labels_of, plain_body, planted
from harness.simulator.provider import Endpoint, Reply
from harness.simulator.verdicts import Flaw, Refusal, Verdicts
from harness.spec.contract import Parameter, Schema, Spec

MISSING: Any = object()
"""The value of a parameter that a body leaves out."""

Matches: TypeAlias = Callable[[Any], bool]
Condition: TypeAlias = Mapping[str, Matches]
"""What each of some parameters has to be, by name."""


def faults(spec: Spec) -> Iterator[Fault]:
    """Every fault of a spec's parameters."""
    free = [parameter for parameter in spec.parameters if parameter.name not in spec.constants]
    for parameter in free:
        yield from _refused(spec, parameter)
    for parameter in free:
        yield from _accepted(spec, parameter)
    for number, shown_by in ((2, "pairs"), (3, "triples")):
        for start in range(len(free)) if len(free) > number else ():
            together = [free[(start + step) % len(free)] for step in range(number)]
            yield _combined(spec, together, shown_by)
    for parameter in free:
        yield from _crashed(spec, parameter)


# Values by label ---------------------------------------------------------------------------------------------------


def _is_text(value: Any, test: Callable[[str], bool]) -> bool:
    return isinstance(value, str) and test(value)


def _escapes(text: str) -> bool:
    return any(character in text for character in '"\\<>\n\t')


def _links(value: Any, number: Callable[[int], bool], inline: int | None) -> bool:
    """A list of so many addresses, of which as many are data URIs; any number of them for None."""
    if not isinstance(value, list) or not number(len(value)):
        return False
    return inline is None or sum(isinstance(item, str) and item.startswith("data:") for item in value) == inline


_TEXTS: Mapping[str, Matches] = {
    "ascii": partial(_is_text, test=lambda t: t.isascii() and 1 < len(t) < 2000 and not _escapes(t)),
    "one-character": partial(_is_text, test=lambda t: len(t) == 1),
    "unicode": partial(_is_text, test=lambda t: not t.isascii()),
    "escapes": partial(_is_text, test=_escapes),
    "long": partial(_is_text, test=lambda t: len(t) >= 2000),
    "empty": partial(_is_text, test=lambda t: not t),
}
_ADDRESSES: Mapping[str, Matches] = {
    "https-url": partial(_is_text, test=lambda t: t.startswith("https://")),
    "http-url": partial(_is_text, test=lambda t: t.startswith("http://")),
    "png-data-uri": partial(_is_text, test=lambda t: t.startswith("data:image/png")),
    "jpeg-data-uri": partial(_is_text, test=lambda t: t.startswith("data:image/jpeg")),
}
_LISTS: Mapping[str, Matches] = {
    "one-url": partial(_links, number=lambda n: n == 1, inline=0),
    "two-urls": partial(_links, number=lambda n: n == 2, inline=0),
    "four-urls": partial(_links, number=lambda n: n >= 4, inline=0),
    "one-data-uri": partial(_links, number=lambda n: n == 1, inline=1),
    "url-and-data-uri": partial(_links, number=lambda n: n >= 2, inline=1),
}
_BY_ROLE: Mapping[str, Mapping[str, Matches]] = {
    "prompt": _TEXTS,
    "negative_prompt": _TEXTS,
    "image": _ADDRESSES,
    "images": _LISTS,
}


def _matches(label: Label, parameter: Parameter, domain: Sequence[Label]) -> Matches:
    """Whether a value is of a label: by what it is, else by being that very value."""
    if label.absent:
        return lambda value: value is MISSING
    known = _BY_ROLE.get(parameter.role, {}).get(label.name)
    return known or _range(label, domain) or partial(_equal, label.value)


def _range(label: Label, domain: Sequence[Label]) -> Matches | None:
    """The range that an inner label of an ordered domain stands for; None for a label that is one value."""
    if label.name not in ("just-above-minimum", "interior", "just-below-maximum"):
        return None
    values: Mapping[str, Any] = {one.name: one.value for one in domain}
    low, high = values.get("minimum", values.get("zero", -math.inf)), values.get("maximum", math.inf)
    above, below = values.get("just-above-minimum", low), values.get("just-below-maximum", high)
    tests: Mapping[str, Callable[[float], bool]] = {
        "just-above-minimum": lambda value: low < value <= above,
        "interior": lambda value: above < value < below,
        "just-below-maximum": lambda value: below <= value < high,
    }
    default, test = values.get("default"), tests[label.name]
    return lambda value: _is_number(value) and value != default and test(value)


def _equal(wanted: Json, value: Any) -> bool:
    """Equality of JSON values, where a boolean is no number."""
    return value is not MISSING and isinstance(wanted, bool) == isinstance(value, bool) and bool(wanted == value)


def _class(kind: str, parameter: Parameter, domain: Sequence[Label]) -> Matches:
    """Whether a value is of any label of a class."""
    tests = [_matches(label, parameter, domain) for label in domain if label.kind == kind]
    return lambda value: any(test(value) for test in tests)


def _meets(body: Any, condition: Condition) -> bool:
    return isinstance(body, dict) and all(test(body.get(name, MISSING)) for name, test in condition.items())


def _with(body: Mapping[str, Json], name: str, label: Label) -> dict[str, Json]:
    rest = {key: value for key, value in body.items() if key != name}
    return rest if label.absent else {**rest, name: label.value}


def _open(spec: Spec, body: Mapping[str, Json]) -> Verdict:
    """``warn`` for a body of which the documents leave open whether it is accepted."""
    return "warn" if spec.contested(body) else "fail"


def _slug(text: str) -> str:
    """A label in an id: no spaces."""
    return "-".join(text.split()) or "empty"


# Refused, and crashed on -------------------------------------------------------------------------------------------


def _refusing(condition: Condition) -> Callable[[Any, Refusal | None], Refusal | None]:
    def refusal(body: Any, healthy: Refusal | None) -> Refusal | None:
        if healthy is None and _meets(body, condition):
            return Refusal(tuple(Flaw((name,), f"{name}: this value is not supported") for name in condition))
        return healthy

    return refusal


def _refused(spec: Spec, parameter: Parameter) -> Iterator[Fault]:
    domain = labels_of(parameter, spec)
    for label in domain:
        condition = {parameter.name: _matches(label, parameter, domain)}
        shown = "left out" if label.absent else f"at {label.name}"
        yield planted(
            spec,
            f"refuses-{parameter.name}-{_slug(label.name)}",
            "positive_data_acceptance",
            f"A valid body is refused when {parameter.name} is {shown}.",
            always(refusal=_refusing(condition)),
            parameter.name,
            verdict=_open(spec, _with(plain_body(spec), parameter.name, label)),
        )


def _combined(spec: Spec, together: Sequence[Parameter], shown_by: Any) -> Fault:
    body, chosen = plain_body(spec), []
    for parameter in together:
        domain = labels_of(parameter, spec)
        label = _undisputed(spec, parameter, domain)
        body = _with(body, parameter.name, label)
        chosen.append((parameter, label, _class(label.kind, parameter, domain)))
    name = "-with-".join(f"{parameter.name}-{_slug(label.kind)}" for parameter, label, _ in chosen)
    shown = ", ".join(f"{parameter.name} is {label.kind}" for parameter, label, _ in chosen)
    return planted(
        spec,
        f"refuses-{name}",
        "positive_data_acceptance",
        f"A valid body is refused only when all of this holds: {shown}.",
        always(refusal=_refusing({parameter.name: test for parameter, _, test in chosen})),
        *(parameter.name for parameter in together),
        verdict=_open(spec, body),
        shown_by=shown_by,
    )


def _undisputed(spec: Spec, parameter: Parameter, domain: Sequence[Label]) -> Label:
    """The last label that is given and of a class whose every value the documents allow; else the last of all."""
    base = plain_body(spec)
    doubtful = {label.kind for label in domain if spec.contested(_with(base, parameter.name, label))}
    return next((one for one in reversed(domain) if not one.absent and one.kind not in doubtful), domain[-1])


def _crashed(spec: Spec, parameter: Parameter) -> Iterator[Fault]:
    domain = labels_of(parameter, spec)
    label = domain[-1]
    condition = {parameter.name: _matches(label, parameter, domain)}

    def instead(endpoint: Endpoint, body: Any, _refusal: Refusal | None, healthy: Reply | None) -> Reply | None:
        return endpoint.error("internal", "Something went wrong.") if _meets(body, condition) else healthy

    yield planted(
        spec,
        f"crashes-on-{parameter.name}-{_slug(label.name)}",
        "not_a_server_error",
        f"A submit is answered 500 when {parameter.name} is at {label.name}.",
        always(instead=instead),
        parameter.name,
    )


# Accepted ----------------------------------------------------------------------------------------------------------

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_OTHERWISE: Mapping[str, Json] = {
    "string": 12345,
    "integer": "three",
    "number": "three",
    "boolean": "maybe",
    "array": "not a list",
    "object": [],
}


_PLAIN: Mapping[str, Json] = {"string": "a", "integer": 3, "number": 3.5, "boolean": True, "array": [], "object": {}}


def _unquoted(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _types(schema: Schema) -> tuple[str, ...]:
    types = schema.get("type", ())
    return (types,) if isinstance(types, str) else tuple(types)


def _is(value: Any, types: Sequence[str]) -> bool:
    """Whether a value is of one of some JSON types; 1.0 is an integer, true is no number."""
    if isinstance(value, bool):
        return "boolean" in types
    if isinstance(value, float) and value.is_integer() and "integer" in types:
        return True
    return any(isinstance(value, _TYPES[name]) for name in types)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _of_type(schema: Schema, value: Any) -> bool:
    return value is not MISSING and value is not None and (not _types(schema) or _is(value, _types(schema)))


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A class of values that some schemas forbid: which, whether a value is of it, and one that is."""

    name: str
    states: str
    applies: Callable[[Schema], bool]
    holds: Callable[[Schema, Any], bool]
    sample: Callable[[Schema], Json]


def _alien(schema: Schema, value: Any) -> bool:
    return value is not MISSING and value is not None and not _is(value, _types(schema))


def _items(schema: Schema) -> tuple[str, ...]:
    items = schema.get("items")
    return _types(items) if isinstance(items, dict) else ()


def _words(schema: Schema) -> list[str]:
    return [member for member in schema.get("enum", ()) if isinstance(member, str)]


_FORBIDDEN = (
    Forbidden("null", "is null", lambda s: bool(_types(s)) and "null" not in _types(s), lambda _, v: v is None, lambda _: None),
    Forbidden("wrong-type", "is of another type", lambda s: bool(_types(s)), _alien, lambda s: _OTHERWISE[_types(s)[0]]),
    Forbidden(
        "quoted",
        "is a value of its own in quotes",
        lambda s: bool(_types(s)) and "string" not in _types(s),
        lambda s, v: isinstance(v, str) and _is(_unquoted(v), _types(s)),
        lambda s: json.dumps(_PLAIN[_types(s)[0]]),
    ),
    Forbidden(
        "fraction",
        "is no whole number",
        lambda s: "integer" in _types(s) and "number" not in _types(s),
        lambda _, v: isinstance(v, float) and not v.is_integer(),
        lambda s: s.get("minimum", 1) + 0.5,
    ),
    Forbidden(
        "below-minimum",
        "is below the minimum",
        lambda s: "minimum" in s,
        lambda s, v: _is_number(v) and v < s["minimum"],
        lambda s: s["minimum"] - 1,
    ),
    Forbidden(
        "above-maximum",
        "is above the maximum",
        lambda s: "maximum" in s,
        lambda s, v: _is_number(v) and v > s["maximum"],
        lambda s: s["maximum"] + 1,
    ),
    Forbidden(
        "unknown-member",
        "is none of the documented values",
        lambda s: "enum" in s,
        lambda s, v: _of_type(s, v) and v not in s["enum"],
        lambda _: "no-such-value",
    ),
    Forbidden(
        "wrong-case",
        "is a documented value in other letters",
        lambda s: any(word != word.upper() for word in _words(s)),
        lambda s, v: isinstance(v, str) and v not in _words(s) and v.lower() in [word.lower() for word in _words(s)],
        lambda s: next(word for word in _words(s) if word != word.upper()).upper(),
    ),
    Forbidden(
        "padded",
        "is a documented value between spaces",
        lambda s: bool(_words(s)),
        lambda s, v: isinstance(v, str) and v not in _words(s) and v.strip() in _words(s),
        lambda s: f" {_words(s)[0]} ",
    ),
    Forbidden(
        "malformed",
        "does not have the documented form",
        lambda s: "pattern" in s,
        lambda s, v: isinstance(v, str) and not _fits(s["pattern"], v),
        lambda _: "no-such-form",
    ),
    Forbidden(
        "bad-item",
        "holds an item of another type",
        lambda s: bool(_items(s)),
        lambda s, v: isinstance(v, list) and any(not _is(item, _items(s)) for item in v),
        lambda s: [_OTHERWISE[_items(s)[0]]],
    ),
    Forbidden(
        "bad-second-item",
        "holds an item of another type behind a good one",
        lambda s: bool(_items(s)),
        lambda s, v: isinstance(v, list) and len(v) > 1 and _is(v[0], _items(s)) and not _is(v[-1], _items(s)),
        lambda s: [_PLAIN[_items(s)[0]], _OTHERWISE[_items(s)[0]]],
    ),
)  # fmt: skip


def _fits(pattern: str, text: str) -> bool:
    import re

    return re.search(pattern, text) is not None


def _accepted(spec: Spec, parameter: Parameter) -> Iterator[Fault]:
    name, schema, base, judge = parameter.name, parameter.schema, plain_body(spec), Verdicts(spec)
    rows = [(kind, partial(kind.holds, schema), kind.sample(schema)) for kind in _FORBIDDEN if kind.applies(schema)]
    absent = Forbidden("missing", "is left out", lambda _: True, lambda _, v: v is MISSING, lambda _: None)
    for kind, matches, sample in [(absent, partial(absent.holds, schema), MISSING), *rows]:
        body = {key: value for key, value in {**base, name: sample}.items() if value is not MISSING}
        if judge.refusal(body) is None:
            continue  # the healthy endpoint accepts it as well
        weak = parameter.source.kind in ("observed", "assumed")
        yield planted(
            spec,
            f"accepts-{name}-{kind.name}",
            "negative_data_rejection",
            f"A body is accepted although {name} {kind.states}.",
            always(refusal=forgiving(name, matches)),
            name,
            verdict="warn" if weak else _open(spec, body),
            shown_by="rejects",
        )


def forgiving(name: str, matches: Matches) -> Callable[[Any, Refusal | None], Refusal | None]:
    """A hook that overlooks every flaw of a parameter where its value is of a class."""

    def refusal(body: Any, healthy: Refusal | None) -> Refusal | None:
        if healthy is None or not _meets(body, {name: matches}):
            return healthy
        left = tuple(flaw for flaw in healthy.flaws if flaw.parameter != name)
        return replace(healthy, flaws=left) if left else None

    return refusal
