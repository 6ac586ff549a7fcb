# ruff: noqa: ARG001 - behaviours, scripts and scenarios have one signature each
"""The transport's claims, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import subprocess
import zlib

import pytest
from aiohttp.abc import AbstractResolver

from harness.clock import RealClock
from harness.model import Failure, Response
from harness.transport.guard import GuardedResolver
from harness.transport.live import AiohttpTransport, trust
from harness.transport.wire import Limits
from harness.urls import origin
from tests import fakes
from tests.fakes import KEY, answer, answers, get, one_request, post, serving

SECONDS = 5.0


def live(scenario, behaviour=None, *, tls=None, resolver=None, trusted=None, limits=None, server_tls=None):
    """Run ``scenario(wire, peer)`` against a peer; the wire trusts the peer's origin."""

    async def main():
        async with serving(behaviour or answers(answer()), server_tls) as peer:
            clock = RealClock()
            way = fakes.wire(
                AiohttpTransport(clock, tls=tls, resolver=resolver and resolver()),
                clock,
                trusted(peer) if trusted else peer.url,
                AiohttpTransport(clock, tls=tls, resolver=resolver() if resolver else GuardedResolver()),
                limits=limits,
            )
            try:
                return await scenario(way, peer)
            finally:
                await way.aclose()

    return asyncio.run(main())


def told(sent):
    """What a failure tells."""
    assert isinstance(sent.reply, Failure), sent.reply
    return sent.reply.kind, sent.reply.left


