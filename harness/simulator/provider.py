"""The simulated account of one provider, and the endpoints that it serves: everything but HTTP itself.

Rules
-----
* What an endpoint does follows from its spec: roles, shapes, states, errors, links. No provider is known here.
* Chance is drawn from a hash of the seed, the target, the body and how often this body has come before. Two runs
  that send the same bodies get the same ids, durations, seeds and images, whatever the order of different bodies.
* A job is a value and a ticket in the account's queue; its state is read off the clock when somebody asks.
* A body is refused where the document forbids it: at once, or from the result, as the spec's ``errors`` say. A
  refused job that is answered late passes through the queue and takes no inference.
* The flow is chosen by the base URL; a body that carries the parameters of another flow on the same server chooses
  that flow. A flow without a status, and a body that asks to wait (role ``synchronous``), is answered when the job
  is done.
* The ``cancellation`` field's enum is read in this order: cancelled, too late, no such job.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from statistics import NormalDist
from typing import Any

from harness.clock import NS, Clock, wall_time
from harness.model import Json, State
from harness.model import Step as StepName
from harness.simulator.answers import Context, Link, Node, OneOf, compiled, render
from harness.simulator.bill import Bill
from harness.simulator.images import Picture, format_named, size
from harness.simulator.queue import Queue, Ticket
from harness.simulator.settings import Settings
from harness.simulator.variations import Variation, varied
from harness.simulator.verdicts import Flaw, Refusal, Verdicts
from harness.spec.contract import EXTENSION, Flow, Operation, Shape, Spec, Step

JOBS_KEPT = 50_000
MOST_IMAGES = 64
LARGEST_SEED = 2**31 - 1
REFUSED_KEY = "invalid"
NOT_CONTENT = frozenset({"count", "format", "encoding", "synchronous", "seed"})
"""Roles that decide how an image is made or sent, not what is on it; the seed counts as what was drawn for it."""

STATUSES: Mapping[str, int] = {
    "invalid": 400,
    "unauthorized": 401,
    "unknown_job": 404,
    "early_result": 400,
    "too_many": 429,
    "internal": 500,
}
"""What each kind of error is answered with where the spec does not say; such an answer borrows another's shape."""

STAND_INS: Mapping[State, tuple[State, ...]] = {
    "queued": ("queued", "running"),
    "running": ("running", "queued"),
    "completed": ("completed",),
    "failed": ("failed", "completed"),
    "cancelled": ("cancelled", "failed", "completed"),
}
"""The states whose words a provider may have for each state, the best first."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))

CANCELLATION = ("CANCELLATION_REQUESTED", "ALREADY_COMPLETED", "NOT_FOUND")
CANCELLED, TOO_LATE, NO_SUCH_JOB = range(3)
"""Places in the enum of a ``cancellation`` field; the words above stand where a document lists none."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it becomes HTTP; ``capitals`` sends its header names in capital letters."""

    status: int
    body: bytes
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    capitals: bool = False

    @classmethod
    def of(cls, status: int, value: Json, headers: Mapping[str, str] | None = None) -> Reply:
        """A JSON answer."""
        return cls(status, _ENCODER.encode(value).encode(), headers=headers or {})


@dataclass(frozen=True, slots=True)
class Order:
    """What an endpoint understood of a body, and the durations drawn for it in nanoseconds.

    ``content`` names what is on the images; ``encoding`` is ``url``, ``data_uri`` or ``base64``.
    """

    prompt: Json
    seed: int
    count: int
    ratio: Json
    format: str
    encoding: str
    content: str
    waits: bool
    queue_ns: int
    inference_ns: int


@dataclass(frozen=True)
class Job:
    """A submitted body on its way; ``images`` is how many the body asked for."""

    id: str
    endpoint: Endpoint
    flow: Flow
    order: Order
    refusal: Refusal | None
    created: float
    images: int = 1

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Its images, drawn only when somebody wants their bytes."""
        width, height = size(self.order.ratio)
        drawn = tuple(
            Picture(f"{self.order.content} {index}", width, height, self.order.format)
            for index in range(self.order.count)
        )
        return tuple(varied(self.endpoint.variations, "pictures", self, drawn))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request came in: the URL of its origin, and the prefix of its provider and flow below that."""

    origin: str
    prefix: str

    @property
    def base(self) -> str:
        """What the documented paths are put behind."""
        return self.origin + self.prefix


