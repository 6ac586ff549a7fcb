import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from harness.report import plots
from harness.report.results import Sample
from tests.report import runs

STYLE_SHEET = Path(plots.__file__).with_name("style.css")
FIGURES = {"latency": plots.latency, "phases": plots.phases}


def four():
    return runs.realistic().targets


def lasting(totals):
    """A synchronous target whose jobs took these times."""
    base = runs.umodelverse_sync()
    latency = base.summary["latency"] | {"total": runs.distribution(totals), "download": runs.distribution(())}
    return replace(base, samples={"total": totals}, summary={**base.summary, "latency": latency})


@pytest.fixture(params=[(name, width) for name in FIGURES for width in (plots.WIDE, plots.NARROW)], ids=str)
def figure(request):
    name, width = request.param
    return lambda targets, prefix="f": FIGURES[name](targets, prefix, width)


def words(svg):
    return [node.text for node in ET.fromstring(svg).iter("text")]


def test_equal_input_gives_equal_bytes(figure):
    """No date, no chance, no state from figure to figure."""
    assert figure(four()) == figure(four())


def test_a_figure_obeys_a_strict_policy(figure):
    """No style attribute or element, no script, no address outside the figure, no font or size of its own."""
    svg = figure(four())
    for node in ET.fromstring(svg).iter():
        assert node.tag in {"svg", "g", "path", "use", "text", "title", "desc", "defs", "clipPath", "rect", "pattern"}
        assert not {"style", "onload", "font-family", "width"} & set(node.attrib) or node.tag in ("rect", "pattern")
        assert node.get("href", "#").startswith("#")
    assert "http" not in svg


def test_every_identifier_carries_the_prefix_and_every_reference_leads_to_one(figure):
    """Several figures can stand in one page."""
    svg = figure(four(), "a")
    ids = re.findall(r' id="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert all(name.startswith("a-") for name in ids)
    assert {*re.findall(r'(?:href="|url\()#([^")]+)', svg)} <= {*ids}


def test_every_colour_is_a_class(figure):
    """The page's style sheet paints; nothing is black by accident."""
    svg = figure(four())
    plain = {found for found in re.findall(r'(?:fill|stroke)="([^"]+)"', svg) if not found.startswith("url(#")}
    assert plain <= {"none"}
    painted = {name for classes in re.findall(r'class="([^"]+)"', svg) for name in classes.split()} - {"plot"}
    known = set(re.findall(r"\.((?:fill|stroke)-[a-z]+)", STYLE_SHEET.read_text("utf-8")))
    assert painted
    assert painted <= known


def test_a_figure_has_a_title_and_tells_what_it_shows(figure):
    """A reader who does not see it hears the rows."""
    root = ET.fromstring(figure(four()))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "f-title f-desc"
    assert "wavespeed/flux-kontext-pro-multi: " in str(root.findtext("desc"))


def test_jobs_that_never_completed_are_counted_and_marked():
    """A censored sample is neither dropped nor drawn as a duration."""
    svg = plots.latency((runs.wavespeed_poll(),), "f")
    assert "14 jobs, 2 never completed, p50 7.77 s (5.72–13.0)" in words(svg)
    late = [node for node in ET.fromstring(svg).iter("use") if "fill-late" in node.get("class", "")]
    assert len(late) == 2


def test_a_phase_that_is_not_separable_is_said_so_and_never_drawn():
    """A synchronous flow has one bar for its total."""
    svg = plots.phases((runs.umodelverse_sync(),), "f")
    assert "total 11.2 s (not separable), download 0.900 s" in words(svg)
    assert "queue" not in words(svg)
    assert "fill-queue" not in svg


def test_no_data_is_a_sentence(figure):
    """An axis without a mark would look like a defect."""
    said = words(figure((runs.gateway_untouched(),)))
    assert {"no job was measured", "no median is known"} & set(said)
    assert words(figure(()))


def test_samples_that_all_failed_and_durations_of_zero_are_drawn(figure):
    """Neither infinity nor zero breaks an axis."""
    lost, instant = lasting(runs.never(3)), lasting((Sample("a", 0.0, 0.0),) * 2)
    assert {"3 jobs, 3 never completed", "no median is known"} & set(words(figure((lost,))))
    assert {"2 jobs, p50 0.000 s", "total 0.000 s (not separable)"} & set(words(figure((instant,))))


def test_one_slow_job_does_not_press_the_others_against_the_axis():
    """Beyond a ratio of forty the axis is logarithmic, and says so."""
    slow = lasting((*runs.spread(12, 11.2), Sample("slow", 900.0, 900.0)))
    assert "seconds, logarithmic" in words(plots.latency((slow,), "f"))


def test_thousands_of_jobs_are_drawn_as_two_hundred_quantiles():
    """The page stays small, the shape stays true."""
    many = lasting(runs.spread(5000, 8.0))
    dots = [n for n in ET.fromstring(plots.latency((many,), "f")).iter("use") if "fill-dot" in n.get("class", "")]
    assert len(dots) == 200


def test_a_hostile_label_is_text_and_short(figure):
    """No mathematics, no markup, no twenty thousand characters; and no glyph that the font lacks."""
    svg = figure(runs.hostile().targets)
    root = ET.fromstring(svg)
    label = next(word for word in words(svg) if word.startswith("<script>"))
    assert len(label) < 120
    assert root.find(".//script") is None
    dollars = replace(runs.hostile().targets[0].spec, target=r"$\frac$ ${x} 日本")
    said = words(figure((replace(runs.hostile().targets[0], spec=dollars),)))
    assert r"$\frac$ ${x} \u65e5\u672c" in said
