"""Whatever a file or an answer holds: a loader has a value or one sentence, a report is well-formed and inert.

``FUZZ_EXAMPLES`` says how many examples each test draws (``make fuzz``); few by default, so that every test run has some.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from harness import config
from harness.cassettes import Slot
from harness.errors import InputError, UsageError
from harness.history import FILE
from harness.metrics.phases import PHASES
from harness.model import Fact
from harness.report import document, html, junit, markdown, terminal
from harness.run import result_of
from harness.spec import parse, shipped_targets
from harness.strict import MAX_DEPTH, StrictError, load_json, load_yaml
from harness.targets import Request
from harness.transport.cassette import read as read_cassette
from tests.calls import FAL, simulated
from tests.report import runs
from tests.report.test_html import Page

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


def fuzz(share: float = 1.0) -> Any:
    """As many examples as were asked for, fewer where one takes long."""
    return settings(max_examples=max(5, round(EXAMPLES * share)), deadline=None, suppress_health_check=QUIET)


# --- loaders -----------------------------------------------------------------------------------------------------------

TOKENS = [
    "{", "}", "[", "]", ":", ",", '"', "\\", "\\u", "d800", "\\ud83d", "\\ude00", "null", "true", "NaN", "-Infinity", "1e999", "-0", "1.0", "9" * 30, "9" * 4400, "\n",
    "\r", "\t", " ", "  ", "- ", "? ", ": ", "# ", "&a ", "*a ", "&a", "*b", "!!str ", "!x ", "|\n", ">-\n", "'", "---\n", "...\n", "%YAML 1.1\n", "a", "b", "16:9", "on", "<<", "=",
    "\ufeff", "\u2028", "\x85", "\0", "é", "狐", "😀", "{}", "[]", '{"a":1}', '"a":', "[" * 70, "{" * 70, "- " * 70,
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(TOKENS), max_size=40).map("".join)
BYTES = st.binary(max_size=120) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def tried(load: Callable[[], Any], refusal: type[Exception]) -> tuple[Any, str]:
    """The value, and the sentence with which it was refused."""
    try:
        return load(), ""
    except refusal as error:
        return None, str(error)


@fuzz(5)
@given(BYTES)
def test_what_the_json_loader_takes_every_parser_reads_alike(data):
    """Python's own parser agrees on the value; it can be written again, is not deep, and holds no half pair."""
    value, said = tried(lambda: load_json(data), StrictError)
    assert ("\n" in said, len(said) < 300) == (False, True)
    if not said:
        assert json.loads(data) == value
        assert depth(value) <= MAX_DEPTH
        assert load_json(json.dumps(value, ensure_ascii=False).encode()) == value


@fuzz(5)
@given(BYTES)
def test_what_the_yaml_loader_takes_is_json(data):
    """A value of JSON's kinds, not deep, whose every line is known."""
    document, said = tried(lambda: load_yaml(data), StrictError)
    assert ("\n" in said, len(said) < 300) == (False, True)
    if not said:
        text = json.dumps(document.value, ensure_ascii=False, allow_nan=False)
        assert json.loads(text) == document.value
        assert depth(document.value) <= MAX_DEPTH
        assert all(line >= 1 for line in document.lines.values())


SPECS = {path: path.read_bytes() for path in shipped_targets().values()}
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 60), st.sampled_from([*TOKENS[:60], "$ref: '#/x'", "x-harness: {}", "type: array"])),
    min_size=1, max_size=3,
)  # fmt: skip


def edited(data: bytes, edits: list[tuple[float, int, str]]) -> bytes:
    """The bytes with some of them replaced."""
    for place, length, instead in edits:
        at = int(place * len(data))
        data = data[:at] + instead.encode() + data[at + length :]
    return data


@fuzz()
@given(st.sampled_from(sorted(SPECS)), EDITS)
def test_a_damaged_spec_is_a_spec_or_one_sentence(path, edits):
    """Whatever was cut out of a spec or written into it."""
    spec, said = tried(lambda: parse(edited(SPECS[path], edits), Path("x.yaml")), InputError)
    assert spec or re.fullmatch(r"x\.yaml:\d+: [^\n]+", said)


@fuzz(2)
@given(TEXTS | st.binary(max_size=60).map(lambda data: data.decode("latin-1")))
def test_any_configuration_is_read_or_one_sentence(tmp_path_factory, text):
    """TOML or not, known names or not."""
    place = tmp_path_factory.mktemp("config")
    (place / "harness.toml").write_text(text, "utf-8", errors="surrogatepass")
    found, said = tried(lambda: config.load(place), UsageError)
    assert found or ("harness.toml" in said and "\n" not in said)


