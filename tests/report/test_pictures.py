"""Which pictures a report shows, and that making them small is safe whatever came back."""

import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.report import pictures
from tests.calls import FAL, seen, with_file
from tests.report import runs


def bomb(width, height):
    """A PNG of a few hundred bytes that claims a size."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (head, b"IDAT" + zlib.compress(b"\0" * 1000), b"IEND")
    made = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def encoded(kind):
    out = io.BytesIO()
    Image.effect_noise((80, 60), 50).convert("RGB").save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8), cut=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_damaged_images_are_small_or_none(kind, changes, cut):
    """Bytes that were changed or cut off give a thumbnail or nothing, and never an error."""
    data = bytearray(encoded(kind))
    for place, byte in changes:
        data[place % len(data)] = byte
    small = pictures.thumbnail(bytes(data[: max(1, cut % (2 * len(data)))]))
    assert small is None or small[8:12] == b"WEBP"


def test_what_claims_too_many_pixels_is_not_decoded(monkeypatch):
    """The size is read from the header, before anything is decoded."""
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("it was decoded"))
    assert pictures.thumbnail(bomb(30_000, 30_000)) is None
    assert pictures.thumbnail(bomb(6_000, 5_000)) is None


def test_pictures_with_a_finding_come_first_and_targets_share_the_room():
    """What is odd is what a person should look at."""
    good, odd = seen(FAL), with_file(seen(FAL), runs.png(), "image/png")
    judged = [good.judged()] * 20 + [odd.judged()]
    assert odd.judged().findings
    chosen = pictures.chosen(good.route, judged, 1)
    assert (len(chosen), chosen[0].width) == (12, 40)
    assert chosen[0].request == {"prompt": "a red fox in the snow", "image_urls": "1 image"}
    assert len(pictures.chosen(good.route, judged, 5)) == 8
    assert len(pictures.chosen(good.route, judged, 50)) == 3
