"""A run as a badge: the JSON that shields.io turns into a picture (its endpoint badge).

Rules
-----
* A simulated or replayed verdict says so, and a simulated one is grey: nobody takes it for a provider's.
* The message counts targets, since a badge has room for one figure.
"""

from __future__ import annotations

import json

from harness.report import text
from harness.report.results import RunResult

COLOURS = {"pass": "brightgreen", "unknown": "yellow", "fail": "red"}
LABEL = {"check": "image API contract", "bench": "image API benchmark"}


def render(result: RunResult) -> str:
    """The text of a badge's JSON."""
    run, totals, targets = result.document["run"], result.document["totals"], result.document["targets"]
    verdict = totals["verdict"]
    number = sum(target["verdict"] == verdict for target in targets.values())
    told = (
        f"{number} of {len(targets)} {verdict}" if verdict != "pass" else f"{text.count(len(targets), 'target')} pass"
    )
    simulated, replayed = text.is_simulated(run), run["mode"] == "replay"
    badge = {
        "schemaVersion": 1,
        "label": LABEL[result.kind],
        "message": f"{told} (simulated)" if simulated else f"{told} (recorded)" if replayed else told,
        "color": "lightgrey" if simulated else COLOURS[verdict],
        "isError": verdict == "fail",
    }
    return json.dumps(badge, indent=1) + "\n"
