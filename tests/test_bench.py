"""A bench as a whole, in virtual time: what is timed, what is judged, what its report and its recording say."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from harness import resources, run
from harness.cassettes import Shelf
from harness.config import Config
from harness.errors import InputError
from harness.history import FORMAT, MemoryJournal
from harness.model import Json, Outcome
from harness.report import document, html, measurement, terminal
from harness.report.results import RunResult
from harness.simulator import Variation
from harness.strict import load_json
from harness.targets import Request
from tests.calls import FAL, KEY, MULTI, ORIGIN, SPECS, WAVESPEED, Run, simulated

LAGGING = {"valid": True, "reasons": [], "loop_lag_p99_s": 0.4, "start_lag_p99_s": 0.0001, "cpu_share": 0.9}


def bench(*specs: Any, variations: Any = None, **request: Any) -> Run:
    options = {"requests": 6, "warmup": 2, "rejects": False} | request
    return simulated(Request("simulate", "bench", **options), *specs, variations=variations)


@cache
def healthy() -> Run:
    return bench(*SPECS.values())


@cache
def built() -> RunResult:
    return document.build(healthy().history, SPECS)


def changed(one: Run, *, mode: str, audit: Json = None) -> Run:
    """The run as if it had been made from another source, by a provider that is no simulator."""
    rows = []
    for row in one.journal.rows:
        other: dict[str, dict[str, Any]] = {
            "header": {"mode": mode},
            "footer": {"simulated": False, "audit": audit or row.get("audit")},
        }
        rows.append({**row, **other.get(row["type"], {})})
    return with_rows(one, rows)


def with_rows(one: Run, rows: list[dict[str, Any]]) -> Run:
    """The run with another history."""
    journal = MemoryJournal()
    journal.rows, journal.blobs = rows, one.journal.blobs
    return replace(one, journal=journal)


def printed(result: RunResult, **console: Any) -> list[str]:
    out = io.StringIO()
    terminal.summary(result, Console(file=out, **console), Path("run/report.html"))
    return out.getvalue().splitlines()


def fails(*submits: int, status: int = 500) -> dict[str, tuple[Variation, ...]]:
    """A fal that answers the submits with these numbers, from 1, with an error."""
    count = 0

    def reply(step: str, _job: Any, answer: Any) -> Any:
        nonlocal count
        count += step == "submit"
        return replace(answer, status=status, body=b"oops") if step == "submit" and count in submits else answer

    return {FAL.target: (Variation("fails", reply=reply),)}


# --- what is timed ---------------------------------------------------------------------------------------------------


def test_the_header_says_what_the_run_is_for() -> None:
    """``kind`` is bench; a history that does not say is a check's."""
    header = healthy().journal.rows[0]
    assert (header["kind"], built().kind) == ("bench", "bench")
    old = with_rows(healthy(), [{k: v for k, v in row.items() if k != "kind"} for row in healthy().journal.rows])
    assert document.build(old.history, SPECS).kind == "check"


@pytest.mark.parametrize("target", SPECS)
def test_warm_up_is_reported_and_paid_but_not_timed(target: str) -> None:
    """Its cases count and cost; the latencies are those of the other ones."""
    (result,) = [one for one in built().targets if one.spec.target == target]
    summary = result.summary
    assert (summary["cases"]["planned"], summary["cases"]["run"], summary["cost"]["paid_requests"]) == (8, 8, 8)
    assert summary["latency"]["total"]["n"] == 6
    timed = {case.id for case in result.plan.cases if case.kind == "accept"}
    assert {phase: set() for phase in result.samples} == {
        phase: {sample.case_id for sample in samples} - timed for phase, samples in result.samples.items()
    }


def test_warm_up_has_ended_before_anything_timed_is_sent() -> None:
    """Per target: whatever the concurrency, no timed job shares its time with a warm-up."""
    for target in SPECS:
        calls = healthy().history.of(target)
        warm = [
            e.received_ns
            for call in calls
            if call.case.kind == "warm-up"
            for e in call.of("submit", "status", "result")
        ]
        rest = [call.exchanges[0].sent_ns for call in calls if call.case.kind != "warm-up"]
        assert max(warm) <= min(rest)


