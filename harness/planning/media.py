"""Input images: the user's assets, the documents' own example URLs, or small fixture files; never random bytes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from harness.spec import Spec

PUBLIC_ASSETS = (
    "https://v3.fal.media/files/penguin/XoW0qavfF-ahg-jX4BMyL_image.webp",
    "https://v3.fal.media/files/tiger/bml6YA7DWJXOigadvxk75_image.webp",
)
"""The public example images of one of the documents, for the targets whose own document shows none."""


def assets_for(spec: Spec, configured: Sequence[str]) -> tuple[str, ...]:
    """The input images of a target: the configured ones, else its document's examples, else another document's."""
    if configured:
        return tuple(configured)
    found: list[Any] = []
    for role in ("images", "image"):
        parameter = spec.parameter(role)
        if parameter is not None:
            examples = [parameter.schema.get("example"), *parameter.schema.get("examples", ())]
            examples.append(spec.input_schema.get("example", {}).get(parameter.name))
            for example in examples:
                found += [example] if isinstance(example, str) else list(example or ())
    urls = dict.fromkeys(url for url in found if isinstance(url, str) and url.startswith(("http://", "https://")))
    return tuple(urls) or PUBLIC_ASSETS


@cache
def in_base64(kind: str) -> str:
    """A small real image in base64; ``kind`` is ``png`` or ``jpeg``."""
    name = {"png": "input.png", "jpeg": "input.jpg"}[kind]
    return base64.b64encode((Path(__file__).resolve().parent.parent / "assets" / name).read_bytes()).decode()


def data_uri(kind: str) -> str:
    """A small real image as a data URI; ``kind`` is ``png`` or ``jpeg``."""
    return f"data:image/{kind};base64,{in_base64(kind)}"
