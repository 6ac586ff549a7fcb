"""A provider without manners, the internet around it, and whole runs against both, in one process and one event loop.

The provider is a raw server: a row of a table says, step by step, which bytes it sends, how slowly, or that it says
nothing. Names resolve to addresses that a table gives; what the guard lets through ends at a TLS server that is the
public internet here. Every address that is connected to is noted by Python's own audit hook, so that nothing reaches
anywhere unseen. A run is the whole pipeline but for the disk: engine, wire, guards, journal, redaction, checks, report.
"""

from __future__ import annotations

import asyncio
import io
import json
import random
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from PIL import Image

from harness import engine
from harness.audit import Watch
from harness.clock import NS, Clock, RealClock
from harness.engine import Engine, Options
from harness.flow import Route
from harness.history import MemoryJournal
from harness.ledger import Ledger
from harness.metrics.cost import UsdPrice
from harness.model import Case, Plan
from harness.report import document, junit, markdown
from harness.report.results import RunResult
from harness.run import HistoryRecorder, exit_status, footer_row, header_row, work_of
from harness.schedule import Schedule
from harness.secret import BoundKey, Secret
from harness.targets import Request, Target
from harness.transport.guard import GuardedResolver
from harness.transport.live import AiohttpTransport
from harness.transport.redact import Redactor
from harness.transport.wire import Wire
from harness.urls import origin
from tests.fakes import FAL, UMODELVERSE, Peer, body_of, one_request, reset, spec
from tests.leaks import KEY

CDN = "files.cdn.test"
USD = Decimal("0.04")
PUBLIC = "93.184.216.34"
POLL_SECONDS = 0.02
CASES: Mapping[str, tuple[str, str | None]] = {"queue": (FAL, None), "sync": (UMODELVERSE, None)}
_AT_A_TIME = 12
SLOW_SECONDS = 1.5
"""How long the jobs of a slow row may take, and its downloads."""


# --- what a provider says --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as a behaviour sees it; ``number`` counts the requests of this step of its row, from 1."""

    row: str
    step: str
    number: int
    request: bytes
    home: str

    @property
    def body(self) -> Any:
        """What was posted."""
        return json.loads(self.request.partition(b"\r\n\r\n")[2])

    def link(self, step: str, job: str = "job-1") -> str:
        """The provider's own link to a step of a job."""
        tail = {"status": "/status", "cancel": "/cancel"}.get(step, "")
        return f"{self.home}/{self.row}/fal-ai/flux-pro/requests/{job}{tail}"

    def file(self, name: str = "1") -> str:
        """The address of a file on the public internet."""
        return f"https://{CDN}/{self.row}/{name}.jpg"


SILENT, RESET, CLOSE = "silent", "reset", "close"
Said = bytes | str | Iterator[bytes]
Answer = Said | Callable[[Ask], Said]
"""Bytes, ``SILENT``, ``RESET``, ``CLOSE``, bytes one after the other for as long as somebody reads, or what makes them."""


def said(body: bytes | str, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """An answer with a JSON body, or whatever is in it."""
    data = body.encode() if isinstance(body, str) else body
    kind = [] if any(h.lower().startswith("content-type:") for h in headers) else ["content-type: application/json"]
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(data) if length is None else length}", *kind, *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data


def value(content: Any, status: str = "200 OK", *headers: str) -> bytes:
    """An answer with a JSON value."""
    return said(json.dumps(content), status, *headers)


def submitted(ask: Ask, **changed: Any) -> dict[str, Any]:
    """A queue's answer to a submit."""
    links = {
        f"{name}_url": ask.link(step)
        for name, step in (("response", "result"), ("status", "status"), ("cancel", "cancel"))
    }
    return {"request_id": "job-1", "status": "IN_QUEUE", "queue_position": 0, **links, **changed}


def delivered(*urls: str, **changed: Any) -> dict[str, Any]:
    """A queue's result."""
    flags = [False] * len(urls)
    return {
        "images": [{"url": url} for url in urls],
        "timings": {},
        "seed": 7,
        "has_nsfw_concepts": flags,
        "prompt": "a red fox",
        **changed,
    }


