"""How often each check and each parameter of a target came to which verdict.

Rules
-----
* Computed from the judged cases and the spec, in one pass over the cases; a report only shows it.
* A finding that names a parameter counts against the value that the request gave it, and against no other. A value with
  which one request passed works; one that was only met beside other findings is ``masked``: nobody can say.
  A warning that every case of the target has (a link to another host, say) is about no value, and is left out.
* What the documents state of a parameter stands beside what was found, in the words of ``harness specs show``.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache

from harness import resources
from harness.model import VERDICT_ORDER, Finding, Json, Judged, Plan, Verdict, worst
from harness.spec import Parameter, Spec
from harness.spec.show import NONE, kind_of, values_of
from harness.strict import load_json, load_yaml

UNSENT = "unsent"
"""What stands for the verdict of a value or a fault that no request has had."""

MASKED = "masked"
"""What stands for the verdict of a value of which only requests that fail or warn for another reason are known."""

FEW = 3
"""Fewer warnings than this are no habit of the target's."""


def checks(judged: Sequence[Judged]) -> Json:
    """For how many cases each check came to which verdict, in the schema's order; one that never applied is left out."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in judged:
        for check, verdict in one.checks.items():
            counts[check][verdict.value] += 1
    known = _check_names()
    ordered = (*(name for name in known if name in counts), *sorted(set(counts) - set(known)))
    return {name: {verdict.value: counts[name][verdict.value] for verdict in VERDICT_ORDER} for name in ordered}


@cache
def _check_names() -> Sequence[str]:
    schema = load_json(resources.schema("report").read_bytes())
    names: list[str] = schema["$defs"]["check"]["enum"]
    return names


def parameters(spec: Spec, plan: Plan, judged: Sequence[Judged]) -> list[Json]:
    """What is documented of each parameter, and what became of its values and faults; faults of the whole request last.

    The order is the document's; a parameter that only the plan names follows those of the spec.
    """
    general = _general(judged)
    accepts, refuses = _values(plan, judged, general), _faults(judged, general)
    documented = {parameter.name: parameter for parameter in spec.parameters}
    names = dict.fromkeys([*documented, *plan.domains, *refuses])
    ordered = [name for name in names if name is not None] + ([None] if None in names else [])
    return [
        _parameter(name, documented.get(name or ""), accepts.get(name or "", {}), refuses.get(name, {}))
        for name in ordered
    ]


def documents(spec: Spec) -> list[Json]:
    """The documents that a spec cites: title, address, and SHA-256 where it is known."""
    cited = load_yaml(spec.text).value["x-harness"]["documents"].values()
    return [{"title": one["title"], "address": one["address"], "sha256": one.get("sha256")} for one in cited]


def _parameter(name: str | None, stated: Parameter | None, accepts: Json, refuses: Json) -> Json:
    counts = Counter(found["verdict"] for found in (*accepts.values(), *refuses.values()))
    tally = {word: counts[word] for word in (*(verdict.value for verdict in VERDICT_ORDER), MASKED, UNSENT)}
    return {"name": name, **_stated(stated), "tally": tally, "accepts": accepts, "refuses": refuses}


def _stated(parameter: Parameter | None) -> Json:
    """What the documents say of a parameter; nothing of one that they do not have."""
    if parameter is None:
        return {"role": None, "required": False, "type": "", "values": "", "default": None, "source": None}
    values, source = values_of(parameter.schema), parameter.source
    return {
        "role": parameter.role,
        "required": parameter.required,
        "type": kind_of(parameter.schema),
        "values": "" if values == NONE else values,
        "default": json.dumps(parameter.default, ensure_ascii=False) if "default" in parameter.schema else None,
        "source": {"document": source.document, "where": source.where, "states": source.states},
    }


def _general(judged: Sequence[Judged]) -> frozenset[str]:
    """The checks that warned about every case they applied to."""
    came = {check: one for check, one in checks(judged).items() if one["warn"] >= FEW}
    return frozenset(check for check, one in came.items() if one["warn"] == sum(one.values()))


def _own(one: Judged, general: frozenset[str]) -> Verdict:
    """A case's verdict without the warnings that every case has."""
    about = (f for f in one.findings if f.parameter or f.verdict is not Verdict.WARN or f.check not in general)
    return worst([found.verdict for found in about])


def _values(plan: Plan, judged: Sequence[Judged], general: frozenset[str]) -> Mapping[str, Json]:
    """Each parameter's labels, with what became of the cases that had them."""
    having: dict[tuple[str, str], list[Judged]] = defaultdict(list)
    for one in judged:
        if one.call is not None:
            for item in one.case.labels.items():
                having[item].append(one)
    return {
        name: {label: _value(having.get((name, label), ()), name, general) for label in labels}
        for name, labels in plan.domains.items()
    }


def _value(having: Sequence[Judged], parameter: str, general: frozenset[str]) -> Json:
    if not having:
        return {"verdict": UNSENT, "cases": 0}
    named = [found.verdict for one in having for found in one.findings if parameter in _blamed(found)]
    if named:
        return {"verdict": worst(named).value, "cases": len(having)}
    best = min((_own(one, general) for one in having), key=VERDICT_ORDER.index)
    return {"verdict": MASKED if best in (Verdict.WARN, Verdict.FAIL) else best.value, "cases": len(having)}


def _blamed(finding: Finding) -> Sequence[str]:
    """The parameters that a finding names: several where only their values together show it."""
    return finding.parameter.split(", ") if finding.parameter else ()


def _faults(judged: Sequence[Judged], general: frozenset[str]) -> Mapping[str | None, Json]:
    """The faults that should be refused, by their parameter; what asks about no parameter stands under None."""
    found: dict[str | None, dict[str, Json]] = defaultdict(dict)
    for one in judged:
        case = one.case
        if case.kind in ("reject", "probe", "repeat"):
            # What an id has after its target and parameter names the fault, and no other case.
            name = case.id.removeprefix(f"{case.target}/").removeprefix(f"{case.parameter}/")
            verdict = UNSENT if one.call is None else _own(one, general).value
            found[case.parameter][name] = {"verdict": verdict, "expect": case.expect, "case_id": case.id}
    return found
