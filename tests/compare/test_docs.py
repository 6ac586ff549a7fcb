"""docs/comparing.md and docs/github-compare.yml say what the command line does."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.cli import NOT_IN_BENCH, request_of
from harness.compare import baseline, changepoints, drift, numbers, pairs, statistics
from harness.config import Config
from harness.spec import find
from harness.strict import load_yaml
from harness.targets import flow_of, plan_of
from tests.test_ci_docs import parsed, strings

DOCS = Path(harness.__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "comparing.md").read_text("utf-8")
TEXT = (DOCS / "github-compare.yml").read_text("utf-8")
WORKFLOW: Any = load_yaml(TEXT.encode()).value


def commands() -> list[str]:
    """Every command of the harness in the page and the workflow, without what a shell makes of it."""
    blocks = [*strings(WORKFLOW), *re.findall(r"^```\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)]
    lines = [
        part.strip() for block in blocks for line in block.splitlines() for part in re.split(r" \|\| | && |; ", line)
    ]
    return sorted({re.split(r"  +", line)[0] for line in lines if line.startswith("harness ")})


@pytest.mark.parametrize("line", commands())
def test_every_command_is_one_of_the_command_lines(line: str) -> None:
    """No command or option is named that the harness lacks."""
    parsed(line)


def steps(job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = WORKFLOW["jobs"][job]["steps"]
    return found


def test_a_pull_request_sends_nothing_and_is_commented() -> None:
    """No key, no live run; what compare wrote is what is posted, and no expression stands in a command."""
    runs = [one["run"] for one in steps("answers") if "run" in one]
    assert not any(word in " ".join(runs) for word in ("--live", "--record", "secrets"))
    (compare,) = [line for line in commands() if line.startswith("harness compare reports/before")]
    assert set(parsed(compare)[1]["across"]) == {"spec", "version"}
    assert "gh pr comment" in runs[-1]
    assert not re.search(r"\$\{\{", " ".join(one.get("run", "") for job in WORKFLOW["jobs"] for one in steps(job)))
    assert WORKFLOW["permissions"] == {"contents": "read"}
    # A job's permissions replace the workflow's: without contents, a private repository cannot be checked out.
    assert WORKFLOW["jobs"]["answers"]["permissions"] == {"contents": "read", "pull-requests": "write"}
    assert "pull_request_target" not in TEXT


def shell(place: Path, step: dict[str, Any], *, harness: str) -> int:
    """A step as GitHub runs it, in ``place``, with a harness that does as ``harness`` says."""
    tool = place / "bin" / "harness"
    tool.parent.mkdir(exist_ok=True)
    tool.write_text(f"#!/bin/sh\n{harness}\n")
    tool.chmod(0o755)
    path = f"{tool.parent}:{os.environ['PATH']}"
    env = {"PATH": path, "GITHUB_STEP_SUMMARY": str(place / "summary"), "NUMBER": "1"}
    return subprocess.run(["bash", "-e", "-c", step["run"]], cwd=place, env=env, check=False).returncode


def named(job: str, words: str) -> dict[str, Any]:
    (found,) = [one for one in steps(job) if words in one.get("run", "")]
    return found


@pytest.mark.parametrize(("first", "status", "ends"), [(True, 1, 0), (False, 0, 0), (False, 3, 0), (False, 1, 1)])
def test_the_first_night_passes_and_later_ones_as_they_compare(
    tmp_path: Path, *, first: bool, status: int, ends: int
) -> None:
    """Without a committed baseline nothing is compared; with one, an open question passes."""
    if not first:
        (tmp_path / "harness-baseline.json").write_text("committed")
    assert shell(tmp_path, named("provider", "harness compare"), harness=f"exit {status}") == ends


def test_a_nights_baseline_is_made_on_top_of_the_committed_one(tmp_path: Path) -> None:
    """What is committed is there when the night's runs are added."""
    (tmp_path / "harness-baseline.json").write_text("committed")
    (tmp_path / "reports").mkdir()
    assert (
        shell(tmp_path, named("provider", "harness baseline update"), harness="cat reports/harness-baseline.json") == 0
    )


