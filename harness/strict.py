"""One strict loader for JSON and one for YAML, used wherever text from outside becomes values.

Rules
-----
* JSON is RFC 8259 with what that RFC calls interoperable: UTF-8, no duplicate keys, no NaN or Infinity, no number
  that overflows a float, no lone surrogates, bounded size and depth. Integers stay exact whatever their length,
  up to 4300 digits.
* What a value may weigh is bounded before it is built: ``[],[],…`` grows thirtyfold in memory. The signs between
  values (``[ { , :``) are counted, also those in strings, so that a bound is generous: a provider's answer has
  ``ANSWER_SIGNS``, our own files ``MAX_SIGNS``.
* YAML is the 1.2 core schema: ``on``, ``1_000`` and ``16:9`` are strings, and a duplicate key is an error.
  Size, depth, the number of nodes and the growth through aliases are bounded before any value is built.
  PyYAML's C parser reads the events and their line marks (the safe loader's composer recurses in C and dies on
  200 000 open brackets; ruamel.yaml reads 1.2 too, at 30 times the price); the composer over them is ours.
* What is refused is a ``StrictError``: one sentence, and the line where there is one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

MAX_JSON_BYTES = 64 * 1024 * 1024
MAX_YAML_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 200_000
MAX_SIGNS = 8_000_000
ANSWER_SIGNS = 500_000
MAX_DIGITS = 4300
SHOWN = 40


class StrictError(ValueError):
    """The text is not what the strict loader accepts. ``line`` counts from 1 and is None where it is not known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.message = message
        self.line = line


def load_json(data: bytes, signs: int = MAX_SIGNS) -> Any:
    """The value of a JSON text that has at most so many signs between values.

    Raises:
        StrictError: the bytes are too many, not UTF-8, not JSON, or JSON that two parsers may read differently.
    """
    if len(data) > MAX_JSON_BYTES:
        raise StrictError(f"the text has {len(data)} bytes, over the limit of {MAX_JSON_BYTES}")
    # A text has no more signs than bytes: most are too short to be counted.
    if len(data) > signs and sum(map(data.count, (b",", b":", b"[", b"{"))) > signs:
        raise StrictError(f"the text has more than {signs} values")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StrictError(f"byte {error.start} is not UTF-8") from None
    try:
        value = _DECODER.decode(text)
    except StrictError:
        raise
    except RecursionError:
        raise StrictError(f"the nesting is deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise StrictError(f"not JSON: {error.msg.lower()}", error.lineno) from None
    except ValueError as error:
        raise StrictError(f"not JSON: {str(error)[:80]}") from None
    # Only an escape can smuggle in half a surrogate pair: the decoder above refuses it as UTF-8.
    if "\\u" in text:
        _refuse_surrogates(value)
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise StrictError(f"the nesting is deeper than {MAX_DEPTH} levels")
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise StrictError(f"the name {name[:SHOWN]!r} stands twice in one object")
            seen.add(name)
    return value


def _constant(name: str) -> NoReturn:
    raise StrictError(f"{name} is not a JSON number")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise StrictError(f"the number {text[:SHOWN]} is too large")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float)


def _refuse_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise StrictError("a string holds half of a surrogate pair") from None


def _depth(value: Any) -> int:
    level, deepest = [value], 0
    while level:
        deepest += 1
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level = below
    return deepest


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML document's value, and the line of each of its nodes by JSON Pointer."""

    value: Any
    lines: dict[str, int]
    ambiguous: dict[str, int] = field(default_factory=dict)
    """Plain scalars that a YAML 1.1 reader takes for something else (``16:9``, ``on``), by JSON Pointer."""

    def line(self, pointer: str) -> int:
        """The line of the node at ``pointer``, or of its nearest ancestor."""
        while pointer and pointer not in self.lines:
            pointer = pointer.rpartition("/")[0]
        return self.lines.get(pointer, 1)


def load_yaml(data: bytes, plain: Callable[[str, int], Any] | None = None) -> Document:
    """The single document of a YAML 1.2 text; ``plain`` reads its plain scalars otherwise, each with its line.

    Raises:
        StrictError: the bytes are too many, not UTF-8, not YAML, hold several documents, duplicate keys, keys that
            are not strings, tags, or more nodes, depth or aliases than the limits.
    """
    import yaml

    if len(data) > MAX_YAML_BYTES:
        raise StrictError(f"the text has {len(data)} bytes, over the limit of {MAX_YAML_BYTES}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StrictError(f"byte {error.start} is not UTF-8") from None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Composer(yaml.parse(text, Loader=loader), plain or _scalar).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise StrictError(f"not YAML: {str(error.problem)[:200]}", mark.line + 1 if mark else None) from None
    except yaml.YAMLError as error:
        raise StrictError(f"not YAML: {str(error).splitlines()[0][:200]}") from None


_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_COMMON_INT = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)
_YAML_1_1 = re.compile(
    r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"  # sexagesimal
    r"|[-+]?[0-9][0-9,_]*_[0-9_]*|0[0-9]+"  # digit groups, octal
    r"|[yY]|[nN]|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF"  # booleans
)


