"""Findings and measurements as tables, for spreadsheets and data frames.

Rules
-----
* A table is columns with a type and rows in the report's order. CSV and Parquet hold the same values.
* Every row says which run and mode it is from, so that tables of several runs can be put together.
* In CSV a text that a spreadsheet would take for a formula begins with an apostrophe; what is not known is empty. Control
  characters are spelled out.
* A job that never completed has a lower bound, which is not known either, and no upper one: it is ``censored``.
* Parquet needs pyarrow, which is an extra; it is imported where it is written.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from harness.errors import UsageError
from harness.model import Json
from harness.report import text
from harness.report.results import RunResult

_FORMULA = ("=", "+", "-", "@")
_CELL = 10_000
"""Characters of a cell; a spreadsheet takes some thirty thousand."""


@dataclass(frozen=True)
class Table:
    """A table: ``columns`` maps names to ``str``, ``float``, ``int`` or ``bool``; None stands for what is not known."""

    name: str
    columns: Mapping[str, type]
    rows: Sequence[Sequence[Any]]


def tables(result: RunResult) -> tuple[Table, Table]:
    """The findings and the measurements of a run."""
    run = result.document["run"]
    origin = {"run": str, "mode": str, "recorded_from": str, "target": str}
    begin = (run["id"], run["mode"], run["recorded_from"])
    findings = dict.fromkeys(
        (
            "verdict",
            "check",
            "parameter",
            "case_id",
            "message",
            "expected",
            "observed",
            "document",
            "where",
            "states",
            "request",
        ),
        str,
    )
    measured = {"flow": str, "case_id": str, "phase": str, "low_s": float, "high_s": float, "censored": bool}
    return (
        Table("findings", origin | findings, [(*begin, *row) for row in _findings(result)]),
        Table("measurements", origin | measured, [(*begin, *row) for row in _measurements(result)]),
    )


def _findings(result: RunResult) -> Iterator[tuple[Any, ...]]:
    for name, target in result.document["targets"].items():
        for one in target["findings"]:
            source: Mapping[str, Json] = one["source"] or {}
            about = (
                one[part] for part in ("verdict", "check", "parameter", "case_id", "message", "expected", "observed")
            )
            cited = (source.get(part) for part in ("document", "where", "states"))
            yield name, *about, *cited, text.command(one["request"], _CELL)


def _measurements(result: RunResult) -> Iterator[tuple[Any, ...]]:
    for target in result.targets:
        for phase, samples in target.samples.items():
            for sample in samples:
                bounds = [bound if math.isfinite(bound) else None for bound in (sample.low, sample.high)]
                yield target.spec.target, target.flow.name, sample.case_id, phase, *bounds, math.isinf(sample.high)


def as_csv(table: Table) -> str:
    """A table as CSV (RFC 4180) in UTF-8, with a line of names."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([_cell(value) for value in row])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return value
    shown = text.visible(value, _CELL)
    # A spreadsheet skips blanks before it looks for a formula.
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def require_parquet() -> None:
    """Find out whether Parquet can be written.

    Raises:
        UsageError: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise UsageError("--parquet needs pyarrow: pip install 'image-api-harness[parquet]'")


def as_parquet(table: Table) -> bytes:
    """A table as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in table.columns.items()])
    columns = [[_text(row[place]) for row in table.rows] for place in range(len(table.columns))]
    arrays = [pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), out)
    return out.getvalue()


def _text(value: Any) -> Any:
    """A value as UTF-8 can hold it."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
