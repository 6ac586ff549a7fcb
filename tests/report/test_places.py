import os
import stat
import threading
from pathlib import Path

import pytest

from harness.errors import OutputError
from harness.report import places


@pytest.fixture(params=[False, True], ids=["replace", "append"])
def append(request):
    return request.param


def put(path, said, append):
    if append:
        places.append(path, lambda _: said)
    else:
        places.write(path, said)


def test_a_file_is_replaced(tmp_path):
    """Nothing of the old text stays, and no other file."""
    path = tmp_path / "x.xml"
    path.write_text("old and longer")
    places.write(path, "é")
    assert ([path], path.read_bytes()) == (list(tmp_path.iterdir()), "é".encode())


def test_a_text_is_added_and_told_what_stands_before(tmp_path):
    """A missing file is made."""
    path = tmp_path / "x.md"
    for _ in range(3):
        places.append(path, lambda size: f"é{size}")
    assert path.read_text() == "é0é3é6"


def test_trying_out_changes_nothing(tmp_path, append):
    """No file is made, none is touched."""
    kept = tmp_path / "kept"
    kept.write_text("text")
    before = kept.stat()
    places.try_out(kept, append=append)
    places.try_out(tmp_path / "new", append=append)
    assert list(tmp_path.iterdir()) == [kept]
    assert (kept.read_text(), kept.stat().st_mtime_ns, kept.stat().st_ino) == (
        "text",
        before.st_mtime_ns,
        before.st_ino,
    )


def place(tmp_path, name):
    (tmp_path / "file").write_text("")
    return {
        "no folder": tmp_path / "none" / "x",
        "a folder": tmp_path,
        "a file for a folder": tmp_path / "file" / "x",
        "a disk that is not writable": Path("/proc/x"),
    }[name]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no folder", "make it first"),
        ("a folder", "it is a folder"),
        ("a file for a folder", "Not a directory"),
        ("a disk that is not writable", "cannot write /proc/x"),
    ],
)
def test_what_cannot_be_written_is_one_sentence_before_the_run_and_after(name, says, tmp_path, append):
    """Trying out finds what writing would."""
    path = place(tmp_path, name)
    for attempt in (lambda: places.try_out(path, append=append), lambda: put(path, "x", append)):
        with pytest.raises(OutputError, match=says) as caught:
            attempt()
        assert "\n" not in str(caught.value)


def test_a_failed_replacement_leaves_the_old_text(tmp_path, monkeypatch):
    """And no other file."""
    path = tmp_path / "x"
    path.write_text("old")
    monkeypatch.setattr(os, "write", full_after(1))
    with pytest.raises(OutputError, match="No space left"):
        places.write(path, "new and longer")
    assert ([path], path.read_text()) == (list(tmp_path.iterdir()), "old")


def test_a_failed_addition_is_taken_back(tmp_path, monkeypatch):
    """Half a table would spoil what stands after it."""
    path = tmp_path / "x"
    path.write_text("old")
    monkeypatch.setattr(os, "write", full_after(1))
    with pytest.raises(OutputError, match="No space left"):
        places.append(path, lambda _: "new and longer")
    assert path.read_text() == "old"


def full_after(writes):
    """``os.write`` on a disk that takes three bytes at a time, and nothing after some of them."""
    left, write = iter(range(writes)), os.write

    def limited(file, data):
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        return write(file, bytes(data[:3]))

    return limited


def test_a_link_stays_a_link(tmp_path, append):
    """What it leads to is written."""
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    put(link, "x", append)
    assert (link.is_symlink(), target.read_text()) == (True, "x")


def test_a_device_is_written_and_not_replaced(append):
    """/dev/null is not for us to destroy."""
    null = Path("/dev/null")
    places.try_out(null, append=append)
    put(null, "x", append)
    assert stat.S_ISCHR(null.stat().st_mode)


def test_a_full_device_is_one_sentence(append):
    """What a disk says only while it is written."""
    with pytest.raises(OutputError, match="cannot write /dev/full: No space left on device"):
        put(Path("/dev/full"), "x", append)


def test_a_pipe_is_written(tmp_path, append):
    """As in ``--junit >(convert)``."""
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    places.try_out(pipe, append=append)
    put(pipe, "x", append)
    reader.join(10)
    assert read == ["x"]


def test_two_writers_add_one_after_the_other(tmp_path):
    """Neither text is broken up."""
    path = tmp_path / "x"
    writers = [threading.Thread(target=places.append, args=(path, lambda _, n=n: f"{n}" * 100_000)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    runs = path.read_text()
    assert sorted(runs[at : at + 100_000] for at in range(0, 400_000, 100_000)) == [f"{n}" * 100_000 for n in range(4)]


def test_permissions_are_the_users_own(tmp_path):
    """What the umask allows, so that whoever uploads the file can read it."""
    path = tmp_path / "x"
    places.write(path, "x")
    (tmp_path / "plain").write_text("x")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
