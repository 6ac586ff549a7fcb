"""Which parameters make a provider refuse a request that its document allows?

A refused row differs from the plainest accepted one in many parameters. Reverting one at a time to the accepted value,
and keeping what does not matter reverted, leaves exactly the parameters that are refused together, with one request for
each that differs: at most ``MAX_REQUESTS``. (Shrinking, as a property tester does it, needs five times as many.) Other
refused rows that hold the same values are explained by the same culprits, and cost nothing; with other values of the
same parameters they cost one request.

A search is a generator without I/O: it yields a case to send and is sent its outcome (None: it was not sent). The
engine drives it over the record of an earlier segment and then over the wire, the checks drive it again over the whole
record, and both come to the same culprits.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from harness.model import Call, Case, Json, Outcome
from harness.spec import Spec

ISOLATION = "isolation"
"""What a derived call of a search is called in the record."""
MINIMISATION = "minimisation"
"""What a derived call is called that asks whether less shows the same; such calls are made of simulators only."""
MAX_REQUESTS = 10
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Culprits:
    """The parameters that are refused together, and the accepted body with these alone changed."""

    names: tuple[str, ...]
    body: Mapping[str, Json]


Search = Generator[Case, "Outcome | None", Mapping[str, Culprits]]


def isolations(spec: Spec, cases: Sequence[Case], outcomes: Mapping[str, Outcome]) -> Search:
    """The culprits of every refused accept case, by case id; a case that cannot be explained is left out."""
    rows = [case for case in cases if case.kind == "accept"]
    refused = [case for case in rows if outcomes.get(case.id) is Outcome.REJECTED]
    accepted = [case for case in rows if outcomes.get(case.id) is Outcome.COMPLETED]
    found: dict[str, Culprits] = {}
    plain = _plainest(accepted)
    if plain is None:
        return found
    for case in refused:
        known = next((one for one in found.values() if _holds(case, one)), None)
        names = known.names if known else (yield from _as_before(spec, case, plain, found))
        names = names or (yield from _isolate(spec, case, plain))
        if names:
            found[case.id] = Culprits(names, _minimal(case.body, plain.body, names))
    return found


def recorded_outcome(recorded: list[Call], case: Case) -> Outcome | None:
    """The outcome of the recorded call that asked what a search asks, taken out of the list; None when none did."""
    for number, call in enumerate(recorded):
        if (call.case.id, call.case.body) == (case.id, case.body):
            return recorded.pop(number).outcome
    return None


def _as_before(
    spec: Spec, case: Case, plain: Case, found: Mapping[str, Culprits]
) -> Generator[Case, Outcome | None, tuple[str, ...] | None]:
    """The parameters of an earlier refusal, if this case's values of them are refused too: one request instead of ten."""
    for names in dict.fromkeys(one.names for one in found.values()):
        body = _minimal(case.body, plain.body, names)
        if body != plain.body and (yield _changed(spec, case, body)) is Outcome.REJECTED:
            return names
    return None


def _isolate(spec: Spec, case: Case, plain: Case) -> Generator[Case, Outcome | None, tuple[str, ...] | None]:
    """The parameters of one refused case that are refused together; None when an answer says nothing."""
    count = spec.parameter("count")
    differing = sorted(_differing(case.body, plain.body), key=lambda name: count is None or name != count.name)
    if len(differing) > MAX_REQUESTS:
        return None
    body, culprits = dict(case.body), list(differing)
    for name in differing:
        if culprits == [name]:
            break  # what is left alone is the culprit: the accepted row is known to pass without it
        without = _reverted(body, plain.body, name)
        outcome = yield _changed(spec, case, without)
        if outcome is Outcome.REJECTED:
            body = without
            culprits.remove(name)
        elif outcome is not Outcome.COMPLETED:
            return None
    return tuple(culprits)


def _changed(spec: Spec, case: Case, body: Mapping[str, Json]) -> Case:
    """A case with another body, priced anew."""
    return case.sent_as(body, spec.images_asked(body))


def _differing(one: Mapping[str, Json], two: Mapping[str, Json]) -> list[str]:
    return [name for name in dict.fromkeys((*one, *two)) if one.get(name, _ABSENT) != two.get(name, _ABSENT)]


def _holds(case: Case, known: Culprits) -> bool:
    """Whether a case has the very values that are refused together."""
    return all(case.body.get(name, _ABSENT) == known.body.get(name, _ABSENT) for name in known.names)


def _reverted(body: Mapping[str, Json], accepted: Mapping[str, Json], name: str) -> dict[str, Json]:
    changed = {key: value for key, value in body.items() if key != name}
    return {**changed, name: accepted[name]} if name in accepted else changed


def _minimal(refused: Mapping[str, Json], accepted: Mapping[str, Json], culprits: Sequence[str]) -> dict[str, Json]:
    """The accepted body with the culprits alone changed: the shortest request that shows the refusal."""
    body = {name: value for name, value in accepted.items() if name not in culprits}
    return {**body, **{name: refused[name] for name in culprits if name in refused}}


def _plainest(accepted: Sequence[Case]) -> Case | None:
    """The accepted case to revert to: one that no ambiguity touches, that says the least, the cheaper of equals.

    What is found against it is about the culprits alone: it holds neither a value that the document leaves open nor
    one that is refused together with another.
    """
    return min(accepted, key=lambda case: (case.expect != "accept", len(case.body), case.images, case.id), default=None)
