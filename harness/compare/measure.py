"""Measure two targets in interleaved batches until it is decided which is faster, within a budget.

Rules
-----
* A batch is an ordinary bench of both targets with the next seed, whose prompts begin ``STRIDE`` after the former's: a pair
  does not come twice.
* The evidence of all batches is one series: it is looked at after each batch, and nothing more is sent once it is decided,
  the pairs are used up, or the next batch does not fit the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from harness.compare.pairs import compared
from harness.report.results import RunResult
from harness.spec import Spec
from harness.targets import Request


@dataclass(frozen=True, slots=True)
class Pace:
    """At most how many pairs, how many between two looks, and the budget in USD; ``request`` is what each batch asks."""

    pairs: int
    batch: int
    max_cost: Decimal
    request: Request


def until_decided(
    specs: Sequence[Spec], before: Sequence[RunResult], pace: Pace, send: Callable[[Request], RunResult]
) -> list[RunResult]:
    """The runs of before and those made now.

    Raises:
        HarnessError: a batch was refused before anything was sent.
    """
    first, second = (spec.target for spec in specs)
    results, left, sent = list(before), pace.max_cost, 0
    while sent < pace.pairs and compared(results, first, second).decided is None:
        batch = min(pace.batch, pace.pairs - sent)
        request = replace(pace.request, requests=batch, seed=pace.request.seed + len(results), max_cost=left)
        price = _price(results[len(before) :], batch)
        if price is not None and price > left:
            break
        made = send(request)
        results.append(made)
        sent += batch
        left -= Decimal(str(made.document["totals"]["usd_max"]))
        if not made.document["run"]["complete"]:
            break
    return results


def _price(made: Sequence[RunResult], batch: int) -> Decimal | None:
    """What a batch will cost, by what the last one cost; None before the first, which is priced by its own plan."""
    if not made:
        return None
    plans = [target.plan for target in made[-1].targets]
    jobs = max(len(plan.cases) for plan in plans)
    return sum((plan.usd for plan in plans), Decimal(0)) / jobs * batch
