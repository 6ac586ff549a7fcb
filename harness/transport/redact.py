"""One redactor for every sink: what it lets through holds no key, in no spelling that we know of.

Rules
-----
* It works on the bytes that are about to be written, whatever made them.
* A key is searched as it is, upper-cased and lower-cased, percent-, JSON-, hex- and base64-encoded (at each of the three byte
  offsets). What matches becomes ``MASK``: one-way, nothing can be restored from it.
* A key of fewer than ``SHORTEST`` characters is an ordinary word (``test``, ``invalid``): masking it everywhere would
  destroy the record and protect nothing. Such a key is kept out of the records by never being written there.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from harness.secret import Secret

MASK = "***"
SHORTEST = 8


class Redactor:
    """Masks a run's keys in text and bytes."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        keys = [key for secret in secrets if len(key := secret.reveal()) >= SHORTEST]
        spellings = {spelling for key in keys for spelling in _spellings(key)}
        ordered = sorted((s.encode() for s in spellings), key=lambda s: (-len(s), s))
        self._pattern = re.compile(b"|".join(map(re.escape, ordered))) if ordered else None

    def clean(self, data: bytes) -> bytes:
        """The bytes with every spelling of a key masked."""
        return self._pattern.sub(MASK.encode(), data) if self._pattern else data

    def text(self, text: str) -> str:
        """The text with every spelling of a key masked."""
        if self._pattern is None:
            return text
        return self.clean(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def _spellings(key: str) -> Iterator[str]:
    data = key.encode()
    yield from (key, key.upper(), key.lower(), quote(key, safe=""), quote_plus(key), json.dumps(key)[1:-1])
    yield from (data.hex(), data.hex().upper())
    yield "".join(f"%{byte:02X}" for byte in data)
    yield "".join(f"\\u{byte:04x}" for byte in data)
    for offset in range(3):
        # The characters that also depend on the neighbours are cut off at both ends.
        encoded = base64.b64encode(b"\0" * offset + data).decode().rstrip("=")
        inner = encoded[(0, 2, 3)[offset] : len(encoded) - (1 if (offset + len(data)) % 3 else 0)]
        if len(inner) >= 8:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")
