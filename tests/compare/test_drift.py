"""What has changed in what a provider answers, in whole runs of the simulator and in records made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

import pytest

from harness.compare.contract import Contract, Fingerprint, Found, masked
from harness.compare.digest import Digest, digests_of
from harness.compare.drift import Accepted, Change, Drift, drift
from harness.compare.verdicts import compare
from harness.report import document
from harness.simulator import Variation
from harness.targets import Request
from tests.calls import FAL, SPECS, simulated

TODAY = date(2026, 12, 1)
Reply = Callable[[str, Any, Any], Any]


def digest(reply: Reply | None = None, **more: Any) -> Digest:
    """A few cases of fal: guidance_scale refused at its ends, one accepted request."""
    variations = {FAL.target: (Variation("varied", reply=reply, **more),)} if reply else None
    cases = ("*/guidance_scale/*", "*/accept/*")
    run = simulated(Request("simulate", cases=cases, max_cases=1), FAL, variations=variations)
    history = run.history
    (found,) = digests_of(history, document.build(history, SPECS))
    return found


@cache
def healthy() -> Digest:
    return digest()


def edited(change: Callable[[Any], None], *steps: str, below: int = 300) -> Reply:
    """A provider whose answers at some steps are changed in one place."""

    def reply(step: str, _job: Any, answer: Any) -> Any:
        if step not in steps or (answer.status < 300) != (below == 300):
            return answer
        value = json.loads(answer.body)
        change(value)
        return replace(answer, body=json.dumps(value).encode())

    return reply


def drifted(candidate: Digest) -> Drift:
    (found,) = compare([healthy()], [replace(candidate, run="new")], today=TODAY).targets
    return found.drift


def test_nothing_drifts_between_two_equal_runs() -> None:
    """Identifiers, addresses and instants differ from run to run, and are not compared."""
    assert drifted(digest()) == Drift()


def test_a_broken_promise_is_a_new_failure_under_one_fingerprint() -> None:
    """The same promise has one fingerprint, whatever is echoed; a simulator's failure needs no second send."""

    def echo(words: str) -> Digest:
        return digest(edited(lambda value: value.update(prompt=words), "result"))

    found = [drifted(echo(words)).changes for words in ("something", "anything else")]
    fingerprints = {change.fingerprint for changes in found for change in changes}
    assert {(one.check, one.target, one.parameter, one.kind) for one in fingerprints} == {
        ("prompt_echo", FAL.target, "prompt", "plain")
    }
    assert [[change.weight for change in changes] for changes in found] == [["regressed"], ["regressed"]]
    result = compare([healthy()], [replace(echo("x"), run="new")], today=TODAY)
    assert (result.word, result.exit_status) == ("regressed", 1)
    back = compare([replace(echo("x"), run="old")], [healthy()], today=TODAY)
    assert (back.word, [c.kind for c in back.targets[0].drift.changes]) == ("ok", ["removed"])


def test_two_fields_missing_are_two_fingerprints() -> None:
    """A second broken field does not hide behind the first."""
    one, both = (
        digest(edited(lambda value, names=names: [value.pop(name) for name in names], "result"))  # type: ignore[misc, arg-type]
        for names in (("seed",), ("seed", "has_nsfw_concepts"))
    )
    (found,) = compare([replace(one, run="old")], [both], today=TODAY).targets
    assert ["has_nsfw" in change.fingerprint.kind for change in found.drift.changes if change.kind == "added"] == [True]


def test_undocumented_fields_appear_and_vanish() -> None:
    """By their path, in an answer that otherwise keeps its promises; below a free-form object there are none."""

    def more(value: Any) -> None:
        value["x_cost"] = {"usd": 0.04}
        value["images"][0]["blurhash"] = "LKO2"

    fuller = digest(edited(more, "result"))
    assert drifted(fuller).appeared == ("result: images.*.blurhash", "result: x_cost")
    (found,) = compare([replace(fuller, run="old")], [healthy()], today=TODAY).targets
    assert found.drift.vanished == ("result: images.*.blurhash", "result: x_cost")
    assert found.word == "ok"
    assert drifted(digest(edited(lambda value: value["timings"].update(queue=1.5), "result"))).appeared == (
        "result: timings.queue",
    )


def test_a_refusal_in_other_words_is_told() -> None:
    """The limit in a message is part of what is said; what differs from request to request is not."""

    def words(value: Any) -> None:
        if isinstance(value["detail"], list):
            value["detail"][0]["msg"] = "request 0f9a2b3c-1d2e-4f5a: must be at most 10"

    found = drifted(digest(edited(words, "result", "status", "submit", below=400)))
    assert {said.case for said in found.refusals} >= {"guidance_scale/above-maximum"}
    assert {said.after for said in found.refusals} == {"422 request <id>: must be at most 10"}
    assert found.changes == ()


