"""Input images that nobody can fetch or decode.

Rules
-----
* A row is ``silent`` where the schema allows its text: a document that takes an address or base64 data does not say what
  becomes of a bad one. But for texts that are no address they are ``unseen`` too: that a file is not there, no place in a
  document contests.
* Addresses lead to hosts that are reserved for such uses, or to a file beside a real one that is not there.
* Data URIs only where the parameter takes them.
* What can get an account banned (files and addresses of the provider's own machines) is ``risky``.
* Of a list the first image is wrong, and the second of two or more.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from harness.model import Json
from harness.planning.media import assets_for
from harness.planning.rejects.values import FaultyValue, with_faulty_item
from harness.spec import Parameter, Spec
from harness.validation import validator

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


def faulty_images(parameter: Parameter, spec: Spec, assets: Sequence[str], good: Json) -> Iterator[FaultyValue]:
    """The faults of a parameter that holds an image or a list of them; ``good`` is a value that can be fetched."""
    allows = validator(parameter.schema).is_valid
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
            yield _said(row, parameter.name, states, silent=allows(text))
            continue
        for which, value in with_faulty_item(parameter.schema, good, text):
            item = replace(row, name=f"{which}-{name}", value=value)
            yield _said(item, f"an image of {parameter.name}", states, silent=allows(value))


def _said(row: FaultyValue, what: str, states: str, *, silent: bool) -> FaultyValue:
    documented = "what becomes of it is not documented" if silent else "which the document forbids"
    return replace(row, why=f"{what} {states}; {documented}", silent=silent)


def _missing(asset: str) -> str:
    """The address of a file that is not there, beside one that is."""
    parts = urlsplit(asset)
    path = parts.path.rpartition("/")[0]
    return parts._replace(path=f"{path}/no-such-image.png", query="", fragment="").geturl()
