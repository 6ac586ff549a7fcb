"""report.json: a function of the history, valid by its schema, and without a key."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness import run
from harness.history import History, read
from harness.model import VERDICT_ORDER, Verdict, worst
from harness.report import document, text
from harness.report.results import RunResult
from harness.simulator import Variation, faults_for
from harness.targets import Request
from tests.calls import FAL, GATEWAY, KEY, MULTI, ORIGIN, SPECS, WAVESPEED, Run, simulated, whole_run

SCHEMA = Path(run.__file__).with_name("schemas") / "report.schema.json"


@cache
def built() -> RunResult:
    return document.build(whole_run().history, SPECS)


def short(*specs: Any, variations: Any = None, **request: Any) -> Run:
    """A run of a few cases."""
    return simulated(Request("simulate", **{"max_cases": 3, "rejects": False} | request), *specs, variations=variations)


def swaps_prompt(_step: str, _: Any, reply: Any) -> Any:
    """A provider that says it used another prompt."""
    value = json.loads(reply.body)
    if "prompt" in value:
        value["prompt"] = "something else"
    return replace(reply, body=json.dumps(value).encode())


@cache
def failing_run() -> Run:
    return short(FAL, variations={FAL.target: (Variation("swaps_prompt", reply=swaps_prompt),)}, max_cases=6)


def build(history: History) -> Any:
    return document.build(history, SPECS).document


@pytest.mark.parametrize(
    "history", [lambda: whole_run().history, lambda: failing_run().history], ids=["healthy", "failing"]
)
def test_a_report_is_valid_by_the_published_schema(history: Any) -> None:
    """Every run's document fits the schema that ships with it."""
    validator = Draft202012Validator(json.loads(SCHEMA.read_bytes()))
    assert [
        f"{e.json_path}: {e.message}" for e in validator.iter_errors(json.loads(document.dump(build(history()))))
    ] == []


def test_the_same_history_gives_the_same_bytes() -> None:
    """Two builds differ in nothing."""
    assert document.dump(built().document) == document.dump(document.build(whole_run().history, SPECS).document)


def test_keys_stand_in_the_published_order() -> None:
    """A person who reads two reports finds the same thing at the same place."""
    target = built().document["targets"][FAL.target]
    assert list(built().document) == ["schema_version", "run", "totals", "targets"]
    assert list(target) == [
        "spec_sha256", "flow", "origin", "verdict", "coverage", "cases", "findings", "polling", "latency", "cost",
        "checks", "parameters", "same_request", "pictures", "documents",
    ]  # fmt: skip
    assert list(target["latency"]) == [
        "submit", "queue", "inference", "total", "result", "download", "end_to_end", "reported_inference",
    ]  # fmt: skip
    assert list(SPECS) == list(built().document["targets"])


@pytest.mark.parametrize("target", SPECS)
def test_counts_add_up(target: str) -> None:
    """Every case that ran has one verdict, the worst of its findings; a target's is the worst of its cases'."""
    (result,) = [one for one in built().targets if one.spec.target == target]
    cases = result.summary["cases"]
    assert cases["run"] == sum(cases[word] for word in ("pass", "fail", "warn", "unknown"))
    assert cases["planned"] == len(result.plan.cases) == len(result.judged)
    found: dict[str, list[Verdict]] = {case.id: [] for case in result.plan.cases}
    for finding in result.summary["findings"]:
        found[finding["case_id"]].append(Verdict(finding["verdict"]))
    verdicts = [worst(verdicts) for verdicts in found.values()]
    assert {word: cases[word] for word in VERDICT_ORDER} == {word: verdicts.count(word) for word in VERDICT_ORDER}
    overall = worst(verdicts)
    assert (Verdict.PASS if overall is Verdict.WARN else overall) == result.summary["verdict"]


def test_totals_are_the_sums_of_the_targets() -> None:
    """Requests, images and money of a run are those of its targets."""
    totals, targets = built().document["totals"], built().document["targets"].values()
    for name in ("paid_requests", "images", "usd"):
        assert totals[name] == pytest.approx(sum(target["cost"][name] for target in targets))
    assert totals["requests"] == sum(row["type"] == "exchange" for row in whole_run().journal.rows)
    assert totals["usd_max"] == totals["usd"]


