"""The report as one HTML file: no network, no script, nothing of it trusted.

Rules
-----
* ``render`` is a function of the run's result: equal results give equal bytes.
* Python decides what is shown, the template only where. Text from outside goes through ``visible`` and the
  template's escaping; only an http(s) address of a document becomes a link.
* The content security policy allows the one style sheet by its hash, and data images; so nothing in the file can
  load, run or style anything, whatever a provider answered.
* A verdict is a glyph and a word; colour only repeats it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

from harness import resources
from harness.model import VERDICT_ORDER, Json, Judged, Verdict, worst
from harness.report import text
from harness.report.results import RunResult, TargetResult
from harness.strict import load_json, load_yaml

_HERE = Path(__file__).resolve().parent
LONGEST_COMMAND = 4000
MOST_CASES = 30
"""Cases that a finding lists; report.json has them all."""
MOST_FINDINGS = 200
"""Distinct findings that are shown for a target; report.json has them all."""

GLYPHS = {"pass": "✓", "warn": "!", "unknown": "?", "fail": "✗", "unsent": "·"}
WORDS = {"pass": "pass", "warn": "warn", "unknown": "unknown", "fail": "fail", "unsent": "not sent"}
WHOLE_REQUEST = "(the request)"


def render(result: RunResult) -> str:
    """The text of report.html."""
    css, template = _assets()
    return template.render(_view(result), css=Markup(css), csp=_policy(css))  # noqa: S704 - our own style sheet


def page(template: str, **view: Any) -> str:
    """Another page in the report's style and under its policy, by the name of its template; ``svg`` marks our own figures."""
    css, _ = _assets()
    environment = _environment()
    environment.filters["svg"] = Markup
    text_of = (_HERE / template).read_text("utf-8")
    return environment.from_string(text_of).render(view, css=Markup(css), csp=_policy(css))  # noqa: S704 - our own


@cache
def _assets() -> tuple[str, Template]:
    css = (_HERE / "style.css").read_text("utf-8")
    return css, _environment().from_string((_HERE / "template.html.j2").read_text("utf-8"))


def _environment() -> Environment:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "visible": text.visible,
        "seconds": text.seconds,
        "usd": text.usd,
        "percent": _percent,
        "count": text.count,
        "breakable": _breakable,
        "interval": text.interval,
        "command": lambda command: text.visible(command, LONGEST_COMMAND, keep="\n"),
    }
    environment.globals |= {"glyphs": GLYPHS, "words": WORDS}
    return environment


def _policy(css: str) -> str:
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


def _breakable(name: object) -> Markup:
    """A name that may break after its underscores."""
    return Markup("_<wbr>").join(escape(part) for part in text.visible(name, 60).split("_"))


def _percent(share: float | None) -> str:
    if share is None:
        return text.NOTHING
    # Never round what is not whole up to it.
    return f"{min(share * 100, 100 if share >= 1 else 99.9):.3g} %"


def _view(result: RunResult) -> dict[str, Any]:
    document = result.document
    groups = [list(_groups(index, target)) for index, target in enumerate(result.targets)]
    return {
        "run": document["run"],
        "totals": document["totals"],
        "simulated": text.is_simulated(document["run"]),
        "bench": result.kind == "bench",
        "mode": text.mode_line(document["run"]),
        "reasons": text.reasons(document),
        "targets": [
            _Target(f"t{index}", target.spec.target, target.summary, tuple(found))
            for index, (target, found) in enumerate(zip(result.targets, groups, strict=True))
        ],
        "median": text.median,
        "latencies": [list(_latencies(target.summary["latency"])) for target in result.targets],
        "matrix": list(_matrix(result.targets, groups)),
        "contracts": [list(_contract(one, found)) for one, found in zip(result.targets, groups, strict=True)],
        "figures": _figures(result.targets),
        "documents": [_documents(target) for target in result.targets],
        "polling": [_polling(target.summary["polling"]) for target in result.targets],
        "most_findings": MOST_FINDINGS,
    }


