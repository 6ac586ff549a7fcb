"""Which JSON Schemas can be planned: how many, how fast, for how many requests, and why the others are refused.

Measured, nothing sent:

1. ``SCHEMAS`` request schemas drawn by Hypothesis: objects of up to eight parameters, of every type, with ranges, lengths,
   patterns, choices, lists, nested objects, alternatives, null, and rules between parameters.
2. The schemas in a folder, where one is named: OpenAPI documents (each JSON or form body of theirs), or files with the
   schema of a request as their ``input`` or as a component of that name.

How: each is planned in each tier by ``harness.planning.bare``, on the schema alone: no roles, no price. Every body of every
plan is validated against the schema as it stands in the file, by jsonschema and with no code of the harness. Times are
processor times of a plan, the schema's parsing left out. A first plan that draws from a pattern pays for the table of
Unicode that Hypothesis keeps; it is drawn before the clock starts.

How to read it: a refusal is right where a schema allows nothing; the sentence says where. Requests are those of a plan
without prices: a list of a thousand styles is a thousand values.

Decides: whether a new endpoint can be planned before anybody has written a spec for it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from harness.planning.bare import METHODS, plan_schema
from harness.planning.drawing import drawn, matching
from harness.planning.schemas import Unplannable
from harness.spec.load import inline
from harness.strict import escape, resolve

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
from tests.schemas import requests

SCHEMAS = 200
Source = tuple[str, Any, str]
"""A name, a document, and the place of a schema in it."""


def random_schemas(number: int) -> Iterator[Source]:
    """Request schemas drawn by Hypothesis, the same ones each time."""
    for n in range(number):
        yield f"random {n}", drawn(requests(), ("bench", n)), ""


def schemas_in(folder: Path) -> Iterator[Source]:
    """The request schemas of the documents in a folder."""
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        if "input" in document:
            yield path.name, document, "/input"
        elif "paths" not in document and "Input" in document.get("components", {}).get("schemas", {}):
            yield path.name, document, "/components/schemas/Input"
        for url, item in document.get("paths", {}).items():
            for method, operation in item.items():
                body = operation.get("requestBody", {}) if isinstance(operation, dict) else {}
                for kind, media in body.get("content", {}).items():
                    if "schema" in media:
                        at = f"/paths/{escape(url)}/{method}/requestBody/content/{escape(kind)}/schema"
                        yield f"{path.name} {method} {url}", document, at


def invalid(document: Any, pointer: str, bodies: Any) -> int:
    """How many bodies a schema does not allow."""
    validator = Draft202012Validator(inline(document, resolve(document, pointer), f"#{pointer}"))
    return sum(not validator.is_valid(body) for body in bodies)


def measured(title: str, sources: list[Source]) -> None:
    """Plan, validate, print."""
    refused: Counter[str] = Counter()
    rows = []
    for tier in METHODS:
        seconds, sizes, wrong = [], [], 0
        for name, document, pointer in sources:
            began = time.process_time()
            try:
                planned = plan_schema(document, pointer, tier=tier)
            except Unplannable as reason:
                refused[f"{name}: {reason}"] += 1
                continue
            seconds.append(time.process_time() - began)
            sizes.append(len(planned.bodies))
            wrong += invalid(document, pointer, planned.bodies)
        rows.append(
            f"{tier:10}{len(sizes):9}{len(sizes) / len(sources):8.1%}{1000 * statistics.median(seconds):11.0f}"
            f"{1000 * max(seconds):9.0f}{statistics.median(sizes):18.0f}{max(sizes):6}{wrong:9}"
        )
    print(f"\n{title}: {len(sources)} schemas; refused: {len(refused)}", *sorted(refused), sep="\n  ")
    head = f"{'tier':10}{'planned':>9}{'share':>8}{'median ms':>11}{'max ms':>9}{'requests, median':>18}{'max':>6}{'invalid':>9}"
    print(head, "-" * len(head), *rows, sep="\n", flush=True)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="published schemas to plan as well")
    parser.add_argument("--quick", action="store_true", help="few schemas: shows that it runs")
    arguments = parser.parse_args()
    matching("^[a-z]$")
    measured("1. Drawn by Hypothesis", list(random_schemas(10 if arguments.quick else SCHEMAS)))
    if arguments.folder:
        measured(f"2. In {arguments.folder}", list(schemas_in(arguments.folder)))


if __name__ == "__main__":
    main()
