"""What is read of a run: equal by the long and the short way, told apart by its key, kept small and whole."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.compare import baseline
from harness.compare.baseline import Baseline
from harness.compare.digest import Digest, digests, digests_of, runs_at
from harness.compare.verdicts import compare
from harness.config import Config, load, region_of
from harness.errors import InputError, UsageError
from harness.history import MemoryJournal
from harness.planning.workload import question
from harness.report import document
from harness.schedule import Schedule
from harness.simulator import Variation
from harness.targets import Request
from tests.calls import FAL, SPECS, WAVESPEED, Run, simulated
from tests.compare import histories


@pytest.mark.parametrize("schedule", [Schedule(), Schedule(1.0)], ids=["adaptive", "every second"])
def test_the_short_way_is_the_long_one(schedule: Schedule, tmp_path: Path) -> None:
    """The model's jobs, written as a history, read, judged and digested, give the numbers that are computed directly."""
    for seed in range(2):
        jobs = histories.Model(cold=0.1).jobs(random.Random(seed), 21, 0.2 * seed)
        place = histories.write(tmp_path, seed, jobs, random.Random(seed + 9), schedule=schedule)
        (long,) = digests(place)
        short = histories.digest(seed, histories.samples(jobs, schedule, random.Random(seed + 9)))
        assert list(short.figures) == ["total p50", "total p95", "queue p50", "inference p50", "errors", "cost"]
        assert dict(long.figures) == dict(short.figures)
        assert (long.key.mode, long.unfit, long.run, long.kind) == ("live", "", f"run-{seed}", "bench")
        assert long.contract.findings == ()


@cache
def benched(seed: int = 0, **request: Any) -> Run:
    options = {"requests": 3, "rejects": False, "seed": seed} | request
    return simulated(Request("simulate", "bench", **options), FAL)


def digest(one: Run, **header: Any) -> Digest:
    rows = [{**row, **header} if row["type"] == "header" else row for row in one.journal.rows]
    journal = MemoryJournal()
    journal.rows, journal.blobs = rows, one.journal.blobs
    history = journal.history()
    return digests_of(history, document.build(history, SPECS))[0]


def test_another_seed_is_the_same_workload_and_another_body_is_not() -> None:
    """Prompts and seeds that a number decides do not count; what the requests ask for does."""
    first, other = digest(benched()), digest(benched(7))
    assert first.key == other.key
    plans = json.loads(json.dumps(benched().journal.rows[0]["plans"]))
    for case in plans[0]["cases"]:
        case["body"]["guidance_scale"] = 9
    assert digest(benched(), plans=plans).key.workload != first.key.workload


def test_another_seed_is_asked_the_same() -> None:
    """A failure that only prompts of another seed show is new: the baseline could have shown it."""
    lies = simulated(
        Request("simulate", "bench", requests=3, rejects=False, seed=7),
        FAL,
        variations={FAL.target: (Variation("swaps_prompt", reply=swaps_prompt),)},
    )
    older, newer = digest(benched()), replace(digest(lies), run="new")
    assert dict(older.contract.answers) == {"bench": "accepted"}
    found = compare([older], [newer], today=date(2026, 12, 1)).targets[0].drift
    assert {one.weight for one in found.changes if one.fingerprint.check == "prompt_echo"} == {"regressed"}


@pytest.mark.parametrize(
    ("case", "asks"),
    [
        ("bench/0007", "bench"),
        ("workload/0a1b2c3d-2", "workload/0a1b2c3d"),
        ("warm-up/0999", "warm-up"),
        ("seed/above-maximum", "seed/above-maximum"),
    ],
)
def test_a_question_is_what_cases_of_a_bench_have_in_common(case: str, asks: str) -> None:
    """Of a check it is the case itself."""
    assert question(case) == asks


def test_the_key_is_what_the_header_says() -> None:
    """Region, concurrency and polls of the header; a simulator's port is no part of it."""
    one = digest(benched(), region="eu-west")
    assert (one.key.region, one.key.mode) == ("eu-west", "simulate")
    assert "http" not in one.key.endpoint
    polled = digest(benched(0, poll_interval=1.0))
    assert polled.key.schedule != one.key.schedule
    assert digest(benched(0, concurrency=2)).key.schedule not in (polled.key.schedule, one.key.schedule)


def swaps_prompt(_step: str, _: Any, reply: Any) -> Any:
    value = json.loads(reply.body)
    if "prompt" in value:
        value |= {"prompt": "something else", "x_debug": {"node": 7}}
    return replace(reply, body=json.dumps(value).encode())


@cache
def checked() -> tuple[Digest, ...]:
    """A run with failures, refusals and an undocumented field."""
    varied = {FAL.target: (Variation("swaps_prompt", reply=swaps_prompt),)}
    run = simulated(Request("simulate", max_cases=1), FAL, WAVESPEED, variations=varied)
    history = run.history
    return digests_of(history, document.build(history, SPECS))


def test_a_baseline_file_keeps_everything_and_is_small(tmp_path: Path) -> None:
    """It reads back equal; runs that found out the same share it: thirty cost little more than one."""
    path = tmp_path / "b.json"
    baseline.write(path, Baseline(checked()))
    assert baseline.read(path).digests == checked()
    one = len(path.read_bytes())
    many = [replace(d, run=f"run-{i}", started_at=f"2026-11-{i + 1:02}") for i in range(30) for d in checked()]
    whole, gone = baseline.updated(Baseline(), many)
    baseline.write(path, whole)
    assert (len(whole.digests), gone) == (60, {})
    assert len(path.read_bytes()) < one + 60 * 1200
    assert len(path.read_text().splitlines()) < 60 + 10


