"""One logical request in every dialect."""

from jsonschema import Draft202012Validator

from harness.report.lineup import same_requests
from tests.calls import FAL, SINGLE, SPECS, WAVESPEED


def test_every_dialect_says_the_same_request_and_says_it_validly():
    """Each body is valid by its own schema; a role that two targets have has one value in both."""
    specs = list(SPECS.values())
    said = same_requests([(spec, spec.default_flow) for spec in specs])
    values: dict[str, set[str]] = {}
    for spec, (body, lacks) in zip(specs, said, strict=True):
        Draft202012Validator(dict(spec.input_schema)).validate(dict(body))
        for role, parameter in spec.by_role.items():
            if parameter.name in body and role not in ("image", "images", "synchronous", "encoding"):
                values.setdefault(role, set()).add(repr(body[parameter.name]))
        assert not set(lacks) & set(spec.by_role)
    assert {role: len(found) for role, found in values.items()} == dict.fromkeys(values, 1)
    assert {"prompt", "seed", "count", "ratio", "guidance"} <= set(values)


def test_what_a_dialect_cannot_say_is_named():
    """A role that two others share and a target lacks."""
    said = same_requests([(spec, spec.default_flow) for spec in (WAVESPEED, FAL, SINGLE)])
    assert [lacks for _, lacks in said] == [("count",), (), ("ratio",)]
