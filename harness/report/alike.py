"""Findings that say the same of several cases of a target, for every report that tells them once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.model import Json


def alike(findings: Sequence[Mapping[str, Json]]) -> list[list[int]]:
    """The places of a target's findings, those of equal verdict, check, parameter and message together."""
    found: dict[tuple[str, ...], list[int]] = {}
    for place, one in enumerate(findings):
        found.setdefault((one["verdict"], one["check"], one["parameter"] or "", one["message"]), []).append(place)
    return list(found.values())
