"""The lint finds every planted fault, at its line, and finds it once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.spec import SpecError, load, parse, shipped_targets
from harness.spec.lint import Problem, lint, missing_segment, normalised
from harness.strict import load_yaml

FAL = shipped_targets()["fal/flux-pro-kontext-multi"]
WAVES = shipped_targets()["wavespeed/flux-kontext-pro-multi"]
GATEWAY = shipped_targets()["fal-gateway/flux-pro-kontext-multi"]
DRAFT = Path(__file__).parents[1] / "data" / "bfl-flux-kontext-pro.yaml"


@dataclass(frozen=True)
class Plant:
    """One text replaced in a shipped spec, the rule that must find it, and a text of the line it must be found at."""

    id: str
    of: Path
    old: str
    new: str
    rule: str
    at: str


PRICE_SOURCE = "".join(GATEWAY.read_text().partition("    source:\n      document: prices")[1:]).partition("  errors:")[
    0
]

PLANTS = [
    Plant("duplicate key", FAL, "  pending_status: 202\n", "  pending_status: 202\n  pending_status: 200\n", "yaml", "pending_status: 200"),
    Plant("not YAML", FAL, "info:\n", "info: [\n", "yaml", "  title: fal"),
    Plant("tag", FAL, "info:\n", "info: !!python/object:os.system\n", "yaml", "!!python"),
    Plant("second document", FAL, "\npaths:\n", "\n---\npaths:\n", "yaml", "---"),
    Plant("key that is a number", FAL, "        '401': ", "        401: ", "yaml", "        401: "),
    Plant("unquoted ratio", FAL, "enum: ['21:9', ", "enum: [21:9, ", "plain-scalar", "enum: [21:9, "),
    Plant("unquoted key n", FAL, "        enhance_prompt:\n          type", "        n:\n          type", "plain-scalar", "        n:\n          type"),
    Plant("unquoted boolean word", FAL, "description: queue\n", "description: on\n", "plain-scalar", "description: on\n"),
    Plant("unknown keyword of the extension", FAL, "            role: seed\n", "            role: seed\n            roll: 1\n", "extension", "roll: 1"),
    Plant("unknown role", FAL, "role: safety\n", "role: safty\n", "extension", "role: safty\n"),
    Plant("fact without a statement", FAL, ", states: bytes or null", "", "extension", "{document: payloads, where: recorded result, kind"),
    Plant("fact of an unknown document", FAL, "source: {document: prices,", "source: {document: price,", "extension", "{document: price,"),
    Plant("price as a number", FAL, "amount: '0.04'", "amount: 0.04", "extension", "amount: 0.04"),
    Plant("price without a source", GATEWAY, PRICE_SOURCE, "", "extension", "  price:\n"),
    Plant("typo of a keyword", FAL, "          minimum: 1\n          maximum: 20", "          minumum: 1\n          maximum: 20", "schema", "minumum: 1"),
    Plant("typo in a contested schema", FAL, "anyOf: [{maxItems: 0}", "anyOf: [{maxItem: 0}", "schema", "{maxItem: 0}"),
    Plant("unknown type", FAL, "          type: boolean\n          default: false\n          x-harness:\n            role: encoding", "          type: bool\n          x-harness:\n            role: encoding", "schema", "type: bool\n"),
    Plant("bound as a string", WAVES, "maximum: 2147483647\n", "maximum: '2147483647'\n", "schema", "maximum: '2147483647'"),
    Plant("parameter without a source", FAL, "x-harness:\n            role: encoding", "x-other:\n            role: encoding", "provenance", "        sync_mode:\n          type"),
    Plant("operation without a source", FAL, "      x-harness: {source: *client-paths}\n      parameters: [*request-id]\n      responses:\n        '200'", "      parameters: [*request-id]\n      responses:\n        '200'", "provenance", "    get:\n      operationId: result\n"),
    Plant("default outside its range", FAL, "          default: 3.5", "          default: 30.5", "example", "default: 30.5"),
    Plant("default of another type", FAL, "          default: '2'", "          default: 2", "example", "default: 2\n"),
    Plant("enum member of another type", GATEWAY, "enum: ['1', '2',", "enum: [1, '2',", "example", "enum: [1, '2',"),
    Plant("example that contradicts", FAL, "        output_format: jpeg\n        safety", "        output_format: jpg\n        safety", "example", "      example:\n"),
    Plant("remote $ref", FAL, "schema: {$ref: '#/components/schemas/Input'}", "schema: {$ref: 'https://x.example/Input'}", "reference", "https://x.example"),
    Plant("recursive $ref", FAL, "        timings:\n          type: object\n", "        timings:\n          type: object\n          not: {$ref: '#/components/schemas/Output'}\n", "reference", "not: {$ref"),
    Plant("dangling $ref", FAL, "items: {$ref: '#/components/schemas/Image'}", "items: {$ref: '#/components/schemas/Picture'}", "reference", "schemas/Picture"),
    Plant("keyword beside a $ref", FAL, "items: {$ref: '#/components/schemas/Image'}", "items: {$ref: '#/components/schemas/Image', minProperties: 1}", "reference", "minProperties"),
    Plant("flow of an unknown operation", FAL, "cancel: {operation: cancel}", "cancel: {operation: cancle}", "flow", "cancle"),
    Plant("answer that is no schema", FAL, "submit: {operation: submit, answer: '#/components/schemas/Output'}", "submit: {operation: submit, answer: '#/components/schemas/Out'}", "flow", "schemas/Out'"),
    Plant("no state is completed", FAL, "COMPLETED: completed}", "COMPLETED: running}", "flow", "COMPLETED: running"),
    Plant("documented state without a meaning", FAL, "IN_PROGRESS: running, ", "", "flow", "states: {IN_QUEUE"),
    Plant("server that is not listed", FAL, "      server: https://fal.run", "      server: https://fal.example", "flow", "fal.example"),
    Plant("no server though some are listed", FAL, "    sync:\n      server: https://fal.run\n", "    sync:\n", "flow", "    sync:\n"),
    Plant("body of an unknown parameter", WAVES, "body: {enable_sync_mode: true}", "body: {sync: true}", "flow", "body: {sync"),
    Plant("link without a field", FAL, "result: {operationId: result, parameters: {request_id: $response.body#/request_id}}", "result: {operationId: result, parameters: {request_id: $response.body#/id}}", "flow", "body#/id"),
    Plant("link without the parameter", FAL, "result: {operationId: result, parameters: {request_id:", "result: {operationId: result, parameters: {id:", "flow", "parameters: {id:"),
    Plant("link by another expression", FAL, "cancel: {operationId: cancel, parameters: {request_id: $response.body#/request_id}}", "cancel: {operationId: cancel, parameters: {request_id: $request.body#/request_id}}", "flow", "$request"),
    Plant("no link to a step", WAVES, "          links:\n            result: {operationId: result, parameters: {request_id: $response.body#/data/id}}\n", "", "flow", "status: {operation: result}"),
    Plant("link to nowhere", DRAFT, "get_result: {operationId: get_result,", "get_result: {operationId: result,", "link", "{operationId: result,"),
    Plant("follow of no field", DRAFT, "follow: /polling_url", "follow: /poll_url", "flow", "/poll_url"),
    Plant("no job id", WAVES, "            role: job_id\n", "            role: code\n", "flow", "      submit: {operation: submit}\n      status"),
    Plant("no output", DRAFT, "                role: output_url\n", "                role: message\n", "flow", "    poll:\n"),
    Plant("error of no schema", WAVES, "{status: 429, answer: '#/components/schemas/Failure'", "{status: 429, answer: '#/components/schemas/Fail'", "error", "schemas/Fail'"),
    Plant("error value of an absent role", WAVES, "values: {code: 429}", "values: {error_code: 429}", "error", "error_code: 429"),
    Plant("duration without a unit", WAVES, "            unit: ms\n", "", "role", "          x-harness:\n            role: inference_time"),
    Plant("encoding without encodings", FAL, "            encodings: [{value: true, means: data_uri}, {value: false, means: url}]\n", "", "role", "          x-harness:\n            role: encoding"),
    Plant("ambiguity about nothing", FAL, "- '#/components/schemas/Output/required/3'", "- '#/components/schemas/Output/required/9'", "ambiguity", "required/9"),
    Plant("two ambiguities of one id", FAL, "- id: safety-tolerance-type", "- id: safety-tolerance-end", "ambiguity", "- id: safety-tolerance-end\n      about: ['#/components/schemas/Input/properties/safety_tolerance/type"),
    Plant("interaction of an unknown parameter", FAL, "parameters: [num_images, seed]", "parameters: [num_image, seed]", "interaction", "[num_image, seed]"),
    Plant("interaction of one parameter", FAL, "parameters: [num_images, seed]", "parameters: [num_images]", "extension", "parameters: [num_images]\n"),
    Plant("interaction without a source", WAVES, "  ambiguities:\n", "  interactions:\n    - parameters: [seed, prompt]\n  ambiguities:\n", "extension", "    - parameters: [seed, prompt]"),
    Plant("not OpenAPI 3.1", FAL, "openapi: 3.1.0", "openapi: 3.0.3", "openapi", "openapi: 3.0.3"),
    Plant("not valid OpenAPI", FAL, "  title: fal / FLUX", "  headline: fal / FLUX", "openapi", "info:\n"),
    Plant("response without a description", FAL, "          description: Cancellation was requested.\n", "", "openapi", "        '202':\n          content: {application/json: {schema: {$ref: '#/components/schemas/Cancellation"),
]  # fmt: skip


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.id)
def test_a_planted_fault_is_found_once_at_its_line(plant, tmp_path):
    """One fault gives one problem, of the right rule, at the line of the fault."""
    text = plant.of.read_text()
    planted = text.replace(plant.old, plant.new, 1)
    assert text != planted
    path = tmp_path / "spec.yaml"
    path.write_text(planted)
    assert [(plant.rule, line_of(planted, plant.at))] == [(problem.rule, problem.line) for problem in lint([path])]


HOSTILE: dict[str, tuple[Callable[[], str], str]] = {
    "200 000 open brackets": (lambda: "[" * 200_000, "nesting"),
    "alias bomb": (
        lambda: "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)),
        "aliases counted in full",
    ),
    "depth through aliases": (
        lambda: "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} {'[' * 50}*a{n - 1}{']' * 50}\n" for n in range(1, 60)),
        "aliases followed",
    ),
    "not UTF-8": (lambda: "\udcff", "not UTF-8"),
    "nothing": (lambda: "", "x-harness"),
    "a list": (lambda: "- 1\n", "x-harness"),
    "another OpenAPI document": (lambda: "openapi: 3.1.0\ninfo: {title: t, version: '1'}\npaths: {}\n", "x-harness"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_one_problem(name, tmp_path):
    """A file that is no spec at all is one problem of one line, and no traceback, neither here nor when loaded."""
    make, expected = HOSTILE[name]
    path = tmp_path / "spec.yaml"
    path.write_bytes(make().encode(errors="surrogateescape"))
    first = lint([path])[0]
    assert (
        expected in first.message,
        str(first) == f"{path}:{first.line}: {first.rule}: {first.message}",
    ) == (True, True)
    with pytest.raises(SpecError, match=expected):
        load(path)


def references(levels: int, width: int) -> str:
    """A spec whose schemas double at each level, and hold no recursion."""
    document = load_yaml(WAVES.read_bytes()).value
    schemas = document["components"]["schemas"]
    for level in range(levels):
        schemas[f"L{level}"] = {"allOf": [{"$ref": f"#/components/schemas/L{level + 1}"}] * width}
    schemas[f"L{levels}"] = {"type": "object"}
    schemas["Failure"]["allOf"] = [{"$ref": "#/components/schemas/L0"}]
    return json.dumps(document)


@pytest.mark.parametrize(("levels", "width"), [(40, 2), (200, 1)])
def test_references_that_grow_beyond_measure_are_refused(levels, width, tmp_path):
    """Twenty doublings stand for a million nodes, and two hundred steps for any depth: both are faults, not a hang."""
    path = tmp_path / "spec.yaml"
    path.write_text(references(levels, width))
    assert {"reference"} == {problem.rule for problem in lint([path])}
    with pytest.raises(SpecError, match="the references"):
        load(path)


def test_faults_are_listed_all_at_once_in_the_order_of_their_lines(tmp_path):
    """Three faults are three lines, and the same three every time."""
    text = FAL.read_text()
    for old, new in (
        ("default: 3.5", "default: 99"),
        ("role: safety\n", "role: x\n"),
        ("enum: ['21:9'", "enum: [21:9"),
    ):
        text = text.replace(old, new, 1)
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    assert [problem.rule for problem in lint([path])] == ["example", "extension", "plain-scalar"]
    assert lint([path]) == lint([path])


def test_a_missing_file_is_an_error():
    """A path that cannot be read is no finding about a spec."""
    with pytest.raises(InputError, match=r"no/such/spec\.yaml"):
        lint([Path("no/such/spec.yaml")])


def test_a_fault_under_an_anchor_is_told_once(tmp_path):
    """What aliases repeat is judged where it is written."""
    text = FAL.read_text().replace(
        "request_id: &status-id\n          type: string", "request_id: &status-id\n          typ: string"
    )
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    assert [("schema", line_of(text, "typ: string"))] == [(problem.rule, problem.line) for problem in lint([path])]


def test_control_characters_reach_no_terminal(tmp_path):
    """A message quotes the file without its control characters."""
    path = tmp_path / "spec.yaml"
    path.write_text(FAL.read_text().replace("minimum: 1\n", '"\\e[31mminimum": 1\n', 1))
    assert [problem.message.isprintable() for problem in lint([path])] == [True]


DOCUMENT = """# Model

