"""Colours that people with any colour vision can tell apart."""

from itertools import combinations

import pytest

from harness.report import palette

# Machado, Oliveira and Fernandes (2009): what full dichromats see, in linear RGB; rows give red, green, blue.
VISIONS = {
    "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
TOGETHER = (("submit", "queue"), ("queue", "inference"), ("inference", "download"), ("queue", "undivided"),
            ("inference", "undivided"), ("dot", "band"), ("dot", "muted"), ("late", "grid"))  # fmt: skip
"""Parts that stand side by side in a figure."""


def linear(colour):
    digits = colour.lstrip("#")
    pairs = [digits[n : n + 2] for n in (0, 2, 4)] if len(digits) == 6 else [2 * one for one in digits]
    shares = [int(pair, 16) / 255 for pair in pairs]
    return [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]


def lab(rgb):
    rows = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    xyz = [sum(a * b for a, b in zip(row, rgb, strict=True)) for row in rows]
    x, y, z = (
        v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116
        for v in (max(0, v) / white for v, white in zip(xyz, (0.9505, 1, 1.089), strict=True))
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def distance(one, other, vision):
    seen = [
        lab([sum(a * b for a, b in zip(row, linear(colour), strict=True)) for row in VISIONS[vision]])
        for colour in (one, other)
    ]
    return sum((a - b) ** 2 for a, b in zip(*seen, strict=True)) ** 0.5


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_neighbouring_parts_differ_for_every_colour_vision(scheme, vision):
    """By at least 15 in CIELAB, where 2.3 is just noticeable; each part has a name or an order beside its colour."""
    colours = palette.scheme(scheme)
    near = {pair: distance(colours[pair[0]], colours[pair[1]], vision) for pair in TOGETHER}
    assert {pair: round(found, 1) for pair, found in near.items() if found < 15} == {}


def test_a_colour_is_named_once():
    """Light and dark have the same parts, and every part its own variable."""
    assert set(palette.scheme("light")) == set(palette.scheme("dark")) == set(palette.PARTS)
    assert all(one != other for one, other in combinations(palette.PARTS.values(), 2))
    rules = palette.rules()
    assert all(f".fill-{part} " in rules and f".stroke-{part} " in rules for part in palette.PARTS)
