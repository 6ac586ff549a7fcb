from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import resource
import stat
import subprocess
import sys
import tempfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.clock import run_virtual
from harness.errors import InputError, OutputError, UsageError
from harness.history import (
    AT_ONCE,
    BLOB_BYTES,
    FILE,
    FORMAT,
    FileJournal,
    MemoryJournal,
    call_row,
    exchange_row,
    held,
    holds_a_run,
    intent_row,
    plan_json,
    read,
    rows,
)
from harness.model import Call, Case, Exchange, Fact, Failure, Outcome, Plan, Response
from harness.secret import Secret
from harness.strict import StrictError, load_json
from harness.transport.redact import MASK, Redactor
from tests.leaks import CANARIES, leaks
from tests.leaks import KEY as SECRET

KEY = "key-0123456789abcdef"
NOBODY = Redactor(())
CASE = Case(
    "p/e/prompt/long",
    "p/e",
    {"prompt": "狐"},
    "accept",
    "why",
    2,
    Decimal("0.04"),
    {"prompt": "long"},
    source=Fact("d", "w", "s"),
)
PLAN = Plan("p/e", "0" * 64, "queue", "core", 7, (CASE,), {"prompt": {"long": "class"}})
HEADER: dict[str, Any] = {
    "type": "header", "format": FORMAT, "segment": 0, "plans": [plan_json(PLAN)],
    "specs": {"p/e": {"path": "e.yaml", "text": b"openapi: 3.1.0\n" + b"# \xff" * 3000}},
}  # fmt: skip
FOOTER = {"type": "footer", "complete": True}


def exchange(reply, number=1, body=b'{"prompt":"x"}', url="https://h/x", **more):
    given = {"step": "submit", "attempt": 1, "method": "POST", "url": url, "request_headers": {"host": "h"}} | more
    return Exchange(
        "c000001",
        CASE.id,
        **given,
        request_body=body,
        reply=reply,
        intended_ns=number,
        sent_ns=number + 1,
        first_byte_ns=None,
        received_ns=10**18 + number,
    )


def call(*exchanges, **more):
    given: dict[str, Any] = {
        "outcome": Outcome.COMPLETED,
        "job_id": "j/1",
        "billed": "yes",
        "images": 2,
        "reason": "",
        "derived": None,
    } | more
    return Call("c000001", CASE, exchanges, **given)


def written(one):
    """The rows of a run with one call."""
    return [
        HEADER,
        intent_row(one.id, one.case, one.derived),
        *map(exchange_row, one.exchanges),
        call_row(one, {}),
        FOOTER,
    ]


def store(directory, lines, redactor=NOBODY, file=None):
    async def main():
        journal = FileJournal(directory, redactor, file)
        try:
            for line in lines:
                journal.append(line)
            await journal.durable()
        finally:
            journal.close()

    asyncio.run(main())
    return directory


