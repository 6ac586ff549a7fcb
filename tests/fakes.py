# ruff: noqa: ARG001 - behaviours, scripts and scenarios have one signature each
"""Named fakes, so that no test needs a mock: peers on loopback sockets, providers in this process, recorders.

Peers are behaviours of a raw server (``async with serving(resets_after_reading()) as peer``), for claims about bytes.
Providers are httpx transports with the wire behaviour of fal's queue (``never_completes``, ``rate_limits(3)``), for
claims about time and money; they run under a virtual clock too.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from itertools import count
from typing import Any

import httpx

from harness.clock import NS, Clock, VirtualClock
from harness.engine import Ended, Engine, Options, Work
from harness.flow import Route
from harness.ledger import Ledger
from harness.model import Call, Case, Exchange, Request
from harness.secret import BoundKey, Secret
from harness.spec import Spec, load, shipped_targets
from harness.transport.wire import Limits, Wire
from harness.urls import origin

FAL = "fal/flux-pro-kontext-multi"
GATEWAY = "fal-gateway/flux-pro-kontext-multi"
WAVESPEED = "wavespeed/flux-kontext-pro-multi"
UMODELVERSE = "umodelverse/flux-kontext-pro"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
HOME = "http://provider.test"
KEY = "key-0123456789abcdef/+:key"


# --- peers: raw servers on loopback ----------------------------------------------------------------------------------


@dataclass
class Peer:
    """A server as its tests see it: where it is, every request it has read, and how many connections it took."""

    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    received: int = 0

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def lines(self) -> list[str]:
        """The request lines, as they came."""
        return [data.partition(b"\r\n")[0].decode("latin-1") for data in self.requests]


Behaviour = Callable[[Peer, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(behaviour: Behaviour, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Peer]:
    """A peer with a behaviour, for as long as the context lasts; on any port for 0."""
    peer, busy = Peer(), set[asyncio.Task[None]]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        busy.add(task)
        peer.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await behaviour(peer, reader, writer)
        finally:
            busy.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", port, ssl=tls, limit=2**20)
    peer.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        server.close()
        for task in list(busy):
            task.cancel()
        await asyncio.sleep(0.01)


async def one_request(peer: Peer, reader: asyncio.StreamReader) -> bytes:
    """Read a request whole, and keep it."""
    data = await reader.readuntil(b"\r\n\r\n")
    for line in data.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            data += await reader.readexactly(int(value))
    peer.requests.append(data)
    return data


def answer(body: bytes = b"{}", *, status: str = "200 OK", headers: Iterable[str] = ()) -> bytes:
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def answers(data: bytes, *, then_closes: bool = False) -> Behaviour:
    """Answers every request on a connection with these bytes."""

    async def behave(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await one_request(peer, reader):
            writer.write(data)
            await writer.drain()
            if then_closes:
                return

    return behave


def resets_after_reading() -> Behaviour:
    """Reads a request to its last byte, then resets the connection (RST)."""

    async def behave(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await one_request(peer, reader)
        reset(writer)

    return behave


def reset(writer: asyncio.StreamWriter) -> None:
    """Reset a connection (RST)."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a script sees it; ``number`` counts the peer's requests of this method, from 1."""

    method: str
    path: str
    body: bytes
    number: int
    home: str


Answerer = Callable[[Asked], Awaitable[bytes | None]]


