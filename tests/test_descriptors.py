"""Room for connections: the soft limit rises within the hard one, or the run does not begin."""

from __future__ import annotations

import resource
import subprocess
import sys

LOWER = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 400)); from harness.descriptors import make_room; "


def limited(program: str) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own, whose limits are 200 and 400."""
    return subprocess.run([sys.executable, "-c", LOWER + program], capture_output=True, text=True, check=False)


def test_the_soft_limit_is_raised_as_far_as_needed() -> None:
    """250 connections and what else is open; a limit that suffices is left alone."""
    done = limited("make_room(20); print(resource.getrlimit(7)[0]); make_room(250); print(resource.getrlimit(7))")
    assert resource.RLIMIT_NOFILE == 7
    assert done.stdout.split("\n")[:2] == ["200", "(378, 400)"]


def test_what_the_hard_limit_forbids_is_a_sentence() -> None:
    """It names the connections, what they need, what there is, and the way out; the status is that of a usage error."""
    program = (
        "from harness.errors import HarnessError\n"
        "try: make_room(300)\nexcept HarnessError as error: print(error.exit_status, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", LOWER + "\n" + program], capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.stdout.strip() == (
        "2 300 connections need 428 open files, and this machine allows a process 400: "
        "lower --concurrency, or raise the limit (ulimit -Hn)"
    )
