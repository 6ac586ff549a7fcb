"""Planted faults: listed, stable, planted by id, and each of them seen by somebody who asks."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from dataclasses import replace
from decimal import Decimal

import httpx
import pytest

from harness.clock import VirtualClock, run_virtual
from harness.errors import UsageError
from harness.flow import Route
from harness.model import Request as Ask
from harness.planning import build
from harness.simulator import Settings, application, faults_for, list_faults, planted, spawned
from harness.simulator.faults.answers import still
from harness.simulator.faults.fault import labels_of, plain_body
from harness.simulator.faults.parameters import _FORBIDDEN, MISSING, _matches, _undisputed
from harness.simulator.inputs import ROLES
from harness.simulator.verdicts import Verdicts
from harness.spec.load import find, load

CHECKS = frozenset({
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "positive_data_acceptance", "negative_data_rejection", "ignored_auth", "image_count",
    "image_format", "image_dimensions", "image_decodes", "image_download",
    "output_encoding", "seed_echo", "prompt_echo", "content_flags",
    "job_lifecycle", "job_completes", "job_identity", "repeatable_read",
    "unknown_job", "error_shape", "error_names_parameter", "timestamps",
    "timings", "url_origin", "well_formed_json", "limits",
    "no_redirect", "transport", "credentials_accepted", "reproducible_seed",
    "default_equals_explicit", "unknown_field",
})  # fmt: skip
SETTINGS = Settings(queue_seconds=1.0, inference_seconds=2.0, epoch=1_764_000_000.0)
MOST_POLLS = 40
MARKUP = 'Ein "Fuchs" <b>\\ 狐\n' + "x" * 2000


def test_there_are_many_of_many_kinds():
    """The shipped targets have hundreds of faults, at least 80 of them by different names, for almost every check."""
    names = {fault.id.partition(":")[2] for spec in find(()) for fault in faults_for(spec)}
    checks = {fault.check for spec in find(()) for fault in faults_for(spec)}
    assert len(names) >= 80
    assert CHECKS - checks == {"transport", "credentials_accepted"}


def test_ids_are_unique_and_stable(lab):
    """An id is the target and a name of the fault; loading a spec again gives the same ones."""
    ids = [fault.id for spec in lab.SPECS.values() for fault in faults_for(spec)]
    again = [fault.id for spec in (*find(()), load(lab.MINIATURE), load(lab.BFL)) for fault in faults_for(spec)]
    assert len(set(ids)) == len(ids)
    assert ids == again
    assert [name for name in ids if not re.fullmatch(r"[\w./-]+:[^\s'\"$\\]+", name)] == []
    assert {
        "fal/flux-pro-kontext-multi:refuses-guidance_scale-maximum",
        "fal/flux-pro-kontext-multi:accepts-num_images-above-maximum",
        "fal/flux-pro-kontext-multi:omits-result-seed",
        "wavespeed/flux-kontext-pro-multi:refuses-aspect_ratio-16:9",
        "umodelverse/flux-kontext-pro:one-image-too-few",
        "bfl/flux-kontext-pro:never-completes",
    } <= set(ids)


def test_every_row_is_complete(spec):
    """A row has a check of the published list, parameters of its spec, a sentence and a target."""
    names = {parameter.name for parameter in spec.parameters}
    for fault in faults_for(spec):
        assert fault.id.startswith(f"{spec.target}:")
        assert fault.target == spec.target
        assert fault.check in CHECKS
        assert set(fault.parameters) <= names
        assert re.fullmatch(r"[A-Z].*\.", fault.states)
        assert fault.verdict in ("fail", "warn")


def test_the_listing(lab):
    """One line for each fault, of five fields with tabs between."""
    specs = [lab.SPECS["fal/flux-pro-kontext-multi"], lab.SPECS["bfl/flux-kontext-pro"]]
    lines = list(list_faults(specs))
    assert len(lines) == sum(len(faults_for(spec)) for spec in specs)
    assert all(line.count("\t") == 4 and "\n" not in line for line in lines)
    assert (
        "fal/flux-pro-kontext-multi:refuses-guidance_scale-maximum\tfal/flux-pro-kontext-multi\t"
        "positive_data_acceptance\tguidance_scale\tA valid body is refused when guidance_scale is at maximum."
    ) in lines
    assert {line.split("\t")[3] for line in lines if ":flat-images" in line} == {"-"}


def test_no_fault_where_it_cannot_show(lab):
    """No seed in an answer, no seed to lose; no range in a document, nothing beyond it; no key asked, none ignored."""

    def names(target):
        return {fault.id.partition(":")[2] for fault in faults_for(lab.SPECS[target])}

    single, gateway = names("umodelverse/flux-kontext-pro"), names("fal-gateway/flux-pro-kontext-multi")
    assert "seed-off-by-one" not in single
    assert "status-goes-back" not in single
    assert "accepts-guidance_scale-above-maximum" not in gateway
    assert "submit-without-key" not in gateway
    assert "one-image-too-few" not in names("wavespeed/flux-kontext-pro-multi")


def test_what_no_document_promises_only_warns(lab):
    """The gateway's result is known from elsewhere; fal's refusals from recorded payloads."""
    rows = {fault.id: fault.verdict for spec in lab.SPECS.values() for fault in faults_for(spec)}
    gateway, fal = "fal-gateway/flux-pro-kontext-multi", "fal/flux-pro-kontext-multi"
    assert rows[f"{gateway}:seed-off-by-one"] == rows[f"{fal}:omits-refusal-detail"] == "warn"
    assert rows[f"{gateway}:only-one-image"] == rows[f"{fal}:seed-off-by-one"] == "fail"
    assert rows[f"{fal}:refuses-safety_tolerance-6"] == "warn"


# Who is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "inside", "outside"),
    [
        ("minimum", [1, 1.0], [1.01, True, "1", MISSING]),
        ("just-above-minimum", [1.01, 1.001], [1, 1.02, 3.5]),
        ("default", [3.5], [3.51, MISSING]),
        ("interior", [10, 7.25, 19.98], [1.01, 3.5, 19.99, "10"]),
        ("just-below-maximum", [19.99, 19.999], [20, 19.9]),
        ("maximum", [20, 20.0], [19.99, 21]),
        ("absent", [MISSING], [None, 1]),
    ],
)
def test_labels_are_recognised_by_what_a_value_is(lab, label, inside, outside):
    """A boundary is the boundary, an inner label is its range, whatever a plan draws there."""
    spec = lab.SPECS["fal/flux-pro-kontext-multi"]
    parameter = spec.parameter("guidance")
    domain = labels_of(parameter, spec)
    test = _matches(next(one for one in domain if one.name == label), parameter, domain)
    assert [value for value in inside if not test(value)] == []
    assert [value for value in outside if test(value)] == []


def test_every_label_is_recognised(spec):
    """The value that a plan sends for a label is of that label, and of no other that is not nested in it."""
    for parameter in spec.parameters:
        domain = labels_of(parameter, spec)
        for label in domain:
            value = MISSING if label.absent else label.value
            assert _matches(label, parameter, domain)(value), (parameter.name, label.name)


# Every fault shows -------------------------------------------------------------------------------------------------


def wrong_values(spec):
    """Invalid bodies, one flaw each."""
    plain = plain_body(spec)
    for parameter in spec.parameters:
        if parameter.name in spec.constants:
            continue
        yield {name: value for name, value in plain.items() if name != parameter.name}
        for kind in _FORBIDDEN:
            if kind.applies(parameter.schema):
                yield {**plain, parameter.name: kind.sample(parameter.schema)}
        if parameter.role in ROLES:
            nowhere = "https://no-such-host.invalid/a.png"
            yield {**plain, parameter.name: [nowhere] if parameter.role == "images" else nowhere}


def valid_values(spec, fault):
    """Valid bodies in which the fault's parameters take all of their labels, or for combinations their classes."""
    parameters = [parameter for parameter in spec.parameters if parameter.name in fault.parameters]
    domains = []
    for parameter in parameters:
        domain = labels_of(parameter, spec)
        domains.append(domain if len(parameters) == 1 else [_undisputed(spec, parameter, domain)])
    for row in itertools.product(*domains):
        body = {name: value for name, value in plain_body(spec).items() if name not in fault.parameters}
        values = {p.name: label.value for p, label in zip(parameters, row, strict=True) if not label.absent}
        yield {**body, **values}