class Draw:
    """Chance, decided by a hash: equal names and equal counts give equal draws."""

    def __init__(self, *names: object) -> None:
        self._key = "\n".join(map(str, names)).encode()

    def bytes(self, what: str) -> bytes:
        """32 bytes for a purpose."""
        return hashlib.sha256(self._key + b"\n" + what.encode()).digest()

    def uuid(self, what: str) -> str:
        """An identifier that looks like any other provider's."""
        return str(uuid.UUID(bytes=self.bytes(what)[:16], version=4))

    def lognormal(self, what: str, median: float, sigma: float) -> int:
        """A duration in nanoseconds; exactly zero for a median of zero."""
        if not median:
            return 0
        chance = (int.from_bytes(self.bytes(what)[:6]) + 0.5) / 2**48
        return round(median * math.exp(sigma * NormalDist().inv_cdf(chance)) * NS)


class Account:
    """One provider's jobs, images and queue, shared by all of its endpoints and flows."""

    def __init__(self, provider: str, settings: Settings, clock: Clock) -> None:
        self.provider, self.settings, self.clock = provider, settings, clock
        self.queue = Queue(settings.capacity)
        self.jobs: dict[str, Job] = {}
        self.pictures: dict[str, tuple[Endpoint, Picture]] = {}
        self.bills: dict[str, Bill] = {}
        self.settled: dict[str, None] = {}
        self._seen: dict[bytes, int] = {}
        self._anchor: tuple[float, int] | None = None

    def date(self) -> float:
        """The present date, in seconds of Unix time: the anchor's plus what the clock has measured since."""
        now = self.clock.now_ns()
        if self._anchor is None:
            epoch = self.settings.epoch
            self._anchor = (wall_time().timestamp() if epoch is None else epoch), now
        return self._anchor[0] + (now - self._anchor[1]) / NS

    def draw(self, target: str, body: Json) -> Draw:
        """The chance of a body that came in just now."""
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        digest = hashlib.sha256(target.encode() + b"\n" + canonical).digest()
        self._seen[digest] = seen = self._seen.get(digest, 0) + 1
        return Draw(self.settings.seed, target, digest.hex(), seen)

    def admit(self, job: Job) -> Ticket:
        """Put a job into the queue; the oldest ones are forgotten in time."""
        self.jobs[job.id] = job
        oldest = next(iter(self.jobs))
        if len(self.jobs) > JOBS_KEPT and self.state(self.jobs[oldest]) in ("completed", "cancelled"):
            del self.jobs[oldest]
            self.settled.pop(oldest, None)
            self.queue.forget(oldest)
        inference = 0 if job.refusal else job.order.inference_ns
        return self.queue.enter(job.id, self.clock.now_ns(), job.order.queue_ns, inference)

    def state(self, job: Job) -> State:
        """What a job is in now."""
        return self.queue.tickets[job.id].state(self.clock.now_ns())

    async def done(self, job: Job) -> None:
        """Wait until a job has completed or was cancelled."""
        while (left := self.queue.tickets[job.id].finish - self.clock.now_ns()) > 0:
            await self.clock.sleep(left / NS)

    def shelve(self, endpoint: Endpoint, picture: Picture) -> str:
        """The file name under which an image can be downloaded from now on."""
        name = picture.name
        self.pictures[name] = (endpoint, picture)
        if len(self.pictures) > JOBS_KEPT:
            del self.pictures[next(iter(self.pictures))]
        return name

    def asset(self, name: str) -> Reply | None:
        """The download of an image, or None where there is no such file."""
        if name not in self.pictures:
            return None
        endpoint, picture = self.pictures[name]
        reply = Reply(200, endpoint.encoded(picture), picture.media_type)
        varied_reply: Reply = varied(endpoint.variations, "asset", picture, reply)
        return varied_reply


