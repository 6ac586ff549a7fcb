"""A run as SARIF 2.1.0, which GitHub's code scanning and editors show beside the spec.

Rules
-----
* ``render`` is a function of the run's result: equal results give equal bytes. ``tests/data/sarif.schema.json`` is the part
  of the format that is used, with what GitHub requires beyond it.
* A failure is an error, a warning a warning, and what could not be judged a note.
* Of each kind no more results than ``MOST`` are told, which is what GitHub takes; report.json has them all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice

from harness.checks import CHECKS
from harness.model import Json
from harness.report import text
from harness.report.annotations import Remark, remarks
from harness.report.results import RunResult

LEVELS = {"fail": "error", "warn": "warning", "unknown": "note"}
MOST = 25_000
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_HOME = "https://github.com/image-api-harness/harness"


def render(result: RunResult) -> str:
    """The text of a SARIF file."""
    run = result.document["run"]
    found = list(islice(remarks(result), MOST))
    rules = list(dict.fromkeys(remark.finding["check"] for remark in found))
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "image-api-harness",
                        "version": text.visible(run["harness_version"], 60),
                        "informationUri": _HOME,
                        "rules": [_rule(check) for check in rules],
                    }
                },
                "automationDetails": {"id": f"image-api-harness/{result.kind}/"},
                "results": [_result(remark, rules) for remark in found],
                "columnKind": "unicodeCodePoints",
                "properties": {name: run[name] for name in ("mode", "recorded_from", "recorded_at", "complete")},
            }
        ],
    }
    return json.dumps(log, ensure_ascii=True, indent=1) + "\n"


def _rule(check: str) -> Json:
    known = CHECKS.get(check)
    promise = ((known.__doc__ if known else None) or check).strip().splitlines()[0]
    return {"id": check, "shortDescription": {"text": promise}, "defaultConfiguration": {"level": "error"}}


def _result(remark: Remark, rules: Sequence[str]) -> Json:
    finding = remark.finding
    return {
        "ruleId": finding["check"],
        "ruleIndex": rules.index(finding["check"]),
        "level": LEVELS[finding["verdict"]],
        "message": {"text": remark.said},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": remark.path, "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": remark.line},
                },
                "logicalLocations": [{"fullyQualifiedName": text.visible(finding["case_id"]), "kind": "object"}],
            }
        ],
        "partialFingerprints": {"imageApiHarness/v1": remark.fingerprint},
        "properties": {
            "verdict": finding["verdict"],
            "cases": remark.cases,
            "expected": text.visible(finding["expected"]),
            "observed": text.visible(finding["observed"]),
            "request": text.visible(text.command(finding["request"], 4000), 4000),
        },
    }
