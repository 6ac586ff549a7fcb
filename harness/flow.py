"""The job flow, configured by a spec: what to ask next, and what the answers mean.

A flow is a generator. It yields a ``Request`` and is sent a ``Reply``, or yields a ``Wait`` and is sent None when
time has passed; it returns a ``JobEnd``. It does no I/O, knows no clock and no duration: pacing, deadlines, retries
before acceptance and the journal are the engine's. The same generator therefore runs live, against a cassette under
recorded time, in the simulator under virtual time, and again over recorded exchanges to resume a run.

Rules
-----
* One submit, never a second. What its answer means for the money is decided by ``SUBMIT_ANSWERS``.
* After acceptance only GETs (or what the document prescribes for reading) are sent, and they may be repeated: a
  status answer that is lost, 404, 429 or 5xx is tolerated and the job goes on; so is a result answer, a few times.
* URLs are built from the documented template and the job's identifiers, never taken from an answer, unless the
  spec says ``follow``; then only to the origins that the spec's servers name.
* A final state that the provider names a failure ends the job as ``failed``; an unknown state is waited out, since
  a document may lack one (the deadline ends it).
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal
from urllib.parse import urljoin

from harness.model import (
    SUBMIT_PROBE,
    Billed,
    Case,
    Failure,
    Json,
    Outcome,
    Reply,
    Request,
    Response,
    Sending,
    State,
    Wait,
)
from harness.model import Step as StepName
from harness.spec import Flow, Output, Spec, Step
from harness.strict import ANSWER_SIGNS, StrictError, load_json
from harness.urls import Origin, origin

JobFlow = Generator[Request | Wait, Reply | None, "JobEnd"]
RESULT_READS = 5
SMALL_BODY = 64 * 1024
"""Answers up to this size are kept parsed for a while."""
JOB, UNKNOWN_JOB, WITHOUT_KEY = "job", "unknown-job", f"{SUBMIT_PROBE}without-key"
"""What a case probes: its own job along the way, a job that nobody has, a submit without the key.

A purpose that begins as the last one does is a submit with another credential than the key."""
NOBODYS_JOB = "00000000-0000-4000-8000-000000000000"
JSON_TYPE = "application/json"
REDIRECTS = frozenset({301, 302, 303, 307, 308})
ASSET_HOPS = 3
KEY_REFUSED = frozenset({401, 402, 403})
"""Statuses that speak of the account and not of the request: nothing more is sent to that provider."""

Meaning = Literal["accepted", "rejected", "failed", "unknown", "again", "stop"]


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a job ended: outcome, charge, the provider's id, and why in a few words.

    ``outputs`` are the images of a completed job, as its final answer describes them.
    """

    outcome: Outcome
    billed: Billed
    job_id: str | None
    reason: str
    outputs: tuple[Output, ...] = ()


def submit_meaning(reply: Reply) -> Meaning:
    """What the answer to a submit says about the request."""
    if isinstance(reply, Failure):
        return "unknown" if reply.left else "again"
    if reply.status in KEY_REFUSED:
        return "stop"
    if reply.status == 429:
        return "again"
    if reply.status < 300:
        return "accepted"
    if reply.status in (408, 409, 425):
        return "unknown"
    return "rejected" if 400 <= reply.status < 500 else "unknown"


def read_meaning(reply: Reply) -> Meaning:
    """What the answer to a status or result GET says about the job; ``again`` is tolerated."""
    if isinstance(reply, Failure) or reply.status in (404, 408, 409, 425, 429) or reply.status >= 500:
        return "again"
    if reply.status in KEY_REFUSED:
        return "stop"
    if reply.status < 300:
        return "accepted"
    return "rejected" if 400 <= reply.status < 500 else "again"


def body_json(response: Response) -> Json:
    """The JSON value of an answer, or None when it is not well-formed; not to be changed, since others are given it too."""
    body = response.body
    return _parsed_again(body) if len(body) <= SMALL_BODY else _parsed(body)


