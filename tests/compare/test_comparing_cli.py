"""``baseline``, ``trend``, ``versus``, ``plan --detect`` and ``specs diff`` on the command line."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest

from harness.compare import numbers, power
from harness.compare.baseline import KEPT
from harness.compare.digest import Digest, Figure, share
from harness.compare.names import COST, ERRORS, QUANTILES
from tests.calls import FAL
from tests.compare import histories
from tests.compare.test_compare_cli import Command, harness, place

__all__ = ["harness", "place"]
BASELINE = "harness-baseline.json"


def test_a_baseline_is_kept_compared_with_and_shown(
    place: Path, tmp_path: Path, harness: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs go in; the file alone then serves as the baseline, with the same verdict as the runs themselves."""
    monkeypatch.chdir(tmp_path)
    assert harness("baseline", "update", place / "base")[:2] == (
        0, "harness-baseline.json: 6 digests, 0 accepted failures\n",
    )  # fmt: skip
    by_file = harness("compare", BASELINE, "--candidate", place / "slow", "--json")
    by_runs = harness("compare", place / "base", "--candidate", place / "slow", "--json")
    assert by_file == by_runs
    assert by_file[0] == 1
    status, out, _ = harness("baseline", "show")
    assert (status, out.splitlines()[0]) == (0, f"{FAL.target}: 6 bench runs, 2026-11-01 to 2026-11-06, live")
    status, out, _ = harness("baseline", "update", place / "simulated")
    assert (status, out) == (0, "harness-baseline.json: 7 digests, 0 accepted failures\n")
    assert harness("compare", BASELINE, "--candidate", place / "slow", "--json") == by_runs


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("baseline", "show"), 4, "cannot read harness-baseline.json"),
        (("baseline", "update", "nowhere"), 4, "is no run directory and holds none"),
        (("baseline", "update", "--accept", "0123"), 2, "--accept needs --reason and --until"),
        (("baseline", "update", "--reason", "x"), 2, "belong to --accept"),
        (("baseline", "update"), 2, "there is nothing to add"),
        (("baseline", "update", "--accept", "0", "--reason", "x", "--until", "2020-01-01"), 2, "2020-01-01 has passed"),
        (("baseline", "update", "--accept", "0123", "--reason", "x", "--until", "2026-12-31"), 2, "is no failure"),
        (("baseline", "update", "--accept", "0", "--reason", "x", "--until", "soon"), 2, "does not match the format"),
        (("trend", "nowhere"), 4, "is no run directory and holds none"),
        (("versus", "fal", "wavespeed"), 2, "there is nothing to look at"),
        (("versus", "fal", "umodelverse", "--live"), 2, "name 3 targets: name two"),
        (("plan", "fal", "--detect", "mean=10%"), 2, "is not of the form p50=10%"),
        (("plan", "fal", "--detect", "p50=ten"), 2, "is not a percentage such as 10%"),
        (("plan", "fal", "--past", "x"), 2, "--past belongs to --detect"),
        (("plan", "fal", "--flow", "sync", "--detect", "queue=50%"), 2, "cannot show queue p50 by its flow sync: "),
        (("specs", "diff", "umodelverse", "fal"), 2, "umodelverse is 2 targets"),
        (("specs", "diff", "fal", "./nowhere.yaml"), 4, "cannot read the spec"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], *, status: int, says: str
) -> None:
    """What, where, what to do; nothing on standard output."""
    monkeypatch.chdir(tmp_path)
    found = harness(*words)
    assert (found[0], found[1], found[2].count("\n")) == (status, "", 1)
    assert says in found[2]


def test_a_trend_of_a_folder(place: Path, tmp_path: Path, harness: Command) -> None:
    """Too few runs for a change; the page is written, JSON holds every run."""
    page = tmp_path / "trend.html"
    status, out, _ = harness("trend", place / "base", "--html", page)
    assert (status, "too few runs to look for changes: 20 are needed" in out) == (0, True)
    assert "<svg" in page.read_text("utf-8")
    (found,) = json.loads(harness("trend", place / "base", "--json")[1])["trends"]
    assert [one["run"] for one in found["runs"]] == [f"run-{number}" for number in range(6)]


