"""Plans in a file: what ``harness plan --json`` prints, read back to be sent later, by this machine or another.

Rules
-----
* One format: a plan stands in the file as in a run's history and beside a cassette (``history.plan_json``).
* A plan is tied to its spec by the hash of the spec's text. A spec that has changed is another contract: the plan is refused.
* What is read is checked before anything is sent; a case costs what an image costs today.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import get_args

from harness import __version__
from harness.errors import InputError, OutputError
from harness.history import plan_from, plan_json
from harness.model import Case, CaseKind, Expect, Json, Plan
from harness.spec import Spec
from harness.strict import StrictError, load_json

KINDS, EXPECTS = frozenset(get_args(CaseKind)), frozenset(get_args(Expect))


def dump(plans: Sequence[Plan], about: Mapping[str, Json] | None = None) -> str:
    """The text of some plans; ``about`` is what else is to be said of them, for who reads it."""
    head = {"harness_version": __version__, **(about or {})}
    return json.dumps({**head, "plans": [plan_json(plan) for plan in plans]}, ensure_ascii=False, indent=1) + "\n"


def save(plan: Plan, path: str | Path) -> None:
    """Write a plan to a file.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        Path(path).write_text(dump([plan]), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write the plan {path}: {error.strerror}") from None


def load(path: str | Path, spec: Spec) -> Plan:
    """A target's plan from a file.

    Raises:
        InputError: the file holds no plan of the target, or one of another version of its spec.
    """
    plans = _plans(Path(path))
    plan = next((one for one in plans if one.target == spec.target), None)
    if plan is None:
        held = ", ".join(one.target for one in plans) or "none"
        raise InputError(f"{path} holds no plan of {spec.target}: it has {held}")
    if plan.spec_sha256 != spec.sha256:
        raise InputError(
            f"{path} was planned for another version of {spec.path}, whose text has the SHA-256 {plan.spec_sha256[:12]}…, "
            f"not {spec.sha256[:12]}…: plan again with harness plan {spec.target} --json"
        )
    if plan.flow not in spec.flows:
        raise InputError(f"{path} was planned for the flow {plan.flow!r}, which {spec.target} lacks")
    return plan


def targets_in(path: Path) -> tuple[str, ...]:
    """The targets that a file has plans of.

    Raises:
        InputError: it holds no plans.
    """
    return tuple(plan.target for plan in _plans(path))


def priced(plan: Plan, usd_per_image: Decimal) -> Plan:
    """The same plan at another price; what asks for no image costs nothing."""
    cases = (replace(case, usd=usd_per_image * case.images) if case.images else case for case in plan.cases)
    return replace(plan, cases=tuple(cases))


def unsound(cases: Collection[Case]) -> str | None:
    """What of some cases is not as it is written, as a name; None where all is."""
    sound = {
        "kind": all(case.kind in KINDS for case in cases),
        "expect": all(case.expect in EXPECTS for case in cases),
        "images": all(type(case.images) is int and case.images >= 0 for case in cases),
        "usd": all(case.usd.is_finite() and case.usd >= 0 for case in cases),
        "id": len({case.id for case in cases if str(case.id).startswith(f"{case.target}/")}) == len(cases),
        "body": all(isinstance(case.body, dict) for case in cases),
    }
    return next((name for name, holds in sound.items() if not holds), None)


def _plans(path: Path) -> list[Plan]:
    try:
        value = load_json(path.read_bytes())
        plans = [plan_from(one) for one in (value["plans"] if "plans" in value else [value["plan"]])]
        wrong = next((name for plan in plans if (name := unsound(plan.cases)) is not None), None)
    except OSError as error:
        raise InputError(f"cannot read the plan {path}: {error.strerror}") from None
    except StrictError as error:
        raise InputError(f"{path} is no plan: {error.message}") from None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InputError(f"{path} is no plan: {type(error).__name__} at {error}") from None
    if wrong is not None:
        raise InputError(f"{path} is no plan: the {wrong} of a case is not what it has to be")
    return plans
