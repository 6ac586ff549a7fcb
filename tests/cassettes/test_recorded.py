"""What was recorded over HTTP is replayed: the same report, the same bytes, the same instants.

A peer on loopback plays a provider; ``run.check`` records it and replays the recording twice. ``replayed`` is the proof
that every test here asks for: the replay's report.json and calls are the recording's, but for the members that
interface.md exempts; every instant, counted from the start, is equal to the nanosecond; two replays are the same bytes.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import socket
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image

from harness import run
from harness.config import Config
from harness.history import FILE
from harness.model import Call, Exchange, Failure, Response
from harness.simulator import Settings, spawned
from harness.spec import find
from harness.targets import SIMULATED_KEY, Request
from harness.transport.cassette import BLOB
from tests.fakes import FAL, KEY, UMODELVERSE, Answerer, Asked, answer, scripted, serving, spec

JSON = "content-type: application/json"
OF_A_REPLAY = ("id", "started_at", "finished_at", "command")
OF_A_MODE = (*OF_A_REPLAY, "mode")


# --- providers -------------------------------------------------------------------------------------------------------


@cache
def picture(number: int) -> bytes:
    """A small PNG, another one for each number."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (number % 256, 40, 90)).save(file, "PNG")
    return file.getvalue()


def says(value: Any, status: str = "200 OK", *headers: str) -> bytes:
    """An answer in JSON."""
    return answer(json.dumps(value).encode(), status=status, headers=[JSON, *headers])


class Queue:
    """fal's queue: each poll shows a job's next state, its one picture is ``/files/<number>.png``."""

    def __init__(
        self, ids: Sequence[str] = (), states: Sequence[str] = ("IN_QUEUE", "IN_PROGRESS", "COMPLETED")
    ) -> None:
        self.ids, self.states = ids, states
        self.jobs: dict[str, int] = {}
        self.polls: dict[str, int] = {}
        self._numbers = count(1)

    async def __call__(self, asked: Asked) -> bytes:
        if asked.method == "POST":
            return self.accept()
        if asked.path.startswith("/files/"):
            number = int(asked.path.removeprefix("/files/").partition(".")[0])
            return answer(picture(number), headers=["content-type: image/png"])
        job, _, step = asked.path.partition("/requests/")[2].partition("/")
        job = unquote(job)
        if job not in self.jobs:
            return says({"detail": "no such job"}, "404 Not Found")
        if step == "status":
            poll = self.polls[job] = self.polls.get(job, 0) + 1
            return says({"status": self.states[min(poll, len(self.states)) - 1], "request_id": job})
        return says({"images": [self.image(asked, job)], "prompt": job, "seed": self.jobs[job]})

    def accept(self) -> bytes:
        number = next(self._numbers)
        job = self.ids[number - 1] if number <= len(self.ids) else f"job-{number}"
        self.jobs[job] = number
        return says({"request_id": job, "status": "IN_QUEUE"})

    def image(self, asked: Asked, job: str) -> Mapping[str, Any]:
        url = f"{asked.home}/files/{self.jobs[job]}.png"
        return {"url": url, "content_type": "image/png", "width": 8, "height": 8}


# --- recordings ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """What a run directory tells: the report, and the calls with their instants counted from the start."""

    report: Mapping[str, Any]
    calls: Sequence[Call]

    def without(self, *members: str) -> str:
        """The report's text without some members of ``run``."""
        run_ = {name: value for name, value in self.report["run"].items() if name not in members}
        return json.dumps({**self.report, "run": run_}, indent=1)

    def call(self, case: str) -> Call:
        """The call of the case whose id ends so."""
        (found,) = [call for call in self.calls if call.case.id.endswith(case) and call.derived is None]
        return found


