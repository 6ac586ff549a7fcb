"""How far polled durations are from the truth, ours beside the usual stopwatch, in virtual time.

Measured, at a fixed poll interval of one second, for durations that spread (lognormal, σ 0.3) and for steady ones: the
mean of our midpoints minus the mean of the truth, and the error of our p50 and p95, in milliseconds. Beside it the usual
method on the same jobs: poll at once and then every second, and take what the clock says when a state is first seen.

How: ``virtual`` runs the engine with its flow, schedule and phases against a provider whose every job is known; each true
duration is asserted to lie in its interval. Then the learnt schedules: what a job costs in polls, for ``total`` alone and
for queue and inference apart, with and without an earlier run to learn from.

Decides: the random phases, the fresh one once a job runs, the switch between midpoints and NPMLE.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence

from harness.clock import NS
from harness.schedule import Learnt, Schedule
from tests.benchmarks.virtual import LEARNT, ROUND_TRIP_NS, Draw, Seen, bench, lognormal

PHASES = ("queue", "inference", "total")
SHAPES: dict[str, Draw] = {"spread": lognormal(2.5, 6.0, 0.3), "steady": lognormal(2.3, 6.75, 0.002)}
HEAD = f"{'':22}{'jobs':>7}{'ours: mean':>12}{'p50':>8}{'p95':>8}  {'method':10}{'usual: mean':>12}{'p50':>8}{'p95':>8}"


def usual(seen: Seen) -> dict[str, list[float]]:
    """What a stopwatch says of the same jobs: polls at once, then every second, a state counts from when it is seen."""
    found: dict[str, list[float]] = {name: [] for name in PHASES}
    trip = ROUND_TRIP_NS / NS
    for queue, inference in zip(seen.truths["queue"], seen.truths["inference"], strict=True):
        running, done = (math.ceil(at) + trip for at in (queue, queue + inference))
        found["queue"].append(running)
        found["inference"].append(done - running)
        found["total"].append(done + trip)
    return found


def fixed(name: str, seen: Seen) -> list[str]:
    """A line for each phase of the runs at a fixed interval."""
    lines, peers = [], usual(seen)
    for phase in PHASES:
        ours, true = seen.durations(phase), seen.durations(phase, true=True)
        row = f"{f'{name}, {phase}':22}{len(ours.samples):7}{_ms(ours.mean, true.mean):>12}"
        row += "".join(f"{_ms(ours.quantile(q).value, true.quantile(q).value):>8}" for q in (0.5, 0.95))
        row += f"  {ours.method:10}{_ms(statistics.fmean(peers[phase]), true.mean):>12}"
        ordered = sorted(peers[phase])
        row += "".join(f"{_ms(ordered[round(q * (len(ordered) - 1))], true.quantile(q).value):>8}" for q in (0.5, 0.95))
        lines.append(row)
    return lines


def _ms(one: float | None, other: float | None) -> str:
    assert one is not None
    assert other is not None
    return f"{(one - other) * 1000:+.0f}"


def learnt(jobs: int) -> list[str]:
    """What a job costs in polls under a learnt schedule."""
    lines = []
    for shape, draw in SHAPES.items():
        for of, schedule in LEARNT.items():
            taught = Learnt()
            first = bench(draw, jobs, schedule=schedule, seed=1, learnt=taught)
            again = bench(draw, jobs, schedule=schedule, seed=2, learnt=taught)
            for said, seen in (("learning", first), ("having learnt", again)):
                errors = [
                    f"{phase} {_ms(seen.durations(phase).mean, seen.durations(phase, true=True).mean)}"
                    for phase in (PHASES if of == "phases" else ("total",))
                ]
                name = f"{shape}, for {of}, {said}"
                lines.append(f"{name:42}{_polls(seen.polls):>12}  mean error, ms: {', '.join(errors)}")
    return lines


def _polls(polls: Sequence[int]) -> str:
    return f"{statistics.fmean(polls):.2f} polls"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few jobs: shows that it runs")
    jobs = 60 if parser.parse_args().quick else 4000
    print("virtual time; milliseconds from the truth")
    rule = "-" * len(HEAD)
    print(HEAD, rule, sep="\n")
    for name, draw in SHAPES.items():
        seen = bench(draw, jobs, schedule=Schedule(fixed=1.0), seed=1, concurrency=64)
        print("\n".join(fixed(name, seen)))
        print(f"{name + ', polls of a job':22}{_polls(seen.polls):>12}")
    print("\nlearnt schedules\n" + "\n".join(learnt(jobs // 2)))


if __name__ == "__main__":
    main()
