"""What a bench sends: plain requests that the documents allow, the same work for every target, the same every time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.errors import HarnessError, InputError, UsageError
from harness.history import plan_from, plan_json
from harness.model import Case, Plan
from harness.planning.prompts import LIGHTS, MEDIA, PLACES, PROMPTS, SUBJECTS, prompt
from harness.planning.workload import OwnBodies, own_workload, read_bodies, workload
from harness.spec import Spec
from tests.calls import FAL, MULTI, ROUTES, SPECS, WAVESPEED

EACH = pytest.mark.parametrize(("spec", "flow"), ROUTES, ids=[f"{s.target}:{f}" for s, f in ROUTES])
PRICE = Decimal("0.04")


def planned(spec: Spec, flow: str | None = None, requests: int = 20, **more: Any) -> Plan:
    chosen = spec.flows[flow] if flow else spec.default_flow
    return workload(spec, chosen, requests, usd_per_image=PRICE, **more)


def timed(plan: Plan) -> list[Case]:
    return [case for case in plan.cases if case.kind == "accept"]


def value(spec: Spec, case: Case, role: str) -> Any:
    parameter = spec.parameter(role)
    return case.body.get(parameter.name) if parameter else None


@EACH
def test_every_request_is_a_documented_one(spec: Spec, flow: str) -> None:
    """Each body fits the input schema and is expected to be accepted."""
    validator = Draft202012Validator(dict(spec.input_schema))
    plan = planned(spec, flow, warmup=3)
    assert [error.message for case in plan.cases for error in validator.iter_errors(dict(case.body))] == []
    assert {"accept"} == {case.expect for case in plan.cases}


@EACH
def test_a_request_is_the_plainest_one_but_for_its_seed(spec: Spec, flow: str) -> None:
    """Required parameters, the prompt, what the flow fixes, a seed where the endpoint has one; nothing else."""
    wanted = {p.name for p in spec.parameters if p.required or p.role in ("prompt", "seed")}
    wanted |= {*spec.constants, *spec.flows[flow].body}
    assert [wanted] * 20 == [set(case.body) for case in planned(spec, flow).cases]


@EACH
def test_prompts_and_seeds_vary(spec: Spec, flow: str) -> None:
    """Neither comes twice, the warm-up included, and no seed asks for a random one."""
    cases = planned(spec, flow, 50, warmup=5).cases
    assert len({value(spec, case, "prompt") for case in cases}) == 55
    seed = spec.parameter("seed")
    if seed:
        values = [case.body[seed.name] for case in cases]
        assert (len(set(values)), [value for value in values if value < 1]) == (55, [])


def test_the_nth_request_is_the_same_work_for_every_target() -> None:
    """Targets are paired by number: prompt and seed of the n-th are the same, whatever the dialect."""
    plans = {spec.target: timed(planned(spec, warmup=2)) for spec in SPECS.values()}
    for rank in range(20):
        asked = {(value(SPECS[name], cases[rank], "prompt"), value(SPECS[name], cases[rank], "seed"), cases[rank].id.rpartition("/")[2])
                 for name, cases in plans.items()}  # fmt: skip
        assert len(asked) == 1


@EACH
def test_ids_say_what_a_case_is(spec: Spec, flow: str) -> None:
    """``target/bench/number``: the number decides the body, whatever the seed, the length and the warm-up of the run."""
    bodies: dict[str, Any] = {}
    for plan in (
        planned(spec, flow),
        planned(spec, flow, 7, warmup=4),
        planned(spec, flow, 1500),
        planned(spec, flow, seed=1),
    ):
        assert len(plan.cases) == len({case.id for case in plan.cases})
        for case in plan.cases:
            assert re.fullmatch(rf"{re.escape(spec.target)}/(bench|warm-up)/\d{{4}}", case.id)
            number = case.id.rpartition("/")[2]
            assert bodies.setdefault(number, case.body) == case.body
            assert (case.kind == "accept") == ("/bench/" in case.id)


def test_a_known_case() -> None:
    """The seventh request of the default seed."""
    case = planned(FAL).cases[6]
    text = "Turn the picture into a stained-glass window of a bicycle in a walled garden in falling snow"
    assert ("fal/flux-pro-kontext-multi/bench/0007", text, 7) == (case.id, case.body["prompt"], case.body["seed"])


def test_a_longer_workload_begins_with_the_shorter_one() -> None:
    """More requests are added behind, so that runs of different lengths can be paired."""
    assert planned(FAL, requests=5).cases == planned(FAL, requests=9).cases[:5]


def test_another_seed_is_another_workload() -> None:
    """Its prompts are other ones; negative seeds and large ones are seeds too."""
    sets = [{case.id for case in planned(FAL, seed=seed).cases} for seed in (0, 1, -1, 10**12)]
    assert [set()] * 3 == [sets[0] & other for other in sets[1:]]


def test_warm_up_comes_first_and_is_not_timed() -> None:
    """The warm-up leads the plan; the timed cases are the same with and without one."""
    plan = planned(WAVESPEED, requests=4, warmup=2)
    assert [case.kind for case in plan.cases] == ["warm-up", "warm-up", "accept", "accept", "accept", "accept"]
    assert timed(plan) == list(planned(WAVESPEED, requests=4).cases)


@EACH
def test_a_workload_is_the_same_for_the_same_inputs_and_is_read_back_whole(spec: Spec, flow: str) -> None:
    """A pure function, and its plan survives its file."""
    plan = planned(spec, flow, warmup=2, seed=3)
    assert plan == planned(spec, flow, warmup=2, seed=3) == plan_from(plan_json(plan))
    assert ("bench", "bench", flow) == (plan.kind, plan.tier, plan.flow)


def test_a_workload_does_not_depend_on_the_process() -> None:
    """Another interpreter with another hash seed makes the same cases."""
    script = (
        "import json; from decimal import Decimal; from harness.planning.workload import workload\n"
        "from harness.spec import find; from harness.history import plan_json\n"
        "plans = [workload(s, s.default_flow, 5, warmup=1, usd_per_image=Decimal('0.04')) for s in find(())]\n"
        "print(json.dumps([plan_json(plan) for plan in plans]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert [plan_json(planned(spec, requests=5, warmup=1)) for spec in SPECS.values()] == json.loads(done.stdout)


@EACH
def test_a_plan_is_priced_with_its_warm_up(spec: Spec, flow: str) -> None:
    """One image for each request, where nothing else is asked for."""
    plan = planned(spec, flow, 20, warmup=2)
    assert ({1}, PRICE * 22) == ({case.images for case in plan.cases}, plan.usd)


def test_the_users_own_images_are_used() -> None:
    """Configured assets take the place of the documents' examples."""
    mine = "https://assets.example/mine.webp"
    bodies = [case.body for case in planned(MULTI, requests=2, assets=[mine]).cases]
    assert [[mine]] * 2 == [body["images"] for body in bodies]


