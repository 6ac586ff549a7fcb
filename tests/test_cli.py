"""The command line as a user meets it: real processes, their output and their exit status."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from harness import resources

ROOT = Path(__file__).parents[1]
SIXTH = Path(__file__).parent / "data" / "bfl-flux-kontext-pro.yaml"
TARGETS = (
    "fal-gateway/flux-pro-kontext-multi",
    "fal/flux-pro-kontext-multi",
    "umodelverse/flux-kontext-pro",
    "umodelverse/flux-kontext-pro-multi",
    "wavespeed/flux-kontext-pro-multi",
)


def environment(**variables: str) -> dict[str, str]:
    keep = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH")
    }
    return {**keep, "PYTHONWARNINGS": "error", **variables}


def harness(*arguments: object, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=dict(env or environment()), capture_output=True, text=True, timeout=120, check=False
    )


@contextmanager
def simulator(*arguments: object, cwd: Path) -> Iterator[dict[str, str]]:
    """``harness simulate`` as a process of its own; the base URLs that it prints."""
    command = [sys.executable, "-m", "harness", "simulate", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=cwd, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines = os.read(process.stdout.fileno(), 65536).decode().splitlines()
        yield dict(line.split("=", 1) for line in lines)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        process.stdout.close()


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The error line of a refused command: exactly one, nothing on standard output, no traceback."""
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("harness: ")
    return lines[0]