def healthy(ask: Ask) -> Said:
    """What a provider in good health says."""
    if ask.step == "file":
        return said(picture(), "200 OK", "content-type: image/jpeg")
    if ask.step == "submit" and "/v1/images" in ask.request.split(b" ", 2)[1].decode():
        return value({"created": round(time.time()), "data": [{"url": ask.file()}]})
    answers = {
        "submit": lambda: submitted(ask),
        "status": lambda: (
            {"status": "COMPLETED", "logs": None, "metrics": {}} | ({} if ask.number > 1 else {"status": "IN_PROGRESS"})
        ),
        "result": lambda: delivered(ask.file()),
        "cancel": lambda: {"status": "CANCELLATION_REQUESTED"},
    }
    return value(
        answers[ask.step](),
        "202 Accepted" if ask.step == "cancel" or (ask.step == "status" and ask.number == 1) else "200 OK",
    )


@cache
def picture(kind: str = "JPEG", width: int = 64, height: int = 64, *, seed: int = 1) -> bytes:
    """A picture of noise."""
    file = io.BytesIO()
    Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(width * height * 3)).save(file, kind)
    return file.getvalue()


def forever(*first: bytes, then: bytes) -> Callable[[Ask], Iterator[bytes]]:
    """Some bytes, and then others without end."""

    def stream() -> Iterator[bytes]:
        yield from first
        while True:
            yield then

    return lambda _: stream()


@dataclass(frozen=True)
class Row:
    """A behaviour and what a user expects of a run against it.

    ``shows`` is the check that tells, with its verdict, None where nothing is to be told. ``reads`` is how many
    requests of a step may be made at most, ``whole`` whether the run has to come to an end of its own.
    """

    name: str
    answers: Mapping[str, Answer]
    shows: tuple[str, str] | None
    verdict: str
    status: int
    billed: str
    flow: str = "queue"
    slow: bool = False
    body: Mapping[str, Any] = field(default_factory=dict)
    files: bool = True

    @property
    def expected(self) -> tuple[Any, ...]:
        """Check with verdict, the run's verdict, exit status and charge."""
        return (self.shows, self.verdict, self.status, self.billed)


# --- the servers -----------------------------------------------------------------------------------------------------


class Provider:
    """The provider, and the public internet: what every row was asked, in bytes."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = {row.name: row for row in rows}
        self.asked: dict[str, list[tuple[str, bytes]]] = {row.name: [] for row in rows}
        self.abroad: dict[str, list[bytes]] = {row.name: [] for row in rows}
        self.home = ""
        self.serving = set[asyncio.Task[None]]()

    def posts(self, row: str) -> Counter[bytes]:
        """The bodies that were posted, with how often."""
        return Counter(data.partition(b"\r\n\r\n")[2] for step, data in self.asked[row] if step == "submit")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a connection's requests as their rows say."""
        peer, task = Peer(), asyncio.current_task()
        assert task
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, asyncio.LimitOverrunError):
            while data := await one_request(peer, reader):
                ask = self._ask(data)
                answer = self.rows[ask.row].answers.get(ask.step, healthy)
                told = answer(ask) if callable(answer) else answer
                if await self._tell(told, writer):
                    break
        writer.close()

    def _ask(self, data: bytes) -> Ask:
        method, path = data.split(b" ", 2)[:2]
        name, _, rest = path.decode("latin-1").lstrip("/").partition("/")
        host = next((line for line in data.split(b"\r\n") if line.lower().startswith(b"host:")), b"")
        if CDN.encode() in host:
            self.abroad[name].append(data)
            return Ask(name, "file", len(self.abroad[name]), data, self.home)
        ends = {"status": "status", "cancel": "cancel"}
        step = "submit" if method == b"POST" else ends.get(rest.rpartition("/")[2].partition("?")[0], "result")
        self.asked[name].append((step, data))
        number = sum(one == step for one, _ in self.asked[name])
        return Ask(name, step, number, data, self.home)

    @staticmethod
    async def _tell(told: Said, writer: asyncio.StreamWriter) -> bool:
        """Send what is said; whether the connection ends with it."""
        if told == SILENT:
            await asyncio.Event().wait()
        if told == RESET:
            reset(writer)
            return True
        if isinstance(told, str):
            return True
        for data in (told,) if isinstance(told, bytes) else told:
            # Under TLS writing to who has left is no error, and never waits: the loop has to be given the chance to hear
            # of it, since some answers have no end.
            await asyncio.sleep(0)
            if writer.is_closing():
                return True
            writer.write(data)
            await writer.drain()
            if len(data) < 64 and not isinstance(told, bytes):
                await asyncio.sleep(0.02)
        return not isinstance(told, bytes) or b"connection: close" in told[:2000].lower()


