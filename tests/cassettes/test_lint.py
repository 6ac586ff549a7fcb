"""``harness cassettes list | lint``: what may be committed, and what may not."""

import base64
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from harness.cassettes.lint import lint, listing, slots_of
from harness.errors import InputError
from tests.cassettes.recordings import FAL, kept, recording

KEY = "0f1e2d3c-aaaa-bbbb-cccc-1234567890ab:0123456789abcdef0123456789abcdef"


def made(tmp_path):
    return kept(recording(max_cases=1, rejects=False), tmp_path)


def with_body(slot, text):
    """The cassette with one more word in an answer."""
    value = json.loads(slot.cassette.read_text())
    value["interactions"][0]["response"]["body"]["string"] = text
    slot.cassette.write_text(json.dumps(value))


def test_the_committed_cassettes_may_be_committed():
    """No problem in any shipped recording: whole, current, and free of secrets."""
    assert lint(slots_of(()), {"FAL_KEY": KEY}) == []


def test_a_sound_recording_has_no_problem(tmp_path):
    """What the harness writes, its lint accepts."""
    made(tmp_path)
    assert lint(slots_of((tmp_path,)), {"FAL_KEY": KEY}) == []


@pytest.mark.parametrize(
    "spelled",
    [
        KEY,
        KEY.upper(),
        KEY.replace("-", "%2D"),
        base64.b64encode(f"x{KEY}".encode()).decode(),
        KEY.encode().hex(),
        KEY[:40],
    ],
)
def test_a_key_of_the_environment_is_found_however_it_is_spelled(spelled, tmp_path):
    """Raw, in capitals, percent-encoded, base64, hex, half of it: the file is named, the key is not shown."""
    slot = made(tmp_path)
    with_body(slot, json.dumps({"detail": f"you sent {spelled}"}))
    problems = [problem for problem in lint([slot], {"FAL_KEY": KEY}) if "holds a key" in problem]
    assert [str(slot.cassette) in problem for problem in problems] == [True]
    assert not any(spelled in problem for problem in problems)


def test_what_looks_like_a_secret_is_found_without_knowing_it(tmp_path):
    """A header of somebody's own recording tool, with a credential in it."""
    slot = made(tmp_path)
    value = json.loads(slot.cassette.read_text())
    value["interactions"][0]["request"]["headers"]["authorization"] = [f"Key {KEY}"]
    slot.cassette.write_text(json.dumps(value))
    assert any("looks like a secret" in problem for problem in lint([slot], {}))


def test_damage_and_leftovers_are_named(tmp_path):
    """A lost body, a body that nobody names, a plan of a recording that was cut off."""
    slot = made(tmp_path)
    digest = min(slot.read().cassette.stored())
    (slot.blobs / digest).unlink()
    (slot.blobs / "leftover").write_bytes(b"x")
    slot.next_plan.write_bytes(slot.plan.read_bytes())
    said = "\n".join(lint([slot], {}))
    assert [word in said for word in (digest, "that no cassette names", "was cut off")] == [True] * 3


def test_a_hook_may_name_a_plan_or_a_folder(tmp_path):
    """pre-commit names every changed file, plans and bodies too; a provider's folder is a choice as well."""
    slot = made(tmp_path)
    body = slot.blobs / min(slot.read().cassette.stored())
    assert slots_of((slot.plan, slot.cassette, body, tmp_path / "fal", tmp_path)) == [slot]
    with pytest.raises(InputError, match="neither a folder nor a cassette"):
        slots_of((tmp_path / "nothing.yaml",))


def test_the_list_says_where_from_and_whether_the_spec_is_the_same(tmp_path):
    """One line for each recording."""
    made(tmp_path)
    console = Console(width=200, record=True, file=io.StringIO())
    listing(slots_of((tmp_path,)), console)
    (_, line) = console.export_text().splitlines()
    assert [word in line for word in (FAL, "simulator", "as recorded")] == [True] * 3


def test_a_key_is_found_wherever_it_lies(tmp_path):
    """A plan, a body that nobody names, a note beside: whatever would be committed is searched."""
    slot = made(tmp_path)
    (slot.blobs / "leftover").write_text(KEY)
    (tmp_path / "fal" / "notes.json").write_text(json.dumps({"key": KEY}))
    slot.plan.write_bytes(slot.plan.read_bytes() + KEY.encode())
    found = [problem for problem in lint([slot], {"MY_KEY": KEY}, {"MY_KEY"}) if "holds a key" in problem]
    assert [any(name in problem for problem in found) for name in ("leftover", "notes.json", ".plan.json")] == [
        True
    ] * 3


def test_a_lost_cassette_makes_no_orphans(tmp_path):
    """While a plan waits for its cassette, nothing that it may name is called superfluous."""
    slot = made(tmp_path)
    slot.cassette.unlink()
    said = lint([slot], {})
    assert any("a plan without its cassette" in problem for problem in said)
    assert not any("that no cassette names" in problem for problem in said)


def test_a_folder_without_recordings_is_an_error(tmp_path, monkeypatch):
    """A mistyped folder is no green gate, and a relative path from inside is as good as any other."""
    with pytest.raises(InputError, match="holds no recording"):
        slots_of((tmp_path,))
    slot = made(tmp_path)
    monkeypatch.chdir(tmp_path / "fal")
    (here,) = slots_of((Path("flux-pro-kontext-multi.yaml"),))
    assert (here.cassette.resolve(), len(slots_of((Path(),)))) == (slot.cassette.resolve(), 1)
