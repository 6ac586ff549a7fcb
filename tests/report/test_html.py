import base64
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any

import pytest

from harness.report import html
from tests.report import runs

VOID = {"meta", "link", "wbr", "br", "img", "hr", "input"}
SELF_CLOSED = {"path", "use", "rect"}


class Page(HTMLParser):
    """A page's elements and text; refuses what a browser would have to repair."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.text: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice: {attrs}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in SELF_CLOSED | {"g", "defs"} | VOID
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def realistic():
    return html.render(runs.realistic())


@pytest.fixture(scope="module")
def hostile():
    return html.render(runs.hostile())


@pytest.fixture(params=["realistic", "hostile"])
def page(request):
    return Page(request.getfixturevalue(request.param))


def test_equal_results_give_equal_bytes(realistic):
    """Two replays can be compared with cmp."""
    assert html.render(runs.realistic()) == realistic


def test_nothing_in_the_page_loads_runs_or_styles_anything(page):
    """No script, no frame, no handler, no style attribute, no address but links to the documents."""
    assert not {"script", "iframe", "object", "embed", "form", "base", "img", "image"} & {
        tag for tag, _ in page.elements
    }
    for tag, attrs in page.elements:
        assert not [name for name in attrs if name == "style" or name.startswith("on") or name in ("src", "srcset")]
        for name in ("href", "xlink:href"):
            allowed = r"#|data:,$" if tag == "link" else r"#" if tag == "use" else r"#|https?://"
            assert re.match(allowed, attrs.get(name, "#")), attrs


def test_the_policy_allows_the_style_sheet_by_its_hash_and_nothing_else(realistic):
    """The digest is of the element's very text."""
    css = realistic.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = Page(realistic).all("meta")[1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in css
    assert "@import" not in css


def test_identifiers_are_unique_and_every_inner_link_leads_somewhere(page):
    """From the matrix to the finding."""
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    inner = {attrs["href"][1:] for attrs in page.all("a") if attrs["href"].startswith("#")}
    assert inner <= set(ids)
    assert any(name.startswith("t0-f") for name in inner)
    named = [attrs[n] for _, attrs in page.elements for n in ("aria-labelledby", "aria-describedby") if n in attrs]
    assert {name for names in named for name in names.split()} <= set(ids)


def test_tables_are_tables(page):
    """Each has a caption; each header cell says what it heads."""
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(attrs.get("scope") in ("row", "col", "rowgroup", "colgroup") for attrs in page.all("th"))


def test_the_first_words_say_where_the_answers_came_from():
    """Before the verdict."""
    for mode, words in (("simulate", "Simulated: says nothing about the real provider"), ("live", "Live")):
        page = Page(html.render(runs.realistic(mode, None)))
        body = [text.strip() for text in page.text if text.strip()]
        assert body[1] == words  # body[0] is the title


def test_a_simulated_run_says_so_where_its_latencies_stand():
    """A plot that is cut out of the page cannot be mistaken."""
    page = html.render(runs.realistic("simulate", None))
    assert page.count("Simulated: says nothing about the real provider") >= 4
    assert "Nothing was charged" in page


def test_everything_a_finding_knows_is_shown(realistic):
    """Check, parameter, case, message, what was expected and seen, what the document states and where, the request."""
    page = Page(realistic)
    whole = " ".join("".join(page.text).split())
    for part in (
        "image_count", "num_images", "fal/flux-pro-kontext-multi/accept/08", "4 images", "1 image",
        "the answer holds fewer images than were asked for", "integer, 1 to 4, default 1",
        "Flux Pro Kontext Multi API › Input Schema > num_images", "Authorization: Key $FAL_KEY",
    ):  # fmt: skip
        assert part in whole
    links = [attrs["href"] for attrs in page.all("a")]
    assert "https://fal.ai/models/fal-ai/flux-pro/kontext/multi/playground" in links


def test_a_phase_that_is_not_separable_and_a_missing_bound_are_said(realistic):
    """No zero, no blank."""
    whole = "".join(Page(realistic).text)
    assert f"not separable: {runs.SYNCHRONOUS}" in whole
    assert "≥ 11.3" in whole
    assert "nothing was measured" in whole


def test_a_value_is_blamed_only_when_nothing_with_it_passed_or_a_finding_names_it():
    """One bad value does not redden its neighbours in the same request."""
    target = runs.fal_queue()
    rows = {row.parameter: row for row in html._contract(target, [])}
    ratios = {chip.name: chip.verdict for chip in rows["aspect_ratio"].values}
    formats = {chip.name: chip.verdict for chip in rows["output_format"].values}
    assert ratios["21:9"] == "fail"
    assert set(formats.values()) == {"pass"}
    assert [(chip.name, chip.verdict, chip.open) for chip in rows["safety_tolerance"].faults] == [
        ("integer-6", "warn", True)
    ]
    whole = [(chip.name, chip.verdict) for chip in rows[html.WHOLE_REQUEST].faults]
    assert whole == [("truncated", "pass"), ("utf-16", "unsent")]


def test_hostile_text_is_text(hostile):
    """Markup, templates, terminal sequences, bidi controls and lone surrogates are shown, and cut."""
    hostile.encode()
    assert "<script>" not in hostile
    assert "<img" not in hostile
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", hostile)
    assert r"\u202egnp.exe" in hostile
    assert "{{ 7*7 }}" in hostile
    assert "x" * 5000 not in hostile
    assert len(hostile) < 150_000


def test_a_run_without_targets_or_latencies_has_a_page():
    """Nothing to show is said, not left out."""
    assert "The run has no target." in html.render(runs.run())
    page = html.render(runs.run(runs.gateway_untouched()))
    assert "No accepted job was measured" in page
    Page(page)


def test_findings_without_end_are_counted_not_listed():
    """The page stays readable; report.json has them all."""
    of = runs.spec("fal/flux-pro-kontext-multi")
    rows = [
        runs.refused(of, "prompt", f"fault-{n}", runs.finding("error_shape", runs.FAIL, f"message {n}"))
        for n in range(260)
    ]
    rows += [runs.refused(of, "seed", f"fault-{n}", runs.finding("limits", runs.FAIL, "same")) for n in range(40)]
    page = html.render(runs.run(runs.target_result(of, of.default_flow, rows, {}, {}, {}, "")))
    assert "61 further findings in report.json" in page
    Page(page)


def test_the_page_is_written_without_loading_the_plots_first():
    """Start-up is quick: matplotlib and numpy come with the first figure."""
    code = "import sys, harness.report.html, harness.report.terminal; print({'matplotlib', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"