def test_a_simulated_run_says_so() -> None:
    """Whatever its source was called, answers of the simulator are simulated."""
    live = simulated(Request("simulate", max_cases=1, rejects=False), MULTI)
    rows = [{**row, "mode": "live"} if row["type"] == "header" else row for row in live.journal.rows]
    live.journal.rows[:] = rows
    assert build(live.history)["run"]["mode"] == "simulate"


def test_a_failure_is_a_failure_everywhere() -> None:
    """One check that fails makes its cases, its target and the run fail."""
    found = build(failing_run().history)
    target = found["targets"][FAL.target]
    assert (found["totals"]["verdict"], target["verdict"]) == ("fail", "fail")
    assert {("prompt_echo", "fail", "prompt")} == {
        (f["check"], f["verdict"], f["parameter"]) for f in target["findings"]
    }
    assert {"document", "where", "states"} == set(target["findings"][0]["source"])


def result_with(verdict: str, *, complete: bool) -> RunResult:
    base = built().document
    return RunResult(
        {**base, "run": {**base["run"], "complete": complete}, "totals": {**base["totals"], "verdict": verdict}}, ()
    )


@pytest.mark.parametrize(
    ("verdict", "complete", "expected"),
    [
        ("pass", True, 0),
        ("pass", False, 3),
        ("fail", True, 1),
        ("fail", False, 1),
        ("unknown", True, 3),
        ("unknown", False, 3),
    ],
)
def test_exit_statuses(verdict: str, complete: bool, expected: int) -> None:
    """0 when all passes, 1 with a failure even when the run is cut short, 3 when something is unknown or missing."""
    assert expected == run.exit_status(result_with(verdict, complete=complete))


def test_warnings_pass() -> None:
    """A run whose cases warn at worst ends with 0."""
    gateway = document.build(short(GATEWAY).history, SPECS)
    assert (run.exit_status(gateway), gateway.document["totals"]["verdict"]) == (0, "pass")
    assert gateway.document["targets"][GATEWAY.target]["cases"]["warn"] > 0


def test_a_finding_carries_a_command_that_a_shell_can_run() -> None:
    """The request that shows it: method, URL, headers, body, with the key as a variable."""
    history = failing_run().history
    findings = build(history)["targets"][FAL.target]["findings"]
    finding = findings[0]
    (case,) = [case for case in history.plans[0].cases if case.id == finding["case_id"]]
    words = shlex.split(finding["request"])
    assert ["curl", "--request", "POST", f"{ORIGIN}/fal/queue/fal-ai/flux-pro/kontext/multi"] == words[:4]
    assert words[4:8] == ["--header", "Authorization: Key $FAL_KEY", "--header", "Content-Type: application/json"]
    assert ["--data-raw", case.body] == [words[8], json.loads(words[9])]
    assert len(words) == 10


@pytest.mark.parametrize("target", SPECS)
def test_every_command_is_one_line_of_shell_words(target: str) -> None:
    """Quotes, newlines, markup and foreign scripts of prompts survive the shell; nothing is cut."""
    spec = SPECS[target]
    result = next(one for one in built().targets if one.spec is spec or one.spec.target == target)
    history = whole_run().history
    route_url = history.header["targets"][target]["base_url"]
    from harness.flow import Route

    route = Route(spec, result.flow, route_url)
    for case in (one.case for one in result.judged if one.case.sending is None and one.case.kind != "probe"):
        words = shlex.split(document.curl(route, case))
        assert len(words) == 10
        assert json.loads(words[9]) == case.body


def test_a_body_that_is_too_long_for_a_command_is_not_cut_but_named() -> None:
    """Pasted, a command with a part of the body would be another request."""
    from harness.flow import Route

    case = whole_run().history.plans[0].cases[0]
    spec = SPECS[case.target]
    route = Route(spec, spec.default_flow, "https://example.com")
    for size, is_command in ((15_000, True), (document.MOST_COMMAND, False)):
        said = document.curl(route, case, {"prompt": "a" * size})
        assert text.is_command(said) is is_command
        assert ("a" * size in said) is is_command
        assert "…" not in said
        assert len(said) <= document.MOST_COMMAND
    assert "the run's blobs" in said


