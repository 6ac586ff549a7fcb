"""When so many rejects have been accepted that the others are not sent: each is billed, and tells little that is new.

Rules
-----
* Counted, for each target and tier by itself, are rejects that were accepted although no place in the document allows
  what they send. One that the document contests is not: its acceptance agrees with the document, and is in the price.
* A call counts once it has ended; what is in flight by then may still be accepted.
* What is left out follows from the plan and the record. The engine asks while it runs, the checks ask the record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.flow import submit_meaning
from harness.model import Call, Case, Outcome, RejectTier

ACCEPTED = 3
"""After how many unexpected acceptances the rest of a tier is left out."""
SAID: Mapping[RejectTier, str] = {"A": "forbids", "B": "says nothing of"}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The cases of one tier that were not sent, and why."""

    cases: Sequence[Case]
    reason: str


def unexpected(call: Call) -> RejectTier | None:
    """The tier of a planned reject that was accepted unexpectedly; None for any other call."""
    case = call.case
    submits = call.of("submit")
    if case.tier is None or call.derived is not None or not submits or call.outcome is Outcome.REJECTED:
        return None
    return case.tier if not case.priced and submit_meaning(submits[-1].reply) == "accepted" else None


def left_out(cases: Iterable[Case], calls: Iterable[Call]) -> Sequence[LeftOut]:
    """What of a plan has not been sent because enough was accepted, by tier."""
    called, accepted = set[str](), Counter[RejectTier | None]()
    for call in calls:
        called.add(call.case.id)
        accepted[unexpected(call)] += 1
    waiting: dict[RejectTier, list[Case]] = {}
    for case in cases:
        if case.tier is not None and case.id not in called and accepted[case.tier] >= ACCEPTED:
            waiting.setdefault(case.tier, []).append(case)
    return [LeftOut(rest, reason(tier, accepted[tier], len(rest))) for tier, rest in waiting.items()]


def reason(tier: RejectTier, accepted: int, rest: int) -> str:
    """Why the rest of a tier was not sent."""
    return (
        f"{accepted} requests were accepted that the document {SAID[tier]}: "
        f"the other {rest} of tier {tier} were not sent, since each that is accepted is billed"
    )
