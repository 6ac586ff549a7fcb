"""What a changed spec means for the plan, for old verdicts and for recordings.

Rules
-----
* Nothing is sent and nothing is judged here: plans are made anew from both specs, and what the old plan's cases are
  expected to do is asked of the new one, as ``recheck`` would.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from harness import planning
from harness.cassettes import changed, contract_of
from harness.metrics.cost import Rate, in_usd
from harness.model import Plan
from harness.planning.reconsider import reconsidered
from harness.report import text
from harness.spec import Spec
from harness.spec.diff import Difference, differences, level


@dataclass(frozen=True)
class Consequences:
    """Two specs, how they differ, and what follows.

    ``added`` and ``removed`` are cases of the plan; ``judged_anew`` are cases of the old plan of which the new spec expects
    something else; ``unplayable`` are the parameters for which recordings of the old spec are refused, ``""`` for the rest.
    """

    old: Spec
    new: Spec
    differences: tuple[Difference, ...]
    tier: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    usd: tuple[Decimal, Decimal]
    judged_anew: Mapping[str, str]
    unplayable: tuple[str, ...]

    @property
    def reads_otherwise(self) -> bool:
        """Whether answers are judged by other rules: old verdicts on them do not stand."""
        return any(one.area in _JUDGING and one.level != "no effect" for one in self.differences)


_JUDGING = frozenset({"answer", "error", "flow", "key", "source", "ambiguity", "spec"})
"""The areas of differences on which it depends how an answer is judged."""


def consequences(old: Spec, new: Spec, tier: str, rates: Mapping[str, Rate]) -> Consequences:
    """Compare two specs and what is planned from them.

    Raises:
        UsageError: a price has no rate in USD.
    """
    before, after = _plan(old, tier, rates), _plan(new, tier, rates)
    names = tuple(changed(contract_of(old), new))
    anew = {
        case.id: f"{now.expect} instead of {case.expect}"
        for case in before.cases
        if (now := reconsidered(case, new, names)).expect != case.expect
    }
    ids = [[case.id for case in plan.cases] for plan in (before, after)]
    return Consequences(
        old=old,
        new=new,
        differences=differences(old, new),
        tier=tier,
        added=tuple(name for name in ids[1] if name not in set(ids[0])),
        removed=tuple(name for name in ids[0] if name not in set(ids[1])),
        usd=(before.usd, after.usd),
        judged_anew=anew,
        unplayable=names,
    )


def _plan(spec: Spec, tier: str, rates: Mapping[str, Rate]) -> Plan:
    usd = in_usd(spec.price, rates).amount
    return planning.build(spec, flow=spec.default_flow, tier=tier, usd_per_image=usd)


def lines(found: Consequences) -> Iterator[str]:
    """The differences and what follows, for a terminal or a log."""
    grave = level(found.differences)
    yield f"{text.visible(found.new.target, 80)}: {text.count(len(found.differences), 'difference')}, {grave}"
    for one in found.differences:
        yield f"  {one.level}: {one.area}: {text.visible(one.message)}  [{text.visible(one.at, 120)}]"
    yield ""
    yield f"the {found.tier} plan: {_counted(found.added, 'case')} more, {_counted(found.removed, 'case')} fewer"
    yield f"  it costs USD {found.usd[1]:.4f} instead of {found.usd[0]:.4f}"
    yield from (f"  new: {text.visible(name, 120)}" for name in found.added[:MOST])
    yield from (f"  gone: {text.visible(name, 120)}" for name in found.removed[:MOST])
    yield _verdicts(found)
    yield from (f"  {text.visible(name, 120)}: {how}" for name, how in list(found.judged_anew.items())[:MOST])
    yield _recordings(found)


MOST = 20
"""Cases that are listed; the JSON has them all."""


def _counted(names: tuple[str, ...], noun: str) -> str:
    return text.count(len(names), noun)


def _verdicts(found: Consequences) -> str:
    if found.reads_otherwise:
        return (
            "old verdicts do not stand, as answers are judged otherwise: harness recheck RUN judges them anew, for free"
        )
    if not found.judged_anew:
        return "old verdicts stand: no case is expected to end otherwise, and no answer is judged otherwise"
    number = text.count(len(found.judged_anew), "case")
    return f"old verdicts on {number} do not stand: harness recheck RUN judges them by the new spec, for free"


def _recordings(found: Consequences) -> str:
    if not found.unplayable:
        return "recordings made by the old spec replay as they are"
    names = ", ".join(text.visible(name, 60) or "the rest of the spec" for name in found.unplayable)
    return f"recordings made by the old spec are refused because of {names}: record again, or harness recheck CASSETTE"


def as_json(found: Consequences) -> str:
    """The same as JSON."""
    specs = {
        name: {"target": spec.target, "path": str(spec.path), "sha256": spec.sha256}
        for name, spec in (("old", found.old), ("new", found.new))
    }
    value = {
        "schema_version": 1,
        **specs,
        "level": level(found.differences),
        "differences": [
            {"level": one.level, "area": one.area, "message": one.message, "at": one.at} for one in found.differences
        ],
        "plan": {
            "tier": found.tier,
            "added": list(found.added),
            "removed": list(found.removed),
            "usd": {"old": float(found.usd[0]), "new": float(found.usd[1])},
        },
        "verdicts": {
            "stand": not found.judged_anew and not found.reads_otherwise,
            "judged_anew": dict(found.judged_anew),
        },
        "recordings": {"replay": not found.unplayable, "changed": list(found.unplayable)},
    }
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
