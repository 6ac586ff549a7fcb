import base64
import gzip
import io
import json
import random
import tarfile
import zlib
from collections.abc import Callable
from urllib.parse import quote, quote_from_bytes, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.secret import Secret
from harness.strict import load_json
from harness.transport import unwrap
from harness.transport.redact import MASK, MASKED_BYTES, Cleaned, Redactor, suspicious
from tests.leaks import CANARIES, KEY, base64_at, leaks

# Any printable key of a length that keys have; a key made of the mask's own character cannot be told from it.
KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="*"), min_size=12, max_size=60)
VARIED = KEYS.filter(lambda key: len(set(key)) >= 10)
"""What compresses to fewer bytes than any key has is not found inside base64."""
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
    "percent, twice": lambda k: escaped(k, "%25{:02x}".format),
    "form": quote_plus,
    "JSON": lambda k: json.dumps(k)[1:-1],
    "JSON, slashes escaped": lambda k: json.dumps(k)[1:-1].replace("/", "\\/"),
    "JSON, every character": lambda k: escaped(k, "\\u{:04x}".format),
    "JSON, every character, upper case": lambda k: escaped(k, "\\u{:04X}".format),
    "JSON, markup escaped": lambda k: (
        json.dumps(k)[1:-1].replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    ),
    "HTML": lambda k: escaped(k, "&#x{:x};".format),
    "HTML, decimal": lambda k: escaped(k, "&#{:03};".format),
    "hex": lambda k: k.encode().hex(),
    "HEX": lambda k: k.encode().hex().upper(),
    "UTF-16": "\0".join,
}

LAYERS: dict[str, Callable[[bytes], bytes]] = {
    "percent": lambda d: quote_from_bytes(d, safe="").encode(),
    "percent, every byte": lambda d: "".join(f"%{byte:02x}" for byte in d).encode(),
    "JSON": lambda d: json.dumps(d.decode("latin-1"))[1:-1].encode(),
    "\\u": lambda d: "".join(f"\\u{byte:04X}" for byte in d).encode(),
    "hex": lambda d: d.hex().encode(),
    "base64": base64.b64encode,
    "base64, for URLs": base64.urlsafe_b64encode,
    "base64, broken into lines": base64.encodebytes,
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "UTF-16": lambda d: d.decode("latin-1").encode("utf-16-le"),
}


def redactor(*keys):
    return Redactor(map(Secret, keys))


class MasksNothing(Redactor):
    """A redactor whose masking has a fault."""

    def _mask(self, data, parts):
        return data


class MasksOnce(Redactor):
    """A redactor that masks the first place only."""

    def _mask(self, data, parts):
        return data.replace(KEY.encode(), MASK.encode(), 1)


class CannotRead(Redactor):
    """A redactor of which one of the two searches has a fault."""

    def _read(self, data, allowance):
        return None


class CannotSearch(Redactor):
    """A redactor of which the other search has a fault."""

    def _written(self, data):
        return None


@settings(deadline=None)
@given(key=KEYS, name=st.sampled_from(sorted(SPELLINGS)), before=AROUND, after=AROUND)
def test_no_spelling_of_a_key_gets_through(key, name, before, after):
    """However a key is spelled and whatever stands around it, after cleaning no spelling of it is left."""
    cleaned = redactor(key).examine(before + SPELLINGS[name](key).encode() + after)
    assert [n for n, spelling in SPELLINGS.items() if spelling(key).encode() in cleaned.data] == []
    assert (cleaned.masked, cleaned.withheld) == (True, None)
    assert MASK.encode() in cleaned.data


@settings(deadline=None)
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


