"""What do kills cost? SIGKILLs at random instants of runs over HTTP, each run resumed, and the money compared.

Measured: after each kill, whether every paid submit that the provider saw has its row in the history (``submits without
a row``), whether the history reads and can be judged (``histories that do not read``); after the last resume of each
run, whether any submit was made twice (``second payments``), whether the report is complete, and whether its money is
the provider's; whether each cassette is whole, or not there at all (``cassettes that do not read``). ``answers lost`` are submits that were under way at a kill: they stay unknown, and are not sent again.

How: a simulated provider that takes its time (medians 0.15 s in the queue, 0.35 s to run) serves in a process of its
own and counts each body that it is sent, by key. A run is ``harness.run.check`` of fal's queue and of UModelVerse's
synchronous endpoint, live and recording in turns, in a process that is forked from one which has everything imported
and has run once. It is killed at an instant drawn evenly over the time that a whole run takes; so is the resume, one
time in two, and the resume of that, before one is left to end. A run has a key of its own, and up to
twenty jobs in flight, ten of each target; one that was killed before its header is begun again in the same place.
Several lanes run side by side, since most of a run is waiting.

How to read it: the three counts that must be zero say so; ``kills`` are those that hit, by what they hit.

Decides: whether the order of journal and wire, and the table of what a cut-off call's record makes certain, hold
outside virtual time.

There is no threshold on time here: only a count that must be zero and is not makes the script fail.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from harness import run
from harness.cassettes import slots_under
from harness.config import Config
from harness.errors import HarnessError
from harness.flow import WITHOUT_KEY, asks_without_key, encode
from harness.history import FILE, History, read
from harness.metrics.cost import cost
from harness.model import LOST, Call
from harness.simulator import LEDGER, Settings, application
from harness.spec import find
from harness.targets import Request

TARGETS = ("fal/flux-pro-kontext-multi", "umodelverse/flux-kontext-pro")
SPECS = find(TARGETS)
SLOW = Settings(queue_seconds=0.15, inference_seconds=0.35, capacity=1_000)
CONFIG = Config(assets=("https://images.example/a.png", "https://images.example/b.png"))
POSTS = "/-/posts"
SOURCES = ("live", "record")
MUST_BE_ZERO = (
    "submits without a row", "histories that do not read", "cassettes that do not read", "resumes that do not end",
    "money that differs",
)  # fmt: skip
LAST = "second payments"
COUNTS = (
    "kills", "before the header", "in a run", "in a resume", "runs", "calls", "submits", "answers lost", *MUST_BE_ZERO, LAST,
)  # fmt: skip
MOST_KILLS = 3


# The provider --------------------------------------------------------------------------------------------------------


class Counting:
    """The simulator, with a count of the bodies that it was sent, by key."""

    def __init__(self) -> None:
        self.inside = application(SPECS, SLOW)
        self.posts: dict[str, Counter[str]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] == POSTS:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": json.dumps(self.posts).encode()})
            return
        if scope["type"] == "http" and scope["method"] == "POST":
            receive = await self._counted(scope, receive)
        await self.inside(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive) -> Receive:
        """The same request, once it has arrived whole; one that a kill cut off is no submit."""
        messages: list[Message] = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        if messages[-1]["type"] == "http.request":
            key = dict(scope["headers"]).get(b"authorization", b"").decode().rpartition(" ")[2]
            body = b"".join(message.get("body", b"") for message in messages)
            self.posts.setdefault(key, Counter())[sha256(body).hexdigest()] += 1

        async def again() -> Message:
            return messages.pop(0) if messages else await receive()

        return again


def serve() -> None:
    """Serve until standard input closes."""
    config = uvicorn.Config(
        Counting(), host="127.0.0.1", port=0, log_level="critical", access_log=False, lifespan="off"
    )
    server = uvicorn.Server(config)

    def leave() -> None:
        sys.stdin.read()
        server.should_exit = True

    async def main() -> None:
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no other way to say so
            await asyncio.sleep(0.01)
        print(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", flush=True)
        await serving

    threading.Thread(target=leave, daemon=True).start()
    asyncio.run(main())


@contextmanager
def provider() -> Iterator[str]:
    """The origin of a provider in a process of its own."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        assert child.stdout
        yield child.stdout.readline().strip()
        child.stdin.close()


# One run, its kills and its resumes ----------------------------------------------------------------------------------


