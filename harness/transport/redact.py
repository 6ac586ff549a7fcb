"""One redactor for every sink: what it lets through holds no key, in no spelling that we know of.

Rules
-----
* It works on the bytes that are about to be written, whatever made them.
* A key, and each half of a long one, is searched in any case, each character as it is or percent- or JSON-escaped,
  and hex- and base64-encoded (at each of the three byte offsets). What matches becomes ``MASK``: one-way, nothing can
  be restored from it.
* A key of fewer than ``SHORTEST`` characters is an ordinary word (``test``, ``invalid``): masking it everywhere would
  destroy the record and protect nothing. Such a key is kept out of the records by never being written there.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from harness.secret import Secret

MASK = "***"
SHORTEST = 8
HALVED = 16
"""From how many characters on a key is masked by halves too."""


class Redactor:
    """Masks a run's keys in text and bytes."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        keys = [key for secret in secrets if len(key := secret.reveal()) >= SHORTEST]
        parts = [part for key in sorted(keys, key=len, reverse=True) for part in _parts(key.encode())]
        self._needles = [needle for part in parts for needle in (part.lower(), part.hex().encode())]
        self._literals = [literal for part in parts for literal in sorted(_base64(part))]
        patterns = [pattern for part in parts for pattern in (b"".join(map(_character, part)), _hex(part))]
        patterns += map(re.escape, self._literals)
        self._pattern = re.compile(b"|".join(patterns)) if patterns else None

    def clean(self, data: bytes) -> bytes:
        """The bytes with every spelling of a key masked."""
        # Searching plain strings first is several times faster than the pattern, and almost everything is clean.
        return self._pattern.sub(MASK.encode(), data) if self._pattern and self._suspects(data) else data

    def _suspects(self, data: bytes) -> bool:
        lowered = data.lower()
        plain = _ESCAPED.sub(_unescaped, lowered)
        return any(needle in lowered or needle in plain for needle in self._needles) or any(
            literal in data for literal in self._literals
        )

    def text(self, text: str) -> str:
        """The text with every spelling of a key masked."""
        if self._pattern is None:
            return text
        return self.clean(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


_ESCAPED = re.compile(rb"%([0-9a-f]{2})|\\u00([0-9a-f]{2})|\\(.)", re.DOTALL)


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match[1] or match[2]
    return bytes([int(code, 16)]).lower() if code else match[3]


def _parts(key: bytes) -> Iterator[bytes]:
    """A key, and where it is long enough its halves: half of it is still too much."""
    yield key
    if len(key) >= HALVED:
        yield key[: len(key) // 2]
        yield key[len(key) // 2 :]


def _hex(part: bytes) -> bytes:
    return b"(?i:" + part.hex().encode() + b")"


@lru_cache(maxsize=256)
def _character(byte: int) -> bytes:
    r"""One character of a key as itself, escaped by a backslash, as ``%2F`` or as ``\u002f``, in any case."""
    return b"(?i:\\\\?%b|%%%02x|\\\\u00%02x)" % (re.escape(bytes([byte])), byte, byte)


def _base64(data: bytes) -> set[bytes]:
    """What is in base64 of a key in any surroundings: at each of the three offsets, in both alphabets."""
    found = set()
    for offset in range(3):
        # The characters that also depend on the neighbours are cut off at both ends.
        encoded = base64.b64encode(b"\0" * offset + data).rstrip(b"=")
        inner = encoded[(0, 2, 3)[offset] : len(encoded) - (1 if (offset + len(data)) % 3 else 0)]
        if len(inner) >= SHORTEST:
            found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return found
