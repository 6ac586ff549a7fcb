"""What a tier covers for how many paid requests and images, beside other generators, and which planted faults it meets.

Measured, on the default flow of each shipped target, nothing sent but what Schemathesis sends to a simulator:

1. Each tier: requests, images, the shares of labels, pairs of classes and pairs of labels that are sent; the share of
   pairs of classes that undisputed values have and that are sent in requests which nobody contests; the request with
   which the last label is sent; processor seconds.
2. Rejects by target and family: tier A, which the document forbids, and after a plus tier B, which it contests or is silent
   about; then those that are risky, which a live run sends only where they are allowed.
3. The same as 1. for others: ``covertable`` and PICT, the pairwise generators, in the package and in the program ``pict``, where
   they are installed; the coverage phase of Schemathesis; and chance: a label drawn for each parameter by Hypothesis, as
   many requests as ``core`` and as ``pairwise`` have.
4. Planted faults: an endpoint that refuses two, or three, values of different parameters together. Each is drawn by seed,
   of classes and of labels, from undisputed values; pairs of classes from those that ``core`` states to cover. A fault is
   met when a request that is surely to be accepted holds all of its values: the check on acceptance then fails, as
   ``tests/conformance`` proves. In brackets: met by any request, contested ones included.

How: domains are the plan's. Coverage is counted here, pair by pair, and by no code of the harness. covertable and PICT get
the labels as numbers; PICT shows the best of ``SEEDS`` seeds and covertable one run, which is always the same. Both know
neither prices nor contested values. What Schemathesis sends is read from its own report; a body's labels are those whose
values it has, as the faults of the simulator recognise them; bodies that the schema does not allow are not counted, since
nobody would bill them.

How to read it: the images of pairwise generators without prices are those of labels that merely fill up. Schemathesis
sends most of its requests to be refused, which is not counted against it. A triple is met by luck in every tier.

Decides: what a dollar buys in which tier, and whether our own generator is worth its lines.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations, product
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from harness.model import Case, Plan
from harness.planning import TIERS, build
from harness.planning.partitions import partition
from harness.simulator import Settings, spawned
from harness.simulator.faults.parameters import MISSING, _matches
from harness.spec import Spec, find

SPECS: Mapping[str, Spec] = {spec.target: spec for spec in find(())}
KEY = "benchmark-key-0123456789abcdef"
INSTANT = Settings(queue_seconds=0, inference_seconds=0, capacity=1_000_000)
SEEDS, FAULTS, SECONDS = 20, 100, 300
NOT_INSTALLED = "not installed"
Row = Mapping[str, str]
Values = tuple[tuple[str, str], ...]
"""Labels or classes of some parameters."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a generator sends to a target: rows of labels (some missing where a value has none), and what they cost.

    ``sure`` are the rows that no document contests.
    """

    rows: Sequence[Row]
    sure: Sequence[Row]
    images: int
    seconds: float | None = None


# Counting -----------------------------------------------------------------------------------------------------------


class Target:
    """One target: its domains, what its document contests, and a counter of what rows cover."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.domains = planned(spec, "one-way").domains
        labels = {p.name: {label.name: label for label in partition(p, spec)} for p in spec.parameters}
        self.labels = {name: domain for name, domain in labels.items() if name in self.domains}
        plain = {name: next(iter(domain)) for name, domain in self.domains.items()}
        cells = [(name, label) for name, domain in self.domains.items() for label in domain]
        self.contested = {(n, label) for n, label in cells if spec.contested(self.body({**plain, n: label}))}

    def body(self, row: Row) -> dict[str, Any]:
        """The request that a row stands for."""
        chosen = {name: self.labels[name][label] for name, label in row.items()}
        values = {name: label.value for name, label in chosen.items() if not label.absent}
        return {**self.spec.constants, **self.spec.default_flow.body, **values}

    def sent(self, rows: Sequence[Row], bodies: Sequence[Mapping[str, Any]] = (), seconds: float | None = None) -> Sent:
        """Some rows with what they cost, and those that are sure; ``bodies`` are theirs where they are not as planned."""
        bodies = bodies or [self.body(row) for row in rows]
        sure = [row for row, body in zip(rows, bodies, strict=True) if not self.spec.contested(body)]
        return Sent(rows, sure, sum(map(self.spec.images_asked, bodies)), seconds)

    def classes(self, row: Row) -> Row:
        """The class of each label of a row."""
        return {name: self.domains[name][label] for name, label in row.items()}

    def shares(self, sent: Sent) -> list[tuple[int, int]]:
        """Met and wanted: labels, pairs of classes, pairs of labels, pairs of undisputed classes in sure rows."""
        undisputed = {
            name: {label: kind for label, kind in domain.items() if (name, label) not in self.contested}
            for name, domain in self.domains.items()
        }
        as_classes = {name: set(domain.values()) for name, domain in self.domains.items()}
        sure_classes = {name: set(domain.values()) for name, domain in undisputed.items()}
        labels = {(name, label) for name, domain in self.domains.items() for label in domain}
        return [
            (len(labels.intersection({item for row in sent.rows for item in row.items()})), len(labels)),
            met([self.classes(row) for row in sent.rows], as_classes),
            met(sent.rows, self.domains),
            met([self.classes(row) for row in sent.sure], sure_classes),
        ]

    def complete(self, rows: Sequence[Row]) -> int | None:
        """The number of the row with which the last label is sent; None where one never is."""
        missing = {(name, label) for name, domain in self.domains.items() for label in domain}
        for number, row in enumerate(rows, 1):
            missing -= set(row.items())
            if not missing:
                return number
        return None


