# ruff: noqa: ARG005 - answers have one signature
# A row is a line.
# fmt: off
"""What a hostile provider may do, a row each: the bytes that it sends, and what a user expects to be told.

A row's last columns are the check that tells with its verdict, the run's verdict, its exit status, and the charge. What
was taken by the provider is charged; what nobody can know is ``unknown``; what never left is ``no``.
"""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.hostile.stage import (
    CDN,
    CLOSE,
    RESET,
    SILENT,
    Answer,
    Ask,
    Row,
    Said,
    delivered,
    forever,
    healthy,
    picture,
    said,
    submitted,
    value,
)
from tests.leaks import CANARIES, KEY

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


def says(step: str, **changed: Any) -> Mapping[str, Answer]:
    """A step's healthy answer with other fields."""
    return {step: lambda ask: value((submitted(ask) if step == "submit" else delivered(ask.file())) | changed)}


def links(role: str, url: Callable[[Ask], str]) -> Mapping[str, Answer]:
    """A submit's answer whose link is another one."""
    return {"submit": lambda ask: value(submitted(ask) | {f"{role}_url": url(ask)})}


def shows(url: str, **changed: Any) -> Mapping[str, Answer]:
    """A result whose image has this address."""
    return {"result": value(delivered(url, **changed))}


TWICE = base64.b85decode(
    b"ABzY8000000t4;bp>9)g9ERbRRWyjM2owUu6k%$nrU@7{f@!h~;1ZTKSx}hW#Prk@hPmCrHn$5P2trU~g;wqo&ig#-=%4!M%gOul>vXj7War1#"
    b"c>Mokb@p)abNX}y0000C-0JRhXEO$jUafE5e>emH004&WXm>W*jskx_y?Eyw0000mcwd%_`SuTiUnid@&H(@b0E74Z&;8r&7I3}3eD={j0001B"
    b"@NNYI0000WMKAyW003G90{{R3phYkM0001D1Oos70H8%M00000S_A_C005vxFaQ7m0Ad6K0001>MKAyW003G90{{R3phYkM0001D1Oos70H8%M"
    b"00000S_A_C005vxFaQ7m0Ad6K0001>MKAyW003G90{{R3phYkM0001D1Oos70H8%M00000S_A_C005vxFaQ7m0Ad6K0001>MKAyW003G90{{R3"
    b"phYkM0001D1Oos70H8%M00000S_A_C005vxFaQ7m0Ad6K0001>MKAyW003G90{{R3phYkM0001D1Oos70H8%M00000S_A_C005vxFaQ7m0Ad6K"
    b"0001>MKAyW003G90{{R3phYkM0001D1Oos70H8%M00000S_A_C005vxFaQ7m0Ad6K0001>MKAyW003G90{{R3phYkM0001D1Oos70H8%M00000"
    b"S_A_C005vxFaQ7m0Ad6K0001>MKAyW003Ifmy5m47BK(4zC3s{0swgA`~J7%+3U@7;U9#>^r}Yt0{{"
)
"""590 bytes: 256 MiB of zeros in gzip, in gzip again."""
ONCE = gzip.decompress(TWICE)
"""The same in one gzip: a quarter of a megabyte."""


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header announces so many pixels, and that has none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(2**20))) + chunk(b"IEND", b"")


def file(data: bytes, *headers: str) -> Mapping[str, Answer]:
    """What the public internet serves in place of the picture."""
    return {"file": said(data, "200 OK", *(headers or ("content-type: image/jpeg",)))}


def leads(where: str | Callable[[Ask], str], status: str = "302 Found") -> Mapping[str, Answer]:
    """A file that is somewhere else."""
    to = where if callable(where) else lambda _: where
    return {"file": lambda ask: said(b"", status, f"location: {to(ask)}")}


def once(step: str, answer: Answer) -> Mapping[str, Answer]:
    """A step that is answered so the first time, and in good health then."""

    def choose(ask: Ask) -> Said:
        if ask.number > 1:
            return healthy(ask)
        return answer(ask) if callable(answer) else answer

    return {step: choose}


# --- addresses ---------------------------------------------------------------------------------------------------------

