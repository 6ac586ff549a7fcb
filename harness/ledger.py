"""One budget for a run: what is billed, what may have been, and what is reserved for submits in flight.

Rules
-----
* billed + unknown + reserved never exceeds the limit, at any instant.
* A submit reserves its full price before it leaves. A refusal releases it, an unknown charge keeps it for the rest of
  the run.
* A submit that does not fit waits for releases; when it does not fit with nothing in flight, the budget is spent.
* A run that goes on starts with what it had cost before; what its cut-off calls had reserved stays reserved until
  each of them has ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from decimal import Decimal

from harness.model import Billed

ZERO = Decimal(0)


class Ledger:
    """Amounts in USD; ``limit`` is None for a run that costs nothing."""

    def __init__(
        self, limit: Decimal | None, unknown: Decimal = ZERO, billed: Decimal = ZERO, reserved: Decimal = ZERO
    ) -> None:
        self.limit = limit
        self.billed, self.unknown, self.reserved = billed, unknown, reserved
        self._waiting: deque[tuple[Decimal, asyncio.Future[bool]]] = deque()

    async def reserve(self, usd: Decimal) -> bool:
        """Reserve an amount, waiting for releases; False when the budget is spent."""
        if not self._waiting and self._fits(usd):
            self.reserved += usd
            return True
        if self.reserved == ZERO and not self._waiting:
            return False
        decided: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((usd, decided))
        try:
            return await decided
        except asyncio.CancelledError:
            if decided.done() and not decided.cancelled() and decided.result():
                self.settle(usd, "no")  # served and cancelled in the same turn
            raise

    def settle(self, usd: Decimal, billed: Billed) -> None:
        """End a reservation: billed, free, or unknown (and kept)."""
        self.reserved -= usd
        if billed == "yes":
            self.billed += usd
        elif billed == "unknown":
            self.unknown += usd
        self._serve()

    def _fits(self, usd: Decimal) -> bool:
        return self.limit is None or self.billed + self.unknown + self.reserved + usd <= self.limit

    def _serve(self) -> None:
        while self._waiting:
            usd, decided = self._waiting[0]
            if decided.done():
                self._waiting.popleft()
            elif self._fits(usd):
                self._waiting.popleft()
                self.reserved += usd
                decided.set_result(True)
            elif self.reserved == ZERO:
                self._waiting.popleft()
                decided.set_result(False)
            else:
                return