def met(rows: Sequence[Row], domains: Mapping[str, Any]) -> tuple[int, int]:
    """How many pairs of values of two parameters some row holds, of how many there are."""
    held = {pair for row in rows for pair in combinations(sorted(row.items()), 2)}
    wanted = [
        ((one, first), (two, second))
        for one, two in combinations(sorted(domains), 2)
        for first, second in product(domains[one], domains[two])
    ]
    return sum(pair in held for pair in wanted), len(wanted)


def planned(spec: Spec, tier: str, seed: int = 0) -> Plan:
    """A plan without rejects."""
    return build(spec, flow=spec.default_flow, tier=tier, seed=seed, usd_per_image=Decimal("0.04"), with_rejects=False)


# Generators ---------------------------------------------------------------------------------------------------------


def of_tier(tier: str) -> Callable[[Target], Sent]:
    """Ours."""

    def generate(target: Target) -> Sent:
        began = time.process_time()
        cases = [case for case in planned(target.spec, tier).cases if case.kind == "accept"]
        return target.sent([case.labels for case in cases], seconds=time.process_time() - began)

    return generate


def by_chance(number: Mapping[str, int]) -> Callable[[Target], Sent]:
    """As many rows as are asked for, each label drawn by Hypothesis."""

    def generate(target: Target) -> Sent:
        rows: list[Row] = []
        strategy = st.fixed_dictionaries({name: st.sampled_from(list(d)) for name, d in target.domains.items()})
        wanted = number[target.spec.target]

        @seeded(0)
        @settings(max_examples=wanted, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(strategy)
        def draw(row: Row) -> None:
            rows.append(row)

        began = time.process_time()
        draw()
        return target.sent(rows[:wanted], seconds=time.process_time() - began)

    return generate


def by_covertable(target: Target) -> Sent | None:
    """The pairwise rows of covertable, where it is installed."""
    try:
        covertable: Any = importlib.import_module("covertable")
    except ImportError:
        return None
    began = time.process_time()
    found = covertable.make({name: list(domain) for name, domain in target.domains.items()})
    return target.sent(found, seconds=time.process_time() - began)


def by_pict(target: Target) -> Sent | None:
    """The smallest pairwise rows of PICT under some seeds, where it is on the path."""
    program = shutil.which("pict")
    if program is None:
        return None
    names = list(target.domains)
    labels = [list(target.domains[name]) for name in names]
    with tempfile.TemporaryDirectory() as directory:
        model = Path(directory) / "model.txt"
        lines = [f"p{number}: {', '.join(map(str, range(len(domain))))}" for number, domain in enumerate(labels)]
        model.write_text("\n".join(lines) + "\n", encoding="utf-8")
        texts = [
            subprocess.run([program, model, f"/r:{seed}"], capture_output=True, text=True, check=True).stdout
            for seed in range(SEEDS)
        ]
    best = min((text.splitlines() for text in texts), key=len)
    order = [int(name.removeprefix("p")) for name in best[0].split("\t")]
    rows = [
        {names[place]: labels[place][int(value)] for place, value in zip(order, line.split("\t"), strict=True)}
        for line in best[1:]
    ]
    return target.sent(rows)


def by_schemathesis(target: Target) -> Sent:
    """The valid bodies that the coverage phase of Schemathesis sends."""
    spec = target.spec
    with tempfile.TemporaryDirectory() as directory, spawned([spec], INSTANT) as urls:
        report = Path(directory) / "events.ndjson"
        credential = spec.credential
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(spec.path.resolve())]
        command += ["--url", urls[f"{spec.provider}:{spec.default_flow.name}"], "--phases", "coverage"]
        command += ["-H", f"{credential.header}: {credential.scheme} {KEY}", "--workers", "1", "--seed", "1"]
        command += ["--continue-on-failure", "--no-color", "--report", "ndjson", "--report-ndjson-path", str(report)]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode in (0, 1), f"schemathesis did not run: {(done.stderr or done.stdout)[-500:]}"
        events = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    bodies = [body for event in events for body in _submitted(event)]
    validator = Draft202012Validator(dict(spec.input_schema))
    paid = [body for body in bodies if validator.is_valid(body)]
    return target.sent([_labels(target, body) for body in paid], paid)


