"""wavespeed 2.0.5, WaveSpeed's official Python package, against the simulator over HTTP."""

from __future__ import annotations

import pytest
import wavespeed  # type: ignore[import-untyped]  # it ships no types

from tests.sdk.tap import KEY, PICTURE, PROMPT, REFUSED_KEY, downloaded, pictures

MODEL = "wavespeed-ai/flux-kontext-pro/multi"
BODY = {"prompt": PROMPT, "images": [PICTURE]}
EVERY = 0.05


@pytest.fixture
def client(simulated):
    """Make a client with a key of its own on a simulator; the tap between the two is its ``tap``."""
    tap = simulated()

    def connect(key=KEY, flow="poll"):
        connected = wavespeed.Client(api_key=key, base_url=tap.urls[f"wavespeed:{flow}"])
        connected.tap = tap
        return connected

    # What the package read from the environment when it was imported is not for these tests.
    with wavespeed.config.patch({"api.api_key": None}):
        yield connect


def test_run(client):
    """``run`` submits once and polls until the simulator says completed; the outputs are the simulator's."""
    poll = client()
    result = poll.run(MODEL, BODY, poll_interval=EVERY)
    submit, *polls = poll.tap.exchanges
    assert poll.tap.methods == ["POST"] + ["GET"] * len(polls)
    assert submit.asked == BODY
    assert {exchange.said["data"]["id"] for exchange in poll.tap.exchanges} == {submit.said["data"]["id"]}
    states = [exchange.said["data"]["status"] for exchange in poll.tap.exchanges]
    assert states == sorted(states, key=["created", "processing", "completed"].index)
    assert states.count("completed") == 1
    assert result == {"outputs": polls[-1].said["data"]["outputs"]}
    assert [image.format for image in pictures(result["outputs"])] == ["JPEG"]


def test_polls_at_its_own_pace(client):
    """With the client's own interval of a second a job is done, too."""
    poll = client()
    assert len(poll.run(MODEL, BODY)["outputs"]) == 1


def test_get_result(client):
    """A prediction is read by its id again and again, and is what ``run_no_throw`` has reported."""
    poll = client()
    reported = poll.run_no_throw(MODEL, BODY, poll_interval=EVERY)
    again = [poll.get_result(reported["task_id"]) for _ in range(2)]
    assert again == [poll.tap.last.said] * 2
    data = again[0]["data"]
    expected = {"status": data["status"], "outputs": data["outputs"], "task_id": data["id"], "error": None}
    assert reported == expected
    assert again[0]["code"] == 200
    assert data["has_nsfw_contents"] == [False]


def test_equal_seeds(client):
    """Two tasks of equal seed have equal images and ids of their own; another seed has another image."""
    poll = client()
    tasks = [poll.run_no_throw(MODEL, {**BODY, "seed": seed}, poll_interval=EVERY) for seed in (7, 7, 8)]
    first, second, other = (downloaded(task["outputs"][0]) for task in tasks)
    assert first == second != other
    assert len({task["task_id"] for task in tasks}) == 3


@pytest.mark.parametrize("flow", ["poll", "sync"])
def test_sync_mode(client, flow):
    """Synchronous mode is one request, which answers with the completed prediction, at either base URL."""
    sync = client(flow=flow)
    result = sync.run_no_throw(MODEL, BODY, enable_sync_mode=True)
    assert sync.tap.methods == ["POST"]
    assert sync.tap.last.asked == {**BODY, "enable_sync_mode": True}
    data = sync.tap.last.said["data"]
    assert result == {"status": "completed", "outputs": data["outputs"], "task_id": data["id"], "error": None}
    assert sync.run(MODEL, BODY, enable_sync_mode=True).keys() == {"outputs"}
    assert len(pictures(result["outputs"])) == 1


@pytest.mark.parametrize("synchronous", [False, True], ids=["poll", "sync"])
def test_failure(client, synchronous):
    """An invalid body is refused at once: the client's error quotes the simulator, and it has asked once."""
    poll = client()
    with pytest.raises(RuntimeError) as raised:
        poll.run(MODEL, {**BODY, "guidance_scale": 21}, enable_sync_mode=synchronous)
    answer = poll.tap.last
    assert str(raised.value) == f"Failed to submit prediction: HTTP 400: {answer.answer.decode()}"
    assert answer.said["code"] == 400
    assert "guidance_scale" in answer.said["message"]
    assert poll.tap.methods == ["POST"]


def test_failure_without_exception(client):
    """``run_no_throw`` reports the same refusal as a value."""
    result = client().run_no_throw(MODEL, {**BODY, "seed": -2})
    assert (result["status"], result["outputs"], result["task_id"]) == ("failed", None, "unknown")
    assert "HTTP 400" in result["error"]


def test_unknown_id(client):
    """An id that nobody was given is a 404, asked for once."""
    poll = client()
    with pytest.raises(RuntimeError, match="Failed to get result for task nobody: HTTP 404: ") as raised:
        poll.get_result("nobody")
    assert str(raised.value).endswith(poll.tap.last.answer.decode())
    assert poll.tap.methods == ["GET"]


def test_refused_key(client):
    """A key that is not accepted is a 401, and the body is sent once."""
    poll = client(key=REFUSED_KEY)
    with pytest.raises(RuntimeError, match="HTTP 401: "):
        poll.run(MODEL, BODY)
    assert poll.tap.last.sent["authorization"] == f"Bearer {REFUSED_KEY}"
    assert poll.tap.methods == ["POST"]
