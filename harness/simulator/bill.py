"""What a simulated account has charged for each target, so that a run's money can be held against it.

Rules
-----
* A submit is paid when it was accepted and not refused later. A late refusal is free, unless its own answer counts
  billable units.
* Images are asked for by the body, whatever a planted fault then delivers; they are delivered when an answer first
  describes them.
* Answers that never led to a job (a refused key, a planted 500) are submits and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from harness.spec.contract import Price


@dataclass(slots=True)
class Bill:
    """The running count of one target."""

    price: Price
    submits: int = 0
    refused: int = 0
    paid_requests: int = 0
    images_asked: int = 0
    images_delivered: int = 0

    def charge(self, images: int) -> None:
        """Bill one accepted submit."""
        self.paid_requests += 1
        self.images_asked += images

    @property
    def amount(self) -> Decimal:
        """The list price of the images asked for by paid submits, in the price's currency."""
        return self.price.amount * self.images_asked

    def as_json(self) -> dict[str, Any]:
        """The count as a JSON object; the amount is a decimal string."""
        return {
            "submits": self.submits,
            "refused": self.refused,
            "paid_requests": self.paid_requests,
            "images_asked": self.images_asked,
            "images_delivered": self.images_delivered,
            "amount": str(self.amount),
            "currency": self.price.currency,
        }
