"""The append-only record of a run, from which everything else is computed.

Rules
-----
* One JSON object a line: ``header``, ``intent``, ``exchange``, ``call``, ``footer``. A torn last line is tolerated and
  reported; whoever goes on writing cuts it off first.
* A resume appends another header, so each segment has its own monotonic clock and wall-clock anchor. Segments read as
  one: the last ``call`` row of a call and the last footer count, and instants are told on the first segment's clock.
  A later segment lies where its date says, and never before what was recorded earlier. So an interval within a
  segment is exact, and one across segments is as true as the machine's date: what the date was set by in between
  (an NTP step, a changed clock) is in it.
* An intent is on the disk (fsync) before its submit leaves; every other row follows as soon as the disk allows.
  A writer thread groups what waits, so that no fsync stands on the path of a latency.
* Bodies over 4 kB live beside the lines as ``blobs/<sha256>``, written before the line that names them.
* Every byte passes the redactor, which fails closed. A body that had to be masked keeps the hash of what was received
  as ``received_sha256``; of one that could not be masked the reason stands in its place, with that hash and its length
  (``received_bytes``). A row that is no row any more without its keys leaves one of type ``withheld`` in its place.
* The header holds the plans and the specs' texts: a run directory can be judged with nothing else at hand.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import fcntl
import hashlib
import json
import math
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from harness import files
from harness.errors import InputError, OutputError, UsageError
from harness.flow import encode
from harness.model import CUT_OFF, Call, Case, Exchange, Fact, Failure, Json, Outcome, Plan, Response, Sending
from harness.strict import StrictError, load_json
from harness.transport.redact import Redactor

FORMAT = 1
BLOB_BYTES = 4096
AT_ONCE = 64
"""Rows that are searched and synced together: enough to share a search's price, too few to hold up the event loop."""
FILE = "history.jsonl"
Row = Mapping[str, Any]
Bodies = Callable[[str], bytes]


class Journal(Protocol):
    """Where rows go. ``append`` never blocks; ``durable`` returns once everything appended is safe."""

    def append(self, row: Row) -> None:
        """Add a row."""
        ...

    def check(self) -> None:
        """Nothing, as long as rows can be written.

        Raises:
            OutputError: one could not be: what happens now is not recorded.
        """
        ...

    async def durable(self) -> None:
        """Wait until every row appended so far would survive a crash.

        Raises:
            OutputError: the rows cannot be written.
        """
        ...


class MemoryJournal:
    """A journal that ends with the process: for virtual time and tests. ``rows`` are as they would stand in a file."""

    def __init__(self, redactor: Redactor | None = None) -> None:
        self.rows: list[dict[str, Any]] = []
        self.blobs: dict[str, bytes] = {}
        self._encoder = _Encoder(redactor or Redactor(()), self._store)

    def _store(self, digest: str, data: bytes) -> None:
        self.blobs[digest] = data

    def append(self, row: Row) -> None:
        """Add a row."""
        self.rows.append(load_json(self._encoder.lines([row])))

    def check(self) -> None:
        """Memory takes every row."""

    async def durable(self) -> None:
        """Nothing survives this process; nothing to wait for."""

    def history(self) -> History:
        """What has been written so far, as it reads from a file."""
        return _assemble(self.rows, self.blobs.__getitem__)


