"""How long the page takes and how large it is as runs grow, and whether a browser still opens it.

Measured, for a check of the five shipped targets, for benches of ten targets, and for ten targets with findings of every
kind in every call:

* the page: ``html.render``, figures and thumbnails included; processor time, and for the check its ratio to
  ``document.build``, which judges and measures and which every report shares;
* the size of the page, of its figures and of report.json;
* opening: from navigation to the load event in Chromium, where it is installed, and that nothing was logged.

How: twenty jobs of fal's queue and of UModelVerse's synchronous call, recorded in virtual time from the simulator, are
repeated with other identifiers, later instants and durations stretched by up to a third, until ten targets of the two flows
have as many calls as asked for; the copies keep the verdicts of the originals, since judging is not what is timed.
Processor time of this process, the second of two pages, so without imports.

Decides: how many jobs, lanes, pictures and findings the page shows (goal: 10 targets of 2 000 calls in less than 3 MB and
10 s; 100 000 calls still open). No threshold on time here: only a page that a browser complains about makes the script fail.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from harness.clock import NS
from harness.flow import Route
from harness.metrics.phases import phases
from harness.model import Case, Exchange, Finding, Judged, Verdict
from harness.report import document, html
from harness.report.results import RunResult, Sample, TargetResult
from harness.targets import Request
from tests.calls import FAL, SINGLE, SPECS, simulated
from tests.report import runs

T = TypeVar("T")
CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
APART_NS = NS // 4
TARGETS = 10
SIZES = (200, 2_000, 10_000)
QUICK_SIZES = (20,)
COLUMNS = ("calls", "exchanges", "page s", "x judging", "page MB", "figures MB", "json MB", "opens s")
NONE = "-"


def crowd(calls: int, *, loud: bool = False) -> RunResult:
    """A bench of ten targets with so many calls each; ``loud`` finds something else in every call."""
    run = simulated(Request("simulate", kind="bench", requests=20), FAL, SINGLE)
    base = document.build(run.history, SPECS)
    targets = [copied(base.targets[number % 2], f"copy-{number}", calls, loud=loud) for number in range(TARGETS)]
    return replace(runs.run(*targets, mode="simulate", recorded_from=None), kind="bench")


def copied(original: TargetResult, name: str, calls: int, *, loud: bool) -> TargetResult:
    """A target that made the calls of another many times over."""
    spec = replace(original.spec, target=f"{original.spec.provider}/{name}")
    judged = list(copies(original.judged, spec.target, calls))
    if loud:
        judged = [noisy(one, place) for place, one in enumerate(judged)]
    route = Route(spec, original.flow, original.base_url)
    samples: dict[str, list[Sample]] = {}
    for one in judged:
        for phase, bounds in phases(route, one.call).items() if one.call else ():
            if bounds is not None:
                samples.setdefault(phase, []).append(Sample(one.case.id, *bounds))
    made = runs.target_result(
        spec,
        original.flow,
        judged,
        {phase: tuple(found) for phase, found in samples.items()},
        original.not_separable,
        {},
        original.summary["cost"]["price_source"],
        original.pictures,
    )
    return replace(made, base_url=original.base_url)


def noisy(one: Judged, place: int) -> Judged:
    """A case with a finding of its own, as long as they come."""
    verdict = (Verdict.FAIL, Verdict.WARN, Verdict.UNKNOWN)[place % 3]
    long = f"{place}: " + "what came back is not what the document states, at length; " * 8
    found = Finding("response_schema_conformance", verdict, one.case.id, long, "prompt", long, long)
    return replace(one, verdict=verdict, findings=(found,), checks={found.check: verdict})


def copies(originals: Sequence[Judged], target: str, number: int) -> Iterator[Judged]:
    """Judged cases over and over, each later and a little slower than its original."""
    for place in range(number):
        one = originals[place % len(originals)]
        assert one.call is not None
        case = replace(one.case, id=f"{target}/bench/{place + 1:05}", target=target)
        start = one.call.exchanges[0].intended_ns
        stretch = 1 + place * 0.6180339887498949 % 1 / 3
        exchanges = tuple(later(each, case, start, place * APART_NS, stretch) for each in one.call.exchanges)
        call = replace(one.call, id=f"c{place + 1:06}", case=case, exchanges=exchanges)
        yield replace(one, case=case, call=call)


def later(one: Exchange, case: Case, start: int, shift: int, stretch: float) -> Exchange:
    """An exchange with other instants."""

    def at(instant: int) -> int:
        return start + shift + int((instant - start) * stretch)

    first = None if one.first_byte_ns is None else at(one.first_byte_ns)
    instants = (at(one.intended_ns), at(one.sent_ns), first, at(one.received_ns))
    return replace(
        one, case_id=case.id, intended_ns=instants[0], sent_ns=instants[1], first_byte_ns=first, received_ns=instants[3]
    )


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Processor seconds of some work, and what it gives."""
    begun = time.process_time()
    found = work()
    return time.process_time() - begun, found


def opened(page: str) -> str:
    """Seconds until Chromium has loaded a page; a dash without it."""
    if CHROMIUM is None:
        return NONE
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        file.write_text(page, "utf-8")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        tab, said = browser.new_page(), list[str]()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(file.as_uri())
        spent = tab.evaluate("performance.timing.loadEventEnd - performance.timing.navigationStart")
        browser.close()
    if said:
        sys.exit(f"the page says {said[0]}")
    return f"{spent / 1000:.2f}"


def row(name: str, result: RunResult, judging: float | None = None) -> list[str]:
    """A line of the table."""
    html.render(result)
    drawing, page = timed(lambda: html.render(result))
    figures = sum(len(part) for part in page.split("<svg")[1:])
    calls = [one.call for target in result.targets for one in target.judged if one.call is not None]
    return [
        name,
        str(len(calls)),
        str(sum(len(call.exchanges) for call in calls)),
        f"{drawing:.2f}",
        NONE if judging is None else f"{drawing / judging:.2f}",
        *(f"{size / 1e6:.2f}" for size in (len(page.encode()), figures, len(document.dump(result.document).encode()))),
        opened(page),
    ]


def line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Cells as a line, the first one to the left."""
    first, *others = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join([first.lstrip().ljust(widths[0]), *others])


def main() -> None:
    """Build, time and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small runs: shows that it runs")
    quick = parser.parse_args().quick
    checked = simulated(Request("simulate", max_cases=3 if quick else None, rejects=not quick), *SPECS.values()).history
    judging, result = timed(lambda: document.build(checked, SPECS))
    rows = [row("check, 5 targets", result, judging)]
    rows.append(row("findings everywhere", crowd(20 if quick else 2_000, loud=True)))
    for calls in QUICK_SIZES if quick else SIZES:
        rows.append(row(f"{TARGETS} x {calls} calls", crowd(calls)))
    widths = [max(map(len, column)) for column in zip(("", *COLUMNS), *rows, strict=True)]
    print(line(("", *COLUMNS), widths))
    print("-" * (sum(widths) + 2 * len(widths) - 2))
    for cells in rows:
        print(line(cells, widths))


if __name__ == "__main__":
    main()
