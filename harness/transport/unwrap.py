"""What bytes say once common encodings are taken off them: the reading half of redaction.

Rules
-----
* The redactor masks by *writing* a key in every spelling that it knows. This module *reads*: it takes encodings off
  until a key is an ordinary part of a plain text. The two share no code, so that one mistake cannot hide a key from
  both.
* Encodings come off one after another, ``DEPTH`` at most, each family by itself: percent-encoding, backslash escapes,
  HTML entities, base64 (both alphabets, whatever stands in front of it), hex, gzip, zlib, deflate.
* Only printable runs of at least ``shortest`` characters are read, since a key is printable and no encoding of text
  is shorter than its text. In an image there are hardly any, which is what makes it cheap. NUL bytes, and
  line breaks with the blanks around them, are dropped: that reads UTF-16 and UTF-32, and base64 in lines, as MIME and
  YAML have it.
* A gzip member is looked for anywhere, a zlib stream at the start of the data or of a base64 or hex string, a bare
  deflate stream at the start of the data. ``STREAM_BYTES`` of each are read and ``ALL_BYTES`` of all; a damaged or torn
  stream is read up to the damage.
* A stream that goes on past these bounds is reported (``cut``) where it is itself *written in text*, as base64 in JSON
  is: nobody can say what is in it, and no honest answer has one. A stream in binary data is an ordinary archive or
  image, and what was read of it must do.
* A text of more than ``ESCAPES`` escapes is reported too: taking them off would take longer than a job may.
"""

from __future__ import annotations

import binascii
import html
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

DEPTH = 3
STREAM_BYTES = 1024 * 1024
ALL_BYTES = 32 * STREAM_BYTES
ESCAPES = 250_000
SMALLEST = 16
"""Bytes of the smallest compressed stream that is looked for in base64 or hex; a key may be longer than its gzip."""

_CHUNK = 4096
_READ = STREAM_BYTES + _CHUNK
_WINDOW = 8 * _READ
"""Of a longer base64 string so much is decoded at a time, and the last quarter again: a stream that begins there."""
_HEAD = 256
_ATTEMPT = 1024
"""What trying to open a stream costs at least of the allowance: bytes."""
_GZIP = b"\x1f\x8b\x08"
_AS_TEXT = "gzip taken for Latin-1"
"""A gzip that somebody decoded as Latin-1 and wrote as UTF-8, as a log of a compressed answer is."""


class View(NamedTuple):
    """A text, and the names of the encodings that had to come off for it, the outermost first.

    ``cut`` marks a stream, written in text, that is longer than could be looked into.
    """

    path: tuple[str, ...]
    text: bytes
    cut: bool = False


class Allowance:
    """How many bytes may still be read out of streams. ``strict``: once it is spent, every stream counts as cut."""

    def __init__(self, *, strict: bool = False) -> None:
        self.left = ALL_BYTES
        self.strict = strict


def views(data: bytes, shortest: int, allowance: Allowance) -> Iterator[View]:
    """The texts that can be read in the data, first the data's own, in which nothing is shorter than ``shortest``."""
    return _Reader(shortest, allowance).read(data, ())


def escapes(data: bytes) -> Iterator[bytes]:
    """The data, and what it says with each family of escapes taken off once, where that makes a difference."""
    yield data
    for decode in (_percent, _backslash, _entities):
        yield from decode(data)


