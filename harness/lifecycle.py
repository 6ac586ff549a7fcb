"""The life of jobs as a state machine of Hypothesis: submits, polls, reads, cancels, in any order, at a server of yours.

Rules
-----
* A job's rank (queued, running, ended) never falls, and a job that has ended stays as it ended.
* A job keeps its id, has one of its own, and its answers speak of it.
* There is a result once the job has completed, not before, and it is the same each time.
* A job that nobody has is not found; a question without the key is not answered.
* A submit costs money at a provider: a server that the spec names is refused. This is for simulators and own servers.
* Requests are the strategies'; URLs, words and shapes are the spec's, read as the harness reads them in a run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from hypothesis.stateful import Bundle, RuleBasedStateMachine, multiple, precondition, rule
from hypothesis.strategies import SearchStrategy

from harness import strategies
from harness.clock import RealClock
from harness.errors import UsageError
from harness.flow import NOBODYS_JOB, Route, body_json, refused_inside, state_of
from harness.model import Json, Reply, Request, Response, State
from harness.model import Step as StepName
from harness.secret import BoundKey, Secret
from harness.spec import Flow, Spec, Step
from harness.transport.live import AiohttpTransport
from harness.transport.wire import Wire
from harness.urls import fault_of, origin

RANKS: Mapping[State, int] = {"queued": 0, "running": 1, "completed": 2, "failed": 2, "cancelled": 2}
SECONDS = 60.0
"""How long an answer may take."""
STEP_SECONDS = 0.02
"""How long the server is left alone when the machine waits."""


class Client(Protocol):
    """Who asks the server: one request at a time, and what lets time pass."""

    def send(self, request: Request) -> Reply:
        """Send a request, with the key if it is ``authenticated``, and return what came back."""
        ...

    def wait(self) -> None:
        """Leave the server alone for a moment."""
        ...

    def close(self) -> None:
        """Nothing more will be asked."""
        ...


@dataclass(frozen=True)
class OnLoop:
    """A client on an event loop of its own: the harness's wire, with its limits and its bound key."""

    runner: asyncio.Runner
    wire: Wire
    step_seconds: float = STEP_SECONDS

    def send(self, request: Request) -> Reply:
        """Send a request and return what came back."""
        return self.runner.run(self.wire.send(request, seconds=SECONDS)).reply

    def wait(self) -> None:
        """Let ``step_seconds`` pass."""
        self.runner.run(self.wire.clock.sleep(self.step_seconds))

    def close(self) -> None:
        """Close the connections and the loop."""
        self.runner.run(self.wire.aclose())
        self.runner.close()


def over_http(route: Route, key: str) -> OnLoop:
    """A client of a route's base URL; the key goes to its origin and nowhere else."""
    runner, credential = asyncio.Runner(), route.spec.credential
    bound = BoundKey(Secret(key), credential.header, credential.scheme, route.origins)

    async def made() -> Wire:
        clock = RealClock()
        transport = AiohttpTransport(clock)
        return Wire(transport, transport, clock, bound, route.origins)

    return OnLoop(runner, runner.run(made()))


@dataclass
class Job:
    """What is known of a job: its submit's answer, id and state, and the outputs of its first result."""

    submitted: Json
    id: str
    state: State
    cancelled: bool = False
    outputs: list[tuple[Json, Json]] | None = None

    def moved(self, state: State) -> None:
        """Hold the order of states."""
        ended = RANKS[self.state] == RANKS["completed"]
        assert RANKS[state] >= RANKS[self.state], f"job {self.id} was {self.state} and is {state}"
        assert not ended or state == self.state, f"job {self.id} had ended as {self.state} and is {state}"
        self.state = state

    def delivers(self, outputs: list[tuple[Json, Json]]) -> None:
        """Hold that outputs stay what they are."""
        assert outputs, f"job {self.id} has completed without an output"
        assert self.outputs in (None, outputs), f"job {self.id} has other outputs than before"
        self.outputs = outputs


def machine(
    spec: Spec,
    base_url: str,
    key: str,
    *,
    flow: Flow | None = None,
    assets: Sequence[str] = (),
    client: Callable[[Route], Client] | None = None,
) -> type[RuleBasedStateMachine]:
    """A state machine over the jobs of a server at a base URL; run it as ``run_state_machine_as_test`` or as a ``TestCase``.

    ``flow`` is the default one for None; ``client`` makes who asks for each example (None: over HTTP).

    Raises:
        UsageError: the URL is none, or leads to a server that the spec documents, where submits cost money.
    """
    route = Route(spec, flow or spec.default_flow, base_url.rstrip("/"))
    if fault := fault_of(base_url):
        raise UsageError(f"the base URL {base_url!r} cannot be used: {fault}")
    if _host(base_url) in set(map(_host, spec.servers)):
        raise UsageError(
            f"{base_url} is the provider's, and each submit costs: name a simulator or a server of your own"
        )
    make = client or (lambda route: over_http(route, key))
    return _machine(route, make, strategies.requests(spec, assets, flow=route.flow))


def _host(url: str) -> str:
    """The host that a URL leads to, whatever its scheme and port."""
    return origin(url)[1].rstrip(".")