def in_memory(lines, redactor=NOBODY):
    journal = MemoryJournal(redactor)
    for line in lines:
        journal.append(line)
    return journal


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)
COMPACT = JSON.map(lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
BODIES = (
    st.binary(max_size=200)
    | COMPACT
    | st.text(st.characters(exclude_categories=["Cs"])).map(str.encode)
    | st.binary(min_size=1, max_size=20).map(lambda part: part * (BLOB_BYTES // len(part) + 1))
    | st.sampled_from(
        [
            b"",
            b"{",
            b"[1,]",
            b'{"a":NaN}',
            b'{"a":1,"a":2}',
            b'"\\ud800"',
            b'{"a":"\\ud800"}',
            b"\xff\xfe",
            b"[" * 999,
            b"0" * 5000,
        ]
    )
)
TEXT = st.text(max_size=20)
REPLIES = st.builds(Response, st.integers(100, 599), st.dictionaries(TEXT, TEXT, max_size=3), BODIES) | st.builds(
    Failure, st.sampled_from(["reset", "timeout"]), TEXT, st.booleans(), BODIES
)


def same_body(one, other):
    """Equal bytes; or, for JSON objects and arrays, which are kept as values, equal values."""
    if one == other or (one or b"") == (other or b""):
        return True
    try:
        return one[:1] in (b"{", b"[") and load_json(one) == load_json(other)
    except StrictError:
        return False


@settings(max_examples=150, deadline=None)
@given(replies=st.lists(REPLIES, max_size=3), body=BODIES, text=TEXT, derived=st.none() | st.just("confirmation"))
def test_what_is_written_reads_back_equal(replies, body, text, derived):
    """Calls and exchanges read back as they were, whatever bytes were sent, received or named."""
    one = call(
        *(exchange(r, n, body, f"https://h/{text}") for n, r in enumerate(replies)), reason=text, derived=derived
    )
    journal = in_memory(written(one))
    history = journal.history()
    bare = [replace(e, request_body=b"", reply=_bare(e.reply)) for e in one.exchanges]
    (back,) = history.calls
    assert [replace(e, request_body=b"", reply=_bare(e.reply)) for e in back.exchanges] == bare
    assert all(
        same_body(e.request_body, b.request_body) and same_body(_body(e.reply), _body(b.reply))
        for e, b in zip(one.exchanges, back.exchanges, strict=True)
    )
    assert replace(back, exchanges=()) == replace(one, exchanges=())
    assert (history.plans, history.specs, history.footer, history.torn) == (
        (PLAN,),
        {"p/e": ("e.yaml", HEADER["specs"]["p/e"]["text"])},
        FOOTER,
        False,
    )


def _bare(reply):
    return replace(reply, body=b"") if isinstance(reply, Response) else replace(reply, partial=b"")


def _body(reply):
    return reply.body if isinstance(reply, Response) else reply.partial


def test_half_a_surrogate_pair_does_not_spoil_the_history():
    """A string that has no UTF-8, as an error's text may, is kept with a question mark in its place."""
    one = call(exchange(Failure("protocol", "bad \udcff line", left=True)), reason="\ud800")
    (back,) = in_memory(written(one)).history().calls
    assert (back.reason, back.exchanges[0].reply.message) == ("?", "bad ? line")


def test_a_file_reads_as_memory_does():
    """The file journal and the one in memory keep the same history."""
    one = call(exchange(Response(200, {"a": "b"}, b"\x89PNG" * 3000)), exchange(Failure("reset", "gone", left=True)))
    with tempfile.TemporaryDirectory() as place:
        assert read(store(Path(place) / "run", written(one))) == in_memory(written(one)).history()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"a":1}', "json"),
        (b"<html>", "text"),
        (b"\xff", "base64"),
        (b"x" * (BLOB_BYTES + 1), "blob"),
        (b"[1", "text"),
        (b'"x"', "text"),
    ],
)
def test_a_body_is_kept_in_the_plainest_form(body, kind):
    """JSON as JSON, text as text, anything else in base64, and what is large beside the lines."""
    journal = in_memory(written(call(exchange(Response(200, {}, body)))))
    kept = journal.rows[2]["response"]["body"]
    assert (next(iter(kept)), list(journal.blobs)[1:]) == (
        kind,
        [kept["blob"].removeprefix("sha256:")] if kind == "blob" else [],
    )


@pytest.mark.parametrize("filler", [b"", b"x" * BLOB_BYTES])
def test_a_masked_body_keeps_the_hash_of_what_was_received(filler):
    """A body that held a key is stored masked, with the hash of what came beside what is stored."""
    body = b'{"echo":"' + KEY.encode() + filler + b'"}'
    journal = in_memory(
        written(call(exchange(Response(200, {"location": f"/?{KEY}"}, body), url=f"https://h/{KEY}"))),
        Redactor([Secret(KEY)]),
    )
    (got,) = journal.history().calls[0].exchanges
    kept = journal.rows[2]["response"]["body"]
    assert (got.reply.body, kept["received_sha256"]) == (
        body.replace(KEY.encode(), MASK.encode()),
        hashlib.sha256(body).hexdigest(),
    )
    assert KEY not in json.dumps(journal.rows) + repr(journal.blobs)
    if filler:
        assert hashlib.sha256(journal.blobs[kept["blob"].removeprefix("sha256:")]).hexdigest() == kept[
            "blob"
        ].removeprefix("sha256:")