class _Reader:
    """One search, which remembers what it has read."""

    def __init__(self, shortest: int, allowance: Allowance) -> None:
        self._shortest = shortest
        self._token = min(shortest, SMALLEST)
        self._seen: dict[tuple[str, int], int] = {}
        self._allowance = allowance

    def read(self, data: bytes, path: tuple[str, ...]) -> Iterator[View]:
        text = self._text(data)
        deeper = len(path) < DEPTH
        if text and self._new("text", text, len(path)):
            yield View(path, text)
            if deeper:
                for name, (sign, decode) in _ESCAPES.items():
                    if len(text) > ESCAPES and text.count(sign) > ESCAPES:
                        yield View((*path, name), b"", cut=True)
                        continue
                    for decoded in decode(text):
                        yield from self.read(decoded, (*path, name))
                for decoded in self._base64(text, len(path)):
                    yield from self.read(decoded, (*path, "base64"))
                for decoded in self._hex(text, len(path)):
                    yield from self.read(decoded, (*path, "hex"))
        if deeper:
            yield from self._streams(data, path)

    def _new(self, kind: str, text: bytes, depth: int) -> bool:
        """Whether a text was not read before, or only where fewer encodings could still come off."""
        key = kind, hash(text)
        if self._seen.get(key, DEPTH + 1) <= depth:
            return False
        self._seen[key] = depth
        return True

    def _text(self, data: bytes) -> bytes:
        return b" ".join(map(_unbroken, _runs(data, _PRINTABLE, self._shortest)))

    def _base64(self, text: bytes, depth: int) -> Iterator[bytes]:
        for sign, standard in ((b"-", b"+"), (b"_", b"/")):
            text = text.replace(sign, standard)
        found = _runs(text, _BASE64, self._token * 4 // 3)
        tokens = [token for token in found if self._new("base64", token, depth)]
        short = [token + b"AAA"[: -len(token) % 4] for token in tokens if len(token) <= _WINDOW]
        if short:
            # One call for all is faster; what stands between them decodes to nothing printable.
            yield from _shifted(_unbase64(b"////".join(short)), 2)
        for token in tokens:
            for start in range(0, len(token) if len(token) > _WINDOW else 0, _WINDOW - 2 * _READ):
                yield from _shifted(_unbase64(token[start : start + _WINDOW]), 2)
            yield from _zlib_in_base64(token)

    def _hex(self, text: bytes, depth: int) -> Iterator[bytes]:
        found = _runs(text, _HEX, self._token * 2)
        tokens = [token + b"0"[: len(token) % 2] for token in found if self._new("hex", token, depth)]
        if tokens:
            yield from _shifted(binascii.unhexlify(b"ffffff".join(tokens)), 4)
        yield from (binascii.unhexlify(token) for token in tokens if token[:2] == b"78")

    def _streams(self, data: bytes, path: tuple[str, ...]) -> Iterator[View]:
        for name, start, bits in _starts(data, path):
            text = name == _AS_TEXT or any(step in _WRITTEN for step in path)
            packed = data[start : start + _READ]
            if name == _AS_TEXT:
                packed = packed.decode("utf-8", "ignore").encode("latin-1", "replace")
            if self._allowance.left <= 0:
                if not (text or self._allowance.strict):
                    return
                self._allowance.left -= _ATTEMPT
                if self._allowance.left < -ALL_BYTES or _is_stream(packed[:_HEAD], bits):
                    yield View((*path, name), b"", cut=True)
                    return
                continue
            content, used, open_ended = _inflated(packed, bits)
            self._allowance.left -= max(len(content), used, _ATTEMPT)
            # A torn stream ends with the data, and has been read as far as it goes.
            if text and open_ended and (len(content) >= STREAM_BYTES or start + _READ < len(data)):
                yield View((*path, name), b"", cut=True)
            yield from self.read(content, (*path, name))


def _unbroken(run: bytes) -> bytes:
    run = run.replace(b"\0", b"")
    broken = b"\n" in run or b"\r" in run
    return b"".join(line.strip(b" \t") for line in run.splitlines()) if broken else run


def _table(members: bytes) -> bytes:
    return bytes(ord("x") if byte in members else ord("\n") for byte in range(256))


_ALPHANUMERIC = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_PRINTABLE = _table(bytes(range(0x20, 0x7F)) + b"\0\t\r\n")
_BASE64 = _table(_ALPHANUMERIC + b"+/")
_ZLIB_BASE64 = re.compile(rb"e[AFJN]")
"""How base64 of a zlib stream begins."""
_HEX = _table(b"0123456789abcdefABCDEF")


def _runs(data: bytes, table: bytes, shortest: int) -> Iterator[bytes]:
    """The runs of a class of bytes; two plain searches, ten times faster than a regular expression on an image."""
    marks, run = data.translate(table), b"x" * shortest
    start = marks.find(run)
    while start >= 0:
        end = marks.find(b"\n", start)
        yield data[start : end if end >= 0 else len(data)]
        start = marks.find(run, end) if end >= 0 else -1


def _shifted(data: bytes, step: int) -> Iterator[bytes]:
    """The data read from each bit at which it may begin.

    What stands in front of a base64 string may belong to the alphabet too, as the slash of a path does. Shifting is
    several times faster than decoding again.
    """
    yield data
    bits = int.from_bytes(data, "big")
    for shift in range(step, 8, step):
        yield (bits << shift).to_bytes(len(data) + 1, "big")


def _zlib_in_base64(token: bytes) -> Iterator[bytes]:
    for match in _ZLIB_BASE64.finditer(token):
        # At the start or after a sign, as in a path: a stream further inside is a picture's pixels.
        if match.start() and token[match.start() - 1] not in b"+/":
            continue
        if _is_stream(_unbase64(token[match.start() : match.start() + _HEAD]), 15):
            yield _unbase64(token[match.start() : match.start() + 2 * _READ])


def _unbase64(token: bytes) -> bytes:
    return binascii.a2b_base64(token + b"AAA"[: -len(token) % 4])


_PERCENT = re.compile(rb"%[0-9a-fA-F]{2}")


def _percent(text: bytes) -> Iterator[bytes]:
    if _PERCENT.search(text):
        yield unquote_to_bytes(text)


_BACKSLASH = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,5})\}|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_PERCENT_U = re.compile(rb"%u([0-9a-fA-F]{4})()()()")
_CONTROL = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def _backslash(text: bytes) -> Iterator[bytes]:
    # Two patterns, each with a first character of its own: on a text without escapes that is ten times faster.
    if (decoded := _PERCENT_U.sub(_unescaped, _BACKSLASH.sub(_unescaped, text))) != text:
        yield decoded


