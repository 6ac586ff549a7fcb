"""What the SDKs' tests share: simulators in processes of their own, a tap for each test, and no way out of loopback."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.simulator import HEADER, Settings, spawned
from harness.spec.load import find
from tests.sdk.tap import KEY, LOOPBACK, REFUSED_KEY, Tap, tapped

SDK_VARIABLES = ("FAL_", "OPENAI_", "AZURE_OPENAI_", "WAVESPEED_", "MODELVERSE_")
SHORT = Settings(queue_seconds=0.05, inference_seconds=0.1, capacity=64)
"""Jobs even quicker than ``Settings.quick()`` makes them: most tests here wait for one."""
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(scope="session")
def simulators() -> Iterator[Callable[[Settings], Mapping[str, str]]]:
    """The base URLs of a spawned simulator of all shipped specs; one process for each settings in the session."""
    specs = find(())
    with ExitStack() as running:

        @cache
        def urls(settings: Settings) -> Mapping[str, str]:
            return running.enter_context(spawned(specs, settings))

        yield urls


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No variable of an SDK is set, no proxy, no stored login; nothing but loopback is looked up or connected to."""
    for name in tuple(os.environ):
        if name.startswith(SDK_VARIABLES) or name.upper() in PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "*")  # the system's own proxy settings
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("FAL_HOME_DIR", str(tmp_path / "no-fal-home"))
    strangers: list[object] = []

    def checked(host: object) -> None:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in (LOOPBACK, "localhost", "::1"):
            strangers.append(name)
            raise AssertionError(f"something wants to reach {name!r}")

    connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            checked(address[0])
        connect(self, address)

    def look_up_here(host: Any, *more: Any, **named: Any) -> Any:
        checked(host)
        return getaddrinfo(host, *more, **named)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    monkeypatch.setattr(socket, "getaddrinfo", look_up_here)
    yield
    # An SDK may have taken the refusal above for a failed connection and gone on.
    assert strangers == []


@pytest.fixture
def simulated(simulators: Callable[[Settings], Mapping[str, str]]) -> Iterator[Callable[..., Tap]]:
    """A tap before a simulator; afterwards every exchange had a key of these tests and an answer of the simulator."""
    taps: list[Tap] = []
    with ExitStack() as open_taps:

        def simulated(settings: Settings = SHORT) -> Tap:
            taps.append(open_taps.enter_context(tapped(simulators(settings))))
            return taps[-1]

        yield simulated
    for exchange in (exchange for tap in taps for exchange in tap.exchanges):
        key = exchange.sent.get("authorization", "").rpartition(" ")[2]
        assert key in ([""] if exchange.path.startswith("/assets/") else [KEY, REFUSED_KEY])
        assert exchange.sent["host"].startswith(f"{LOOPBACK}:")
        assert exchange.headers[HEADER]
