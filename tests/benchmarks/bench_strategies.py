"""How fast requests are drawn from a spec: our public strategies beside Schemathesis' generator, on the same spec files.

Measured, nothing sent: examples a second of ``strategies.requests``, of ``strategies.invalid_requests``, and of what
``schemathesis.openapi`` makes of the same submit's operation; then, of the bodies drawn, the share that the document's own
schema allows (for valid ones) or that break it in exactly one place (for invalid ones).

How: Hypothesis' generate phase, without a database, ``EXAMPLES`` of each in turns; the median of ``TURNS`` turns in processor
time, in one process. Making the strategy is not counted.

How to read it: take the ratio. Schemathesis draws whole requests (headers and all), and images as strings that no provider
can fetch; ours draws bodies whose images exist.

Decides: whether a property test of a user's own can afford our strategies.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from jsonschema import Draft202012Validator

from harness import strategies
from harness.spec import Spec, find

EXAMPLES, TURNS = 200, 3


def drawn(strategy: SearchStrategy[Any], number: int) -> tuple[float, list[Any]]:
    """Examples a second of processor time, and the examples."""
    found: list[Any] = []

    @settings(
        max_examples=number,
        database=None,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(example: Any) -> None:
        found.append(example)

    began = time.process_time()
    draw()
    return len(found) / (time.process_time() - began), found


def of_schemathesis(spec: Spec) -> SearchStrategy[Any]:
    """What Schemathesis draws for the submit of the default flow."""
    schema: Any = schemathesis.openapi.from_path(str(spec.path))
    wanted = spec.default_flow.submit.operation
    found = (one.ok() for one in schema.get_all_operations())
    strategy: SearchStrategy[Any] = next(
        one for one in found if (one.method.upper(), one.path) == (wanted.method, wanted.path)
    ).as_strategy()
    return strategy


def places(validator: Draft202012Validator, body: Any) -> int:
    """How many parameters of a body break the schema; the body itself counts as one."""
    return len({error.absolute_path[0] if error.absolute_path else None for error in validator.iter_errors(body)})


def main() -> None:
    """Draw, count and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one target, few examples: shows that it runs")
    quick = parser.parse_args().quick
    number, turns = (20, 1) if quick else (EXAMPLES, TURNS)
    makers: dict[str, Callable[[Spec], SearchStrategy[Any]]] = {
        "ours": strategies.requests, "invalid": strategies.invalid_requests, "Schemathesis": of_schemathesis,
    }  # fmt: skip
    head = f"{'target':38}" + "".join(f"{name + ' /s':>16}" for name in makers)
    head += f"{'ours ÷ theirs':>15}{'valid':>8}{'one fault':>11}{'theirs valid':>14}"
    print(head, "-" * len(head), sep="\n")
    for spec in find(())[: 1 if quick else None]:
        made = {name: make(spec) for name, make in makers.items()}
        runs = [{name: drawn(strategy, number) for name, strategy in made.items()} for _ in range(turns)]
        speed = {name: statistics.median(run[name][0] for run in runs) for name in made}
        validator = Draft202012Validator(dict(spec.input_schema))
        last = {name: examples for name, (_, examples) in runs[-1].items()}
        valid = sum(not places(validator, body) for body in last["ours"]) / len(last["ours"])
        single = sum(places(validator, one.body) == 1 for one in last["invalid"]) / len(last["invalid"])
        theirs = sum(not places(validator, case.body) for case in last["Schemathesis"]) / len(last["Schemathesis"])
        print(
            f"{spec.target:38}" + "".join(f"{speed[name]:16.0f}" for name in makers)
            + f"{speed['ours'] / speed['Schemathesis']:15.2f}{valid:8.0%}{single:11.0%}{theirs:14.0%}",
            flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
