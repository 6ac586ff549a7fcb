"""The simulated providers as HTTP, in this process: routing, keys, bodies, headers."""

from __future__ import annotations

import json

import httpx
import pytest

from harness import __version__
from harness.simulator import HEADER, application, prefixes
from harness.simulator.app import LARGEST_BODY


@pytest.fixture
def sent(lab):
    """Send one request to a flow; its answer."""

    def send(spec, flow, method="POST", path=None, headers=None, **more):
        async def scenario(client):
            url = lab.base_of(spec, flow) + (flow.submit.operation.path if path is None else path)
            return await client.request(method, url, headers=lab.key_of(spec) if headers is None else headers, **more)

        return lab.simulate(scenario)

    return send


def test_prefixes(lab):
    """There is one prefix for each provider and flow, shared by a provider's endpoints."""
    assert {
        "fal-gateway:queue": "/fal-gateway/queue",
        "fal:queue": "/fal/queue",
        "fal:sync": "/fal/sync",
        "miniature:poll": "/miniature/poll",
        "umodelverse:sync": "/umodelverse/sync",
        "wavespeed:poll": "/wavespeed/poll",
        "wavespeed:sync": "/wavespeed/sync",
    }.items() <= prefixes(list(lab.SPECS.values())).items()


@pytest.mark.parametrize(
    "key",
    ["none", "empty", "refused", "wrong-scheme", "no-scheme", "right"],
)
def test_keys(sent, lab, spec, flow, key):
    """Any key but ``invalid`` is accepted under the documented scheme; an optional one may be absent, not wrong."""
    credential = spec.credential
    header, scheme = credential.header, credential.scheme
    headers = {
        "none": {},
        "empty": {header: f"{scheme} ".lstrip()},
        "refused": lab.key_of(spec, "invalid"),
        "wrong-scheme": {header: "Basic a-key"},
        "no-scheme": {header: "a-key"},
        "right": lab.key_of(spec),
    }[key]
    accepted = {"right"}
    accepted |= {"none"} if credential.optional else set()
    accepted |= set() if scheme else {"no-scheme", "wrong-scheme"}
    known = spec.errors.get("unauthorized")
    answer = sent(spec, flow, headers=headers, json=lab.body_of(spec, flow))
    if key in accepted:
        assert answer.is_success
    else:
        assert answer.status_code == (known.status if known else 401)
        assert known is None or lab.faults_in(known.shape, answer.json()) == []


def test_reading_needs_the_key_too(lab, spec, flow):
    """Status and result without the key are refused, unless it is optional."""

    async def scenario(client):
        caller = lab.Caller(client, spec, flow)
        submitted = (await caller.submit(lab.body_of(spec, flow))).json()
        statuses = []
        for name, step in flow.steps().items():
            if name in ("status", "result"):
                url = step.followed(submitted) or caller.base + str(step.path(submitted))
                statuses.append((await client.request(step.operation.method, url)).status_code)
        return statuses

    statuses = lab.simulate(scenario)
    known = spec.errors.get("unauthorized")
    refused = known.status if known else 401
    assert all((status == refused) is not spec.credential.optional for status in statuses)


def test_every_answer_is_marked(sent, lab, spec, flow):
    """The simulator's header is on accepted and refused answers, on unknown paths and on paths without provider."""
    answers = [
        sent(spec, flow, json=lab.body_of(spec, flow)),
        sent(spec, flow, content=b"{"),
        sent(spec, flow, headers={}, json={}),
        sent(spec, flow, path="/nowhere"),
        sent(spec, flow, path="/../../elsewhere"),
    ]
    assert [answer.headers[HEADER] for answer in answers] == [__version__] * len(answers)


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", {}),
        (b'{"prompt": ', {}),
        (b'{"prompt": NaN}', {}),
        (b'{"prompt": "a", "prompt": "b"}', {}),
        (b'\xef\xbb\xbf{"prompt": "a"}', {}),
        ('{"prompt": "a"}'.encode("utf-16"), {}),
        (b"[" * 5000, {}),
        (b"[]", {}),
        (b'{"prompt": "a"}', {"content-type": "text/plain"}),
    ],
)
def test_bodies_that_are_no_json_object(lab, spec, flow, content, headers):
    """They get the invalid error: at once, or, for JSON that is no object, where the spec says."""

    async def scenario(client):
        caller = lab.Caller(client, spec, flow)
        url = caller.base + flow.submit.operation.path
        answer = await client.post(url, content=content, headers=lab.key_of(spec) | headers)
        if answer.is_success and flow.result:
            submitted = answer.json()
            while caller.state(await caller.read("status", submitted)) != "completed":
                import asyncio

                await asyncio.sleep(1)
            answer = await caller.read("result", submitted)
        return answer

    answer = lab.simulate(scenario)
    known = spec.errors["invalid"]
    assert (answer.status_code, lab.faults_in(known.shape, answer.json())) == (known.status, [])


