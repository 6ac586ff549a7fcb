"""From a run's history to its cassettes: the same exchanges, without where they were made and who may fetch the files.

Rules
-----
* A recording stands under the documented origin, whatever base URL it was made at (a document that names none:
  ``https://<provider>.invalid``); other origins that the user named become ``https://assets.<provider>.invalid``. In URLs,
  headers and bodies alike: a replay needs no ``--base-url``, and the links in the answers still fit.
* Queries of input and output files are signatures: they are dropped. Where two outputs of one answer differ in nothing
  else, a hash of the query stands for it, so that two files stay two.
* The recording's own report is computed from this view too: a replay of the cassette comes to the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from codecs import BOM_UTF16_LE
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib.metadata import version
from typing import Any
from urllib.parse import urljoin, urlsplit

from harness.audit import over
from harness.cassettes.frozen import Frozen, FrozenCall, contract_of
from harness.cassettes.shelf import Slot
from harness.flow import body_json, encode
from harness.history import History
from harness.model import INTERRUPTED, LOST, PAST_DEADLINE, Call, Case, Exchange, Failure, Plan, Reply
from harness.spec import Flow, Spec
from harness.strict import load_json
from harness.traffic import conduct_from
from harness.urls import origin, show_origin, without_query

AFTER_ORIGIN = rb"(?![\w-]|:\d|\.\w)"
"""What cannot follow an origin in a text: with it, this would be another host or port."""
IMAGE_ROLES = ("image", "images")
Rename = Callable[[bytes], bytes]


def documented_base(spec: Spec, flow: Flow) -> str:
    """The base URL that a recording of a flow stands under."""
    return (flow.server or f"https://{spec.provider}.invalid").rstrip("/")


def under_documented_origins(history: History, specs: Mapping[str, Spec]) -> History:
    """A history as its cassettes keep it: the view that a recording is judged by."""
    targets: dict[str, Any] = dict(history.header["targets"])
    plans: list[Plan] = []
    calls: dict[str, Call] = {}
    for plan in history.plans:
        spec = specs[plan.target]
        place, base = targets[plan.target], documented_base(spec, spec.flows[plan.flow])
        view = _View(spec, _renaming(place["base_url"], base, place.get("origins", ()), spec))
        plans.append(replace(plan, cases=tuple(map(view.case, plan.cases))))
        calls |= {call.id: view.call(call) for call in history.of(plan.target)}
        targets[plan.target] = {**place, "base_url": base}
    headers = ({**history.header, "targets": targets}, *history.headers[1:])
    return replace(
        history, headers=headers, plans=tuple(plans), calls=tuple(calls.get(call.id, call) for call in history.calls)
    )


def _renaming(used: str, documented: str, named: Iterable[str], spec: Spec) -> Rename:
    """Replaces the base URL in use, and every other origin that the user named, in a text."""
    own = {origin(server) for server in spec.servers}
    elsewhere = f"https://assets.{spec.provider}.invalid"
    pairs = [] if used == documented else [(used, documented)]
    pairs += [(show_origin(url), elsewhere) for url in (used, *named) if origin(url) not in own]
    replacements: dict[bytes, bytes] = {}
    for old, new in pairs:
        replacements.setdefault(old.encode(), new.encode())
        replacements.setdefault(_slashes_escaped(old.encode()), _slashes_escaped(new.encode()))
    if not replacements:
        return lambda text: text
    longest_first = sorted(replacements, key=len, reverse=True)
    pattern = re.compile(b"(?:" + b"|".join(map(re.escape, longest_first)) + b")" + AFTER_ORIGIN)
    return lambda text: pattern.sub(lambda match: replacements[match[0]], text)


@dataclass(frozen=True)
class _View:
    """One target's renaming, applied to its values."""

    spec: Spec
    rename: Rename

    def case(self, case: Case) -> Case:
        return self._case(case, _strip(self._inputs(case.body)))

    def _case(self, case: Case, strip: Rename) -> Case:
        renamed: Mapping[str, Any] = load_json(self.raw(encode(case.body), strip))
        sending = case.sending
        if sending is not None and sending.body is not None:
            sending = replace(sending, body=self.raw(sending.body, strip))
        return replace(case, body=renamed, sending=sending)

    def raw(self, body: bytes, strip: Rename) -> bytes:
        """A request body's bytes; what is in UTF-16 is renamed as the text that it is."""
        if not body.startswith(BOM_UTF16_LE):
            return strip(self.rename(body))
        text = body.decode("utf-16", "surrogatepass").encode("utf-8", "surrogatepass")
        return BOM_UTF16_LE + strip(self.rename(text)).decode("utf-8", "surrogatepass").encode(
            "utf-16-le", "surrogatepass"
        )

    def call(self, call: Call) -> Call:
        strip = _strip({**self._inputs(call.case.body), **self._outputs(call)})
        return replace(
            call,
            case=self._case(call.case, strip),
            exchanges=tuple(self.exchange(exchange, strip) for exchange in _told(call.exchanges)),
        )

    def exchange(self, exchange: Exchange, strip: Rename) -> Exchange:
        def text(value: str) -> str:
            return strip(self.rename(value.encode("utf-8", "surrogatepass"))).decode("utf-8", "surrogatepass")

        url = text(exchange.url)
        headers = dict(exchange.request_headers)
        if "host" in headers:
            headers["host"] = urlsplit(url).netloc
        body = exchange.request_body
        return replace(
            exchange,
            url=url,
            request_headers=headers,
            request_body=None if body is None else self.raw(body, strip),
            reply=self.reply(exchange, text, strip),
        )

    def reply(self, exchange: Exchange, text: Callable[[str], str], strip: Rename) -> Reply:
        reply = exchange.reply
        if isinstance(reply, Failure):
            partial = reply.partial if exchange.step == "asset" else strip(self.rename(reply.partial))
            return replace(reply, partial=partial, message=text(reply.message))
        headers = {name: text(value) for name, value in reply.headers.items()}
        if exchange.step == "asset" and "location" in headers:
            with suppress(ValueError):  # what is no address leads nowhere, here as in the flow
                headers["location"] = text(urljoin(exchange.url, reply.headers["location"]))
        body = reply.body if _is_file(exchange) else strip(self.rename(reply.body))
        if "content-length" in headers:
            headers["content-length"] = str(len(body))
        return replace(reply, headers=headers, body=body)

    def _inputs(self, body: Mapping[str, Any]) -> Mapping[str, str]:
        """The input files' URLs that have a query, each with what stands for it."""
        found: list[Any] = []
        for role in IMAGE_ROLES:
            parameter = self.spec.parameter(role)
            value = body.get(parameter.name) if parameter else None
            found += value if isinstance(value, list) else [value]
        return self._unsigned(url for url in found if isinstance(url, str))

    def _outputs(self, call: Call) -> Mapping[str, str]:
        """The output files' URLs that have a query, each with what stands for it."""
        found: dict[str, str] = {}
        for exchange in call.exchanges:
            if _is_file(exchange):
                found |= self._unsigned([exchange.url])
        for exchange in call.exchanges:
            found |= self._unsigned(_output_urls(self.spec, exchange))
        return found

    def _unsigned(self, urls: Iterable[str]) -> Mapping[str, str]:
        renamed = [self.rename(url.encode("utf-8", "replace")).decode() for url in urls]
        signed = [url for url in dict.fromkeys(renamed) if url.startswith(("http://", "https://")) and "?" in url]
        bare = Counter(map(without_query, signed))
        return {url: _without_signature(url, alone=bare[without_query(url)] == 1) for url in signed}


