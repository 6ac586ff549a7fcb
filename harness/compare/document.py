"""A comparison as JSON, by ``compare.schema.json``, and the phrases that people read of it.

Rules
-----
* Key order is fixed; effects are ratios, of ``errors`` differences of shares; nothing is rounded to look better.
* A regression says its effect and how sure it is; what is inconclusive says what would decide it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from harness.compare.drift import Accepted, Change, Said
from harness.compare.names import MODES
from harness.compare.numbers import Metric
from harness.compare.power import Needed
from harness.compare.verdicts import Comparison, TargetVerdict
from harness.model import Json
from harness.report import text

SCHEMA_VERSION = 1
WEIGHTS = {
    "regressed": "new failure",
    "unconfirmed": "may be a new failure",
    "intermittent": "fails now and then",
    "not asked before": "fails; the baseline never asked",
    "accepted": "accepted failure",
    "told": "",
}


def as_json(found: Comparison) -> Json:
    """The comparison's document."""
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": found.word,
        "exit_status": found.exit_status,
        "tolerance": found.tolerance,
        "across": list(found.across),
        "expired": [_accepted(one) for one in found.expired],
        "targets": {one.target: _target(one) for one in found.targets},
    }


def dump(found: Comparison) -> str:
    """The document's text."""
    return json.dumps(as_json(found), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _accepted(one: Accepted) -> Json:
    return {"id": one.fingerprint.id, "check": one.fingerprint.check, "target": one.fingerprint.target,
            "parameter": one.fingerprint.parameter or None, "class": one.fingerprint.kind or None,
            "reason": one.reason, "until": one.until.isoformat()}  # fmt: skip


def _target(one: TargetVerdict) -> Json:
    return {
        "verdict": one.word,
        "reason": one.reason,
        "mode": one.mode,
        "baseline": list(one.baseline),
        "candidates": list(one.candidates),
        "left_out": dict(one.left_out),
        "latency": {"not_judged": one.unmeasured or None, "metrics": [_metric(each) for each in one.metrics]},
        "drift": {
            "findings": [_change(each) for each in one.drift.changes],
            "answers": [_said(each) for each in one.drift.answers],
            "refusals": [_said(each) for each in one.drift.refusals],
            "fields": {"appeared": list(one.drift.appeared), "vanished": list(one.drift.vanished)},
        },
    }


def _metric(one: Metric) -> Json:
    numbers = {name: getattr(one, name) for name in ("baseline", "candidate", "effect", "low", "high", "detectable")}
    return {
        "name": one.name,
        "verdict": one.word,
        "unit": one.unit,
        **{name: None if value is None else round(value, 6) for name, value in numbers.items()},
        "needed": None
        if one.needed is None
        else {"baseline": one.needed.baseline, "runs": one.needed.runs, "requests": one.needed.requests},
        "reason": one.reason,
    }


def _change(one: Change) -> Json:
    name = one.fingerprint
    return {
        "change": one.kind,
        "weight": one.weight,
        "id": name.id,
        "check": name.check,
        "parameter": name.parameter or None,
        "class": name.kind or None,
        "before": None if one.before is None else {"verdict": one.before.verdict, "message": one.before.message},
        "after": None if one.after is None else {"verdict": one.after.verdict, "message": one.after.message},
        "cases": list((one.after or one.before).cases) if one.after or one.before else [],  # type: ignore[union-attr] # one is there
        "seen": one.seen,
        "sends": one.sends,
        "reason": one.reason,
    }


def _said(one: Said) -> Json:
    return {"case": one.case, "before": one.before, "after": one.after}


# ---------------------------------------------------------------- phrases


def value(one: Metric, number: float | None) -> str:
    """A number with its unit."""
    if number is None:
        return text.NOTHING
    if one.unit == "share":
        return f"{number * 100:.1f} %"
    return text.seconds(number) if one.unit == "s" else f"{text.usd(number)} per image"


def effect(one: Metric) -> str:
    """How much it changed, and between which bounds that lies."""
    if one.effect is None or one.low is None or one.high is None:
        return text.NOTHING
    if one.unit == "share":
        return f"{one.effect * 100:+.1f} points ({one.low * 100:+.1f} to {one.high * 100:+.1f})"
    return f"×{one.effect:.2f} ({one.low:.2f}–{one.high:.2f})"


def detectable(one: Metric) -> str:
    """The least change that these runs would have shown."""
    if one.detectable is None:
        return text.NOTHING
    return f"{one.detectable * 100:+.1f} points" if one.unit == "share" else f"×{one.detectable:.2f}"


def needed(one: Needed | None, change: float) -> str:
    """What would show a change, as half a sentence."""
    if one is None:
        return ""
    runs, requests = text.count(one.runs, "run"), text.count(one.requests, "request")
    against = text.count(one.baseline, "baseline run")
    return f"{runs} of {requests} against {against} would show ×{change:.2f}"


def why(one: Metric, tolerance: float) -> str:
    """What else is to be said of a number."""
    more = needed(one.needed, (1 + tolerance) ** 2)
    return "; ".join(part for part in (one.reason, more) if part)


def changes(target: TargetVerdict) -> Iterator[tuple[str, str]]:
    """What changed in a target's answers: how it is weighed, and what it is; texts from outside as they came."""
    for one in target.drift.changes:
        yield _heading(one), _told(one)
    for said in target.drift.answers:
        yield f"now {said.after}", f"{said.case} (was {said.before})"
    for said in target.drift.refusals:
        yield "other words", f"{said.case}: {said.before} → {said.after}"
    for name in target.drift.appeared:
        yield "undocumented field", f"{name} has appeared"
    for name in target.drift.vanished:
        yield "undocumented field", f"{name} has vanished"


def _heading(one: Change) -> str:
    sends = f" ({one.seen} of {text.count(one.sends, 'send')})" if one.sends > 1 or one.weight == "unconfirmed" else ""
    if one.weight == "told":
        found = one.after or one.before
        return f"{one.kind} {found.verdict if found else ''}"
    return WEIGHTS[one.weight] + sends


def _told(one: Change) -> str:
    found, name = one.after or one.before, one.fingerprint
    about = " ".join(part for part in (name.parameter, name.kind) if part)
    said = found.message if found else ""
    was = f" (was {one.before.verdict}: {one.before.message})" if one.before and one.after else ""
    reason = f"; {one.reason}" if one.reason else ""
    return f"{name.check}{f' [{about}]' if about else ''}: {said}{was}{reason} #{name.id}"


def summary(target: TargetVerdict) -> str:
    """A target's verdict and reason, with what it rests on."""
    runs = f"{text.count(len(target.baseline), 'baseline run')}, {text.count(len(target.candidates), 'candidate run')}"
    said = f"{target.word}: {target.reason}" if target.reason else target.word
    return f"{said} ({MODES.get(target.mode, target.mode)}; {runs})"


def notes(found: Comparison) -> Sequence[str]:
    """What has to be known about a comparison as a whole."""
    across = [f"compared although these may differ: {', '.join(found.across)}"] if found.across else []
    expired = [
        f"no longer accepted since {one.until}: {one.fingerprint.check} #{one.fingerprint.id} ({one.reason})"
        for one in found.expired
    ]
    return [*across, *expired]
