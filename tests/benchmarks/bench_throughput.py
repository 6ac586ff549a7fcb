"""How many cases are judged per second, beside Schemathesis on the same spec file and the same server.

Measured: cases and requests per second between the first request sent and the last answer received, against a
provider that takes no time (``harness simulate`` with zero queue and inference, in a process of its own), for a
queue (fal: submit, status, result, download) and a synchronous endpoint (UModelVerse).

How: ours is ``harness.run.check`` with the one-way plan and its rejects, live, with a key, over HTTP; the instants are
read from the history that it leaves. One plan lasts a fraction of a second, so it runs several times after an
uncounted warm-up; the median is printed. Schemathesis is its command line with its default phases and checks, run
once for each number of workers. It goes on after a failure (its default is to end the operation, which leaves too few
cases for a rate), draws at most 50 examples for an operation instead of 100 (to keep this script short), and starts
from a fixed seed; the instants are read from its NDJSON report. Both talk to one server, in turns.

How to read it: a case of ours is one request body with everything that becomes of it, up to four requests and the
downloaded images; Schemathesis counts and judges every request as a case. Its window contains the generation of
requests and the checks; ours does not, since plans come before requests and judging follows from the record. So
``with judging`` divides by the window plus planning plus reading and judging the history. ``client CPU`` is the share
of one core that our process uses while it runs: below 1, the provider or the polls' own waiting is what limits.
The row with a fixed poll interval shows what the adaptive schedule's floor costs when a job takes no time at all.

Decides: whether the engine, the journal or the client under them deserve work; a real provider is a hundred times
slower than any of these rates.

There is no threshold on time here: only cases without a verdict make the script fail.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from harness import run
from harness.clock import NS
from harness.config import Config
from harness.history import read
from harness.model import Outcome
from harness.simulator import Settings, spawned
from harness.spec import Spec, find
from harness.targets import Request, targets_of

TARGETS = ("fal/flux-pro-kontext-multi", "umodelverse/flux-kontext-pro")
INSTANT = Settings(queue_seconds=0, inference_seconds=0, capacity=1_000_000)
CONFIG = Config(assets=("https://images.example/a.png", "https://images.example/b.png"))
KEY = "benchmark-key-0123456789abcdef"
BUDGET = Decimal(1_000_000)
SECONDS = 60


@dataclass(frozen=True, slots=True)
class Rate:
    """One run: what was done in how many seconds, and in how many with all that belongs to a verdict."""

    cases: int
    requests: int
    window_s: float
    judged_s: float
    cpu: float | None = None


def ours(spec: Spec, base_url: str, out: Path, concurrency: int, poll_interval: float | None = None) -> Rate:
    """One run of ``harness check --live``."""
    request = Request(
        source="live",
        base_urls={(spec.provider, None): base_url},
        concurrency=concurrency,
        poll_interval=poll_interval,
        max_cost=BUDGET,
        out=out,
    )
    environment = {spec.credential.env: KEY}
    planning = _seconds(lambda: targets_of([spec], request, CONFIG, environment))
    run.check([spec], request, CONFIG, environment)
    judging = _seconds(lambda: run.result_of(out))
    history = read(out)
    lost = [call.case.id for call in history.calls if call.outcome is Outcome.UNKNOWN]
    assert not lost, f"{spec.target}: nothing is known about {len(lost)} cases, such as {lost[0]}"
    planned = sum(len(plan.cases) for plan in history.plans)
    assert len(history.calls) >= planned, f"{spec.target}: {len(history.calls)} of {planned} cases were run"
    exchanges = [exchange for call in history.calls for exchange in call.exchanges]
    window = (max(e.received_ns for e in exchanges) - min(e.sent_ns for e in exchanges)) / NS
    cpu = (history.footer or {})["audit"]["cpu_share"]
    return Rate(len(history.calls), len(exchanges), window, planning + window + judging, cpu)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def schemathesis(spec: Spec, base_url: str, out: Path, workers: int, *more: str) -> Rate:
    """One run of ``st run``, in a folder of its own: it keeps what it learns beside itself."""
    out.mkdir()
    report = out / "events.ndjson"
    header = f"{spec.credential.header}: {spec.credential.scheme} {KEY}"
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(spec.path.resolve())]
    command += ["--url", base_url, "-H", header, "--workers", str(workers), "--seed", "1"]
    command += ["--continue-on-failure", "--max-examples", "50", "--no-color", *more]
    command += ["--report", "ndjson", "--report-ndjson-path", str(report)]
    done = subprocess.run(command, cwd=out, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode in (0, 1), f"schemathesis did not run: {(done.stderr or done.stdout)[-500:]}"
    cases, instants = 0, list[tuple[float, float]]()
    for line in report.read_text(encoding="utf-8").splitlines():
        recorded = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        cases += len(recorded.get("cases", ()))
        for interaction in recorded.get("interactions", {}).values():
            took = (interaction.get("response") or {}).get("elapsed", 0.0)
            instants.append((interaction["timestamp"], interaction["timestamp"] + took))
    assert instants, f"schemathesis sent nothing: {done.stdout[-500:]}"
    window = max(end for _, end in instants) - min(start for start, _ in instants)
    return Rate(cases, len(instants), window, window)


def row(name: str, rates: Sequence[Rate]) -> str:
    """The medians of some runs as a line."""

    def median(value: Callable[[Rate], float]) -> float:
        return statistics.median(map(value, rates))

    speeds = sorted(r.cases / r.window_s for r in rates)
    cpu = [r.cpu for r in rates if r.cpu is not None]
    return (
        f"{name:36}{len(rates):5}{median(lambda r: r.cases):7.0f}{median(lambda r: r.requests):7.0f}"
        f"{statistics.median(speeds):10.0f}{f'{speeds[0]:.0f}–{speeds[-1]:.0f}':>11}"
        f"{median(lambda r: r.requests / r.window_s):10.0f}{median(lambda r: r.cases / r.judged_s):14.0f}"
        + (f"{statistics.median(cpu):12.2f}" if cpu else f"{'–':>12}")
    )


def compare(spec: Spec, urls: Mapping[str, str], directory: Path, *, quick: bool) -> list[str]:
    """The lines of one target."""
    base_url = urls[f"{spec.provider}:{spec.default_flow.name}"]
    ways: list[tuple[str, int, float | None]] = [("ours, 8 jobs in flight", 8, None), ("ours, 32", 32, None)]
    if spec.default_flow.status is not None:
        ways.append(("ours, 32, a poll each millisecond", 32, 0.001))
    ours(spec, base_url, directory / "warm-up", 8)
    rates: dict[str, list[Rate]] = {name: [] for name, _, _ in ways}
    for number in range(1 if quick else 5):
        for name, concurrency, interval in ways:
            out = directory / f"{number}-{concurrency}-{interval}"
            rates[name].append(ours(spec, base_url, out, concurrency, interval))
    more = ("--phases", "examples,coverage") if quick else ()
    for workers in (1,) if quick else sorted({1, min(4, os.cpu_count() or 1)}):
        name = f"Schemathesis, {workers} worker{'s' if workers > 1 else ''}"
        rates[name] = [schemathesis(spec, base_url, directory / f"schemathesis-{workers}", workers, *more)]
    return [row(name, each) for name, each in rates.items()]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one target, one run of each: shows that it runs")
    quick = parser.parse_args().quick
    specs = find(TARGETS[1:] if quick else TARGETS)
    head = f"{'':36}{'runs':>5}{'cases':>7}{'reqs':>7}{'cases/s':>10}{'range':>11}{'reqs/s':>10}{'with judging':>14}{'client CPU':>12}"
    print("median rates, one after the other against one simulator that takes no time")
    rule = "-" * len(head)
    with tempfile.TemporaryDirectory() as directory, spawned(specs, INSTANT) as urls:
        for spec in specs:
            place = Path(directory) / spec.provider
            place.mkdir()
            lines = compare(spec, urls, place, quick=quick)
            print(f"\n{spec.target} ({spec.default_flow.name})", head, rule, *lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