def _told(exchanges: Sequence[Exchange]) -> Iterator[Exchange]:
    """The exchanges that a recording is about: a read that was cut off and asked again is asked once there."""
    for number, exchange in enumerate(exchanges):
        later = exchanges[number + 1 :] if exchange.cut_off else ()
        if not any((e.step, e.purpose, e.url) == (exchange.step, exchange.purpose, exchange.url) for e in later):
            yield exchange


def _is_file(exchange: Exchange) -> bool:
    return exchange.step == "asset" or exchange.purpose == "asset-again"


def _without_signature(url: str, *, alone: bool) -> str:
    if alone:
        return without_query(url)
    return f"{without_query(url)}?{hashlib.sha256(url.encode()).hexdigest()[:16]}"


def _output_urls(spec: Spec, exchange: Exchange) -> Iterator[str]:
    if exchange.step not in ("submit", "status", "result", "probe") or exchange.response is None:
        return
    value = body_json(exchange.response)
    for flow in spec.flows.values():
        for output in flow.final.shape.outputs(value):
            if output.url:
                yield output.url


def _strip(signed: Mapping[str, str]) -> Rename:
    """Replaces signed URLs, as they are and as JSON may spell them."""
    if not signed:
        return lambda text: text
    longest_first = sorted(signed, key=len, reverse=True)
    # What all of them begin with stands outside the groups: it is what the search looks for.
    pattern = re.compile(
        b"http(?:" + b"|".join(b"(%b)" % _spellings(url[len("http") :]) for url in longest_first) + b")"
    )

    def bare(match: re.Match[bytes]) -> bytes:
        new = signed[longest_first[(match.lastindex or 1) - 1]]
        if b"\\" not in match[0]:
            return new.encode("utf-8", "replace")
        escaped = json.dumps(new)[1:-1].encode()
        return _slashes_escaped(escaped) if b"\\/" in match[0] else escaped

    return lambda text: pattern.sub(bare, text)


