"""A replay asks nobody: it runs where no connection can be made, no name resolved, and Hypothesis not imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOWHERE = """
import asyncio
import socket
import sys

FORBIDDEN = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind")


def refuse(event, arguments):
    if event in FORBIDDEN:
        raise RuntimeError(f"{event} {arguments}")


async def refuse_async(*arguments, **options):
    raise RuntimeError(f"asyncio {arguments}")


sys.addaudithook(refuse)  # also what a C extension asks of the socket module
for name in ("create_connection", "create_datagram_endpoint", "getaddrinfo", "sock_connect"):
    setattr(asyncio.BaseEventLoop, name, refuse_async)
    setattr(asyncio.SelectorEventLoop, name, refuse_async)
sys.modules["hypothesis"] = None
"""


def nowhere(code: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process that reaches nothing."""
    return subprocess.run(
        [sys.executable, "-c", NOWHERE + code, *map(str, arguments)],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


REPLAY = "from harness.cli import main\nsys.argv = ['harness', *sys.argv[1:]]\nmain()"


def test_all_committed_cassettes_replay_without_network_and_without_hypothesis(tmp_path):
    """The five shipped recordings replay to their end, pass, and call no generator."""
    done = nowhere(REPLAY, "check", "--json", "--cassettes", ROOT / "cassettes", "--out", "run", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert (report["run"]["mode"], len(report["targets"])) == ("replay", 5)
    assert {target["verdict"] for target in report["targets"].values()} == {"pass"}


@pytest.mark.parametrize(
    "code",
    [
        "socket.create_connection(('127.0.0.1', 9))",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
        "socket.getaddrinfo('localhost', 9)",
        "asyncio.run(asyncio.open_connection('127.0.0.1', 9))",
        "import hypothesis",
    ],
)
def test_nothing_is_reached_from_there(code, tmp_path):
    """The process of these tests does refuse what it claims to refuse."""
    done = nowhere(code, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(("RuntimeError: ", "ModuleNotFoundError: "))