def _parsed(body: bytes) -> Json:
    try:
        return load_json(body, ANSWER_SIGNS)
    except StrictError:
        return None


_parsed_again = lru_cache(maxsize=512)(_parsed)
"""The same few answers of a call are read by its flow, its phases and every check."""


def answer_json(response: Response) -> Json:
    """The JSON value of an answer.

    Raises:
        StrictError: it is not well-formed, or more than an answer may be.
    """
    return load_json(response.body, ANSWER_SIGNS)


def encode(body: Json) -> bytes:
    """A JSON body's bytes: compact UTF-8, in the order of the case, so that a plan fixes every byte sent."""
    return _COMPACT.encode(body).encode()


_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Route:
    """A flow of a spec at the base URL in use."""

    spec: Spec
    flow: Flow
    base_url: str

    def submit(self, body: Mapping[str, Json], sending: Sending | None = None) -> Request:
        """The submit of a body; ``sending`` says what of it is otherwise than documented."""
        operation, other = self.flow.submit.operation, sending or Sending()
        name, value = self.spec.credential.header, other.credential
        return Request(
            step="submit",
            method=other.method or operation.method,
            url=self.base_url + operation.path,
            body=encode(body) if other.body is None else other.body,
            content_type=JSON_TYPE if other.content_type is None else other.content_type or None,
            authenticated=value is None,
            credential=None if value is None else (name, value),
        )

    def synchronous(self, body: Mapping[str, Json]) -> bool:
        """Whether the submit of a body is answered with the outputs themselves."""
        return self.flow.status is None or self.spec.asked("synchronous", body) is True

    def read(self, name: StepName, step: Step, submitted: Json) -> Request | None:
        """A later step of a job, or None when the submit's answer lacks what its URL needs."""
        if step.follow:
            url = self.followable(step.followed(submitted))
        else:
            path = step.path(submitted)
            url = None if path is None else self.base_url + path
        return None if url is None else Request(step=name, method=step.operation.method, url=url)

    def probe(self, purpose: str, step: Step | None, submitted: Json, *, authenticated: bool = True) -> Request | None:
        """A free question about a job; None where the flow has no such step, or its URL is not known."""
        request = self.read("probe", step, submitted) if step is not None else None
        return None if request is None else replace(request, purpose=purpose, authenticated=authenticated)

    @property
    def origins(self) -> frozenset[Origin]:
        """Where the API may be spoken to, with its key.

        That is the base URL's origin; and the documented servers, where the document requires following a URL and no
        other base URL replaces them.
        """
        base, documented = origin(self.base_url), frozenset(map(origin, self.spec.servers))
        follows = any(step.follow for step in self.flow.steps().values())
        return documented if follows and base in documented else frozenset({base})

    def followable(self, url: str | None) -> str | None:
        """A URL that the document requires to follow, if it stays within the origins it may go to."""
        return url if url is not None and origin(url) in self.origins else None


def flow_for(route: Route, case: Case) -> JobFlow:
    """The flow that a case asks for."""
    if UNKNOWN_JOB in case.probes:
        return unknown_job(route)
    if asks_without_key(case):
        return without_key(without_key_request(route, case))
    return job(route, case.body, case.sending, probes=JOB in case.probes)


def asks_without_key(case: Case) -> bool:
    """Whether a case is a submit without the key, or with another credential in its place."""
    return any(purpose.startswith(SUBMIT_PROBE) for purpose in case.probes)


def job(route: Route, body: Mapping[str, Json], sending: Sending | None = None, *, probes: bool = False) -> JobFlow:
    """One job, from its submit to its outputs; with ``probes`` the result is also asked for too early."""
    reply = yield route.submit(body, sending)
    assert reply is not None  # noqa: S101 - the generator's protocol
    meaning = submit_meaning(reply)
    if meaning != "accepted":
        return _not_accepted(reply, meaning)
    assert isinstance(reply, Response)  # noqa: S101 - accepted is a status
    submitted = body_json(reply)
    flow = route.flow
    found = flow.submit.shape.one("job_id", submitted)
    job_id = str(found) if isinstance(found, (str, int)) else None
    if submitted is None:
        return JobEnd(Outcome.FAILED, "yes", None, "the submit was accepted, its answer is not JSON")
    if flow.status is None or (state_of(flow, flow.submit, submitted) == "completed" and not flow.result):
        return _delivered(flow, flow.submit, submitted, job_id)
    if probes:
        early = route.probe("early-result", flow.result, submitted)
        if early is not None:
            yield early
    return (yield from _poll(route, submitted, job_id))


