"""Checks of what was delivered: each planted fault is found by its own check, and by no other."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.checks.outputs import Picture, picture
from harness.model import Call, Response, Verdict
from tests.calls import (
    FAL,
    GATEWAY,
    MULTI,
    ROUTES,
    SINGLE,
    WAVESPEED,
    Seen,
    accepted_as_reject,
    seen,
    with_answer,
    with_failure,
    with_file,
    with_final,
    with_status,
)  # fmt: skip

Expected = list[tuple[str, str, str | None]]


def drawn(width: int = 64, height: int = 64, format: str = "PNG", *, flat: bool = False) -> bytes:  # noqa: A002 - Pillow's
    """An image that shows something, unless it is to be flat."""
    image = Image.new("RGB", (width, height), (40, 90, 160))
    if not flat:
        image.paste((220, 30, 60), (0, 0, max(1, width // 2), max(1, height // 2)))
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def downloaded(call: Call) -> bytes:
    """The bytes of the first downloaded image."""
    answer = call.of("asset")[0].response
    assert answer is not None
    return answer.body


def set_seed(value: Any) -> Callable[[Any], None]:
    return lambda answer: answer.update(seed=value)


def without_downloads(one: Seen) -> Seen:
    kept = tuple(e for e in one.call.exchanges if e.step != "asset")
    return replace(one, call=replace(one.call, exchanges=kept))


def one_image_for_two() -> Seen:
    def drop(answer: Any) -> None:
        del answer["images"][1:]
        del answer["has_nsfw_concepts"][1:]

    return with_final(seen(FAL, count=2), drop)


def three_images_for_two() -> Seen:
    def add(answer: Any) -> None:
        third = {"url": answer["images"][0]["url"] + "?third", "width": 48, "height": 48}
        answer["images"].append(answer["images"][0] | third)
        answer["has_nsfw_concepts"].append(False)

    one = with_final(seen(FAL, count=2), add)
    first = one.call.of("asset")[0]
    assert isinstance(first.reply, Response)
    third = replace(first, url=first.url + "?third", reply=replace(first.reply, body=drawn(48, 48, "JPEG")))
    return replace(one, call=replace(one.call, exchanges=(*one.call.exchanges, third)))


def same_address_twice() -> Seen:
    return with_final(seen(FAL, count=2), lambda a: a["images"][1].update(url=a["images"][0]["url"]))


def same_bytes_twice() -> Seen:
    one = seen(FAL, count=2)
    return with_file(one, downloaded(one.call), at=1)


def gateway_gives_one_for_two() -> Seen:
    def drop(answer: Any) -> None:
        del answer["images"][1:]
        del answer["has_nsfw_concepts"][1:]

    return with_final(seen(GATEWAY, count=2), drop)


def gateway_gives_two_unasked() -> Seen:
    two = seen(GATEWAY, count=2)
    body = {name: value for name, value in two.call.case.body.items() if name != "num_images"}
    return replace(two, call=replace(two.call, images=1, case=replace(two.call.case, body=body, images=1)))


def both_encodings() -> Seen:
    def add(answer: Any) -> None:
        answer["data"][0]["b64_json"] = b64(drawn())

    return with_final(seen(MULTI), add)


def url_for_base64() -> Seen:
    one, data = seen(MULTI), "b64_json"
    case = replace(one.call.case, body={**one.call.case.body, "response_format": data})
    return replace(one, call=replace(one.call, case=case))


def data_uri_for_url() -> Seen:
    uri = "data:image/jpeg;base64," + b64(drawn(64, 64, "JPEG"))
    return without_downloads(
        with_final(seen(FAL, "sync"), lambda a: a["images"][0].update(url=uri, width=64, height=64))
    )


def url_for_data_uri(flow: str) -> Seen:
    one = seen(FAL, flow)
    case = replace(one.call.case, body={**one.call.case.body, "sync_mode": True})
    return replace(one, call=replace(one.call, case=case))


FAULTS: dict[str, tuple[Callable[[], Seen], Expected]] = {
    "too few": (one_image_for_two, [("image_count", "fail", "num_images")]),
    "too many": (three_images_for_two, [("image_count", "fail", "num_images")]),
    "one address twice": (same_address_twice, [("image_count", "fail", "num_images")]),
    "one image at two addresses": (same_bytes_twice, [("image_count", "fail", "num_images")]),
    "png for jpeg, declared jpeg": (
        lambda: with_file(seen(FAL), downloaded(seen(FAL, format="png").call)),
        [("image_format", "fail", "output_format"), ("image_format", "fail", None), ("image_format", "fail", None)],
    ),
    "declared png in the answer": (
        lambda: with_final(seen(FAL), lambda a: a["images"][0].update(content_type="image/png")),
        [("image_format", "fail", None)],
    ),
    "downloaded as webp": (
        lambda: with_file(seen(FAL), downloaded(seen(FAL).call), "image/webp"),
        [("image_format", "fail", None)],
    ),
    "truncated png": (
        lambda: with_file(seen(FAL, format="png"), downloaded(seen(FAL, format="png").call)[:-200]),
        [("image_decodes", "fail", None)],
    ),
    "not an image": (lambda: with_file(seen(FAL), b"<html>no</html>"), [("image_decodes", "fail", None)]),
    "one flat colour": (
        lambda: with_final(
            with_file(seen(FAL, format="png"), drawn(flat=True)), lambda a: a["images"][0].update(width=64, height=64)
        ),
        [("image_decodes", "fail", None)],
    ),
    "bad base64 in a data URI": (
        lambda: with_final(
            seen(FAL, "sync", encoding=True), lambda a: a["images"][0].update(url="data:image/jpeg;base64,%%%")
        ),
        [("image_decodes", "fail", None)],
    ),
    "file not found": (lambda: with_status(seen(FAL), "asset", 404), [("image_download", "fail", None)]),
    "file not tried": (lambda: without_downloads(seen(FAL)), [("image_download", "fail", None)]),
    "file breaks a limit": (
        lambda: with_failure(seen(FAL), "asset", "limit"),
        [("limits", "fail", None), ("image_download", "fail", None)],
    ),
    "network lost while downloading": (lambda: with_failure(seen(FAL), "asset", "reset"), [("image_download", "unknown", None)]),
    "empty address, as in the example": (
        lambda: with_final(seen(FAL), lambda a: a["images"][0].update(url="")),
        [("response_schema_conformance", "warn", None), ("image_download", "warn", None)],
    ),
    "declared with another size (observed only)": (
        lambda: with_final(seen(FAL), lambda a: a["images"][0].update(width=77, height=77)),
        [("image_dimensions", "warn", None)],
    ),
    "url and base64 (the example has both)": (both_encodings, [("output_encoding", "warn", "response_format")]),
    "url for base64": (url_for_base64, [("output_encoding", "fail", "response_format")]),
    "data URI for url": (data_uri_for_url, [("output_encoding", "fail", "sync_mode")]),
    "url for data URI, at once": (lambda: url_for_data_uri("sync"), [("output_encoding", "fail", "sync_mode")]),
    "url for data URI, read later (left open)": (
        lambda: url_for_data_uri("queue"),
        [("output_encoding", "warn", "sync_mode")],
    ),
    "another seed": (
        lambda: with_final(seen(FAL, seed=5), set_seed(6)),
        [("seed_echo", "fail", "seed")],
    ),
    "seed as text": (
        lambda: with_final(seen(FAL), set_seed("5")),
        [("response_schema_conformance", "fail", None), ("seed_echo", "fail", "seed")],
    ),
    "seed as boolean": (
        lambda: with_final(seen(FAL), set_seed(True)),
        [("response_schema_conformance", "fail", None), ("seed_echo", "fail", "seed")],
    ),
    "another prompt": (
        lambda: with_final(seen(FAL), lambda a: a.update(prompt="a blue fox")),
        [("prompt_echo", "fail", "prompt")],
    ),
    "one flag for two images": (
        lambda: with_final(seen(FAL, count=2), lambda a: a.update(has_nsfw_concepts=[False])),
        [("content_flags", "fail", None)],
    ),
    "a flag too many at WaveSpeed": (
        lambda: with_final(seen(WAVESPEED), lambda a: a["data"]["has_nsfw_contents"].append(True)),
        [("content_flags", "fail", None)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_what_was_delivered_is_found_by_its_check_alone(name: str) -> None:
    """Changing one thing in a healthy call gives that thing's finding, its verdict and parameter, and nothing else."""
    plant, expected = FAULTS[name]
    assert expected == plant().findings()