def test_a_change_is_planned_from_how_past_runs_varied(place: Path, harness: Command) -> None:
    """Runs, requests, price; steadier past runs need fewer, and what is assumed is said."""
    status, out, _ = harness("plan", "fal", "--detect", "p50=50%")
    assert (status, "assumed, since no past runs are named" in out) == (0, True)
    (assumed,) = json.loads(harness("plan", "fal", "--detect", "p50=50%", "--json")[1])["detections"]
    words = ("plan", "fal", "--detect", "p50=50%", "--past", place / "base", "--json")
    (found,) = json.loads(harness(*words)[1])["detections"]
    assert (found["past_runs"], assumed["past_runs"]) == (6, 0)
    assert (
        found["needed"]["runs"] * found["needed"]["requests"]
        < assumed["needed"]["runs"] * assumed["needed"]["requests"]
    )
    assert found["usd"] == pytest.approx(0.04 * found["needed"]["runs"] * found["needed"]["requests"])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (
            ("fal", "--flow", "sync", "--past", "{base}"),
            "no past run is a live bench of fal/flux-pro-kontext-multi (sync)",
        ),
        (("fal", "--past", "{simulated}"), "no past run is a live bench of fal/flux-pro-kontext-multi (queue)"),
        (("fal", "--past", "{slow}"), "of the past runs like the newest 1 have a finite total p50, and 5 are needed"),
    ],
)
def test_past_runs_that_tell_nothing_are_said_to(
    place: Path, harness: Command, words: tuple[str, ...], why: str
) -> None:
    """Of another flow, not live, or too few: the reason why a typical variation is assumed."""
    filled = [word.format(**{name: place / name for name in ("base", "simulated", "slow")}) for word in words]
    (found,) = json.loads(harness("plan", *filled, "--detect", "p50=50%", "--json")[1])["detections"]
    assert (found["past_runs"], found["assumed"]) == (0, why)


def test_a_plan_is_kept_by_a_baseline_file() -> None:
    """No plan asks for more baseline runs than a file keeps."""
    for change in (0.05, 0.1, 0.2, 0.5):
        need = power.needed(power.typical(0.5), math.log1p(change), 0, math.log1p(change / 2))
        assert need is None or need.baseline <= KEPT


def test_a_number_tested_with_others_is_planned_for_at_their_level() -> None:
    """What the plan asks for shows the change nine times in ten, by the whole comparison with all numbers."""
    rng, change, name = random.Random(1), 0.8, "queue p50"
    varies = power.typical(0.5)
    need = power.needed(varies, math.log1p(change), 0, math.log1p(change / 2), level=numbers.level_of(name))
    assert need is not None
    deviation = math.sqrt(varies.of(need.requests))

    def drawn(runs: int, effect: float) -> list[Digest]:
        empty = histories.digest(0, {"total": [], "queue": [], "inference": []})
        quiet = {ERRORS: share(0, need.requests), COST: Figure(0.04, 0.01, need.requests)}
        return [
            replace(
                empty,
                figures=quiet
                | {
                    one: Figure(
                        math.exp(1.6 + rng.gauss(0, deviation) + effect * (one == name)),
                        varies.request / need.requests,
                        need.requests,
                    )
                    for one in QUANTILES
                },
            )
            for _ in range(runs)
        ]

    hits = 0
    for _ in range(200):
        pair = drawn(need.baseline, 0.0), drawn(need.runs, math.log1p(change))
        found = {one.name: one.word for one in numbers.metrics(*pair, change / 2)}
        hits += found[name] == "regressed"
    assert hits / 200 > 0.84


def test_what_no_number_of_runs_shows_is_said() -> None:
    """Runs that differ by half of themselves hide a change of a tenth."""
    rng = random.Random(3)
    logs = [rng.gauss(0, 0.5) for _ in range(12)]
    varies = power.variation([Figure(5.0, 0.004, 20)] * 12, logs)
    assert power.needed(varies, 0.095, 12, 0.05) is None


def test_two_targets_of_old_runs(place: Path, harness: Command) -> None:
    """No run here measured both."""
    status, out, _ = harness("versus", "fal", "wavespeed", "--runs", place / "base")
    assert (status, "no valid run measured both" in out) == (3, True)


def test_specs_differ_in_words_and_as_json(harness: Command, tmp_path: Path) -> None:
    """The same differences; reading them is not a failure."""
    other = tmp_path / "other.yaml"
    other.write_bytes(FAL.text.replace(b"maximum: 20", b"maximum: 10"))
    status, out, _ = harness("specs", "diff", "fal", other)
    assert (status, "breaking: request: guidance_scale has to be at most 10" in out) == (0, True)
    value = json.loads(harness("specs", "diff", "fal", other, "--json")[1])
    assert (value["schema_version"], value["level"]) == (1, "breaking")
