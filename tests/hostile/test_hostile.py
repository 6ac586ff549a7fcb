"""Every behaviour of the hostile provider, over real sockets: what the user is told, and what did not happen."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from harness.engine import SPARE_DOWNLOADS
from tests.hostile.behaviours import ROWS
from tests.hostile.stage import CDN, Outcome, played
from tests.leaks import KEY, leaks

READ = 20_000
"""Bytes that the patient reader is given at a time; they overlap by half."""


def test_every_behaviour_has_the_verdict_that_a_user_expects(tmp_path):
    """Each row: check and verdict, the run's verdict, exit status and charge; and over all of them what must be zero.

    Nothing is connected to but the provider and what is public; no body is posted twice; no byte of the key and no
    cookie goes abroad; no byte of the key is written; of a flood of files few are asked for.
    """
    found = _found(tmp_path)  # a failing assertion would write the whole stage out
    assert found["told"] == {row.name: row.expected for row in ROWS}
    assert found["strange connections"] == []
    assert found["posted twice"] == []
    assert found["credentials abroad"] == []
    assert found["cookies"] == []
    assert found["key written"] == []
    assert found["files of a flood"] == 1 + SPARE_DOWNLOADS


def _found(place: Path) -> dict[str, Any]:
    stage, connected = played(ROWS, place)
    provider, outcomes = stage.provider, stage.outcomes
    return {
        "told": {row.name: outcomes[row.name].told(row) for row in ROWS},
        "strange connections": [address for address in connected if address[1] not in stage.ports],
        "posted twice": [name for name in provider.rows if max(provider.posts(name).values()) > 1],
        "credentials abroad": _abroad(provider.abroad),
        "cookies": [name for name in provider.rows if _cookies(provider.asked[name])],
        "key written": [name for name, outcome in outcomes.items() if _written(name, outcome)],
        "files of a flood": len(provider.abroad["images-without-number"]),
    }


def _abroad(requests: dict[str, list[bytes]]) -> list[str]:
    """The rows whose requests to the public internet hold a credential, a cookie or any spelling of the key."""
    wrong = []
    for name, sent in requests.items():
        data = b"\n".join(dict.fromkeys(sent))
        said = any(word in data.lower() for word in (b"authorization", b"cookie", b"x-api-key"))
        if said or leaks(data[:READ], KEY, depth=1):
            wrong.append(name)
    return wrong


def _cookies(asked: list[tuple[str, bytes]]) -> bool:
    return any(b"\r\ncookie:" in data.lower() for _, data in asked)


def _written(name: str, outcome: Outcome) -> bool:
    """Whether any of the key can be read in what a row's run wrote; patiently where the provider has said it."""
    for data in outcome.written():
        if KEY.lower().encode() in data.lower():
            return True
        if name.startswith("key-"):
            pieces = (data[start : start + READ] for start in range(0, max(1, len(data)), READ // 2))
            if any(leaks(piece, KEY, depth=2) for piece in pieces):
                return True
    return False


def test_the_table_is_large_and_its_names_are_unique():
    """At least 80 behaviours beside the healthy ones, of every kind: addresses, bytes, values, pictures, texts, keys."""
    names = Counter(row.name for row in ROWS)
    hostile = [row for row in ROWS if not row.name.startswith("healthy")]
    assert (len(hostile) >= 80, max(names.values())) == (True, 1)
    assert {"fail", "unknown", "pass"} == {row.verdict for row in hostile}
    assert CDN not in {row.name for row in ROWS}