def _not_accepted(reply: Reply, meaning: Meaning) -> JobEnd:
    if isinstance(reply, Failure):
        billed: Billed = "unknown" if reply.left else "no"
        return JobEnd(Outcome.UNKNOWN, billed, None, reply.message)
    said = f"the submit was answered {reply.status}"
    if meaning == "rejected":
        return JobEnd(Outcome.REJECTED, "no", None, said)
    return JobEnd(Outcome.UNKNOWN, "no" if meaning in ("stop", "again") else "unknown", None, said)


def state_of(flow: Flow, step: Step, answer: Json) -> State | None:
    """The state that an answer to a step tells, in the harness's words; None where it tells none that is documented."""
    word = step.shape.one("status", answer)
    return flow.states.get(word) if isinstance(word, str) else None


def _delivered(flow: Flow, step: Step, answer: Json, job_id: str | None) -> JobEnd:
    """The end of a job whose outputs stand in ``answer``, unless that answer says that there are none."""
    state = state_of(flow, step, answer)
    if state in ("failed", "cancelled"):
        return JobEnd(Outcome.FAILED, "yes", job_id, f"the job ended as {step.shape.one('status', answer)}")
    outputs = tuple(step.shape.outputs(answer))
    if not outputs and refused_inside(step, answer):
        return JobEnd(Outcome.REJECTED, "no", job_id, "the answer holds an error instead of an output")
    if not outputs:
        return JobEnd(Outcome.FAILED, "yes", job_id, "the answer holds no output")
    return JobEnd(Outcome.COMPLETED, "yes", job_id, "", outputs)


def refused_inside(step: Step, answer: Json) -> bool:
    """Whether a body that came with a successful status is an error: by its own code, or by its message."""
    code = step.shape.one("code", answer)
    message = step.shape.one("error_message", answer)
    by_code = isinstance(code, int) and not isinstance(code, bool) and code >= 400
    return by_code or (isinstance(message, str) and bool(message))


def _poll(route: Route, submitted: Json, job_id: str | None) -> JobFlow:
    flow = route.flow
    assert flow.status is not None  # noqa: S101 - the caller's condition
    request = route.read("status", flow.status, submitted)
    if request is None:
        return JobEnd(Outcome.UNKNOWN, "unknown", job_id, "the submit's answer does not say how to find the job")
    state: State = state_of(flow, flow.submit, submitted) or "queued"
    while True:
        yield Wait(state)
        reply = yield request
        assert reply is not None  # noqa: S101 - the generator's protocol
        meaning = read_meaning(reply)
        if isinstance(reply, Failure) and reply.kind == "forbidden":
            return JobEnd(Outcome.UNKNOWN, "unknown", job_id, f"the job's status cannot be asked for: {reply.message}")
        if meaning in ("stop", "rejected"):
            assert isinstance(reply, Response)  # noqa: S101 - both are statuses
            outcome = Outcome.UNKNOWN if meaning == "stop" else Outcome.FAILED
            return JobEnd(outcome, "unknown", job_id, f"a status was answered {reply.status}")
        answer = body_json(reply) if isinstance(reply, Response) and meaning == "accepted" else None
        seen = state_of(flow, flow.status, answer)
        if seen is None:
            continue
        state = seen
        if state in ("failed", "cancelled"):
            return JobEnd(Outcome.FAILED, "yes", job_id, f"the job ended as {flow.status.shape.one('status', answer)}")
        if state == "completed":
            if flow.result is None:
                return _delivered(flow, flow.status, answer, job_id)
            return (yield from _result(route, submitted, job_id))


