"""The plan that a cassette answers, frozen beside it: a replay reads it and plans nothing.

Rules
-----
* It holds every case with its body, why it exists and what it costs; what the run decided on its way (a confirmation,
  an isolation) as further calls; the seed, the audit, the price and the versions of the recording.
* It is tied to the cassette by its hash, which every interaction there carries, and to the spec by hashes of what the
  spec requires: of each parameter, and of everything else. Comments and descriptions are no part of these hashes.
* When the spec has changed, the sentence names a case, the place in the document, and what to run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from harness.history import plan_from, plan_json
from harness.model import Case, Json, Plan
from harness.planning.file import unsound
from harness.planning.reconsider import reconsidered
from harness.spec import Spec
from harness.spec.contract import AT
from harness.strict import load_json, load_yaml
from harness.traffic import DEFAULT, Conduct, conduct_from

FORMAT = 1
AUDITED = ("loop_lag_p99_s", "start_lag_p99_s", "cpu_share")
"""The figures of an audit; each may be None."""
PROSE = frozenset(
    {
        "title", "description", "summary", "states", "where", "document", "documents", "source", "places", "note",
        "price", "interactions",
    }
)  # fmt: skip
"""Members that explain, price or guide planning; what they say does not change what a recorded plan sends, nor what must
come back."""
NAMES = frozenset({"properties", "patternProperties", "$defs", "schemas", "paths", "parameters", "flows", "errors"})
"""Members whose own members are names, and may be called like a prose member."""


@dataclass(frozen=True, slots=True)
class FrozenCall:
    """One call of the recorded run.

    ``interactions`` is how many exchanges the cassette has of it; ``expired`` says that its deadline ended it;
    ``cut_off`` is why its submit has no answer, where a kill or a signal was the reason. ``derived`` names why it was made
    beyond the plan; ``body`` and ``images`` then say what was sent. ``segment`` is that of ``model.Call``.
    """

    call: str
    case_id: str
    interactions: int
    expired: bool = False
    cut_off: str | None = None
    derived: str | None = None
    images: int | None = None
    body: Mapping[str, Json] | None = None
    segment: int | None = 0

    def case(self, planned: Case) -> Case:
        """The planned case as it was sent."""
        return planned if self.body is None else planned.sent_as(self.body, self.images or planned.images)


@dataclass(frozen=True)
class Frozen:
    """A recording without its answers. ``contract`` maps each parameter, and ``""`` for the rest, to a hash."""

    plan: Plan
    calls: tuple[FrozenCall, ...]
    contract: Mapping[str, str]
    base_url: str
    recorded_from: str
    recorded_at: str
    versions: Mapping[str, str]
    usd_per_image: Decimal
    price_source: str
    concurrency: int
    deadline_seconds: float
    schedule: Json
    audit: Json
    conduct: Conduct = DEFAULT

    @property
    def sha256(self) -> str:
        """The hash by which a cassette names its plan: of the value, however its text is laid out."""
        text = json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def as_json(self) -> Json:
        """The value that stands in the file; ``from_json`` is its inverse."""
        return {
            "format": FORMAT,
            "target": self.plan.target,
            "recorded": {"from": self.recorded_from, "at": self.recorded_at, "versions": dict(self.versions)},
            "contract": dict(self.contract),
            "base_url": self.base_url,
            "price": {"usd_per_image": str(self.usd_per_image), "source": self.price_source},
            "options": {
                "concurrency": self.concurrency,
                "deadline_s": self.deadline_seconds,
                "schedule": self.schedule,
                **({} if self.conduct == DEFAULT else {"conduct": self.conduct.as_json()}),
            },
            "audit": self.audit,
            "plan": plan_json(self.plan),
            "calls": [_call_json(call) for call in self.calls],
        }

    def dump(self) -> bytes:
        """The file's bytes: one case and one call a line, so that a changed plan reads well in a diff."""
        value = self.as_json()
        cases, calls = value["plan"].pop("cases"), value.pop("calls")
        head = json.dumps(value, ensure_ascii=False, indent=1)[: -len("\n}\n}")]
        return f'{head},\n  "cases": [\n{_lines(cases)}\n]}},\n "calls": [\n{_lines(calls)}\n]}}\n'.encode()


def _lines(values: list[Json]) -> str:
    return ",\n".join(json.dumps(value, ensure_ascii=False) for value in values)


def _call_json(call: FrozenCall) -> Json:
    row: dict[str, Json] = {"call": call.call, "case_id": call.case_id, "interactions": call.interactions}
    if call.expired:
        row["expired"] = True
    if call.cut_off is not None:
        row["cut_off"] = call.cut_off
    if call.derived is not None:
        row |= {"derived": call.derived, "images": call.images, "body": dict(call.body or {})}
    if call.segment != 0:
        row["segment"] = call.segment
    return row


def from_json(data: bytes) -> Frozen:
    """The frozen plan in a file's bytes.

    Raises:
        StrictError: they are not strict JSON.
        LookupError, TypeError, ValueError, ArithmeticError: they are no frozen plan.
    """
    value = load_json(data)
    if value["format"] != FORMAT:
        raise ValueError(f"format {value['format']}")
    frozen = _frozen(value)
    _require_sound(frozen)
    return frozen