def _submitted(event: Any) -> Iterator[dict[str, Any]]:
    """The bodies of the requests of an event: JSON objects; others are no submits, or not valid."""
    recorder = event.get("ScenarioFinished", {}).get("recorder") or {}
    for one in recorder.get("interactions", {}).values():
        body = (one["request"].get("body") or {}).get("$base64")
        try:
            value = json.loads(base64.b64decode(body)) if body else None
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def _labels(target: Target, body: Mapping[str, Any]) -> Row:
    """The labels whose values a body has."""
    found: dict[str, str] = {}
    parameters = {parameter.name: parameter for parameter in target.spec.parameters}
    for name, domain in target.labels.items():
        labels = list(domain.values())
        for label in labels:
            if _matches(label, parameters[name], labels)(body.get(name, MISSING)):
                found[name] = label.name
                break
    return found


# Tables -------------------------------------------------------------------------------------------------------------

COLUMNS = (
    "requests", "images", "labels", "pairs of classes", "pairs of labels", "uncontested", "complete with", "seconds",
)  # fmt: skip


def coverage(name: str, targets: Sequence[Target], sent: Sequence[Sent], *, each: bool) -> Iterator[list[str]]:
    """The row of a generator over all targets, after those of each target if asked for."""
    counted = [target.shares(one) for target, one in zip(targets, sent, strict=True)]
    complete = [target.complete(one.rows) for target, one in zip(targets, sent, strict=True)]
    for target, one, shares, last in zip(targets, sent, counted, complete, strict=True) if each else ():
        yield _line(f"{name}, {target.spec.target}", [one], shares, last)
    summed = [(sum(met for met, _ in part), sum(wanted for _, wanted in part)) for part in zip(*counted, strict=True)]
    latest = None if None in complete else max(number for number in complete if number is not None)
    yield _line(f"{name}, all" if each else name, sent, summed, latest)


def _line(name: str, sent: Sequence[Sent], shares: Sequence[tuple[int, int]], last: int | None) -> list[str]:
    seconds = [one.seconds for one in sent if one.seconds is not None]
    return [
        name,
        str(sum(len(one.rows) for one in sent)),
        str(sum(one.images for one in sent)),
        *(f"{100 * met / wanted:.1f} %" for met, wanted in shares),
        str(last or "never"),
        f"{sum(seconds):.2f}" if seconds else "",
    ]


@dataclass(frozen=True, slots=True)
class Fault:
    """Values that are refused together: labels, or classes."""

    target: Target
    values: Values
    of_classes: bool

    def met(self, row: Row) -> bool:
        """Whether a row holds all of the values."""
        held = self.target.classes(row) if self.of_classes else row
        return all(held.get(name) == value for name, value in self.values)


def drawn(targets: Sequence[Target], number: int, amount: int, *, of_classes: bool) -> list[Fault]:
    """So many faults of some parameters together, of uncontested values, no two alike."""
    rng = random.Random(number + 10 * of_classes)
    found: dict[tuple[str, Values], Fault] = {}
    while len(found) < amount:
        target = rng.choice(targets)
        names = sorted(rng.sample(sorted(target.domains), number))
        values = tuple((name, _drawn(target, name, rng, of_classes=of_classes)) for name in names)
        if number > 2 or not of_classes or _stated(target, values):
            found[target.spec.target, values] = Fault(target, values, of_classes)
    return list(found.values())


def _drawn(target: Target, name: str, rng: random.Random, *, of_classes: bool) -> str:
    sure = {label: kind for label, kind in target.domains[name].items() if (name, label) not in target.contested}
    return rng.choice(sorted(set(sure.values()) if of_classes else sure))


def _stated(target: Target, values: Values) -> bool:
    """Whether ``core`` states to cover a pair of classes: all but the dearest of the count, where nothing interacts."""
    count = target.spec.parameter("count")
    dearest = count is not None and (count.name, "max") in values
    return not dearest or any({name for name, _ in values} <= {*group} for group in target.spec.interactions)


