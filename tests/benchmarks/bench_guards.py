"""What do the guards cost, and do they hold where it hurts: processor time, memory, time, of every bomb and stall?

Measured: (1) processor time of the client per exchange, as a ratio to the bare transport in the same rounds: with the
wire's guards (origin, key, limits, recorded headers), then with strict JSON, redaction and the row of the history; the
row with redaction alone says what of it is the guards'. (2) for each bomb and each stall of ``tests/hostile``, the
growth of peak memory during its job and its judging, and how long the job took beyond its deadline.

How: (1) a server in a process of its own answers a poll of 400 bytes; rounds of each kind alternate, the median round
counts. (2) rows run one after the other in a process that has run once; the peak is reset before each (Linux).

How to read it: a growth above 64 MB a job, or more than 2 s beyond the deadline, is a guard that does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import ctypes
import gc
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from unittest import mock

import httpx

from harness import engine
from harness.clock import RealClock, cpu_seconds
from harness.flow import body_json
from harness.history import MemoryJournal, exchange_row
from harness.model import Exchange, Response
from harness.secret import Secret
from harness.transport.live import AiohttpTransport, Trail
from harness.transport.redact import Redactor
from harness.transport.wire import Sent
from tests import fakes
from tests.hostile.behaviours import ROWS
from tests.hostile.stage import SLOW_SECONDS, Row, delivered, staged, value
from tests.leaks import KEY

POLL = json.dumps(
    {"request_id": "j-1", "status": "IN_PROGRESS", "logs": [{"message": "step " * 60, "level": "INFO"}]}
).encode()
HURTS = (
    "bomb",
    "endless",
    "length-beyond",
    "parts",
    "many-values",
    "json-deep",
    "long",
    "are-text",
    "without-number",
    "digits",
)
NOISE = random.Random(1).randbytes(17 * 2**20)
LARGEST = Row(
    "largest-answer",
    {"result": lambda _: value(delivered("data:image/png;base64," + base64.b64encode(NOISE).decode()))},
    *(None, "fail", 1, "yes"),
)
"""No bomb: an answer that is just within the limits, of what cannot be compressed."""


def serve() -> None:
    """Answer polls until standard input closes."""

    async def main() -> None:
        said = fakes.answer(POLL, headers=["content-type: application/json"])
        async with fakes.serving(fakes.answers(said)) as peer:
            print(peer.url, flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    asyncio.run(main())


async def overhead(url: str, rounds: int, each: int) -> dict[str, float]:
    """Processor time per exchange by kind, in microseconds: the median of the rounds."""
    clock = RealClock()
    transport = AiohttpTransport(clock)
    way = fakes.wire(transport, clock, url)
    redactor = Redactor([Secret(KEY)])
    journals = {"redacted": MemoryJournal(redactor), "recorded": MemoryJournal(Redactor(()))}

    async def bare() -> None:
        headers = {"host": httpx.URL(url).netloc.decode(), "accept": "application/json"}
        answer = await transport.handle_async_request(
            httpx.Request("GET", url, headers=headers, extensions={"trail": Trail()})
        )
        async for _ in answer.stream:  # type: ignore[union-attr]
            pass
        await answer.aclose()

    async def wired() -> Sent:
        return await way.send(fakes.get(url), seconds=10)

    async def whole(journal: MemoryJournal) -> None:
        sent = await wired()
        assert isinstance(sent.reply, Response)
        body_json(sent.reply)
        instants = (sent.sent_ns, sent.sent_ns, sent.first_byte_ns, sent.received_ns)
        journal.append(
            exchange_row(Exchange("c1", "case", "status", 1, "GET", url, sent.headers, None, sent.reply, *instants))
        )
        journal.rows.clear()

    kinds: dict[str, Callable[[], Awaitable[object]]] = {
        "bare transport": bare,
        "with the wire's guards": wired,
        "with strict JSON and a row": lambda: whole(journals["recorded"]),
        "with redaction: all of it": lambda: whole(journals["redacted"]),
    }
    spent: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds + 1):
        for name, ask in kinds.items():
            before = cpu_seconds()
            for _ in range(each):
                await ask()
            spent[name].append((cpu_seconds() - before) / each * 1e6)
    await transport.aclose()
    return {name: statistics.median(times[1:]) for name, times in spent.items()}


def peak_mb() -> float:
    """The peak of resident memory since it was reset, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def resident_mb() -> float:
    """Resident memory at present, the peak reset to it."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before is not to hide what is taken now
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mb()


async def hurt(rows: list[Row]) -> list[tuple[str, float, float]]:
    """Each row with the growth of peak memory in MB, and the seconds that its job took beyond its deadline."""
    found = []
    with tempfile.TemporaryDirectory() as place, mock.patch.object(engine, "DOWNLOAD_SECONDS", SLOW_SECONDS):
        async with staged(rows, Path(place)) as stage:
            for row in (rows[0], *rows):
                before = resident_mb()
                outcome = await stage.run(row)
                found.append((row.name, peak_mb() - before, outcome.seconds - SLOW_SECONDS if row.slow else 0.0))
    return found[1:]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few rounds and rows: shows that it runs")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    rounds, each = (2, 20) if options.quick else (15, 200)
    with subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        assert child.stdin
        times = asyncio.run(overhead(child.stdout.readline().strip(), rounds, each))
        child.stdin.close()
    rows = [row for row in ROWS if row.slow or any(word in row.name for word in HURTS)]
    hurting = asyncio.run(hurt(rows[:3] if options.quick else [*rows, LARGEST]))
    print(f"{'an exchange':34}{'us':>8}{'x bare':>8}")
    print("-" * 50)
    for name, microseconds in times.items():
        print(f"{name:34}{microseconds:8.0f}{microseconds / times['bare transport']:8.2f}")
    if not options.quick:
        print(f"\n{'bomb or stall':34}{'MB':>8}{'s late':>8}")
        for name, grown, late in sorted(hurting, key=lambda one: -one[1]):
            print(f"{name:34}{grown:8.1f}{late:8.2f}")
    name, grown, _ = max(hurting, key=lambda one: one[1])
    late = max(one[2] for one in hurting)
    print(f"worst of {len(hurting)} bombs and stalls: {grown:.0f} MB ({name}), {late:.2f} s beyond the deadline")


if __name__ == "__main__":
    main()