def header_lines(request):
    return request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for ``localhost`` that nobody has signed: its file and its key's."""
    place = tmp_path_factory.mktemp("tls")
    key, cert = place / "key.pem", place / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        str(key),
        "-out",
        str(cert),
        "-days",
        "2",
    ]
    subprocess.run(
        [*command, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True
    )
    return cert, key


@pytest.fixture
def server_tls(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def by_name(peer):
    return f"https://localhost:{peer.port}"


# --- what left, and what did not -------------------------------------------------------------------------------------


def test_a_reset_after_the_request_was_read_has_left():
    """The server reads a POST and resets: it may have been charged, and the server has seen exactly one."""

    async def scenario(way, peer):
        sent = await way.send(post(peer.url + "/submit"), seconds=SECONDS)
        await asyncio.sleep(0.1)
        return told(sent), len(peer.requests), sent.sent_ns <= sent.received_ns

    assert live(scenario, fakes.resets_after_reading()) == (("reset", True), 1, True)


@pytest.mark.parametrize(
    "cut",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"a"',
        b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{"a"',
    ],
)
def test_an_answer_cut_off_anywhere_has_left(cut):
    """A connection closed before, in the head of, or in the body of an answer is a reset; what came is kept."""

    async def scenario(way, peer):
        sent = await way.send(post(peer.url), seconds=SECONDS)
        return told(sent), len(peer.requests), sent.reply.partial

    assert live(scenario, answers(cut, then_closes=True)) == (
        ("reset", True),
        1,
        cut.rpartition(b"\r\n")[2] if b"\r\n\r\n" in cut else b"",
    )


def test_a_post_is_not_repeated_when_no_answer_comes():
    """A POST that is never answered ends at its limit, as left, and stays one."""

    async def scenario(way, peer):
        return told(await way.send(post(peer.url), seconds=0.3)), len(peer.requests)

    assert live(scenario, fakes.never_answers()) == (("timeout", True), 1)


def test_a_refused_port_never_left():
    """Nobody listens: nothing left this machine."""

    async def scenario(way, peer):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        closed = f"http://127.0.0.1:{port}"
        way = fakes.wire(way.api, way.clock, closed)
        return told(await way.send(post(closed), seconds=SECONDS))

    assert live(scenario) == ("refused", False)


def test_an_unresolvable_name_never_left():
    """A name without an address is a failure of name resolution, and nothing left."""

    async def scenario(way, peer):
        return told(await way.send(post("http://nowhere.invalid/"), seconds=SECONDS))

    assert live(scenario, trusted=lambda _: "http://nowhere.invalid") == ("dns", False)


class Resolves(AbstractResolver):
    """Answers every name with these addresses; without any, never."""

    def __init__(self, *addresses):
        self.addresses, self.asked = addresses, []

    async def resolve(self, host, port=0, family=socket.AF_INET):
        self.asked.append(host)
        if not self.addresses:
            await asyncio.Event().wait()
        return [
            {
                "hostname": host,
                "host": a,
                "port": port,
                "family": socket.AF_INET6 if ":" in a else socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
            for a in self.addresses
        ]

    async def close(self):
        pass


def test_a_connection_that_is_not_made_in_time_never_left():
    """The time limit ends a name resolution that hangs: nothing left."""

    async def scenario(way, peer):
        return told(await way.send(post("http://slow.example/"), seconds=0.2))

    assert live(scenario, resolver=Resolves, trusted=lambda _: "http://slow.example") == ("connect_timeout", False)


def test_a_name_is_resolved_once_for_many_connections():
    """Fifty submits at one instant ask for the name once, and those that follow use what it said."""
    names = Resolves("127.0.0.1")

    async def scenario(way, peer):
        url = f"http://many.example:{peer.port}/"
        sent = await asyncio.gather(*(way.send(post(url), seconds=SECONDS) for _ in range(50)))
        sent.append(await way.send(post(url), seconds=SECONDS))
        return {one.reply.status for one in sent}, peer.connections >= 50

    found = live(scenario, resolver=lambda: names, trusted=lambda peer: f"http://many.example:{peer.port}")
    assert (found, names.asked) == (({200}, True), ["many.example"])


def test_a_tls_handshake_that_hangs_never_left():
    """A server that takes the connection and is silent gets a client hello and no request."""

    async def scenario(way, peer):
        url = f"https://localhost:{peer.port}"
        way = fakes.wire(way.api, way.clock, url)
        return told(await way.send(post(url), seconds=0.4)), peer.requests, peer.received > 0

    assert live(scenario, fakes.accepts_and_is_silent()) == (("connect_timeout", False), [], True)


def test_the_key_never_leaves_over_bad_tls(server_tls):
    """A certificate that nobody signed ends the handshake; no byte of the request, its key included, is sent."""

    async def scenario(way, peer):
        sent = await way.send(post(by_name(peer)), seconds=SECONDS)
        return told(sent), peer.requests, KEY in sent.reply.message

    assert live(scenario, server_tls=server_tls, trusted=by_name) == (("tls", False), [], False)


def test_a_certificate_for_another_name_is_refused(server_tls, certificate):
    """A trusted certificate is good for its own names only."""
    client = ssl.create_default_context(cafile=certificate[0])

    async def scenario(way, peer):
        good = await way.send(post(by_name(peer)), seconds=SECONDS)
        other = fakes.wire(way.api, way.clock, peer.url)
        return good.reply.status, told(await other.send(post(peer.url), seconds=SECONDS)), len(peer.requests)

    assert live(scenario, server_tls=server_tls, tls=client, trusted=by_name) == (200, ("tls", False), 1)


@pytest.mark.parametrize("ask", [get, post])
def test_nothing_is_sent_again_on_a_dropped_kept_connection(ask):
    """When the server closes a kept connection on the second request, that request has left, and stays one."""

    async def scenario(way, peer):
        first = await way.send(ask(peer.url + "/1"), seconds=SECONDS)
        second = await way.send(ask(peer.url + "/2"), seconds=SECONDS)
        await asyncio.sleep(0.1)
        return first.reply.status, told(second), [line.split()[1] for line in peer.lines()], peer.connections

    assert live(scenario, fakes.drops_kept_connections(answer())) == (200, ("reset", True), ["/1", "/2"], 1)


def test_what_opening_a_connection_took_is_known():
    """The first request waits for its connection and says how long; the next one has nothing to open."""

    async def scenario(way, peer):
        first, second = [await way.send(get(peer.url + "/"), seconds=SECONDS) for _ in range(2)]
        return first.connect_ns > 0, second.connect_ns

    assert live(scenario) == (True, 0)


def test_connections_are_kept():
    """Requests one after the other share a connection."""

    async def scenario(way, peer):
        for _ in range(5):
            await way.send(get(peer.url), seconds=SECONDS)
        return peer.connections, len(peer.requests)

    assert live(scenario) == (1, 5)


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: "])
def test_a_drip_ends_at_the_limit(head):
    """The limit is absolute: a byte now and then, in the head or in the body, does not extend it."""

    async def scenario(way, peer):
        sent = await way.send(post(peer.url), seconds=0.3)
        return told(sent), 0.29 < (sent.received_ns - sent.sent_ns) / 1e9 < 4

    assert live(scenario, fakes.drips(head)) == (("timeout", True), True)


def test_what_a_drip_brought_is_kept():
    """The part of an answer that came before the limit is kept."""

    async def scenario(way, peer):
        return (await way.send(get(peer.url), seconds=0.3)).reply.partial.strip()

    assert live(scenario, fakes.drips(b'HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n{"a":1')) == b'{"a":1'


def test_instants_are_in_order():
    """A request is sent, answered and received in this order, on one clock."""

    async def scenario(way, peer):
        before = way.clock.now_ns()
        sent = await way.send(get(peer.url), seconds=SECONDS)
        return before <= sent.sent_ns <= sent.first_byte_ns <= sent.received_ns <= way.clock.now_ns()

    assert live(scenario)


# --- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/a%2Fb", "/a+b", "/a%20b", "/caf%C3%A9", "/caf%c3%a9", "/%7Euser", "/a//b/", "/a;b=c,d", "/?a=%5B%5D&b=+&c=%20",
        "/x?X-Amz-Signature=a%2Bb%3D%3D&e=1%3A2", "/%41%2e%2E", "/?", "/$&'()*:@!", "/a?b?c/d",
    ],
)  # fmt: skip
def test_urls_travel_byte_for_byte(path):
    """Nothing is decoded, encoded or normalised on the way: a signature would not survive it."""

    async def scenario(way, peer):
        await way.send(get(peer.url + path), seconds=SECONDS)
        return peer.lines()

    expected = "/" if path == "/?" else path
    assert live(scenario) == [f"GET {expected} HTTP/1.1"]


def test_a_request_says_what_it_should_and_nothing_else():
    """Each header is sent once, the body as it is; there is neither a cookie nor an encoding nobody asked for."""

    async def scenario(way, peer):
        await way.send(post(peer.url + "/x", '{"p":"狐"}'.encode()), seconds=SECONDS)
        return peer

    peer = live(scenario)
    (request,) = peer.requests
    headers = dict(line.lower().split(": ", 1) for line in header_lines(request))
    agent = headers.pop("user-agent")
    assert (headers, request.partition(b"\r\n\r\n")[2], agent.startswith("image-api-harness/")) == (
        {
            "host": peer.url.removeprefix("http://"),
            "accept": "application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "content-length": str(len('{"p":"狐"}'.encode())),
            "authorization": f"key {KEY}",
        },
        '{"p":"狐"}'.encode(),
        True,
    )
    assert len(header_lines(request)) == 7


def test_the_record_shows_the_scheme_of_the_key_and_no_more():
    """Recorded headers are those that left, the key masked."""

    async def scenario(way, peer):
        sent = await way.send(get(peer.url), seconds=SECONDS)
        return sent.headers["authorization"], KEY in repr(sent)

    assert live(scenario) == ("Key ***", False)


def test_cookies_never_come_back():
    """A cookie that an answer sets is neither sent again nor recorded."""

    async def scenario(way, peer):
        first = await way.send(get(peer.url), seconds=SECONDS)
        await way.send(get(peer.url), seconds=SECONDS)
        return [b"cookie" in r.lower() for r in peer.requests], dict(first.reply.headers)

    assert live(scenario, answers(answer(headers=["Set-Cookie: a=b; Path=/", "X-Trace: 1"]))) == (
        [False, False],
        {"content-length": "2"},
    )


def test_environment_proxies_are_ignored(monkeypatch):
    """A proxy in the environment sees nothing: requests go where they are addressed."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    async def scenario(way, peer):
        return (await way.send(get(peer.url), seconds=SECONDS)).reply.status, len(peer.requests)

    assert live(scenario) == (200, 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_answers(status):
    """A redirect is handed back as it is; nothing is sent to where it points."""

    async def scenario(way, peer):
        reply = (await way.send(post(peer.url), seconds=SECONDS)).reply
        return reply.status, reply.headers["location"], len(peer.requests)

    moved = answer(status=f"{status} Moved", headers=["Location: /elsewhere"])
    assert live(scenario, answers(moved)) == (status, "/elsewhere", 1)


def test_header_bytes_beyond_ascii_do_not_crash():
    """Header values in Latin-1 are read as Latin-1."""

    async def scenario(way, peer):
        return (await way.send(get(peer.url), seconds=SECONDS)).reply.headers["server"]

    assert (
        live(scenario, answers(answer(headers=["Server: caf\xe9\xff", "Content-Type: image/png\xe9"]))) == "caf\xe9\xff"
    )


# --- limits ----------------------------------------------------------------------------------------------------------

SMALL = Limits(wire_bytes=4096, decoded_bytes=4096, header_bytes=2048)
ZEROS = gzip.compress(bytes(200_000), mtime=0)


@pytest.mark.parametrize(
    ("data", "expected", "kept"),
    [
        (answer(b"x" * 5000), ("limit", True), b"x" * 10),
        (answer(ZEROS, headers=["Content-Encoding: gzip"]), ("limit", True), ZEROS[:10]),
        (answer(gzip.compress(ZEROS, mtime=0), headers=["Content-Encoding: gzip, gzip"]), ("limit", True), gzip.compress(ZEROS, mtime=0)[:4]),
        (answer(gzip.compress(b"{}" * 99, mtime=0)[:-9], headers=["Content-Encoding: gzip"]), ("reset", True), b"{}{}"),
        (answer(b"not gzip", headers=["Content-Encoding: gzip"]), ("protocol", True), b"not gzip"),
        (answer(b"abc", headers=["Content-Encoding: br"]), ("limit", True), b"abc"),
        (answer(b"abc", headers=["Content-Encoding: zstd"]), ("limit", True), b"abc"),
        (answer(b"abc", headers=[f"X-{n}: {'y' * 90}" for n in range(40)]), ("limit", True), b"abc"),
        (answer(b"abc", headers=["X-Long: " + "y" * 40_000]), ("limit", True), b""),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", ("protocol", True), b""),
        (b"HTTP/1.1 abc OK\r\n\r\n", ("protocol", True), b""),
    ],
)  # fmt: skip
def test_an_answer_that_breaks_a_limit_is_cut_off(data, expected, kept):
    """Too many bytes on the wire, decoded or in headers, a broken or unasked encoding: a failure that keeps the beginning."""

    async def scenario(way, peer):
        sent = await way.send(post(peer.url), seconds=SECONDS)
        return told(sent), sent.reply.partial[: len(kept)], len(peer.requests)

    assert live(scenario, answers(data, then_closes=True), limits=SMALL) == (expected, kept, 1)


def test_a_small_bomb_is_not_decoded():
    """Some hundred bytes of doubly compressed gzip, a quarter of a gigabyte decoded, end as a broken limit."""
    inner = zlib.compressobj(9, zlib.DEFLATED, 31)
    megabyte = bytes(2**20)
    once = b"".join(inner.compress(megabyte) for _ in range(32)) + inner.flush()
    twice = gzip.compress(once, mtime=0)

    async def scenario(way, peer):
        both = await way.send(get(peer.url + "/twice"), seconds=SECONDS)
        return told(both), len(both.reply.partial) <= 64 * 1024, len(twice) < 1000

    assert live(scenario, answers(answer(twice, headers=["Content-Encoding: gzip,gzip"]))) == (
        ("limit", True),
        True,
        True,
    )


@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [
        ("gzip", gzip.compress(b'{"a":1}', mtime=0)),
        ("x-gzip", gzip.compress(b'{"a":1}', mtime=0)),
        ("deflate", zlib.compress(b'{"a":1}')),
        ("identity", b'{"a":1}'),
        ("", b'{"a":1}'),
    ],
)
def test_an_encoding_is_decoded_within_its_limit(encoding, encoded):
    """A gzip or deflate answer that nobody asked for is still read."""

    async def scenario(way, peer):
        return (await way.send(get(peer.url), seconds=SECONDS)).reply

    reply = live(scenario, answers(answer(encoded, headers=[f"Content-Encoding: {encoding}"])))
    assert (type(reply), reply.body) == (Response, b'{"a":1}')


# --- the key, and the guard ------------------------------------------------------------------------------------------


def test_the_key_goes_to_the_bound_origin_only():
    """Another port on the same host is another origin: trusted or not, it gets no key; nor does a request that wants none."""

    async def scenario(way, peer):
        async with serving(answers(answer())) as other:
            from dataclasses import replace

            both = replace(way, trusted=way.trusted | {origin(other.url)})
            await both.send(get(peer.url), seconds=SECONDS)
            await both.send(get(peer.url, authenticated=False), seconds=SECONDS)
            await both.send(get(other.url), seconds=SECONDS)
            refused = await way.send(get(other.url), seconds=SECONDS)
            return (
                [KEY.encode() in r for r in peer.requests],
                [KEY.encode() in r for r in other.requests],
                told(refused),
            )

    assert live(scenario) == ([True, False], [False], ("forbidden", False))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "0", "2130706433", "0x7f.1", "0x7f000001", "017700000001", "0.0.0.0", "10.0.0.1", "169.254.169.254",
        "192.168.1.1", "100.64.0.1", "224.0.0.1", "255.255.255.255", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]", "[2002:7f00:1::]", "[fe80::1]", "[fc00::1]", "[fec0::1]", "[ff02::1]",
        "[::127.0.0.1]", "127。0。0。1", "127．0．0．1", "localhost", "127.0.0.1.", "user@127.0.0.1", "①27.0.0.1",
    ],
)  # fmt: skip
def test_no_spelling_of_an_inner_address_is_contacted(host):
    """A URL to loopback, private, link-local, multicast or mapped addresses is refused, however it is spelled."""

    async def scenario(way, peer):
        sent = await way.send(get(f"https://{host}:{peer.port}/", step="asset", authenticated=False), seconds=SECONDS)
        return told(sent), peer.connections

    assert live(scenario) == (("forbidden", False), 0)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["93.184.216.34", "127.0.0.1"],
        ["10.1.2.3"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["169.254.169.254"],
        ["224.0.0.1"],
        ["fe80::1%eth0"],
    ],
)
def test_a_name_that_leads_inside_is_refused(addresses):
    """Every address that a name has is checked, after resolution: one that is not public refuses the name."""

    async def scenario(way, peer):
        sent = await way.send(get(f"https://rebound.example:{peer.port}/", step="asset"), seconds=SECONDS)
        return told(sent), peer.connections

    assert live(scenario, resolver=lambda: GuardedResolver(Resolves(*addresses))) == (("forbidden", False), 0)


def test_a_name_that_is_asked_once_for_many_is_checked_for_each_of_them():
    """Whoever waits for another one's look-up gets its refusal, and no refusal is forgotten by asking again."""
    names = Resolves("127.0.0.1")

    async def scenario(way, peer):
        request = get(f"https://rebound.example:{peer.port}/", step="asset")
        sent = await asyncio.gather(*(way.send(request, seconds=SECONDS) for _ in range(5)))
        sent.append(await way.send(request, seconds=SECONDS))
        return {told(one) for one in sent}, peer.connections

    assert live(scenario, resolver=lambda: GuardedResolver(names)) == ({("forbidden", False)}, 0)
    assert len(names.asked) == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.example/1.png",
        "ftp://cdn.example/",
        "https://[::1",
        "https://",
        "data:image/png;base64,AA",
        "https://cdn.example:99999/",
        "",
    ],
)
def test_what_cannot_be_fetched_is_refused_and_not_raised(url):
    """Plain http to strangers, other schemes and malformed URLs are failures that never left."""

    async def scenario(way, peer):
        return told(await way.send(get(url, step="asset"), seconds=SECONDS))

    assert live(scenario) == ("forbidden", False)


