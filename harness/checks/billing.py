"""What a provider says that it has billed, beside what the list price says.

Rules
-----
* The list price counts images. A header that counts otherwise is a finding: either the price or the image count is not
  what it seems, and every figure of cost is off by as much.
* Where the count is no number, nothing is said: what it means is not documented.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from harness.checks.evidence import Evidence
from harness.model import Call, Finding, Outcome
from harness.spec import Spec


def billed_units(spec: Spec, call: Call) -> Decimal | None:
    """How many units the answers of a call say that it was billed; None where none says so in a number."""
    for exchange in reversed(call.exchanges):
        said = exchange.response.headers.get(spec.billing_header or "") if exchange.response else None
        if said is not None:
            try:
                units = Decimal(said.strip())
            except InvalidOperation:
                return None
            return units if units.is_finite() else None
    return None


def units_are_images(seen: Evidence) -> list[Finding] | None:
    """A completed call is billed as many units as it asked for images."""
    units = billed_units(seen.spec, seen.call)
    if units is None or seen.call.outcome is not Outcome.COMPLETED:
        return None
    if units == seen.call.images:
        return []
    message = f"{seen.spec.billing_header} counts {units.normalize():f} for a request that the list price counts {seen.call.images} for"
    return [
        seen.grade(
            "billed_units",
            message,
            sources=[seen.spec.price.source],
            expected=str(seen.call.images),
            observed=str(units),
        )
    ]
