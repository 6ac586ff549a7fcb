"""The search behind the arrays: rows of labels in which every wanted pair of marks stands together once.

Rules
-----
* A label carries **marks** (itself, its class), a row carries those of its labels and of its own kind, and a **goal** is
  two marks that some row has to carry together. Which labels a row may hold and which marks they carry depends on the
  row's kind. Marks are bits, sets of them integers: what a change of one cell loses and gains is two bit counts.
* A start is filled up greedily until every goal is met; then fewer rows are tried, halving the distance to the lower
  bound, each time repaired by a tabu search.
* A row that a constraint forbids is never made. A goal that no allowed row can meet is dropped; so is one for which
  ``NODES`` steps of backtracking find no row, the only place where a constraint can cost coverage.
* All effort is counted in steps, none in seconds, and chance comes from one ``random.Random``, of which ``random``,
  ``shuffle`` and ``randrange`` are used only: the same input and seed give the same rows on every machine.

The start for domains of at most q values is the affine plane of order q: lines through its points are rows in which every
two of q + 1 columns meet in all ways, which no search finds. (AETG, Cohen et al. 1997, for the greedy part; the tabu
search is that of Nurmela, 2004, on one missing pair at a time.)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, product
from typing import TypeVar

TRIES = 6
"""Rows that are tried for each one that is added."""
EFFORT = 15_000
"""Rows that a repair looks at: in a thousand steps of fifteen rows, or in fifty of three hundred."""
NODES = 1_000
"""Steps of backtracking after which a goal is given up."""
FEWEST, MOST = 3, 10
"""For how many steps a changed cell is left alone."""
PASSES = 8
"""How often all cells are looked at to polish a table."""
POLYNOMIALS: Mapping[int, int] = {4: 0b111, 8: 0b1011, 16: 0b10011}
"""The fields of a power of two: their irreducible polynomials."""

Cells = Mapping[int, int]
"""Part of a row: labels by parameter."""
Start = tuple[int, Cells]
"""The kind of a row to begin with, and the cells that are given."""
Holders = Sequence[Mapping[int, Sequence[tuple[int, int]]]]
"""By kind and mark: the cells (parameter, label) that carry it."""
Change = tuple[int, int, int]
"""A row, a parameter, and the label that its cell is to hold."""
Item = TypeVar("Item")


def bits(mask: int) -> Iterator[int]:
    """The places of a mask's ones, from the lowest."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


@dataclass(frozen=True, slots=True)
class Space:
    """What rows can be made of; parameters and labels are numbers.

    ``choices[kind][parameter]`` are labels, ``marks[kind][label]`` and ``own[kind]`` are masks, ``price[label]`` is what a
    label adds to the price of a row. ``allowed`` says whether part of a row may be sent (None: all may); an extension of
    one that may not be sent may not be sent either.
    """

    choices: Sequence[Sequence[Sequence[int]]]
    marks: Sequence[Sequence[int]]
    own: Sequence[int]
    price: Sequence[int]
    allowed: Callable[[Cells], bool] | None

    def holders(self, kind: int, marks: int) -> Mapping[int, list[tuple[int, int]]]:
        """The cells (parameter, label) that carry each of some marks in a kind of row."""
        found: dict[int, list[tuple[int, int]]] = {mark: [] for mark in bits(marks)}
        for parameter, labels in enumerate(self.choices[kind]):
            for label in labels:
                for mark in bits(self.marks[kind][label] & marks):
                    found[mark].append((parameter, label))
        return found

    def may_hold(self, row: Sequence[int]) -> bool:
        """Whether a whole row may be sent."""
        return self.allowed is None or self.allowed(dict(enumerate(row)))


