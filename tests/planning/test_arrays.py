"""Rows of the three tiers, counted by a counter that asks for every label and every pair one by one."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.model import Case, Plan
from harness.planning import arrays, build
from harness.planning.partitions import partition
from harness.spec import Spec
from tests.calls import FAL, ROUTES, SPECS

TIERS = ("one-way", "core", "pairwise")
EACH = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
Row = Mapping[str, str]
GOLDEN: dict[str, tuple[str, ...]] = {
    "fal-gateway/flux-pro-kontext-multi": ("422b9161d586", "34b9ce91e416", "0fb02d49f499"),
    "fal/flux-pro-kontext-multi": ("d27d15676640", "f734f8c99acb", "153bbe777112"),
    "umodelverse/flux-kontext-pro": ("e4b3a855438e", "532782738e05", "7f687bc08477"),
    "umodelverse/flux-kontext-pro-multi": ("35040526b2c3", "c8fedaf134fb", "545c2655ec28"),
    "wavespeed/flux-kontext-pro-multi": ("d4439739ba7d", "b682ba7a7f63", "a6dafcf14312"),
}


def planned(spec: Spec, tier: str, seed: int = 0) -> Plan:
    return _planned(spec.target, tier, seed)


@cache
def _planned(target: str, tier: str, seed: int) -> Plan:
    spec = SPECS[target]
    return build(spec, flow=spec.default_flow, tier=tier, seed=seed, usd_per_image=Decimal("0.04"))


def accepts(plan: Plan) -> list[Case]:
    return [case for case in plan.cases if case.kind == "accept"]


def rows_of(plan: Plan) -> list[Row]:
    return [case.labels for case in accepts(plan)]


def total(tier: str, seed: int = 0) -> tuple[int, int]:
    """The requests and the images of a tier on the shipped targets."""
    cases = [case for spec in SPECS.values() for case in accepts(planned(spec, tier, seed))]
    return len(cases), sum(case.images for case in cases)


def lacking_labels(rows: Sequence[Row], domains: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    return [(n, label) for n, domain in domains.items() for label in domain if not any(r[n] == label for r in rows)]


def lacking_pairs(rows: Sequence[Row], domains: Mapping[str, Iterable[str]]) -> tuple[list[tuple[str, ...]], int]:
    """The pairs of values of two parameters that no row holds, and how many pairs there are."""
    names, lacking, number = sorted(domains), list[tuple[str, ...]](), 0
    for place, one in enumerate(names):
        for two in names[place + 1 :]:
            for first, second in product(sorted(set(domains[one])), sorted(set(domains[two]))):
                number += 1
                if not any(row[one] == first and row[two] == second for row in rows):
                    lacking.append((one, first, two, second))
    return lacking, number


def as_classes(plan: Plan) -> tuple[list[Row], Mapping[str, set[str]]]:
    rows: list[Row] = [{name: plan.domains[name][label] for name, label in row.items()} for row in rows_of(plan)]
    return rows, {name: set(domain.values()) for name, domain in plan.domains.items()}


# The shipped targets ------------------------------------------------------------------------------------------------


def test_one_way_takes_as_many_requests_as_the_largest_domains_have_labels() -> None:
    """47 rows and 71 images are the lower bounds: where counts above one are sent, each of them is sent once."""
    assert total("one-way") == (47, 71)


@pytest.mark.parametrize("seed", range(5))
def test_the_size_of_core(seed: int) -> None:
    """Ten below the 111 requests and 178 images that were asked for, whatever the seed."""
    requests, images = total("core", seed)
    assert (requests <= 103, images <= 174) == (True, True), (requests, images)


@pytest.mark.parametrize("seed", range(3))
def test_the_size_of_pairwise(seed: int) -> None:
    """Both are the lower bounds: a request for each two labels of the largest domains, each dear count as rarely."""
    bounds = [sorted(map(len, planned(spec, "one-way").domains.values()))[-2:] for spec in SPECS.values()]
    assert sum(one * two for one, two in bounds) == 329
    # Each of the counts 2, 3 and 4 meets each label of the largest domain once: 7 of them at one target, 10 at three.
    assert total("pairwise", seed) == (329, 329 + (7 + 3 * 10) * (1 + 2 + 3))


@EACH
@pytest.mark.parametrize("tier", TIERS)
def test_every_label_is_sent(spec: Spec, tier: str) -> None:
    """One label of each parameter in each row, and each label in one row at least."""
    plan = planned(spec, tier)
    assert lacking_labels(rows_of(plan), plan.domains) == []
    assert {frozenset(row) for row in rows_of(plan)} == {frozenset(plan.domains)}


@EACH
@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("seed", range(3))
def test_every_label_is_sent_early(spec: Spec, tier: str, seed: int) -> None:
    """Within thirteen requests, so that a small budget has seen all of them."""
    plan = planned(spec, tier, seed)
    assert lacking_labels(rows_of(plan)[:13], plan.domains) == []


@EACH
@pytest.mark.parametrize("seed", range(5))
def test_core_meets_the_pairs_of_classes(spec: Spec, seed: int) -> None:
    """All but a few of the dearest class of the count, which is paired with the parameters that interact with it."""
    lacking, number = lacking_pairs(*as_classes(planned(spec, "core", seed)))
    assert len(lacking) / number <= 0.03
    count = spec.parameter("count")
    for one, first, two, second in lacking:
        assert count is not None
        assert (count.name, "max") in ((one, first), (two, second))
        assert not any({one, two} <= {*group} for group in spec.interactions)


@EACH
def test_core_shows_pairs_in_requests_that_nobody_contests(spec: Spec) -> None:
    """Were every contested value refused, each other label and pair of classes would still have been accepted."""
    plan = planned(spec, "core")
    base = {p.name: partition(p, spec)[0] for p in spec.parameters}
    contested = {
        (parameter.name, label.name)
        for parameter in spec.parameters
        for label in partition(parameter, spec)
        if spec.contested({n: v.value for n, v in {**base, parameter.name: label}.items() if not v.absent})
    }
    domains = {n: {x: kind for x, kind in d.items() if (n, x) not in contested} for n, d in plan.domains.items()}
    sure = [row for row in rows_of(plan) if not contested.intersection(row.items())]
    assert {case.expect for case in accepts(plan) if case.labels in sure} == {"accept"}
    assert lacking_labels(sure, domains) == []
    as_kinds = [{name: domains[name][label] for name, label in row.items()} for row in sure]
    lacking, _ = lacking_pairs(as_kinds, {name: set(domain.values()) for name, domain in domains.items()})
    assert [pair for pair in lacking if "max" not in pair] == []


@EACH
@pytest.mark.parametrize("seed", range(3))
def test_pairwise_meets_every_pair_of_labels(spec: Spec, seed: int) -> None:
    """Without exception."""
    plan = planned(spec, "pairwise", seed)
    assert lacking_pairs(rows_of(plan), plan.domains)[0] == []


@pytest.mark.parametrize(("spec", "flow"), ROUTES, ids=[f"{s.target}:{f}" for s, f in ROUTES])
@pytest.mark.parametrize("tier", TIERS)
def test_each_flow_is_covered(spec: Spec, flow: str, tier: str) -> None:
    """A flow that fixes a parameter leaves the others to cover."""
    plan = build(spec, flow=spec.flows[flow], tier=tier, seed=7, usd_per_image=Decimal(1))
    assert lacking_labels(rows_of(plan), plan.domains) == []
    if tier == "pairwise":
        assert lacking_pairs(rows_of(plan), plan.domains)[0] == []


@EACH
@pytest.mark.parametrize("tier", TIERS)
def test_a_budget_that_ends_early_has_lost_least(spec: Spec, tier: str) -> None:
    """Over all budgets together, more labels are met than in reverse or by id, or as many and more pairs of classes."""
    plan = planned(spec, tier)
    met = met_within_budgets(plan, accepts(plan))
    for order in (accepts(plan)[::-1], sorted(accepts(plan), key=lambda case: case.id)):
        assert met >= met_within_budgets(plan, order)


def met_within_budgets(plan: Plan, cases: Sequence[Case]) -> tuple[int, int]:
    """The labels and pairs of classes that are met within one image, two, and so on, summed up."""
    labels = classes = spent = 0
    budget = sum(case.images for case in cases)
    for number, case in enumerate(cases):
        spent += case.images
        found = held([one.labels for one in cases[: number + 1]], plan.domains)
        affords = min(case.images if number + 1 == len(cases) else cases[number + 1].images, budget + 1 - spent)
        labels += len(found["labels"]) * affords
        classes += len(found["classes"]) * affords
    return labels, classes


def test_contested_labels_share_requests_in_one_way() -> None:
    """No more requests are contested than the two parameters of fal have contested labels."""
    contested = [case for case in accepts(planned(FAL, "one-way")) if case.expect == "either"]
    assert 1 <= len(contested) <= 3


def test_pairwise_contains_the_repetitions() -> None:
    kinds = {tier: {case.kind for case in planned(FAL, tier).cases} for tier in TIERS}
    assert {tier: "repeat" in found for tier, found in kinds.items()} == {
        "one-way": False,
        "core": False,
        "pairwise": True,
    }


def test_a_tier_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="one-way, core, pairwise"):
        planned(FAL, "three-way")


SCRIPT = """
from decimal import Decimal
from harness.planning import build
from harness.spec import find
for spec in find(()):
    for tier in ("one-way", "core", "pairwise"):
        plan = build(spec, flow=spec.default_flow, tier=tier, usd_per_image=Decimal("0.04"))
        print(*[case.id for case in plan.cases])
