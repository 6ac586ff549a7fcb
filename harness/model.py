"""The nouns of the harness, as frozen values.

Rules
-----
* A value never changes; a function that "changes" one returns another.
* Nothing here reads a clock, a file or a socket, and nothing here imports another module of the harness.
* Instants are integers: nanoseconds on one monotonic clock. Durations leave the harness as seconds.
* Verdicts are three-valued on purpose: a 429, a refused key or a lost connection says nothing about
  what a provider does with a request, so it is ``unknown``, never ``pass``. ``warn`` is a ``pass`` on
  which the document is silent or contradicts itself.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal, TypeAlias

Json: TypeAlias = Any
"""A JSON value as the strict loader returns it: dict, list, str, int, float, bool or None."""

Expect: TypeAlias = Literal["accept", "reject", "either"]
"""What the document lets a caller expect of a request body; ``either`` where it is silent or contradicts itself."""

CaseKind: TypeAlias = Literal["accept", "reject", "probe", "repeat", "warm-up"]
"""A valid request, a faulty one, a free question about the protocol, a paid repetition, or a valid request not timed."""

RejectTier: TypeAlias = Literal["A", "B"]
"""Whether a reject that is accepted breaks a promise, or is only worth knowing."""

RunKind: TypeAlias = Literal["check", "bench"]
"""What a run is for: whether the documented promises are kept, or how long it takes and what it costs."""

Step: TypeAlias = Literal["submit", "status", "result", "cancel", "asset", "probe"]
State: TypeAlias = Literal["queued", "running", "completed", "failed", "cancelled"]
Billed: TypeAlias = Literal["yes", "no", "unknown"]
FactKind: TypeAlias = Literal["document", "client", "observed", "assumed"]


class Verdict(enum.StrEnum):
    """What a check found; the worst of several is their maximum in ``VERDICT_ORDER``."""

    PASS = "pass"  # noqa: S105 - a verdict
    WARN = "warn"
    UNKNOWN = "unknown"
    FAIL = "fail"


VERDICT_ORDER = (Verdict.PASS, Verdict.WARN, Verdict.UNKNOWN, Verdict.FAIL)


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The worst verdict: fail, unknown, warn, pass; ``pass`` for none."""
    return max(verdicts, key=VERDICT_ORDER.index, default=Verdict.PASS)


class Outcome(enum.StrEnum):
    """How a call ended. ``UNKNOWN`` means that nothing can be said about the request, and perhaps about its charge."""

    COMPLETED = "completed"
    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fact:
    """Where a statement comes from.

    ``document`` is the document's title, ``where`` the place in it (segments joined by `` > ``, each of which
    stands in the document's text, in this order), ``states`` what it says, in our own words.
    """

    document: str
    where: str
    states: str
    kind: FactKind = "document"


@dataclass(frozen=True, slots=True)
class Sending:
    """How a request leaves otherwise than the document has it; None for what is as ever.

    ``body`` are bytes in place of the case's body in JSON; ``content_type`` is empty for none at all; ``credential`` is
    a made-up value in place of the one with the key.
    """

    body: bytes | None = None
    content_type: str | None = None
    method: str | None = None
    credential: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One request body and what must come of it.

    ``id`` derives from what the case is and never from its position. ``labels`` names, for an accept case, the
    partition label of every parameter; for a reject case ``parameter`` is the faulty one and ``fault`` its fault.
    ``images`` is the number of outputs the body asks for, ``usd`` the list price if it is accepted.
    ``kind`` says what the case is for; ``probes`` names the free questions to ask beside its job. ``sending`` is for a
    fault that does not lie in the value of the body, or that no JSON can tell: ``body`` is then the valid one that the
    request differs from. ``silent`` says that the document neither allows nor forbids what a reject sends.
    """

    id: str
    target: str
    body: Mapping[str, Json]
    expect: Expect
    why: str
    images: int
    usd: Decimal
    labels: Mapping[str, str] = field(default_factory=dict)
    parameter: str | None = None
    fault: str | None = None
    source: Fact | None = None
    kind: CaseKind = "accept"
    probes: tuple[str, ...] = ()
    sending: Sending | None = None
    silent: bool = False

    @property
    def tier(self) -> RejectTier | None:
        """Of a reject: A where the document forbids what it sends, B where it is silent or contradicts itself."""
        if self.kind != "reject":
            return None
        return "A" if self.expect == "reject" else "B"

    @property
    def priced(self) -> bool:
        """Whether the document, or a place in it, allows what is sent: its price is part of the plan's."""
        return self.expect != "reject" and not self.silent

    def sent_as(self, body: Mapping[str, Json], images: int) -> Case:
        """The case as it was sent: with another body it is priced anew by its images, and asks nothing beside its job."""
        if body == self.body:
            return self
        usd = self.usd / self.images * images if self.images else self.usd
        return replace(self, body=body, images=images, usd=usd, probes=())


@dataclass(frozen=True, slots=True)
class Plan:
    """The ordered cases of one target. ``domains`` maps each parameter's labels to their classes."""

    target: str
    spec_sha256: str
    flow: str
    tier: str
    seed: int
    cases: tuple[Case, ...]
    domains: Mapping[str, Mapping[str, str]]

    @property
    def kind(self) -> RunKind:
        """What a run of the plan is for."""
        return "bench" if self.tier == "bench" else "check"

    @property
    def usd(self) -> Decimal:
        """List price of all cases that the document lets expect acceptance of, the contested ones included."""
        return sum((case.usd for case in self.cases if case.priced), Decimal(0))


SUBMIT_PROBE = "submit-"
"""How the purpose of a probe begins that is a submit: it costs nothing unless it is accepted."""