def test_unknown_paths_and_methods(sent, spec, flow):
    """Below a prefix they are 404 and 405 in the provider's shape, the latter with the methods there are."""
    nowhere, wrong = sent(spec, flow, "GET", "/nowhere"), sent(spec, flow, "DELETE")
    assert (nowhere.status_code, wrong.status_code, wrong.headers["allow"]) == (404, 405, "POST")
    assert isinstance(nowhere.json(), dict)
    assert isinstance(wrong.json(), dict)


def test_no_redirects(lab, spec, flow):
    """A prefix without a path is 404, and nothing is ever redirected."""

    async def scenario(client):
        paths = ["", "/", "/nowhere/"]
        return [(await client.get(lab.base_of(spec, flow) + path)).status_code for path in paths]

    assert lab.simulate(scenario) == [404, 404, 404]


def test_large_bodies(sent, lab, spec, flow):
    """A body over 16 MiB is 413, announced or streamed; one just below is read."""

    async def streamed():
        for _ in range(17):
            yield b" " * 1024 * 1024

    big = json.dumps(lab.body_of(spec, flow)).encode()
    assert sent(spec, flow, content=b" " * (LARGEST_BODY + 1)).status_code == 413
    assert sent(spec, flow, content=streamed()).status_code == 413
    padded = b" " * (LARGEST_BODY - len(big)) + big
    assert sent(spec, flow, content=padded, headers=lab.key_of(spec) | {"content-type": "application/json"}).is_success


def test_assets(lab):
    """Images need no key, know their type, are absent by another name and cannot be written."""
    spec = lab.SPECS["fal/flux-pro-kontext-multi"]

    async def scenario(client):
        caller = lab.Caller(client, spec, spec.flows["sync"])
        (output,) = caller.outputs(await caller.run(lab.body_of(spec, format="png")))
        prefix, _, name = output.url.rpartition("/")
        found = [await client.get(output.url), await client.head(output.url), await client.post(output.url)]
        return prefix, [*found, await client.get(f"{prefix}/x{name}"), await client.get(f"/assets/nobody/{name}")]

    prefix, (got, head, posted, absent, nobody) = lab.simulate(scenario)
    assert prefix == f"{lab.ORIGIN}/assets/fal"
    assert (got.status_code, got.headers["content-type"], got.content[:4]) == (200, "image/png", b"\x89PNG")
    assert (head.status_code, head.headers["content-length"]) == (200, got.headers["content-length"])
    assert (posted.status_code, absent.status_code, nobody.status_code) == (405, 404, 404)


def test_links_follow_the_host_header(lab):
    """A caller that reaches the simulator under another name is given links with that name."""
    spec = lab.SPECS["fal/flux-pro-kontext-multi"]

    async def scenario(client):
        body = lab.body_of(spec)
        headers = lab.key_of(spec) | {"host": "sim.example:8080"}
        caller = lab.Caller(client, spec, spec.flows["queue"])
        return (await caller.submit(body, headers=headers)).json()["status_url"]

    assert lab.simulate(scenario).startswith("http://sim.example:8080/fal/queue/fal-ai/flux-pro/requests/")


def test_an_application_needs_no_loop_to_be_made(lab):
    """Clock and loop are first needed by a request, so an application can be made anywhere, and used in any test."""
    spec = lab.SPECS["umodelverse/flux-kontext-pro"]
    assert isinstance(httpx.ASGITransport(application([spec])), httpx.AsyncBaseTransport)
