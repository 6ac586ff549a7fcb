"""Files that are there whole or not at all: whoever reads one sees the old content or the new one.

Rules
-----
* What is new is written beside the file, under a name that nobody can have prepared, and takes its place in one step.
* ``durable``: it is on the disk before it takes the place, so that a crash leaves one of the two.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def replace(path: Path, data: bytes, *, mode: int = 0o666, durable: bool = False) -> None:
    """Put bytes in the place of whatever a file holds; ``mode`` is that of the new file, less the umask.

    Raises:
        OSError: they cannot be written; the file is what it was.
    """
    new, file = beside(path, mode)
    try:
        try:
            write_all(file, data)
            if durable:
                os.fsync(file)
        finally:
            os.close(file)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def beside(path: Path, mode: int = 0o666) -> tuple[Path, int]:
    """A new empty file in the folder of another one, and its descriptor."""
    new = path.with_name(f".harness-{secrets.token_hex(8)}")
    return new, os.open(new, _NEW, mode)


def write_all(file: int, data: bytes) -> None:
    """Write bytes to a descriptor, in as many pieces as the system wants.

    Raises:
        OSError: not all could be written.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
