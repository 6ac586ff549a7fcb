"""The numbers of runs, tested: the median of ``total`` alone, the others together.

Rules
-----
* The median of ``total`` is tested alone. The other numbers are tested together (Holm), so that their being many does not
  cost it its power.
* Latencies and cost are compared as ratios, shares of errors as differences. Errors come in handfuls, for which a t test
  is too sure: Fisher's exact test has to agree.
* A number that is infinite in some runs, since too many of their jobs never ended, is compared by the ranks of the runs, with
  infinite as the largest: same tests, same levels.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.compare import power
from harness.compare.digest import Digest, Figure
from harness.compare.names import COST, ERRORS, QUANTILES
from harness.compare.statistics import (
    FEWEST,
    LEVEL,
    Difference,
    Word,
    detectable,
    difference,
    exact,
    holm,
    mean,
    ranked,
    shared,
    word,
)

PRIMARY = "total p50"
TOLERANCE = 0.10
ERROR_TOLERANCE = 0.05
"""Share of requests, in absolute terms: of rare errors a tenth more is nothing."""
SECONDARY = (*(name for name in QUANTILES if name != PRIMARY), ERRORS, COST)
UNITS: Mapping[str, str] = {ERRORS: "share", COST: "USD per image"}
"""The units of the numbers that are not seconds."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What a comparison says of one number.

    ``effect``, ``low``, ``high`` and ``detectable`` are ratios, of ``errors`` differences of shares; None where nothing
    could be computed. ``needed`` is what would show a change of twice the tolerance.
    """

    name: str
    word: Word
    baseline: float | None = None
    candidate: float | None = None
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    detectable: float | None = None
    needed: power.Needed | None = None
    reason: str = ""

    @property
    def unit(self) -> str:
        """The unit of ``baseline`` and ``candidate``."""
        return UNITS.get(self.name, "s")


def level_of(name: str) -> float:
    """The confidence that a change of one number alone needs, in runs that have all of them."""
    return shared(1 if name == PRIMARY else len(SECONDARY))


def metrics(older: Sequence[Digest], newer: Sequence[Digest], tolerance: float) -> Iterator[Metric]:
    """The median of ``total``, then the others, tested together; a number that no run has is left out."""
    yield _metric(PRIMARY, _first(PRIMARY, older, newer), tolerance, None)
    tests = {
        name: test
        for name in SECONDARY
        if any(name in one.figures for one in newer)
        for test in [_first(name, older, newer)]
    }
    sure = {name: test for name, test in tests.items() if isinstance(test, Pair)}
    up = dict(zip(sure, holm([pair.found.p_up for pair in sure.values()]), strict=True))
    down = dict(zip(sure, holm([pair.found.p_down for pair in sure.values()]), strict=True))
    level = shared(len(sure))
    for name, test in tests.items():
        yield _metric(name, test, tolerance, (up.get(name, False), down.get(name, False)), level)


@dataclass(frozen=True)
class Pair:
    """The figures of one number in the runs that have it, their values on the scale compared, and the test of them.

    ``ranks`` says why ranks were compared, empty where means were.
    """

    older: Sequence[Figure]
    newer: Sequence[Figure]
    before: Sequence[float]
    after: Sequence[float]
    found: Difference
    ranks: str = ""


def _first(name: str, older: Sequence[Digest], newer: Sequence[Digest]) -> Pair | str | Metric:
    """The test of one number; a sentence where there can be none, a verdict where there need be none."""
    before = [one.figures[name] for one in older if name in one.figures]
    after = [one.figures[name] for one in newer if name in one.figures]
    if not after:
        return "no candidate run has it: too few jobs, or their runs were left out"
    if not before:
        return "no baseline run has it: too few jobs, or their runs were left out"
    scale = _share if name == ERRORS else _log
    pair = [scale(one) for one in before], [scale(one) for one in after]
    never = [sum(map(math.isinf, some)) for some in pair]
    if any(never):
        said = f"{never[1]} of {len(after)} candidate and {never[0]} of {len(before)} baseline runs"
        why = f"too many jobs never ended in {said}: compared by rank"
        return Pair(before, after, *pair, ranked(*pair), why) if len(before) >= FEWEST else _short_of(len(before))
    if len(before) == 1:
        return _single(name, pair[0][0], mean(pair[1]))
    floor = max(mean([one.variance for one in before]), mean([one.variance for one in after]))
    found = difference(*pair, floor)
    if name == ERRORS:
        found = _errors(found, before, after)
    return Pair(before, after, *pair, found)


def _single(name: str, before: float, after: float) -> Metric:
    """One baseline run is a number to look at, and no comparison."""
    shown = _shown(name)
    values = shown(before), shown(after), shown(after - before)
    return Metric(name, "inconclusive", *values, reason=_short_of(1))


def _short_of(runs: int) -> str:
    return f"{runs} baseline runs do not tell how runs differ: from {FEWEST} on it can be decided"


def _shown(name: str) -> Callable[[float], float]:
    """From the scale that is compared to the one that is shown."""
    return (lambda effect: effect) if name == ERRORS else math.exp


def _log(figure: Figure) -> float:
    return math.log(figure.value)


def _share(figure: Figure) -> float:
    return figure.value


def _errors(found: Difference, before: Sequence[Figure], after: Sequence[Figure]) -> Difference:
    """Errors come in handfuls, for which a t test is too sure: Fisher's exact test has to agree."""
    hits = [(round(sum(f.value * f.n for f in some)), sum(f.n for f in some)) for some in (after, before)]
    (new, of_new), (old, of_old) = hits
    up, down = exact(new, of_new, old, of_old), exact(old, of_old, new, of_new)
    return replace(found, p_up=max(found.p_up, up), p_down=max(found.p_down, down))


def _metric(
    name: str, test: Pair | str | Metric, tolerance: float, joint: tuple[bool, bool] | None, level: float = LEVEL
) -> Metric:
    if isinstance(test, Metric):
        return test
    if isinstance(test, str):
        return Metric(name, "inconclusive", reason=test)
    found, least = test.found, ERROR_TOLERANCE if name == ERRORS else math.log1p(tolerance)
    up, down = joint or (found.p_up <= 1 - LEVEL, found.p_down <= 1 - LEVEL)
    k, c = len(test.before), len(test.after)
    said = word(found, least, up=up, down=down) if k >= FEWEST else "inconclusive"
    more = None
    if said == "inconclusive" and name != ERRORS and not test.ranks:
        varies = power.variation(test.older, test.before)
        more = power.needed(varies, 2 * least, k, least, level=level)
    least_seen = None if found.deviation is None else detectable(found.deviation**2, k, c, least, level=level)
    middle = statistics.median if test.ranks else mean
    shown = _shown(name)
    return Metric(
        name=name,
        word=said,
        baseline=_finite(middle(test.before), shown),
        candidate=_finite(middle(test.after), shown),
        effect=_finite(found.effect, shown),
        low=_finite(found.low, shown),
        high=_finite(found.high, shown),
        detectable=_finite(least_seen, shown),
        needed=more,
        reason="; ".join(part for part in (test.ranks, _why(said, found, least, k)) if part),
    )


def _finite(number: float | None, shown: Callable[[float], float]) -> float | None:
    return shown(number) if number is not None and math.isfinite(number) else None


def _why(said: Word, found: Difference, least: float, runs: int) -> str:
    if said != "inconclusive":
        return ""
    if runs < FEWEST:
        return _short_of(runs)
    if found.effect >= least:
        return "it may be chance"
    return "a change beyond the tolerance cannot be ruled out"
