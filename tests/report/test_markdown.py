import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness.report import markdown, text
from harness.report.results import RunResult
from tests.report import runs
from tests.report.test_junit import ANYTHING, FAL, one_target, saying

GFM = MarkdownIt("commonmark").enable("table")
OURS = {"details", "summary", "code", "pre"}
BACKTICKS = "".join(f"a{'`' * n}" for n in range(1, 31))
INERT = {
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "heading",
    "paragraph",
    "bullet_list",
    "list_item",
    "inline",
    "html_block",
}


class Html(HTMLParser):
    """The elements of our own HTML, and the text that stands in code and outside of it."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.inside: list[str] = []
        self.outside: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        assert attrs == []
        self.open.append(tag)
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.inside if {"code", "pre"} & set(self.open) else self.outside).append(data)


class Read:
    """A summary as a renderer reads it: the text in code, the text outside of it, and the HTML in between."""

    def __init__(self, source):
        self.code: list[str] = []
        self.prose: list[str] = []
        html = []
        for token in GFM.parse(source):
            assert token.type.removesuffix("_open").removesuffix("_close") in INERT, token.type
            if token.type == "html_block":
                html.append(token.content)
            for child in token.children or ():
                assert child.type in ("text", "code_inline", "softbreak"), child.type
                (self.code if child.type == "code_inline" else self.prose).append(child.content)
        self.html = Html("".join(html))
        assert self.html.open == []
        assert set(self.html.tags) <= OURS
        self.code += self.html.inside
        self.prose += self.html.outside


def test_the_summary_of_a_run():
    """Verdict and source, why, the figures of each target."""
    head, table = markdown.render(runs.realistic("simulate", None)).split("\n### Failures\n")[0].split("\n\n| ")
    assert head.splitlines() == [
        "## ❌ fail · `Simulated: says nothing about the real provider`",
        "",
        "<pre>8 cases failed: fal/flux-pro-kontext-multi 8 (image_dimensions, image_count).",
        "4 cases could not be judged: fal/flux-pro-kontext-multi 2 (negative_data_rejection), wavespeed/flux-kontext-pro-multi 2 (job_completes).",
        "1 case warned: fal/flux-pro-kontext-multi 1 (negative_data_rejection).",
        "The run is not complete: 2 planned cases not run.",
        "2 submits may have been charged: up to $0.08 more.</pre>",
        "",
        "412 requests · 50 paid images · USD 2.00 (at most 2.08) · `2026-11-21T01:47:17Z` · run `20261121-014717-7f3a` · harness `0.1.0`",
    ]
    assert (
        table.splitlines()[0]
        == "target | verdict | pass | warn | fail | unknown | not sent | paid | USD | p50 total | p95 total |"
    )
    assert table.splitlines()[2:] == [
        "| `fal/flux-pro-kontext-multi` | ❌ fail | 52 | 1 | 8 | 2 | 1 | 24 | 0.96 | 8.60 s | 13.9 s |",
        "| `umodelverse/flux-kontext-pro` | ✅ pass | 14 | 0 | 0 | 0 | 0 | 12 | 0.48 | 11.2 s | – |",
        "| `wavespeed/flux-kontext-pro-multi` | ❔ unknown | 12 | 0 | 0 | 2 | 0 | 14 | 0.56 | 7.77 s | – |",
        "| `fal-gateway/flux-pro-kontext-multi` | ❔ unknown | 0 | 0 | 0 | 0 | 1 | 0 | 0.00 | – | – |",
    ]


def test_a_failure_opens_on_what_shows_it():
    """Document, place, expected, observed, the cases and a curl command; equal failures are one."""
    source = markdown.render(one_target(*(runs.refused(runs.spec(FAL), "n", f"f{n}", runs.FEWER) for n in range(12))))
    assert source.count("<details>") == 1
    summary, *lines = source.partition("### Failures\n\n")[2].splitlines()
    assert summary == (
        "<details><summary>❌ <code>image_count</code> <code>num_images</code>: "
        "<code>the answer holds fewer images than were asked for</code> (<code>fal/flux-pro-kontext-multi</code>, 12 cases)</summary>"
    )
    assert lines[:8] == [
        "",
        "- document: `Flux Pro Kontext Multi API`",
        "- place: `Input Schema > num_images`",
        "- states: `integer, 1 to 4, default 1`",
        "- expected: `4 images`",
        "- observed: `1 image`",
        "- cases: " + ", ".join(f"`{FAL}/n/f{n}`" for n in range(10)) + " and 2 more",
        "",
    ]
    (command,) = [inside for inside in Read(source).html.inside if inside.startswith("curl ")]
    assert command.endswith("""--data '{"prompt": "A harbour at dawn", "num_images": 4}'""")


def test_warnings_are_grouped_and_counted():
    """One line for what several cases say."""
    of = runs.spec(FAL)
    source = markdown.render(one_target(*(runs.refused(of, "n", f"f{n}", runs.ACCEPTS_SEVEN) for n in range(3))))
    assert source.partition("### Warnings\n\n")[2] == (
        "- 3 × `negative_data_rejection` `safety_tolerance`: `a value that one place allows and another forbids was "
        "accepted` (`fal/flux-pro-kontext-multi`); `Flux Pro Kontext Multi API`, `Limitations > safety_tolerance`\n"
    )


def test_what_broke_no_documents_promise_says_so():
    """A generic promise has no document to cite."""
    bare = runs.finding("not_a_server_error", runs.FAIL, "the provider answered 500")
    assert "- document: none: every API promises this\n- cases: " in markdown.render(
        one_target(runs.refused(runs.spec(FAL), "n", "x", bare))
    )


@pytest.mark.parametrize(
    ("mode", "recorded_from", "said"),
    [
        ("simulate", None, "Simulated: says nothing about the real provider"),
        ("replay", "live", "Recorded on 2026-11-18 from the live provider, replayed here"),
        ("live", None, "Live"),
    ],
)
def test_the_first_line_is_the_verdict_and_where_the_answers_came_from(mode, recorded_from, said):
    """Nobody takes a simulator's verdict for a provider's."""
    assert markdown.render(runs.realistic(mode, recorded_from)).splitlines()[0] == f"## ❌ fail · `{said}`"


def test_equal_results_give_equal_bytes():
    """Nothing but the result is in it."""
    assert markdown.render(runs.realistic()) == markdown.render(runs.realistic())


def test_notes_about_the_record_are_said():
    """A history that was cut off."""
    result = RunResult(runs.realistic().document, (), ("the last line was cut off",))
    assert "\nthe last line was cut off</pre>" in markdown.render(result)


@given(st.text(st.characters(), min_size=1, max_size=400))
@example("`")
@example("``` ` ``")
@example(" ` ")
@example(BACKTICKS)
@example("a|b\\|c")
def test_a_code_span_holds_its_text_and_nothing_else(said):
    """Whatever backticks there are; by fewer than the 80 that GitHub's parser knows."""
    source = f"- x: {markdown.code(said)} y"
    spans = [child for token in GFM.parse(source) for child in token.children or () if child.type == "code_inline"]
    shown = text.log_line(text.visible(said))
    assert [span.content for span in spans] == [shown] or (shown.isspace() and len(spans) == 1)
    assert all(len(span.markup) < 80 for span in spans)


