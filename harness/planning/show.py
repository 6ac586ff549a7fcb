"""A plan as tables, so that a person can decide before paying: what is sent, why, and what each tier would cost.

Rules
-----
* What decides stands last, where a terminal leaves the eye: the tiers side by side with their price and what they cover.
* A bar is a share of ten blocks, rounded down: full means all.
* A spec is text from outside: it is shown, never obeyed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import combinations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.metrics.cost import UsdPrice
from harness.metrics.coverage import coverage
from harness.model import Case, Json, Plan
from harness.planning import TIERS
from harness.spec import Spec

MEASURES = {"labels": "one_way", "pairs of classes": "two_way_classes", "pairs of labels": "two_way_values"}
BLOCKS = 10
MOST_SHOWN = 1000
"""A tier of more requests than this is planned where it is asked for, and not to be looked at beside another."""


def show(spec: Spec, by_tier: Mapping[str, Plan], tier: str, price: UsdPrice, to: Console) -> None:
    """Print what the plan of a tier sends and why, and what it and the others cost."""
    plan = by_tier[tier]
    to.print(Text(f"{plan.target} ({plan.flow}, {plan.tier})", style="bold"))
    to.print(_parameters(spec, plan))
    to.print(_cases(plan))
    to.print(Text(""))
    to.print(_tiers(by_tier, tier))
    for other in (other for other in TIERS if other not in by_tier):
        to.print(Text(f"{other} takes some {least(plan, other)} requests or more: --tier {other} plans them"))
    for line in _notes(plan, price):
        to.print(Text(line))
    to.print(Text(""))


def least(plan: Plan, tier: str) -> int:
    """The fewest requests of a tier: as many as the two largest domains have pairs of what it pairs."""
    sizes = [len(domain if tier == "pairwise" else set(domain.values())) for domain in plan.domains.values()]
    return max(sizes, default=0) if tier == "one-way" else math.prod(sorted(sizes)[-2:])


def about(by_tier: Mapping[str, Plan], price: UsdPrice) -> Json:
    """What a person would be shown of a target's tiers, as JSON."""
    return {
        "price": {"usd_per_image": str(price.amount), "source": price.source},
        "tiers": {
            tier: {
                "requests": len(paid(plan)),
                "images": sum(case.images for case in paid(plan)),
                "usd": str(plan.usd),
                "free_requests": len(plan.cases) - len(paid(plan)),
                "usd_if_all_are_accepted": str(everything(plan)),
                "coverage": {name: coverage(plan)[name] for name in MEASURES.values()},
            }
            for tier, plan in by_tier.items()
        },
    }


def paid(plan: Plan) -> list[Case]:
    """The cases that cost money unless they are refused: all that may be accepted."""
    return [case for case in plan.cases if case.priced]


def everything(plan: Plan) -> Decimal:
    """What a plan costs if a provider accepts what it has to refuse, too."""
    return sum((case.usd for case in plan.cases), Decimal(0))


def _table(*columns: tuple[str, bool]) -> Table:
    """A table of some columns, each with whether it holds numbers."""
    table = Table(box=None, pad_edge=False, show_header=True, header_style="bold")
    for name, number in columns:
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    return table


def _parameters(spec: Spec, plan: Plan) -> Table:
    """Each parameter with its labels, those of a class together."""
    table = _table(("parameter", False), ("values sent", False))
    for name, domain in plan.domains.items():
        classes: dict[str, list[str]] = {}
        for label, kind in domain.items():
            classes.setdefault(kind, []).append(label)
        table.add_row(*map(Text, (name, "; ".join(", ".join(labels) for labels in classes.values()))))
    for name, value in {**spec.constants, **spec.flows[plan.flow].body}.items():
        table.add_row(*map(Text, (name, f"always {value}")))
    return table


def _cases(plan: Plan) -> Table:
    table = _table(("expect", False), ("tier", False), ("USD", True), ("case", False), ("why", False))
    news = dict(_news(plan))
    for case in plan.cases:
        usd = f"{case.usd:.3f}" if case.priced else "free"
        why = news.get(case.id, "") if case.expect == "accept" else case.why
        name = case.id.removeprefix(f"{plan.target}/")
        table.add_row(*map(Text, (case.expect, case.tier or "", usd, name, why or case.why)))
    return table


def _news(plan: Plan) -> Iterator[tuple[str, str]]:
    """What each case with labels sends that none before it does."""
    labels: set[tuple[str, str]] = set()
    classes: set[object] = set()
    pairs: set[object] = set()
    for case in plan.cases:
        mine = {*case.labels.items()} - labels
        of_classes = {*combinations([(n, plan.domains[n][label]) for n, label in case.labels.items()], 2)} - classes
        of_labels = {*combinations(case.labels.items(), 2)} - pairs
        labels |= mine
        classes |= of_classes
        pairs |= of_labels
        if mine:
            yield (
                case.id,
                "first with "
                + ", ".join(f"{name} {label}" for name, label in case.labels.items() if (name, label) in mine),
            )
        elif of_classes or of_labels:
            number, what = (len(of_classes), "classes") if of_classes else (len(of_labels), "labels")
            yield case.id, f"{number} new {'pair' if number == 1 else 'pairs'} of {what}"


def _tiers(by_tier: Mapping[str, Plan], chosen: str) -> Table:
    table = _table(
        ("tier", False), ("paid requests", True), ("images", True), ("USD", True), *((m, False) for m in MEASURES)
    )
    for tier, plan in by_tier.items():
        reached = coverage(plan)
        row = (tier, str(len(paid(plan))), str(sum(case.images for case in paid(plan))), f"{plan.usd:.2f}")
        bars = (bar(reached[name]) for name in MEASURES.values())
        table.add_row(*(Text(cell, style="bold" if tier == chosen else "") for cell in (*row, *bars)))
    return table


def bar(share: float) -> str:
    """A share in 0..1 as blocks and per cent, rounded down."""
    full = int(BLOCKS * share)
    return f"{'█' * full}{'░' * (BLOCKS - full)} {int(100 * share):3} %"


def _notes(plan: Plan, price: UsdPrice) -> Iterator[str]:
    counts = Counter(case.expect for case in plan.cases)
    said = ", ".join(f"{number} {expect}" for expect, number in sorted(counts.items()))
    yield f"{plan.tier}: {len(plan.cases)} requests ({said}); {plan.usd:.2f} USD if all that may be accepted are"
    free = [case for case in plan.cases if not case.priced]
    if free:
        yield f"{len(free)} of them are to be refused and free; each that is accepted after all costs an image or more"
    yield f"price: {price.source}"
