"""fal-client 1.0.3, fal's official Python package, against the simulator over HTTP."""

from __future__ import annotations

import base64
import itertools

import fal_client
import pytest

from harness.simulator import Settings
from tests.sdk.tap import KEY, PICTURE, PROMPT, REFUSED_KEY, decoded, pictures

APP = "fal-ai/flux-pro/kontext/multi"
BODY = {"prompt": PROMPT, "image_urls": [PICTURE]}
INVALID = {"prompt": PROMPT, "image_urls": [PICTURE], "num_images": 9}
WAITS = Settings(queue_seconds=600, capacity=64)
RUNS = Settings(queue_seconds=0, inference_seconds=600, capacity=64)
"""Simulators whose jobs stay queued, or run, for longer than any test: their states do not depend on time."""
WORDS = {
    "IN_QUEUE": fal_client.Queued,
    "IN_PROGRESS": fal_client.InProgress,
    "COMPLETED": fal_client.Completed,
}


@pytest.fixture
def fal(simulated, monkeypatch):
    """A client with a key of its own on a simulator, and the tap between the two."""
    clients = []

    def connect(settings=None, key=KEY):
        tap = simulated(settings) if settings else simulated()
        # The client has https:// built in; these two are where it keeps its addresses.
        monkeypatch.setattr("fal_client.client.RUN_URL_FORMAT", tap.urls["fal:sync"] + "/")
        monkeypatch.setattr("fal_client.client.QUEUE_URL_FORMAT", tap.urls["fal:queue"] + "/")
        clients.append(fal_client.SyncClient(key=key))
        return clients[-1], tap

    yield connect
    for client in clients:
        client._client.close()


def urls_of(result):
    return [image["url"] for image in result["images"]]


def test_run(fal):
    """``run`` is one POST; it returns what the simulator said: as many images as asked, of the format and seed asked."""
    client, tap = fal()
    seed = 2**53 + 1  # no float holds it
    result = client.run(APP, {**BODY, "seed": seed, "num_images": 2, "output_format": "png"})
    assert tap.methods == ["POST"]
    assert result == tap.last.said
    assert result["seed"] == seed
    assert result["prompt"] == PROMPT
    assert result["has_nsfw_concepts"] == [False, False]
    sizes = [(image["content_type"], image["width"], image["height"]) for image in result["images"]]
    assert [("image/png", *image.size) for image in pictures(urls_of(result))] == sizes
    assert len(sizes) == 2


def test_run_with_data_uris(fal):
    """``sync_mode`` gives whole images in the answer itself, and no further request is needed."""
    client, tap = fal()
    (url,) = urls_of(client.run(APP, {**BODY, "sync_mode": True}))
    head, _, data = url.partition(",")
    assert head == "data:image/jpeg;base64"
    assert decoded(base64.b64decode(data, validate=True)).format == "JPEG"
    assert tap.methods == ["POST"]


def test_subscribe(fal):
    """``subscribe`` submits once, reports each state that the simulator answered, in rising order, and its result."""
    client, tap = fal()
    enqueued: list[str] = []
    updates: list[fal_client.Status] = []
    result = client.subscribe(
        APP,
        {**BODY, "num_images": 3},
        with_logs=True,
        interval=0.02,
        on_enqueue=enqueued.append,
        on_queue_update=updates.append,
    )
    (submit,) = tap.of("POST")
    assert enqueued == [submit.said["request_id"]]
    polls = [exchange.said for exchange in tap.of("GET", "/status") if "logs=true" in exchange.path]
    assert [type(update) for update in updates] == [WORDS[poll["status"]] for poll in polls]
    assert {poll["request_id"] for poll in polls} == set(enqueued)
    order = list(WORDS.values())
    places = [order.index(state) for state, _ in itertools.groupby(map(type, updates))]
    assert places == sorted(set(places))
    assert places[-1] == 2
    last = updates[-1]
    assert isinstance(last, fal_client.Completed)
    assert last.metrics == polls[-1]["metrics"] == {"inference_time": result["timings"]["inference"]}
    assert last.error is None
    assert result == tap.last.said
    assert [image.format for image in pictures(urls_of(result))] == ["JPEG"] * 3


def test_submit_and_result(fal):
    """A handle has the simulator's id and links; ``get`` and ``result`` by id agree, and the drawn seed stays."""
    client, tap = fal()
    handle = client.submit(APP, BODY)
    said = tap.last.said
    links = (handle.request_id, handle.status_url, handle.response_url, handle.cancel_url)
    assert links == (said["request_id"], said["status_url"], said["response_url"], said["cancel_url"])
    result = handle.get(interval=0.02)
    assert result == tap.last.said
    assert isinstance(result["seed"], int)
    assert client.result(APP, handle.request_id) == result
    assert len(pictures(urls_of(result))) == 1


