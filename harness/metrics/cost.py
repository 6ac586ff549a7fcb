"""What a run cost, from the record of its calls.

Rules
-----
* Paid is what was accepted and not refused later; unknown is what nobody here can say.
* A list price in another currency is converted with a dated rate, which is shown beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from harness.errors import UsageError
from harness.model import Call
from harness.spec import Price


@dataclass(frozen=True, slots=True)
class Rate:
    """What one unit of a currency is worth in USD, and on which day."""

    usd: Decimal
    date: str


RATES: Mapping[str, Rate] = {"CNY": Rate(Decimal("0.14"), "2026-11-20")}
"""Used unless the configuration names its own."""


@dataclass(frozen=True, slots=True)
class UsdPrice:
    """The price of one image in USD, and where it comes from in one line."""

    amount: Decimal
    source: str


def in_usd(price: Price, rates: Mapping[str, Rate]) -> UsdPrice:
    """A list price in USD.

    Raises:
        UsageError: there is no rate for its currency.
    """
    said = f"{price.amount} {price.currency} per image, {price.source.document}, {price.date} ({price.source.kind})"
    if price.currency == "USD":
        return UsdPrice(price.amount, said)
    rate = rates.get(price.currency)
    if rate is None:
        line = f'rates = {{ {price.currency} = {{ usd = …, date = "…" }} }}'
        raise UsageError(f"there is no rate for {price.currency}: add {line} to the configuration")
    return UsdPrice(price.amount * rate.usd, f"{said}; {price.currency} at {rate.usd} USD, {rate.date}")


@dataclass(frozen=True, slots=True)
class Cost:
    """Sums over calls; amounts in USD."""

    paid_requests: int
    unknown_charge: int
    images: int
    usd: Decimal
    usd_max: Decimal
    images_delivered: int


def cost(calls: Iterable[Call]) -> Cost:
    """What calls cost. ``usd_max`` includes the unknown charges."""
    paid = unknown = images = delivered = 0
    usd = doubtful = Decimal(0)
    for call in calls:
        if call.billed == "yes":
            paid, images, usd = paid + 1, images + call.images, usd + call.case.usd
            delivered += call.images if call.outcome.value == "completed" else 0
        elif call.billed == "unknown":
            unknown, doubtful = unknown + 1, doubtful + call.case.usd
    return Cost(paid, unknown, images, usd, usd + doubtful, delivered)
