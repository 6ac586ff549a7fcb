"""Cassettes: ordinary vcrpy files that also know when everything happened.

Rules
-----
* The file is a vcrpy version 1 cassette; vcrpy's own ``Request`` and ``serialize`` read and write it, its matchers
  explain what does not match. Nothing is patched: vcrpy's ``Cassette`` scans its whole list for each request, loses
  instants and errors, and swaps the answers of concurrent identical requests.
* The text is JSON, one interaction a line, in a ``.yaml`` file. JSON is YAML, and both kinds of reader agree on it: a
  YAML 1.1 dumper writes ids such as ``12345e67`` bare, which a 1.2 reader takes for a number. Characters that YAML
  does not allow, or folds as line breaks, are escaped. A file that plain vcrpy has saved again is read too: what the
  two versions of YAML read differently is the text that it is.
* What vcrpy does not know stands inside ``response``, where it survives vcrpy's load and save: ``timing`` (integer
  nanoseconds since the recording began), ``harness`` (which call, case and step it belongs to, and the hash of the plan
  that it answers) and ``error`` (a transport failure, whose status is then 599).
* A body of ``BLOB_BYTES`` or more, and one that is no text, is stored beside the cassettes as ``blobs/<sha256>``; in its
  place stands ``vcr-blob:sha256:<hex>``. So is a question that vcrpy's matcher does not find equal to itself (``NaN``).
* ``Tape`` gives the answers again, each call's in the order in which they were sent; what is asked is found by call,
  method, URL and canonical body, in constant time. ``Played`` gives each one at its recorded instant.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from vcr.matchers import body as body_matcher
from vcr.matchers import get_matchers_results
from vcr.matchers import method as method_matcher
from vcr.matchers import uri as uri_matcher
from vcr.request import Request as VcrRequest
from vcr.serialize import CASSETTE_FORMAT_VERSION, deserialize, serialize

from harness.clock import NS, Clock
from harness.errors import InputError
from harness.model import TRANSPORT_FAILURES, Exchange, Failure, Json, Reply, Request, Response, Step
from harness.strict import StrictError, common_scalar, load_json, load_yaml
from harness.transport.live import Trail
from harness.transport.wire import Sent, as_sent

BLOB_BYTES = 4096
BLOB = "vcr-blob:sha256:"
BLOBS = "blobs"
ERROR_STATUS = 599
MATCHERS = (method_matcher, uri_matcher, body_matcher)
_UNSAFE_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class CassetteError(InputError):
    """A cassette cannot be used as it stands: one sentence with the file, and what to do."""


def recorded_by(path: Path) -> str:
    """The command that records a cassette or the plan beside it: the names of a bench's say that they are one's."""
    return f"harness {'bench' if '.bench.' in path.name else 'check'} --record"


@dataclass(frozen=True, slots=True)
class Interaction:
    """One exchange as a cassette holds it; ``response`` is vcrpy's dictionary with our three objects in it."""

    request: VcrRequest
    response: Mapping[str, Any]

    @property
    def own(self) -> Mapping[str, Any]:
        """Call, case, step, purpose, and the hash of the plan."""
        own: Mapping[str, Any] = self.response["harness"]
        return own

    @property
    def timing(self) -> Mapping[str, Any]:
        """Instants in nanoseconds since the recording began, and the attempt."""
        timing: Mapping[str, Any] = self.response["timing"]
        return timing

    @property
    def received(self) -> bytes:
        """The body as it stands in the file; a placeholder where it lies beside it."""
        body: bytes = self.response["body"]["string"]
        return body