@dataclass
class Lane:
    """Runs that are killed one after the other; each has a key and a folder of its own."""

    origin: str
    place: Path
    rng: random.Random
    whole_s: float
    counts: Counter[str] = field(default_factory=Counter)
    money: dict[str, Counter[str]] = field(default_factory=dict)
    unkeyed: int = 0
    said: list[str] = field(default_factory=list)

    def life(self, number: int, most: int) -> None:
        """One run, killed up to ``most`` times, and resumed until it has ended."""
        key, out = f"key-{self.place.name}-{number:06d}", self.place / str(number)
        request = request_for(self.origin, out, SOURCES[number % 2])
        begun = False
        for kill in range(most):
            if not self._killed(request, key, resume=begun):
                break
            begun = begun or _whole_lines(out)
            self._after_a_kill(out, key, begun=begun)
            if kill and self.rng.random() < 0.5:
                break
        if begun or not _whole_lines(out):
            status = in_child(request, key, resume=begun)
            self.counts["resumes that do not end"] += status not in (0, 1, 3)
        self._at_the_end(out, key)
        shutil.rmtree(out)

    def _killed(self, request: Request, key: str, *, resume: bool) -> bool:
        """Fork a run and kill it at a random instant; False when it had ended before."""
        child = forked(request, key, resume=resume)
        time.sleep(self.rng.random() * self.whole_s)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        hit = os.WIFSIGNALED(status)
        self.counts["kills"] += hit
        self.counts["in a resume" if resume else "in a run"] += hit
        return hit

    def _after_a_kill(self, out: Path, key: str, *, begun: bool) -> None:
        posts = self._posts(key)
        if not begun:
            self.counts["before the header"] += 1
            self._must_be_zero("submits without a row", posts.total(), key)
            return
        try:
            run.result_of(out)
            calls = read(out).calls
        except HarnessError as error:
            self._must_be_zero("histories that do not read", 1, str(error))
            return
        self._must_be_zero("submits without a row", (posts - _intents(calls)).total(), key)
        self._must_be_zero("cassettes that do not read", _unreadable(out), key)

    def _at_the_end(self, out: Path, key: str) -> None:
        history, posts = read(out), self._posts(key)
        calls, intents = history.calls, _intents(history.calls)
        twice = sum((posts - intents).values())
        twice += sum(n - 1 for n in Counter((c.case.id, c.derived) for c in calls if c.derived is None).values())
        self._must_be_zero(LAST, twice, key)
        complete = bool(history.footer and history.footer["complete"])
        planned = {case.id for plan in history.plans for case in plan.cases}
        whole = complete and planned <= {call.case.id for call in calls}
        self._must_be_zero("resumes that do not end", int(not whole), key)
        written = len(list(slots_under(out / "cassettes")))
        missing = len(TARGETS) - written if history.header["mode"] == "record" else written
        self._must_be_zero("cassettes that do not read", _unreadable(out) + missing, key)
        self.counts.update({"runs": 1, "calls": len(calls), "submits": posts.total()})
        self.counts["answers lost"] += sum(call.reason == LOST for call in calls)
        self.unkeyed += _unkeyed(history)
        self._settle(history)

    def _settle(self, history: History) -> None:
        for plan in history.plans:
            spent = cost(history.of(plan.target))
            sums = self.money.setdefault(plan.target, Counter())
            sums.update({"paid": spent.paid_requests, "unknown": spent.unknown_charge})

    def _posts(self, key: str) -> Counter[str]:
        return Counter(httpx.get(self.origin + POSTS).json().get(key, {}))

    def _must_be_zero(self, name: str, number: int, where: str) -> None:
        self.counts[name] += number
        if number:
            self.said.append(f"{name}: {where}")


def request_for(origin: str, out: Path, source: str) -> Request:
    """What is run: a few accept rows with their probes, and the rejects of one parameter."""
    return Request(
        source=source,  # type: ignore[arg-type] # one of SOURCES
        base_urls={("fal", None): f"{origin}/fal/queue", ("umodelverse", None): f"{origin}/umodelverse/sync"},
        cases=("*/accept/*", "*/prompt/*", "*/probe/*"),
        max_cases=8,
        max_cost=Decimal(100),
        concurrency=10,
        out=out,
        cassettes=out / "cassettes",
    )


def checked(request: Request, key: str, *, resume: bool) -> int:
    """One run or resume in this process; its exit status."""
    environment = {spec.credential.env: key for spec in SPECS}
    return run.check(SPECS, replace(request, resume=resume), CONFIG, environment).exit_status


def forked(request: Request, key: str, *, resume: bool) -> int:
    """The process id of a run in a process of its own."""
    child = os.fork()
    if child:
        return child
    status = 255
    with contextlib.suppress(BaseException):
        status = checked(request, key, resume=resume)
    os._exit(status)