| Name | Type | Description |
| ---- | ---- | ----------- |
| guidance\\_scale | number | 1 to
20 |

#### Result

guidance\\_scale
"""


@pytest.mark.parametrize(
    ("where", "missing"),
    [
        ("Model > guidance_scale | number > 1 to 20", None),
        ("guidance\\_scale > Result > guidance_scale", None),
        ("| Name   | Type", None),
        ("Result > number", "number"),
        ("guidance_scale > guidance_scale > guidance_scale", "guidance_scale"),
        ("Model > price", "price"),
        ("guidancescale", "guidancescale"),
    ],
)
def test_places_are_found_in_order(where, missing):
    """Segments follow one another in the text; Markdown's backslashes and whitespace do not count."""
    assert missing == missing_segment(where, normalised(DOCUMENT))


def test_places_are_verified_where_the_document_is_at_hand(tmp_path):
    """A document is recognised by the hash of its text, whatever its name; without it nothing is said of places."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "anything.txt").write_text(DOCUMENT)
    text = DRAFT.read_text().replace(
        "address: https://api.bfl.ai/openapi.json",
        f"address: null\n      sha256: {hashlib.sha256(DOCUMENT.encode()).hexdigest()}",
    )
    text = text.replace(
        "where: AsyncResponse > polling_url, states: the answer names",
        "where: Model > number, states: the answer names",
    )
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    problems = lint([path], folder)
    named = text.replace("FluxKontextProInputs > seed", "Model > guidance_scale")
    path.write_text(named)
    assert lint([path]) == []
    assert ({"place"}, 1) == ({problem.rule for problem in problems}, len(problems) - len(lint([path], folder)))
    assert line_of(text, "where: Model") not in {problem.line for problem in problems}


ODD = [
    None,
    3,
    "x",
    [],
    {},
    [1],
    {"a": 1},
    True,
    -1.5,
    {"$ref": "#/info"},
    {"$ref": 3},
    {"$ref": "#/components"},
    "#/x",
]


def places(value, path=()):
    """The path of every node below the root."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


BASE = load_yaml(WAVES.read_bytes()).value
PLACES = list(places(BASE))


@settings(max_examples=25, deadline=None)
@given(place=st.sampled_from(PLACES), odd=st.sampled_from([*ODD, ...]))
def test_any_node_may_be_anything(tmp_path_factory, place, odd):
    """Whatever stands at a place, lint and loader say what is wrong and never crash; a clean file loads."""
    document = json.loads(json.dumps(BASE))
    parent = document
    for key in place[:-1]:
        parent = parent[key]
    if odd is ...:
        del parent[place[-1]]
    else:
        parent[place[-1]] = odd
    path = tmp_path_factory.mktemp("odd") / "spec.yaml"
    path.write_text(json.dumps(document))
    problems = lint([path])
    try:
        parse(path.read_bytes(), path)
    except SpecError:
        assert problems


def test_problems_sort_by_file_and_line():
    """A problem is a value that sorts and prints as path, line, rule, message."""
    problem = Problem(Path("a.yaml"), 3, "flow", "m")
    assert (str(problem), problem < Problem(Path("a.yaml"), 4, "error", "a")) == ("a.yaml:3: flow: m", True)