def begins(step: Step, purpose: str) -> bool:
    """Whether a request of a step, and of a purpose if it is a probe, may begin a job."""
    return step == "submit" or (step == "probe" and purpose.startswith(SUBMIT_PROBE))


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as a flow asks for it: no credential, no clock, no connection.

    ``url`` is absolute. ``authenticated`` asks for the credential; whether it is attached is decided where the
    request leaves, by the origin of ``url``. ``credential`` is the name and the made-up value of a header that stands
    in for it. ``purpose`` names what a probe is about.
    """

    step: Step
    method: str
    url: str
    body: bytes | None = None
    content_type: str | None = None
    authenticated: bool = True
    purpose: str = ""
    credential: tuple[str, str] | None = None

    @property
    def begins(self) -> bool:
        """Whether it may begin a job, and with it a charge."""
        return begins(self.step, self.purpose)


@dataclass(frozen=True, slots=True)
class Wait:
    """A flow has nothing to ask until time has passed; how much is the schedule's business.

    ``state`` is what the job was last seen in, so that a schedule can poll a queue and an inference differently.
    """

    state: State


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer, header names in lower case, the body decoded from its content encoding.

    ``withheld`` says that the body held a key and could not be kept: what stands in its place is not the provider's.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    withheld: bool = False

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case; empty when there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Failure:
    """No usable answer came.

    ``left`` tells whether any byte of the request may have left this machine: only a request that never left may
    be sent again. ``kind`` is one of ``TRANSPORT_FAILURES``; ``partial`` keeps what had been received.
    """

    kind: str
    message: str
    left: bool
    partial: bytes = b""


PAST_DEADLINE = "the job was not done within"
"""How the reason of a call begins that its deadline has ended."""

INTERRUPTED = "the run was interrupted"
"""The reason of a call that a signal cut off, and of one that was withheld because of it."""

CUT_OFF = "the run ended before the call did"
"""The reason of a call that the record has no end of: its run was killed."""

LOST = "the run ended before the answer to the submit was recorded"
"""The reason of a call that was cut off, and of whose submit nothing will ever be known."""

TRANSPORT_FAILURES: Mapping[str, str] = {
    "dns": "the host name could not be resolved",
    "refused": "the connection was refused",
    "connect_timeout": "the connection was not made in time",
    "tls": "the TLS handshake failed",
    "reset": "the connection was closed before the answer was complete",
    "timeout": "the answer did not come in time",
    "limit": "the answer broke a limit of size, headers or encoding",
    "protocol": "the answer was not HTTP",
    "forbidden": "the address may not be contacted",
    "interrupted": INTERRUPTED,
}

Reply: TypeAlias = Response | Failure


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, what came back, and when. Everything else about a run is computed from these.

    ``connect_ns`` is what opening a connection took between ``intended_ns`` and ``sent_ns``, zero on a kept one.
    """

    call: str
    case_id: str
    step: Step
    attempt: int
    method: str
    url: str
    request_headers: Mapping[str, str]
    request_body: bytes | None
    reply: Reply
    intended_ns: int
    sent_ns: int
    first_byte_ns: int | None
    received_ns: int
    purpose: str = ""
    connect_ns: int = 0

    @property
    def response(self) -> Response | None:
        """The answer, or None when the transport failed."""
        return self.reply if isinstance(self.reply, Response) else None

    @property
    def begins(self) -> bool:
        """Whether it may have begun a job, and with it a charge."""
        return begins(self.step, self.purpose)

    @property
    def cut_off(self) -> bool:
        """Whether a read was cut off on this side: it says nothing, and its answer is still to be had."""
        return not self.begins and isinstance(self.reply, Failure) and self.reply.kind == "interrupted"


@dataclass(frozen=True, slots=True)
class Call:
    """A case as it was run: its exchanges in send order, and how it ended.

    ``billed`` is ``unknown`` when nobody here can say whether the submit was charged. ``derived`` names why a call
    exists that the plan does not hold (a confirmation, an isolation), and is None otherwise. ``segment`` is the part of
    the run in which it was made, from 0, and None for one that an interruption cut in two.
    """

    id: str
    case: Case
    exchanges: tuple[Exchange, ...]
    outcome: Outcome
    job_id: str | None
    billed: Billed
    images: int
    reason: str = ""
    derived: str | None = None
    segment: int | None = 0

    def of(self, *steps: Step) -> tuple[Exchange, ...]:
        """The exchanges of the named steps, in send order."""
        return tuple(exchange for exchange in self.exchanges if exchange.step in steps)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has to say about a call; a check that is satisfied says nothing.

    ``body`` is a shorter request that shows the same, where one is known. ``about`` is the exchange that it speaks of,
    where that is another one than the case's submit: a poll, a read, a download or a probe.
    """

    check: str
    verdict: Verdict
    case_id: str
    message: str
    parameter: str | None = None
    expected: str = ""
    observed: str = ""
    source: Fact | None = None
    body: Mapping[str, Json] | None = None
    about: Exchange | None = None

    def weighed(self, verdict: Verdict) -> Finding:
        """The same finding with another verdict."""
        return replace(self, verdict=verdict)

    def shown_by(self, exchange: Exchange) -> Finding:
        """The same finding, about an exchange; a submit shows itself."""
        return self if exchange.begins else replace(self, about=exchange)


@dataclass(frozen=True)
class Judged:
    """One case with its call (None when it was never sent), what the checks found, and which checks applied."""

    case: Case
    call: Call | None
    verdict: Verdict
    findings: tuple[Finding, ...]
    checks: Mapping[str, Verdict]
