"""Where the shipped specs and cassettes are: inside an installed wheel, or beside the package in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(folder: str) -> Path:
    """The folder of a kind of shipped data (``specs``, ``cassettes``).

    A wheel carries them inside the package, under ``data``; an editable install and a checkout have them at the top.
    """
    inside = _PACKAGE / "data" / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder


def schema(name: str) -> Path:
    """The file of one of the harness's own JSON Schemas."""
    return _PACKAGE / "schemas" / f"{name}.schema.json"
