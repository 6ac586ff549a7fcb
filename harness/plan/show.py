"""A plan as a table, so that a person can decide before paying."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.metrics.cost import UsdPrice
from harness.model import Plan


def show(plan: Plan, price: UsdPrice, console: Console | None = None) -> None:
    """Print what a plan sends, why, and what it costs."""
    console = console or Console()
    counts = Counter(case.expect for case in plan.cases)
    table = Table(title=Text(f"{plan.target} ({plan.flow}, {plan.tier})"), title_justify="left")
    for name in ("case", "expect", "images", "USD", "why"):
        table.add_column(name, overflow="fold", justify="right" if name in ("images", "USD") else "left")
    for case in plan.cases:
        usd = "free" if case.expect == "reject" else f"{case.usd:.3f}"
        short = case.id.removeprefix(f"{plan.target}/")
        table.add_row(*map(Text, (short, case.expect, str(case.images), usd, case.why)))
    console.print(table)
    said = ", ".join(f"{number} {expect}" for expect, number in sorted(counts.items()))
    console.print(Text(f"{len(plan.cases)} requests ({said}); {plan.usd:.2f} USD if all are accepted that should be"))
    console.print(Text(f"price: {price.source}\n"))