FORBIDDEN = (("image_download", "fail"), "fail", 1, "yes")
ORIGIN = (("url_origin", "fail"), "fail", 1, "yes")
SPELLINGS = {
    "loopback": "127.0.0.1", "short": "127.1", "zero": "0", "decimal": "2130706433", "hex-short": "0x7f.1", "hex": "0x7f000001",
    "octal": "017700000001", "octal-parts": "0177.0.0.01", "any": "0.0.0.0", "ipv6": "[::1]", "ipv6-any": "[::]",
    "mapped": "[::ffff:127.0.0.1]", "mapped-hex": "[::ffff:7f00:1]", "nat64": "[64:ff9b::7f00:1]", "6to4": "[2002:7f00:1::]",
    "compatible": "[::127.0.0.1]", "ideographic-dots": "127。0。0。1", "wide-dots": "127．0．0．1", "circled": "①27.0.0.1",
    "trailing-dot": "127.0.0.1.", "name": "localhost", "private": "10.0.0.1", "carrier": "100.64.0.1", "metadata": "169.254.169.254",
    "multicast": "224.0.0.1", "broadcast": "255.255.255.255", "link-local": "[fe80::1]", "unique-local": "[fd00::1]",
    "ipv6-multicast": "[ff02::1]", "user": "files.cdn.test@127.0.0.1",
}
INSIDE = ("inner", "private", "one-of-two", "mapped", "nat64", "sixtofour", "teredo", "link-local", "metadata", "multicast", "unique-local", "shared", "reserved", "unspecified")
"""Names that lead where nobody may go."""


def _on_our_port(host: str) -> Answer:
    return lambda ask: value(delivered(f"https://{host}:{ask.home.rpartition(':')[2]}/x"))


def addresses() -> Iterator[Row]:
    for name, host in SPELLINGS.items():
        yield Row(f"url-{name}", {"result": _on_our_port(host)}, *FORBIDDEN)
    for name in INSIDE:
        yield Row(f"name-{name}", shows(f"https://{name}.test/1.png"), *FORBIDDEN)
    yield Row("name-rebinding", {"result": lambda ask: value(delivered(f"https://rebinding.test/{ask.row}/1"))}, *FORBIDDEN)
    yield Row("plain-http-file", shows(f"http://{CDN}/1.png"), *FORBIDDEN)
    for scheme in ("file:///etc/passwd", "ftp://files.cdn.test/1", "gopher://127.0.0.1:70/", "//127.0.0.1/1", "https:///1", "https://[::1", "javascript:alert(1)", "\u202ehttps://x"):
        yield Row(f"scheme-{scheme.partition(':')[0].strip('/').encode().hex()[:12]}-{len(scheme)}", shows(scheme), *FORBIDDEN)
    yield Row("file-redirects-inside", leads("https://127.0.0.1/1"), *FORBIDDEN)
    yield Row("file-redirects-to-a-name-inside", leads("https://inner.test/1"), *FORBIDDEN)
    yield Row("file-redirects-to-http", leads(f"http://{CDN}/1"), *FORBIDDEN)
    yield Row("file-redirects-to-a-path", leads("file:///etc/passwd"), *FORBIDDEN)
    yield Row("file-redirects-for-ever", leads(lambda ask: ask.file()), *FORBIDDEN)
    yield Row("file-redirects-nowhere", leads("https://[::1"), *FORBIDDEN)
    yield Row("link-on-another-host", links("status", lambda _: "https://evil.test/requests/job-1/status"), *ORIGIN)
    yield Row("link-on-another-port", links("response", lambda ask: f"http://127.0.0.1:1/{ask.row}/fal-ai/flux-pro/requests/job-1"), *ORIGIN)
    yield Row("link-behind-a-user-name", links("cancel", lambda ask: ask.link("cancel").replace("//", "//evil.test@").replace("evil.test@127.0.0.1", "127.0.0.1@evil.test")), *ORIGIN)
    yield Row("link-that-is-a-script", links("status", lambda _: "javascript:job-1/status"), *ORIGIN)
    for status in ("301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"):
        yield Row(f"submit-redirected-{status[:3]}", {"submit": leads(lambda ask: ask.file(), status)["file"]}, ("no_redirect", "fail"), "fail", 1, "unknown")
    yield Row("status-redirected", once("status", lambda ask: said(b"", "307 Temporary Redirect", f"location: {ask.file()}")), ("no_redirect", "fail"), "fail", 1, "yes")
    yield Row("result-redirected", {"result": lambda ask: said(b"", "302 Found", f"location: {ask.file()}")}, ("no_redirect", "fail"), "fail", 1, "yes")


