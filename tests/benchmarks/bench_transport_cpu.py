"""What one exchange costs the client's processor, by HTTP client and by how much of the harness stands on top.

Measured: CPU microseconds of this process per GET of a poll-sized JSON answer (all threads, the journal's writer
included), over kept-alive loopback connections, 32 and 512 in flight.

How: a raw ``asyncio.Protocol`` server in a process of its own answers a fal-like status that names the job asked for;
every client checks every answer. The clients take turns in interleaved rounds, each round on new connections that
an uncounted warm-up opens; the figure is the median of the rounds. It is processor time, so a busy machine
disturbs it little.

Decides: which sockets stand under the httpx API (``harness/transport/live.py``), and where the next microsecond is
to be saved. A client's own CPU time shows up as a provider's latency, and at 512 in flight it is the ceiling.

There is no threshold on time here: only wrong answers make the script fail.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import aiohttp
import httpx
import httpx_aiohttp

from harness.clock import RealClock
from harness.history import FileJournal, exchange_row
from harness.model import Exchange, Request, Response
from harness.secret import BoundKey, Secret
from harness.strict import load_json
from harness.transport.live import AiohttpTransport
from harness.transport.redact import Redactor
from harness.transport.wire import Wire
from harness.urls import origin

KEY = "benchmark-key-0123456789abcdef"
AUTHORIZATION = {"authorization": f"Key {KEY}"}
PATH = "/fal-ai/flux-pro/requests/{job}/status"
FILES = 4096

Ask = Callable[[str], Awaitable[bytes]]
"""Reads the status of a job; its body."""

Opened = Callable[[str], AbstractAsyncContextManager[Ask]]
"""Opens a client of the server at a base URL."""


# The server --------------------------------------------------------------------------------------------------------


def status_of(job: str) -> bytes:
    """The body that answers a poll for a job."""
    link = f"https://queue.fal.run/fal-ai/flux-pro/requests/{job}"
    links = {
        f"{name}_url": link + tail for name, tail in (("response", ""), ("status", "/status"), ("cancel", "/cancel"))
    }
    return json.dumps({"status": "IN_PROGRESS", "request_id": job, **links, "logs": None, "metrics": {}}).encode()


_PIECES = status_of("\0").split(b"\\u0000")
_JOB = re.compile(rb"GET /fal-ai/flux-pro/requests/([0-9a-z-]+)/status ")


class Server(asyncio.Protocol):
    """Answers each GET at once; ``/cpu`` tells how many CPU seconds the server itself has used."""

    def __init__(self) -> None:
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection to write to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that has come in whole."""
        *requests, self._waiting = (self._waiting + data).split(b"\r\n\r\n")
        for request in requests:
            found = _JOB.match(request)
            body = found[1].join(_PIECES) if found else json.dumps(time.process_time()).encode()
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nserver: bench\r\ncontent-length: %d\r\n\r\n%b"
                % (len(body), body)
            )


async def serve() -> None:
    """Serve until standard input closes; the port is printed first."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


@contextmanager
def served() -> Iterator[str]:
    """The base URL of a server in a process of its own."""
    child = subprocess.Popen([sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin
    assert child.stdout
    try:
        yield f"http://127.0.0.1:{int(child.stdout.readline())}"
    finally:
        child.stdin.close()
        child.wait(10)
        child.stdout.close()


# The clients -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def bare_aiohttp(base: str) -> AsyncIterator[Ask]:
    """An aiohttp session."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=AUTHORIZATION) as session:

        async def ask(job: str) -> bytes:
            async with session.get(base + PATH.format(job=job)) as answer:
                return await answer.read()

        yield ask


@asynccontextmanager
async def bare_httpx(base: str) -> AsyncIterator[Ask]:
    """An httpx client with one pool and no limits."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, headers=AUTHORIZATION, timeout=60) as client:

        async def ask(job: str) -> bytes:
            return (await client.get(base + PATH.format(job=job))).content

        yield ask


@asynccontextmanager
async def over_httpx_aiohttp(base: str) -> AsyncIterator[Ask]:
    """An httpx client over httpx-aiohttp, no limits."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx_aiohttp.HttpxAiohttpClient(limits=limits, headers=AUTHORIZATION, timeout=60) as client:

        async def ask(job: str) -> bytes:
            content: bytes = (await client.get(base + PATH.format(job=job))).content
            return content

        yield ask


@asynccontextmanager
async def our_transport(base: str) -> AsyncIterator[Ask]:
    """Our transport, called as httpx calls it."""
    async with AiohttpTransport(RealClock()) as transport:

        async def ask(job: str) -> bytes:
            request = httpx.Request("GET", base + PATH.format(job=job), headers=AUTHORIZATION)
            answer = await transport.handle_async_request(request)
            body = await answer.aread()
            await answer.aclose()
            return body

        yield ask


def _wire(base: str) -> Wire:
    clock, here = RealClock(), frozenset({origin(base)})
    key = BoundKey(Secret(KEY), "Authorization", "Key", here)
    return Wire(AiohttpTransport(clock), AiohttpTransport(clock), clock, key, here)


def _poll(base: str, job: str) -> Request:
    return Request("status", "GET", base + PATH.format(job=job))


@asynccontextmanager
async def our_wire(base: str) -> AsyncIterator[Ask]:
    """Our wire: limits, credential, instants."""
    async with contextlib.aclosing(_wire(base)) as wire:

        async def ask(job: str) -> bytes:
            sent = await wire.send(_poll(base, job), seconds=60)
            assert isinstance(sent.reply, Response), f"the wire lost an answer: {sent.reply}"
            return sent.reply.body

        yield ask


