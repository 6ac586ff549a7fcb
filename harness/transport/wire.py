"""The last step before the network: limits, credential, instants, and one record for whatever comes back.

Rules
-----
* ``Wire.send`` never raises for what a provider or a network does: it returns a ``Response`` or a ``Failure``.
* The credential is attached here, by the origin of the URL that leaves, and appears in the record as its scheme only.
* A request that is not for an origin the user trusts goes through the public client: https only, public addresses
  only, no credential.
* Every answer has a limit of bytes on the wire, bytes decoded, header bytes and time. The time limit is absolute:
  a drip does not extend it. An answer is held once, and of one that breaks a limit only the beginning is kept.
* Identity encoding is asked for; a gzip (of all its members) or deflate answer is decoded within the limit and a step
  at a time, any other is refused.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from io import BytesIO
from urllib.parse import quote, urlsplit

import httpx

from harness import __version__
from harness.clock import Clock
from harness.model import Failure, Reply, Request, Response
from harness.secret import BoundKey
from harness.transport.guard import is_address, is_public
from harness.transport.live import HeadersTooLong, NeverLeft, Trail
from harness.transport.redact import MASK
from harness.urls import Origin, origin

USER_AGENT = f"image-api-harness/{__version__}"
SIMULATOR_HEADER = "x-harness-simulator"
KEPT_BYTES = 64 * 1024
"""How much is kept of an answer that breaks a limit."""
STEP_BYTES = 256 * 1024
"""What is decoded at a time: a hundred bytes on the wire can be a hundred thousand."""
MAX_MEMBERS = 1000
"""Members of a gzip answer: one that is empty costs twenty bytes, and far more time."""

RECORDED_RESPONSE_HEADERS = frozenset({
    "content-type", "content-length", "content-encoding", "date", "location", "retry-after", "server", "allow",
    "www-authenticate", "x-request-id", "x-fal-request-id", "x-fal-billable-units", "x-fal-error-type",
    "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", SIMULATOR_HEADER,
})  # fmt: skip
"""Everything else a server says in headers (cookies, tokens, traces) stays out of the records."""
ENCODED = frozenset({"content-encoding", "content-length"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one answer; bytes, and header bytes."""

    wire_bytes: int = 24 * 1024 * 1024
    decoded_bytes: int = 24 * 1024 * 1024
    header_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a request: the reply, the headers as recorded, and the instants in nanoseconds.

    ``connect_ns`` is the part before ``sent_ns`` that opening a connection took, in nanoseconds.
    """

    reply: Reply
    headers: Mapping[str, str]
    sent_ns: int
    first_byte_ns: int | None
    received_ns: int
    connect_ns: int = 0


@dataclass(frozen=True)
class Wire:
    """One target's way out. ``api`` serves trusted origins, ``public`` every other one; targets share both."""

    api: httpx.AsyncBaseTransport
    public: httpx.AsyncBaseTransport
    clock: Clock
    key: BoundKey | None
    trusted: frozenset[Origin]
    limits: Limits = field(default_factory=Limits)

    async def send(self, request: Request, *, seconds: float, trail: Trail | None = None) -> Sent:
        """Send a request and read its answer whole, within ``seconds``; ``trail`` is filled in on the way."""
        trail, started = trail or Trail(), self.clock.now_ns()
        recorded: dict[str, str] = {}
        first_byte: int | None = None
        partial, departing = BytesIO(), False
        try:
            # What is judged is the URL that leaves: a host may be spelled otherwise (127。0。0。1) than it is dialled.
            url, leaves = _url(request.url)
            request = replace(request, url=leaves) if leaves != request.url else request
            headers, recorded = self._headers(request)
            transport = self._transport(request)
            # A stream, or httpx would work out headers that are all here: a twentieth of an exchange.
            body = httpx.ByteStream(request.body or b"")
            leaving = httpx.Request(request.method, url, headers=headers, stream=body, extensions={"trail": trail})
            departing = True
            async with asyncio.timeout(seconds):
                answer = await transport.handle_async_request(leaving)
                first_byte = self.clock.now_ns()
                try:
                    reply: Reply = await self._read(answer, partial)
                finally:
                    await answer.aclose()
        except TimeoutError:
            kind = "timeout" if trail.left else "connect_timeout"
            reply = Failure(kind, f"no complete answer within {seconds:g} s", trail.left, partial.getvalue())
        except _Refused as error:
            kept = partial.getvalue() if error.kind == "reset" else partial.getvalue()[:KEPT_BYTES]
            reply = Failure(error.kind, str(error), departing and trail.left, kept)
        except (httpx.TransportError, httpx.InvalidURL, ValueError) as error:
            reply = _failure(error, partial.getvalue(), departing=departing)
        received = self.clock.now_ns()
        opened = trail.connect_ns if trail.sent_ns is not None else 0
        return Sent(reply, recorded, trail.sent_ns or started, first_byte, received, opened)

    def _headers(self, request: Request) -> tuple[dict[str, str], dict[str, str]]:
        headers = {"user-agent": USER_AGENT, "accept": "*/*", "accept-encoding": "identity"}
        headers["host"] = urlsplit(request.url).netloc.rpartition("@")[2]
        if request.step != "asset":
            headers["accept"] = "application/json"
        if request.content_type:
            headers["content-type"] = request.content_type
        recorded = dict(headers)
        credential = self.key.header_for(request) if self.key else None
        if self.key and credential:
            headers[credential[0].lower()] = credential[1]
            recorded[credential[0].lower()] = f"{self.key.scheme} {MASK}".strip()
        elif request.credential:
            # Made up, and so part of what was asked.
            name, value = request.credential
            headers[name.lower()] = recorded[name.lower()] = value
        return headers, recorded

    def _transport(self, request: Request) -> httpx.AsyncBaseTransport:
        here = origin(request.url)
        if here in self.trusted:
            return self.api
        scheme, host, _ = here
        if scheme != "https":
            raise _Refused("forbidden", "only https is followed to an origin that is not trusted")
        if is_address(host) and not is_public(host):
            raise _Refused("forbidden", f"{host} is not a public address")
        return self.public

    async def _read(self, answer: httpx.Response, partial: BytesIO) -> Response:
        raw, stream = answer.headers.raw, answer.stream
        assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 - an async transport's answer
        try:
            decode = self._decoder(raw)
        except _Refused:
            await _keep(stream, partial)
            raise
        received = 0
        async for chunk in stream:
            received += len(chunk)
            try:
                if received > self.limits.wire_bytes:
                    raise _Refused("limit", f"the answer has more than {self.limits.wire_bytes} bytes")
                partial.writelines(decode(chunk))
            except _Refused:
                partial.write(b"" if partial.tell() else chunk[:KEPT_BYTES])
                raise
        decode.end()
        headers = {
            name: value.decode("latin-1")
            for raw_name, value in raw
            if (name := raw_name.decode("latin-1").lower()) in RECORDED_RESPONSE_HEADERS
        }
        if decode.decodes:
            # They described what was on the wire; the body that is kept is another one.
            headers = {name: value for name, value in headers.items() if name not in ENCODED}
        return Response(answer.status_code, headers, partial.getvalue())

    def _decoder(self, headers: Sequence[tuple[bytes, bytes]]) -> _Decoder:
        if sum(len(name) + len(value) for name, value in headers) > self.limits.header_bytes:
            raise _Refused("limit", f"the headers have more than {self.limits.header_bytes} bytes")
        encodings = [value for name, value in headers if name.lower() == b"content-encoding"]
        return _Decoder(b",".join(encodings).decode("latin-1"), self.limits.decoded_bytes)

    async def aclose(self) -> None:
        """Close both clients."""
        await self.api.aclose()
        await self.public.aclose()