def body_that_shows(spec, fault):
    """A body whose acceptance a fault about values changes, or None for a fault about something else."""
    hooks, judge = fault.variation(), Verdicts(spec)
    endpoint = still(spec)
    if fault.check == "negative_data_rejection" and fault.parameters:
        wrong = ((body, judge.refusal(body)) for body in wrong_values(spec))
        return next(body for body, refusal in wrong if refusal and hooks.refusal(body, refusal) is None)
    if fault.parameters and fault.check in ("positive_data_acceptance", "not_a_server_error"):
        return next(
            body
            for body in valid_values(spec, fault)
            if hooks.refusal(body, None) or hooks.instead(endpoint, body, None, None)
        )
    return None


def bodies_of(lab, spec):
    """Bodies that show what happens to images and echoes, and what repeating a request brings."""
    defaults = {
        p.role: p.default for p in spec.parameters if p.default is not None and p.role not in ("seed", "images")
    }
    defaults.pop("synchronous", None)
    other = {"count": 3, "format": "png", "ratio": "9:16", "prompt": MARKUP, "encoding": encodings(spec)[-1]}
    yield lab.body_of(spec, seed=7)
    yield lab.body_of(spec, seed=7)
    yield lab.body_of(spec, seed=8, **{role: value for role, value in other.items() if value is not None})
    yield lab.body_of(spec, seed=7, **defaults)
    yield lab.body_of(spec, seed=7, format="jpeg", count=2, ratio="16:9", encoding=encodings(spec)[0])
    yield lab.body_of(spec, prompt=12345)
    yield {**lab.body_of(spec), "undocumented": 1}
    yield {**lab.body_of(spec), "undocumented": 2}


