"""Our cassettes are vcrpy's: the library itself, and pytest-recording over it, give the answers that we give.

What plain vcrpy cannot know is documented: a stored body is the placeholder that names it, a transport failure is an
answer of status 599. Everything else (status, headers, bytes, order) has to be the same, matched by method, URI and body.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
import vcr
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness import run
from harness.cassettes import slots_under
from harness.config import Config
from harness.history import rows
from harness.model import Exchange, Failure, Reply, Response
from harness.model import Request as Ask
from harness.spec import find
from harness.targets import Request
from harness.transport.cassette import BLOB, BLOB_BYTES, BLOBS, ERROR_STATUS, Cassette, Interaction, Tape, read, write

ROOT = Path(__file__).parents[2]
COMMITTED = sorted((ROOT / "cassettes").glob("*/*.yaml"))
MATCH_ON = ("method", "uri", "body")
PLAN = "4512e0934" + "1" * 55
"""A hash that a reader of YAML 1.2 takes for a number when it stands bare."""
MOST_AT_ONCE = 60
"""Interactions that vcrpy is given at a time."""

TEXTS = (
    "12345e67", "0x1F", "16:9", "1_000", "~", "yes", "null", "1.5", "", " ", "2026-11-25", "<<", "=", "🦊", "a\u2028b\u2029c",
    "a\u0085b", "a\u007fb", "\ufeffb", "a\tb\r\nc\x00\x1b", "[1, 2", "- a: b", "caf\u00e9", "x" * (BLOB_BYTES - 1), "!!int 1", "&a",
)  # fmt: skip
PLAIN = TEXTS.index("")
"""How many of them can stand in a header."""
BODIES = (b"x" * BLOB_BYTES, b"\xff\xfe", f"{BLOB}{'0' * 64}".encode(), b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
FAILURES = (
    Failure("reset", "Connection reset by peer", left=True),
    Failure("timeout", "no complete answer within 0.5 s", left=True, partial=b"half of an ans"),
    Failure("reset", "cut", left=True, partial=b"\xff" * 10),
    Failure("refused", "nobody there", left=False),
)
URLS = ("https://api.test/files/a b?q=é|x", "https://api.test/files/%2F..%2F?x=1#part", "https://api.test")


def odd_exchanges() -> list[Exchange]:
    """Answers and failures of every kind that a recording can hold, two to one question among them."""
    replies: list[Reply] = [Response(200, {"content-type": "text/plain"}, text.encode()) for text in TEXTS]
    replies += [Response(200, {"x-request-id": text}, b"{}") for text in TEXTS[:PLAIN]]
    replies += [Response(status, {}, body) for status, body in zip((200, 404, 503, 429), BODIES, strict=True)]
    replies += FAILURES
    asked: list[tuple[str, bytes | None]] = [("https://api.test/jobs", b'{"prompt": "p", "seed": 1}')] * len(replies)
    asked += [(url, None) for url in URLS] + [("https://api.test/jobs", text.encode()) for text in TEXTS[:8]]
    asked.append(("https://api.test/jobs", b'{"image": "%b"}' % (b"A" * BLOB_BYTES)))
    replies += [Response(200, {"content-type": "application/json"}, b"{}")] * (len(asked) - len(replies))
    return [
        Exchange(
            call=f"c{number:06d}",
            case_id="provider/endpoint/case",
            step="submit",
            attempt=1 + number % 2,
            method="GET" if body is None else "POST",
            url=url,
            request_headers={"content-type": "application/json"} if body else {},
            request_body=body,
            reply=reply,
            intended_ns=1_000 * number,
            sent_ns=1_000 * number + 1,
            first_byte_ns=None if number % 3 else 1_000 * number + 2,
            received_ns=1_000 * number + 3,
        )
        for number, ((url, body), reply) in enumerate(zip(asked, replies, strict=True))
    ]


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A cassette of odd answers, its stored bodies beside it."""
    root = tmp_path_factory.mktemp("odd")
    text, bodies = write(odd_exchanges(), 0, PLAN)
    (root / BLOBS).mkdir()
    for digest, body in bodies.items():
        (root / BLOBS / digest).write_bytes(body)
    (root / "provider").mkdir()
    path = root / "provider" / "endpoint.yaml"
    path.write_bytes(text)
    return path