def test_a_value_that_is_accepted_now_is_told_and_fails() -> None:
    """The reject case is accepted; the check on it fails; both are said."""
    case = "guidance_scale/above-maximum"
    contract = healthy().contract
    answers, refusals = {**contract.answers, case: "accepted"}, dict(contract.refusals)
    refusals.pop(case)
    lax = replace(healthy(), contract=replace(contract, answers=answers, refusals=refusals))
    assert [(said.case, said.before, said.after) for said in drifted(lax).answers] == [(case, "refused", "accepted")]


# --- sends -----------------------------------------------------------------------------------------------------------

BROKEN = Found(Fingerprint("seed_echo", "a/b", "seed", "maximum"), "fail", "another seed", ("accept/one",))


def contract(*findings: Found, unknown: tuple[str, ...] = (), sent: bool = True) -> Contract:
    undecided = {"accept/one": frozenset(unknown)}
    return Contract(findings, {"accept/one": "accepted"} if sent else {}, {}, (), undecided)


BAD, GOOD = contract(BROKEN), contract()
LOST, UNSENT = contract(unknown=("seed_echo",)), contract(sent=False)


def change(baseline: list[Contract], candidates: list[Contract], **more: Any) -> Change | None:
    options: dict[str, Any] = {"live": True, "today": TODAY} | more
    found = drift(baseline, candidates, **options)
    return found.changes[0] if found.changes else None


@pytest.mark.parametrize(
    ("baseline", "candidates", "weight"),
    [
        ([GOOD], [BAD, BAD, BAD], "regressed"),
        ([GOOD], [BAD], "unconfirmed"),
        ([GOOD], [BAD, BAD], "unconfirmed"),
        ([GOOD], [BAD, LOST, UNSENT], "unconfirmed"),
        ([GOOD], [BAD, LOST, BAD, BAD], "regressed"),
        ([GOOD], [BAD, GOOD, BAD, BAD], "intermittent"),
        ([LOST, UNSENT], [BAD, BAD, BAD], "not asked before"),
        ([LOST, GOOD], [BAD, BAD, BAD], "regressed"),
        ([GOOD, BAD], [BAD, BAD, BAD], None),
        ([BAD], [LOST], None),
        ([BAD], [UNSENT, UNSENT], None),
        ([BAD], [LOST, GOOD], "told"),
    ],
)
def test_a_live_failure_is_new_after_three_sends_of_three(
    baseline: list[Contract], candidates: list[Contract], weight: str | None
) -> None:
    """An unknown verdict counts neither way, for a failure as for its end."""
    found = change(baseline, candidates)
    assert (found.weight if found else None) == weight


def test_a_warning_that_becomes_a_failure_is_a_new_failure() -> None:
    """And says what it was."""
    warned = contract(replace(BROKEN, verdict="warn"))
    found = change([warned], [BAD] * 3)
    assert found is not None
    assert (found.weight, found.kind) == ("regressed", "changed")


def test_an_accepted_failure_counts_again_after_its_day() -> None:
    """On its last day it is still accepted."""
    known = Accepted(BROKEN.fingerprint, "ticket 7", TODAY)
    accepted = change([GOOD], [BAD] * 3, accepted=[known])
    assert accepted is not None
    assert (accepted.weight, accepted.reason) == ("accepted", "ticket 7 (until 2026-12-01)")
    for baseline in ([GOOD], [BAD], [GOOD, BAD]):
        later = change(baseline, [BAD] * 3, accepted=[known], today=date(2026, 12, 2))
        assert later is not None
        assert (later.weight, later.reason) == ("regressed", "no longer accepted since 2026-12-01")
    assert change([BAD], [BAD] * 3, accepted=[known]) is None


def unavailable(step: str, _job: Any, answer: Any) -> Any:
    """No job is taken."""
    return replace(answer, status=503, body=b'{"detail":"unavailable"}') if step == "submit" else answer


def test_a_lost_request_decides_nothing_about_what_it_never_reached() -> None:
    """A check that did not apply to a 503 was not asked: that send counts neither for nor against a failure."""
    bad = digest(edited(lambda value: value.update(prompt="x"), "result")).contract
    lost = digest(unavailable).contract
    assert set(lost.answers.values()) == {"unknown"}

    def weights(baseline: list[Contract], candidates: list[Contract]) -> list[tuple[str, int, int]]:
        found = drift(baseline, candidates, live=True, today=TODAY).changes
        return [(one.weight, one.seen, one.sends) for one in found if one.fingerprint.check == "prompt_echo"]

    assert weights([healthy().contract], [bad, bad, bad, lost]) == [("regressed", 3, 3)]
    assert weights([healthy().contract], [lost, bad, bad]) == [("unconfirmed", 2, 2)]
    assert weights([lost], [bad] * 3) == [("not asked before", 3, 3)]
    assert weights([bad], [lost]) == []


def test_what_differs_from_request_to_request_is_masked() -> None:
    """Addresses, identifiers and long numbers; short numbers are limits."""
    said = "job 0f9a2b3c-1d2e at https://x.example/a?sig=1 failed after 1764000000.25 s: 21 > 20, req_8f3kd93jd02k"
    assert masked(said) == "job <id> at <url> failed after <number> s: 21 > 20, <id>"
