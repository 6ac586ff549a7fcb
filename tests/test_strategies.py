"""The public strategies and the Python API: what they draw obeys, or breaks, the document."""

import pytest
from hypothesis import find, given, settings
from hypothesis.errors import NoSuchExample
from jsonschema import Draft202012Validator

import harness
from harness import strategies
from harness.errors import UsageError
from harness.spec import shipped_targets

SPECS = {target: harness.load(target) for target in shipped_targets()}
EACH = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


@EACH
def test_valid_requests_obey_the_document(spec):
    """Every drawn request validates against the documented schema, and no ambiguity leaves it open."""
    validator = Draft202012Validator(spec.input_schema)

    @given(strategies.requests(spec))
    @settings(deadline=None)
    def check(body):
        assert list(validator.iter_errors(body)) == []
        assert spec.contested(body) is None

    check()


@EACH
def test_invalid_requests_break_it_in_one_place(spec):
    """Every fault lies at the named parameter, and nowhere else."""
    validator = Draft202012Validator(spec.input_schema)

    @given(strategies.invalid_requests(spec))
    @settings(deadline=None)
    def check(one):
        errors = list(validator.iter_errors(one.body))
        missing = {name for error in errors if error.validator == "required" for name in spec.input_schema["required"]}
        places = {
            error.absolute_path[0] if error.absolute_path else (missing - set(one.body)).pop() for error in errors
        }
        assert places == {one.parameter}

    check()


def test_every_documented_member_can_be_drawn():
    """No enum member is out of reach, and nothing else is drawn."""
    spec = SPECS["fal/flux-pro-kontext-multi"]
    ratio = spec.parameter("ratio")
    assert ratio is not None
    for member in ratio.schema["enum"]:
        assert find(strategies.values(ratio, spec), member.__eq__) == member
    with pytest.raises(NoSuchExample):
        find(strategies.values(ratio, spec), lambda value: value not in ratio.schema["enum"])


def test_the_api_names_what_it_cannot_use():
    """A provider with two endpoints is no target; a plan has a tier that exists."""
    with pytest.raises(UsageError, match="stands for several targets"):
        harness.load("umodelverse")
    with pytest.raises(UsageError, match="unknown target"):
        harness.load("nobody")


def test_a_plan_is_a_value():
    """``harness.plan`` gives the cases with their price, without sending anything."""
    spec = SPECS["wavespeed/flux-kontext-pro-multi"]
    planned = harness.plan(spec)
    assert planned == harness.plan(spec, "one-way", flow="poll", seed=0)
    assert (planned.target, planned.usd > 0, len(planned.cases) > 20) == (spec.target, True, True)
