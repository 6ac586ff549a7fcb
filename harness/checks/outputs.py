"""Checks of what was delivered: the images themselves, and what the answer says about them.

Each is a relation between the request, the answer and the files; which parameter and field take part is a matter of
roles. A check returns None where the relation does not apply.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from harness.checks.evidence import Evidence, File, show
from harness.model import Failure, Finding, Reply, Response
from harness.urls import without_query

if TYPE_CHECKING:
    from PIL import Image

Findings = list[Finding] | None
FORMATS = {"PNG": "png", "JPEG": "jpeg", "WEBP": "webp", "GIF": "gif"}
MAX_PIXELS = 16 * 1024 * 1024
"""What is decoded at most, 4096 x 4096: Pillow holds four bytes for each, for a WebP sixteen."""
FREE_PIXELS, PIXELS_A_BYTE = 2 * 1024 * 1024, 60
"""A larger picture than this has at least a byte for so many pixels, or is a bomb: real ones have several times that."""
RATIO_TOLERANCE = Fraction(3, 100)
NETWORK = ("dns", "refused", "timeout", "connect_timeout", "reset", "interrupted")
"""Failures that say nothing about the file: the network's or our own, not the provider's."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What the bytes of a file say: its format by its magic bytes, its size, and why it cannot be decoded."""

    format: str | None
    width: int = 0
    height: int = 0
    fault: str = ""
    flat: bool = False


@lru_cache(maxsize=512)
def picture(data: bytes) -> Picture:
    """The picture in a file's bytes; the size is read, and bounded, before anything is decoded."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as image:
                name, (width, height) = FORMATS.get(image.format or ""), image.size
                if width * height > MAX_PIXELS:
                    return Picture(name, width, height, f"{width} × {height} pixels are over the limit of {MAX_PIXELS}")
                if width * height > max(FREE_PIXELS, PIXELS_A_BYTE * len(data)):
                    return Picture(
                        name, width, height, f"{width} × {height} pixels in {len(data)} bytes are no picture"
                    )
                try:
                    image.load()
                    flat = _is_flat(image)
                except (OSError, SyntaxError, ValueError):
                    return Picture(
                        name, width, height, f"the file ends before the image does, or is damaged ({len(data)} bytes)"
                    )
                return Picture(name, width, height, flat=flat)
    except UnidentifiedImageError:
        return Picture(None, fault="it is no PNG, JPEG, WebP or GIF image")
    except (OSError, SyntaxError, ValueError, Warning, Image.DecompressionBombError) as error:
        return Picture(None, fault=f"it cannot be opened: {show(str(error), 80)}")


def _is_flat(image: Image.Image) -> bool:
    """Whether every pixel is the same, transparency aside; nothing is copied, a palette's entries count as colours."""
    found = image.getextrema()
    bands = [found] if isinstance(found[0], (int, float)) else list(found)
    named = zip(image.getbands(), bands, strict=True)
    return all(low == high for name, (low, high) in named if name not in ("A", "a"))


def _pictures(seen: Evidence) -> list[tuple[int, File, Picture]]:
    return [(n, f, picture(f.data)) for n, f in enumerate(seen.files) if f.data is not None]


def image_count(seen: Evidence) -> Findings:
    """As many distinct images come back as were asked for; one when the number is absent."""
    if seen.final is None:
        return None
    parameter, field = seen.spec.parameter("count"), seen.field("outputs")
    asked = seen.case.images
    # A documented parameter promises its number; how many come without one is the answer's own promise.
    given = parameter is not None and seen.spec.asked("count", seen.case.body) is not None
    sources = [parameter.source if parameter and given else field.source if field else None]
    about = [parameter.at] if parameter else []
    name = parameter.name if parameter else None
    if len(seen.outputs) != asked:
        asked_by = f"{name} = {asked}" if name and name in seen.case.body else "the request"
        came = "1 image was delivered" if len(seen.outputs) == 1 else f"{len(seen.outputs)} images were delivered"
        message = f"{came}; {asked_by} asks for {asked}"
        return [
            seen.grade(
                "image_count",
                message,
                sources=sources,
                about=about,
                parameter=name,
                expected=str(asked),
                observed=str(len(seen.outputs)),
            )
        ]
    addresses = [output.url or output.base64 for output in seen.outputs if output.url or output.base64]
    if _twice(addresses) or _twice([file.data for file in seen.files if file.data]):
        return [
            seen.grade(
                "image_count", "two of the delivered images are the same", sources=sources, about=about, parameter=name
            )
        ]
    return []