def test_targets_are_interleaved() -> None:
    """Every target is under way while every other one is: none is measured at another time of day."""
    spans = {}
    for target in SPECS:
        exchanges = [e for call in healthy().history.of(target) for e in call.exchanges]
        spans[target] = (min(e.sent_ns for e in exchanges), max(e.received_ns for e in exchanges))
    assert max(start for start, _ in spans.values()) < min(end for _, end in spans.values())


def test_the_loop_is_closed() -> None:
    """No more jobs of a target are in flight than its concurrency allows."""
    one = bench(FAL, requests=9, warmup=0, concurrency=3)
    moves = []
    for call in one.history.calls:
        jobs = call.of("submit", "status", "result")
        moves += [(jobs[0].sent_ns, 1), (jobs[-1].received_ns, -1)]
    running, most = 0, 0
    for _, step in sorted(moves):
        running += step
        most = max(most, running)
    assert most == 3


def test_the_nth_request_of_every_target_asks_for_the_same() -> None:
    """What was sent can be paired by number."""
    prompts = [
        [value for name, value in call.case.body.items() if name == "prompt"]
        for target in SPECS
        for call in sorted(healthy().history.of(target), key=lambda call: call.case.id)
    ]
    assert [prompts[:8]] * 5 == [prompts[start : start + 8] for start in range(0, 40, 8)]


# --- what is judged --------------------------------------------------------------------------------------------------


def test_every_answer_is_judged() -> None:
    """A broken promise is found in a bench too, in a timed answer and in a warm-up's."""

    def swaps_prompt(_step: str, _: Any, reply: Any) -> Any:
        value = json.loads(reply.body)
        return replace(reply, body=json.dumps({**value, "prompt": "another"} if "prompt" in value else value).encode())

    one = bench(FAL, variations={FAL.target: (Variation("swaps", reply=swaps_prompt),)})
    result = document.build(one.history, SPECS)
    found = result.document["targets"][FAL.target]["findings"]
    assert {"prompt_echo"} == {finding["check"] for finding in found}
    assert len({finding["case_id"] for finding in found}) == 8
    assert run.exit_status(result) == 1


def test_a_server_error_is_neither_confirmed_nor_isolated() -> None:
    """In a bench nothing is sent beyond the plan: the error is unknown, and the run ends with 3."""
    one = bench(FAL, variations=fails(4))
    result = document.build(one.history, SPECS)
    found = result.document["targets"][FAL.target]
    assert [row for row in one.journal.rows if row["type"] == "intent" and row.get("derived")] == []
    assert (found["verdict"], found["cases"]["pass"], run.exit_status(result)) == ("unknown", 7, 3)
    assert ("not_a_server_error", "unknown") in {(f["check"], f["verdict"]) for f in found["findings"]}


def test_a_refusal_is_not_isolated() -> None:
    """A refused request is a failure, and nobody asks why with further calls."""
    one = bench(FAL, variations=fails(4, status=422))
    assert sum(row["type"] == "intent" for row in one.journal.rows) == 8
    assert [call.outcome for call in one.history.calls if call.outcome is not Outcome.COMPLETED] == [Outcome.REJECTED]


def test_the_budget_holds() -> None:
    """Warm-up and timed requests are paid from one budget; what does not fit is not sent, and the run ends with 3."""
    one = bench(FAL, requests=20, max_cost=Decimal("0.21"), concurrency=4)
    result = document.build(one.history, SPECS)
    totals, cases = result.document["totals"], result.document["targets"][FAL.target]["cases"]
    assert (totals["usd"], totals["usd_max"], cases["run"], cases["planned"]) == (0.2, 0.2, 5, 22)
    assert (result.document["run"]["complete"], run.exit_status(result)) == (False, 3)
    assert list(one.ended.stopped.values()) == ["the budget of 0.21 USD is spent"]


# --- the report ------------------------------------------------------------------------------------------------------


