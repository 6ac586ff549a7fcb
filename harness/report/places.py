"""Files that a report goes to, outside a run directory or in one: written whole or not at all.

Rules
-----
* Whether a place can be written is tried out before a run, and not asked about: what ``os.access`` says is not what
  a full or read-only disk does, and it says yes to root. Trying leaves nothing behind.
* A file is replaced in one step (``files``). A link stays a link.
* An addition is written under a lock, and taken back when it cannot be written whole.
* What is no regular file (``/dev/stdout``, ``/dev/null``, a pipe) is written as it is: replacing it would destroy it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness import files
from harness.errors import OutputError


def try_out(path: Path, *, append: bool = False) -> None:
    """Find out whether a file can be replaced, or added to; nothing is changed.

    Raises:
        OutputError: it cannot.
    """
    with _told(path):
        target = _target(path)
        if _is_special(target):
            if not os.access(target, os.W_OK):
                raise OutputError(f"cannot write {path}: no permission; name another file")
        elif append and os.path.lexists(target):  # a link that leads to itself is there, and does not exist
            os.close(os.open(target, os.O_WRONLY | os.O_APPEND))
        else:
            beside, file = files.beside(target)
            os.close(file)
            beside.unlink()


def write(path: Path, content: str | bytes) -> None:
    """Put a text, or bytes, in the place of whatever the file holds.

    Raises:
        OutputError: the file cannot be written; it is what it was.
    """
    with _told(path):
        target = _target(path)
        if _is_special(target):
            _pour(os.open(target, os.O_WRONLY), content)
            return
        files.replace(target, _bytes(content))


def append(path: Path, text_for: Callable[[int], str]) -> None:
    """Add a text at the end of a file, made anew where there is none; ``text_for`` is told the bytes it holds.

    Raises:
        OutputError: the file cannot be written; it holds what it held.
    """
    with _told(path):
        target = _target(path)
        if _is_special(target):
            _pour(os.open(target, os.O_WRONLY), text_for(0))
            return
        with open(os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666), "ab", buffering=0) as file:  # noqa: PTH123 - the flags
            with suppress(OSError):  # a file system without locks: two writers could then undo each other
                fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file.fileno()).st_size
            try:
                files.write_all(file.fileno(), text_for(size).encode())
            except BaseException:
                os.ftruncate(file.fileno(), size)
                raise


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the system says against a file, as one sentence."""
    try:
        yield
    except FileNotFoundError:
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}; make it first") from None
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}; name another file") from None


def _target(path: Path) -> Path:
    """The file itself where the path is a link to it.

    Raises:
        OutputError: it is a folder.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise OutputError(f"cannot write {path}: it is a folder; name a file in it")
    return target


def _is_special(target: Path) -> bool:
    return target.exists() and not target.is_file()


def folder(path: Path) -> None:
    """Make a folder for several files, where there is none.

    Raises:
        OutputError: it cannot be made, or no file can be made in it.
    """
    with _told(path):
        path.mkdir(parents=True, exist_ok=True)
        beside, file = files.beside(path / "any")
        os.close(file)
        beside.unlink()


def _pour(file: int, content: str | bytes) -> None:
    """Write a text to an open file, and close it."""
    try:
        files.write_all(file, _bytes(content))
    finally:
        os.close(file)


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content
