import base64
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

from hypothesis import assume, given
from hypothesis import strategies as st

from harness.secret import Secret
from harness.transport.redact import MASK, Redactor

# Any printable key of a length that keys have; a key made of the mask's own character cannot be told from it.
KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="*"), min_size=12, max_size=60)
AROUND = st.binary(max_size=20)


def escaped(key, how):
    return "".join(how(ord(c)) for c in key)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "percent": lambda k: quote(k, safe=""),
    "percent, lower case": lambda k: "".join(c if c.isalnum() else f"%{ord(c):02x}" for c in k),
    "percent, slashes kept": quote,
    "percent, as a browser": lambda k: quote(k, safe="!'()*-._~"),
    "percent, every byte": lambda k: escaped(k, "%{:02X}".format),
    "form": quote_plus,
    "JSON": lambda k: json.dumps(k)[1:-1],
    "JSON, slashes escaped": lambda k: json.dumps(k)[1:-1].replace("/", "\\/"),
    "JSON, every character": lambda k: escaped(k, "\\u{:04x}".format),
    "JSON, every character, upper case": lambda k: escaped(k, "\\u{:04X}".format),
    "JSON, markup escaped": lambda k: (
        json.dumps(k)[1:-1].replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    ),
    "hex": lambda k: k.encode().hex(),
    "HEX": lambda k: k.encode().hex().upper(),
}


def redactor(*keys):
    return Redactor(map(Secret, keys))


@given(key=KEYS, name=st.sampled_from(sorted(SPELLINGS)), before=AROUND, after=AROUND)
def test_no_spelling_of_a_key_gets_through(key, name, before, after):
    """However a key is spelled and whatever stands around it, after cleaning no spelling of it is left."""
    cleaned = redactor(key).clean(before + SPELLINGS[name](key).encode() + after)
    assert [n for n, spelling in SPELLINGS.items() if spelling(key).encode() in cleaned] == []
    assert MASK.encode() in cleaned


@given(key=KEYS, before=st.binary(max_size=9), after=st.binary(max_size=9), urlsafe=st.booleans())
def test_no_base64_of_a_key_gets_through(key, before, after, urlsafe):
    """A key inside base64 is masked at each of the three byte offsets: what is left does not decode to it."""
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    cleaned = redactor(key).clean(encode(before + key.encode() + after))
    assert MASK.encode() in cleaned
    assert all(
        key.encode() not in base64.b64decode(part + b"=" * (-len(part) % 4), b"-_" if urlsafe else b"+/")
        for part in [cleaned.replace(b"*", b"")]
        if len(part.rstrip(b"=")) % 4 != 1
    )


@given(key=KEYS.filter(lambda k: len(k) >= 16), before=AROUND, after=AROUND, first=st.booleans())
def test_half_a_long_key_is_masked_too(key, before, after, first):
    """Half of a key of 16 characters or more is still too much of it."""
    half = key[: len(key) // 2] if first else key[len(key) // 2 :]
    assert half.encode() not in redactor(key).clean(before + half.encode() + after)


@given(key=KEYS, data=st.binary(max_size=300))
def test_nothing_else_changes(key, data):
    """Without a key in it data stays as it is; and without a key at all nothing is ever touched."""
    assume(MASK.encode() not in redactor(key).clean(data))
    assert (redactor(key).clean(data), redactor().clean(data), redactor().text("x")) == (data, data, "x")


@given(key=KEYS, data=st.binary(max_size=60))
def test_cleaning_is_done_once(key, data):
    """What is clean stays as it is."""
    once = redactor(key).clean(data + key.encode() + data)
    assert redactor(key).clean(once) == once


@given(one=KEYS, other=KEYS, text=st.text(max_size=30))
def test_several_keys_are_masked_in_text(one, other, text):
    """Every key of a run is masked, in text as in bytes, also where one is a part of another."""
    cleaned = redactor(one, other, one + other).text(f"{text}{other}{one}{other}{text}")
    assert (one in cleaned, other in cleaned) == (False, False)


def test_a_mask_says_nothing_about_its_key():
    """The mask is the same for every key and every spelling: nothing can be restored from it."""
    key = "3f2a9c1b-1111-2222:0123456789abcdef"
    assert {redactor(key).clean(s(key).encode()) for s in SPELLINGS.values()} == {MASK.encode()}
