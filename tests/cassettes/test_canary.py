"""A provider that hands the key back in every way: none of it is kept, and the run still comes to its verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cassettes.test_recorded import Queue, Told, picture, record, replayed, says
from tests.fakes import KEY, Asked, answer
from tests.leaks import CANARIES, leaks

TEXTS = [spelled for spelled in (make(KEY) for make in CANARIES.values()) if spelled.isascii()]
BINARIES = [spelled for spelled in (make(KEY) for make in CANARIES.values()) if not spelled.isascii()]
READ = 20_000
"""Bytes that the patient reader is given at a time; they overlap by half."""


class Echo(Queue):
    """fal's queue, which says the key in fields that nobody documents and in headers; ``in_files`` in its files too."""

    def __init__(self, *, in_files: bool) -> None:
        super().__init__()
        self.in_files = in_files

    async def __call__(self, asked: Asked) -> bytes:
        said = await super().__call__(asked)
        head, _, body = said.partition(b"\r\n\r\n")
        if asked.path.startswith("/files/"):
            number = int(asked.path.removeprefix("/files/").partition(".")[0])
            spelled = BINARIES[number % len(BINARIES)] if self.in_files else b""
            return answer(picture(number) + spelled, headers=["content-type: image/png"])
        value: dict[str, Any] = json.loads(body)
        value["echo"] = [text.decode() for text in TEXTS]
        status = head.partition(b" ")[2].partition(b"\r\n")[0].decode()
        headers = [f"x-request-id: {KEY}", f"set-cookie: session={KEY}", f"location: https://x.example/?key={KEY}"]
        return says(value, status, *headers)


async def refuses_with_the_key(_: Asked) -> bytes:
    """Every submit is refused with an error text that quotes the request's key."""
    detail = [{"loc": ["body", "prompt"], "msg": f"bad key {KEY}: {text.decode()}", "type": "x"} for text in TEXTS]
    return says({"detail": detail}, "422 Unprocessable Entity")


def pieces(place: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(path for path in place.rglob("*") if path.is_file()):
        data = path.read_bytes()
        for start in range(0, max(1, len(data)), READ // 2):
            yield path, data[start : start + READ]


def verdicts(recording: Told) -> list[tuple[str, str, str]]:
    findings = [finding for target in recording.report["targets"].values() for finding in target["findings"]]
    return [(finding["case_id"], finding["check"], finding["verdict"]) for finding in findings]


def kept(place: Path, printed: str) -> list[tuple[str, list[bytes]]]:
    """Where halves of the key can be read: in the files of a place, or in what was printed."""
    searched = (*pieces(place), (Path("output"), printed.encode()))
    return [(path.name, halves) for path, data in searched if (halves := leaks(data, KEY, depth=2))]


def test_a_key_in_answers_is_not_kept_and_changes_no_verdict(tmp_path, capfd):
    """Over forty spellings in bodies, headers, cookies and redirects: none on disk or printed, every verdict as without."""
    recording = record(tmp_path / "echo", Echo(in_files=False), max_cases=3, concurrency=1)
    replayed(tmp_path / "echo", recording)
    assert kept(tmp_path, "".join(capfd.readouterr())) == []
    assert verdicts(recording) == verdicts(record(tmp_path / "plain", Queue(), max_cases=3, concurrency=1))


def test_a_key_in_files_leaves_them_unjudged(tmp_path, capfd):
    """A file that holds the key in gzip is withheld: its place and its charge are kept, and nobody is blamed for it."""
    recording = record(tmp_path, Echo(in_files=True), max_cases=3)
    replayed(tmp_path, recording)
    assert kept(tmp_path, "".join(capfd.readouterr())) == []
    assert recording.report["totals"]["paid_requests"] == 3
    assert {verdict for _, check, verdict in verdicts(recording) if check == "image_decodes"} == {"unknown"}


def test_a_key_in_refusals_is_not_kept(tmp_path, capfd):
    """An error text that quotes the key, in every finding, curl command and page: none of it, and the run still fails."""
    recording = record(tmp_path, refuses_with_the_key, max_cases=4)  # contested ones may be refused
    replayed(tmp_path, recording)
    assert kept(tmp_path, "".join(capfd.readouterr())) == []
    assert recording.report["totals"]["verdict"] == "fail"


def test_the_reader_would_have_found_it(tmp_path):
    """The search of the test above sees a key that is there."""
    (tmp_path / "file").write_bytes(b"x" * 15_000 + TEXTS[0])
    assert any(leaks(data, KEY, depth=2) for _, data in pieces(tmp_path))
