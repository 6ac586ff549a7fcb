"""Figures as SVG that a page with a strict content security policy can hold inline, and as files.

Rules
-----
* The inline SVG has no ``style``: plain properties are presentation attributes, and a colour is a class (``fill-ink``,
  ``stroke-queue``) which the page's style sheet paints, light or dark. Identifiers carry the figure's prefix.
* Text stays text, without a font or a size that the page could not override.
* A file has the same marks, with the colours of both schemes in it.
"""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree as ET

from harness.report import palette
from harness.report.plots.style import SENTINELS, Plot, styled

_PARTS = {colour: part for part, colour in SENTINELS.items()}
_LONG = re.compile(r"-?\d+\.\d{3,}")
_COMMAND = re.compile(r"\s*([MLCQz])\s*")
_DENSITY = 144
"""Dots per inch of a PNG file: two for each CSS pixel."""


def inline(plot: Plot, prefix: str, width: int) -> str:
    """The figure for a page; ``prefix`` makes its identifiers the page's only ones."""
    with styled(SENTINELS):
        figure, out = plot.paint(width, SENTINELS), io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return _inline(out.getvalue(), prefix, plot)


def file(plot: Plot, width: int) -> str:
    """The figure as an SVG file of its own."""
    root = ET.fromstring(inline(plot, plot.name, width))  # noqa: S314 - written just now
    left, top, across, down = root.attrib["viewBox"].split()
    ground = ET.Element("rect", {"x": left, "y": top, "width": across, "height": down, "class": "fill-paper"})
    style = ET.Element("style")
    style.text = palette.standalone()
    root.insert(2, style)
    root.insert(3, ground)
    root.attrib |= {"xmlns": "http://www.w3.org/2000/svg", "width": across, "height": down}
    return ET.tostring(root, encoding="unicode") + "\n"


def png(plot: Plot, width: int) -> bytes:
    """The figure as a PNG file, in the light scheme."""
    ink = palette.scheme("light")
    with styled(ink):
        figure, out = plot.paint(width, ink), io.BytesIO()
        figure.patch.set_visible(True)
        figure.savefig(out, format="png", dpi=_DENSITY, facecolor=ink["paper"], metadata={"Software": None})
    return out.getvalue()


def _inline(svg: str, prefix: str, plot: Plot) -> str:
    """Matplotlib's SVG without what an inline, policy-bound page may not hold."""
    root = ET.fromstring(svg)  # noqa: S314 - matplotlib wrote it just now
    _strip_names(root)
    for tag in ("metadata", "style"):
        _remove(root, tag)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', ET.tostring(root, encoding="unicode")))
    for node in root.iter():
        _restyle(node)
        _shorten(node)
        _rename(node, prefix, used)
    labelled = f"{prefix}-title {prefix}-desc"
    root.attrib = {"viewBox": root.attrib["viewBox"], "class": "plot", "role": "img", "aria-labelledby": labelled}
    for place, (tag, text) in enumerate({"title": plot.title, "desc": plot.told}.items()):
        node = ET.Element(tag, {"id": f"{prefix}-{tag}"})
        node.text = text
        root.insert(place, node)
    return re.sub(r"\s*\n\s*", " ", ET.tostring(root, encoding="unicode")).replace("> <", "><")


def _strip_names(root: ET.Element) -> None:
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2]
        node.attrib = {name.rpartition("}")[2]: value for name, value in node.attrib.items()}


def _remove(root: ET.Element, tag: str) -> None:
    for parent in root.iter():
        for child in [child for child in parent if child.tag == tag]:
            parent.remove(child)


def _restyle(node: ET.Element) -> None:
    declared = [part.partition(":") for part in node.attrib.pop("style", "").split(";") if part.strip()]
    properties = {name.strip(): value.strip() for name, _, value in declared}
    for name in ("fill", "stroke"):
        if name in node.attrib:
            properties.setdefault(name, node.attrib.pop(name))
    classes = []
    for name, value in properties.items():
        if value in _PARTS:
            classes.append(f"{name}-{_PARTS[value]}")
        elif name != "font-family":
            node.set(name, value.removesuffix("px") if name == "font-size" else value)
    if classes:
        node.set("class", " ".join(classes))


def _shorten(node: ET.Element) -> None:
    """Hundredths of a pixel are more than anybody sees; and a turn by nothing is none."""
    for name in ("d", "x", "y"):
        if name in node.attrib:
            short = _LONG.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), node.attrib[name])
            node.set(name, _COMMAND.sub(r"\1", short).strip())
    if node.get("transform", "").startswith("rotate(-0 "):
        del node.attrib["transform"]


def _rename(node: ET.Element, prefix: str, used: set[str]) -> None:
    for name, value in list(node.attrib.items()):
        if name == "id":
            if value in used:
                node.set(name, f"{prefix}-{value}")
            else:
                del node.attrib[name]
        elif name == "href":
            node.set(name, f"#{prefix}-{value[1:]}")
        elif value.startswith("url(#"):
            node.set(name, f"url(#{prefix}-{value[5:]}")