def test_a_key_that_only_json_unescapes_is_masked_with_its_hash():
    """A key whose characters are escaped one by one in a body is masked like any other."""
    body = ('{"echo":"' + "".join(f"\\u{ord(c):04x}" if n % 2 else c for n, c in enumerate(KEY)) + '"}').encode()
    journal = in_memory(written(call(exchange(Response(200, {}, body)))), Redactor([Secret(KEY)]))
    kept = journal.rows[2]["response"]["body"]
    assert kept == {"json": {"echo": MASK}, "received_sha256": hashlib.sha256(body).hexdigest()}


LONG = '"links":[' + '"https://h/1.png",' * 400 + '"https://h/2.png"]'


def everywhere(canary):
    """Rows that hold a canary in each place into which a server or a bug may put one."""
    text, body = canary.decode("latin-1"), b'{"echo":' + json.dumps(canary.decode("latin-1")).encode()
    headers = {"location": f"https://h/?next={text}", "x-request-id": text, "set-cookie": f"id={text}; Path=/"}
    replies = [
        Response(401, headers, canary),
        Response(200, headers, body + b"}"),
        Response(200, {text: ""}, body + b"," + LONG.encode() + b"}"),
        Response(302, headers, b"\x89PNG\r\n\x1a\n" + canary),
        Failure("protocol", f"bad line {text} here", left=True, partial=canary),
    ]
    exchanges = [
        exchange(reply, n, canary, f"https://h/{text}?token={text}", request_headers={"authorization": f"Key {text}"})
        for n, reply in enumerate(replies)
    ]
    return written(call(*exchanges, job_id=text, reason=f"gave up: {text}"))


class MasksNothing(Redactor):
    """A redactor whose masking has a fault."""

    def _mask(self, data, parts):
        return data


@pytest.mark.parametrize("make", [Redactor, MasksNothing])
@pytest.mark.parametrize("name", [name for name in CANARIES if name not in ("zlib", "deflate")])
def test_no_canary_reaches_the_history_from_anywhere(name, make):
    """Wherever and however a key comes in, no line and no blob holds it, every row is there, and the history reads."""
    lines = everywhere(CANARIES[name](SECRET))
    journal = in_memory(lines, make([Secret(SECRET)]))
    kept = [json.dumps(row, ensure_ascii=False).encode() for row in journal.rows] + list(journal.blobs.values())
    assert [leaks(line, SECRET) for line in kept[1:] if line != HEADER["specs"]["p/e"]["text"]] == [[]] * (
        len(kept) - 2
    )
    assert [row["type"] for row in journal.rows] == [row["type"] for row in lines]
    back = journal.history().calls[0]
    assert [e.reply.status for e in back.exchanges[:4]] == [401, 200, 200, 302]
    if make is Redactor:
        # The images that were paid for stay, beside whatever had to go.
        assert load_json(back.exchanges[2].reply.body)["links"][-1] == "https://h/2.png"


@pytest.mark.parametrize("name", [name for name in CANARIES if name not in ("zlib", "deflate")])
def test_rows_that_are_written_together_are_what_they_are_alone(tmp_path, name):
    """A writer that searches many rows at once finds the one with a key, masks it as ever, and no other row for it."""
    lines = written(call(*(exchange(Response(200, {}, b'{"seed":%d}' % n), n) for n in range(AT_ONCE * 3))))
    lines[AT_ONCE + 1 : AT_ONCE + 1] = everywhere(CANARIES[name](SECRET))[1:-2]
    redactor = Redactor([Secret(SECRET)])
    alone = in_memory(lines, redactor).rows
    together = (store(tmp_path / "run", lines, redactor) / FILE).read_bytes().splitlines()
    assert [load_json(line) for line in together] == alone


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("gzip", "gzip"),
        ("zlib", "zlib"),
        ("deflate", "deflate"),
        ("gzip of percent", "percent-encoding in gzip"),
        ("percent of gzip", "gzip in percent-encoding"),
    ],
)
def test_a_withheld_body_leaves_its_reason_its_hash_and_its_length(name, how):
    """Of a body that cannot be masked nothing is stored; the row says why, and what to compare another copy with."""
    body = CANARIES[name](SECRET)
    journal = in_memory(written(call(exchange(Response(200, {}, body)))), Redactor([Secret(SECRET)]))
    assert journal.rows[2]["response"]["body"] == {
        "text": f"[withheld: a key: {how}]",
        "received_sha256": hashlib.sha256(body).hexdigest(),
        "received_bytes": len(body),
    }


