"""Recordings on disk: found file by file, written whole or not at all, by one run at a time."""

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cassettes import Shelf, Slot, written_by_one
from harness.errors import InputError, OutputError, UsageError
from tests.calls import FAL, GATEWAY, SPECS
from tests.cassettes.recordings import kept, recording


def test_the_first_root_that_has_it_wins(tmp_path):
    """A cassette of one's own is found before the packaged one, target by target."""
    kept(recording(), tmp_path)
    shelf = Shelf(tmp_path)
    assert shelf.find(FAL, FAL.default_flow).root == tmp_path
    assert shelf.find(GATEWAY, GATEWAY.default_flow).root != tmp_path


def test_every_shipped_target_has_a_packaged_cassette(tmp_path):
    """What a replay finds with no cassette of one's own is whole, and recorded from the simulator."""
    found = {slot.name: slot.read().frozen.recorded_from for slot in Shelf(tmp_path).slots()}
    assert {name: where for name, where in found.items() if name in SPECS} == dict.fromkeys(SPECS, "simulator")


def test_a_missing_cassette_says_how_to_record_one(tmp_path):
    """Another flow's recording is another file; the sentence names the places and the command."""
    with pytest.raises(InputError, match=r"no cassette of fal/.* \(sync\) in .*--record.*--simulate"):
        Shelf(tmp_path).find(FAL, FAL.flows["sync"])


@pytest.mark.parametrize("target", ["../../etc/passwd", "a/b/c", "/abs/olute", "A/b", "a/..", "a/.hidden"])
def test_a_target_cannot_lead_out_of_its_root(target, tmp_path):
    """A target is a provider and an endpoint, and never a path."""
    with pytest.raises(UsageError, match="cannot be a file's name"):
        Shelf(tmp_path).place(replace(FAL, target=target), FAL.default_flow)


def files(root: Path):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class Cut(Exception):
    """The power went."""


@pytest.mark.parametrize("writes", range(1, 60))
def test_a_cut_leaves_the_former_recording_or_the_new_one(writes, tmp_path, monkeypatch):
    """Whenever writing stops, what is read is one whole recording."""
    former, later = recording(max_cases=1, rejects=False), recording(max_cases=2, rejects=False)
    slot = kept(former, tmp_path)
    before = slot.read().frozen.sha256
    done, replace_file = 0, Path.replace

    def cut(self, target):
        nonlocal done
        done += 1
        if done == writes:
            raise Cut
        return replace_file(self, target)

    monkeypatch.setattr(Path, "replace", cut)
    with contextlib.suppress(Cut):
        kept(later, tmp_path)
    monkeypatch.undo()
    read = slot.read()
    assert len(read.frozen.plan.cases) in (1, 2)
    assert (read.frozen.sha256 == before) == (len(read.frozen.plan.cases) == 1)
    for digest in read.cassette.stored():
        assert read.cassette.body(f"vcr-blob:sha256:{digest}".encode())


def test_a_cassette_and_a_plan_of_two_recordings_do_not_fit(tmp_path):
    """A half-merged commit is noticed, and both files are named."""
    slot = kept(recording(max_cases=1, rejects=False), tmp_path / "one")
    other = kept(recording(max_cases=2, rejects=False), tmp_path / "two")
    shutil.copy(other.plan, slot.plan)
    with pytest.raises(InputError, match=r"\.yaml does not answer the plan beside it, .*\.plan\.json") as error:
        slot.read()
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda slot: slot.cassette.write_bytes(slot.cassette.read_bytes()[:-100]), "not JSON"),
        (lambda slot: slot.cassette.write_bytes(b""), "no cassette that the harness recorded"),
        (lambda slot: slot.cassette.write_bytes(b"\xff"), "is not UTF-8"),
        (lambda slot: slot.cassette.write_bytes(b"version: 1\ninteractions: []\n"), "is empty"),
        (lambda slot: slot.cassette.write_bytes(b"[" * 200_000), "deep|not JSON|nest"),
        (
            lambda slot: slot.cassette.write_bytes(b'{"version": 1, "interactions": [{}]}'),
            "no cassette that the harness",
        ),
        (lambda slot: slot.plan.unlink(), "is missing"),
        (lambda slot: slot.plan.write_bytes(b"{}"), "is no frozen plan"),
        (lambda slot: slot.plan.write_bytes(b'{"format": 99}'), "is no frozen plan"),
        (lambda slot: slot.plan.write_bytes(b"\x00"), "plan.json"),
        (lambda slot: slot.cassette.unlink(), "cannot read"),
    ],
)
def test_damage_is_one_sentence(damage, says, tmp_path):
    """A recording that cannot be used says in one line which file it is, and what to do."""
    slot = kept(recording(max_cases=1, rejects=False), tmp_path)
    damage(slot)
    with pytest.raises(InputError, match=says) as error:
        slot.read()
    assert (str(tmp_path) in str(error.value), len(str(error.value).splitlines())) == (True, 1)