@pytest.mark.parametrize(
    ("harness", "ends", "says"),
    [
        ("echo compared > compare.md; exit 1", 1, "compared"),
        ("exit 4", 4, "The recordings cannot be compared: the log of this job says why."),
    ],
)
def test_there_is_always_something_to_comment(tmp_path: Path, harness: str, ends: int, says: str) -> None:
    """What compare wrote, or a line that says why there is nothing; the job ends as compare did."""
    assert shell(tmp_path, named("answers", "harness compare"), harness=harness) == ends
    assert (tmp_path / "comment.md").read_text().strip() == says


def test_before_is_replayed_by_its_own_harness() -> None:
    """Installed from the base, in the base's directory, with the base's recordings."""
    lines = named("answers", "-m venv")["run"].splitlines()
    assert lines.index("cd before") < next(n for n, line in enumerate(lines) if 'pip install "$HARNESS"' in line)
    assert "before/bin/harness" in lines[-1]
    assert "--cassettes cassettes --out ../reports/before" in lines[-1]


def test_a_night_is_live_within_its_budget_and_named_by_its_region() -> None:
    """Each bench fits what it may cost, the fresh batch too; keys are in the steps that send."""
    (benches,) = [one for one in steps("provider") if "harness bench" in one.get("run", "")]
    lines = [line.partition(" || ")[0] for line in benches["run"].splitlines()]
    assert len(lines) == 3
    price = Decimal(0)
    for line in lines:
        _, options = parsed(line)
        assert options["live"]
        (spec,) = find(options["targets"])
        asked = request_of({**options, **NOT_IN_BENCH})
        request = replace(asked, kind="bench", requests=options["requests"])
        price = plan_of(spec, flow_of(spec, None), request, Config()).usd
        assert request.max_cost is not None
        assert price <= request.max_cost
        assert benches["env"] == {spec.credential.env: f"${{{{ secrets.{spec.credential.env} }}}}"}
    (compare,) = [
        line for line in commands() if line.startswith("harness compare harness-baseline.json") and "--junit" in line
    ]
    options = parsed(compare)[1]
    assert options["confirm"]
    assert Decimal(options["max_cost"]) >= 3 * price
    assert WORKFLOW["jobs"]["provider"]["env"]["HARNESS_REGION"]
    assert WORKFLOW["jobs"]["provider"]["concurrency"] == {"group": "image-apis-live", "cancel-in-progress": False}


@pytest.mark.parametrize("page", [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda page: page.name)
def test_no_figure_is_still_to_be_filled_in(page: Path) -> None:
    """No placeholder is left where a script's figure belongs."""
    assert re.findall(r"@[A-Z]+@", page.read_text("utf-8")) == []


def test_the_page_states_the_rules_numbers() -> None:
    """Level, fewest runs, tolerance, sends, kept runs, blocks: as the code has them."""
    for said in (
        f"t({statistics.LEVEL}, K − 1)",
        f"Fewer than {statistics.FEWEST} baseline runs",
        f"tolerance {numbers.TOLERANCE:.0%}".replace("%", " %"),
        f"newest {baseline.KEPT} of each target",
        f"blocks of neighbouring runs ({changepoints.BLOCK} or more; the first and the last may be shorter)",
        f"at most {changepoints.LEVEL * 100:.0f} % of {changepoints.SHUFFLES} shuffles",
        f"Fewer than {changepoints.FEWEST_RUNS} runs are not searched",
        f"{1 / pairs.ALPHA:.0f} in at most {pairs.ALPHA * 100:.0f} % of series",
    ):
        assert said in re.sub(r"\s+", " ", PAGE), said
    assert drift.SENDS == 3
    assert "takes three sends that all show it" in re.sub(r"\s+", " ", PAGE)