class Endpoint:
    """One spec's operations, on one account."""

    def __init__(self, spec: Spec, account: Account, variations: tuple[Variation, ...] = ()) -> None:
        self.spec, self.account, self.variations = spec, account, variations
        self._verdicts = Verdicts(spec)
        self._nodes: dict[int, Node] = {}
        self._encodings = _encodings(spec)
        self._model = _model(spec)
        self._links = {flow.name: _links(spec, flow) for flow in spec.flows.values()}
        self.bill = account.bills.setdefault(spec.target, Bill(spec.price))

    # What can be asked of it -------------------------------------------------------------------------------------

    def admits(self, step: StepName, headers: Mapping[str, str]) -> bool:
        """Whether a request to a step is let in; header names are in lower case."""
        given = headers.get(self.spec.credential.header.lower())
        accepted = varied(self.variations, "credential", given, self._accepts_key(given))
        return bool(varied(self.variations, "key", step, accepted))

    def _accepts_key(self, given: str | None) -> bool:
        credential = self.spec.credential
        if given is None:
            return credential.optional
        scheme, _, key = given.partition(" ") if credential.scheme else ("", "", given)
        return scheme.lower() == credential.scheme.lower() and key.strip() not in ("", REFUSED_KEY)

    def takes(self, body: Json) -> bool:
        """Whether a body names this endpoint, where several share a path."""
        return isinstance(body, dict) and all(body.get(name) == value for name, value in self.spec.constants.items())

    def complaints(self, body: Json) -> int:
        """How much speaks against a body here."""
        refusal = self._verdicts.refusal(body)
        return len(refusal.flaws) if refusal else 0

    def method(self, method: str) -> str:
        """The method of a request to the submit's path as it is going to be understood."""
        understood: str = varied(self.variations, "method", method)
        return understood

    def received(self, data: bytes, media_type: str) -> tuple[bytes, str]:
        """The bytes and media type of a submit as they are going to be read."""
        read: tuple[bytes, str] = varied(self.variations, "received", (data, media_type))
        return read

    def unreadable(self, message: str) -> Reply:
        """The answer to a submit that is no JSON."""
        self.bill.submits += 1
        return self._refused_at_once(Refusal((Flaw((), message),)), "")

    async def submit(self, flow: Flow, place: Place, body: Json) -> Reply:
        """Answer a submit: the job, its outputs, or the refusal."""
        self.bill.submits += 1
        draw = self.account.draw(self.spec.target, body)
        refusal: Refusal | None = varied(self.variations, "refusal", body, self._verdicts.refusal(body))
        instead: Reply | None = varied(self.variations, "instead", self, body, refusal, None)
        if instead is not None:
            return instead
        fields: Mapping[str, Json] = body if isinstance(body, dict) else {}
        flow = self._flow(flow, fields)
        if refusal and not self._refuses_late(flow):
            return self._refused_at_once(refusal, draw.uuid("request"))
        job = self.job(flow, fields, draw, refusal)
        self.account.admit(job)
        if not refusal:
            self.bill.charge(job.images)
        if not job.order.waits:
            return self._answer("submit", job, flow.submit, place, "queued")
        await self.account.done(job)
        if refusal:
            return self._refused_late("submit", job, refusal)
        return self._answer("submit", job, flow.submit, place, self.account.state(job))

    def job(self, flow: Flow, body: Mapping[str, Json], draw: Draw, refusal: Refusal | None = None) -> Job:
        """What a body becomes, before it enters the queue."""
        order: Order = varied(self.variations, "order", body, self._order(flow, body, draw))
        count = self.spec.asked("count", body)
        images = count if _is_integer(count) and count > 0 else 1
        return Job(draw.uuid("job"), self, flow, order, refusal, self.account.date(), images)

    def specimen(self, flow: Flow, name: StepName, body: Mapping[str, Json]) -> Json:
        """The healthy answer to a step about a job that nobody has submitted: just accepted, or else completed."""
        state: State = "completed" if name != "submit" or flow.status is None else "queued"
        job = self.job(flow, body, Draw(self.spec.target, "specimen"))
        place = Place("http://specimen.invalid", f"/{self.spec.provider}/{flow.name}")
        shape = flow.steps()[name].shape
        outputs = self._finished(job, shape, place) if state == "completed" else {}
        return render(self._node(shape), self._context(job, place, state) | outputs)

    def status(self, flow: Flow, place: Place, job: Job) -> Reply:
        """Answer a question about a job's state."""
        assert flow.status is not None  # a route leads here only for a flow that has one  # noqa: S101
        return self._answer("status", job, flow.status, place, self._state("status", job))

    def result(self, flow: Flow, place: Place, job: Job) -> Reply:
        """Answer the outputs of a job, its late refusal, or that it is too early."""
        assert flow.result is not None  # as above  # noqa: S101
        state = self._state("result", job)
        if state != "completed":
            happened = "was cancelled" if state == "cancelled" else "is still in progress"
            return self._sent("result", job, self.error("early_result", f"The request {happened}.", job.id))
        if job.refusal:
            return self._refused_late("result", job, job.refusal)
        return self._answer("result", job, flow.result, place, state)

    def cancel(self, flow: Flow, place: Place, job: Job | None) -> Reply:
        """Cancel a job that has not completed."""
        assert flow.cancel is not None  # as above  # noqa: S101
        operation = flow.cancel.operation
        if job is None:
            return self._cancellation(operation, NO_SUCH_JOB, 404, None)
        if self.account.queue.cancel(job.id, self.account.clock.now_ns()):
            return self._cancellation(operation, CANCELLED, success(operation), job)
        return self._cancellation(operation, TOO_LATE, _too_late(operation), job)

    def unknown(self, step: StepName) -> Reply:
        """Answer a question about a job that there is none of."""
        return self._sent(step, None, self.error("unknown_job", "There is no such request."))

    def encoded(self, picture: Picture) -> bytes:
        """The bytes of an image as they are delivered."""
        data: bytes = varied(self.variations, "encoded", picture, picture.encoded())
        return data

    # Errors ------------------------------------------------------------------------------------------------------

    def refused(self, refusal: Refusal, request_id: str) -> Reply:
        """The answer to an invalid body."""
        return self.error("invalid", refusal.flaws[0].message, request_id, flaws=refusal.flaws)

    def error(
        self,
        kind: str,
        message: str,
        request_id: str = "",
        *,
        status: int | None = None,
        flaws: tuple[Flaw, ...] = (),
    ) -> Reply:
        """An error in the provider's shape; ``status`` replaces the documented one, for errors that have no kind."""
        known = self.spec.errors.get(kind)
        model = known or next((self.spec.errors[name] for name in STATUSES if name in self.spec.errors), None)
        code = status or (known.status if known else STATUSES[kind])
        if model is None:
            return Reply.of(code, {"error": message})
        flaws = flaws or (Flaw((), message),)
        phrase = HTTPStatus(code).phrase.lower().replace(" ", "_")
        values = dict(known.values) if known and code == known.status else {}
        context: dict[str, Any] = {
            "code": code,
            "message": message,
            "error_message": message,
            "error_type": phrase,
            "error_code": OneOf((phrase, code)),
            "error_parameter": flaws[0].parameter,
            "error_request_id": request_id or Draw(self.spec.target, kind, message).uuid("request"),
            "error_location": ["body", *flaws[0].path],
        }
        entries = ({"error_message": f.message, "error_location": ["body", *f.path]} | values for f in flaws)
        return Reply.of(code, render(self._node(model.shape), context | {"errors": tuple(entries)} | values))

    def _refused_at_once(self, refusal: Refusal, request_id: str) -> Reply:
        self.bill.refused += 1
        return self._sent("submit", None, self.refused(refusal, request_id))

    def _refused_late(self, step: StepName, job: Job, refusal: Refusal) -> Reply:
        reply = self._sent(step, job, self.refused(refusal, job.id))
        if job.id not in self.account.settled:
            self.account.settled[job.id] = None
            self.bill.refused += 1
            if reply.headers.get(self.spec.billing_header or "", "0").strip("0."):
                self.bill.charge(job.images)
        return reply

    # How it decides ----------------------------------------------------------------------------------------------

    def _flow(self, flow: Flow, body: Mapping[str, Json]) -> Flow:
        """The flow of a body that came in under ``flow``: the one whose parameters it carries."""
        flows = tuple(beside(self.spec, flow))
        chosen = [other for other in flows if other.body and all(body.get(k) == v for k, v in other.body.items())]
        plain = [other for other in flows if not other.body]
        return next(iter((*chosen, *plain)), flow)

    def _refuses_late(self, flow: Flow) -> bool:
        invalid = self.spec.errors.get("invalid")
        documented = invalid is not None and invalid.at == "result" and flow.result is not None
        return bool(varied(self.variations, "late", documented))

    def _state(self, step: StepName, job: Job) -> State:
        state: State = varied(self.variations, "state", step, job, self.account.state(job))
        return state

    def _order(self, flow: Flow, body: Mapping[str, Json], draw: Draw) -> Order:
        asked, settings = self.spec.asked, self.account.settings
        seed = asked("seed", body)
        parameter = self.spec.parameter("seed")
        if not _is_integer(seed) or (parameter and seed == parameter.detail.get("random")):
            seed = int.from_bytes(draw.bytes("seed")[:8]) % LARGEST_SEED
        content = {p.name: body.get(p.name, p.default) for p in self.spec.parameters if p.role not in NOT_CONTENT}
        named = json.dumps([self.spec.target, seed, content], sort_keys=True).encode()
        count = asked("count", body)
        return Order(
            prompt=asked("prompt", body),
            seed=seed,
            count=min(count, MOST_IMAGES) if _is_integer(count) and count > 0 else 1,
            ratio=asked("ratio", body),
            format=format_named(asked("format", body)),
            encoding=self._encodings.get(json.dumps(asked("encoding", body)), "url"),
            content=hashlib.sha256(named).hexdigest(),
            waits=flow.status is None or asked("synchronous", body) is True,
            queue_ns=draw.lognormal("queue", settings.queue_seconds, settings.sigma),
            inference_ns=draw.lognormal("inference", settings.inference_seconds, settings.sigma),
        )

    # What it says ------------------------------------------------------------------------------------------------

    def _answer(self, name: StepName, job: Job, step: Step, place: Place, state: State) -> Reply:
        finished = state == "completed" and job.refusal is None
        delivers = bool(varied(self.variations, "delivers", name, job, finished))
        context = self._context(job, place, state) | (self._finished(job, step.shape, place) if delivers else {})
        if context["outputs"] and job.id not in self.account.settled:
            self.account.settled[job.id] = None
            self.bill.images_delivered += len(context["outputs"])
        said: Context = varied(self.variations, "context", name, job, context)
        pending = name == "status" and state in ("queued", "running")
        status = self.spec.pending_status if pending else success(step.operation)
        billed = self.spec.billing_header if finished and step is job.flow.final else None
        headers = {billed: str(job.order.count)} if billed else {}
        return self._sent(name, job, Reply.of(status, render(self._node(step.shape), said), headers))

    def _context(self, job: Job, place: Place, state: State) -> dict[str, Any]:
        context: dict[str, Any] = {
            "code": 200,
            "message": "success",
            "job_id": job.id,
            "status": OneOf(self._words(job.flow, state)),
            "created": job.created,
            "model": self._model,
            "outputs": (),
            "content_flags": [],
        }
        for role, (before, after) in self._links[job.flow.name].items():
            context[role] = Link(place.base, before + job.id + after)
        if state == "queued":
            context["queue_position"] = self.account.queue.ahead(job.id, self.account.clock.now_ns())
        if state == "cancelled":
            context["error_message"] = "The request was cancelled."
        if state == "failed":
            context["error_message"] = "The generation failed."
        return context

    def _finished(self, job: Job, shape: Shape, place: Place) -> dict[str, Any]:
        outputs = tuple(self._outputs(job, shape, place))
        known: dict[str, Any] = {
            "outputs": outputs,
            "content_flags": [False] * len(outputs),
            "inference_time": job.order.inference_ns / NS,
            "seed": job.order.seed,
            "prompt": job.order.prompt,
        }
        if outputs and not shape.with_role("outputs"):
            known |= outputs[0]
        return known

    def _outputs(self, job: Job, shape: Shape, place: Place) -> Iterator[Context]:
        """The values of each image. Encoded ones go to their own field where the shape has one."""
        if not shape.with_role("output_url") and not shape.with_role("output_base64"):
            return
        encoded_role = "output_base64" if shape.with_role("output_base64") else "output_url"
        linked = job.order.encoding == "url" and shape.with_role("output_url")
        for picture in job.pictures:
            if linked:
                role, value = "output_url", self._asset_url(picture, place)
            else:
                role, value = encoded_role, base64.b64encode(self.encoded(picture)).decode()
                if job.order.encoding == "data_uri":
                    value = f"data:{picture.media_type};base64,{value}"
            yield {
                role: value,
                "output_type": picture.media_type,
                "output_width": picture.width,
                "output_height": picture.height,
            }

    def _asset_url(self, picture: Picture, place: Place) -> str:
        name = self.account.shelve(self, picture)
        url: str = varied(self.variations, "address", picture, f"{place.origin}/assets/{self.account.provider}/{name}")
        return url

    def _words(self, flow: Flow, state: State) -> tuple[str, ...]:
        states = flow.states or next((other.states for other in self.spec.flows.values() if other.states), {})
        for stand_in in STAND_INS[state]:
            words = tuple(word for word, means in states.items() if means == stand_in)
            if words:
                return words
        return (state,)

    def _cancellation(self, operation: Operation, which: int, status: int, job: Job | None) -> Reply:
        shape = (operation.answer(status) or {}).get("application/json")
        fields = shape.with_role("cancellation") if shape else ()
        if shape is None or (which != CANCELLED and not fields):
            kind, message = ("unknown_job", "not found") if which == NO_SUCH_JOB else ("early_result", "over already")
            return self._sent("cancel", job, self.error(kind, f"The request is {message}."))
        members = next((tuple(f.schema["enum"]) for f in fields if "enum" in f.schema), CANCELLATION)
        known = {"job_id": job.id} if job else {}
        context: Context = {"cancellation": members[min(which, len(members) - 1)], "code": status, **known}
        return self._sent("cancel", job, Reply.of(status, render(self._node(shape), context)))

    def _sent(self, step: StepName, job: Job | None, reply: Reply) -> Reply:
        if job and self.spec.job_header:
            reply = replace(reply, headers={**reply.headers, self.spec.job_header: job.id})
        sent: Reply = varied(self.variations, "reply", step, job, reply)
        return sent

    def _node(self, shape: Shape) -> Node:
        # Shapes live as long as their spec, so that their identity is a name.
        node = self._nodes.get(id(shape))
        if node is None:
            node = self._nodes[id(shape)] = compiled(shape.schema)
        return node