class FileJournal:
    """A run directory's journal, held under a lock by one process at a time."""

    def __init__(self, directory: Path, redactor: Redactor, file: int | None = None) -> None:
        """Open a new run directory, mode 0700, or go on in the history that ``held`` gave.

        Raises:
            UsageError: another run is writing there, or has written there.
            OutputError: the directory cannot be made or written.
        """
        self.directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            directory.chmod(0o700)
            (directory / "blobs").mkdir(exist_ok=True, mode=0o700)
            if (directory / "blobs").is_symlink():
                raise NotADirectoryError(errno.ENOTDIR, "blobs is a link")
            self._file = _begun(directory) if file is None else _continued(file)
        except BlockingIOError:
            raise UsageError(f"{directory} is being written by another run: name another --out") from None
        except OSError as error:
            raise OutputError(f"cannot write the run directory {directory}: {error.strerror}") from None
        self._encoder = _Encoder(redactor, self._store)
        self._rows: queue.SimpleQueue[Row | asyncio.Future[None] | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: Exception | None = None
        self._stored: set[str] = set()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()

    def append(self, row: Row) -> None:
        """Add a row; the writer thread encodes, masks and writes it."""
        self._rows.put(row)

    def check(self) -> None:
        """Nothing, as long as the writer thread can write.

        Raises:
            OutputError: it could not.
        """
        if self._error is not None:
            raise self._failure()

    async def durable(self) -> None:
        """Wait until the writer thread has synced everything appended so far.

        Raises:
            OutputError: it could not be written.
        """
        self._loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = self._loop.create_future()
        self._rows.put(done)
        await done

    def close(self) -> None:
        """Write what waits and let go of the directory.

        Raises:
            OutputError: something could not be written.
        """
        self._rows.put(None)
        self._thread.join()
        os.close(self._file)
        self.check()

    def _failure(self) -> OutputError:
        reason = getattr(self._error, "strerror", None) or self._error
        return OutputError(f"cannot write {self.directory / FILE}: {reason}; nothing more was sent")

    def _write(self) -> None:
        ended = False
        while not ended:
            batch = [self._rows.get()]
            while not self._rows.empty() and len(batch) < AT_ONCE:
                batch.append(self._rows.get())
            ended = None in batch
            if self._error is None:
                try:
                    lines = self._encoder.lines([item for item in batch if isinstance(item, Mapping)])
                    if lines:
                        files.write_all(self._file, lines)
                        os.fsync(self._file)
                except (OSError, ValueError, TypeError) as error:
                    # Also a row that has no JSON form: a writer that died of it would leave everybody waiting.
                    self._error = error
            promises = [item for item in batch if isinstance(item, asyncio.Future)]
            if promises and self._loop is not None:
                # A run that has failed may be gone before its last promise is kept: then nobody waits for it.
                with suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._settle, promises)

    def _settle(self, promises: Iterable[asyncio.Future[None]]) -> None:
        for promise in promises:
            if promise.done():
                continue
            if self._error is not None:
                promise.set_exception(self._failure())
            else:
                promise.set_result(None)

    def _store(self, digest: str, data: bytes) -> None:
        if digest in self._stored:
            return
        files.replace(self.directory / "blobs" / digest, data, mode=0o600, durable=True)
        self._stored.add(digest)


@contextmanager
def held(directory: Path) -> Iterator[int]:
    """An unfinished run's history under its lock, so that nobody writes between the reading and the going on.

    Raises:
        UsageError: there is no run, nothing of it was written, or another process is writing it.
        OutputError: it cannot be written.
    """
    try:
        file = _locked(directory / FILE, 0)
    except BlockingIOError:
        raise UsageError(f"{directory} is being written by another run: wait for its end") from None
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{directory} holds no run: there is nothing to resume") from None
    except OSError as error:
        raise OutputError(f"cannot write {directory / FILE}: {error.strerror}") from None
    try:
        if not _whole_bytes(file):
            raise UsageError(f"{directory} holds a run that ended before it sent anything: start another one")
        yield file
    finally:
        os.close(file)


def holds_a_run(directory: Path) -> bool:
    """Whether a run has begun there: one that was killed before its header was whole has sent nothing."""
    try:
        file = os.open(directory / FILE, os.O_RDONLY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    try:
        return _whole_bytes(file) > 0
    finally:
        os.close(file)


def _begun(directory: Path) -> int:
    """A new history under its lock; what a run left that was killed before its header was whole is dropped."""
    file = _locked(directory / FILE, os.O_CREAT)
    if _whole_bytes(file):
        os.close(file)
        raise UsageError(f"{directory} holds a run already: name another --out")
    os.ftruncate(file, 0)
    return file


def _continued(file: int) -> int:
    """A descriptor of its own, and with it the lock, for a history that ends with a whole line from here on."""
    os.ftruncate(file, _whole_bytes(file))
    return os.dup(file)


def _whole_bytes(file: int) -> int:
    """How many bytes of a file are whole lines."""
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - 65536)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _locked(path: Path, more: int) -> int:
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | more, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise
    return file


