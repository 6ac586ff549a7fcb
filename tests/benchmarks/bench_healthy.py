"""Do healthy providers stay unblamed? Every healthy variant of the simulator, under many seeds.

Each run is a whole conformance run in virtual time: the plan of the one-way tier with rejects, probes and the paid
repetitions. A variant differs in what the documents leave open; a ``fail`` on any of them would be a false alarm. The
table gives, for each target, the variants, the runs, the cases judged, and the runs with a failure or an unknown.

The variant that serves its files from another origin is run over HTTP in tests/conformance, where origins differ.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from harness.report import document
from harness.simulator import planted, variants_for
from harness.targets import Request
from tests.calls import SPECS, TODAY, simulated

ELSEWHERE = "assets-elsewhere"


def judged(job: tuple[str, str | None, int, bool]) -> tuple[str, int, list[str]]:
    """One run: its target, the cases judged, and the verdicts that are neither pass nor warn."""
    target, variant, seed, whole = job
    spec = SPECS[target]
    chosen = [variant] if variant else []
    variations, settings = planted([spec], replace(TODAY, seed=seed), variants=chosen)
    request = Request("simulate", seed=seed, repeats=whole, rejects=whole)
    run = simulated(request, spec, settings=settings, variations=variations)
    found = document.build(run.history, run.specs).document["targets"][target]
    bad = [f"{variant} seed {seed}: {f['check']}: {f['message']}" for f in found["findings"] if f["verdict"] == "fail"]
    bad += [f"{variant} seed {seed}: unknown" for f in found["findings"] if f["verdict"] == "unknown"][:1]
    return target, found["cases"]["run"], bad


def main() -> None:
    """Run the variants under the seeds, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--accepts", action="store_true", help="the accept rows only: the part of a plan that a seed changes"
    )
    parser.add_argument("--quick", action="store_true", help="two variants of each target, one seed")
    options = parser.parse_args()
    jobs: list[tuple[str, str | None, int, bool]] = []
    for target, spec in SPECS.items():
        names = [None, *(v.id for v in variants_for(spec) if not v.id.endswith(ELSEWHERE))]
        names, seeds = (names[:3], 1) if options.quick else (names, options.seeds)
        jobs += [(target, name, seed, not options.accepts) for seed in range(seeds) for name in names]
    runs, cases, alarms = Counter[str](), Counter[str](), list[str]()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for target, number, bad in pool.map(judged, jobs, chunksize=8):
            runs[target] += 1
            cases[target] += number
            alarms += bad
    print(f"{'target':38}{'variants':>9}{'runs':>7}{'cases':>8}")
    print("-" * 62)
    for target in SPECS:
        variants = len({name for of, name, *_ in jobs if of == target})
        print(f"{target:38}{variants:>9}{runs[target]:>7}{cases[target]:>8}")
    for alarm in alarms[:20]:
        print(f"  {alarm}")
    print(f"runs with a failure or an unknown: {len(alarms)} of {sum(runs.values())}")


if __name__ == "__main__":
    main()
