"""Whether a simulated endpoint accepts a request body: the document's input schema, strictly, and its doubts.

Rules
-----
* The body is judged by JSON Schema 2020-12 as the document states it. Unknown fields pass unless the schema closes.
* Where the documents contradict themselves or are silent about a body (``contested``), the flaws in the parameters
  that the doubt is about are forgiven, and no others.
* An input image that could not be fetched or decoded is a flaw too, and one that is an address, no doubt forgives.
* Texts are bounded: a body of megabytes does not come back in the message about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.model import Json
from harness.simulator.inputs import BadImage, bad_images
from harness.spec.contract import Spec
from harness.validation import validator

LONGEST_MESSAGE = 300
MOST_FLAWS = 10


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with a body: the path to it (empty for the body itself) and a text for a person."""

    path: tuple[str | int, ...]
    message: str

    @property
    def parameter(self) -> str | None:
        """The parameter at fault, or None for the whole body."""
        return str(self.path[0]) if self.path else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a body is not accepted; there is at least one flaw."""

    flaws: tuple[Flaw, ...]


class Verdicts:
    """The judge of one endpoint's request bodies."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._validator = validator(spec.input_schema)
        self._doubts = tuple((a, frozenset(_names(a.contested))) for a in spec.ambiguities if a.contested is not None)

    def refusal(self, body: Json) -> Refusal | None:
        """The refusal of a body, or None where it is accepted."""
        flaws = [_flaw(error) for error in self._validator.iter_errors(body)]
        images = list(bad_images(self._spec, body))
        flaws += [_of_image(image) for image in images if not image.address]
        if flaws and isinstance(body, dict):
            doubtful = {name for doubt, names in self._doubts if doubt.contests(body) for name in names}
            flaws = [flaw for flaw in flaws if flaw.parameter not in doubtful]
        flaws += [_of_image(image) for image in images if image.address]
        return Refusal(tuple(flaws[:MOST_FLAWS])) if flaws else None


def _of_image(image: BadImage) -> Flaw:
    return Flaw(image.path, f"{'.'.join(map(str, image.path))}: {image.why}")


def _flaw(error: Any) -> Flaw:
    path = tuple(error.absolute_path)
    if error.validator == "required":
        # The validator reports the object that lacks the name; a provider names what is missing.
        missing = next(name for name in error.validator_value if error.message.startswith(repr(name)))
        path = (*path, missing)
    name = ".".join(map(str, path))
    message = error.message if len(error.message) <= LONGEST_MESSAGE else error.message[:LONGEST_MESSAGE] + "…"
    return Flaw(path, f"{name}: {message}" if name else message)


def _names(schema: Any) -> Iterator[str]:
    """The parameters that a schema of bodies speaks of."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        yield from schema.get("required", ())
        for key in ("not", "if", "then", "else"):
            yield from _names(schema.get(key))
        for key in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(key, ()):
                yield from _names(part)
