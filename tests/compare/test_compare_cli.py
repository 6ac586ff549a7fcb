"""``harness compare`` from run directories to its exit status, its outputs, and a fresh batch before it fails."""

from __future__ import annotations

import json
import random
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness import cli, resources
from harness.compare import document, show
from harness.compare.confirm import Places, batch, doubtful, sent
from harness.compare.contract import Fingerprint, Found
from harness.compare.digest import digests
from harness.compare.sources import candidates_of
from harness.compare.verdicts import Comparison, compare, confirmed
from harness.config import Config
from harness.errors import UsageError
from harness.strict import load_json
from harness.targets import Request
from tests import xsd
from tests.calls import FAL
from tests.compare import histories
from tests.compare.test_drift import BAD, GOOD, contract
from tests.compare.test_verdicts import TODAY, runs
from tests.report.runs import HOSTILE

SCHEMA = load_json(resources.schema("compare").read_bytes())
HERE = Places({}, Config(), {})
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)


def run(place: Path, number: int, median: float = 5.0, **more: Any) -> Path:
    rng = random.Random(number)
    jobs = histories.Model(median=median, sigma=0.1).jobs(rng, 4)
    return histories.write(place, number, jobs, rng, **more)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six runs of a live provider as baseline, one that is the same, one twice as slow, one simulated."""
    here = tmp_path_factory.mktemp("runs")
    for number in range(6):
        run(here / "base", number)
    run(here / "same", 6)
    run(here / "slow", 7, 11.0)
    run(here / "simulated", 8, mode="simulate")
    return here


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def harness(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line: its exit status, standard output and standard error."""

    def command(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return command


@pytest.mark.parametrize(
    ("candidate", "options", "ended"),
    [
        ("slow", (), (1, "total p50      regressed")),
        ("same", ("--tolerance", "100%"), (0, "verdict: ok")),
        ("same", (), (3, "verdict: inconclusive")),
        ("simulated", (), (3, "mode differs: live in run-0, simulate in run-8")),
    ],
)
def test_the_exit_status_is_the_verdict(
    place: Path, harness: Command, candidate: str, options: Sequence[str], ended: tuple[int, str]
) -> None:
    """0 for what is as it was, 1 for a regression, 3 for what cannot be decided or compared."""
    status, out, err = harness("compare", place / "base", "--candidate", place / candidate, *options)
    assert (ended[0], "") == (status, err)
    assert ended[1] in out
    assert out.isascii()


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("{base}",), 2, "Missing option '--candidate'"),
        (("--candidate", "{same}"), 2, "Missing argument 'BASE...'"),
        (("{base}", "--candidate", "{same}", "--across", "mode"), 2, "'mode' is not one of"),
        (("{base}", "--candidate", "{same}", "--tolerance", "0.1"), 2, "is not a percentage such as 10%"),
        (("{base}", "--candidate", "{base}/run-0/blobs"), 4, "is no run directory and holds none"),
        (("{base}/run-0/nothing.json", "--candidate", "{same}"), 4, "is no run directory and holds none"),
        (("{base}", "--candidate", "{same}", "--junit", "{base}/no/x.xml"), 4, "there is no folder"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    place: Path, harness: Command, words: Sequence[str], status: int, says: str
) -> None:
    """What, where, what to do; nothing on standard output."""
    filled = [word.format(base=place / "base", same=place / "same") for word in words]
    found = harness("compare", *filled)
    assert (found[0], found[1], found[2].count("\n")) == (status, "", 1)
    assert says in found[2]


def test_json_is_the_document_and_files_are_written(place: Path, tmp_path: Path, harness: Command) -> None:
    """Standard output holds the JSON alone; JUnit XML replaces its file, Markdown is added to its own."""
    junit, markdown = tmp_path / "x.xml", tmp_path / "x.md"
    markdown.write_text("before")
    words = (
        "compare",
        place / "base",
        "--candidate",
        place / "slow",
        "--json",
        "--junit",
        junit,
        "--markdown",
        markdown,
    )
    status, out, _ = harness(*words)
    found = json.loads(out)
    assert (status, found["verdict"], found["exit_status"]) == (1, "regressed", 1)
    assert list(VALIDATOR.iter_errors(found)) == []
    assert xsd.faults(junit.read_text("utf-8"), Path(__file__).parents[1] / "data" / "junit.xsd") == []
    assert markdown.read_text("utf-8").startswith("before\n\n## ❌ regressed")


