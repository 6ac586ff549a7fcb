"""The colours of every report: named once, in ``style.css``, for the page and for the figures.

Rules
-----
* The style sheet's ``:root`` blocks are the only place with a colour: the first is the light scheme, the second the dark.
* A figure names a part (``queue``, ``grid``), ``PARTS`` says which of the sheet's variables paints it; ``rules`` are the
  classes that do so in a page, ``scheme`` the colours themselves, for files that have no style sheet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

PARTS: Mapping[str, str] = {
    "ink": "ink",
    "muted": "quiet",
    "grid": "line",
    "paper": "paper",
    "dot": "dot",
    "band": "band",
    "late": "fail",
    "undivided": "undivided",
    "submit": "submit",
    "queue": "queue",
    "inference": "inference",
    "download": "download",
}
"""The parts of figures, and the variable that holds the colour of each."""

_SHEET = Path(__file__).resolve().with_name("style.css")


@cache
def sheet() -> str:
    """The page's style sheet, with the classes that paint figures."""
    return _SHEET.read_text("utf-8") + rules()


@cache
def scheme(name: str) -> Mapping[str, str]:
    """Each part's colour in the ``light`` or the ``dark`` scheme, as ``#rrggbb`` or ``#rgb``."""
    blocks = re.findall(r":root \{(.*?)\}", _SHEET.read_text("utf-8"), re.DOTALL)
    block = blocks[("light", "dark").index(name)]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", block))
    return {part: colours[variable] for part, variable in PARTS.items()}


def rules() -> str:
    """The classes ``fill-…`` and ``stroke-…`` of every part, for a page that has the sheet's variables."""
    return "".join(
        f".fill-{part} {{ fill: var(--{name}); }} .stroke-{part} {{ stroke: var(--{name}); }}\n"
        for part, name in PARTS.items()
    )


def standalone() -> str:
    """The same classes with the colours themselves, in both schemes, for a figure that is a file of its own."""
    light, dark = (_painted(scheme(name)) for name in ("light", "dark"))
    return f"text {{ font-family: sans-serif; }} {light} @media (prefers-color-scheme: dark) {{ {dark} }}"


def _painted(colours: Mapping[str, str]) -> str:
    return " ".join(f".fill-{p} {{ fill: {c}; }} .stroke-{p} {{ stroke: {c}; }}" for p, c in colours.items())
