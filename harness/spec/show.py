"""Specs as a person wants to read them: tables for ``specs list`` and ``specs show``.

Rules
-----
* Everything shown is the spec's: nothing is computed that a check would compute.
* It reads at 100 columns, and without colour or box characters that only a terminal can show.
* A spec is text from outside: control characters and Rich's markup in it are shown, not obeyed.

Rich lays out the tables, since it measures wide characters and folds cells; it is imported here only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from harness.model import Fact, Json
from harness.spec.contract import Field, Flow, Parameter, Schema, Shape, Spec

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

WIDTH = 100
NONE = "-"
LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "{} characters or more",
    "maxLength": "{} characters or fewer",
    "minItems": "{} items or more",
    "maxItems": "{} items or fewer",
    "pattern": "matches {}",
}


def console(file: TextIO | None = None) -> Console:
    """A console on a stream (None: stdout): as wide as the terminal, ``WIDTH`` columns where there is none."""
    from rich.console import Console

    made = Console(file=file, markup=False, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = WIDTH
    return made


def listing(specs: Sequence[Spec], to: Console) -> None:
    """One row for each spec: target, flows with the default first, key variable, price, number of parameters."""
    rows = [
        (spec.target, ", ".join(spec.flows), spec.credential.env, price(spec), str(len(spec.parameters)))
        for spec in specs
    ]
    _table(to, ("target", "flows", "key variable", "price per image", "parameters"), rows)


def show(spec: Spec, to: Console) -> None:
    """Everything one spec says, with the places it says it from."""
    _title(to, f"{spec.target}: {spec.title}")
    _lines(to, _account(spec))
    _title(to, "Request parameters")
    rows = [_parameter(parameter) for parameter in spec.parameters]
    _table(to, ("name", "type", "values", "default", "required", "role", "stated at"), rows)
    for name, value in spec.constants.items():
        _lines(to, [f"{name} is always {_json(value)}"])
    for group in spec.interactions:
        _lines(to, [f"{' and '.join(group)} interact"])
    _title(to, "Flows")
    for flow in spec.flows.values():
        _lines(to, _flow(flow, default=flow is spec.default_flow))
    for name, answer in _answers(spec):
        _title(to, f"Answer of {name}")
        fields = [_field(field) for field in answer.fields if field.source is not None]
        _table(to, ("field", "type", "values", "role", "stated at"), _unique(fields))
    _title(to, f"Ambiguities ({len(spec.ambiguities)})")
    for ambiguity in spec.ambiguities:
        _lines(to, [f"{ambiguity.id}: {ambiguity.states}"])
        _lines(to, [f"{_where(place)}: {place.states}" for place in ambiguity.places], indent=4)


def price(spec: Spec) -> str:
    """The list price, marked where nobody states it for this endpoint."""
    assumed = " (assumed)" if spec.price.source.kind == "assumed" else ""
    return f"{spec.price.amount} {spec.price.currency}{assumed}"


def kind_of(schema: Schema) -> str:
    """A schema's type in a word or two."""
    named = schema.get("type")
    if named == "array" and isinstance(schema.get("items"), dict):
        return f"array of {kind_of(schema['items'])}"
    if isinstance(named, list):
        return " or ".join(map(str, named))
    alternatives = [kind_of(item) for key in ("anyOf", "oneOf") for item in schema.get(key, ())]
    return str(named) if named else " or ".join(dict.fromkeys(alternatives)) or "any"


def values_of(schema: Schema) -> str:
    """What a schema lets through, beyond its type."""
    if "const" in schema:
        return _json(schema["const"])
    if "enum" in schema:
        return ", ".join(value if isinstance(value, str) else _json(value) for value in schema["enum"])
    if "minimum" in schema and "maximum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}"
    return ", ".join(words.format(schema[keyword]) for keyword, words in LIMITS.items() if keyword in schema) or NONE


def _account(spec: Spec) -> Iterator[str]:
    credential = spec.credential
    yield f"servers: {', '.join(spec.servers) or 'none documented; give one with --base-url'}"
    word = f"{credential.scheme} " if credential.scheme else ""
    optional = ", optional by the document" if credential.optional else ""
    yield f"key: {credential.header}: {word}${credential.env}{optional} ({_where(credential.source)})"
    source = spec.price.source
    yield f"price: {price(spec)} for each image, {spec.price.date}, {source.document}: {source.states}"


def _parameter(parameter: Parameter) -> tuple[str, ...]:
    schema = parameter.schema
    default = _json(schema["default"]) if "default" in schema else NONE
    required = "yes" if parameter.required else "no"
    return (
        parameter.name,
        kind_of(schema),
        values_of(schema),
        default,
        required,
        parameter.role,
        _where(parameter.source),
    )


def _field(field: Field) -> tuple[str, ...]:
    name = ".".join(field.path).replace(".*", "[]")
    stated = _where(field.source) if field.source else NONE
    return (name, kind_of(field.schema), values_of(field.schema), field.role or NONE, stated)


def _flow(flow: Flow, *, default: bool) -> Iterator[str]:
    chosen = f" when {_json(dict(flow.body))} is sent" if flow.body else ""
    yield f"{flow.name}{' (default)' if default else ''}{chosen}"
    for name, step in flow.steps().items():
        where = f", at the URL in {'.'.join(step.follow)}" if step.follow else ""
        server = flow.server or ""
        yield f"    {name}: {step.operation.method} {server}{step.operation.path}{where}"
    for state in dict.fromkeys(flow.states.values()):
        words = ", ".join(word for word, meaning in flow.states.items() if meaning == state)
        yield f"    {state}: {words}"


def _answers(spec: Spec) -> Iterator[tuple[str, Shape]]:
    """The shapes of the successful answers, each once, named by the steps that answer them."""
    named: dict[str, tuple[list[str], Shape]] = {}
    for flow in spec.flows.values():
        for name, step in flow.steps().items():
            names, _ = named.setdefault(str(step.shape.schema["x-at"]), ([], step.shape))
            names.append(f"{flow.name} {name}")
    for kind, error in spec.errors.items():
        names, _ = named.setdefault(str(error.shape.schema["x-at"]), ([], error.shape))
        names.append(f"error {kind} ({error.status})")
    for names, shape in named.values():
        yield ", ".join(dict.fromkeys(names)), shape


def _where(fact: Fact) -> str:
    kind = "" if fact.kind == "document" else f" [{fact.kind}]"
    return f"{fact.where}{kind}"


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def _unique(rows: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(rows))


def _plain(text: str) -> Text:
    """A text that no terminal obeys."""
    from rich.text import Text

    return Text("".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text))


def _title(to: Console, text: str) -> None:
    title = _plain(text)
    title.stylize("bold")
    to.line()
    _print(to, title)


def _lines(to: Console, lines: Iterable[str], indent: int = 0) -> None:
    from rich.padding import Padding

    for line in lines:
        margin = indent + len(line) - len(line.lstrip())
        _print(to, Padding(_plain(line.lstrip()), (0, 0, 0, margin)))


def _print(to: Console, what: RenderableType) -> None:
    """Print without the blanks that Rich fills lines with."""
    with to.capture() as captured:
        to.print(what)
    to.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _table(to: Console, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    for name in columns:
        # A name broken over two lines cannot be searched for.
        table.add_column(name, overflow="fold", no_wrap=name in (columns[0], "role"))
    for row in rows:
        table.add_row(*(_plain(cell) for cell in row))
    _print(to, table)