def test_a_small_archive_that_unpacks_to_much_is_withheld_in_a_line_and_kept_as_a_blob():
    """In a line a binary body becomes text, in which nothing may hide: what cannot be looked into is withheld there."""
    small, large = gzip.compress(bytes(2**21)), gzip.compress(bytes(2**24))
    journal = in_memory(
        written(call(exchange(Response(200, {}, small)), exchange(Response(200, {}, large)))),
        Redactor([Secret(SECRET)]),
    )
    kept = [row["response"]["body"] for row in journal.rows[2:4]]
    assert (len(small) < BLOB_BYTES < len(large), kept[0]["received_bytes"], kept[1]["bytes"]) == (
        True,
        len(small),
        len(large),
    )
    assert kept[0]["text"] == "[withheld: gzip in base64, more than can be looked into]"


@pytest.mark.parametrize("key", ['","call":"c000001"', '"exchange"', '"intended_ns":', "c000001"])
def test_a_key_that_is_a_part_of_the_format_is_not_written_either(key):
    """When a row cannot be a row without the key, a row of type ``withheld`` keeps its place, or an empty one."""
    one = written(call(exchange(Response(200, {}, b"{}"))))
    redactor = Redactor([Secret(key)])
    journal = in_memory(one, redactor)
    assert len(journal.rows) == len(one)
    assert [row for row in journal.rows if redactor.finds(json.dumps(row, separators=(",", ":")).encode())] == []


def test_a_withheld_row_says_which_row_it_was_and_the_rest_is_read():
    """A row in whose place stands that it was withheld is no row of a call; the others are read without it."""
    journal = in_memory(written(call(exchange(Response(200, {}, b"{}")))), Redactor([Secret('"intended_ns":')]))
    kept = journal.rows[2]
    assert (kept["type"], kept["row"], kept["call"], len(kept["received_sha256"])) == (
        "withheld",
        "exchange",
        "c000001",
        64,
    )
    assert [c.exchanges for c in journal.history().calls] == [()]


def test_even_what_keeps_a_place_is_searched():
    """A key that is a part of the row that keeps a place leaves an empty row."""
    key = '"type":"withheld"'
    assert in_memory([{"type": "withheld", "row": "call"}], Redactor([Secret(key)])).rows == [{}]


KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=60)


@settings(max_examples=150, deadline=None)
@given(key=KEYS, before=TEXT, after=TEXT, body=st.binary(max_size=20))
def test_rows_are_rows_whatever_a_key_is_made_of(key, before, after, body):
    """For any key, with quotes and backslashes too, lines stay JSON, and none holds the key as it is or escaped."""
    text = before + key + after
    reply = Response(200, {"location": text}, body + key.encode() + body)
    one = written(call(exchange(reply, body=json.dumps({text: [text]}).encode(), url=text), reason=text))
    journal = in_memory(one, Redactor([Secret(key)]))
    kept = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in journal.rows[1:]]
    assert [line for line in kept if key in line or json.dumps(key)[1:-1] in line] == []
    assert len(kept) == len(one) - 1


def test_a_torn_last_line_is_tolerated_wherever_it_is_cut(tmp_path):
    """Cut anywhere in its last line, a history reads as if that line had never been begun, and says so."""
    directory = store(tmp_path / "run", written(call(exchange(Response(200, {}, '{"狐":1}'.encode()))))[:-1])
    data = (directory / FILE).read_bytes()
    last = data.rindex(b"\n", 0, -1) + 1
    expected = replace(
        read(directory),
        calls=(
            replace(
                read(directory).calls[0],
                outcome=Outcome.UNKNOWN,
                job_id=None,
                billed="unknown",
                reason="the run ended before the call did",
            ),
        ),
    )
    for cut in range(last, len(data)):
        (directory / FILE).write_bytes(data[:cut])
        assert read(directory) == replace(expected, torn=cut > last)
        assert len(list(rows(directory))) == 3


