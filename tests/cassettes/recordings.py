"""Recordings for tests: made in virtual time from the simulator in this process, written and replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from harness import run
from harness.cassettes import Slot, compact, under_documented_origins
from harness.config import Config
from harness.history import History, MemoryJournal, read
from harness.report import document
from harness.spec import Spec
from harness.targets import Request, targets_of
from tests.calls import SPECS, TODAY, simulated

FAL = "fal/flux-pro-kontext-multi"
EXEMPT = ("id", "started_at", "finished_at", "command", "mode")


@cache
def recording(target: str = FAL, *, fault: str | None = None, **narrowed: Any) -> History:
    """The history of a recording run of a target, as its cassettes keep it."""
    from harness.simulator import planted

    spec = SPECS[target]
    variations, settings = planted([spec], replace(TODAY, seed=7), [fault] if fault else [])
    done = simulated(Request("record", seed=3, **narrowed), spec, settings=settings, variations=variations)
    return under_documented_origins(done.history, {target: spec})


def kept(history: History, root: Path, spec: Spec | None = None) -> Slot:
    """The cassette of a recording, written under a root."""
    (plan,) = history.plans
    slot = Slot(root, plan.target)
    compact(history, {plan.target: spec or SPECS[plan.target]}, {plan.target: slot})
    return slot


def replayed_history(spec: Spec, root: Path) -> History:
    """The history of a replay, kept in memory."""
    request, journal = Request("replay", cassettes=root), MemoryJournal()
    run.replay_into(journal, "replay-1", targets_of([spec], request, Config(), {}), request)
    return journal.history()


def replayed(spec: Spec, root: Path, out: Path, **more: Any) -> run.Finished:
    """A replay of a spec's cassette under a root, into a run directory."""
    return run.check([spec], Request("replay", cassettes=root, out=out, **more), Config(), {})


def steady(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """A report without what two replays of one cassette differ in."""
    return {**report, "run": {name: value for name, value in report["run"].items() if name not in EXEMPT}}


def report_of(history: History) -> Mapping[str, Any]:
    """A history's report, without what a replay differs in."""
    specs = {plan.target: SPECS[plan.target] for plan in history.plans}
    return steady(document.build(history, specs).document)


def instants(history: History) -> list[tuple[Any, ...]]:
    """Every exchange's instants, counted from the start of the run, call by call."""
    start = history.header["anchor_ns"]
    return [
        (
            e.case_id,
            e.step,
            e.attempt,
            e.intended_ns - start,
            e.sent_ns - start,
            None if e.first_byte_ns is None else e.first_byte_ns - start,
            e.received_ns - start,
        )
        for call in history.calls
        for e in call.exchanges
    ]


__all__ = ["FAL", "instants", "kept", "read", "recording", "replayed", "report_of", "steady"]
