"""What report.json says of checks and parameters."""

from harness.report import tallies
from tests.report import runs

FAL = runs.spec("fal/flux-pro-kontext-multi")


def parameters(judged, domains=None):
    target = runs.target_result(FAL, FAL.default_flow, judged, {}, {}, domains or {}, "")
    return {one["name"]: one for one in target.summary["parameters"]}


def verdicts(parameter, side="accepts"):
    return {name: found["verdict"] for name, found in parameter[side].items()}


def test_a_value_is_blamed_only_when_nothing_with_it_passed_or_a_finding_names_it():
    """One bad value does not redden its neighbours in the same request."""
    found = {one["name"]: one for one in runs.fal_queue().summary["parameters"]}
    assert verdicts(found["aspect_ratio"])["21:9"] == "fail"
    assert set(verdicts(found["output_format"]).values()) == {"pass"}
    assert verdicts(found["safety_tolerance"], "refuses") == {"integer-6": "warn"}
    assert found["safety_tolerance"]["refuses"]["integer-6"]["expect"] == "either"
    assert verdicts(found[None], "refuses") == {"body/truncated": "pass", "body/utf-16": "unsent"}


def test_a_value_that_only_failing_requests_have_had_is_not_blamed_for_another_s_fault():
    """Neither failed nor passed: all that is known of it are requests that fail because of another parameter."""
    fewer = runs.finding("image_count", runs.FAIL, "one image came", "num_images")
    rows = [
        runs.accepted(FAL, 1, {"aspect_ratio": "21:9", "num_images": "2"}, fewer),
        runs.accepted(FAL, 2, {"aspect_ratio": "1:1", "num_images": "absent"}),
    ]
    found = parameters(rows, {"aspect_ratio": {"21:9": "wide", "1:1": "square"}, "num_images": {"2": "many"}})
    assert verdicts(found["aspect_ratio"]) == {"21:9": "masked", "1:1": "pass"}
    assert verdicts(found["num_images"]) == {"2": "fail"}
    assert (found["aspect_ratio"]["tally"]["masked"], found["aspect_ratio"]["tally"]["fail"]) == (1, 0)


def test_values_that_only_fail_together_are_both_blamed():
    """A refusal that isolation explains by two parameters names both."""
    both = runs.finding("positive_data_acceptance", runs.FAIL, "refused", "aspect_ratio, num_images")
    rows = [runs.accepted(FAL, 1, {"aspect_ratio": "21:9", "num_images": "2", "seed": "absent"}, both)]
    found = parameters(
        rows, {"aspect_ratio": {"21:9": "wide"}, "num_images": {"2": "many"}, "seed": {"absent": "absent"}}
    )
    assert [verdicts(found[name]) for name in ("aspect_ratio", "num_images", "seed")] == [
        {"21:9": "fail"}, {"2": "fail"}, {"absent": "masked"},
    ]  # fmt: skip


def test_what_every_case_warns_about_is_no_value_s_fault():
    """A link to another host in every answer says nothing of a ratio; when every answer fails, no ratio is known to work."""
    for verdict, expected in ((runs.WARN, "pass"), (runs.FAIL, "masked")):
        said = runs.finding("url_origin", verdict, "a link leads to another host")
        rows = [runs.accepted(FAL, n, {"aspect_ratio": ratio}, said) for n, ratio in enumerate(("1:1", "16:9", "9:16"))]
        found = parameters(rows, {"aspect_ratio": {"1:1": "square", "16:9": "wide", "9:16": "tall"}})
        assert set(verdicts(found["aspect_ratio"]).values()) == {expected}


def test_what_the_document_states_stands_beside_it():
    """Role, type, range, default and place, of every documented parameter, even where nothing was sent."""
    found = parameters([])
    assert list(found) == [parameter.name for parameter in FAL.parameters]
    guidance = found["guidance_scale"]
    assert (guidance["role"], guidance["type"], guidance["values"], guidance["default"]) == (
        "guidance",
        "number",
        "1 to 20",
        "3.5",
    )
    assert guidance["source"]["document"] == "Flux Pro Kontext Multi API"
    assert set(guidance["tally"].values()) == {0}


def test_checks_are_counted_in_the_schema_s_order():
    """A check that applied to nothing is left out."""
    found = tallies.checks(runs.fal_queue().judged)
    assert list(found)[:3] == ["status_code_conformance", "response_schema_conformance", "positive_data_acceptance"]
    assert found["image_count"] == {"pass": 20, "warn": 0, "unknown": 0, "fail": 4}
    assert "unknown_job" not in found
