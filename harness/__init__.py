"""Conformance and benchmark test harness for hosted image-generation APIs.

``load`` reads a spec, ``plan`` says what to send, ``save_plan`` and ``load_plan`` keep that in a file, ``strategies`` draws
requests for tests of your own, ``lifecycle`` is a state machine over the jobs of a server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from harness import lifecycle, strategies
    from harness.model import Plan
    from harness.spec import Spec

__version__ = "0.1.0"
__all__ = ["__version__", "lifecycle", "load", "load_plan", "plan", "save_plan", "strategies"]


def load(target_or_path: str) -> Spec:
    """The spec of a shipped target, or of a file.

    Raises:
        UsageError: there is no such target, or the name stands for several.
        SpecError: the file cannot be used.
    """
    from harness.errors import UsageError
    from harness.spec import find

    found = find((str(target_or_path),))
    if len(found) != 1:
        targets = ", ".join(spec.target for spec in found)
        raise UsageError(f"{target_or_path!r} stands for several targets: use one of {targets}")
    return found[0]


def plan(spec: Spec, tier: str = "one-way", *, flow: str | None = None, seed: int = 0, explore: int = 0) -> Plan:
    """What would be sent to a target, in order, with what it costs by the spec's list price.

    ``explore`` more requests are drawn beyond the tier's rows.

    Raises:
        UsageError: the tier or the flow does not exist, or the price has no rate in USD.
        InputError: the spec allows no value of a parameter, or no request, that can be found.
    """
    from harness.config import Config
    from harness.targets import Request, flow_of, plan_of

    request = Request(source="live", flow=flow, tier=tier, seed=seed, explore=explore)
    return plan_of(spec, flow_of(spec, flow), request, Config())


def save_plan(plan: Plan, path: str | Path) -> None:
    """Write a plan to a file, as ``harness plan --json`` prints it.

    Raises:
        OutputError: it cannot be written.
    """
    from harness.planning.file import save

    save(plan, path)


def load_plan(path: str | Path, spec: Spec) -> Plan:
    """The plan of a target in a file.

    Raises:
        InputError: the file holds no plan of the target, or one of another version of its spec.
    """
    from harness.planning.file import load

    return load(path, spec)


def __getattr__(name: str) -> object:
    # Hypothesis is slow to import: only who asks for strategies pays for it.
    if name in ("lifecycle", "strategies"):
        import importlib

        return importlib.import_module(f"harness.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
