"""The strict loaders refuse what two parsers may read differently, and change nothing of the rest."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import strict
from harness.strict import StrictError, common_scalar, escape, load_json, load_yaml, resolve, unescape

JSON_REFUSED = {
    "duplicate key": (b'{"a": 1, "a": 2}', "stands twice"),
    "duplicate key below": (b'[{"b": {"a": 1, "a": 1}}]', "stands twice"),
    "NaN": (b"[NaN]", "NaN"),
    "Infinity": (b"Infinity", "Infinity"),
    "minus Infinity": (b"-Infinity", "-Infinity"),
    "overflowing number": (b"1e400", "too large"),
    "overflowing negative number": (b"[-1e999]", "too large"),
    "4301 digits": (b"1" * 4301, "not JSON"),
    "not UTF-8": (b'"\xff"', "byte 1 is not UTF-8"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    "byte order mark": (b"\xef\xbb\xbf{}", "not JSON"),
    "half a surrogate pair": (rb'"\ud800"', "surrogate"),
    "half a pair as a key": (rb'{"\udc00": 1}', "surrogate"),
    "encoded surrogate": (b'"\xed\xa0\x80"', "not UTF-8"),
    "nothing": (b"", "not JSON"),
    "two values": (b"1 2", "not JSON"),
    "truncated": (b'{"a": [1, ', "not JSON"),
    "trailing comma": (b"[1,]", "not JSON"),
    "single quotes": (b"{'a': 1}", "not JSON"),
    "comment": (b"1 // one", "not JSON"),
    "leading zero": (b"[01]", "not JSON"),
    "control character": (b'"\x01"', "not JSON"),
    "65 levels": (b"[" * 65 + b"]" * 65, "deeper than 64"),
    "100 000 levels": (b"[" * 100_000, "deeper than 64|not JSON"),
    "100 000 objects": (b'{"a":' * 100_000, "deeper than 64|not JSON"),
}

YAML_REFUSED = {
    "duplicate key": (b"a: 1\nb: 2\na: 3\n", "'a' stands twice", 3),
    "duplicate key after escapes": (b'"a": 1\n"\\x61": 2\n', "stands twice", 2),
    "key that is a number": (b"1: one\n", "not a string", 1),
    "key that is null": (b"a: 1\n~: 2\n", "not a string", 2),
    "key that is a list": (b"? [a]\n: 1\n", "not a string", 1),
    "key that is an alias": (b"- &a k\n- {*a : 1}\n", "not a string", 2),
    "second document": (b"a: 1\n---\nb: 2\n", "second document", 2),
    "tag": (b"a: !!python/name:os.system\n", "tag", 1),
    "tag of an own kind": (b"a: !include x\n", "tag", 1),
    "tagged mapping": (b"a: !!set {b}\n", "tag", 1),
    "infinity": (b"a: .inf\n", "no JSON equivalent", 1),
    "not a number": (b"a:\n- .NaN\n", "no JSON equivalent", 2),
    "overflowing number": (b"a: 1e400\n", "too large", 1),
    "4301 digits": (b"a: " + b"1" * 4301, "4300 digits", 1),
    "unknown alias": (b"a: *b\n", "no finished anchor", 1),
    "alias of an open anchor": (b"a: &a\n  b: *a\n", "no finished anchor", 2),
    "alias bomb": (
        b"a0: &a0 [1, 1]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 9)),
        "aliases counted in full",
        6,
    ),
    "200 000 open brackets": (b"[" * 200_000, "deeper than 64", 1),
    "65 levels": (b"[" * 65 + b"]" * 65, "deeper than 64", 1),
    "tabs": (b"a:\n\t- 1\n", "not YAML", 2),
    "open quote": (b'a: "b\n', "not YAML", 2),
    "not UTF-8": (b"a: \xff\n", "not UTF-8", None),
    "control character": (b"a: \x01\n", "not YAML", None),
}


@pytest.mark.parametrize("name", JSON_REFUSED)
def test_json_is_refused(name):
    """Each text that is not interoperable JSON is refused in one sentence."""
    text, message = JSON_REFUSED[name]
    with pytest.raises(StrictError, match=message):
        load_json(text)


@pytest.mark.parametrize("name", YAML_REFUSED)
def test_yaml_is_refused(name):
    """Each text that is not strict YAML is refused in one sentence, with its line where there is one."""
    text, message, line = YAML_REFUSED[name]
    with pytest.raises(StrictError, match=message) as caught:
        load_yaml(text)
    assert caught.value.line == line


@pytest.mark.parametrize(("load", "limit"), [(load_json, "MAX_JSON_BYTES"), (load_yaml, "MAX_YAML_BYTES")])
def test_size_is_bounded(load, limit, monkeypatch):
    """A text over the limit of bytes is refused before it is read."""
    monkeypatch.setattr(strict, limit, 8)
    assert load(b"[1, 2]") is not None
    with pytest.raises(StrictError, match="over the limit of 8"):
        load(b"[1, 2, 3]")


def test_yaml_nodes_are_bounded(monkeypatch):
    """Nodes are counted, keys and aliases too."""
    monkeypatch.setattr(strict, "MAX_NODES", 6)
    assert load_yaml(b"[1, 2, 3, 4, 5]").value == [1, 2, 3, 4, 5]
    with pytest.raises(StrictError, match="more than 6 nodes"):
        load_yaml(b"[1, 2, 3, 4, 5, 6]")


@pytest.mark.parametrize("number", [2**53 + 1, 2**64 + 1, -(2**63) - 1, 10**4299])
def test_integers_are_exact(number):
    """An integer beyond a float's precision comes back digit for digit, from either format."""
    assert [load_json(str(number).encode()), load_yaml(f"n: {number}".encode()).value["n"]] == [number, number]