def told(directory: Path) -> Told:
    history, _ = run.recorded(directory)
    start = history.header["anchor_ns"]

    def counted(one: Exchange) -> Exchange:
        first = None if one.first_byte_ns is None else one.first_byte_ns - start
        return replace(
            one,
            intended_ns=one.intended_ns - start,
            sent_ns=one.sent_ns - start,
            first_byte_ns=first,
            received_ns=one.received_ns - start,
        )

    calls = [replace(call, exchanges=tuple(map(counted, call.exchanges))) for call in history.calls]
    return Told(json.loads((directory / "report.json").read_text()), calls)


@pytest.fixture(autouse=True)
def without_pages(monkeypatch):
    """Runs without a report.html: drawing it takes longer than all that these tests are about."""
    monkeypatch.setattr("harness.report.html.render", lambda _: "")


async def recording_of(place: Path, target: str, url: str, **asked: Any) -> None:
    """Record a target at a base URL."""
    contract = spec(target)
    request = Request(
        "record",
        base_urls={(contract.provider, None): url},
        max_cost=Decimal(100),
        out=place / "recording",
        cassettes=place / "cassettes",
        **({"rejects": False, "poll_interval": 0.02} | asked),
    )
    await asyncio.to_thread(run.check, [contract], request, Config(), {contract.credential.env: KEY})


def record(place: Path, script: Answerer, target: str = FAL, **asked: Any) -> Told:
    """Record a target whose provider follows a script; the cassettes are in ``cassettes``."""

    async def main() -> None:
        async with serving(scripted(script)) as peer:
            await recording_of(place, target, peer.url, **asked)

    asyncio.run(main())
    assert (place / "cassettes" / f"{target}.yaml").is_file()
    return told(place / "recording")


def replay(place: Path, name: str, target: str = FAL) -> Told:
    """Replay the recording into a run directory of its own."""
    request = Request("replay", cassettes=place / "cassettes", out=place / name, command=("harness", name))
    run.check([spec(target)], request, Config(), {})
    return told(place / name)


def replayed(place: Path, recording: Told, target: str = FAL) -> Told:
    """The replay of a recording, proved to be one."""
    one, two = (replay(place, name, target) for name in ("first", "second"))
    assert recording.without(*OF_A_MODE) == one.without(*OF_A_MODE)
    assert recording.calls == one.calls
    assert one.without(*OF_A_REPLAY) == two.without(*OF_A_REPLAY)
    assert rows(place / "first") == rows(place / "second")
    assert one.report["run"]["recorded_at"] == recording.report["run"]["started_at"]
    return one


def rows(directory: Path) -> list[bytes]:
    """The history's lines between its header and its footer."""
    return (directory / FILE).read_bytes().splitlines()[1:-1]


def answered(one: Exchange) -> Response:
    """The answer of an exchange that has one."""
    assert isinstance(one.reply, Response), one.reply
    return one.reply


# --- order -----------------------------------------------------------------------------------------------------------


def test_concurrent_identical_submits_keep_their_own_answers(tmp_path):
    """Two identical submits in flight at once, answered in the opposite order, each keep their job and its picture."""
    queue, second = Queue(), asyncio.Event()

    async def script(asked: Asked) -> bytes | None:
        if asked.method == "POST":
            said = queue.accept()
            await (second.wait() if asked.number == 1 else asyncio.sleep(0.02))
            second.set()
            return said
        return await queue(asked)

    cases = ("*/repeat/seed", "*/repeat/seed-again")
    recording = record(tmp_path, script, cases=cases, repeats=True)
    calls = replayed(tmp_path, recording).calls
    one, two = (call.of("submit")[0] for call in calls)
    assert (one.request_body, one.sent_ns < two.sent_ns < two.received_ns < one.received_ns) == (
        two.request_body,
        True,
    )
    for call in calls:
        assert [answered(asset).body for asset in call.of("asset")] == [picture(queue.jobs[str(call.job_id)])]
    assert {call.job_id for call in calls} == set(queue.jobs)