def test_a_seed_stays_within_its_bounds() -> None:
    """An endpoint with few seeds gets its seeds again."""
    seed = FAL.parameter("seed")
    assert seed is not None
    narrow = replace(seed, schema={**seed.schema, "minimum": 5, "maximum": 7})
    spec = replace(FAL, parameters=tuple(narrow if p is seed else p for p in FAL.parameters))
    assert [case.body["seed"] for case in planned(spec, requests=4).cases] == [5, 6, 7, 5]


def test_there_are_as_many_prompts_as_the_lists_allow() -> None:
    """No prompt comes twice before all have been used, and neighbours share no part."""
    assert len({prompt(number) for number in range(1, PROMPTS + 1)}) == PROMPTS
    parts = [part for parts in (MEDIA, SUBJECTS, PLACES, LIGHTS) for part in parts]
    for number in (1, 2, 500, PROMPTS - 1):
        one, two = ({part for part in parts if f" {part}" in prompt(n)} for n in (number, number + 1))
        assert (4, set()) == (len(one), one & two)


def test_more_requests_than_prompts_are_refused() -> None:
    """One sentence with the number there is."""
    assert len(planned(FAL, requests=PROMPTS - 1, warmup=1, seed=9).cases) == PROMPTS
    with pytest.raises(UsageError, match=f"a bench has {PROMPTS} prompts"):
        planned(FAL, requests=PROMPTS, warmup=1)


