"""Planted faults: what a simulated endpoint can be told to do wrong, generated from its spec, as data.

Rules
-----
* A fault is a row: a stable id, the check it must trip and how gravely, what it concerns, one sentence, and how it
  varies the simulator. Nothing else of the endpoint changes.
* Rows are made from roles, schemas and partitions, for any spec: a sixth endpoint has faults without a line of code.
* There is a row only where the fault shows: no lost seed where no answer has one, no accepted value that the healthy
  endpoint accepts too, no spoilt field where the documented shape allows what the spoilt answer says.
* ``verdict`` follows the rule of the checks: a broken promise of the document is a ``fail``; one that is only observed
  or assumed, or that the documents contradict, is a ``warn``.
* An id names the fault and not its place in a list: adding rows changes no id.

``parameters``: values refused, accepted, crashed on. ``requests``: texts, media types, methods and images accepted. ``answers``: shapes, bodies, statuses, refusals. ``images``: what
is delivered, and what an answer says of it. ``jobs``: lifecycle, identity, keys, times, repetition.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from harness.simulator.faults import answers, images, jobs, parameters, requests
from harness.simulator.faults.fault import Fault
from harness.spec.contract import Spec

__all__ = ["Fault", "faults_for", "list_faults"]

_GENERATORS = (parameters.faults, requests.faults, images.faults, answers.faults, jobs.faults)


def faults_for(spec: Spec) -> tuple[Fault, ...]:
    """Every fault that can be planted into a spec's endpoint, in a fixed order."""
    return _made(_Named(spec))


class _Named:
    """A spec as a cache key: its file's content."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def __hash__(self) -> int:
        return hash(self.spec.sha256)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Named) and other.spec.sha256 == self.spec.sha256


@lru_cache(maxsize=32)
def _made(named: _Named) -> tuple[Fault, ...]:
    return tuple(fault for generate in _GENERATORS for fault in generate(named.spec))


def list_faults(specs: Sequence[Spec]) -> Iterator[str]:
    """One line for each fault: id, target, check, parameter or ``-``, and a sentence, with tabs between."""
    for spec in specs:
        for fault in faults_for(spec):
            yield "\t".join((fault.id, fault.target, fault.check, fault.parameter or "-", fault.states))
