"""Room for connections: the soft limit rises within the hard one, or the run does not begin. No full collections."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import Any

from harness.process import short_collections

LOWER = (
    "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 400)); from harness.process import make_room; "
)


def limited(program: str) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own, whose limits are 200 and 400."""
    return subprocess.run([sys.executable, "-c", LOWER + program], capture_output=True, text=True, check=False)


def test_the_soft_limit_is_raised_as_far_as_needed() -> None:
    """250 connections and what else is open; a limit that suffices is left alone."""
    now = "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    done = limited(f"make_room(20); {now}; make_room(250); {now}")
    assert done.stdout.split("\n")[:2] == ["(200, 400)", "(378, 400)"]


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


def test_only_short_collections_pause_what_is_measured() -> None:
    """Many objects that stay, and cycles that do not: the youngest are collected, longer collections come back afterwards."""
    seen: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            seen.append(info["generation"])

    def work() -> set[int]:
        seen.clear()
        kept: list[list[Any]] = []
        for _ in range(200_000):
            kept.append([])
            kept[-1].append(kept)
        return set(seen)

    gc.callbacks.append(note)
    try:
        with short_collections():
            during = work()
        after = work()
    finally:
        gc.callbacks.remove(note)
    assert (during, after, gc.get_freeze_count()) == ({0}, {0, 1, 2}, 0)
