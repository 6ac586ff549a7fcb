"""The simulated providers on a socket: in this process, or in one of their own that cannot outlive its parent.

Rules
-----
* The socket is bound before anything is announced, so that port 0 has become a real one; the announcement is made
  once connections are accepted.
* Nothing here prints: what the announcement becomes is the caller's business.
* SIGINT and SIGTERM end ``serve`` normally. Answers under way get half a second, those that wait for a job do not
  hold it up longer.
* ``spawned`` starts its process in a session of its own, so that Ctrl-C reaches only the parent, which still has
  jobs to ask about. The child ends when its standard input closes: also when the parent is killed.
* uvicorn was chosen because it is small, plain asyncio and what Starlette is run with everywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import uvicorn

from harness.clock import monotonic_seconds
from harness.errors import HarnessError, UsageError
from harness.simulator.app import Application, application, prefixes
from harness.simulator.planting import planted
from harness.simulator.settings import Settings
from harness.simulator.variations import Variation
from harness.spec.contract import Spec

Announce = Callable[[Mapping[str, str]], None]
LOOPBACK = "127.0.0.1"
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 0.5
START_SECONDS = 30.0
END_SECONDS = 5.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server:
    """The simulated providers of some specs on one bound socket.

    Raises:
        UsageError: nothing can listen there.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        settings: Settings | None = None,
        host: str = LOOPBACK,
        port: int = 0,
        variations: Mapping[str, tuple[Variation, ...]] | None = None,
    ) -> None:
        self.application: Application = application(specs, settings, variations=variations)
        self._socket = _bound(host, port)
        shown = f"[{host}]" if ":" in host else host
        self.origin = f"http://{shown}:{self._socket.getsockname()[1]}"
        self.urls = {name: self.origin + prefix for name, prefix in prefixes(specs).items()}
        config = uvicorn.Config(
            self.application,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
        )
        self._server = _Listener(config)

    async def run(self, announce: Announce | None = None) -> None:
        """Serve until ``stop`` is called; ``announce`` is told the URLs once connections are accepted."""
        self._server.listening = (lambda: announce(self.urls)) if announce else None
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """End ``run`` soon: answers under way are finished if they are quick."""
        if self._server.should_exit:
            return
        self._server.should_exit = True
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop().call_later(GRACE_SECONDS, self._leave)

    def _leave(self) -> None:
        self._server.force_exit = True


class _Listener(uvicorn.Server):
    """uvicorn without its signal handlers, and with word of when it listens."""

    listening: Callable[[], None] | None = None

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to whoever runs the loop."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and say so."""
        await super().startup(sockets)
        if self.listening:
            self.listening()


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen on {host}:{port}: {error}; choose another --host or --port") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        bound.close()
        raise UsageError(f"cannot listen on {host}:{port}: {error}; choose another --host or --port") from None
    return bound


def serve(
    specs: Sequence[Spec],
    settings: Settings | None = None,
    host: str = LOOPBACK,
    port: int = 0,
    announce: Announce | None = None,
    *,
    faults: Sequence[str] = (),
    variants: Sequence[str] = (),
    lifeline: IO[bytes] | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM, or until ``lifeline``, a pipe, is closed at its other end.

    Returns the number of the signal that ended it, 0 when none did.

    ``announce`` is told the base URL of each ``provider:flow`` once connections are accepted. ``faults`` and
    ``variants`` are ids.

    Raises:
        UsageError: nothing can listen there, or there is no fault or variant of an id.
    """
    variations, settings = planted(specs, settings or Settings(), faults, variants)
    server = Server(specs, settings, host, port, variations)

    told = [0]

    def stop(number: int) -> None:
        told[0] = number
        server.stop()

    async def until_told() -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, stop, number)
        if lifeline is not None:
            loop.add_reader(lifeline, _watch, lifeline, server)
        await server.run(announce)

    asyncio.run(until_told())
    return told[0]


def _watch(lifeline: IO[bytes], server: Server) -> None:
    if not os.read(lifeline.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(lifeline)
        server.stop()


@contextmanager
def spawned(
    specs: Sequence[Spec | Path],
    settings: Settings | None = None,
    *,
    faults: Sequence[str] = (),
    variants: Sequence[str] = (),
) -> Iterator[Mapping[str, str]]:
    """The base URL of each ``provider:flow`` of a simulator in a process of its own, for as long as the context lasts.

    ``faults`` and ``variants`` are ids.

    Raises:
        UsageError: there is no fault or variant of an id.
        HarnessError: the process does not come to accept connections.
    """
    paths = [str((spec.path if isinstance(spec, Spec) else spec).resolve()) for spec in specs]
    named = [*(f"--fault={name}" for name in faults), *(f"--variant={name}" for name in variants)]
    arguments = [*(settings or Settings.quick()).arguments(), *named, "--until-stdin-closes", *paths]
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and our own module
            # -P: a folder named harness in the working directory is not ours.
            [sys.executable, "-P", "-m", "harness.simulator", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            env=_environment(),
        )
        assert child.stdin  # both are pipes  # noqa: S101
        assert child.stdout  # noqa: S101
        try:
            yield _announced(child, child.stdout, errors)
        finally:
            child.stdin.close()
            try:
                child.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            child.stdout.close()


def _environment() -> Mapping[str, str]:
    """This environment, in which a checkout that was never installed is found all the same."""
    root = Path(__file__).resolve().parents[2]
    places = [os.environ.get("PYTHONPATH", ""), "" if root.name.endswith("-packages") else str(root)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}


def _announced(child: subprocess.Popen[bytes], pipe: IO[bytes], errors: IO[bytes]) -> Mapping[str, str]:
    deadline, text = monotonic_seconds() + START_SECONDS, b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - monotonic_seconds()))
        part = os.read(pipe.fileno(), 65536) if ready else b""
        if not part:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            why = said[-1][:300] if said else f"no answer within {START_SECONDS:.0f} s"
            if ready and _status(child) == UsageError.exit_status:
                raise UsageError(why)
            raise HarnessError(f"the simulator did not start: {why}")
        text += part
    urls: dict[str, str] = json.loads(text)
    return urls


def _status(child: subprocess.Popen[bytes]) -> int | None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        return child.wait(END_SECONDS)
    return None
