"""Each parameter's values, cut into labelled partitions: what a conformance run has to have sent once.

Rules
-----
* A label is one documented or boundary value (``minimum``, ``just-above-minimum``, ``16:9``, ``absent``), and belongs
  to a coarser class; labels are to be covered singly, classes in pairs.
* Labels come from the schema and the role, never from a name or a provider. A parameter that must be sent has no
  ``absent``.
* A float's neighbour is one hundredth inside its boundary: near enough to fall on the boundary's side of any
  documented step, and exact in a decimal reading of the JSON text.
* Input images are the user's assets, the documents' own example URLs, or small fixture files as data URIs.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.model import Json
from harness.spec import Parameter, Spec

ABSENT = "absent"
LARGEST_SEED = 2**31 - 1
"""The largest seed where the document names none: every provider seen takes signed 32-bit integers."""
PUBLIC_ASSETS = (
    "https://v3.fal.media/files/penguin/XoW0qavfF-ahg-jX4BMyL_image.webp",
    "https://v3.fal.media/files/tiger/bml6YA7DWJXOigadvxk75_image.webp",
)
"""The public example images of one of the documents, for the targets whose own document shows none."""

RATIOS = ("21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21")
PROMPTS: Mapping[str, tuple[str, str]] = {
    "ascii": ("plain", "Turn the picture into a quick pencil sketch"),
    "one-character": ("plain", "a"),
    "unicode": ("unicode", "把图片变成水彩画 🎨 شكرا e\u0301"),
    "escapes": ("unicode", "Say \"hello\"\n<b>\\ 'tick' & {brace} %s</b>\t"),
    "long": ("long", ("A quiet harbour at dawn, drawn in ink. " * 52)[:2000]),
}
NEGATIVES: Mapping[str, tuple[str, str]] = {
    "ascii": ("given", "blur, text"),
    "unicode": ("given", "模糊 ✗"),
    "empty": ("given", ""),
}


@dataclass(frozen=True, slots=True)
class Label:
    """One value of a partition; ``value`` is meaningless when ``name`` is ``absent``."""

    name: str
    kind: str
    value: Json = None

    @property
    def absent(self) -> bool:
        """Whether the parameter is left out."""
        return self.name == ABSENT


def partition(parameter: Parameter, spec: Spec, assets: Sequence[str] = ()) -> tuple[Label, ...]:
    """A parameter's labels in a fixed order, ``absent`` first where the parameter is optional."""
    by_role = _ROLES.get(parameter.role)
    labels = tuple(by_role(parameter, spec, assets) if by_role else _by_schema(parameter))
    optional = () if parameter.required or parameter.role == "prompt" else (Label(ABSENT, ABSENT),)
    return (*optional, *labels)


def assets_for(spec: Spec, configured: Sequence[str]) -> tuple[str, ...]:
    """The input images of a target: the configured ones, else its document's examples, else another document's."""
    if configured:
        return tuple(configured)
    found: list[Any] = []
    for role in ("images", "image"):
        parameter = spec.parameter(role)
        if parameter is not None:
            examples = [parameter.schema.get("example"), *parameter.schema.get("examples", ())]
            examples.append(spec.input_schema.get("example", {}).get(parameter.name))
            for example in examples:
                found += [example] if isinstance(example, str) else list(example or ())
    urls = dict.fromkeys(url for url in found if isinstance(url, str) and url.startswith(("http://", "https://")))
    return tuple(urls) or PUBLIC_ASSETS


@cache
def data_uri(kind: str) -> str:
    """A small real image as a data URI; ``kind`` is ``png`` or ``jpeg``."""
    name = {"png": "input.png", "jpeg": "input.jpg"}[kind]
    data = (Path(__file__).resolve().parent.parent / "assets" / name).read_bytes()
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def bounds_of(parameter: Parameter) -> Mapping[str, Any]:
    """A parameter's schema, with the bounds that only another document states where its own states none."""
    return {**parameter.detail.get("assumed", {}), **parameter.schema}


def _by_schema(parameter: Parameter) -> Iterator[Label]:
    schema = bounds_of(parameter)
    if "enum" in schema:
        yield from (Label(str(member), str(member), member) for member in schema["enum"])
    elif schema.get("type") == "boolean":
        yield from (Label("true", "true", True), Label("false", "false", False))
    elif schema.get("type") in ("integer", "number"):
        yield from _numbers(schema)
    elif schema.get("type") == "string":
        yield Label("given", "given", "text")


