"""Enough is enough: rejects that a provider accepts are billed, so that after a few the rest of their tier is not sent."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from harness.cassettes import Slot, compact, under_documented_origins
from harness.enough import ACCEPTED, left_out
from harness.metrics.cost import cost
from harness.model import Case, Outcome
from harness.report import document
from harness.run import exit_status
from harness.simulator import Variation, faults_for
from harness.simulator.provider import Reply
from harness.targets import Request
from tests.calls import FAL, SPECS, WAVESPEED, Run, simulated
from tests.cassettes.recordings import replayed, report_of, steady

SOME = ("*/guidance_scale/*", "*/seed/*", "*/image_urls/item-*", "*/accept/*")
"""Of fal: 24 rejects of tier A, 12 of tier B, and the accept cases."""


def accepts_everything(_body: Any, _healthy: Any) -> None:
    """A provider that refuses nothing."""


def run(refusal: Any, *, source: Any = "simulate", **more: Any) -> Run:
    asked: dict[str, Any] = {"cases": SOME, "concurrency": 1, "max_cases": 1} | more
    return simulated(Request(source, **asked), FAL, variations={FAL.target: (Variation("lenient", refusal=refusal),)})


def rejects(one: Run, tier: str) -> list[Case]:
    return [case for case in one.history.plans[0].cases if case.tier == tier]


def sent(one: Run) -> set[str]:
    return {call.case.id for call in one.history.calls}


def test_the_rest_of_a_tier_is_left_out_after_three() -> None:
    """Of each tier three are accepted and billed, no other is sent; what is valid is sent all the same."""
    one = run(accepts_everything)
    assert len(rejects(one, "A")) > 20
    for tier in ("A", "B"):
        accepted = [c for c in one.history.calls if c.case.tier == tier and c.outcome is Outcome.COMPLETED]
        assert (tier, ACCEPTED) == (tier, len([call for call in accepted if not call.case.priced]))
        assert len(accepted) < len(rejects(one, tier)) // 2
    assert all(case.id in sent(one) for case in one.history.plans[0].cases if case.kind == "accept")
    paid = [call for call in one.history.calls if call.billed == "yes"]
    assert cost(paid).paid_requests == 2 * ACCEPTED + 1 + len([c for c in rejects(one, "B") if c.priced])
    assert cost(paid).usd == sum((call.case.usd for call in paid), Decimal(0))


def test_why_is_told_in_the_record_and_in_the_report() -> None:
    """The run is not complete and fails by what was accepted; one finding of each tier counts what was not sent."""
    one = run(accepts_everything)
    footer = one.history.footer or {}
    assert (footer["complete"], footer["stopped"], one.ended.over) == (False, {}, True)
    result = document.build(one.history, SPECS)
    found = result.document["targets"][FAL.target]
    assert (result.document["run"]["complete"], found["verdict"], exit_status(result)) == (False, "fail", 1)
    reasons = [finding["message"] for finding in found["findings"] if finding["observed"] == "not sent"]
    unsent = {tier: sum(case.id not in sent(one) for case in rejects(one, tier)) for tier in ("A", "B")}
    assert [
        f"the other {unsent[tier]} of tier {tier} were not sent" in reason
        for tier, reason in zip("AB", reasons, strict=True)
    ] == [True, True]
    assert footer["left_out"] == {FAL.target: "; ".join(reasons)}
    assert found["cases"]["planned"] - found["cases"]["run"] == sum(unsent.values())


def test_silence_of_the_document_ends_in_no_failure() -> None:
    """Accepted where the document is silent: warned of, the rest left out, and the run ends incomplete."""
    lenient = next(fault for fault in faults_for(FAL) if fault.id.endswith(":accepts-image_urls-unusable"))
    one = run(lenient.variation().refusal)
    result = document.build(one.history, SPECS)
    found = result.document["targets"][FAL.target]
    assert all(case.id in sent(one) for case in rejects(one, "A"))
    assert (found["cases"]["fail"], found["cases"]["warn"] >= ACCEPTED, found["verdict"]) == (0, True, "unknown")
    assert exit_status(result) == 3


def test_calls_in_flight_are_all_that_exceeds() -> None:
    """With eight at once no more are accepted than were under way when the third had ended."""
    accepted = [
        c for c in run(accepts_everything, concurrency=8).history.calls if c.case.tier == "A" and c.billed == "yes"
    ]
    assert ACCEPTED <= len(accepted) < ACCEPTED + 8


def test_contested_acceptance_does_not_count() -> None:
    """A healthy provider that accepts what its document contests is asked everything else."""
    one = simulated(Request("simulate", cases=("*/image*/*", "*/prompt/*")), WAVESPEED)
    accepted = [call.case for call in one.history.calls if call.case.tier and call.outcome is Outcome.COMPLETED]
    assert accepted
    assert all(case.priced for case in accepted)
    assert (one.ended.complete, one.ended.left_out) == (True, {})


def test_a_record_goes_on_to_count() -> None:
    """What an earlier segment was accepted counts for the next one: nothing more is sent."""
    one = run(accepts_everything)
    rest = left_out(one.history.plans[0].cases, one.history.calls)
    assert [len(part.cases) for part in rest] == [
        sum(case.id not in sent(one) for case in rejects(one, tier)) for tier in ("A", "B")
    ]
    assert left_out(one.history.plans[0].cases, ()) == []


def test_a_recording_that_left_rejects_out_is_kept_and_replayed(tmp_path: Path) -> None:
    """Its replay comes to the same report: incomplete, with the same reasons."""
    done = run(accepts_everything, source="record")
    assert done.ended.over
    history = under_documented_origins(done.history, {FAL.target: FAL})
    compact(history, {FAL.target: FAL}, {FAL.target: Slot(tmp_path / "cassettes", FAL.target)})
    again = replayed(FAL, tmp_path / "cassettes", tmp_path / "run")
    expected, found = report_of(history), steady(again.result.document)
    assert json.dumps(expected) == json.dumps(found)
    assert (found["run"]["complete"], again.exit_status) == (False, 1)


def refuses_odd_requests_as_keys(step: str, job: Any, reply: Reply) -> Reply:
    """A provider behind a wall that answers 403 to whatever it cannot read."""
    return replace(reply, status=403) if step == "submit" and job is None and reply.status == 422 else reply


@pytest.mark.parametrize("cases", [("*/body/*", "*/accept/*"), ("*/content-type/*", "*/accept/*")])
def test_a_wall_in_front_does_not_stop_the_target(cases: tuple[str, ...]) -> None:
    """A 403 to an odd request says nothing, of the request or of the key: the rest is sent, and nothing is blamed."""
    wall = Variation("wall", reply=refuses_odd_requests_as_keys)
    one = simulated(Request("simulate", cases=cases, max_cases=1), FAL, variations={FAL.target: (wall,)})
    found = document.build(one.history, SPECS).document["targets"][FAL.target]
    assert one.ended.complete
    assert {(f["check"], f["verdict"]) for f in found["findings"]} == {("negative_data_rejection", "unknown")}
