"""Keys, held so that they cannot print themselves and can only leave to the origins they are bound to.

Rules
-----
* ``Secret`` shows nothing in ``repr``, ``str``, formatting, pickling or comparison messages; ``reveal`` is called
  where a header is made, and nowhere else.
* A key is stripped and checked before any header exists: a stray newline would otherwise end up in an exception.
* The process remembers the keys that it has read, and nothing else: what is about to be shown (an error line, a pytest
  report) is masked by them, wherever it came from.
* A ``BoundKey`` is attached by the origin (scheme, host, port) of the request that leaves, never by configuration
  of a client, so that no redirect, link or base URL can carry it elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from harness.errors import UsageError
from harness.model import Request
from harness.urls import Origin, origin


class Secret:
    """A string that does not show itself."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")

    def reveal(self) -> str:
        """The string itself."""
        return self._value


_READ: dict[str, Secret] = {}


def keys_read() -> tuple[Secret, ...]:
    """Every key that this process has read so far."""
    return tuple(_READ.values())


def read_key(variable: str, environment: dict[str, str]) -> Secret:
    """The key in an environment variable.

    Raises:
        UsageError: it is missing, empty or holds what no header can carry.
    """
    value = environment.get(variable, "").strip()
    if not value:
        raise UsageError(f"the key variable {variable} is not set: export it, or use --simulate")
    if not re.fullmatch(r"[\x21-\x7e]+", value):
        raise UsageError(f"the key in {variable} holds spaces or characters that no header can carry: check its value")
    return _READ.setdefault(value, Secret(value))


@dataclass(frozen=True, slots=True)
class BoundKey:
    """A key, how it is written, and the only origins it goes to."""

    secret: Secret
    header: str
    scheme: str
    origins: frozenset[Origin]

    def header_for(self, request: Request) -> tuple[str, str] | None:
        """The credential header of a request, or None when it wants none or its origin is not one of the key's."""
        if not request.authenticated or origin(request.url) not in self.origins:
            return None
        return self.header, f"{self.scheme} {self.secret.reveal()}".strip()
