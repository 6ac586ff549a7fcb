"""Generated images."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from harness.simulator.images import Picture, format_named, size

RATIOS = ["21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21"]


@pytest.mark.parametrize("name", ["jpeg", "png", "webp"])
def test_bytes_are_of_the_format(name):
    """The bytes decode, as the format that was asked for, in the size that was announced."""
    picture = Picture("a", *size("4:3"), name)
    image = Image.open(io.BytesIO(picture.encoded()))
    image.load()
    assert (image.format, image.size, image.get_format_mimetype()) == (
        name.upper(),
        (picture.width, picture.height),
        picture.media_type,
    )


@pytest.mark.parametrize("ratio", RATIOS)
def test_size_keeps_the_ratio(ratio):
    """Width to height is within 1 % of the ratio, at 0.07 megapixels give or take 2 %."""
    wide, high = map(int, ratio.split(":"))
    width, height = size(ratio)
    assert width / height == pytest.approx(wide / high, rel=0.01)
    assert width * height == pytest.approx(70_000, rel=0.02)


@pytest.mark.parametrize("ratio", [None, "", "square", "0:1", "1:0", 3, ["1:1"], "16:9:4"])
def test_no_ratio_is_square(ratio):
    """What is no ratio gives a square."""
    assert size(ratio) == (265, 265)


@pytest.mark.parametrize(("ratio", "expected"), [("999999:1", (4096, 1)), ("1:999999", (1, 4096))])
def test_extreme_ratios_are_bounded(ratio, expected):
    """No ratio makes an image that is costly to draw."""
    assert size(ratio) == expected


def test_never_flat():
    """An image has many colours, none of which covers more than a quarter of it."""
    image = Image.open(io.BytesIO(Picture("a", *size("1:1"), "png").encoded()))
    colours = image.getcolors(maxcolors=100_000)
    assert colours is not None
    assert len(colours) > 10
    assert max(count for count, _ in colours) < 265 * 265 / 4


def test_equal_keys_give_equal_bytes_and_others_do_not():
    """The key decides the content, and the name of the file follows the bytes."""
    first, same, other = (Picture(key, 20, 20, "png") for key in "aab")
    assert (first.encoded(), first.name) == (same.encoded(), same.name)
    assert first.encoded() != other.encoded()
    assert first.name != other.name


@pytest.mark.parametrize(
    ("asked", "expected"), [("PNG", "png"), ("jpg", "jpg"), (None, "jpeg"), ("bmp", "jpeg"), (3, "jpeg")]
)
def test_format_names(asked, expected):
    """A format that is unknown or not asked for is JPEG."""
    assert format_named(asked) == expected
