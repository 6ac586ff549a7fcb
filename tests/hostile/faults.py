# ruff: noqa: ARG001, ARG005 - answers have one signature
# A row is a line.
# fmt: off
"""What goes wrong between two honest machines, a row each, in virtual time: and what a user expects of it.

A step's answers are a list: the first request of the step gets the first, the last one stays. What is not listed is
answered in good health.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from harness.clock import Clock, VirtualClock, run_virtual
from harness.engine import Options
from harness.flow import Route
from harness.schedule import Schedule
from harness.transport.live import NeverLeft
from tests.fakes import FAL, HOME, spec
from tests.hostile.stage import CDN, Outcome, delivered, judged, picture, target_of

BASE = f"{HOME}/queue"
Answer = Callable[["Queue", httpx.Request], httpx.Response]
NEVER, SLOWLY = "never", "slowly"
"""Nothing ever comes; or, after a while, that it is elsewhere."""
TRIES = 3
"""How often a submit leaves at most while nobody has taken it: ``engine.UNREACHABLE_TRIES``; 429: five times."""


def status(code: int, content: Any = None, **headers: str) -> Answer:
    """An answer with a status."""
    body = content if isinstance(content, bytes) else json.dumps({} if content is None else content).encode()
    kind = {"content-type": "text/html" if body[:1] == b"<" else "application/json"}
    return lambda queue, request: httpx.Response(code, content=body, headers=kind | {k.replace("_", "-"): v for k, v in headers.items()})


def lost(make: Callable[[httpx.Request], Exception]) -> Answer:
    """No answer: the request has left."""

    def answer(queue: Queue, request: httpx.Request) -> httpx.Response:
        raise make(request)

    return answer


def unreached(kind: str) -> Answer:
    """No answer: nothing has left."""

    def answer(queue: Queue, request: httpx.Request) -> httpx.Response:
        request.extensions["trail"].sent_ns = None
        if kind == "connect_timeout":
            raise httpx.ConnectTimeout("too late", request=request)
        raise NeverLeft("nobody there", kind=kind, request=request)

    return answer


def healthy(queue: Queue, request: httpx.Request) -> httpx.Response:
    """What a provider in good health answers."""
    return queue.healthy(request)


class Queue(httpx.AsyncBaseTransport):
    """fal's queue in this process; ``asked`` are the requests by step."""

    def __init__(self, clock: Clock, answers: Mapping[str, Sequence[Answer | str]], ids: Sequence[str]) -> None:
        self.clock, self.answers, self.ids = clock, answers, ids
        self.asked = Counter[str]()
        self.posts = Counter[bytes]()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, or do what the row says instead."""
        request.extensions["trail"].kept = True
        request.extensions["trail"].sent_ns = self.clock.now_ns()
        step = self._step(request)
        self.asked[step] += 1
        self.posts[await request.aread()] += step == "submit"
        await self.clock.sleep(0.05)
        listed = self.answers.get(step, [healthy])
        answer = listed[min(self.asked[step], len(listed)) - 1]
        if answer == SLOWLY:
            await self.clock.sleep(50)
            return httpx.Response(302, headers={"location": f"https://{CDN}/{self.asked[step]}.jpg"})
        if isinstance(answer, str):
            await asyncio.Event().wait()
        assert not isinstance(answer, str)
        return answer(self, request)

    @staticmethod
    def _step(request: httpx.Request) -> str:
        if request.url.host == CDN:
            return "file"
        last = request.url.path.rpartition("/")[2]
        return "submit" if request.method == "POST" else last if last in ("status", "cancel") else "result"

    def healthy(self, request: httpx.Request) -> httpx.Response:
        """What a provider in good health answers."""
        step = self._step(request)
        if step == "file":
            return httpx.Response(200, content=picture(), headers={"content-type": "image/jpeg"})
        if step == "submit":
            job = self.ids[min(self.asked["submit"], len(self.ids)) - 1]
            link = f"{BASE}/fal-ai/flux-pro/requests/{job}"
            links = {"response_url": link, "status_url": f"{link}/status", "cancel_url": f"{link}/cancel"}
            return httpx.Response(200, json={"request_id": job, "status": "IN_QUEUE", "queue_position": 0, **links})
        if step == "cancel":
            return httpx.Response(202, json={"status": "CANCELLATION_REQUESTED"})
        if step == "status":
            done = self.asked["status"] > 2
            said: dict[str, Any] = {"status": "COMPLETED", "logs": None, "metrics": {}} if done else {"status": "IN_PROGRESS", "logs": None}
            return httpx.Response(200 if done else 202, json=said)
        job = re.sub(r"\W", "", request.url.path.rpartition("/")[2])
        return httpx.Response(200, json=delivered(f"https://{CDN}/{job}.jpg"))


@dataclass(frozen=True)
class Fault:
    """A fault and what a user expects; ``posts`` is how often the one body leaves at most, ``within`` how long it takes."""

    name: str
    answers: Mapping[str, Sequence[Answer | str]]
    shows: tuple[str, str] | None
    verdict: str
    status: int
    billed: str
    posts: int = 1
    cases: int = 1
    ids: Sequence[str] = ("job-1", "job-2", "job-3")
    within: float = 65.0
    cancels: int = 0
    steps: Mapping[str, int] = field(default_factory=dict)

    @property
    def expected(self) -> tuple[Any, ...]:
        """What ``run`` gives, apart from what is bounded."""
        return (self.shows, self.verdict, self.status, self.billed)


def run(fault: Fault) -> tuple[Outcome, Queue]:
    """The fault's run."""
    contract = spec(FAL)

    async def main() -> tuple[Outcome, Queue]:
        clock = VirtualClock()
        queue = Queue(clock, fault.answers, fault.ids)
        target = target_of(Route(contract, contract.default_flow, BASE), [f"{fault.name}-{n}" for n in range(fault.cases)])
        options = Options(deadline_seconds=60.0, schedule=Schedule(1.0))
        return await judged(target, clock, queue, queue, options), queue

    return run_virtual(main())