def test_a_bench_covers_nothing_and_its_report_is_valid() -> None:
    """Each coverage figure is null; the document fits the published schema."""
    schema = load_json(resources.schema("report").read_bytes())
    assert [f"{e.json_path}: {e.message}" for e in Draft202012Validator(schema).iter_errors(built().document)] == []
    nothing = dict.fromkeys(("one_way", "two_way_classes", "two_way_values", "rejects"))
    assert [nothing] * 5 == [target["coverage"] for target in built().document["targets"].values()]


def test_the_summary_of_a_bench() -> None:
    """Where the answers came from, what was sent and what it cost, each phase with its quantiles, what is not separable."""
    lines = printed(built())
    assert lines[0] == "Simulated: says nothing about the real provider"
    heads = [line.split() for line in lines if line.startswith("target ")]
    assert heads == [
        ["target", "verdict", "requests", "ok", "failed", "warm-up", "findings", "cost", "per", "image"],
        ["target", "phase", "n", "p50", "95", "%", "interval", "p95", "95", "%", "interval"],
    ]
    (row,) = [line for line in lines if line.startswith(f"{WAVESPEED.target} ") and " pass " in line]
    assert row.split()[1:] == ["pass", "6", "6", "0", "2", "none", "$0.32", "$0.04"]
    first = lines.index(next(line for line in lines if line.startswith(f"{FAL.target} ") and " submit " in line))
    phases = [line.removeprefix(FAL.target).split()[0] for line in lines[first : first + 8]]
    assert phases == ["submit", "queue", "inference", "total", "result", "download", "end_to_end", "reported_inference"]
    total = lines[first + 3].split()
    assert [*total[:2], total[3], *total[5:7]] == ["total", "6", "s", "-", ">="]  # no p95 of six, but a lower bound
    (hidden,) = [line for line in lines if line.startswith("not separable: submit")]
    assert f"submit, queue, inference, result of umodelverse/flux-kontext-pro, {MULTI.target}: the provider" in hidden


def test_requests_that_fail_are_counted() -> None:
    """A refused and a broken one are failures, one that was not sent is neither."""
    failing = document.build(bench(FAL, variations=fails(4, 5)).history, SPECS)
    (row,) = [line.split() for line in printed(failing) if line.startswith(f"{FAL.target} ") and "unknown" in line]
    assert row[2:6] == ["6", "4", "2", "2"]
    poor = document.build(bench(FAL, requests=20, max_cost=Decimal("0.2"), concurrency=1).history, SPECS)
    (row,) = [line.split() for line in printed(poor) if line.startswith(f"{FAL.target} ") and "unknown" in line]
    assert row[2:6] == ["3/20", "3", "0", "2"]


def test_a_bench_that_timed_nothing_says_so() -> None:
    """No empty table."""
    nothing = document.build(bench(FAL, variations=fails(*range(99), status=401)).history, SPECS)
    assert "no job was timed" in printed(nothing)


def test_what_a_provider_sheds_is_late_for_ever() -> None:
    """Half of the submits fail: the jobs that were never done count, in the distribution and in the goodput."""
    history = bench(FAL, variations=fails(*range(1, 99, 2), status=503), slo_seconds=300.0).history
    (target,) = (one.summary for one in document.build(history, SPECS).targets if one.spec.target == FAL.target)
    total, good = target["latency"]["total"], target["measurement"]["goodput"]
    assert total["censored"] > 0
    assert (good["n"], good["within"]) == (total["n"], total["n"] - total["censored"])


@pytest.mark.parametrize("width", [60, 100, 200])
def test_the_summary_fits_a_terminal_of_any_width(width: int) -> None:
    """A name that does not fit beside its figures has a line of its own, once."""
    lines = printed(built(), force_terminal=True, no_color=False, width=width)
    assert len([line for line in lines if WAVESPEED.target in line and "not separable" not in line]) == 2


def test_the_page_of_a_bench() -> None:
    """It renders and calls itself a benchmark."""
    page = html.render(built())
    assert "Image API benchmark" in page
    assert "Image API conformance" not in page


# --- the measurement -------------------------------------------------------------------------------------------------