"""


def test_the_rows_do_not_depend_on_the_process() -> None:
    """Two interpreters with different hash seeds plan the same ids in the same order, and so does this one."""
    found = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "12345")
    ]
    plans = [planned(spec, tier) for spec in SPECS.values() for tier in TIERS]
    here = "".join(" ".join(case.id for case in plan.cases) + "\n" for plan in plans)
    assert found == [here, here]


@pytest.mark.parametrize("target", GOLDEN)
def test_the_rows_are_the_same_everywhere(target: str) -> None:
    """On every machine and Python: hashes of the rows of the three tiers. Other rows are no fault, but are seen here."""
    text = [json.dumps([list(row.items()) for row in rows_of(planned(SPECS[target], tier))]) for tier in TIERS]
    assert GOLDEN[target] == tuple(hashlib.sha256(one.encode()).hexdigest()[:12] for one in text)


# Small domains of all sorts -----------------------------------------------------------------------------------------

Pair = frozenset[tuple[str, str]]
LABELS = st.dictionaries(st.sampled_from("uvwx"), st.sampled_from("kl"), min_size=1, max_size=4)
DOMAINS = st.dictionaries(st.sampled_from("abcd"), LABELS, min_size=2, max_size=4)


@st.composite
def constrained(draw: st.DrawFn) -> tuple[dict[str, dict[str, str]], set[Pair]]:
    """Domains, and pairs of labels of two parameters that must not be sent together."""
    domains = draw(DOMAINS)
    cells = [(name, label) for name, domain in domains.items() for label in domain]
    pairs = [frozenset({one, two}) for one, two in product(cells, cells) if one[0] < two[0]]
    return domains, draw(st.sets(st.sampled_from(pairs), max_size=5))


def permits(forbidden: set[Pair]) -> Callable[[Row], bool]:
    return lambda row: not any(pair <= set(row.items()) for pair in forbidden)


def images(row: Row) -> int:
    """Each ``x`` doubles the price."""
    return 1 << list(row.values()).count("x")


def all_allowed(domains: Mapping[str, Mapping[str, str]], forbidden: set[Pair]) -> list[dict[str, str]]:
    every = [dict(zip(domains, labels, strict=True)) for labels in product(*domains.values())]
    return [row for row in every if permits(forbidden)(row)]


def held(rows: Sequence[Row], domains: Mapping[str, Mapping[str, str]]) -> dict[str, set[object]]:
    """The labels, pairs of labels and pairs of classes that some rows hold."""
    found: dict[str, set[object]] = {"labels": set(), "pairs": set(), "classes": set()}
    for row in rows:
        for one in row:
            found["labels"].add((one, row[one]))
            for two in row:
                if one < two:
                    found["pairs"].add((one, row[one], two, row[two]))
                    found["classes"].add((one, domains[one][row[one]], two, domains[two][row[two]]))
    return found


@settings(max_examples=60, deadline=None)
@given(constrained(), st.integers(0, 3))
def test_what_an_allowed_row_can_hold_is_covered(
    given_: tuple[dict[str, dict[str, str]], set[Pair]], seed: int
) -> None:
    """No row breaks a constraint, and constraints cost no more coverage than they have to."""
    domains, forbidden = given_
    possible = held(all_allowed(domains, forbidden), domains)
    for tier, kinds in (
        (arrays.one_way, ["labels"]),
        (arrays.core, ["labels", "classes"]),
        (arrays.pairwise, ["labels", "pairs"]),
    ):
        rows = tier(domains, seed=seed, cost=images, allowed=permits(forbidden))
        assert [row for row in rows if set(row) != set(domains) or not permits(forbidden)(row)] == []
        assert {kind: held(rows, domains)[kind] for kind in kinds} == {kind: possible[kind] for kind in kinds}
        assert rows == tier(domains, seed=seed, cost=images, allowed=permits(forbidden))


@settings(max_examples=60, deadline=None)
@given(DOMAINS, st.data())
def test_core_can_meet_in_undisputed_rows_what_these_can_meet(
    domains: dict[str, dict[str, str]], data: st.DataObject
) -> None:
    """Without the rows that hold a disputed label, the undisputed labels and their pairs of classes are still met."""
    disputed = {
        name: data.draw(st.sets(st.sampled_from(sorted(domain)), max_size=2)) for name, domain in domains.items()
    }
    rows = arrays.core(domains, seed=0, cost=images, disputed=disputed)
    sure = [row for row in rows if not any(label in disputed[name] for name, label in row.items())]
    left = {n: {label: kind for label, kind in d.items() if label not in disputed[n]} for n, d in domains.items()}
    assert held(all_allowed(left, set()), domains) | {"pairs": set()} == held(sure, domains) | {"pairs": set()}
    everything = held(all_allowed(domains, set()), domains)
    assert everything["classes"] == held(rows, domains)["classes"]
    assert everything["labels"] == held(rows, domains)["labels"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.fixed_dictionaries({n: st.sampled_from("uvwx") for n in "abc"}), min_size=1, max_size=8))
def test_ordering_loses_no_row_and_no_label_early(rows: list[dict[str, str]]) -> None:
    """The same rows; every label stands no later than in the order given."""
    domains = {name: dict.fromkeys("uvwx", "k") for name in "abc"}
    found = arrays.ordered(rows, domains, cost=images)
    assert sorted(map(sorted, (row.items() for row in found))) == sorted(map(sorted, (row.items() for row in rows)))

    def complete(order: Sequence[Row]) -> int:
        every = held(order, domains)["labels"]
        return next(n for n in range(len(order) + 1) if held(order[:n], domains)["labels"] == every)

    assert complete(found) <= complete(rows)


@pytest.mark.parametrize("refuses", [lambda _: False, lambda row: not row], ids=["everything", "every label"])
def test_no_row_is_allowed(refuses: Callable[[Row], bool]) -> None:
    """Then there is none."""
    domains = {"a": {"u": "k", "v": "l"}, "b": {"u": "k", "v": "l"}, "c": {"x": "k"}}
    for tier in (arrays.one_way, arrays.core, arrays.pairwise):
        assert tier(domains, seed=0, cost=images, allowed=refuses) == []


def test_thirty_parameters_of_twelve_labels_stay_within_bounds() -> None:
    """A plane of order 13 meets fourteen of the parameters in 169 rows; all thirty take twice as many."""
    domains = {f"p{n}": {f"l{m}": f"k{m // 4}" for m in range(12)} for n in range(30)}
    rows = arrays.pairwise(domains, seed=0, cost=images)
    assert len(held(rows, domains)["pairs"]) == 435 * 144
    assert len(rows) <= 340


def test_parameters_without_labels_and_no_parameters() -> None:
    for tier in (arrays.one_way, arrays.core, arrays.pairwise):
        assert tier({}, seed=0, cost=images) == []
        assert tier({"a": {}}, seed=0, cost=images) == []
        assert tier({"a": {}, "b": {"u": "k"}}, seed=0, cost=images) == [{"b": "u"}]