@pytest.mark.parametrize(
    "damage",
    [
        b"{",
        b"",
        b"\xff",
        b"5",
        b"[]",
        b"null",
        b"{}",
        b'{"type":"exchange"}',
        b'{"type":"call"}',
        b'{"type":"intent","call":"c","case_id":"nobody"}',
        b'{"type":"call","call":"c000001","outcome":"splendid","job_id":null,"billed":"yes","images":1,"reason":""}',
    ],
)
def test_a_damaged_line_in_the_middle_is_one_sentence(tmp_path, damage):
    """A line that is no row, before the end, is an error of one line that names the file."""
    directory = store(tmp_path / "run", written(call(exchange(Response(200, {}, b"{}")))))
    lines = (directory / FILE).read_bytes().split(b"\n")
    lines[3] = damage
    (directory / FILE).write_bytes(b"\n".join(lines))
    with pytest.raises(InputError) as caught:
        read(directory)
    assert (str(directory / FILE) in str(caught.value), "\n" in str(caught.value)) == (True, False)


@pytest.mark.parametrize(
    "change",
    [
        {"plans": 5},
        {"plans": [{}]},
        {"format": 99},
        {"specs": []},
        {"plans": [plan_json(PLAN) | {"cases": [dict(plan_json(PLAN)["cases"][0], usd="dear")]}]},
    ],
)
def test_a_header_that_cannot_be_read_is_one_sentence(tmp_path, change):
    """A header of another format, or damaged, is an error of one line."""
    directory = store(tmp_path / "run", [HEADER | change])
    with pytest.raises(InputError, match=FILE):
        read(directory)


def test_what_is_no_run_directory_is_one_sentence(tmp_path):
    """A place without a history, an empty history, and a missing blob are errors that name the file."""
    with pytest.raises(InputError, match=r"is .* a run directory"):
        read(tmp_path)
    (tmp_path / FILE).write_bytes(b"")
    with pytest.raises(InputError, match=FILE):
        read(tmp_path)
    directory = store(tmp_path / "run", [HEADER])
    for blob in (directory / "blobs").iterdir():
        blob.unlink()
    with pytest.raises(InputError, match="blobs"):
        read(directory)


def test_a_run_directory_is_its_owners_alone(tmp_path):
    """Directories have mode 0700 and files 0600, whatever the umask and whoever made the directory."""
    (tmp_path / "run").mkdir(mode=0o755)
    before = os.umask(0)
    try:
        directory = store(tmp_path / "run", [HEADER])
    finally:
        os.umask(before)
    modes = {p.relative_to(directory).parts[0]: stat.S_IMODE(p.stat().st_mode) for p in [*directory.rglob("*")]}
    assert (stat.S_IMODE(directory.stat().st_mode), modes[FILE]) == (0o700, 0o600)
    assert {stat.S_IMODE(p.stat().st_mode) for p in (directory / "blobs").iterdir()} == {0o600}
    assert stat.S_IMODE((directory / "blobs").stat().st_mode) == 0o700


def test_a_second_writer_is_refused(tmp_path):
    """One process writes a run directory; the second is told so at once, and spoils nothing."""
    first = FileJournal(tmp_path / "run", NOBODY)
    before = len(list(Path("/dev/fd").iterdir()))
    try:
        for _ in range(3):
            with pytest.raises(UsageError, match="another run"):
                FileJournal(tmp_path / "run", NOBODY)
        assert len(list(Path("/dev/fd").iterdir())) == before
    finally:
        first.append(HEADER)
        first.close()
    assert read(tmp_path / "run").plans == (PLAN,)


@pytest.mark.parametrize("length", [20, 70_000])
def test_a_history_that_is_gone_on_with_stays_valid_line_by_line(tmp_path, length):
    """Cut anywhere in its last line, a history that is gone on with loses that piece and nothing else."""
    directory = store(tmp_path / "run", [HEADER, {"type": "note", "text": "x" * length}])
    data = (directory / FILE).read_bytes()
    whole = data.index(b"\n") + 1
    for cut in {whole, whole + 1, whole + 9, len(data) - 1, len(data)}:
        (directory / FILE).write_bytes(data[:cut])
        store_more(directory, [FOOTER])
        kept = data if cut == len(data) else data[:whole]
        assert (directory / FILE).read_bytes() == kept + b'{"type":"footer","complete":true}\n'


