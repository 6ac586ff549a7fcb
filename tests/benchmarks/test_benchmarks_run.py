from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = {
    "bench_transport_cpu.py": "all-in (recorded, parsed)",
    "bench_throughput.py": "Schemathesis, 1 worker",
    "bench_faults.py": "all runs",
    "bench_kill.py": "second payments",
    "bench_healthy.py": "runs with a failure or an unknown",
    "bench_planning.py": "three labels",
    "bench_schemas.py": "pairwise",
    "bench_strategies.py": "fal-gateway",
    "bench_cassettes.py": "all, at once",
    "bench_guards.py": "worst of 3 bombs and stalls",
    "bench_compare.py": "comparisons from history files that say the same",
    "bench_drift.py": "runs that say the same when judged whole",
    "bench_pairs.py": "x1.1, per 1000",
    "bench_trend.py": "series that harness trend judges alike",
    "bench_report.py": "10 x 20 calls",
    "bench_polling.py": "steady, for total, having learnt",
    "bench_intervals.py": "p95 of 214 jobs",
    "bench_precision.py": "p50=10%, σ 0.3, cold starts",
    "bench_latency.py": "30 jobs of 1 s",
    "bench_audit.py": "clean",
    "bench_history.py": "harness report",
}

SAMPLE = (
    "bench_planning.py",
    "bench_compare.py",
    "bench_polling.py",
    "bench_history.py",
)
"""Quick ones; the others are swept."""


@pytest.mark.parametrize(
    ("script", "row"),
    [
        pytest.param(script, row, id=script, marks=[] if script in SAMPLE else [pytest.mark.exhaustive])
        for script, row in SCRIPTS.items()
    ],
)
def test_a_benchmark_runs_to_its_end_and_prints_its_table(script: str, row: str) -> None:
    """Each script's quick mode ends well and prints its last row; nothing is claimed about any figure in it."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name(script), "--quick"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    rule, *rows = done.stdout[done.stdout.index("----") :].splitlines()
    assert set(rule) == {"-"}
    assert row in rows[-1]
    assert any(character.isdigit() for character in rows[-1].removeprefix(row))
