"""Calls and runs for tests: recorded in virtual time from the simulator in this process, or made by hand.

A recorded call is changed in one place by ``with_answer``, ``with_file`` and their like; its outcome is then worked out
again by the flow itself, so that a changed call is what the engine would have recorded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Any

import httpx

from harness.audit import Watch
from harness.checks import judge
from harness.clock import NS, VirtualClock, run_virtual
from harness.config import Config
from harness.engine import Ended, Engine, Options, Work
from harness.flow import Route, job
from harness.history import History, MemoryJournal
from harness.ledger import Ledger
from harness.model import (
    PAST_DEADLINE,
    Call,
    Case,
    Exchange,
    Expect,
    Failure,
    Finding,
    Json,
    Judged,
    Outcome,
    Plan,
    Reply,
    Response,
    Step,
    Verdict,
    Wait,
)  # fmt: skip
from harness.run import HistoryRecorder, footer_row, header_row, options_of, work_of
from harness.secret import BoundKey, Secret
from harness.simulator import Settings, Variation, application
from harness.spec import Spec, find
from harness.targets import Request, targets_of
from harness.transport.redact import Redactor
from harness.transport.wire import Wire
from harness.urls import origin

ORIGIN = "http://simulator.test"
KEY = "sk-very-secret-0123456789"
SPECS: Mapping[str, Spec] = {spec.target: spec for spec in find(())}
FAL, GATEWAY = SPECS["fal/flux-pro-kontext-multi"], SPECS["fal-gateway/flux-pro-kontext-multi"]
WAVESPEED = SPECS["wavespeed/flux-kontext-pro-multi"]
SINGLE, MULTI = SPECS["umodelverse/flux-kontext-pro"], SPECS["umodelverse/flux-kontext-pro-multi"]
ROUTES = [(spec, flow) for spec in SPECS.values() for flow in spec.flows]
SETTINGS = Settings(queue_seconds=1.0, inference_seconds=4.0, epoch=1_764_000_000.0)
TODAY = replace(SETTINGS, epoch=None)
"""For whole runs, whose header dates them by the machine: what an answer is dated is compared with that."""


class InProcess(httpx.ASGITransport):
    """The simulator without sockets; like the real transport, it notes the instant at which a request leaves."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["trail"].sent_ns = VirtualClock().now_ns()
        return await super().handle_async_request(request)


@dataclass(frozen=True)
class Run:
    """A run as it was recorded; ``journal.rows`` are the lines of its history."""

    journal: MemoryJournal
    ended: Ended

    @property
    def history(self) -> History:
        return self.journal.history()

    @property
    def specs(self) -> Mapping[str, Spec]:
        return {plan.target: SPECS[plan.target] for plan in self.history.plans}


def simulated(
    request: Request,
    *specs: Spec,
    settings: Settings = TODAY,
    variations: Mapping[str, tuple[Variation, ...]] | None = None,
    key: str = KEY,
    inside: type[InProcess] = InProcess,
) -> Run:
    """A whole run in virtual time, with every stage but the sockets."""

    async def main() -> Run:
        clock = VirtualClock()
        transport = inside(application(specs, settings, clock, variations))
        urls: dict[tuple[str, str | None], str] = {
            (spec.provider, flow): f"{ORIGIN}/{spec.provider}/{flow}" for spec in specs for flow in spec.flows
        }
        keys = {spec.credential.env: key for spec in specs}
        targets = targets_of(specs, replace(request, base_urls=urls), Config(), keys)
        journal, watch = MemoryJournal(Redactor([Secret(key)])), Watch(clock)
        journal.append(header_row("run-1", targets, request, clock))
        engine = Engine(
            clock,
            HistoryRecorder(journal, targets, watch),
            Ledger(request.max_cost),
            options_of(request),
        )
        work = []
        for target in targets:
            credential = target.route.spec.credential
            bound = BoundKey(Secret(key), credential.header, credential.scheme, target.route.origins)
            wire = Wire(transport, transport, clock, None, frozenset({origin(ORIGIN)}))
            work.append(work_of(replace(target, key=bound), wire))
        ended = await engine.run(work)
        journal.append(footer_row(ended, watch.audit(), engine.unfinished()))
        return Run(journal, ended)

    return run_virtual(main())


@cache
def whole_run(*targets: str) -> Run:
    """The one-way plans of some targets (all of them for none), with the rejects."""
    return simulated(Request("simulate"), *(SPECS[name] for name in targets or SPECS))


def route_of(spec: Spec, flow: str | None = None) -> Route:
    """A flow of a spec (the default one for None) on the simulator."""
    chosen = spec.flows[flow] if flow else spec.default_flow
    return Route(spec, chosen, f"{ORIGIN}/{spec.provider}/{chosen.name}")