# ---------------------------------------------------------------- findings


@dataclass(frozen=True)
class _Group:
    """Findings that say the same of several cases; ``cases`` are the first of them."""

    anchor: str
    first: Mapping[str, Json]
    cases: Sequence[Mapping[str, Json]]
    size: int
    address: str | None

    @property
    def more(self) -> int:
        """How many cases are not listed."""
        return self.size - len(self.cases)


@dataclass(frozen=True)
class _Target:
    """A target's heading, its object of report.json and its findings."""

    anchor: str
    name: str
    summary: Mapping[str, Json]
    groups: tuple[_Group, ...]

    @property
    def provider(self) -> str:
        """The part of the name before the slash."""
        return self.name.partition("/")[0]

    @property
    def endpoint(self) -> str:
        """The part of the name after the slash."""
        return self.name.partition("/")[2]


def _groups(index: int, target: TargetResult) -> Iterator[_Group]:
    """A target's findings, the worst first, equal ones together."""
    found: dict[tuple[str, ...], list[Mapping[str, Json]]] = {}
    for finding in target.summary["findings"]:
        key = (finding["verdict"], finding["check"], finding["parameter"] or "", finding["message"])
        found.setdefault(key, []).append(finding)
    addresses = {document["title"]: document["address"] for document in _documents(target)}
    ordered = sorted(found.values(), key=lambda same: -VERDICT_ORDER.index(Verdict(same[0]["verdict"])))
    for place, same in enumerate(ordered):
        source = same[0]["source"]
        address = addresses.get(source["document"]) if source else None
        yield _Group(f"t{index}-f{place}", same[0], same[:MOST_CASES], len(same), address)


def _documents(target: TargetResult) -> list[dict[str, str | None]]:
    """The documents that the spec cites: title, address where it is a plain web address, SHA-256 where it is known."""
    cited = load_yaml(target.spec.text).value["x-harness"]["documents"].values()
    return [
        {"title": one["title"], "address": text.web_address(one["address"]), "sha256": one.get("sha256")}
        for one in cited
    ]


# ---------------------------------------------------------------- matrices


@dataclass(frozen=True)
class _Cell:
    """How often a check came to which verdict, the worst first; ``href`` leads to its finding."""

    counts: Sequence[tuple[str, int]]
    href: str | None


def _matrix(targets: Sequence[TargetResult], groups: Sequence[Sequence[_Group]]) -> Iterator[tuple[str, list[_Cell]]]:
    """Checks by targets, in the schema's order; a check that applied to nothing has no row."""
    counted = [_counts(target) for target in targets]
    known = _check_names()
    extra = sorted({check for counts in counted for check in counts} - set(known))
    for check in (*known, *extra):
        if any(check in counts for counts in counted):
            cells = zip(counted, groups, strict=True)
            yield check, [_cell(counts.get(check, Counter()), _anchor(found, check)) for counts, found in cells]


@cache
def _check_names() -> Sequence[str]:
    schema = load_json(resources.schema("report").read_bytes())
    names: list[str] = schema["$defs"]["check"]["enum"]
    return names


def _counts(target: TargetResult) -> Mapping[str, Counter[Verdict]]:
    counts: dict[str, Counter[Verdict]] = {}
    for one in target.judged:
        for check, verdict in one.checks.items():
            counts.setdefault(check, Counter())[verdict] += 1
    return counts


def _cell(counts: Counter[Verdict], href: str | None) -> _Cell:
    return _Cell([(verdict.value, counts[verdict]) for verdict in reversed(VERDICT_ORDER) if counts[verdict]], href)


def _anchor(groups: Sequence[_Group], check: str) -> str | None:
    return next((f"#{group.anchor}" for group in groups[:MOST_FINDINGS] if group.first["check"] == check), None)


@dataclass(frozen=True)
class _Chip:
    """One value or fault of a parameter: its name, verdict, how many cases had it, and where the finding is."""

    name: str
    verdict: str
    cases: int
    href: str | None
    open: bool = False


