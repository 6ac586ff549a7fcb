"""From a spec file to a ``Spec``.

Rules
-----
* The file is an OpenAPI 3.1 document in strict YAML; what OpenAPI cannot say stands in ``x-harness`` objects, whose
  own schema is ``x-harness.schema.json``.
* References stay inside the file and do not recurse; they are inlined, and each node remembers its place (``x-at``).
* How a step gets the job's identifiers is read from the OpenAPI ``links`` of the submit's answer.
* The first fault is raised as one sentence with ``file:line``; ``harness.spec.lint`` lists them all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from harness import resources
from harness.errors import InputError, UsageError
from harness.model import Fact
from harness.spec.contract import (
    AT,
    EXTENSION,
    Ambiguity,
    Credential,
    ErrorAnswer,
    Field,
    Flow,
    Operation,
    Parameter,
    Price,
    Schema,
    Shape,
    Spec,
    Step,
)
from harness.strict import MAX_DEPTH, Document, StrictError, escape, load_json, load_yaml, resolve
from harness.validation import validator

NAMED = ("properties", "patternProperties", "dependentSchemas", "$defs", "content", "links", "headers")
METHODS = ("get", "put", "post", "delete", "patch")
JSON_BODY = "application/json"
MAX_INLINED_DEPTH = 128
MAX_INLINED_NODES = 20_000


class SpecError(InputError):
    """A spec file cannot be used. ``pointer`` is the JSON Pointer of the fault."""

    def __init__(self, path: Path, line: int, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}")
        self.line = line
        self.message = message


class Fault(Exception):
    """A fault at a place, on its way to becoming a ``SpecError`` or a line of the lint."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer
        self.message = message


def shipped_targets() -> Mapping[str, Path]:
    """The targets that come with the harness, in the order of their names."""
    root = resources.shipped("specs")
    named = {f"{path.parent.name}/{path.stem}": path for path in root.glob("*/*.yaml")}
    return dict(sorted(named.items()))


def find(names: tuple[str, ...]) -> tuple[Spec, ...]:
    """The specs that targets, providers or paths name; all shipped ones for no name.

    Raises:
        UsageError: no shipped spec has a name, or two of the specs have one target.
        SpecError: a spec file cannot be read.
    """
    targets = shipped_targets()
    chosen: dict[Path, bool] = {}
    for name in names or tuple(targets):
        if name in targets:
            chosen[targets[name]] = True
        elif name.endswith((".yaml", ".yml", ".json")) or name.startswith((".", "/")):
            chosen[Path(name)] = False
        else:
            of_provider = [path for target, path in targets.items() if target.startswith(f"{name}/")]
            if not of_provider:
                known = ", ".join(targets)
                raise UsageError(f"unknown target {name!r}: use one of {known}, a provider, or the path of a spec file")
            chosen |= dict.fromkeys(of_provider, True)
    specs = tuple(load(path, shipped=is_shipped) for path, is_shipped in chosen.items())
    seen: dict[str, Path] = {}
    for spec in specs:
        if spec.target in seen:
            raise UsageError(f"{seen[spec.target]} and {spec.path} both describe {spec.target}: name one of them")
        seen[spec.target] = spec.path
    return specs