@pytest.mark.parametrize(("spec", "flow"), ROUTES, ids=[f"{s.target}:{f}" for s, f in ROUTES])
def test_a_healthy_call_satisfies_every_check(spec: Any, flow: str) -> None:
    """Two images of a given seed, ratio and format: nothing is found but the gateway's own foreign links."""
    links = [("url_origin", "warn", None)] * 3 if spec is GATEWAY else []
    assert links == seen(spec, flow, count=2, seed=7, ratio="16:9", format="png", guidance=4.5).findings()


@pytest.mark.parametrize("encoding", ["b64_json", "url"])
def test_each_encoding_is_recognised(encoding: str) -> None:
    """Base64, with the prefix of the document's example, and an address are what they were asked for as."""
    expected: tuple[Expected, Verdict | None] = ([], Verdict.PASS)
    one = seen(MULTI, encoding=encoding)
    assert expected == (one.findings(), one.verdict("output_encoding"))


def test_bare_base64_is_base64() -> None:
    """Base64 without a data URI's prefix, as OpenAI sends it, is what b64_json asks for."""
    bare = with_final(seen(MULTI, encoding="b64_json"), lambda a: a["data"][0].update(b64_json=b64(drawn())))
    assert bare.findings() == []


def test_a_gateway_owes_the_number_that_its_own_document_lets_one_ask_for() -> None:
    """Too few images fail where num_images was sent, and warn where only the upstream's document promises one."""
    expected = ("fail", "warn")
    found = [f for one in (gateway_gives_one_for_two(), gateway_gives_two_unasked()) for f in one.judged().findings]
    assert expected == tuple(f.verdict.value for f in found if f.check == "image_count")