NAMES: dict[str, list[list[str]]] = {
    CDN: [[PUBLIC]],
    "inner.test": [["127.0.0.1"]],
    "private.test": [["10.1.2.3"]],
    "one-of-two.test": [[PUBLIC, "127.0.0.1"]],
    "rebinding.test": [[PUBLIC], ["127.0.0.1"]],
    "mapped.test": [["::ffff:127.0.0.1"]],
    "nat64.test": [["64:ff9b::7f00:1"]],
    "sixtofour.test": [["2002:7f00:1::1"]],
    "teredo.test": [["2001:0:7f00:1::1"]],
    "link-local.test": [["fe80::1%lo"]],
    "metadata.test": [["169.254.169.254"]],
    "multicast.test": [["224.0.0.251"]],
    "unique-local.test": [["fd00::1"]],
    "shared.test": [["100.64.0.1"]],
    "reserved.test": [["240.0.0.1"]],
    "unspecified.test": [["::"]],
}
"""What the name server answers, lookup by lookup; the last answer stays."""


class Names(AbstractResolver):
    """A name server that answers from the table, and spells out what a resolver of the machine would."""

    def __init__(self) -> None:
        self.asked = Counter[str]()

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        if host in NAMES:
            answers = NAMES[host]
            found = answers[min(self.asked[host], len(answers) - 1)]
            self.asked[host] += 1
        else:
            try:
                found = [str(one[4][0]) for one in socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)]
            except socket.gaierror:
                found = ["127.0.0.1"] if host.rstrip(".") in ("localhost", "127.0.0.1") else []
        if not found:
            raise socket.gaierror(-2, "name not known")
        return [_result(host, address, port) for address in found]

    async def close(self) -> None:
        pass


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0}


class Internet(AbstractResolver):
    """The guard over the table; a public address that it lets through is the TLS server of this stage."""

    def __init__(self, port: int) -> None:
        self._guard, self._port = GuardedResolver(Names()), port

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        await self._guard.resolve(host, port, family)
        return [_result(host, "127.0.0.1", self._port)]

    async def close(self) -> None:
        pass


_connected: list[Any] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _connected is not None:
        _connected.append(arguments[1])


sys.addaudithook(_note)


@contextmanager
def connections() -> Iterator[list[Any]]:
    """Every address that this process connects a socket to, while it lasts."""
    global _connected  # noqa: PLW0603 - an audit hook cannot be taken back
    _connected = []
    try:
        yield _connected
    finally:
        _connected = None


@cache
def certificate(place: Path) -> tuple[Path, Path]:
    """A certificate of the public internet's, and its key."""
    key, cert = place / "key.pem", place / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    names = f"subjectAltName=DNS:{CDN},DNS:*.test"
    subprocess.run(
        [*command, "-keyout", key, "-out", cert, "-subj", "/CN=test", "-addext", names], check=True, capture_output=True
    )
    return cert, key


# --- runs ------------------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What came of a row's run: its report, everything that it wrote, and how long its jobs took, in seconds."""

    result: RunResult
    status: int
    journal: MemoryJournal
    seconds: float

    def told(self, row: Row) -> tuple[Any, ...]:
        """What is compared with ``Row.expected``."""
        return self.compared(row.shows)

    def compared(self, shows: tuple[str, str] | None) -> tuple[Any, ...]:
        """The finding that was to be shown or another one, the verdict, the exit status, and the first case's charge."""
        (target,) = self.result.document["targets"].values()
        findings = {(f["check"], f["verdict"]) for f in target["findings"]}
        shown = shows if shows in findings else min(findings, default=None)
        first = self.result.targets[0].judged[0].call
        return (shown, target["verdict"], self.status, first.billed if first else None)

    def written(self) -> Iterator[bytes]:
        """Every byte that went to the disk, and the report."""
        yield from (json.dumps(row, ensure_ascii=False).encode() for row in self.journal.rows)
        yield from self.journal.blobs.values()
        yield document.dump(self.result.document).encode()
        yield junit.render(self.result).encode()
        yield markdown.render(self.result).encode()


