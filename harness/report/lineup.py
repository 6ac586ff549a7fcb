"""The same logical request in each target's dialect, so that a reader sees what has to be changed to switch.

Rules
-----
* Dialects are lined up by role. A role takes part when at least two targets have it and one value of their partitions
  is common to all that do; a value that is nobody's default says more, and is preferred.
* Each body is the plainest one of its target and flow, with the common values in it; input images stay its own.
* A role that a target has no parameter for is named: there the request cannot be said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from harness.model import Json
from harness.planning import plainest
from harness.planning.partitions import partition
from harness.spec import Flow, Spec

OWN = frozenset({"image", "images"})
"""Roles whose values are the target's own files."""


def same_requests(dialects: Sequence[tuple[Spec, Flow]]) -> list[tuple[Mapping[str, Json], tuple[str, ...]]]:
    """For each spec and flow a body, and the roles of the request that its dialect cannot say."""
    common = _common([spec for spec, _ in dialects])
    return [(_body(spec, flow, common), tuple(r for r in common if r not in spec.by_role)) for spec, flow in dialects]


def _body(spec: Spec, flow: Flow, common: Mapping[str, Json]) -> Mapping[str, Json]:
    plain, named = plainest(spec, flow), {p.name: p.role for p in spec.by_role.values()}
    fixed = {*spec.constants, *flow.body}
    return plain | {name: common[role] for name, role in named.items() if role in common and name not in fixed}


def _common(specs: Sequence[Spec]) -> Mapping[str, Json]:
    """The roles that take part, with their value, in the order of the first spec that has them."""
    roles = dict.fromkeys(role for spec in specs for role in spec.by_role if role and role not in OWN)
    found = {}
    for role in roles:
        having = [spec for spec in specs if role in spec.by_role]
        shared = _shared([_values(spec, role) for spec in having]) if len(having) > 1 else []
        defaults = {_key(spec.by_role[role].default) for spec in having}
        if shared:
            found[role] = next((value for value in shared if _key(value) not in defaults), shared[0])
    return found


def _values(spec: Spec, role: str) -> Mapping[str, Json]:
    return {_key(label.value): label.value for label in partition(spec.by_role[role], spec) if not label.absent}


def _shared(values: Sequence[Mapping[str, Json]]) -> list[Json]:
    first, *others = values
    return [value for key, value in first.items() if all(key in other for other in others)]


def _key(value: Json) -> str:
    # ``1 == True`` in Python, and not in JSON.
    return json.dumps(value, sort_keys=True)
