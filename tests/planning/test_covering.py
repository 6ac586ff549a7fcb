"""The planes that arrays begin with, and the table that counts what a change of a cell loses."""

from __future__ import annotations

import random
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.planning.covering import Space, Table, plane


@pytest.mark.parametrize("order", [2, 3, 4, 5, 7, 8, 11, 13, 16, 17])
def test_every_two_columns_of_a_plane_meet_in_all_ways(order: int) -> None:
    """Once each: a column more than the order has values, in as few rows as two columns take."""
    rows = list(plane([order] * (order + 1)))
    assert len(rows) == order * order
    for one, two in combinations(range(order + 1), 2):
        assert {(row[one], row[two]) for row in rows} == set(product(range(order), repeat=2))


@pytest.mark.parametrize(
    "sizes", [(10, 7, 7, 6, 5, 3), (7, 6, 6), (9, 8, 2), (10, 10, 9), (5, 1), (1, 1), (3, 2, 2, 2, 2)]
)
def test_columns_may_be_smaller_than_the_plane_and_the_first_one_larger(sizes: tuple[int, ...]) -> None:
    """What is left over is None; as many columns as there are directions are filled."""
    rows = list(plane(sizes))
    order = max(len({row[n] for row in rows}) for n in range(1, len(sizes)))
    for one, two in combinations(range(min(len(sizes), order + 1)), 2):
        assert {(row[one], row[two]) for row in rows} >= set(product(range(sizes[one]), range(sizes[two])))
    assert {len(row) for row in rows} == {len(sizes)}


CELLS = st.tuples(*[st.integers(0, 2)] * 3)


@given(st.lists(CELLS, min_size=1, max_size=6), st.integers(0, 2**32))
def test_what_a_change_loses_is_what_a_new_count_says(values: list[tuple[int, ...]], seed: int) -> None:
    """Of rows of three parameters of three labels, of which some pairs are goals: foretold, and counted anew after it."""
    rng = random.Random(seed)
    of = [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    pairs = [pair for one, two in combinations(of, 2) for pair in product(one, two) if rng.random() < 0.7]
    wanted = [
        sum(1 << other for pair in pairs for other in pair if label in pair and other != label) for label in range(9)
    ]
    table = Table(Space([of], [[1 << n for n in range(9)]], [0], [1] * 9, None), wanted)
    for value in values:
        table.add([of[n][v] for n, v in enumerate(value)], 0)

    def missing() -> int:
        return sum(not any({*pair} <= {*row} for row in table.rows) for pair in pairs)

    assert table.missing == missing()
    for _ in range(10):
        row, parameter = rng.randrange(len(values)), rng.randrange(3)
        label = rng.choice(of[parameter])
        expected = table.missing + table.loss(row, parameter, label)
        table.change(row, parameter, label)
        assert (expected, missing()) == (table.missing, table.missing)
