"""docs/threats.md names tests that exist, and every threat has some."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = [line for line in (ROOT / "docs" / "threats.md").read_text("utf-8").splitlines() if re.match(r"\| \d", line)]


def test_every_threat_names_tests_that_exist():
    """A test that was renamed or dropped leaves no promise behind."""
    named = {row: re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row) for row in TABLE}
    files = {path for tests in named.values() for path, _ in tests}
    defined = {
        path: {
            node.name for node in ast.parse((ROOT / path).read_text("utf-8")).body if isinstance(node, ast.FunctionDef)
        }
        for path in files
    }
    missing = [f"{path}::{name}" for tests in named.values() for path, name in tests if name not in defined[path]]
    assert missing == []
    assert (len(TABLE) >= 15, [row for row, tests in named.items() if not tests]) == (True, [])


def test_every_guard_that_can_be_removed_is_where_the_script_looks_for_it():
    """``check_guards.py`` would otherwise be found broken only by hand."""
    from tests.benchmarks.check_guards import GUARDS

    counts = {guard.name: (ROOT / guard.file).read_text("utf-8").count(guard.here) for guard in GUARDS}
    assert {name: count for name, count in counts.items() if count != 1} == {}
    assert len(GUARDS) >= 10
