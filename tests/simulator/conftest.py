"""What the simulator's tests share: specs, bodies built by role, and a caller that knows a spec and no provider."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from harness.clock import VirtualClock, run_virtual
from harness.model import Step
from harness.simulator import Settings, application
from harness.spec.contract import AT, Flow, Shape, Spec
from harness.spec.load import find, load

ORIGIN = "http://simulator.test"
MINIATURE = Path(__file__).with_name("data") / "miniature.yaml"
BFL = Path(__file__).parents[1] / "data" / "bfl-flux-kontext-pro.yaml"
SPECS = {spec.target: spec for spec in (*find(()), load(MINIATURE), load(BFL))}
FLOWS = [(spec, flow) for spec in SPECS.values() for flow in spec.flows.values()]
SETTINGS = Settings(queue_seconds=1.0, inference_seconds=2.0, epoch=1_764_000_000.0)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for ``spec`` and ``flow`` with every flow there is, one that asks for ``spec`` with each spec."""
    if {"spec", "flow"} <= set(metafunc.fixturenames):
        names = [f"{spec.target}:{flow.name}" for spec, flow in FLOWS]
        metafunc.parametrize(("spec", "flow"), FLOWS, ids=names)
    elif "spec" in metafunc.fixturenames:
        metafunc.parametrize("spec", SPECS.values(), ids=list(SPECS))


def body_of(spec: Spec, flow: Flow | None = None, **by_role: Any) -> dict[str, Any]:
    """A valid body with the given values by role; roles that the endpoint lacks are left out."""
    image = "https://images.example/a.png"
    wanted = {"prompt": "a red fox in the snow", "images": [image], "image": image} | by_role
    known = {role: spec.parameter(role) for role in wanted}
    body = {parameter.name: wanted[role] for role, parameter in known.items() if parameter}
    return {**spec.constants, **(flow.body if flow else {}), **body}


def key_of(spec: Spec, key: str = "a-key") -> dict[str, str]:
    """The header that carries a key as the spec's document wants it."""
    return {spec.credential.header: f"{spec.credential.scheme} {key}".strip()}


def base_of(spec: Spec, flow: Flow) -> str:
    return f"/{spec.provider}/{flow.name}"


def faults_in(shape: Shape, value: Any) -> list[str]:
    """What a response schema has to say of an answer."""
    return [error.message for error in Draft202012Validator(_plain(shape.schema)).iter_errors(value)]


def _plain(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    return {k: _plain(v) for k, v in schema.items() if k != AT} if isinstance(schema, dict) else schema


@dataclass
class Caller:
    """A client of one spec and flow. ``answers`` are the pairs of step and answer so far."""

    client: httpx.AsyncClient
    spec: Spec
    flow: Flow
    base: str = ""
    every: float = 0.25

    def __post_init__(self) -> None:
        self.base = self.base or base_of(self.spec, self.flow)
        self.answers: list[tuple[str, httpx.Response]] = []

    async def send(self, step: str, method: str, url: str, **more: Any) -> httpx.Response:
        answer = await self.client.request(method, url, **({"headers": key_of(self.spec)} | more))
        self.answers.append((step, answer))
        return answer

    async def submit(self, body: Mapping[str, Any], **more: Any) -> httpx.Response:
        return await self.send("submit", "POST", self.base + self.flow.submit.operation.path, json=body, **more)

    async def read(self, step: Step, submitted: Any) -> httpx.Response:
        """Ask for a step of a submitted job, as the spec says that it is reached."""
        known = self.flow.steps()[step]
        url = known.followed(submitted) or self.base + str(known.path(submitted))
        return await self.send(step, known.operation.method, url)

    def state(self, status: httpx.Response) -> str:
        assert self.flow.status
        return self.flow.states[self.flow.status.shape.one("status", status.json())]

    async def run(self, body: Mapping[str, Any]) -> httpx.Response:
        """A whole job; the last answer."""
        last = await self.submit(body)
        submitted = last.json()
        while self.flow.status and last.status_code < 300:
            last = await self.read("status", submitted)
            if self.state(last) == "completed":
                break
            await asyncio.sleep(self.every)
        return await self.read("result", submitted) if self.flow.result and last.status_code < 300 else last

    def outputs(self, answer: httpx.Response) -> list[Any]:
        return self.flow.final.shape.outputs(answer.json())


Scenario = Callable[[httpx.AsyncClient], Awaitable[Any]]


def simulate(scenario: Scenario, settings: Settings = SETTINGS, specs: Mapping[str, Spec] = SPECS, **more: Any) -> Any:
    """Run a scenario in virtual time against the simulator in this process."""

    async def main() -> Any:
        app = application(list(specs.values()), settings, VirtualClock(), **more)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, timeout=None) as client:
            return await scenario(client)

    return run_virtual(main())


def decoded(data: bytes) -> Image.Image:
    """An image, decoded to its last pixel."""
    image = Image.open(io.BytesIO(data), formats=["PNG", "JPEG"])
    image.load()
    return image


@pytest.fixture
def lab() -> Any:
    """This module, since test folders are no packages."""
    import sys

    return sys.modules[__name__]
