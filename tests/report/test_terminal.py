import io
import re
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from harness.report import terminal
from tests.report import runs


def printed(result, **console):
    out = io.StringIO()
    terminal.summary(result, Console(file=out, **console), Path("reports/20261121/report.html"))
    return out.getvalue()


def test_the_summary_of_a_run():
    """Mode, a line for each target, the findings, the verdict with its reasons, the place of the report."""
    assert printed(runs.realistic()).splitlines() == [
        "Recorded on 2026-11-18 from the live provider, replayed here",
        "",
        "target                              verdict  cases  findings                   p50 total          queue      inference  per image",
        "fal/flux-pro-kontext-multi          fail     63/64  8 fail, 2 unknown, 1 warn     8.60 s         1.90 s         6.40 s      $0.04",
        "umodelverse/flux-kontext-pro        pass        14  none                          11.2 s  not separable  not separable      $0.04",
        "wavespeed/flux-kontext-pro-multi    unknown     14  2 unknown                     7.77 s  not separable  not separable      $0.04",
        "fal-gateway/flux-pro-kontext-multi  unknown    0/1  none                               -              -              -          -",
        "",
        "  fail     image_dimensions(aspect_ratio): width and height are not in the ratio that was asked for  [fal/flux-pro-kontext-multi x4]",
        "  fail     image_count(num_images): the answer holds fewer images than were asked for  [fal/flux-pro-kontext-multi x4]",
        "  unknown  negative_data_rejection: the provider answered 429, which says nothing about the request  [fal/flux-pro-kontext-multi x2]",
        "  unknown  job_completes: the job passed the deadline of 300 s  [wavespeed/flux-kontext-pro-multi x2]",
        "  warn     negative_data_rejection(safety_tolerance): a value that one place allows and another forbids was accepted  [fal/flux-pro-kontext-multi]",
        "",
        "verdict: fail",
        "  8 cases failed: fal/flux-pro-kontext-multi 8 (image_dimensions, image_count).",
        "  4 cases could not be judged: fal/flux-pro-kontext-multi 2 (negative_data_rejection), wavespeed/flux-kontext-pro-multi 2 (job_completes).",
        "  1 case warned: fal/flux-pro-kontext-multi 1 (negative_data_rejection).",
        "  The run is not complete: 2 planned cases not run.",
        "  2 submits may have been charged: up to $0.08 more.",
        "  $2.00 at list price for 50 paid requests, 50 images.",
        "  reports/20261121/report.html",
    ]


@pytest.mark.parametrize("result", [runs.realistic, runs.hostile])
@pytest.mark.parametrize("console", [{}, {"force_terminal": True, "no_color": True}])
def test_output_that_is_no_terminal_or_has_no_colour_is_plain(result, console):
    """ASCII, no escape sequence, no carriage return."""
    assert re.fullmatch(r"[\n\x20-\x7e]*", printed(result(), **console))


@pytest.mark.parametrize("console", [{}, {"force_terminal": True, "width": 40}])
def test_no_line_is_a_command_of_a_ci_system(console):
    """Whatever a provider answers, and however narrow the terminal."""
    of = runs.spec("fal/flux-pro-kontext-multi")
    texts = ["::error::x", "\n::error::x", "a ::error::b", "##[group]x", "##vso[task]", "x" * 30 + " ::warning::y"]
    rows = [runs.refused(of, t, t, runs.finding("error_shape", runs.FAIL, t)) for t in texts]
    audit = {"valid": False, "reasons": texts, "loop_lag_p99_s": None, "start_lag_p99_s": None, "cpu_share": None}
    result = runs.run(runs.target_result(of, of.default_flow, rows, {}, {}, {}, ""), audit=audit)
    for line in re.sub(r"\x1b\[[0-9;]*m", "", printed(result, **console)).splitlines():
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
        assert "##vso[" not in line


def test_on_a_terminal_verdicts_have_colours_and_nothing_else_moves():
    """Only colour sequences; the text itself brings none."""
    out = printed(runs.hostile(), force_terminal=True, width=200)
    assert "\x1b[31m" in out
    assert set(re.findall(r"\x1b(?:\[[0-9;]*[A-Za-z])?", out)) == set(re.findall(r"\x1b\[[0-9;]*m", out))
    assert r"\u202egnp.exe" in out


def test_a_narrow_terminal_gets_each_target_on_a_line_of_its_own():
    """The table then has room for its figures."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", printed(runs.realistic(), force_terminal=True, width=100)).splitlines()
    assert "umodelverse/flux-kontext-pro" in lines
    table = lines[2 : lines.index("", 2)]
    assert max(map(len, table)) <= 100


def test_findings_beyond_ten_are_counted():
    """Ten seconds of reading."""
    of = runs.spec("fal/flux-pro-kontext-multi")
    rows = [runs.refused(of, "n", f"f-{n}", runs.finding("limits", runs.FAIL, f"message {n}")) for n in range(14)]
    out = printed(runs.run(runs.target_result(of, of.default_flow, rows, {}, {}, {}, "")))
    assert out.count("limits: message") == 10
    assert "  and 4 further findings in the report" in out


def test_a_run_without_targets_is_summed_up():
    """Nothing was run, and that is said."""
    empty = runs.run(mode="live", recorded_from=None, complete=True)
    empty.document["totals"]["unknown_charge"] = 0
    assert "  No case was run." in printed(empty).splitlines()


@pytest.mark.parametrize("console", [{}, {"force_terminal": True, "no_color": True}, {"force_terminal": True}])
def test_progress_moves_on_a_terminal_only(console):
    """A log file holds no trace of it."""
    out = io.StringIO()
    with terminal.Progress(Console(file=out, **console)) as progress:
        progress.update(3, 12, Decimal("0.12"), 2)
    assert bool(out.getvalue()) == (console == {"force_terminal": True})


def test_progress_tells_rate_money_and_what_is_left():
    """Half done after a minute: as many cases a minute, the money so far, and a minute to go."""
    out, now = io.StringIO(), [1000.0]
    console = Console(file=out, force_terminal=True, width=120)
    with terminal.Progress(console, get_time=lambda: now[0]) as progress:
        for done in range(7):
            progress.update(done, 12, Decimal("0.04") * done, 2)
            now[0] += 10
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())
    last = next(line for line in reversed(re.split("[\r\n]", shown)) if "6/12" in line)
    for part in ("2 running", "6/min", "$0.24 spent, 01:00 left"):
        assert part in last


def test_progress_is_silent_when_asked():
    """--quiet."""
    out = io.StringIO()
    with terminal.Progress(Console(file=out, force_terminal=True), quiet=True) as progress:
        progress.update(1, 2, Decimal(0), 1)
    assert out.getvalue() == ""
