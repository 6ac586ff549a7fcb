"""Two targets that were measured in the same runs, pair by pair: which is faster, decided as soon as it is certain.

Rules
-----
* A pair is the same request sent to both targets in one run: what moves the whole run moves both of them.
* The evidence is a martingale where neither is faster: each pair bets on its sign, with a stake that grows with the rank of
  its difference among those seen so far. It exceeds ``1 / ALPHA`` at any time at all in at most ``ALPHA`` of all such series
  (Ville), so it may be looked at after every pair, and measuring may stop when it does.
* Stakes of both signs and several sizes are averaged: no effect size has to be guessed. Which target is slower is what the
  stakes say that have won.
* The ratio is the pseudo-median of the pairs (Hodges and Lehmann 1963), the centre that belongs to a test by signs and
  ranks; a median may lie on the other side of what such a test finds.
* The interval holds the ratios that the same evidence does not reject, and is as valid at any time.
* A job that never ended is slower than any that did; a pair of which neither ended says nothing.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from harness.compare.names import MODES
from harness.model import Json
from harness.report import text
from harness.report.results import RunResult, TargetResult

ALPHA = 0.05
STAKES = (0.2, 0.4, 0.6, 0.8, 0.95)
Word: TypeAlias = Literal["slower", "faster", "undecided", "not comparable"]


@dataclass(frozen=True, slots=True)
class Pairing:
    """What pairs say of the first target beside the second one.

    ``ratio`` is how many times as long the first one takes, at the pseudo-median, between ``low`` and ``high`` (None where the
    pairs give none); ``decided`` is the pair with which it was decided, None if it was not.
    """

    first: str
    second: str
    word: Word
    pairs: int
    evidence: float
    decided: int | None
    ratio: float | None
    low: float | None
    high: float | None
    reason: str = ""


def differences(results: Sequence[RunResult], first: str, second: str) -> Iterator[float]:
    """The differences of logarithms of ``total``, in the order in which the pairs were planned."""
    for result in results:
        targets = {one.spec.target: one for one in result.targets}
        if first not in targets or second not in targets:
            continue
        mine, its = _durations(targets[first]), _durations(targets[second])
        for name in mine:
            if name in its and not (math.isinf(mine[name]) and math.isinf(its[name])):
                yield _log(mine[name]) - _log(its[name])


def _durations(target: TargetResult) -> Mapping[str, float]:
    """Each job's ``total`` by what its case asks for; the plan's order."""
    found = {one.case_id: one.midpoint for one in target.samples.get("total", ())}
    ordered = [case.id for case in target.plan.cases if case.id in found]
    return {name.removeprefix(f"{target.spec.target}/"): found[name] for name in ordered}


def _log(seconds: float) -> float:
    return math.inf if math.isinf(seconds) else math.log(max(seconds, 1e-9))


def evidences(found: Sequence[float]) -> Iterator[float]:
    """The evidence against both being equally fast after each pair, of differences that are symmetric where they are."""
    return (slower + faster for slower, faster in sides(found))


def sides(found: Sequence[float]) -> Iterator[tuple[float, float]]:
    """The parts of the evidence that say the first target is slower, and that it is faster, after each pair."""
    seen: list[float] = []
    wealth = dict.fromkeys((*STAKES, *(-stake for stake in STAKES)), 0.0)
    for one in found:
        size = abs(one)
        insort(seen, size)
        rank = (bisect_right(seen, size) - 0.5) / len(seen)
        if one:
            for stake in wealth:
                wealth[stake] += math.log1p(stake * math.copysign(rank, one))
        won = {stake: math.exp(one) / len(wealth) for stake, one in wealth.items()}
        yield math.fsum(won[stake] for stake in STAKES), math.fsum(won[-stake] for stake in STAKES)


def centre(found: Sequence[float]) -> float:
    """The pseudo-median: the median of the means of every two values; of opposite infinities that is nought."""
    means = (
        0.0 if math.isinf(one) and one == -other else (one + other) / 2
        for place, one in enumerate(found)
        for other in found[place:]
    )
    return statistics.median(means) if found else math.nan


def paired(found: Sequence[float], first: str, second: str) -> Pairing:
    """What the differences of some pairs say."""
    most, decided = 0.0, None
    word: Word = "undecided"
    for number, (slower, faster) in enumerate(sides(found), 1):
        most = max(most, slower + faster)
        if decided is None and slower + faster >= 1 / ALPHA:
            decided, word = number, "slower" if slower > faster else "faster"
    middle = centre(found)
    ratio = math.exp(middle) if math.isfinite(middle) else None
    low, high = _bounds(found, middle) if ratio is not None else (None, None)
    return Pairing(first, second, word, len(found), most, decided, ratio, low, high)


def _bounds(found: Sequence[float], middle: float) -> tuple[float | None, float | None]:
    """The ratios that the evidence does not reject; None for a side that it leaves open."""
    return tuple(_bound(found, middle, sign) for sign in (-1, 1))  # type: ignore[return-value] # two of them


def _bound(found: Sequence[float], middle: float, sign: int) -> float | None:
    inside, outside = middle, middle + sign * 8.0
    if not _rejected(found, outside) or _rejected(found, inside):
        return None
    for _ in range(30):
        between = (inside + outside) / 2
        inside, outside = (inside, between) if _rejected(found, between) else (between, outside)
    return math.exp(outside)


def _rejected(found: Sequence[float], effect: float) -> bool:
    return any(evidence >= 1 / ALPHA for evidence in evidences([one - effect for one in found]))


def compared(results: Sequence[RunResult], first: str, second: str) -> Pairing:
    """Which of two targets is faster, by the live runs that measured both."""
    ordered = sorted(results, key=lambda one: str(one.document["run"]["started_at"]))
    modes = {str(one.document["run"]["mode"]) for one in ordered}
    if not modes <= {"live", "record"}:
        word = min(modes - {"live", "record"})
        return _nothing(first, second, f"{MODES.get(word, word)} runs say nothing about how fast a provider is")
    fit = [one for one in ordered if one.document["run"]["audit"]["valid"]]
    found = list(differences(fit, first, second))
    if not found:
        return _nothing(first, second, "no valid run measured both: harness bench with both targets does")
    return paired(found, first, second)


def _nothing(first: str, second: str, reason: str) -> Pairing:
    return Pairing(first, second, "not comparable", 0, 1.0, None, None, None, None, reason)


def lines(found: Pairing) -> Iterator[str]:
    """What was found, for a terminal or a log."""
    first, second = text.visible(found.first, 80), text.visible(found.second, 80)
    if found.word == "not comparable":
        yield f"{first} and {second} are not comparable: {text.visible(found.reason)}"
        return
    pairs = text.count(found.pairs, "pair")
    if found.word == "undecided":
        yield f"{first} and {second}: undecided after {pairs} (evidence {found.evidence:.2f} of {1 / ALPHA:g})"
    else:
        yield f"{first} is {found.word} than {second}: decided with pair {found.decided} of {found.pairs}"
    if found.ratio is not None:
        bounds = ", ".join(
            part for part in (_side("at least", found.low), _side("at most", found.high)) if part
        )  # fmt: skip
        yield f"  it takes ×{found.ratio:.2f} as long, at the pseudo-median" + (
            f" ({bounds}, 95 % sure at any time)" if bounds else ""
        )


def _side(word: str, bound: float | None) -> str:
    return "" if bound is None else f"{word} ×{bound:.2f}"


def as_json(found: Pairing) -> Json:
    """The same as JSON."""
    return {
        "schema_version": 1,
        "first": found.first,
        "second": found.second,
        "verdict": found.word,
        "pairs": found.pairs,
        "evidence": round(found.evidence, 6),
        "decided": found.decided,
        "ratio": found.ratio,
        "low": found.low,
        "high": found.high,
        "reason": found.reason,
    }
