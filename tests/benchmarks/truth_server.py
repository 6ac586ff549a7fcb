"""A provider that tells the truth: every answer carries the instants at which the server itself did things.

It speaks two of the shipped dialects on one port, in a process of its own: UModelVerse's synchronous endpoint, and fal's
queue (any path that it does not know as the former). Its instants are of ``time.monotonic_ns``, which is one clock for
all processes of a machine, so a client's stopwatch can be held beside them:

    truth.arrive_ns    the request was there whole
    truth.send_ns      the answer was given to the socket
    truth.running_ns, truth.done_ns    when the job began to run and was done (queue only)

It is a raw ``asyncio.Protocol``: what it costs per request is a fraction of any client's. Durations come from a generator
with a seed; ``sigma`` 0 makes them all the same. ``GET /cpu`` tells how much processor time the server has used.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NS = 1_000_000_000
SYNCHRONOUS = b"/v1/images/generations"
PIXEL = "https://assets.example/o.png"


class Provider:
    """The jobs of a server, and how long each takes."""

    def __init__(self, queue: float, inference: float, sigma: float, seed: int) -> None:
        self.queue, self.inference, self.sigma = queue, inference, sigma
        self.rng = random.Random(seed)
        self.jobs: dict[bytes, tuple[int, int, int]] = {}

    def duration(self, median: float) -> int:
        """A duration in nanoseconds around a median."""
        return round(median * (self.rng.lognormvariate(0, self.sigma) if self.sigma else 1) * NS)


class Connection(asyncio.Protocol):
    """One connection: requests come one after the other, as HTTP/1.1 has it."""

    def __init__(self, provider: Provider) -> None:
        self.provider, self.waiting = provider, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection to write to."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that has come in whole."""
        self.waiting += data
        while (end := self.waiting.find(b"\r\n\r\n")) >= 0:
            head = self.waiting[:end]
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.waiting) < end + 4 + length:
                return
            self.waiting = self.waiting[end + 4 + length :]
            method, path, _ = head.split(b" ", 2)
            self.request(method, path.partition(b"?")[0], time.monotonic_ns())

    def request(self, method: bytes, path: bytes, arrive: int) -> None:
        """Answer a request, or set a timer for it."""
        provider = self.provider
        if path == b"/cpu":
            self.reply({"cpu_s": time.process_time()}, arrive)
        elif path.endswith(SYNCHRONOUS):
            value = {"created": 1, "data": [{"url": PIXEL}]}
            done = arrive + provider.duration(provider.inference)
            asyncio.get_running_loop().call_at(done / NS, self.reply, value, arrive)
        elif method == b"POST":
            name = b"job-%d" % len(provider.jobs)
            running = arrive + provider.duration(provider.queue)
            provider.jobs[name] = arrive, running, running + provider.duration(provider.inference)
            self.reply({"request_id": name.decode(), "status": "IN_QUEUE"}, arrive)
        else:
            self.read(path.split(b"/"), arrive)

    def read(self, parts: list[bytes], arrive: int) -> None:
        """Answer a status or a result."""
        of_status = parts[-1] == b"status"
        name = parts[-2] if of_status else parts[-1]
        _, running, done = self.provider.jobs[name]
        word = "IN_QUEUE" if arrive < running else "IN_PROGRESS" if arrive < done else "COMPLETED"
        value: dict[str, object] = {"request_id": name.decode(), "status": word}
        if not of_status:
            value = {"images": [{"url": PIXEL}], "prompt": "", "seed": 1, "has_nsfw_concepts": [False]}
        self.reply(value, arrive, running_ns=running, done_ns=done)

    def reply(self, value: dict[str, object], arrive: int, **truth: int) -> None:
        """Send an answer, with what is true about it."""
        told = {"arrive_ns": arrive, "send_ns": time.monotonic_ns(), **truth}
        body = json.dumps({**value, "truth": told}).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(head % len(body) + body)


async def serve(provider: Provider) -> None:
    """Serve until standard input closes; the port is printed first."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(provider), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    gc.freeze()
    await loop.run_in_executor(None, sys.stdin.buffer.read)


@contextmanager
def served(*, queue: float = 0.0, inference: float = 1.0, sigma: float = 0.0, seed: int = 0) -> Iterator[str]:
    """The base URL of a truth server in a process of its own."""
    options = {"queue": queue, "inference": inference, "sigma": sigma, "seed": seed}
    child = subprocess.Popen(
        [sys.executable, Path(__file__).resolve(), *(f"--{name}={value}" for name, value in options.items())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdin
    assert child.stdout
    try:
        yield f"http://127.0.0.1:{int(child.stdout.readline())}"
    finally:
        child.stdin.close()
        child.wait(10)
        child.stdout.close()


def raise_soft_limit(wanted: int = 16384) -> None:
    """Let this process, and those that it starts, open as many connections as the machine allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    """Serve as the command line asks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, default in (("queue", 0.0), ("inference", 1.0), ("sigma", 0.0)):
        parser.add_argument(f"--{name}", type=float, default=default)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    raise_soft_limit()
    asyncio.run(serve(Provider(given.queue, given.inference, given.sigma, given.seed)))


if __name__ == "__main__":
    main()
