"""What would be sent: counted by a counter of its own, validated by jsonschema, priced, and the same every time."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
from jsonschema import Draft202012Validator

from harness.history import plan_from, plan_json
from harness.model import Case, Plan
from harness.planning import build
from harness.spec import Spec
from harness.strict import load_json
from tests.calls import FAL, GATEWAY, MULTI, ROUTES, SINGLE, SPECS, WAVESPEED

EACH = pytest.mark.parametrize(("spec", "flow"), ROUTES, ids=[f"{s.target}:{f}" for s, f in ROUTES])
PRICE = Decimal("0.04")


def planned(spec: Spec, flow: str | None = None, seed: int = 0, *, rejects: bool = True) -> Plan:
    chosen = spec.flows[flow] if flow else spec.default_flow
    return build(spec, flow=chosen, seed=seed, usd_per_image=PRICE, with_rejects=rejects)


def text(plan: Plan) -> str:
    return json.dumps(plan_json(plan), ensure_ascii=False)


def accepts(plan: Plan) -> list[Case]:
    return [case for case in plan.cases if case.kind == "accept"]


def faulty(plan: Plan) -> list[Case]:
    return [case for case in plan.cases if case.kind == "reject"]


def values(case: Case) -> object:
    """What a case sends, in whatever order, and whether its text says more."""
    return dict(case.body), case.sending is None


def at_fault(spec: Spec, case: Case) -> set[str]:
    """The parameters at which a body breaks the input schema; what is missing is at fault itself."""
    found = set()
    for error in Draft202012Validator(dict(spec.input_schema)).iter_errors(dict(case.body)):
        missing = re.match(r"'([^']+)' is a required property", error.message)
        found.add(missing[1] if missing and error.validator == "required" else str(error.absolute_path[0]))
    return found


def test_the_size_of_one_way() -> None:
    """As many rows as the largest domain has labels: 7, 10, 10, 10, 10, together 47."""
    expected = {SINGLE.target: 7, MULTI.target: 10, WAVESPEED.target: 10, FAL.target: 10, GATEWAY.target: 10}
    found = {spec.target: len(accepts(planned(spec))) for spec in SPECS.values()}
    assert (expected, 47) == (found, sum(found.values()))


def test_the_images_of_one_way() -> None:
    """No more images than planning.md allows for the one-way suite."""
    assert sum(case.images for spec in SPECS.values() for case in accepts(planned(spec))) <= 92


@EACH
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_every_label_is_sent_once_at_least(spec: Spec, flow: str, seed: int) -> None:
    """Counted by asking for each label of each domain; each case's body holds the values that its labels name."""
    plan = planned(spec, flow, seed)
    sent = Counter((name, label) for case in accepts(plan) for name, label in case.labels.items())
    assert [(n, label) for n, domain in plan.domains.items() for label in domain if not sent[n, label]] == []
    for case in accepts(plan):
        absent = {name for name, label in case.labels.items() if label == "absent"}
        fixed = {**spec.constants, **spec.flows[flow].body}
        assert set(case.body) == (set(plan.domains) - absent) | set(fixed)
        assert fixed == {name: case.body[name] for name in fixed}


@EACH
def test_accept_bodies_are_within_the_document(spec: Spec, flow: str) -> None:
    """Each accept body fits the input schema; it expects acceptance unless an ambiguity leaves that open."""
    for case in accepts(planned(spec, flow)):
        assert (case.id, set()) == (case.id, at_fault(spec, case))
        assert case.expect == ("either" if spec.contested(case.body) else "accept")


@EACH
def test_what_the_documents_leave_open_expects_either(spec: Spec, flow: str) -> None:
    """A contested body expects either and names the place that supports it; any other one expects what it is for."""
    plan = planned(spec, flow)
    for case in accepts(plan) + [case for case in faulty(plan) if case.sending is None and not case.silent]:
        contested = spec.contested(case.body)
        expected = (
            ("either", contested.places[0]) if contested else ("accept" if case.kind == "accept" else "reject", None)
        )
        assert expected == (case.expect, case.source if contested else None)
        if contested:
            assert contested.states == case.why
        elif case.fault is not None:
            assert case.source in {p.source for p in (*spec.parameters, *spec.fixed) if p.name == case.parameter}


def test_bodies_that_the_documents_contest() -> None:
    """A missing prompt at UModelVerse and the sixth tolerance at fal are known to be open."""
    expected = "either"
    missing = next(c for c in planned(MULTI).cases if c.id.endswith("/prompt/missing"))
    sixth = [c for c in planned(FAL).cases if c.body.get("safety_tolerance") == "6"]
    assert {expected} == {case.expect for case in (missing, *sixth)}
    assert sixth


@EACH
def test_rejects_of_a_count_lie_just_outside(spec: Spec, flow: str) -> None:
    """An unexpected acceptance costs one image more than the maximum at most."""
    count = spec.parameter("count")
    found = [
        case.body.get(count.name) for case in faulty(planned(spec, flow)) if count and case.parameter == count.name
    ]
    numbers = [value for value in found if isinstance(value, int) and not isinstance(value, bool)]
    assert set(numbers) <= {0, 1, 5}  # 1 is the base's, where the fault is no JSON value
    assert [case for case in faulty(planned(spec, flow)) if case.images > 5] == []