@dataclass
class Stage:
    """Both servers, running."""

    provider: Provider
    api: AiohttpTransport
    public: AiohttpTransport
    ports: frozenset[int]
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    async def run(self, row: Row) -> Outcome:
        """One case of a target against a row's behaviour."""
        name, flow = CASES[row.flow]
        contract = spec(name)
        route = Route(
            contract, contract.flows[flow] if flow else contract.default_flow, f"{self.provider.home}/{row.name}"
        )
        seconds = SLOW_SECONDS if row.slow and "file" not in row.answers else 60.0
        options = Options(deadline_seconds=seconds, schedule=Schedule(POLL_SECONDS))
        return await judged(target_of(route, (row.name,), row.body), RealClock(), self.api, self.public, options)


async def judged(
    target: Target, clock: Clock, api: httpx.AsyncBaseTransport, public: httpx.AsyncBaseTransport, options: Options
) -> Outcome:
    """A target's run, from its header to its report."""
    contract, route = target.route.spec, target.route
    journal, watch = MemoryJournal(Redactor([Secret(KEY)])), Watch(clock)
    journal.append(header_row("run-1", [target], Request("live", flow=route.flow.name), clock))
    wire = Wire(api, public, clock, target.key, frozenset({origin(route.base_url)}))
    runner = Engine(clock, HistoryRecorder(journal, [target], watch), Ledger(Decimal(5)), options)
    began = clock.now_ns()
    ended = await runner.run([work_of(target, wire)])
    seconds = (clock.now_ns() - began) / NS
    journal.append(footer_row(ended, watch.audit(), runner.unfinished()))
    result = document.build(journal.history(), {contract.target: contract})
    return Outcome(result, exit_status(result), journal, seconds)


def target_of(route: Route, names: Sequence[str], more: Mapping[str, Any] | None = None) -> Target:
    """A target with a case for each name, and its key, as ``targets_of`` decides it."""
    contract = route.spec
    body = {**body_of(contract), **(more or {})}
    cases = tuple(
        Case(f"{contract.target}/accept/{name}", contract.target, body, "accept", "a test asks", 1, USD)
        for name in names
    )
    plan = Plan(contract.target, contract.sha256, route.flow.name, "one-way", 0, cases, {})
    key = BoundKey(Secret(KEY), contract.credential.header, contract.credential.scheme, route.origins)
    return Target(route, plan, UsdPrice(USD, "a test says so"), key, len(cases), None)


@asynccontextmanager
async def staged(rows: Sequence[Row], place: Path) -> AsyncIterator[Stage]:
    """The servers, for as long as the context lasts."""
    provider, clock = Provider(rows), RealClock()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(place))
    home = await asyncio.start_server(provider.serve, "127.0.0.1", 0, limit=2**20)
    abroad = await asyncio.start_server(provider.serve, "127.0.0.1", 0, ssl=context, limit=2**20)
    ports = [server.sockets[0].getsockname()[1] for server in (home, abroad)]
    provider.home = f"http://127.0.0.1:{ports[0]}"
    trusting = ssl.create_default_context(cafile=str(certificate(place)[0]))
    api = AiohttpTransport(clock)
    public = AiohttpTransport(clock, resolver=Internet(ports[1]), tls=trusting)
    try:
        yield Stage(provider, api, public, frozenset(ports))
    finally:
        await api.aclose()
        await public.aclose()
        home.close()
        abroad.close()
        for task in list(provider.serving):
            task.cancel()
        await asyncio.gather(*provider.serving, return_exceptions=True)


def played(rows: Sequence[Row], place: Path) -> tuple[Stage, list[Any]]:
    """The stage after every row has been run, and the addresses that were connected to."""
    kept: list[Stage] = []
    with connections() as connected:
        asyncio.run(_all_of(rows, place, kept))
        return kept[0], list(connected)


async def _all_of(rows: Sequence[Row], place: Path, kept: list[Stage]) -> None:
    # Nothing is returned: asyncio writes out what a main task returns, which takes seconds for this.
    async with staged(rows, place) as stage:
        kept.append(stage)
        places = asyncio.Semaphore(_AT_A_TIME)

        async def one(row: Row) -> None:
            async with places:
                stage.outcomes[row.name] = await stage.run(row)

        await asyncio.gather(*(one(row) for row in rows if not row.slow))
        # What waits for its end does so side by side, and with nothing that keeps the loop busy beside it.
        places = asyncio.Semaphore(len(rows))
        with mock.patch.object(engine, "DOWNLOAD_SECONDS", SLOW_SECONDS):
            await asyncio.gather(*(one(row) for row in rows if row.slow))
