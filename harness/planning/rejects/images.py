"""Input images that nobody can fetch or decode, in a body whose schema has nothing to say against them.

Rules
-----
* Every row is ``silent``: a document that takes an address or base64 data does not say what becomes of a bad one. But
  for texts that are no address they are ``unseen`` too: that a file is not there, no place in a document contests.
* Addresses lead to hosts that are reserved for such uses, or to a file beside a real one that is not there.
* Data URIs only where the parameter takes them.
* What can get an account banned (files and addresses of the provider's own machines) is ``risky``.
* Each image of a list is wrong alone, and as the second of two.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from harness.planning.media import assets_for
from harness.planning.rejects.values import FaultyValue
from harness.spec import Parameter, Spec

ROLES = ("image", "images")
PAGE = "https://example.com/"
"""A web page that is kept for examples, and no image."""

_ADDRESSES = (
    ("scheme", "has a scheme that is not the web's", "ftp://example.com/input.png"),
    ("relative", "is an address without a host", "images/input.png"),
    ("no-address", "is a sentence", "a picture of a red fox"),
    ("unresolvable", "has a host that does not exist", "https://no-such-host.invalid/input.png"),
    ("page", "is the address of a web page", PAGE),
)
_TEXT = base64.b64encode(b"This is no image.").decode()
_DATA = (
    ("bad-base64", "is a data URI whose base64 is none", "data:image/png;base64,@@@@not*base64@@@@"),
    ("zero-bytes", "is a data URI without data", "data:image/png;base64,"),
    ("wrong-media-type", "is a data URI of a text", f"data:text/plain;base64,{_TEXT}"),
    ("no-image", "is a data URI that calls a text an image", f"data:image/png;base64,{_TEXT}"),
)
_RISKY = (
    ("file-scheme", "is a file of the provider's own machine", "file:///etc/hostname"),
    ("loopback", "leads to the provider's own machine", "http://127.0.0.1/input.png"),
    ("loopback-name", "leads to the provider's own machine by its name", "http://localhost/input.png"),
    ("loopback-ipv6", "leads to the provider's own machine", "http://[::1]/input.png"),
    ("loopback-number", "leads to the provider's own machine in one number", "http://2130706433/input.png"),
    ("private-network", "leads into a private network", "http://10.0.0.1/input.png"),
    ("metadata", "leads to the metadata of a cloud's machine", "http://169.254.169.254/latest/meta-data/"),
)


def faulty_images(parameter: Parameter, spec: Spec, assets: Sequence[str], good: str) -> Iterator[FaultyValue]:
    """The faults of a parameter that holds an image or a list of them; ``good`` is an image that can be fetched."""
    rows = [
        (*row, False) for row in (*_ADDRESSES, ("not-found", "is not there", _missing(assets_for(spec, assets)[0])))
    ]
    if parameter.role == "image":
        rows.append(("empty", "is an empty text", "", False))
    if "data_uri" in parameter.detail.get("takes", ["url"]):
        rows += [(*row, False) for row in _DATA]
    rows += [(*row, True) for row in _RISKY]
    for name, states, text, risky in rows:
        row = FaultyValue(name, "", text, silent=True, unseen=":" in text, risky=risky)
        if parameter.role == "image":
            yield replace(row, why=_why(parameter.name, states))
            continue
        why = _why(f"an image of {parameter.name}", states)
        yield replace(row, name=f"item-{name}", why=why, value=[text])
        yield replace(row, name=f"second-item-{name}", why=why, value=[good, text])


def _why(what: str, states: str) -> str:
    return f"{what} {states}; what becomes of it is not documented"


def _missing(asset: str) -> str:
    """The address of a file that is not there, beside one that is."""
    parts = urlsplit(asset)
    path = parts.path.rpartition("/")[0]
    return parts._replace(path=f"{path}/no-such-image.png", query="", fragment="").geturl()
