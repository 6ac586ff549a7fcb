"""The page in a real browser: what its policy forbids, how it fits, whether it can be read."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from harness.report import document, html
from harness.targets import Request
from tests.calls import SPECS, simulated
from tests.report import runs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None and "CI" not in os.environ, reason="chromium is not installed")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]

# Every visible text with its colour and the ground under it, as the contrast ratio of WCAG 2.
CONTRASTS = """() => {
  const channel = c => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
  const ground = node => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.body.querySelectorAll('*')) {
    const own = [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility() || ['title', 'desc'].includes(node.tagName)) continue;
    const style = getComputedStyle(node), svg = node.namespaceURI.endsWith('svg');
    if (svg && node.classList.contains('fill-paper')) continue;  // stands on a segment, not on the page
    const [a, b] = [light(parse(svg ? style.fill : style.color)), light(ground(node))].sort((x, y) => y - x);
    found.push([(a + .05) / (b + .05), node.outerHTML.slice(0, 120)]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


def recorded():
    """A few jobs of two real targets, with everything that a record has: timelines, pictures, polls."""
    specs = [SPECS["fal/flux-pro-kontext-multi"], SPECS["umodelverse/flux-kontext-pro"]]
    with ThreadPoolExecutor() as aside:  # Playwright has a loop of its own running in this thread
        run = aside.submit(simulated, Request("simulate", max_cases=5, rejects=False), *specs).result()
    return document.build(run.history, SPECS)


PAGES = {"realistic": runs.realistic, "hostile": runs.hostile, "recorded": recorded}


@pytest.fixture(scope="module", params=PAGES)
def file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html.render(PAGES[request.param]()), "utf-8")
    return path


@pytest.fixture
def visit(browser, file):
    """Open the page in a window of a width and a colour scheme; everything it logs or asks for is collected."""
    contexts = []

    def open_page(width=1280, scheme="light", **how):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **how)
        contexts.append(context)
        page = context.new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("dialog", lambda dialog: page.said.append(dialog.message))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


def test_the_page_breaks_none_of_its_own_rules_and_asks_for_nothing(visit, file):
    """No violation of its policy, no error, no request but for itself."""
    page = visit()
    assert page.said == []
    assert [url for url in page.asked if not url.startswith("data:")] == [file.as_uri()]
    assert page.evaluate("document.scripts.length") == 0


def test_the_policy_is_in_force(visit):
    """A style attribute and a script that get in anyhow do nothing."""
    page = visit()
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p id=x style=\"color:rgb(1,2,3)\">x</p>')")
    assert page.evaluate("getComputedStyle(document.getElementById('x')).color") != "rgb(1, 2, 3)"
    assert any("Content Security Policy" in text for text in page.said)


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1920])
def test_the_page_never_scrolls_sideways(visit, width):
    """Wide tables scroll inside their box."""
    page = visit(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_text_can_be_read(visit, scheme, width):
    """A contrast of at least 4.5 to 1, in the light and in the dark."""
    found = visit(width, scheme).evaluate(CONTRASTS)
    assert len(found) > 100
    assert [one for one in found if one[0] < 4.5] == []


def test_the_dark_page_is_dark(visit):
    """The scheme is the reader's, figures included."""
    page = visit(scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert page.evaluate("getComputedStyle(document.querySelector('.plot .fill-ink')).fill") == "rgb(228, 231, 234)"


@pytest.mark.parametrize(("width", "shown"), [(390, "narrow"), (1280, "wide")])
def test_a_figure_is_shown_once_with_text_of_a_readable_size(visit, width, shown):
    """A phone gets the figure that was drawn for it."""
    page = visit(width)
    assert page.evaluate("[...new Set([...document.querySelectorAll('.plot')].filter(p => p.checkVisibility())"
                         ".map(p => p.parentElement.className))]") == [shown]  # fmt: skip
    heights = page.evaluate("[...document.querySelectorAll('.plot text')].filter(t => t.checkVisibility())"
                            ".map(t => t.getBoundingClientRect().height)")  # fmt: skip
    assert min(heights) >= 9.5


def test_in_print_the_requests_are_open_and_nothing_is_cut(visit):
    """Paper has no summary to click on and no box to scroll."""
    page = visit()
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 1000, "height": 900})
    assert page.evaluate("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
    hidden = (
        "[...document.querySelectorAll('pre')].filter(p => !p.checkVisibility({contentVisibilityAuto: true})).length"
    )
    assert page.evaluate(hidden) == 0


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
@pytest.mark.parametrize("file", ["realistic", "recorded"], indirect=True)
def test_axe_finds_nothing_serious(visit, width, scheme):
    """Names, roles, structure, contrast and focus, by the rules of axe-core, with everything open."""
    page = visit(width, scheme, bypass_csp=True)  # axe styles the page while it measures
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in serious] == []


def test_the_matrix_is_walked_with_the_keyboard(browser, tmp_path):
    """Tab reaches each cell's findings in order, Enter opens a list or leads to the finding, and Tab goes on from there."""
    path = tmp_path / "report.html"
    path.write_text(html.render(runs.realistic()), "utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(path.as_uri())
    focused = "document.activeElement"
    page.locator("#checks .scroll").focus()
    page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}.closest('tr').querySelector('th code').innerText") == "image_count"
    assert page.evaluate(f"getComputedStyle({focused}).outlineStyle") == "solid"
    cells = page.locator("#checks td > a, #checks td summary").count()
    for _ in range(cells - 1):
        page.keyboard.press("Tab")
        assert page.evaluate(f"{focused}.closest('#checks td') !== null")
    several = page.locator("#checks td summary").first
    several.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}.getAttribute('href')") == "#t0-f2"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#t0-f2"
    assert page.evaluate("document.querySelector(':target').getBoundingClientRect().top") >= 40  # below the navigation
    page.keyboard.press("Tab")
    assert page.evaluate(f"{focused}.closest('#t0-f2') !== null")
    page.close()


def test_a_link_opens_the_finding_that_is_folded(visit, file):
    """A warning is one line until somebody asks for it."""
    page = visit()
    folded = page.locator("details.finding > div[id]")
    if not folded.count():
        return
    anchor = folded.first.get_attribute("id")
    assert not folded.first.is_visible()
    page.goto(f"{file.as_uri()}#{anchor}")
    assert page.evaluate(f"document.getElementById('{anchor}').checkVisibility({{contentVisibilityAuto: true}})")


def test_a_command_is_selected_with_one_click(browser, tmp_path):
    """There is no button, since there is no script."""
    path = tmp_path / "report.html"
    path.write_text(html.render(runs.realistic()), "utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.locator(".finding summary").first.click()
    shown = page.locator(".finding pre").first
    shown.click()
    assert page.evaluate("getSelection().toString()") == shown.inner_text()
    assert shown.inner_text().startswith("curl --request POST")
    page.close()


def test_pictures_are_shown_and_small(visit):
    """Each is decoded by the browser, at most 96 pixels wide and high."""
    sizes = visit().evaluate("[...document.images].map(i => [i.complete, i.naturalWidth, i.naturalHeight])")
    assert sizes
    assert all(complete and 0 < max(width, height) <= 96 for complete, width, height in sizes)
