"""A request that differs from the documented one, byte for byte as it leaves, and what is made of its answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from harness.clock import RealClock
from harness.flow import JobEnd, Route, flow_for
from harness.model import Case, Outcome, Request, Response, Sending
from harness.planning.rejects.requests import faulty_credentials, faulty_requests
from harness.transport.live import AiohttpTransport
from tests.calls import SPECS, accepted_as_reject, body_of, case_of, refused, route_of, seen
from tests.fakes import KEY, answer, answers, serving, wire

FAL, GATEWAY = SPECS["fal/flux-pro-kontext-multi"], SPECS["fal-gateway/flux-pro-kontext-multi"]
ODD = [*faulty_requests(FAL, FAL.default_flow, body_of(FAL)), *faulty_credentials(FAL)]


def submit(sending: Sending, base: str) -> Request:
    return Route(FAL, FAL.default_flow, base).submit(body_of(FAL), sending)


def test_each_odd_request_leaves_as_it_is() -> None:
    """Method, media type, credential and body stand on the wire as planned, and the key only in its own place."""

    async def main() -> list[tuple[Sending, Request, bytes, dict[str, str]]]:
        found = []
        async with serving(answers(answer())) as peer:
            transport, clock = AiohttpTransport(RealClock()), RealClock()
            for fault in ODD:
                request = submit(fault.sending, peer.url)
                sent = await wire(transport, clock, peer.url).send(request, seconds=10)
                assert isinstance(sent.reply, Response)
                found.append((fault.sending, request, peer.requests[-1], dict(sent.headers)))
            await transport.aclose()
        return found

    found = asyncio.run(main())
    assert len(found) == len(ODD) >= 40
    for sending, request, data, recorded in found:
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        assert first.split()[0] == request.method == (sending.method or "POST")
        assert body == (request.body or b"")
        wanted = "application/json" if sending.content_type is None else sending.content_type
        assert headers.get("content-type", "") == wanted
        assert headers["authorization"] == (f"Key {KEY}" if sending.credential is None else sending.credential)
        assert recorded["authorization"] == ("Key ***" if sending.credential is None else sending.credential)
        assert KEY not in str(recorded)


def end_of(case: Case, status: int, spec: Any = FAL) -> JobEnd:
    """How a case ends whose first request is answered with a status and nothing more."""
    flow = flow_for(route_of(spec), case)
    next(flow)
    with pytest.raises(StopIteration) as ended:
        flow.send(Response(status, {}, b""))
    end: JobEnd = ended.value.value
    return end


@pytest.mark.parametrize("fault", list(faulty_credentials(FAL)), ids=lambda fault: fault.name)
def test_a_refused_credential_is_a_refusal_and_an_accepted_one_is_paid(fault: Any) -> None:
    """What is made up has to be refused; whoever accepts it bills somebody."""
    case = Case(
        "x", FAL.target, body_of(FAL), "reject", fault.why, 1, 0, kind="probe", probes=(fault.name,), sending=fault.sending  # type: ignore[arg-type]
    )  # fmt: skip
    assert [(end.outcome, end.billed) for end in (end_of(case, 401), end_of(case, 200), end_of(case, 503))] == [
        (Outcome.REJECTED, "no"),
        (Outcome.COMPLETED, "yes"),
        (Outcome.UNKNOWN, "no"),
    ]


def odd(sending: Sending, one: Any) -> Any:
    """A call as if it had been sent so."""
    return replace(one, call=replace(one.call, case=replace(one.call.case, sending=sending)))


@pytest.mark.parametrize("sending", [Sending(body=b"{"), Sending(content_type="text/plain"), Sending(method="PUT")])
def test_whoever_stands_in_front_may_refuse_in_its_own_way(sending: Sending) -> None:
    """A bare refusal of another shape, or with another status, is noted at most; so is the silence about the parameter."""
    for spec in SPECS.values():
        one = odd(sending, accepted_as_reject(seen(spec), "prompt", "wrong-type-integer"))
        for status in (400, 405, 413, 415, 422):
            found = refused(one, status, {"oops": 1}).findings()
            assert [row for row in found if row[1] not in ("warn", "pass")] == []


def test_another_method_is_judged_by_nothing_that_is_documented() -> None:
    """A page for a browser is no accepted job of the document's; that it was served is worth a note."""
    one = odd(Sending(method="GET"), accepted_as_reject(seen(FAL), "prompt", "null"))
    found = refused(one, 200, None)
    assert found.call.outcome is Outcome.FAILED or found.call.outcome is Outcome.UNKNOWN
    assert {check for check, verdict, _ in found.findings() if verdict == "fail"} <= set()


def test_an_accepted_odd_request_fails_or_is_noted() -> None:
    """Forbidden: a failure with the place in the document. Silent: a note."""
    plain = seen(FAL)
    for expect, verdict in (("reject", "fail"), ("either", "warn")):
        case = case_of(FAL, body_of(FAL), fault="unclosed", parameter=None, expect=expect)  # type: ignore[arg-type]
        one = replace(plain, call=replace(plain.call, case=replace(case, sending=Sending(body=b"{"), kind="reject")))
        assert ("negative_data_rejection", verdict, None) in one.findings()
