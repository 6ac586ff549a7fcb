"""How many planted faults a run finds, what it pays for that, and whether it names the right parameters.

Measured, on simulators in processes of their own, over HTTP, with jobs that take no time:

1. Planted faults found in one run, and the paid requests of that run, by ours and by Schemathesis, on a queue (fal)
   and a synchronous endpoint (UModelVerse).
2. Culprits: of faults that refuse a value only together with others, in how many are exactly these parameters named,
   and how many further requests that takes.
3. Money: on how many of our runs the report's totals are those of the simulator's own ledger.

How: a fault is one that has to turn the verdict to ``fail``, and that one run can show: those that need pairs, triples
or a deadline to pass are left out of the first table. They are taken in turns from every check, half of them from
checks of a name that Schemathesis has too, and within a check in the order of the SHA-256 of their ids, so that nobody
chose them. Ours is ``harness.run.check``: the one-way plan with rejects, probes and paid repetitions; a fault is found
when the declared check fails. Schemathesis is its command line with default phases and checks, one worker and a fixed
seed, on the first of the same faults only, since it takes ten seconds for each; it draws at most ``EXAMPLES`` examples
for an operation instead of 100, and goes on after a failure (else its failure on the healthy simulator hides the
rest). It finds a fault when it reports any failure, whatever it is about, that it did not report on the healthy
simulator in ``SEEDS`` runs of other seeds; a failure is told from others by operation, code and first line.

How to read it: the rule is laxer for Schemathesis than for ours. A failure of its on a healthy simulator is not always
false: ``ignored_auth`` on UModelVerse is true of a simulator that takes any key but one. fal accepts every body at first
and refuses it later, which Schemathesis cannot know: hence its failures on a healthy queue, and what hides behind them.
For the second table a plan is used (the seed is the first that gives one) in which a row is refused; faults that no plan
of ten meets take pairwise or three-way coverage, and say nothing about isolation. ``some, no other``: in at least one
finding a parameter is missing, since the accepted row that was compared has a value of its class as well.

Decides: which kinds of faults need a check, a case or a tier; whether isolation may cost less. Figures are printed, not
judged: the script fails only when something does not run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice, zip_longest
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx

from harness import run
from harness.config import Config
from harness.history import read
from harness.isolate import ISOLATION
from harness.simulator import LEDGER, Fault, Settings, faults_for, spawned
from harness.spec import Spec, find
from harness.targets import Request, plan_of, price_of

TARGETS = ("fal/flux-pro-kontext-multi", "umodelverse/flux-kontext-pro")
INSTANT = Settings(queue_seconds=0, inference_seconds=0, capacity=1_000_000)
SPECS: Mapping[str, Spec] = {spec.target: spec for spec in find(())}
CONFIG = Config()
KEY = "benchmark-key-0123456789abcdef"
BUDGET = Decimal(1_000_000)
ONE_RUN = ("accepts", "rejects", "probes", "repeats")
ACCEPTANCE = "positive_data_acceptance"
SHARED = frozenset(
    {
        "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
        "negative_data_rejection", ACCEPTANCE, "ignored_auth",
    }
)  # fmt: skip
"""Checks of ours that Schemathesis has under the same name."""
EXAMPLES, SEEDS, PLANS, JOBS, SECONDS = 25, 2, 10, 2, 120


@dataclass(frozen=True, slots=True)
class Amount:
    """How a run is sized: faults for a target and half, for ours and Schemathesis; faults for each number of culprits."""

    targets: tuple[str, ...]
    ours: int
    schemathesis: int
    isolated: int
    examples: int
    seeds: int
    phases: tuple[str, ...] = ()


FULL = Amount(TARGETS, 15, 6, 12, EXAMPLES, SEEDS)
QUICK = Amount(TARGETS[1:], 2, 1, 1, 5, 1, ("--phases", "examples"))


@dataclass(frozen=True, slots=True)
class Money:
    """Paid requests, images and USD."""

    paid: int
    images: int
    usd: float


@dataclass(frozen=True, slots=True)
class Ours:
    """One run of ours: the findings that fail as check and parameter, its money and the simulator's."""

    failures: frozenset[tuple[str, str | None]]
    further: int
    told: Money
    billed: Money
    unknown_charge: int