PASSES = ("pass", 0, "yes")
UNKNOWN = (("transport", "unknown"), "unknown", 3)
ACCEPTED = ("positive_data_acceptance", "unknown")
COMPLETES = ("job_completes", "fail")
HTML = b"<html>502 Bad Gateway</html>"


def submits() -> Iterator[Fault]:
    """Faults on the way to acceptance."""
    for kind in ("refused", "dns", "connect_timeout", "tls"):
        yield Fault(f"{kind}-for-ever", {"submit": [unreached(kind)]}, *UNKNOWN, "no", posts=TRIES)
        yield Fault(f"{kind}-once", {"submit": [unreached(kind), healthy]}, ("transport", "warn"), *PASSES, posts=2)
    for name, made in {
        "reset": lambda r: httpx.ReadError("reset", request=r), "write": lambda r: httpx.WriteError("broken pipe", request=r),
        "read-timeout": lambda r: httpx.ReadTimeout("late", request=r), "not-http": lambda r: httpx.RemoteProtocolError("SSH", request=r),
    }.items():
        yield Fault(f"submit-{name}", {"submit": [lost(made), healthy]}, *UNKNOWN, "unknown")
    yield Fault("submit-silence", {"submit": [NEVER]}, *UNKNOWN, "unknown")
    for code in (408, 409, 425):
        yield Fault(f"submit-{code}", {"submit": [status(code), healthy]}, ACCEPTED, "unknown", 3, "unknown")
    for code in (401, 402, 403):
        yield Fault(f"submit-{code}", {"submit": [status(code)]}, ("credentials_accepted", "unknown"), "unknown", 3, "no", cases=3, posts=3)
    for name, after in {"seconds": "3", "absurd": "99999999999", "negative": "-5", "nan": "nan", "date": "Fri, 31 Dec 9999 23:59:59 GMT", "empty": "", "infinite": "1e400"}.items():
        yield Fault(f"rate-limit-{name}", {"submit": [status(429, retry_after=after), healthy]}, None, *PASSES, posts=2, within=125.0)
    yield Fault("rate-limit-for-ever", {"submit": [status(429, retry_after="9999")]}, ACCEPTED, "unknown", 3, "no", posts=5, within=4 * 60 + 5)
    for code, said in ((500, None), (502, HTML), (503, None), (504, b"")):
        server_error = ("not_a_server_error", "fail")
        yield Fault(f"submit-{code}-twice", {"submit": [status(code, said)]}, server_error, "fail", 1, "unknown", posts=2)
        yield Fault(f"submit-{code}-once", {"submit": [status(code, said), healthy]}, ("not_a_server_error", "warn"), "unknown", 3, "unknown", posts=2)
    yield Fault("submit-500-then-lost", {"submit": [status(500), lost(lambda r: httpx.ReadError("reset", request=r))]}, ("not_a_server_error", "unknown"), "unknown", 3, "unknown", posts=2)
    yield Fault("submit-500-then-429", {"submit": [status(500), status(429)]}, ("not_a_server_error", "unknown"), "unknown", 3, "unknown", posts=6, within=125.0)
    yield Fault("submit-cut", {"submit": [status(200, b'{"request_id": "job-')]}, ("well_formed_json", "fail"), "fail", 1, "yes")
    yield Fault("submit-refused", {"submit": [status(422, {"detail": [{"loc": ["body", "prompt"], "msg": "no", "type": "x"}]})]}, ("positive_data_acceptance", "fail"), "fail", 1, "no")


SERVER_ERROR = ("not_a_server_error", "warn")
ONCE = {500: SERVER_ERROR, 503: SERVER_ERROR, 502: SERVER_ERROR, 404: None, 429: None, 408: ("status_code_conformance", "warn")}
"""What a status that is answered so once is worth; fal's official client knows of 404."""


