"""From ids that somebody names to the variations and settings of a simulator."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from harness.errors import UsageError
from harness.simulator.faults import Fault, faults_for
from harness.simulator.settings import Settings
from harness.simulator.variants import Variant, variants_for
from harness.simulator.variations import Variation
from harness.spec.contract import Spec

Variations = Mapping[str, tuple[Variation, ...]]
Row = TypeVar("Row", Fault, Variant)


def planted(
    specs: Sequence[Spec], settings: Settings, faults: Iterable[str] = (), variants: Iterable[str] = ()
) -> tuple[Variations, Settings]:
    """The variations by target, and the settings, of the faults and healthy variants with these ids.

    Raises:
        UsageError: none of the specs has a fault or a variant of that id.
    """
    made: dict[str, list[Variation]] = {}
    chosen: list[Fault | Variant] = [_fault(specs, name) for name in dict.fromkeys(faults)]
    for variant in (_variant(specs, name) for name in dict.fromkeys(variants)):
        settings = replace(settings, **variant.settings)
        chosen.append(variant)
    for row in chosen:
        made.setdefault(row.target, []).append(row.variation())
    return {target: tuple(variations) for target, variations in made.items()}, settings


def _fault(specs: Sequence[Spec], name: str) -> Fault:
    return _named("fault", name, {fault.id: fault for spec in _near(specs, name) for fault in faults_for(spec)})


def _variant(specs: Sequence[Spec], name: str) -> Variant:
    return _named(
        "variant", name, {variant.id: variant for spec in _near(specs, name) for variant in variants_for(spec)}
    )


def _near(specs: Sequence[Spec], name: str) -> Sequence[Spec]:
    """The specs whose ids a name can be near to: its own target's, else all."""
    own = [spec for spec in specs if name.startswith(f"{spec.target}:")]
    return own or specs


def _named(what: str, name: str, known: Mapping[str, Row]) -> Row:
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, 1, 0.5)
    instead = f"did you mean {near[0]}?" if near else "harness simulate --list-faults lists those there are"
    raise UsageError(f"--{what} {name[:200]}: the simulated targets have no {what} of this id; {instead}")