def scripted(script: Answerer) -> Behaviour:
    """Answers each request with the bytes that a script gives; None resets the connection.

    After an answer that says ``connection: close`` it is closed, whether the answer was whole or not.
    """

    async def behave(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await one_request(peer, reader):
            head, _, body = data.partition(b"\r\n\r\n")
            method, path = head.decode("latin-1").split(" ", 2)[:2]
            number = sum(line.startswith(f"{method} ") for line in peer.lines())
            said = await script(Asked(method, path, body, number, peer.url))
            if said is None:
                reset(writer)
                return
            writer.write(said)
            await writer.drain()
            if b"\r\nconnection: close" in said:
                return

    return behave


def never_answers() -> Behaviour:
    """Reads requests and says nothing."""

    async def behave(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await one_request(peer, reader):
            pass

    return behave


def accepts_and_is_silent() -> Behaviour:
    """Takes the connection and counts what arrives, without a word: no TLS handshake gets anywhere."""

    async def behave(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            peer.received += len(data)

    return behave


def drips(head: bytes, drop: bytes = b" ", every: float = 0.02) -> Behaviour:
    """Answers with a head, and then a drop at a time, for ever."""

    async def behave(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await one_request(peer, reader)
        writer.write(head)
        while True:
            await writer.drain()
            await asyncio.sleep(every)
            writer.write(drop)

    return behave


def drops_kept_connections(data: bytes) -> Behaviour:
    """Answers the first request of a connection, and reads the second one only to close without an answer."""

    async def behave(peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await one_request(peer, reader)
        writer.write(data)
        await one_request(peer, reader)

    return behave


# --- providers in this process ---------------------------------------------------------------------------------------

Script = Callable[["Provider", httpx.Request], Awaitable[httpx.Response]]


class Provider(httpx.AsyncBaseTransport):
    """fal's queue, as far as a client can tell: POST, status, result. ``script`` may answer otherwise.

    ``seen`` holds the instant, method and path of every request; ``posts`` the instants of the submits.
    """

    def __init__(self, clock: Clock, script: Script | None = None, seconds: float = 3.0, submit: float = 0.1) -> None:
        self.clock, self.script, self.seconds, self.submit = clock, script, seconds, submit
        self.seen: list[tuple[int, str, str]] = []
        self.bodies: list[bytes] = []
        self.running, self.most_running = 0, 0
        self._ids, self._ready = count(1), dict[str, int]()

    @property
    def posts(self) -> list[int]:
        """When each submit came, in nanoseconds."""
        return [at for at, method, _ in self.seen if method == "POST"]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, by the script if there is one."""
        if trail := request.extensions.get("trail"):
            trail.sent_ns = self.clock.now_ns()
        self.seen.append((self.clock.now_ns(), request.method, request.url.path))
        return await (self.script(self, request) if self.script else self.healthy(request))

    async def healthy(self, request: httpx.Request) -> httpx.Response:
        """What a provider in good health answers."""
        if request.method == "POST":
            await self.clock.sleep(self.submit)
            job = f"job-{next(self._ids)}"
            self._ready[job] = self.clock.now_ns() + round(self.seconds * NS)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            return httpx.Response(200, json={"request_id": job, "status": "IN_QUEUE"})
        parts = request.url.path.split("/")
        job = parts[-2] if parts[-1] == "status" else parts[-1]
        done = self._ready[job] <= self.clock.now_ns()
        if parts[-1] == "status":
            return httpx.Response(200, json={"request_id": job, "status": "COMPLETED" if done else "IN_PROGRESS"})
        self.running -= 1
        return httpx.Response(200, json={"images": [{"url": PIXEL}], "prompt": "p"})


async def never_completes(provider: Provider, request: httpx.Request) -> httpx.Response:
    """Takes every job and runs it for ever."""
    if request.method != "POST":
        return httpx.Response(200, json={"status": "IN_PROGRESS"})
    return await provider.healthy(request)


async def never_replies(provider: Provider, request: httpx.Request) -> httpx.Response:
    """Takes every submit and says nothing."""
    await asyncio.Event().wait()
    raise AssertionError(request)


async def refuses_key(provider: Provider, request: httpx.Request) -> httpx.Response:
    """Refuses whoever asks."""
    await provider.clock.sleep(provider.submit)
    return httpx.Response(401, json={"detail": "no"})


async def loses_the_submit(provider: Provider, request: httpx.Request) -> httpx.Response:
    """Takes a submit and drops the connection."""
    await provider.clock.sleep(provider.submit)
    raise httpx.ReadError("gone", request=request)


async def cannot_be_reached(provider: Provider, request: httpx.Request) -> httpx.Response:
    """No connection is ever made."""
    request.extensions["trail"].sent_ns = None
    raise httpx.ConnectError("nobody there", request=request)


def rate_limits(times: int, retry_after: str | None = None) -> Script:
    """Answers the first submits with 429."""

    async def script(provider: Provider, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and len(provider.posts) <= times:
            headers = {} if retry_after is None else {"retry-after": retry_after}
            return httpx.Response(429, headers=headers, json={"detail": "slow down"})
        return await provider.healthy(request)

    return script


def breaks(*submits: int, status: int = 500) -> Script:
    """Answers the submits with these numbers, counted from 1, with a server error."""

    async def script(provider: Provider, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and len(provider.posts) in submits:
            await provider.clock.sleep(provider.submit)
            return httpx.Response(status, text="oops")
        return await provider.healthy(request)

    return script


# --- recorders and runs ----------------------------------------------------------------------------------------------


class Record:
    """A recorder that keeps the order of things; syncing an intent takes ``sync`` seconds."""

    def __init__(self, clock: Clock, sync: float = 0.0) -> None:
        self.clock, self.sync = clock, sync
        self.events: list[tuple[str, str]] = []
        self.exchanges: list[Exchange] = []
        self.calls: list[Call] = []
        self.durable_ns: dict[str, int] = {}
        self.derived: list[tuple[str, str]] = []

    async def intent(self, call: str, case: Case, derived: str | None) -> None:
        await self.clock.sleep(self.sync)
        self.events.append(("intent", call))
        self.durable_ns[call] = self.clock.now_ns()
        if derived:
            self.derived.append((case.id, derived))

    def exchange(self, exchange: Exchange) -> None:
        self.events.append((exchange.step, exchange.call))
        self.exchanges.append(exchange)

    def call(self, call: Call) -> None:
        self.events.append(("call", call.id))
        self.calls.append(call)


@cache
def spec(target: str = FAL) -> Spec:
    return load(shipped_targets()[target], shipped=True)


def body_of(contract: Spec, flow: str | None = None) -> dict[str, Any]:
    """A valid body, by role."""
    image = "https://images.example/a.png"
    wanted = {"prompt": "a red fox", "images": [image], "image": image, "seed": 7}
    named = {p.name: wanted[role] for role in wanted if (p := contract.parameter(role))}
    chosen = contract.flows[flow] if flow else contract.default_flow
    return {**contract.constants, **chosen.body, **named}


def cases(number: int, usd: str = "0.04", target: str = FAL, flow: str | None = None) -> tuple[Case, ...]:
    """Accept cases of a target."""
    body = body_of(spec(target), flow)
    return tuple(
        Case(f"{target}/n/{n}", target, body, "accept", "a test asks", 1, Decimal(usd)) for n in range(1, number + 1)
    )


def wire(
    api: httpx.AsyncBaseTransport,
    clock: Clock,
    base: str = HOME,
    public: httpx.AsyncBaseTransport | None = None,
    *,
    limits: Limits | None = None,
    scheme: str = "Key",
) -> Wire:
    """A way out to a trusted base URL, with a key."""
    home = frozenset({origin(base)})
    key = BoundKey(Secret(KEY), "Authorization", scheme, home)
    return Wire(api, public or api, clock, key, home, limits or Limits())


def work(api: httpx.AsyncBaseTransport, clock: Clock, share: Sequence[Case], **more: Any) -> Work:
    """One target's share of a run."""
    contract, base = spec(share[0].target), more.pop("base", HOME)
    flow = contract.flows[more.pop("flow", None) or contract.default_flow.name]
    way = wire(api, clock, base, more.pop("public", None), scheme=contract.credential.scheme)
    return Work(Route(contract, flow, base), way, share, **({"concurrency": 8} | more))


@dataclass
class Run:
    """A run in virtual time, as its tests see it; ``ended_ns`` is when it ended."""

    ended: Ended
    ended_ns: int
    record: Record
    ledger: Ledger
    engine: Engine

    @property
    def outcomes(self) -> dict[str, tuple[str, str]]:
        """Outcome and charge by the last part of the case id."""
        return {call.case.id.rpartition("/")[2]: (call.outcome.value, call.billed) for call in self.record.calls}


async def run(
    shares: Sequence[Work],
    *,
    limit: str | None = None,
    options: Options | None = None,
    sync: float = 0.0,
    meanwhile: Callable[[Engine, Ledger], Awaitable[None]] | None = None,
) -> Run:
    """Run an engine; ``meanwhile`` runs beside it."""
    clock = VirtualClock()
    record, ledger = Record(clock, sync), Ledger(None if limit is None else Decimal(limit))
    engine = Engine(clock, record, ledger, options or Options(confirm=False))
    beside = asyncio.ensure_future(meanwhile(engine, ledger)) if meanwhile else None
    try:
        ended = await engine.run(shares)
        ended_ns = clock.now_ns()
    finally:
        if beside:
            beside.cancel()
            with suppress(asyncio.CancelledError):
                await beside
    return Run(ended, ended_ns, record, ledger, engine)


def get(url: str, **more: Any) -> Request:
    """A status read."""
    return Request(**({"step": "status", "method": "GET", "url": url} | more))


def post(url: str, body: bytes = b'{"prompt":"x"}', **more: Any) -> Request:
    """A submit."""
    return Request(
        **({"step": "submit", "method": "POST", "url": url, "body": body, "content_type": "application/json"} | more)
    )


def relative(exchanges: Iterable[Exchange], start_ns: int) -> list[Mapping[str, Any]]:
    """Exchanges with their instants counted from a start."""
    return [
        {
            "step": e.step,
            "url": e.url,
            "reply": e.reply,
            "instants": tuple(at - start_ns for at in (e.intended_ns, e.sent_ns, e.received_ns)),
        }
        for e in exchanges
    ]
