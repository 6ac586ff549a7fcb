"""Changing one place in an answer that has been rendered already.

A path is a response field's: names, and ``*`` for each element of an array. What a path does not lead to is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from harness.model import Json
from harness.simulator.provider import Reply

REMOVED: Any = object()
"""What a change returns where nothing is to stand."""

Change = Callable[[Any], Any]


def edited(value: Json, path: tuple[str, ...], change: Change) -> Json:
    """A JSON value in which every value at a path is changed; the given one stays as it is."""
    if not path:
        return change(value)
    first, rest = path[0], path[1:]
    if first == "*" and isinstance(value, list):
        return [item for item in (edited(item, rest, change) for item in value) if item is not REMOVED]
    if isinstance(value, dict) and first in value:
        made = {**value, first: edited(value[first], rest, change)}
        return {name: item for name, item in made.items() if item is not REMOVED}
    return value


def everywhere(value: Json, change: Callable[[Mapping[str, Json]], Mapping[str, Json]]) -> Json:
    """A JSON value in which every object is changed, the innermost first."""
    if isinstance(value, list):
        return [everywhere(item, change) for item in value]
    if isinstance(value, dict):
        return change({name: everywhere(item, change) for name, item in value.items()})
    return value


def rewritten(reply: Reply, change: Change) -> Reply:
    """An answer whose JSON is another; one that is no JSON stays as it is."""
    try:
        value = json.loads(reply.body)
    except ValueError:
        return reply
    return replace(reply, body=Reply.of(reply.status, change(value)).body)


def patched(reply: Reply, path: tuple[str, ...], change: Change) -> Reply:
    """An answer with another value at a path."""
    return rewritten(reply, lambda value: edited(value, path, change))
