"""Instructions to an image editor in plain English, by number.

A prompt is put together from four lists whose lengths have no common divisor, so neighbours differ in every part and none
comes again before all ``PROMPTS`` have been used.
"""

from __future__ import annotations

import math

MEDIA = (
    "a pencil sketch", "a watercolour", "an oil painting", "a woodcut", "a charcoal drawing", "a paper collage",
    "a stained-glass window", "a mosaic", "a comic panel", "a linocut", "a pastel drawing", "a travel poster",
    "a black-and-white photograph",
)  # fmt: skip
SUBJECTS = (
    "a red fox", "an old lighthouse", "a sailing boat", "a sleeping cat", "a steam train", "a market stall",
    "a bicycle", "a teapot", "a snowy owl", "a violin", "a hot-air balloon",
)  # fmt: skip
PLACES = (
    "in a birch forest", "on a quiet beach", "at a mountain lake", "in a narrow street", "on a wide meadow",
    "beside a canal", "in a walled garden", "on a rooftop", "in a desert valley",
)  # fmt: skip
LIGHTS = ("at dawn", "at noon", "in the rain", "under a full moon", "in thick fog", "at sunset", "in falling snow")
PROMPTS = math.prod(map(len, (MEDIA, SUBJECTS, PLACES, LIGHTS)))
"""How many prompts there are; they are numbered from 1."""


def prompt(number: int) -> str:
    """The text of a prompt, by its number from 1."""
    medium, subject, place, light = (part[(number - 1) % len(part)] for part in (MEDIA, SUBJECTS, PLACES, LIGHTS))
    return f"Turn the picture into {medium} of {subject} {place} {light}"
