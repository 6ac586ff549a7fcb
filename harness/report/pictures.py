"""The images that a report shows: a few that came back from each target, with what was asked for.

Rules
-----
* At most ``MOST`` of a run, shared evenly by its targets; of each call the first one that a finding is about, else
  the first. Calls with a finding about their images come first: what is odd is what a person should look at.
* What is said of a picture is read from its bytes, bounded, by the same function as the checks use.
* A request is shown by its parameters as JSON, cut; of input images only their number, since their addresses can be
  private and their data is large.
"""

from __future__ import annotations

import hashlib
import io
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence

from harness.checks.evidence import Evidence, File
from harness.checks.outputs import FORMATS, Picture, picture
from harness.flow import Route
from harness.model import Json, Judged, Outcome, Verdict
from harness.report import text
from harness.report.results import Shown

MOST = 40
MOST_OF_ONE, LEAST_OF_ONE = 12, 3
"""Pictures of a target, whatever the number of targets."""
SIDE = 96
"""Longest side of a thumbnail in pixels."""
MAX_PIXELS = 24 * 1024 * 1024
"""Larger images are not decoded for a thumbnail."""
ABOUT_IMAGES = frozenset({"image_count", "image_format", "image_dimensions", "image_decodes", "image_download"})
_QUALITY, _VALUE = 60, 100


def chosen(route: Route, judged: Sequence[Judged], targets: int) -> tuple[Shown, ...]:
    """The pictures of one of so many targets, those with a finding first, else in the plan's order."""
    room = max(LEAST_OF_ONE, min(MOST_OF_ONE, MOST // max(1, targets)))
    done = [one for one in judged if one.call is not None and one.call.outcome is Outcome.COMPLETED]
    ordered = sorted((one for one in done if one.case.kind != "probe"), key=lambda one: not _odd(one))
    found: list[Shown] = []
    for one in ordered:
        shown = _shown(route, one)
        found += [shown] if shown is not None else []
        if len(found) == room:
            break
    return tuple(found)


def described(shown: Shown) -> Json:
    """A picture as report.json has it."""
    return {
        "case_id": shown.case_id,
        "verdict": shown.verdict,
        "number": shown.number,
        "of": shown.of,
        "format": shown.format,
        "width": shown.width,
        "height": shown.height,
        "bytes": None if shown.data is None else len(shown.data),
        "sha256": None if shown.data is None else hashlib.sha256(shown.data).hexdigest(),
        "fault": shown.fault,
        "request": dict(shown.request),
    }


def thumbnail(data: bytes) -> bytes | None:
    """A small WebP of an image; None for what cannot be decoded, or is too large to try."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data), formats=tuple(FORMATS)) as image:
                if image.width * image.height > MAX_PIXELS:
                    return None
                image.draft("RGB", (2 * SIDE, 2 * SIDE))
                small = image.convert("RGB")
                small.thumbnail((SIDE, SIDE))
                out = io.BytesIO()
                small.save(out, "WEBP", quality=_QUALITY, method=4)
                return out.getvalue()
    except (OSError, SyntaxError, ValueError, Warning, Image.DecompressionBombError):
        return None


def _odd(one: Judged) -> bool:
    return any(found.check in ABOUT_IMAGES and found.verdict is not Verdict.PASS for found in one.findings)


def _shown(route: Route, one: Judged) -> Shown | None:
    assert one.call is not None  # noqa: S101 - chosen by its caller
    files = Evidence(route, one.case, one.call).files
    if not files:
        return None
    number, file, seen = next(_faulty(files), (1, files[0], picture(files[0].data or b"")))
    known = file.data is not None
    return Shown(
        case_id=one.case.id,
        verdict=one.verdict.value,
        number=number,
        of=len(files),
        data=file.data,
        format=seen.format if known else None,
        width=seen.width if known and seen.width else None,
        height=seen.height if known and seen.height else None,
        fault=(seen.fault or None) if known else "it was not fetched",
        request=dict(_asked(route, one)),
    )


def _faulty(files: Sequence[File]) -> Iterator[tuple[int, File, Picture]]:
    for number, file in enumerate(files, start=1):
        if file.data is not None and (seen := picture(file.data)).fault:
            yield number, file, seen


def _asked(route: Route, one: Judged) -> Iterator[tuple[str, str]]:
    roles: Mapping[str, str] = {parameter.name: parameter.role for parameter in route.spec.parameters}
    for name, value in one.case.body.items():
        if name in route.spec.constants:
            continue
        if roles.get(name) in ("image", "images"):
            yield name, text.count(len(value) if isinstance(value, list) else 1, "image")
        else:
            yield name, text.visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), _VALUE)
