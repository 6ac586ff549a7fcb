"""All faults of a spec file at once, each as one line that says where.

Rules
-----
* ``lint`` never raises for what stands in a file: a file that cannot be read is one problem, and so is each fault.
* A file without problems can be loaded; a file that cannot be loaded has a problem.
* One fault is one problem. What the OpenAPI validator or the loader says of a place is dropped where a rule of ours
  has said something of that line already, and a node that an alias repeats is judged at its anchor only.
* Every rule is a function of one file that yields faults by JSON Pointer; ``RULES`` is the list of them, in the
  order in which two faults of one line are shown.
* Nothing is fetched. Documents are recognised by the SHA-256 of their text, never by their name; a ``where`` is
  looked up in a document's text without the backslashes of Markdown and with runs of whitespace as one space.

openapi-spec-validator knows OpenAPI 3.1 better than we ever would; it takes 0.2 s to import and is imported here only.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from harness import resources
from harness.errors import InputError
from harness.spec.contract import EXTENSION, Schema
from harness.spec.load import JSON_BODY, METHODS, Fault, SpecError, extensions, inline, parse, read, schema_faults
from harness.strict import Document, StrictError, escape, resolve
from harness.validation import validator

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
MESSAGE = 240
MAX_HOPS = 16

# The keywords of JSON Schema 2020-12 by what they hold: one schema, a list of schemas, schemas by name, anything else.
_ONE = "additionalProperties contains contentSchema else if items not propertyNames then unevaluatedItems"
_PLAIN = """
$anchor $comment $dynamicAnchor $dynamicRef $id $ref $schema $vocabulary
const contentEncoding contentMediaType default dependentRequired deprecated description enum examples
exclusiveMaximum exclusiveMinimum format maxContains maxItems maxLength maxProperties maximum
minContains minItems minLength minProperties minimum multipleOf
pattern readOnly required title type uniqueItems writeOnly
"""
ONE = frozenset(_ONE.split()) | {"unevaluatedProperties"}
MANY = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
NAMED = frozenset({"$defs", "dependentSchemas", "patternProperties", "properties"})
OPENAPI = frozenset({"discriminator", "example", "externalDocs", "xml"})
KEYWORDS = ONE | MANY | NAMED | OPENAPI | frozenset(_PLAIN.split())
VALUES = ("const", "default", "enum", "example", "examples")
"""Keywords whose value is data and not schema."""

UNITS = ("inference_time", "created")
OUTPUTS = ("output_url", "output_base64")
Found = Iterator[tuple[str, str]]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault of a file: its line (from 1), the rule that found it, and a sentence."""

    path: Path
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


def lint(paths: Iterable[Path], documents: Path | None = None) -> list[Problem]:
    """The problems of some spec files, by file in the given order and then by line.

    ``documents`` is a folder with the texts of providers' documents; where a text that a spec names is there, the
    spec's places are looked up in it.
    """
    paths = list(paths)
    for path in paths:
        if not path.is_file():
            raise InputError(f"cannot read {path}: there is no such file")
    texts = _texts(documents) if documents else {}
    return [problem for path in paths for problem in _lint(path, texts)]


def _texts(folder: Path) -> Mapping[str, str]:
    """The documents in a folder, normalised, by the SHA-256 of their bytes."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.stat().st_size <= MAX_DOCUMENT_BYTES:
            data = path.read_bytes()
            found[hashlib.sha256(data).hexdigest()] = normalised(data.decode("utf-8", "replace"))
    return found


def normalised(text: str) -> str:
    """A text without Markdown's backslashes before punctuation, each run of whitespace as one space."""
    return " ".join(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text).split())


def missing_segment(where: str, text: str) -> str | None:
    """The first segment of a place that does not follow the segments before it in a normalised text, or None."""
    start = 0
    for segment in where.split(" > "):
        found = text.find(normalised(segment), start)
        if found < 0:
            return segment
        start = found + len(normalised(segment))
    return None


