"""The budget, as the history alone tells it: what any reader of a run's directory can add up, line by line."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report import document
from harness.simulator import faults_for, planted
from harness.targets import Request
from tests.calls import SPECS, TODAY, simulated

TARGETS = ("fal/flux-pro-kontext-multi", "umodelverse/flux-kontext-pro")
COSTLY = {
    target: [fault.id for fault in faults_for(SPECS[target]) if fault.check in ("not_a_server_error", "transport")]
    for target in TARGETS
}
"""Faults that leave charges unknown, or are asked about once more."""


def usd(value):
    return Decimal(str(value))


def amounts(rows):
    """Billed + unknown + reserved after each line of a history, in USD."""
    reserved, kept = {}, Decimal(0)
    for row in rows:
        if row["type"] == "intent":
            reserved[row["call"]] = usd(row["max_usd"])
        elif row["type"] == "call":
            held = reserved.pop(row["call"])
            kept += Decimal(0) if row["billed"] == "no" else held
        yield kept + sum(reserved.values(), Decimal(0))


@pytest.mark.parametrize("concurrency", [1, 8, 32])
@settings(max_examples=6, deadline=None)
@given(cents=st.integers(0, 160), target=st.sampled_from(TARGETS), data=st.data())
def test_no_line_of_a_history_is_over_the_budget(concurrency, cents, target, data):
    """Whatever the budget, the concurrency and the provider: billed + unknown + reserved stay within it at each line.

    The report of the run says the same as its lines, and a budget that cut the plan short leaves the run incomplete.
    """
    limit, spec = Decimal(cents) / 100, SPECS[target]
    fault = data.draw(st.none() | st.sampled_from(COSTLY[target]))
    variations, world = planted([spec], TODAY, [] if fault is None else [fault])
    request = Request("simulate", max_cost=limit, concurrency=concurrency)
    run = simulated(request, spec, settings=world, variations=variations)
    sums = list(amounts(run.journal.rows))
    assert max(sums) <= limit
    totals = document.build(run.history, run.specs).document["totals"]
    assert usd(totals["usd_max"]) == sums[-1]
    assert run.ended.complete or any("budget" in reason for reason in run.ended.stopped.values())