def measured(one: Run, target: str = FAL.target) -> Json:
    result = document.build(one.history, SPECS)
    schema = load_json(resources.schema("report").read_bytes())
    assert [f"{e.json_path}: {e.message}" for e in Draft202012Validator(schema).iter_errors(result.document)] == []
    return result.document["targets"][target]["measurement"]


def test_a_measurement_explains_its_figures() -> None:
    """Load, warm-up, window, estimators, what the provider reports: all from the record, and in the published form."""
    found = measured(bench(FAL, requests=30))
    assert (found["loop"], found["warm_up"], found["most_in_flight"]) == ({"kind": "closed"}, 2, 8)
    assert set(found["estimates"]["total"]["by"]) == {"midpoint", "npmle", "lognormal"}
    assert found["transport"]["submit_first_byte"]["n"] == 30
    assert abs(found["reported_difference"]["p50"]["value"]) < 0.5
    assert found["billed_units"] == {"header": "x-fal-billable-units", "units": 30.0, "images": 30}
    assert (found["goodput"], found["precision"]) == (None, None)


def test_a_check_has_no_measurement() -> None:
    """Its cases differ: what explains a benchmark's figures would explain nothing."""
    one = simulated(Request("simulate", cases=("*/accept/*",)), MULTI)
    assert "measurement" not in document.build(one.history, SPECS).document["targets"][MULTI.target]


def test_what_was_not_fetched_is_neither_timed_nor_missed() -> None:
    """Without downloads no file is asked for, no check complains, and the phases that need them say why they are empty."""
    one = bench(FAL, WAVESPEED, downloads=False)
    result = document.build(one.history, SPECS)
    assert [call.of("asset") for call in one.history.calls] == [()] * 16
    assert result.document["totals"]["verdict"] == "pass"
    for target in result.document["targets"].values():
        assert target["latency"]["download"] == {"not_separable": measurement.NOT_FETCHED}


def test_an_open_loop_is_counted_from_its_instants() -> None:
    """Jobs in flight follow from the rate and not from a number of workers; several targets take turns."""
    one = bench(FAL, MULTI, requests=40, warmup=0, rate=5.0, concurrency=200)
    found = measured(one)
    assert found["loop"] == {"kind": "constant", "rate_per_s": 5.0}
    assert 18 <= found["most_in_flight"] <= 40
    first = {target: one.history.of(target)[0].exchanges[0].intended_ns for target in (FAL.target, MULTI.target)}
    assert first[MULTI.target] - first[FAL.target] == 100_000_000


def test_goodput_is_a_share_with_its_bounds() -> None:
    """Jobs of five seconds, half of them within five."""
    found = measured(bench(FAL, requests=40, slo_seconds=5.2))["goodput"]
    assert found["n"] == 40
    assert found["share"]["low"] <= found["share"]["value"] <= found["share"]["high"]
    assert found["within"] + found["undecided"] <= 40
    assert 0 < found["within"] < 40


@pytest.mark.parametrize(("asked", "n", "reached", "status"), [("p50=30%", 40, True, 0), ("p50=1%", 40, False, 3)])
def test_a_precision_decides_how_many_are_sent(asked: str, n: int, reached: bool, status: int) -> None:
    """It ends when the quantile is known well enough; where the plan ends before, the run says so and ends with 3."""
    one = bench(FAL, requests=n, precision=asked, concurrency=20)
    result = document.build(one.history, SPECS)
    found, cases = measured(one)["precision"], result.document["targets"][FAL.target]["cases"]
    assert (found["asked"], found["reached"], run.exit_status(result)) == (asked, reached, status)
    assert (cases["planned"], result.document["run"]["complete"]) == (cases["run"], True)
    assert (cases["run"] < n + 2, found["n"] + 2) == (reached, cases["run"])


def test_an_open_loop_that_meets_its_cap_is_not_valid() -> None:
    """Live, with two places for twenty jobs at once; the reason names the way out."""
    one = changed(bench(FAL, requests=20, warmup=0, rate=5.0, concurrency=2), mode="live")
    audit = document.build(one.history, SPECS).document["run"]["audit"]
    assert not audit["valid"]
    assert any("the cap of its open loop: raise --concurrency or lower --rate" in reason for reason in audit["reasons"])


