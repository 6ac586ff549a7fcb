"""How many files a process may open: one for each connection, which is what bounds the jobs in flight.

Rules
-----
* The soft limit is raised as far as a run needs, within the hard one, which only an administrator can raise.
* What does not fit is a ``UsageError`` before anything is sent: half-way through, it would look like a provider's fault.
"""

from __future__ import annotations

import resource

from harness.errors import UsageError

SPARE = 128
"""Files besides the connections: the history, libraries, the terminal."""


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
