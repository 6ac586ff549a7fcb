import io
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from harness.report import document, palette, plots
from harness.report.plots import latency, timeline, value
from harness.report.results import Sample
from harness.targets import Request
from tests.calls import FAL, SINGLE, SPECS, simulated, with_failure
from tests.calls import seen as seen_call
from tests.report import runs

DRAWN = {
    "distributions": latency.distributions,
    "jobs": latency.jobs,
    "phases": latency.phases,
    "cost-latency": value.cost_latency,
    "timeline": timeline.swimlanes,
}


def four():
    return runs.realistic().targets


@pytest.fixture(scope="module")
def recorded():
    """Jobs of a polled and of a synchronous target, as the engine recorded them."""
    run = simulated(Request("simulate", max_cases=6, rejects=False), FAL, SINGLE)
    return document.build(run.history, SPECS).targets


def lasting(totals):
    """A synchronous target whose jobs took these times."""
    base = runs.umodelverse_sync()
    times = base.summary["latency"] | {"total": runs.distribution(totals), "download": runs.distribution(())}
    return replace(base, samples={"total": totals}, summary={**base.summary, "latency": times})


@pytest.fixture(params=[(name, width) for name in DRAWN for width in (plots.WIDE, plots.NARROW)], ids=str)
def figure(request, recorded):
    """One kind of figure at one width, as inline SVG: of targets, of recorded ones by default."""
    name, width = request.param

    def draw(targets=recorded, prefix="f"):
        plot = DRAWN[name](targets)
        return None if plot is None else plots.inline(plot, prefix, width)

    return draw


def inline(plot, prefix="f", width=plots.WIDE):
    return plots.inline(plot, prefix, width)


def words(svg):
    return [node.text for node in ET.fromstring(svg).iter("text")]


def test_equal_input_gives_equal_bytes(figure):
    """No date, no chance, no state from figure to figure."""
    assert figure() == figure()


def test_a_figure_obeys_a_strict_policy(figure):
    """No style attribute or element, no script, no address outside the figure, no font or size of its own."""
    svg = figure()
    for node in ET.fromstring(svg).iter():
        assert node.tag in {"svg", "g", "path", "use", "text", "title", "desc", "defs", "clipPath", "rect", "pattern"}
        assert not {"style", "onload", "font-family", "width"} & set(node.attrib) or node.tag in ("rect", "pattern")
        assert node.get("href", "#").startswith("#")
    assert "http" not in svg