def test_a_newcomer_checks_all_targets(tmp_path: Path) -> None:
    """One command judges, times and prices the five shipped targets, and leaves a run directory."""
    done = harness("check", "--simulate", "--out", "run", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for target in TARGETS:
        assert target in done.stdout
    assert "simulated" in done.stdout.splitlines()[0].lower()
    run = tmp_path / "run"
    assert {"history.jsonl", "blobs", "report.json", "report.html"} == {path.name for path in run.iterdir()}
    assert run.stat().st_mode & 0o777 == 0o700
    report = json.loads((run / "report.json").read_text())
    assert [report["targets"][target]["verdict"] for target in TARGETS] == ["pass"] * 5
    assert report["run"]["mode"] == "simulate"


def test_json_output_is_the_report(tmp_path: Path) -> None:
    """With --json standard output is exactly report.json, and it obeys its published schema."""
    done = harness("check", "fal", "--simulate", "--json", "--max-cases", 2, "--out", "run", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, (tmp_path / "run" / "report.json").read_text())
    schema = json.loads(resources.schema("report").read_text())
    Draft202012Validator(schema).validate(json.loads(done.stdout))


def test_output_that_is_no_terminal_is_plain(tmp_path: Path) -> None:
    """Piped output holds no carriage return and no escape sequence."""
    done = harness("check", "fal", "--simulate", "--no-rejects", "--max-cases", 1, cwd=tmp_path)
    assert re.findall(r"[\r\x1b]", done.stdout + done.stderr) == []


@pytest.mark.parametrize("flow", ["queue", "sync"])
def test_a_flow_can_be_chosen(flow: str, tmp_path: Path) -> None:
    """--flow takes one of the target's flows."""
    done = harness("check", "fal", "--simulate", "--flow", flow, "--max-cases", 2, "--json", cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["targets"]["fal/flux-pro-kontext-multi"]["flow"] == flow


@pytest.mark.parametrize(
    ("options", "tier", "requests"),
    [
        (["--simulate"], "core", 16),
        (["--simulate", "--tier", "one-way"], "one-way", 10),
        (["--simulate", "--tier", "pairwise"], "pairwise", 76),  # with the paid repetitions
    ],
)
def test_a_tier_is_chosen_and_core_is_the_default_of_the_simulator(
    options: list[str], tier: str, requests: int, tmp_path: Path
) -> None:
    """As many requests as its rows are paid, which the run's record names the tier of."""
    done = harness("check", "wavespeed", *options, "--no-rejects", "--json", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    header = json.loads((tmp_path / "run" / "history.jsonl").read_text().splitlines()[0])
    assert [tier] == [plan["tier"] for plan in header["plans"]]
    assert requests == json.loads(done.stdout)["totals"]["paid_requests"]


def test_a_live_run_sends_each_label_once_by_default(tmp_path: Path) -> None:
    """The default budget of a dollar does not stop at a plan that nobody asked for."""
    with simulator("wavespeed", cwd=tmp_path) as urls:
        options = [f"--base-url={name}={url}" for name, url in urls.items()]
        command = ["check", "wavespeed", "--live", *options, "--no-rejects", "--json", "--poll-interval", "0.1"]
        done = harness(*command, cwd=tmp_path, env=environment() | {"WAVESPEED_API_KEY": "a-key-of-mine"})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["totals"]["paid_requests"] == 10


@pytest.mark.parametrize(
    ("tier", "covers"), [("one-way", (100, 56, 29)), ("core", (100, 100, 44)), ("pairwise", (100, 100, 100))]
)
def test_a_plan_says_what_it_covers(tier: str, covers: tuple[int, int, int], tmp_path: Path) -> None:
    """Before it is paid for: labels, pairs of classes, pairs of labels."""
    said = harness("plan", "wavespeed", "--tier", tier, cwd=tmp_path).stdout
    (row,) = re.findall(rf"^{tier} .*", said, re.MULTILINE)
    assert covers == tuple(int(share) for share in re.findall(r"(\d+) %", row))
    assert {"one-way", "core", "pairwise"} <= set(re.findall(r"^[a-z-]+", said, re.MULTILINE))


def test_a_tier_that_would_take_minutes_is_not_planned_to_be_looked_at(tmp_path: Path) -> None:
    """Two parameters of 100 members: what the other tiers take at least is said instead."""
    text = (ROOT / "specs" / "wavespeed" / "flux-kontext-pro-multi.yaml").read_text()
    where = "        aspect_ratio:\n"
    assert text.count(where) == 1
    one = "        {}:\n          enum: {}\n          x-harness:\n            source: {{document: api, where: a, states: b}}\n"
    wide = "".join(one.format(name, list(range(100))) for name in ("wide", "broad"))
    (tmp_path / "wide.yaml").write_text(text.replace(where, wide + where))
    done = harness("plan", "./wide.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"^(core|pairwise) takes some 10201 requests or more: --tier", done.stdout, re.MULTILINE) == [
        "core",
        "pairwise",
    ]


@pytest.mark.parametrize("option", [("--explore", "3"), ("--tier", "core"), ("--repeats",)])
def test_what_detection_has_no_use_for_is_refused(option: tuple[str, ...], tmp_path: Path) -> None:
    """A plan of benches has no tier."""
    done = harness("plan", "fal", "--detect", "p50=30%", *option, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n"), option[0] in done.stderr) == (2, 1, True)


def test_a_plan_in_a_file_is_sent_as_it_stands(tmp_path: Path) -> None:
    """What was decided on is what is paid for: the cases of ``harness plan --json``, and no option that would change them."""
    printed = harness("plan", "wavespeed", "--explore", "2", "--json", cwd=tmp_path)
    frozen = json.loads(printed.stdout)
    (tmp_path / "plan.json").write_text(printed.stdout)
    done = harness("check", "--simulate", "--plan", "plan.json", "--out", "run", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    header = json.loads((tmp_path / "run" / "history.jsonl").read_text().splitlines()[0])
    assert frozen["plans"] == header["plans"]
    again = harness("check", "--simulate", "--plan", "plan.json", "--seed", "3", cwd=tmp_path)
    assert (again.returncode, one_line(again)) == (
        2, "harness: --seed would change what --plan has decided: leave it out, or plan again",
    )  # fmt: skip


def test_a_sixth_endpoint_is_a_yaml_file(tmp_path: Path) -> None:
    """A spec given by path is linted, planned, simulated and checked with no change to the code."""
    shutil.copy(SIXTH, tmp_path / "sixth.yaml")
    assert harness("specs", "lint", "./sixth.yaml", cwd=tmp_path).stdout == ""
    plan = harness("plan", "./sixth.yaml", "--json", cwd=tmp_path)
    assert (plan.returncode, len(json.loads(plan.stdout)["plans"])) == (0, 1)
    done = harness("check", "./sixth.yaml", "--simulate", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    target = json.loads(done.stdout)["targets"]["bfl/flux-kontext-pro"]
    assert (target["verdict"], target["cases"]["fail"], target["coverage"]["one_way"]) == ("pass", 0, 1.0)


def test_a_report_is_rebuilt_from_the_history(tmp_path: Path) -> None:
    """`report` and `recheck` compute the same document again from the run directory alone."""
    harness("check", "fal", "--simulate", "--max-cases", 2, "--out", "run", cwd=tmp_path)
    report = tmp_path / "run" / "report.json"
    before = report.read_bytes()
    report.unlink()
    assert harness("report", "run", cwd=tmp_path).returncode == 0
    assert report.read_bytes() == before
    assert harness("recheck", "run", cwd=tmp_path).returncode == 0
    assert report.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["check", "nobody", "--simulate"], 2, "unknown target 'nobody'"),
        (["check", "./missing.yaml", "--simulate"], 4, "cannot read the spec"),
        (["check", "./broken.yaml", "--simulate"], 4, "broken.yaml:2:"),
        (["check", "./empty.yaml", "--simulate"], 4, "empty.yaml:1:"),
        (["check", "fal", "--live"], 2, "FAL_KEY is not set"),
        (["check", "fal-gateway", "--live"], 2, "FAL_GATEWAY_BASE_URL"),
        (["check", "fal", "--simulate", "--flow", "poll"], 2, "has no flow 'poll': it has queue, sync"),
        (["check", "fal", "--simulate", "--base-url", "fal"], 2, "PROVIDER[:FLOW]=URL"),
        (["check", "fal", "--simulate", "--base-url", "fal=ftp://x"], 2, "PROVIDER[:FLOW]=URL"),
        (["check", "fal", "--simulate", "--concurrency", "0"], 2, "--concurrency"),
        (["check", "fal", "--simulate", "--deadline", "soon"], 2, "--deadline"),
        (["check", "fal", "--simulate", "--max-cost", "much"], 2, "--max-cost"),
        (["check", "fal", "--simulate", "--max-cost", "-1"], 2, "--max-cost"),
        (["check", "fal", "--simulate", "--no-such-option"], 2, "--no-such-option"),
        (["check", "fal", "--simulate", "--out", "taken"], 2, "holds a run already"),
        (["check", "fal", "--simulate", "--out", "file.txt"], 4, "cannot write the run directory"),
        (["check", "fal", "--seed", "1"], 2, "--seed would change what was recorded"),
        (["check", "fal", "--concurrency", "8"], 2, "--concurrency would change what was recorded"),
        (["check", "fal", "--replay", "--deadline", "9"], 2, "--deadline would change what was recorded"),
        (["check", "fal", "--poll-interval", "1"], 2, "--poll-interval would change what was recorded"),
        (["check", "fal", "--tier", "core"], 2, "--tier would change what was recorded"),
        (["check", "fal", "--explore", "3"], 2, "--explore would change what was recorded"),
        (["check", "fal", "--base-url", "fal=http://127.0.0.1:1"], 2, "--base-url would change what was recorded"),
        (["check", "fal", "--flow", "sync"], 4, "there is no cassette of fal/flux-pro-kontext-multi (sync)"),
        (["check", "fal", "--record"], 2, "FAL_KEY is not set"),
        (["cassettes", "lint", "nowhere.yaml"], 4, "cannot read nowhere.yaml"),
        (["simulate", "--fault", "x"], 2, "x"),
        (["check", "fal", "--simulate", "--live"], 2, "exclude each other"),
        (["check", "fal", "--simulate", "--case", "nope*"], 2, "no case is left"),
        (["check", "fal", "--simulate", "--base-url", "fal=http://127.0.0.1:1"], 2, "leave --base-url out"),
        (["check", "fal", "--live", "--base-url", "fall=http://127.0.0.1:1"], 2, "names 'fall', which is no provider"),
        (
            ["check", "fal", "--live", "--base-url", "fal:poll=http://127.0.0.1:1"],
            2,
            "the flow 'poll', which fal lacks",
        ),
        (["check", "fal", "--live", "--base-url", "fal=http://u:p@127.0.0.1:1"], 2, "a user name or key has no place"),
        (["check", "fal", "--simulate", "--deadline", "nan"], 2, "--deadline"),
        (["check", "fal", "--simulate", "--deadline", "inf"], 2, "--deadline"),
        (["check", "fal", "--simulate", "--poll-interval", "nan"], 2, "--poll-interval"),
        (["specs", "lint", "./missing.yaml"], 4, "there is no such file"),
        (["report", "nowhere"], 4, "is nowhere a run directory?"),
        (["recheck", "file.txt"], 4, "neither a folder nor a cassette"),
        (["report", "damaged"], 4, "history.jsonl:1:"),
        (["no-such-command"], 2, "No such command"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], status: int, says: str, tmp_path: Path) -> None:
    """What cannot be used ends with one line that says what and where, and the documented status."""
    (tmp_path / "broken.yaml").write_text("openapi: 3.1.0\nopenapi: 3.1.0\n")
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "file.txt").write_text("")
    for name, text in (("taken", "{}\n"), ("damaged", "no json\n{}\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "history.jsonl").write_text(text)
    done = harness(*arguments, cwd=tmp_path)
    assert done.returncode == status
    assert says in one_line(done)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("max_cost = [", "not TOML"),
        ("max_costs = 1", "max_costs is not a setting"),
        ("max_cost = 'much'", "max_cost has to be a number"),
        ("[providers.fal]\nbase_url = 'fal.run'", "providers.fal.base_url has to be http(s) URLs"),
        ("[tool.harness.providers.fal]\nmax_concurrency = 0", "providers.fal.max_concurrency"),
        ("[providers.fal]\nkey = 'secret'", "providers.fal.key is not a setting"),
        ("[providers.fall]\nrate = 1", "providers.fall is no provider"),
        ("[providers.fal]\nrate = 0", "providers.fal.rate"),
        ("[providers.fal]\ncredential = {scheme = 'two words', env = 'K'}", "providers.fal.credential.scheme"),
        ("proxy = 'garbage'", "proxy has to be http(s) URLs"),
    ],
)
def test_a_malformed_configuration_is_one_sentence(text: str, says: str, tmp_path: Path) -> None:
    """A configuration file that cannot be used is named, with the setting."""
    (tmp_path / "harness.toml").write_text(text)
    done = harness("check", "fal", "--simulate", cwd=tmp_path)
    assert done.returncode == 2
    assert says in one_line(done)
    assert "harness.toml" in done.stderr


@pytest.mark.parametrize("key", ["", "   ", "two words", "line\nbreak", "schlüssel"])
def test_a_malformed_key_never_shows(key: str, tmp_path: Path) -> None:
    """A key that no header can carry is refused without being printed."""
    done = harness("check", "fal", "--live", cwd=tmp_path, env=environment(FAL_KEY=key))
    assert done.returncode == 2
    assert "FAL_KEY" in one_line(done)
    assert not key.strip() or key not in done.stderr


@pytest.mark.parametrize("arguments", [["specs", "list"], ["check", "fal", "--simulate", "--max-cases", "1", "--json"]])
def test_a_full_output_is_one_sentence(arguments: list[str], tmp_path: Path) -> None:
    """What cannot be printed is status 4, not a verdict about a provider."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "harness", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1)


def test_a_damaged_body_is_not_blamed_on_the_provider(tmp_path: Path) -> None:
    """A stored body that is not what was stored is an unreadable run, not a failure."""
    harness("check", "fal", "--simulate", "--max-cases", 1, "--no-rejects", "--out", "run", cwd=tmp_path)
    for blob in (tmp_path / "run" / "blobs").iterdir():
        blob.write_bytes(b"hello")
    done = harness("recheck", "run", cwd=tmp_path)
    assert (done.returncode, "the run directory is damaged" in one_line(done)) == (4, True)


def test_no_command_is_the_help(tmp_path: Path) -> None:
    """Without a command the help is shown, as a usage error."""
    done = harness(cwd=tmp_path)
    assert (done.returncode, "Commands:" in done.stderr, "\\n" in done.stderr) == (2, True, False)


def test_a_torn_history_is_said(tmp_path: Path) -> None:
    """A history that was cut off is judged as far as it goes, and said to be cut off."""
    harness("check", "fal", "--simulate", "--max-cases", 1, "--no-rejects", "--out", "run", cwd=tmp_path)
    with (tmp_path / "run" / "history.jsonl").open("a") as file:
        file.write('{"type":"call","ca')
    done = harness("report", "run", cwd=tmp_path)
    assert (done.returncode, "was cut off" in done.stderr) == (0, True)


def test_the_default_budget_is_asked_for_before_anything_is_sent(tmp_path: Path) -> None:
    """A plan over the default budget names its price and the option."""
    done = harness(
        "check", "fal", "umodelverse", "--live", cwd=tmp_path, env=environment(FAL_KEY="k", MODELVERSE_API_KEY="k")
    )
    assert done.returncode == 2
    assert re.search(r"the plan costs \d+\.\d\d USD, .* --max-cost \d+\.\d\d", one_line(done))


def test_an_unreachable_host_is_unknown(tmp_path: Path) -> None:
    """Nobody listens: nothing is claimed, nothing is charged, status 3."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    arguments = ("check", "fal", "--live", "--base-url", f"fal={url}", "--max-cases", 1, "--no-rejects", "--json")
    done = harness(*arguments, cwd=tmp_path, env=environment(FAL_KEY="some-key"))
    report = json.loads(done.stdout)
    assert (done.returncode, report["totals"]["verdict"], report["totals"]["usd_max"]) == (3, "unknown", 0.0)
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_base_url_is_never_a_pass(tmp_path: Path) -> None:
    """A server that knows no such path refuses everything: no reject passes as if it had been judged."""
    with simulator("fal", cwd=tmp_path) as urls:
        wrong = urls["fal:queue"].removesuffix("/fal/queue")
        arguments = ("check", "fal", "--live", "--base-url", f"fal={wrong}/nothing", "--max-cost", 5, "--json")
        done = harness(*arguments, cwd=tmp_path, env=environment(FAL_KEY="some-key"))
    report = json.loads(done.stdout)
    messages = [finding["message"] for finding in report["targets"]["fal/flux-pro-kontext-multi"]["findings"]]
    assert (done.returncode, report["totals"]["verdict"]) == (3, "unknown")
    assert any("is the base URL right" in message for message in messages)


def test_a_refused_key_is_unknown(tmp_path: Path) -> None:
    """The simulator refuses the key ``invalid``: everything is unknown, status 3, and one finding says why."""
    with simulator("fal", cwd=tmp_path) as urls:
        arguments = ("check", "fal", "--live", "--base-url", f"fal={urls['fal:queue']}", "--max-cost", 5, "--json")
        done = harness(*arguments, cwd=tmp_path, env=environment(FAL_KEY="invalid"))
    report = json.loads(done.stdout)
    assert (done.returncode, report["totals"]["verdict"], report["run"]["mode"]) == (3, "unknown", "simulate")
    checks = {finding["check"] for finding in report["targets"]["fal/flux-pro-kontext-multi"]["findings"]}
    assert "credentials_accepted" in checks


def test_an_unnamed_pair_of_key_and_host_is_refused(tmp_path: Path) -> None:
    """A spec by path cannot send a key to a host that nobody named; the error shows the line that allows it."""
    text = SIXTH.read_text().replace("BFL_API_KEY", "FAL_KEY")
    (tmp_path / "hostile.yaml").write_text(text)
    done = harness("check", "./hostile.yaml", "--live", cwd=tmp_path, env=environment(FAL_KEY="some-key"))
    assert done.returncode == 2
    assert "some-key" not in done.stderr
    assert 'env = "FAL_KEY"' in one_line(done)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_its_report(number: signal.Signals, status: int, tmp_path: Path) -> None:
    """One signal ends the run in order: the report is there, marked incomplete, with the unfinished jobs on stderr."""
    with simulator("fal", "--inference-seconds", 30, cwd=tmp_path) as urls:
        command = [sys.executable, "-m", "harness", "check", "fal", "--live", "--out", "run", "--max-cost", "5"]
        command += ["--base-url", f"fal={urls['fal:queue']}", "--no-rejects", "--quiet"]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment(FAL_KEY="some-key"), stderr=subprocess.PIPE, text=True
        )
        history = tmp_path / "run" / "history.jsonl"
        until = time.monotonic() + 30
        while time.monotonic() < until and (not history.exists() or '"status"' not in history.read_text()):
            time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == status
    assert "unfinished: fal/flux-pro-kontext-multi/accept/" in errors
    assert "Traceback" not in errors
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert (report["run"]["complete"], report["totals"]["unknown_charge"]) == (False, 8)
    assert "some-key" not in history.read_text()


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs that have not ended: ``live``, whose provider was not there, and ``simulated``."""
    place = tmp_path_factory.mktemp("unfinished")
    live = ("check", "fal", "--live", "--base-url", f"fal={NOBODY}", "--max-cases", 1, "--no-rejects", "--out", "live")
    done = harness(*live, "--quiet", cwd=place, env=environment(FAL_KEY="some-key"))
    assert done.returncode == 3
    harness("check", "fal", "--simulate", "--max-cases", 1, "--no-rejects", "--out", "simulated", cwd=place)
    lines = (place / "simulated" / "history.jsonl").read_text().splitlines(keepends=True)
    (place / "simulated" / "history.jsonl").write_text("".join(lines[:-2]))
    shutil.copytree(place / "live", place / "early")
    header, *rest = (place / "live" / "history.jsonl").read_text().splitlines(keepends=True)
    older = {name: value for name, value in json.loads(header).items() if name != "options"}
    (place / "early" / "history.jsonl").write_text("".join([json.dumps(older) + "\n", *rest]))
    return place


NOBODY = "http://127.0.0.1:9"
AGAIN = ("--base-url", f"fal={NOBODY}", "--out", "live")


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ([], 2, "--resume goes on with the run in --out"),
        (["--out", "nowhere"], 2, "nowhere holds no run"),
        (["--out", "simulated"], 2, "its simulator has gone, and its jobs with it"),
        (["--out", "early"], 4, "an earlier version wrote it"),
        ([*AGAIN, "--seed", "3"], 2, "leave out --seed (recorded: 0)"),
        ([*AGAIN, "--deadline", "5", "--concurrency", "9"], 2, "--concurrency (recorded: 8), --deadline (recorded: 300.0)"),
        ([*AGAIN, "--max-cases", "2", "--repeats"], 2, "--repeats (recorded: false), --max-cases (recorded: 1)"),
        ([*AGAIN, "--case", "x"], 2, "--case (recorded: [])"),
        ([*AGAIN, "--flow", "sync"], 2, "--flow (recorded: null)"),
        ([*AGAIN, "--simulate"], 2, "--simulate (recorded: --live)"),
        (["umodelverse", *AGAIN], 2, "TARGET (recorded: fal/flux-pro-kontext-multi)"),
        (["--out", "live"], 2, f"name it again with --base-url fal:queue={NOBODY}"),
        (["--out", "live", "--base-url", "fal=http://127.0.0.1:8"], 2, f"was run against {NOBODY}"),
        (["--out", "live", "--base-url", "fall=http://127.0.0.1:8"], 2, "names 'fall', which is no provider"),
    ],
)  # fmt: skip
def test_a_resume_that_contradicts_its_run_is_one_sentence(
    arguments: list[str], status: int, says: str, unfinished: Path
) -> None:
    """What is asked beside --resume has to be what the run was begun with; the first word that is not is named."""
    done = harness("check", "--resume", *arguments, cwd=unfinished, env=environment(FAL_KEY="some-key"))
    assert (done.returncode, says in one_line(done)) == (status, True), done.stderr


def test_a_resume_needs_its_key_again(unfinished: Path) -> None:
    """The key is in no record: without it in the environment nothing goes on."""
    done = harness("check", "--resume", *AGAIN, cwd=unfinished)
    assert (done.returncode, "FAL_KEY is not set" in one_line(done)) == (2, True)


def test_a_resume_is_asked_for_as_the_run_was(tmp_path: Path) -> None:
    """The same command with --resume goes on with a run, within a budget given anew, and says when nothing is left."""
    with simulator("fal", "--queue-seconds", 0, "--inference-seconds", 0, cwd=tmp_path) as urls:
        command: list[object] = ["check", "fal", "--live", "--base-url", f"fal={urls['fal:queue']}", "--out", "run"]
        command += ["--no-rejects", "--max-cases", 3, "--json"]
        key = environment(FAL_KEY="some-key-0123456789")
        short = harness(*command, "--max-cost", "0.1", cwd=tmp_path, env=key)
        less = harness(*command, "--resume", "--max-cost", "0.01", cwd=tmp_path, env=key)
        again = harness(*command, "--resume", cwd=tmp_path, env=key)
        more = harness(*command, "--resume", "--max-cost", "5", cwd=tmp_path, env=key)
        over = harness(*command, "--resume", cwd=tmp_path, env=key)
    assert [done.returncode for done in (short, less, again, more, over)] == [3, 2, 3, 0, 0]
    assert "is less than the 0.08 USD that the run may have cost" in one_line(less)
    totals = [json.loads(done.stdout)["totals"] for done in (short, again, more, over)]
    assert [total["paid_requests"] for total in totals] == [2, 2, 3, 3]
    assert (over.stderr, over.stdout) == ("run is finished: nothing was sent\n", more.stdout)
    assert "some-key-0123456789" not in (tmp_path / "run" / "history.jsonl").read_text()


def test_the_simulator_prints_ready_made_base_urls(tmp_path: Path) -> None:
    """One PROVIDER:FLOW=URL line per provider and flow, each usable as --base-url."""
    with simulator(cwd=tmp_path) as urls:
        assert sorted(urls) == [
            "fal-gateway:queue", "fal:queue", "fal:sync", "umodelverse:sync", "wavespeed:poll", "wavespeed:sync",
        ]  # fmt: skip
        arguments = ("check", "wavespeed", "--live", "--max-cases", 1, "--no-rejects", "--json")
        options = [f"--base-url={name}={url}" for name, url in urls.items()]
        done = harness(*arguments, *options, cwd=tmp_path, env=environment(WAVESPEED_API_KEY="k"))
    assert (done.returncode, json.loads(done.stdout)["run"]["mode"]) == (0, "simulate")


def changed_spec(tmp_path: Path) -> Path:
    """The fal spec as somebody's pull request would have it: one range narrower."""
    (text,) = [path.read_text() for path in [ROOT / "specs" / "fal" / "flux-pro-kontext-multi.yaml"]]
    at = text.index("guidance_scale:")
    path = tmp_path / "flux-pro-kontext-multi.yaml"
    path.write_text(text[:at] + re.sub(r"maximum: 20\b", "maximum: 10", text[at:], count=1))
    return path


def test_a_changed_range_fails_the_replay_and_says_why(tmp_path: Path) -> None:
    """A pull request that changes one documented range: the case, the place in the document, and what to run."""
    done = harness("check", changed_spec(tmp_path), cwd=tmp_path)
    said = one_line(done)
    assert done.returncode == 4
    for word in (
        "fal/flux-pro-kontext-multi/",
        "guidance_scale",
        "is not allowed any more",
        "Flux Pro Kontext Multi API",
        "harness check fal/flux-pro-kontext-multi --record",
        "harness recheck",
    ):
        assert word in said


def test_a_replay_needs_nothing(tmp_path: Path) -> None:
    """With no option: the packaged cassettes, no key, no network; and it says that a simulator had answered."""
    done = harness("check", "umodelverse", cwd=tmp_path, env=environment())
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].startswith("Simulated (recorded on ")


def test_a_cassette_is_judged_again(tmp_path: Path) -> None:
    """A cassette can be rechecked too: its old answers, today's spec and checks."""
    done = harness("recheck", ROOT / "cassettes" / "wavespeed" / "flux-kontext-pro-multi.yaml", cwd=tmp_path)
    assert (done.returncode, "verdict: pass" in done.stdout) == (0, True)


def test_the_cassettes_that_come_along_can_be_listed(tmp_path: Path) -> None:
    """Each target is there, and no problem in any."""
    listed = harness("cassettes", "list", cwd=tmp_path)
    assert (listed.returncode, [target for target in TARGETS if target not in listed.stdout]) == (0, [])
    assert harness("cassettes", "lint", cwd=tmp_path).returncode == 0


def test_a_recording_over_http_replays_to_the_same_report(tmp_path: Path) -> None:
    """--record against a provider of one's own, and then nothing but the cassette: only run's own fields differ."""
    with simulator("wavespeed", "--queue-seconds", 0.1, "--inference-seconds", 0.2, cwd=tmp_path) as urls:
        base = f"wavespeed:poll={urls['wavespeed:poll']}"
        options = ("--max-cases", 2, "--poll-interval", 0.1, "--base-url", base, "--out", "recorded")
        env = environment(WAVESPEED_API_KEY="some-key-of-mine-0123")
        recorded = harness("check", "wavespeed", "--record", *options, cwd=tmp_path, env=env)
    written = "recorded: cassettes/wavespeed/flux-kontext-pro-multi.yaml\n"
    assert (recorded.returncode, recorded.stderr) == (0, written)
    replayed = harness("check", "wavespeed", "--out", "replayed", cwd=tmp_path)
    assert (replayed.returncode, replayed.stderr) == (0, "")
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("recorded", "replayed")]
    modes = [report["run"].pop("mode") for report in reports]
    for report in reports:
        for name in ("id", "started_at", "finished_at", "command"):
            report["run"].pop(name)
    assert (reports[0], modes) == (reports[1], ["simulate", "replay"])
    kept = b"".join(path.read_bytes() for path in (tmp_path / "cassettes").rglob("*") if path.is_file())
    assert [word in kept for word in (b"127.0.0.1", b"some-key-of-mine-0123")] == [False, False]
