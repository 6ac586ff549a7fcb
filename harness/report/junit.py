"""A run as JUnit XML, in the part of that format on which CI systems agree.

Rules
-----
* ``render`` is a function of the run's result: equal results give equal bytes. ``tests/data/junit.xsd`` is its schema.
* The first words of the file, the first property of each suite and, where no provider was asked, the suites' names
  say where the answers came from: nobody takes a simulator's or an old verdict for a provider's of today.
* A suite is a target, a case is a case of its plan. A case has one outcome, which ``OUTCOMES`` gives by its verdict;
  readers show the first of several and lose the others, so the findings of that verdict stand together in its text.
  Warnings pass, and are what the case has to say.
* ``time`` is in seconds and stands everywhere, since readers take a missing one for "not a number": from submit to
  completion where that is known, else from the first request sent to the last answer; 0 for what was not sent.
  A suite's is the sum of its cases': they ran at once, and a resumed run has several clocks.
* What came from outside goes through ``inert``: no character that XML forbids, no line that a CI system takes for a
  command, no ``[[ATTACHMENT|…]]``, which GitLab and Jenkins turn into a link to a file; all bounded in length.

The standard library's ElementTree writes it. It escapes what has to be, and its known weaknesses are its parser's:
nothing is parsed here, so there is no reason for lxml.
"""

from __future__ import annotations

import hashlib
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from harness.clock import NS
from harness.flow import Route
from harness.metrics.phases import phases
from harness.model import Json, Judged, Verdict
from harness.report import text
from harness.report.results import RunResult, TargetResult

OUTCOMES = {Verdict.FAIL: "failure", Verdict.UNKNOWN: "error"}
"""The element of a verdict; a case that was never sent is ``skipped``, any other passes."""
TOTALS = {"failure": "failures", "error": "errors", "skipped": "skipped"}
NEVER_SENT = "the case was never sent: the run ended before its turn"
MOST_FINDINGS = 5
"""Findings that a case tells; report.json has them all."""
_NAME, _MESSAGE, _LINE, _COMMAND = 200, 300, 1000, 4000
_ATTACHMENT = re.compile(r"\[(?=\[\w+\|)")


def render(result: RunResult) -> str:
    """The text of junit.xml."""
    run = result.document["run"]
    suites = [_suite(target, run) for target in result.targets]
    total = sum((suite.outcomes for suite in suites), Counter[str]())
    what = "benchmark" if result.kind == "bench" else "conformance"
    name = inert(f"{text.mode_line(run)} - image API {what}", _LINE)
    root = ET.Element("testsuites", {"name": name, **_figures(total, sum(suite.seconds for suite in suites))})
    root.extend(suite.element for suite in suites)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


@dataclass(frozen=True)
class _Suite:
    """A target's element, with what the whole file's totals are made from."""

    element: ET.Element
    outcomes: Counter[str]
    seconds: float


def _suite(target: TargetResult, run: Mapping[str, Json]) -> _Suite:
    findings: dict[str, list[Mapping[str, Json]]] = {}
    for finding in target.summary["findings"]:
        findings.setdefault(finding["case_id"], []).append(finding)
    route = Route(target.spec, target.flow, target.base_url)
    times = [_seconds(route, one) for one in target.judged]
    outcomes = Counter(_outcome(one) for one in target.judged)
    element = ET.Element("testsuite", {"name": _suite_name(target, run), **_figures(outcomes, sum(times))})
    started = _timestamp(run["started_at"])
    if started is not None:
        element.set("timestamp", started)
    properties = ET.SubElement(element, "properties")
    for name, value in _properties(target, run).items():
        ET.SubElement(properties, "property", name=name, value=inert("" if value is None else value, _LINE))
    for one, seconds in zip(target.judged, times, strict=True):
        element.append(_case(target, one, findings.get(one.case.id, ()), seconds))
    return _Suite(element, outcomes, sum(times))


def _suite_name(target: TargetResult, run: Mapping[str, Json]) -> str:
    word = "simulated" if text.is_simulated(run) else "replayed" if run["mode"] == "replay" else None
    return inert(target.spec.target, _NAME) + (f" ({word})" if word else "")


def _figures(outcomes: Counter[str], seconds: float) -> dict[str, str]:
    """How many cases there are, how many of each outcome, and their time."""
    counts = {plural: str(outcomes[outcome]) for outcome, plural in TOTALS.items()}
    return {"tests": str(outcomes.total()), **counts, "time": f"{seconds:.3f}"}