SCALARS = {
    "16:9": "16:9",
    "1:1": "1:1",
    "on": "on",
    "off": "off",
    "yes": "yes",
    "No": "No",
    "n": "n",
    "1_000": "1_000",
    "2026-11-20": "2026-11-20",
    "2026-11-20 01:02:03": "2026-11-20 01:02:03",
    "0o17": 15,
    "0x1F": 31,
    "017": 17,
    "+3": 3,
    "-0": 0,
    "1e3": 1000.0,
    "1.": 1.0,
    ".5": 0.5,
    "1.5e-3": 0.0015,
    "true": True,
    "FALSE": False,
    "null": None,
    "~": None,
    "": None,
    "<<": "<<",
    "=": "=",
    "nan": "nan",
}


@pytest.mark.parametrize("text", SCALARS)
def test_plain_scalars_are_yaml_1_2(text):
    """Plain scalars follow the core schema of YAML 1.2, of the same type as well."""
    value = load_yaml(f"a: {text}\n".encode()).value["a"]
    assert (value, type(value)) == (SCALARS[text], type(SCALARS[text]))


@pytest.mark.parametrize("text", ["16:9", "1:30:00", "on", "Off", "YES", "no", "y", "N", "1_000", "017"])
def test_what_yaml_1_1_reads_otherwise_is_noted(text):
    """A plain scalar that another reader changes is noted with its place; the same in quotes is not."""
    document = load_yaml(f"a:\n- {text}\n- '{text}'\n- \"{text}\"\n".encode())
    assert document.ambiguous == {"/a/0": 2}


@pytest.mark.parametrize("text", ["16-9", "one", "1", "1.5", "0", "true", "null", "a:b", "https://x.example:80/"])
def test_what_every_reader_reads_alike_is_not_noted(text):
    """A plain scalar that is the same in YAML 1.1 and 1.2 is not noted."""
    assert load_yaml(f"a: {text}\n".encode()).ambiguous == {}


@pytest.mark.parametrize(
    "text", ["16:9", "on", "1_000", "017", "0x1F", "0o17", "12345e67", "1.5", ".inf", "+1", "<<", "="]
)
def test_what_the_versions_of_yaml_read_differently_can_be_text(text):
    """Read for what both versions agree on, a plain scalar is the text that a dumper of either version wrote so."""
    assert load_yaml(f"a: {text}".encode(), plain=common_scalar).value == {"a": text}


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("-17", -17), ("10", 10), ("true", True), ("~", None), ("", None)]
)
def test_what_the_versions_of_yaml_agree_on_is_read(text, value):
    """Decimal integers, truth values and null are what they are in both versions."""
    assert load_yaml(f"a: {text}".encode(), plain=common_scalar).value == {"a": value}