def test_each_poll_of_one_address_has_its_own_answer(tmp_path):
    """A job's polls ask one address: they are answered in the recorded order, however many there are."""
    states = ("IN_QUEUE", "IN_QUEUE", "IN_PROGRESS", "IN_PROGRESS", "IN_PROGRESS", "COMPLETED")
    recording = record(tmp_path, Queue(states=states), max_cases=1)
    (call,) = replayed(tmp_path, recording).calls
    assert tuple(json.loads(answered(poll).body)["status"] for poll in call.of("status")) == states
    assert len({poll.url for poll in call.of("status")}) == 1


# --- failures --------------------------------------------------------------------------------------------------------


def test_a_reset_connection_is_replayed_as_one(tmp_path):
    """A submit whose connection was reset is the same failure again: nobody knows whether it was charged."""
    queue = Queue()

    async def script(asked: Asked) -> bytes | None:
        return None if asked.method == "POST" and asked.number == 2 else await queue(asked)

    recording = record(tmp_path, script, max_cases=3, concurrency=1)
    lost = replayed(tmp_path, recording).calls[1]
    (submit,) = lost.exchanges
    assert isinstance(submit.reply, Failure)
    assert (submit.reply.kind, submit.reply.left, lost.outcome.value, lost.billed) == (
        "reset",
        True,
        "unknown",
        "unknown",
    )


def test_a_submit_refused_for_its_rate_is_tried_again_at_the_recorded_instant(tmp_path):
    """A 429 with Retry-After and the try that was accepted are two attempts, as far apart as they were."""
    queue = Queue()

    async def script(asked: Asked) -> bytes | None:
        if asked.method == "POST" and asked.number == 1:
            return says({"detail": "slow down"}, "429 Too Many Requests", "retry-after: 1")
        return await queue(asked)

    recording = record(tmp_path, script, max_cases=1)
    refused, accepted = replayed(tmp_path, recording).calls[0].of("submit")
    assert [(one.attempt, answered(one).status) for one in (refused, accepted)] == [(1, 429), (2, 200)]
    assert answered(refused).headers["retry-after"] == "1"
    assert accepted.sent_ns - refused.received_ns >= 1_000_000_000