def body_of(spec: Spec, flow: str | None = None, **by_role: Json) -> dict[str, Json]:
    """A plain valid body with the given values by role; a role that the endpoint lacks is left out."""
    image = "https://images.example/a.png"
    wanted = {"prompt": "a red fox in the snow", "images": [image], "image": image} | by_role
    known = {role: spec.parameter(role) for role in wanted}
    body = {parameter.name: wanted[role] for role, parameter in known.items() if parameter}
    return {**spec.constants, **(spec.flows[flow].body if flow else {}), **body}


def case_of(
    spec: Spec, body: Mapping[str, Json], *, fault: str | None = None, parameter: str | None = None,
    expect: Expect | None = None, images: int | None = None,
) -> Case:  # fmt: skip
    """A case around a body; with a fault it is a reject."""
    asked = spec.asked("count", body)
    count = images or (asked if isinstance(asked, int) else 1)
    name = f"{parameter}/{fault}" if fault else "accept/by-hand"
    source = next((p.source for p in spec.parameters if p.name == parameter), None)
    expected = expect or ("reject" if fault else "accept")
    return Case(
        f"{spec.target}/{name}", spec.target, body, expected, "it was made by hand", count, Decimal("0.04") * count,
        {} if fault else {"prompt": "ascii"}, parameter, fault, source, "reject" if fault else "accept",
    )  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """A route and one call on it, ready to be changed and judged."""

    route: Route
    call: Call
    confirmation: Call | None = None

    @property
    def spec(self) -> Spec:
        return self.route.spec

    def judged(self) -> Judged:
        calls = [self.call, *([self.confirmation] if self.confirmation else [])]
        (judged,) = judge(self.route, plan_of(self.spec, self.route.flow.name, self.call.case), calls)
        return judged

    def findings(self) -> list[tuple[str, str, str | None]]:
        """Check, verdict and parameter of everything found."""
        return [(f.check, f.verdict.value, f.parameter) for f in self.judged().findings]

    def finding(self) -> Finding:
        """The one finding."""
        (finding,) = self.judged().findings
        return finding

    def verdict(self, check: str) -> Verdict | None:
        """What a check says; None where it does not apply."""
        return self.judged().checks.get(check)


def plan_of(spec: Spec, flow: str, *cases: Case) -> Plan:
    """A plan of cases, without domains."""
    return Plan(spec.target, spec.sha256, flow, "one-way", 0, cases, {})


def seen(spec: Spec, flow: str | None = None, **by_role: Json) -> Seen:
    """A healthy call, as the engine records it from the simulator."""
    return sent(spec, flow, body_of(spec, flow, **by_role))


def sent(
    spec: Spec, flow: str | None, body: Mapping[str, Json], *, fault: str | None = None, parameter: str | None = None,
    expect: Expect | None = None,
) -> Seen:  # fmt: skip
    """A call with a body of one's own."""
    case = case_of(spec, body, fault=fault, parameter=parameter, expect=expect)
    return Seen(route_of(spec, flow), replace(_sent(spec.target, flow, json.dumps(body)), case=case))


@cache
def _sent(target: str, flow: str | None, body: str) -> Call:
    spec = SPECS[target]
    calls: list[Call] = []

    async def main() -> None:
        clock, route = VirtualClock(), route_of(spec, flow)
        transport = InProcess(application([spec], SETTINGS, clock))
        key = BoundKey(Secret(KEY), spec.credential.header, spec.credential.scheme, route.origins)
        wire = Wire(transport, transport, clock, key, frozenset({origin(ORIGIN)}))
        engine = Engine(clock, _Kept(calls), Ledger(None), Options())
        await engine.run([Work(route, wire, [case_of(spec, json.loads(body))], 1)])

    run_virtual(main())
    return calls[0]