ODD: list[Any] = [
    None,
    True,
    -1,
    10**40,
    0.5,
    "",
    "x",
    "\x1b[2J",
    "2026-01-01",
    [],
    {},
    [[]],
    {"a": 1},
    "NaN",
    "../../x",
    "sha256:x",
]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A small run in a directory: its rows, and its bodies."""
    run = simulated(Request("simulate", max_cases=2, rejects=False, max_cost=Decimal(1)), FAL)
    place = tmp_path_factory.mktemp("recorded")
    (place / "blobs").mkdir()
    for digest, data in run.journal.blobs.items():
        (place / "blobs" / digest).write_bytes(data)
    return place, run.journal.rows


def changed(data, value: Any) -> Any:
    """The value with one node of it replaced, wherever it is."""
    if isinstance(value, (dict, list)) and value and data.draw(st.integers(0, 5)):
        keys = sorted(value) if isinstance(value, dict) else range(len(value))
        key = data.draw(st.sampled_from(list(keys)))
        copy = dict(value) if isinstance(value, dict) else list(value)
        copy[key] = changed(data, copy[key])
        return copy
    return data.draw(st.sampled_from(ODD))


@fuzz()
@given(st.data())
def test_a_changed_history_is_judged_or_one_sentence(recorded, data):
    """One node of one row is another value: there is a report, or a sentence that names the file."""
    place, rows = recorded
    number = data.draw(st.integers(0, len(rows) - 1))
    lines = [json.dumps(changed(data, row) if n == number else row).encode() for n, row in enumerate(rows)]
    (place / FILE).write_bytes(b"\n".join(lines) + b"\n")
    found, said = tried(lambda: load_json(document.dump(result_of(place).document).encode()), InputError)
    assert found or (said and "\n" not in said)


@fuzz()
@given(EDITS)
def test_a_damaged_cassette_is_read_or_one_sentence(tmp_path_factory, edits):
    """Whatever was cut out of a cassette or written into it."""
    from harness import resources

    root = resources.shipped("cassettes")
    whole = (root / f"{FAL.target}.yaml").read_bytes()
    place = tmp_path_factory.mktemp("cassettes")
    slot = Slot(place, FAL.target)
    slot.cassette.parent.mkdir()
    slot.cassette.write_bytes(edited(whole[: whole.index(b"\n", 20_000)] + b"]}\n", edits))
    cassette, said = tried(lambda: read_cassette(slot.cassette, root / "blobs"), InputError)
    assert cassette or (str(slot.cassette) in said and "\n" not in said)
    shutil.rmtree(place)


# --- reports -----------------------------------------------------------------------------------------------------------

HOSTILE = [
    "<script>", "</script>", "<img src=x onerror=alert(1)>", "javascript:alert(1)", "]]>", "&amp;", "{{ 7*7 }}", "{% raw %}", "$\\frac{", "\x1b[2J", "\x1b]0;x\x07", "\r", "\n", "::error::x",
    "##[error]x", "##vso[x]", "\u202e", "\u2066", "\ufeff", "\x00", "\ud800", "\uffff", "`", "``", "|", "[[ATTACHMENT|x]]", "=cmd|' /C'!A0", "@everyone", "://x", "😀", "狐", "x" * 3000, " ", "'", '"', "--data-raw", "$(id)", "%s",
]  # fmt: skip
SAID = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=6), min_size=1, max_size=8).map("".join)
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def saying(texts: list[str]) -> Any:
    """A run in which a provider, a document and a file said these."""
    one = (texts * 7)[:7]
    of = runs.spec("fal/flux-pro-kontext-multi")
    loud = runs.finding("error_shape", runs.FAIL, one[0], one[1], one[2], one[3], Fact(one[4], one[5], one[6]))
    quiet = runs.finding("limits", runs.WARN, one[3], one[2], one[1], one[0])
    unknown = runs.finding("job_completes", runs.UNKNOWN, one[4])
    rows = [
        runs.accepted(of, 1, {"prompt": "ascii"}, loud, checks=("error_shape",)),
        runs.refused(of, one[5], one[6], quiet, unknown),
    ]
    result = runs.target_result(
        of, of.default_flow, rows, {}, dict.fromkeys(PHASES, one[2]), {"prompt": {"ascii": "x"}}, one[1]
    )
    for found in result.summary["findings"]:
        found |= {"request": one[5]}
    audit = {"valid": False, "reasons": [one[6]], "loop_lag_p99_s": None, "start_lag_p99_s": None, "cpu_share": None}
    return runs.run(result, command=one[0], audit=audit)


TAGS = {name for name, _ in Page(html.render(saying(["x"]))).elements}


@fuzz()
@given(st.lists(SAID, min_size=1, max_size=7))
def test_whatever_is_said_the_page_is_ours(texts):
    """The elements are those of a harmless run; no attribute runs anything; every link is inner or a document's."""
    source = html.render(saying(texts))
    page = Page(source)
    assert {name for name, _ in page.elements} <= TAGS
    for name, attributes in page.elements:
        assert not any(one.startswith("on") or one in ("style", "src", "action", "formaction") for one in attributes)
        assert name == "link" or re.match(r"#|https://", attributes.get("href", "#"))
    assert CONTROLS.search(source) is None


@fuzz()
@given(st.lists(SAID, min_size=1, max_size=7))
def test_whatever_is_said_the_texts_are_inert(texts):
    """JUnit XML parses, Markdown and terminal hold no control; no line is a command of a CI system."""
    result = saying(texts)
    suite = ET.fromstring(junit.render(result))
    assert [len(list(suite.iter(name))) for name in ("testsuite", "testcase")] == [1, 2]
    out = io.StringIO()
    terminal.summary(result, Console(file=out), Path("report.html"))
    assert re.fullmatch(r"[\n\x20-\x7e]*", out.getvalue())
    for text in (junit.render(result), markdown.render(result), out.getvalue()):
        assert CONTROLS.search(text) is None
        for line in text.splitlines():
            assert not line.lstrip().startswith("::")
            assert "##[" not in line
            assert "##vso[" not in line


def test_the_fuzzers_reach_what_they_test():
    """Each loader takes some of what the tokens make; configuration is TOML that Python reads."""
    assert load_yaml(b"- &a 16:9\n- *a\n").value == ["16:9", "16:9"]
    assert tomllib.loads("max_cost = 1") == {"max_cost": 1}
