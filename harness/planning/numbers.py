"""The labels of a number's schema: both ends of its range, their neighbours inside, the default, and what lies between.

Rules
-----
* A side without a bound has no boundary: what a document does not state is not asked of a provider.
* Bounds of integers and of multiples move inside to the nearest value; a float that may not be its bound begins beside it.
* A float's neighbour is one hundredth inside its boundary: on the boundary's side of any documented step, and exact as a
  decimal; less in a narrow range, more where a float has fewer digits.
* What lies between is a range, of whole numbers first: a float's text may be one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Any

from harness.planning.labels import Grid, Label, exact
from harness.spec.contract import Schema

ONE_SIDED = 1000
"""How many steps from the only bound of a number the values inside are taken."""
FINE = Decimal("0.01")


def numbers(schema: Schema, *, whole: bool) -> Iterator[Label]:
    """The labels of a schema of numbers, or of whole numbers; not yet validated."""
    with localcontext() as context:
        context.prec = 400  # floats have exponents up to 308, and neighbours must not vanish
        yield from list(_numbers(schema, whole))


def _numbers(schema: Schema, whole: bool) -> Iterator[Label]:
    multiple = _decimal(schema.get("multipleOf"))
    low, open_below = _bound(schema, "minimum", "exclusiveMinimum", max)
    high, open_above = _bound(schema, "maximum", "exclusiveMaximum", min)
    aligned = whole or multiple is not None
    step = _common(multiple, whole=whole) if aligned else _fine(low, high)
    if aligned:  # ends that are no multiples move inside
        low = None if low is None else _multiple_from(low, step, ROUND_CEILING, beside=open_below)
        high = None if high is None else _multiple_from(high, step, ROUND_FLOOR, beside=open_above)
        open_below = open_above = False
    above, below = None if low is None else low + step, None if high is None else high - step
    default = schema.get("default") if _is_number(schema.get("default")) else None
    inside = _inside(above, below, default, step, whole=whole)
    for name, kind, value in (
        ("minimum", "lo", None if open_below else low),
        ("just-above-minimum", "lo", above),
        ("default", "mid", default),
        ("interior", "mid", inside),
        ("just-below-maximum", "hi", below),
        ("maximum", "hi", None if open_above else high),
    ):
        if isinstance(value, Label):
            yield value
        elif value is not None:
            written = int if whole else exact
            yield Label(name, kind, written(value) if isinstance(value, Decimal) else value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _decimal(value: Any) -> Decimal | None:
    return Decimal(str(value)) if _is_number(value) else None


def _bound(
    schema: Schema, inclusive: str, exclusive: str, tighter: Callable[..., Decimal]
) -> tuple[Decimal | None, bool]:
    """The bound on one side, and whether it is itself outside."""
    closed, opened = _decimal(schema.get(inclusive)), _decimal(schema.get(exclusive))
    if opened is None or closed is None:
        return (closed, False) if opened is None else (opened, True)
    bound = tighter(closed, opened)
    return bound, bound == opened


def _common(multiple: Decimal | None, *, whole: bool) -> Decimal:
    """The step between values that are whole numbers, multiples, or both."""
    if multiple is None or multiple <= 0:
        return Decimal(1)
    top, bottom = multiple.as_integer_ratio()
    return Decimal(top) if whole and bottom > 1 else multiple


def _multiple_from(bound: Decimal, step: Decimal, rounding: str, *, beside: bool) -> Decimal:
    """The multiple nearest to a bound on its inner side, not the bound itself if ``beside``."""
    number = (bound / step).to_integral_value(rounding)
    if beside and number * step == bound:
        number += 1 if rounding == ROUND_CEILING else -1
    return number * step


def _fine(low: Decimal | None, high: Decimal | None) -> Decimal:
    """A float's step: one hundredth, finer in a narrow range, coarser where a float has fewer digits."""
    step = FINE
    if low is not None and high is not None and 0 < high - low < 20 * step:
        step = Decimal(1).scaleb((high - low).adjusted() - 2)
    largest = max((abs(bound) for bound in (low, high) if bound), default=Decimal(1))
    return max(step, Decimal(1).scaleb(largest.adjusted() - 14))


def _inside(
    above: Decimal | None, below: Decimal | None, default: float | None, step: Decimal, *, whole: bool
) -> Label | None:
    """What lies strictly between the neighbours of both ends: whole numbers first, since a float's text may be one."""
    reach = ONE_SIDED * step
    if above is None and below is None:
        above, below = Decimal(0), max(100 * max(step, Decimal(1)), 2 * abs(Decimal(str(default or 0))))
    elif above is None:
        above = (below or 0) - reach
    below = above + reach if below is None else below
    without = () if default is None else (default,)
    grids = [
        Grid(first, last, one, without, whole)
        for one in dict.fromkeys((Decimal(1), step) if step < 1 else (step,))
        if (first := math.floor(above / one) + 1) <= (last := math.ceil(below / one) - 1)
    ]
    grids = [grid for grid in grids if step == grid.step or _divides(step, grid.step)]
    value = next((value for grid in grids for value in _from_middle(grid)), None)
    return None if value is None else Label("interior", "mid", value, tuple(grids))


def _divides(step: Decimal, one: Decimal) -> bool:
    return one % step == 0


def _from_middle(grid: Grid) -> Iterator[float]:
    """The values of a grid around its middle, as far as one is needed that is not left out."""
    middle = (grid.first + grid.last) // 2
    for n in (middle, middle + 1, middle - 1):
        if grid.first <= n <= grid.last and grid.value(n) not in grid.without:
            yield grid.value(n)