def test_a_connection_that_was_not_made_at_first_is_replayed_as_one(tmp_path):
    """A submit that never left and the try that did are two attempts; the first one is known to have cost nothing."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

    history = tmp_path / "recording" / FILE

    async def opens_late(checked: Coroutine[Any, Any, Any]) -> None:
        running = asyncio.create_task(checked)
        for _ in range(3000):
            if running.done() or (history.exists() and b'"kind":"refused"' in history.read_bytes()):
                break
            await asyncio.sleep(0.01)
        async with serving(scripted(Queue()), port=port):
            await running

    asyncio.run(opens_late(recording_of(tmp_path, FAL, f"http://127.0.0.1:{port}", max_cases=1)))
    recording = told(tmp_path / "recording")
    first, *_, last = replayed(tmp_path, recording).calls[0].of("submit")
    assert isinstance(first.reply, Failure)
    assert (first.reply.kind, first.reply.left, answered(last).status) == ("refused", False, 200)


def test_polls_that_are_lost_are_lost_again(tmp_path):
    """A job goes on after polls that were reset, cut off in their middle, or no HTTP at all; so does its replay."""
    queue, polls = Queue(states=("IN_PROGRESS",) * 4 + ("COMPLETED",)), count(1)
    cut = says({"status": "COMPLETED"}, "200 OK", "connection: close").replace(
        b"content-length: ", b"content-length: 99"
    )
    odd = {1: None, 2: cut, 3: b"SSH-2.0-x\r\n\r\n"}

    async def script(asked: Asked) -> bytes | None:
        poll = next(polls) if asked.path.endswith("/status") else 0
        return odd[poll] if poll in odd else await queue(asked)

    recording = record(tmp_path, script, max_cases=1)
    statuses = replayed(tmp_path, recording).calls[0].of("status")
    failures = [one.reply for one in statuses if isinstance(one.reply, Failure)]
    assert [one.kind for one in failures] == ["reset", "reset", "protocol"]
    assert json.loads(failures[1].partial) == {"status": "COMPLETED"}


def test_a_deadline_expires_again_and_the_job_is_cancelled_again(tmp_path):
    """A job that passed its deadline ends unknown at the same instant, after the same question to cancel it."""
    queue = Queue(states=("IN_PROGRESS",))

    async def script(asked: Asked) -> bytes | None:
        if asked.method == "PUT":
            return says({"status": "CANCELLATION_REQUESTED"}, "202 Accepted")
        return await queue(asked)

    recording = record(tmp_path, script, max_cases=2, deadline_seconds=0.4, poll_interval=0.1)
    for call in replayed(tmp_path, recording).calls:
        assert (call.outcome.value, call.reason, call.exchanges[-1].step) == (
            "unknown",
            "the job was not done within 0.4 s",
            "cancel",
        )
        assert call.exchanges[-1].intended_ns - call.exchanges[0].sent_ns >= 400_000_000


def test_a_synchronous_submit_that_passes_its_deadline_is_replayed_as_one(tmp_path):
    """A synchronous submit without an answer is given up after the deadline, in the replay too."""

    async def silent(asked: Asked) -> bytes | None:
        await asyncio.Event().wait()
        raise AssertionError(asked)

    recording = record(tmp_path, silent, UMODELVERSE, max_cases=1, deadline_seconds=0.3)
    (call,) = replayed(tmp_path, recording, UMODELVERSE).calls
    assert isinstance(call.exchanges[0].reply, Failure)
    assert (call.exchanges[0].reply.kind, call.reason) == ("timeout", "the job was not done within 0.3 s")


def test_confirmations_are_replayed(tmp_path):
    """A server error is asked about once more, in the replay as in the recording, whatever came of it."""
    queue = Queue()

    async def script(asked: Asked) -> bytes | None:
        if asked.method == "POST" and asked.number in (1, 2, 4):
            return answer(b"<html>bad gateway</html>", status="502 Bad Gateway", headers=["content-type: text/html"])
        return await queue(asked)

    recording = record(tmp_path, script, max_cases=3, concurrency=1)
    calls = replayed(tmp_path, recording).calls
    assert [(call.derived, answered(call.of("submit")[0]).status) for call in calls] == [
        (None, 502),
        (None, 502),
        (None, 200),
        ("confirmation", 502),
        ("confirmation", 200),
    ]


@pytest.mark.parametrize("value", ["png", None])
def test_isolations_are_replayed(value, tmp_path):
    """The further requests that find out what a provider refuses are replayed, and come to the same culprit.

    Refused for what it leaves out is the row that asks probes beside its job: the further requests ask none.
    """
    queue = Queue()
    refused: set[str] = set()

    async def script(asked: Asked) -> bytes | None:
        job = unquote(asked.path.partition("/requests/")[2].partition("/")[0])
        if asked.method == "POST":
            said = queue.accept()
            if json.loads(asked.body).get("output_format") == value:
                refused.add(f"job-{len(queue.jobs)}")
            return said
        if job in refused and not asked.path.endswith("/status"):
            detail = [{"loc": ["body", "output_format"], "msg": "no", "type": "value_error"}]
            return says({"detail": detail}, "422 Unprocessable Entity")
        return await queue(asked)

    recording = record(tmp_path, script, max_cases=4)
    replay_ = replayed(tmp_path, recording)
    assert {call.derived for call in replay_.calls} == {None, "isolation"}
    assert {f["parameter"] for f in replay_.report["targets"][FAL]["findings"] if f["verdict"] == "fail"} >= {
        "output_format"
    }


# --- bodies ----------------------------------------------------------------------------------------------------------

IDS = (
    "12345e67", "0x1F", "16:9", "1_000", "~", "yes", "null", "1.0", "2026-11-25", "<<", "🦊", "a\u2028b\u2029c", "a\u0085b",
    "a\u007fb", "a\ufeffb", "a b/c?d#e%2Fé",
)  # fmt: skip


def test_odd_job_ids_are_strings(tmp_path):
    """Ids that a reader of YAML could take for a number, a word or a line break come back as the strings they are."""
    recording = record(tmp_path, Queue(IDS), repeats=True, concurrency=1)
    calls = replayed(tmp_path, recording).calls
    assert tuple(call.job_id for call in calls)[: len(IDS)] == IDS
    assert all(json.loads(answered(call.of("result")[0]).body)["prompt"] == call.job_id for call in calls)


BODIES = {
    "placeholder": f"{BLOB}{'0' * 64}".encode(),
    "cut placeholder": BLOB.encode(),
    "4095 bytes": b"x" * 4095,
    "4096 bytes": b"x" * 4096,
    "4097 bytes": b"x" * 4097,
    "JSON of 4095 bytes": json.dumps(["é" * 2044 + "x" * 3], ensure_ascii=False).encode(),
    "JSON of 4096 bytes": json.dumps(["é" * 2046], ensure_ascii=False).encode(),
    "not UTF-8": b"caf\xe9 \xff\xfe\x00",
    "control characters": bytes(range(128)) + "\u0085\u2028\u2029\ufeff\ufffe🦊".encode(),
    "malformed JSON": b'{"request_id": "job-1", "status": ',
    "two values": b"{} {}",
    "half a surrogate pair": b'{"request_id": "\\ud800"}',
    "a number": b"12345e67",
    "a YAML tag": b"!!python/object:os.system x",
    "lines": b"a\r\nb\nc\rd\n",
    "nothing": b"",
}


def test_odd_bodies_are_the_bytes_they_were(tmp_path):
    """Answers that are no JSON, no text, or just as long as a stored body comes back byte for byte."""
    odd = list(BODIES.values())

    async def script(asked: Asked) -> bytes | None:
        return answer(odd[(asked.number - 1) % len(odd)], headers=[JSON])

    recording = record(tmp_path, script, repeats=True, concurrency=1)
    calls = replayed(tmp_path, recording).calls
    assert [answered(call.of("submit")[0]).body for call in calls][: len(odd)] == odd


def test_odd_files_are_the_bytes_they_were(tmp_path):
    """The same bytes as files: whatever an output's address holds comes back."""
    queue, odd = Queue(), list(BODIES.values())

    async def script(asked: Asked) -> bytes | None:
        if asked.path.startswith("/files/"):
            number = int(asked.path.removeprefix("/files/").partition(".")[0])
            return answer(odd[(number - 1) % len(odd)], headers=["content-type: image/png"])
        return await queue(asked)

    recording = record(tmp_path, script, repeats=True, concurrency=1)
    calls = replayed(tmp_path, recording).calls
    assert [answered(call.of("asset")[0]).body for call in calls][: len(odd)] == odd


