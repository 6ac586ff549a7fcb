"""``pytest --harness`` as a pytest user meets it: real pytest processes in empty directories."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.leaks import leaks

FAL = "fal/flux-pro-kontext-multi"
QUICK = ("--harness", "fal", "--harness-source", "simulate")


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    keep = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH")
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:schemathesis", "-p", "no:cacheprovider", "-W", "error"]
    return subprocess.run(
        [*command, *map(str, arguments)], cwd=cwd, env=keep, capture_output=True, text=True, timeout=120, check=False
    )


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """The counts of pytest's closing line."""
    return {name.rstrip("s"): int(number) for number, name in re.findall(r"(\d+) (passed|failed|errors?)", done.stdout)}


def test_each_case_is_an_item(tmp_path: Path) -> None:
    """One item for each case, the case id in its node id; the healthy simulator passes them all."""
    done = run(*QUICK, "-v", "--junitxml", "junit.xml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"harness::{FAL}/guidance_scale/above-maximum PASSED" in done.stdout
    assert outcomes(done) == {"passed": done.stdout.count(" PASSED")}
    assert (tmp_path / "junit.xml").read_text().count("<testcase") == outcomes(done)["passed"]


def test_selection_works_and_sends_nothing_else(tmp_path: Path) -> None:
    """-k selects before anything is sent; only the selected cases are in the history."""
    done = run(*QUICK, "-k", "guidance_scale", "--harness-out", "run", cwd=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    sent = {line["case_id"] for line in lines if line["type"] == "intent"}
    assert done.returncode == 0
    assert outcomes(done) == {"passed": len(sent)}
    assert all("guidance_scale" in case_id for case_id in sent)


def test_collection_sends_nothing(tmp_path: Path) -> None:
    """--collect-only lists the cases and starts no run."""
    done = run(*QUICK, "--collect-only", "-q", "--harness-out", "run", cwd=tmp_path)
    assert (done.returncode, (tmp_path / "run").exists()) == (0, False)
    assert f"harness::{FAL}/num_images/above-maximum" in done.stdout


def test_each_case_is_sent_once_under_xdist(tmp_path: Path) -> None:
    """With four workers the first one runs the cases, and the others read its history."""
    done = run(*QUICK, "-n", 4, "--harness-out", "run", cwd=tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    sent = [line["case_id"] for line in lines if line["type"] == "intent"]
    assert done.returncode == 0, done.stdout + done.stderr
    assert (len(sent), outcomes(done)) == (len(set(sent)), {"passed": len(sent)})


def test_an_unknown_verdict_is_an_error(tmp_path: Path) -> None:
    """Nobody listens: every item is an error of its set-up, none passes, and no traceback is shown."""
    url = "http://127.0.0.1:9"
    (tmp_path / "harness.toml").write_text(f'[providers.fal]\nbase_url = "{url}"\n')
    (tmp_path / "conftest.py").write_text("import os\nos.environ['FAL_KEY'] = 'some-key'\n")
    done = run(
        "--harness", "fal", "--harness-source", "live", "--harness-max-cases", 1, "--harness-no-rejects", cwd=tmp_path
    )  # fmt: skip
    assert (done.returncode, outcomes(done)) == (1, {"error": 1})
    assert "Traceback" not in done.stdout
    assert "positive_data_acceptance" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--harness", "nobody", "--harness-source", "simulate"), "unknown target"),
        (("--harness", "fal", "--harness-source", "simulate", "--harness-flow", "poll"), "has no flow"),
        (("--harness", "fal", "--harness-source", "simulate", "--harness-concurrency", "0"), "concurrency"),
    ],
)
def test_bad_options_are_one_sentence(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    """What cannot be used is a usage error of pytest's, without a traceback."""
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 4
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_fixtures_serve_a_users_own_tests(tmp_path: Path) -> None:
    """``simulator`` serves a target, ``provider.call`` sends a body and returns the call."""
    (tmp_path / "test_own.py").write_text(
        """
import httpx
import pytest


def test_a_server_of_my_own(simulator):
    provider = simulator("fal")
    answer = httpx.post(
        f"{provider.base_url}/fal-ai/flux-pro/kontext/multi",
        headers={"Authorization": f"Key {provider.key}"},
        json={"prompt": "a", "image_urls": ["https://example.com/a.png"]},
    )
    assert answer.json()["status"] == "IN_QUEUE"


@pytest.mark.harness("wavespeed/flux-kontext-pro-multi")
def test_a_call_of_my_own(provider):
    call = provider.call({"prompt": "a", "images": ["https://example.com/a.png"]})
    assert (call.outcome, call.billed, call.images) == ("completed", "yes", 1)
"""
    )
    done = run("--harness-source", "simulate", cwd=tmp_path)
    assert (done.returncode, outcomes(done)) == (0, {"passed": 2}), done.stdout


def test_the_plugin_is_quiet_when_it_is_not_asked(tmp_path: Path) -> None:
    """Without --harness nothing is added, and neither HTTP clients nor plots are imported."""
    (tmp_path / "test_own.py").write_text(
        "import sys\n\ndef test_own():\n    assert {'aiohttp', 'matplotlib', 'PIL'} & set(sys.modules) == set()\n"
    )
    done = run(cwd=tmp_path)
    assert (done.returncode, outcomes(done)) == (0, {"passed": 1}), done.stdout


def test_the_examples_of_the_readme_run(tmp_path: Path) -> None:
    """What the README shows as tests are tests that pass."""
    readme = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "test_readme.py").write_text(example)
    done = run("--harness-source", "simulate", cwd=tmp_path)
    assert (done.returncode, outcomes(done)) == (0, {"passed": 4}), done.stdout


KEY = "0f1e2d3c-4b5a-6978:8796a5b4c3d2e1f00f1e2d3c4b5a6978"
SAYS_THE_KEY = """
import logging
import pytest


@pytest.mark.harness("wavespeed/flux-kontext-pro-multi")
def test_of_my_own(provider, caplog):
    key = provider.target.key.secret.reveal()
    headers = {"authorization": f"Bearer {key}", "half": key[:20]}
    print("printed", key)
    logging.getLogger("mine").warning("logged %s", headers)
    assert headers == {"authorization": "nobody's"}, f"asserted {key}"


@pytest.mark.harness("wavespeed/flux-kontext-pro-multi")
def test_of_an_error(provider):
    raise ValueError(f"https://api.example/?key={provider.target.key.secret.reveal()}")
"""


def test_no_report_shows_a_key(tmp_path: Path) -> None:
    """Assertions, locals, exceptions, captured output, logs and JUnit XML of failing tests are masked."""
    (tmp_path / "test_own.py").write_text(SAYS_THE_KEY)
    (tmp_path / "conftest.py").write_text(f"import os\nos.environ['WAVESPEED_API_KEY'] = '{KEY}'\n")
    options = ("--harness-source", "live", "-l", "-vv", "--junitxml", "junit.xml", "-o", "junit_logging=all", "-rA")
    done = run(*options, cwd=tmp_path)
    assert (done.returncode, outcomes(done)) == (1, {"failed": 2}), done.stdout
    shown = done.stdout + done.stderr + (tmp_path / "junit.xml").read_text()
    assert leaks(shown.encode(), KEY, depth=1) == []
    for word in ("printed ***", "asserted ***", "key=***", "Bearer ***"):
        assert word in shown