def test_naming_an_origin_is_trust():
    """The origin that the user named may be plain http on loopback."""

    async def scenario(way, peer):
        return (await way.send(get(peer.url + "/1.png", step="asset"), seconds=SECONDS)).reply.status

    assert live(scenario) == 200


# --- behind a proxy, and whom to trust ---------------------------------------------------------------------------------


def tunnels(to):
    """A proxy that takes whatever it is asked for to one port; its peer keeps what it was asked for."""

    async def behave(peer, reader, writer):
        await one_request(peer, reader)
        onward_reader, onward = await asyncio.open_connection("127.0.0.1", to())
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def pump(source, sink):
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        try:
            await asyncio.gather(pump(reader, onward), pump(onward_reader, writer))
        finally:
            onward.close()

    return behave


@pytest.mark.parametrize(
    ("addresses", "expected", "asked"),
    [
        (["93.184.216.34"], 200, ["CONNECT 93.184.216.34:"]),
        (["2606:2800:21f:cb07::1", "93.184.216.34"], 200, ["CONNECT 93.184.216.34:"]),
        (["127.0.0.1"], ("forbidden", False), []),
        (["93.184.216.34", "10.0.0.1"], ("forbidden", False), []),
        (["64:ff9b::7f00:1"], ("forbidden", False), []),
    ],
)
def test_a_proxy_is_asked_for_the_checked_address_and_hears_of_no_other(
    addresses, expected, asked, server_tls, certificate
):
    """Names are resolved and checked here; TLS still wants the name's certificate."""
    client = ssl.create_default_context(cafile=certificate[0])

    async def scenario(way, peer):
        async with serving(tunnels(lambda: peer.port)) as proxy:
            guard = GuardedResolver(Resolves(*addresses))
            public = AiohttpTransport(way.clock, resolver=guard, proxy=proxy.url, tls=client)
            behind = fakes.wire(way.api, way.clock, peer.url, public)
            sent = await behind.send(
                get(f"https://localhost:{peer.port}/1.png", step="asset", authenticated=False), seconds=SECONDS
            )
            await public.aclose()
            return sent.reply.status if isinstance(sent.reply, Response) else told(sent), proxy.lines()

    found, lines = live(scenario, server_tls=server_tls)
    assert (found, [line.rpartition(":")[0] + ":" for line in lines]) == (expected, asked)


