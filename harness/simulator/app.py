"""The simulated providers over HTTP: one ASGI application, a path prefix for each provider and flow.

Rules
-----
* ``/fal/queue`` and ``/fal/sync`` take the place of a documented server each; the documented paths follow behind.
  Flows on one server serve each other's operations, as the one host would.
* A request is routed, then its key is looked at, then its body. Whatever is wrong below a prefix is answered in the
  provider's own shape: 404 for no such path, 405 with ``Allow``, 413 for a body over the limit.
* Endpoints that share a path are told apart by the constants in the body; a body that names none of them is refused by
  the one that has least against it.
* Images lie under ``/assets/<provider>/``, without a key, like on any provider's CDN.
* ``/-/ledger`` says what was billed, by target: the other side of a run's own account of its money.
* Every answer carries ``x-harness-simulator``, so that nobody takes it for a provider's.
* The router is Starlette's; it is left out below a prefix, since its 404 and 405 are not the provider's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import Receive, Scope, Send

from harness import __version__
from harness.clock import Clock, RealClock
from harness.model import Step as StepName
from harness.simulator.bill import Bill
from harness.simulator.provider import Account, Endpoint, Job, Place, Reply, beside
from harness.simulator.settings import Settings
from harness.simulator.variations import Variation
from harness.spec.contract import Spec
from harness.strict import StrictError, load_json

HEADER = "x-harness-simulator"
LEDGER = "/-/ledger"
LARGEST_BODY = 16 * 1024 * 1024
JSON_TYPES = re.compile(r"application/([\w.+-]+\+)?json")


class OversizeError(Exception):
    """A body has more than ``LARGEST_BODY`` bytes."""


def prefixes(specs: Sequence[Spec]) -> Mapping[str, str]:
    """The path prefix of each provider and flow, by ``provider:flow``."""
    return {f"{spec.provider}:{flow}": f"/{spec.provider}/{flow}" for spec in specs for flow in spec.flows}


def application(
    specs: Sequence[Spec],
    settings: Settings | None = None,
    clock: Clock | None = None,
    variations: Mapping[str, tuple[Variation, ...]] | None = None,
) -> Application:
    """The simulated providers of some specs.

    ``variations`` are the planted faults and healthy variants by target. The clock is the machine's unless a virtual
    one is given; nothing is read from it before the first request.
    """
    chosen, measured = settings or Settings(), clock or RealClock()
    accounts = {spec.provider: Account(spec.provider, chosen, measured) for spec in specs}
    endpoints = [Endpoint(spec, accounts[spec.provider], (variations or {}).get(spec.target, ())) for spec in specs]
    mounts = []
    for name, prefix in prefixes(specs).items():
        provider, _, flow = name.partition(":")
        served = [endpoint for endpoint in endpoints if endpoint.spec.provider == provider]
        mounts.append(Mount(prefix, Front(prefix, flow, [e for e in served if flow in e.spec.flows])))
    assets = Route("/assets/{provider}/{name}", _Assets(accounts))
    return Application([Route(LEDGER, _Ledger(accounts)), *mounts, assets], accounts)


class Application(Router):
    """The ASGI application, with the money log that its callers can read in this process."""

    def __init__(self, routes: Sequence[BaseRoute], accounts: Mapping[str, Account]) -> None:
        super().__init__(routes, redirect_slashes=False, default=_nothing_here)
        self._accounts = accounts

    @property
    def ledger(self) -> Mapping[str, Bill]:
        """What has been billed so far, by target."""
        return _bills(self._accounts)


@dataclass(frozen=True, slots=True)
class Operated:
    """What one method of one path does: a step of a flow, for the endpoints that have it."""

    step: StepName
    flow: str
    endpoints: tuple[Endpoint, ...]


class Front:
    """One provider's operations behind one prefix."""

    def __init__(self, prefix: str, flow: str, endpoints: Sequence[Endpoint]) -> None:
        self._prefix, self._endpoints = prefix, endpoints
        self._routes: dict[str, tuple[re.Pattern[str], dict[str, Operated]]] = {}
        for endpoint in endpoints:
            for own in beside(endpoint.spec, endpoint.spec.flows[flow]):
                for name, step in own.steps().items():
                    path, method = step.operation.path, step.operation.method
                    _, methods = self._routes.setdefault(path, (_pattern(path), {}))
                    known = methods.setdefault(method, Operated(name, own.name, ()))
                    if known.flow == own.name and known.step == name and endpoint not in known.endpoints:
                        methods[method] = Operated(known.step, known.flow, (*known.endpoints, endpoint))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            reply = await self._reply(request)
        except ClientDisconnect:
            return
        await _send(reply, scope, receive, send)

    async def _reply(self, request: Request) -> Reply:
        path = request.scope["path"].removeprefix(request.scope["root_path"])
        first = self._endpoints[0]
        found = next(((match, methods) for match, methods in self._matches(path)), None)
        if found is None:
            return first.error("unknown_job", f"There is nothing at {path[:200]}.", status=404)
        match, methods = found
        operated = methods.get(request.method) or methods.get(_understood(methods, request.method))
        if operated is None:
            reply = first.error("unknown_job", f"{request.method} is not allowed here.", status=405)
            return Reply(reply.status, reply.body, reply.media_type, {"allow": ", ".join(methods)})
        endpoint = operated.endpoints[0]
        if not endpoint.admits(operated.step, request.headers):
            return endpoint.error("unauthorized", "The key is missing or not accepted.")
        place = Place(_origin(request), self._prefix)
        if operated.step == "submit":
            return await _submit(operated, request, place)
        return _read(operated, place, _job(endpoint, request, match))

    def _matches(self, path: str) -> Iterator[tuple[re.Match[str], Mapping[str, Operated]]]:
        for pattern, methods in self._routes.values():
            match = pattern.fullmatch(path)
            if match:
                yield match, methods


