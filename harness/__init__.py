"""Conformance and benchmark test harness for hosted image-generation APIs.

``load`` reads a spec, ``plan`` says what to send, ``strategies`` draws requests for tests of your own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness import strategies
    from harness.model import Plan
    from harness.spec import Spec

__version__ = "0.1.0"
__all__ = ["__version__", "load", "plan", "strategies"]


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


def plan(spec: Spec, tier: str = "one-way", *, flow: str | None = None, seed: int = 0) -> Plan:
    """What would be sent to a target, in order, with what it costs by the spec's list price.

    Raises:
        UsageError: the tier or the flow does not exist, or the price has no rate in USD.
    """
    from harness.config import Config
    from harness.targets import Request, flow_of, plan_of

    request = Request(source="simulate", flow=flow, tier=tier, seed=seed)
    return plan_of(spec, flow_of(spec, flow), request, Config())


def __getattr__(name: str) -> object:
    # Hypothesis is slow to import: only who asks for strategies pays for it.
    if name == "strategies":
        import importlib

        return importlib.import_module("harness.strategies")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