@pytest.mark.parametrize(
    ("width", "expected"), [(1553, []), (1552, []), (1551, ["16:9"]), (1648, []), (1649, ["16:9"])]
)
def test_a_ratio_is_kept_within_three_per_cent(width: int, expected: list[str]) -> None:
    """Width over height may lie up to and with 3 % from the asked ratio on either side, and no further."""
    one = with_file(seen(WAVESPEED, ratio="16:9"), drawn(width, 900), "image/png")
    found = [f for f in one.judged().findings if f.check == "image_dimensions"]
    assert expected == [f.expected for f in found]


def test_the_documented_default_ratio_warns_only_by_its_own_document() -> None:
    """Without a ratio the default of the document is expected where it has one, and nothing where it has none."""
    expected: tuple[list[str], ...] = (["fail"], [])
    given = [with_file(seen(spec), drawn(300, 100, "JPEG"), "image/jpeg") for spec in (MULTI, WAVESPEED)]
    assert expected == tuple(
        [f.verdict.value for f in one.judged().findings if f.check == "image_dimensions"] for one in given
    )


def test_an_enhanced_prompt_may_differ() -> None:
    """The echo of a prompt that was to be enhanced is not compared."""
    one = with_final(seen(FAL, enhance=True), lambda a: a.update(prompt="a majestic fox"))
    expected: tuple[Expected, None] = ([], None)
    assert expected == (one.findings(), one.verdict("prompt_echo"))


