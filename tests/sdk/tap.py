"""What stands between an SDK and the simulator: a proxy on loopback that changes nothing and writes everything down.

The simulator builds its links from the Host header, which is passed on, so an SDK that follows them stays here. What
an SDK reports can then be compared with what the simulator said, and how often and with which key it asked.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx
from PIL import Image

LOOPBACK = "127.0.0.1"
KEY = "sdk-test-key"
REFUSED_KEY = "invalid"
PROMPT = "a red fox in the snow"
PICTURE = "https://images.example/a.png"
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(frozen=True)
class Exchange:
    """One request and its answer; header names are in lower case."""

    method: str
    path: str
    sent: Mapping[str, str]
    body: bytes
    status: int
    headers: Mapping[str, str]
    answer: bytes

    @property
    def asked(self) -> Any:
        """The request's body."""
        return json.loads(self.body)

    @property
    def said(self) -> Any:
        """The answer's body."""
        return json.loads(self.answer)


@dataclass
class Tap:
    """A simulator as an SDK reaches it: a base URL for each ``provider:flow``, and all exchanges so far."""

    urls: dict[str, str] = field(default_factory=dict)
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def last(self) -> Exchange:
        return self.exchanges[-1]

    def of(self, method: str, end: str = "") -> list[Exchange]:
        """The exchanges of one method whose path, without the query, has this end."""
        return [e for e in self.exchanges if e.method == method and e.path.partition("?")[0].endswith(end)]

    @property
    def methods(self) -> list[str]:
        return [exchange.method for exchange in self.exchanges]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    tap: Tap
    upstream: str

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        with closing(HTTPConnection(self.upstream, timeout=60)) as connection:
            connection.request(self.command, self.path, body or None, dict(self.headers.items()))
            response = connection.getresponse()
            answer, headers = response.read(), {name.lower(): value for name, value in response.getheaders()}
        sent = {name.lower(): value for name, value in self.headers.items()}
        self.tap.exchanges.append(Exchange(self.command, self.path, sent, body, response.status, headers, answer))
        self.send_response_only(response.status)
        for name, value in headers.items():
            if name not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = _pass_on  # noqa: N815 - the standard library's names

    def log_message(self, *_: object) -> None:
        """Say nothing: the tap has it all."""


@contextmanager
def tapped(urls: Mapping[str, str]) -> Iterator[Tap]:
    """A tap before a simulator that serves at these base URLs."""
    upstream = next(urlsplit(url).netloc for url in urls.values())
    tap = Tap()
    handler = type("Handler", (_Handler,), {"tap": tap, "upstream": upstream})
    with ThreadingHTTPServer((LOOPBACK, 0), handler) as server:
        own = f"{LOOPBACK}:{server.server_port}"
        tap.urls |= {name: url.replace(upstream, own, 1) for name, url in urls.items()}
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield tap
        finally:
            server.shutdown()
            thread.join()


def downloaded(url: str) -> bytes:
    """An output's bytes."""
    answer = httpx.get(url, trust_env=False)
    assert answer.status_code == 200
    return answer.content


def decoded(data: bytes) -> Image.Image:
    """An image, decoded to its last pixel."""
    image = Image.open(io.BytesIO(data), formats=["PNG", "JPEG"])
    image.load()
    return image


def pictures(urls: Iterable[str]) -> list[Image.Image]:
    """The images at some addresses, decoded."""
    return [decoded(downloaded(url)) for url in urls]