def _scalar(text: str, line: int) -> Any:
    """A plain scalar under the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise StrictError(f"the number {text[:SHOWN]} has more than {MAX_DIGITS} digits", line)
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if math.isinf(value):
            raise StrictError(f"the number {text[:SHOWN]} is too large", line)
        return value
    if text.lstrip("+-").lower() in (".inf", ".nan"):
        raise StrictError(f"{text} has no JSON equivalent", line)
    return text


def common_scalar(text: str, line: int) -> Any:
    """A plain scalar that YAML 1.1 and 1.2 read alike; where they differ, the text: a dumper of either wrote a string.

    It serves formats without fractional numbers: ``1.5`` is text too.
    """
    if text in _WORDS:
        return _WORDS[text]
    return _scalar(text, line) if _COMMON_INT.fullmatch(text) else text


@dataclass(slots=True)
class _Frame:
    """An open collection: its value, its pointer, and for a mapping the key that waits for a value."""

    value: Any
    pointer: str
    anchor: str | None
    size: int = 1
    height: int = 1
    key: str | None = None


@dataclass(frozen=True, slots=True)
class _Anchor:
    """A finished node that aliases may repeat: its value, its nodes, and the levels of collections in it."""

    value: Any
    size: int
    height: int


class _Composer:
    """Builds values from parser events, without recursion, so that depth is a number and not a stack."""

    def __init__(self, events: Any, plain: Callable[[str, int], Any]) -> None:
        self.events, self.plain = events, plain
        self.stack: list[_Frame] = []
        self.lines: dict[str, int] = {}
        self.ambiguous: dict[str, int] = {}
        self.anchors: dict[str, _Anchor] = {}
        self.nodes = 0
        self.root: list[Any] = []

    def document(self) -> Document:
        import yaml

        for event in self.events:
            line = event.start_mark.line + 1
            if isinstance(event, yaml.ScalarEvent):
                self._take(*self._read(event, line), line)
            elif isinstance(event, yaml.AliasEvent):
                name = event.anchor or ""
                anchor = self.anchors.get(name)
                if anchor is None:
                    raise StrictError(f"the alias *{name[:SHOWN]} has no finished anchor", line)
                if len(self.stack) + anchor.height > MAX_DEPTH:
                    raise StrictError(f"the nesting is deeper than {MAX_DEPTH} levels, aliases followed", line)
                self._take(anchor.value, anchor.size, line, height=anchor.height, alias=True)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._open(event, line)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                frame = self.stack.pop()
                if frame.anchor:
                    self.anchors[frame.anchor] = _Anchor(frame.value, frame.size, frame.height)
                if self.stack:
                    self.stack[-1].size += frame.size
                    self.stack[-1].height = max(self.stack[-1].height, frame.height + 1)
            elif isinstance(event, yaml.DocumentStartEvent) and self.root:
                raise StrictError("a second document begins; one file holds one document", line)
        return Document(self.root[0] if self.root else None, self.lines, self.ambiguous)

    def _read(self, event: Any, line: int) -> tuple[Any, int]:
        if event.tag and event.tag not in ("tag:yaml.org,2002:str", "!"):
            raise StrictError(f"the tag {event.tag[:SHOWN]} is not allowed", line)
        plain = event.style is None or event.style == ""
        value = self.plain(event.value, line) if plain and not event.tag else event.value
        if plain and isinstance(event.value, str) and _YAML_1_1.fullmatch(event.value):
            frame = self.stack[-1] if self.stack else None
            is_key = frame is not None and isinstance(frame.value, dict) and frame.key is None
            self.ambiguous[f"{frame.pointer}/{escape(event.value)}" if frame and is_key else self._pointer()] = line
        if event.anchor:
            self.anchors[event.anchor] = _Anchor(value, 1, 0)
        return value, 1

    def _open(self, event: Any, line: int) -> None:
        import yaml

        if event.tag and event.tag != "!":
            raise StrictError(f"the tag {event.tag[:SHOWN]} is not allowed", line)
        if len(self.stack) >= MAX_DEPTH:
            raise StrictError(f"the nesting is deeper than {MAX_DEPTH} levels", line)
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        pointer = self._pointer()
        self._take(value, 0, line)
        self.stack.append(_Frame(value, pointer, event.anchor))

    def _pointer(self) -> str:
        if not self.stack:
            return ""
        frame = self.stack[-1]
        part = str(len(frame.value)) if isinstance(frame.value, list) else (frame.key or "")
        return f"{frame.pointer}/{escape(part)}"

    def _take(self, value: Any, size: int, line: int, *, height: int = 0, alias: bool = False) -> None:
        # An alias counts in full each time: a bomb is refused while it is still ten short lines.
        self.nodes += max(size, 1)
        if self.nodes > MAX_NODES:
            raise StrictError(f"the text has more than {MAX_NODES} nodes, aliases counted in full", line)
        if not self.stack:
            self.lines[""] = line
            self.root.append(value)
            return
        frame = self.stack[-1]
        frame.size += size
        frame.height = max(frame.height, height + 1)
        if isinstance(frame.value, list):
            self.lines[self._pointer()] = line
            frame.value.append(value)
        elif frame.key is None:
            if not isinstance(value, str) or alias:
                raise StrictError(f"the key {str(value)[:SHOWN]} is not a string; put it in quotes", line)
            if value in frame.value:
                raise StrictError(f"the key {value[:SHOWN]!r} stands twice in one mapping", line)
            frame.key = value
            self.lines[self._pointer()] = line
        else:
            frame.value[frame.key] = value
            frame.key = None


def escape(part: str) -> str:
    """One reference token of a JSON Pointer (RFC 6901)."""
    return part.replace("~", "~0").replace("/", "~1")


def unescape(token: str) -> str:
    """The name that a reference token of a JSON Pointer stands for."""
    return token.replace("~1", "/").replace("~0", "~")


def resolve(value: Any, pointer: str) -> Any:
    """The value at a JSON Pointer.

    Raises:
        LookupError: there is no such place.
    """
    for token in pointer.split("/")[1:]:
        name = unescape(token)
        if isinstance(value, list):
            if not re.fullmatch(r"0|[1-9][0-9]*", name):
                raise LookupError(pointer)
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            raise LookupError(pointer)
    return value