def _unescaped(match: re.Match[bytes]) -> bytes:
    # A key is ASCII, and bytes that were taken for text, as of a gzip, come back as they were.
    if code := match[1] or match[2] or match[3]:
        return chr(int(code, 16)).encode("latin-1", "replace")
    return _CONTROL.get(match[4], match[4])


def _entities(text: bytes) -> Iterator[bytes]:
    if b"&" in text:
        decoded = html.unescape(text.decode("latin-1")).encode("latin-1", "replace")
        if decoded != text:
            yield decoded


_ESCAPES: dict[str, tuple[bytes, Callable[[bytes], Iterator[bytes]]]] = {
    "percent-encoding": (b"%", _percent),
    "backslash escapes": (b"\\", _backslash),
    "HTML entities": (b"&", _entities),
}
"""By name: the sign that an escape begins with, and what takes them off; ``%u`` is looked for with the backslashes."""
_WRITTEN = {*_ESCAPES, "base64", "hex"}


def _starts(data: bytes, path: tuple[str, ...]) -> Iterator[tuple[str, int, int]]:
    """Where compressed streams may begin: what they are called, the offset, and zlib's window bits."""
    start = data.find(_GZIP[1:])
    while start >= 0:
        if data[start - 1 : start] == _GZIP[:1]:
            yield "gzip", start - 1, 31
        elif data[start - 2 : start] == b"\x1f\xc2":
            yield _AS_TEXT, start - 2, 31
        start = data.find(_GZIP[1:], start + 1)
    if len(data) > 2 and data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0:
        yield "zlib", 0, 15
    if not path and not data[:64].isascii():
        yield "deflate", 0, -15


def _is_stream(head: bytes, bits: int) -> bool:
    """Whether a stream may begin so. What looks like a beginning by chance breaks down within a few bytes."""
    try:
        zlib.decompressobj(bits).decompress(head, STREAM_BYTES)
    except zlib.error:
        return False
    return True


def _inflated(data: bytes, bits: int) -> tuple[bytes, int, bool]:
    """What a stream decodes to, ``STREAM_BYTES`` at most, how many bytes of it that took, and whether it goes on."""
    stream, content, used = zlib.decompressobj(bits), bytearray(), 0
    while used < len(data) and not stream.eof and len(content) < STREAM_BYTES:
        before, chunk, room = stream.copy(), data[used : used + _CHUNK], STREAM_BYTES - len(content)
        try:
            content += stream.decompress(chunk, room)
        except zlib.error:
            return bytes(content + _up_to_damage(before, chunk, room)), used, False
        used += len(chunk) - len(stream.unconsumed_tail)
    return bytes(content), used, not stream.eof


def _up_to_damage(stream: zlib._Decompress, chunk: bytes, room: int) -> bytearray:
    """What a damaged chunk decodes to before its damage; zlib itself keeps nothing of it."""
    content = bytearray()
    with suppress(zlib.error):
        for position in range(len(chunk)):
            content += stream.decompress(chunk[position : position + 1])
            if len(content) >= room:
                break
    return content