@dataclass(frozen=True, slots=True)
class Theirs:
    """One run of Schemathesis: the failures that it reports, and what the simulator billed."""

    failures: frozenset[tuple[str, str, str]]
    requests: int
    billed: Money


# Which faults -------------------------------------------------------------------------------------------------------


def drawn(faults: Sequence[Fault]) -> list[Fault]:
    """The faults in the order of the hashes of their ids."""
    return sorted(faults, key=lambda fault: hashlib.sha256(fault.id.encode()).digest())


def spread(target: str, *, shared: bool) -> list[Fault]:
    """A target's faults that one run can show, of checks that Schemathesis has too or of others, in turns by check."""
    by_check: dict[str, list[Fault]] = {}
    for fault in drawn(faults_for(SPECS[target])):
        if fault.verdict == "fail" and fault.shown_by in ONE_RUN and (fault.check in SHARED) is shared:
            by_check.setdefault(fault.check, []).append(fault)
    rounds = zip_longest(*(by_check[check] for check in sorted(by_check)))
    return [fault for one in rounds for fault in one if fault]


def together(number: int, amount: int) -> list[tuple[str, int]]:
    """Faults that so many parameters show together, each with the seed of the first plan that meets it."""
    shown_by = ("accepts", "pairs", "triples")[number - 1]
    known = [fault for spec in SPECS.values() for fault in faults_for(spec) if fault.check == ACCEPTANCE]
    known = [f for f in known if (f.verdict, f.shown_by, len(f.parameters)) == ("fail", shown_by, number)]
    return list(islice(((fault.id, seed) for fault in drawn(known) for seed in _seed(fault)), amount))


def _seed(fault: Fault) -> Iterator[int]:
    """The first seed whose plan has a row that is surely to be accepted, and is refused by the fault; or none."""
    spec, variation = SPECS[fault.target], fault.variation()
    for seed in range(PLANS):
        cases = plan_of(spec, spec.default_flow, isolating(seed), CONFIG).cases
        if any(case.expect == "accept" and variation.refusal(case.body, None) for case in cases):
            yield seed
            return


def isolating(seed: int) -> Request:
    """The accept cases of a plan."""
    return Request("live", rejects=False, seed=seed)


# Runs ---------------------------------------------------------------------------------------------------------------


def ours(target: str, fault: str | None, request: Request) -> Ours:
    """One run of ``harness check --live`` against a simulator with a fault, or a healthy one."""
    spec = SPECS[target]
    with tempfile.TemporaryDirectory() as directory, _simulated(spec, fault) as base_url:
        out = Path(directory) / "run"
        urls: dict[tuple[str, str | None], str] = {(spec.provider, None): base_url}
        sized = replace(request, base_urls=urls, max_cost=BUDGET, deadline_seconds=20, out=out)
        document = run.check([spec], sized, CONFIG, {spec.credential.env: KEY}).result.document
        further = sum(call.derived == ISOLATION for call in read(out).calls)
        billed = _billed(spec, base_url)
    totals: Mapping[str, Any] = document["totals"]
    findings = document["targets"][target]["findings"]
    return Ours(
        frozenset((one["check"], one["parameter"]) for one in findings if one["verdict"] == "fail"),
        further,
        Money(totals["paid_requests"], totals["images"], totals["usd"]),
        billed,
        totals["unknown_charge"],
    )


def theirs(target: str, fault: str | None, amount: Amount, seed: int) -> Theirs:
    """One run of ``st run`` against a simulator with a fault, or a healthy one."""
    spec = SPECS[target]
    header = f"{spec.credential.header}: {spec.credential.scheme} {KEY}"
    with tempfile.TemporaryDirectory() as directory, _simulated(spec, fault) as base_url:
        report = Path(directory) / "events.ndjson"
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(spec.path.resolve())]
        command += ["--url", base_url, "-H", header, "--workers", "1", "--seed", str(seed), "--continue-on-failure"]
        command += ["--max-examples", str(amount.examples), *amount.phases, "--no-color", "--report", "ndjson"]
        command += ["--report-ndjson-path", str(report)]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode in (0, 1), f"schemathesis did not run: {(done.stderr or done.stdout)[-500:]}"
        events = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
        billed = _billed(spec, base_url)
    recorders = [event.get("ScenarioFinished", {}).get("recorder", {}) for event in events]
    checks = [check for one in recorders for each in one.get("checks", {}).values() for check in each]
    found = [check["failure_info"]["failure"] for check in checks if check["status"] == "failure"]
    return Theirs(
        frozenset((f["operation"], f["code"], f["message"].partition("\n")[0]) for f in found),
        sum(len(one.get("interactions", {})) for one in recorders),
        billed,
    )


