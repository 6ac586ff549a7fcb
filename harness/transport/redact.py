"""One redactor for every sink: what it lets through holds no key, in no spelling that we know of, or it is withheld.

Rules
-----
* It works on the bytes that are about to be written, whatever made them.
* **Search.** A key, and each half of a long one, is looked for twice: written (as it is in any case, in hex, in base64
  at each of the three byte offsets) by plain searches in the bytes, and read (``unwrap.views``: three encodings deep,
  into gzip, UTF-16 and lines) by a plain search in the texts. Neither knows of the other, nor of what masks.
* **Mask.** What was found becomes ``MASK``: one-way, nothing can be restored from it. The spellings of a key (each
  character as it is, percent-encoded, escaped by JSON or HTML; hex; base64) are masked themselves; a base64 or hex
  string in which a key is hidden deeper is masked whole. In JSON each string is masked by itself, decoded, so that
  JSON stays JSON.
* **Withhold.** What was masked is searched again. If anything is still found, the whole value is replaced by one short
  sentence. In JSON that is the string, and only if that is not enough the text around it.
* A stream in base64 or hex that goes on past what can be looked into counts as found, and its string is masked. An
  image or archive is never withheld for being large: see ``unwrap``. Nothing of more than ``MASKED_BYTES`` is masked,
  in JSON no string of more.
* A key of fewer than ``SHORTEST`` characters is an ordinary word (``test``, ``invalid``): masking it everywhere would
  destroy the record and protect nothing. Such a key is kept out of the records by never being written there.

What is not looked for: less than half of a key; a key reversed, encrypted, split over several values or drawn in an
image; compression that Python 3.11 cannot undo (brotli, zstd) or that starts in the middle of binary data without a
gzip header (PNG's ``zTXt``, zip entries); more than three encodings; keys that are not printable ASCII, which
``read_key`` refuses.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from harness.secret import Secret
from harness.transport.unwrap import Allowance, escapes, views

MASK = "***"
SHORTEST = 8
HALVED = 16
"""From how many characters on a key is masked by halves too."""
MASKED_BYTES = 2 * 1024 * 1024
"""What is longer and holds a key is withheld: masking takes up to a second a megabyte, searching a twentieth."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What may be written of a value, and what was done to it.

    ``withheld`` says in a few words why nothing of the value may be written; ``data`` is then a sentence that says so.
    A JSON text of which single strings were withheld counts as masked.
    """

    data: bytes
    masked: bool = False
    withheld: str | None = None


class Redactor:
    """Masks a run's keys in text and bytes, and withholds what it cannot mask."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        keys = sorted((key for secret in secrets if len(key := secret.reveal()) >= SHORTEST), key=len, reverse=True)
        self._keys = [key.encode() for key in keys]
        # What holds a key holds its halves: the search is for those.
        self._needles = [(half.lower(), key.lower()) for key in self._keys for half in _halves(key)]
        self._hex = [needle.hex().encode() for needle, _ in self._needles]
        self._base64 = sorted({literal for key in self._keys for half in _halves(key) for literal in _base64(half)})
        self._shortest = min((len(needle) for needle, _ in self._needles), default=0)

    def clean(self, data: bytes) -> bytes:
        """The bytes with every spelling of a key masked, or a short sentence where they are withheld."""
        return self.examine(data).data

    def text(self, text: str) -> str:
        """The text with every spelling of a key masked, or a short sentence where it is withheld."""
        return self._text(text, None)

    def finds(self, data: bytes) -> str | None:
        """In which way a key stands in the data, without showing any of it: ``half of a key: gzip in base64``.

        Also what cannot be looked into is found. None when there is nothing.
        """
        return self._finds(data, Allowance())

    def examine(self, data: bytes) -> Cleaned:
        """What may be written of the data. What holds no key is returned as it is."""
        return self._examine(data, None)

    def _examine(self, data: bytes, shared: Allowance | None) -> Cleaned:
        """``shared`` is what the parts of a value, which are searched one by one, may spend together."""
        found = self._finds(data, shared or Allowance())
        if found is None:
            return Cleaned(data)
        parts = shared or Allowance(strict=True)
        for masked in self._maskings(data, parts):
            found = self._finds(masked, shared or Allowance())
            if found is None:
                return Cleaned(masked, masked=True)
        sentence = f"[withheld: {found}]".encode()
        # A key can be a word of the sentence, and no key is as short as the mask.
        return Cleaned(MASK.encode() if self.finds(sentence) else sentence, withheld=found)

    def _text(self, text: str, shared: Allowance | None) -> str:
        data = text.encode("utf-8", "surrogatepass")
        cleaned = self._examine(data, shared).data
        return text if cleaned == data else cleaned.decode("utf-8", "surrogatepass")

    def _finds(self, data: bytes, allowance: Allowance) -> str | None:
        return (self._written(data) or self._read(data, allowance)) if self._keys else None

    def _written(self, data: bytes) -> str | None:
        """The first search: for a key as it may be written, in the bytes."""
        lowered = data.lower()
        for needle, key in self._needles:
            if needle in lowered:
                return _said(whole=key in lowered, how="as it is")
        if any(needle in lowered for needle in self._hex):
            return _said(whole=False, how="hex")
        if any(literal in data for literal in self._base64):
            return _said(whole=False, how="base64")
        return None

    def _read(self, data: bytes, allowance: Allowance) -> str | None:
        """The second search: for a key in what can be read in the bytes."""
        for view in views(data, self._shortest, allowance):
            how = " in ".join(reversed(view.path)) or "as it is"
            if view.cut:
                return f"{how}, more than can be looked into"
            lowered = view.text.lower()
            for needle, key in self._needles:
                if needle in lowered:
                    return _said(whole=key in lowered, how=how)
        return None

    def _maskings(self, data: bytes, parts: Allowance) -> Iterator[bytes]:
        """The data masked: string by string if it is JSON, and then as a whole."""
        if data.lstrip()[:1] in (b"{", b"[", b'"'):
            data = _SCALAR.sub(lambda match: self._mask_scalar(match[0], parts), data)
            yield data
        if len(data) <= MASKED_BYTES:
            yield self._mask(data, parts)

    def _mask_scalar(self, scalar: bytes, parts: Allowance) -> bytes:
        """A JSON string or number with what it says masked, as JSON again."""
        try:
            value = json.loads(scalar) if scalar[:1] == b'"' else scalar.decode()
        except ValueError:
            return scalar
        cleaned = self._text(value, parts)
        # Half a surrogate pair has no UTF-8, but an escape in JSON.
        return (
            scalar if cleaned == value else json.dumps(cleaned, ensure_ascii=False).encode("utf-8", "backslashreplace")
        )

    def _mask(self, data: bytes, parts: Allowance) -> bytes:
        """The data with every spelling masked that is known, and every string in which a key hides deeper."""
        loose, exact = self._patterns
        masked = exact.sub(MASK.encode(), loose.sub(MASK.encode(), data))
        return _TOKEN.sub(lambda match: MASK.encode() if self._read(match[0], parts) else match[0], masked)

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
        """Every spelling of a key and its halves: those in which case does not count, and base64."""
        parts = [part for key in self._keys for part in dict.fromkeys((key, *_halves(key)))]
        loose = [spelling for part in parts for spelling in (_plain(part), _escaped(part), _plain(part.hex().encode()))]
        exact = [_literal(literal) for part in parts for literal in sorted(_base64(part))]
        return re.compile(b"|".join(loose), re.IGNORECASE), re.compile(b"|".join(exact))


