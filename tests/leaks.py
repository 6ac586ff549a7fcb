"""What an attacker with patience reads out of some bytes, and a canary key in many spellings.

``leaks`` is slow and simple on purpose, and shares no code with the redactor: it undoes every encoding that the
standard library undoes, at every place where one may begin, and looks for the key and its halves.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import gzip
import html
import json
import re
import warnings
import zlib
from collections.abc import Callable, Iterator
from urllib.parse import quote, unquote_to_bytes

KEY = "3f2a9c1b-77aa-4e1d-9b0c-5d6e7f809a1b:0F1e2D3c4B5a69788796a5b4c3d2e1f0"
"""Of the shape of a real key; long enough for halves, and with letters of both cases."""


def leaks(data: bytes, key: str, depth: int = 3) -> list[bytes]:
    """The halves of the key (or the key, if it is short) that can be read in the data, whatever it is encoded in."""
    half = len(key) // 2 if len(key) >= 16 else len(key)
    parts = [part.lower().encode() for part in (key[:half], key[half:]) if part]
    read, level = {data}, {data}
    for _ in range(depth):
        level = {decoded for text in level for decoded in _decoded(text)} - read
        read |= level
    return sorted({part for part in parts for text in read if part in text.lower()})


def _decoded(data: bytes) -> Iterator[bytes]:
    text = data.decode("latin-1")
    yield unquote_to_bytes(data)
    yield html.unescape(text).encode("latin-1", "ignore")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # for escapes that Python does not know
        yield codecs.decode(data.replace(b"%u", b"\\u"), "unicode_escape", "ignore").encode("latin-1", "ignore")
    yield re.sub(rb"\0|[ \t]*[\r\n][ \t]*", b"", data)
    for token in re.findall(rb"[A-Za-z0-9+/_-]{8,}", data):
        standard = token.replace(b"-", b"+").replace(b"_", b"/")
        for start in range(4):
            piece = standard[start : len(standard) - ((len(standard) - start) % 4 == 1)]
            yield base64.b64decode(piece + b"=" * (-len(piece) % 4))
    for token in re.findall(rb"[0-9a-fA-F]{16,}", data):
        for start in range(2):
            yield binascii.unhexlify(token[start : len(token) - (len(token) - start) % 2])
    for match in re.finditer(rb"\x1f\x8b|x[\x01\x5e\x9c\xda]", data):
        yield _inflated(data[match.start() :], 47)
    yield _inflated(data, -15)


def _inflated(data: bytes, bits: int) -> bytes:
    stream, content = zlib.decompressobj(bits), b""
    try:
        for position in range(len(data)):
            content += stream.decompress(data[position : position + 1])
    except zlib.error:
        pass
    return content


def base64_at(offset: int, key: str) -> bytes:
    """Base64 of the key behind ``offset`` other bytes and before one."""
    return base64.b64encode(b"abcd"[:offset] + key.encode() + b"!")


def mime(key: str) -> bytes:
    """Base64 broken into lines of 76 characters, the key on both sides of a break."""
    return base64.encodebytes(b"x" * 40 + key.encode() + b"y" * 40)


def every(pattern: str, key: str) -> bytes:
    """Each character of the key by its code."""
    return "".join(pattern.format(ord(c)) for c in key).encode()


CANARIES: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "upper-cased": lambda k: k.upper().encode(),
    "lower-cased": lambda k: k.lower().encode(),
    "first half": lambda k: k[: len(k) // 2].encode(),
    "second half": lambda k: k[len(k) // 2 :].encode(),
    "second half, upper-cased": lambda k: k[len(k) // 2 :].upper().encode(),
    "percent": lambda k: quote(k, safe="").encode(),
    "percent, every character": lambda k: every("%{:02x}", k),
    "percent, twice": lambda k: quote(quote(k, safe="")).encode(),
    "percent, twice, every character": lambda k: every("%25{:02X}", k),
    "JSON": lambda k: json.dumps(k)[1:-1].encode(),
    "JSON in JSON": lambda k: json.dumps(json.dumps(k)[1:-1])[1:-1].encode(),
    "\\u": lambda k: every("\\u{:04x}", k),
    "\\u, upper case": lambda k: every("\\u{:04X}", k),
    "\\u in JSON in JSON": lambda k: every("\\\\u{:04x}", k),
    "\\x": lambda k: every("\\x{:02x}", k),
    "%u": lambda k: every("%u{:04X}", k),
    "HTML entities": lambda k: every("&#x{:x};", k),
    "HTML entities, decimal": lambda k: every("&#{};", k),
    "HTML entities, named": lambda k: html.escape(k).encode(),
    "hex": lambda k: k.encode().hex().encode(),
    "hex, upper case": lambda k: k.encode().hex().upper().encode(),
    "hex, after one digit": lambda k: b"a" + k.encode().hex().encode(),
    "base64": lambda k: base64_at(0, k),
    "base64, one byte on": lambda k: base64_at(1, k),
    "base64, two bytes on": lambda k: base64_at(2, k),
    "base64, after a path": lambda k: b"v1/" + base64_at(1, k),
    "base64, for URLs": lambda k: base64.urlsafe_b64encode(k.encode()).rstrip(b"="),
    "base64, broken into lines": mime,
    "base64, in a block of YAML": lambda k: mime(k).replace(b"\n", b"\n        "),
    "gzip, in a block of YAML": lambda k: (
        b"!!binary |\n    " + base64.encodebytes(gzip.compress(b"x" * 9 + k.encode())).replace(b"\n", b"\n    ")
    ),
    "base64 of half": lambda k: base64.b64encode(k[: len(k) // 2].encode()),
    "base64 of the key in upper case": lambda k: base64_at(1, k.upper()),
    "base64 of percent": lambda k: base64.b64encode(every("%{:02X}", k)),
    "base64 of hex": lambda k: base64.b64encode(k.encode().hex().encode()),
    "base64 of base64": lambda k: base64.b64encode(base64_at(1, k)),
    "base64 of UTF-16": lambda k: base64.b64encode(k.encode("utf-16")),
    "percent of base64": lambda k: quote(base64_at(2, k), safe="").encode(),
    "percent of base64, every character": lambda k: every("%{:02X}", base64_at(2, k).decode()),
    "hex of base64": lambda k: base64_at(0, k).hex().encode(),
    "base64 of gzip": lambda k: base64.b64encode(gzip.compress(b'{"key":"%b"}' % k.encode())),
    "base64 of zlib": lambda k: base64.b64encode(zlib.compress(k.encode())),
    "hex of gzip": lambda k: gzip.compress(k.encode()).hex().encode(),
    "percent of gzip": lambda k: quote(gzip.compress(k.encode())).encode(),
    "gzip": lambda k: gzip.compress(k.encode()),
    "gzip of gzip": lambda k: gzip.compress(gzip.compress(k.encode())),
    "gzip, torn": lambda k: gzip.compress(k.encode() * 2)[:-9],
    "gzip, further on": lambda k: b"\x89PNG" + gzip.compress(k.encode()) + b"IEND",
    "gzip of percent": lambda k: gzip.compress(every("%{:02X}", k)),
    "zlib": lambda k: zlib.compress(k.encode()),
    "deflate": lambda k: zlib.compress(b"\xff" * 9 + k.encode())[2:-4],
    "UTF-16": lambda k: k.encode("utf-16"),
    "UTF-16, big end first": lambda k: k.encode("utf-16-be"),
    "UTF-32": lambda k: k.encode("utf-32"),
    "on two lines": lambda k: (k[: len(k) // 3] + "\r\n" + k[len(k) // 3 :]).encode(),
}
"""A key in many places of the world: what a server, a proxy or a library may make of it."""