def test_a_gzip_answer_is_replayed_as_what_it_says(tmp_path):
    """A compressed answer is kept decoded: its bytes and headers are those that the recorded run worked with."""
    queue = Queue()

    async def script(asked: Asked) -> bytes | None:
        if asked.method == "POST":
            _, _, body = queue.accept().partition(b"\r\n\r\n")
            return answer(gzip.compress(body), headers=[JSON, "content-encoding: gzip"])
        return await queue(asked)

    recording = record(tmp_path, script, max_cases=2)
    submit = replayed(tmp_path, recording).calls[0].of("submit")[0]
    assert json.loads(answered(submit).body)["request_id"] == "job-1"
    assert sorted(answered(submit).headers) == ["content-type"]


def test_pictures_in_json_are_replayed_from_beside_the_cassette(tmp_path):
    """A base64 picture in an answer is not in the cassette but beside it, once, and comes back byte for byte."""
    encoded = base64.b64encode(picture(1) + b"\0" * 6000).decode()

    async def script(asked: Asked) -> bytes | None:
        if asked.method == "GET":
            return answer(picture(1), headers=["content-type: image/png"])
        wanted = json.loads(asked.body).get("response_format")
        image = {"b64_json": encoded} if wanted == "b64_json" else {"url": f"{asked.home}/1.png"}
        return says({"created": 1795602393, "data": [image]})

    recording = record(tmp_path, script, UMODELVERSE, concurrency=1)
    calls = replayed(tmp_path, recording, UMODELVERSE).calls
    inline = [call for call in calls if call.case.body.get("response_format") == "b64_json"]
    assert inline
    for call in inline:
        assert json.loads(answered(call.of("submit")[0]).body)["data"] == [{"b64_json": encoded}]
    stored = [
        path for path in (tmp_path / "cassettes").rglob("*") if path.is_file() and encoded.encode() in path.read_bytes()
    ]
    assert [path.parent.name for path in stored] == ["blobs"]