class Table:
    """Rows, and in how many of them each goal is met. ``wanted[mark]`` is the mask of marks that it has to meet."""

    def __init__(self, space: Space, wanted: Sequence[int]) -> None:
        self.space, self.wanted = space, list(wanted)
        self.rows: list[list[int]] = []
        self.kinds: list[int] = []
        self.masks: list[int] = []
        self.never, self.once = list(wanted), [0] * len(wanted)
        self.missing = sum(mask.bit_count() for mask in wanted) // 2
        self._met = [[0] * len(wanted) for _ in wanted]

    def mask(self, cells: Cells, kind: int) -> int:
        """The marks that some cells and the kind carry."""
        mask = self.space.own[kind]
        for label in cells.values():
            mask |= self.space.marks[kind][label]
        return mask

    def news(self, mask: int) -> int:
        """How many missing goals a row with these marks meets."""
        return sum((self.never[mark] & mask).bit_count() for mark in bits(mask)) // 2

    def add(self, row: Sequence[int], kind: int, own: int = 0) -> None:
        """Add a row; ``own`` are marks that it carries beside those of its labels and kind."""
        mask = own | self.mask(dict(enumerate(row)), kind)
        self.rows.append(list(row))
        self.kinds.append(kind)
        self.masks.append(mask)
        for mark in bits(mask):
            self._count(mark, mask & (-1 << mark), 1)

    def change(self, row: int, parameter: int, label: int) -> None:
        """Put another label into a cell."""
        marks = self.space.marks[self.kinds[row]]
        old, new = marks[self.rows[row][parameter]], marks[label]
        others = self.masks[row] & ~old
        for mark in bits(old & ~new):
            self._count(mark, others, -1)
        for mark in bits(new & ~old):
            self._count(mark, others, 1)
        self.rows[row][parameter] = label
        self.masks[row] = others | new

    def loss(self, row: int, parameter: int, label: int) -> int:
        """How many more goals would be missing with another label in a cell; negative for fewer."""
        marks = self.space.marks[self.kinds[row]]
        old, new = marks[self.rows[row][parameter]], marks[label]
        others, lost = self.masks[row] & ~old, 0
        gone, come = old & ~new, new & ~old
        while gone:  # as ``bits`` does, but no other place is passed so often
            mark = gone.bit_length() - 1
            lost += (self.once[mark] & others).bit_count()
            gone ^= 1 << mark
        while come:
            mark = come.bit_length() - 1
            lost -= (self.never[mark] & others).bit_count()
            come ^= 1 << mark
        return lost

    def counted(self, space: Space, wanted: Sequence[int]) -> Table:
        """The same rows with other goals, in a space where rows are of one kind."""
        table = Table(space, wanted)
        for row in self.rows:
            table.add(row, 0)
        return table

    def drop(self, one: int, two: int) -> None:
        """Give up a missing goal."""
        for mark, other in ((one, two), (two, one)):
            self.wanted[mark] &= ~(1 << other)
            self.never[mark] &= ~(1 << other)
        self.missing -= 1

    def _count(self, mark: int, others: int, step: int) -> None:
        """Note that a mark meets some others once more, or once less."""
        met = self._met
        for other in bits(others & self.wanted[mark]):
            before = met[mark][other]
            after = met[mark][other] = met[other][mark] = before + step
            if not before or not after:
                self.never[mark] ^= 1 << other
                self.never[other] ^= 1 << mark
                self.missing -= step
            if before == 1 or after == 1:
                self.once[mark] ^= 1 << other
                self.once[other] ^= 1 << mark


# Rows ---------------------------------------------------------------------------------------------------------------


def plane(sizes: Sequence[int]) -> Iterator[tuple[int | None, ...]]:
    """Rows of value numbers in which every two of the first columns meet in all ways; None where any value will do.

    ``sizes`` fall, and there are two of them at least. As many columns as the plane has directions are filled; the first
    one may have more values than the others.
    """
    order = next(n for n in count(max(2, sizes[1])) if n in POLYNOMIALS or all(n % d for d in range(2, n)))
    for x, y in product(range(max(sizes[0], order)), range(order)):
        column = (_sum(y, _times(slope, x % order, order), order) for slope in range(order))
        row = [x, *column, *[order] * len(sizes)]
        yield tuple(value if value < size else None for value, size in zip(row, sizes, strict=False))


