"""A recording is replayed on recorded time: same verdicts, same latencies; what does not fit is an error."""

import json
from pathlib import Path

import pytest

from harness import run
from harness.config import Config
from harness.errors import InputError
from harness.history import read
from tests.calls import SPECS
from tests.cassettes.recordings import FAL, instants, kept, recording, replayed, replayed_history, report_of, steady

GUIDANCE = "guidance_scale"


@pytest.mark.parametrize("target", SPECS)
def test_a_replay_is_the_recorded_run(target, tmp_path):
    """Every verdict, latency, poll, cost and instant is the recording's, to the nanosecond."""
    made = recording(target)
    kept(made, tmp_path)
    finished = replayed(SPECS[target], tmp_path, tmp_path / "run")
    assert steady(finished.result.document) == report_of(made)
    assert instants(read(tmp_path / "run")) == instants(made)
    run = finished.result.document["run"]
    assert (run["mode"], run["recorded_from"], run["recorded_at"]) == ("replay", "simulator", made.header["started_at"])


WITH_FURTHER_CALLS = ("never-completes", "crashes-on-seed-maximum", "refuses-output_format-jpeg", "asset-loop")
ODD_ANSWERS = ("answers-truncated", "answers-latin-1")
MORE = ("answers-half-surrogate", "answers-wide-headers", "omits-submit-request_id")


@pytest.mark.parametrize(
    "fault",
    [*WITH_FURTHER_CALLS, *ODD_ANSWERS, *(pytest.param(name, marks=pytest.mark.exhaustive) for name in MORE)],
)
def test_whatever_was_recorded_comes_again(fault, tmp_path):
    """Deadlines with their cancels, confirmations, isolations, lost files, answers that are no JSON: as they were."""
    made = recording(fault=f"{FAL}:{fault}", deadline_seconds=60.0)
    kept(made, tmp_path)
    again = replayed_history(SPECS[FAL], tmp_path)
    assert report_of(again) == report_of(made)
    assert instants(again) == instants(made)
    assert [call.derived for call in again.calls] == [call.derived for call in made.calls]


def test_two_replays_are_identical(tmp_path):
    """Two replays of one cassette differ in the run's id, dates and command only."""
    kept(recording(), tmp_path)
    replayed(SPECS[FAL], tmp_path, tmp_path / "one")
    replayed(SPECS[FAL], tmp_path, tmp_path / "two")
    texts = [(tmp_path / name / "report.json").read_text().splitlines() for name in ("one", "two")]
    differing = [one.split(":")[0].strip() for one, two in zip(*texts, strict=True) if one != two]
    assert set(differing) <= {'"id"', '"started_at"', '"finished_at"', '"command"'}


def test_a_replay_can_be_narrowed(tmp_path):
    """Only the cases that are asked for are replayed; their answers are the recorded ones."""
    kept(recording(), tmp_path)
    finished = replayed(SPECS[FAL], tmp_path, tmp_path / "run", cases=(f"*/{GUIDANCE}/*",))
    ids = [one.case.id for one in finished.result.targets[0].judged]
    assert (len(ids) > 1, {i.split("/")[2] for i in ids}) == (True, {GUIDANCE})
    assert finished.exit_status == 0


def changed(path: Path, change):
    """A cassette's interactions, changed."""
    value = json.loads(path.read_text())
    value["interactions"] = change(value["interactions"])
    path.write_text(json.dumps(value))


def test_a_lost_answer_is_an_error_that_names_the_case(tmp_path):
    """A cassette that lacks an answer says of which case, and what to do; it never goes elsewhere for it."""
    slot = kept(recording(), tmp_path)
    last = json.loads(slot.cassette.read_text())["interactions"][-1]["response"]["harness"]["case_id"]
    changed(slot.cassette, lambda all_of_them: all_of_them[:-1])
    with pytest.raises(InputError, match=r"answers of .*--record") as error:
        replayed(SPECS[FAL], tmp_path, tmp_path / "run")
    assert last in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_changed_request_is_an_error_that_says_what_differs(tmp_path):
    """A question that was not recorded is named, with what differs from the nearest that was."""
    slot = kept(recording(), tmp_path)

    def other(interactions):
        for one in interactions:
            if one["request"]["method"] == "POST":
                one["request"]["uri"] = one["request"]["uri"].replace("queue.fal.run", "other.example")
        return interactions

    changed(slot.cassette, other)
    with pytest.raises(InputError, match=r"was not recorded: .* differs in uri; record it again"):
        replayed(SPECS[FAL], tmp_path, tmp_path / "run")


def test_an_answer_that_nobody_asks_for_is_an_error(tmp_path):
    """What was recorded and is not asked any more means that the flow has changed."""
    slot = kept(recording(), tmp_path)

    def other(interactions):
        asset = next(one for one in interactions if one["response"]["harness"]["step"] == "asset")
        asset["request"]["uri"] += ".other"
        return interactions

    changed(slot.cassette, other)
    with pytest.raises(InputError, match=r"was not recorded|never asked for"):
        replayed(SPECS[FAL], tmp_path, tmp_path / "run")


def test_a_cassette_is_rechecked_under_any_name(tmp_path, monkeypatch):
    """The named file is judged, and not another recording of its target."""
    slot = kept(recording(max_cases=1, rejects=False), tmp_path / "old")
    slot.cassette.rename(slot.cassette.with_name("renamed.yaml"))
    slot.plan.rename(slot.plan.with_name("renamed.plan.json"))
    monkeypatch.chdir(tmp_path)
    result, _ = run.recheck_cassette(tmp_path / "old" / "fal" / "renamed.yaml", Config())
    assert [one.case.id for one in result.targets[0].judged] == [
        c.id for c in recording(max_cases=1, rejects=False).plans[0].cases
    ]


def test_a_recording_under_the_name_of_another_kind_is_refused(tmp_path):
    """A bench's cassette does not pass for a check's."""
    slot = kept(recording(max_cases=1, rejects=False), tmp_path)
    for path in (slot.cassette, slot.plan):
        path.rename(path.with_name(path.name.replace("multi.", "multi.bench.", 1)))
    with pytest.raises(InputError, match=r"is a recording of .* \(queue, check\) and not of .* \(queue, bench\)"):
        replayed(SPECS[FAL], tmp_path, tmp_path / "run", kind="bench")