def _require_sound(frozen: Frozen) -> None:
    """Refuse what has another type or word than ``dump`` writes: a replay would trip over it later, far from here."""
    date, audit = datetime.fromisoformat(frozen.recorded_at), frozen.audit
    sound = {
        "recorded.from": frozen.recorded_from in ("live", "simulator"),
        "recorded.at": date.tzinfo is not None,
        "price": frozen.usd_per_image.is_finite()
        and frozen.usd_per_image >= 0
        and isinstance(frozen.price_source, str),
        "options.concurrency": type(frozen.concurrency) is int and frozen.concurrency > 0,
        "options.deadline_s": type(frozen.deadline_seconds) in (int, float) and frozen.deadline_seconds > 0,
        "options.schedule": isinstance(frozen.schedule, dict),
        "audit": isinstance(audit["valid"], bool)
        and isinstance(audit["reasons"], list)
        and all(type(audit[name]) in (int, float, type(None)) for name in AUDITED),
        "base_url": isinstance(frozen.base_url, str),
        "calls: a segment": all(call.segment is None or type(call.segment) is int for call in frozen.calls),
        "contract": all(isinstance(text, str) for text in frozen.contract.values()),
        f"plan: {unsound(frozen.plan)}": unsound(frozen.plan) is None,
    }
    for name, holds in sound.items():
        if not holds:
            raise ValueError(f"{name} is not what it has to be")


def _frozen(value: Json) -> Frozen:
    return Frozen(
        plan=plan_from(value["plan"]),
        calls=tuple(FrozenCall(**row) for row in value["calls"]),
        contract=value["contract"],
        base_url=value["base_url"],
        recorded_from=value["recorded"]["from"],
        recorded_at=value["recorded"]["at"],
        versions=value["recorded"]["versions"],
        usd_per_image=Decimal(value["price"]["usd_per_image"]),
        price_source=value["price"]["source"],
        concurrency=value["options"]["concurrency"],
        deadline_seconds=value["options"]["deadline_s"],
        schedule=value["options"]["schedule"],
        audit=value["audit"],
        conduct=conduct_from(value["options"].get("conduct")),
    )


def contract_of(spec: Spec) -> Mapping[str, str]:
    """Hashes of what a spec requires: of each parameter, and under ``""`` of everything else."""
    parameters = {
        parameter.name: _hash([_bare(parameter.schema), parameter.required, parameter.role, parameter.detail])
        for parameter in spec.parameters
    }
    return {**parameters, "": _hash([_without_request(spec), dict(spec.constants)])}


def _without_request(spec: Spec) -> Json:
    """A spec document without its prose, and without the request's parameters, which have hashes of their own."""
    bare = _bare(load_yaml(spec.text).value)
    node = bare
    for part in str(spec.input_schema[AT]).removeprefix("#/").split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    node.pop("properties", None)
    return bare


def _bare(value: Json, *, names: bool = False) -> Json:
    if isinstance(value, Mapping):
        kept = {name: inner for name, inner in value.items() if names or (name not in PROSE and name != AT)}
        return {name: _bare(inner, names=name in NAMES and not names) for name, inner in kept.items()}
    if isinstance(value, (list, tuple)):
        return [_bare(item) for item in value]
    return value


def _hash(value: Json) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def changed(contract: Mapping[str, str], spec: Spec) -> list[str]:
    """The parameters of which a spec requires something else than a contract; ``""`` for anything else in it."""
    today = contract_of(spec)
    return [name for name in {**today, **contract} if today.get(name) != contract.get(name)]


def disagreement(frozen: Frozen, spec: Spec) -> str | None:
    """How a spec differs from the one that a recording was made for, as half a sentence; None when it does not.

    It names a case whose expectation has changed where there is one, and the place in the document.
    """
    names = changed(frozen.contract, spec)
    for name in filter(None, names):
        parameter = next((one for one in spec.parameters if one.name == name), None)
        if parameter is None:
            return f"and has no parameter {name} any more, which {_about(frozen, name).id} was recorded with"
        case, why = _affected(frozen, spec, name)
        source = parameter.source
        return f"in {name}, and with it {case.id}: {why}; {source.document}, {source.where}: {source.states}"
    return f"beside its parameters, and with it {frozen.plan.cases[0].id}" if names else None


def _about(frozen: Frozen, name: str) -> Case:
    """A case about a parameter, else one that sends it, else any."""
    cases = frozen.plan.cases
    about = next((case for case in cases if case.parameter == name), None)
    return about or next((case for case in cases if name in case.body), cases[0])


def _affected(frozen: Frozen, spec: Spec, name: str) -> tuple[Case, str]:
    """The first case that the document now expects something else of, and why; else one with the parameter."""
    for case in frozen.plan.cases:
        today = reconsidered(case, spec, {name})
        if today.kind != case.kind:
            said = "not allowed any more" if today.kind == "reject" else "allowed now"
            return case, f"it sends {_shown(case.body.get(name))}, which is {said}"
    return _about(frozen, name), "it was planned for the former one"


def _shown(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"
