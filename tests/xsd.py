"""The part of XML Schema that ``data/junit.xsd`` is written in, as a validator that needs nothing installed.

Rules
-----
* What a schema uses beyond that part is a ``NotImplementedError``, never a pass.
* A content model is a regular language over the names of the children, and is matched as one.
* Where ``xmllint`` is installed, ``tests/report/test_junit.py`` asks it too.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

XS = "{http://www.w3.org/2001/XMLSchema}"


def _is_decimal(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _is_instant(text: str) -> bool:
    try:
        return bool(datetime.fromisoformat(text)) and "T" in text
    except ValueError:
        return False


BUILT_IN: dict[str, Callable[[str], bool]] = {
    "xs:string": lambda _: True,
    "xs:decimal": _is_decimal,
    "xs:dateTime": _is_instant,
    "xs:nonNegativeInteger": lambda text: bool(re.fullmatch(r"[0-9]+", text)),
}
FACETS: dict[str, Callable[[str, str], bool]] = {
    "pattern": lambda value, text: bool(re.fullmatch(value, text)),
    "minLength": lambda value, text: len(text) >= int(value),
    "maxLength": lambda value, text: len(text) <= int(value),
}


def faults(document: str, schema: Path) -> list[str]:
    """What is wrong with a document, in sentences; it is well-formed, or ``ElementTree.ParseError`` is raised."""
    root = ET.fromstring(document)
    return list(_Schema(ET.parse(schema).getroot()).faults(root))


class _Schema:
    def __init__(self, root: ET.Element) -> None:
        self._named = {(child.tag.removeprefix(XS), child.get("name")): child for child in root}

    def faults(self, element: ET.Element) -> Iterator[str]:
        declared = self._named.get(("element", element.tag))
        if declared is None:
            yield f"{element.tag} is no element of the schema"
            return
        named = declared.get("type")
        body = declared.find(f"{XS}complexType") if named is None else self._named.get(("complexType", named))
        if body is None:
            yield from self._simple(str(named), element)
            return
        extension = body.find(f"{XS}simpleContent/{XS}extension")
        if extension is not None:
            yield from self._simple(str(extension.get("base")), element, attributes=extension)
            return
        yield from self._attributes(body, element)
        model = "".join(self._model(part) for part in body if part.tag != f"{XS}attribute")
        names = "".join(f"<{child.tag}>" for child in element)
        if not re.fullmatch(model, names):
            yield f"{element.tag} holds {names or 'nothing'}, not {model}"
        if any((text or "").strip() for text in (element.text, *(child.tail for child in element))):
            yield f"{element.tag} holds text"
        for child in element:
            yield from self.faults(child)

    def _simple(self, named: str, element: ET.Element, attributes: ET.Element | None = None) -> Iterator[str]:
        yield from self._attributes(ET.Element("none") if attributes is None else attributes, element)
        if len(element) or not self._fits(named, element.text or ""):
            yield f"{element.tag} holds something else than {named}"

    def _model(self, part: ET.Element) -> str:
        kind, least, most = part.tag.removeprefix(XS), part.get("minOccurs", "1"), part.get("maxOccurs", "1")
        times = f"{{{least},{'' if most == 'unbounded' else most}}}"
        if kind == "element":
            return f"(?:<{part.attrib['ref']}>){times}"
        joined = {"sequence": "", "choice": "|"}.get(kind)
        if joined is None:
            raise NotImplementedError(kind)
        return f"(?:{joined.join(self._model(inner) for inner in part)}){times}"

    def _attributes(self, body: ET.Element, element: ET.Element) -> Iterator[str]:
        allowed = {attribute.attrib["name"]: attribute for attribute in body.findall(f"{XS}attribute")}
        yield from (f"{element.tag} has an attribute {name}" for name in element.keys() - allowed.keys())
        for name, attribute in allowed.items():
            value = element.get(name)
            if value is None and attribute.get("use") == "required":
                yield f"{element.tag} has no attribute {name}"
            if value is not None and not self._fits(attribute.attrib["type"], value):
                yield f"{name}={value!r} of {element.tag} is no {attribute.attrib['type']}"

    def _fits(self, named: str, text: str) -> bool:
        if named.startswith("xs:"):
            return BUILT_IN[named](text)
        (restriction,) = self._named["simpleType", named]
        facets = [(FACETS[facet.tag.removeprefix(XS)], facet.attrib["value"]) for facet in restriction]
        return self._fits(restriction.attrib["base"], text) and all(holds(value, text) for holds, value in facets)
