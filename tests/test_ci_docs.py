"""docs/ci.md and docs/github-workflow.yml say what the command line does: they are read, and their commands parsed."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest

import harness
from harness.cli import cli, request_of
from harness.config import Config
from harness.spec import find
from harness.strict import load_yaml
from harness.targets import Request, flow_of, plan_of

DOCS = Path(harness.__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "ci.md").read_text("utf-8")
WORKFLOW = (DOCS / "github-workflow.yml").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
GITHUB, GITLAB, HOOKS = (load_yaml(text.encode()).value for kind, text in BLOCKS if kind == "yaml")


def strings(value: Any) -> Iterator[str]:
    """Every string of a YAML value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def commands() -> list[str]:
    """Every command of the harness that the page, or an example in it, shows."""
    texts = [*strings(GITHUB), *strings(GITLAB), *strings(HOOKS), *(text for kind, text in BLOCKS if kind != "yaml")]
    lines = [line.partition(" || ")[0] for text in texts for line in text.splitlines()]
    quoted = re.findall(r"`(harness [a-z][^`]*)`", PAGE)
    return sorted({line for line in [*lines, *quoted] if line.startswith("harness ")})


def parsed(line: str) -> tuple[str, dict[str, Any]]:
    """A command line as the command line reads it: the command's name and parameters.

    Raises:
        click.UsageError: there is no such command or option.
    """
    words = shlex.split(line)[1:]
    command: click.Command = cli
    name = "harness"
    while isinstance(command, click.Group):
        name = words.pop(0)
        if name not in command.commands:
            raise click.UsageError(f"no command {name}")
        command = command.commands[name]
    return name, command.make_context(name, words).params


def steps(job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = GITHUB["jobs"][job]["steps"]
    return found


def step(job: str, words: str) -> dict[str, Any]:
    (found,) = [one for one in steps(job) if words in one.get("run", one.get("uses", ""))]
    return found


def test_the_page_shows_the_file() -> None:
    """What is copied from the page is the file that is tested."""
    assert ("yaml", WORKFLOW) in BLOCKS


@pytest.mark.parametrize("line", commands())
def test_every_command_is_one_of_the_command_lines(line: str) -> None:
    """No command or option is named that the harness lacks."""
    parsed(line)


def test_an_unknown_option_would_be_noticed() -> None:
    """The parser is the real one."""
    for line in ("harness check --junitxml x", "harness chek", "harness specs lnt"):
        with pytest.raises(click.UsageError):
            parsed(line)


def test_a_push_replays_and_a_night_is_live() -> None:
    """Recorded answers for every event; the provider only on a schedule or by hand."""
    assert set(GITHUB["on"]) == {"push", "pull_request", "schedule", "workflow_dispatch"}
    assert "if" not in GITHUB["jobs"]["replay"]
    assert GITHUB["jobs"]["live"]["if"] == "github.event_name == 'schedule' || github.event_name == 'workflow_dispatch'"
    _, replay = parsed(step("replay", "harness check")["run"])
    assert not any(replay[source] for source in ("simulate", "live", "record"))
    _, live = parsed(step("live", "harness check")["run"])
    assert (live["live"], live["targets"]) == (True, ("fal", "wavespeed"))


def test_keys_are_in_one_step_and_are_the_targets() -> None:
    """The variables are those of the specs; no other step, job or line names a secret."""
    live = step("live", "harness check")
    names = {spec.credential.env for spec in find(("fal", "wavespeed"))}
    assert live["env"] == {name: f"${{{{ secrets.{name} }}}}" for name in names}
    assert sorted(re.findall(r"secrets\.(\w+)", WORKFLOW)) == sorted(names)
    assert "pull_request_target" not in WORKFLOW
    assert not re.search(r"\$\{\{", " ".join(one.get("run", "") for job in GITHUB["jobs"] for one in steps(job)))


def test_the_budget_is_enough_for_the_plan() -> None:
    """A night does not end incomplete by design."""
    request = request_of(parsed(step("live", "harness check")["run"])[1])
    settings = Config()
    plans = [
        plan_of(spec, flow_of(spec, None), Request(source="live"), settings) for spec in find(("fal", "wavespeed"))
    ]
    assert request.max_cost == Decimal("2.00")
    assert sum(plan.usd for plan in plans) < request.max_cost


@pytest.mark.parametrize("job", ["replay", "live"])
def test_a_job_is_bounded_and_may_do_little(job: str) -> None:
    """A timeout, reading rights, actions pinned at least by their major version, no token left in the checkout."""
    assert GITHUB["permissions"] == {"contents": "read"}
    assert 0 < GITHUB["jobs"][job]["timeout-minutes"] <= 60
    assert "permissions" not in GITHUB["jobs"][job]
    uses = [one["uses"] for one in steps(job) if "uses" in one]
    assert [name for name in uses if not re.fullmatch(r"actions/[a-z-]+@v\d+", name)] == []
    assert step(job, "actions/checkout")["with"] == {"persist-credentials": False}


def test_a_live_run_is_never_cancelled_by_another() -> None:
    """Only a newer push to a pull request ends a run, and live runs wait for each other."""
    assert GITHUB["concurrency"]["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"
    assert GITHUB["jobs"]["live"]["concurrency"] == {"group": "image-apis-live", "cancel-in-progress": False}
    assert GITLAB["the providers themselves"]["resource_group"] == "image-apis-live"


@pytest.mark.parametrize("job", ["replay", "live"])
def test_the_report_is_kept_whatever_the_verdict(job: str) -> None:
    """What is uploaded is what the run writes there; never the history, which names paid outputs."""
    _, check = parsed(step(job, "harness check")["run"])
    upload = step(job, "actions/upload-artifact")
    assert upload["if"] == "always()"
    assert upload["with"]["path"].split() == [
        f"{check['out']}/{name}" for name in ("report.html", "report.json", "junit.xml")
    ]
    assert check["junit"] == check["out"] / "junit.xml"
    assert str(check["markdown"]) == "$GITHUB_STEP_SUMMARY"


def test_gitlab_reads_what_the_jobs_write() -> None:
    """The report's pattern covers each job's file."""
    pattern = GITLAB[".harness"]["artifacts"]["reports"]["junit"]
    assert GITLAB[".harness"]["artifacts"]["when"] == "always"
    for job in ("recorded answers", "the providers themselves"):
        _, check = parsed(GITLAB[job]["script"][-1])
        assert check["junit"].match(pattern)
        assert GITLAB[job]["extends"] == ".harness"


def test_the_hooks_are_valid(tmp_path: Path) -> None:
    """As pre-commit itself reads them."""
    path = tmp_path / ".pre-commit-config.yaml"
    path.write_text(next(text for kind, text in BLOCKS if kind == "yaml" and "repo: local" in text))
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert [hook["entry"] for hook in HOOKS["repos"][0]["hooks"]] == ["harness specs lint", "harness cassettes lint"]
