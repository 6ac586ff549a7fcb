"""openai 3.52.0, the client that UModelVerse's documents name, against the simulator over HTTP."""

from __future__ import annotations

import base64
import uuid

import openai
import pytest

from tests.sdk.tap import KEY, PICTURE, PROMPT, REFUSED_KEY, decoded, downloaded, pictures

MULTI = "black-forest-labs/flux-kontext-pro/multi"
SINGLE = "black-forest-labs/flux-kontext-pro"
IMAGES = {"images": [PICTURE]}


@pytest.fixture
def client(simulated):
    """Make a client with a key of its own on a simulator; the tap between the two is its ``tap``."""
    clients = []
    tap = simulated()

    def connect(key=KEY):
        clients.append(openai.OpenAI(api_key=key, base_url=tap.urls["umodelverse:sync"] + "/v1"))
        return clients[-1], tap

    yield connect
    for each in clients:
        each.close()


def only(response):
    """The one image of a response."""
    assert len(response.data) == 1
    return response.data[0]


def test_generate(client):
    """``extra_body`` reaches the simulator flat; the response holds what it said, with as many images as asked."""
    api, tap = client()
    response = api.images.generate(model=MULTI, prompt=PROMPT, n=3, extra_body={**IMAGES, "aspect_ratio": "16:9"})
    assert tap.methods == ["POST"]
    assert tap.last.asked == {"model": MULTI, "prompt": PROMPT, "n": 3, **IMAGES, "aspect_ratio": "16:9"}
    assert response.to_dict() == tap.last.said
    assert response.created == tap.last.said["created"]
    urls = [image.url or "" for image in response.data or ()]
    sizes = [image.size for image in pictures(urls)]
    assert [round(width / height, 1) for width, height in sizes] == [1.8] * 3


def test_single_image_endpoint(client):
    """The single-image endpoint shares the path and is told apart by the name of its model."""
    api, tap = client()
    response = api.images.generate(model=SINGLE, prompt=PROMPT, extra_body={"image": PICTURE})
    assert response.to_dict() == tap.last.said
    assert decoded(downloaded(only(response).url)).format == "JPEG"


def test_b64_json(client):
    """Base64 asked for is base64 without a prefix, as of OpenAI, and the very image that its address gives."""
    api, tap = client()

    def generated(form):
        body = {**IMAGES, "seed": 11}
        response = api.images.generate(model=MULTI, prompt=PROMPT, response_format=form, extra_body=body)
        assert response.to_dict() == tap.last.said
        return only(response)

    encoded, linked = generated("b64_json"), generated("url")
    assert encoded.url is None
    assert linked.b64_json is None
    data = base64.b64decode(encoded.b64_json or "", validate=True)
    assert data == downloaded(linked.url)
    assert decoded(data).format == "JPEG"


def test_equal_seeds(client):
    """Equal seeds give equal images, other seeds others."""
    api, _ = client()

    def generated(seed):
        body = {**IMAGES, "seed": seed}
        response = api.images.generate(model=MULTI, prompt=PROMPT, response_format="b64_json", extra_body=body)
        return only(response).b64_json

    assert generated(5) == generated(5) != generated(6)


def test_error(client):
    """A refused body is a ``BadRequestError`` whose fields are the simulator's; ``param`` is the request's id."""
    api, tap = client()
    with pytest.raises(openai.BadRequestError) as raised:
        api.images.generate(model=MULTI, prompt=PROMPT, n=5, extra_body=IMAGES)
    error, said = raised.value, tap.last.said["error"]
    assert error.body == said
    assert (error.status_code, error.code, error.type) == (400, "param_error", "invalid_request_error")
    assert (error.code, error.type, error.param) == (said["code"], said["type"], said["param"])
    assert str(uuid.UUID(error.param)) == error.param
    assert "n: " in said["message"]
    assert said["message"] in error.message
    assert tap.methods == ["POST"]


def test_refused_key(client):
    """A key that is not accepted is an ``AuthenticationError``, and the body is sent once."""
    api, tap = client(REFUSED_KEY)
    with pytest.raises(openai.AuthenticationError) as raised:
        api.images.generate(model=MULTI, prompt=PROMPT, extra_body=IMAGES)
    assert (raised.value.status_code, raised.value.code) == (401, "auth_error")
    assert tap.last.sent["authorization"] == f"Bearer {REFUSED_KEY}"
    assert tap.methods == ["POST"]
