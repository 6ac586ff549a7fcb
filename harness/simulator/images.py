"""Real images from a hash, so that whoever downloads one can decode it and tell it from another.

Rules
-----
* A picture is named by what it is made from: equal name, size and format give equal bytes.
* It is never one flat colour: its key is spread over a grid of coloured cells, no two neighbours alike.
* It is small, about 0.07 megapixels, in the ratio that was asked for. Its size is known before it is drawn, so that
  an answer can describe an image that nobody may ever download.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

PIXELS = 70_000
LONGEST_SIDE = 4_096
GRID = 6
DEFAULT_FORMAT = "jpeg"


@dataclass(frozen=True, slots=True)
class Format:
    """An image format: Pillow's name, media type, file extension, and what Pillow is told when it saves."""

    name: str
    media_type: str
    extension: str
    options: Mapping[str, int]


JPEG = Format("JPEG", "image/jpeg", "jpg", {"quality": 80})
FORMATS: Mapping[str, Format] = {
    "jpeg": JPEG,
    "jpg": JPEG,
    "png": Format("PNG", "image/png", "png", {"compress_level": 1}),
    "webp": Format("WEBP", "image/webp", "webp", {"quality": 80}),
}


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that can be drawn: ``key`` decides its content, ``format`` is a name in ``FORMATS``."""

    key: str
    width: int
    height: int
    format: str = DEFAULT_FORMAT

    @property
    def media_type(self) -> str:
        """Its content type."""
        return FORMATS[self.format].media_type

    @property
    def name(self) -> str:
        """Its file name, which differs as soon as any byte of the image does."""
        sha = hashlib.sha256(f"{self.key} {self.width}x{self.height}".encode()).hexdigest()
        return f"{sha}.{FORMATS[self.format].extension}"

    def encoded(self) -> bytes:
        """Its bytes, drawn once and kept while they are in use."""
        return _encoded(self)


def format_named(name: object) -> str:
    """The key in ``FORMATS`` of a format as a request names it; JPEG when it names none."""
    known = name.lower() if isinstance(name, str) else ""
    return known if known in FORMATS else DEFAULT_FORMAT


def size(ratio: object) -> tuple[int, int]:
    """Width and height, in pixels, for a ratio such as ``16:9``; square when it is none."""
    match = re.fullmatch(r"\s*(\d{1,6}(?:\.\d{1,6})?)\s*[:x/]\s*(\d{1,6}(?:\.\d{1,6})?)\s*", str(ratio))
    wide, high = (float(match[1]), float(match[2])) if match else (1.0, 1.0)
    if not wide or not high:
        wide, high = 1.0, 1.0
    shorter = math.sqrt(PIXELS * min(wide, high) / max(wide, high))
    short = max(1, round(shorter))
    long = min(LONGEST_SIDE, max(1, round(short * max(wide, high) / min(wide, high))))
    return (long, short) if wide >= high else (short, long)


@lru_cache(maxsize=512)
def _encoded(picture: Picture) -> bytes:
    from PIL import Image

    kind = FORMATS[picture.format]
    image = Image.frombytes("RGB", (GRID, GRID), _cells(picture.key))
    image = image.resize((picture.width, picture.height), Image.Resampling.NEAREST)
    written = io.BytesIO()
    image.save(written, kind.name, **kind.options)
    return written.getvalue()


def _cells(key: str) -> bytes:
    """Three bytes for each cell; the red of a cell is dark or light like the squares of a chessboard."""
    cells = bytearray(hashlib.shake_256(key.encode()).digest(GRID * GRID * 3))
    for cell in range(GRID * GRID):
        light = (cell // GRID + cell % GRID) % 2
        cells[3 * cell] = cells[3 * cell] // 2 + 128 * light
    return bytes(cells)


def flat(picture: Picture) -> bytes:
    """An image of the same size and format that is one colour."""
    from PIL import Image

    kind, written = FORMATS[picture.format], io.BytesIO()
    Image.new("RGB", (picture.width, picture.height), (40, 90, 160)).save(written, kind.name, **kind.options)
    return written.getvalue()
