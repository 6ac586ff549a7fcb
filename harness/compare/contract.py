"""What a run found out about a contract, in a form in which two runs can be told apart.

Rules
-----
* A finding's **fingerprint** is check, endpoint, parameter and class: the fault of a reject, the class of the value of a
  valid request, the rule and its place in the answer where a check names them (``PLACED``), else the place in the
  document. The same promise broken the same way has the same fingerprint in every run, whatever a provider says.
* What a provider says is compared apart, with everything masked in it that differs from request to request: addresses,
  identifiers, long numbers. Short numbers stay: a limit in a message is part of the contract.
* Answers are kept by **question**: of a check that is the case, of a bench what all its prompts have in common. Another
  seed is then asked the same.
* A check is **undecided** on a question where its verdict was unknown; where no answer came, so is every check that did not
  come to a verdict: what did not apply to a lost request was not asked.
* Undocumented fields are told by path. Below a free-form object nothing is undocumented.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from harness.checks import CHECKS
from harness.checks.evidence import Evidence
from harness.flow import Route, body_json
from harness.model import VERDICT_ORDER, Call, Finding, Json, Judged, Outcome, Plan, Verdict
from harness.planning.workload import question
from harness.report.results import TargetResult

MOST_CASES, MOST_FIELDS, MESSAGE = 5, 100, 160
PLACED = frozenset({
    "response_schema_conformance", "error_shape", "url_origin", "status_code_conformance", "content_type_conformance",
})  # fmt: skip
"""Checks whose messages are made of the document's own rules and places, and of nothing that a provider says."""
_MASKS = (
    (re.compile(r"\b(?:https?|data):[^\s\"'<>]+"), "<url>"),
    (re.compile(r"\b[0-9a-f]{4,}(?:-[0-9a-f]{4,})+\b|\b(?=[a-z_-]*[0-9])[0-9a-z_-]{12,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\d{6,}(?:\.\d+)?"), "<number>"),
)


@dataclass(frozen=True, slots=True, order=True)
class Fingerprint:
    """Which promise is broken how; ``parameter`` and ``kind`` (the class) are empty where there is none."""

    check: str
    target: str
    parameter: str
    kind: str

    @property
    def id(self) -> str:
        """A short name of it, as ``harness baseline --accept`` takes it."""
        whole = json.dumps([self.check, self.target, self.parameter, self.kind], ensure_ascii=False)
        return hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Found:
    """A finding of a run: its worst verdict, one message, and the first cases that show it."""

    fingerprint: Fingerprint
    verdict: str
    message: str
    cases: tuple[str, ...]


@dataclass(frozen=True)
class Contract:
    """What one run found out.

    ``answers`` says of each question whether it was ``accepted``, ``refused``, either (``accepted or refused``) or
    ``unknown``; ``refusals`` what was answered to the cases that were refused; ``fields`` are the undocumented ones;
    ``undecided`` are the checks without a verdict, by question.
    """

    findings: tuple[Found, ...]
    answers: Mapping[str, str]
    refusals: Mapping[str, str]
    fields: tuple[str, ...]
    undecided: Mapping[str, frozenset[str]]

    def decided(self, found: Found) -> bool:
        """Whether this run could have shown a finding: one of its questions was asked, and that check came to a verdict."""
        check, asked = found.fingerprint.check, {question(case) for case in found.cases}
        return any(one in self.answers and check not in self.undecided.get(one, ()) for one in asked)

    def as_json(self) -> dict[str, Json]:
        """The value that a baseline file keeps; ``contract_from`` is its inverse."""
        alike: dict[frozenset[str], list[str]] = {}
        for one, checks in self.undecided.items():
            alike.setdefault(checks, []).append(one)
        return {
            "findings": [
                [f.fingerprint.check, f.fingerprint.target, f.fingerprint.parameter, f.fingerprint.kind, f.verdict,
                 f.message, list(f.cases)]
                for f in self.findings
            ],
            "answers": dict(self.answers),
            "refusals": dict(self.refusals),
            "fields": list(self.fields),
            "undecided": [[sorted(checks), sorted(ones)] for checks, ones in alike.items()],
        }  # fmt: skip


def contract_from(value: Mapping[str, Json]) -> Contract:
    """The contract that ``as_json`` wrote.

    Raises:
        LookupError, TypeError, ValueError: it is none.
    """
    return Contract(
        findings=tuple(
            Found(Fingerprint(*map(str, names)), str(Verdict(verdict)), str(message), tuple(map(str, cases)))
            for *names, verdict, message, cases in value["findings"]
        ),
        answers={str(case): str(said) for case, said in value["answers"].items()},
        refusals={str(case): str(said) for case, said in value["refusals"].items()},
        fields=tuple(map(str, value["fields"])),
        undecided={str(one): frozenset(map(str, checks)) for checks, ones in value["undecided"] for one in ones},
    )