# --- addresses -------------------------------------------------------------------------------------------------------


def with_outputs(queue: Queue, *urls: str, pad: int = 0, escape: bool = False) -> Answerer:
    """The queue, whose results name these outputs; ``pad`` lengthens the answer, ``escape`` writes & as Go does."""

    async def script(asked: Asked) -> bytes | None:
        job, _, step = asked.path.partition("/requests/")[2].partition("/")
        if not job or step:
            return await queue(asked)
        images = [{"url": url.replace("HOME", asked.home), "content_type": "image/png"} for url in urls]
        text = json.dumps({"images": images, "prompt": "p" * pad, "seed": 1})
        return answer((text.replace("&", "\\u0026") if escape else text).encode(), headers=[JSON])

    return script


@pytest.mark.parametrize("escape", [False, True])
@pytest.mark.parametrize("pad", [0, 5000])
def test_signatures_are_dropped_and_files_stay_apart(pad, escape, tmp_path):
    """Two files that only their signed query tells apart stay two, and no byte of a signature is in a cassette."""
    queue = Queue()
    urls = [f"HOME/files/{n}.png?expires=1&signature=sig{n}nature" for n in (1, 2)]
    urls += [f"HOME/files/3.png?part={n}&signature=sig{n}nature" for n in (3, 4)]
    recording = record(tmp_path, with_outputs(queue, *urls, pad=pad, escape=escape), max_cases=1)
    (call,) = replayed(tmp_path, recording).calls
    assert [answered(asset).body for asset in call.of("asset")] == [picture(n) for n in (1, 2, 3, 3)]
    assert len({asset.url for asset in call.of("asset")}) == 4
    files = [path.read_bytes() for path in (tmp_path / "cassettes").rglob("*") if path.is_file()]
    assert not any(b"nature" in data for data in files)


UNUSABLE = (
    "http://[::1",
    "https://ho st/x.png",
    "http://[v1.x]/",
    "https://",
    "http://h:99999999/",
    "https://a.invalid\n/x",
)


@pytest.mark.parametrize("url", UNUSABLE)
def test_an_address_that_is_none_is_recorded_as_asked(url, tmp_path):
    """An output whose address cannot be contacted is a finding, in the replay too, and no reason to lose a recording."""
    recording = record(tmp_path, with_outputs(Queue(), url), max_cases=1)
    (call,) = replayed(tmp_path, recording).calls
    assert [(one.url, one.response) for one in call.of("asset")] == [(url, None)]


@pytest.mark.parametrize(
    "path",
    ["/files/1.png?q=a b", "/files/1.png?é=ü", "/files/../files/1.png", "/files/1.png?a|b^c`d", "/files/1.png#é x"],
)
def test_addresses_are_asked_as_the_answers_spell_them(path, tmp_path):
    """An output's address is matched however the answer spells it."""
    recording = record(tmp_path, with_outputs(Queue(), f"HOME{path}"), max_cases=1)
    (call,) = replayed(tmp_path, recording).calls
    assert [answered(one).status for one in call.of("asset")] == [200]


