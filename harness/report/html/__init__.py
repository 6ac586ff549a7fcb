"""The report as one HTML file: no network, no script, nothing of it trusted.

Rules
-----
* ``render`` is a function of the run's result: equal results give equal bytes.
* Python decides what is shown, the templates only where. Every number is looked up in report.json (``figures``). Text from
  outside goes through ``visible`` and the templates' escaping; only an http(s) address of a document becomes a link.
* The content security policy allows the one style sheet by its hash, and data images; so nothing in the file can
  load, run or style anything, whatever a provider answered. Images are made anew, small, from what was received.
* A verdict is a glyph and a word; colour only repeats it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from harness.checks import promise
from harness.report import palette, text
from harness.report.document import MOST_COMMAND
from harness.report.html import captions, findings, lines
from harness.report.html.figures import Figures
from harness.report.pictures import thumbnail
from harness.report.results import RunResult, TargetResult

_TEMPLATES = Path(__file__).resolve().parent / "templates"
MOST_COMMANDS, LONG_COMMAND = 1_000_000, 2000
"""Characters of all commands of a page; where they are more, those that are long are only in report.json."""
GLYPHS = {"pass": "✓", "warn": "!", "unknown": "?", "fail": "✗", "masked": "○", "unsent": "·"}
WORDS = {"pass": "pass", "warn": "warn", "unknown": "unknown", "fail": "fail", "masked": "masked", "unsent": "not sent"}
TERMS = {
    "submit": "from sending the request to its answer",
    "queue": "from that answer until the job ran",
    "inference": "from running until it was completed",
    "total": "from sending the request until the job was completed",
    "result": "the read of the result, where it is one of its own",
    "download": "the fetching of the images",
    "end_to_end": "from sending the request until every image had been fetched",
    "reported_inference": "what the provider itself says that it took",
    "exact": "each duration was seen from both its ends",
    "midpoint": "each lies between two polls, and counts as the middle",
    "npmle": "each lies between two polls; the likeliest distribution is taken from all of them together",
    "censored": "jobs that failed or met the deadline: they count as longer than any other",
}
"""The words of the latency table."""


def render(result: RunResult) -> str:
    """The text of report.html."""
    css = palette.sheet()
    return _template().render(_view(result), css=Markup(css), csp=_policy(css))  # noqa: S704 - our own style sheet


def page(template: str, **view: Any) -> str:
    """Another page in the report's style and under its policy, by the name of its template; figures are ``Markup``."""
    css = palette.sheet()
    return _environment().get_template(template).render(view, css=Markup(css), csp=_policy(css))  # noqa: S704 - our own


@cache
def _template() -> Template:
    return _environment().get_template("page.html.j2")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": text.visible,
        "address": text.web_address,
        "promise": promise,
        "breakable": _breakable,
        "command": lambda said, longest: text.visible(text.command(said, longest), MOST_COMMAND, keep="\n"),
        "is_command": text.is_command,
    }
    environment.globals |= {
        "glyphs": GLYPHS,
        "words": WORDS,
        "terms": TERMS,
        "nothing": text.NOTHING,
    }
    return environment


def _policy(css: str) -> str:
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


def _breakable(name: object) -> Markup:
    """A name that may break after its underscores."""
    return Markup("_<wbr>").join(escape(part) for part in text.visible(name, 60).split("_"))


def _view(result: RunResult) -> dict[str, Any]:
    document = result.document
    targets, bench = document["targets"], result.kind == "bench"
    found = [findings.groups_of(index, target) for index, target in enumerate(result.targets)]
    failed, most = findings.failures(found), findings.most_of(len(found))
    groups = [one[:most] for one in found]
    return {
        "at": Figures(document),
        "run": document["run"],
        "totals": document["totals"],
        "targets": targets,
        "simulated": text.is_simulated(document["run"]),
        "bench": bench,
        "mode": text.mode_line(document["run"]),
        "reasons": text.reasons(document),
        "notes": result.notes,
        "longest": _longest(groups),
        "failures": failed[: findings.MOST_REASONS],
        "more_failures": len(failed) > findings.MOST_REASONS,
        "fastest": lines.fastest(targets),
        "covered": _ends(targets, "coverage", "one_way") if not bench else [],
        "paired": _ends(targets, "coverage", "two_way_values") if not bench else [],
        "groups": dict(zip(targets, groups, strict=True)),
        "cut": {name: len(one) > most for name, one in zip(targets, found, strict=True)},
        "faults": {name: findings.faults(one) for name, one in zip(targets, groups, strict=True)},
        "checks": list(lines.check_rows(targets, groups)),
        "roles": lines.role_rows(targets, groups),
        "contracts": {n: lines.contract(n, one, g) for (n, one), g in zip(targets.items(), groups, strict=True)},
        "timed": {name: list(lines.timed(target["latency"])) for name, target in targets.items()},
        "figures": _figures(result.targets),
        "captions": captions.captions(result.targets),
        "drawn": captions.drawn(result.targets),
        "thumbnails": {target.spec.target: _thumbnails(target) for target in result.targets},
    }


def _longest(groups: Sequence[Sequence[findings.Group]]) -> int:
    """How long a command may be to be shown: as long as they come, unless all of them would be too much for a page."""
    sizes = [len(group.first["request"]) for found in groups for group in found]
    return MOST_COMMAND if sum(sizes) <= MOST_COMMANDS else LONG_COMMAND


def _ends(targets: Any, *path: str) -> list[str]:
    """The targets that have the least and the most of a share; one where all have the same, none where there is none."""
    known = {name: target[path[0]][path[1]] for name, target in targets.items() if target["cases"]["run"]}
    if not known:
        return []
    least, most = min(known, key=lambda name: known[name]), max(known, key=lambda name: known[name])
    return [least] if known[least] == known[most] else [least, most]


def _figures(targets: Sequence[TargetResult]) -> dict[str, dict[str, Markup]]:
    """Each figure at a desk's and at a phone's width; the style sheet shows one of them."""
    if not any(one.call is not None for target in targets for one in target.judged):
        return {}
    from harness.report import plots

    widths = {"wide": plots.WIDE, "narrow": plots.NARROW}
    return {
        name: {
            where: Markup(plots.inline(plot, f"{name}-{where}", width))  # noqa: S704 - escaped by the XML writer
            for where, width in widths.items()
        }
        for name, plot in plots.plots_of(targets).items()
    }


def _thumbnails(target: TargetResult) -> list[str | None]:
    """A data address for each picture of a target; None for what cannot be shown."""
    small = [None if shown.data is None else thumbnail(shown.data) for shown in target.pictures]
    return [None if data is None else f"data:image/webp;base64,{base64.b64encode(data).decode()}" for data in small]
