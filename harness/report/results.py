"""What was found out about each target: the values that every report is made from.

Rules
-----
* Computed from the history alone, by checks and metrics; a report adds nothing to it.
* Latency samples are kept with their intervals, so that a plot can show what is known and not only a midpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from harness.history import History
from harness.metrics.intervals import Sample
from harness.model import Json, Judged, Plan, RunKind
from harness.spec import Flow, Spec


@dataclass(frozen=True, slots=True)
class Shown:
    """One image that came back, the ``number``-th of its answer, with its request; None for what is not known.

    ``request`` maps parameters to their values as text, ready to be shown.
    """

    case_id: str
    verdict: str
    number: int
    of: int
    data: bytes | None
    format: str | None
    width: int | None
    height: int | None
    fault: str | None
    request: Mapping[str, str]


@dataclass(frozen=True)
class TargetResult:
    """Everything known about one target after a run.

    ``samples`` maps each phase to its durations, ``not_separable`` each phase that the flow cannot show to the reason.
    ``pictures`` are a few of the images that came back, ``summary`` is the target's object of report.json.
    """

    spec: Spec
    flow: Flow
    plan: Plan
    judged: tuple[Judged, ...]
    samples: Mapping[str, tuple[Sample, ...]]
    not_separable: Mapping[str, str]
    price_usd: Decimal
    base_url: str
    summary: Mapping[str, Json]
    pictures: tuple[Shown, ...] = ()


@dataclass(frozen=True)
class RunResult:
    """A whole run: report.json as a value, the results that it sums up, what is odd about its record, what it is for.

    ``history`` is the record itself, where the result was made from one.
    """

    document: Mapping[str, Json]
    targets: tuple[TargetResult, ...]
    notes: tuple[str, ...] = ()
    kind: RunKind = "check"
    history: History | None = None


__all__ = ["Judged", "RunResult", "Sample", "Shown", "TargetResult"]