def load(path: Path, *, shipped: bool = False) -> Spec:
    """The spec in a file.

    Raises:
        SpecError: the file cannot be read or is not a usable spec.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SpecError(path, 1, f"cannot read the spec: {error.strerror}") from None
    return parse(text, path, shipped=shipped)


def parse(text: bytes, path: Path, *, shipped: bool = False) -> Spec:
    """The spec in a text that was read from ``path``.

    Raises:
        SpecError: the text is not a usable spec.
    """
    try:
        document = read(text)
    except StrictError as error:
        raise SpecError(path, error.line or 1, error.message) from None
    try:
        for fault in schema_faults(document.value):
            raise fault
        return _Builder(document, text, path, shipped=shipped).spec()
    except Fault as fault:
        raise SpecError(path, document.line(fault.pointer), fault.message) from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # A part of the OpenAPI document has another type than OpenAPI gives it; the lint says which.
        said = f"not the shape of an OpenAPI 3.1 document ({type(error).__name__}): see harness specs lint"
        raise SpecError(path, 1, said) from None


def read(text: bytes) -> Document:
    """The YAML document of a spec, its depth bounded through aliases too, so that it may be walked by recursion.

    Raises:
        StrictError: the text is not strict YAML, or nests too deep once its aliases are followed.
    """
    document = load_yaml(text)
    level, depth = [document.value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH + 1:
            raise StrictError(f"the nesting is deeper than {MAX_DEPTH} levels, aliases followed")
        below = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, (dict, list)))
        level = list({id(item): item for items in below for item in items}.values())
    return document


def schema_faults(value: Any) -> Iterator[Fault]:
    """What the extension's own schema has to say of each ``x-harness`` object, and of the parts the harness needs."""
    if not isinstance(value, dict) or not isinstance(value.get(EXTENSION), dict):
        yield Fault("", f"the document has no {EXTENSION} object at its top; is this a spec of the harness?")
        return
    for part in ("paths", "components"):
        if not isinstance(value.get(part), dict):
            yield Fault("", f"the document has no {part} object")
            return
    for pointer, kind, node in extensions(value):
        for error in sorted(_validator(kind).iter_errors(node), key=lambda e: list(map(str, e.absolute_path))):
            below = pointer + "".join(f"/{escape(str(part))}" for part in error.absolute_path)
            if error.validator == "additionalProperties":
                for name in error.instance.keys() - error.schema["properties"].keys():
                    yield Fault(f"{below}/{escape(name)}", f"{EXTENSION}: there is no keyword {name[:40]!r} here")
            else:
                yield Fault(below, f"{EXTENSION}: {error.message[:200]}")