def _understood(methods: Mapping[str, Operated], method: str) -> str:
    """What the endpoint of a submit takes a method for."""
    submit = next((one for one in methods.values() if one.step == "submit"), None)
    return submit.endpoints[0].method(method) if submit else method


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{[^}]+\\\}", "([^/]+)", re.escape(path)))


async def _submit(operated: Operated, request: Request, place: Place) -> Reply:
    endpoint = operated.endpoints[0]
    try:
        data = await _body(request)
    except OversizeError:
        return endpoint.error("invalid", f"The body has more than {LARGEST_BODY} bytes.", status=413)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    data, content_type = endpoint.received(data, content_type)
    if not JSON_TYPES.fullmatch(content_type):
        return endpoint.unreadable(f"The content type is {content_type[:80] or 'missing'}, and not JSON's.")
    try:
        body = load_json(data)
    except StrictError as error:
        return endpoint.unreadable(f"The body cannot be read: {error}.")
    named = next((one for one in operated.endpoints if one.takes(body)), None)
    named = named or min(operated.endpoints, key=lambda one: one.complaints(body))
    return await named.submit(named.spec.flows[operated.flow], place, body)


def _read(operated: Operated, place: Place, job: Job | None) -> Reply:
    endpoint = job.endpoint if job else operated.endpoints[0]
    flow = endpoint.spec.flows.get(operated.flow) or operated.endpoints[0].spec.flows[operated.flow]
    if operated.step == "cancel":
        return endpoint.cancel(flow, place, job)
    if job is None:
        return endpoint.unknown(operated.step)
    return endpoint.result(flow, place, job) if operated.step == "result" else endpoint.status(flow, place, job)


def _job(endpoint: Endpoint, request: Request, match: re.Match[str]) -> Job | None:
    """The job that a path names, or where the path has no place for it, the query."""
    query = request.scope["query_string"].decode("latin-1")
    names = match.groups() or tuple(value for _, value in parse_qsl(query))
    return next((endpoint.account.jobs[name] for name in names if name in endpoint.account.jobs), None)


async def _body(request: Request) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > LARGEST_BODY:
        raise OversizeError
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > LARGEST_BODY:
            raise OversizeError
        parts.append(part)
    return b"".join(parts)


def _origin(request: Request) -> str:
    host, port = request.scope.get("server") or ("127.0.0.1", None)
    return f"{request.scope['scheme']}://{request.headers.get('host') or f'{host}:{port}'}"


async def _send(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    response = Response(reply.body, reply.status, {HEADER: __version__, **reply.headers}, reply.media_type)
    if reply.capitals:
        response.raw_headers = [(name.upper(), value) for name, value in response.raw_headers]
    await response(scope, receive, send)


class _Assets:
    """The images of every account."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        named = scope["path_params"]
        account = self._accounts.get(named["provider"])
        if scope["method"] not in ("GET", "HEAD"):
            reply = Reply(405, b"", "text/plain", {"allow": "GET, HEAD"})
        else:
            reply = (account and account.asset(named["name"])) or Reply(404, b"no such image\n", "text/plain")
        await _send(reply, scope, receive, send)


class _Ledger:
    """The money log as JSON: no provider's answer, and without a key."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        bills = {target: bill.as_json() for target, bill in _bills(self._accounts).items()}
        await _send(Reply.of(200, {"targets": bills}), scope, receive, send)


def _bills(accounts: Mapping[str, Account]) -> Mapping[str, Bill]:
    return {target: bill for account in accounts.values() for target, bill in account.bills.items()}


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await _send(Reply(404, b"no provider and flow has this prefix\n", "text/plain"), scope, receive, send)
