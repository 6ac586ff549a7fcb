"""The frozen plan: what it keeps, and how a changed spec is noticed and explained."""

import json
import re
from dataclasses import replace

import pytest

from harness.cassettes.frozen import contract_of, disagreement, from_json
from harness.spec import parse
from tests.calls import FAL, SINGLE, SPECS
from tests.cassettes.recordings import kept, recording


def frozen_of(tmp_path, target=FAL.target):
    return kept(recording(target), tmp_path).read().frozen


def edited(spec, old, new):
    """A spec with one text replaced, as somebody's commit would."""
    text = spec.text.decode()
    assert text.count(old) >= 1, old
    return parse(text.replace(old, new, 1).encode(), spec.path)


@pytest.mark.parametrize("target", SPECS)
def test_it_is_read_as_it_was_written(target, tmp_path):
    """Writing and reading are inverse, and the hash is of the value, however its text is laid out."""
    frozen = frozen_of(tmp_path, target)
    assert from_json(frozen.dump()) == frozen
    laid_out_otherwise = json.dumps(json.loads(frozen.dump()), indent=4, sort_keys=True).encode()
    assert from_json(laid_out_otherwise).sha256 == frozen.sha256


def test_a_case_is_a_line(tmp_path):
    """Each case and each call stands on a line of its own, so that a changed plan reads well in a diff."""
    frozen = frozen_of(tmp_path)
    lines = frozen.dump().decode().splitlines()
    assert sum('"why"' in line for line in lines) == len(frozen.plan.cases)
    assert sum(line.startswith('{"call"') for line in lines) == len(frozen.calls)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# Facts and their places", "# Places and their facts"),
        ("states: one POST that answers with the output", "states: a single POST"),
        ("amount: '0.04'", "amount: '0.05'"),
        ("parameters: [num_images, seed]", "parameters: [num_images, safety_tolerance]"),
    ],
)
def test_prose_and_prices_change_nothing(old, new, tmp_path):
    """A comment, a description, a price or advice to the planner is no reason to pay for a recording again."""
    spec = edited(FAL, old, new)
    assert contract_of(spec) == contract_of(FAL)
    assert disagreement(frozen_of(tmp_path), spec) is None


def test_a_narrower_range_names_the_case_and_the_place(tmp_path):
    """A value that was valid when it was recorded: the case, what it sends, and where the document speaks of it."""
    at = FAL.text.decode().index("guidance_scale:")
    text = FAL.text.decode()
    narrower = text[:at] + re.sub(r"maximum: 20\b", "maximum: 10", text[at:], count=1)
    said = disagreement(frozen_of(tmp_path), parse(narrower.encode(), FAL.path))
    parameter = next(p for p in FAL.parameters if p.name == "guidance_scale")
    assert said is not None
    case_id = re.search(r"fal/flux-pro-kontext-multi/\S+(?=: )", said)
    assert case_id is not None
    case = next(case for case in recording().plans[0].cases if case.id == case_id[0])
    assert case.body["guidance_scale"] > 10
    assert (parameter.source.document in said, parameter.source.where in said) == (True, True)
    assert "is not allowed any more" in said


def test_a_wider_range_names_the_reject(tmp_path):
    """A value that was outside when it was recorded and is inside now."""
    at = FAL.text.decode().index("guidance_scale:")
    text = FAL.text.decode()
    wider = text[:at] + re.sub(r"maximum: 20\b", "maximum: 30", text[at:], count=1)
    said = disagreement(frozen_of(tmp_path), parse(wider.encode(), FAL.path))
    assert said is not None
    assert "guidance_scale/above-maximum" in said
    assert "is allowed now" in said


def test_what_is_beside_the_parameters_counts_too(tmp_path):
    """Another path or flow is another contract."""
    spec = edited(FAL, "pending_status: 202", "pending_status: 200")
    said = disagreement(frozen_of(tmp_path), spec)
    assert said is not None
    assert "beside its parameters" in said


def test_each_parameter_has_its_own_hash():
    """A change in one parameter leaves the hashes of all others."""
    text = SINGLE.text.decode()
    at = text.index("strength:")
    spec = parse((text[:at] + text[at:].replace("maximum: 1", "maximum: 2", 1)).encode(), SINGLE.path)
    before, after = contract_of(SINGLE), contract_of(spec)
    assert [name for name in before if before[name] != after[name]] == ["strength"]


def test_versions_and_audit_are_kept(tmp_path):
    """With the plan stand its seed, the audit, and the versions that made it."""
    frozen = frozen_of(tmp_path)
    assert frozen.plan.seed == 3
    assert set(frozen.versions) == {"harness", "hypothesis", "vcrpy"}
    assert "loop_lag_p99_s" in frozen.audit
    assert replace(frozen, audit={}) != frozen
