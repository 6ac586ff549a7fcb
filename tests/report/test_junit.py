import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.model import Call, Case, Exchange, Fact, Judged, Outcome, Response
from harness.report import junit, text
from tests import xsd
from tests.report import runs

SCHEMA = Path(__file__).parents[1] / "data" / "junit.xsd"
FAL = "fal/flux-pro-kontext-multi"
ANYTHING = st.text(st.characters(), min_size=1, max_size=60) | st.sampled_from(
    ["]]>", "<!--", "\x00\x08\x0b\ufffe\uffff", "\ud800", "&#0;", "::error::x", "a\n::error::x", "##[group]", "[[ATTACHMENT|/etc/passwd]]"]
)  # fmt: skip


def parsed(result):
    return ET.fromstring(junit.render(result))


def cases(result):
    """The testcases of a run with one target, by name."""
    return {case.get("name"): case for case in parsed(result).iter("testcase")}


def one_target(*judgements, **changes):
    of = runs.spec(FAL)
    return runs.run(runs.target_result(of, of.default_flow, judgements, {}, {}, {}, ""), **changes)


def saying(said):
    """A run in which everything that may come from outside is one text."""
    of = runs.spec(FAL)
    found = runs.finding(said, runs.FAIL, said, said, said, said, Fact(said, said, said))
    verdicts = (runs.FAIL, runs.WARN, runs.UNKNOWN)
    rows = [runs.refused(of, f"p{n}", said, replace(found, verdict=verdict)) for n, verdict in enumerate(verdicts)]
    target = runs.target_result(replace(of, target=said), of.default_flow, rows, {}, {}, {}, said)
    for one in target.summary["findings"]:
        one |= {"request": said}
    summary = {**target.summary, "origin": said}
    return runs.run(replace(target, summary=summary), id=said, recorded_at=said, harness_version=said)


def test_every_verdict_has_its_outcome():
    """Fail is a failure, unknown an error, never sent skipped, warn passes with what it has to say."""
    of = runs.spec(FAL)
    found = cases(
        one_target(
            runs.refused(of, "n", "passes"),
            runs.refused(of, "n", "fails", runs.FEWER),
            runs.refused(of, "n", "unknown", runs.TOO_MANY),
            runs.refused(of, "n", "warns", runs.ACCEPTS_SEVEN),
            runs.refused(of, "n", "unsent", sent=False),
        )
    )
    assert {name: [child.tag for child in case] for name, case in found.items()} == {
        "n/passes": [],
        "n/fails": ["failure"],
        "n/unknown": ["error"],
        "n/warns": ["system-out"],
        "n/unsent": ["skipped"],
    }


def test_a_failure_says_what_the_document_states_and_shows_a_request():
    """Check, message, document, place, expected, observed and a curl command: enough to act without the report."""
    (failure,) = cases(one_target(runs.refused(runs.spec(FAL), "n", "x", runs.FEWER)))["n/x"]
    assert failure.attrib == {"type": "image_count", "message": "the answer holds fewer images than were asked for"}
    *lines, command = failure.text.splitlines()
    assert lines == [
        "fail: image_count (num_images): the answer holds fewer images than were asked for",
        "document: Flux Pro Kontext Multi API",
        "place: Input Schema > num_images",
        "states: integer, 1 to 4, default 1",
        "expected: 4 images",
        "observed: 1 image",
    ]
    assert command.startswith("curl --request POST 'https://queue.fal.run/")


def test_a_case_has_one_outcome_and_loses_nothing():
    """Findings of the case's own verdict stand in its outcome, the others beside it; many are counted."""
    of = runs.spec(FAL)
    many = [replace(runs.FEWER, message=f"message {n}") for n in range(7)]
    failure, out = cases(one_target(runs.refused(of, "n", "x", runs.ACCEPTS_SEVEN, *many, runs.TOO_MANY)))["n/x"]
    assert (failure.tag, failure.get("message"), out.tag) == ("failure", "message 0", "system-out")
    assert failure.text.count("fail: image_count") == junit.MOST_FINDINGS
    assert failure.text.endswith("and 2 further findings in report.json")
    assert [line.split(":")[0] for line in out.text.splitlines() if "negative_data" in line] == ["warn", "unknown"]