def test_links_are_those_the_client_builds(fal):
    """The links of a submit are what the client itself makes of an endpoint and an id: its sub-path is dropped."""
    client, _ = fal(WAITS)
    handle = client.submit(APP, BODY)
    assert client.get_handle(APP, handle.request_id) == handle


def test_status_in_queue(fal):
    """A waiting job is ``Queued`` at the simulator's position; who comes later waits one place behind."""
    client, tap = fal(WAITS)
    first, second = (client.submit(APP, BODY).request_id for _ in range(2))
    position = client.status(APP, first).position
    assert tap.last.status == 202
    assert tap.last.said["queue_position"] == position
    assert client.status(APP, second) == fal_client.Queued(position + 1)


def test_status_in_progress(fal):
    """A running job is ``InProgress``, by the handle and by its id."""
    client, tap = fal(RUNS)
    handle = client.submit(APP, BODY)
    assert isinstance(handle.status(), fal_client.InProgress)
    assert isinstance(client.status(APP, handle.request_id), fal_client.InProgress)
    assert tap.last.status == 202


def test_logs_are_a_list(fal):
    """The document's own example goes through a running job's logs: with logs asked for they are a list."""
    client, _ = fal(RUNS)
    assert [*client.submit(APP, BODY).status(with_logs=True).logs] == []


@pytest.mark.parametrize("settings", [WAITS, RUNS], ids=["queued", "running"])
def test_cancel(fal, settings):
    """A cancelled job is ``Completed`` with an error, has no result, and cannot be cancelled again."""
    client, tap = fal(settings)
    handle = client.submit(APP, BODY)
    handle.cancel()
    assert (tap.last.method, tap.last.status, tap.last.said) == ("PUT", 202, {"status": "CANCELLATION_REQUESTED"})
    status = client.status(APP, handle.request_id)
    assert isinstance(status, fal_client.Completed)
    assert status.error == tap.last.said["error"] != ""
    with pytest.raises(fal_client.FalClientHTTPError) as no_result:
        handle.get()
    assert (no_result.value.status_code, no_result.value.message) == (400, tap.last.said["detail"])
    with pytest.raises(fal_client.FalClientHTTPError) as too_late:
        client.cancel(APP, handle.request_id)
    assert too_late.value.status_code == 400
    assert too_late.value.response.json() == {"status": "ALREADY_COMPLETED"}


@pytest.mark.parametrize("way", ["run", "subscribe"])
def test_invalid_body(fal, way):
    """An invalid body is a 422 with the place, text and kind of each fault; in the queue the result has it."""
    client, tap = fal()
    with pytest.raises(fal_client.FalClientHTTPError) as raised:
        getattr(client, way)(APP, {**INVALID, "output_format": "gif"})
    error = raised.value
    assert error.status_code == tap.last.status == 422
    faults = error.response.json()["detail"]
    assert error.message == faults == tap.last.said["detail"]
    assert {tuple(fault["loc"]) for fault in faults} == {("body", "num_images"), ("body", "output_format")}
    assert all(fault["msg"] and fault["type"] for fault in faults)
    assert error.error_type is None
    assert tap.methods[0] == "POST"
    assert tap.methods.count("POST") == 1
    assert tap.last.method == ("POST" if way == "run" else "GET")
    assert tap.exchanges[0].status == (422 if way == "run" else 200)


def test_invalid_body_completes(fal):
    """There is no failed state: a job with an invalid body is ``Completed``, and its result is the 422, each time."""
    client, tap = fal()
    handle = client.submit(APP, INVALID)
    *_, last = handle.iter_events(interval=0.02)
    assert isinstance(last, fal_client.Completed)
    for _ in range(2):
        with pytest.raises(fal_client.FalClientHTTPError) as raised:
            client.result(APP, handle.request_id)
        assert (raised.value.status_code, raised.value.message) == (422, tap.last.said["detail"])


@pytest.mark.parametrize("what", ["status", "result", "cancel"])
def test_unknown_id(fal, what):
    """An id that nobody was given is a 404, asked for once."""
    client, tap = fal()
    with pytest.raises(fal_client.FalClientHTTPError) as raised:
        getattr(client, what)(APP, "00000000-0000-4000-8000-000000000000")
    assert raised.value.status_code == 404
    assert raised.value.response.json() == tap.last.said
    assert tap.methods == ["PUT" if what == "cancel" else "GET"]


@pytest.mark.parametrize("way", ["run", "submit"])
def test_refused_key(fal, way):
    """A key that is not accepted is a 401 with fal's ``detail``, and the body is sent once."""
    client, tap = fal(key=REFUSED_KEY)
    with pytest.raises(fal_client.FalClientHTTPError) as raised:
        getattr(client, way)(APP, BODY)
    assert (raised.value.status_code, raised.value.message) == (401, tap.last.said["detail"])
    assert tap.last.sent["authorization"] == f"Key {REFUSED_KEY}"
    assert tap.methods == ["POST"]