def reads() -> Iterator[Fault]:
    """Faults after acceptance: the job goes on, or its deadline ends it."""
    for code, said in ((500, None), (503, None), (502, HTML), (404, {"detail": "not yet"}), (429, None), (408, None)):
        yield Fault(f"status-{code}-once", {"status": [status(code, said), healthy]}, ONCE[code], *PASSES)
        yield Fault(f"status-{code}-for-ever", {"status": [status(code, said)]}, ("job_completes", "unknown"), "unknown", 3, "unknown", cancels=1)
    yield Fault("status-lost-once", {"status": [lost(lambda r: httpx.ReadError("reset", request=r)), healthy]}, ("transport", "warn"), *PASSES)
    yield Fault("status-unreached-once", {"status": [unreached("refused"), healthy]}, ("transport", "warn"), *PASSES)
    yield Fault("status-cut-once", {"status": [status(202, b'{"status": "IN_'), healthy]}, ("well_formed_json", "fail"), "fail", 1, "yes")
    yield Fault("status-silence", {"status": [NEVER]}, ("job_completes", "unknown"), "unknown", 3, "unknown", cancels=1)
    yield Fault("status-401", {"status": [status(401)]}, ("credentials_accepted", "unknown"), "unknown", 3, "unknown")
    yield Fault("status-400", {"status": [status(400, {"detail": "x"})]}, COMPLETES, "fail", 1, "unknown")
    queued = status(202, {"status": "IN_QUEUE", "queue_position": 1})
    running = status(202, {"status": "IN_PROGRESS", "logs": None})
    yield Fault("status-goes-back", {"status": [running, queued, healthy]}, ("job_lifecycle", "fail"), "fail", 1, "yes")
    yield Fault("never-completes", {"status": [running]}, ("job_completes", "unknown"), "unknown", 3, "unknown", cancels=1)
    yield Fault("never-completes-cancel-lost", {"status": [running], "cancel": [NEVER]}, ("job_completes", "unknown"), "unknown", 3, "unknown", cancels=1)
    yield Fault("never-completes-cancel-500", {"status": [running], "cancel": [status(500)]}, ("job_completes", "unknown"), "unknown", 3, "unknown", cancels=1)
    yield Fault("none-completes", {"status": [running]}, COMPLETES, "fail", 1, "unknown", cases=3, posts=3, cancels=3)
    for code in (404, 500, 503):
        yield Fault(f"result-{code}-for-ever", {"result": [status(code, {"detail": "gone"})]}, COMPLETES, "fail", 1, "yes", steps={"result": 5})
        yield Fault(f"result-{code}-once", {"result": [status(code, {"detail": "gone"}), healthy]}, SERVER_ERROR if code >= 500 else None, *PASSES)
    yield Fault("result-lost-once", {"result": [lost(lambda r: httpx.ReadError("reset", request=r)), healthy]}, ("transport", "warn"), *PASSES)
    yield Fault("result-lost", {"result": [lost(lambda r: httpx.ReadError("reset", request=r))]}, COMPLETES, "fail", 1, "yes", steps={"result": 5})
    yield Fault("result-cut", {"result": [status(200, b'{"images": [')]}, ("well_formed_json", "fail"), "fail", 1, "yes")
    yield Fault("result-422", {"result": [status(422, {"detail": [{"loc": ["body"], "msg": "no", "type": "x"}]})]}, ("positive_data_acceptance", "fail"), "fail", 1, "no")
    yield Fault("result-422-billed", {"result": [status(422, {"detail": [{"loc": ["body"], "msg": "no", "type": "x"}]}, x_fal_billable_units="1")]}, ("positive_data_acceptance", "fail"), "fail", 1, "yes")
    yield Fault("the-same-id-twice", {}, ("job_identity", "fail"), "fail", 1, "yes", cases=2, posts=2, ids=("job-1",))


def files() -> Iterator[Fault]:
    """Faults of a file that was paid for."""
    for code in (403, 404, 410, 500):
        yield Fault(f"file-{code}", {"file": [status(code)]}, ("image_download", "fail"), "fail", 1, "yes")
    yield Fault("file-empty", {"file": [status(200, b"")]}, ("image_decodes", "fail"), "fail", 1, "yes")
    for name, made in {"reset": lambda r: httpx.ReadError("reset", request=r), "timeout": lambda r: httpx.ReadTimeout("late", request=r)}.items():
        yield Fault(f"file-{name}", {"file": [lost(made)]}, ("image_download", "unknown"), "unknown", 3, "yes")
    for kind in ("refused", "dns", "connect_timeout"):
        yield Fault(f"file-{kind}", {"file": [unreached(kind)]}, ("image_download", "unknown"), "unknown", 3, "yes")
    yield Fault("file-silence", {"file": [NEVER]}, ("image_download", "unknown"), "unknown", 3, "yes")
    yield Fault("file-redirects-slowly", {"file": [SLOWLY]}, ("image_download", "unknown"), "unknown", 3, "yes")
    yield Fault("file-cut", {"file": [lambda q, r: httpx.Response(200, content=picture()[:-900], headers={"content-type": "image/jpeg"})]}, ("image_decodes", "fail"), "fail", 1, "yes")
    swapped = status(200, {"request_id": "job-2", "status": "COMPLETED", "logs": None, "metrics": {}})
    yield Fault("another-jobs-status", {"status": [swapped]}, ("job_identity", "warn"), *PASSES)


FAULTS: tuple[Fault, ...] = (Fault("healthy", {}, None, *PASSES), *submits(), *reads(), *files())