@dataclass(frozen=True)
class _Row:
    """One parameter: the values it should take and the faults it should refuse."""

    parameter: str
    values: list[_Chip] = field(default_factory=list)
    faults: list[_Chip] = field(default_factory=list)


def _contract(target: TargetResult, groups: Sequence[_Group]) -> Iterator[_Row]:
    """The parameters by their values and faults, in the plan's order; cases about no parameter come last."""
    hrefs = {case["case_id"]: f"#{group.anchor}" for group in reversed(groups[:MOST_FINDINGS]) for case in group.cases}
    rows = {name: _Row(name, list(_values(target, name, labels))) for name, labels in target.plan.domains.items()}
    for one in target.judged:
        if one.case.kind != "accept":
            row = rows.setdefault(one.case.parameter or WHOLE_REQUEST, _Row(one.case.parameter or WHOLE_REQUEST))
            verdict = "unsent" if one.call is None else one.verdict.value
            href = hrefs.get(one.case.id)
            row.faults.append(
                _Chip(
                    one.case.fault or one.case.id.rpartition("/")[2], verdict, 1, href, open=one.case.expect == "either"
                )
            )
    whole = rows.pop(WHOLE_REQUEST, None)
    yield from rows.values()
    if whole is not None:
        yield whole


def _values(target: TargetResult, parameter: str, labels: Mapping[str, str]) -> Iterator[_Chip]:
    for label in labels:
        having = [one for one in target.judged if one.call is not None and one.case.labels.get(parameter) == label]
        yield _Chip(label, _blame(having, parameter), len(having), None)


def _blame(having: Sequence[Judged], parameter: str) -> str:
    """The verdict of one value.

    A finding that names the parameter counts against it. Any other finding may be due to another value of the same
    request: then the best of its cases counts, because a value with which one request passed works.
    """
    if not having:
        return "unsent"
    named = [found.verdict for one in having for found in one.findings if found.parameter == parameter]
    if named:
        return worst(named).value
    return min((one.verdict for one in having), key=VERDICT_ORDER.index).value


# ---------------------------------------------------------------- figures and provenance


def _figures(targets: Sequence[TargetResult]) -> list[dict[str, Any]]:
    """Each figure at a desk's and at a phone's width; the style sheet shows one of them."""
    if not any(target.samples.get("total") for target in targets):
        return []
    from harness.report import plots

    drawn = {"latency": plots.latency, "phases": plots.phases}
    return [
        {
            "name": name,
            "wide": Markup(draw(targets, f"{name}-wide", plots.WIDE)),  # noqa: S704 - escaped by the XML writer
            "narrow": Markup(draw(targets, f"{name}-narrow", plots.NARROW)),  # noqa: S704 - likewise
        }
        for name, draw in drawn.items()
    ]


@dataclass(frozen=True)
class _Latency:
    """A line of the latency table: a phase with its distribution, or the phases that one reason hides."""

    phases: Sequence[str]
    distribution: Mapping[str, Json] | None
    hidden: str


def _latencies(latency: Mapping[str, Json]) -> Iterator[_Latency]:
    """Measured phases in order, then those that are not separable, once for each reason; nothing for no jobs."""
    hidden: dict[str, list[str]] = {}
    for phase, found in latency.items():
        if "not_separable" in found:
            hidden.setdefault(found["not_separable"], []).append(phase)
        elif found["n"]:
            yield _Latency([phase], found, "")
    for reason, phases in hidden.items():
        yield _Latency(phases, None, reason)


def _polling(polling: Mapping[str, Json] | None) -> str:
    if polling is None:
        return "not polled"
    schedule = ", ".join(f"{name} {_plain(value)}" for name, value in polling["schedule"].items())
    polls = polling["polls_per_job"]
    return f"{schedule or 'no settings'}; {text.NOTHING if polls is None else f'{polls:.3g}'} polls per job"


def _plain(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value)