# --- documents -------------------------------------------------------------------------------------------------------


def loud() -> Comparison:
    """A comparison in which every text that may come from outside is hostile."""
    words = HOSTILE.encode("utf-8", "replace").decode()
    found = Found(Fingerprint("error_shape", FAL.target, words, words), "fail", words * 9, (words,))
    older = [replace(one, contract=contract()) for one in runs(5)]
    newer = [
        replace(one, contract=replace(contract(found), answers={words: "refused"}, fields=(words,)))
        for one in runs(3, 1.5, first=5)
    ]
    older = [replace(one, contract=replace(one.contract, answers={words: "accepted"})) for one in older]
    return compare(older, newer, today=TODAY)


def test_every_comparison_fits_the_schema() -> None:
    """The schema obeys its dialect; documents of every verdict fit it."""
    Draft202012Validator.check_schema(SCHEMA)
    made = [loud(), compare(runs(8), runs(3, first=8), today=TODAY), compare([], runs(1), today=TODAY)]
    made.append(compare(runs(1), runs(1, first=2), today=TODAY))
    for one in made:
        assert [error.message for error in VALIDATOR.iter_errors(json.loads(document.dump(one)))] == []


def test_what_a_provider_says_is_inert_everywhere() -> None:
    """No command of a CI system, no markup, no control character, in none of the outputs."""
    found = loud()
    lines, markdown, junit = "\n".join(show.lines(found)), show.markdown(found), show.junit(found)
    assert xsd.faults(junit, Path(__file__).parents[1] / "data" / "junit.xsd") == []
    for text in (lines, markdown, junit):
        assert not set(text) & set("\x1b\x07\u202e\u2066\r")
        assert "\n::error" not in text
    outside = "".join(markdown.split("`")[::2])
    assert "<script>" not in outside
    assert "<script>" not in junit


def test_a_person_reads_the_effect_and_its_bounds() -> None:
    """The line of a number: verdict, before, now, how much and how sure, and what would have been seen."""
    lines = list(show.lines(compare(runs(8), runs(3, 1.5, first=8), today=TODAY)))
    assert lines[0] == "verdict: regressed"
    (row,) = [line.split() for line in lines if line.strip().startswith("total p50 ")]
    assert row[:4] == ["total", "p50", "regressed", "5.00"]
    assert any(word.startswith("×1.") for word in row)


# --- confirmation ----------------------------------------------------------------------------------------------------


def compared(base: Path, candidate: Path) -> tuple[Comparison, dict[str, Path]]:
    mine = candidates_of([candidate])
    older = [one for directory in sorted(base.iterdir()) for one in digests(directory)]
    return compare(older, mine.digests, today=TODAY), mine.places


@pytest.mark.parametrize(("median", "word"), [(11.0, "regressed"), (5.0, "inconclusive")])
def test_a_fresh_batch_is_the_same_command_again(place: Path, tmp_path: Path, median: float, word: str) -> None:
    """As many runs as there were candidates, of the same plan and pace; what they say decides."""
    first, places = compared(place / "base", place / "slow")
    asked: list[Request] = []

    def sends_again(_: Sequence[Any], request: Request) -> Path:
        asked.append(request)
        return run(tmp_path, 20 + len(asked), median)

    fresh = batch(first, places, HERE)
    made = sent(fresh, None, sends_again)
    begun = asked[0]
    assert [len(asked), begun.source, begun.kind, begun.requests, begun.resume] == [1, "live", "bench", 4, False]
    assert begun.max_cost == Decimal("1.00")
    again = [one for directory in made for one in digests(directory)]
    older = [one for directory in sorted((place / "base").iterdir()) for one in digests(directory)]
    mine = candidates_of([place / "slow"]).digests
    left = confirmed(first, compare(older, again, today=TODAY), compare(older, [*mine, *again], today=TODAY))
    assert left.word == word


