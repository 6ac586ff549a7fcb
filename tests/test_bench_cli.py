"""``harness bench`` as a user meets it: real processes against the real simulator."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness import resources
from tests.test_cli import TARGETS, environment, harness, one_line, simulator

FAL, MULTI = "fal/flux-pro-kontext-multi", "umodelverse/flux-kontext-pro-multi"


def run_without_names(report: dict[str, Any]) -> dict[str, Any]:
    names = ("id", "started_at", "finished_at", "command", "mode")
    return {**report, "run": {k: v for k, v in report["run"].items() if k not in names}}


def test_a_newcomer_measures_all_targets(tmp_path: Path) -> None:
    """One command times and prices the five shipped targets, and leaves a run directory like a check's."""
    done = harness("bench", "--simulate", "--requests", 3, "--warmup", 1, "--out", "run", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "simulated" in done.stdout.splitlines()[0].lower()
    assert re.findall(r"[\r\x1b]", done.stdout) == []
    run = tmp_path / "run"
    assert {"history.jsonl", "blobs", "report.json", "report.html"} == {path.name for path in run.iterdir()}
    report = json.loads((run / "report.json").read_text())
    for target in TARGETS:
        assert target in done.stdout
        found = report["targets"][target]
        assert (found["verdict"], found["cases"]["planned"], found["latency"]["total"]["n"]) == ("pass", 4, 3)
    assert json.loads((run / "history.jsonl").read_text().partition("\n")[0])["kind"] == "bench"


def test_json_output_is_the_report(tmp_path: Path) -> None:
    """With --json standard output is exactly report.json; -n counts the timed jobs, the warm-up comes on top."""
    done = harness("bench", "fal", "--simulate", "--json", "-n", 2, "--warmup", 2, "--out", "run", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, (tmp_path / "run" / "report.json").read_text())
    report = json.loads(done.stdout)
    Draft202012Validator(json.loads(resources.schema("report").read_text())).validate(report)
    assert (report["targets"][FAL]["cases"]["planned"], report["totals"]["paid_requests"]) == (4, 4)
    assert {None} == set(report["targets"][FAL]["coverage"].values())


def test_the_default_is_twenty_requests(tmp_path: Path) -> None:
    """The plan's price says so before anything is sent."""
    options = ("--live", "--base-url", "umodelverse=http://127.0.0.1:9")
    done = harness("bench", "umodelverse", *options, cwd=tmp_path, env=environment(MODELVERSE_API_KEY="k"))
    assert done.returncode == 2
    assert "the plan costs 1.96 USD" in one_line(done)
    assert "or send less with --requests" in done.stderr


def test_a_precision_states_its_price_first(tmp_path: Path) -> None:
    """Before anything is sent: refused where no budget allows it, said where one does."""
    options = ("--live", "--base-url", "umodelverse=http://127.0.0.1:9", "--precision", "p95=10%")
    keys = environment(MODELVERSE_API_KEY="k")
    done = harness("bench", "umodelverse/flux-kontext-pro", *options, cwd=tmp_path, env=keys)
    assert (done.returncode, "the plan costs 11.86 USD" in one_line(done)) == (2, True)
    done = harness("bench", "umodelverse/flux-kontext-pro", *options, "--max-cost", 20, cwd=tmp_path, env=keys)
    said = "p95=10% takes about 242 requests, 11.86 USD, if durations spread as they often do (σ 0.3); 79 will tell"
    assert (done.returncode, said in done.stderr) == (3, True)


def test_a_precision_says_what_it_will_not_reach(tmp_path: Path) -> None:
    """The price is that of the requests there are, beside how many it takes; the same for a workload of one's own."""
    (tmp_path / "own.jsonl").write_text('{"prompt": "a red fox", "image": "https://images.example/a.png"}\n')
    options = ("--live", "--base-url", "umodelverse=http://127.0.0.1:9", "--precision", "p95=1%", "--max-cost", 500)
    keys = environment(MODELVERSE_API_KEY="k")
    for more in ((), ("--workload", "own.jsonl")):
        done = harness("bench", "umodelverse/flux-kontext-pro", *options, *more, cwd=tmp_path, env=keys)
        said = (
            "p95=1% takes about 18179 requests if durations spread as they often do (σ 0.3), and is not reached then with "
            "the 9009 that may be sent, 441.44 USD; 79 will tell; at most 500 USD for the run"
        )
        assert (done.returncode, said in done.stderr) == (3, True), done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--rate", 3], "--rate 3 is more than the 2 submits per second that"),
        (
            ["--rate", 0.2, "--arrivals", "poisson"],
            "--arrivals poisson sends bursts, which would wait for the 2 submits",
        ),
    ],
)
def test_an_open_loop_does_not_measure_its_own_limit(options: list[Any], says: str, tmp_path: Path) -> None:
    """Submits that would wait for the configured rate are refused before anything is sent."""
    (tmp_path / "harness.toml").write_text("[providers.fal]\nrate = 2.0\n")
    done = harness("bench", "fal", "--simulate", *options, "--out", "run", cwd=tmp_path)
    assert (done.returncode, says in one_line(done), (tmp_path / "run").exists()) == (2, True, False)


