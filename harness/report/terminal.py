"""The report as a person reads it in ten seconds, and the progress of a run while it lasts.

Rules
-----
* The first line says where the answers came from.
* Where the output is no terminal, or ``NO_COLOR`` is set, it is plain: ASCII, no colour, no carriage return, and
  nothing moves.
* What came from outside is shown through ``visible``, never as markup; every line is one that no CI system takes
  for a command. Lines are not wrapped here, so that none begins where a hostile text would like it to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

from harness.clock import monotonic_seconds
from harness.model import VERDICT_ORDER, Json, Outcome, Verdict
from harness.report import text
from harness.report.results import RunResult, TargetResult

MOST_FINDINGS = 10
_MESSAGE, _NAME = 160, 60
_COLOURS = {"pass": "green", "warn": "yellow", "unknown": "magenta", "fail": "red"}
_HEAD = ("target", "verdict", "cases", "findings", "p50 total", "queue", "inference", "per image")
_RIGHT = (
    "cases", "p50 total", "queue", "inference", "per image", "requests", "ok", "failed", "warm-up", "n", "p50", "p95", "cost",
)  # fmt: skip
_REQUESTS = ("target", "verdict", "requests", "ok", "failed", "warm-up", "findings", "cost", "per image")
_PHASES = ("target", "phase", "n", "p50", "95 % interval", "p95", "95 % interval")
_GAP = "  "
_RECENT = 120.0
"""Seconds of the past from which rate and remaining time are told: a queue makes cases end in batches."""


def summary(result: RunResult, console: Console, place: Path | None = None) -> None:
    """Print the mode, a line for each target, the first findings, and where the whole report is.

    A bench has a line for each phase of each target besides.
    """
    document = result.document
    verdict = document["totals"]["verdict"]
    lines: list[tuple[str, str | None]] = [(text.mode_line(document["run"]), "bold")]
    lines.append(("", None))
    if result.kind == "bench":
        lines += _bench(result, console)
    else:
        lines += _table(_HEAD, (_row(name, target) for name, target in document["targets"].items()), console)
    lines.append(("", None))
    findings = list(_findings(document["targets"]))
    lines += findings[:MOST_FINDINGS]
    if len(findings) > MOST_FINDINGS:
        lines.append((f"  and {text.count(len(findings) - MOST_FINDINGS, 'further finding')} in the report", "dim"))
    lines += [("", None)] if findings else []
    lines.append((f"verdict: {verdict}", f"bold {_COLOURS[verdict]}"))
    lines += [(f"  {reason}", None) for reason in text.reasons(document)]
    lines.append((f"  {_money(document)}", None))
    if place is not None:
        lines.append((f"  {text.visible(place)}", None))
    for line, style in lines:
        _print(console, line, style)


def _money(document: Mapping[str, Json]) -> str:
    """What the run cost, and how many requests that took."""
    totals, simulated = document["totals"], text.is_simulated(document["run"])
    requests, images = text.count(totals["paid_requests"], "paid request"), text.count(totals["images"], "image")
    charged = "; nothing was charged" if simulated else ""
    return f"{text.usd(totals['usd'])} at list price for {requests}, {images}{charged}."


def is_plain(console: Console) -> bool:
    """Whether to do without colour, typography and movement."""
    return not console.is_terminal or console.no_color or console.is_dumb_terminal


def _print(console: Console, line: str, style: str | None) -> None:
    safe = text.log_line(line)
    if is_plain(console):
        console.file.write(text.ascii_only(safe) + "\n")
    else:
        console.print(Text(safe, style=style or "", end=""), soft_wrap=True, highlight=False)


def _table(head: Sequence[str], lines: Iterable[tuple[str, ...]], console: Console) -> Iterator[tuple[str, str | None]]:
    """A header and the lines, each led by a name; on a terminal too narrow for them, a name has a line of its own."""
    rows = list(lines)
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    narrow = not is_plain(console) and sum(widths) + len(_GAP) * (len(widths) - 1) > console.width
    if narrow:
        widths[0] = 0
    yield _aligned(head, ("", *head[1:]) if narrow else head, widths), "dim"
    for name, *cells in rows:
        if narrow and name:
            yield name, "bold"
        yield _aligned(head, ("" if narrow else name, *cells), widths), _COLOURS.get(cells[0])


def _aligned(heads: Sequence[str], cells: Sequence[str], widths: Sequence[int]) -> str:
    placed = zip(heads, cells, widths, strict=True)
    return _GAP.join(c.rjust(w) if head in _RIGHT else c.ljust(w) for head, c, w in placed).rstrip()


def _row(name: str, target: Mapping[str, Json]) -> tuple[str, ...]:
    cases, latency = target["cases"], target["latency"]
    return (
        text.visible(name, _NAME),
        target["verdict"],
        str(cases["run"]) if cases["run"] == cases["planned"] else f"{cases['run']}/{cases['planned']}",
        _tally(target["findings"]),
        *(text.median(latency, phase) for phase in ("total", "queue", "inference")),
        text.usd(target["cost"]["usd_per_image"]),
    )


def _bench(result: RunResult, console: Console) -> Iterator[tuple[str, str | None]]:
    """What was sent to each target, then how long each phase took that could be timed."""
    targets = result.document["targets"]
    yield from _table(_REQUESTS, map(_sent, result.targets), console)
    yield "", None
    timed = list(_measured(targets))
    yield from _table(_PHASES, timed, console) if timed else [("no job was timed", None)]
    yield from _hidden(targets)
    for name, target in targets.items():
        for said in _measurement(target.get("measurement") or {}):
            yield f"{text.visible(name, _NAME)}: {said}", None


def _measurement(found: Mapping[str, Json]) -> Iterator[str]:
    """What else a bench was asked for, and what its figures want said."""
    if goodput := found.get("goodput"):
        share = goodput["share"]
        within = f"{goodput['within']} of {goodput['n']} jobs within {goodput['slo_s']:g} s"
        yield f"{within}, {share['value']:.1%} ({share['low']:.1%}–{share['high']:.1%}), {goodput['per_s']:.3g} a second"
    if precision := found.get("precision"):
        yield f"{precision['asked']} was {'reached' if precision['reached'] else 'not reached'} with {text.count(precision['n'], 'job')}"
    for note in found.get("notes", ()):
        yield text.visible(note, _MESSAGE)


def _sent(target: TargetResult) -> tuple[str, ...]:
    """What a bench sent to a target, without the warm-up, and what became of it; what it cost includes the warm-up."""
    summary = target.summary
    timed = [one for one in target.judged if one.case.kind != "warm-up"]
    sent = [one.call for one in timed if one.call is not None]
    ok = sum(call.outcome is Outcome.COMPLETED for call in sent)
    return (
        text.visible(target.spec.target, _NAME),
        summary["verdict"],
        str(len(sent)) if len(sent) == len(timed) else f"{len(sent)}/{len(timed)}",
        str(ok),
        str(len(sent) - ok),
        str(sum(one.case.kind == "warm-up" and one.call is not None for one in target.judged)),
        _tally(summary["findings"]),
        text.usd(summary["cost"]["usd"]),
        text.usd(summary["cost"]["usd_per_image"]),
    )


def _measured(targets: Mapping[str, Mapping[str, Json]]) -> Iterator[tuple[str, ...]]:
    """A line for each phase that a target shows, the target's name on its first one."""
    for name, target in targets.items():
        shown = text.visible(name, _NAME)
        for phase, found in target["latency"].items():
            if found.get("n"):
                quantiles = [(text.seconds(found[q]["value"]), text.interval(found[q])) for q in ("p50", "p95")]
                yield (shown, phase, str(found["n"]), *quantiles[0], *quantiles[1])
                shown = ""