class _Kept:
    """A recorder that keeps calls in a list."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls = calls

    async def intent(self, call: str, case: Case, derived: str | None) -> None:
        pass

    def exchange(self, exchange: Exchange) -> None:
        pass

    def call(self, call: Call) -> None:
        self._calls.append(call)


def again(one: Seen, exchanges: Sequence[Exchange]) -> Seen:
    """The call with other exchanges, its outcome worked out by the flow; one that never ends meets the deadline."""
    submits = [e for e in exchanges if e.step == "submit"]
    replies = iter([submits[-1].reply, *(e.reply for e in exchanges if e.step in ("status", "result"))])
    flow = job(one.route, one.call.case.body)
    ask = next(flow)
    call = replace(one.call, exchanges=tuple(exchanges))
    try:
        while True:
            reply = None if isinstance(ask, Wait) else next(replies, None)
            if reply is None and not isinstance(ask, Wait):
                late = f"{PAST_DEADLINE} 300 s"
                return replace(one, call=replace(call, outcome=Outcome.UNKNOWN, billed="unknown", reason=late))
            ask = flow.send(reply)
    except StopIteration as end:
        e = end.value
        return replace(one, call=replace(call, outcome=e.outcome, billed=e.billed, job_id=e.job_id, reason=e.reason))


def with_reply(one: Seen, step: Step, change: Callable[[Reply], Reply], at: int = -1) -> Seen:
    """The call with another reply at a step; ``at`` counts the exchanges of that step."""
    places = [n for n, exchange in enumerate(one.call.exchanges) if exchange.step == step]
    exchanges = list(one.call.exchanges)
    exchanges[places[at]] = replace(exchanges[places[at]], reply=change(exchanges[places[at]].reply))
    return again(one, exchanges)


def with_answer(one: Seen, step: Step, change: Callable[[Any], Any], at: int = -1) -> Seen:
    """The call with another JSON value in an answer: ``change`` edits it in place, or returns another."""

    def edit(reply: Reply) -> Reply:
        assert isinstance(reply, Response)
        value = json.loads(reply.body)
        other = change(value)
        return replace(reply, body=json.dumps(value if other is None else other).encode())

    return with_reply(one, step, edit, at)


def final_step(one: Seen) -> Step:
    """The step whose answer holds the outputs of a call."""
    return "result" if one.call.of("result") else "status" if one.call.of("status") else "submit"


def with_final(one: Seen, change: Callable[[Any], Any]) -> Seen:
    """The call with another JSON value in the answer that holds the outputs."""
    return with_answer(one, final_step(one), change)


def with_file(one: Seen, data: bytes, media_type: str | None = None, at: int = -1) -> Seen:
    """The call with other bytes in a downloaded image."""

    def edit(reply: Reply) -> Reply:
        assert isinstance(reply, Response)
        return replace(reply, body=data, headers={**reply.headers, "content-type": media_type or reply.content_type})

    return with_reply(one, "asset", edit, at)


def with_status(one: Seen, step: Step, status: int, body: bytes | None = None, at: int = -1) -> Seen:
    """The call with an answer of another status, and of other bytes if given."""

    def edit(reply: Reply) -> Reply:
        assert isinstance(reply, Response)
        return replace(reply, status=status, body=reply.body if body is None else body)

    return with_reply(one, step, edit, at)


def with_failure(one: Seen, step: Step, kind: str, *, left: bool = True, at: int = -1) -> Seen:
    """The call with a transport failure in place of an answer."""
    return with_reply(one, step, lambda _: Failure(kind, f"a planted {kind}", left), at)


def refused(one: Seen, status: int, value: Json = None, *, step: Step = "submit") -> Seen:
    """The call as it would be had its submit been answered with a status and nothing more happened."""
    first = next(e for e in one.call.exchanges if e.step == step)
    before = one.call.exchanges[: one.call.exchanges.index(first)]
    body = json.dumps({} if value is None else value).encode()
    answer = Response(status, {"content-type": "application/json"}, body)
    return again(one, [*before, replace(first, reply=answer)])


def accepted_as_reject(one: Seen, parameter: str, fault: str, expect: Expect = "reject") -> Seen:
    """The same call, had it been planned as a reject."""
    case = case_of(one.spec, one.call.case.body, fault=fault, parameter=parameter, expect=expect)
    return replace(one, call=replace(one.call, case=case))


def exchange(
    step: Step, sent: float, received: float, value: Json = None, *, status: int = 200, reply: Reply | None = None
) -> Exchange:
    """An exchange by hand; instants in seconds after an arbitrary one."""
    start = 1_000 * NS
    answer = reply or Response(status, {"content-type": "application/json"}, json.dumps(value).encode())
    at, until = start + round(sent * NS), start + round(received * NS)
    return Exchange("c1", "case", step, 1, "POST", ORIGIN, {}, None, answer, at, at, until, until)


def call_of(spec: Spec, *exchanges: Exchange, outcome: Outcome = Outcome.COMPLETED, **roles: Json) -> Call:
    """A call by hand."""
    case = case_of(spec, body_of(spec, **roles))
    billed = {"completed": "yes", "failed": "yes", "rejected": "no", "unknown": "unknown"}[outcome.value]
    return Call("c1", case, exchanges, outcome, "job-1", billed, case.images)  # type: ignore[arg-type]
