"""Real processes against a provider that says the key and worse where a terminal would show it, and signals."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter

import pytest

from harness.history import FILE, read
from tests import fakes
from tests.fakes import KEY, answer, one_request, serving
from tests.leaks import leaks
from tests.test_run import posts, started, unaccounted, until

JOB = f"{KEY}\n::error::owned\x1b[2J\u202e"
"""A job id that no terminal and no CI system should see as it is."""


def takes_jobs(job: str = JOB):
    """The queue of fal, which takes every job under an id and never ends it."""

    async def behave(peer, reader, writer):
        while data := await one_request(peer, reader):
            number = len(posts(peer))
            said = (
                {"request_id": f"{job}{number}", "status": "IN_QUEUE"}
                if data.startswith(b"POST")
                else {"status": "IN_PROGRESS"}
            )
            writer.write(answer(json.dumps(said).encode(), headers=["content-type: application/json"]))
            await writer.drain()

    return behave


async def in_flight(peer, place, *more, jobs: int = 3, **limits):
    whole = ("--tier", "pairwise", "--no-rejects", "--concurrency", str(jobs))
    child = await started(peer, place, *whole, *more, **limits)
    await until(lambda: len(posts(peer)) >= jobs and len(peer.requests) > 2 * jobs, child)
    return child


def test_what_is_printed_at_the_end_holds_no_key_and_steers_nothing(tmp_path):
    """Ids of unfinished jobs are named, the key in them masked, each on one line that no CI system obeys."""

    async def main():
        async with serving(takes_jobs()) as peer:
            child = await in_flight(peer, tmp_path / "run")
            child.send_signal(signal.SIGTERM)
            out, errors = await child.communicate()
            return child.returncode, out + errors

    status, printed = asyncio.run(main())
    lines = printed.decode().splitlines()
    assert (status, leaks(printed, KEY, depth=1)) == (143, [])
    assert sum(line.startswith("unfinished: fal/") and "***" in line for line in lines) == 3
    assert [line for line in lines if line.startswith("::") or not line.isprintable()] == []
    assert [
        p.name for p in (tmp_path / "run").rglob("*") if p.is_file() and leaks(p.read_bytes()[:20_000], KEY, depth=1)
    ] == []


def test_a_second_interrupt_leaves_at_once_with_the_history_whole(tmp_path):
    """SIGINT twice: 130, no further request, and every submit that was seen has its intent."""

    async def main():
        async with serving(takes_jobs("job-")) as peer:
            child = await in_flight(peer, tmp_path / "run", jobs=20)
            child.send_signal(signal.SIGINT)
            await asyncio.sleep(0.3)
            still = child.returncode
            child.send_signal(signal.SIGINT)
            _, errors = await child.communicate()
            return peer, still, child.returncode, errors.decode()

    peer, still, status, errors = asyncio.run(main())
    assert (still, status, "Traceback" in errors) == (None, 130, False)
    assert (unaccounted(peer, tmp_path / "run"), read(tmp_path / "run").torn) == (Counter(), False)


def test_a_disk_that_fills_up_names_the_jobs_in_flight(tmp_path):
    """What was taken and can be recorded no more is told in the one line: nothing else knows the ids."""

    async def run(directory, limit):
        async with serving(takes_jobs("job-")) as peer:
            child = await in_flight(peer, directory, limit=limit)
            if limit is None:
                child.kill()
            _, errors = await child.communicate()
            return child.returncode, errors.decode(), len(posts(peer))

    asyncio.run(run(tmp_path / "first", None))
    header = (tmp_path / "first" / FILE).read_bytes().index(b"\n")
    status, errors, sent = asyncio.run(run(tmp_path / "full", header + 9_000))
    assert (status, errors.count("\n"), errors.startswith("harness: cannot write")) == (4, 1, True), errors
    assert ("nothing more was sent; jobs in flight: job-" in errors, "job-1 (fal/" in errors) == (True, True)
    assert sent <= 4


@pytest.mark.parametrize("left", [b"", b'{"type":"hea'])
def test_a_run_begins_where_one_was_killed_before_its_header(tmp_path, left):
    """The same command with the same place works again: nothing had been sent."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / FILE).write_bytes(left)

    async def main():
        async with serving(takes_jobs("job-")) as peer:
            child = await in_flight(peer, tmp_path / "run", jobs=1)
            child.kill()
            await child.communicate()
            return len(posts(peer))

    assert asyncio.run(main()) == 1
    assert read(tmp_path / "run").calls[0].job_id is None
    assert fakes.KEY == KEY
