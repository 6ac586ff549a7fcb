"""Faults about what is delivered: the images themselves, and what the final answer says of them and of the request."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from harness.model import Step as StepName
from harness.simulator.faults.fault import Fault, Verdict, always, at, planted, weighed
from harness.simulator.images import FORMATS, Picture, flat, format_named
from harness.simulator.provider import Job, Order, Reply
from harness.simulator.variations import Body
from harness.spec.contract import Field, Flow, Parameter, Spec

Pictures = tuple[Picture, ...]
Context = Mapping[str, Any]


def faults(spec: Spec) -> Iterator[Fault]:
    """Every fault of a spec's images and of the echoes beside them."""
    flow = spec.default_flow
    yield from _counted(spec, flow)
    yield from _shaped(spec, flow)
    yield from _encoded(spec, flow)
    yield from _spoilt(spec, flow)
    yield from _echoed(spec, flow)
    yield from _flagged(spec, flow)


def said(flow: Flow, role: str) -> Field | None:
    """The field of the final answer that has a role."""
    return next(iter(flow.final.shape.with_role(role)), None)


def _saying(change: Callable[[Job, Context], Context]) -> Any:
    """Say something else wherever outputs are described."""

    def context(_step: StepName, job: Job, known: Context) -> Context:
        return {**known, **change(job, known)} if known["outputs"] else known

    return always(context=context)


# How many ----------------------------------------------------------------------------------------------------------


def _another(pictures: Pictures) -> Pictures:
    return (*pictures, replace(pictures[-1], key=pictures[-1].key + " too"))


_COUNTS: Mapping[str, tuple[str, bool, Callable[[Pictures], Pictures]]] = {
    "one-image-too-many": ("One image more is delivered than was asked for.", False, _another),
    "one-image-too-few": ("Of several images the last is not delivered.", True, lambda p: p[:-1] if len(p) > 1 else p),
    "only-one-image": ("One image is delivered, however many were asked for.", True, lambda p: p[:1]),
    "duplicate-images": ("Of several images each is the first one again.", True, lambda p: p[:1] * len(p)),
}
"""Name: what happens, whether it takes several images to show, and which images are delivered."""


def _counted(spec: Spec, flow: Flow) -> Iterator[Fault]:
    count, outputs = spec.parameter("count"), said(flow, "outputs")
    if outputs is None:
        return
    names = (count.name,) if count else ()
    verdict = weighed(spec, count.source if count else outputs.source, about=[count.at] if count else [])
    for name, (states, several, change) in _COUNTS.items():
        if count or not several:

            def pictures(_job: Job, made: Pictures, change: Any = change) -> Pictures:
                return tuple(change(made))

            yield planted(spec, name, "image_count", states, always(pictures=pictures), *names, verdict=verdict)
    if count and said(flow, "output_url"):

        def context(_job: Job, known: Context) -> Context:
            first, *_ = known["outputs"]
            if not str(first.get("output_url", "")).startswith("http"):
                return {}
            url, number = first["output_url"], len(known["outputs"])
            return {"outputs": tuple({**first, "output_url": f"{url}?copy={copy}"} for copy in range(number))}

        states = "Several images are one, under different addresses."
        yield planted(
            spec, "duplicates-at-other-addresses", "image_count", states, _saying(context), *names, verdict=verdict
        )


# Format, ratio, size -----------------------------------------------------------------------------------------------


def _ordering(change: Callable[[Order], Order]) -> Any:
    def order(_body: Body, understood: Order) -> Order:
        return change(understood)

    return always(order=order)


def _swapped(order: Order) -> Order:
    wide, _, high = str(order.ratio).partition(":")
    return replace(order, ratio=f"{high}:{wide}") if high else order


_RATIOS: Mapping[str, tuple[str, Callable[[Order], Order]]] = {
    "always-square": ("Images are square, whatever ratio was asked for.", lambda order: replace(order, ratio="1:1")),
    "always-landscape": ("Images are 16:9, whatever was asked for.", lambda order: replace(order, ratio="16:9")),
    "swapped-ratio": ("Width and height of the ratio are taken for each other.", _swapped),
}