def test_what_an_interruption_cut_in_two_is_in_no_duration() -> None:
    """An hour between two segments is in no job's interval and in no window; the jobs that were under way are counted."""
    one = bench(FAL, requests=20, warmup=0, concurrency=4)
    whole, rows = document.build(one.history, SPECS).targets[0].summary, one.journal.rows
    (middle,) = [n for n, row in enumerate(rows) if row["type"] == "exchange" and row["step"] == "result"][9:10]
    begun = {row["call"] for row in rows[:middle] if row["type"] == "intent"}
    ended = {row["call"] for row in rows[:middle] if row["type"] == "call"}
    rows = [
        row | {"segment": None if row["call"] in begun - ended else int(row["call"] not in ended)}
        if row["type"] == "call"
        else row
        for row in rows
    ]
    header = {
        "type": "header",
        "format": FORMAT,
        "segment": 1,
        "started_at": "2999-01-01T00:00:00.000+00:00",
        "anchor_ns": 0,
    }
    cut = with_rows(one, [*rows[:middle], rows[-1], header, *rows[middle:]])
    parts = document.build(cut.history, SPECS).targets[0].summary
    total, notes = parts["latency"]["total"], parts["measurement"]["notes"]
    interrupted = whole["latency"]["total"]["n"] - total["n"]
    assert 0 < interrupted <= 4
    assert f"{interrupted} jobs were cut in two by an interruption and are in no duration" in notes
    assert total["mean"] < 2 * whole["latency"]["total"]["mean"]
    assert parts["measurement"]["window_s"] <= whole["measurement"]["window_s"]
    told, before = (one["measurement"]["reported_difference"]["n"] for one in (parts, whole))
    assert told == before - interrupted


def test_units_that_are_no_images_are_a_finding() -> None:
    """The provider's own count stands beside the list price's: a warning, since nobody's document explains it."""

    def bills_twice(step: str, _job: Any, answer: Any) -> Any:
        return (
            replace(answer, headers={**answer.headers, "x-fal-billable-units": "2.5"}) if step == "result" else answer
        )

    one = bench(FAL, requests=3, warmup=0, variations={FAL.target: (Variation("bills", reply=bills_twice),)})
    found = document.build(one.history, SPECS).document["targets"][FAL.target]["findings"]
    assert [(f["check"], f["verdict"], f["expected"], f["observed"]) for f in found] == [
        ("billed_units", "warn", "1", "2.5")
    ] * 3
    assert measured(one)["billed_units"]["units"] == 7.5


# --- the audit -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "kind", "valid"),
    [("live", "bench", False), ("record", "bench", False), ("simulate", "bench", True), ("replay", "bench", True), ("live", "check", True)],
)  # fmt: skip
def test_the_audit_is_judged_where_a_provider_was_measured(mode: str, kind: str, valid: bool) -> None:
    """A live or recorded bench by a client that lagged is invalid and ends with 3; elsewhere the lags are shown."""
    one = changed(bench(FAL), mode=mode, audit=LAGGING)
    one.journal.rows[0]["kind"] = kind
    result = document.build(one.history, SPECS)
    audit = result.document["run"]["audit"]
    assert (valid, 0 if valid else 3, 0.4) == (audit["valid"], run.exit_status(result), audit["loop_lag_p99_s"])
    assert valid == (not any("The measurement is not valid: the event loop" in line for line in printed(result)))


def test_a_recording_of_the_simulator_is_not_judged() -> None:
    """Its answers are no provider's, whatever the source option was."""
    one = bench(FAL)
    rows = [{**row, "mode": "record"} if row["type"] == "header" else row for row in one.journal.rows]
    rows = [{**row, "audit": LAGGING} if row["type"] == "footer" else row for row in rows]
    found = document.build(with_rows(one, rows).history, SPECS).document["run"]
    assert (found["mode"], found["audit"]["valid"]) == ("simulate", True)


# --- recordings ------------------------------------------------------------------------------------------------------


