import base64
import hashlib
import io
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from PIL import Image

from harness.checks import CHECKS, promise
from harness.model import Response
from harness.report import html, pictures
from harness.report.html import captions, findings, lines
from tests.calls import FAL, seen, with_reply
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
    """No script, no frame, no handler, no style attribute, no address but links to the documents and our own pictures."""
    assert not {"script", "iframe", "object", "embed", "form", "base", "image"} & {tag for tag, _ in page.elements}
    for tag, attrs in page.elements:
        assert not [name for name in attrs if name == "style" or name.startswith("on") or name == "srcset"]
        if "src" in attrs:
            assert tag == "img"
            assert re.fullmatch(r"data:image/webp;base64,[A-Za-z0-9+/]+=*", attrs["src"])
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
    assert page.count("Simulated: says nothing about the real provider") >= 3
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


def test_the_head_answers_what_a_reader_asks_first(realistic):
    """Who failed what, by which place in which document; who is fastest and how sure that is; the cost; the source."""
    head = " ".join("".join(Page(realistic.partition("<header>")[2].partition("</header>")[0]).text).split())
    for part in (
        "Recorded on 2026-11-18 from the live provider, replayed here",
        (
            "fal/flux-pro-kontext-multi fails image_count of num_images: the answer holds fewer images than were asked for "
            "Flux Pro Kontext Multi API › Input Schema > num_images"
        ),
        (
            "fal/flux-pro-kontext-multi 13.9 s at p95 of total (at least 11.3 s, 24 jobs); too few jobs for a p95: "
            "umodelverse/flux-kontext-pro, wavespeed/flux-kontext-pro-multi"
        ),
        "images asked for; at most $2.08, since 2 charges are unknown",
        "the run is not complete",
    ):
        assert part in head


@pytest.mark.parametrize(
    ("bounds", "level", "unbounded"),
    [
        ([(5.0, 4.0, 6.0), (9.0, 7.0, 11.0)], [], False),
        ([(5.0, 4.0, 7.5), (9.0, 7.0, 11.0)], ["b/b"], False),
        ([(5.0, 4.0, None), (9.0, 7.0, 11.0)], ["b/b"], True),
        ([(5.0, 4.0, 6.0), (9.0, None, 11.0)], ["b/b"], False),
    ],
)
def test_the_fastest_is_told_apart_only_by_its_interval(bounds, level, unbounded):
    """A target whose interval reaches into the fastest one's, or has no end on that side, may be as fast."""
    targets = {
        f"{name}/{name}": {"latency": {"total": {"p95": dict(zip(("value", "low", "high"), bound, strict=True))}}}
        for name, bound in zip("ab", bounds, strict=True)
    }
    found = lines.fastest(targets)
    assert found == lines.Fastest("a/a", "p95", level, 1, unbounded, [])
    assert found.clear is (not level and not unbounded)


def test_nobody_wins_where_intervals_overlap_or_have_no_end():
    """The card names the lowest figure as that, and not as the fastest."""
    page = html.render(runs.run(runs.fal_queue(), _slower()))
    card = " ".join("".join(Page(page.partition("<dt>How fast?</dt><dd>")[2].partition("</dd>")[0]).text).split())
    assert card.startswith(
        "No clear winner at p95 of total lowest: fal/flux-pro-kontext-multi 13.9 s (at least 11.3 s, 24 jobs)"
    )
    assert "not told apart from any other" in card


def _slower():
    target = runs.umodelverse_sync()
    total = runs.distribution(runs.spread(24, 9.5, 0.9))
    return replace(target, summary={**target.summary, "latency": {**target.summary["latency"], "total": total}})


def test_a_simulated_failure_is_no_provider_s():
    """The red lines of the head, cut out, still say so."""
    head = Page(
        html.render(runs.realistic("simulate", None))
        .partition('<ul class="failures"')[2]
        .partition("</ul>")[0]
        .partition(">")[2]
    )
    assert " ".join("".join(head.text).split()).startswith("simulated fal/flux-pro-kontext-multi fails")
    assert "simulated fal" not in html.render(runs.realistic())


def test_every_check_says_what_it_asks_for(realistic):
    """In half a line that is its docstring's own first clause, beneath its name."""
    promises = {name: promise(name) for name in CHECKS}
    assert [name for name, said in promises.items() if not 10 < len(said) <= 100] == []
    assert promises["image_count"] == "As many distinct images come back as were asked for"
    assert promises["not_a_server_error"] == "No request is answered with a 5xx"
    assert promises["image_count"] in realistic


