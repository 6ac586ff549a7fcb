"""Recordings kept beside a project: the cassette, the frozen plan that it answers, and their larger bodies."""

from harness.cassettes.compact import compact, under_documented_origins
from harness.cassettes.frozen import Frozen, FrozenCall, changed, contract_of, disagreement
from harness.cassettes.shelf import Recording, Shelf, Slot, slot_at, slots_under, written_by_one

__all__ = [
    "Frozen",
    "FrozenCall",
    "Recording",
    "Shelf",
    "Slot",
    "changed",
    "compact",
    "contract_of",
    "disagreement",
    "slot_at",
    "slots_under",
    "under_documented_origins",
    "written_by_one",
]
