"""Checks that cost money: the same request again, with the defaults spelled out, with a field nobody documents.

Their cases are planned on request (``--repeats``) and differ from one base in one thing each; what is compared are the
decoded pixels, since an encoder may write another file for the same picture.
"""

from __future__ import annotations

import hashlib
import io
from functools import lru_cache

from harness.checks.evidence import Evidence
from harness.model import Call, Finding, Outcome, Verdict

Findings = list[Finding] | None


@lru_cache(maxsize=256)
def _pixels(data: bytes) -> str | None:
    """A digest of a picture's pixels, or None when it has none."""
    from PIL import Image

    from harness.checks.outputs import picture

    if picture(data).fault:
        return None
    with Image.open(io.BytesIO(data)) as image:
        return hashlib.sha256(repr(image.size).encode() + image.convert("RGB").tobytes()).hexdigest()


def _images(seen: Evidence) -> list[str | None]:
    return [_pixels(file.data) if file.data else None for file in seen.files]


def _sibling(seen: Evidence, name: str) -> Evidence | None:
    """The evidence of another repetition of the same target; None when it did not complete."""
    case_id = f"{seen.spec.target}/repeat/{name}"
    for call in seen.others:
        if call.case.id == case_id and call.derived is None and call.outcome is Outcome.COMPLETED:
            return Evidence(seen.route, call.case, call, None, seen.others, seen.anchor)
    return None


def _is(seen: Evidence, name: str) -> bool:
    return seen.case.id == f"{seen.spec.target}/repeat/{name}"


def reproducible_seed(seen: Evidence) -> Findings:
    """The same seed gives the same image, another one another."""
    again, other = _is(seen, "seed-again"), _is(seen, "other-seed")
    if not again and not other:
        return None
    first, parameter = _sibling(seen, "seed"), seen.spec.parameter("seed")
    if first is None or parameter is None or seen.final is None:
        return [seen.unknown("reproducible_seed", "a repetition did not complete")]
    one, two = _images(first), _images(seen)
    if None in one or None in two:
        return [seen.unknown("reproducible_seed", "an image cannot be read")]
    if (again and one == two) or (other and one != two):
        return []
    message = "the same seed gave another image" if again else "another seed gave the same image"
    finding = seen.grade(
        "reproducible_seed", message, sources=[parameter.source], about=[parameter.at], parameter=parameter.name
    )
    return [finding]


def default_equals_explicit(seen: Evidence) -> Findings:
    """A documented default, spelled out, changes nothing."""
    if not _is(seen, "explicit-defaults"):
        return None
    first = _sibling(seen, "seed")
    if first is None or seen.final is None:
        return [seen.unknown("default_equals_explicit", "a repetition did not complete")]
    if _images(first) == _images(seen):
        return []
    repeated = _sibling(seen, "seed-again")
    if repeated is None or _images(repeated) != _images(first):
        return [seen.unknown("default_equals_explicit", "the seed does not reproduce, so nothing can be compared")]
    spelled = [p for p in seen.spec.parameters if p.name in seen.case.body and p.name not in first.case.body]
    names = ", ".join(p.name for p in spelled)
    sources = [p.source for p in spelled]
    message = f"the request with its defaults spelled out ({names}) gave another image"
    return [seen.grade("default_equals_explicit", message, sources=sources)]


def unknown_field(seen: Evidence) -> Findings:
    """A field that no document names is treated the same way each time: ignored, or refused."""
    if not _is(seen, "unknown-field-again"):
        return None
    first: Call | None = next((c for c in seen.others if c.case.id == f"{seen.spec.target}/repeat/unknown-field"), None)
    if first is None or Outcome.UNKNOWN in (first.outcome, seen.call.outcome):
        return [seen.unknown("unknown_field", "a repetition got no answer that tells")]
    if first.outcome is seen.call.outcome:
        return []
    message = "a field that nobody documents was accepted once and refused once"
    finding = seen.grade("unknown_field", message, observed=f"{first.outcome.value}, then {seen.call.outcome.value}")
    return [finding.weighed(Verdict.WARN)]  # no document says what becomes of such a field