def test_a_caption_speaks_of_nothing_that_is_not_drawn():
    """The deadline's triangle, the unknown charge, the assumed price: each has its sentence where it is to be seen."""
    said = captions.captions([runs.umodelverse_sync()])
    for words in ("in grey", "triangle", "To the right", "assumed", "side by side", "200", "polling"):
        assert words not in " ".join(said.values())
    said = captions.captions(runs.realistic().targets)
    for name, words in (("distributions", "in grey"), ("jobs", "triangle"), ("phases", "Hatched")):
        assert words in said[name]


def test_a_picture_of_a_failing_case_says_what_failed(realistic):
    """In the finding's own line, which leads to its card."""
    card = realistic.partition('<ul class="gallery">')[2].partition('<li class="fail">')[2].partition("</li>")[0]
    assert re.search('<p class="fault"><a href="#t0-f[0-9]+">', card)


def test_the_words_of_the_latency_table_are_explained(realistic):
    """Each phase, each method, and what censored means."""
    assert {"submit", "queue", "inference", "total", "result", "download", "end_to_end", "reported_inference"} <= set(
        html.TERMS
    )
    assert {"exact", "midpoint", "npmle", "censored"} <= set(html.TERMS)
    assert all(meaning in realistic for meaning in html.TERMS.values())


def test_a_cell_opens_its_findings(realistic):
    """One finding is a link, several are a list of links; each leads to a finding of that check and target."""
    _, cells = next(row for row in lines.check_rows(*_targets_and_groups()) if row[0] == "negative_data_rejection")
    cell = cells[0]
    assert cell is not None
    assert [group.anchor for group in cell.findings] == ["t0-f2", "t0-f3"]
    assert cell.verdicts == ["unknown", "warn", "pass"]
    assert '<a href="#t0-f2">the provider answered 429, which says nothing about the request</a>' in realistic
    count = realistic.index('<a href="#t0-f0">', realistic.index('id="checks"'))
    assert "/checks/image_dimensions/fail" in realistic[count : count + 300]


def test_dialects_are_lined_up_by_role_and_their_differences_named():
    """The same role is one row whatever its name; what the documents state differently is said."""
    rows = {row.role: row for row in lines.role_rows(*_targets_and_groups())}
    assert [said and said.parameter["name"] for said in rows["count"].said] == ["num_images", "n", None, "num_images"]
    assert rows["count"].differ == ["names", "ranges", "defaults"]
    assert [said and said.parameter["values"] for said in rows["guidance"].said] == [
        "1 to 20",
        "1 to 20",
        "1 to 20",
        "",
    ]
    assert rows["enhance"].differ == []


def _targets_and_groups():
    result = runs.realistic()
    return result.document["targets"], [findings.groups_of(n, target) for n, target in enumerate(result.targets)]


def test_chips_say_what_is_left_open_and_what_was_not_sent():
    """A fault on which the documents are silent is outlined; the request as a whole comes last."""
    (targets, (groups, *_)) = _targets_and_groups()
    name = next(iter(targets))
    *rows, whole = lines.contract(name, targets[name], groups)
    (safety,) = [row for row in rows if row.name == "safety_tolerance"]
    assert [(chip.name, chip.verdict, chip.open) for chip in safety.faults] == [("integer-6", "warn", True)]
    assert whole.name == lines.WHOLE_REQUEST
    assert [(chip.name, chip.verdict) for chip in whole.faults] == [
        ("body/truncated", "pass"),
        ("body/utf-16", "unsent"),
    ]


def test_a_chip_leads_to_the_finding_that_blames_it_and_to_no_other():
    """A value that fails leads to its parameter's card; what passed leads nowhere, whatever else its case shows."""
    targets, (groups, *_) = _targets_and_groups()
    name = next(iter(targets))
    rows = lines.contract(name, targets[name], groups)
    anchors = {f"#{group.anchor}": group for group in groups}
    chips = [(row.name, chip) for row in rows for chip in (*row.values, *row.faults)]
    assert {chip.href for _, chip in chips if chip.verdict in ("pass", "masked", "unsent")} == {None}
    failed = [(parameter, anchors[chip.href or ""]) for parameter, chip in chips if chip.verdict == "fail"]
    assert failed
    assert all(group.first["parameter"] == parameter for parameter, group in failed)


