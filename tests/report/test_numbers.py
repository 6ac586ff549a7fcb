"""Every number on the page is one of report.json: looked up, or part of a text that stands there."""

import json
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.checks import CHECKS, promise
from harness.report import document, html, text
from harness.report.html.figures import FORMS
from harness.report.html.findings import MOST_LINES, values
from harness.report.html.findings import promise as of_card
from harness.strict import resolve
from harness.targets import Request
from tests.calls import SPECS, simulated
from tests.report import runs
from tests.test_document import failing_run

TEMPLATES = Path(html.__file__).with_name("templates")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
SCALE = re.compile(r"\$?\d[\d.e+-]*")
"""A label of an axis, which is no finding."""


class Texts(HTMLParser):
    """A page's text by where it stands: looked-up figures with their pointers, instants, figures' labels, the rest."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.open = []
        self.figures, self.instants, self.labels, self.rest = [], [], [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "link", "wbr", "img", "br"):
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        self.open.pop()

    def handle_data(self, data):
        tags, said = [tag for tag, _ in self.open], " ".join(data.split())
        if not said or "style" in tags:
            return
        if "data" in tags:
            self.figures.append((self.open[-1][1]["value"], said))
        elif "time" in tags:
            self.instants.append((self.open[-1][1]["datetime"], said))
        else:
            (self.labels if "svg" in tags else self.rest).append(said)


@cache
def five_targets():
    """A few jobs of every target, with everything that a real record has."""
    run = simulated(Request("simulate", max_cases=4, rejects=False), *SPECS.values())
    return document.build(run.history, SPECS)


@cache
def failing():
    return document.build(failing_run().history, SPECS)


@pytest.fixture(params=[runs.realistic, five_targets, failing], ids=lambda made: made.__name__, scope="module")
def result(request):
    return request.param()


@pytest.fixture(scope="module")
def page(result):
    return Texts(html.render(result))


def strings(value):
    """Every text of a JSON document, its members' names included."""
    if isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


def written(value):
    """A value in every form that it can be written in."""
    for form in FORMS.values():
        try:
            yield form(value)
        except (TypeError, KeyError, ValueError, AttributeError):
            continue


def counted(findings, first):
    """In how many cases the same promise was broken, in how many in the same way, and how many ways are not shown."""
    same = [one for one in findings if of_card(one) == of_card(first)]
    for way in (lambda _: None, values, lambda one: one["message"]):
        yield len({one["case_id"] for one in same if way(one) == way(first)})
        yield len({way(one) for one in same}) - MOST_LINES


def test_every_figure_is_the_value_that_it_points_at(result, page):
    """Followed into report.json, each pointer gives what is shown; a finding's gives how many cases it stands for."""
    report = json.loads(document.dump(result.document))
    assert len(page.figures) > 100
    for pointer, shown in page.figures:
        value = resolve(report, pointer)
        known = set(written(value))
        if re.fullmatch(r"/targets/[^/]+/findings/\d+", pointer):
            known = set(map(str, counted(resolve(report, pointer.rpartition("/")[0]), value)))
        assert shown in known, pointer


def test_every_other_number_is_part_of_a_text_of_the_report(result, page):
    """Outside the figures, digits come from texts of report.json, from its reasons, or from the page's own sentences."""
    report = json.loads(document.dump(result.document))
    own = " ".join(path.read_text("utf-8") for path in TEMPLATES.iterdir())
    own += " ".join((*html.captions.captions(runs.realistic().targets).values(), *map(promise, CHECKS)))
    known = {token for said in (*strings(report), own) for token in NUMBER.findall(text.visible(said, 10**6))}
    reasons = {" ".join(reason.split()) for reason in text.reasons(report)}
    title = f"{html.WORDS[report['totals']['verdict']]} · {text.mode_line(report['run'])}"
    for said in page.rest:
        if said not in reasons and not said.startswith(title):
            assert set(NUMBER.findall(said)) <= known, said
    for instant, said in page.instants:
        assert instant in (report["run"]["started_at"], report["run"]["recorded_at"])
        assert instant.replace("T", " ").startswith(said)


def test_every_number_in_a_figure_is_one_of_the_report(result, page):
    """Names, quantiles, counts and prices; the labels of an axis are a scale and no finding."""
    report = json.loads(document.dump(result.document))
    known = {token for said in strings(report) for token in NUMBER.findall(said)} | {
        str(len(report["targets"])),
        "95",
        "50",
    }
    for target in report["targets"].values():
        known |= set(NUMBER.findall(text.usd(target["cost"]["usd_per_image"])))
        for phase in target["latency"].values():
            if "n" in phase:
                known |= {str(phase["n"]), str(phase["censored"])}
                for quantile in (phase["p50"], phase["p95"]):
                    known |= set(NUMBER.findall(text.interval(quantile) + " " + text.seconds(quantile["value"])))
    assert page.labels
    for said in page.labels:
        if not SCALE.fullmatch(said):
            assert set(NUMBER.findall(said)) <= known, said