def _numbers(schema: Mapping[str, Any]) -> Iterator[Label]:
    whole = schema.get("type") == "integer"
    low, high, default = schema.get("minimum"), schema.get("maximum"), schema.get("default")
    step: float = 1 if whole else 0.01
    seen: set[float] = set()
    middle = None if low is None or high is None else _between(low, high)
    for name, kind, value in (
        ("minimum", "lo", low),
        ("just-above-minimum", "lo", None if low is None else _exact(low + step)),
        ("default", "mid", default),
        ("interior", "mid", middle),
        ("just-below-maximum", "hi", None if high is None else _exact(high - step)),
        ("maximum", "hi", high),
    ):
        if value is not None and value not in seen:
            seen.add(value)
            yield Label(name, kind, value)


def _between(low: float, high: float) -> float:
    """A value near the middle: an integer literal where one lies inside, since a float parameter is to see one."""
    whole = math.floor((low + high) / 2)
    return whole if low < whole < high else _exact((low + high) / 2)


def _exact(value: float) -> float:
    return value if isinstance(value, int) else round(value, 6)


def _prompts(_: Parameter, __: Spec, ___: Sequence[str]) -> Iterator[Label]:
    yield from (Label(name, kind, text) for name, (kind, text) in PROMPTS.items())


def _negatives(_: Parameter, __: Spec, ___: Sequence[str]) -> Iterator[Label]:
    yield from (Label(name, kind, text) for name, (kind, text) in NEGATIVES.items())


def _counts(parameter: Parameter, _: Spec, __: Sequence[str]) -> Iterator[Label]:
    schema = bounds_of(parameter)
    low, high = schema.get("minimum", 1), schema.get("maximum", 1)
    if high - low > 7:
        yield from _numbers(schema)
        return
    for number in range(low, high + 1):
        kind = "one" if number == low else "max" if number == high else "many"
        yield Label(str(number), kind, number)


def _scale(parameter: Parameter, _: Spec, __: Sequence[str]) -> Iterator[Label]:
    """The members of an ordered enum: its two ends are one class, what lies between is another."""
    labels = list(_by_schema(parameter))
    if "enum" not in parameter.schema:
        yield from labels
        return
    for label in labels:
        yield Label(label.name, "edge" if label in (labels[0], labels[-1]) else "mid", label.value)


def _seeds(parameter: Parameter, _: Spec, __: Sequence[str]) -> Iterator[Label]:
    random, largest = parameter.detail.get("random"), parameter.schema.get("maximum", LARGEST_SEED)
    if random is not None:
        yield Label("random", "random", random)
    yield Label("zero", "edge", 0)
    yield Label("interior", "fixed", 123456789 if largest > 123456789 else largest // 2)
    yield Label("just-below-maximum", "edge", largest - 1)
    yield Label("maximum", "edge", largest)


def _ratios(parameter: Parameter, _: Spec, __: Sequence[str]) -> Iterator[Label]:
    for ratio in parameter.schema.get("enum", RATIOS):
        width, _colon, height = str(ratio).partition(":")
        shape = "other"
        if width.isdigit() and height.isdigit():
            order = int(width) - int(height)
            shape = "square" if order == 0 else "landscape" if order > 0 else "portrait"
        yield Label(str(ratio), shape, ratio)


def _one_image(parameter: Parameter, spec: Spec, configured: Sequence[str]) -> Iterator[Label]:
    assets = assets_for(spec, configured)
    takes = parameter.detail.get("takes", ["url"])
    if "url" in takes or "http_url" in takes:
        yield Label("https-url", "url", assets[0])
    if "http_url" in takes:
        yield Label("http-url", "url", assets[0].replace("https://", "http://", 1))
    if "data_uri" in takes:
        yield Label("png-data-uri", "data", data_uri("png"))
        yield Label("jpeg-data-uri", "data", data_uri("jpeg"))


def _many_images(parameter: Parameter, spec: Spec, configured: Sequence[str]) -> Iterator[Label]:
    assets = assets_for(spec, configured)

    def urls(number: int) -> list[str]:
        return [assets[index % len(assets)] for index in range(number)]

    yield Label("one-url", "one", urls(1))
    yield Label("two-urls", "two", urls(2))
    yield Label("four-urls", "many", urls(4))
    if "data_uri" in parameter.detail.get("takes", ["url"]):
        yield Label("one-data-uri", "data", [data_uri("png")])
        yield Label("url-and-data-uri", "data", [*urls(1), data_uri("jpeg")])


_ROLES: Mapping[str, Callable[[Parameter, Spec, Sequence[str]], Iterator[Label]]] = {
    "prompt": _prompts,
    "negative_prompt": _negatives,
    "count": _counts,
    "seed": _seeds,
    "ratio": _ratios,
    "safety": _scale,
    "image": _one_image,
    "images": _many_images,
}