def test_totals_are_those_of_the_cases():
    """Each suite counts its cases, the whole file its suites."""
    root = parsed(runs.realistic())
    for element in (root, *root.iter("testsuite")):
        counted = [element.get(name) for name in ("tests", "failures", "errors", "skipped")]
        tags = ("testcase", "failure", "error", "skipped")
        assert counted == [str(sum(1 for _ in element.iter(tag))) for tag in tags]
    assert [root.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["93", "8", "4", "2"]


def test_a_suite_says_what_its_result_rests_on():
    """Source, spec, host, version and cost, as properties; the start in UTC."""
    suite = next(parsed(runs.realistic()).iter("testsuite"))
    told = {item.get("name"): item.get("value") for item in suite.iter("property")}
    assert suite.get("timestamp") == "2026-11-21T01:47:17"
    assert told == {
        "answers": "Recorded on 2026-11-18 from the live provider, replayed here",
        "mode": "replay",
        "recorded_from": "live",
        "recorded_at": "2026-11-18T09:30:00Z",
        "spec_sha256": runs.spec(FAL).sha256,
        "flow": "queue",
        "origin": "https://queue.fal.run",
        "harness_version": "0.1.0",
        "cost": "0.960000",
        "verdict": "fail",
        "complete": "false",
        "run": "20261121-014717-7f3a",
    }


@pytest.mark.parametrize(
    ("mode", "recorded_from", "said", "suite"),
    [
        ("simulate", None, "Simulated: says nothing about the real provider", f"{FAL} (simulated)"),
        ("replay", "simulator", "Simulated (recorded on 2026-11-18): says nothing about the real provider", f"{FAL} (simulated)"),
        ("replay", "live", "Recorded on 2026-11-18 from the live provider, replayed here", f"{FAL} (replayed)"),
        ("live", None, "Live", FAL),
        ("record", "live", "Live, and recorded", FAL),
    ],
)  # fmt: skip
def test_where_the_answers_came_from_is_the_first_thing_said(mode, recorded_from, said, suite):
    """In the first attribute, the first property and, where no provider was asked, each suite's name."""
    source = junit.render(runs.realistic(mode, recorded_from))
    assert source.splitlines()[1].startswith(f'<testsuites name="{said} - image API conformance" tests=')
    element = next(ET.fromstring(source).iter("testsuite"))
    assert (element.get("name"), element[0][0].get("value")) == (suite, said)


def test_names_are_the_targets_and_the_cases():
    """A dot between provider and endpoint, where readers split, and nowhere else; the rest of the case id."""
    of = replace(runs.spec(FAL), target="fal/flux-1.1")
    result = runs.run(runs.target_result(of, of.default_flow, [runs.refused(of, "n", "x")], {}, {}, {}, ""))
    (case,) = parsed(result).iter("testcase")
    assert (case.get("classname"), case.get("name")) == ("fal.flux-1_1", "n/x")


def test_long_names_stay_distinct():
    """A reader that drops a name which it has seen drops no case."""
    of = runs.spec(FAL)
    found = cases(one_target(runs.refused(of, "x" * 500, "a"), runs.refused(of, "x" * 500, "b")))
    assert len(found) == 2
    assert max(map(len, found)) < 250


def sent_at(case, call, step, *, sent, received, body=b"{}"):
    return Exchange(
        call,
        case.id,
        step,
        1,
        "POST",
        "https://queue.fal.run/x",
        {},
        None,
        Response(200, {}, body),
        sent,
        sent,
        None,
        received,
    )


def test_times_come_from_the_transport():
    """To completion where a call completed, else to its last answer; 0 where nothing was sent; a suite sums them up."""
    of = runs.spec(FAL)
    second = 1_000_000_000

    def case(name):
        return Case(f"{FAL}/{name}", FAL, {"prompt": "x"}, "accept", "", 1, Decimal("0.04"))

    def judged(name, outcome, *states):
        it = case(name)
        exchanges = [sent_at(it, name, "submit", sent=second, received=2 * second)]
        exchanges += [
            sent_at(
                it, name, "status", sent=(3 + n) * second, received=(3 + n) * second, body=b'{"status": "%s"}' % state
            )
            for n, state in enumerate(states)
        ]
        call = Call(name, it, tuple(exchanges), outcome, "job", "yes", 1)
        return Judged(it, call, runs.PASS, (), {})

    rows = [
        judged("done", Outcome.COMPLETED, b"IN_PROGRESS", b"COMPLETED", b"COMPLETED"),
        judged("lost", Outcome.UNKNOWN, b"IN_PROGRESS", b"IN_PROGRESS"),
        Judged(case("unsent"), None, runs.UNKNOWN, (), {}),
    ]
    root = parsed(runs.run(runs.target_result(of, of.default_flow, rows, {}, {}, {}, "")))
    # Completion lies between the polls at 3 and at 4 seconds, 2 to 3 after the submit.
    assert [case.get("time") for case in root.iter("testcase")] == ["2.500", "3.000", "0.000"]
    assert [root.get("time"), root[0].get("time")] == ["5.500", "5.500"]


def test_equal_results_give_equal_bytes():
    """Two replays can be compared with cmp."""
    assert junit.render(runs.realistic()) == junit.render(runs.realistic())


@pytest.mark.parametrize("result", [runs.realistic, runs.hostile, lambda: runs.run(complete=True)])
def test_a_run_obeys_the_schema(result):
    """The subset of the format on which readers agree, whatever was answered and however little was run."""
    assert xsd.faults(junit.render(result()), SCHEMA) == []


@pytest.mark.skipif(shutil.which("xmllint") is None, reason="xmllint is not installed")
@pytest.mark.parametrize("result", [runs.realistic, runs.hostile])
def test_a_run_obeys_the_schema_as_libxml_reads_it(result, tmp_path):
    """A validator that nobody here wrote says the same."""
    path = tmp_path / "junit.xml"
    path.write_text(junit.render(result()), "utf-8")
    done = subprocess.run(
        ["xmllint", "--noout", "--nonet", "--schema", SCHEMA, path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (0, f"{path} validates")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("skipped", "skip"),
        (' tests="', ' test="'),
        (' tests="93"', ' tests="many"'),
        (' time="0.000"', ' time="0"'),
        (' timestamp="2026-11-21T01:47:17"', ' timestamp="2026-11-21"'),
        ("<properties>", "<properties>text"),
        ("</failure>", '</failure><error message="x"/>'),
        ("</testsuites>", "<testcase/></testsuites>"),
        ("</failure>", "<b/></failure>"),
        (' message="', ' messages="'),
    ],
)
def test_the_schema_refuses_what_readers_would_stumble_over(before, after):
    """The validator is no rubber stamp."""
    source = junit.render(runs.realistic())
    assert before in source
    assert xsd.faults(source.replace(before, after), SCHEMA) != []


@given(ANYTHING)
@settings(max_examples=100, deadline=None)
def test_whatever_a_provider_says_is_inert(said):
    """Always well-formed and of the schema; no line is a command, no text an attachment, nothing is hidden."""
    source = junit.render(saying(said))
    assert xsd.faults(source, SCHEMA) == []
    elements = list(ET.fromstring(source).iter())
    texts = [
        source,
        *(one.text or "" for one in elements),
        *(value for one in elements for value in one.attrib.values()),
    ]
    for line in (line for whole in texts for line in whole.splitlines()):
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
        assert "[[ATTACHMENT|" not in line
        assert text.visible(line, len(line)) == line


def test_hostile_text_is_bounded():
    """Twenty thousand characters from outside make a page, not a book."""
    assert len(junit.render(runs.hostile())) < 40_000
