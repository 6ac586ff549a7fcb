"""docs/comparing.md and docs/github-compare.yml say what the command line does."""

from __future__ import annotations

import re
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
    lines = [part.strip() for block in blocks for line in block.splitlines() for part in line.split(" || ")]
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
    (compare,) = [run for run in runs if run.startswith("harness compare")]
    (comment,) = [run for run in runs if run.startswith("gh pr comment")]
    assert str(parsed(compare)[1]["markdown"]) in comment
    assert not re.search(r"\$\{\{", " ".join(one.get("run", "") for job in WORKFLOW["jobs"] for one in steps(job)))
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert WORKFLOW["jobs"]["answers"]["permissions"]["pull-requests"] == "write"
    assert "pull_request_target" not in TEXT


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
    (compare,) = [one for one in steps("provider") if one.get("run", "").startswith("harness compare")]
    options = parsed(compare["run"].partition(" || ")[0])[1]
    assert options["confirm"]
    assert Decimal(options["max_cost"]) >= 3 * price
    assert WORKFLOW["jobs"]["provider"]["env"]["HARNESS_REGION"]
    assert WORKFLOW["jobs"]["provider"]["concurrency"] == {"group": "image-apis-live", "cancel-in-progress": False}


def test_the_page_states_the_rules_numbers() -> None:
    """Level, fewest runs, tolerance, sends, kept runs, blocks: as the code has them."""
    for said in (
        f"t({statistics.LEVEL}, K − 1)",
        f"Fewer than {statistics.FEWEST} baseline runs",
        f"tolerance {numbers.TOLERANCE:.0%}".replace("%", " %"),
        f"newest {baseline.KEPT} of each target",
        f"blocks of neighbouring runs ({changepoints.BLOCK} or more)",
        f"at most {changepoints.LEVEL * 100:.0f} % of {changepoints.SHUFFLES} shuffles",
        f"Fewer than {changepoints.FEWEST_RUNS} runs are not searched",
        f"{1 / pairs.ALPHA:.0f} in at most {pairs.ALPHA * 100:.0f} % of series",
    ):
        assert said in re.sub(r"\s+", " ", PAGE), said
    assert drift.SENDS == 3
    assert "takes three sends that all show it" in re.sub(r"\s+", " ", PAGE)