def _hidden(targets: Mapping[str, Mapping[str, Json]]) -> Iterator[tuple[str, str | None]]:
    """Which phases are not separable, a line for each reason and the targets that share it."""
    hidden: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for name, target in targets.items():
        by_reason: dict[str, list[str]] = {}
        for phase, found in target["latency"].items():
            if "not_separable" in found:
                by_reason.setdefault(found["not_separable"], []).append(phase)
        for reason, phases in by_reason.items():
            hidden.setdefault((reason, tuple(phases)), []).append(text.visible(name, _NAME))
    for (reason, same), names in hidden.items():
        yield f"not separable: {', '.join(same)} of {', '.join(names)}: {text.visible(reason, _MESSAGE)}", "dim"


def _tally(findings: Sequence[Mapping[str, Json]]) -> str:
    """``8 fail, 1 warn``, the worst first."""
    found = [finding["verdict"] for finding in findings]
    counts = [f"{found.count(verdict.value)} {verdict.value}" for verdict in reversed(VERDICT_ORDER)]
    return ", ".join(count for count in counts if not count.startswith("0 ")) or "none"


@dataclass(frozen=True, slots=True)
class _Finding:
    verdict: str
    check: str
    parameter: str
    message: str


def _findings(targets: Mapping[str, Mapping[str, Json]]) -> Iterator[tuple[str, str | None]]:
    """One line for each check, parameter and message, with how many cases and targets say so; the worst first."""
    found: dict[_Finding, list[str]] = {}
    for name, target in targets.items():
        for one in target["findings"]:
            key = _Finding(one["verdict"], one["check"], one["parameter"] or "", one["message"])
            found.setdefault(key, []).append(name)
    for key in sorted(found, key=lambda key: -VERDICT_ORDER.index(Verdict(key.verdict))):
        names = list(dict.fromkeys(found[key]))
        where = text.visible(names[0], _NAME) + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        times = f" ×{len(found[key])}" if len(found[key]) > 1 else ""
        about = f"({text.visible(key.parameter, _NAME)})" if key.parameter else ""
        line = f"{key.verdict:<7}  {text.visible(key.check, _NAME)}{about}: {text.visible(key.message, _MESSAGE)}"
        yield f"  {line}  [{where}{times}]", _COLOURS[key.verdict]


class _Rate(ProgressColumn):
    """How many cases end in a minute, by the last of them."""

    def render(self, task: Task) -> Text:
        """The rate in three digits; an en dash until two cases have ended."""
        speed = task.speed
        return Text(f"{text.NOTHING if speed is None else format(60 * speed, '.3g')}/min")


class Progress:
    """A bar on a terminal while it is entered; silent anywhere else, and where ``quiet`` is asked for."""

    def __init__(
        self, console: Console, *, quiet: bool = False, get_time: Callable[[], float] = monotonic_seconds
    ) -> None:
        self._bar: Bar | None = None
        if not quiet and not is_plain(console):
            columns = (
                BarColumn(24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[running]} running"),
                _Rate(),
                TextColumn("{task.fields[spent]} spent,"),
                TimeRemainingColumn(compact=True),
                TextColumn("left"),
            )
            self._bar = Bar(*columns, console=console, transient=True, speed_estimate_period=_RECENT, get_time=get_time)
            self._task = self._bar.add_task("", total=None, running=0, spent=text.usd(0))

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def update(self, done: int, total: int, usd: Decimal, running: int) -> None:
        """Show how many cases of how many have ended, the USD spent, and how many jobs are in flight."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, running=running, spent=text.usd(float(usd)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