def _sum(one: int, two: int, order: int) -> int:
    return one ^ two if order in POLYNOMIALS else (one + two) % order


def _times(one: int, two: int, order: int) -> int:
    if order not in POLYNOMIALS:
        return one * two % order
    found = 0
    for bit in reversed(range(two.bit_length())):
        found <<= 1
        found ^= POLYNOMIALS[order] if found >= order else 0
        found ^= one if two >> bit & 1 else 0
    return found


def completed(table: Table, kind: int, cells: Cells, rng: random.Random) -> list[int] | None:
    """A row with given cells, the others chosen to meet as many missing goals as they can; None if no row is allowed."""
    space = table.space
    if space.allowed is not None and not space.allowed(cells):
        return None
    holes = [parameter for parameter in range(len(space.choices[kind])) if parameter not in cells]
    rng.shuffle(holes)
    row = _greedily(table, kind, cells, holes, rng)
    if row is None:
        row = _backtracking(table, kind, cells, holes, rng, nodes=iter(range(NODES)))
    return None if row is None else [row[parameter] for parameter in range(len(space.choices[kind]))]


def _best_first(table: Table, kind: int, cells: Cells, labels: Sequence[int], rng: random.Random) -> list[int]:
    """Labels by the missing goals that they would meet, the cheaper of equals first."""
    mask, marks = table.mask(cells, kind), table.space.marks[kind]

    def key(label: int) -> tuple[int, int, float]:
        met = sum((table.never[mark] & mask).bit_count() for mark in bits(marks[label]))
        return -met, table.space.price[label], rng.random()

    return sorted(labels, key=key)


def _greedily(table: Table, kind: int, cells: Cells, holes: Sequence[int], rng: random.Random) -> Cells | None:
    """A row without looking back; None where that ends at a constraint."""
    allowed, row = table.space.allowed, dict(cells)
    for parameter in holes:
        labels = _best_first(table, kind, row, table.space.choices[kind][parameter], rng)
        label = next((one for one in labels if allowed is None or allowed({**row, parameter: one})), None)
        if label is None:
            return None
        row[parameter] = label
    return row


def _backtracking(
    table: Table, kind: int, cells: Cells, holes: Sequence[int], rng: random.Random, *, nodes: Iterator[int]
) -> Cells | None:
    """A row by exhaustive search, the parameter with the fewest labels left first; None for none within the nodes."""
    if not holes:
        return cells
    allowed = table.space.allowed or (lambda _: True)
    left = {p: [one for one in table.space.choices[kind][p] if allowed({**cells, p: one})] for p in holes}
    parameter = min(holes, key=lambda hole: len(left[hole]))
    rest = [hole for hole in holes if hole != parameter]
    for label in _best_first(table, kind, cells, left[parameter], rng):
        if next(nodes, None) is None:
            return None
        found = _backtracking(table, kind, {**cells, parameter: label}, rest, rng, nodes=nodes)
        if found is not None:
            return found
    return None


# Tables -------------------------------------------------------------------------------------------------------------


def begun(space: Space, wanted: Sequence[int], start: Sequence[Start], rng: random.Random) -> Table:
    """A table of completed starts, of whose cells as many are kept as constraints allow."""
    table = Table(space, wanted)
    for kind, given in start:
        cells: dict[int, int] = {}
        for parameter, label in given.items():
            if space.allowed is None or space.allowed({**cells, parameter: label}):
                cells[parameter] = label
        row = completed(table, kind, cells, rng)
        while row is None and cells:
            cells.popitem()
            row = completed(table, kind, cells, rng)
        if row is not None:
            table.add(row, kind)
    return table