def _twice(values: Sequence[str | bytes | None]) -> bool:
    return len(set(values)) < len(values)


def image_download(seen: Evidence) -> Findings:
    """Every image has an address or data, and what has an address can be fetched, if that was tried."""
    linked = [
        (number, file)
        for number, file in enumerate(seen.files)
        if file.how == "none" or (file.how == "url" and (seen.fetched or not _fetchable(file)))
    ]
    if not linked:
        return None
    found, field = [], seen.field("output_url")
    for number, file in linked:
        if file.data is not None:
            continue
        if file.how == "none":
            # The example of an output may show an empty address; any other address is a promise.
            about = [f"{field.schema['x-at']}/minLength"] if field and file.output.url == "" else []
            message = f"image {number + 1} has neither an address nor data"
            found.append(seen.grade("image_download", message, sources=[field.source if field else None], about=about))
            continue
        message, asset = f"image {number + 1} cannot be fetched", seen.asset(file.output.url or "")
        if asset is not None and isinstance(asset.reply, Failure) and asset.reply.kind in NETWORK:
            found.append(seen.unknown("image_download", message, asset.reply.kind).shown_by(asset))
            continue
        if asset is None and len(seen.outputs) > seen.case.images:
            continue  # not every output of a flood is fetched; that there are too many is another check's
        observed = "not tried" if asset is None else _came(asset.reply)
        finding = seen.grade("image_download", message, expected="200", observed=observed)
        found.append(finding if asset is None else finding.shown_by(asset))
    return found


def _fetchable(file: File) -> bool:
    return (file.output.url or "").startswith(("http://", "https://"))


def _came(reply: Reply) -> str:
    return str(reply.status) if isinstance(reply, Response) else reply.kind


def image_decodes(seen: Evidence) -> Findings:
    """Every image decodes to its end and shows something."""
    if not seen.files or seen.final is None:
        return None
    found = []
    for number, file in enumerate(seen.files):
        if file.data is None and file.how not in ("url", "none"):
            found.append(seen.grade("image_decodes", f"image {number + 1} is not valid base64"))
    for number, _, seen_picture in _pictures(seen):
        if seen_picture.fault:
            found.append(_undecodable(seen, number, seen_picture.fault))
        elif seen_picture.flat:
            found.append(seen.grade("image_decodes", f"image {number + 1} is one flat colour"))
    return found


def _undecodable(seen: Evidence, number: int, fault: str) -> Finding:
    address = seen.outputs[number].url or ""
    return seen.grade(
        "image_decodes",
        f"image {number + 1}: {fault}",
        expected="a complete image",
        observed=show(without_query(address)) if address.startswith("http") else "inline data",
    )


def image_format(seen: Evidence) -> Findings:
    """Magic bytes, declared media type and the asked format agree."""
    pictures = [(n, f, p) for n, f, p in _pictures(seen) if p.format]
    if not pictures:
        return None
    parameter, field = seen.spec.parameter("format"), seen.field("output_type")
    asked = seen.spec.asked("format", seen.case.body)
    found = []
    for number, file, image in pictures:
        if isinstance(asked, str) and parameter and image.format != asked.lower():
            message = f"image {number + 1} is {image.format} by its bytes; {parameter.name} asks for {asked}"
            found.append(
                seen.grade(
                    "image_format",
                    message,
                    sources=[parameter.source],
                    about=[parameter.at],
                    parameter=parameter.name,
                    expected=asked,
                    observed=str(image.format),
                )
            )
        for declared, source in ((file.output.media_type, field.source if field else None), (file.media_type, None)):
            if declared and declared.startswith("image/") and declared != f"image/{image.format}":
                message = f"image {number + 1} is {image.format} and declared as {show(declared, 40)}"
                found.append(
                    seen.grade(
                        "image_format", message, sources=[source], expected=f"image/{image.format}", observed=declared
                    )
                )
    return found


