r"""A run as Markdown, for the summary page of a CI job.

Rules
-----
* ``render`` is a function of the run's result: equal results give equal bytes.
* The verdict comes first, with where the answers came from; then the targets, the failures, and what is not one.
* What came from outside stands in code and nowhere else: there no renderer makes links, HTML, mentions or formulas of
  it. In Markdown that is ``code``, in our own HTML ``<code>`` and ``<pre>``, escaped.
* The text fits ``LIMIT``, since GitHub drops the whole of a longer one. What was cut is counted in its last line.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import count as counting

from harness.model import VERDICT_ORDER, Json, Verdict
from harness.report import text
from harness.report.alike import alike
from harness.report.results import RunResult

LIMIT = 1024 * 1024
"""Bytes that GitHub takes as the summary of a step."""
MOST_CASES = 10
"""Cases that a failure lists; report.json has them all."""
MARKS = {"pass": "✅", "warn": "⚠️", "unknown": "❔", "fail": "❌"}
_TEXT, _NAME, _COMMAND, _REASON = 500, 120, 4000, 1000
_CUT_NOTE = 512
"""Bytes kept free for the line that says what was cut."""

_COLUMNS = ("target", "verdict", "pass", "warn", "fail", "unknown", "not sent", "paid", "USD", "p50 total", "p95 total")
_LEFT = ("target", "verdict")
_HEADINGS = {Verdict.FAIL: "Failures", Verdict.UNKNOWN: "Could not be judged", Verdict.WARN: "Warnings"}
_NOUNS = {Verdict.FAIL: "failure", Verdict.UNKNOWN: "unjudged finding", Verdict.WARN: "warning"}


def render(result: RunResult, limit: int = LIMIT) -> str:
    """The text of a summary, of at most ``limit`` bytes in UTF-8; its head is there even where the limit is smaller."""
    document = result.document
    groups = list(_groups(document["targets"]))
    parts = [_table(document)]
    for verdict in reversed(VERDICT_ORDER):
        found = [group for group in groups if group.first["verdict"] == verdict.value]
        if found:
            shown = _failure if verdict is Verdict.FAIL else _line
            parts.append(_Part(_NOUNS[verdict], f"\n### {_HEADINGS[verdict]}\n\n", [shown(group) for group in found]))
    return _fitted(_head(document, result.notes), parts, limit)


# ---------------------------------------------------------------- text from outside


def _shown(said: object, limit: int) -> str:
    """A text with nothing hidden in it, nor anything that the log it is printed in would obey."""
    return text.log_line(text.visible(said, limit))


def code(said: object, limit: int = _TEXT) -> str:
    """A text as a code span, an en dash for none.

    The span's backticks are as many as no run in the text has. The smallest such number is below 80 for a text of
    our limits, and has to be: GitHub's parser knows no longer ones.
    """
    shown = _shown(said, limit)
    if not shown:
        return text.NOTHING
    runs = {len(run) for run in re.findall(r"`+", shown)}
    fence = "`" * next(length for length in counting(1) if length not in runs)
    pad = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _cell(said: object) -> str:
    r"""A code span in a table, where a pipe ends the cell even in code, and ``\|`` may do so too."""
    return code(text.visible(said, _NAME).replace("|", r"\u007c"), 2 * _NAME)


def _html(said: object, limit: int = _TEXT) -> str:
    return f"<code>{escape(_shown(said, limit), quote=False)}</code>"


def _block(lines: Sequence[str], limit: int) -> str:
    """Lines as they are; nothing that is escaped ends a ``<pre>``, while a fence of backticks ends at a longer one."""
    return f"<pre>{escape(chr(10).join(_shown(line, limit) for line in lines), quote=False)}</pre>\n"


# ---------------------------------------------------------------- parts


@dataclass(frozen=True)
class _Part:
    """A heading or the like, and the items below it, as many as there is room for."""

    noun: str
    opening: str
    items: Sequence[str]


def _fitted(head: str, parts: Sequence[_Part], limit: int) -> str:
    kept, cut = [head], Counter[str]()
    room = limit - _size(head) - _CUT_NOTE
    for part in parts:
        room -= _size(part.opening)
        shown = 0
        for item in part.items:
            if _size(item) > room:
                break
            room -= _size(item)
            shown += 1
        kept += [part.opening, *part.items[:shown]] if shown else []
        cut[part.noun] += len(part.items) - shown
    missing = [text.count(number, noun) for noun, number in cut.items() if number]
    if missing:
        kept.append(f"\nCut at {limit} bytes: {', '.join(missing)} not shown; report.json has them all.\n")
    return "".join(kept)


def _size(part: str) -> int:
    return len(part.encode())


def _head(document: Mapping[str, Json], notes: Sequence[str]) -> str:
    run, totals = document["run"], document["totals"]
    verdict = totals["verdict"]
    usd = _usd(totals["usd"]) + (f" (at most {_usd(totals['usd_max'])})" if totals["unknown_charge"] else "")
    facts = (
        text.count(totals["requests"], "request"),
        text.count(totals["images"], "paid image"),
        f"USD {usd}",
        code(run["started_at"], _NAME),
        f"run {code(run['id'], _NAME)}",
        f"harness {code(run['harness_version'], _NAME)}",
    )
    return (
        f"## {MARKS[verdict]} {verdict} · {code(text.mode_line(run))}\n\n"
        + _block([*text.reasons(document), *notes], _REASON)
        + f"\n{' · '.join(facts)}\n"
    )


# ---------------------------------------------------------------- targets


def _table(document: Mapping[str, Json]) -> _Part:
    rows = [_row(name, target) for name, target in document["targets"].items()]
    aligned = [":--" if column in _LEFT else "--:" for column in _COLUMNS]
    return _Part("target", f"\n{_joined(_COLUMNS)}{_joined(aligned)}", rows)


def _row(name: str, target: Mapping[str, Json]) -> str:
    cases, cost, total = target["cases"], target["cost"], target["latency"].get("total", {})
    return _joined(
        (
            _cell(name),
            f"{MARKS[target['verdict']]} {target['verdict']}",
            *(str(cases[verdict]) for verdict in ("pass", "warn", "fail", "unknown")),
            str(cases["planned"] - cases["run"]),
            str(cost["paid_requests"]),
            _usd(cost["usd"]),
            *(text.seconds(total[q]["value"]) if q in total else text.NOTHING for q in ("p50", "p95")),
        )
    )


def _usd(value: float) -> str:
    """An amount without its sign: two of them in a paragraph would be a formula to GitHub."""
    return text.usd(value).removeprefix("$")


def _joined(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


# ---------------------------------------------------------------- findings


@dataclass(frozen=True)
class _Group:
    """Findings that say the same of several cases of one target."""

    target: str
    same: Sequence[Mapping[str, Json]]

    @property
    def first(self) -> Mapping[str, Json]:
        """The one that is shown."""
        return self.same[0]


def _groups(targets: Mapping[str, Mapping[str, Json]]) -> Iterator[_Group]:
    for name, target in targets.items():
        findings = target["findings"]
        yield from (_Group(name, [findings[place] for place in same]) for same in alike(findings))


def _failure(group: _Group) -> str:
    """A line that opens on what the document states and where, what was seen, and a command that shows it."""
    one = group.first
    about = f" {_html(one['parameter'], _NAME)}" if one["parameter"] else ""
    where = f"{_html(group.target, _NAME)}, {text.count(len(group.same), 'case')}"
    source = one["source"] or {"document": "", "where": "", "states": ""}
    rows = {
        "document": code(source["document"]) if one["source"] else "none: every API promises this",
        "place": code(source["where"]),
        "states": code(source["states"]),
        "expected": code(one["expected"]),
        "observed": code(one["observed"]),
        "cases": _cases(group.same),
    }
    listed = "".join(f"- {name}: {value}\n" for name, value in rows.items() if value != text.NOTHING)
    return (
        f"<details><summary>{MARKS['fail']} {_html(one['check'], _NAME)}{about}: {_html(one['message'])} "
        f"({where})</summary>\n\n{listed}\n{_block([text.command(one['request'], _COMMAND)], _COMMAND)}\n</details>\n\n"
    )


def _cases(same: Sequence[Mapping[str, Json]]) -> str:
    shown = ", ".join(code(one["case_id"], _NAME) for one in same[:MOST_CASES])
    more = len(same) - MOST_CASES
    return f"{shown} and {more} more" if more > 0 else shown


def _line(group: _Group) -> str:
    """How many cases say the same, and where the document leaves it open."""
    one = group.first
    about = f" {code(one['parameter'], _NAME)}" if one["parameter"] else ""
    source = one["source"]
    where = f"; {code(source['document'])}, {code(source['where'])}" if source else ""
    said = f"{code(one['check'], _NAME)}{about}: {code(one['message'])}"
    return f"- {len(group.same)} × {said} ({code(group.target, _NAME)}){where}\n"