@pytest.fixture(params=[*(str(path.relative_to(ROOT / "cassettes")) for path in COMMITTED), "odd"])
def path(request):
    """Each committed cassette, and the odd one."""
    return request.getfixturevalue("odd") if request.param == "odd" else ROOT / "cassettes" / request.param


@dataclass(frozen=True)
class Answer:
    """A question and what it is answered, as a program sees it."""

    method: str
    uri: str
    headers: Mapping[str, str]
    body: str
    status: int
    answered: Mapping[str, str]
    text: str


def ours(path: Path) -> list[Answer]:
    """Every answer of a cassette in send order, as our tape gives it; a stored body as the placeholder for it."""
    cassette = read(path, path.parents[1] / BLOBS)
    tape = Tape(cassette)
    return [played(tape, one) for one in cassette.interactions]


def played(tape: Tape, recorded: Interaction) -> Answer:
    asked = recorded.request
    body = tape.cassette.body(asked.body)
    question = Ask(recorded.own["step"], asked.method, asked.uri, body)
    one = tape.play(recorded.own["call"], recorded.own["case_id"], question)
    reply = tape.cassette.reply(one)
    status, headers = (ERROR_STATUS, {}) if isinstance(reply, Failure) else (reply.status, reply.headers)
    whole = reply.partial if isinstance(reply, Failure) else reply.body
    said = one.received if one.received.startswith(BLOB.encode()) else whole
    return Answer(
        asked.method, asked.uri, dict(asked.headers), asked.body.decode(), status, dict(headers), said.decode()
    )


def ask(client: httpx.Client, answer: Answer) -> tuple[int, dict[str, str], str]:
    """Ask a question, and what came back."""
    sent = {name: value for name, value in answer.headers.items() if name != "host"}
    got = client.request(answer.method, answer.uri, content=answer.body.encode(), headers=sent)
    return got.status_code, dict(got.headers), got.content.decode()


def parts(path: Path, root: Path) -> list[tuple[Path, list[Answer]]]:
    """A cassette as it stands, or a long one in parts, each with its answers: vcrpy's time grows with the square."""
    expected = ours(path)
    if len(expected) <= MOST_AT_ONCE:
        return [(path, expected)]
    head, *lines, foot = path.read_text().splitlines()
    made = []
    for start in range(0, len(lines), MOST_AT_ONCE):
        part = root / f"{path.parent.name}-{path.stem}-{start}.yaml"
        some = [line.removesuffix(",") for line in lines[start : start + MOST_AT_ONCE]]
        part.write_text("\n".join((head, ",\n".join(some), foot)))
        made.append((part, expected[start : start + MOST_AT_ONCE]))
    return made


def test_plain_vcrpy_gives_the_same_answers(path, tmp_path):
    """Every interaction, asked in send order, is answered by plain vcrpy as our tape answers it."""
    for part, expected in parts(path, tmp_path):
        assert expected
        with vcr.use_cassette(str(part), record_mode="none", match_on=MATCH_ON) as plain, httpx.Client() as client:
            for answer in expected:
                assert (answer.status, answer.answered, answer.text) == ask(client, answer)
            assert (plain.all_played, plain.dirty) == (True, False)


HEADER_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=12)
HEADERS = st.dictionaries(st.sampled_from(["content-type", "x-request-id", "server"]), HEADER_VALUES)
REPLIES = st.one_of(
    st.builds(Response, st.integers(100, 599), HEADERS, st.one_of(st.binary(max_size=40), st.text().map(str.encode))),
    st.builds(
        Failure, st.sampled_from(["reset", "timeout"]), st.text(max_size=20), st.booleans(), st.binary(max_size=20)
    ),
)