def stored(one: Run, directory: Path) -> Path:
    """The run as its directory."""
    (directory / "blobs").mkdir(parents=True)
    for digest, blob in one.journal.blobs.items():
        (directory / "blobs" / digest).write_bytes(blob)
    data = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in one.journal.rows)
    (directory / "history.jsonl").write_bytes(data)
    return directory


def recorded(one: Run, place: Path, *, audit: Json = None) -> tuple[RunResult, Request]:
    """Record a run as if it had been live; its result, and the request that replays it."""
    directory = stored(changed(one, mode="record", audit=audit), place / "recorded")
    shelf, result = Shelf(place / "cassettes"), run.write_reports(directory)
    slots = {
        plan.target: shelf.place(SPECS[plan.target], SPECS[plan.target].default_flow, "bench")
        for plan in one.history.plans
    }
    run.keep_recording(directory, slots, result.document["run"]["audit"])
    return result, Request("replay", "bench", rejects=False, cassettes=place / "cassettes", out=place / "replayed")


def without_names(result: RunResult) -> Json:
    """A report but for what names the run."""
    names = ("id", "started_at", "finished_at", "command", "mode")
    return {**result.document, "run": {k: v for k, v in result.document["run"].items() if k not in names}}


def test_a_replay_of_a_bench_is_its_recording(tmp_path: Path) -> None:
    """Figures, findings, cost and audit are the recording's to the last digit."""
    result, request = recorded(bench(FAL, MULTI), tmp_path)
    replayed = run.check((FAL, MULTI), request, Config(), {})
    assert without_names(result) == without_names(replayed.result)
    assert (
        replayed.result.document["run"]["mode"],
        replayed.result.kind,
        replayed.exit_status,
    ) == ("replay", "bench", 0)
    assert (tmp_path / "cassettes" / "fal" / "flux-pro-kontext-multi.bench.yaml").is_file()
    assert (tmp_path / "cassettes" / "fal" / "flux-pro-kontext-multi.bench.plan.json").is_file()


def test_a_bench_is_narrowed_as_a_check_is(tmp_path: Path) -> None:
    """By ids and by number, of built-in requests, of a workload of one's own, and of a recording."""
    (tmp_path / "own.jsonl").write_text(
        "".join(
            json.dumps({"prompt": text, "image_urls": ["https://images.example/a.png"]}) + "\n" for text in ("a", "b")
        )
    )
    by_number = bench(FAL, requests=9, max_cases=3)
    by_id = bench(FAL, requests=9, cases=("*/bench/0002", "*/bench/0004"))
    own = bench(FAL, requests=9, warmup=0, workload=tmp_path / "own.jsonl", cases=("*/workload/*-2",))
    sent = [[call.case.id.rpartition("/")[2] for call in one.history.calls] for one in (by_number, by_id)]
    assert sent == [["9009", "9008", "0001", "0002", "0003"], ["0002", "0004"]]
    assert [call.case.body["prompt"] for call in own.history.calls] == ["a", "b"]
    _, request = recorded(bench(FAL), tmp_path)
    replayed = run.check((FAL,), replace(request, cases=("*/bench/0002",)), Config(), {})
    assert replayed.result.document["targets"][FAL.target]["cases"]["run"] == 1


def test_a_replay_keeps_the_verdict_on_the_measurement(tmp_path: Path) -> None:
    """What was badly measured is badly measured for ever: the frozen audit is the judged one."""
    result, request = recorded(bench(FAL), tmp_path, audit=LAGGING)
    replayed = run.check((FAL,), request, Config(), {})
    audit = replayed.result.document["run"]["audit"]
    assert (audit["valid"], replayed.exit_status) == (False, 3)
    assert result.document["run"]["audit"] == audit