def detection(targets: Sequence[Target], sent: Mapping[str, Sequence[Sent]], amount: int) -> Iterator[list[str]]:
    """A row for each kind of fault: how many each generator meets for sure, and in brackets how many it sends at all."""
    for number, of_classes in ((2, True), (2, False), (3, True), (3, False)):
        faults = drawn(targets, number, amount, of_classes=of_classes)
        line = [f"{'two' if number == 2 else 'three'} {'classes' if of_classes else 'labels'}", str(len(faults))]
        for parts in sent.values():
            of = {target.spec.target: one for target, one in zip(targets, parts, strict=True)}
            surely = sum(any(map(fault.met, of[fault.target.spec.target].sure)) for fault in faults)
            at_all = sum(any(map(fault.met, of[fault.target.spec.target].rows)) for fault in faults)
            line.append(f"{surely} ({at_all})")
        yield line


FAMILIES = ("type", "bound", "number", "member", "image", "body", "content-type", "method")
_OF_FAULT = {"missing": "type", "null": "type", "wrong-type": "type", "quoted": "type", "fraction": "type",
             "below": "bound", "above": "bound", "far": "bound", "beyond": "bound", "unknown": "member",
             "wrong-case": "member", "padded": "member", "empty": "member", "malformed": "member", "cut-short": "member",
             "doubled": "member", "full-width": "member"}  # fmt: skip


def rejects(targets: Sequence[Target]) -> Iterator[list[str]]:
    """How many rejects of each family a target is sent, and how many more where risky ones are allowed."""
    totals = Counter[tuple[str, str]]()
    for target in targets:
        spec = target.spec
        plans = [build(spec, flow=spec.default_flow, usd_per_image=Decimal(1), risky=risky) for risky in (False, True)]
        usual, all_of_them = ([case for case in plan.cases if case.tier] for plan in plans)
        counts = Counter((family(case), str(case.tier)) for case in usual)
        totals += counts + Counter({("risky", ""): len(all_of_them) - len(usual)})
        yield [spec.target, *_counted(counts), f"{len(usual)}", f"{len(all_of_them) - len(usual)}"]
    together = sum(number for (name, _), number in totals.items() if name != "risky")
    yield ["together", *_counted(totals), f"{together}", f"{totals['risky', '']}"]


def family(case: Case) -> str:
    """What a reject gets wrong."""
    if case.parameter is None:
        return case.id.split("/")[2]
    fault = (case.fault or "").removeprefix("second-").removeprefix("item-")
    return "number" if case.sending else next((of for word, of in _OF_FAULT.items() if fault.startswith(word)), "image")


def _counted(counts: Mapping[tuple[str, str], int]) -> Iterator[str]:
    for name in FAMILIES:
        forbidden, open_ = counts[name, "A"], counts[name, "B"]
        yield f"{forbidden} + {open_}" if open_ else f"{forbidden}"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose first column is its names."""
    widths = [max(len(row[n]) for row in [columns, *rows] if n < len(row)) for n in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        first, *rest = row
        cells = [text.rjust(width) for text, width in zip(rest, widths[1:], strict=False)]
        return "  ".join([first.ljust(widths[0]), *cells])

    print(f"\n{title}", line(columns), "-" * len(line(columns)), *map(line, rows), sep="\n", flush=True)


def main() -> None:
    """Generate, count and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one target, few faults: shows that it runs")
    quick = parser.parse_args().quick
    targets = [Target(spec) for spec in SPECS.values()][-1 if quick else 0 :]
    tiers = {tier: [of_tier(tier)(target) for target in targets] for tier in TIERS}
    rows = [row for tier, sent in tiers.items() for row in coverage(tier, targets, sent, each=True)]
    table("1. Tiers", ("tier, target", *COLUMNS), rows)

    sizes = {
        tier: {target.spec.target: len(one.rows) for target, one in zip(targets, tiers[tier], strict=True)}
        for tier in ("core", "pairwise")
    }
    table("2. Rejects", ("target", *FAMILIES, "together", "risky"), list(rejects(targets)))

    others: dict[str, Callable[[Target], Sent | None]] = {
        "covertable": by_covertable,
        f"PICT, best of {SEEDS} seeds": by_pict,
        "Schemathesis, coverage phase": by_schemathesis,
        "chance, as many as core": by_chance(sizes["core"]),
        "chance, as many as pairwise": by_chance(sizes["pairwise"]),
    }
    rows, chances = [], {}
    for name, generate in others.items():
        sent = [one for target in targets if (one := generate(target)) is not None]
        rows += coverage(name, targets, sent, each=False) if sent else [[name, NOT_INSTALLED]]
        if name.startswith("chance"):
            chances[name] = sent
    table("3. Others, all targets", ("generator", *COLUMNS), rows)

    met_by = {**tiers, **chances}
    faults = list(detection(targets, met_by, 10 if quick else FAULTS))
    title = "4. Planted faults met by a request that is surely to be accepted (by any)"
    table(title, ("refused together", "faults", *met_by), faults)


if __name__ == "__main__":
    main()
