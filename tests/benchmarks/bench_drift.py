"""How often a provider that broke nothing is said to have broken a promise, when its infrastructure errs now and then.

Measured, per 1000 runs of the one-way plans of all shipped targets (about 200 cases): those with a new failure, when each
request to the API fails with a chance of 2 % (500, 502 with a page, 503, a timeout, a reset), by

* ``any error``: whatever is not a pass counts, as where an error is a failed assertion;
* ``one send``: a ``fail`` of the harness's checks in the candidate run, its confirmation of 5xx included;
* ``compare``: what ``harness compare --confirm`` calls a new failure: the cases in doubt are sent twice more, and fail where
  all three sends show it.

Then the same rule's power: of planted failures (an answer that repeats another prompt), the share found under the same errors.

How: a healthy run of the simulator is made once in virtual time; errors are put in the place of its answers, outcomes are
worked out again by the flow, and the calls that were touched are judged again by the checks and digested. ``whole`` runs are
judged and digested from beginning to end, and have to say the same.

Decides: ``SENDS`` of ``harness.compare.drift``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache

from harness.checks import judge
from harness.checks.evidence import Anchor
from harness.compare.contract import Contract, Found, contract_of
from harness.compare.drift import SENDS, Drift, drift
from harness.flow import Route
from harness.model import Call, Exchange, Failure, Judged, Reply, Response
from harness.report import document
from harness.report.results import TargetResult
from harness.targets import Request
from tests.calls import SPECS, Seen, again, simulated

TODAY = date(2026, 12, 1)
RATE = 0.02
API = ("submit", "status", "result", "probe")
PAGE = b"<html><h1>Bad gateway</h1></html>"
ERRORS: Sequence[Reply] = (
    Response(500, {"content-type": "application/json"}, b'{"detail": "oops"}'),
    Response(502, {"content-type": "text/html"}, PAGE),
    Response(503, {"content-type": "text/html"}, PAGE),
    Failure("timeout", "the answer did not come in time", True),
    Failure("reset", "the connection was closed", True),
)


@dataclass(frozen=True)
class Target:
    """A target's healthy run: its result, its contract, and the calls by case."""

    result: TargetResult
    contract: Contract
    route: Route
    anchor: Anchor


@cache
def healthy(names: tuple[str, ...]) -> tuple[Target, ...]:
    """Targets as they are, from one run."""
    run = simulated(Request("simulate"), *(SPECS[name] for name in names))
    history = run.history
    found = document.build(history, SPECS)
    made = []
    for target in found.targets:
        route = Route(target.spec, target.flow, target.base_url)
        options = history.header["targets"][target.spec.target]
        anchor = Anchor(history.header["anchor_ns"], datetime.fromisoformat(options["anchor_at"]))
        made.append(Target(target, contract_of(target, "check"), route, anchor))
    return tuple(made)


def hit(rng: random.Random, target: Target, call: Call, rate: float) -> Call:
    """The call with errors in the place of some answers, ended as the flow would end it."""
    exchanges = [_hit(rng, exchange, rate) for exchange in call.exchanges]
    if all(new is old for new, old in zip(exchanges, call.exchanges, strict=True)):
        return call
    probes = [exchange for exchange in exchanges if exchange.step == "probe"]
    if not any(exchange.step == "submit" for exchange in exchanges):
        return replace(call, exchanges=tuple(exchanges))
    done = again(Seen(target.route, call), [exchange for exchange in exchanges if exchange.step != "probe"]).call
    return replace(done, exchanges=(*done.exchanges, *probes))


def _hit(rng: random.Random, exchange: Exchange, rate: float) -> Exchange:
    if exchange.step not in API or rng.random() >= rate:
        return exchange
    return replace(exchange, reply=rng.choice(ERRORS))


def lies(call: Call) -> Call:
    """The call with another prompt in its last answer."""
    step = "result" if call.of("result") else "submit"
    exchanges = []
    for exchange in call.exchanges:
        response = exchange.response
        if exchange.step == step and response is not None and response.status < 300:
            value = json.loads(response.body)
            value["prompt"] = "something else"
            exchanges.append(replace(exchange, reply=replace(response, body=json.dumps(value).encode())))
        else:
            exchanges.append(exchange)
    return replace(call, exchanges=tuple(exchanges))


