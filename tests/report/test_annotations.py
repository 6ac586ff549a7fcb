"""Findings beside the spec (SARIF, code quality), and the badge: by their schemas, at the right line, saying where from."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from harness.checks import CHECKS
from harness.report import badge, codequality, sarif
from harness.report.annotations import remarks
from harness.spec import shipped_targets
from tests.report import runs

DATA = Path(__file__).parents[1] / "data"
RENDERED = {"sarif": sarif.render, "codequality": codequality.render, "badge": badge.render}
RESULTS = {
    "realistic": runs.realistic,
    "hostile": runs.hostile,
    "empty": runs.run,
    "untouched": lambda: runs.run(runs.gateway_untouched()),
}


@pytest.mark.parametrize("made", RESULTS)
@pytest.mark.parametrize("name", RENDERED)
def test_each_file_is_of_its_schema_in_plain_ascii(name, made):
    """Whatever a provider answered; equal results give equal bytes."""
    rendered = RENDERED[name](RESULTS[made]())
    schema = json.loads((DATA / f"{name}.schema.json").read_bytes())
    Draft202012Validator.check_schema(schema)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(json.loads(rendered))] == []
    assert rendered.isascii()
    assert rendered == RENDERED[name](RESULTS[made]())
    assert len(rendered) < 60_000


def test_a_remark_stands_where_the_spec_cites_the_document():
    """The line has the place that the finding rests on; where it rests on none, the parameter; else the first line."""
    found = list(remarks(runs.realistic()))
    path = shipped_targets()["fal/flux-pro-kontext-multi"]
    lines = path.read_text("utf-8").splitlines()
    ambiguous = next(one for one in found if one.finding["parameter"] == "safety_tolerance")
    assert ambiguous.path == "specs/fal/flux-pro-kontext-multi.yaml"
    assert "where: Limitations > safety_tolerance, states: 6 is a member too" in lines[ambiguous.line - 1]
    # The hand-made source of this finding is cited nowhere.
    count = next(one for one in found if one.finding["check"] == "image_count")
    assert lines[count.line - 1].strip() == "num_images:"
    assert next(one for one in found if one.finding["check"] == "job_completes").line == 1


def test_what_says_the_same_is_one_remark_whose_fingerprint_stays():
    """Two runs of one spec have the same fingerprints, whatever was observed; within a run they differ."""
    once, again = runs.realistic(), runs.realistic("simulate", None)
    prints = [one.fingerprint for one in remarks(once)]
    assert prints == [one.fingerprint for one in remarks(again)]
    assert len(set(prints)) == len(prints) == 5
    same = [runs.finding("limits", runs.FAIL, f"{n} bytes") for n in (1, 2)]
    of = runs.spec("fal/flux-pro-kontext-multi")
    result = runs.run(runs.target_result(of, of.default_flow, [runs.accepted(of, 1, {}, *same)], {}, {}, {}, ""))
    assert len({one.fingerprint for one in remarks(result)}) == 2


def test_a_spec_by_path_is_named_by_its_file():
    """It is no shipped one, and stands wherever its user keeps it."""
    target = runs.fal_queue()
    other = replace(target.spec, target="me/mine", path=Path("/somewhere/mine.yaml"))
    assert {one.path for one in remarks(runs.run(replace(target, spec=other)))} == {"mine.yaml"}


@pytest.mark.parametrize(("mode", "word"), [("simulate", "Simulated: "), ("replay", "Recorded: "), ("live", "fal/")])
def test_each_remark_says_where_the_answers_came_from(mode, word):
    """An alert outlives the report it came with."""
    log = json.loads(sarif.render(runs.realistic(mode, "live" if mode == "replay" else None)))
    (run,) = log["runs"]
    assert all(result["message"]["text"].startswith(word) for result in run["results"][:3])
    assert run["properties"]["mode"] == mode


def test_levels_and_rules_are_those_of_the_findings():
    """A failure is an error; each rule says in a sentence what its check looks at."""
    (run,) = json.loads(sarif.render(runs.realistic()))["runs"]
    levels = {(result["ruleId"], result["level"]) for result in run["results"]}
    assert {("image_count", "error"), ("negative_data_rejection", "warning"), ("job_completes", "note")} <= levels
    rules = run["tool"]["driver"]["rules"]
    assert all(result["ruleId"] == rules[result["ruleIndex"]]["id"] for result in run["results"])
    assert all(rule["shortDescription"]["text"] in str(CHECKS[rule["id"]].__doc__) for rule in rules)
    severities = [one["severity"] for one in json.loads(codequality.render(runs.realistic()))]
    assert sorted(set(severities)) == ["info", "major", "minor"]


@pytest.mark.parametrize(
    ("made", "message", "colour"),
    [
        (lambda: runs.realistic("live", None), "1 of 4 fail", "red"),
        (lambda: runs.realistic("simulate", None), "1 of 4 fail (simulated)", "lightgrey"),
        (lambda: runs.realistic("replay", "simulator"), "1 of 4 fail (simulated)", "lightgrey"),
        (lambda: runs.run(runs.umodelverse_sync(), mode="replay"), "1 target pass (recorded)", "brightgreen"),
        (lambda: runs.run(runs.wavespeed_poll(), mode="live"), "1 of 1 unknown", "yellow"),
    ],
)
def test_a_badge_says_how_many_and_never_shows_a_simulated_verdict_in_a_verdict_s_colour(made, message, colour):
    """Grey is no verdict."""
    said = json.loads(badge.render(made()))
    assert (said["message"], said["color"]) == (message, colour)