def _spellings(url: str) -> bytes:
    r"""A pattern of a text as it is and as JSON may escape it: ``\/`` and ``\"``, ``\u0026`` for ``&``, ``\u00e9``."""
    return b"".join(map(_spelled, url))


def _spelled(character: str) -> bytes:
    literal = re.escape(character.encode("utf-8", "replace"))
    if character.isascii() and character.isalnum():
        return literal  # no encoder escapes it
    units = character.encode("utf-16-be", "replace").hex()
    code = b"".join(b"\\\\u(?i:%b)" % units[at : at + 4].encode() for at in range(0, len(units), 4))
    return b"(?:%b|%b%b)" % (literal, code, b"|\\\\" + literal if character in '/"\\' else b"")


def _slashes_escaped(text: bytes) -> bytes:
    return text.replace(b"/", b"\\/")


def compact(history: History, specs: Mapping[str, Spec], slots: Mapping[str, Slot]) -> list[Slot]:
    """Write the cassettes of a recording that has ended, of the targets that have a slot; those that were written.

    Raises:
        OutputError: one cannot be written; those before it are whole.
    """
    written: list[Slot] = []
    for plan in (plan for plan in history.plans if plan.target in slots):
        calls = history.of(plan.target)
        frozen = frozen_from(history, plan, specs[plan.target], calls)
        exchanges = [exchange for call in calls for exchange in call.exchanges]
        if not exchanges:
            continue  # every answer was lost with a kill: a former recording is worth more
        slots[plan.target].write(frozen, exchanges, history.header["anchor_ns"])
        written.append(slots[plan.target])
    return written


def frozen_from(history: History, plan: Plan, spec: Spec, calls: Iterable[Call]) -> Frozen:
    """What a replay of one target needs besides the answers."""
    header, footer = history.header, history.footer or {}
    place = header["targets"][plan.target]
    return Frozen(
        plan=plan,
        calls=tuple(map(_frozen_call, calls)),
        contract=contract_of(spec),
        base_url=place["base_url"],
        recorded_from="simulator" if footer.get("simulated") else "live",
        recorded_at=header["started_at"],
        versions={"harness": header["harness_version"], "hypothesis": version("hypothesis"), "vcrpy": version("vcrpy")},
        usd_per_image=Decimal(place["usd_per_image"]),
        price_source=place["price_source"],
        concurrency=header["options"]["concurrency"],
        deadline_seconds=header["options"]["deadline_s"],
        schedule=place["schedule"],
        audit=over(history.audits),
        conduct=conduct_from(place.get("conduct")),
    )


def _frozen_call(call: Call) -> FrozenCall:
    derived = call.derived is not None
    return FrozenCall(
        call=call.id,
        case_id=call.case.id,
        interactions=len(call.exchanges),
        expired=call.reason.startswith(PAST_DEADLINE),
        cut_off=call.reason if call.reason in (LOST, INTERRUPTED) else None,
        derived=call.derived,
        images=call.images if derived else None,
        body=call.case.body if derived else None,
        segment=call.segment,
    )