@asynccontextmanager
async def all_in(base: str) -> AsyncIterator[Ask]:
    """Our wire, every exchange recorded in a run directory, every answer parsed strictly."""
    with tempfile.TemporaryDirectory() as directory:
        journal = FileJournal(Path(directory) / "run", Redactor([Secret(KEY)]))
        try:
            async with contextlib.aclosing(_wire(base)) as wire:

                async def ask(job: str) -> bytes:
                    request, intended = _poll(base, job), wire.clock.now_ns()
                    sent = await wire.send(request, seconds=60)
                    assert isinstance(sent.reply, Response), f"the wire lost an answer: {sent.reply}"
                    exchange = Exchange(
                        call="c000001",
                        case_id="fal/flux-pro-kontext-multi/accept/prompt=short-01234567",
                        step=request.step,
                        attempt=1,
                        method=request.method,
                        url=request.url,
                        request_headers=sent.headers,
                        request_body=None,
                        reply=sent.reply,
                        intended_ns=intended,
                        sent_ns=sent.sent_ns,
                        first_byte_ns=sent.first_byte_ns,
                        received_ns=sent.received_ns,
                    )
                    journal.append(exchange_row(exchange))
                    parsed = load_json(sent.reply.body)
                    assert parsed["request_id"] == job, f"asked for {job}, parsed {parsed['request_id']}"
                    if job.endswith("-last"):
                        await journal.durable()
                    return sent.reply.body

                yield ask
        finally:
            journal.close()


CLIENTS: dict[str, Opened] = {
    "aiohttp": bare_aiohttp,
    "httpx": bare_httpx,
    "httpx-aiohttp": over_httpx_aiohttp,
    "our transport": our_transport,
    "our Wire.send": our_wire,
    "all-in (recorded, parsed)": all_in,
}


# The measurement ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Round:
    """One client's turn: CPU microseconds per exchange, of the client and of the server."""

    client_us: float
    server_us: float


async def turn(name: str, base: str, in_flight: int, requests: int) -> Round:
    """Open a client, warm it up, and measure it."""
    async with CLIENTS[name](base) as ask:
        await _ask_all(name, ask, [f"{n}-warm" for n in range(in_flight)], in_flight)
        jobs = [f"{n}-{in_flight}-job" for n in range(requests - 1)] + ["0-last"]
        gc.collect()
        server, client = await _server_cpu(base), time.process_time()
        await _ask_all(name, ask, jobs, in_flight)
        client, server = time.process_time() - client, await _server_cpu(base) - server
    return Round(client / requests * 1e6, server / requests * 1e6)


async def _ask_all(name: str, ask: Ask, jobs: Sequence[str], in_flight: int) -> None:
    waiting, right = iter(jobs), 0

    async def worker() -> None:
        nonlocal right
        for job in waiting:
            body = await ask(job)
            assert body == status_of_bytes(job), f"{name} asked for {job} and was given {body[:120]!r}"
            right += 1

    await asyncio.gather(*(worker() for _ in range(in_flight)))
    assert right == len(jobs), f"{name} was given {right} of {len(jobs)} answers"


def status_of_bytes(job: str) -> bytes:
    """``status_of`` without its JSON encoder, whose time is no client's."""
    return job.encode().join(_PIECES)


async def _server_cpu(base: str) -> float:
    host, _, port = base.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /cpu HTTP/1.1\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    seconds = float(await reader.readexactly(length))
    writer.close()
    await writer.wait_closed()
    return seconds


def requests_of(name: str, in_flight: int, *, quick: bool) -> int:
    """How many exchanges a turn measures."""
    if quick:
        return in_flight
    return max(in_flight, 256) if name == "httpx" else max(4 * in_flight, 2048)


def rounds_of(name: str, in_flight: int, rounds: int) -> int:
    """How many turns a client has: httpx at 512 takes 10 ms and more for each exchange, and has one."""
    return 1 if name == "httpx" and in_flight > 100 else rounds


def table(found: dict[tuple[str, int], list[Round]], levels: Sequence[int]) -> str:
    """The medians, and their ratios to bare aiohttp."""
    head = f"{'client':27}" + "".join(f"{f'{level} in flight':>14}{'× aiohttp':>11}{'range':>16}" for level in levels)
    lines = [head, "-" * len(head)]
    for name in CLIENTS:
        line = f"{name:27}"
        for level in levels:
            rounds = sorted(r.client_us for r in found[name, level])
            own, bare = statistics.median(rounds), statistics.median(r.client_us for r in found["aiohttp", level])
            line += f"{own:11.0f} µs{own / bare:11.2f}{f'{rounds[0]:.0f}–{rounds[-1]:.0f}':>16}"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, few in flight: shows that it runs")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if given.serve:
        asyncio.run(serve())
        return
    levels, rounds = ((8, 64), 1) if given.quick else ((32, 512), 3)
    found: dict[tuple[str, int], list[Round]] = {}
    with served() as base:
        for turns, level, name in product(range(rounds), levels, CLIENTS):
            if turns < rounds_of(name, level, rounds):
                measured = asyncio.run(turn(name, base, level, requests_of(name, level, quick=given.quick)))
                found.setdefault((name, level), []).append(measured)
    server = statistics.median(r.server_us for each in found.values() for r in each)
    print(f"client CPU per exchange, median of {rounds} interleaved rounds; the server used {server:.0f} µs")
    print(table(found, levels))


if __name__ == "__main__":
    main()