def _said(*, whole: bool, how: str) -> str:
    return f"{'a key' if whole else 'half of a key'}: {how}"


def _halves(key: bytes) -> tuple[bytes, ...]:
    """The halves of a key where it is long enough, since half of it is still too much; else the key."""
    return (key[: len(key) // 2], key[len(key) // 2 :]) if len(key) >= HALVED else (key,)


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


# The patterns that mask. Every repetition is bounded, so that no data can make them slow.

_SCALAR = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|-?[0-9][0-9.eE+-]{%d,}+' % (SHORTEST - 2), re.DOTALL)
"""A string of JSON, at the end of the data also a torn one, which no later quote may begin anew; or a long number."""
_BROKEN = rb"[\0\r\n\t ]{0,40}"
"""Between two characters: what UTF-16, UTF-32 or a line break puts there."""
_TOKEN = re.compile(rb"[A-Za-z0-9+/_-](?:(?:\0{1,3}|[ \t]{0,8}[\r\n]{1,2}[ \t]{0,40})?[A-Za-z0-9+/_-]){9,}={0,2}")
"""A string of base64 or hex, also in lines."""
_ENTITIES = {
    ord(c): name for c, name in (("&", b"amp"), ("<", b"lt"), (">", b"gt"), ('"', b"quot"), ("'", b"(?:apos|#39)"))
}


def _plain(part: bytes) -> bytes:
    return _BROKEN.join(re.escape(part[i : i + 1]) for i in range(len(part)))


def _escaped(part: bytes) -> bytes:
    return _BROKEN.join(map(_character, part))


@lru_cache(maxsize=256)
def _character(byte: int) -> bytes:
    r"""One character of a key as itself or escaped, also twice: ``\/``, ``%2f``, ``%252f``, ``\u002f``, ``&#x2f;``."""
    itself = rb"(?>\\\\|\\)" if byte == ord("\\") else rb"\\{0,8}" + re.escape(bytes([byte]))
    forms = [
        itself,
        rb"%%(?:25){0,3}%02x" % byte,
        rb"(?:\\{1,8}u00|\\{1,8}x|%%u00)%02x" % byte,
        rb"&(?:amp;){0,3}#(?:x0{0,6}%02x|0{0,6}%d);?" % (byte, byte),
    ]
    if byte in _ENTITIES:
        forms.append(rb"&(?:amp;){0,3}%b;" % _ENTITIES[byte])
    return b"(?:%b)" % b"|".join(forms)


def _literal(literal: bytes) -> bytes:
    """A base64 string, also broken into lines, with its two signs escaped as URLs and JSON may."""
    return _BROKEN.join(_SIGNS.get(literal[i : i + 1], literal[i : i + 1]) for i in range(len(literal)))


_SIGNS = {
    b"+": rb"(?:\+|%2[bB]|\\u002[bB])",
    b"/": rb"(?:\\{0,8}/|%2[fF]|\\u002[fF])",
    b"-": rb"(?:-|%2[dD])",
    b"_": rb"(?:_|%5[fF])",
}


# What looks like a credential, whoever's it is.

_UNMASKED = rb"(?!\*\*\*|your|xxx)"
_HEADERS = (
    rb"(?<![\w-])(authorization|proxy-authorization|x-api-key|api-key|x-key|x-goog-api-key|x-auth-token|x-access-token"
    rb"|x-amz-security-token)[\"']?\s{0,9}[:=][\s\[\"'-]{0,40}"
    rb"(?:(?:bearer|basic|key|token)\s+%b[a-z0-9][^\s\"'\\,\]}]{7}|%b(?=[\w.~+/:-]{0,80}[0-9])[a-z0-9][\w.~+/:=-]{7})"
) % (_UNMASKED, _UNMASKED)
_COOKIES = (
    rb"(?<![\w-])(set-cookie2?|cookie)[\"']?\s{0,9}[:=][\s\[\"'-]{0,40}[^\s\"'=;,:]{1,80}=%b[^\s\"';,]" % _UNMASKED
)
_PARAMETERS = (
    rb"[?&;](x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|sig|signature|key-pair-id"
    rb"|(?:aws|oss)accesskeyid|googleaccessid|ucloudpublickey|token|(?:access|auth|id|refresh)[_-]token|api[_-]?key"
    rb"|client[_-]secret|secret|password|jwt)=%b[^&\s\"'<>\\]{8}"
) % _UNMASKED
_SHAPES: dict[str, bytes] = {
    "a key of the shape uuid:hex32": rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}:[0-9a-f]{32}",
    "a key of the shape sk-…": rb"sk-(?=[\w-]{0,80}[0-9])[\w-]{20}",
    "a key of the shape key-…": rb"key-[0-9a-f]{32}",
    "a key of the shape r8_…": rb"r8_[A-Za-z0-9]{37}",
    "a key of the shape hf_…": rb"hf_[A-Za-z0-9]{30}",
    "a key of the shape gh?_…": rb"(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{40})",
    "a key of the shape AKIA…": rb"(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9+/])",
    "a key of the shape AIza…": rb"AIza[\w-]{35}(?![A-Za-z0-9+/])",
    "a key of the shape xox?-…": rb"xox[abprs]-[A-Za-z0-9-]{20}",
    "a JSON Web Token": rb"eyJ[\w-]{8,4096}\.[\w-]{8,4096}\.[\w-]{8}",
    "a private key": rb"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----",
    "a password in a URL": rb"https?://[^/\s\"'@:]{1,80}:%b[^/\s\"'@]{1,80}@" % _UNMASKED,
}
_NAMED_PATTERNS = {
    "header": re.compile(_HEADERS, re.IGNORECASE),
    "cookie in header": re.compile(_COOKIES, re.IGNORECASE),
    "query parameter": re.compile(_PARAMETERS, re.IGNORECASE),
}
_SHAPE_PATTERNS = {name: re.compile(rb"(?<![A-Za-z0-9+/=_-])" + shape) for name, shape in _SHAPES.items()}


def suspicious(data: bytes) -> list[str]:
    """What in the data looks like somebody's credential: names of headers, query parameters and shapes, never a value.

    It needs no key, so it can be run over files that others recorded. It is a list of patterns: it sees an
    ``authorization`` or key header that is not ``***``, cookies, signatures and tokens in query strings, passwords in
    URLs and the shapes of well-known keys, as they stand and under one layer of percent-encoding, backslash escapes
    or HTML entities. It does not see keys without a known shape in other places, a header value of fewer than eight
    characters or, without a scheme before it, of letters alone, or anything inside base64 or compression. Examples in
    prose can raise a false alarm, ``your…``, ``xxx…``, ``<…>`` and ``{…}`` do not.
    """
    found: dict[str, None] = {}
    for text in escapes(data):
        for kind, pattern in _NAMED_PATTERNS.items():
            found |= {f"{kind} {match[1].decode().lower()}": None for match in pattern.finditer(text)}
        found |= {name: None for name, pattern in _SHAPE_PATTERNS.items() if pattern.search(text)}
    return sorted(found)