def _other_type(picture: Picture) -> str:
    """A media type that an image does not have."""
    return next(kind.media_type for kind in FORMATS.values() if kind.media_type != picture.media_type)


def _shaped(spec: Spec, flow: Flow) -> Iterator[Fault]:
    asked = spec.parameter("format")
    for member in asked.schema.get("enum", ()) if asked else ():
        if asked is None or member is None:
            continue

        def order(made: Order, member: Any = member) -> Order:
            return replace(made, format=format_named(member))

        states = f"Images are {member}, whatever format was asked for."
        verdict = weighed(spec, asked.source, about=[asked.at])
        yield planted(spec, f"always-{member}", "image_format", states, _ordering(order), asked.name, verdict=verdict)
    ratio = spec.parameter("ratio")
    if ratio:
        for name, (states, change) in _RATIOS.items():
            verdict = weighed(spec, ratio.source)
            yield planted(spec, name, "image_dimensions", states, _ordering(change), ratio.name, verdict=verdict)
    declared = said(flow, "output_type")
    if declared:

        def mistyped(job: Job, known: Context) -> Context:
            pairs = zip(known["outputs"], job.pictures, strict=False)
            return {"outputs": tuple({**output, "output_type": _other_type(p)} for output, p in pairs)}

        states = "The answer declares another media type than the image has."
        verdict = weighed(spec, declared.source)
        yield planted(spec, "declares-another-type", "image_format", states, _saying(mistyped), verdict=verdict)
    width, height = said(flow, "output_width"), said(flow, "output_height")
    if width and height:

        def resized(_job: Job, known: Context) -> Context:
            return {
                "outputs": tuple({**output, "output_width": output["output_width"] + 8} for output in known["outputs"])
            }

        states = "The answer declares another size than the image has."
        verdict = weighed(spec, width.source)
        yield planted(spec, "declares-another-size", "image_dimensions", states, _saying(resized), verdict=verdict)


# Encoding ----------------------------------------------------------------------------------------------------------


def _encoded(spec: Spec, flow: Flow) -> Iterator[Fault]:
    parameter = spec.parameter("encoding")
    means = [row["means"] for row in parameter.detail.get("encodings", ())] if parameter else []
    for encoding in dict.fromkeys(means):
        if parameter is None or len(set(means)) < 2:
            return

        def order(made: Order, encoding: str = encoding) -> Order:
            return replace(made, encoding=encoding)

        others = [_encoding_verdict(spec, flow, parameter, wanted) for wanted in means if wanted != encoding]
        states = f"Images come as {encoding.replace('_', ' ')}, whatever was asked for."
        yield planted(
            spec,
            f"always-as-{encoding.replace('_', '-')}",
            "output_encoding",
            states,
            _ordering(order),
            parameter.name,
            verdict="fail" if "fail" in others else "warn",
        )


def _encoding_verdict(spec: Spec, flow: Flow, parameter: Parameter, wanted: str) -> Verdict:
    """Whether data asked for inline is still there when a queued job's result is read may be open."""
    late = wanted == "data_uri" and flow.status is not None
    return weighed(spec, parameter.source, about=[parameter.at, f"#/x-harness/flows/{flow.name}"] if late else [])


# The files ---------------------------------------------------------------------------------------------------------

