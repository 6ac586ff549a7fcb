"""How verdicts are ordered and merged."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from harness.model import VERDICT_ORDER, Verdict, worst

VERDICTS = st.sampled_from(list(Verdict))
SOME = st.lists(VERDICTS, max_size=6)


def test_the_order_is_fail_unknown_warn_pass() -> None:
    """Of two neighbours the later one wins, and every verdict has its place."""
    expected = [Verdict.WARN, Verdict.UNKNOWN, Verdict.FAIL]
    assert expected == [worst([a, b]) for a, b in pairwise(VERDICT_ORDER)]
    assert set(Verdict) == set(VERDICT_ORDER)


@given(SOME, SOME, SOME)
def test_merging_is_associative(one: list[Verdict], two: list[Verdict], three: list[Verdict]) -> None:
    """However findings are grouped, the whole is as bad as its worst."""
    assert worst([worst([*one, *two]), *three]) == worst([*one, worst([*two, *three])])


@given(SOME.flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_merging_is_commutative(both: tuple[list[Verdict], list[Verdict]]) -> None:
    """The order in which findings come does not matter."""
    assert worst(both[0]) == worst(both[1])


@given(SOME, VERDICTS)
def test_merging_keeps_its_neutral_element_and_never_improves(some: list[Verdict], more: Verdict) -> None:
    """Nothing found is a pass, a pass changes nothing, and a further finding never makes it better."""
    assert worst(some) == worst([*some, Verdict.PASS])
    assert VERDICT_ORDER.index(worst(some)) <= VERDICT_ORDER.index(worst([*some, more]))
    assert worst([]) == Verdict.PASS
