"""What a run cost: exact sums of what was paid, refused and cannot be known."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

import pytest

from harness.errors import UsageError
from harness.metrics.cost import RATES, Cost, Rate, cost, in_usd
from harness.model import Billed, Call, Outcome
from harness.targets import Request
from tests.calls import FAL, GATEWAY, MULTI, SINGLE, WAVESPEED, seen, simulated


def billed(how: Billed, outcome: Outcome, images: int = 1) -> Call:
    call = seen(FAL).call
    case = replace(call.case, images=images, usd=Decimal("0.04") * images)
    return replace(call, case=case, images=images, billed=how, outcome=outcome)


def test_sums_keep_paid_refused_and_unknown_apart() -> None:
    """Failed jobs are paid, refusals are free, unknown charges count in the upper bound alone."""
    calls = [
        billed("yes", Outcome.COMPLETED, 3),
        billed("yes", Outcome.FAILED, 2),
        billed("yes", Outcome.REJECTED),
        billed("no", Outcome.REJECTED, 4),
        billed("unknown", Outcome.UNKNOWN, 4),
        billed("no", Outcome.UNKNOWN),
    ]
    expected = Cost(3, 1, 6, Decimal("0.24"), Decimal("0.40"), 3)
    assert expected == cost(calls)


def test_nothing_costs_nothing() -> None:
    """No call, no cost."""
    assert Cost(0, 0, 0, Decimal(0), Decimal(0), 0) == cost([])


def test_cents_add_up_exactly() -> None:
    """A thousand images of 0.04 are 40 dollars to the last digit."""
    assert Decimal("40.00") == cost([billed("yes", Outcome.COMPLETED)] * 1000).usd


def test_dollars_stay_and_yuan_are_converted_at_a_dated_rate() -> None:
    """The amount and where it comes from, with the rate and its day where there is one."""
    expected = {"fal": "0.04", "fal-gateway": "0.04", "wavespeed": "0.04", "umodelverse": "0.0490"}
    found = {spec.provider: in_usd(spec.price, RATES) for spec in (FAL, GATEWAY, WAVESPEED, SINGLE, MULTI)}
    assert {name: Decimal(amount) for name, amount in expected.items()} == {n: p.amount for n, p in found.items()}
    assert found["umodelverse"].source.endswith("; CNY at 0.14 USD, 2026-11-20")
    assert all(spec.price.source.document in found[spec.provider].source for spec in (FAL, GATEWAY, WAVESPEED))
    assert found["fal-gateway"].source.endswith("(assumed)")


def test_ones_own_rate_wins() -> None:
    """A configured rate is used, and named."""
    found = in_usd(MULTI.price, {"CNY": Rate(Decimal("0.2"), "2026-11-21")})
    assert (Decimal("0.070"), True) == (found.amount, found.source.endswith("CNY at 0.2 USD, 2026-11-21"))


def test_a_currency_without_a_rate_is_refused_with_the_line_to_add() -> None:
    """The price is never guessed: one sentence says what to add to the configuration."""
    line = re.escape('there is no rate for CNY: add rates = { CNY = { usd = …, date = "…" } } to the configuration')
    with pytest.raises(UsageError, match=f"^{line}$"):
        in_usd(MULTI.price, {})


def test_a_simulated_run_pays_for_what_was_delivered() -> None:
    """Refused bodies cost nothing, each image of an accepted one its price."""
    history = simulated(Request("simulate"), MULTI).history
    delivered = [c for c in history.calls if c.outcome is Outcome.COMPLETED]
    images = sum(len(c.of("asset")) or c.images for c in delivered)
    expected = Cost(len(delivered), 0, images, Decimal("0.049") * images, Decimal("0.049") * images, images)
    assert expected == cost(history.calls)
