"""Each parameter's values, cut into labelled partitions: what a conformance run has to have sent once.

Rules
-----
* A label is one documented or boundary value (``minimum``, ``just-above-minimum``, ``16:9``, ``absent``), and belongs
  to a coarser class; labels are to be covered singly, classes in pairs.
* Labels come from the role where it says more than the schema, else from the schema (``schemas``), never from a name or a
  provider. A parameter that must be sent has no ``absent``.
* Whatever the role says, a value that the parameter's own schema forbids is no label of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from harness.errors import InputError
from harness.planning.labels import ABSENT, Grid, Label, Sentences, Text
from harness.planning.media import assets_for, data_uri
from harness.planning.numbers import numbers
from harness.planning.schemas import MOST_ITEMS, Unplannable, filled, labels_of, valid
from harness.spec import Parameter, Spec

LARGEST_SEED = 2**31 - 1
"""The largest seed where the document names none: every provider seen takes signed 32-bit integers."""
RATIOS = ("21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21")
PROMPT = "Turn the picture into a quick pencil sketch"
UNICODE = "把图片变成水彩画 🎨 شكرا e\u0301"
ESCAPES = "Say \"hello\"\n<b>\\ 'tick' & {brace} %s</b>\t"
LONG = "A quiet harbour at dawn, drawn in ink. "
COMPOSED = frozenset({"enum", "const", "allOf", "anyOf", "oneOf", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
"""What says more of a value than its type and its two ends."""
LONGEST, UNICODE_MOST = 2000, 60
"""The most characters of a prompt, and of one that is drawn from all scripts."""


def partition(parameter: Parameter, spec: Spec, assets: Sequence[str] = ()) -> tuple[Label, ...]:
    """A parameter's labels in a fixed order, ``absent`` first where the parameter is optional.

    Raises:
        InputError: no value is found that its schema allows.
    """
    optional = () if parameter.required or parameter.role == "prompt" else (Label(ABSENT, ABSENT),)
    by_role = _ROLES.get(parameter.role)
    labels = tuple(valid(by_role(parameter, spec, assets), parameter.schema)) if by_role else ()
    try:
        return (*optional, *(labels or labels_of(bounds_of(parameter))))
    except Unplannable as reason:
        raise InputError(f"{spec.path}: {reason}") from None


def bounds_of(parameter: Parameter) -> Mapping[str, Any]:
    """A parameter's schema, with the bounds that only another document states where its own states none."""
    return {**parameter.detail.get("assumed", {}), **parameter.schema}


def _prompts(parameter: Parameter, _: Spec, __: Sequence[str]) -> Iterator[Label]:
    least, most = _lengths(parameter)
    yield Label("ascii", "plain", PROMPT[:most], (Sentences(most),))
    yield Label("one-character", "plain", "a")
    yield Label(
        "unicode", "unicode", filled(UNICODE, least, most), (Text(least, min(most, UNICODE_MOST), unicode=True),)
    )
    yield Label("escapes", "unicode", ESCAPES[:most])
    yield Label("long", "long", filled(LONG, most, most))


def _negatives(parameter: Parameter, _: Spec, __: Sequence[str]) -> Iterator[Label]:
    least, most = _lengths(parameter)
    yield Label("ascii", "given", "blur, text"[:most])
    yield Label(
        "unicode", "given", filled("模糊 ✗", least, most), (Text(least, min(most, UNICODE_MOST), unicode=True),)
    )
    yield Label("empty", "given", "")


def _lengths(parameter: Parameter) -> tuple[int, int]:
    """The fewest and the most characters of a text that is sent."""
    schema = bounds_of(parameter)
    return max(1, int(schema.get("minLength", 1))), int(min(schema.get("maxLength", LONGEST), LONGEST))


def _counts(parameter: Parameter, _: Spec, __: Sequence[str]) -> Iterator[Label]:
    schema = bounds_of(parameter)
    low, high = int(schema.get("minimum", 1)), int(schema.get("maximum", 1))
    if not COMPOSED & set(schema) and high - low > 7:
        yield from numbers(schema, whole=True)
        return
    counts: Sequence[int] = range(low, high + 1)
    if COMPOSED & set(schema):
        counted = labels_of(schema)
        numbered = [label.value for label in counted if type(label.value) is int]
        if len(numbered) < len(counted):
            yield from (label for label in counted if label.value not in numbered)
        counts = sorted(numbered)
    for number in counts:
        kind = "one" if number == counts[0] else "max" if number == counts[-1] else "many"
        yield Label(str(number), kind, number)


def _scale(parameter: Parameter, _: Spec, __: Sequence[str]) -> Iterator[Label]:
    """The members of an ordered enum: its two ends are one class, what lies between is another."""
    labels = labels_of(bounds_of(parameter))
    if "enum" not in parameter.schema:
        yield from labels
        return
    for label in labels:
        yield Label(label.name, "edge" if label in (labels[0], labels[-1]) else "mid", label.value)


def _seeds(parameter: Parameter, _: Spec, __: Sequence[str]) -> Iterator[Label]:
    random, schema = parameter.detail.get("random"), bounds_of(parameter)
    smallest, largest = max(0, int(schema.get("minimum", 0))), int(schema.get("maximum", LARGEST_SEED))
    inside = 123456789 if smallest < 123456789 < largest - 1 else (smallest + largest) // 2
    if random is not None:
        yield Label("random", "random", random)
    yield Label("zero" if smallest == 0 else "minimum", "edge", smallest)
    yield Label(
        "interior", "fixed", inside, (Grid(smallest + 1, largest - 2, whole=True),) if smallest < largest - 2 else ()
    )
    yield Label("just-below-maximum", "edge", largest - 1)
    yield Label("maximum", "edge", largest)


def _ratios(parameter: Parameter, _: Spec, __: Sequence[str]) -> Iterator[Label]:
    schema = parameter.schema
    known = schema.get("enum", RATIOS)
    if "enum" not in schema and COMPOSED & set(schema):
        known = [label.value for label in labels_of(schema)]
    for ratio in known:
        width, _colon, height = str(ratio).partition(":")
        shape = "other"
        if width.isdigit() and height.isdigit():
            order = int(width) - int(height)
            shape = "square" if order == 0 else "landscape" if order > 0 else "portrait"
        yield Label("null" if ratio is None else str(ratio), shape, ratio)


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
    for end, name in (("minItems", "fewest-urls"), ("maxItems", "most-urls")):
        if 4 < parameter.schema.get(end, 0) <= MOST_ITEMS:
            yield Label(name, "many", urls(int(parameter.schema[end])))
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