def test_a_picture_that_redirects_to_no_address_was_not_fetched():
    """Whatever a provider answers, the report is made."""
    lost = with_reply(seen(FAL), "asset", lambda _: Response(302, {"location": "http://[::1"}, b""))
    (shown,) = pictures.chosen(lost.route, [lost.judged()], 1)
    assert (shown.data, shown.fault) == (None, "it was not fetched")


def test_pictures_are_small_and_what_cannot_be_shown_is_said(realistic):
    """A thumbnail of at most 96 pixels; a file that is no picture is its fault in words."""
    (source,) = {attrs["src"] for attrs in Page(realistic).all("img")}
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
        assert (image.format, image.size) == ("WEBP", (40, 30))
    whole = "".join(Page(realistic).text)
    assert "it is no PNG, JPEG, WebP or GIF image" in whole
    assert "it was not fetched" in whole


def test_hostile_text_is_text(hostile):
    """Markup, templates, terminal sequences, bidi controls and lone surrogates are shown, and cut."""
    hostile.encode()
    assert "<script>" not in hostile
    assert not re.search("<img(?! src=.data:image/webp;base64,)", hostile)
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
        runs.refused(of, "prompt", f"fault-{n}", runs.finding("error_shape", runs.FAIL, "message", f"about-{n}"))
        for n in range(460)
    ]
    rows += [runs.refused(of, "seed", f"fault-{n}", runs.finding("limits", runs.FAIL, "same")) for n in range(40)]
    page = html.render(runs.run(runs.target_result(of, of.default_flow, rows, {}, {}, {}, "")))
    assert "Further findings are in report.json." in page
    assert page.count('<article class="finding') == 400
    Page(page)


def test_what_a_check_finds_of_a_parameter_is_one_card():
    """Seventeen ratios and numbers of an image are one broken promise: each pair of values is a line with its cases."""
    of = runs.spec("fal/flux-pro-kontext-multi")
    source = runs.RATIO.source

    def square(image, ratio):
        message = f"image {image} is 265 × 265; aspect_ratio asks for {ratio}"
        return runs.finding("image_dimensions", runs.FAIL, message, "aspect_ratio", ratio, "265 × 265", source)

    ratios = [f"{n}:{n + 1}" for n in range(1, 21)]
    rows = [
        runs.accepted(of, n, {}, square(1, ratio), square(2, ratio)) for n, ratio in enumerate([*ratios, ratios[0]])
    ]
    target = runs.target_result(of, of.default_flow, rows, {}, {}, {}, "")
    (group,) = findings.groups_of(0, target)
    assert (group.cases, len(group.lines), group.more, group.by_value) == (21, findings.MOST_LINES, 8, True)
    assert [(line.first["expected"], line.cases) for line in group.lines][:2] == [("1:2", 2), ("2:3", 1)]
    page = html.render(runs.run(target))
    assert page.count('<article class="finding') == 1
    assert page.count("The request that shows it") == 1
    assert "more in report.json" in page


def test_where_the_document_is_silent_nothing_was_expected(realistic):
    """A warning says what would be prudent."""
    card = realistic.partition('<details class="finding warn">')[2].partition("</details>")[0]
    assert "prudent would be" in card
    assert "<dt>expected</dt>" not in card


def test_commands_are_whole_until_they_are_too_much_for_a_page():
    """Three hundred commands of 15 kB are named and not shown; a few are shown to their last character."""
    of, command = runs.spec("fal/flux-pro-kontext-multi"), f"curl --data-raw '{'a' * 15_000}'"
    for number, shown in ((3, True), (300, False)):
        rows = [
            runs.refused(of, "seed", f"fault-{n}", runs.finding("limits", runs.FAIL, "said", f"about-{n}"))
            for n in range(number)
        ]
        target = runs.target_result(of, of.default_flow, rows, {}, {}, {}, "")
        for one in target.summary["findings"]:
            one |= {"request": command}
        page = html.render(runs.run(target))
        assert ("a" * 15_000 in page) is shown
        assert ("The command is too long to be shown here" in page) is not shown
        assert len(page) < 3_000_000


def test_a_quantile_that_is_not_known_has_no_interval(realistic):
    """A bound of what has no value says nothing."""
    assert "–<span" not in realistic.partition('id="latency-c"')[2].partition("</table>")[0]


def test_the_page_is_written_without_loading_the_plots_first():
    """Start-up is quick: matplotlib and numpy come with the first figure."""
    code = "import sys, harness.report.html, harness.report.terminal; print({'matplotlib', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"