def _result(route: Route, submitted: Json, job_id: str | None) -> JobFlow:
    flow = route.flow
    assert flow.result is not None  # noqa: S101 - the caller's condition
    request = route.read("result", flow.result, submitted)
    if request is None:
        return JobEnd(Outcome.FAILED, "yes", job_id, "the submit's answer does not say how to read the result")
    said = ""
    for read in range(RESULT_READS):
        if read:
            yield Wait("completed")
        reply = yield request
        assert reply is not None  # noqa: S101 - the generator's protocol
        meaning = read_meaning(reply)
        said = reply.message if isinstance(reply, Failure) else f"the result was answered {reply.status}"
        if isinstance(reply, Response) and meaning == "accepted":
            return _delivered(flow, flow.result, body_json(reply), job_id)
        if isinstance(reply, Response) and meaning == "rejected":
            return JobEnd(Outcome.REJECTED, _billed_refusal(route.spec, reply), job_id, said)
        if meaning == "stop":
            return JobEnd(Outcome.UNKNOWN, "unknown", job_id, said)
        if isinstance(reply, Failure) and reply.kind == "limit":
            break  # a flood is not asked for again
    return JobEnd(Outcome.FAILED, "yes", job_id, said)


def _billed_refusal(spec: Spec, reply: Response) -> Billed:
    """A late refusal is free, unless the provider itself counts units for it."""
    units = reply.headers.get(spec.billing_header or "", "0")
    return "yes" if units.strip().strip("0.") else "no"


def probes_after(route: Route, submitted: Json) -> Generator[Request, Reply, None]:
    """The questions asked of a job that has completed: again, without the key, and whether it can still be cancelled."""
    flow = route.flow
    final = flow.result or flow.status
    asked = (
        route.probe("result-again", final, submitted),
        route.probe("status-without-key", flow.status, submitted, authenticated=False),
        route.probe("result-without-key", flow.result, submitted, authenticated=False),
        route.probe("cancel-finished", flow.cancel, submitted),
    )
    for request in asked:
        if request is not None:
            yield request


def unknown_job(route: Route) -> JobFlow:
    """The status and the result of a job that nobody has: an id of the usual look that was never given out."""
    for step in (route.flow.status, route.flow.result):
        request = None if step is None else route.probe(UNKNOWN_JOB, step, step.imagined(NOBODYS_JOB))
        if request is not None:
            yield request
    return JobEnd(Outcome.REJECTED, "no", None, "")


def without_key_request(route: Route, case: Case) -> Request:
    """The submit of a case that asks what happens without the key, or with another credential."""
    return replace(route.submit(case.body, case.sending), step="probe", purpose=case.probes[0], authenticated=False)


def without_key(request: Request) -> JobFlow:
    """A valid submit without the key. Should it be accepted after all, it counts as paid: somebody pays."""
    reply = yield request
    assert reply is not None  # noqa: S101 - the generator's protocol
    if isinstance(reply, Failure):
        return JobEnd(Outcome.UNKNOWN, "unknown" if reply.left else "no", None, reply.message)
    said = f"the {request.purpose.replace('-', ' ')} was answered {reply.status}"
    if reply.status < 300:
        return JobEnd(Outcome.COMPLETED, "yes", None, said)
    refused = 400 <= reply.status < 500 and reply.status != 429
    return JobEnd(Outcome.REJECTED if refused else Outcome.UNKNOWN, "no", None, said)


def download(url: str) -> Generator[Request, Reply, Response | None]:
    """One output's file, over at most ``ASSET_HOPS`` redirects and without a credential; None when it did not come."""
    for _ in range(ASSET_HOPS + 1):
        reply = yield Request(step="asset", method="GET", url=url, authenticated=False)
        if isinstance(reply, Failure):
            return None
        if reply.status not in REDIRECTS:
            return reply if reply.status < 300 else None
        try:
            url = urljoin(url, reply.headers.get("location", ""))
        except ValueError:
            return None
    return None