def grow(table: Table, kind: int, rng: random.Random) -> None:
    """Add rows of a kind until they meet every goal that one can meet; the others of its goals are dropped."""
    space = table.space
    holders = space.holders(kind, (1 << len(table.wanted)) - 1)
    able = space.own[kind] | sum(1 << mark for mark, cells in holders.items() if cells)
    for one in bits(able):
        while table.never[one] & able:
            two = next(bits(table.never[one] & able))
            ways = [dict(cells) for cells in product(*(holders[mark] for mark in (one, two) if holders[mark]))]
            rng.shuffle(ways)
            way = next((way for way in ways if completed(table, kind, way, rng)), None)
            if way is None:
                table.drop(one, two)
                continue
            rows = [row for _ in range(TRIES) if (row := completed(table, kind, way, rng))]
            table.add(max(rows, key=lambda row: _worth(table, kind, row)), kind)


def _worth(table: Table, kind: int, row: Sequence[int]) -> tuple[int, int]:
    return table.news(table.mask(dict(enumerate(row)), kind)), -sum(table.space.price[label] for label in row)


def smallest(space: Space, wanted: Sequence[int], kind: int, start: Sequence[Cells], rng: random.Random) -> Table:
    """A table of rows of one kind that meet every goal that can be met, with as few rows as the search finds."""
    starts = [(kind, cells) for cells in start]
    best = begun(space, wanted, starts, rng)
    grow(best, kind, rng)
    wanted = tuple(best.wanted)
    low = _bound(space, wanted, kind)
    while low < len(best.rows):
        size = (low + len(best.rows) - 1) // 2
        table = begun(space, wanted, [*starts, *[(kind, {})] * size][:size], rng)
        if search(table, EFFORT // size, rng):
            best = table
        else:
            low = size + 1
    return best


def _bound(space: Space, wanted: Sequence[int], kind: int) -> int:
    """The rows that the goals between two parameters take at least, since a row meets one of them."""
    masks = [0] * len(space.choices[kind])
    for parameter, labels in enumerate(space.choices[kind]):
        for label in labels:
            masks[parameter] |= space.marks[kind][label]
    columns = [space.own[kind], *masks]
    sizes = [
        sum((wanted[mark] & other).bit_count() for mark in bits(one))
        for number, one in enumerate(columns)
        for other in columns[number + 1 :]
    ]
    return max(sizes, default=0)


def search(table: Table, steps: int, rng: random.Random) -> bool:
    """Whether so many changes of cells, each of which meets a missing goal, leave none missing; they stay made."""
    everything = (1 << len(table.wanted)) - 1
    holders = [table.space.holders(kind, everything) for kind in range(len(table.space.choices))]
    held: dict[tuple[int, int], int] = {}
    fewest = table.missing
    for step in range(steps):
        if not table.missing:
            break
        one = _any([mark for mark, missed in enumerate(table.never) if missed], rng)
        two = _any(list(bits(table.never[one])), rng)
        held = {cell: until for cell, until in held.items() if until >= step}
        changes = _best_changes(table, holders, (one, two), held, fewest)
        for row, parameter, label in [_any(changes, rng)] if changes else _both(table, holders, (one, two), rng):
            table.change(row, parameter, label)
            held[row, parameter] = step + FEWEST + rng.randrange(MOST - FEWEST)
        fewest = min(fewest, table.missing)
    return not table.missing


def _best_changes(
    table: Table, holders: Holders, goal: tuple[int, int], held: Collection[tuple[int, int]], fewest: int
) -> list[Change]:
    """The changes of one cell that meet a goal and lose least, the cheapest of them; a held cell only for a record."""
    space, best, found = table.space, (len(table.wanted) ** 2, 0), list[Change]()
    for row, (mask, kind) in enumerate(zip(table.masks, table.kinds, strict=True)):
        for has, lacks in (goal, goal[::-1]):
            for parameter, label in holders[kind][lacks] if mask >> has & 1 else ():
                loss = table.loss(row, parameter, label)
                if loss > best[0] or ((row, parameter) in held and table.missing + loss >= fewest):
                    continue
                key = (loss, space.price[label] - space.price[table.rows[row][parameter]])
                if key <= best and space.may_hold(_with(table.rows[row], parameter, label)):
                    found = [*found, (row, parameter, label)] if key == best else [(row, parameter, label)]
                    best = key
    return found


def _both(table: Table, holders: Holders, goal: tuple[int, int], rng: random.Random) -> list[Change]:
    """Changes of two cells that meet a goal in any row, where no row carries one half of it; none where that fails."""
    row = rng.randrange(len(table.rows))
    changed, changes = table.rows[row], list[Change]()
    for mark in goal:
        cells = holders[table.kinds[row]][mark]
        if not table.masks[row] >> mark & 1:
            if not cells:
                return []
            parameter, label = _any(cells, rng)
            changed = _with(changed, parameter, label)
            changes.append((row, parameter, label))
    return changes if table.space.may_hold(changed) else []


def polish(table: Table, wishes: Sequence[Table]) -> None:
    """Change cells as long as no goal is lost and the price falls, or else the first wish that is touched at all gains.

    A change is another label in a cell, or two labels of a parameter exchanged between rows. ``wishes`` are tables of the
    same rows with goals of their own; they are changed along.
    """
    every = (table, *wishes)
    for _ in range(PASSES):
        before = list(map(tuple, table.rows))
        cells = list(product(range(len(table.rows)), range(len(table.space.choices[0]))))
        for row, parameter in cells:
            for label in table.space.choices[table.kinds[row]][parameter]:
                _replace(every, row, parameter, label)
        for (one, parameter), two in product(cells, range(len(table.rows))):
            if one < two:
                _exchange(every, one, two, parameter)
        if before == list(map(tuple, table.rows)):
            return


def _replace(tables: Sequence[Table], row: int, parameter: int, label: int) -> None:
    """Put another label into a cell of tables of the same rows, if the first loses nothing and something is gained."""
    table, *wishes = tables
    old, space = table.rows[row][parameter], table.space
    if label == old or table.loss(row, parameter, label) > 0:
        return
    gained = [space.price[label] - space.price[old], *(wish.loss(row, parameter, label) for wish in wishes)]
    if next(filter(None, gained), 0) < 0 and space.may_hold(_with(table.rows[row], parameter, label)):
        for one in tables:
            one.change(row, parameter, label)


def _exchange(tables: Sequence[Table], one: int, two: int, parameter: int) -> None:
    """Exchange two labels of different prices in rows of one kind, if the first table loses nothing and another gains."""
    table = tables[0]
    first, second = table.rows[one][parameter], table.rows[two][parameter]
    price, may_hold = table.space.price, table.space.may_hold
    if price[first] == price[second] or table.kinds[one] != table.kinds[two]:
        return
    if not (may_hold(_with(table.rows[one], parameter, second)) and may_hold(_with(table.rows[two], parameter, first))):
        return
    before = [each.missing for each in tables]
    _cross(tables, one, two, parameter)
    lost = [each.missing - had for each, had in zip(tables, before, strict=True)]
    if lost[0] > 0 or next(filter(None, lost), 0) >= 0:
        _cross(tables, one, two, parameter)


def _cross(tables: Sequence[Table], one: int, two: int, parameter: int) -> None:
    """Exchange the labels of two rows, in each of some tables of the same rows."""
    for table in tables:
        first, second = table.rows[one][parameter], table.rows[two][parameter]
        table.change(one, parameter, second)
        table.change(two, parameter, first)


def _with(row: Sequence[int], parameter: int, label: int) -> list[int]:
    return [*row[:parameter], label, *row[parameter + 1 :]]


def _any(items: Sequence[Item], rng: random.Random) -> Item:
    return items[rng.randrange(len(items))]
