"""Healthy variants: otherwise than the plain simulator, and still within the documents."""

from __future__ import annotations

import re

import pytest

from harness.simulator import planted, variants_for


def test_ids_are_unique_and_say_their_target(spec):
    """An id is the target and a name; a sentence says what is otherwise."""
    variants = variants_for(spec)
    assert len({variant.id for variant in variants}) == len(variants)
    assert all(variant.id.startswith(f"{spec.target}:") for variant in variants)
    assert [variant.id for variant in variants if not re.fullmatch(r"[A-Z].*\.", variant.states)] == []


def run(lab, spec, variant, body):
    """One job against a variant; the caller, and its last answer."""
    variations, settings = planted([spec], lab.SETTINGS, (), [variant.id] if variant else [])

    async def scenario(client):
        caller = lab.Caller(client, spec, spec.default_flow)
        await caller.run(body)
        while caller.answers[-1][1].status_code == 429:
            await caller.run(body)
        return caller

    return lab.simulate(scenario, settings, {spec.target: spec}, variations=variations)


def bodies(lab, spec):
    plain = {"prompt": "a red fox", "count": 2, "enhance": True}
    yield lab.body_of(spec, **plain)
    parameter = spec.parameter("encoding")
    for row in parameter.detail["encodings"] if parameter else ():
        yield lab.body_of(spec, encoding=row["value"])


def test_a_job_is_delivered_within_the_documented_shapes(lab, spec):
    """Every answer of a job fits its step's shape, has a documented status and leads to the images asked for."""
    steps = spec.default_flow.steps()
    for variant in variants_for(spec):
        for body in bodies(lab, spec):
            caller = run(lab, spec, variant, body)
            final = caller.answers[-1][1]
            asked = spec.asked("count", body) or 1
            assert (final.status_code, len(caller.outputs(final))) == (200, asked), variant.id
            for name, answer in caller.answers:
                assert steps[name].operation.documents(answer.status_code), variant.id
                assert variant.tolerated or lab.faults_in(steps[name].shape, answer.json()) == [], variant.id


def test_refusals_keep_their_shape(lab, spec):
    """An invalid body is refused in the documented shape, wherever, however and with whichever words."""
    shape = spec.errors["invalid"].shape
    for variant in variants_for(spec):
        answer = run(lab, spec, variant, lab.body_of(spec, prompt=12345)).answers[-1][1]
        assert 400 <= answer.status_code < 500, variant.id
        assert lab.faults_in(shape, answer.json()) == [], variant.id


@pytest.mark.parametrize(
    ("name", "header", "expected"),
    [
        ("charset", "content-type", "application/json; charset=utf-8"),
        ("capital-headers", "content-type", "Application/Json"),
    ],
)
def test_headers(lab, name, header, expected):
    """What a client must not stumble over."""
    spec = lab.SPECS["umodelverse/flux-kontext-pro"]
    variant = next(one for one in variants_for(spec) if one.id.endswith(f":{name}"))
    answer = run(lab, spec, variant, lab.body_of(spec)).answers[-1][1]
    assert answer.headers[header] == expected
    assert (name == "capital-headers") == any(raw.isupper() for raw, _ in answer.headers.raw)


def test_the_other_side_of_each_contradiction(lab):
    """Bodies in doubt are accepted by the plain simulator and refused by their variant, and only they."""
    spec = lab.SPECS["fal/flux-pro-kontext-multi"]
    variant = next(one for one in variants_for(spec) if one.id.endswith(":refuses-safety-tolerance-end"))
    statuses = [
        run(lab, spec, one, lab.body_of(spec, safety=member)).answers[-1][1].status_code
        for one in (None, variant)
        for member in ("5", "6")
    ]
    assert statuses == [200, 200, 200, 422]


def test_assets_elsewhere(lab):
    """An image's address is on the simulator's other name, and serves the image."""
    spec = lab.SPECS["umodelverse/flux-kontext-pro"]
    variant = next(one for one in variants_for(spec) if one.id.endswith(":assets-elsewhere"))
    caller = run(lab, spec, variant, lab.body_of(spec))
    (output,) = caller.outputs(caller.answers[-1][1])
    assert output.url.startswith("http://localhost/assets/umodelverse/")
