"""What a plan draws: within its labels, of every script, decided by the seed and the row alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import harness
from harness.model import Case, Plan
from harness.planning import TIERS, build
from harness.planning.drawing import COMBINED, drawn, matching, strategy
from harness.planning.labels import Grid, Label, Text
from harness.planning.partitions import bounds_of, partition
from harness.simulator.faults.parameters import _matches
from harness.spec import Spec
from tests.calls import FAL, SPECS

EACH = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def planned(spec: Spec, tier: str = "core", seed: int = 0) -> Plan:
    return known(spec.target, tier, seed)


@cache
def known(target: str, tier: str, seed: int) -> Plan:
    spec = SPECS[target]
    return build(spec, flow=spec.default_flow, tier=tier, seed=seed, usd_per_image=Decimal(1), with_rejects=False)


def accepts(plan: Plan) -> list[Case]:
    return [case for case in plan.cases if case.kind == "accept"]


@EACH
def test_a_value_is_one_of_its_label(spec: Spec) -> None:
    """As the simulator's faults recognise labels, by what a value is; what a label does not leave open is its value."""
    for parameter in spec.parameters:
        domain = partition(parameter, spec)
        labels = {label.name: label for label in domain}
        for case in accepts(planned(spec)):
            label = labels[case.labels[parameter.name]]
            if not label.absent and not label.among:
                assert case.body[parameter.name] == label.value
            elif not label.absent:
                assert _matches(label, parameter, domain)(case.body[parameter.name])


@EACH
@pytest.mark.parametrize("tier", TIERS)
def test_a_number_is_a_whole_one_once(spec: Spec, tier: str) -> None:
    """Between the ends of a float parameter an integer literal is sent, where a whole number lies there."""
    for parameter in (one for one in spec.parameters if one.schema.get("type") == "number"):
        bounds = bounds_of(parameter)
        if bounds["maximum"] - bounds["minimum"] > 3:
            found = [
                c.body[parameter.name] for c in accepts(planned(spec, tier)) if c.labels[parameter.name] == "interior"
            ]
            assert int in set(map(type, found))


def scripts(text: str) -> Iterator[str]:
    for character in text:
        name = unicodedata.name(character, "")
        if name.startswith(("CJK", "HIRAGANA", "HANGUL")):
            yield "cjk"
        elif unicodedata.bidirectional(character) in ("R", "AL"):
            yield "right to left"
        elif unicodedata.category(character) == "So":
            yield "emoji"
        elif unicodedata.combining(character):
            yield "combining"


@EACH
def test_a_unicode_prompt_has_every_script(spec: Spec) -> None:
    """CJK, emoji, right-to-left and combining characters in each; no two prompts of a plan are the same."""
    prompt = spec.parameter("prompt")
    assert prompt is not None
    found = [case.body[prompt.name] for case in accepts(planned(spec)) if case.labels[prompt.name] == "unicode"]
    assert {"cjk", "emoji", "right to left", "combining"} == set.intersection(*(set(scripts(text)) for text in found))
    assert len(found) == len(set(found)) > 1


def test_combined_characters_are_two() -> None:
    """A base and its mark, as a provider that normalises would not leave them."""
    assert {2} == {len(text) for text in COMBINED}


@EACH
def test_the_seed_decides_and_ids_do_not_tell(spec: Spec) -> None:
    """Another seed draws other values; a case is named by its labels, whose values the seed decides."""
    one, other = ({c.id: c for c in accepts(planned(spec, seed=seed))} for seed in (0, 1))
    named = {tuple(sorted(case.labels.items())): name for cases in (one, other) for name, case in cases.items()}
    assert len(named) == len(one.keys() | other.keys())
    assert {str(case.body) for case in one.values()}.isdisjoint(
        str(case.body)
        for name, case in other.items()
        if any(word in case.labels.values() for word in ("ascii", "interior"))
    )


def test_what_is_drawn_depends_on_the_key_alone() -> None:
    """Not on what was drawn before, nor on the process, nor on its hash seed."""
    wanted = strategy(Label("u", "u", "x", (Text(4, 20, unicode=True), Grid(1, 10**6))))
    expected = [drawn(wanted, ("key", n)) for n in range(5)]
    assert expected == [drawn(wanted, ("key", n)) for n in reversed(range(5))][::-1]
    script = (
        "import json\nfrom harness.planning.drawing import drawn, strategy\nfrom harness.planning.labels import *\n"
        "wanted = strategy(Label('u', 'u', 'x', (Text(4, 20, unicode=True), Grid(1, 10**6))))\n"
        "print(json.dumps([drawn(wanted, ('key', n)) for n in range(5)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert expected == json.loads(done.stdout)


@settings(deadline=None, max_examples=3)
@given(st.integers(0, 4))
def test_planning_within_a_test_of_hypothesis(seed: int) -> None:
    """Somebody's own property may be about plans; what is drawn is the same as outside."""
    assert PLANNED[seed] == [case.body for case in harness.plan(FAL, seed=seed).cases]


PLANNED = {seed: [case.body for case in harness.plan(FAL, seed=seed).cases] for seed in range(5)}


def test_what_is_no_pattern_has_no_match() -> None:
    """And one that no text of the length matches has none either."""
    assert (matching("("), matching("^a{9}$", 0, 3)) == (None, None)
