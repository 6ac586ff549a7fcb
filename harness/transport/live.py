"""HTTP/1.1 for the httpx API, over aiohttp's connections.

The API stays httpx's (requests, responses, exceptions); the sockets are aiohttp's, because httpcore assigns
requests to connections in O(n²) and its own processor time then shows up as a provider's latency (the figures:
``tests/benchmarks/bench_transport_cpu.py``). ``httpx-aiohttp`` exists, but reads a reset after a POST as a connect timeout,
which invites a second charge.

Rules
-----
* An exception tells whether bytes left: ``httpx.ConnectError`` and ``ConnectTimeout`` mean that they did not, every
  other one that they may have. What decides is the instant at which the request was written, not the name of the
  error underneath.
* Nothing is sent twice on its own. aiohttp would repeat a GET on a connection that the server has dropped: the
  trace hooks below refuse the second departure, and the engine decides.
* URLs travel as they are (no re-encoding), cookies and environment proxies do not exist, redirects are answers.
* Nothing of the environment decides whom to trust: neither ``SSL_CERT_FILE`` nor ``SSLKEYLOGFILE``, which would write
  down what deciphers a key.
* A name is resolved once for all connections that want it, and its addresses are kept for ``NAME_SECONDS``: look-ups run
  in a few threads, and two hundred of them at one instant would wait for each other and seem to be the network. What is
  kept has passed the ``resolver``: a name that leads elsewhere by then is checked before that counts.
* Behind a proxy a ``resolver`` that guards still does: the name is resolved and checked here, and the proxy is asked
  for the checked address. It never hears of a destination that may not be contacted, nor resolves one a second time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from yarl import URL

from harness.clock import Clock
from harness.transport.guard import ANY_FAMILY, NoSuchName, is_address

CONNECT_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 4.0
"""Shorter than the 5 s after which common servers drop an idle connection: a POST must not meet that instant."""
NAME_SECONDS = 10
"""How long a name's addresses are kept: long enough for a burst of connections, too short to miss that a host moves."""
MAX_HEADER_BYTES = 16 * 1024


@dataclass(slots=True)
class Trail:
    """Instants of one request on its way out, written by the transport.

    ``sent_ns`` is when the request was handed to an open connection, None as long as nothing can have left.
    ``connect_ns`` is what opening that connection took, its name's look-up included, zero on a kept one. ``kept`` is set by
    a transport that keeps the trail: under any other one a request counts as having left.
    """

    sent_ns: int | None = None
    connect_ns: int = 0
    kept: bool = False

    @property
    def left(self) -> bool:
        """Whether any byte of the request may have left this machine."""
        return self.sent_ns is not None or not self.kept


class _SentTwice(aiohttp.ClientError):
    """aiohttp was about to send a request again on another connection."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """An httpx transport. ``resolver`` replaces name resolution, ``proxy`` and ``tls`` come from the configuration.

    Behind a proxy ``resolver`` finds the destination, and the machine's own one the proxy.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        resolver: AbstractResolver | None = None,
        proxy: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._clock = clock
        self._resolver = resolver
        self._proxy = proxy
        self._tls = trust() if tls is None else tls  # reading a store takes longer than some limits
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            resolver=self._resolver if self._proxy is None else None,
            ssl=self._tls,
            ttl_dns_cache=NAME_SECONDS,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            trace_configs=[self._trace()],
        )

    def _trace(self) -> aiohttp.TraceConfig:
        clock, trace = self._clock, aiohttp.TraceConfig()

        async def connecting(_: Any, context: SimpleNamespace, __: Any) -> None:
            trail: Trail = context.trace_request_ctx
            if trail.left:
                raise _SentTwice("the server closed a kept connection")
            trail.connect_ns = -clock.now_ns()

        async def connected(_: Any, context: SimpleNamespace, __: Any) -> None:
            context.trace_request_ctx.connect_ns += clock.now_ns()

        async def reusing(_: Any, context: SimpleNamespace, __: Any) -> None:
            if context.trace_request_ctx.left:
                raise _SentTwice("the server closed a kept connection")

        async def sent(_: Any, context: SimpleNamespace, __: Any) -> None:
            context.trace_request_ctx.sent_ns = clock.now_ns()

        trace.on_connection_create_start.append(connecting)
        trace.on_connection_create_end.append(connected)
        trace.on_connection_reuseconn.append(reusing)
        trace.on_request_headers_sent.append(sent)
        return trace

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer's body is streamed.

        ``request.extensions["trail"]`` may hold a ``Trail``, which is filled in.

        Raises:
            httpx.ConnectError, httpx.ConnectTimeout: nothing left this machine.
            httpx.TransportError: something may have left.
        """
        if self._session is None:
            self._session = self._open()
        trail = request.extensions.setdefault("trail", Trail())
        trail.kept = True
        body = await request.aread() or None
        try:
            url, name = await self._destination(URL(str(request.url), encoded=True))
            response = await self._session.request(
                request.method,
                url,
                server_hostname=name,
                data=body,
                headers=[(name.decode(), value.decode()) for name, value in request.headers.raw],
                allow_redirects=False,
                proxy=self._proxy,
                trace_request_ctx=trail,
            )
        except Exception as error:
            raise _translate(error, trail, request) from error
        return httpx.Response(
            response.status,
            headers=list(response.raw_headers),
            stream=_Stream(response, trail, request),
            extensions={"trail": trail},
        )

    async def _destination(self, url: URL) -> tuple[URL, str | None]:
        """Where to connect to, and the name that a certificate has to have, None for the URL's own."""
        if self._proxy is None or self._resolver is None or is_address(url.host or ""):
            return url, None
        found = await self._resolver.resolve(url.host or "", url.port or 0, ANY_FAMILY)
        # More proxies have IPv4 than IPv6, and its family is the smaller number.
        return url.with_host(min(found, key=lambda one: one["family"])["host"]), url.host

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse, trail: Trail, request: httpx.Request) -> None:
        self._response, self._trail, self._request = response, trail, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _translate(error, self._trail, self._request) from error

    async def aclose(self) -> None:
        # A body read to its end gives the connection back; anything else would leave bytes in it.
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class NeverLeft(httpx.ConnectError):
    """No byte of the request left this machine; ``kind`` is one of ``model.TRANSPORT_FAILURES``."""

    def __init__(self, message: str, *, kind: str, request: httpx.Request) -> None:
        super().__init__(message, request=request)
        self.kind = kind


