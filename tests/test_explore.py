"""Requests beyond the rows: no check cries wolf on them, and what they show is shrunk on a simulator, and nowhere else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import httpx
import pytest

from harness.isolate import MINIMISATION
from harness.minimise import MOST_REQUESTS
from harness.model import Call
from harness.report import document
from harness.simulator.variations import Variation
from harness.targets import Request
from harness.transport.wire import SIMULATOR_HEADER
from tests.calls import FAL, SPECS, InProcess, Run, simulated

EXPLORED = Request("simulate", explore=8, cases=("*/explore/*",))


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_any_valid_request_passes_every_check(spec):
    """At a healthy simulator; a property of the checks, over requests that Hypothesis draws."""
    run = simulated(EXPLORED, spec)
    target = document.build(run.history, run.specs).document["targets"][spec.target]
    assert [finding for finding in target["findings"] if finding["verdict"] != "warn"] == []
    assert (target["cases"]["planned"], target["cases"]["run"]) == (8, 8)


def one_image_too_many(body, order):
    """A defect of two parameters together, within a range that no label names."""
    wrong = body.get("guidance_scale", 0) > 6.1 and body.get("num_images", 1) >= 2
    return replace(order, count=order.count + 1) if wrong else order


def crashing_on_right_to_left(endpoint, body, _refusal, healthy):
    """A defect of a text."""
    return endpoint.error("internal", "Oops.") if any("א" <= one <= "ת" for one in body.get("prompt", "")) else healthy


class AsAProvider(InProcess):
    """The same answers, without the header that says who gives them."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        del answer.headers[SIMULATOR_HEADER]
        return answer


def explored(inside: type[InProcess] = InProcess, **hooks) -> Run:
    return simulated(EXPLORED, FAL, variations={FAL.target: (Variation("defect", **hooks),)}, inside=inside)


def minimisations(run: Run) -> list[Call]:
    return [call for call in run.history.calls if call.derived == MINIMISATION]


def test_a_defect_is_shown_by_the_least_request_that_has_it():
    """Two parameters beside what is required, at the smallest values that show it; found again in the record alone."""
    run = explored(order=one_image_too_many)
    result = document.build(run.history, run.specs)
    bodies = [f.body for one in result.targets[0].judged for f in one.findings if f.check == "image_count" and f.body]
    assert {"prompt", "image_urls", "guidance_scale", "num_images"} == set(bodies[0])
    assert (bodies[0]["prompt"], bodies[0]["num_images"], bodies[0]["guidance_scale"] > 6.1) == ("a", 2, True)
    sent = [str(call.case.body) for call in minimisations(run)]
    assert 0 < len(sent) == len(set(sent)) <= MOST_REQUESTS
    assert document.build(run.history, run.specs).document == result.document


def test_a_server_error_is_minimised_too():
    """Though it counts as failed only once it is confirmed: the text is cut to one character."""
    run = explored(instead=crashing_on_right_to_left)
    assert min(len(call.case.body["prompt"]) for call in minimisations(run)) < 12


def test_nothing_is_shrunk_at_a_provider():
    """Each request costs there: what was explored was sent, once each, and what isolates a refusal."""
    run = explored(AsAProvider, order=one_image_too_many)
    assert (dict(Counter(call.derived for call in run.history.calls)), minimisations(run)) == ({None: 8}, [])
