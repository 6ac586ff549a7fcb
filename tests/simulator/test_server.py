"""The simulator on a socket and as a process: real HTTP, real signals, real time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from harness.errors import HarnessError, UsageError
from harness.simulator import HEADER, Server, Settings, spawned

ROOT = Path(__file__).parents[2]
QUICK = Settings(queue_seconds=0.02, inference_seconds=0.05)
BEFORE_THE_END = 10.0


def running(pid):
    """Whether a process is there and, where the system tells, is no zombie."""
    status = Path(f"/proc/{pid}/status")
    try:
        os.kill(pid, 0)
        return not status.exists() or "\nState:\tZ" not in status.read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def gone(pid):
    """Whether a process ends within a bounded time."""
    deadline = time.monotonic() + BEFORE_THE_END
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not running(pid)


@pytest.fixture
def process(lab):
    """Start ``python -m harness.simulator`` for the fal spec; the process and what it announced."""
    started = []

    def start(*arguments):
        path = lab.SPECS["fal/flux-pro-kontext-multi"].path
        child = subprocess.Popen(
            [sys.executable, "-m", "harness.simulator", *arguments, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(child)
        assert child.stdout
        return child, json.loads(child.stdout.readline())

    yield start
    for child in started:
        child.kill()
        child.wait()
        for pipe in filter(None, (child.stdin, child.stdout, child.stderr)):
            pipe.close()


def test_every_flow_over_real_http(lab):
    """One spawned simulator serves whole jobs of every provider and flow, with images, over loopback."""

    async def jobs(urls):
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            for spec, flow in lab.FLOWS:
                caller = lab.Caller(client, spec, flow, base=urls[f"{spec.provider}:{flow.name}"], every=0.02)
                answer = await caller.run(lab.body_of(spec, flow))
                (output,) = caller.outputs(answer)
                assert answer.headers[HEADER]
                if output.url:
                    assert lab.decoded((await client.get(output.url)).content).width > 1

    with spawned(list(lab.SPECS.values()), QUICK) as urls:
        asyncio.run(jobs(urls))
    assert all(url.startswith("http://127.0.0.1:") for url in urls.values())


def test_a_spawned_simulator_is_gone_afterwards(lab):
    """After the context nothing listens any more, also when the context ends by an error."""
    places = []

    def use():
        with spawned([lab.MINIATURE], QUICK) as urls:
            host, _, port = urls["miniature:poll"].removeprefix("http://").partition("/")[0].partition(":")
            places.append((host, int(port)))
            socket.create_connection(places[0], 5).close()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(places[0], 5)


def test_a_killed_parent_leaves_nothing_behind(lab):
    """When the parent gets SIGKILL the child ends by itself, since its standard input closes."""
    code = f"""
import os, sys, time
from pathlib import Path
from harness.simulator import spawned
with spawned([Path({str(lab.MINIATURE)!r})]) as urls:
    print(list(urls), flush=True)
    time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert parent.stdout
    try:
        assert parent.stdout.readline() == b"['miniature:poll']\n"
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        if not children.exists():
            pytest.skip("this system does not list a process's children")
        (child,) = map(int, children.read_text().split())
        assert os.getsid(child) != os.getsid(parent.pid)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    assert gone(child)


def test_the_end_of_standard_input_is_the_end(process):
    """With the option the process ends when its input closes, with status 0."""
    child, _ = process("--until-stdin-closes")
    child.stdin.close()
    assert child.wait(BEFORE_THE_END) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_promptly(process, lab, number):
    """SIGINT and SIGTERM end it at once with status 0 and no word, though a job is waited for."""
    child, urls = process("--inference-seconds=60")
    spec = lab.SPECS["fal/flux-pro-kontext-multi"]
    path = spec.flows["sync"].submit.operation.path
    body = json.dumps(lab.body_of(spec)).encode()
    host, _, port = urls["fal:sync"].removeprefix("http://").partition("/")[0].partition(":")
    with socket.create_connection((host, int(port)), 5) as waits:
        head = (
            f"POST /fal/sync{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Key k\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        waits.sendall(head.encode() + body)
        time.sleep(0.2)
        began = time.monotonic()
        child.send_signal(number)
        assert child.wait(BEFORE_THE_END) == 0
    assert time.monotonic() - began < 2.0
    assert child.stderr.read() == b""


def test_a_port_in_use_is_one_sentence(lab):
    """Whoever asks for a port that is taken is told what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}: .*choose another --host or --port"):
            Server([lab.SPECS["miniature/edit"]], port=port)


def test_a_simulator_that_cannot_start_says_why(tmp_path):
    """The child's last line is the error."""
    why = r"the simulator did not start: .*nothing\.yaml:1: cannot read the spec"
    with pytest.raises(HarnessError, match=why), spawned([tmp_path / "nothing.yaml"]):
        pass


def test_the_server_runs_in_a_loop_of_ones_own(lab):
    """``Server`` announces once it accepts connections, serves, and stops when told."""

    async def main():
        server = Server([lab.SPECS["miniature/edit"]], QUICK)
        announced = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(server.run(announced.set_result))
        urls = await announced
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(urls["miniature:poll"] + "/v1/read?id=x", headers={"x-key": "k"})
        server.stop()
        await asyncio.wait_for(task, BEFORE_THE_END)
        return answer.status_code, urls == server.urls

    assert asyncio.run(main()) == (404, True)


def test_settings_survive_the_command_line():
    """What ``arguments`` writes is what ``python -m harness.simulator`` reads."""
    import argparse

    from harness.simulator.__main__ import _KINDS

    settings = Settings(seed=3, queue_seconds=0.0, inference_seconds=1.5, sigma=0.1, capacity=2, epoch=5.0)
    parser = argparse.ArgumentParser()
    for name, kind in _KINDS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind)
    assert Settings(**vars(parser.parse_args(settings.arguments()))) == settings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"queue_seconds": -1}, "queue_seconds is -1: give zero or more, and a finite number"),
        ({"inference_seconds": float("inf")}, "inference_seconds is inf: give zero or more, and a finite number"),
        ({"sigma": float("nan")}, "sigma is nan: give zero or more, and a finite number"),
        ({"capacity": 0}, "capacity is 0: give at least 1, or no job would ever run"),
    ],
)
def test_settings_that_cannot_be(wrong, message):
    """Impossible settings are a usage error of one sentence."""
    with pytest.raises(UsageError) as raised:
        Settings(**wrong)
    assert str(raised.value) == message