@dataclass(frozen=True, slots=True)
class Cassette:
    """What a file holds, in send order; ``blobs`` is where its larger bodies are."""

    path: Path
    blobs: Path
    interactions: tuple[Interaction, ...]

    @property
    def plan_sha256(self) -> str:
        """The hash of the plan that every interaction answers.

        Raises:
            CassetteError: it is empty, or its interactions answer different plans.
        """
        named = {str(one.own["plan"]) for one in self.interactions}
        if len(named) != 1:
            said = "is empty" if not named else "holds answers to more than one plan"
            raise CassetteError(f"{self.path} {said}: record it again with {recorded_by(self.path)}")
        return named.pop()

    def body(self, stored: bytes) -> bytes:
        """A body, fetched from beside the cassette where only its name stands in the file.

        Raises:
            CassetteError: it is missing, or not what was stored.
        """
        if not stored.startswith(BLOB.encode()):
            return stored
        digest = stored.decode("utf-8", "replace").removeprefix(BLOB)
        path = self.blobs / digest
        if not _DIGEST.fullmatch(digest):
            raise CassetteError(f"{self.path} names a stored body by {digest[:80]!r}, which is no SHA-256")
        try:
            data = path.read_bytes() if not path.is_symlink() else b""
        except OSError as error:
            raise CassetteError(
                f"cannot read {path}, a body of {self.path}: {error.strerror}; restore it or record the cassette again"
            ) from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise CassetteError(f"{path}, a body of {self.path}, is not what was stored under this name: restore it")
        return data

    def stored(self) -> set[str]:
        """The names of the bodies that lie beside the cassette."""
        bodies = (body for one in self.interactions for body in (one.received, one.request.body or b""))
        return {body.decode("utf-8", "replace").removeprefix(BLOB) for body in bodies if body.startswith(BLOB.encode())}

    def reply(self, one: Interaction) -> Reply:
        """What an interaction was answered with."""
        body, error = self.body(one.received), one.response.get("error")
        if error is not None:
            return Failure(error["kind"], error["message"], error["left"], body)
        headers = {name: values[0] for name, values in one.response["headers"].items()}
        return Response(one.response["status"]["code"], headers, body, withheld=bool(one.own.get("withheld")))


class _Text:
    """vcrpy's serializer interface over our text."""

    @staticmethod
    def serialize(value: Mapping[str, Any]) -> str:
        """The line of a single interaction: vcrpy would want all of them in memory at once."""
        (interaction,) = value["interactions"]
        return _UNSAFE_IN_YAML.sub(_escaped, json.dumps(interaction, ensure_ascii=False, allow_nan=False))

    @staticmethod
    def deserialize(text: str) -> Json:
        data = text.encode()
        return load_json(data) if text.lstrip()[:1] == "{" else load_yaml(data, plain=common_scalar).value


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def write(exchanges: Iterable[Exchange], start_ns: int, plan_sha256: str) -> tuple[bytes, dict[str, bytes]]:
    """The bytes of a cassette, and by their SHA-256 the bodies that lie beside it.

    ``start_ns`` is the instant that its instants are counted from. The exchanges are stored in send order.
    """
    blobs: dict[str, bytes] = {}

    def line(exchange: Exchange) -> str:
        response = _response(exchange, start_ns, plan_sha256, blobs)
        text: str = serialize({"requests": [_request(exchange, blobs)], "responses": [response]}, _Text)
        return text

    lines = ",\n".join(map(line, sorted(exchanges, key=lambda exchange: exchange.sent_ns)))
    return f'{{"version": {CASSETTE_FORMAT_VERSION}, "interactions": [\n{lines}\n]}}\n'.encode(), blobs


def _request(exchange: Exchange, blobs: dict[str, bytes]) -> VcrRequest:
    # Like vcrpy's own recordings of httpx: the address as it leaves, and an empty body where there is none.
    body = exchange.request_body or b""
    body = _beside(body, blobs) if _unlike_itself(body) else _stored(body, blobs)
    return VcrRequest(exchange.method, as_sent(exchange.url), body, dict(exchange.request_headers))


def _unlike_itself(body: bytes) -> bool:
    """Whether vcrpy reads a body as JSON that equals nothing: it holds NaN where a value is."""
    if b"NaN" not in body:
        return False
    with suppress(StrictError):
        load_json(body)
        return False
    return True


def _response(exchange: Exchange, start_ns: int, plan_sha256: str, blobs: dict[str, bytes]) -> dict[str, Any]:
    reply = exchange.reply
    first = exchange.first_byte_ns
    response: dict[str, Any] = {
        "status": {"code": ERROR_STATUS, "message": "transport error"}
        if isinstance(reply, Failure)
        else {"code": reply.status, "message": ""},
        "headers": {} if isinstance(reply, Failure) else {name: [value] for name, value in reply.headers.items()},
        "body": {"string": _stored(reply.partial if isinstance(reply, Failure) else reply.body, blobs)},
        "timing": {
            "intended_ns": exchange.intended_ns - start_ns,
            "sent_ns": exchange.sent_ns - start_ns,
            "first_byte_ns": None if first is None else first - start_ns,
            "received_ns": exchange.received_ns - start_ns,
            "connect_ns": exchange.connect_ns,
            "attempt": exchange.attempt,
            "http_version": "HTTP/1.1",
        },
        "harness": {
            "call": exchange.call,
            "case_id": exchange.case_id,
            "step": exchange.step,
            "purpose": exchange.purpose,
            "plan": plan_sha256,
        },
    }
    if isinstance(reply, Response) and reply.withheld:
        response["harness"]["withheld"] = True
    if isinstance(reply, Failure):
        response["error"] = {"kind": reply.kind, "message": reply.message, "left": reply.left}
    return response


