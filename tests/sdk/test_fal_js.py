"""@fal-ai/client 1.10.1, fal's official JavaScript package, against the simulator over HTTP.

The package comes from npm into pytest's cache and stays there. Without node, npm or the registry the tests are
skipped; with ``CI=true`` only the lack of node or npm skips them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.sdk.conftest import SDK_VARIABLES
from tests.sdk.tap import KEY, PICTURE, PROMPT, pictures

PACKAGE, VERSION = "@fal-ai/client", "1.10.1"
OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error")
APP = "fal-ai/flux-pro/kontext/multi"
BODY = {"prompt": PROMPT, "image_urls": [PICTURE]}
SCRIPT = Path(__file__).with_name("subscribe.cjs")
ORDER = ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


@pytest.fixture(scope="session")
def installed(request, tmp_path_factory):
    """The folder of an installation of the package: pytest's cache, where a first run puts it in one step."""
    npm = shutil.which("npm")
    if not (npm and shutil.which("node")):
        pytest.skip("node and npm are not at hand")
    cache = getattr(request.config, "cache", None)
    kept = (cache.mkdir("npm") if cache else tmp_path_factory.getbasetemp()) / f"fal-client-{VERSION}"
    if not kept.exists():
        fresh = tmp_path_factory.mktemp("npm")
        (fresh / "package.json").write_text("{}")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(SDK_VARIABLES)}
        command = [npm, "install", *OPTIONS, f"{PACKAGE}@{VERSION}"]
        try:
            done = subprocess.run(
                command, cwd=fresh, env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            why = (done.stderr or "no word") if done.returncode else ""
        except subprocess.TimeoutExpired:
            why = "no answer within 60 s"
        if why:
            said = f"npm cannot install {PACKAGE} {VERSION}: {' '.join(why.split())[:300]}"
            pytest.fail(said) if os.environ.get("CI") == "true" else pytest.skip(said)
        if not kept.exists():  # another worker may have been quicker
            shutil.copytree(fresh, half := kept.with_name(f"{kept.name}.{os.getpid()}"))
            half.rename(kept)
    package = json.loads((kept / "node_modules" / PACKAGE / "package.json").read_text())
    assert package["version"] == VERSION
    return kept


@pytest.fixture
def subscribe(simulated, installed, tmp_path):
    """Subscribe with the client in a node of its own; what it reported, and the tap between the two."""

    def subscribed(body):
        tap = simulated()
        urls = {"fal.run": tap.urls["fal:sync"], "queue.fal.run": tap.urls["fal:queue"]}
        given = json.dumps({"endpoint": APP, "input": body, "key": KEY, "urls": urls})
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        done = subprocess.run(
            ["node", SCRIPT, installed, given], env=environment, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.stderr == ""
        return json.loads(done.stdout), tap

    return subscribed


def polls_of(tap):
    return [exchange.said for exchange in tap.of("GET", "/status")]


def test_subscribe(subscribe):
    """``subscribe`` submits once, reports each status as the simulator said it, and returns the simulator's result."""
    reported, tap = subscribe({**BODY, "seed": 41, "num_images": 2})
    assert tap.methods == ["POST"] + ["GET"] * (len(polls_of(tap)) + 1)
    assert reported["enqueued"] == [tap.exchanges[0].said["request_id"]]
    assert reported["updates"] == polls_of(tap)
    states = [update["status"] for update in reported["updates"]]
    assert states == sorted(states, key=ORDER.index)
    assert states[-1] == "COMPLETED"
    data = reported["result"]["data"]
    assert data == tap.last.said
    assert data["seed"] == 41
    assert [image.format for image in pictures(image["url"] for image in data["images"])] == ["JPEG"] * 2


def test_request_id(subscribe):
    """The id that comes with a result is the one that the job was submitted under."""
    reported, _ = subscribe(BODY)
    assert [reported["result"]["requestId"]] == reported["enqueued"]


def test_invalid_body(subscribe):
    """An invalid body completes, and its result is a ``ValidationError`` with the fields that the simulator named."""
    reported, tap = subscribe({**BODY, "num_images": 9})
    error = reported["error"]
    assert (error["name"], error["status"]) == ("ValidationError", 422)
    assert error["body"] == tap.last.said
    assert error["fieldErrors"] == tap.last.said["detail"]
    assert [fault["loc"] for fault in error["fieldErrors"]] == [["body", "num_images"]]
    assert reported["updates"][-1]["status"] == "COMPLETED"
    assert tap.methods.count("POST") == 1
