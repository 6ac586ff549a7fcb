"""The shipped specs say what the five documents say."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from openapi_spec_validator import OpenAPIV31SpecValidator

from harness.errors import UsageError
from harness.spec import Spec, find, load, shipped_targets
from harness.spec.lint import lint
from harness.strict import load_yaml, resolve

TARGETS = {
    "fal-gateway/flux-pro-kontext-multi": ["queue"],
    "fal/flux-pro-kontext-multi": ["queue", "sync"],
    "umodelverse/flux-kontext-pro": ["sync"],
    "umodelverse/flux-kontext-pro-multi": ["sync"],
    "wavespeed/flux-kontext-pro-multi": ["poll", "sync"],
}
DRAFT = Path(__file__).parents[1] / "data" / "bfl-flux-kontext-pro.yaml"
FILES = [*shipped_targets().values(), DRAFT]

RATIOS = ["21:9", "16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "9:21"]
LEVELS = ["1", "2", "3", "4", "5", "6"]
NO = object()
"""No default, since null could be one."""

# Parameter -> type, range or values, default, required, as the tables of the documents have them.
EXPECTED: dict[str, dict[str, Any]] = {
    "umodelverse/flux-kontext-pro": {
        "prompt": ("string", None, NO, False),  # "Conditional Required"
        "model": ("string", ["black-forest-labs/flux-kontext-pro"], NO, True),
        "image": ("string", None, NO, True),
        "n": ("integer", (1, 4), 1, False),
        "strength": ("number", (0, 1), 0.8, False),
        "seed": ("integer", None, -1, False),
        "steps": ("integer", (1, 50), 20, False),
        "guidance_scale": ("number", (1, 20), 2.5, False),
        "negative_prompt": ("string", None, NO, False),
        "response_format": ("string", ["url", "b64_json"], "url", False),
    },
    "umodelverse/flux-kontext-pro-multi": {
        "prompt": ("string", None, NO, False),  # "Conditionally Required"
        "model": ("string", ["black-forest-labs/flux-kontext-pro/multi"], NO, True),
        "images": ("array of string", None, NO, True),
        "n": ("integer", (1, 4), 1, False),
        "aspect_ratio": ("string", None, "1:1", False),
        "seed": ("integer", None, -1, False),
        "steps": ("integer", (1, 50), 20, False),
        "guidance_scale": ("number", (1, 10), 2.5, False),
        "negative_prompt": ("string", None, NO, False),
        "response_format": ("string", ["url", "b64_json"], "url", False),
    },
    "wavespeed/flux-kontext-pro-multi": {
        "prompt": ("string", None, NO, True),
        "images": ("array of string", None, [], True),
        "seed": ("integer", (-1, 2147483647), NO, False),
        "guidance_scale": ("number", (1, 20), 3.5, False),
        "aspect_ratio": ("string", RATIOS, NO, False),
        "enable_sync_mode": ("boolean", None, False, False),
    },
    "fal/flux-pro-kontext-multi": {
        "prompt": ("string", None, NO, True),
        "seed": ("integer", None, NO, False),
        "guidance_scale": ("number", (1, 20), 3.5, False),
        "sync_mode": ("boolean", None, False, False),
        "num_images": ("integer", (1, 4), 1, False),
        "output_format": ("string", ["jpeg", "png"], "jpeg", False),
        "safety_tolerance": ("string", LEVELS, "2", False),
        "enhance_prompt": ("boolean", None, False, False),
        "aspect_ratio": ("string", RATIOS, NO, False),
        "image_urls": ("array of string", None, NO, True),
    },
    "fal-gateway/flux-pro-kontext-multi": {
        "prompt": ("string", None, NO, True),
        "image_urls": ("array of string", None, NO, True),
        "aspect_ratio": ("string", RATIOS, NO, False),
        "guidance_scale": ("number", None, NO, False),
        "sync_mode": ("boolean", None, NO, False),
        "num_images": ("integer", None, NO, False),
        "output_format": ("string", ["jpeg", "png"], NO, False),
        "safety_tolerance": ("string", LEVELS, NO, False),
        "seed": ("integer", None, NO, False),
    },
}

# What a parameter is for, in whatever document it stands.
ROLES = {
    "prompt": "prompt",
    "model": "model",
    "image": "image",
    "images": "images",
    "image_urls": "images",
    "n": "count",
    "num_images": "count",
    "strength": "strength",
    "seed": "seed",
    "steps": "steps",
    "guidance_scale": "guidance",
    "negative_prompt": "negative_prompt",
    "response_format": "encoding",
    "sync_mode": "encoding",
    "enable_sync_mode": "synchronous",
    "aspect_ratio": "ratio",
    "output_format": "format",
    "safety_tolerance": "safety",
    "enhance_prompt": "enhance",
}

# Documented response field paths by role, of the answer that a submit gets or the outputs stand in.
FIELDS = {
    "umodelverse/flux-kontext-pro": {
        "created": "created",
        "outputs": "data",
        "output_url": "data.*.url",
        "output_base64": "data.*.b64_json",
        "error_code": "error.code",
        "error_message": "error.message",
        "error_request_id": "error.param",
        "error_type": "error.type",
    },
    "wavespeed/flux-kontext-pro-multi": {
        "code": "code",
        "message": "message",
        "job_id": "data.id",
        "model": "data.model",
        "outputs": "data.outputs",
        "output_url": "data.outputs.*",
        "link_status": "data.urls.get",
        "content_flags": "data.has_nsfw_contents",
        "status": "data.status",
        "created": "data.created_at",
        "error_message": "data.error",
        "inference_time": "data.timings.inference",
    },
    "fal/flux-pro-kontext-multi": {
        "outputs": "images",
        "output_url": "images.*.url",
        "output_type": "images.*.content_type",
        "seed": "seed",
        "content_flags": "has_nsfw_concepts",
        "prompt": "prompt",
    },
}

INVALID = {"error_type": "invalid_request_error", "error_code": "param_error"}
BODY = {"prompt": "p", "images": ["https://x.example/a.png"], "image_urls": ["https://x.example/a.png"]}


def spec_of(target: str) -> Spec:
    return find((target,))[0]


def said(schema, *, required):
    kind = schema["type"]
    if kind == "array":
        kind = f"array of {schema['items']['type']}"
    within: object = None
    if "minimum" in schema or "maximum" in schema:
        within = (schema["minimum"], schema["maximum"])
    if "enum" in schema or "const" in schema:
        within = schema.get("enum") or [schema["const"]]
    return kind, within, schema.get("default", NO), required


def test_five_targets_are_shipped():
    """The targets, in the order of their names, and their flows, the default first."""
    assert list(TARGETS.items()) == [(spec.target, list(spec.flows)) for spec in find(())]


def test_a_provider_names_all_its_endpoints():
    """A provider's name alone means all its targets; an unknown name is a usage error that lists the known ones."""
    assert [spec.target for spec in find(("umodelverse",))] == [
        "umodelverse/flux-kontext-pro",
        "umodelverse/flux-kontext-pro-multi",
    ]
    with pytest.raises(UsageError, match="fal/flux-pro-kontext-multi"):
        find(("nobody",))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_ordinary_validator_accepts(path):
    """openapi-spec-validator finds nothing."""
    assert list(OpenAPIV31SpecValidator(load_yaml(path.read_bytes()).value).iter_errors()) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_schemathesis_loads(path):
    """Schemathesis sees every operation that the harness sees."""
    spec = load(path)
    document = load_yaml(path.read_bytes()).value
    document.setdefault("servers", [{"url": "https://gateway.example"}])
    seen: list[Any] = [result.ok() for result in schemathesis.openapi.from_dict(document).get_all_operations()]  # type: ignore[union-attr]
    assert {f"{operation.method} {operation.path}" for operation in spec.operations.values()} == {
        operation.label for operation in seen
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_lint_is_silent(path):
    """A shipped spec has no problem."""
    assert lint([path]) == []


@pytest.mark.parametrize("target", EXPECTED)
def test_parameters_are_those_of_the_document(target):
    """Name, type, range or values, default and required of every documented parameter, and no other parameter."""
    schema: Any = spec_of(target).input_schema
    properties = {name: node for name, node in schema["properties"].items() if isinstance(node, dict)}
    assert EXPECTED[target] == {
        name: said(node, required=name in schema["required"]) for name, node in properties.items()
    }


def test_parameters_have_roles():
    """Each parameter's role is the one that relations read, in every spec."""
    assert {(target, name, ROLES[name]) for target, table in EXPECTED.items() for name in table} == {
        (spec.target, name, node["x-harness"]["role"])
        for spec in find(())
        for name, node in dict(spec.input_schema["properties"]).items()
        if isinstance(node, dict)
    }


@pytest.mark.parametrize("target", FIELDS)
def test_response_fields_carry_their_roles(target):
    """Each documented response field is found by its role."""
    shape = spec_of(target).default_flow.final.shape
    assert FIELDS[target] == {role: ".".join(shape.with_role(role)[0].path) for role in FIELDS[target]}


def test_credentials():
    """Variable, header, the word before the key, and whether the document calls the header optional."""
    bearer = ("Authorization", "Bearer")
    assert {
        "fal-gateway/flux-pro-kontext-multi": ("FAL_GATEWAY_API_KEY", *bearer, True),
        "fal/flux-pro-kontext-multi": ("FAL_KEY", "Authorization", "Key", False),
        "umodelverse/flux-kontext-pro": ("MODELVERSE_API_KEY", *bearer, False),
        "umodelverse/flux-kontext-pro-multi": ("MODELVERSE_API_KEY", *bearer, False),
        "wavespeed/flux-kontext-pro-multi": ("WAVESPEED_API_KEY", *bearer, False),
        "bfl/flux-kontext-pro": ("BFL_API_KEY", "x-key", "", False),
    } == {
        spec.target: (key.env, key.header, key.scheme, key.optional)
        for spec in (*find(()), load(DRAFT))
        for key in [spec.credential]
    }


def test_hosts():
    """Where a flow's requests go; the gateway's document names no host."""
    assert {(spec.target, flow.name): flow.server for spec in find(()) for flow in spec.flows.values()} == {
        ("fal-gateway/flux-pro-kontext-multi", "queue"): None,
        ("fal/flux-pro-kontext-multi", "queue"): "https://queue.fal.run",
        ("fal/flux-pro-kontext-multi", "sync"): "https://fal.run",
        ("umodelverse/flux-kontext-pro", "sync"): "https://api.umodelverse.ai",
        ("umodelverse/flux-kontext-pro-multi", "sync"): "https://api-us-ca.umodelverse.ai",
        ("wavespeed/flux-kontext-pro-multi", "poll"): "https://api.wavespeed.ai",
        ("wavespeed/flux-kontext-pro-multi", "sync"): "https://api.wavespeed.ai",
    }


def test_prices():
    """List prices with their currency; one that nobody states for the endpoint is assumed."""
    assert {
        "fal-gateway/flux-pro-kontext-multi": (Decimal("0.04"), "USD", "assumed"),
        "fal/flux-pro-kontext-multi": (Decimal("0.04"), "USD", "observed"),
        "umodelverse/flux-kontext-pro": (Decimal("0.35"), "CNY", "observed"),
        "umodelverse/flux-kontext-pro-multi": (Decimal("0.35"), "CNY", "observed"),
        "wavespeed/flux-kontext-pro-multi": (Decimal("0.04"), "USD", "assumed"),
    } == {spec.target: (spec.price.amount, spec.price.currency, spec.price.source.kind) for spec in find(())}


CONTESTED = [
    ("umodelverse/flux-kontext-pro", {"prompt": ...}, "prompt-condition"),
    ("umodelverse/flux-kontext-pro", {"guidance_scale": 10.5}, "guidance-range"),
    ("umodelverse/flux-kontext-pro", {"guidance_scale": 20}, "guidance-range"),
    ("umodelverse/flux-kontext-pro", {"guidance_scale": 10}, None),
    ("umodelverse/flux-kontext-pro", {"guidance_scale": 20.5}, None),
    ("umodelverse/flux-kontext-pro", {"aspect_ratio": "1:1"}, "strength-or-ratio"),
    ("umodelverse/flux-kontext-pro", {"image": "iVBORw0KGgo" * 10}, "image-base64-form"),
    ("umodelverse/flux-kontext-pro-multi", {"prompt": ...}, "prompt-condition"),
    ("umodelverse/flux-kontext-pro-multi", {"aspect_ratio": "1:100"}, "aspect-ratio-values"),
    ("umodelverse/flux-kontext-pro-multi", {"aspect_ratio": "21:9"}, None),
    ("umodelverse/flux-kontext-pro-multi", {"aspect_ratio": "wide"}, None),
    ("umodelverse/flux-kontext-pro-multi", {"guidance_scale": 11}, None),
    ("umodelverse/flux-kontext-pro-multi", {"seed": -2}, "seed-range"),
    ("umodelverse/flux-kontext-pro-multi", {"seed": -1}, None),
    ("umodelverse/flux-kontext-pro-multi", {"images": 5}, None),
    ("wavespeed/flux-kontext-pro-multi", {"prompt": ...}, "example-omits-required"),
    ("wavespeed/flux-kontext-pro-multi", {"images": []}, "images-default"),
    ("wavespeed/flux-kontext-pro-multi", {"prompt": ""}, "prompt-length"),
    ("wavespeed/flux-kontext-pro-multi", {"seed": -2}, None),
    ("fal/flux-pro-kontext-multi", {"safety_tolerance": "6"}, "safety-tolerance-end"),
    ("fal/flux-pro-kontext-multi", {"safety_tolerance": 2}, "safety-tolerance-type"),
    ("fal/flux-pro-kontext-multi", {"safety_tolerance": "7"}, None),
    ("fal/flux-pro-kontext-multi", {"image_urls": []}, "image-urls-limits"),
    ("fal/flux-pro-kontext-multi", {"prompt": ...}, None),
    ("fal-gateway/flux-pro-kontext-multi", {"guidance_scale": 0}, "example-guidance-zero"),
    ("fal-gateway/flux-pro-kontext-multi", {"guidance_scale": "3"}, None),
    ("fal-gateway/flux-pro-kontext-multi", {"num_images": 0}, "example-count-zero"),
    ("fal-gateway/flux-pro-kontext-multi", {"num_images": 4}, None),
    ("fal-gateway/flux-pro-kontext-multi", {"image_urls": ["string"]}, "example-image-not-an-address"),
    ("fal-gateway/flux-pro-kontext-multi", {"image_urls": [7]}, None),
    ("fal-gateway/flux-pro-kontext-multi", {"enhance_prompt": True}, "enhance-prompt-missing"),
]


@pytest.mark.parametrize(("target", "change", "expected"), CONTESTED)
def test_contested_bodies(target, change, expected):
    """A body is contested exactly where the documents disagree about it; ``...`` leaves a parameter out."""
    spec = spec_of(target)
    names = {parameter.name for parameter in spec.parameters if parameter.required or parameter.role == "prompt"}
    base = {**BODY, "image": "https://x.example/a.png"}
    body = {name: base[name] for name in names} | dict(spec.constants) | change
    found = spec.contested({name: value for name, value in body.items() if value is not ...})
    assert expected == (found.id if found else None)


@pytest.mark.parametrize("target", TARGETS)
def test_a_plain_body_is_not_contested(target):
    """A body with the required parameters and a prompt is accepted without a doubt, at every documented bound."""
    spec = spec_of(target)
    base = {**BODY, "image": "https://x.example/a.png"}
    for parameter in spec.parameters:
        bounds = [parameter.schema[key] for key in ("minimum", "maximum") if key in parameter.schema]
        for value in bounds if parameter.role != "guidance" else bounds[:1]:
            body = {p.name: base[p.name] for p in spec.parameters if p.name in base} | {parameter.name: value}
            assert (parameter.name, None) == (parameter.name, spec.contested(body))


def test_an_ambiguity_is_about_no_more_than_its_doubt():
    """That the example of an output omits the seed says nothing against its value."""
    spec = spec_of("fal/flux-pro-kontext-multi")
    about = "#/components/schemas/Output"
    assert [
        found.id if (found := spec.about(place)) else None
        for place in (f"{about}/properties/seed", f"{about}/required/2")
    ] == [None, "output-example-incomplete"]
    assert resolve(load_yaml(spec.text).value, "/components/schemas/Output/required/2") == "seed"


def test_gateway_links_are_known_to_lead_elsewhere():
    """The links of the gateway's own example are on the upstream's host."""
    shape = spec_of("fal-gateway/flux-pro-kontext-multi").default_flow.submit.shape
    roles = ("link_status", "link_result", "link_cancel")
    assert [shape.with_role(role)[0].detail["foreign"] for role in roles] == ["https://queue.fal.run"] * 3


def test_what_no_document_states_is_marked():
    """Of the gateway's document come the submit's fields; what follows a submit is observed or assumed."""
    flow = spec_of("fal-gateway/flux-pro-kontext-multi").default_flow
    kinds = {
        name: {field.source.kind for field in step.shape.fields if field.source} for name, step in flow.steps().items()
    }
    assert {"document"} == kinds.pop("submit")
    assert {"observed", "assumed"} == set.union(*kinds.values())


def test_outputs_of_a_list_of_strings():
    """WaveSpeed's outputs are bare addresses; BFL's single output stands outside any list."""
    waves = spec_of("wavespeed/flux-kontext-pro-multi").default_flow.final.shape
    bfl = load(DRAFT).default_flow.final.shape
    assert [
        [output.url for output in waves.outputs({"data": {"outputs": ["https://a", "https://b"]}})],
        [output.url for output in bfl.outputs({"result": {"sample": "https://c"}})],
    ] == [["https://a", "https://b"], ["https://c"]]


PATHS = [
    ("plain", "/api/v3/predictions/plain/result"),
    ("../../admin", "/api/v3/predictions/..%2F..%2Fadmin/result"),
    ("a b?c#d%", "/api/v3/predictions/a%20b%3Fc%23d%25/result"),
    ("é\u202e", "/api/v3/predictions/%C3%A9%E2%80%AE/result"),
    (7, "/api/v3/predictions/7/result"),
    ("..", None),
    (".", None),
    ("", None),
    (True, None),
    (None, None),
    ({"a": 1}, None),
]


@pytest.mark.parametrize(("job_id", "expected"), PATHS)
def test_identifiers_are_percent_encoded(job_id, expected):
    """A job's id is one path segment whatever it holds; what cannot be one gives no path."""
    status = spec_of("wavespeed/flux-kontext-pro-multi").flows["poll"].status
    assert status is not None
    assert expected == status.path({"data": {"id": job_id}})


def test_a_url_is_followed_only_where_the_document_requires_it():
    """BFL's step has a URL to follow, no shipped one has."""
    bfl = load(DRAFT).default_flow.status
    assert bfl is not None
    assert bfl.followed({"id": "1", "polling_url": "https://api.eu.bfl.ai/x"}) == "https://api.eu.bfl.ai/x"
    assert {None} == {
        step.followed({"status_url": "https://queue.fal.run/x"})
        for spec in find(())
        for flow in spec.flows.values()
        for step in flow.steps().values()
    }


def test_refusals_are_answered_as_each_provider_does():
    """UModelVerse and WaveSpeed refuse the submit; fal and its gateway queue an invalid body and refuse its result."""
    assert {
        spec.target: (answer.status, answer.at, answer.values)
        for spec in find(())
        for answer in [spec.errors["invalid"]]
    } == {
        "fal-gateway/flux-pro-kontext-multi": (422, "result", {"error_type": "value_error"}),
        "fal/flux-pro-kontext-multi": (422, "result", {"error_type": "value_error"}),
        "umodelverse/flux-kontext-pro": (400, "submit", INVALID),
        "umodelverse/flux-kontext-pro-multi": (400, "submit", INVALID),
        "wavespeed/flux-kontext-pro-multi": (400, "submit", {"code": 400}),
    }


INTERACTIONS: dict[str, list[set[str]]] = {
    "umodelverse/flux-kontext-pro": [{"n", "response_format"}, {"n", "seed"}],
    "umodelverse/flux-kontext-pro-multi": [{"n", "response_format"}, {"n", "seed"}],
    "wavespeed/flux-kontext-pro-multi": [],
    "fal/flux-pro-kontext-multi": [
        {"num_images", "output_format"}, {"num_images", "sync_mode"}, {"num_images", "seed"}, {"prompt", "seed"},
    ],
    "fal-gateway/flux-pro-kontext-multi": [
        {"num_images", "output_format"}, {"num_images", "sync_mode"}, {"num_images", "seed"}, {"prompt", "seed"},
    ],
}  # fmt: skip


@pytest.mark.parametrize("target", INTERACTIONS)
def test_parameters_that_the_documents_relate(target: str) -> None:
    """The count with what is said of each output, and with the seed; the gateway's are the upstream's, and say so."""
    (spec,) = find((target,))
    assert INTERACTIONS[target] == [set(group) for group in spec.interactions]
    groups = load_yaml(spec.text).value["x-harness"].get("interactions", [])
    kinds = {group["source"].get("kind", "document") for group in groups}
    assert kinds <= ({"assumed"} if spec.provider == "fal-gateway" else {"document"})
