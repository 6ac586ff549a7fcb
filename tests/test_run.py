"""Whole runs: the same flow in three worlds, and real processes that are killed, told to end, or out of disk."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.clock import RealClock, VirtualClock, run_virtual
from harness.config import Config
from harness.engine import Engine, Options
from harness.flow import encode
from harness.history import FILE, read, rows
from harness.ledger import Ledger
from harness.model import Response
from harness.run import check
from harness.schedule import Schedule
from harness.simulator import Server, Settings, application
from harness.targets import Request
from harness.transport.live import AiohttpTransport
from tests import fakes
from tests.fakes import FAL, HOME, PIXEL, UMODELVERSE, WAVESPEED, answer, one_request, serving, spec, work

ROOT = Path(__file__).parents[1]
QUICK = Settings(queue_seconds=0.25, inference_seconds=0.25, sigma=0, epoch=1_764_000_000.0)
POLLS = Options(confirm=False, schedule=Schedule(fixed=0.03))
VOLATILE = {"created", "created_at", "inference", "inference_time", "timings", "metrics"}


# --- three worlds ----------------------------------------------------------------------------------------------------


async def exchanges(clock, transport, target, flow, base):
    record = fakes.Record(clock)
    share = work(transport, clock, fakes.cases(2, target=target, flow=flow), flow=flow, base=base, concurrency=1)
    ended = await Engine(clock, record, Ledger(None), POLLS).run([share])
    assert (ended.complete, ended.simulated) == (True, True)
    return [told(e, base.rpartition("/")[0].rpartition("/")[0]) for e in record.exchanges]


def told(exchange, here):
    """What an exchange says, without where and when it was."""
    assert isinstance(exchange.reply, Response), exchange.reply

    def steady(value):
        if isinstance(value, dict):
            return {k: "…" if k in VOLATILE else steady(v) for k, v in value.items()}
        if isinstance(value, list):
            return [steady(item) for item in value]
        return value.replace(here, HOME) if isinstance(value, str) else value

    body = exchange.reply.body
    seen = steady(json.loads(body)) if exchange.reply.content_type == "application/json" else body
    return (
        exchange.case_id,
        exchange.step,
        exchange.method,
        exchange.url.replace(here, HOME),
        exchange.reply.status,
        seen,
    )


def collapsed(seen):
    """Exchanges without the status answers that only repeat the one before."""
    return [e for n, e in enumerate(seen) if n == 0 or e != seen[n - 1] or e[1] != "status"]


@contextlib.contextmanager
def served():
    """The simulator on a socket, in a thread with a loop of its own."""
    started, loop = threading.Event(), asyncio.new_event_loop()
    server = Server([spec(t) for t in (FAL, WAVESPEED, UMODELVERSE)], QUICK)
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.run(lambda _: started.set())))
    thread.start()
    assert started.wait(10)
    try:
        yield server.origin
    finally:
        loop.call_soon_threadsafe(server.stop)
        thread.join(10)
        loop.close()


@pytest.mark.parametrize(
    ("target", "flow", "steps"),
    [
        (FAL, "queue", ["submit", "status", "status", "status", "result", "asset"]),
        (WAVESPEED, "poll", ["submit", "status", "status", "status", "asset"]),
        (WAVESPEED, "sync", ["submit", "asset"]),
        (UMODELVERSE, "sync", ["submit", "asset"]),
    ],
)
def test_one_flow_makes_the_same_exchanges_in_every_world(target, flow, steps):
    """Over real HTTP, in this process and in virtual time the same flow asks the same and is told the same."""
    prefix = f"/{spec(target).provider}/{flow}"

    async def over_http(origin):
        transport = AiohttpTransport(RealClock())
        try:
            return await exchanges(RealClock(), transport, target, flow, origin + prefix)
        finally:
            await transport.aclose()

    async def in_process(clock):
        app = application([spec(target)], QUICK, clock)
        return await exchanges(clock, httpx.ASGITransport(app), target, flow, HOME + prefix)

    with served() as origin:
        real = collapsed(asyncio.run(over_http(origin)))
    virtual = collapsed(run_virtual(in_process(VirtualClock())))
    assert [e[1] for e in virtual if e[0].endswith("/1")] == steps
    assert collapsed(asyncio.run(in_process(RealClock()))) == virtual
    assert real == virtual


# --- real processes --------------------------------------------------------------------------------------------------


def takes_jobs(*, completes):
    """Fal's queue on a socket: every job is taken, and is complete at once or never."""

    async def behave(peer, reader, writer):
        while data := await one_request(peer, reader):
            method, path = data.split(b" ", 2)[:2]
            if method == b"POST":
                said: dict[str, Any] = {"request_id": f"job-{len(posts(peer))}", "status": "IN_QUEUE"}
            elif path.endswith(b"/status"):
                said = {"status": "COMPLETED" if completes else "IN_PROGRESS"}
            else:
                said = {"images": [{"url": PIXEL}], "prompt": "p"}
            writer.write(answer(json.dumps(said).encode(), headers=["content-type: application/json"]))
            await writer.drain()

    return behave