def _machine(
    route: Route, make: Callable[[Route], Client], requests: SearchStrategy[dict[str, Json]]
) -> type[RuleBasedStateMachine]:
    flow = route.flow
    polled = precondition(lambda _: flow.status is not None)

    class Lifecycle(RuleBasedStateMachine):
        """Jobs of one server."""

        jobs: Bundle[Job] = Bundle("jobs")

        def __init__(self) -> None:
            super().__init__()
            self.client = make(route)
            self.ids: set[str] = set()

        def teardown(self) -> None:
            """Close the client."""
            self.client.close()

        @rule(target=jobs, body=requests)
        def submit(self, body: dict[str, Json]) -> Any:
            """A valid request is accepted and has an id of its own, or its outputs."""
            reply = self.answered(route.submit(body))
            assert reply.status < 300, f"a valid request was answered {reply.status}: {body}"
            answer, shape = body_json(reply), flow.submit.shape
            if flow.status is None:
                assert _outputs(flow.submit, answer), f"a synchronous answer holds no output: {answer}"
                return multiple()
            named = shape.one("job_id", answer)
            assert named is not None, f"a submit was answered without the id of its job: {answer}"
            job_id = str(named)
            assert job_id not in self.ids, f"two jobs have the id {job_id}"
            self.ids.add(job_id)
            job = Job(answer, job_id, state_of(flow, flow.submit, answer) or "queued")
            if job.state != "completed":
                assert not _outputs(flow.submit, answer), f"job {job_id} is {job.state} and has outputs"
            return job

        @polled
        @rule(job=jobs)
        def poll(self, job: Job) -> None:
            """A job moves on or stays."""
            self.status_of(job)

        @precondition(lambda _: flow.result is not None)
        @rule(job=jobs)
        def read_result(self, job: Job) -> None:
            """There is a result once the job has completed, not before."""
            before, reply = job.state, self.read("result", flow.result, job)
            if reply.status < 300 and not refused_inside(flow.final, body_json(reply)):
                self.status_of(job)
                assert job.state == "completed", f"job {job.id} is {job.state} and has a result"
                job.delivers(_outputs(flow.final, body_json(reply)))
            elif not job.cancelled:
                assert before != "completed", (
                    f"the result of job {job.id}, which has completed, was answered {reply.status}"
                )

        @precondition(lambda _: flow.cancel is not None)
        @rule(job=jobs)
        def cancel(self, job: Job) -> None:
            """What had ended stays as it is; whether a cancel is heeded, no document promises."""
            reply = self.read("cancel", flow.cancel, job)
            assert reply.status < 500, f"cancelling job {job.id} was answered {reply.status}"
            job.cancelled |= job.state != "completed"
            self.status_of(job)

        @polled
        @rule(job=jobs)
        def ask_without_the_key(self, job: Job) -> None:
            """A job is nobody else's."""
            if not route.spec.credential.optional:
                reply = self.read("status", flow.status, job, authenticated=False)
                assert reply.status >= 400, f"the status of job {job.id} was given without the key"

        @polled
        @rule()
        def ask_for_nobodys_job(self) -> None:
            """What was never submitted is not found."""
            for name, step in flow.steps().items():
                if name in ("status", "result") and not step.follow:
                    reply = self.answered(route.read(name, step, step.imagined(NOBODYS_JOB)))
                    assert reply.status >= 400, f"the {name} of a job that nobody has was answered {reply.status}"

        @polled
        @rule()
        def wait(self) -> None:
            """Time passes."""
            self.client.wait()

        def status_of(self, job: Job) -> None:
            reply = self.read("status", flow.status, job)
            answer = body_json(reply)
            assert reply.status < 300, f"the status of job {job.id} was answered {reply.status}"
            assert flow.status is not None
            state = state_of(flow, flow.status, answer)
            assert state is not None, f"job {job.id} is in a state that nobody documents: {answer}"
            told = flow.status.shape.one("job_id", answer)
            assert told in (None, job.id), f"the status of job {job.id} speaks of job {told}"
            job.moved(state)
            if flow.result is None and state == "completed" and not job.cancelled:
                job.delivers(_outputs(flow.status, answer))
            elif state != "completed":
                assert not _outputs(flow.status, answer), f"job {job.id} is {state} and has outputs"

        def read(self, name: StepName, step: Step | None, job: Job, *, authenticated: bool = True) -> Response:
            assert step is not None
            request = route.read(name, step, job.submitted)
            assert request is not None, f"the answer to the submit does not say where job {job.id} is: {job.submitted}"
            return self.answered(replace(request, authenticated=authenticated))

        def answered(self, request: Request | None) -> Response:
            assert request is not None
            reply = self.client.send(request)
            assert isinstance(reply, Response), f"{request.method} {request.url} was not answered: {reply}"
            return reply

    return Lifecycle


def _outputs(step: Step, answer: Json) -> list[tuple[Json, Json]]:
    """The images of an answer, without the signatures of their addresses, which may change."""
    return [(one.url and one.url.partition("?")[0], one.base64) for one in step.shape.outputs(answer)]