def _encodings(spec: Spec) -> Mapping[str, str]:
    """What each value of the encoding parameter means, by its JSON text."""
    parameter = spec.parameter("encoding")
    encodings = parameter.detail.get("encodings", ()) if parameter else ()
    return {json.dumps(row["value"]): row["means"] for row in encodings}


def _model(spec: Spec) -> str:
    """What an answer calls the model: the constant that a body names it by, else the endpoint's name."""
    for name, value in spec.constants.items():
        if spec.input_schema["properties"][name].get(EXTENSION, {}).get("role") == "model":
            return str(value)
    return spec.target.partition("/")[2]


def success(operation: Operation) -> int:
    """The first successful status that an operation documents."""
    named = (int(status) for status in operation.answers if status.startswith("2") and status.isdigit())
    return next(named, 200)


def _too_late(operation: Operation) -> int:
    """The status of a cancellation that comes too late: the first refusal documented beside the unknown job."""
    named = (int(status) for status in operation.answers if status.startswith("4") and status.isdigit())
    return next((status for status in named if status not in (401, 403, 404, 429)), 400)


def beside(spec: Spec, flow: Flow) -> Iterator[Flow]:
    """A flow, then the others on its server."""
    yield flow
    yield from (other for other in spec.flows.values() if other is not flow and other.server == flow.server)


def _links(spec: Spec, flow: Flow) -> Mapping[str, tuple[str, str]]:
    """What stands before and after the job's id in the links of a flow's jobs, by role.

    Where an operation is missing the other one that reads the job stands in. Where a path has no place for the id
    the query has.
    """
    found: dict[str, Step] = {}
    for other in beside(spec, flow):
        for name, step in other.steps().items():
            found.setdefault(name, step)
    wanted = {
        "link_status": found.get("status") or found.get("result"),
        "link_result": found.get("result") or found.get("status"),
        "link_cancel": found.get("cancel"),
    }
    paths = {role: step.operation.path for role, step in wanted.items() if step}
    return {
        role: (path.partition("{")[0], path.partition("}")[2]) if "{" in path else (f"{path}?id=", "")
        for role, path in paths.items()
    }


def _is_integer(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