CURL = """#!{python}
import json, sys
found, words = dict(headers=[], body=None), iter(sys.argv[1:])
for word in words:
    if word == "--header":
        found["headers"].append(next(words))
    elif word == "--data-raw":
        found["body"] = next(words).encode().hex()
    elif word == "--data-binary":
        assert next(words) == "@-"
        found["body"] = sys.stdin.buffer.read().hex()
    elif word == "--request":
        found["method"] = next(words)
    else:
        found["url"] = word
print(json.dumps(found))
"""
"""A curl that tells what it would send, and sends nothing."""


@pytest.mark.parametrize("target", SPECS)
def test_every_command_sends_what_was_sent(target: str, tmp_path: Path) -> None:
    """In a real shell: the method, the media type, the credential and each byte of an odd request are the recorded ones."""
    from harness.flow import Route

    (tmp_path / "curl").write_text(CURL.format(python=sys.executable))
    (tmp_path / "curl").chmod(0o700)
    spec, history = SPECS[target], whole_run().history
    result = next(one for one in built().targets if one.spec.target == target)
    route = Route(spec, result.flow, history.header["targets"][target]["base_url"])
    odd = [one.call for one in result.judged if one.call and (one.case.sending or "submit" in str(one.case.probes))]
    script = "\n".join(document.curl(route, call.case) for call in odd)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", spec.credential.env: "***"}
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, check=True)
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(shown) == len(odd) >= 40
    for call, one in zip(odd, shown, strict=True):
        first = call.exchanges[0]
        kind = first.request_headers.get("content-type")
        credential = first.request_headers.get(spec.credential.header.lower())
        told = [f"{spec.credential.header}: {credential}"] if credential else []
        assert [first.method, first.url] == [one["method"], one["url"]]
        assert [*told, f"Content-Type: {kind}" if kind else "Content-Type:"] == one["headers"]
        assert (first.request_body or b"").hex() == (one["body"] or "")


def test_a_key_appears_nowhere() -> None:
    """Neither in the record nor in the report, whole or in another spelling, even when a provider repeats it."""
    import base64

    spelled = base64.b64encode(KEY.encode()).decode()

    def echoes(_step: str, _: Any, reply: Any) -> Any:
        value = json.loads(reply.body)
        value["prompt"] = f"you sent {KEY} and {spelled}"
        return replace(reply, body=json.dumps(value).encode())

    one = short(FAL, variations={FAL.target: (Variation("echoes_key", reply=echoes),)})
    text = document.dump(build(one.history)) + json.dumps(one.journal.rows) + repr(one.journal.blobs)
    assert (KEY in text, spelled.rstrip("=") in text) == (False, False)
    assert "you sent ***" in text


def stored(one: Run, directory: Path, *, cut: int = 0, footer: bool = True) -> Path:
    """The run as a directory, without its last bytes or its footer."""
    rows = [row for row in one.journal.rows if footer or row["type"] != "footer"]
    data = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    (directory / "blobs").mkdir()
    for digest, blob in one.journal.blobs.items():
        (directory / "blobs" / digest).write_bytes(blob)
    (directory / "history.jsonl").write_bytes(data[: len(data) - cut])
    return directory


def test_a_run_reads_back_from_its_directory(tmp_path: Path) -> None:
    """The document of a directory is that of the run that left it."""
    one = failing_run()
    assert document.dump(build(one.history)) == document.dump(build(read(stored(one, tmp_path))))


@pytest.mark.parametrize(("cut", "footer"), [(1, True), (40, True), (0, False), (1, False), (500, False)])
def test_a_record_that_was_cut_off_still_builds(tmp_path: Path, cut: int, footer: bool) -> None:
    """Without a footer, or with half a last line, what is there is reported and the run is not complete."""
    whole = build(failing_run().history)
    found = build(read(stored(failing_run(), tmp_path, cut=cut, footer=footer)))
    assert (whole["run"]["complete"], found["run"]["complete"]) == (True, False)
    Draft202012Validator(json.loads(SCHEMA.read_bytes())).validate(found)
    assert whole["targets"][FAL.target]["cases"]["planned"] == found["targets"][FAL.target]["cases"]["planned"]
    assert run.exit_status(RunResult(found, ())) == 1


