"""Does the harness notice when it is itself the bottleneck, and does it cry wolf? Against a server that knows the truth.

Measured: whole live benches, each of which says of itself whether it is valid. Disturbed ones: a busy process beside it
on the same core (``hog``), a stop of half a second in the middle (SIGSTOP), a rate that no Python client can keep up, and
an open loop that meets its cap. Clean ones: nothing of the kind. For each run the truth is at hand too: by how much the
99th percentile of its latencies is off, as a share of the median.

How: ``truth_server`` answers synchronous jobs of half a second; each bench is a process of its own. A disturbed run that
is called valid is a miss only where the disturbance shows: where the loop lag or the error is over the threshold.

How to read it: on a machine that is busy with other things, a clean run may rightly be called invalid; the last column
says how far off its latencies then were.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.clock import NS
from harness.flow import Route, body_json
from harness.history import read
from harness.metrics.phases import phases
from harness.spec import find
from tests.benchmarks import truth_server

TARGET, SECONDS = "umodelverse/flux-kontext-pro", 0.5
HEAD = f"{'':34}{'runs':>6}{'called invalid':>16}{'truly late':>12}{'missed':>8}{'loop lag ms':>13}{'p99 error ms':>14}"


@dataclass(frozen=True, slots=True)
class Run:
    """One bench: what it said of itself, and by how many seconds its p99 is off."""

    valid: bool
    lag: float
    error: float


def bench(base: str, out: Path, *options: str, stop: float = 0.0, pinned: bool = False) -> Run:
    """A live bench in a process of its own; ``stop`` seconds of it are spent stopped, ``pinned`` keeps it on one core."""
    environment = os.environ | {"MODELVERSE_API_KEY": "benchmark-key-0123456789abcdef"}
    command = [sys.executable, "-m", "harness", "bench", TARGET, "--live", f"--base-url=umodelverse={base}", "--json"]
    child = subprocess.Popen(
        [*command, "--max-cost", "1000000", "--out", str(out), *options],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, cwd=out.parent,
    )  # fmt: skip
    if pinned:
        os.sched_setaffinity(child.pid, {0})
    if stop:
        while not (out / "history.jsonl").exists() or b'"exchange"' not in (out / "history.jsonl").read_bytes():
            time.sleep(0.01)
        child.send_signal(signal.SIGSTOP)
        time.sleep(stop)
        child.send_signal(signal.SIGCONT)
    report = json.loads(child.communicate()[0])
    audit = report["run"]["audit"]
    return Run(audit["valid"], audit["loop_lag_p99_s"] or 0.0, error(out, base, open_loop="--rate" in options))


def error(out: Path, base: str, *, open_loop: bool) -> float:
    """By how many seconds the 99th percentile of the latencies is off."""
    (spec,) = find((TARGET,))
    route, errors = Route(spec, spec.default_flow, base), list[float]()
    for call in read(out).calls:
        (submit, *_), total = call.of("submit"), phases(route, call, open_loop=open_loop)["total"]
        if total is not None and submit.response is not None:
            truth = body_json(submit.response)["truth"]
            errors.append(total[1] - (truth["send_ns"] - truth["arrive_ns"]) / NS)
    return sorted(errors)[int(len(errors) * 0.99)]


@contextmanager
def hogs(count: int) -> Iterator[None]:
    """Busy processes on the core of the bench."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    for child in busy:
        os.sched_setaffinity(child.pid, {0})
    try:
        yield
    finally:
        for child in busy:
            child.kill()
            child.wait()


def row(name: str, runs: Sequence[Run]) -> str:
    """The runs of one kind as a line. Truly late is an error of more than 1 % of the median, or a loop lag over it."""
    limit = 0.01 * SECONDS
    late = [run for run in runs if run.error > limit or run.lag > limit]
    missed = sum(run.valid for run in late if run.lag > limit)
    lag, off = (statistics.median(getattr(run, what) for run in runs) * 1000 for what in ("lag", "error"))
    invalid = sum(not run.valid for run in runs)
    return f"{name:34}{len(runs):6}{invalid:16}{len(late):12}{missed:8}{lag:13.1f}{off:14.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one run of each: shows that it runs")
    parser.add_argument("--clean", type=int, default=100)
    given = parser.parse_args()
    runs = 10
    plain = ("-n", "24", "--concurrency", "8")
    with tempfile.TemporaryDirectory() as place, truth_server.served(inference=SECONDS) as base:

        def out(name: str, number: int) -> Path:
            return Path(place) / f"{name}-{number}"

        print(HEAD, "-" * len(HEAD), sep="\n", flush=True)
        if given.quick:
            print(row("clean", [bench(base, out("clean", 0), *plain)]))
            return
        stopped = [bench(base, out("stop", n), *plain, stop=0.5) for n in range(runs)]
        print(row("stopped for half a second", stopped), flush=True)
        with hogs(3):
            hogged = [bench(base, out("hog", n), *plain, pinned=True) for n in range(runs)]
        print(row("three busy processes on its core", hogged), flush=True)
        fast = ("-n", "3000", "--rate", "10000", "--concurrency", "9000")
        print(row("10 000 submits a second", [bench(base, out("fast", n), *fast) for n in range(runs)]), flush=True)
        capped = ("-n", "24", "--rate", "40", "--concurrency", "4")
        print(row("an open loop at its cap", [bench(base, out("cap", n), *capped) for n in range(runs)]), flush=True)
        print(row("clean", [bench(base, out("clean", n), *plain) for n in range(given.clean)]), flush=True)


if __name__ == "__main__":
    main()