# --- a user's own bodies ---------------------------------------------------------------------------------------------


def own(tmp_path: Path, *lines: str) -> OwnBodies:
    path = tmp_path / "workload.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_bodies(path)


BODY = '{"prompt": "a red fox", "image_urls": ["https://images.example/a.png"]}'
MORE = '{"prompt": "two", "image_urls": ["https://images.example/a.png"], "num_images": 2}'


def test_own_bodies_are_sent_in_their_order_again_and_again(tmp_path: Path) -> None:
    """Each is priced by what it asks for; its id holds what it is, and how often it came.

    The timed ones go on where the warm-up has ended: a provider may have kept what it has just answered.
    """
    plan = own_workload(
        FAL, FAL.default_flow, own(tmp_path, BODY, "", MORE), 3, warmup=1, usd_per_image=Decimal("0.04")
    )
    assert [(case.kind, case.body["prompt"], case.images, str(case.usd)) for case in plan.cases] == [
        ("warm-up", "a red fox", 1, "0.04"), ("accept", "two", 2, "0.08"), ("accept", "a red fox", 1, "0.04"),
        ("accept", "two", 2, "0.08"),
    ]  # fmt: skip
    first, again = plan.cases[1].id, plan.cases[3].id
    assert (first.rpartition("-")[0], first[-2:], again[-2:]) == (again.rpartition("-")[0], "-1", "-2")


def test_a_line_may_hold_a_body_for_each_target(tmp_path: Path) -> None:
    """The cases of two targets are paired by the line's hash; a target that it leaves out is an error."""
    line = json.dumps(
        {
            FAL.target: json.loads(BODY),
            MULTI.target: {"prompt": "a red fox", "images": ["https://images.example/a.png"]},
        }
    )
    bodies = own(tmp_path, line)
    plans = [own_workload(s, s.default_flow, bodies, 1, usd_per_image=Decimal(1)) for s in (FAL, MULTI)]
    assert len({plan.cases[0].id.rpartition("/")[2] for plan in plans}) == 1
    assert plans[1].cases[0].body["model"] == MULTI.constants["model"]
    with pytest.raises(UsageError, match=r"workload.jsonl:1: there is no body for wavespeed/"):
        own_workload(WAVESPEED, WAVESPEED.default_flow, bodies, 1, usd_per_image=Decimal(1))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["{"], r"workload.jsonl:1: not JSON"),
        ([BODY, "[1]"], r"workload.jsonl:2: no JSON object"),
        ([" "], "holds no request body"),
        (['{"prompt": "x", "prompt": "y"}'], r"workload.jsonl:1: the name 'prompt' stands twice"),
        (
            ['{"prompt": "x"}'],
            r"workload.jsonl:1: fal/flux-pro-kontext-multi requires 'image_urls', which is missing: see harness specs show fal/",
        ),
        ([BODY.replace("}", ', "num_images": 9}')], "does not allow this value of 'num_images'"),
        ([BODY.replace("}", ', "number": 9}')], "documents no 'number': see"),
        (["{}"], "requires 'prompt', which is missing"),
    ],
)
def test_a_workload_that_cannot_be_sent_says_which_line(tmp_path: Path, lines: list[str], says: str) -> None:
    """What is no JSON, no body, or nothing that the document allows: the file, the line, and what is wrong."""
    closed = replace(FAL, input_schema={**FAL.input_schema, "additionalProperties": False})
    with pytest.raises(HarnessError, match=says):
        own_workload(closed, FAL.default_flow, own(tmp_path, *lines), 1, usd_per_image=Decimal(1))
    with pytest.raises(InputError, match="cannot read the workload"):
        read_bodies(tmp_path / "none.jsonl")