def test_quotes_and_blocks_make_strings():
    """What stands in quotes or in a block is a string, whatever it looks like."""
    text = b"a: '1'\nb: \"true\"\nc: |\n  2\nd: >-\n  null\ne: !!str 3\n"
    assert load_yaml(text).value == {"a": "1", "b": "true", "c": "2\n", "d": "null", "e": "3"}


def test_aliases_repeat_values():
    """An alias stands for the value of its anchor, in place."""
    assert load_yaml(b"a: &x {b: [1]}\nc: *x\nd: &y 2\ne: *y\n").value == {
        "a": {"b": [1]},
        "c": {"b": [1]},
        "d": 2,
        "e": 2,
    }


def test_lines_are_known_by_pointer():
    """Each node's line is found by its JSON Pointer; a place without one takes its nearest ancestor's."""
    document = load_yaml(b"a:\n  b/c:\n    - 1\n    - ~d: 2\nx: &x\n  y: 1\nz: *x\n")
    pointers = ("", "/a", "/a/b~1c/0", "/a/b~1c/1/~0d", "/a/nothing/below", "/z", "/z/y")
    assert [document.line(pointer) for pointer in pointers] == [1, 1, 3, 4, 1, 7, 7]


def test_pointers_lead_to_values():
    """A JSON Pointer of RFC 6901 leads to the value, and to an error where there is none."""
    value = {"a/b": [{"m~n": 1}], "": 2}
    assert [resolve(value, ""), resolve(value, "/a~1b/0/m~0n"), resolve(value, "/")] == [value, 1, 2]
    for pointer in ("/x", "/a~1b/1", "/a~1b/-1", "/a~1b/00", "/a~1b/x", "/a~1b/0/m~0n/deeper"):
        with pytest.raises(LookupError):
            resolve(value, pointer)


@given(st.text())
def test_escaping_is_reversible(name):
    """A name survives its way through a reference token."""
    assert (unescape(escape(name)), "/" in escape(name)) == (name, False)


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)


def values(text, names=None):
    """JSON values whose strings, and names of members, are of some strategy."""
    names = text if names is None else names
    return st.recursive(
        st.none() | st.booleans() | NUMBERS | text,
        lambda below: st.lists(below, max_size=4) | st.dictionaries(names, below, max_size=4),
        max_leaves=20,
    )


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
BASIC = st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF))
# YAML 1.2 allows an implicit key 1024 characters, escapes (six for each of these) included.
KEYS = st.text(st.characters(exclude_categories=["Cs"], max_codepoint=0xFFFF), max_size=160)


def same(one, other):
    """Equality that tells 1 from 1.0 and True."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(values(TEXT), st.booleans())
def test_any_json_value_survives_json(value, ascii_only):
    """What ``json.dumps`` writes, ``load_json`` reads back equal."""
    assert same(load_json(json.dumps(value, ensure_ascii=ascii_only).encode()), value)


@given(values(BASIC, KEYS))
def test_any_json_value_survives_yaml(value):
    """JSON is YAML: what ``json.dumps`` writes, ``load_yaml`` reads back equal, save for surrogate pairs."""
    assert same(load_yaml(json.dumps(value).encode()).value, value)


@given(st.text(st.characters(min_codepoint=0x10000)))
def test_characters_beyond_the_basic_plane_stand_for_themselves_in_yaml(text):
    """YAML has no escape for half a pair: such characters are written as they are."""
    assert load_yaml(json.dumps([text], ensure_ascii=False).encode()).value == [text]


@pytest.mark.parametrize("load", [load_json, load_yaml])
@given(data=st.binary(max_size=200))
def test_any_bytes_load_or_are_refused(load, data):
    """No bytes bring down a loader: there is a value, or a sentence of one line."""
    said = ""
    try:
        load(data)
    except StrictError as error:
        said = str(error)
    assert "\n" not in said