def contract_of(target: TargetResult, kind: str) -> Contract:
    """What a run found out about one target; of a bench, nothing is refused on purpose."""
    name, route = target.spec.target, Route(target.spec, target.flow, target.base_url)
    sent = [(one, one.call) for one in target.judged if one.call is not None]
    asked: dict[str, list[tuple[Judged, Call]]] = {}
    for one, call in sent:
        asked.setdefault(question(_short(name, one.case.id)), []).append((one, call))
    answers = {about: _answer([call for _, call in some]) for about, some in asked.items()}
    undecided = {about: frozenset.intersection(*(_undecided(*each) for each in some)) for about, some in asked.items()}
    refusals = {
        _short(name, one.case.id): said
        for one, call in sent
        if kind == "check" and call.outcome is Outcome.REJECTED and (said := _refusal(Evidence(route, one.case, call)))
    }
    fields = dict.fromkeys(path for one, call in sent for path in undocumented(Evidence(route, one.case, call)))
    findings = tuple(_findings(target.plan, target.judged))
    some = {about: checks for about, checks in undecided.items() if checks}
    return Contract(findings, answers, refusals, tuple(sorted(fields)[:MOST_FIELDS]), some)


def _short(target: str, case_id: str) -> str:
    return case_id.removeprefix(f"{target}/")


def _answer(calls: Sequence[Call]) -> str:
    words = {Outcome.REJECTED: "refused", Outcome.UNKNOWN: "unknown"}
    said = {words.get(call.outcome, "accepted") for call in calls}
    return " or ".join(sorted(said - {"unknown"})) or "unknown"


def _undecided(one: Judged, call: Call) -> frozenset[str]:
    without = {check for check, verdict in one.checks.items() if verdict is Verdict.UNKNOWN}
    return frozenset(without | (set(CHECKS) - set(one.checks) if call.outcome is Outcome.UNKNOWN else set()))


# ---------------------------------------------------------------- fingerprints


def _findings(plan: Plan, judged: Sequence[Judged]) -> Iterator[Found]:
    by_print: dict[Fingerprint, list[tuple[Judged, Finding]]] = {}
    for one in judged:
        for finding in one.findings:
            if finding.verdict not in (Verdict.PASS, Verdict.UNKNOWN):
                by_print.setdefault(fingerprint(plan, one, finding), []).append((one, finding))
    for found in sorted(by_print):
        ranked = sorted(by_print[found], key=lambda pair: -VERDICT_ORDER.index(pair[1].verdict))
        cases = dict.fromkeys(_short(plan.target, one.case.id) for one, _ in ranked)
        yield Found(found, ranked[0][1].verdict.value, masked(ranked[0][1].message), tuple(cases)[:MOST_CASES])


def fingerprint(plan: Plan, one: Judged, finding: Finding) -> Fingerprint:
    """Which promise a finding is about, whatever was answered this time."""
    return Fingerprint(finding.check, plan.target, finding.parameter or "", _kind(plan, one, finding))


def _kind(plan: Plan, one: Judged, finding: Finding) -> str:
    case = one.case
    if case.fault and finding.parameter == case.parameter:
        return case.fault
    names = finding.parameter.split(", ") if finding.parameter else []
    if names and all(name in plan.domains and name in case.labels for name in names):
        return ", ".join(plan.domains[name][case.labels[name]] for name in names)
    if finding.check in PLACED:
        return re.sub(r"/\d+", "/*", masked(finding.message))
    return finding.source.where if finding.source is not None else ""


# ---------------------------------------------------------------- answers


def masked(text: str) -> str:
    """A provider's words without what differs from request to request, cut."""
    for pattern, instead in _MASKS:
        text = pattern.sub(instead, text)
    return text[:MESSAGE]


def _refusal(seen: Evidence) -> str:
    """The status of a refusal and what it says, read by the documented role where there is one."""
    for exchange, step in reversed(seen.steps):
        answer = exchange.response
        if answer is None or answer.status < 400:
            continue
        shape = (step.operation.answer(answer.status) or {}).get("application/json")
        value = body_json(answer)
        said = [one for one in shape.all("error_message", value) if isinstance(one, str)] if shape else []
        words = "; ".join(said) or answer.body.decode("utf-8", "replace")
        return f"{answer.status} {masked(words)}".strip()
    return ""


def undocumented(seen: Evidence) -> Iterator[str]:
    """The fields of successful answers that no document has, as ``step: path``."""
    for exchange, step in seen.steps:
        if exchange.response is not None and exchange.response.status < 300:
            known, free = _documented(tuple(field.path for field in step.shape.fields))
            for path in _unknown(seen.value(exchange), (), known, free):
                yield f"{exchange.step}: {'.'.join(path)[:120]}"


@lru_cache(maxsize=256)
def _documented(fields: tuple[tuple[str, ...], ...]) -> tuple[frozenset[tuple[str, ...]], frozenset[tuple[str, ...]]]:
    """Of the paths of documented fields: all of them, and those below which anything may stand."""
    known = frozenset(fields) | {()}
    return known, frozenset(path for path in known if not any(_below(path, other) for other in known))


def _below(path: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return len(other) > len(path) and other[: len(path)] == path


def _unknown(
    value: Json, path: tuple[str, ...], known: frozenset[tuple[str, ...]], free: frozenset[tuple[str, ...]]
) -> Iterator[tuple[str, ...]]:
    if path in free:
        return
    if isinstance(value, list):
        for item in value:
            yield from _unknown(item, (*path, "*"), known, free)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if (*path, name) in known:
                yield from _unknown(inner, (*path, name), known, free)
            else:
                yield (*path, name)