def posts(peer):
    return [r.partition(b"\r\n\r\n")[2] for r in peer.requests if r.startswith(b"POST")]


async def started(peer, directory, *more, limit=None):
    """``harness check`` of fal in a process of its own, live against the peer."""
    limited = (
        ""
        if limit is None
        else f"import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
    )
    code = f"import sys; {limited} from harness.cli import main; sys.argv = ['harness', *sys.argv[1:]]; main()"
    options = [
        "--live",
        "--base-url",
        f"fal={peer.url}",
        "--max-cost",
        "100",
        "--out",
        str(directory),
        "--quiet",
        *more,
    ]
    environment = {k: v for k, v in os.environ.items() if "PROXY" not in k.upper()} | {
        "FAL_KEY": fakes.KEY,
        "PYTHONPATH": str(ROOT),
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, "check", FAL, *options,
        env=environment, cwd=directory.parent, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def until(condition, child):
    """Wait for what a child's server sees, or for the child's own end."""
    for _ in range(6000):
        if condition() or child.returncode is not None:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("what was waited for did not come")


def sent_body(case):
    """The bytes that a case's submit has for a body."""
    raw = None if case.sending is None else case.sending.body
    return encode(case.body) if raw is None else raw


def unaccounted(peer, directory):
    """Submits that the server saw and no intent row speaks of."""
    return Counter(posts(peer)) - Counter(sent_body(call.case) for call in read(directory).calls)


WHOLE = ("--tier", "pairwise", "--no-rejects", "--concurrency", "4")
"""76 requests that the document allows: the peer takes whatever it is sent, and rejects are soon given up then."""


async def killed_after(number, peer, directory):
    """Start a run and kill it once its server has seen so many submits; the status that the process ended with."""
    child = await started(peer, directory, *WHOLE)
    await until(lambda: len(posts(peer)) >= number, child)
    child.send_signal(signal.SIGKILL)
    await child.communicate()
    return child.returncode


@pytest.mark.parametrize("number", [1, 15])
def test_a_killed_run_has_an_intent_for_every_submit(tmp_path, number):
    """After SIGKILL with jobs in flight the history reads, and every POST that the server saw has its intent in it."""

    async def main():
        async with serving(takes_jobs(completes=True)) as peer:
            return peer, await killed_after(number, peer, tmp_path / "run")

    peer, status = asyncio.run(main())
    assert (status, len(posts(peer)) >= number) == (-signal.SIGKILL, True)
    assert (unaccounted(peer, tmp_path / "run"), read(tmp_path / "run").footer) == (Counter(), None)
    assert fakes.KEY.encode() not in b"".join(p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file())


async def ended(child):
    _, errors = await child.communicate()
    return child.returncode, errors.decode()


@pytest.mark.parametrize("number", [1, 40])
def test_a_killed_run_is_resumed_without_a_second_payment(tmp_path, number):
    """After SIGKILL the same command with --resume ends the run: no body is posted twice, every planned case is run."""

    async def main():
        async with serving(takes_jobs(completes=True)) as peer:
            await killed_after(number, peer, tmp_path / "run")
            cut = read(tmp_path / "run")
            killed = await ended(await started(peer, tmp_path / "run", *WHOLE, "--resume"))
            once = len(peer.requests)
            again = await ended(await started(peer, tmp_path / "run", *WHOLE, "--resume"))
            return peer, cut, killed, again, once

    peer, cut, (status, errors), again, once = asyncio.run(main())
    history = read(tmp_path / "run")
    assert (unaccounted(peer, tmp_path / "run"), max(Counter(c.case.id for c in history.calls).values())) == (
        Counter(),
        1,
    )
    assert (status in (1, 3), errors) == (True, "")
    assert history.footer
    assert (history.footer["complete"], len(history.headers), len(history.calls) >= len(cut.calls)) == (True, 2, True)
    assert {case.id for plan in history.plans for case in plan.cases} == {call.case.id for call in history.calls}
    assert (again, len(peer.requests)) == ((status, f"{tmp_path / 'run'} is finished: nothing was sent\n"), once)


def test_a_run_that_is_going_on_cannot_be_resumed(tmp_path):
    """While one process writes a run another one that would resume it says so and sends nothing."""

    async def main():
        async with serving(takes_jobs(completes=False)) as peer:
            child = await started(peer, tmp_path / "run", "--max-cases", "1", "--no-rejects")
            await until(lambda: len(posts(peer)) == 1, child)
            second = await ended(await started(peer, tmp_path / "run", "--resume"))
            child.kill()
            await child.communicate()
            return peer, second

    peer, (status, errors) = asyncio.run(main())
    assert (status, errors.count("\n"), "is being written by another run" in errors) == (2, 1, True)
    assert len(posts(peer)) == 1


def test_a_history_cut_at_any_byte_is_resumed(tmp_path):
    """Cut after a line or in its middle, a finished run's history is resumed by reading, and by sending what it lacks."""

    def checked(peer, directory, **more):
        asked = {"base_urls": {("fal", None): peer.url}, "out": directory, "rejects": False, "max_cases": 1}
        return check((spec(FAL),), Request("live", **(asked | more)), Config(), {"FAL_KEY": fakes.KEY})

    async def main():
        async with serving(takes_jobs(completes=True)) as peer:
            whole = await asyncio.to_thread(checked, peer, tmp_path / "whole")
            data = (tmp_path / "whole" / FILE).read_bytes()
            ends = [number for number, byte in enumerate(data) if byte == 10]
            told = []
            for end in ends[:-1]:
                for cut in (end + 1, end + 1 + (data.index(b"\n", end + 1) - end) // 2):
                    directory = tmp_path / str(cut)
                    shutil.copytree(tmp_path / "whole", directory)
                    (directory / FILE).write_bytes(data[:cut])
                    intended = bool(read(directory).calls)
                    before = len(posts(peer))
                    done = await asyncio.to_thread(checked, peer, directory, resume=True, rejects=True)
                    told.append((len(posts(peer)) - before + intended, done.ended.complete, read(directory).torn))
            return whole, told

    whole, told = asyncio.run(main())
    assert (set(told), len(told) > 8, whole.ended.complete) == ({(1, True, False)}, True, True)


def test_a_finished_recording_without_its_cassette_writes_it(tmp_path):
    """A kill after the last row leaves no cassette: resuming writes it from the history, and nothing that is newer."""

    def checked(peer, **more):
        asked = {"base_urls": {("fal", None): peer.url}, "out": tmp_path / "run", "rejects": False, "max_cases": 1}
        request = Request("record", cassettes=tmp_path / "cassettes", **(asked | more))
        return check((spec(FAL),), request, Config(), {"FAL_KEY": fakes.KEY})

    async def main():
        async with serving(takes_jobs(completes=True)) as peer:
            await asyncio.to_thread(checked, peer)
            first, sent = cassette.read_bytes(), len(peer.requests)
            cassette.unlink()
            done = await asyncio.to_thread(checked, peer, resume=True)
            again = cassette.read_bytes()
            await asyncio.to_thread(checked, peer, out=tmp_path / "newer", seed=1)
            newer, more = cassette.read_bytes(), len(peer.requests)
            await asyncio.to_thread(checked, peer, resume=True)
            return first == again, newer == cassette.read_bytes(), done.note, len(peer.requests) - more, sent < more

    cassette = tmp_path / "cassettes" / f"{FAL}.yaml"
    assert asyncio.run(main()) == (True, True, f"{tmp_path / 'run'} is finished: nothing was sent", 0, True)


def test_a_terminated_run_says_which_jobs_have_no_end(tmp_path):
    """After SIGTERM the run ends by itself with 143: every job in flight is in the history as unknown, with its id."""

    async def main():
        async with serving(takes_jobs(completes=False)) as peer:
            child = await started(peer, tmp_path / "run", "--concurrency", "3", "--no-rejects")
            await until(lambda: len(posts(peer)) == 3 and len(peer.requests) > 6, child)
            child.send_signal(signal.SIGTERM)
            _, errors = await child.communicate()
            return peer, child.returncode, errors.decode()

    peer, status, errors = asyncio.run(main())
    history = read(tmp_path / "run")
    assert (status, len(posts(peer)), "Traceback" in errors) == (143, 3, False)
    assert history.footer
    assert (history.footer["complete"], history.footer["interrupted"]) == (False, True)
    assert sorted((c.outcome.value, c.billed, c.job_id) for c in history.calls) == [
        ("unknown", "unknown", f"job-{n}") for n in (1, 2, 3)
    ]
    assert all(f"job-{n}" in errors for n in (1, 2, 3))


def test_a_disk_that_fills_up_stops_the_run_in_one_sentence(tmp_path):
    """When a row does not fit any more nothing new is sent; the exit status is 4, the message one line."""

    async def run(directory, limit):
        async with serving(takes_jobs(completes=True)) as peer:
            child = await started(peer, directory, "--concurrency", "2", limit=limit)
            if limit is None:
                await until(lambda: len(posts(peer)) >= 1, child)
                child.kill()
            _, errors = await child.communicate()
            return peer, child.returncode, errors.decode()

    asyncio.run(run(tmp_path / "first", None))
    header = (tmp_path / "first" / FILE).read_bytes().index(b"\n")
    peer, status, errors = asyncio.run(run(tmp_path / "full", header + 12_000))
    assert (status, errors.count("\n"), errors.startswith("harness: cannot write")) == (4, 1, True), errors
    assert (len(posts(peer)) > 0, unaccounted(peer, tmp_path / "full")) == (True, Counter())
    assert sum(row["type"] == "intent" for row in rows(tmp_path / "full")) <= len(posts(peer)) + 2