class _Encoder:
    """Turns rows into lines; bytes values become bodies, in the line or in the store."""

    def __init__(self, redactor: Redactor, store: Callable[[str, bytes], None]) -> None:
        self._redactor, self._store = redactor, store

    def lines(self, rows: Sequence[Row]) -> bytes:
        """The rows, each a whole line. They are searched together, and each by itself only where a key was found."""
        lines = b"".join(_line(row, self._plain) for row in rows)
        if self._redactor.finds(lines) is None:
            return lines
        return b"".join(self._clean(row) for row in rows)

    def _clean(self, row: Row) -> bytes:
        line = _line(row, self._body)
        cleaned = self._redactor.examine(line)
        if cleaned.data == line or (cleaned.withheld is None and _is_json(cleaned.data)):
            return cleaned.data
        return self._instead(row, line)

    def _instead(self, row: Row, line: bytes) -> bytes:
        """What keeps the place of a row that cannot be written. A key could even be a word of that."""
        received = _received(line) | {"received_bytes": len(line)}
        for kept in ({"row": row.get("type"), "call": row.get("call")} | received, received):
            instead = json.dumps({"type": "withheld"} | kept, separators=(",", ":"), default=str).encode() + b"\n"
            if self._redactor.finds(instead) is None:
                return instead
        return b"{}\n"

    def _plain(self, data: bytes) -> Json:
        """A body; small JSON stands in its line as what it says, and is searched there."""
        if len(data) <= BLOB_BYTES and data[:1] in (b"{", b"["):
            with suppress(StrictError):
                return {"json": load_json(data)}
        return self._body(data)

    def _body(self, data: bytes) -> Json:
        """A body, searched by itself: what its encoding in the line would hide is found."""
        cleaned = self._redactor.examine(data)
        if cleaned.withheld is not None:
            return _withheld(data, cleaned.withheld)
        received = _received(data) if cleaned.masked else {}
        clean = cleaned.data
        if len(clean) > BLOB_BYTES:
            digest = hashlib.sha256(clean).hexdigest()
            self._store(digest, clean)
            return {"blob": f"sha256:{digest}", "bytes": len(clean)} | received
        if clean[:1] in (b"{", b"["):
            try:
                return {"json": load_json(clean)} | received
            except StrictError:
                pass
        try:
            return {"text": clean.decode("utf-8")} | received
        except UnicodeDecodeError:
            encoded = base64.b64encode(clean)
        # A stream too long to look into is let through in an archive and not in a text, which this body becomes.
        found = self._redactor.finds(encoded)
        return {"base64": encoded.decode()} | received if found is None else _withheld(data, found)


def _line(row: Row, body: Callable[[bytes], Json]) -> bytes:
    def default(value: Any) -> Json:
        if isinstance(value, bytes):
            return body(value)
        if isinstance(value, Decimal):
            return str(value)
        raise TypeError(f"{type(value).__name__} has no place in a history row")

    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=default)
    # Half a surrogate pair has no UTF-8, and no place in strict JSON either.
    return text.encode("utf-8", "replace") + b"\n"


def _received(data: bytes) -> dict[str, Json]:
    return {"received_sha256": hashlib.sha256(data).hexdigest()}


def _withheld(data: bytes, reason: str) -> Json:
    return {"text": f"[withheld: {reason}]"} | _received(data) | {"received_bytes": len(data)}


def _is_json(line: bytes) -> bool:
    try:
        load_json(line)
    except StrictError:
        return False
    return True


def intent_row(call: str, case: Case, derived: str | None) -> Row:
    """The row that must be durable before a submit leaves."""
    row: dict[str, Any] = {"type": "intent", "call": call, "case_id": case.id, "target": case.target}
    row["max_usd"] = float(case.usd)
    if derived:
        row |= {"derived": derived, "images": case.images, "body": encode(case.body)}
    return row


