"""Where Hypothesis draws: each label is a strategy, each row of labels a dictionary of them.

Rules
-----
* A boundary is ``just`` its value, an interior its range, a text its alphabet. What a plan freezes, what is explored and
  what users draw in tests of their own comes from these strategies: there is no second list of values.
* What is drawn for a key depends on the strategy and the key alone, never on what was drawn before: a hash of the key is
  the whole entropy of one example (``fuzz_one_input``).
* Unicode texts hold CJK, emoji, right-to-left and combining characters, each in every text that has room for them.
* Alphabets are listed, not looked up: Hypothesis' table of all characters takes seconds to make, and only patterns need it.
* Nothing imports this module at its start but ``strategies``: Hypothesis is slow to import, and a replay must not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, currently_in_test_context, given, seed, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

from harness.model import Json
from harness.planning.labels import ABSENT, Grid, Label, Matching, Range, Sentences, Text
from harness.planning.prompts import PROMPTS, prompt

ENTROPY = 1 << 14
"""Bytes of entropy for an example: more than any row takes."""
TRIES = 24
"""How many examples are looked at for one that is wanted."""
WORD = 6
"""The most characters of a script in a row, so that short texts mix scripts too."""
Drawn = TypeVar("Drawn")


def _span(first: int, last: int) -> str:
    return "".join(map(chr, range(first, last + 1)))


PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in "\"\\<>'`&{}%")
SCRIPTS = {
    "cjk": _span(0x4E00, 0x4FFF) + _span(0x3042, 0x3093) + _span(0xAC00, 0xAC7F),
    "emoji": "🎨🦊🌍🚀🏔🌸🖌🐙🎈🌈",
    "right to left": _span(0x05D0, 0x05EA) + _span(0x0621, 0x063A),
}
BASES, MARKS = "aeiounscz", "\u0300\u0301\u0302\u0303\u0308\u030a\u030c\u0327"
COMBINED = [base + mark for base in BASES for mark in MARKS]


def strategy(label: Label) -> SearchStrategy[Json]:
    """The values that a label stands for; meaningless for one that is absent."""
    return st.one_of(*map(_of_range, label.among)) if label.among else st.just(label.value)


@cache
def _of_range(one: Range) -> SearchStrategy[Any]:
    match one:
        case Grid(first, last, _, without):
            numbers = st.integers(first, last).map(one.value)
            return numbers.filter(lambda value: value not in without) if without else numbers
        case Sentences(most):
            return st.integers(1, PROMPTS).map(lambda number: prompt(number)[:most])
        case Text(least, most, unicode=True):
            return _unicode(least, most)
        case Text(least, most):
            return st.lists(st.sampled_from(PLAIN), min_size=least, max_size=most).map("".join)
        case Matching(pattern, least, most):
            bounded = st.from_regex(pattern, fullmatch=True)
            return bounded.filter(lambda text: least <= len(text) and (most is None or len(text) <= most))


def _unicode(least: int, most: int) -> SearchStrategy[str]:
    """Texts of all scripts by turns, cut to their length; a combining mark stays with its base."""
    each = [st.lists(st.sampled_from(script), min_size=1, max_size=WORD).map("".join) for script in SCRIPTS.values()]
    combined = st.lists(st.sampled_from(COMBINED), min_size=1, max_size=WORD // 2).map("".join)
    return st.tuples(*each, combined).map(partial(_sized, least=least, most=most))


def _sized(words: tuple[str, ...], least: int, most: int) -> str:
    text = " ".join(words)
    while len(text) < least:
        text += " " + text
    return text[:most] if len(text) > most else text


def row(labels: Mapping[str, Label], turns: Mapping[str, int]) -> SearchStrategy[dict[str, Json]]:
    """The requests that a row of labels stands for; of a label's ranges the one whose ``turns`` it is."""
    return st.fixed_dictionaries(
        {
            name: _of_range(label.among[turns.get(name, 0) % len(label.among)]) if label.among else st.just(label.value)
            for name, label in labels.items()
            if not label.absent
        }
    )