def in_child(request: Request, key: str, *, resume: bool) -> int:
    """The exit status of a run in a process of its own."""
    _, status = os.waitpid(forked(request, key, resume=resume), 0)
    return os.waitstatus_to_exitcode(status)


def _whole_lines(out: Path) -> bool:
    """Whether a run has come as far as its header."""
    path = out / FILE
    return path.exists() and b"\n" in path.read_bytes()


def _unreadable(out: Path) -> int:
    """How many cassettes there are that cannot be read whole, with their plan and every stored body."""
    unreadable = 0
    for slot in slots_under(out / "cassettes"):
        try:
            cassette = slot.read().cassette
            for one in cassette.interactions:
                cassette.reply(one)
        except HarnessError:
            unreadable += 1
    return unreadable


def _unkeyed(history: History) -> int:
    """How many submits without the key a history has intents of; whose they are, no provider can tell."""
    return sum(WITHOUT_KEY in call.case.probes for call in history.calls)


def _intents(calls: tuple[Call, ...]) -> Counter[str]:
    """The bodies that a history has intents of, those apart that go without the key."""
    keyed = (call.case for call in calls if not asks_without_key(call.case))
    return Counter(sha256(encode(case.body)).hexdigest() for case in keyed)


# All of it -----------------------------------------------------------------------------------------------------------


def lane(origin: str, place: Path, seed: int, kills: int) -> dict[str, Any]:
    """What one lane counts until it has made its kills."""
    place.mkdir()
    warm = place / "warm"
    began = time.perf_counter()
    in_child(request_for(origin, warm, "record"), f"key-{place.name}-warm", resume=False)
    whole_s = time.perf_counter() - began
    one = Lane(origin, place, random.Random(seed), whole_s)
    one._at_the_end(warm, f"key-{place.name}-warm")
    number = 0
    while one.counts["kills"] < kills:
        one.life(number, min(MOST_KILLS, kills - one.counts["kills"]))
        number += 1
    return {"counts": one.counts, "money": one.money, "unkeyed": one.unkeyed, "said": one.said, "whole_s": whole_s}


def lanes(origin: str, place: Path, seed: int, shares: list[int]) -> list[dict[str, Any]]:
    """What each lane counts, in a process of its own."""
    children: dict[int, Path] = {}
    for number, kills in enumerate(shares):
        told = place / f"lane-{number}.json"
        child = os.fork()
        if not child:
            try:
                told.write_text(json.dumps(lane(origin, place / f"lane-{number}", seed + number, kills)))
            except BaseException:  # noqa: BLE001 - what ends a lane is said, and fails the script
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children[child] = told
    for child in children:
        os.waitpid(child, 0)
    return [json.loads(told.read_text()) for told in children.values()]


def main() -> None:
    """Kill, resume, compare and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--lanes", type=int, default=3, help="runs side by side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="four kills: shows that it runs")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    kills, number = (4, 1) if options.quick else (options.kills, options.lanes)
    shares = [kills // number + (one < kills % number) for one in range(number)]
    with tempfile.TemporaryDirectory() as directory, provider() as origin:
        place = Path(directory)
        # Everything is imported, and has run once, before anything is forked.
        checked(request_for(origin, place / "first", "record"), "key-first", resume=False)
        told = lanes(origin, place, options.seed, shares)
        ledger, posts = httpx.get(origin + LEDGER).json()["targets"], httpx.get(origin + POSTS).json()
        first = read(place / "first")
    counts = sum((Counter(one["counts"]) for one in told), Counter[str]())
    for target, bill in ledger.items():
        sums = sum((Counter(one["money"].get(target, {})) for one in told), Counter[str]())
        paid = sums["paid"] + cost(first.of(target)).paid_requests
        counts["money that differs"] += not paid <= bill["paid_requests"] <= paid + sums["unknown"]
    allowed = sum(one["unkeyed"] for one in told) + _unkeyed(first)
    counts[LAST] += max(0, sum(posts.get("", {}).values()) - allowed)
    for said in (line for one in told for line in one["said"]):
        print(f"  {said}")
    print(f"a whole run takes {max(one['whole_s'] for one in told):.1f} s here")
    print("-" * 40)
    for name in COUNTS:
        print(f"{name:32}{counts[name]:8}")
    sys.exit(any(counts[name] for name in (*MUST_BE_ZERO, LAST)))


if __name__ == "__main__":
    main()