def _stored(body: bytes, blobs: dict[str, bytes]) -> bytes:
    """A body as it stands in the file."""
    if len(body) < BLOB_BYTES and not body.startswith(BLOB.encode()):
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            return body
    return _beside(body, blobs)


def _beside(body: bytes, blobs: dict[str, bytes]) -> bytes:
    """The placeholder of a body that lies beside the cassette."""
    digest = hashlib.sha256(body).hexdigest()
    blobs[digest] = body
    return f"{BLOB}{digest}".encode()


def read(path: Path, blobs: Path) -> Cassette:
    """The cassette in a file.

    Raises:
        CassetteError: it cannot be read, is not a vcrpy cassette, or was not recorded by the harness.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise CassetteError(f"cannot read {path}: {error.strerror}; record it with {recorded_by(path)}") from None
    except UnicodeDecodeError as error:
        raise CassetteError(f"{path} is no cassette: byte {error.start} is not UTF-8") from None
    try:
        requests, responses = deserialize(text, _Text)
        cassette = Cassette(path, blobs, tuple(map(Interaction, requests, responses)))
        for one in cassette.interactions:
            _require_whole(one)
    except StrictError as error:
        raise CassetteError(f"{path}{f':{error.line}' if error.line else ''}: {error.message}") from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CassetteError(
            f"{path} is no cassette that the harness recorded ({type(error).__name__}: {str(error)[:80]}): "
            f"record it with {recorded_by(path)}"
        ) from None
    return cassette


_INSTANTS = ("intended_ns", "sent_ns", "received_ns", "connect_ns")
_NAMES = ("call", "case_id", "step", "purpose", "plan")
_STEPS = frozenset(get_args(Step))
LONGEST_NS = 366 * 24 * 3600 * NS
"""No recording lasts longer, resumes included; an instant beyond is damage."""


def _require_whole(one: Interaction) -> None:
    """Refuse an interaction that lacks what a replay needs."""
    timing, error = one.timing, one.response.get("error")
    if any(type(timing[name]) is not int for name in (*_INSTANTS, "attempt")):
        raise ValueError("response.timing has to hold integers")
    first = timing["received_ns"] if timing["first_byte_ns"] is None else timing["first_byte_ns"]
    if type(first) is not int or not 0 <= timing["sent_ns"] <= first <= timing["received_ns"] <= LONGEST_NS:
        raise ValueError("response.timing has to hold instants in their order")
    if not 0 <= timing["intended_ns"] <= timing["received_ns"] or not 0 <= timing["connect_ns"] <= LONGEST_NS:
        raise ValueError("response.timing has to hold instants in their order")
    if any(not isinstance(one.own[name], str) for name in _NAMES) or one.own["step"] not in _STEPS:
        raise ValueError("response.harness has to name the call, its case and step, and the plan")
    if type(one.response["body"]["string"]) is not bytes or type(one.response["status"]["code"]) is not int:
        raise ValueError("response has to have a body and a status")
    if not all(isinstance(text, str) for text in (one.request.uri, one.request.method)):
        raise ValueError("request has to have a method and a uri")
    if not all(isinstance(values[0], str) for values in one.response["headers"].values()):
        raise ValueError("response.headers has to hold texts")
    if error is not None and (
        error["kind"] not in TRANSPORT_FAILURES
        or not isinstance(error["message"], str)
        or not isinstance(error["left"], bool)
    ):
        raise ValueError("response.error has to have a kind, a message and whether the request left")


Key = tuple[str, str, str, str]
"""Call, method, URL as it leaves, and the digest of the canonical body."""


def _key(call: str, method: str, sent: str, body: bytes | None) -> Key:
    return call, method, sent, _canonical(body or b"")


def _canonical(body: bytes) -> str:
    """A body's identity: JSON by its value, a larger body and any other by its bytes."""
    if body.startswith(BLOB.encode()):
        return body.decode("utf-8", "replace").removeprefix(BLOB)
    if len(body) < BLOB_BYTES and body[:1] in (b"{", b"["):
        with suppress(StrictError):
            body = json.dumps(load_json(body), sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(body).hexdigest()


class Tape:
    """A cassette that plays: each recorded answer once."""

    def __init__(self, cassette: Cassette) -> None:
        self.cassette = cassette
        self._waiting: dict[Key, deque[Interaction]] = defaultdict(deque)
        self._left: dict[str, Counter[str]] = defaultdict(Counter)
        self._starts: dict[str, int] = {}
        for one in cassette.interactions:
            call, request = str(one.own["call"]), one.request
            self._waiting[_key(call, request.method, request.uri, request.body)].append(one)
            self._left[call][one.own["step"]] += 1
            self._starts.setdefault(call, one.timing["intended_ns"])

    def starts(self, call: str) -> int | None:
        """When the first request of a call was intended, in nanoseconds since the recording began."""
        return self._starts.get(call)

    def left(self, call: str, steps: Iterable[str]) -> int:
        """How many answers of some steps a call has not been given yet."""
        return sum(self._left[call][step] for step in steps)

    def next(self, call: str, case_id: str, request: Request) -> Interaction:
        """The answer that a request is given next.

        Raises:
            CassetteError: the recording has no such request, or no answer to it is left.
        """
        return self._answers(call, case_id, request)[0]

    def play(self, call: str, case_id: str, request: Request) -> Interaction:
        """Take the next answer to a request.

        Raises:
            CassetteError: the recording has no such request, or no answer to it is left.
        """
        one = self._answers(call, case_id, request).popleft()
        self._left[call][one.own["step"]] -= 1
        return one

    def unplayed(self, calls: Iterable[str]) -> Iterator[Interaction]:
        """The answers of some calls that nobody asked for."""
        wanted = set(calls)
        for (call, *_), waiting in self._waiting.items():
            if call in wanted:
                yield from waiting

    def _answers(self, call: str, case_id: str, request: Request) -> deque[Interaction]:
        """The answers to a request that have not been given yet, at least one."""
        waiting = self._waiting.get(_key(call, request.method, as_sent(request.url), request.body))
        if not waiting:
            raise CassetteError(self._unmatched(call, case_id, request))
        return waiting

    def _unmatched(self, call: str, case_id: str, request: Request) -> str:
        headers = {"content-type": request.content_type or ""}
        asked = VcrRequest(request.method, as_sent(request.url), request.body or b"", headers)
        recorded = [one.request for one in self.cassette.interactions if one.own["call"] == call]
        compared = [(get_matchers_results(asked, other, MATCHERS), other) for other in recorded]
        nearest = max(compared, key=lambda pair: len(pair[0][0]), default=None)
        if nearest is None:
            why = "the cassette holds no request of this call"
        elif not nearest[0][1]:
            why = "every recorded answer to it has been given already"
        else:
            differing = ", ".join(name for name, _ in nearest[0][1])
            why = f"the nearest recorded request, {nearest[1].method} {nearest[1].uri[:200]}, differs in {differing}"
        return (
            f"{self.cassette.path}: {case_id} asks {request.method} {request.url[:200]}, which was not recorded: {why}; "
            f"record it again with {recorded_by(self.cassette.path)}"
        )


@dataclass(frozen=True, slots=True)
class Played:
    """One recorded call's way out: nothing leaves, every answer comes at its recorded instant.

    ``start_ns`` is the instant, on the clock, that the recording's instants are counted from.
    """

    tape: Tape
    clock: Clock
    start_ns: int
    call: str
    case_id: str

    async def due(self, request: Request) -> None:
        """Wait until the instant at which the recorded run wanted to send this."""
        one = self.tape.next(self.call, self.case_id, request)
        await self.clock.until(self.start_ns + one.timing["intended_ns"])

    async def send(self, request: Request, *, seconds: float, trail: Trail | None = None) -> Sent:
        """The recorded answer, at the instant at which it had been received; ``seconds`` bounds nothing here."""
        one = self.tape.play(self.call, self.case_id, request)
        reply, timing = self.tape.cassette.reply(one), one.timing
        sent, received = self.start_ns + timing["sent_ns"], self.start_ns + timing["received_ns"]
        if trail is not None:
            trail.kept = True
            trail.sent_ns = None if isinstance(reply, Failure) and not reply.left else sent
        await self.clock.until(received)
        first = timing["first_byte_ns"]
        at = None if first is None else self.start_ns + first
        return Sent(reply, dict(one.request.headers), sent, at, received, timing["connect_ns"])


def interactions_by_call(cassette: Cassette) -> dict[str, list[Interaction]]:
    """The interactions of each call, in send order."""
    found: dict[str, list[Interaction]] = {}
    for one in cassette.interactions:
        found.setdefault(str(one.own["call"]), []).append(one)
    return found