@pytest.mark.parametrize("location", ["http://[::1", "/files/2.png", "?again", "https://ho st/"])
def test_redirects_of_files_are_replayed(location, tmp_path):
    """A file that lies elsewhere is followed in the replay as it was in the recording, also to no address at all."""
    queue = Queue()

    async def script(asked: Asked) -> bytes | None:
        if asked.path == "/files/1.png":
            return answer(b"", status="302 Found", headers=[f"location: {location}"])
        return await queue(asked)

    recording = record(tmp_path, script, max_cases=1)
    (call,) = replayed(tmp_path, recording).calls
    assert answered(call.of("asset")[0]).status == 302


def test_files_that_lead_to_one_address_keep_their_instants(tmp_path):
    """Two outputs whose redirects lead to one address ask it twice, each at its own instant."""
    queue, second = Queue(), asyncio.Event()
    files = iter((b"first", b"second"))

    async def script(asked: Asked) -> bytes | None:
        if asked.path.startswith("/files/moved"):
            if asked.path.endswith("1.png"):
                await second.wait()
                await asyncio.sleep(0.02)
            return answer(b"", status="302 Found", headers=["location: /files/shared.png"])
        if asked.path == "/files/shared.png":
            data = next(files, b"later")
            second.set()
            await asyncio.sleep(0.1)
            return answer(data, headers=["content-type: image/png"])
        return await with_outputs(queue, "HOME/files/moved1.png", "HOME/files/moved2.png")(asked)

    recording = record(tmp_path, script, max_cases=1)
    (call,) = replayed(tmp_path, recording).calls
    assert [answered(one).body for one in call.of("asset") if answered(one).status == 200] == [b"first", b"second"]


# --- whole runs ------------------------------------------------------------------------------------------------------

SIXTH = str(Path(__file__).parents[1] / "data" / "bfl-flux-kontext-pro.yaml")
"""An endpoint whose document requires following a link, and whose key goes into a header of its own."""


def by_target(run_: Told) -> Mapping[str, Sequence[Call]]:
    """The calls of each target without their ids, which count the calls of all targets together."""
    found: dict[str, list[Call]] = {}
    for call in run_.calls:
        exchanges = tuple(replace(exchange, call="") for exchange in call.exchanges)
        found.setdefault(call.case.target, []).append(replace(call, id="", exchanges=exchanges))
    return found


@pytest.mark.parametrize(
    ("targets", "flow"), [((), None), (("fal",), "sync"), (("wavespeed",), "sync"), ((SIXTH,), None)]
)
def test_a_whole_run_replays_the_same(targets, flow, tmp_path):
    """With rejects, probes and repetitions: all targets in one recording, each further flow, a spec by its path."""
    specs = find(targets)
    common: dict[str, Any] = {"flow": flow, "cassettes": tmp_path / "cassettes"}
    with spawned(specs, Settings.quick()) as urls:
        named: dict[tuple[str, str | None], str] = {}
        for name, url in urls.items():
            provider, _, served = name.partition(":")
            named[provider, served] = url
        request = Request(
            "record", base_urls=named, repeats=True, max_cost=Decimal(100), out=tmp_path / "recording", **common
        )
        run.check(specs, request, Config(), {contract.credential.env: SIMULATED_KEY for contract in specs})
    for name in ("first", "second"):
        run.check(specs, Request("replay", out=tmp_path / name, **common), Config(), {})
    recording, one, two = (told(tmp_path / name) for name in ("recording", "first", "second"))
    assert recording.report["run"]["complete"]
    assert recording.without(*OF_A_MODE) == one.without(*OF_A_MODE)
    assert by_target(recording) == by_target(one)
    assert one.without(*OF_A_REPLAY) == two.without(*OF_A_REPLAY)
    assert rows(tmp_path / "first") == rows(tmp_path / "second")