def test_a_stored_body_is_checked(tmp_path):
    """A body that is missing, changed or a link elsewhere is an error, and never an answer."""
    slot = kept(recording(max_cases=1, rejects=False), tmp_path)
    cassette = slot.read().cassette
    digest = min(cassette.stored())
    path, stored = slot.blobs / digest, f"vcr-blob:sha256:{digest}".encode()
    path.write_bytes(b"another image")
    with pytest.raises(InputError, match="is not what was stored"):
        cassette.body(stored)
    path.unlink()
    with pytest.raises(InputError, match="cannot read"):
        cassette.body(stored)
    path.symlink_to(slot.cassette)
    with pytest.raises(InputError, match="is not what was stored"):
        cassette.body(stored)
    with pytest.raises(InputError, match="no SHA-256"):
        cassette.body(b"vcr-blob:sha256:../../etc/passwd")


def test_two_recordings_do_not_write_into_one_place(tmp_path):
    """The second one says so before it sends anything."""
    slots = [Slot(tmp_path, FAL.target)]
    with written_by_one(slots), pytest.raises(UsageError, match="another run is recording"), written_by_one(slots):
        pass
    with written_by_one(slots):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_place_that_cannot_be_written_is_found_before_paying(tmp_path):
    """A read-only folder is an error of the output, before anything is sent."""
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot write recordings"), written_by_one([Slot(tmp_path, FAL.target)]):
        pass


def test_a_file_in_the_way_is_found_before_paying(tmp_path):
    """A file where the folder should be is an error of the output, before anything is sent."""
    (tmp_path / "fal").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write recordings"), written_by_one([Slot(tmp_path, FAL.target)]):
        pass


def rehashed(slot, change):
    """A recording in which something was changed, the plan's hash with it."""
    plan, cassette = json.loads(slot.plan.read_text()), json.loads(slot.cassette.read_text())
    change(plan, cassette["interactions"][0]["response"])
    text = json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for one in cassette["interactions"]:
        one["response"]["harness"]["plan"] = hashlib.sha256(text.encode()).hexdigest()
    slot.plan.write_text(json.dumps(plan))
    slot.cassette.write_text(json.dumps(cassette))


@pytest.mark.parametrize(
    "change",
    [
        lambda _, response: response["timing"].update(received_ns=10**40),
        lambda _, response: response["timing"].update(received_ns=-5),
        lambda _, response: response["timing"].update(first_byte_ns="x"),
        lambda _, response: response["headers"].update({"x": []}),
        lambda _, response: response.update(error={}),
        lambda _, response: response.update(error={"kind": "bogus", "message": "m", "left": True}),
        lambda _, response: response["harness"].update(step="zzz"),
        lambda plan, _: plan.update(audit={}),
        lambda plan, _: plan["options"].update(deadline_s="x"),
        lambda plan, _: plan["recorded"].update(at=5),
        lambda plan, _: plan["recorded"].update(at="not a date"),
        lambda plan, _: plan["price"].update(usd_per_image="NaN"),
        lambda plan, _: plan["plan"]["cases"][0].update(kind="zzz"),
        lambda plan, _: plan["calls"][0].update(case_id="nope"),
    ],
)
def test_damaged_values_are_one_sentence_too(change, tmp_path):
    """What parses and cannot be meant is refused when it is read, with its file, and not somewhere in the replay."""
    slot = kept(recording(max_cases=1, rejects=False), tmp_path)
    rehashed(slot, change)
    with pytest.raises(InputError) as error:
        slot.read()
    assert (str(tmp_path) in str(error.value), len(str(error.value).splitlines())) == (True, 1)