@dataclass(frozen=True)
class _File:
    """A spec file as the rules see it: any part may be missing or of the wrong type."""

    path: Path
    text: bytes
    document: Document
    texts: Mapping[str, str]
    root: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def extension(self) -> dict[str, Any]:
        return _mapping(self.root.get(EXTENSION))

    @cached_property
    def operations(self) -> Mapping[str, tuple[str, dict[str, Any]]]:
        """Each operation's pointer and node, by ``operationId``."""
        found: dict[str, tuple[str, dict[str, Any]]] = {}
        for pointer, node in self.every_operation():
            if isinstance(node.get("operationId"), str):
                found.setdefault(node["operationId"], (pointer, node))
        return found

    def every_operation(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for path, item in _mapping(self.root.get("paths")).items():
            for method in METHODS:
                if isinstance(_mapping(item).get(method), dict):
                    yield f"/paths/{escape(path)}/{method}", item[method]

    @cached_property
    def schemas(self) -> tuple[tuple[str, dict[str, Any]], ...]:
        """Every schema object as written, subschemas included, by pointer."""
        found: dict[str, dict[str, Any]] = {}
        for name, node in _mapping(_mapping(self.root.get("components")).get("schemas")).items():
            found |= _subschemas(node, f"/components/schemas/{escape(name)}")
        for parent in ("/paths", "/components/responses", "/components/parameters", "/components/requestBodies"):
            found |= _schemas_below(self.get(parent), parent)
        return tuple(found.items())

    @cached_property
    def input(self) -> dict[str, Any]:
        """The inlined schema of the default flow's request body, empty where there is none."""
        flows = _mapping(self.extension.get("flows"))
        first = _mapping(next(iter(flows.values()), None))
        pointer, _ = self.operations.get(_text(_mapping(first.get("submit")).get("operation")), ("", {}))
        return (pointer and self.inlined(f"{pointer}/requestBody/content/{escape(JSON_BODY)}/schema")) or {}

    @cached_property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """The request parameters' inlined schemas, by name."""
        named = _mapping(self.input.get("properties"))
        return {name: node for name, node in named.items() if isinstance(node, dict)}

    @cached_property
    def excused(self) -> tuple[str, ...]:
        """The places that an ambiguity is about."""
        notes = [_mapping(note) for note in _list(self.extension.get("ambiguities"))]
        return tuple(_text(place) for note in notes for place in _list(note.get("about")))

    def get(self, pointer: str) -> Any:
        """What stands at a pointer, or None."""
        try:
            return resolve(self.root, pointer)
        except (LookupError, ValueError):
            return None

    def inlined(self, pointer: str) -> dict[str, Any] | None:
        """The object at a pointer with its references inlined; empty where there is none, None if a reference is broken.

        Of a broken reference its own rule tells; the other rules say nothing of what it would have led to.
        """
        try:
            return _mapping(inline(self.root, self.get(pointer), f"#{pointer}"))
        except Fault:
            return None

    def followed(self, node: Any) -> dict[str, Any] | None:
        """The object that a node's reference leads to, or the node itself; None if the reference is broken."""
        for _ in range(MAX_HOPS):
            if not isinstance(node, dict) or not isinstance(node.get("$ref"), str):
                break
            node = self.get(node["$ref"][1:]) if node["$ref"].startswith("#/") else None
        return node if isinstance(node, dict) and "$ref" not in node else None

    def problem(self, pointer: str, rule: str, message: str) -> Problem | None:
        """A fault as a problem; None for one that lies inside an alias, since its anchor tells of it."""
        if pointer not in self.document.lines and _exists(self.root, pointer):
            return None
        printable = "".join(char if char.isprintable() else " " for char in message)
        return Problem(self.path, self.document.line(pointer), rule, " ".join(printable.split())[:MESSAGE])


class _Shape:
    """A response schema's fields: the roles there are, and the paths."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        fields = tuple(_fields(schema, ()))
        self.roles = {role for _, role in fields}
        self.paths = {path for path, _ in fields}


def _fields(schema: Schema, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    yield path, _text(_mapping(schema.get(EXTENSION)).get("role"))
    for name, item in _mapping(schema.get("properties")).items():
        if isinstance(item, dict):
            yield from _fields(item, (*path, name))
    if isinstance(schema.get("items"), dict):
        yield from _fields(schema["items"], (*path, "*"))
    for keyword in ("allOf", "anyOf", "oneOf"):
        for item in _list(schema.get(keyword)):
            if isinstance(item, dict):
                yield from _fields(item, path)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _subschemas(node: Any, pointer: str) -> dict[str, dict[str, Any]]:
    """A schema and the schemas in it, by pointer."""
    if not isinstance(node, dict):
        return {}
    found = {pointer: node}
    for keyword, value in node.items():
        here = f"{pointer}/{escape(keyword)}"
        if keyword in ONE:
            found |= _subschemas(value, here)
        elif keyword in MANY:
            for index, item in enumerate(_list(value)):
                found |= _subschemas(item, f"{here}/{index}")
        elif keyword in NAMED:
            for name, item in _mapping(value).items():
                found |= _subschemas(item, f"{here}/{escape(name)}")
    return found


def _schemas_below(node: Any, pointer: str) -> dict[str, dict[str, Any]]:
    """The schemas of parameters, headers and media types below a node that is not itself a schema."""
    found: dict[str, dict[str, Any]] = {}
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, item in items:
        here = f"{pointer}/{escape(str(key))}"
        if key == "schema":
            found |= _subschemas(item, here)
        elif key not in (EXTENSION, "example", "examples"):
            found |= _schemas_below(item, here)
    return found


# The rules ---------------------------------------------------------------------------------------------------------


def _extension(file: _File) -> Found:
    """The extension's own schema, and the facts' documents."""
    for fault in schema_faults(file.root):
        yield fault.pointer, fault.message
    documents = _mapping(file.extension.get("documents"))
    for pointer, fact in _facts(file):
        name = fact.get("document")
        if isinstance(name, str) and name not in documents:
            yield f"{pointer}/document", f"there is no document {name!r} under {EXTENSION}.documents"


def _plain_scalars(file: _File) -> Found:
    """Plain scalars that readers of YAML 1.1, many other tools among them, take for a number or a boolean."""
    lines = file.text.decode().splitlines()
    for pointer, line in file.document.ambiguous.items():
        mapping, _, name = pointer.rpartition("/")
        # The loader gives a key the pointer of its mapping with an empty name.
        said = str(file.get(pointer)) if name else lines[line - 1].strip(" -{").partition(":")[0]
        place = pointer if name else f"{mapping}/{said}"
        yield place, f"{said} is something else to a YAML 1.1 reader; put it in quotes"


def _references(file: _File) -> Found:
    """References stay in the file, lead somewhere, and do not come back to themselves."""
    for pointer, node in _objects(file.root):
        reference = node.get("$ref")
        if reference is None:
            continue
        if not isinstance(reference, str):
            yield f"{pointer}/$ref", "a reference is a string"
            continue
        for key in node.keys() - {"$ref", "description", "summary"}:
            yield f"{pointer}/{escape(key)}", f"{key} beside a $ref is not read; put it where the $ref leads"
        try:
            inline(file.root, node, f"#{pointer}")
        except Fault as fault:
            # A broken reference further down is told where it stands; growth beyond measure once, for all who see it.
            if fault.pointer == f"{pointer}/$ref":
                yield f"{pointer}/$ref", fault.message
            elif not fault.pointer.endswith("/$ref"):
                yield f"{pointer}/$ref", fault.message
                return


def _schemas(file: _File) -> Found:
    """Schemas use the keywords of JSON Schema 2020-12 and OpenAPI 3.1, with values of the right type."""
    for pointer, node in (*file.schemas, *_contested(file)):
        for keyword in node:
            if keyword not in KEYWORDS and not keyword.startswith("x-"):
                near = difflib.get_close_matches(keyword, sorted(KEYWORDS), n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                yield f"{pointer}/{escape(keyword)}", f"{keyword[:40]} is not a keyword of JSON Schema{hint}"
        yield from _malformed(pointer, node)


def _malformed(pointer: str, node: dict[str, Any]) -> Found:
    """What the meta-schema says of a schema itself; its subschemas are looked at on their own."""
    alone = {keyword: _emptied(keyword, value) for keyword, value in node.items()}
    for error in _meta_schema().iter_errors(alone):
        below = "".join(f"/{escape(str(part))}" for part in error.absolute_path)
        yield pointer + below, f"not a schema: {error.message[:160]}"


def _emptied(keyword: str, value: Any) -> Any:
    """A keyword's value with each subschema replaced by one that says nothing."""
    if keyword in ONE:
        return {} if isinstance(value, dict) else value
    if keyword in MANY and isinstance(value, list):
        return [{} if isinstance(item, dict) else item for item in value]
    if keyword in NAMED and isinstance(value, dict):
        return {name: {} if isinstance(item, dict) else item for name, item in value.items()}
    return value


@cache
def _meta_schema() -> Any:
    from jsonschema import Draft202012Validator

    return validator(Draft202012Validator.META_SCHEMA)


def _provenance(file: _File) -> Found:
    """Every request parameter, response field, operation and security scheme says where it is stated."""
    for pointer, node in file.every_operation():
        if EXTENSION not in node:
            yield pointer, f"the operation {pointer.rpartition('/')[2].upper()} has no {EXTENSION}.source"
    schemes = _mapping(_mapping(file.root.get("components")).get("securitySchemes"))
    for name, node in schemes.items():
        if EXTENSION not in _mapping(node):
            yield f"/components/securitySchemes/{escape(name)}", f"the security scheme {name} has no {EXTENSION}.source"
    for pointer, node in file.schemas:
        for name, item in _mapping(node.get("properties")).items():
            stated = file.followed(item)
            if stated is not None and EXTENSION not in stated:
                yield f"{pointer}/properties/{escape(name)}", f"{name[:40]} has no {EXTENSION}.source"


def _places(file: _File) -> Found:
    """Every place stands in its document, where the document's text is at hand."""
    documents = _mapping(file.extension.get("documents"))
    for pointer, fact in _facts(file):
        known = _mapping(documents.get(_text(fact.get("document"))))
        text = file.texts.get(_text(known.get("sha256")))
        if text is None or not isinstance(fact.get("where"), str):
            continue
        segment = missing_segment(fact["where"], text)
        if segment is not None:
            yield f"{pointer}/where", f"the document {fact['document']} has no {segment[:80]!r} at that place"


def _examples(file: _File) -> Found:
    """Defaults, examples, constants and enum members agree with their schema, unless an ambiguity is about them."""
    for pointer, node in file.schemas:
        said = [keyword for keyword in VALUES if keyword in node]
        schema = (file.inlined(pointer) if said else None) or {}
        for keyword in said:
            others = {key: item for key, item in schema.items() if key != keyword}
            if keyword not in ("enum", "examples"):
                yield from _contradiction(file, f"{pointer}/{keyword}", node[keyword], others)
            else:
                for index, value in enumerate(_list(node[keyword])):
                    yield from _contradiction(file, f"{pointer}/{keyword}/{index}", value, others)
    for pointer, node in _objects({part: file.root.get(part) for part in ("paths", "components")}):
        schema = (file.inlined(f"{pointer}/schema") if isinstance(node.get("schema"), dict) else None) or {}
        if schema and "example" in node:
            yield from _contradiction(file, f"{pointer}/example", node["example"], schema)
        for name, item in _mapping(node.get("examples")).items() if schema else ():
            if "value" in _mapping(item):
                yield from _contradiction(file, f"{pointer}/examples/{escape(name)}/value", item["value"], schema)


def _contradiction(file: _File, pointer: str, value: Any, schema: Schema) -> Found:
    if any(f"#{pointer}" == place or f"#{pointer}".startswith(f"{place}/") for place in file.excused):
        return
    try:
        error = next(iter(validator(schema).iter_errors(value)), None)
    except Exception:  # noqa: BLE001 - a malformed schema fails in many ways; the rule on schemas tells of it
        return
    if error is not None:
        yield pointer, f"contradicts its schema: {error.message[:160]}"


def _roles(file: _File) -> Found:
    """A role that is read together with a detail has it."""
    for pointer, kind, node in extensions(file.root):
        if kind != "field" or not isinstance(node, dict):
            continue
        role = node.get("role")
        if role in UNITS and "unit" not in node:
            yield pointer, f"the role {role} needs a unit"
        if role == "encoding" and "encodings" not in node:
            yield pointer, "the role encoding needs encodings"
        if "random" in node and role != "seed":
            yield f"{pointer}/random", "random belongs to the role seed"
        if "foreign" in node and not _text(role).startswith("link_"):
            yield f"{pointer}/foreign", "foreign belongs to a link"


def _ambiguities(file: _File) -> Found:
    """What an ambiguity is about exists, and no two have one id."""
    seen: set[str] = set()
    for index, note in enumerate(_list(file.extension.get("ambiguities"))):
        here = f"/{EXTENSION}/ambiguities/{index}"
        name = _text(_mapping(note).get("id"))
        if name in seen:
            yield f"{here}/id", f"another ambiguity has the id {name}"
        seen.add(name)
        about = [(f"{here}/about/{n}", place) for n, place in enumerate(_list(_mapping(note).get("about")))]
        examples = enumerate(_list(_mapping(note).get("examples")))
        shown = [(f"{here}/examples/{n}/at", _mapping(example).get("at")) for n, example in examples]
        for pointer, place in about + shown:
            if isinstance(place, str) and place.startswith("#/") and not _exists(file.root, place[1:]):
                yield pointer, f"{place[:80]} leads nowhere"


def _interactions(file: _File) -> Found:
    """The parameters that interact exist."""
    for index, group in enumerate(_list(file.extension.get("interactions"))):
        for number, name in enumerate(_list(_mapping(group).get("parameters"))):
            if isinstance(name, str) and file.parameters and name not in file.parameters:
                yield f"/{EXTENSION}/interactions/{index}/parameters/{number}", f"there is no parameter {name[:40]!r}"


def _flows(file: _File) -> Found:
    """A flow's operations, links, states and roles are there."""
    servers = {_text(_mapping(node).get("url")).rstrip("/") for node in _list(file.root.get("servers"))}
    for name, flow in _mapping(file.extension.get("flows")).items():
        here = f"/{EXTENSION}/flows/{escape(name)}"
        if not isinstance(flow, dict):
            continue
        if "server" in flow and _text(flow["server"]).rstrip("/") not in servers:
            yield f"{here}/server", f"{_text(flow['server'])[:80]} is not one of the servers"
        if "server" not in flow and servers:
            yield here, f"the flow {name} names none of the servers"
        for parameter, value in _mapping(flow.get("body")).items():
            if file.parameters and parameter not in file.parameters:
                yield f"{here}/body/{escape(parameter)}", f"there is no parameter {parameter[:40]}"
            elif parameter in file.parameters:
                place = f"{here}/body/{escape(parameter)}"
                yield from _contradiction(file, place, value, file.parameters[parameter])
        yield from _steps(file, flow, name, here)


def _steps(file: _File, flow: dict[str, Any], name: str, here: str) -> Found:
    shapes: dict[str, _Shape] = {}
    for role in ("submit", "status", "result", "cancel"):
        node = flow.get(role)
        if not isinstance(node, dict) or "operation" not in node:
            continue
        if _text(node["operation"]) not in file.operations:
            yield f"{here}/{role}/operation", f"there is no operation {_text(node['operation'])[:40]!r}"
            continue
        schema = _answer(file, node)
        if schema:
            shapes[role] = _Shape(schema)
        elif schema is not None and "answer" in node:
            yield f"{here}/{role}/answer", f"{_text(node['answer'])[:80]} is no schema of this file"
        elif schema is not None:
            yield f"{here}/{role}", f"the operation {node['operation']} has no successful {JSON_BODY} answer"
    submit = shapes.get("submit")
    if submit is not None:
        yield from _identified(file, flow, name, here, submit)
    if "status" in flow:
        yield from _states(flow, name, here, shapes.get("status"))
    final = next(role for role in ("result", "status", "submit") if role in flow or role == "submit")
    if final in shapes and not shapes[final].roles.intersection(OUTPUTS):
        yield here, f"the last answer of the flow {name} has no field with the role output_url or output_base64"


def _identified(file: _File, flow: dict[str, Any], name: str, here: str, submit: _Shape) -> Found:
    """The later steps find the job by what the submit answered."""
    steps = ("status", "result", "cancel")
    later = [role for role in steps if _text(_mapping(flow.get(role)).get("operation")) in file.operations]
    for role in later:
        follow = flow[role].get("follow")
        if follow is None:
            yield from _linked(file, flow, role, here, submit)
        elif tuple(_text(follow).split("/")[1:]) not in submit.paths:
            yield f"{here}/{role}/follow", f"{_text(follow)[:80]} is no field of the submit's answer"
    if later and "job_id" not in submit.roles:
        yield f"{here}/submit", f"the submit's answer in the flow {name} has no field with the role job_id"


def _states(flow: dict[str, Any], name: str, here: str, shape: _Shape | None) -> Found:
    states = _mapping(flow.get("states"))
    if not states:
        yield here, f"the flow {name} polls a status but maps no states"
    elif "completed" not in states.values():
        yield f"{here}/states", f"no state of the flow {name} is completed"
    if shape is None:
        return
    if "status" not in shape.roles:
        yield f"{here}/status", f"the status answer of the flow {name} has no field with the role status"
    for state in _enumerated(shape.schema, "status"):
        if states and state not in list(states):  # what is listed may be anything
            yield f"{here}/states", f"the documented state {str(state)[:40]!r} is not mapped"


def _enumerated(schema: Schema, role: str) -> Iterator[Any]:
    """The values that a field with a role may have, where they are listed."""
    for item in _subschemas(schema, "").values():
        if _mapping(item.get(EXTENSION)).get("role") == role:
            yield from _list(item.get("enum"))
            yield from (item["const"],) if "const" in item else ()


def _answer(file: _File, step: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of a step's successful answer; empty where there is none, None if a reference is broken."""
    if "answer" in step:
        return file.inlined(_text(step["answer"])[1:])
    pointer, node = file.operations[step["operation"]]
    for status in _mapping(node.get("responses")):
        if status.startswith("2"):
            answer = file.inlined(f"{pointer}/responses/{status}")
            content = _mapping(None if answer is None else answer.get("content"))
            return None if answer is None else _mapping(_mapping(content.get(JSON_BODY)).get("schema"))
    return {}


def _linked(file: _File, flow: dict[str, Any], role: str, here: str, submit: _Shape) -> Found:
    """A later step's path parameters come from a link of the submit's answer, and its expressions lead to fields."""
    operation = flow[role]["operation"]
    links = [link for link in _links(file, flow["submit"]["operation"]) if link[1].get("operationId") == operation]
    if not links:
        yield f"{here}/{role}", f"the submit's answer has no link to the operation {operation}"
        return
    pointer, link = links[0]
    given = _mapping(link.get("parameters"))
    path = file.operations[operation][0].split("/")[2]
    for parameter in re.findall(r"\{([^}]+)\}", path):
        if parameter not in given:
            yield pointer, f"the link gives no {parameter} to the operation {operation}"
    for parameter, expression in given.items():
        place = f"{pointer}/parameters/{escape(parameter)}"
        prefix = "$response.body#/"
        if not _text(expression).startswith(prefix):
            yield place, f"{str(expression)[:80]} is not a runtime expression of the form {prefix}…"
        elif tuple(expression.removeprefix(prefix).split("/")) not in submit.paths:
            yield place, f"{expression[:80]} is no field of the submit's answer"


def _links(file: _File, operation: str) -> Iterator[tuple[str, dict[str, Any]]]:
    pointer, node = file.operations.get(operation, ("", {}))
    for status, answer in _mapping(node.get("responses")).items():
        for name, link in _mapping(_mapping(answer).get("links")).items():
            if isinstance(link, dict):
                yield f"{pointer}/responses/{escape(status)}/links/{escape(name)}", link


def _dangling_links(file: _File) -> Found:
    """Every link leads to an operation."""
    for operation in file.operations:
        for pointer, link in _links(file, operation):
            if _text(link.get("operationId")) not in file.operations:
                yield f"{pointer}/operationId", f"there is no operation {str(link.get('operationId'))[:40]!r}"


def _errors(file: _File) -> Found:
    """The shapes of errors exist and have the roles that are given values."""
    flows = _mapping(file.extension.get("flows"))
    for kind, node in _mapping(file.extension.get("errors")).items():
        here = f"/{EXTENSION}/errors/{escape(kind)}"
        if not isinstance(_mapping(node).get("answer"), str):
            continue
        schema = file.inlined(node["answer"][1:])
        if schema is not None and not schema:
            yield f"{here}/answer", f"{node['answer'][:80]} is no schema of this file"
        for role in _mapping(node.get("values")) if schema else ():
            if role not in _Shape(schema or {}).roles:
                yield f"{here}/values/{escape(role)}", f"the answer has no field with the role {role[:40]}"
        if node.get("at") == "result" and not any("result" in _mapping(flow) for flow in flows.values()):
            yield f"{here}/at", "no flow has a result step"


def _target(file: _File) -> Found:
    """A shipped spec's target is its place."""
    shipped = resources.shipped("specs").resolve()
    place = file.path.resolve()
    if place.is_relative_to(shipped):
        expected = place.relative_to(shipped).with_suffix("").as_posix()
        if file.extension.get("target") != expected:
            yield f"/{EXTENSION}/target", f"the target of this file is {expected}"


def _openapi(file: _File) -> Found:
    """The file is an OpenAPI 3.1 document to a validator that knows nothing of the harness."""
    version = file.root.get("openapi")
    if not _text(version).startswith("3.1."):
        yield "/openapi" if "openapi" in file.root else "", "not an OpenAPI 3.1 document"
        return
    if next(_references(file), None) is not None:
        return  # the validator follows references, also those that leave the file
    from openapi_spec_validator import OpenAPIV31SpecValidator

    try:
        errors = list(OpenAPIV31SpecValidator(file.root).iter_errors())
    except Exception as gives_up:  # noqa: BLE001 - the validator raises much on documents that are far off
        yield "", f"the OpenAPI validator gives up: {type(gives_up).__name__}: {str(gives_up)[:120]}"
        return
    for error in errors:
        path = "".join(f"/{escape(str(part))}" for part in getattr(error, "absolute_path", ()))
        yield path, str(getattr(error, "message", error))[:160]


RULES: Mapping[str, Callable[[_File], Found]] = {
    "plain-scalar": _plain_scalars,
    "extension": _extension,
    "reference": _references,
    "schema": _schemas,
    "provenance": _provenance,
    "place": _places,
    "example": _examples,
    "role": _roles,
    "ambiguity": _ambiguities,
    "interaction": _interactions,
    "flow": _flows,
    "link": _dangling_links,
    "error": _errors,
    "target": _target,
}
"""The rules on content. After them come ``openapi`` and ``load``, which speak once of lines not spoken of before."""


def _lint(path: Path, texts: Mapping[str, str]) -> Iterator[Problem]:
    try:
        text = path.read_bytes()
        document = read(text)
    except OSError as error:
        yield Problem(path, 1, "file", f"cannot read the spec: {error.strerror}")
        return
    except StrictError as error:
        yield Problem(path, error.line or 1, "yaml", error.message)
        return
    file = _File(path, text, document, texts, _mapping(document.value))
    order = [*RULES, "openapi", "load"]
    problems = {problem for rule, check in RULES.items() for problem in _problems(file, rule, check)}
    spoken = {problem.line for problem in problems}
    for problem in _problems(file, "openapi", _openapi):
        # The validator names no place for a bad default or example: that is the root's line.
        if problem.line not in spoken and (problem.line > document.line("") or not problems):
            spoken.add(problem.line)
            problems.add(problem)
    if not problems:
        problems |= set(_loading(file))
    yield from sorted(problems, key=lambda problem: (problem.line, order.index(problem.rule), problem.message))


def _problems(file: _File, rule: str, check: Callable[[_File], Found]) -> Iterator[Problem]:
    for pointer, message in check(file):
        problem = file.problem(pointer, rule, message)
        if problem is not None:
            yield problem


def _loading(file: _File) -> Iterator[Problem]:
    try:
        parse(file.text, file.path)
    except SpecError as error:
        yield Problem(file.path, error.line, "load", error.message)


def _objects(value: Any, pointer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object that is not data or extension, by pointer."""
    if isinstance(value, dict):
        yield pointer, value
        for key, item in value.items():
            if key != EXTENSION and key not in VALUES:
                yield from _objects(item, f"{pointer}/{escape(key)}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _objects(item, f"{pointer}/{index}")


def _facts(file: _File) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every fact of the extension, by pointer."""
    for pointer, _, node in extensions(file.root):
        for below, item in _objects(node, pointer):
            if "document" in item and "where" in item:
                yield below, item


def _contested(file: _File) -> Iterator[tuple[str, dict[str, Any]]]:
    """The schemas in the ambiguities, by pointer."""
    for index, note in enumerate(_list(file.extension.get("ambiguities"))):
        pointer = f"/{EXTENSION}/ambiguities/{index}/contested"
        yield from _subschemas(_mapping(note).get("contested"), pointer).items()


def _exists(root: Any, pointer: str) -> bool:
    try:
        resolve(root, pointer)
    except (LookupError, ValueError):
        return False
    return True