def exchange_row(exchange: Exchange) -> Row:
    """One request and what came back."""
    reply = exchange.reply
    error: Json = None
    response: dict[str, Any]
    if isinstance(reply, Failure):
        error = {"kind": reply.kind, "message": reply.message, "left": reply.left}
        response = {"headers": {}, "body": reply.partial or None}
    else:
        response = {"headers": dict(reply.headers), "body": reply.body} | ({"withheld": True} if reply.withheld else {})
    return {
        "type": "exchange",
        "call": exchange.call,
        "case_id": exchange.case_id,
        "step": exchange.step,
        "purpose": exchange.purpose,
        "attempt": exchange.attempt,
        "method": exchange.method,
        "url": exchange.url,
        "status": reply.status if isinstance(reply, Response) else None,
        "error": error,
        "intended_ns": exchange.intended_ns,
        "sent_ns": exchange.sent_ns,
        "connect_ns": exchange.connect_ns,
        "first_byte_ns": exchange.first_byte_ns,
        "received_ns": exchange.received_ns,
        "request": {"headers": dict(exchange.request_headers), "body": exchange.request_body},
        "response": response,
    }


def call_row(call: Call, phases: Mapping[str, tuple[float, float] | None]) -> Row:
    """How a call ended; advisory, but for the segment, since its exchanges tell the same."""
    return {
        "type": "call",
        "call": call.id,
        "case_id": call.case.id,
        "target": call.case.target,
        "outcome": call.outcome.value,
        "job_id": call.job_id,
        "billed": call.billed,
        "images": call.images,
        "reason": call.reason,
        "derived": call.derived,
        "segment": call.segment,
        "phases": {name: list(bounds) for name, bounds in phases.items() if bounds and math.isfinite(bounds[1])},
    }


def plan_json(plan: Plan) -> Json:
    """A plan as JSON; ``plan_from`` is its inverse. What most cases lack (``sending``, ``silent``) is left out of them."""
    return {
        "target": plan.target,
        "spec_sha256": plan.spec_sha256,
        "flow": plan.flow,
        "tier": plan.tier,
        "seed": plan.seed,
        "domains": {name: dict(labels) for name, labels in plan.domains.items()},
        "cases": [
            {
                "id": case.id,
                "expect": case.expect,
                "why": case.why,
                "images": case.images,
                "usd": str(case.usd),
                "labels": dict(case.labels),
                "parameter": case.parameter,
                "fault": case.fault,
                "kind": case.kind,
                "probes": list(case.probes),
                "source": None
                if case.source is None
                else {
                    "document": case.source.document,
                    "where": case.source.where,
                    "states": case.source.states,
                    "kind": case.source.kind,
                },
                "body": dict(case.body),
            }
            | ({} if case.sending is None else {"sending": _sending_json(case.sending)})
            | ({"silent": True} if case.silent else {})
            for case in plan.cases
        ],
    }


def plan_from(value: Json) -> Plan:
    """The plan that ``plan_json`` wrote."""
    return Plan(
        target=value["target"],
        spec_sha256=value["spec_sha256"],
        flow=value["flow"],
        tier=value["tier"],
        seed=value["seed"],
        domains=value["domains"],
        cases=tuple(
            Case(
                id=case["id"],
                target=value["target"],
                body=case["body"],
                expect=case["expect"],
                why=case["why"],
                images=case["images"],
                usd=Decimal(case["usd"]),
                labels=case["labels"],
                parameter=case["parameter"],
                fault=case["fault"],
                kind=case["kind"],
                probes=tuple(case["probes"]),
                source=Fact(**case["source"]) if case["source"] else None,
                sending=_sending_from(case["sending"]) if "sending" in case else None,
                silent=case.get("silent", False),
            )
            for case in value["cases"]
        ),
    )


def _sending_json(sending: Sending) -> Json:
    """What is otherwise, a body as text or, where it is none, in base64."""
    named = {"method": sending.method, "content_type": sending.content_type, "credential": sending.credential}
    row: dict[str, Json] = {name: value for name, value in named.items() if value is not None}
    if sending.body is not None:
        row["body"] = _plain_body(sending.body)
    return row