def extensions(value: Any, pointer: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every ``x-harness`` object: its pointer, the definition of the extension's schema that it obeys, and itself."""
    if isinstance(value, dict):
        for key, item in value.items():
            here = f"{pointer}/{escape(key)}"
            if key == EXTENSION:
                yield here, _kind(pointer), item
            elif key not in ("example", "examples", "default", "const", "enum"):
                yield from extensions(item, here)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from extensions(item, f"{pointer}/{index}")


def _kind(pointer: str) -> str:
    if not pointer:
        return "root"
    if pointer.startswith("/components/securitySchemes/"):
        return "security"
    if pointer.startswith("/paths/") and pointer.count("/") == 3:
        return "operation"
    return "field"


@cache
def _validator(kind: str) -> Any:
    schema = load_json(resources.schema("x-harness").read_bytes())
    return validator({"$defs": schema["$defs"], "$ref": f"#/$defs/{kind}"})


def inline(document: Any, node: Any, at: str) -> Any:
    """A schema with its local references inlined, each object of it marked with its place.

    Raises:
        Fault: a reference leads out of the file, nowhere or back to itself, or the references grow beyond measure.
    """
    return _Inliner(document).read(node, at, ())


class _Inliner:
    """Inlines references, within bounds: a few of them can stand for millions of nodes, or nest beyond any stack."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self.nodes = 0

    def read(self, node: Any, at: str, open_refs: tuple[str, ...], depth: int = 0) -> Any:
        self.nodes += 1
        if self.nodes > MAX_INLINED_NODES:
            raise Fault(at.removeprefix("#"), f"the references grow to more than {MAX_INLINED_NODES} nodes")
        if depth > MAX_INLINED_DEPTH:
            raise Fault(at.removeprefix("#"), f"the references nest deeper than {MAX_INLINED_DEPTH} levels")
        if isinstance(node, list):
            return [self.read(item, f"{at}/{index}", open_refs, depth + 1) for index, item in enumerate(node)]
        if not isinstance(node, dict):
            return node
        if isinstance(node.get("$ref"), str):
            reference = node["$ref"]
            target = self.target(reference, at.removeprefix("#") + "/$ref", open_refs)
            return self.read(target, reference, (*open_refs, reference), depth + 1)
        plain = ("example", "examples", "default", "const", "enum", "dependentRequired", EXTENSION)
        marked: dict[str, Any] = {AT: at}
        for key, item in node.items():
            here = f"{at}/{escape(key)}"
            if key in NAMED and isinstance(item, dict):
                # A map from names to objects is no object itself: its keys are names, be they ``default`` or ``$ref``.
                marked[key] = {
                    name: self.read(one, f"{here}/{escape(name)}", open_refs, depth + 2) for name, one in item.items()
                }
            else:
                marked[key] = item if key in plain else self.read(item, here, open_refs, depth + 1)
        return marked

    def target(self, reference: str, pointer: str, open_refs: tuple[str, ...]) -> Any:
        if not reference.startswith("#/"):
            raise Fault(pointer, f"the reference {reference[:80]} leads out of the file")
        if reference in open_refs:
            raise Fault(pointer, f"the reference {reference[:80]} leads back to itself")
        try:
            return resolve(self.document, reference[1:])
        except (LookupError, ValueError):
            raise Fault(pointer, f"the reference {reference[:80]} leads nowhere") from None


class _Builder:
    """Reads one document's parts; every fault is raised with its place."""

    def __init__(self, document: Document, text: bytes, path: Path, *, shipped: bool) -> None:
        self.value: dict[str, Any] = document.value
        self.extension: dict[str, Any] = self.value[EXTENSION]
        self.text, self.path, self.shipped = text, path, shipped
        self.documents: dict[str, dict[str, Any]] = self.extension["documents"]

    def spec(self) -> Spec:
        operations = dict(self.operations())
        flows = {name: self.flow(name, operations) for name in self.extension["flows"]}
        first = next(iter(flows.values()))
        input_schema = self.input_schema(first.submit.operation)
        parameters = tuple(self.parameters(input_schema))
        constants = {p.name: p.schema["const"] for p in parameters if "const" in p.schema}
        return Spec(
            target=self.extension["target"],
            path=self.path,
            text=self.text,
            sha256=hashlib.sha256(self.text).hexdigest(),
            shipped=self.shipped,
            title=str(self.value.get("info", {}).get("title", self.extension["target"])),
            servers=tuple(str(server["url"]).rstrip("/") for server in self.value.get("servers", ())),
            input_schema=input_schema,
            parameters=tuple(p for p in parameters if p.name not in constants),
            constants=constants,
            operations=operations,
            flows=flows,
            credential=self.credential(),
            price=self.price(),
            errors={kind: self.error(kind) for kind in self.extension.get("errors", {})},
            pending_status=self.extension.get("pending_status", 200),
            billing_header=self.extension.get("billing_header"),
            job_header=self.extension.get("job_header"),
            ambiguities=tuple(self.ambiguities()),
            interactions=tuple(self.interactions({p.name for p in parameters})),
            fixed=tuple(p for p in parameters if p.name in constants),
        )

    def fact(self, source: Mapping[str, Any], pointer: str) -> Fact:
        name = source["document"]
        if name not in self.documents:
            raise Fault(f"{pointer}/document", f"there is no document {name!r} under {EXTENSION}.documents")
        title = self.documents[name]["title"]
        return Fact(title, source["where"], source["states"], source.get("kind", "document"))

    def operations(self) -> Iterator[tuple[str, Operation]]:
        for path, item in self.value["paths"].items():
            for method in METHODS:
                if method not in item:
                    continue
                node, pointer = item[method], f"/paths/{escape(path)}/{method}"
                if "operationId" not in node:
                    raise Fault(pointer, "the operation has no operationId")
                source = node.get(EXTENSION, {}).get("source")
                if source is None:
                    raise Fault(pointer, f"the operation has no {EXTENSION}.source")
                yield (
                    node["operationId"],
                    Operation(
                        id=node["operationId"],
                        method=method.upper(),
                        path=path,
                        source=self.fact(source, f"{pointer}/{EXTENSION}/source"),
                        answers={
                            str(status).upper() if str(status) != "default" else "default": self.answers(
                                answer, f"{pointer}/responses/{status}"
                            )
                            for status, answer in node.get("responses", {}).items()
                        },
                        takes=frozenset(name.lower() for name in node.get("requestBody", {}).get("content", {})),
                    ),
                )

    def answers(self, node: Any, pointer: str) -> Mapping[str, Shape]:
        answer = inline(self.value, node, f"#{pointer}")
        return {
            media_type.lower(): self.shape(media["schema"])
            for media_type, media in answer.get("content", {}).items()
            if "schema" in media
        }

    def shape(self, schema: Schema) -> Shape:
        return Shape(schema, tuple(self.fields(schema, ())))

    def fields(self, schema: Schema, path: tuple[str, ...]) -> Iterator[Field]:
        detail = schema.get(EXTENSION, {})
        if path:
            at = str(schema[AT])
            source = detail.get("source")
            fact = self.fact(source, f"{at[1:]}/{EXTENSION}/source") if source else None
            yield Field(path, detail.get("role", ""), schema, fact, detail)
        for name, item in schema.get("properties", {}).items():
            yield from self.fields(item, (*path, name))
        if isinstance(schema.get("items"), dict):
            yield from self.fields(schema["items"], (*path, "*"))
        for keyword in ("allOf", "anyOf", "oneOf"):
            for item in schema.get(keyword, ()):
                yield from (field for field in self.fields(item, path) if field.path != path)

    def input_schema(self, operation: Operation) -> Schema:
        pointer = f"/paths/{escape(operation.path)}/{operation.method.lower()}/requestBody"
        try:
            node = resolve(self.value, f"{pointer}/content/{escape(JSON_BODY)}/schema")
        except (LookupError, ValueError):
            raise Fault(pointer, f"the submit has no {JSON_BODY} request body with a schema") from None
        schema: Schema = inline(self.value, node, f"#{pointer}/content/{escape(JSON_BODY)}/schema")
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError

        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            at = f"{pointer}/content/{escape(JSON_BODY)}/schema"
            raise Fault(at, f"the request's schema cannot be used: {error.message[:120]}") from None
        return schema

    def parameters(self, schema: Schema) -> Iterator[Parameter]:
        required = schema.get("required", ())
        for name, item in schema.get("properties", {}).items():
            at = str(item[AT])
            detail = item.get(EXTENSION)
            if detail is None or "source" not in detail:
                raise Fault(at[1:], f"the parameter {name} has no {EXTENSION}.source")
            fact = self.fact(detail["source"], f"{at[1:]}/{EXTENSION}/source")
            yield Parameter(name, item, name in required, detail.get("role", "other"), fact, detail)

    def flow(self, name: str, operations: Mapping[str, Operation]) -> Flow:
        pointer, node = f"/{EXTENSION}/flows/{escape(name)}", self.extension["flows"][name]
        steps: dict[str, Step | None] = {}
        for role in ("submit", "status", "result", "cancel"):
            steps[role] = self.step(node, role, operations, pointer) if role in node else None
        if steps["status"] and not node.get("states"):
            raise Fault(pointer, f"the flow {name} polls a status but maps no states")
        source = node.get("source")
        assert steps["submit"] is not None  # the extension's schema requires it  # noqa: S101
        return Flow(
            name=name,
            server=node.get("server"),
            submit=steps["submit"],
            status=steps["status"],
            result=steps["result"],
            cancel=steps["cancel"],
            states=node.get("states", {}),
            body=node.get("body", {}),
            source=self.fact(source, f"{pointer}/source") if source else None,
        )

    def step(self, flow: Any, role: str, operations: Mapping[str, Operation], pointer: str) -> Step:
        node, here = flow[role], f"{pointer}/{role}"
        operation = operations.get(node["operation"])
        if operation is None:
            raise Fault(f"{here}/operation", f"there is no operation {node['operation']!r}")
        if "answer" in node:
            shape = self.reference(node["answer"], f"{here}/answer")
        else:
            success = [shapes for status, shapes in operation.answers.items() if status.startswith("2")]
            if not success or JSON_BODY not in success[0]:
                raise Fault(here, f"the operation {operation.id} documents no successful {JSON_BODY} answer")
            shape = success[0][JSON_BODY]
        follow = tuple(node["follow"].split("/")[1:]) if "follow" in node else None
        arguments = {} if role == "submit" or follow else self.links(flow["submit"], operation.id, here)
        missing = [p for p in _template(operation.path) if p not in arguments]
        if role != "submit" and not follow and missing:
            raise Fault(here, f"no link of the submit's answer gives the parameter {missing[0]} of {operation.id}")
        return Step(operation, shape, arguments, follow)

    def links(self, submit: Any, operation_id: str, pointer: str) -> Mapping[str, tuple[str, ...]]:
        """The arguments of an operation, from the links of the submit's successful answers."""
        for path, item in self.value["paths"].items():
            for method in METHODS:
                node = item.get(method, {})
                if node.get("operationId") != submit["operation"]:
                    continue
                for status, answer in node.get("responses", {}).items():
                    for name, link in answer.get("links", {}).items():
                        if link.get("operationId") != operation_id:
                            continue
                        at = f"/paths/{escape(path)}/{method}/responses/{status}/links/{name}"
                        return {
                            argument: _body_path(expression, f"{at}/parameters/{argument}")
                            for argument, expression in link.get("parameters", {}).items()
                        }
        raise Fault(pointer, f"the submit's answer has no link to the operation {operation_id}")

    def reference(self, pointer: str, where: str) -> Shape:
        return self.shape(inline(self.value, {"$ref": pointer}, f"#{where}"))

    def credential(self) -> Credential:
        for name, node in self.value["components"].get("securitySchemes", {}).items():
            detail, pointer = node.get(EXTENSION), f"/components/securitySchemes/{name}"
            if detail is None:
                raise Fault(pointer, f"the security scheme has no {EXTENSION} object")
            bearer = node.get("type") == "http" and str(node.get("scheme", "")).lower() == "bearer"
            return Credential(
                env=detail["env"],
                header="Authorization" if bearer else str(node.get("name", "Authorization")),
                scheme="Bearer" if bearer else detail.get("scheme", ""),
                optional=detail.get("optional", False),
                source=self.fact(detail["source"], f"{pointer}/{EXTENSION}/source"),
            )
        raise Fault("/components", "there is no security scheme")

    def price(self) -> Price:
        node = self.extension["price"]
        source = self.fact(node["source"], f"/{EXTENSION}/price/source")
        return Price(Decimal(node["amount"]), node["currency"], node["date"], source)

    def error(self, kind: str) -> ErrorAnswer:
        pointer, node = f"/{EXTENSION}/errors/{kind}", self.extension["errors"][kind]
        shape = self.reference(node["answer"], f"{pointer}/answer")
        return ErrorAnswer(node["status"], shape, node.get("values", {}), node.get("at", "submit"))

    def interactions(self, names: Collection[str]) -> Iterator[tuple[str, ...]]:
        for index, node in enumerate(self.extension.get("interactions", ())):
            pointer = f"/{EXTENSION}/interactions/{index}"
            for number, name in enumerate(node["parameters"]):
                if name not in names:
                    raise Fault(f"{pointer}/parameters/{number}", f"there is no parameter {name[:40]!r}")
            self.fact(node["source"], f"{pointer}/source")
            yield tuple(node["parameters"])

    def ambiguities(self) -> Iterator[Ambiguity]:
        for index, node in enumerate(self.extension.get("ambiguities", ())):
            pointer = f"/{EXTENSION}/ambiguities/{index}"
            for number, place in enumerate(node["about"]):
                try:
                    resolve(self.value, place[1:])
                except (LookupError, ValueError):
                    raise Fault(f"{pointer}/about/{number}", f"{place[:80]} leads nowhere") from None
            yield Ambiguity(
                id=node["id"],
                about=tuple(node["about"]),
                states=node["states"],
                places=tuple(self.fact(p, f"{pointer}/places/{n}") for n, p in enumerate(node["places"])),
                contested=node.get("contested"),
            )


def _template(path: str) -> list[str]:
    return [part.partition("}")[0] for part in path.split("{")[1:]]


def _body_path(expression: Any, pointer: str) -> tuple[str, ...]:
    prefix = "$response.body#/"
    if not isinstance(expression, str) or not expression.startswith(prefix):
        raise Fault(pointer, f"{str(expression)[:80]} is not a runtime expression of the form {prefix}…")
    return tuple(expression.removeprefix(prefix).split("/"))