def test_behind_a_proxy_the_certificate_is_the_names(server_tls, certificate):
    """A checked address that answers with another name's certificate gets no request."""
    client = ssl.create_default_context(cafile=certificate[0])

    async def scenario(way, peer):
        async with serving(tunnels(lambda: peer.port)) as proxy:
            guard = GuardedResolver(Resolves("93.184.216.34"))
            public = AiohttpTransport(way.clock, resolver=guard, proxy=proxy.url, tls=client)
            behind = fakes.wire(way.api, way.clock, peer.url, public)
            sent = await behind.send(get("https://another.example/1.png", step="asset"), seconds=SECONDS)
            await public.aclose()
            return told(sent), peer.requests

    assert live(scenario, server_tls=server_tls) == (("tls", False), [])


def test_the_environment_names_no_authority(server_tls, certificate, monkeypatch, tmp_path):
    """``SSL_CERT_FILE`` makes nobody trusted, ``SSLKEYLOGFILE`` writes nothing down: the configuration's bundle decides."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys.log"))

    async def scenario(way, peer):
        trusting = AiohttpTransport(way.clock, tls=trust(str(certificate[0])))
        bundled = fakes.wire(trusting, way.clock, by_name(peer))
        refused, taken = [await one.send(post(by_name(peer)), seconds=SECONDS) for one in (way, bundled)]
        await trusting.aclose()
        return told(refused), taken.reply.status if isinstance(taken.reply, Response) else told(taken)

    trust.cache_clear()
    assert live(scenario, server_tls=server_tls, trusted=by_name) == (("tls", False), 200)
    assert not (tmp_path / "keys.log").exists()


# --- what an answer may weigh ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (gzip.compress(b'{"a"', mtime=0) + gzip.compress(b":1}", mtime=0), b'{"a":1}'),
        (gzip.compress(b'{"a":1}', mtime=0) + bytes(512), b'{"a":1}'),
        (gzip.compress(b"", mtime=0) * 900 + gzip.compress(b"{}", mtime=0), b"{}"),
        (gzip.compress(b"{}", mtime=0) + b"more", ("protocol", True)),
        (gzip.compress(b"{}", mtime=0) * 1002, ("limit", True)),
    ],
)
def test_a_gzip_answer_is_all_of_its_members(body, expected):
    """Members one after the other are one answer; padding is none, and a thousand members are too many."""

    async def scenario(way, peer):
        sent = await way.send(get(peer.url), seconds=SECONDS)
        return sent.reply.body if isinstance(sent.reply, Response) else told(sent)

    assert live(scenario, answers(answer(body, headers=["Content-Encoding: gzip"]))) == expected


def test_headers_without_end_are_a_limit():
    """More headers than any server sends are cut off."""

    async def scenario(way, peer):
        return told(await way.send(get(peer.url), seconds=SECONDS))

    assert live(scenario, answers(answer(headers=[f"X-{n}: y" for n in range(500)]))) == ("limit", True)


def test_a_failure_does_not_quote_the_signature_of_its_address():
    """Reports show failures, and not what gives access to a file."""

    async def scenario(way, peer):
        sent = await way.send(get(peer.url + "/?x-amz-signature=0123456789abcdef"), seconds=SECONDS)
        return sent.reply.kind, "0123456789abcdef" in sent.reply.message

    assert live(scenario, answers(b"HTTP/1.1 abc OK\r\n\r\n", then_closes=True)) == ("protocol", False)