@given(st.lists(REPLIES, min_size=1, max_size=5), st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_any_answer_is_read_alike_by_every_reader(replies, texts):
    """What was written is what is read: by us, and by PyYAML in C and in Python, as vcrpy may have either."""
    made = [replace(odd_exchanges()[0], reply=r, request_body=t.encode()) for r, t in zip(replies, cycle(texts))]
    with tempfile.TemporaryDirectory() as directory:
        path, blobs = Path(directory) / "x.yaml", Path(directory) / BLOBS
        text, bodies = write(made, 0, PLAN)
        path.write_bytes(text)
        blobs.mkdir()
        for digest, body in bodies.items():
            (blobs / digest).write_bytes(body)
        cassette = read(path, blobs)
        assert [one.reply for one in made] == [cassette.reply(one) for one in cassette.interactions]
        assert [one.request_body for one in made] == [cassette.body(one.request.body) for one in cassette.interactions]
    value = json.loads(text)
    assert value == yaml.load(text, yaml.SafeLoader)
    assert value == yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


RECORDING = """
import json
from pathlib import Path

import httpx
import pytest

EXPECTED = json.loads(Path(__file__).with_name("expected.json").read_text())


@pytest.fixture
def vcr_config():
    return {"match_on": ["method", "uri", "body"]}


@pytest.mark.vcr
@pytest.mark.block_network
@pytest.mark.parametrize("path", [pytest.param(path, marks=pytest.mark.default_cassette(path)) for path in EXPECTED])
def test_the_same_answers(path, vcr):
    with httpx.Client() as client:
        for answer in EXPECTED[path]:
            sent = {name: value for name, value in answer["headers"].items() if name != "host"}
            got = client.request(answer["method"], answer["uri"], content=answer["body"].encode(), headers=sent)
            assert answer["status"] == got.status_code
            assert answer["answered"] == dict(got.headers)
            assert answer["text"] == got.content.decode()
    assert vcr.all_played
"""


@pytest.mark.skipif(importlib.util.find_spec("pytest_recording") is None, reason="pytest-recording is not installed")
def test_pytest_recording_gives_the_same_answers(odd, tmp_path):
    """A test marked for pytest-recording, with the network blocked, is answered as our tape answers."""
    whole = [part for path in (COMMITTED[-1], odd) for part in parts(path, tmp_path)]
    expected = {str(path): [vars(answer) for answer in answers] for path, answers in whole}
    (tmp_path / "expected.json").write_text(json.dumps(expected))
    (tmp_path / "test_recorded.py").write_text(RECORDING)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "pytest_recording.plugin", "-W", "error", str(tmp_path)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert f"{len(expected)} passed" in done.stdout


# --- saved again by vcrpy --------------------------------------------------------------------------------------------


def saved_again(path: Path, root: Path) -> Path:
    """A copy of a cassette, its plan and bodies, after plain vcrpy has loaded and saved it."""
    shutil.copytree(path.parents[1], root)
    copy = root / path.relative_to(path.parents[1])
    with vcr.use_cassette(str(copy), record_mode="none", match_on=MATCH_ON) as plain:
        plain.dirty = True
    assert copy.read_text().startswith("interactions:\n- request:\n")
    return copy


def told(cassette: Cassette) -> list[Any]:
    """Everything that a cassette holds, as values that compare."""
    return [
        (one.request.method, one.request.uri, one.request.body, dict(one.request.headers), one.response)
        for one in cassette.interactions
    ]


def test_a_cassette_saved_again_by_vcrpy_is_the_same(path, tmp_path):
    """Plain vcrpy writes another text, YAML of version 1.1; questions, answers, timing and errors read as before."""
    again = saved_again(path, tmp_path / "cassettes")
    blobs = path.parents[1] / BLOBS
    assert told(read(path, blobs)) == told(read(again, blobs))


SLOTS = [
    pytest.param(
        slot, id=slot.name, marks=[] if slot.name.startswith(("fal/", "umodelverse/")) else [pytest.mark.exhaustive]
    )
    for slot in slots_under(ROOT / "cassettes")
]


@pytest.mark.parametrize("slot", SLOTS)
def test_a_recording_saved_again_by_vcrpy_replays_the_same(slot, tmp_path):
    """The replay of a cassette that plain vcrpy has saved is the replay of the committed one, instant by instant."""
    saved_again(slot.cassette, tmp_path / "cassettes")
    found = []
    for name, root in (("committed", slot.root), ("again", tmp_path / "cassettes")):
        request = Request("replay", cassettes=root, out=tmp_path / name)
        run.check(find((slot.name,)), request, Config(), {})
        report = json.loads((tmp_path / name / "report.json").read_text())
        for member in ("id", "started_at", "finished_at"):
            del report["run"][member]
        found.append((json.dumps(report), list(rows(tmp_path / name))[1:-1]))
    assert found[0] == found[1]
