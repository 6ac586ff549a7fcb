"""A run as GitLab reads code quality: remarks in a merge request, beside the spec.

Rules
-----
* ``render`` is a function of the run's result: equal results give equal bytes. ``tests/data/codequality.schema.json`` is the
  part of Code Climate's format that GitLab documents.
* GitLab drops a remark whose fingerprint it has seen in the same file; ours differ.
"""

from __future__ import annotations

import json

from harness.report.annotations import remarks
from harness.report.results import RunResult

SEVERITIES = {"fail": "major", "warn": "minor", "unknown": "info"}


def render(result: RunResult) -> str:
    """The text of a code quality report."""
    found = [
        {
            "description": remark.said,
            "check_name": remark.finding["check"],
            "fingerprint": remark.fingerprint,
            "severity": SEVERITIES[remark.finding["verdict"]],
            "location": {"path": remark.path, "lines": {"begin": remark.line}},
        }
        for remark in remarks(result)
    ]
    return json.dumps(found, ensure_ascii=True, indent=1) + "\n"
