"""What a case's calls show, read once and asked by every check.

Rules
-----
* Evidence is computed from the spec and the recorded exchanges alone, and never raises for what a provider sent.
* How hard a broken promise weighs is decided in one place, ``grade``: what a document states, and what every official
  client requires, may ``fail``; what was only observed or assumed, and what the documents contradict, is a ``warn``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import unquote_to_bytes, urljoin

from harness.checks.schema import written
from harness.flow import KEY_REFUSED, Route, body_json
from harness.isolate import Culprits
from harness.model import PAST_DEADLINE, Call, Case, Exchange, Fact, Failure, Finding, Json, Outcome, Response, Verdict
from harness.spec import Field, Flow, Output, Spec, Step

SAY_NOTHING = KEY_REFUSED | {429}
"""Statuses that speak of the account or of the rate, and not of the request."""
FEWEST_SUBMITS = 3


@dataclass(frozen=True, slots=True)
class File:
    """The bytes of one output: ``how`` is url, data_uri, base64 or none; ``data`` is None when they are not to be had."""

    output: Output
    how: str
    data: bytes | None
    media_type: str | None


@dataclass(frozen=True, slots=True)
class Anchor:
    """One instant on both clocks: monotonic nanoseconds, and the date."""

    monotonic_ns: int
    date: datetime

    def at(self, instant_ns: int) -> datetime:
        """The date of a monotonic instant."""
        return self.date + timedelta(microseconds=(instant_ns - self.monotonic_ns) / 1000)


class Others(tuple[Call, ...]):  # noqa: SLOT001 - what is cached lives in its dictionary
    """All calls of a target, with what is asked of all of them at once: asked for each call, it would take n²."""

    @cached_property
    def first_with(self) -> Mapping[str, str]:
        """The first call, by its id, that was given each job id."""
        first: dict[str, str] = {}
        for call in self:
            if call.job_id is not None and call.id < first.get(call.job_id, call.id + "~"):
                first[call.job_id] = call.id
        return first

    @cached_property
    def misplaced(self) -> int | None:
        """The one status, 404 or 405, with which every submit was answered, those apart that asked for something else."""
        submits = [call.of("submit") for call in self if not _elsewhere(call.case)]
        answers = [steps[-1].response for steps in submits if steps]
        statuses = {answer.status if answer is not None else None for answer in answers}
        only = statuses.pop() if len(statuses) == 1 and len(answers) >= FEWEST_SUBMITS else None
        return only if only in (404, 405) else None


@dataclass(frozen=True)
class Evidence:
    """One case with its call, the target's other calls, and where a 5xx asked for one, the confirming call.

    ``fetched`` says that the run set out to fetch the outputs.
    """

    route: Route
    case: Case
    call: Call
    confirmation: Call | None = None
    others: Sequence[Call] = ()
    anchor: Anchor | None = None
    culprits: Culprits | None = None
    fetched: bool = True

    @property
    def spec(self) -> Spec:
        """The target's contract."""
        return self.route.spec

    @property
    def flow(self) -> Flow:
        """The flow that was run."""
        return self.route.flow

    @property
    def expects_acceptance(self) -> bool:
        """Whether the case is a valid request."""
        return self.case.kind in ("accept", "repeat", "warm-up")

    @property
    def synchronous(self) -> bool:
        """Whether the outputs were asked for in the submit's answer."""
        return self.route.synchronous(self.case.body)

    def probes(self, *purposes: str) -> Sequence[Exchange]:
        """The probes of the named purposes, in send order."""
        return [exchange for exchange in self.call.of("probe") if exchange.purpose in purposes]

    @cached_property
    def submitted(self) -> Json:
        """The JSON of the submit's answer, or None."""
        submits = self.call.of("submit")
        return self.value(submits[-1]) if submits else None

    @property
    def same_id(self) -> bool:
        """Whether an earlier call of the target was given the same job id."""
        mine = self.call.job_id
        return mine is not None and self._together.first_with.get(mine, self.call.id) < self.call.id

    @cached_property
    def misplaced(self) -> int | None:
        """The one status, 404 or 405, with which every submit of the target was answered: nobody is there."""
        return self._together.misplaced

    @property
    def _together(self) -> Others:
        return self.others if isinstance(self.others, Others) else Others(self.others)

    @property
    def past_deadline(self) -> bool:
        """Whether the job was not done in time; a synchronous one is not answered then."""
        submits = self.call.of("submit")
        reply = submits[-1].reply if submits else None
        unanswered = self.synchronous and isinstance(reply, Failure) and reply.kind == "timeout"
        return unanswered or self.call.reason.startswith(PAST_DEADLINE)

    @cached_property
    def steps(self) -> Sequence[tuple[Exchange, Step]]:
        """Every exchange with the API, with the flow's step that it belongs to; another method asks something else."""
        named = self.flow.steps()
        strange = ("submit",) if _elsewhere(self.case) else ()
        return [(e, named[e.step]) for e in self.call.exchanges if e.step in named and e.step not in strange]

    @cached_property
    def answers(self) -> Sequence[tuple[Exchange, Step, Response]]:
        """Answers that speak of the request: not of the account, the rate, or a broken server.

        Of polls that were answered alike, to the byte, the first is enough.
        """
        found: dict[tuple[str, int, str, bytes], tuple[Exchange, Step, Response]] = {}
        for exchange, step in self.steps:
            answer = exchange.response
            if answer is not None and answer.status not in SAY_NOTHING and answer.status < 500:
                found.setdefault(
                    (exchange.step, answer.status, answer.content_type, answer.body), (exchange, step, answer)
                )
        return list(found.values())

    @cached_property
    def final(self) -> tuple[Exchange, Step] | None:
        """The exchange whose answer holds the outputs of a completed call."""
        if self.call.outcome is not Outcome.COMPLETED:
            return None
        for exchange, step in reversed(self.steps):
            if step.shape.outputs(self.value(exchange)):
                return exchange, step
        return None

    def value(self, exchange: Exchange) -> Json:
        """The JSON of an answer, or None; every check asks for it, and it is read once."""
        if id(exchange) not in self._values:
            self._values[id(exchange)] = body_json(exchange.response) if exchange.response is not None else None
        return self._values[id(exchange)]

    @cached_property
    def _values(self) -> dict[int, Json]:
        return {}

    @cached_property
    def answer(self) -> Json:
        """The JSON that holds the outputs, or None."""
        return self.value(self.final[0]) if self.final else None

    def read(self, role: str) -> Json:
        """A role's value in the answer that holds the outputs."""
        return self.final[1].shape.one(role, self.answer) if self.final else None

    def field(self, role: str) -> Field | None:
        """The field that carries a role in the answer that holds the outputs."""
        found = self.final[1].shape.with_role(role) if self.final else ()
        return found[0] if found else None

    def asked_true(self, role: str) -> bool:
        """Whether the request asks for a boolean role."""
        return self.spec.asked(role, self.case.body) is True

    @cached_property
    def outputs(self) -> Sequence[Output]:
        """The images of a completed call, as its answer describes them."""
        return self.final[1].shape.outputs(self.answer) if self.final else []

    @cached_property
    def files(self) -> Sequence[File]:
        """The bytes of each output."""
        return [self._file(output) for output in self.outputs]

    def _file(self, output: Output) -> File:
        if output.url and output.url.startswith("data:"):
            kind, data = data_uri(output.url)
            return File(output, "data_uri", data, kind)
        if output.url:
            asset = self.asset(output.url)
            if asset is None or asset.response is None or asset.response.status >= 300:
                return File(output, "url", None, None)
            return File(output, "url", asset.response.body, asset.response.content_type)
        if not output.base64:
            return File(output, "none", None, None)
        if output.base64.startswith("data:"):
            kind, data = data_uri(output.base64)
            return File(output, "base64", data, kind)
        return File(output, "base64", unbase64(output.base64), None)

    def asset(self, url: str) -> Exchange | None:
        """The last exchange of the download that began at a URL."""
        found: Exchange | None = None
        for exchange in self.call.of("asset"):
            if exchange.url == url:
                found = exchange
                location = exchange.response.headers.get("location") if exchange.response else None
                url = _joined(url, location) if location else ""
        return found

    def grade(
        self,
        check: str,
        message: str,
        *,
        sources: Iterable[Fact | None] = (),
        about: Iterable[str] = (),
        parameter: str | None = None,
        expected: str = "",
        observed: str = "",
    ) -> Finding:
        """A finding about a broken promise, weighed by where the promise comes from.

        ``sources`` are the facts that together make the promise (none: it holds for every HTTP API); ``about`` are
        the places in the spec that it concerns.
        """
        facts = [fact for fact in sources if fact is not None]
        weak = next((fact for fact in facts if fact.kind in ("observed", "assumed")), None)
        unclear = next((found for at in about if (found := self.spec.about(at))), None)
        verdict, source = Verdict.FAIL, facts[0] if facts else None
        if unclear is not None:
            places = "; ".join(f"{place.where}: {place.states}" for place in unclear.places)
            verdict, source = Verdict.WARN, unclear.places[0]
            message = f"{message}; the document leaves open whether it may: {unclear.states} ({places})"
        elif weak is not None:
            verdict, source = Verdict.WARN, weak
        return Finding(check, verdict, self.case.id, message, parameter, expected, observed, source)

    def about_refusal(self, finding: Finding) -> Finding:
        """A finding about how a request is refused: what no body of the document is, anything in front may refuse."""
        odd = self.case.sending is not None and finding.verdict is Verdict.FAIL
        return finding.weighed(Verdict.WARN) if odd else finding

    def unknown(self, check: str, message: str, observed: str = "", parameter: str | None = None) -> Finding:
        """A finding that nothing can be said."""
        return Finding(check, Verdict.UNKNOWN, self.case.id, message, parameter, "", observed)


def _elsewhere(case: Case) -> bool:
    """Whether a case asks for another operation than the documented one."""
    return case.sending is not None and case.sending.method is not None


def _joined(url: str, location: str) -> str:
    """Where a redirect leads; nowhere when what it gives is no address (``http://[::1``)."""
    try:
        return urljoin(url, location)
    except ValueError:
        return ""


def data_uri(text: str) -> tuple[str | None, bytes | None]:
    """Media type and bytes of a data URI; None for what it lacks or gets wrong."""
    head, comma, payload = text.removeprefix("data:").partition(",")
    if not comma:
        return None, None
    kind = head.partition(";")[0].strip().lower() or None
    if head.lower().endswith(";base64"):
        return kind, unbase64(payload)
    return kind, unquote_to_bytes(payload)


def unbase64(text: str) -> bytes | None:
    """The bytes of a base64 text, or None when it is not one."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def show(value: Any, length: int = 120) -> str:
    """A value in a message: short, on one line, and never written out whole to be cut."""
    text = value if isinstance(value, str) else written(value)
    return text if len(text) <= length else text[: length - 1] + "…"