def drawn(
    strategy: SearchStrategy[Drawn], key: Hashable, wanted: Callable[[Drawn], bool] = lambda _: True
) -> Drawn | None:
    """An example of a strategy, decided by a key (its ``repr``); None when none of ``TRIES`` is wanted."""
    if currently_in_test_context():  # somebody plans within a test of Hypothesis', where no other may be begun
        with ThreadPoolExecutor(1) as apart:
            return apart.submit(_drawn, strategy, repr(key), wanted).result()
    return _drawn(strategy, repr(key), wanted)


def _drawn(strategy: SearchStrategy[Drawn], key: str, wanted: Callable[[Drawn], bool]) -> Drawn | None:
    found: list[Drawn] = []

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def draw(example: Drawn) -> None:
        found.append(example)

    for entropy in _entropies(key):
        _fuzz(draw, entropy)
        if found and wanted(found[-1]):
            return found[-1]
    return None


def _entropies(key: str) -> Iterator[bytes]:
    """The entropy of each try for a key."""
    return (hashlib.shake_256(f"{key}/{attempt}".encode()).digest(ENTROPY) for attempt in range(TRIES))


def _fuzz(test: Callable[[], None], entropy: bytes) -> None:
    test.hypothesis.fuzz_one_input(entropy)  # type: ignore[attr-defined] # given adds it


class _Shown(Exception):
    """An example shows what is to be shown."""


def shrunk(strategy: SearchStrategy[Drawn], key: Hashable, shows: Callable[[Drawn], bool]) -> None:
    """Ask about ever smaller examples whether they show what the example of a key shows, until none smaller does.

    The smallest is the last one of which ``shows`` has said so; nothing is asked where the key's example does not.
    """
    database = InMemoryExampleDatabase()

    @settings(
        database=database,
        deadline=None,
        phases=[Phase.reuse, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @seed(0)  # the same way down each time: else the smallest request of a run is a matter of luck
    @given(strategy)
    def test(example: Drawn) -> None:
        if shows(example):
            raise _Shown

    for entropy in _entropies(repr(key)):
        # What fails here is kept in the database, from which Hypothesis takes it up and shrinks it.
        with suppress(_Shown):
            _fuzz(test, entropy)
        if any(database.data.values()):
            with suppress(_Shown, Flaky):
                test()
            return


def requests(
    domains: Mapping[str, Sequence[Label]], fixed: Mapping[str, Json]
) -> SearchStrategy[tuple[Mapping[str, str], dict[str, Json]]]:
    """Requests of any labels, each with the labels' names: what has an ``absent`` is left out at times."""
    given = {name: [label for label in domain if not label.absent] for name, domain in domains.items()}
    members = {name: _named(labels) for name, labels in given.items() if labels}
    always = {name: one for name, one in members.items() if len(given[name]) == len(domains[name])}
    maybe = {name: one for name, one in members.items() if name not in always}

    def apart(drawn: Mapping[str, tuple[str, Json]]) -> tuple[Mapping[str, str], dict[str, Json]]:
        return (
            {name: drawn[name][0] if name in drawn else ABSENT for name in members},
            {**fixed, **{name: drawn[name][1] for name in members if name in drawn}},
        )

    return st.fixed_dictionaries(always, optional=maybe).map(apart)


def _named(labels: Sequence[Label]) -> SearchStrategy[tuple[str, Json]]:
    """A label's name with one of its values; labels without a range are one strategy, which is faster than many."""
    plain = [(label.name, label.value) for label in labels if not label.among]
    ranges = [strategy(label).map(partial(_pair, label.name)) for label in labels if label.among]
    return st.one_of(*([st.sampled_from(plain)] if plain else []), *ranges)


def _pair(name: str, value: Json) -> tuple[str, Json]:
    return name, value


@cache
def matching(pattern: str, least: int = 0, most: int | None = None) -> str | None:
    """A text with a match of a pattern and so many characters; None when none is found, or the pattern is none."""
    try:
        re.compile(pattern)
        return drawn(_of_range(Matching(pattern, least, most)), (pattern, least, most))
    except re.error:
        return None