@settings(deadline=None)
@given(key=KEYS.filter(lambda k: len(k) >= 16), before=AROUND, after=AROUND, first=st.booleans())
def test_half_a_long_key_is_masked_too(key, before, after, first):
    """Half of a key of 16 characters or more is still too much of it."""
    half = key[: len(key) // 2] if first else key[len(key) // 2 :]
    assert half.encode() not in redactor(key).clean(before + half.encode() + after)


@settings(max_examples=60, deadline=None)
@given(key=VARIED, layers=st.lists(st.sampled_from(sorted(LAYERS)), max_size=3), around=st.lists(AROUND, min_size=6))
def test_nothing_of_a_key_can_be_read_under_three_layers(key, layers, around):
    """Whatever three encodings a key lies under, and whatever stands around it in each, it cannot be read afterwards."""
    data = around[0] + key.encode() + around[1]
    for number, name in enumerate(layers):
        assume(name != "UTF-16" or data.isascii())  # it is an encoding of text
        # What stands around a stream goes into its text; a zlib stream has no mark by which to find it in the middle.
        outside = (b"", b"") if name == "zlib" or "zlib" in layers[:number] else around[2 * (number % 2) + 2 :][:2]
        data = outside[0] + LAYERS[name](data) + outside[1]
    cleaned = redactor(key).examine(data)
    # What stands before an escape may be an escape character itself, which spoils it: then there is nothing to mask.
    assert (leaks(cleaned.data, key), bool(leaks(data, key)) <= (cleaned.data != data)) == ([], True)


@pytest.mark.parametrize("name", CANARIES)
def test_the_search_of_these_tests_sees_every_canary(name):
    """What says that nothing is left would see it: it finds the key, or half of it, in each canary."""
    assert leaks(CANARIES[name](KEY), KEY) != []


@pytest.mark.parametrize("name", CANARIES)
@pytest.mark.parametrize("make", [Redactor, MasksNothing, MasksOnce])
def test_no_canary_gets_through_even_when_masking_has_a_fault(name, make):
    """Each canary is masked or withheld, alone, in text, in binary and in JSON; with a fault in masking it is withheld."""
    canary, at_the_start = CANARIES[name](KEY), name in ("zlib", "deflate")
    text = json.dumps({"echo": canary.decode("latin-1"), canary.decode("latin-1"): [1, "fine"]}).encode()
    places = [canary, canary + b"\xff\xd8\xff"]
    places += [] if at_the_start else [text, b"<p>" + canary + b"</p>", b"\x89PNG\r\n\x1a\n" + canary]
    for data in places:
        cleaned = make([Secret(KEY)]).examine(data)
        assert (leaks(cleaned.data, KEY), cleaned.masked) == ([], cleaned.withheld is None)
        assert make is not MasksNothing or b"[withheld: " in cleaned.data
    assert len(load_json(make([Secret(KEY)]).clean(text))) == 2


@pytest.mark.parametrize("name", ["as it is", "upper-cased", "first half", "hex", "base64", "base64, one byte on"])
@pytest.mark.parametrize("make", [CannotRead, CannotSearch])
def test_a_fault_in_one_search_does_not_hide_a_key(name, make):
    """The two searches find the plain spellings independently: each alone is enough."""
    cleaned = make([Secret(KEY)]).examine(b'{"a": "' + CANARIES[name](KEY) + b'"}')
    assert (cleaned.masked, leaks(cleaned.data, KEY)) == (True, [])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("as it is", "a key: as it is"),
        ("upper-cased", "a key: as it is"),
        ("second half", "half of a key: as it is"),
        ("percent, every character", "a key: percent-encoding"),
        ("percent, twice, every character", "a key: percent-encoding in percent-encoding"),
        ("\\u", "a key: backslash escapes"),
        ("HTML entities", "a key: HTML entities"),
        ("hex", "half of a key: hex"),
        ("base64", "half of a key: base64"),
        ("base64 of half", "half of a key: base64"),
        ("base64 of the key in upper case", "a key: base64"),
        ("base64 of gzip", "a key: gzip in base64"),
        ("base64 of zlib", "a key: zlib in base64"),
        ("gzip of gzip", "a key: gzip in gzip"),
        ("hex of base64", "a key: base64 in hex"),
        ("deflate", "a key: deflate"),
        ("UTF-16", "a key: as it is"),
    ],
)
def test_a_find_is_named_by_its_encodings_without_the_key(name, said):
    """``finds`` says how a key stands in the data, the innermost encoding first, and shows none of it."""
    assert redactor(KEY).finds(b"<" * (name != "deflate") + CANARIES[name](KEY)) == said


def test_without_a_key_nothing_is_found():
    """Data without a key, and a redactor without keys, find nothing."""
    assert (redactor(KEY).finds(b"\xff" + KEY[1:-1].replace("-", "_").encode()[:20]), redactor().finds(b"x")) == (
        None,
        None,
    )


def test_what_cannot_be_masked_is_withheld_with_its_reason():
    """A gzip has no spelling that could be masked: a sentence of fixed words takes its place."""
    reason = "a key: gzip"
    assert redactor(KEY).examine(gzip.compress(KEY.encode())) == Cleaned(b"[withheld: a key: gzip]", withheld=reason)