def image_dimensions(seen: Evidence) -> Findings:
    """Width over height is the asked ratio, within 3 %, and the declared size is the real one."""
    pictures = [(n, f, p) for n, f, p in _pictures(seen) if p.width and p.height]
    if not pictures:
        return None
    parameter = seen.spec.parameter("ratio")
    asked = re.fullmatch(r"([1-9][0-9]{0,3}):([1-9][0-9]{0,3})", str(seen.spec.asked("ratio", seen.case.body)))
    found = []
    for number, file, image in pictures:
        if asked and parameter:
            wanted = Fraction(int(asked[1]), int(asked[2]))
            if abs(Fraction(image.width, image.height) / wanted - 1) > RATIO_TOLERANCE:
                found.append(
                    seen.grade(
                        "image_dimensions",
                        f"image {number + 1} is {image.width} × {image.height}; {parameter.name} asks for {asked[0]}",
                        sources=[parameter.source],
                        about=[parameter.at] if parameter.name not in seen.case.body else [],
                        parameter=parameter.name,
                        expected=asked[0],
                        observed=f"{image.width} × {image.height}",
                    )
                )
        declared = (file.output.width, file.output.height)
        if all(declared) and declared != (image.width, image.height):
            width = seen.field("output_width")
            message = f"image {number + 1} is declared as {declared[0]} × {declared[1]}; the file is {image.width} × {image.height}"
            found.append(
                seen.grade(
                    "image_dimensions",
                    message,
                    sources=[width.source if width else None],
                    expected=f"{declared[0]} × {declared[1]}",
                    observed=f"{image.width} × {image.height}",
                )
            )
    return found


def output_encoding(seen: Evidence) -> Findings:
    """Images come as asked: as an address, a data URI or base64."""
    parameter = seen.spec.parameter("encoding")
    if parameter is None or seen.final is None:
        return None
    asked = seen.case.body.get(parameter.name, parameter.default)
    wanted = next((e["means"] for e in parameter.detail.get("encodings", ()) if e["value"] == asked), None)
    if wanted is None:
        return None
    found = []
    # Whether data asked for inline is still there when a queued job's result is read later may be open.
    later = [parameter.at, f"#/x-harness/flows/{seen.flow.name}"]
    late = later if wanted == "data_uri" and seen.flow.status is not None else []
    for number, file in enumerate(seen.files):
        both = bool(file.output.url) and bool(file.output.base64)
        if both or file.how not in (wanted, "none"):
            fields = [field for role in ("output_url", "output_base64") if (field := seen.field(role))]
            message = f"image {number + 1} comes in another encoding than was asked for"
            found.append(
                seen.grade(
                    "output_encoding",
                    f"image {number + 1} comes in two encodings" if both else message,
                    sources=[parameter.source],
                    about=[parameter.at, *(str(field.schema["x-at"]) for field in fields)] if both else late,
                    parameter=parameter.name,
                    expected=str(wanted),
                    observed="url and base64" if both else file.how,
                )
            )
    return found


def seed_echo(seen: Evidence) -> Findings:
    """The answer names the seed that was sent; an integer when none was."""
    parameter, field = seen.spec.parameter("seed"), seen.field("seed")
    if parameter is None or field is None or seen.final is None:
        return None
    echoed = seen.read("seed")
    if echoed is None:
        return None  # whether it may be missing is the schema's business
    sent = seen.case.body.get(parameter.name)
    random = parameter.detail.get("random")
    grade = partial(
        seen.grade, "seed_echo", sources=[field.source], about=[str(field.schema["x-at"])], parameter=parameter.name
    )
    if isinstance(echoed, bool) or not isinstance(echoed, int):
        return [grade("the seed in the answer is no integer", observed=show(echoed))]
    if sent is not None and sent not in (random, echoed):
        message = f"the seed in the answer is {echoed}; the request sent {sent}"
        return [grade(message, expected=str(sent), observed=str(echoed))]
    return []


def prompt_echo(seen: Evidence) -> Findings:
    """The answer names the prompt that was sent, unless it was to be enhanced."""
    parameter, field = seen.spec.parameter("prompt"), seen.field("prompt")
    if parameter is None or field is None or seen.asked_true("enhance"):
        return None
    echoed, sent = seen.read("prompt"), seen.case.body.get(parameter.name)
    if echoed is None or echoed == sent:
        return []
    return [
        seen.grade(
            "prompt_echo",
            "the prompt in the answer is not the one sent",
            sources=[field.source],
            about=[str(field.schema["x-at"])],
            parameter=parameter.name,
            expected=show(sent),
            observed=show(echoed),
        )
    ]


def content_flags(seen: Evidence) -> Findings:
    """There is one boolean content flag for each image."""
    field = seen.field("content_flags")
    flags = seen.read("content_flags")
    if field is None or flags is None:
        return None
    if isinstance(flags, list) and len(flags) == len(seen.outputs) and all(isinstance(flag, bool) for flag in flags):
        return []
    return [
        seen.grade(
            "content_flags",
            "there is not one boolean for each image",
            sources=[field.source],
            about=[str(field.schema["x-at"])],
            expected=f"{len(seen.outputs)} booleans",
            observed=show(flags),
        )
    ]