def judged(
    rng: random.Random,
    target: Target,
    cases: frozenset[str] | None,
    *,
    whole: bool = False,
    lying: bool = False,
    rate: float = RATE,
) -> Contract:
    """What one send of some cases (None: all) finds out; ``whole``: by judging every call."""
    made, calls = list[Judged](), list[Call]()
    for one in target.result.judged:
        if one.call is None or (cases is not None and one.case.id not in cases):
            continue
        told = lies(one.call) if lying and one.case.kind == "accept" else one.call
        call = hit(rng, target, told, rate)
        if call is one.call and not whole:
            made.append(one)
            continue
        calls.append(call)
        submits = [exchange.response for exchange in call.of("submit")]
        if submits and submits[-1] is not None and submits[-1].status >= 500:
            calls.append(replace(hit(rng, target, told, rate), id=f"{call.id}-again", derived="confirmation"))
    plan = target.result.plan
    named = {call.case.id for call in calls}
    mine = replace(plan, cases=tuple(case for case in plan.cases if case.id in named))
    touched = judge(target.route, mine, calls, target.anchor)
    if whole:
        return contract_of(replace(target.result, judged=touched), "check")
    changed = contract_of(replace(target.result, judged=touched, plan=plan), "check")
    left = {one.case.id.removeprefix(f"{plan.target}/") for one in made}
    before = [found for found in target.contract.findings if left & set(found.cases)]
    findings = {found.fingerprint: found for found in (*before, *changed.findings)}
    answers = {name: said for name, said in target.contract.answers.items() if name in left}
    return replace(
        changed,
        findings=tuple(findings.values()),
        answers={**answers, **changed.answers},
        fields=target.contract.fields,
    )


def run(job: tuple[tuple[str, ...], int, bool, bool]) -> Counter[str]:
    """One candidate run, and what each rule makes of it."""
    names, seed, whole, lying = job
    found = Counter(runs=1)
    for number, target in enumerate(healthy(names)):
        rng = random.Random(seed * 100 + number)
        first = judged(rng, target, None, whole=whole, lying=lying)
        found["any error"] |= bool(first.undecided or _failing(first))
        found["one send"] |= bool(_failing(first))
        doubt = _drift(target, [first]).weighing("unconfirmed")
        sends = [first]
        if doubt:
            prefix = target.result.plan.target
            cases = frozenset(f"{prefix}/{case}" for change in doubt if change.after for case in change.after.cases)
            sends += [judged(rng, target, cases, whole=whole, lying=lying) for _ in range(SENDS - 1)]
        new = _drift(target, sends).weighing("regressed")
        found["compare"] |= bool(new)
        found["prompt"] += any(change.fingerprint.check == "prompt_echo" for change in new)
    return found


def _failing(contract: Contract) -> list[Found]:
    return [found for found in contract.findings if found.verdict == "fail"]


def _drift(target: Target, sends: Sequence[Contract]) -> Drift:
    return drift([target.contract] * 8, sends, live=True, today=TODAY)


def main() -> None:
    """Draw errors, judge, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--whole", type=int, default=10, help="runs that are judged from beginning to end too")
    parser.add_argument("--quick", action="store_true", help="a few runs")
    options = parser.parse_args()
    number, whole = (2, 1) if options.quick else (options.runs, options.whole)
    planted, names = max(2, number // 10), tuple(SPECS)[1:2] if options.quick else tuple(SPECS)
    healthy(names)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        alarms = pool.map(run, [(names, seed, False, False) for seed in range(number)], chunksize=4)
        counted = sum(alarms, Counter[str]())
        lied = sum(pool.map(run, [(names, seed, False, True) for seed in range(planted)], chunksize=4), Counter[str]())
        jobs = [[(names, seed, whole_way, False) for seed in range(whole)] for whole_way in (False, True)]
        same = sum(one == other for one, other in zip(*(list(pool.map(run, some)) for some in jobs), strict=True))
    cases = sum(len(target.result.judged) for target in healthy(names))
    print(f"{number} runs of {cases} cases, {RATE:.0%} of the requests fail; per 1000 runs")
    rules = ("any error", "one send", "compare")
    print(f"{'':46}" + "".join(f"{rule:>12}" for rule in rules))
    print("-" * (46 + 12 * len(rules)))
    print(f"{'runs with a false new failure':46}" + "".join(f"{counted[r] * 1000 / number:12.0f}" for r in rules))
    echoing = sum(map(_echoes, healthy(names)))
    print(f"{'planted failures found, per 1000':46}{'':24}{lied['prompt'] * 1000 / (planted * echoing):12.0f}")
    print(f"runs that say the same when judged whole: {same} of {whole}")


def _echoes(target: Target) -> bool:
    """Whether the planted failure is one at this target, where nothing else goes wrong."""
    found = judged(random.Random(0), target, None, lying=True, rate=0.0)
    return any(one.fingerprint.check == "prompt_echo" for one in _failing(found))


if __name__ == "__main__":
    main()
