"""A history of a hundred thousand exchanges: read, measured and reported, beside what reading the file's JSON takes.

Measured: seconds and peak memory of ``harness report`` in a process of its own, on a run directory that a bench of fal's
queue could have left: a submit, polls and a result for each of many jobs. Beside it, in a process of its own too, the
time in which the same file's lines are read by ``json.loads`` and forgotten.

How: the rows are written by the journal itself, from exchanges with invented instants; nothing is sent. Peak memory is
the kernel's figure for the child (maximum resident set).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from harness.clock import NS, RealClock
from harness.config import Config
from harness.engine import Ended
from harness.history import FileJournal, call_row, exchange_row, intent_row
from harness.metrics.phases import phases
from harness.model import Call, Case, Exchange, Outcome, Response, Step
from harness.run import footer_row, header_row
from harness.secret import Secret
from harness.spec import find
from harness.targets import Request, Target, targets_of
from harness.transport.redact import Redactor

TARGET = "fal/flux-pro-kontext-multi"
KEY = "benchmark-key-0123456789abcdef"
POLLS = 10
HEADERS = {"content-type": "application/json", "date": "Mon, 12 Oct 2026 10:00:00 GMT", "server": "bench"}
AUDIT = {"valid": True, "reasons": [], "loop_lag_p99_s": 0.001, "start_lag_p99_s": 0.001, "cpu_share": 0.3}
READ = "import json, sys\nfor line in open(sys.argv[1], 'rb'):\n    json.loads(line)"


def call_of(target: Target, case: Case, number: int, rng: random.Random) -> Call:
    """A job with its submit, its polls and its result, at instants of no particular clock."""
    base, job = target.route.base_url + "/fal-ai/flux-pro/requests/", f"{number:08x}-0000-4000-8000-000000000000"
    exchanges: list[Exchange] = []
    at = 1_000 * NS + number * NS // 10
    links = {
        f"{name}_url": base + job + tail
        for name, tail in (("status", "/status"), ("response", ""), ("cancel", "/cancel"))
    }

    def add(step: Step, url: str, value: object, body: bytes | None = None) -> None:
        nonlocal at
        at += round(rng.uniform(0.2, 1.0) * NS)
        answer = Response(200, HEADERS, json.dumps(value).encode())
        sent = {"host": "queue.fal.run", "accept": "application/json", "authorization": "Key ***"}
        exchanges.append(
            Exchange(
                call=f"c{number:06}",
                case_id=case.id,
                step=step,
                attempt=1,
                method="GET" if body is None else "POST",
                url=url,
                request_headers=sent,
                request_body=body,
                reply=answer,
                intended_ns=at,
                sent_ns=at + 50_000,
                first_byte_ns=at + 20_000_000,
                received_ns=at + 20_100_000,
            )
        )

    add("submit", base, {"request_id": job, "status": "IN_QUEUE", **links}, json.dumps(dict(case.body)).encode())
    for poll in range(POLLS):
        word = "IN_QUEUE" if poll < 2 else "IN_PROGRESS" if poll < POLLS - 1 else "COMPLETED"
        place = {"queue_position": 3 - poll} if word == "IN_QUEUE" else {}
        add("status", base + job + "/status", {"status": word, "request_id": job, **links, **place, "logs": None})
    images = [{"url": f"https://files.example/{job}.png", "content_type": "image/png", "width": 1024, "height": 1024}]
    result = {"images": images, "prompt": case.body["prompt"], "seed": case.body.get("seed", 1), "timings": {"inference": 2.5}, "has_nsfw_concepts": [False]}  # fmt: skip
    add("result", base + job, result)
    return Call(f"c{number:06}", case, tuple(exchanges), Outcome.COMPLETED, job, "yes", 1)


def write(directory: Path, exchanges: int) -> int:
    """A run directory of about so many exchanges; how many it holds."""
    specs = find((TARGET,))
    jobs = exchanges // (POLLS + 2)
    asked = Request(
        "live",
        "bench",
        requests=min(jobs, 9000),
        max_cost=Decimal(1_000_000),
        downloads=False,
        rejects=False,
        out=directory,
    )
    targets = targets_of(specs, asked, Config(), {specs[0].credential.env: KEY})
    rng, clock, journal = random.Random(1), RealClock(), FileJournal(directory, Redactor([Secret(KEY)]))
    cases = targets[0].plan.cases
    journal.append(header_row("run-1", targets, asked, clock))
    written = 0
    for number in range(jobs):
        call = call_of(targets[0], cases[number % len(cases)], number, rng)
        journal.append(intent_row(call.id, call.case, None))
        for exchange in call.exchanges:
            journal.append(exchange_row(exchange))
        journal.append(call_row(call, phases(targets[0].route, call)))
        written += len(call.exchanges)
    ended = Ended(complete=True, stopped={}, interrupted=False, simulated=False)
    journal.append(footer_row(ended, AUDIT, {}))
    journal.close()
    return written


def measured(command: Sequence[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak megabytes of a process."""
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    assert status == 0, f"{command} ended with {status}"
    scale = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss * scale / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few exchanges: shows that it runs")
    parser.add_argument("--exchanges", type=int, default=100_000)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        print(write(given.write, given.exchanges))
        return
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "run"
        # In a process of its own: the kernel counts a parent's peak as its child's.
        command = [sys.executable, __file__, "--exchanges", str(1_000 if given.quick else given.exchanges), "--write"]
        count = int(subprocess.run([*command, str(directory)], check=True, capture_output=True, text=True).stdout)
        file = directory / "history.jsonl"
        head = f"{'':34}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}{'× reading':>11}"
        print(f"{count} exchanges, {file.stat().st_size / 1e6:.0f} MB", head, "-" * len(head), sep="\n")
        reading = measured([sys.executable, "-c", READ, str(file)])
        report = measured([sys.executable, "-m", "harness", "report", str(directory)])
        for name, (wall, cpu, peak) in (("reading the lines as JSON", reading), ("harness report", report)):
            print(f"{name:34}{wall:9.1f}{cpu:9.1f}{peak:9.0f}{cpu / reading[1]:11.1f}")


if __name__ == "__main__":
    main()