def test_a_benchs_cassette_is_rechecked_as_a_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own file says what it is."""
    recorded(bench(FAL), tmp_path)
    monkeypatch.chdir(tmp_path)
    result, _ = run.recheck_cassette(tmp_path / "cassettes" / "fal" / "flux-pro-kontext-multi.bench.yaml", Config())
    assert (result.kind, result.document["totals"]["verdict"]) == ("bench", "pass")


def test_a_check_and_a_bench_do_not_share_a_cassette(tmp_path: Path) -> None:
    """Each finds its own, and says how to make it."""
    recorded(bench(FAL), tmp_path)
    shelf = Shelf(tmp_path / "cassettes")
    names = [shelf.find(FAL, FAL.default_flow, kind).name for kind in ("check", "bench")]
    assert names == ["fal/flux-pro-kontext-multi", "fal/flux-pro-kontext-multi.bench"]
    with pytest.raises(InputError, match=r"no bench cassette of .* record one with harness bench .* --record"):
        shelf.find(WAVESPEED, WAVESPEED.default_flow, "bench")


def gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, learn_from: Path, **asked: Any
) -> tuple[Any, list[str]]:
    """What is made of a bench that was killed when it is gone on with, and what is said meanwhile; nothing is sent."""
    one = changed(bench(FAL, learn_from=learn_from, **asked), mode="live")
    directory = stored(with_rows(one, [row for row in one.journal.rows if row["type"] != "footer"]), tmp_path / "run")
    made: list[Any] = []
    monkeypatch.setattr(run, "_carried_out", lambda one, *_: made.append(one))
    urls: Any = {(FAL.provider, flow): f"{ORIGIN}/{FAL.provider}/{flow}" for flow in FAL.flows}
    request = Request("live", "bench", base_urls=urls, resume=True, out=directory)
    said: list[str] = []
    run.check((), request, Config(), {FAL.credential.env: KEY}, say=said.append)
    return made[0], said


def test_a_bench_that_goes_on_polls_by_what_the_earlier_run_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was begun with it; and it says what its precision will cost, as before."""
    earlier = stored(healthy(), tmp_path / "earlier")
    made, said = gone_on_with(tmp_path, monkeypatch, learn_from=earlier, requests=30, precision="p50=1%")
    assert made.learnt[FAL.target].expected("inference") is not None
    further = run.further_of(made.targets[0], made.say)
    assert further is not None
    assert further([(5.0, 5.0 + place) for place in range(25)])
    (line,) = said
    assert "p50=1% is not known after 25 jobs: 5 more of the" in line


def test_what_was_paid_for_is_read_though_the_earlier_run_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its absence is said, and the polls are learnt anew."""
    made, said = gone_on_with(tmp_path, monkeypatch, learn_from=tmp_path / "none")
    assert (made.learnt, len(said)) == ({}, 1)
    assert said[0].endswith("the polls are learnt from this run alone")


def test_a_damaged_cassette_says_which_command_records_it(tmp_path: Path) -> None:
    """A bench's is recorded by bench."""
    _, request = recorded(bench(FAL), tmp_path)
    (tmp_path / "cassettes" / "fal" / "flux-pro-kontext-multi.bench.plan.json").unlink()
    with pytest.raises(InputError, match="harness bench --record"):
        run.check((FAL,), request, Config(), {})


def test_an_open_loop_replays_as_it_was(tmp_path: Path) -> None:
    """Arrivals, objective and what was not fetched are the recording's; so is every figure."""
    asked = {"rate": 4.0, "arrivals": "poisson", "downloads": False, "slo_seconds": 6.0, "concurrency": 50}
    result, request = recorded(bench(FAL, requests=12, **asked), tmp_path)
    replayed = run.check((FAL,), request, Config(), {})
    assert without_names(result) == without_names(replayed.result)
    found = replayed.result.document["targets"][FAL.target]
    assert found["measurement"]["loop"] == {"kind": "poisson", "rate_per_s": 4.0}
    assert found["latency"]["end_to_end"] == {"not_separable": measurement.NOT_FETCHED}


def test_todays_specs_judge_an_old_bench(tmp_path: Path) -> None:
    """``report`` and ``recheck`` come to the run's own document."""
    directory = stored(healthy(), tmp_path / "run")
    texts = [document.dump(run.result_of(directory, with_todays_specs=today).document) for today in (False, True)]
    assert [document.dump(built().document)] * 2 == texts