def test_an_open_loop_over_a_workload_of_ones_own(tmp_path: Path) -> None:
    """The bodies of a file at random instants, fetched, against an objective; a second run polls by what the first saw."""
    body = {"prompt": "a red fox", "image_urls": ["https://images.example/a.png"]}
    (tmp_path / "own.jsonl").write_text(json.dumps(body) + "\n")
    options = ["--simulate", "--rate", 30, "--arrivals", "poisson", "--workload", "own.jsonl", "--slo", 5, "--download"]
    done = harness("bench", "fal", *options, "-n", 12, "--json", "--out", "first", cwd=tmp_path)
    found = json.loads(done.stdout)["targets"][FAL]
    assert (done.returncode, found["measurement"]["goodput"]["share"]["value"]) == (0, 1.0)
    assert (found["latency"]["download"]["n"], found["measurement"]["loop"]["kind"]) == (12, "poisson")
    again = harness("bench", "fal", *options, "-n", 12, "--json", "--learn-from", "first", cwd=tmp_path)
    polls = [json.loads(run.stdout)["targets"][FAL]["polling"]["polls_per_job"] for run in (done, again)]
    assert polls[1] < polls[0]


def test_the_budget_holds(tmp_path: Path) -> None:
    """What does not fit is not sent; the run says so and ends with 3."""
    options = ("--simulate", "-n", 9, "--warmup", 1, "--max-cost", "0.13", "--concurrency", 2, "--json")
    done = harness("bench", "fal", *options, cwd=tmp_path)
    report = json.loads(done.stdout)
    assert (done.returncode, report["totals"]["usd_max"], report["run"]["complete"]) == (3, 0.12, False)
    assert f"{FAL}: stopped: the budget of 0.13 USD is spent" in done.stderr


def test_a_bench_is_reported_and_judged_again_from_its_history(tmp_path: Path) -> None:
    """`report` and `recheck` come to the same document, and show it as a bench."""
    harness("bench", "fal", "--simulate", "-n", 2, "--warmup", 0, "--out", "run", cwd=tmp_path)
    report = tmp_path / "run" / "report.json"
    before = report.read_bytes()
    report.unlink()
    assert harness("report", "run", cwd=tmp_path).returncode == 0
    assert report.read_bytes() == before
    done = harness("recheck", "run", cwd=tmp_path)
    assert (done.returncode, report.read_bytes() == before) == (0, True)
    assert "95 % interval" in done.stdout


