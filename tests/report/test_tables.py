"""Findings and measurements as CSV and Parquet."""

import csv
import io
import math

import pyarrow.parquet as pq
import pytest

from harness.model import Fact
from harness.report.tables import as_csv, as_parquet, tables
from tests.report import runs

FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", " =1+1", "\t=1+1", "\r=1+1", '=HYPERLINK("http://x")')


def rows(table):
    return list(csv.DictReader(io.StringIO(as_csv(table), newline="")))


def test_every_finding_and_every_measurement_is_a_row():
    """As many as report.json and the samples have; seconds and places as they are there."""
    result = runs.realistic()
    findings, measurements = map(rows, tables(result))
    reported = [one for target in result.document["targets"].values() for one in target["findings"]]
    assert [row["message"] for row in findings] == [one["message"] for one in reported]
    assert findings[0]["where"] == reported[0]["source"]["where"]
    samples = [
        (phase, sample) for target in result.targets for phase, all_ in target.samples.items() for sample in all_
    ]
    assert len(measurements) == len(samples)
    for row, (phase, sample) in zip(measurements, samples, strict=True):
        assert row["phase"] == phase
        assert row["censored"] == ("true" if math.isinf(sample.high) else "false")
        assert math.isinf(sample.high) or (float(row["low_s"]), float(row["high_s"])) == (sample.low, sample.high)
    assert {(row["mode"], row["recorded_from"]) for row in findings + measurements} == {("replay", "live")}


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text):
    """A spreadsheet shows it as text; what it was can still be read."""
    of = runs.spec("fal/flux-pro-kontext-multi")
    said = runs.finding("error_shape", runs.FAIL, text, text, text, text, Fact(text, text, text))
    result = runs.run(runs.target_result(of, of.default_flow, [runs.refused(of, text, text, said)], {}, {}, {}, ""))
    (row,) = rows(tables(result)[0])
    for name in ("message", "parameter", "expected", "observed", "document", "where", "states"):
        assert not row[name].lstrip().startswith(("=", "+", "-", "@"))
        assert text.strip() in row[name]


def test_hostile_text_stays_in_its_cell():
    """No control character, no bidi control, no lone surrogate; a row stays a row."""
    table, _ = tables(runs.hostile())
    text = as_csv(table)
    text.encode()
    assert not set(text.replace("\r\n", "")) & {chr(n) for n in (*range(32), 127, 0x202E, 0x2066)}
    assert len(rows(table)) == len(table.rows)


def test_parquet_holds_the_same_values_with_their_types():
    """Numbers are numbers; what is not known is null."""
    for table in tables(runs.realistic()):
        read = pq.read_table(io.BytesIO(as_parquet(table)))
        assert read.column_names == list(table.columns)
        assert [tuple(row.values()) for row in read.to_pylist()] == [tuple(row) for row in table.rows]
    assert (
        str(pq.read_table(io.BytesIO(as_parquet(tables(runs.realistic())[1]))).schema.field("low_s").type) == "double"
    )
    as_parquet(tables(runs.hostile())[0])
