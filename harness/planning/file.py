"""Plans in a file: what ``harness plan --json`` prints, read back to be sent later, by this machine or another.

Rules
-----
* One format: a plan stands in the file as in a run's history and beside a cassette (``history.plan_json``).
* A plan is tied to its spec by the hash of the spec's text. A spec that has changed is another contract: the plan is refused.
* What is read is checked before anything is sent; a case costs what the images that its body asks for cost today.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import get_args

from harness import __version__
from harness.errors import InputError, OutputError
from harness.flow import JOB, UNKNOWN_JOB
from harness.history import plan_from, plan_json
from harness.model import SUBMIT_PROBE, Case, CaseKind, Expect, Json, Plan
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


def priced(plan: Plan, spec: Spec, usd_per_image: Decimal) -> Plan:
    """The same plan at another price. A case costs the images that its body asks for, whatever the file says of it."""
    return replace(plan, cases=tuple(_priced(case, spec, usd_per_image) for case in plan.cases))


def _priced(case: Case, spec: Spec, usd_per_image: Decimal) -> Case:
    # More than a body asks for is what whoever rounds a fraction makes of it; no body is a question about a job.
    images = 0 if UNKNOWN_JOB in case.probes else max(case.images, spec.images_asked(case.body))
    return replace(case, images=images, usd=usd_per_image * images if images else Decimal(0))


def unsound(plan: Plan) -> str | None:
    """What of a plan is not as it is written, as a name; None where all is."""
    cases, domains = plan.cases, plan.domains
    sound = {
        "target": isinstance(plan.target, str),
        "flow": isinstance(plan.flow, str),
        "tier": isinstance(plan.tier, str),
        "seed": type(plan.seed) is int,
        "domains": _is_object(domains) and all(map(_is_text_by_text, domains.values())),
        "kind of a case": all(case.kind in KINDS for case in cases),
        "expect of a case": all(case.expect in EXPECTS for case in cases),
        "images of a case": all(type(case.images) is int and case.images >= 0 for case in cases),
        "usd of a case": all(case.usd.is_finite() and case.usd >= 0 for case in cases),
        "id of a case": len({case.id for case in cases if str(case.id).startswith(f"{plan.target}/")}) == len(cases),
        "body of a case": all(_is_object(case.body) for case in cases),
        "why of a case": all(isinstance(case.why, str) for case in cases),
        "silent of a case": all(isinstance(case.silent, bool) for case in cases),
        "parameter or fault of a case": all(
            isinstance(name, str | None) for case in cases for name in (case.parameter, case.fault)
        ),
        "probes of a case": all(
            name in (JOB, UNKNOWN_JOB) or str(name).startswith(SUBMIT_PROBE) for case in cases for name in case.probes
        ),
        "labels of a case": all(_is_text_by_text(case.labels) for case in cases),
    }
    wrong = next((name for name, holds in sound.items() if not holds), None)
    if wrong is None and any(
        label not in domains.get(name, {}) for case in cases for name, label in case.labels.items()
    ):
        return "labels of a case"
    return wrong


def _is_object(value: Json) -> bool:
    return isinstance(value, dict)


def _is_text_by_text(value: Json) -> bool:
    return _is_object(value) and all(isinstance(text, str) for text in value.values())


def _plans(path: Path) -> list[Plan]:
    try:
        value = load_json(path.read_bytes())
        plans = [plan_from(one) for one in (value["plans"] if "plans" in value else [value["plan"]])]
        wrong = next((name for plan in plans if (name := unsound(plan)) is not None), None)
    except OSError as error:
        raise InputError(f"cannot read the plan {path}: {error.strerror}") from None
    except StrictError as error:
        raise InputError(f"{path} is no plan: {error.message}") from None
    except LookupError as error:
        raise InputError(
            f"{path} is no plan: {error} is missing in it; write it anew with harness plan --json"
        ) from None
    except (TypeError, ValueError, AttributeError, ArithmeticError):
        wrong = "list of cases"
    if wrong is not None:
        raise InputError(
            f"{path} is no plan: its {wrong} is not what it has to be; write it anew with harness plan --json"
        )
    if len({plan.target for plan in plans}) < len(plans):
        raise InputError(f"{path} has two plans of one target: leave one in it")
    return plans