def _plain_body(data: bytes) -> Json:
    try:
        return {"text": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _sending_from(row: Json) -> Sending:
    """The inverse of ``_sending_json``.

    Raises:
        TypeError, ValueError: a member is not what it has to be.
    """
    texts = {name: value for name, value in row.items() if name != "body"}
    if not all(isinstance(value, str) for value in texts.values()):
        raise TypeError("sending, whose members are texts")
    body = row.get("body")
    if body is None:
        return Sending(**texts)
    raw = body["text"].encode() if "text" in body else base64.b64decode(body["base64"], validate=True)
    return Sending(body=raw, **texts)


@dataclass(frozen=True)
class History:
    """A run's record. ``torn`` says that the last line was cut off; ``footer`` is None when the run never ended.

    ``audits`` are what each segment said of itself at its end, None for one that was killed.
    """

    headers: tuple[Row, ...]
    plans: tuple[Plan, ...]
    specs: Mapping[str, tuple[str, bytes]]
    calls: tuple[Call, ...]
    footer: Row | None
    torn: bool
    audits: tuple[Json, ...] = ()

    @property
    def header(self) -> Row:
        """The first segment's header."""
        return self.headers[0]

    def offset_ns(self, header: Row) -> int:
        """What leads from the clock of a segment that follows on this record to the clock of the first one."""
        received = (exchange.received_ns for call in self.calls for exchange in call.exchanges)
        return _offset(self.header, header, max(received, default=None))

    def of(self, target: str) -> tuple[Call, ...]:
        """The calls of a target, in the order of their intents."""
        return tuple(call for call in self.calls if call.case.target == target)


def read(directory: Path) -> History:
    """The history of a run directory.

    Raises:
        InputError: it is missing or not a history; one sentence with the line.
    """
    path, torn = directory / FILE, False

    def rows(lines: Iterable[bytes]) -> Iterator[Json]:
        nonlocal torn
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                torn = True
                return
            try:
                yield load_json(line)
            except StrictError as error:
                raise InputError(f"{path}:{number}: {error.message}; the history is damaged before its end") from None

    def blob(digest: str) -> bytes:
        return _blob(directory / "blobs" / Path(digest).name)

    try:
        with path.open("rb") as file:
            history = _assemble(rows(file), blob)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; is {directory} a run directory?") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(f"{path}: not a history of format {FORMAT}: {type(error).__name__} at {error}") from None
    return replace(history, torn=torn)


def _blob(path: Path) -> bytes:
    """A stored body; what is not the body that was stored would be blamed on the provider."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:  # noqa: PTH123 - the flags
            body = file.read()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; the run directory is damaged") from None
    if hashlib.sha256(body).hexdigest() != path.name:
        raise InputError(f"{path} is not what was stored under this name; the run directory is damaged")
    return body


def _assemble(rows: Iterable[Json], blob: Bodies) -> History:
    """The history in some rows, each of which is let go as soon as it has been read: there may be very many."""
    headers: list[Row] = []
    intents: list[Row] = []
    ended: dict[str, Row] = {}
    exchanges: dict[str, list[Exchange]] = {}
    audits: list[Json] = []
    footer, offset, latest, shared = None, 0, None, _Shared()
    for row in rows:
        kind = row["type"]
        if kind == "header":
            offset = _offset(headers[0], row, latest) if headers else 0
            headers.append(row)
            audits.append(None)
        elif not headers:
            break
        elif kind == "exchange":
            exchange = moved(_exchange(row, blob, shared), offset)
            exchanges.setdefault(exchange.call, []).append(exchange)
            latest = exchange.received_ns if latest is None else max(latest, exchange.received_ns)
        elif kind == "intent":
            intents.append(row)
        elif kind == "call":
            ended[row["call"]] = row
        elif kind == "footer":
            footer, audits[-1] = row, row.get("audit")
    if not headers:
        raise ValueError("the first line, which is no header")
    first = headers[0]
    if first["format"] != FORMAT:
        raise ValueError(f"format {first['format']}")
    plans = tuple(plan_from(value) for value in first["plans"])
    cases = {case.id: case for plan in plans for case in plan.cases}
    calls = tuple(
        _call(row, _sent_case(row, cases[row["case_id"]], blob), exchanges.get(row["call"], []), ended.get(row["call"]))
        for row in intents
    )
    specs = {target: (str(spec["path"]), _bytes(spec["text"], blob) or b"") for target, spec in first["specs"].items()}
    spared, sent = (footer or {}).get("spared", {}), {call.case.id for call in calls}
    plans = tuple(_without_spared(plan, sent) if plan.target in spared else plan for plan in plans)
    return History(tuple(headers), plans, specs, calls, footer, torn=False, audits=tuple(audits))


class _Shared:
    """Values that many rows hold alike, kept once: headers, addresses, ids."""

    def __init__(self) -> None:
        self._headers: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
        self._texts: dict[str, str] = {}

    def headers(self, value: Mapping[str, str]) -> Mapping[str, str]:
        """The first headers that were equal to these."""
        return self._headers.setdefault(tuple(value.items()), value)

    def text(self, value: str) -> str:
        """The first text that was equal to this one."""
        return self._texts.setdefault(value, value)


def _without_spared(plan: Plan, sent: AbstractSet[str]) -> Plan:
    """A plan that was more than was needed, without what was not sent of it."""
    return replace(plan, cases=tuple(case for case in plan.cases if case.id in sent))


def _offset(first: Row, later: Row, latest_ns: int | None) -> int:
    """What leads from a later segment's clock to the first one's; nothing of it was before ``latest_ns``."""
    apart = datetime.fromisoformat(later["started_at"]) - datetime.fromisoformat(first["started_at"])
    at: int = first["anchor_ns"] + apart // timedelta(microseconds=1) * 1000
    return (at if latest_ns is None else max(at, latest_ns)) - int(later["anchor_ns"])


def moved(exchange: Exchange, by_ns: int) -> Exchange:
    """An exchange with its instants on another clock."""
    if not by_ns:
        return exchange
    first_byte = exchange.first_byte_ns
    return replace(
        exchange,
        intended_ns=exchange.intended_ns + by_ns,
        sent_ns=exchange.sent_ns + by_ns,
        first_byte_ns=None if first_byte is None else first_byte + by_ns,
        received_ns=exchange.received_ns + by_ns,
    )


def _sent_case(intent: Row, case: Case, blob: Bodies) -> Case:
    """The case as it was sent: a derived call may change the body of the planned one."""
    body = _bytes(intent.get("body"), blob)
    if body is None:
        return case
    return case.sent_as(load_json(body), intent["images"])


def _call(intent: Row, case: Case, exchanges: list[Exchange], end: Row | None) -> Call:
    call = Call(
        id=intent["call"],
        case=case,
        exchanges=tuple(exchanges),
        outcome=Outcome.UNKNOWN,
        job_id=None,
        billed="unknown",
        images=case.images,
        reason=CUT_OFF,
        derived=intent.get("derived"),
    )
    if end is None:
        return call
    return replace(
        call,
        outcome=Outcome(end["outcome"]),
        job_id=end["job_id"],
        billed=end["billed"],
        images=end["images"],
        reason=end["reason"],
        segment=end.get("segment", 0),
    )


def _exchange(row: Row, blob: Bodies, shared: _Shared) -> Exchange:
    error, response = row["error"], row["response"]
    body = _bytes(response["body"], blob) or b""
    step: Any = shared.text(row["step"])
    return Exchange(
        call=shared.text(row["call"]),
        case_id=shared.text(row["case_id"]),
        step=step,
        attempt=row["attempt"],
        method=shared.text(row["method"]),
        url=shared.text(row["url"]),
        request_headers=shared.headers(row["request"]["headers"]),
        request_body=_bytes(row["request"]["body"], blob),
        reply=Failure(error["kind"], error["message"], error["left"], body)
        if error
        else Response(row["status"], shared.headers(response["headers"]), body, _was_withheld(response)),
        intended_ns=row["intended_ns"],
        sent_ns=row["sent_ns"],
        first_byte_ns=row["first_byte_ns"],
        received_ns=row["received_ns"],
        purpose=row["purpose"],
        connect_ns=row.get("connect_ns", 0),
    )


def _was_withheld(response: Row) -> bool:
    """Whether a body could not be kept: here, or in the recording that this run replays."""
    return bool(response.get("withheld")) or "received_bytes" in (response["body"] or {})


def _bytes(body: Json, blob: Bodies) -> bytes | None:
    if body is None:
        return None
    if "blob" in body:
        return blob(body["blob"].removeprefix("sha256:"))
    if "json" in body:
        return encode(body["json"])
    if "text" in body:
        text: str = body["text"]
        return text.encode()
    return base64.b64decode(body["base64"])


def rows(directory: Path) -> Iterator[Json]:
    """The rows of a run directory's history as they stand, a torn last line left out."""
    for line in (directory / FILE).read_bytes().split(b"\n")[:-1]:
        yield load_json(line)