# --- ids and states ------------------------------------------------------------------------------------------------------


def with_id(job: Any) -> Mapping[str, Answer]:
    """A queue that gives this id to its job; its links are left out."""
    return {"submit": value({"request_id": job, "status": "IN_QUEUE", "response_url": "", "status_url": "", "cancel_url": ""})}


def ids() -> Iterator[Row]:
    for name, job in (("climbs", "../../admin"), ("breaks-the-line", "a\r\nx-evil: 1"), ("asks", "a?b=c#d"), ("is-a-url", "https://evil.test/"), ("null-byte", "a\0b")):
        yield Row(f"id-{name}", with_id(job), *ORIGIN)
    useless: Mapping[str, Any] = {"is-up": "..", "is-empty": "", "is-a-list": ["job-1"], "is-null": None, "is-true": True}
    for name, no_id in useless.items():
        yield Row(f"id-{name}", with_id(no_id), ("url_origin", "fail"), "fail", 1, "unknown")
    yield Row("id-without-end", with_id("x" * 100_000), ("url_origin", "fail"), "fail", 1, "unknown")
    yield Row("state-unheard-of", once("status", value({"status": "DREAMING"}, "202 Accepted")), ("job_lifecycle", "fail"), "fail", 1, "yes")
    yield Row("state-is-an-object", once("status", value({"status": {"a": 1}}, "202 Accepted")), ("response_schema_conformance", "fail"), "fail", 1, "yes")
    yield Row("state-goes-back", {"status": lambda ask: value({"status": "IN_QUEUE" if ask.number == 2 else "COMPLETED" if ask.number > 2 else "IN_PROGRESS", "logs": None, "queue_position": 0}, "200 OK" if ask.number > 2 else "202 Accepted")}, ("job_lifecycle", "fail"), "fail", 1, "yes")
    yield Row("images-without-number", {"result": lambda ask: value(delivered(*(ask.file(str(n)) for n in range(3000))))}, ("image_count", "fail"), "fail", 1, "yes")
    yield Row("no-image", {"result": value(delivered())}, ("job_completes", "fail"), "fail", 1, "yes")
    yield Row("the-same-image-twice", {"result": lambda ask: value(delivered(ask.file(), ask.file()))}, ("image_count", "fail"), "fail", 1, "yes", body={"num_images": 2})


# --- bytes -------------------------------------------------------------------------------------------------------------