@lru_cache(maxsize=256)
def _url(text: str) -> tuple[httpx.URL, str]:
    """A URL and how it leaves: polls repeat theirs, submits share one, and parsing is a fifth of an exchange's time."""
    url = httpx.URL(text)
    return url, str(url)


def as_sent(url: str) -> str:
    """A URL as it leaves this machine; one that no client can send, with every odd character percent-encoded."""
    try:
        return _url(url)[1]
    except (httpx.InvalidURL, ValueError):
        return quote(url, safe=":/?#&=%@+,;", errors="replace")


async def _keep(stream: httpx.AsyncByteStream, partial: BytesIO) -> None:
    """Keep the beginning of an answer that is refused, as it came."""
    async for chunk in stream:
        partial.write(chunk[: KEPT_BYTES - partial.tell()])
        if partial.tell() >= KEPT_BYTES:
            return


class _Refused(Exception):
    """The harness itself refuses a request or an answer."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _Decoder:
    """Takes one content encoding off an answer, a step at a time and within a limit."""

    def __init__(self, encoding: str, limit: int) -> None:
        names = [name for part in encoding.lower().split(",") if (name := part.strip()) not in ("", "identity")]
        if len(names) > 1 or (names and names[0] not in ("gzip", "x-gzip", "deflate")):
            raise _Refused("limit", f"the answer is encoded as {encoding[:40]}, which was not asked for")
        self._bits = 0 if not names else 15 if names[0] == "deflate" else 31
        self._inflate = zlib.decompressobj(self._bits) if names else None
        self._limit, self._made, self._members = limit, 0, 0

    @property
    def decodes(self) -> bool:
        """Whether the body is another one than on the wire."""
        return self._inflate is not None

    def __call__(self, chunk: bytes) -> Iterator[bytes]:
        """What a chunk says."""
        if self._inflate is None:
            yield chunk
            return
        while chunk:
            if self._inflate.eof:
                chunk = self._next_member(chunk)
                continue
            try:
                data = self._inflate.decompress(chunk, STEP_BYTES)
            except zlib.error:
                raise _Refused("protocol", "the compressed answer cannot be decoded") from None
            chunk = self._inflate.unconsumed_tail or self._inflate.unused_data
            self._made += len(data)
            if self._made > self._limit:
                raise _Refused("limit", f"the decoded answer has more than {self._limit} bytes")
            yield data

    def _next_member(self, chunk: bytes) -> bytes:
        """Begin the next member of a gzip; zeros between and after members are padding."""
        if self._bits == 15:
            raise _Refused("protocol", "bytes follow the compressed answer")
        chunk = chunk.lstrip(b"\0")
        if chunk:
            self._members += 1
            if self._members > MAX_MEMBERS:
                raise _Refused("limit", f"the compressed answer has more than {MAX_MEMBERS} parts")
            self._inflate = zlib.decompressobj(self._bits)
        return chunk

    def end(self) -> None:
        """Nothing more comes."""
        if self._inflate is not None and not self._inflate.eof:
            raise _Refused("reset", "the compressed answer ends in its middle")


def _failure(error: Exception, partial: bytes, *, departing: bool) -> Failure:
    message = (str(error) or type(error).__name__)[:300]
    if isinstance(error, httpx.ConnectTimeout):
        return Failure("connect_timeout", message, left=False)
    if isinstance(error, httpx.ConnectError):
        return Failure(error.kind if isinstance(error, NeverLeft) else "refused", message, left=False)
    if not departing:
        return Failure("forbidden", f"not a usable URL: {message}", left=False)
    if isinstance(error, httpx.TimeoutException):
        return Failure("timeout", message, left=True, partial=partial)
    if isinstance(error, (httpx.ReadError, httpx.WriteError, httpx.CloseError)):
        return Failure("reset", message, left=True, partial=partial)
    kind = "limit" if isinstance(error, HeadersTooLong) else "protocol"
    return Failure(kind, message, left=True, partial=partial)