_FILES: Mapping[str, tuple[str, Callable[[Picture, bytes], bytes]]] = {
    "truncated-images": ("Images end in the middle.", lambda _, data: data[: len(data) // 2]),
    "flat-images": ("Images are one flat colour.", lambda picture, _: flat(picture)),
    "pages-for-images": (
        "A web page stands where an image should.",
        lambda _, __: b"<!doctype html><p>Try again later",
    ),
    "garbled-images": ("The bytes of images are reversed.", lambda _, data: data[::-1]),
}


def _mislabelled(picture: Picture, reply: Reply) -> Reply:
    return replace(reply, media_type=_other_type(picture))


_DOWNLOADS: Mapping[str, tuple[str, str, Callable[[Picture, Reply], Reply]]] = {
    "asset-404": ("image_download", "Downloads are answered 404.", lambda _, __: Reply(404, b"gone\n", "text/plain")),
    "asset-403": ("image_download", "Downloads are forbidden.", lambda _, __: Reply(403, b"<Error/>", "text/xml")),
    "asset-500": ("image_download", "Downloads are answered 500.", lambda _, __: Reply(500, b"", "text/plain")),
    "asset-loop": (
        "image_download",
        "Downloads redirect to themselves.",
        lambda picture, _: Reply(302, b"", "text/plain", {"location": picture.name}),
    ),
    "asset-empty": ("image_decodes", "Downloads have no bytes.", lambda _, reply: replace(reply, body=b"")),
    "asset-other-type": ("image_format", "Downloads are declared with another image type.", _mislabelled),
}


def _spoilt(spec: Spec, flow: Flow) -> Iterator[Fault]:
    for name, (states, encoded) in _FILES.items():
        yield planted(spec, name, "image_decodes", states, always(encoded=encoded))
    if said(flow, "output_url"):
        for name, (check, states, asset) in _DOWNLOADS.items():
            yield planted(spec, name, check, states, always(asset=asset))


# Echoes ------------------------------------------------------------------------------------------------------------

_SEEDS: Mapping[str, tuple[str, Callable[[int], int]]] = {
    "seed-off-by-one": ("The answer names the next seed.", lambda seed: seed + 1),
    "seed-always-42": ("The answer names the same seed for every request.", lambda _: 42),
}
_PROMPTS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "prompt-decorated": ("The answer's prompt has words that were not sent.", lambda text: f"{text}, best quality"),
    "prompt-cut": ("The answer's prompt ends after 500 characters.", lambda text: text[:500]),
    "prompt-in-small-letters": ("The answer's prompt is in small letters.", str.lower),
    "prompt-normalised": (
        "The answer's prompt has composed characters and no others than ASCII survive whole.",
        lambda text: unicodedata.normalize("NFKC", text).encode("ascii", "replace").decode(),
    ),
}


def _echoed(spec: Spec, flow: Flow) -> Iterator[Fault]:
    seed, field = spec.parameter("seed"), said(flow, "seed")
    if seed and field:
        for name, (states, number) in _SEEDS.items():

            def other(_job: Job, known: Context, number: Any = number) -> Context:
                return {"seed": number(known["seed"])}

            verdict = weighed(spec, field.source, about=[at(field)])
            yield planted(spec, name, "seed_echo", states, _saying(other), seed.name, verdict=verdict)
    prompt, field = spec.parameter("prompt"), said(flow, "prompt")
    if prompt and field:
        for name, (states, text) in _PROMPTS.items():

            def altered(_job: Job, known: Context, text: Any = text) -> Context:
                return {"prompt": text(str(known["prompt"]))}

            verdict = weighed(spec, field.source, about=[at(field)])
            yield planted(spec, name, "prompt_echo", states, _saying(altered), prompt.name, verdict=verdict)


_FLAGS: Mapping[str, tuple[str, Callable[[list[bool]], list[Any]]]] = {
    "one-flag-too-few": ("One content flag is missing.", lambda flags: flags[:-1]),
    "one-flag-too-many": ("There is one content flag more than images.", lambda flags: [*flags, False]),
    "flags-as-words": ("Content flags are words and no booleans.", lambda flags: ["false" for _ in flags]),
}


def _flagged(spec: Spec, flow: Flow) -> Iterator[Fault]:
    field = said(flow, "content_flags")
    for name, (states, change) in _FLAGS.items() if field else ():
        if field is None:
            return

        def flags(_job: Job, known: Context, change: Any = change) -> Context:
            return {"content_flags": change(known["content_flags"])}

        verdict = weighed(spec, field.source, about=[at(field)])
        yield planted(spec, name, "content_flags", states, _saying(flags), verdict=verdict)
