"""What a measuring run asks of its own process: open files enough, and no pauses of its own making.

Rules
-----
* A process may open a file for each connection, which is what bounds the jobs in flight. The soft limit is raised as far as
  a run needs, within the hard one, which only an administrator can raise.
* What does not fit is a ``UsageError`` before anything is sent: half-way through, it would look like a provider's fault.
* A garbage collection walks what lives: a full one is a pause of 50 ms and more with 2 000 jobs in flight, one of the middle
  generation up to 20 ms, and every answer of that moment would be late by it. While requests are timed only the youngest
  objects are collected; cycles among older ones wait for the end. So they do while a record is read, all of which lives.
"""

from __future__ import annotations

import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import UsageError

SPARE = 128
"""Files besides the connections: the history, libraries, the terminal."""
NEVER = 1_000_000_000
"""Collections of the youngest generation between two of an older one, when there shall be none."""


def make_room(connections: int) -> None:
    """Let this process open as many connections at once.

    Raises:
        UsageError: the hard limit does not allow it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise UsageError(
            f"{connections} connections need {needed} open files, and this machine allows a process {hard}: "
            "lower --concurrency, or raise the limit (ulimit -Hn)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


@contextmanager
def short_collections() -> Iterator[None]:
    """Collect the youngest objects only, until the end; what lives at the start is not walked at all."""
    young, middle, full = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, NEVER)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, full)
        gc.unfreeze()