def test_a_random_seed_may_come_back_as_any_integer() -> None:
    """A seed beyond 2**53 stays exact, and any integer answers a request without one."""
    expected: tuple[Expected, Expected] = ([], [("seed_echo", "fail", "seed")])
    exact = with_final(seen(FAL, seed=2**60 + 1), set_seed(2**60 + 1))
    near = with_final(seen(FAL, seed=2**60 + 1), set_seed(2**60))
    assert expected == (exact.findings(), near.findings())
    assert with_final(seen(FAL), set_seed(2**60 + 1)).findings() == []


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ("seed_echo", {"fal": "pass", "fal-gateway": "pass", "umodelverse": None, "wavespeed": None}),
        ("prompt_echo", {"fal": "pass", "fal-gateway": "pass", "umodelverse": None, "wavespeed": None}),
        ("content_flags", {"fal": "pass", "fal-gateway": "pass", "umodelverse": None, "wavespeed": "pass"}),
        ("output_encoding", {"fal": "pass", "fal-gateway": None, "umodelverse": "pass", "wavespeed": None}),
        ("job_lifecycle", {"fal": "pass", "fal-gateway": "pass", "umodelverse": None, "wavespeed": "pass"}),
        ("url_origin", {"fal": "pass", "fal-gateway": "warn", "umodelverse": None, "wavespeed": "pass"}),
        ("image_download", {"fal": "pass", "fal-gateway": "pass", "umodelverse": "pass", "wavespeed": "pass"}),
        ("negative_data_rejection", dict.fromkeys(("fal", "fal-gateway", "umodelverse", "wavespeed"))),
        ("error_shape", dict.fromkeys(("fal", "fal-gateway", "umodelverse", "wavespeed"))),
    ],
)
def test_a_check_stays_away_where_it_does_not_apply(check: str, expected: dict[str, str | None]) -> None:
    """A check whose roles an endpoint lacks, or whose kind of case this is not, says nothing."""
    said = {spec.provider: seen(spec).verdict(check) for spec in (FAL, GATEWAY, SINGLE, WAVESPEED)}
    assert expected == {name: verdict and verdict.value for name, verdict in said.items()}


def test_what_an_accepted_reject_delivers_is_looked_at_too() -> None:
    """A body that should have been refused and was not is judged as accepted, and nothing else is wrong."""
    expected = [("negative_data_rejection", "fail", "num_images")]
    assert expected == accepted_as_reject(seen(FAL), "num_images", "above-maximum").findings()


@given(st.binary(max_size=300), st.integers(0, 4000), st.sampled_from(["PNG", "JPEG", "WEBP", "GIF"]))
def test_no_bytes_crash_the_reading_of_a_picture(noise: bytes, at: int, name: str) -> None:
    """Whatever bytes come, a picture is read or has a fault; none raises."""
    data = bytearray(drawn(format=name))
    place = at % len(data)
    data[place : place + len(noise)] = noise
    assert isinstance(picture(bytes(data)), Picture)


@pytest.mark.parametrize(("side", "expected"), [(8193, "8193 × 8193 pixels are over"), (20_000, "it cannot be opened")])
def test_a_decompression_bomb_is_not_decoded(side: int, expected: str) -> None:
    """A picture that claims more pixels than the limit is refused by its header."""
    header = bytearray(drawn())
    header[16:24] = (side).to_bytes(4) * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4)
    found = picture(bytes(header))
    assert expected == found.fault[: len(expected)]


def test_a_duplicate_message_is_said_once_in_json() -> None:
    """A finding is about the call, whatever the number of polls that show it."""
    one = seen(FAL)
    for at in range(len(one.call.of("status")) - 1):
        one = with_answer(one, "status", lambda a: a.update(queue_position="x"), at)
    found = [f for f in one.judged().findings if f.check == "response_schema_conformance"]
    assert len({json.dumps([f.message, f.observed]) for f in found}) == 1
    assert len(found) == 1
