"""What stands beneath a figure: a sentence for each thing that is drawn in it, and none for what is not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.metrics.cost import cost
from harness.report.results import TargetResult

CAPTIONS: Mapping[str, Sequence[tuple[str, str]]] = {
    "distributions": (
        ("", "The share of jobs that were done within a time."),
        ("several", "The other targets are drawn in grey."),
        (
            "",
            "The band is the 95 % interval at every quantile; where it runs to the edge, the sample has no bound there.",
        ),
    ),
    "jobs": (
        ("", "A dot is one job."),
        ("thinned", "Of more than 200 jobs it is an evenly spaced quantile."),
        ("polled", "A line through it: the interval that polling leaves open."),
        ("", "Band and bar: the median with its 95 % interval. Grey beneath: the middle half of the jobs."),
        ("late", "A triangle at the edge: a job that failed or hit the deadline."),
    ),
    "phases": (
        ("", "Median of each phase, end to end."),
        ("undivided", "Hatched: the total, where a phase is not separable."),
        ("", "The sum of medians is not the median of the sum."),
    ),
    "cost-latency": (
        ("", "Left is cheaper, lower is faster. Up and down: the 95 % interval of the median."),
        ("uncharged", "To the right: the cost if every charge that nobody can say was made."),
        ("assumed", "A ring instead of a disc: the price is assumed."),
        ("same-price", "Targets of one price stand side by side."),
    ),
    "timeline": (("", "Each bar is a job, in as many lanes as were in flight at once, in this order:"),),
}
"""The sentences of each figure, with the name of what has to be drawn for them; always where there is none."""

MANY = 200
"""Jobs beyond which a figure draws quantiles."""


def captions(targets: Sequence[TargetResult]) -> Mapping[str, str]:
    """The text beneath each figure."""
    there = drawn(targets)
    return {
        name: " ".join(sentence for needed, sentence in sentences if not needed or needed in there)
        for name, sentences in CAPTIONS.items()
    }


def drawn(targets: Sequence[TargetResult]) -> frozenset[str]:
    """What of that which only some runs have is drawn."""
    totals = [target.samples.get("total", ()) for target in targets]
    samples = [sample for total in totals for sample in total]
    prices = [target.summary["cost"]["usd_per_image"] for target in targets]
    known = [price for price in prices if price is not None]
    spent = [cost(one.call for one in target.judged if one.call is not None) for target in targets]
    there = {
        "several": len(targets) > 1,
        "thinned": any(len(total) > MANY for total in totals),
        "polled": any(sample.low < sample.high < math.inf for sample in samples),
        "late": any(math.isinf(sample.high) for sample in samples),
        "undivided": any(_undivided(target) for target in targets),
        "uncharged": any(one.usd_max > one.usd and one.images_delivered for one in spent),
        "assumed": any(
            "(assumed)" in t.summary["cost"]["price_source"] for t, p in zip(targets, prices, strict=True) if p
        ),
        "same-price": len(set(known)) < len(known),
        "polls": any(target.summary["polling"] for target in targets),
    }
    return frozenset(name for name, is_there in there.items() if is_there)


def _undivided(target: TargetResult) -> bool:
    latency = target.summary["latency"]
    parts = [latency.get(phase, {}).get("p50", {}).get("value") for phase in ("submit", "queue", "inference")]
    return bool(latency.get("total", {}).get("p50", {}).get("value")) and None in parts