def test_an_update_keeps_what_can_be_compared_with_the_newest() -> None:
    """Runs of another key, and more than thirty, are dropped with the reason; a run comes once."""
    runs = [replace(checked()[0], run=f"run-{i:02}", started_at=f"2026-{i:03}") for i in range(33)]
    runs[5] = replace(runs[5], key=replace(runs[5].key, spec="older"))
    whole, gone = baseline.updated(Baseline(tuple(runs[:20])), runs[10:])
    assert [one.run for one in whole.digests] == [f"run-{i:02}" for i in range(2, 33) if i != 5]
    assert len(gone) == 3
    assert gone[f"run-05 {FAL.target}"] == "it cannot be compared with run-32"


def test_a_stray_run_does_not_empty_a_baseline() -> None:
    """Of another mode it is a baseline of its own; of another key it is refused, unless that is asked for."""
    runs = [replace(checked()[0], run=f"run-{i}", started_at=f"2026-{i:03}") for i in range(4)]
    other = replace(runs[3], key=replace(runs[3].key, mode="live"))
    assert len(baseline.updated(Baseline(tuple(runs[:3])), [other])[0].digests) == 4
    other = replace(runs[3], key=replace(runs[3].key, version="9"))
    with pytest.raises(
        UsageError, match=r"3 runs of .*: harness version differs: .* in run-0, 9 in run-3; .*--replace"
    ):
        baseline.updated(Baseline(tuple(runs[:3])), [other])
    assert [one.run for one in baseline.updated(Baseline(tuple(runs[:3])), [other], replacing=True)[0].digests] == [
        "run-3"
    ]


def test_a_failure_is_accepted_by_its_short_name(tmp_path: Path) -> None:
    """With a reason and a last day; a name of nothing is a usage error that lists the known ones."""
    found = next(f for f in checked()[0].contract.findings if f.verdict == "fail")
    known = baseline.accepting(Baseline(checked()), [found.fingerprint.id], "ticket 7", date(2026, 12, 31))
    path = tmp_path / "b.json"
    baseline.write(path, known)
    (accepted,) = baseline.read(path).accepted
    assert (accepted.fingerprint, accepted.reason) == (found.fingerprint, "ticket 7")
    with pytest.raises(UsageError, match=found.fingerprint.id):
        baseline.accepting(known, ["000000000000"], "x", date(2026, 12, 31))


def test_a_failure_that_the_baseline_does_not_show_is_accepted_by_the_run_that_does() -> None:
    """The run itself stays out of the baseline."""
    found = next(f for f in checked()[0].contract.findings if f.verdict == "fail")
    known = baseline.accepting(Baseline(), [found.fingerprint.id], "ticket 7", date(2026, 12, 31), checked())
    assert ([one.fingerprint for one in known.accepted], known.digests) == ([found.fingerprint], ())


def accepted(until: str) -> str:
    return json.dumps({"check": "c", "target": "a/b", "parameter": "", "class": "", "reason": "r", "until": until})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace('"format": 1', '"format": 2'), "no baseline of format 1 but 2"),
        (lambda text: text.replace('"contract": "', '"contract": "x', 1), r"runs\[0\]: there is no 'x"),
        (
            lambda text: text.replace('"accepted": []', '"accepted": [{"check": "c"}]'),
            r"accepted\[0\]: there is no 'target'",
        ),
        (lambda text: text[:-9], "not JSON"),
        (lambda text: text.replace('"runs": [', '"running": ['), "runs is missing"),
        (
            lambda text: re.sub(r'"errors": [^]]+', '"errors": [2, 0.1, 9', text),
            r"runs\[0\]: the figure errors is \[2, 0.1, 9\]",
        ),
        (lambda text: re.sub(r'"errors": [^]]+', '"errors": [0, -1, 9', text), "the figure errors is"),
        (lambda text: re.sub(r'"errors": [^]]+', '"total p50": [0, 0.1, 9', text), "the figure total p50 is"),
        (
            lambda text: text.replace('"accepted": []', '"accepted": [' + accepted("2026-13-01") + "]"),
            r"accepted\[0\]: .*month",
        ),
    ],
)
def test_a_damaged_baseline_file_is_one_sentence(change: Any, says: str, tmp_path: Path) -> None:
    """It names the file and what is wrong in it."""
    path = tmp_path / "b.json"
    path.write_text(change(Baseline(checked()).dump()), "utf-8")
    with pytest.raises(InputError, match=says) as caught:
        baseline.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_region_is_named_by_the_environment_before_the_file(tmp_path: Path) -> None:
    """And stands in the header of a run, where its key reads it."""
    (tmp_path / "harness.toml").write_text('region = "office"\n')
    settings = load(tmp_path)
    assert [region_of(settings, env) for env in ({}, {"HARNESS_REGION": "ci"}, {"HARNESS_REGION": " "})] == [
        "office", "ci", "office",
    ]  # fmt: skip
    assert region_of(Config(), {}) is None
    jobs = histories.Model().jobs(random.Random(1), 2)
    (found,) = digests(histories.write(tmp_path, 1, jobs, random.Random(1), region="office"))
    assert found.key.region == "office"


def test_runs_are_found_by_directory_history_and_folder(tmp_path: Path) -> None:
    """Each once, however it is named; anything else is said to be no run."""
    jobs = histories.Model().jobs(random.Random(1), 2)
    places = [histories.write(tmp_path / "all", number, jobs, random.Random(1)) for number in range(2)]
    assert list(runs_at([tmp_path / "all"])) == places
    assert runs_at([places[0], places[0] / "history.jsonl", tmp_path / "all"]) == tuple(places)
    with pytest.raises(InputError, match="is no run directory and holds none"):
        runs_at([tmp_path])