def test_nothing_is_sent_beyond_the_budget_or_where_nothing_is_in_doubt(place: Path) -> None:
    """The whole batch is priced first; a healthy comparison asks for none."""
    first, places = compared(place / "base", place / "slow")
    with pytest.raises(
        UsageError, match=r"costs 0\.16 USD, over the budget of 0\.10 USD: allow it with --max-cost 0\.16"
    ):
        sent(batch(first, places, HERE), Decimal("0.10"), lambda *_: pytest.fail("something was sent"))
    healthy, places = compared(place / "base", place / "same")
    assert (doubtful(healthy), batch(healthy, places, HERE)) == ([], ())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--max-cost", "0.10"), "over the budget of 0.10 USD: allow it with --max-cost 0.16"),
        (("--max-cost", "0.20"), "FAL_KEY"),
    ],
)
def test_what_cannot_be_sent_again_is_still_a_regression(
    place: Path, tmp_path: Path, harness: Command, monkeypatch: pytest.MonkeyPatch, *, words: Sequence[str], why: str
) -> None:
    """Without money or a key the comparison is told with the reason, in every output, and fails."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FAL_KEY", raising=False)
    asked = (
        "compare",
        place / "base",
        "--candidate",
        place / "slow",
        "--confirm",
        *words,
        "--json",
        "--markdown",
        "x.md",
    )
    status, out, _ = harness(*asked)
    (target,) = json.loads(out)["targets"].values()
    assert (status, target["verdict"]) == (1, "regressed")
    assert target["reason"].startswith("total p50; ")
    assert "not confirmed: " in target["reason"]
    assert why in target["reason"]
    assert "not confirmed" in (tmp_path / "x.md").read_text("utf-8")


def test_a_failure_seen_once_is_sent_twice_more(place: Path) -> None:
    """Its case alone, until three sends have answered."""
    found = replace(BAD.findings[0], cases=("bench/0001",))
    older = [replace(one, contract=GOOD) for one in runs(5)]
    older = [replace(one, contract=replace(GOOD, answers={"bench": "accepted"})) for one in older]
    (mine,) = runs(1, first=7)
    bad = replace(GOOD, findings=(found,), answers={"bench": "accepted"})
    first = compare(older, [replace(mine, run="run-7", contract=bad)], today=date(2026, 12, 1))
    assert first.word == "inconclusive"
    fresh = batch(first, {"run-7": place / "slow" / "run-7"}, HERE)
    assert [one.request.only for one in fresh] == [frozenset({f"{FAL.target}/bench/0001"})] * 2
    assert sum(one.usd for one in fresh) == Decimal("0.08")


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (
            r'"spec_sha256":"[0-9a-f]+"',
            f'"spec_sha256":"{"0" * 64}"',
            "its spec has changed since; compare with runs of",
        ),
        (r'"harness_version":"[^"]+"', '"harness_version":"0.0.1"', "made by harness 0.0.1; confirm with that version"),
        (
            r'"region":null',
            '"region":"elsewhere"',
            "made from region elsewhere; confirm from there, or set HARNESS_REGION",
        ),
    ],
)
def test_what_could_not_be_compared_is_not_sent_again(
    place: Path, tmp_path: Path, before: str, after: str, says: str
) -> None:
    """A fresh batch by another spec, another version or from another region is refused before it is paid for."""
    first, places = compared(place / "base", place / "slow")
    old = tmp_path / "run-7"
    shutil.copytree(places["run-7"], old)
    text = (old / "history.jsonl").read_text("utf-8")
    changed, count = re.subn(before, after, text)
    assert count
    (old / "history.jsonl").write_text(changed, "utf-8")
    with pytest.raises(UsageError, match=says):
        batch(first, places | {"run-7": old}, HERE)


def test_another_place_is_not_sent_to(place: Path) -> None:
    """A run that was made elsewhere is made there again, and only when the place is named again."""
    first, places = compared(place / "base", place / "slow")
    elsewhere = Places({}, Config(), {"FAL_BASE_URL": "https://gateway.example"})
    with pytest.raises(
        UsageError, match=r"was made against https://queue\.fal\.run: name it again with --base-url fal:queue="
    ):
        batch(first, places, elsewhere)
    again = Places({("fal", None): "https://queue.fal.run"}, Config(), {"FAL_BASE_URL": "https://gateway.example"})
    assert len(batch(first, places, again)) == 1