@given(ANYTHING)
@settings(max_examples=100, deadline=None)
@example("@everyone")
@example("https://evil.example www.evil.example a@b.example")
@example("[x](javascript:alert(1)) ![x](https://evil.example/x.png)")
@example("</code></summary></details></pre><script>alert(1)</script>")
@example("a|b\\|c| |")
@example("``|``\\|`")
@example("$$x$$ $`x`$ :smile: #1 ${{ secrets.KEY }}")
@example("```\n# x\n- y\n<!--")
def test_whatever_a_provider_says_stays_in_code(said):
    """No link, image, HTML, mention, emphasis, formula or table cell; what is outside of code is ours."""
    source = markdown.render(saying(said))
    read = Read(source)
    assert set(re.findall(r"[@#$`*_\[\]<>\\|]|://|www\.|:\w+:", "".join(read.prose))) == set()
    rows = [line for line in source.splitlines() if line.startswith("| ")]
    tokens = GFM.parse(source)
    assert len(rows) == 3
    assert sum(token.type == "td_open" for token in tokens) == sum(token.type == "th_open" for token in tokens) == 11
    for line in source.splitlines():
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
        assert text.visible(line, len(line)) == line


def test_hostile_text_stays_in_code_and_is_bounded():
    """Twenty thousand characters from outside make a page, not a book."""
    source = markdown.render(runs.hostile())
    assert len(source) < 20_000
    assert "owned" not in "".join(Read(source).prose)


def many(number):
    of = runs.spec(FAL)
    said = [
        runs.finding("limits", runs.FAIL, f"message {n} " + "é" * 400, "n", "é" * 500, "é" * 500) for n in range(number)
    ]
    warned = [runs.finding("timings", runs.WARN, f"message {n}") for n in range(3)]
    return one_target(*(runs.refused(of, "n", f"f{n}", one) for n, one in enumerate([*said, *warned])))


def test_a_summary_fits_what_github_takes_and_says_what_was_cut():
    """GitHub drops the whole of a longer one."""
    source = markdown.render(many(500))
    shown = source.count("<details>")
    assert markdown.LIMIT - 5000 < len(source.encode()) <= markdown.LIMIT
    assert 0 < shown < 500
    assert source.endswith(f"\nCut at 1048576 bytes: {500 - shown} failures not shown; report.json has them all.\n")
    assert source.count("- 1 × `timings`") == 3
    Read(source)


@pytest.mark.parametrize("limit", [0, 100, 1500, 4000, 20_000])
def test_the_head_is_there_however_little_room_there_is(limit):
    """A file that is nearly full still gets the verdict."""
    source = markdown.render(many(5), limit)
    assert source.startswith("## ❌ fail · ")
    assert len(source.encode()) <= max(limit, 1500)
    assert ("Cut at" in source) == (limit < 20_000)
    Read(source)