LOST = (("transport", "unknown"), "unknown", 3, "unknown")
LIMIT = (("limits", "fail"), "fail", 1, "unknown")
OVER: Mapping[str, Answer] = {
    "endless-body": forever(HEAD + b"\r\n", then=b"x" * 65536),
    "length-beyond-belief": forever(HEAD + b"content-length: 99999999999999\r\n\r\n", then=b"x" * 65536),
    "gzip-bomb": said(ONCE, "200 OK", "content-encoding: gzip"),
    "double-gzip-bomb": said(TWICE, "200 OK", "content-encoding: gzip, gzip"),
    "deflate-bomb": said(b"\x78\xda" + ONCE[10:-8] + bytes(4), "200 OK", "content-encoding: deflate"),
    "gzip-of-a-thousand-parts": said(gzip.compress(b"", mtime=0) * 1500, "200 OK", "content-encoding: gzip"),
    "brotli": said(b"\x0b\x02\x80{}\x03", "200 OK", "content-encoding: br"),
    "zstd": said(b"\x28\xb5\x2f\xfd", "200 OK", "content-encoding: zstd"),
    "endless-headers": forever(HEAD, then=b"x-a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n" * 100),
    "endless-header": forever(HEAD + b"x-a: ", then=b"b" * 65536),
    "endless-status-line": forever(b"HTTP/1.1 200 ", then=b"b" * 65536),
    "folded-header": forever(HEAD + b"x-a: b\r\n", then=b" ccccccccccccccc\r\n" * 100),
    "endless-trailers": forever(HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n", then=b"x-a: bbbbbbbbbbbbbbbbbbbbb\r\n" * 100),
}
BROKEN: Mapping[str, Answer] = {
    "gzip-cut": said(gzip.compress(b'{"a":1}' * 99, mtime=0)[:-9], "200 OK", "content-encoding: gzip"),
    "not-gzip": said(b"{}", "200 OK", "content-encoding: gzip"),
    "gzip-and-more": said(gzip.compress(b"{}", mtime=0) + b"garbage", "200 OK", "content-encoding: gzip"),
    "another-protocol": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "http-2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "http-0.9": b'{"request_id":"job-1"}\r\n\r\n',
    "status-no-number": b"HTTP/1.1 abc OK\r\n\r\n",
    "two-lengths": HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
    "negative-length": HEAD + b"content-length: -1\r\n\r\n{}",
    "length-and-chunks": HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk-no-number": HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "header-without-colon": HEAD + b"no colon here\r\n\r\n{}",
    "null-in-a-header": HEAD + b"x-a: \0\r\ncontent-length: 2\r\n\r\n{}",
    "cut-in-the-head": b"HTTP/1.1 200 OK\r\nconte",
    "cut-in-the-body": HEAD + b'content-length: 99\r\nconnection: close\r\n\r\n{"request_id":',
    "closed": CLOSE,
    "reset": RESET,
}
STALLS: Mapping[str, Answer] = {
    "silence": SILENT,
    "drip-in-the-head": forever(b"HTTP/1.1 200 OK\r\nx-a: ", then=b"b"),
    "drip-in-the-body": forever(HEAD + b"content-length: 100000\r\n\r\n{", then=b" "),
    "drip-of-chunks": forever(HEAD + b"transfer-encoding: chunked\r\n\r\n", then=b"1\r\n \r\n"),
    "endless-103": forever(then=b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"),
}


def and_closes(answer: Answer) -> Answer:
    """An answer after which the connection is closed: what comes then is no part of it."""
    return (lambda _: iter((answer,))) if isinstance(answer, bytes) else answer


def wire() -> Iterator[Row]:
    for name, answer in OVER.items():
        yield Row(f"submit-{name}", {"submit": answer}, *LIMIT)
        if name in ("endless-body", "double-gzip-bomb", "endless-headers"):
            yield Row(f"file-{name}", {"file": answer}, ("image_download", "fail"), "fail", 1, "yes")
            yield Row(f"result-{name}", {"result": answer}, ("limits", "fail"), "fail", 1, "yes")
            yield Row(f"status-{name}", once("status", answer), ("limits", "fail"), "fail", 1, "yes")
    for name, answer in BROKEN.items():
        yield Row(f"submit-{name}", {"submit": and_closes(answer)}, *LOST)
    for name, answer in STALLS.items():
        yield Row(f"submit-{name}", {"submit": answer}, *LOST, slow=True)
        yield Row(f"status-{name}", {"status": answer}, ("job_completes", "unknown"), "unknown", 3, "unknown", slow=True)
    for name in ("silence", "drip-in-the-body"):
        yield Row(f"synchronous-{name}", {"submit": STALLS[name]}, ("job_completes", "unknown"), "unknown", 3, "unknown", "sync", slow=True)
        yield Row(f"result-{name}", {"result": STALLS[name]}, ("job_completes", "unknown"), "unknown", 3, "unknown", slow=True)
        yield Row(f"file-{name}", {"file": STALLS[name]}, ("image_download", "unknown"), "unknown", 3, "yes", slow=True)
        yield Row(f"cancel-{name}", {"status": value({"status": "IN_QUEUE", "queue_position": 0}, "202 Accepted"), "cancel": STALLS[name]}, ("job_completes", "unknown"), "unknown", 3, "unknown", slow=True)
    twice = {"submit": said(TWICE, "200 OK", "content-encoding: gzip")}
    yield Row("gzip-in-gzip-said-once", twice, ("well_formed_json", "fail"), "fail", 1, "yes")
    yield Row("gzip-in-two-parts", {"result": _packed}, None, "pass", 0, "yes")


def _packed(ask: Ask) -> Said:
    data = json.dumps(delivered(ask.file())).encode()
    return said(gzip.compress(data[:20], mtime=0) + gzip.compress(data[20:], mtime=0), "200 OK", "content-encoding: gzip")


# --- JSON --------------------------------------------------------------------------------------------------------------

ODD_JSON = {
    "nan": b'{"request_id":"job-1","queue_position":NaN}', "infinity": b'{"request_id":"job-1","queue_position":-Infinity}',
    "twice": b'{"request_id":"job-1","request_id":"job-2"}', "half-a-pair": b'{"request_id":"\\ud800"}', "overflow": b'{"request_id":"job-1","queue_position":1e999}',
    "digits": b'{"request_id":' + b"1" * 4301 + b"}", "deep": b"[" * 100_000 + b"]" * 100_000, "deep-objects": b'{"a":' * 100_000, "utf-16": '{"request_id":"job-1"}'.encode("utf-16"),
    "mark": b"\xef\xbb\xbf{}", "not-utf-8": b'{"request_id":"\xff"}', "cut": b'{"request_id":"job-1"', "empty": b"", "more": b'{"request_id":"job-1"}{}',
    "many-values": b"[" + b"[]," * 3_000_000 + b"[]]", "html": b"<html><script>alert(1)</script></html>",
}


def parsers() -> Iterator[Row]:
    for name, body in ODD_JSON.items():
        yield Row(f"json-{name}", {"submit": said(body)}, ("well_formed_json", "fail"), "fail", 1, "yes")
    schema = (("response_schema_conformance", "fail"), "fail", 1)
    for name, body in {"null": b"null", "list": b"[]", "text": b'"job-1"', "number": b"1"}.items():
        billed = "yes" if name == "null" else "unknown"
        yield Row(f"json-is-{name}", {"submit": said(body)}, ("response_schema_conformance", "fail") if name != "null" else ("job_completes", "fail"), "fail", 1, billed)
    yield Row("seed-beyond-a-float", says("result", seed=2**64 + 1), ("seed_echo", "fail"), "fail", 1, "yes")
    yield Row("images-are-text", says("result", images="x" * 2_000_000), *schema, "yes")
    yield Row("image-is-a-number", says("result", images=[7]), *schema, "yes")
    yield Row("type-is-another", {"submit": lambda ask: said(json.dumps(submitted(ask)), "200 OK", "content-type: text/html")}, ("content_type_conformance", "fail"), "fail", 1, "yes")


# --- pictures ----------------------------------------------------------------------------------------------------------

NO_PICTURE = {
    "pixel-bomb": png_of(30_000, 30_000), "pixel-bomb-within-limits": png_of(4096, 4096), "no-pixels": png_of(0, 0), "cut": picture("PNG")[:-2000], "empty": b"",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "html": b"<html><script>alert(1)</script></html>",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) run", "zip": b"PK\x03\x04" + bytes(60), "tiff": picture("TIFF"), "ico": picture("ICO"),
    "gif-of-a-giant": b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0" + struct.pack("<HH", 65535, 65535) + b"\0\x02\x02D\x01\0;",
    "webp-of-nothing": b"RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0\xff\x3f\0",
}


def pictures() -> Iterator[Row]:
    for name, data in NO_PICTURE.items():
        yield Row(f"picture-{name}", file(data), ("image_decodes", "fail"), "fail", 1, "yes")
    yield Row("picture-in-a-page", {"result": value(delivered("data:text/html,<script>alert(1)</script>"))}, ("image_decodes", "fail"), "fail", 1, "yes")
    yield Row("picture-data-bomb", {"result": value(delivered("data:image/png;base64," + base64.b64encode(png_of(20_000, 20_000)).decode()))}, ("image_decodes", "fail"), "fail", 1, "yes")


# --- text, and the key -------------------------------------------------------------------------------------------------

HOSTILE_TEXT = {
    "script": "<script>alert(1)</script>", "image": '"><img src=x onerror=alert(1)>', "terminal": "\x1b[2J\x1b]0;owned\x07\x1b[31m", "lines": "a\n::error::owned\r\n##[error]owned\n##vso[task.complete]",
    "direction": "\u202egnp.exe\u2066", "formula": "=cmd|' /C calc'!A0", "mathematics": "$\\frac{$$\\alpha$", "markdown": "[x](javascript:alert(1)) @everyone `` ``` | |", "xml": "]]><!ENTITY x SYSTEM 'file:///etc/passwd'>\x00\x0b",
    "long": "x" * 1_000_000, "template": "{{7*7}}{% include '/etc/passwd' %}", "percent": "%s%n%(key)s", "attachment": "[[ATTACHMENT|/etc/passwd]]",
}
REFUSED = (("positive_data_acceptance", "fail"), "fail", 1, "no")


def texts() -> Iterator[Row]:
    for name, text in HOSTILE_TEXT.items():
        yield Row(f"refusal-{name}", {"submit": value({"detail": [{"loc": ["body", text], "msg": text, "type": text, "url": text}]}, "422 Unprocessable Entity")}, *REFUSED)
    for name in ("script", "terminal", "lines", "direction"):
        yield Row(f"state-{name}", once("status", value({"status": HOSTILE_TEXT[name]}, "202 Accepted")), ("job_lifecycle", "fail"), "fail", 1, "yes")
    yield Row("prompt-another", says("result", prompt=HOSTILE_TEXT["script"]), ("prompt_echo", "fail"), "fail", 1, "yes")


def keys() -> Iterator[Row]:
    texts = [make(KEY) for make in CANARIES.values()]
    echo = [text.decode("latin-1") for text in texts if text.isascii()]
    yield Row("key-in-answers", {"submit": lambda ask: value(submitted(ask) | {"echo": echo}), "result": lambda ask: value(delivered(ask.file()) | {"echo": echo})}, None, "pass", 0, "yes")
    yield Row("key-in-headers", {"result": lambda ask: value(delivered(ask.file()), "200 OK", f"x-request-id: {KEY}", f"set-cookie: key={KEY}; Domain=.cdn.test", f"server: {KEY}")}, None, "pass", 0, "yes")
    yield Row("key-in-a-refusal", {"submit": value({"detail": [{"loc": ["body", KEY], "msg": f"bad {KEY} {text}", "type": "x"} for text in echo]}, "422 Unprocessable Entity")}, *REFUSED)
    yield Row("key-as-the-id", with_id(KEY), *ORIGIN)
    yield Row("key-as-the-state", once("status", value({"status": KEY}, "202 Accepted")), ("job_lifecycle", "fail"), "fail", 1, "yes")
    yield Row("key-in-a-link", links("status", lambda _: f"https://evil.test/{KEY}?key={KEY}"), *ORIGIN)
    yield Row("key-in-a-file", {"file": lambda ask: said(picture() + CANARIES["gzip"](KEY), "200 OK", "content-type: image/jpeg")}, ("image_decodes", "unknown"), "unknown", 3, "yes")
    yield Row("key-in-a-redirect", {"submit": said(b"", "307 Temporary Redirect", f"location: https://evil.test/?{KEY}")}, ("no_redirect", "fail"), "fail", 1, "unknown")
    yield Row("key-in-a-broken-answer", {"submit": and_closes(HEAD + b"content-length: 999\r\n\r\n" + b" ".join(t for t in texts if t.isascii()))}, *LOST)
    yield Row("sets-what-comes-back", {"submit": lambda ask: value(submitted(ask), "200 OK", "set-cookie: a=b; Path=/; Domain=127.0.0.1", "set-cookie: c=d; Domain=test")}, None, "pass", 0, "yes")


# --- healthy -----------------------------------------------------------------------------------------------------------


def controls() -> Iterator[Row]:
    yield Row("healthy", {}, None, "pass", 0, "yes")
    yield Row("healthy-synchronous", {}, None, "pass", 0, "yes", flow="sync")
    yield Row("healthy-redirected-file", {"file": lambda ask: healthy(ask) if b"/2.jpg" in ask.request else said(b"", "302 Found", f"location: {ask.file('2')}?x-amz-signature=0123456789abcdef")}, None, "pass", 0, "yes")
    yield Row("healthy-large", {"file": lambda ask: said(picture("JPEG", 1400, 1400), "200 OK", "content-type: image/jpeg")}, None, "pass", 0, "yes")


ROWS: tuple[Row, ...] = (*controls(), *addresses(), *ids(), *wire(), *parsers(), *pictures(), *texts(), *keys())
