"""Whether a provider could fetch and decode an input image, as far as its text tells: nothing is fetched.

Rules
-----
* A text that is no address at all is told apart: a document may contest that, and never that a file is not there.
* An address is one of the public web: ``http`` or ``https``, a host that can exist outside this machine and its network.
* A host under ``.invalid`` does not exist, a path that is a directory or ends in ``.html`` is a page, and a file whose
  name begins with ``no-such-`` is not there: a simulator has to know the sights of what it cannot look up.
* Inline data, as a data URI or bare base64, is base64 of something that begins as an image does.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from harness.model import Json
from harness.spec.contract import Spec

ROLES = ("image", "images")
IMAGES = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|BM|II\*\x00|MM\x00\*|....ftyp", re.DOTALL)
"""How the common formats begin."""
BARE_BASE64 = re.compile(r"[A-Za-z0-9+/]{64,}=*")
NO_ADDRESS = "an image is the address of a file on the web, or base64"
NOWHERE, ABSENT = ".invalid", "no-such-"


@dataclass(frozen=True, slots=True)
class BadImage:
    """An input image that is of no use: where it stands, why, and whether it is an address at all, or data."""

    path: tuple[str | int, ...]
    why: str
    address: bool


def bad_images(spec: Spec, body: Json) -> Iterator[BadImage]:
    """The images of a body that are of no use; what is no text is the schema's business."""
    for role in ROLES:
        parameter = spec.parameter(role)
        value = body.get(parameter.name) if parameter and isinstance(body, dict) else None
        if parameter is None or value is None:
            continue
        items = enumerate(value) if isinstance(value, list) else [(None, value)]
        for index, text in items:
            why = unusable(text) if isinstance(text, str) else None
            if why is not None:
                path = (parameter.name,) if index is None else (parameter.name, index)
                yield BadImage(path, why, why != NO_ADDRESS)


def unusable(text: str) -> str | None:
    """Why an input image could not be used; None where nothing speaks against it."""
    if text.startswith("data:"):
        head, comma, payload = text.removeprefix("data:").partition(",")
        if not comma or not head.startswith("image/"):
            return "the data URI holds no image"
        return _no_image(payload)
    if BARE_BASE64.fullmatch(text):
        return _no_image(text)
    try:
        parts = urlsplit(text)
    except ValueError:
        return NO_ADDRESS
    if not parts.scheme:
        return NO_ADDRESS
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "the address is not one of the web"
    return _unreachable(parts, parts.hostname)


def _no_image(payload: str) -> str | None:
    try:
        data = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        return "the base64 cannot be decoded"
    return None if IMAGES.match(data) else "the data is no image"


def _unreachable(parts: SplitResult, host: str) -> str | None:
    if host.endswith(NOWHERE):
        return "the host does not exist"
    if host == "localhost" or host.endswith(".localhost") or not _is_public(host):
        return "the host is not on the public web"
    name = parts.path.rpartition("/")[2]
    if name.startswith(ABSENT):
        return "the file could not be downloaded: 404"
    if not name or name.endswith((".html", ".htm")):
        return "the address leads to a page and to no image"
    return None


def _is_public(host: str) -> bool:
    """Whether a host is a name, or an address that everybody can reach."""
    try:
        address = ipaddress.ip_address(int(host) if host.isdecimal() and len(host) < 11 else host)
    except ValueError:
        return True
    return address.is_global
