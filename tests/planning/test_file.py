"""A plan in a file: read back whole by its own spec, refused by any other, and never trusted to be well formed."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.errors import InputError
from harness.planning.file import dump, priced, targets_in
from tests.calls import FAL, GATEWAY, SPECS, WAVESPEED

PLAN = harness.plan(WAVESPEED, "core", explore=3)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_saved_plan_is_read_back_whole(spec: Any, tmp_path: Path) -> None:
    """Every tier and every case; so the file can be sent in place of a new plan."""
    plan = harness.plan(spec, "one-way", explore=2)
    harness.save_plan(plan, tmp_path / "plan.json")
    assert plan == harness.load_plan(tmp_path / "plan.json", spec)


def test_a_recordings_plan_is_a_plan() -> None:
    """One format: what stands beside a cassette can be sent again, as long as the spec is the same."""
    path = Path("cassettes/wavespeed/flux-kontext-pro-multi.plan.json")
    assert (WAVESPEED.target,) == targets_in(path)


def test_another_spec_refuses_a_plan(tmp_path: Path) -> None:
    """One sentence each: changed since, of another target, of another flow."""
    path = tmp_path / "plan.json"
    harness.save_plan(PLAN, path)
    with pytest.raises(
        InputError, match=r"plan.json was planned for another version of .*: plan again with harness plan"
    ):
        harness.load_plan(path, replace(WAVESPEED, sha256="0" * 64))
    with pytest.raises(InputError, match=f"plan.json holds no plan of {FAL.target}: it has {WAVESPEED.target}"):
        harness.load_plan(path, FAL)
    path.write_text(dump([replace(PLAN, flow="carrier-pigeon")]))
    with pytest.raises(InputError, match=r"for the flow 'carrier-pigeon', which .* lacks"):
        harness.load_plan(path, WAVESPEED)


FAULTS: dict[str, Any] = {
    "no list": {"cases": 3},
    "another kind": {"kind": "gift"},
    "another expectation": {"expect": "hope"},
    "no price": {"usd": "dear"},
    "a negative price": {"usd": "-1"},
    "no number of images": {"images": "many"},
    "no body": {"body": None},
    "another target": {"id": "elsewhere/a/b"},
    "a label that its domain lacks": {"labels": {"seed": "huge"}},
    "a label of no parameter": {"labels": {"nothing": "one"}},
    "no labels": {"labels": None},
    "a list of labels": {"labels": [1]},
    "no reason": {"why": None},
    "no answer": {"silent": "no"},
    "a question that there is not": {"probes": ["nope"]},
    "a parameter without a name": {"parameter": 7},
    "no domains": {"domains": None},
    "a list of domains": {"domains": []},
    "a seed in words": {"seed": "x"},
    "a tier by number": {"tier": 7},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_is_no_plan_is_refused_in_one_sentence(fault: dict[str, Any], tmp_path: Path) -> None:
    """Whatever is wrong with a case, and whatever is no JSON at all."""
    value, path = json.loads(dump([PLAN])), tmp_path / "plan.json"
    if {"cases", "domains", "seed", "tier"} & set(fault):
        value["plans"][0] |= fault
    else:
        value["plans"][0]["cases"][0] |= fault
    for text in (json.dumps(value), json.dumps(value)[:-9], "[]", '{"plans": {}}'):
        path.write_text(text)
        with pytest.raises(InputError, match=r"plan.json (is no plan|holds no plan)") as raised:
            harness.load_plan(path, WAVESPEED)
        assert "\n" not in str(raised.value)


def test_a_target_is_planned_once(tmp_path: Path) -> None:
    """Of two plans of one target none is chosen."""
    path = tmp_path / "plan.json"
    path.write_text(dump([PLAN, PLAN]))
    with pytest.raises(InputError, match="two plans of one target"):
        harness.load_plan(path, WAVESPEED)


def test_a_file_is_not_believed_what_it_says_of_its_price() -> None:
    """Images and price are those of the bodies; only the question about nobody's job is free."""
    free = replace(PLAN, cases=tuple(replace(case, images=0, usd=Decimal(0)) for case in PLAN.cases))
    again = priced(free, WAVESPEED, Decimal("0.04"))
    accepted = [case for case in again.cases if case.kind == "accept"]
    assert [case.usd for case in accepted] == [case.usd for case in PLAN.cases if case.kind == "accept"]
    assert {case.id.rpartition("/")[2] for case in again.cases if not case.usd} == {"unknown-job"}


def test_a_file_costs_what_images_cost_today() -> None:
    """A plan keeps its cases at another price."""
    assert PLAN.usd * 2 == priced(PLAN, WAVESPEED, 2 * harness.plan(WAVESPEED).cases[-1].usd).usd


def test_what_is_explored_is_further_valid_and_named_by_itself() -> None:
    """Distinct from the rows, after them, under an id that is a hash of the body; more of them begin with the same."""
    for spec in (FAL, GATEWAY, WAVESPEED):
        few, many = harness.plan(spec, explore=3), harness.plan(spec, explore=6)
        assert many.cases[: len(few.cases)] == few.cases
        drawn = [case for case in many.cases if "/explore/" in case.id]
        bodies = [json.dumps(case.body, sort_keys=True) for case in many.cases if case.kind == "accept"]
        assert (6, len(bodies)) == (len(drawn), len(set(bodies)))
        for case in drawn:
            assert (case.kind, case.expect, spec.contested(case.body)) == ("accept", "accept", None)
            assert case.usd == Decimal("0.04") * case.images
            assert {name for name, label in case.labels.items() if label != "absent"} <= set(case.body)