def store_more(directory, lines):
    with held(directory) as file:
        store(directory, lines, file=file)


def test_a_run_that_is_gone_on_with_is_held_from_the_reading_on(tmp_path):
    """Between the reading and the last row nobody else writes; afterwards the place is free, whatever happened."""
    directory = store(tmp_path / "run", [HEADER])
    with held(directory) as file:
        for attempt in (lambda: held(directory).__enter__(), lambda: FileJournal(directory, NOBODY)):
            with pytest.raises(UsageError, match="is being written by another run"):
                attempt()
        journal = FileJournal(directory, NOBODY, file)
    with pytest.raises(UsageError, match="is being written by another run"), held(directory):
        pass
    journal.close()
    with pytest.raises(ZeroDivisionError), held(directory):
        raise ZeroDivisionError
    with held(directory):
        pass


@pytest.mark.parametrize("data", [b"", b'{"type":"header"'])
def test_a_history_of_which_nothing_was_written_is_not_gone_on_with(tmp_path, data):
    """A run that was ended before its header was durable has sent nothing; so is a place without a run said to be."""
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(UsageError, match="before it sent anything"), held(tmp_path):
        pass
    with pytest.raises(UsageError, match="holds no run"), held(tmp_path / "nowhere"):
        pass


def segments(later, *, anchor_ns, back_s=0.0):
    """A call that is submitted in a first segment and completed in a second one, ``later`` seconds after its header."""
    first = HEADER | {"started_at": "2026-11-20T10:00:00.000+00:00", "anchor_ns": 5_000_000_000}
    second_at = f"2026-11-20T10:{1 - back_s:02.0f}:00.000+00:00"
    second = {"type": "header", "format": FORMAT, "segment": 1, "started_at": second_at, "anchor_ns": anchor_ns}
    submit = at(6_000_000_000, exchange(Response(200, {}, b"{}")))
    read = at(anchor_ns + round(later * 10**9), exchange(Response(200, {}, b"{}"), step="status"))
    cut = call_row(call(outcome=Outcome.UNKNOWN, billed="unknown", job_id=None), {})
    done = call_row(call(), {})
    return [
        first, intent_row("c000001", CASE, None), exchange_row(submit), cut, FOOTER | {"complete": False, "n": 1},
        second, exchange_row(read), done, FOOTER | {"n": 2},
    ]  # fmt: skip


def at(instant_ns, one):
    return replace(one, intended_ns=instant_ns, sent_ns=instant_ns, first_byte_ns=instant_ns, received_ns=instant_ns)


@pytest.mark.parametrize("anchor_ns", [0, 7, 10**18])
def test_segments_read_as_one(anchor_ns):
    """A call spread over two segments has its exchanges on the first one's clock, and the last word on its end."""
    history = in_memory(segments(2.5, anchor_ns=anchor_ns)).history()
    (one,) = history.calls
    assert [(e.sent_ns, e.first_byte_ns, e.received_ns) for e in one.exchanges] == [
        (6_000_000_000,) * 3,
        (67_500_000_000,) * 3,
    ]
    assert (one.outcome, one.billed, one.job_id) == (Outcome.COMPLETED, "yes", "j/1")
    assert (history.footer["n"], len(history.headers)) == (2, 2)


def test_a_date_that_went_back_does_not_turn_the_order_around():
    """A segment is never placed before what was recorded earlier, whatever the machine's date says."""
    (one,) = in_memory(segments(2.5, anchor_ns=0, back_s=1)).history().calls
    assert [e.sent_ns for e in one.exchanges] == [6_000_000_000, 8_500_000_000]


def test_the_next_segment_is_placed_as_it_will_be_read():
    """``offset_ns`` tells beforehand where the instants of a segment will lie once it has been written."""
    rows_ = segments(2.5, anchor_ns=123)
    before, whole = in_memory(rows_[:5]).history(), in_memory(rows_).history()
    assert before.offset_ns(rows_[5]) + 123 + 2_500_000_000 == whole.calls[0].exchanges[1].sent_ns


