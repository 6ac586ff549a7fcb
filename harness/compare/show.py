"""A comparison for people and CI systems: plain lines, Markdown, JUnit XML.

Rules
-----
* Equal comparisons give equal bytes. The verdict comes first, then the numbers, then what is answered otherwise.
* What a provider said is shown through ``report.text``, as code in Markdown and as inert text in XML.
* In JUnit XML a suite is a target; its cases are its verdict, each number, and each finding that has changed. A number that
  is not decisive by its rule (``verdicts``) passes with what there is to say.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence

from harness.compare import document
from harness.compare.numbers import Metric
from harness.compare.verdicts import Comparison, TargetVerdict
from harness.report import text
from harness.report.junit import inert
from harness.report.markdown import code

MARKS = {"regressed": "❌", "improved": "🚀", "ok": "✅", "inconclusive": "❔", "not comparable": "❔"}
MOST_CHANGES = 50
"""Changes that are listed for a target; the JSON has them all."""
_LINE = 300
_OUTCOMES = {"regressed": "failure", "inconclusive": "error", "not comparable": "error"}


def lines(found: Comparison) -> Iterator[str]:
    """The comparison in lines for a terminal or a log."""
    yield f"verdict: {found.word}"
    yield from (f"  {note}" for note in document.notes(found))
    for target in found.targets:
        yield ""
        yield f"{text.visible(target.target, 80)}: {text.visible(document.summary(target), _LINE)}"
        yield from (f"  left out: {text.visible(run, 60)}: {why}" for run, why in target.left_out.items())
        if target.unmeasured and target.unmeasured != target.reason:
            yield f"  latency, errors and cost are not judged: {text.visible(target.unmeasured, _LINE)}"
        yield from _table(target.metrics, found.tolerance)
        shown = list(document.changes(target))
        yield from (f"  {heading}: {text.visible(said, _LINE)}" for heading, said in shown[:MOST_CHANGES])
        if len(shown) > MOST_CHANGES:
            yield f"  and {len(shown) - MOST_CHANGES} more; --json has them all"
        if not shown and target.word != "not comparable":
            yield "  nothing is answered otherwise"


def _table(metrics: Sequence[Metric], tolerance: float) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("number", "verdict", "before", "now", "change, 98 % interval", "detectable")]
    rows += [_cells(one) for one in metrics]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if metrics:
        yield from ("  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    reasons: dict[str, list[str]] = {}
    for one in metrics:
        reasons.setdefault(one.reason, []).append(one.name)
    yield from (f"  {', '.join(names)}: {reason}" for reason, names in reasons.items() if reason)
    if metrics and (more := document.needed(metrics[0].needed, (1 + tolerance) ** 2)):
        yield f"  {metrics[0].name}: {more}"


def _cells(one: Metric) -> tuple[str, ...]:
    values = document.value(one, one.baseline), document.value(one, one.candidate)
    return (one.name, one.word, *values, document.effect(one), document.detectable(one))


def markdown(found: Comparison) -> str:
    """The comparison as Markdown, for a comment on a pull request or the summary of a job."""
    return "\n".join(_markdown(found)) + "\n"


def _markdown(found: Comparison) -> Iterator[str]:
    yield f"## {MARKS[found.word]} {found.word}"
    yield from (f"\n{code(note, _LINE)}" for note in document.notes(found))
    for target in found.targets:
        yield f"\n### {MARKS[target.word]} {code(target.target)}\n"
        yield code(document.summary(target), 2 * _LINE) + "\n"
        yield from (f"- left out {code(run, 60)}: {code(why, _LINE)}" for run, why in target.left_out.items())
        if target.unmeasured and target.unmeasured != target.reason:
            yield f"Latency, errors and cost are not judged: {code(target.unmeasured, _LINE)}\n"
        if target.metrics:
            yield "\n| number | verdict | before | now | change, 98 % interval | detectable | |"
            yield "|:--|:--|--:|--:|:--|:--|:--|"
        for one in target.metrics:
            cells = (one.name, f"{MARKS[one.word]} {one.word}", *_cells(one)[2:], document.why(one, found.tolerance))
            yield f"| {' | '.join(cell.replace('|', ' ').replace('$', 'USD ') for cell in cells)} |"
        shown = list(document.changes(target))
        if shown:
            yield "\nAnswered otherwise:\n"
        yield from (f"- {heading}: {code(said, _LINE)}" for heading, said in shown[:MOST_CHANGES])
        if len(shown) > MOST_CHANGES:
            yield f"- and {len(shown) - MOST_CHANGES} more"


def junit(found: Comparison) -> str:
    """The comparison as JUnit XML."""
    root = ET.Element("testsuites", {"name": f"image API comparison: {found.word}"})
    for target in found.targets:
        root.append(_suite(target, found.tolerance))
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    root.set("time", "0.000")
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(target: TargetVerdict, tolerance: float) -> ET.Element:
    cases = [("verdict", _OUTCOMES.get(target.word), document.summary(target))]
    for one in target.metrics:
        decisive = "failure" if one.word == "regressed" else None
        said = f"{one.word}: {document.effect(one)} {document.why(one, tolerance)}".strip()
        cases.append((one.name, decisive, said))
    for change, (heading, said) in zip(target.drift.changes, document.changes(target), strict=False):
        name = f"{change.fingerprint.check} {change.fingerprint.id}"
        cases.append((name, {"regressed": "failure", "unconfirmed": "error"}.get(change.weight), f"{heading}: {said}"))
    outcomes = [outcome for _, outcome, _ in cases]
    suite = ET.Element(
        "testsuite",
        {
            "name": inert(target.target, 200),
            "tests": str(len(cases)),
            "failures": str(outcomes.count("failure")),
            "errors": str(outcomes.count("error")),
            "skipped": "0",
            "time": "0.000",
        },
    )
    class_name = inert(target.target.replace(".", "_").replace("/", ".", 1), 200)
    for name, outcome, said in cases:
        element = ET.SubElement(suite, "testcase", classname=class_name, name=inert(name, 200), time="0.000")
        if outcome is None:
            ET.SubElement(element, "system-out").text = inert(said, 1000)
        else:
            word = target.word if name == "verdict" else outcome
            shown = {"type": word, "message": inert(said, _LINE)}
            ET.SubElement(element, outcome, shown).text = inert(said, 1000)
    return suite
