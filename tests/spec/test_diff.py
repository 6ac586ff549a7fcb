"""How two specs differ: each kind of change with its level, in words, and what follows for plans and verdicts."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.compare.consequences import as_json, consequences, lines
from harness.metrics.cost import RATES
from harness.spec import Spec, parse
from harness.spec.diff import LEVELS, differences, level
from tests.calls import FAL, GATEWAY, SPECS

TEXT = FAL.text.decode()


def edited(before: str, after: str, text: str = TEXT) -> Spec:
    """The fal spec with one place changed, which has to be there."""
    assert text.count(before) >= 1, before
    return parse(text.replace(before, after, 1).encode(), Path("new.yaml"))


CHANGES = [
    ("maximum: 20", "maximum: 10", "breaking", "guidance_scale has to be at most 10 instead of at most 20"),
    ("maximum: 20", "maximum: 30", "non-breaking", "guidance_scale has to be at most 30 instead of at most 20"),
    (
        "minimum: 1\n          maximum: 20",
        "maximum: 20",
        "non-breaking",
        "guidance_scale need not be at least 1 any more",
    ),
    ("enum: [jpeg, png]", "enum: [jpeg, png, webp]", "non-breaking", 'output_format = "webp" is documented now'),
    ("enum: [jpeg, png]", "enum: [jpeg]", "breaking", 'output_format = "png" is not documented any more'),
    ("default: 3.5", "default: 4", "breaking", "who leaves guidance_scale out gets 4 instead of 3.5"),
    ("required: [prompt, image_urls]", "required: [prompt]", "non-breaking", "image_urls is optional now"),
    (
        "required: [prompt, image_urls]",
        "required: [prompt, image_urls, seed]",
        "breaking",
        "seed is required now",
    ),
    (
        "        seed:\n          type: integer\n          x-harness:\n            role: seed\n            source: {document: api, where: 'Input",
        "        seed:\n          type: [integer, string]\n          x-harness:\n            role: seed\n            source: {document: api, where: 'Input",
        "non-breaking",
        "seed as string is documented now",
    ),
    (
        "required: [images, timings, seed, has_nsfw_concepts, prompt]",
        "required: [images, timings, has_nsfw_concepts, prompt]",
        "breaking",
        "seed is optional now",
    ),
    ("amount: '0.04'", "amount: '0.05'", "non-breaking", "an image costs 0.05 USD instead of 0.04 USD (+25%)"),
    ("IN_PROGRESS: running", "PROCESSING: running", "breaking", "the state IN_PROGRESS of queue means undocumented"),
    ("invalid: {status: 422,", "invalid: {status: 400,", "breaking", "what is invalid is answered 400 at the result"),
    ("pending_status: 202", "pending_status: 200", "breaking", "a job that is not done is answered 200 instead of 202"),
    (
        "required: [prompt, image_urls]",
        "required: [prompt, image_urls]\n      dependentRequired: {seed: [guidance_scale]}",
        "breaking",
        "the dependentRequired of the whole reads otherwise",
    ),
    (
        "required: [prompt, image_urls]",
        "required: [prompt, image_urls]\n      additionalProperties: false",
        "breaking",
        "the whole has no members beside the documented ones",
    ),
    (
        "required: [prompt, image_urls]",
        "required: [prompt, image_urls]\n      anyOf: [{required: [seed]}, {required: [aspect_ratio]}]",
        "breaking",
        "the anyOf of the whole has 2 members instead of 0",
    ),
    (
        "items: {type: string}",
        "items: {type: string}\n          contains: {type: string, pattern: '^https:'}",
        "breaking",
        "the contains of image_urls reads otherwise",
    ),
    ("            role: outputs\n", "", "breaking", "images is read as nothing in particular instead of outputs"),
    ("values: {error_type: value_error}}", "values: {error_type: other}}", "breaking", "is answered with"),
    (
        "invalid: {status: 422, at: result, answer: '#/components/schemas/ValidationError', values: {error_type: value_error}}",
        "invalid: {status: 422, at: result, answer: '#/components/schemas/Detail', values: {error_type: value_error}}",
        "breaking",
        "what is invalid: ",
    ),
    ("  billing_header: x-fal-billable-units\n", "", "breaking", "the billing header of answers is not documented"),
    ("  job_header: x-fal-request-id\n", "", "breaking", "the job header of answers is not documented"),
    ("unit: s\n", "unit: ms\n", "breaking", "means something else"),
    (
        "states: 'integer, required: the one sent or the one drawn'}",
        "states: 'integer, required: the one sent or the one drawn', kind: observed}",
        "non-breaking",
        "is observed instead of document: what breaks it is judged otherwise",
    ),
    (
        "contested: {properties: {safety_tolerance: {const: '6'}}",
        "contested: {properties: {safety_tolerance: {const: '5'}}",
        "non-breaking",
        "it is about other requests now: The prose ends the scale at 5",
    ),
]


@pytest.mark.parametrize(("before", "after", "grave", "says"), CHANGES, ids=[change[3][:40] for change in CHANGES])
def test_a_change_has_its_level_and_sentence(before: str, after: str, grave: str, says: str) -> None:
    """One edit of the spec file; what else follows from it is no graver."""
    found = differences(FAL, edited(before, after))
    assert [one for one in found if says in one.message and one.level == grave] != [], found
    assert level(found) == grave


def test_the_other_direction_has_the_other_level() -> None:
    """What narrows a request in one direction widens it in the other, and an answer the other way round."""
    wider = edited("maximum: 20", "maximum: 30")
    assert [level(differences(*pair)) for pair in ((FAL, wider), (wider, FAL))] == ["non-breaking", "breaking"]


def test_what_has_no_words_is_breaking() -> None:
    """A difference that no rule names is said to be there; another name for an operation is none."""
    other = replace(FAL, servers=(*FAL.servers, "https://elsewhere.example"), sha256="0")
    (found,) = differences(FAL, other)
    assert (found.level, found.area) == ("breaking", "spec")
    assert "compare the files" in found.message
    renamed = TEXT.replace("operationId: cancel", "operationId: drop").replace("operation: cancel}", "operation: drop}")
    assert differences(FAL, edited("maximum: 20", "maximum: 20.0")) == ()
    assert differences(FAL, parse(renamed.encode(), Path("new.yaml"))) == ()


def test_verdicts_on_answers_do_not_stand_when_answers_are_judged_otherwise() -> None:
    """Though every case is expected to end as before."""
    other = edited(
        "required: [images, timings, seed, has_nsfw_concepts, prompt]",
        "required: [images, timings, has_nsfw_concepts, prompt]",
    )
    found = consequences(FAL, other, "one-way", RATES)
    assert dict(found.judged_anew) == {}
    assert not json.loads(as_json(found))["verdicts"]["stand"]
    assert "as answers are judged otherwise" in "\n".join(lines(found))


@pytest.mark.parametrize("target", SPECS)
def test_a_spec_does_not_differ_from_itself(target: str) -> None:
    """Nor from itself with other comments, dates and places."""
    spec = SPECS[target]
    assert differences(spec, spec) == ()
    other = parse(
        re.sub(r"date: '[0-9-]+'", "date: '2026-11-30'", spec.text.decode()).encode() + b"# more\n", spec.path
    )
    assert other.sha256 != spec.sha256
    assert [one for one in differences(spec, other) if one.level != "no effect"] == []


def test_two_endpoints_differ_by_the_gravest_first() -> None:
    """A gateway and its upstream: every level in order, every sentence once for its place."""
    found = differences(FAL, GATEWAY)
    ranks = [LEVELS.index(one.level) for one in found]
    assert ranks == sorted(ranks)
    assert len(set(found)) == len(found)
    assert any("endpoint" in one.message for one in found)
    assert all(one.at.startswith("#") for one in found)


def test_what_follows_is_said() -> None:
    """A lower maximum: other cases, old verdicts that do not stand, recordings that are refused."""
    found = consequences(FAL, edited("maximum: 20", "maximum: 10"), "one-way", RATES)
    (anew,) = [name for name in found.judged_anew if "1:1" in name] or list(found.judged_anew)[:1]
    assert found.judged_anew[anew] == "reject instead of accept"
    assert found.unplayable == ("guidance_scale",)
    value = json.loads(as_json(found))
    assert (value["level"], value["recordings"]["replay"], value["verdicts"]["stand"]) == ("breaking", False, False)
    text = "\n".join(lines(found))
    assert "harness recheck RUN judges them by the new spec" in text
    same = consequences(FAL, FAL, "one-way", RATES)
    assert (same.added, same.removed, dict(same.judged_anew), same.unplayable) == ((), (), {}, ())
    assert "recordings made by the old spec replay as they are" in "\n".join(lines(same))