def test_links_are_not_followed(tmp_path):
    """A history that is a link to somewhere else is not written through."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="cannot write"):
        FileJournal(tmp_path / "run", NOBODY)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("place", ["/proc/nowhere/run", "/dev/null/run"])
def test_a_place_that_cannot_be_written_is_one_sentence(place):
    """An output place that cannot be made is an error before anything is sent."""
    with pytest.raises(OutputError, match=f"cannot write the run directory {place}"):
        FileJournal(Path(place), NOBODY)


FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
from harness.errors import OutputError
from harness.history import FileJournal
from harness.transport.redact import Redactor
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
journal = FileJournal(Path(sys.argv[1]), Redactor(()))
size = int(sys.argv[2])
async def main():
    done = 0
    for number in range(200):
        journal.append({"type": "intent", "call": str(number), "filler": "x" * 100, "body": bytes(size)})
        try:
            await journal.durable()
        except OutputError as error:
            print(done, error)
            return
        done += 1
asyncio.run(main())
try:
    journal.close()
except OutputError:
    print("closed with an error")
"""


@pytest.mark.parametrize("size", [10, 20_000])
def test_a_full_disk_is_told_and_leaves_what_was_durable(tmp_path, size):
    """When neither a line nor a blob fits any more, waiting for it raises; every row that was durable before is whole."""
    child = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "run"), str(size)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    said = child.stdout.splitlines()
    done, _, message = said[0].partition(" ")
    assert (child.stderr, "cannot write" in message, said[1]) == ("", True, "closed with an error")
    kept = (tmp_path / "run" / FILE).read_bytes().split(b"\n")[:-1]
    assert [load_json(line)["call"] for line in kept][: int(done)] == [str(n) for n in range(int(done))]
    assert (size > 10_000) == (done == "0")


def test_a_row_that_cannot_be_written_is_told_and_does_not_hang(tmp_path):
    """A row that has no JSON form fails who waits for it; it does not kill the writer in silence."""

    async def main():
        journal = FileJournal(tmp_path / "run", NOBODY)
        journal.append({"type": "intent", "value": float("nan")})
        try:
            with pytest.raises(OutputError, match="cannot write"):
                await asyncio.wait_for(journal.durable(), 5)
        finally:
            with pytest.raises(OutputError):
                journal.close()

    asyncio.run(main())


def test_durable_rows_are_on_the_disk(tmp_path):
    """Once ``durable`` returns another process reads every row appended before it."""

    async def main():
        journal = FileJournal(tmp_path / "run", NOBODY)
        seen = []
        for number in range(20):
            journal.append(HEADER | {"segment": number})
            await journal.durable()
            seen.append(len(list(rows(tmp_path / "run"))))
        journal.close()
        return seen

    assert asyncio.run(main()) == list(range(1, 21))


def test_memory_needs_no_waiting():
    """The journal in memory is durable at once, under virtual time too."""
    assert run_virtual(MemoryJournal().durable()) is None


def test_limits_are_left_alone():
    """The full-disk tests limit a child process only."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 10_000


@pytest.mark.parametrize("left", [b"", b'{"type":"header","segm'])
def test_a_place_where_a_run_was_killed_before_its_header_is_free(tmp_path, left):
    """Nothing was sent from there: another run may begin in it, and leaves a history that reads."""
    (tmp_path / FILE).write_bytes(left)
    assert not holds_a_run(tmp_path)
    store(tmp_path, [HEADER, FOOTER])
    assert (read(tmp_path).torn, holds_a_run(tmp_path)) == (False, True)


def test_a_place_that_holds_a_run_is_not_begun_in(tmp_path):
    """Even where nobody asked first, as two runs that start at once."""
    store(tmp_path, [HEADER, FOOTER])
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(UsageError, match="holds a run already"):
        FileJournal(tmp_path, NOBODY)
    assert (tmp_path / FILE).read_bytes() == before


def test_bodies_do_not_go_through_a_link(tmp_path):
    """A folder for bodies that leads elsewhere is refused before anything is sent."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "blobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="cannot write the run directory"):
        FileJournal(tmp_path / "run", NOBODY)


def test_a_disk_that_does_not_sync_is_told(tmp_path, monkeypatch):
    """An fsync that fails ends the run: what was promised to be durable may not be."""

    def fails(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OutputError, match="Input/output error; nothing more was sent"):
        store(tmp_path / "run", [HEADER])