@contextmanager
def _simulated(spec: Spec, fault: str | None) -> Iterator[str]:
    """The base URL of a spec's default flow on a simulator of its own."""
    with spawned([spec], INSTANT, faults=[fault] if fault else []) as urls:
        yield urls[f"{spec.provider}:{spec.default_flow.name}"]


def _billed(spec: Spec, base_url: str) -> Money:
    bill = httpx.get(httpx.URL(base_url).join(LEDGER)).json()["targets"][spec.target]
    asked: int = bill["images_asked"]
    return Money(bill["paid_requests"], asked, round(float(price_of(spec, CONFIG).amount * asked), 6))


# Tables -------------------------------------------------------------------------------------------------------------


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table whose first column is its names."""
    widths = [max(len(str(row[n])) for row in [columns, *rows]) for n in range(len(columns))]

    def line(row: Sequence[object]) -> str:
        first, *rest = (str(value) for value in row)
        return first.ljust(widths[0]) + "".join(
            f"  {text:>{width}}" for text, width in zip(rest, widths[1:], strict=True)
        )

    print(f"\n{title}", line(columns), "-" * len(line(columns)), *map(line, rows), sep="\n", flush=True)


def mean(values: Sequence[float]) -> str:
    """A mean with one decimal; a dash for nothing."""
    return f"{fmean(values):.1f}" if values else "–"


def detection(amount: Amount, pool: Executor) -> list[Ours]:
    """The first table; our runs."""
    halves = {
        (target, shared): spread(target, shared=shared)[: amount.ours]
        for target in amount.targets
        for shared in (True, False)
    }
    request = Request("live", repeats=True)
    healthy = {target: pool.submit(ours, target, None, request) for target in amount.targets}
    baselines = {
        target: [pool.submit(theirs, target, None, amount, seed) for seed in range(2, 2 + amount.seeds)]
        for target in amount.targets
    }
    chosen = [fault for faults in halves.values() for fault in faults]
    compared = {fault.id: fault for faults in halves.values() for fault in faults[: amount.schemathesis]}
    by_st = {name: pool.submit(theirs, fault.target, name, amount, 1) for name, fault in compared.items()}
    by_us = {fault.id: pool.submit(ours, fault.target, fault.id, request) for fault in chosen}

    known = {
        target: frozenset(failure for one in runs for failure in one.result().failures)
        for target, runs in baselines.items()
    }
    rows: list[list[object]] = []
    for target in amount.targets:
        own, runs = healthy[target].result(), [one.result() for one in baselines[target]]
        st = [len(one.failures) for one in runs]
        rows.append([f"{target}, healthy: failures", "1 run", len(own.failures), own.told.paid])
        rows[-1] += [f"{len(st)} run{'s' if len(st) > 1 else ''}", mean(st), ""]
        rows[-1] += [mean([one.billed.paid for one in runs]), mean([one.requests for one in runs])]
    missed = []
    everything: list[tuple[Fault, bool, int, Theirs | None, bool]] = []
    for (target, shared), faults in halves.items():
        part: list[tuple[Fault, bool, int, Theirs | None, bool]] = []
        for fault in faults:
            mine = by_us[fault.id].result()
            other = by_st[fault.id].result() if fault.id in by_st else None
            found = any(check == fault.check for check, _ in mine.failures)
            part.append((fault, found, mine.told.paid, other, bool(other and other.failures - known[target])))
            if not found:
                missed.append(fault.id)
        rows.append(_row(f"{target}, {'checks of both' if shared else 'checks of ours'}", part))
        everything += part
    rows.append(_row("all", everything))
    columns = ("planted faults found in one run", "ours: n", "found", "paid, mean", "Schemathesis: n", "found", "ours of these",
               "paid, mean", "requests, mean")  # fmt: skip
    table(f"1. Detection (Schemathesis: at most {amount.examples} examples for an operation)", columns, rows)
    print("missed by ours:", ", ".join(missed) or "none")
    unseen = [fault.id for fault, _, _, other, found in everything if other and not found]
    print("missed by Schemathesis:", ", ".join(unseen) or "none", flush=True)
    return [one.result() for one in [*healthy.values(), *by_us.values()]]


def _row(name: str, part: Sequence[tuple[Fault, bool, int, Theirs | None, bool]]) -> list[object]:
    both = [(found, other, seen) for _, found, _, other, seen in part if other]
    return [
        name, len(part), sum(found for _, found, *_ in part), mean([paid for _, _, paid, *_ in part]),
        len(both), sum(seen for *_, seen in both), sum(found for found, *_ in both),
        mean([other.billed.paid for _, other, _ in both]), mean([other.requests for _, other, _ in both]),
    ]  # fmt: skip


def isolation(amount: Amount, pool: Executor) -> list[Ours]:
    """The second table; our runs."""
    faults = {fault.id: fault for spec in SPECS.values() for fault in faults_for(spec)}
    chosen = {number: together(number, amount.isolated) for number in (1, 2, 3)}
    runs = {
        (name, seed): pool.submit(ours, faults[name].target, name, isolating(seed))
        for rows in chosen.values()
        for name, seed in rows
    }
    rows: list[list[object]] = []
    inexact, totals = [], [0, 0, 0]
    for number, ids in chosen.items():
        exact = partial = 0
        for name, seed in ids:
            named = {parameter for check, parameter in runs[name, seed].result().failures if check == ACCEPTANCE}
            sets, wanted = [frozenset((one or "").split(", ")) for one in named], frozenset(faults[name].parameters)
            right = bool(sets) and all(one == wanted for one in sets)
            exact += right
            partial += bool(sets) and not right and all(one <= wanted for one in sets)
            if not right:
                inexact.append(f"{name} (seed {seed}): {sorted(map(str, named))}")
        further = [runs[one].result().further for one in ids]
        totals = [a + b for a, b in zip(totals, (len(ids), exact, partial), strict=True)]
        rows.append(
            [f"refused for {number} together", len(ids), exact, partial, mean(further), max(further, default=0)]
        )
    all_further = [one.result().further for one in runs.values()]
    rows.append(["all", *totals, mean(all_further), max(all_further, default=0)])
    table(
        "2. Isolation",
        ("parameters", "n", "culprits exact", "some, no other", "further requests, mean", "maximum"),
        rows,
    )
    print("not exact:", "; ".join(inexact) or "none", flush=True)
    return [one.result() for one in runs.values()]


def money(groups: Mapping[str, Sequence[Ours]]) -> None:
    """The third table."""
    rows: list[list[object]] = []
    whole = [one for part in groups.values() for one in part]
    for name, runs in {**groups, "all runs": whole}.items():
        doubtful = sum(one.told != one.billed and one.unknown_charge > 0 for one in runs)
        rows.append(
            [
                name, len(runs), sum(one.told == one.billed for one in runs), doubtful,
                sum(one.told.paid for one in runs), sum(one.billed.paid for one in runs),
                f"{sum(one.told.usd for one in runs):.2f}", f"{sum(one.billed.usd for one in runs):.2f}",
            ]
        )  # fmt: skip
    columns = (
        "report against ledger",
        "n",
        "equal",
        "unequal, said unknown",
        "paid: report",
        "ledger",
        "USD: report",
        "ledger",
    )
    table("3. Money (equal: paid requests, images asked for and USD)", columns, rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one target, few faults: shows that it runs")
    amount = QUICK if parser.parse_args().quick else FULL
    with ProcessPoolExecutor(JOBS) as pool:
        money({"detection": detection(amount, pool), "isolation": isolation(amount, pool)})


if __name__ == "__main__":
    main()