def test_only_the_string_is_withheld_in_json():
    """Of a JSON body the strings without a key stay: the images that were paid for among them."""
    body = {"images": [{"url": "https://h/1.png"}], "debug": gzip.compress(KEY.encode()).decode("latin-1"), "n": 1.50}
    cleaned = redactor(KEY).examine(json.dumps(body).encode())
    assert (load_json(cleaned.data), cleaned.masked, cleaned.withheld) == (
        body | {"debug": "[withheld: a key: gzip taken for Latin-1]"},
        True,
        None,
    )


def test_a_hiding_place_in_text_is_masked_and_the_text_stays():
    """A base64 string in which a key lies deeper is masked whole; what stands around it stays."""
    hidden = base64.b64encode(gzip.compress(KEY.encode()))
    assert redactor(KEY).clean(b"trace " + hidden + b" end") == b"trace *** end"


def test_a_redactor_whose_key_is_a_word_of_the_reason_says_nothing():
    """The sentence of a withheld value is searched too: a key could be one of its words."""
    cleaned = redactor("withheld").examine(gzip.compress(b"withheld"))
    assert (cleaned.data, cleaned.withheld) == (MASK.encode(), "a key: gzip")


@pytest.mark.parametrize("pack", [base64.b64encode, lambda d: d.hex().encode(), lambda d: quote_from_bytes(d).encode()])
def test_a_stream_in_text_that_is_too_long_to_look_into_is_not_written(pack):
    """A gzip in text that goes on past the bound may hide anything: it is masked or withheld."""
    bomb = gzip.compress(bytes(3 * unwrap.STREAM_BYTES) + KEY.encode())
    cleaned = redactor(KEY).examine(b'{"a":"' + pack(bomb) + b'"}')
    assert load_json(cleaned.data)["a"] in (MASK, "[withheld: gzip in percent-encoding, more than can be looked into]")


