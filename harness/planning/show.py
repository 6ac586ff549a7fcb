"""A plan as a table, so that a person can decide before paying."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.metrics.cost import UsdPrice
from harness.metrics.coverage import coverage
from harness.model import Plan


def show(plan: Plan, price: UsdPrice, to: Console) -> None:
    """Print what a plan sends, why, and what it costs."""
    counts = Counter(case.expect for case in plan.cases)
    table = Table(box=None, pad_edge=False, show_header=True, header_style="bold")
    table.add_column("expect", no_wrap=True)
    table.add_column("USD", justify="right", no_wrap=True)
    table.add_column("case", overflow="fold")
    table.add_column("why", overflow="fold", max_width=44)
    for case in plan.cases:
        usd = "free" if case.expect == "reject" else f"{case.usd:.3f}"
        table.add_row(*map(Text, (case.expect, usd, case.id.removeprefix(f"{plan.target}/"), case.why)))
    to.print(Text(f"{plan.target} ({plan.flow}, {plan.tier})", style="bold"))
    to.print(table)
    said = ", ".join(f"{number} {expect}" for expect, number in sorted(counts.items()))
    to.print(Text(f"{len(plan.cases)} requests ({said}); {plan.usd:.2f} USD if all that may be accepted are"))
    reached = coverage(plan)
    shares = {"labels": reached["one_way"], "pairs of classes": reached["two_way_classes"]}
    shares["pairs of labels"] = reached["two_way_values"]
    to.print(Text("covers " + ", ".join(f"{int(100 * share)} % of the {what}" for what, share in shares.items())))
    to.print(Text(f"price: {price.source}\n"))