def _properties(target: TargetResult, run: Mapping[str, Json]) -> Mapping[str, Json]:
    """What a suite's result rests on; ``cost`` is in USD. What the run does not have is empty."""
    summary = target.summary
    return {
        "answers": text.mode_line(run),
        **{name: run[name] for name in ("mode", "recorded_from", "recorded_at")},
        **{name: summary[name] for name in ("spec_sha256", "flow", "origin")},
        "harness_version": run["harness_version"],
        "cost": f"{summary['cost']['usd']:.6f}",
        "verdict": summary["verdict"],
        "complete": "true" if run["complete"] else "false",
        "run": run["id"],
    }


def _timestamp(started_at: str) -> str | None:
    """The start in UTC, in seconds and without a zone, which is how the format's schemas spell it."""
    try:
        started = datetime.fromisoformat(started_at)
    except ValueError:
        return None
    return started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


# ---------------------------------------------------------------- cases


def _outcome(one: Judged) -> str:
    return "skipped" if one.call is None else OUTCOMES.get(one.verdict, "passed")


def _case(target: TargetResult, one: Judged, findings: Sequence[Mapping[str, Json]], seconds: float) -> ET.Element:
    outcome = _outcome(one)
    names = {"classname": _class_name(target.spec.target), "name": _case_name(target.spec.target, one.case.id)}
    element = ET.Element("testcase", {**names, "time": f"{seconds:.3f}"})
    if outcome == "skipped":
        ET.SubElement(element, "skipped", message=NEVER_SENT).text = NEVER_SENT
        return element
    blamed = [finding for finding in findings if OUTCOMES.get(Verdict(finding["verdict"])) == outcome]
    if blamed:
        about = {"type": inert(blamed[0]["check"], _NAME), "message": inert(blamed[0]["message"], _MESSAGE)}
        ET.SubElement(element, outcome, about).text = _told(blamed)
    beside = [finding for finding in findings if finding not in blamed]
    if beside:
        ET.SubElement(element, "system-out").text = _told(beside)
    return element


def _class_name(target: str) -> str:
    """``fal.flux-1_1``: readers split at dots, and no name of an endpoint has an underscore of its own."""
    provider, _, endpoint = target.partition("/")
    return inert(f"{provider}.{endpoint.replace('.', '_')}", _NAME)


def _case_name(target: str, case_id: str) -> str:
    """The rest of the case id; a long one stays distinct, since readers drop a name that they have seen."""
    name = case_id.removeprefix(f"{target}/")
    if len(name) <= _NAME:
        return inert(name, _NAME)
    return f"{inert(name[:_NAME], _NAME)}~{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _seconds(route: Route, one: Judged) -> float:
    call = one.call
    if call is None or not call.exchanges:
        return 0.0
    total = phases(route, call)["total"]
    if total is not None:
        return max(0.0, sum(total) / 2)
    sent = min(exchange.sent_ns for exchange in call.exchanges)
    return max(0.0, (max(exchange.received_ns for exchange in call.exchanges) - sent) / NS)


# ---------------------------------------------------------------- text


def _told(findings: Sequence[Mapping[str, Json]]) -> str:
    """Findings as paragraphs: what was found, what the document states and where, and a command that shows it."""
    told = ["\n".join(_lines(finding)) for finding in findings[:MOST_FINDINGS]]
    more = len(findings) - MOST_FINDINGS
    return "\n\n".join(told + ([f"and {text.count(more, 'further finding')} in report.json"] if more > 0 else []))


def _lines(finding: Mapping[str, Json]) -> Iterator[str]:
    about = f" ({finding['parameter']})" if finding["parameter"] else ""
    yield inert(f"{finding['verdict']}: {finding['check']}{about}: {finding['message']}", _LINE)
    source = finding["source"]
    if source is not None:
        yield inert(f"document: {source['document']}", _LINE)
        yield inert(f"place: {source['where']}", _LINE)
        yield inert(f"states: {source['states']}", _LINE)
    for name in ("expected", "observed"):
        if finding[name]:
            yield inert(f"{name}: {finding[name]}", _LINE)
    yield inert(text.command(finding["request"], _COMMAND), _COMMAND)


def inert(said: object, limit: int) -> str:
    """A line of text that means nothing to XML, to a log, or to whoever shows it."""
    return text.log_line(_ATTACHMENT.sub("[ ", text.visible(said, limit)))