def test_every_identifier_carries_the_prefix_and_every_reference_leads_to_one(figure):
    """Several figures can stand in one page."""
    svg = figure(prefix="a")
    ids = re.findall(r' id="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert all(name.startswith("a-") for name in ids)
    assert {*re.findall(r'(?:href="|url\()#([^")]+)', svg)} <= {*ids}


def test_every_colour_is_a_class(figure):
    """The page's style sheet paints; nothing is black by accident."""
    svg = figure()
    plain = {found for found in re.findall(r'(?:fill|stroke)="([^"]+)"', svg) if not found.startswith("url(#")}
    assert plain <= {"none"}
    painted = {name for classes in re.findall(r'class="([^"]+)"', svg) for name in classes.split()} - {"plot"}
    known = set(re.findall(r"\.((?:fill|stroke)-[a-z]+)", palette.sheet()))
    assert painted
    assert painted <= known


def test_a_figure_has_a_title_and_tells_what_it_shows(figure):
    """A reader who does not see it hears the rows."""
    root = ET.fromstring(figure())
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "f-title f-desc"
    assert root.findtext("title")
    assert f"{FAL.target}: " in str(root.findtext("desc"))


def test_jobs_that_never_completed_are_counted_and_marked():
    """A censored sample is neither dropped nor drawn as a duration."""
    svg = inline(latency.jobs((runs.wavespeed_poll(),)))
    assert "14 jobs, 2 never completed, p50 7.77 s (5.72–13.0)" in words(svg)
    late = [node for node in ET.fromstring(svg).iter("use") if "fill-late" in node.get("class", "")]
    assert len(late) == 2
    assert "fill-late" in inline(latency.distributions((runs.wavespeed_poll(),)))


def test_a_distribution_s_band_is_the_interval_of_the_table():
    """At the median the band's edges are the bounds that the report prints; where there is none it runs to the edge."""
    target = runs.umodelverse_sync()
    figure = latency.distributions((target,)).paint(plots.WIDE, dict.fromkeys(palette.PARTS, "#123456"))
    (band,) = [found for axes in figure.axes for found in axes.collections if found.get_zorder() == 2]
    vertices: Any = band.get_paths()[0].vertices
    corners = {(round(x, 6), round(y, 6)) for x, y in vertices}
    median = target.summary["latency"]["total"]["p50"]
    assert {(round(median["low"], 6), 0.5), (round(median["high"], 6), 0.5)} <= corners
    edge = round(figure.axes[0].get_xlim()[1], 6)
    assert (edge, 0.975) in corners


def test_a_phase_that_is_not_separable_is_said_so_and_never_drawn():
    """A synchronous flow has one bar for its total."""
    svg = inline(latency.phases((runs.umodelverse_sync(),)))
    assert "total 11.2 s (not separable), download 0.900 s" in words(svg)
    assert "queue" not in words(svg)
    assert "fill-queue" not in svg


def test_no_data_is_a_sentence_or_no_figure(figure):
    """An axis without a mark would look like a defect."""
    for targets in ((runs.gateway_untouched(),), ()):
        svg = figure(targets)
        said = words(svg) if svg else []
        known = {"no job was measured", "no median is known", "no target was run"}
        assert svg is None or known & set(said) or "no target was run" in svg


def test_samples_that_all_failed_and_durations_of_zero_are_drawn(figure):
    """Neither infinity nor zero breaks an axis."""
    for totals in (runs.never(3), (Sample("a", 0.0, 0.0),) * 2, ()):
        figure((lasting(totals),))


def test_one_slow_job_does_not_press_the_others_against_the_axis():
    """Beyond a ratio of forty the axis is logarithmic, and says so."""
    slow = lasting((*runs.spread(12, 11.2), Sample("slow", 900.0, 900.0)))
    for drawn in (latency.jobs, latency.distributions):
        assert "seconds, logarithmic" in words(inline(drawn((slow,))))


def test_thousands_of_jobs_are_drawn_as_two_hundred_quantiles():
    """The page stays small, the shape stays true."""
    many = lasting(runs.spread(5000, 8.0))
    svg = inline(latency.jobs((many,)))
    (dots,) = [node for node in ET.fromstring(svg).iter("path") if node.get("stroke-linecap") == "round"]
    assert str(dots.get("d")).count("M") == 200
    assert len(inline(latency.distributions((many,)))) < 30_000


def test_a_timeline_shows_what_is_sure_and_hatches_what_lies_between_two_polls(recorded):
    """Queue, inference and polls of a polled job; one hatched bar for a synchronous one."""
    polled, whole = recorded
    svg = inline(timeline.swimlanes((polled,)))
    for part in ("fill-submit", "fill-queue", "fill-inference", "fill-download", "stroke-ink"):
        assert part in svg
    assert 'fill="url(#f-' in svg
    svg = inline(timeline.swimlanes((whole,)))
    assert "fill-queue" not in svg
    assert 'fill="url(#f-' in svg


def test_bars_of_a_timeline_are_the_recorded_instants():
    """Each phase's bar begins and ends where its exchanges and its interval say, from the first request on."""
    call = seen_call(FAL).call
    route = seen_call(FAL).route
    start = call.exchanges[0].sent_ns
    bars = list(timeline._bars(route, call, start))
    (submit,), results = call.of("submit"), call.of("result", "asset")
    assert bars[0] == ("submit", 0.0, (submit.received_ns - start) / 1e9)
    assert [bar[0] for bar in bars] == [
        "submit",
        "queue",
        "undivided",
        "inference",
        "undivided",
        *["download"] * len(results),
    ]
    assert all(low <= high for _, low, high in bars)
    assert [bar[1] for bar in bars[1:5]] == [bar[2] for bar in bars[:4]]


def test_a_job_that_was_lost_is_marked_in_the_timeline(recorded):
    """A submit without an answer ends in a triangle."""
    polled, _ = recorded
    lost = with_failure(seen_call(FAL), "submit", "reset").call
    judged = (replace(polled.judged[0], call=lost),)
    assert "fill-late" in inline(timeline.swimlanes((replace(polled, judged=judged),)))


def test_unknown_charges_and_assumed_prices_show_in_the_cost_picture():
    """A line leads to the dearer case; a ring is a price that nobody stated for this endpoint."""
    plain = runs.umodelverse_sync()
    first: Any = plain.judged[0]
    doubtful = replace(first, call=replace(first.call, billed="unknown"))
    ring = {**plain.summary, "cost": {**plain.summary["cost"], "price_source": "0.04 USD (assumed)"}}
    before, after, assumed = (
        inline(value.cost_latency((one,)))
        for one in (plain, replace(plain, judged=(doubtful, *plain.judged[1:])), replace(plain, summary=ring))
    )
    assert after.count("stroke-dot") == before.count("stroke-dot") + 1
    assert "assumed" in assumed
    assert "fill-paper" in assumed


def test_a_hostile_label_is_text_and_short(figure):
    """No mathematics, no markup, no twenty thousand characters; and no glyph that the font lacks."""
    svg = figure(runs.hostile().targets)
    if svg is None:
        return
    label = next(word for word in words(svg) if word.startswith("<script>"))
    assert len(label) < 120
    assert ET.fromstring(svg).find(".//script") is None
    dollars = replace(runs.hostile().targets[0].spec, target=r"$\frac$ ${x} 日本")
    said = words(figure((replace(runs.hostile().targets[0], spec=dollars),)))
    assert r"$\frac$ ${x} \u65e5\u672c" in said


def test_a_file_has_the_colours_of_both_schemes_and_a_png_is_sharp(recorded):
    """What is written beside the page can be shown anywhere."""
    for plot in plots.plots_of(recorded).values():
        root = ET.fromstring(plots.file(plot, plots.WIDE))
        assert root.get("width") == str(plots.WIDE)
        style = root.findtext("{*}style") or ""
        assert all(palette.scheme(name)["dot"] in style for name in ("light", "dark"))
        with Image.open(io.BytesIO(plots.png(plot, plots.WIDE))) as image:
            assert image.width == 2 * plots.WIDE
            assert image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