def encodings(spec):
    parameter = spec.parameter("encoding")
    rows = parameter.detail["encodings"] if parameter else [{"value": None}]
    return [row["value"] for row in rows]


async def transcript(lab, client, spec, bodies):
    """Ask all there is to ask; the answers, one by one."""
    flow = spec.default_flow
    caller = lab.Caller(client, spec, flow)

    async def follow(submitted):
        for _ in range(MOST_POLLS if flow.status else 0):
            answer = await caller.read("status", submitted)
            yield answer
            if said(flow, answer) in ("completed", "failed"):
                break
            await asyncio.sleep(0.25)
        for step in ("status", "result", "result"):
            if step in flow.steps():
                answer = await caller.read(step, submitted)
                yield answer
        for output in outputs(flow, answer if flow.status else submitted_answer):
            yield await client.get(output.url)
        if flow.cancel:
            yield await caller.read("cancel", submitted)

    for number, body in enumerate(bodies):
        submitted_answer = await caller.submit(body)
        yield submitted_answer
        submitted = value_of(submitted_answer)
        if number == 0:
            for name in ("status", "result"):
                if name in flow.steps() and reachable(caller, name, submitted):
                    yield await caller.read(name, submitted)
                    yield await caller.send(name, "GET", url_of(caller, name, submitted), headers={})
                    elsewhere = url_of(caller, name, submitted).replace(str(identity(flow, submitted)), "no-such-job")
                    yield await caller.send(name, "GET", elsewhere)
        if submitted_answer.status_code < 300 and (flow.status is None or reachable(caller, "status", submitted)):
            async for answer in follow(submitted):
                yield answer
    yield await caller.submit(lab.body_of(spec), headers={})
    if len(bodies) > 1:
        for request in odd_requests(spec):
            url = caller.base + request.url
            key = {spec.credential.header: request.credential[1]} if request.credential else lab.key_of(spec)
            kind = {"content-type": request.content_type} if request.content_type else {}
            yield await client.request(request.method, url, content=request.body, headers={**key, **kind})


ODD: dict[str, list[Ask]] = {}


def odd_requests(spec):
    """The submits of a plan that differ in more than a value; planned once for each spec."""
    if spec.sha256 not in ODD:
        flow = spec.default_flow
        cases = build(spec, flow=flow, usd_per_image=Decimal(1)).cases
        ODD[spec.sha256] = [Route(spec, flow, "").submit(case.body, case.sending) for case in cases if case.sending]
    return ODD[spec.sha256]


def value_of(answer):
    try:
        return json.loads(answer.content)
    except ValueError:
        return None


def identity(flow, submitted):
    return flow.submit.shape.one("job_id", submitted)


def url_of(caller, name, submitted):
    step = caller.flow.steps()[name]
    return step.followed(submitted) or caller.base + str(step.path(submitted))