def test_a_line_begun_after_the_footer_leaves_the_run_incomplete(tmp_path: Path) -> None:
    """A resume that was cut off while it began is not complete, whatever the footer before it says."""
    directory = stored(failing_run(), tmp_path)
    with (directory / "history.jsonl").open("ab") as file:
        file.write(b'{"type":"header","seg')
    history = read(directory)
    assert (history.torn, history.footer is not None, build(history)["run"]["complete"]) == (True, True, False)


def test_a_planned_case_without_a_call_is_unknown_and_the_run_incomplete() -> None:
    """Whatever a footer says: a case that was never sent has no verdict, and is missing."""
    one = short(MULTI)
    first = next(row["call"] for row in one.journal.rows if row["type"] == "intent")
    one.journal.rows[:] = [row for row in one.journal.rows if row.get("call") != first]
    found = build(one.history)
    cases = found["targets"][MULTI.target]["cases"]
    assert (cases["planned"], cases["run"], cases["pass"]) == (3, 2, 2)
    assert (found["totals"]["verdict"], found["run"]["complete"]) == ("unknown", False)
    assert run.exit_status(RunResult(found, ())) == 3


def test_a_call_without_an_end_is_unknown_and_may_have_been_charged() -> None:
    """An intent is a possible charge, whatever came after it."""
    one = short(MULTI)
    ended = next(row for row in one.journal.rows if row["type"] == "call")
    one.journal.rows[:] = [row for row in one.journal.rows if row is not ended]
    found = build(one.history)["totals"]
    assert (found["verdict"], found["paid_requests"], found["unknown_charge"]) == ("unknown", 2, 1)
    assert found["usd_max"] > found["usd"]


def test_latencies_are_those_of_the_accepted_jobs() -> None:
    """The sample counts the accept cases; a small sample has no p95, and intervals say that they are midpoints."""
    latency = built().document["targets"][FAL.target]["latency"]
    found = {name: latency["total"][name] for name in ("unit", "n", "censored", "method")}
    assert found == {"unit": "s", "n": 10, "censored": 0, "method": "midpoint"}
    assert (latency["total"]["p95"]["value"], latency["total"]["p99"]["high"]) == (None, None)
    assert 3.0 < latency["total"]["p50"]["value"] < 9.0
    assert latency["download"]["method"] == "exact"
    sync = built().document["targets"][MULTI.target]["latency"]
    assert {"not_separable"} == set(sync["queue"])


def test_jobs_past_their_deadline_are_infinite_and_counted() -> None:
    """A job that was cut off stays in the sample: censored, without a mean, the median withheld."""
    found = build(short(WAVESPEED, deadline_seconds=0.5).history)["targets"][WAVESPEED.target]
    total = found["latency"]["total"]
    expected = (3, 3, None, None)
    assert expected == (total["n"], total["censored"], total["mean"], total["p50"]["value"])
    assert ("fail", {"fail"}) == (
        found["verdict"],
        {f["verdict"] for f in found["findings"] if f["check"] == "job_completes"},
    )


def test_a_finding_about_a_read_shows_the_read_and_not_the_submit() -> None:
    """The status that was asked for without the key is shown as it was asked for: a GET of its address, without the key."""
    findings = built().document["targets"][GATEWAY.target]["findings"]
    calls = whole_run().history.of(GATEWAY.target)
    shown = {f["message"]: f for f in findings if f["check"] == "ignored_auth"}
    probe = next(e for call in calls for e in call.exchanges if e.purpose == "status-without-key")
    status = shown["the status without key is answered 200"]
    assert shlex.split(status["request"]) == ["curl", "--request", "GET", probe.url]
    assert status["smallest"] is False
    linked = next(f for f in findings if f["check"] == "url_origin")
    assert "$" in linked["request"]  # what was asked with the key is shown with it


def test_only_a_request_that_was_looked_for_is_called_the_smallest() -> None:
    """Isolation leaves a smaller body with its finding, which is shown; otherwise the request is the case's own."""
    (fault,) = [one for one in faults_for(FAL) if one.id.endswith(":refuses-guidance_scale-maximum")]
    refusing = short(FAL, variations={FAL.target: (fault.variation(),)}, max_cases=None)
    for run_, expected in ((failing_run(), {False}), (refusing, {True})):
        found = [f for f in build(run_.history)["targets"][FAL.target]["findings"] if f["verdict"] == "fail"]
        assert {one["smallest"] for one in found} == expected