def test_an_archive_is_not_withheld_for_being_long():
    """A large archive as a body is kept as it is: what it begins with was searched."""
    files = io.BytesIO()
    with tarfile.open(fileobj=files, mode="w:gz") as archive:
        for number in range(3):
            data = random.Random(number).randbytes(unwrap.STREAM_BYTES)
            archive.addfile(tarfile.TarInfo(f"{number}.png"), io.BytesIO(data[: len(data) // 2]))
    assert redactor(KEY).examine(files.getvalue()) == Cleaned(files.getvalue())
    assert redactor(KEY).examine(files.getvalue() * 40) == Cleaned(files.getvalue() * 40)


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(bytes(20 * unwrap.STREAM_BYTES)) * 100,
        gzip.compress(gzip.compress(bytes(20 * unwrap.STREAM_BYTES))) * 100,
        b"\x1f\x8b\x08" * 10_000,
        gzip.compress(b"A" * 20 * unwrap.STREAM_BYTES),
    ],
)
def test_bombs_are_read_within_bounds(data):
    """Of however many streams, few are opened, and little of each is decoded, whatever they hold."""
    texts = [view.text for view in unwrap.views(data, 8, unwrap.Allowance()) if view.path]
    assert max(map(len, texts), default=0) <= unwrap.STREAM_BYTES
    assert sum(map(len, texts)) <= unwrap.ALL_BYTES + unwrap.STREAM_BYTES


def test_parts_of_one_value_share_what_may_be_read():
    """Many streams under the bound, one a string, are looked into until the allowance is spent, and then masked unread."""
    stream = base64.b64encode(gzip.compress(bytes(unwrap.STREAM_BYTES - 1))).decode()
    number = 2 * unwrap.ALL_BYTES // unwrap.STREAM_BYTES
    data = json.dumps({"echo": KEY, "streams": [f"{n} {stream}" for n in range(number)]}).encode()
    cleaned = load_json(redactor(KEY).clean(data))
    assert (cleaned["echo"], len(cleaned["streams"]), cleaned["streams"][-1]) == (MASK, number, f"{number - 1} {MASK}")


def test_nothing_very_long_is_masked():
    """Masking is slow: what is longer than any answer should be, and holds a key, is withheld at once."""
    data = b"x" * MASKED_BYTES
    assert redactor(KEY).examine(data + KEY.encode()).withheld == "a key: as it is"
    assert redactor(KEY).examine(data + b"x") == Cleaned(data + b"x")


@settings(deadline=None)
@given(key=KEYS, place=st.integers(200, 400), flipped=st.integers(1, 255))
def test_a_damaged_stream_is_read_up_to_its_damage(key, place, flipped):
    """A key that stands before the place where a gzip is torn or damaged is found."""
    torn = gzip.compress(f"{key} {random.Random(1).randbytes(400).hex()}".encode())[:place]
    damaged = torn + bytes([flipped]) * 50
    assert (redactor(key).finds(torn), redactor(key).finds(damaged)) == ("a key: gzip", "a key: gzip")


@settings(deadline=None)
@given(key=KEYS, data=st.binary(max_size=300))
def test_nothing_else_changes(key, data):
    """Without a key in it data stays as it is; and without a key at all nothing is ever touched."""
    cleaned = redactor(key).examine(data)
    assume(not cleaned.masked and cleaned.withheld is None)
    assert (cleaned.data, redactor().clean(data), redactor().text("x")) == (data, data, "x")


def image(kind, seed, size=64):
    file = io.BytesIO()
    Image.frombytes("RGB", (size, size), random.Random(seed).randbytes(size * size * 3)).save(file, kind)
    return file.getvalue()


@settings(max_examples=25, deadline=None)
@given(
    key=VARIED,
    kind=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF"]),
    seed=st.integers(0, 99),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
)
def test_healthy_answers_are_never_changed(key, kind, seed, text):
    """Images, JSON with images in base64, packed JSON and text of any language stay as they are, to the byte."""
    assume(not leaks(text.encode(), key))
    picture = image(kind, seed)
    body = json.dumps({"b64_json": base64.b64encode(picture).decode(), "prompt": text, "seed": seed, "ok": [None, 1.5]})
    healthy = [picture, body.encode(), gzip.compress(body.encode()), zlib.compress(picture), text.encode()]
    healthy += [base64.encodebytes(picture), text.encode("utf-16"), quote(body).encode()]
    assert [redactor(key).examine(data) for data in healthy] == [Cleaned(data) for data in healthy]


@settings(deadline=None)
@given(key=KEYS, data=st.binary(max_size=60))
def test_cleaning_is_done_once(key, data):
    """What is clean stays as it is."""
    once = redactor(key).clean(data + key.encode() + data)
    assert redactor(key).clean(once) == once


@settings(deadline=None)
@given(one=KEYS, other=KEYS, text=st.text(max_size=30))
def test_several_keys_are_masked_in_text(one, other, text):
    """Every key of a run is masked, in text as in bytes, also where one is a part of another."""
    cleaned = redactor(one, other, one + other).text(f"{text}{other}{one}{other}{text}")
    assert (one in cleaned, other in cleaned) == (False, False)


PLACED = st.recursive(
    st.none() | st.integers() | st.text(max_size=9) | st.just("KEY") | st.just('"KEY\\') | st.just("\\KEY\\\\"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


def placed(value, key):
    """The value with the key put in."""
    if isinstance(value, str):
        return value.replace("KEY", key)
    if isinstance(value, list):
        return [placed(item, key) for item in value]
    return {name: placed(item, key) for name, item in value.items()} if isinstance(value, dict) else value


def shape(value):
    """What is left of a value when no string is looked at."""
    if isinstance(value, list):
        return list(map(shape, value))
    if isinstance(value, dict):
        return [(name, shape(item)) for name, item in value.items()]
    return "text" if isinstance(value, str) else value


@settings(deadline=None)
@given(key=KEYS, value=st.lists(PLACED, max_size=4), indent=st.none() | st.just(2), ascii_only=st.booleans())
def test_json_stays_json(key, value, indent, ascii_only):
    """Whatever quotes and backslashes a key has or stands between, masked JSON is JSON of the same shape."""
    value = placed(value, key)
    data = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "backslashreplace")
    cleaned = redactor(key).examine(data)
    assume(cleaned.data == data or not redactor(key).finds(json.dumps(shape(value)).encode()))
    assert (leaks(cleaned.data, key), shape(json.loads(cleaned.data))) == ([], shape(value))


def test_json_is_masked_string_by_string_and_otherwise_left_as_it_is():
    """Spaces, numbers, escapes and letters of other strings stay to the byte; names and numbers are masked too."""
    key = 'a1"\\b2/c3'
    text = ' {"a" : 1.50, "é\\u00e9\\/": "x\\ud800", %s: [%s, "a1"], "狐%s": -0}\n'
    data = text % (json.dumps(key), json.dumps(f"\\/{key}\\\udfff"), json.dumps(key)[1:-1])
    expected = text % ('"***"', '"\\\\/***\\\\\\udfff"', "***")
    assert redactor(key).clean(data.encode()).decode() == expected
    assert redactor("12345678").clean(b'{"a":12345678,"b":-12345678.5e3,"c":"1234567"}') == (
        b'{"a":"***","b":"-***.5e3","c":"1234567"}'
    )


def test_a_mask_says_nothing_about_its_key():
    """The mask is the same for every key and every spelling: nothing can be restored from it."""
    key = "3f2a9c1b-1111-2222:0123456789abcdef"
    assert {redactor(key).clean(s(key).encode()) for s in SPELLINGS.values()} == {MASK.encode()}


SUSPICIOUS = [
    (b'{"Authorization": ["Key 0a1b2c3d4e"]}', "header authorization"),
    (b"Authorization:\n      - Bearer abcdefghij", "header authorization"),
    (b"authorization: Basic dXNlcjpwYXNz\r\n", "header authorization"),
    (b'{"x":"{\\"authorization\\": \\"Bearer abcdefgh\\"}"}', "header authorization"),
    (b'"X-API-Key":"0123456789abcdef"', "header x-api-key"),
    (b"x-goog-api-key: AIza0123456", "header x-goog-api-key"),
    (b'{"set-cookie": ["session=0a1b; Path=/"]}', "cookie in header set-cookie"),
    (b"Cookie: a=b", "cookie in header cookie"),
    (b"https://s3/x.png?X-Amz-Signature=0123456789abcdef", "query parameter x-amz-signature"),
    (b"https://h/x?a=1\\u0026sig=abcdefgh%3D", "query parameter sig"),
    (b"https://h/x?a=1&amp;token=abcdefgh", "query parameter token"),
    (b"redirect=https%3A%2F%2Fh%2F%3Ftoken%3Dabcdefgh", "query parameter token"),
    (b"https://h/?api_key=abcdefgh", "query parameter api_key"),
    (b"https://h/?UCloudPublicKey=TOKEN_123456&Signature=abcdefgh", "query parameter ucloudpublickey"),
    (f'"{KEY.lower()}"'.encode(), "a key of the shape uuid:hex32"),
    (b"use sk-proj-0123456789abcdefghij", "a key of the shape sk-…"),
    (b"AKIAIOSFODNN7EXAMPLE", "a key of the shape AKIA…"),
    (b"eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSM", "a JSON Web Token"),
    (b"-----BEGIN RSA PRIVATE KEY-----", "a private key"),
    (b"https://user:secret@h/", "a password in a URL"),
]


@pytest.mark.parametrize(("data", "name"), SUSPICIOUS)
def test_what_looks_like_a_credential_is_named(data, name):
    """A header, parameter or shape of a credential is named, and its value is not."""
    assert name in suspicious(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"authorization": ["Key ***"], "cookie": [], "x-api-key": "***", "set-cookie": "***"}',
        b"Authorization: Bearer ***\r\n",
        b"Authorization: Bearer <token>, Authorization: Key $FAL_KEY, Bearer {key}, Bearer YOUR_API_KEY",
        b'"securitySchemes": {"name": "Authorization", "in": "header", "authorization": {"type": "string"}}',
        b"The Authorization header is missing. authorization: required. No token: the cookie is not set",
        b"https://h/x.png?width=1024&seed=1234567890&token=***&X-Amz-Signature=***",
        b"https://h/files/sk-8-board.png https://h:8080/a@b mailto:a@b.c risk-0123456789abcdefghijklmn",
        b"task-01234567-0123-0123-0123-0123456789ab 01234567-0123-0123-0123-0123456789ab",
        b'{"input_tokens":12345678,"token":"x","key":"width"}',
    ],
)
def test_what_is_masked_or_only_talks_about_credentials_is_not_suspicious(data):
    """Masked values, placeholders, documents about headers and ordinary ids raise no alarm."""
    assert suspicious(data) == []


@settings(max_examples=10, deadline=None)
@given(kind=st.sampled_from(["PNG", "JPEG", "WEBP"]), seed=st.integers(0, 999))
def test_images_are_not_suspicious(kind, seed):
    """Neither an image nor its base64 looks like a credential."""
    picture = image(kind, seed, 200)
    assert (suspicious(picture), suspicious(b'{"b64_json":"' + base64.b64encode(picture) + b'"}')) == ([], [])


def test_a_key_in_base64_is_masked_and_its_neighbours_stay():
    """Of base64 only the characters that depend on the key are masked: the rest of a string can still be read."""
    masked = redactor(KEY).clean(base64_at(3, KEY) + b" " + base64_at(0, KEY[1:-1] + "?")[:8])
    assert (masked[:4], masked.count(MASK.encode())) == (base64.b64encode(b"abc"), 1)