class HeadersTooLong(httpx.RemoteProtocolError):
    """A header of the answer has more than ``MAX_HEADER_BYTES``, or there are more than a hundred or so."""


@cache
def trust(ca_bundle: str | None = None) -> ssl.SSLContext:
    """TLS settings that trust the bundle, or the machine's own store; what the environment says does not count.

    Raises:
        OSError, ValueError: the bundle cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificates and names
    context.set_alpn_protocols(["http/1.1"])
    if ca_bundle is not None:
        context.load_verify_locations(ca_bundle)
        return context
    places = ssl.get_default_verify_paths()
    if Path(places.openssl_cafile).is_file():
        context.load_verify_locations(places.openssl_cafile)
    if Path(places.openssl_capath).is_dir():
        context.load_verify_locations(capath=places.openssl_capath)
    return context


def _said(error: Exception) -> str:
    """What an error says, without the URL that aiohttp adds: reports do not show signatures."""
    if isinstance(error, aiohttp.ClientConnectorError):
        hint = (
            "; ca_bundle names another authority" if isinstance(error, aiohttp.ClientConnectorCertificateError) else ""
        )
        return f"cannot connect to {error.host}:{error.port}: {error.os_error.strerror or error.os_error}{hint}"
    if isinstance(error, aiohttp.InvalidURL):
        return "not a URL that can be asked"
    return error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)


def _translate(error: Exception, trail: Trail, request: httpx.Request) -> httpx.TransportError:
    text = _said(error)[:200] or type(error).__name__
    if not trail.left:
        if isinstance(error, (asyncio.TimeoutError, aiohttp.ServerTimeoutError)):
            return httpx.ConnectTimeout(text, request=request)
        return NeverLeft(text, kind=_connect_kind(error), request=request)
    if isinstance(error, (asyncio.TimeoutError, aiohttp.ServerTimeoutError)):
        return httpx.ReadTimeout(text, request=request)
    # aiohttp keeps the words of its own errors, and not their types. Trailers are met while the body is read.
    if "Got more than" in text or "Too many headers" in text:
        return HeadersTooLong(text, request=request)
    if isinstance(error, (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, OSError, _SentTwice)):
        return httpx.ReadError(text, request=request)
    return httpx.RemoteProtocolError(text, request=request)


def _connect_kind(error: Exception) -> str:
    # A guarded resolver's refusal arrives wrapped; a numeric spelling that is no address (127.1) never gets to it.
    if isinstance(getattr(error, "os_error", error), PermissionError) or isinstance(error, aiohttp.InvalidURL):
        return "forbidden"
    if isinstance(error, (aiohttp.ClientConnectorSSLError, aiohttp.ClientConnectorCertificateError, ssl.SSLError)):
        return "tls"
    if isinstance(error, (aiohttp.ClientConnectorDNSError, NoSuchName)):
        return "dns"
    return "refused"