def reachable(caller, name, submitted):
    step = caller.flow.steps()[name]
    found = step.followed(submitted) if step.follow else step.path(submitted)
    return found is not None and identity(caller.flow, submitted) is not None


def said(flow, answer):
    word = flow.status.shape.one("status", value_of(answer))
    return flow.states.get(word) if isinstance(word, str) else None


def outputs(flow, answer):
    found = flow.final.shape.outputs(value_of(answer))
    return [output for output in found if output.url and output.url.startswith("http://simulator")]


def seen(answer):
    """What of an answer counts."""
    return answer.status_code, sorted(answer.headers.items()), answer.content


def answers(lab, spec, variations, bodies, until=None):
    """The transcript of a simulator; up to the first answer that differs from another one's, where that is given."""

    async def main():
        app = application([spec], SETTINGS, VirtualClock(), {spec.target: variations})
        made = []
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=lab.ORIGIN, timeout=None) as client:
            async for answer in transcript(lab, client, spec, bodies):
                made.append(seen(answer))
                if until is not None and until[: len(made)] != made:
                    return made
        return made

    return run_virtual(main())


@pytest.mark.parametrize("half", [0, 1])
def test_every_fault_changes_an_answer(lab, spec, half):
    """For every fault there is a request that is answered otherwise than by the healthy simulator."""
    bodies = list(bodies_of(lab, spec))
    healthy = answers(lab, spec, (), bodies)
    unseen = []
    for fault in faults_for(spec)[half::2]:
        body = body_that_shows(spec, fault)
        if body is not None:
            shown = answers(lab, spec, (fault.variation(),), [body], answers(lab, spec, (), [body]))
            plain = answers(lab, spec, (), [body])
        else:
            shown, plain = answers(lab, spec, (fault.variation(),), bodies, healthy), healthy
        if plain == shown:
            unseen.append(fault.id)
    assert unseen == []


# Planting ----------------------------------------------------------------------------------------------------------


def test_planting_by_id(lab):
    """Faults of several targets are planted together, each with a memory of its own; settings stay."""
    specs = [lab.SPECS["fal/flux-pro-kontext-multi"], lab.SPECS["bfl/flux-kontext-pro"]]
    ids = [f"{specs[0].target}:500-once", f"{specs[0].target}:flat-images", f"{specs[1].target}:never-completes"]
    variations, settings = planted(specs, SETTINGS, ids)
    assert {target: [v.id for v in made] for target, made in variations.items()} == {
        specs[0].target: ids[:2],
        specs[1].target: ids[2:],
    }
    assert settings == SETTINGS


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("fal/flux-pro-kontext-multi:refuses-guidance_scale-maximun", "refuses-guidance_scale-maximum"),
        ("fal/flux-pro-kontext-multi:seed_off_by_one", "seed-off-by-one"),
        ("zzz", "--list-faults"),
    ],
)
def test_an_unknown_id_is_a_usage_error_with_a_near_one(lab, name, near):
    """The error names what was meant, or where to look."""
    with pytest.raises(UsageError, match=re.escape(near)):
        planted([lab.SPECS["fal/flux-pro-kontext-multi"]], SETTINGS, [name])


def test_a_spawned_simulator_has_the_faults(lab):
    """The child process plants what it is told, and says so in one sentence where there is no such fault."""
    spec = lab.SPECS["umodelverse/flux-kontext-pro"]
    fault = f"{spec.target}:500-on-every-submit"
    with spawned([spec], Settings(queue_seconds=0, inference_seconds=0), faults=[fault]) as urls:
        url = urls["umodelverse:sync"] + spec.default_flow.submit.operation.path
        answer = httpx.post(url, json=lab.body_of(spec), headers=lab.key_of(spec), trust_env=False)
    assert answer.status_code == 500
    with pytest.raises(UsageError, match="did you mean"), spawned([spec], faults=[f"{fault}s"]):
        pass


def test_settings_are_those_of_a_variant(lab):
    """A healthy variant may replace settings; a fault never does."""
    spec = lab.SPECS["fal/flux-pro-kontext-multi"]
    _, settings = planted([spec], SETTINGS, (), [f"{spec.target}:capacity-one"])
    assert settings == replace(SETTINGS, capacity=1)