@EACH
def test_the_price_is_that_of_the_images_asked_for(spec: Spec, flow: str) -> None:
    """The count multiplies; the plan's price is that of all that may be accepted."""
    plan, count = planned(spec, flow), spec.parameter("count")
    for case in accepts(plan) + faulty(plan):
        asked = case.body.get(count.name, 1) if count else 1
        images = math.ceil(asked) if isinstance(asked, (int, float)) and asked > 0 else 1
        assert (images, PRICE * images) == (case.images, case.usd)
    expected = PRICE * sum(case.images for case in plan.cases if case.expect != "reject" and not case.silent)
    assert expected == plan.usd


@EACH
def test_a_plan_is_the_same_for_the_same_inputs_and_no_other(spec: Spec, flow: str) -> None:
    """Byte for byte; another seed pairs other values, covers the same and has the same rejects."""
    one, two = planned(spec, flow, 0), planned(spec, flow, 5)
    assert text(one) == text(planned(spec, flow, 0))
    assert [case.body for case in accepts(one)] != [case.body for case in accepts(two)]
    assert faulty(one) == faulty(two)
    assert one.domains == two.domains


def test_a_plan_does_not_depend_on_the_process() -> None:
    """Another interpreter with another hash seed makes the same bytes."""
    script = (
        "import sys; from decimal import Decimal; from hashlib import sha256; from json import dumps\n"
        "from harness.planning import build; from harness.spec import find; from harness.history import plan_json\n"
        "for s in find(()):\n"
        "    p = build(s, flow=s.default_flow, usd_per_image=Decimal('0.04'))\n"
        "    print(sha256(dumps(plan_json(p), ensure_ascii=False).encode()).hexdigest())"
    )
    expected = [hashlib.sha256(text(planned(spec)).encode()).hexdigest() for spec in SPECS.values()]
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert expected == done.stdout.split()


@EACH
def test_a_frozen_plan_is_read_back_whole(spec: Spec, flow: str) -> None:
    """What stands in a file is the plan, through the strict loader too."""
    plan = planned(spec, flow)
    assert plan == plan_from(plan_json(plan))
    assert plan == plan_from(load_json(text(plan).encode()))


@EACH
def test_ids_are_unique_readable_and_say_what_the_case_is(spec: Spec, flow: str) -> None:
    """``target/parameter/fault``, or ``target/accept/parameter=label-hash`` with the hash of the labels."""
    plan = planned(spec, flow)
    ids = [case.id for case in plan.cases]
    assert len(ids) == len(set(ids))
    for case in accepts(plan) + faulty(plan):
        if case.kind == "reject":
            what = case.parameter or case.id.split("/")[2]
            assert f"{spec.target}/{what}/{case.fault}" == case.id
            assert case.parameter or what in ("body", "content-type", "method")
            continue
        name, label, digest = re.fullmatch(
            rf"{re.escape(spec.target)}/accept/(\w+)=([\w:.-]+)-([0-9a-f]{{8}})", case.id
        ).groups()  # type: ignore[union-attr]
        assert case.labels[name] == label
        fixed = {**spec.constants, **spec.flows[flow].body}
        ordered = json.dumps([dict(case.labels), fixed], sort_keys=True)
        assert hashlib.sha256(ordered.encode()).hexdigest()[:8] == digest


def test_a_known_id() -> None:
    """The interface's own example."""
    assert "fal/flux-pro-kontext-multi/guidance_scale/above-maximum" in {case.id for case in planned(FAL).cases}


@EACH
def test_ids_do_not_depend_on_the_order_of_parameters(spec: Spec, flow: str) -> None:
    """A spec that lists its parameters the other way round plans the same rejects under the same ids."""
    other = planned(replace(spec, parameters=tuple(reversed(spec.parameters))), flow)
    mine = {case.id: values(case) for case in faulty(planned(spec, flow))}
    assert mine == {case.id: values(case) for case in faulty(other)}
    bodies = {json.dumps(case.body, sort_keys=True): case.id for case in accepts(planned(spec, flow))}
    for case in accepts(other):
        assert case.id == bodies.get(json.dumps(case.body, sort_keys=True), case.id)


@EACH
def test_rejects_come_first_and_can_be_left_out(spec: Spec, flow: str) -> None:
    """What is free is sent before what is paid; without rejects the accept cases are the same."""
    plan = planned(spec, flow)
    kinds = [case.kind == "accept" for case in plan.cases]
    assert sorted(kinds) == kinds
    # The free probes that the first case carries go with the rejects.
    assert [replace(case, probes=()) for case in accepts(plan)] == list(planned(spec, flow, rejects=False).cases)


def test_the_parameters_of_a_flow_are_fixed() -> None:
    """WaveSpeed's synchronous flow always asks to wait, and that parameter is no longer varied."""
    plan = planned(WAVESPEED, "sync")
    assert {True} == {case.body["enable_sync_mode"] for case in plan.cases}
    assert "enable_sync_mode" not in plan.domains