def test_a_recorded_bench_is_replayed_without_network_and_key(tmp_path: Path) -> None:
    """The replay, which is the default, is the recording but for what names the run; two replays are the same too."""
    with simulator("fal", "umodelverse", "--queue-seconds", 0.1, "--inference-seconds", 0.2, cwd=tmp_path) as urls:
        options = ["-n", "3", "--warmup", "1", "--record", "--max-cost", "5", "--json"]
        options += [f"--base-url={name}={url}" for name, url in urls.items()]
        keys = environment(FAL_KEY="k", MODELVERSE_API_KEY="k")
        made = harness("bench", FAL, MULTI, *options, cwd=tmp_path, env=keys)
    assert (made.returncode, f"cassettes/{FAL}.bench.yaml" in made.stderr) == (0, True)
    names = {path.relative_to(tmp_path / "cassettes").as_posix() for path in tmp_path.glob("cassettes/*/*")}
    assert {f"{FAL}.bench.yaml", f"{FAL}.bench.plan.json", f"{MULTI}.bench.yaml", f"{MULTI}.bench.plan.json"} <= names
    replays = [harness("bench", FAL, MULTI, "--json", cwd=tmp_path) for _ in range(2)]
    assert [(done.returncode, done.stderr) for done in replays] == [(0, "")] * 2
    first, second = (json.loads(done.stdout) for done in replays)
    assert run_without_names(json.loads(made.stdout)) == run_without_names(first) == run_without_names(second)
    assert (first["run"]["mode"], first["run"]["recorded_from"]) == ("replay", "simulator")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ([], 4, "there is no bench cassette of fal/flux-pro-kontext-multi (queue)"),
        ([], 4, "record one with harness bench fal/flux-pro-kontext-multi --record, or use --simulate"),
        (["--requests", "3"], 2, "--requests would change what was recorded"),
        (["--warmup", "0"], 2, "--warmup would change what was recorded"),
        (["--concurrency", "3"], 2, "--concurrency would change what was recorded"),
        (["--simulate", "--requests", "0"], 2, "--requests"),
        (["--simulate", "--warmup", "-1"], 2, "--warmup"),
        (["--simulate", "--requests", "10000"], 2, "a bench has 9009 prompts"),
        (["--rate", "3"], 2, "--rate would change what was recorded"),
        (["--slo", "3"], 2, "--slo would change what was recorded"),
        (
            ["--simulate", "--slo", "9", "--deadline", "3"],
            2,
            "--slo 9 is more than --deadline 3, after which no job is",
        ),
        (["--simulate", "--rate", "0"], 2, "--rate"),
        (["--simulate", "--rate", "1e-310"], 2, "'--rate': 1e-310 is not in the range 0.001<=x<=100000.0"),
        (["--simulate", "--rate", "nan"], 2, "--rate"),
        (["--simulate", "--arrivals", "poisson"], 2, "--arrivals says how an open loop sends: name its --rate too"),
        (["--simulate", "--precision", "p95"], 2, "--precision 'p95' is not of the form p95=10%"),
        (
            ["--simulate", "--precision", "p95=10%", "-n", "78"],
            2,
            "--precision p95=10% takes 79 requests at least, and 78",
        ),
        (
            ["--simulate", "--precision", "p95=10%", "--warmup", "9000"],
            2,
            "takes 79 requests at least, and 9 may be sent",
        ),
        (["--simulate", "--workload", "none.jsonl"], 4, "cannot read the workload none.jsonl"),
        (["--simulate", "--learn-from", "none"], 4, "cannot read none/history.jsonl"),
        (
            ["--simulate", "--learn-from", "none", "--flow", "sync"],
            2,
            "--learn-from says when jobs are polled, and none is of",
        ),
        (
            ["--simulate", "--learn-from", "none", "--poll-interval", "1"],
            2,
            "--learn-from says how polls are learnt, and",
        ),
        (["--simulate", "--poll-for", "total", "--poll-interval", "1"], 2, "--poll-interval fixes them: leave one out"),
        (["--simulate", "--concurrency", "20000000"], 2, "open files, and this machine allows a process"),
        (["--simulate", "--live"], 2, "exclude each other"),
        (["--simulate", "--flow", "poll"], 2, "has no flow 'poll'"),
        (["--simulate", "--tier", "core"], 2, "--tier says what a check sends, and a bench sends one plain request"),
        (["--tier", "core"], 2, "--tier says what a check sends"),
        (["--simulate", "--no-rejects"], 2, "--no-rejects says what a check sends"),
        (["--simulate", "--repeats"], 2, "--repeats says what a check sends"),
        (["--simulate", "--explore", "1"], 2, "--explore says what a check sends"),
        (["--simulate", "--plan", "plan.json"], 2, "--plan says what a check sends"),
        (
            ["--simulate", "--case", "*/other/*"],
            2,
            "a --case is a glob on ids such as fal/flux-pro-kontext-multi/bench/0001",
        ),
        (["--live"], 2, "FAL_KEY is not set"),
        (["--simulate", "--out", "taken"], 2, "holds a run already"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], status: int, says: str, tmp_path: Path) -> None:
    """What a bench cannot use, and what concerns conformance alone, ends with one line and the documented status."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "history.jsonl").write_text("{}\n")
    done = harness("bench", "fal", *arguments, cwd=tmp_path)
    assert done.returncode == status
    assert says in one_line(done)


def test_a_sixth_endpoint_is_a_yaml_file(tmp_path: Path) -> None:
    """A spec given by path is measured with no change to the code."""
    spec = Path(__file__).parent / "data" / "bfl-flux-kontext-pro.yaml"
    done = harness("bench", spec, "--simulate", "-n", 2, "--warmup", 0, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["targets"]["bfl/flux-kontext-pro"]["latency"]["total"]["n"] == 2
