"""Which labels to send together: few rows, few images, much coverage.

Rules
-----
* A row names one label for each parameter. Three tiers: ``one_way`` holds every label once; ``core`` every label and every
  pair of classes; ``pairwise`` every pair of labels.
* A row costs as many images as ``cost`` says. Of labels that cover as much, the cheapest is taken. In ``core``, classes
  that multiply the price are kept **apart**: they are paired with interacting parameters only; their other pairs are taken
  along where they cost nothing.
* A **disputed** label may be refused with good reason, and a refused row shows nothing of what else it holds. In ``core``
  a pair of classes that have undisputed labels is met in a row of undisputed labels, and so is each undisputed label.
* ``allowed`` tells of part of a row whether it may be sent: no row breaks it, and what no allowed row can hold is not
  covered. A part that may not be sent must not become one that may by adding to it.
* Rows come in the order in which a budget that ends early has lost least: first the fewest found that hold every label,
  then by new coverage for each image; of rows that add as much, undisputed ones first.
* The same input gives the same rows on every machine. Effort is counted in steps: 30 parameters of 12 labels take some
  seconds; beyond, time and memory grow with the square of the number of labels.
* A parameter without labels is in no row; without parameters there are no rows.

``covering`` does the searching; here stands what is searched for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from harness.planning.covering import Cells, Space, Table, bits, plane, polish, search, smallest

Domains = Mapping[str, Mapping[str, str]]
"""The class of each label of each parameter."""
Row = Mapping[str, str]
"""The label of each parameter."""
Cost = Callable[[Row], int]
"""The images that a row asks for."""
Allowed = Callable[[Row], bool]
"""Whether part of a row may be sent."""
Named = Mapping[str, Collection[str]]
"""Some labels, or some classes, of some parameters."""

SURE, OTHER = 0, 1
"""Kinds of rows: of undisputed labels only, and of any."""
EARLY_STEPS, EARLY_TRIES, EARLY_MORE = 400, 4, 3
"""Steps and tries to get every label into the first rows, and how many more rows than needed these may be."""
ORDER_STEPS = 4_000
"""Steps of the search for the fewest rows that hold every label."""


class _Numbered:
    """Domains as numbers: parameters, labels and classes in their order; ``of[parameter]`` are its labels."""

    def __init__(self, domains: Domains, cost: Cost, disputed: Named | None, allowed: Allowed | None) -> None:
        self.names = [name for name, domain in domains.items() if domain]
        self.labels = [(name, label) for name in self.names for label in domains[name]]
        self.of = [[n for n, (owner, _) in enumerate(self.labels) if owner == name] for name in self.names]
        kinds = [(name, domains[name][label]) for name, label in self.labels]
        self.classes = list(dict.fromkeys(kinds))
        self.class_of = [self.classes.index(kind) for kind in kinds]
        self.disputed = {n for n, (name, label) in enumerate(self.labels) if label in (disputed or {}).get(name, ())}
        plain = {name: next(iter(domains[name])) for name in self.names}
        self.price = [cost({**plain, name: label}) for name, label in self.labels]
        self.allowed = None if allowed is None else lambda cells: allowed(self.row(cells))

    def row(self, cells: Cells) -> dict[str, str]:
        """Part of a row by its names, in the order of the parameters."""
        return {self.names[parameter]: self.labels[cells[parameter]][1] for parameter in sorted(cells)}

    def rows(self, table: Table, first: Collection[int]) -> list[Row]:
        """A table's rows by their names: the first ones before the others, of both the undisputed ones before the others."""
        order = sorted(
            range(len(table.rows)), key=lambda n: (n not in first, not self.disputed.isdisjoint(table.rows[n]))
        )
        return [self.row(dict(enumerate(table.rows[n]))) for n in order]

    def owners(self, classes: Iterable[int]) -> frozenset[str]:
        """The parameters of some classes."""
        return frozenset(self.classes[one][0] for one in classes)

    def cheapest(self, labels: Sequence[int]) -> list[int]:
        """Those of some labels that have the lowest price."""
        return [label for label in labels if self.price[label] == min(self.price[one] for one in labels)]

    def space(self, marks: Sequence[int], own: int) -> Space:
        """What rows of one kind can be made of, by the marks of each label and those of every row."""
        return Space([self.of], [marks], [own], self.price, self.allowed)


def _masks(size: int, goals: Iterable[tuple[int, int]]) -> list[int]:
    """Goals as the mask of marks that each of so many marks has to meet."""
    masks = [0] * size
    for one, two in goals:
        masks[one] |= 1 << two
        masks[two] |= 1 << one
    return masks


def _across(groups: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Every pair of members of two groups."""
    for ones, twos in combinations(groups, 2):
        yield from product(ones, twos)


# Tiers --------------------------------------------------------------------------------------------------------------


def one_way(
    domains: Domains, *, seed: int, cost: Cost, allowed: Allowed | None = None, disputed: Named | None = None
) -> list[Row]:
    """As many rows as the largest domain has labels, with every label; more only where constraints take more.

    Where a domain is smaller, its cheapest undisputed labels are repeated, beside disputed labels of others if possible.
    """
    numbered, rng = _Numbered(domains, cost, disputed, allowed), random.Random(seed)  # noqa: S311 - a plan, no secret
    size = len(numbered.labels)
    space = numbered.space([1 << label for label in range(size)], 1 << size)
    start = list(_columns(numbered, rng))
    table = smallest(space, _masks(size + 1, ((label, size) for label in range(size))), SURE, start, rng)
    return ordered(numbered.rows(table, range(len(table.rows))), domains, cost=cost)


def _columns(numbered: _Numbered, rng: random.Random) -> Iterator[Cells]:
    """Rows that hold every label, the disputed ones in as many rows as there are."""
    length = max(map(len, numbered.of), default=0)
    places = list(range(length))
    rng.shuffle(places)
    disputed = {label: places[n % length] for n, label in enumerate(sorted(numbered.disputed))}
    columns: list[dict[int, int]] = []
    for labels in numbered.of:
        column = {disputed[label]: label for label in labels if label in disputed}
        sure = [label for label in labels if label not in column.values()]
        rng.shuffle(sure)
        again = numbered.cheapest([label for label in sure if label not in disputed] or labels)
        free = sorted((n for n in places if n not in column), key=lambda place: place in disputed.values())
        column |= {place: sure[n] if n < len(sure) else again[n % len(again)] for n, place in enumerate(free)}
        columns.append(column)
    for place in range(length):
        yield {parameter: column[place] for parameter, column in enumerate(columns)}


def pairwise(domains: Domains, *, seed: int, cost: Cost, allowed: Allowed | None = None) -> list[Row]:
    """Rows that hold every label, and every pair of labels of two parameters, that an allowed row can hold."""
    numbered, rng = _Numbered(domains, cost, None, allowed), random.Random(seed)  # noqa: S311 - a plan, no secret
    size = len(numbered.labels)
    space = numbered.space([1 << label for label in range(size)], 1 << size)
    wanted = _masks(size + 1, [*_across(numbered.of), *((label, size) for label in range(size))])
    table = smallest(
        space, wanted, SURE, _on_plane(numbered, [[[n] for n in labels] for labels in numbered.of], rng), rng
    )
    polish(table, ())
    return ordered(numbered.rows(table, ()), domains, cost=cost)


def core(
    domains: Domains,
    *,
    seed: int,
    cost: Cost,
    allowed: Allowed | None = None,
    disputed: Named | None = None,
    apart: Named | None = None,
    interacting: Collection[tuple[str, str]] = (),
) -> list[Row]:
    """Rows that hold every label and every pair of classes of two parameters that an allowed row can hold.

    ``apart`` names classes that are paired only with the parameters that ``interacting`` names with theirs. As many of the
    first rows as the largest domain has labels, or a few more, hold every label.
    """
    numbered, rng = _Numbered(domains, cost, disputed, allowed), random.Random(seed)  # noqa: S311 - a plan, no secret
    marks = _CoreMarks(len(numbered.classes), len(numbered.labels))
    kept = {n for n, (name, kind) in enumerate(numbered.classes) if kind in (apart or {}).get(name, ())}
    pairs = list(_across([sorted({numbered.class_of[n] for n in labels}) for labels in numbered.of]))
    together = {frozenset(pair) for pair in interacting}
    optional = {pair for pair in pairs if kept & {*pair} and numbered.owners(pair) not in together}
    tables = _sure_and_rest(marks, numbered, [pair for pair in pairs if pair not in optional], rng)
    table, first = _labels_early(marks, *tables, max(map(len, numbered.of), default=0), rng)
    polish(table, [_classes_met(numbered, table, optional), _labels_met(numbered, table)])
    return ordered(numbered.rows(table, first), domains, cost=cost)


def _sure_and_rest(
    marks: _CoreMarks, numbered: _Numbered, pairs: Iterable[tuple[int, int]], rng: random.Random
) -> tuple[Table, Table]:
    """Rows of undisputed labels that meet what these can meet, and rows of any labels that meet what is left."""
    sure = {numbered.class_of[label] for label in range(marks.labels) if label not in numbered.disputed}
    doubtful = {n for n in range(marks.classes) if n not in sure} | {marks.label(n) for n in numbered.disputed}
    goals = [*pairs, *((marks.kind, marks.label(n)) for n in range(marks.labels))]
    space, start = marks.space(numbered), _on_plane(numbered, _groups(numbered), rng)
    table = smallest(space, _masks(marks.size, (goal for goal in goals if not doubtful & {*goal})), SURE, start, rng)
    left = [marks.elsewhere(goal) for goal in goals if not table.wanted[goal[0]] >> goal[1] & 1]
    return table, smallest(space, _masks(marks.size, left), OTHER, [], rng)


def _classes_met(numbered: _Numbered, table: Table, pairs: Iterable[tuple[int, int]]) -> Table:
    """The same rows, with some pairs of classes as goals."""
    space = numbered.space([1 << kind for kind in numbered.class_of], 0)
    return table.counted(space, _masks(len(numbered.classes), pairs))


def _labels_met(numbered: _Numbered, table: Table) -> Table:
    """The same rows, with every pair of labels of two parameters as a goal."""
    size = len(numbered.labels)
    space = numbered.space([1 << label for label in range(size)], 0)
    return table.counted(space, _masks(size, _across(numbered.of)))


@dataclass(frozen=True, slots=True)
class _CoreMarks:
    """How the marks of ``core`` are numbered: the classes, the kind of a row, the same for the other kind, labels, first.

    A class is another mark in a row of the other kind, so that what is met there does not count for rows that are sure.
    """

    classes: int
    labels: int

    @property
    def kind(self) -> int:
        """To be a row of undisputed labels."""
        return self.classes

    @property
    def first(self) -> int:
        """To be one of the first rows."""
        return 2 * (self.classes + 1) + self.labels

    @property
    def size(self) -> int:
        """How many marks there are."""
        return self.first + 1

    def label(self, label: int) -> int:
        """To hold a label, in a row of any kind."""
        return 2 * (self.classes + 1) + label

    def elsewhere(self, goal: tuple[int, int]) -> tuple[int, int]:
        """A goal of sure rows as one of other rows."""
        one, two = (mark + self.classes + 1 if mark <= self.classes else mark for mark in goal)
        return one, two

    def space(self, numbered: _Numbered) -> Space:
        """What rows of both kinds can be made of."""
        sure = [[label for label in labels if label not in numbered.disputed] for labels in numbered.of]
        shifts = (0, self.classes + 1)
        marks = [
            [1 << shift + kind | 1 << self.label(n) for n, kind in enumerate(numbered.class_of)] for shift in shifts
        ]
        own = [1 << shift + self.kind for shift in shifts]
        return Space([sure, numbered.of], marks, own, numbered.price, numbered.allowed)


def _groups(numbered: _Numbered) -> list[list[list[int]]]:
    """The undisputed labels by parameter and class."""
    found = []
    for labels in numbered.of:
        by_class: dict[int, list[int]] = {}
        for label in labels:
            if label not in numbered.disputed:
                by_class.setdefault(numbered.class_of[label], []).append(label)
        found.append(list(by_class.values()))
    return found


def _on_plane(numbered: _Numbered, groups: Sequence[Sequence[Sequence[int]]], rng: random.Random) -> list[Cells]:
    """Rows in which every two groups of most parameters meet; a parameter that multiplies is cheap where it may be any.

    The labels of a group take turns.
    """
    chosen = [[list(labels) for labels in one] for one in groups]
    for one in chosen:
        rng.shuffle(one)
    sets = [[label for labels in one for label in labels] for one in chosen]
    multiplying = {p for p, labels in enumerate(sets) if len({numbered.price[label] for label in labels}) > 1}
    columns = sorted((p for p, one in enumerate(chosen) if one), key=lambda p: (-len(chosen[p]), p in multiplying))
    if len(columns) < 2:
        return []
    start: list[Cells] = []
    for values in plane([len(chosen[p]) for p in columns]):
        cells = {p: numbered.cheapest(sets[p])[0] for p in multiplying}
        for parameter, value in zip(columns, values, strict=True):
            if value is not None:
                labels = chosen[parameter][value]
                cells[parameter] = labels[0]
                labels.append(labels.pop(0))
        start.append(cells)
    return start


def _labels_early(marks: _CoreMarks, sure: Table, rest: Table, size: int, rng: random.Random) -> tuple[Table, set[int]]:
    """The rows of two tables in one, changed so that so many of them, or a few more, hold every label; and which do."""
    wanted = [one | two for one, two in zip(sure.wanted, rest.wanted, strict=True)]
    labels = [marks.label(n) for n in range(marks.labels) if wanted[marks.label(n)]]
    early = [one | two for one, two in zip(wanted, _masks(marks.size, ((marks.first, n) for n in labels)), strict=True)]
    rows = [*zip(sure.rows, sure.kinds, strict=True), *zip(rest.rows, rest.kinds, strict=True)]
    for number in [n for n in range(size, size + EARLY_MORE + 1) for _ in range(EARLY_TRIES)]:
        first = _most_labels([row for row, _ in rows], number, rng)
        table = Table(sure.space, early)
        for n, (row, kind) in enumerate(rows):
            table.add(row, kind, 1 << marks.first if n in first else 0)
        if search(table, EARLY_STEPS, rng):
            return table, first
    table = Table(sure.space, wanted)
    for row, kind in rows:
        table.add(row, kind)
    return table, set()


def _most_labels(rows: Sequence[Sequence[int]], number: int, rng: random.Random) -> set[int]:
    """So many rows that hold many labels: each the one that adds most, chance between equals."""
    chosen: dict[int, None] = {}
    held: set[int] = set()
    order = list(range(len(rows)))
    rng.shuffle(order)
    while len(chosen) < min(number, len(rows)):
        best = max((n for n in order if n not in chosen), key=lambda n: len(held.union(rows[n])))
        chosen[best] = None
        held.update(rows[best])
    return set(chosen)


# Order --------------------------------------------------------------------------------------------------------------


def ordered(rows: Sequence[Row], domains: Domains, *, cost: Cost) -> list[Row]:
    """The same rows: first the fewest found that hold every label, then by new pairs of labels and classes for an image.

    The first ones stand by new labels for an image. No other order holds every label sooner, unless the search for the
    fewest rows runs out of steps; then it is still not later than in the order given.
    """
    numbers: dict[object, int] = {}
    held = [_mask(row.items(), numbers) for row in rows]
    columns = [_mask(((name, label) for label in domain), numbers) for name, domain in domains.items()]
    numbers = {}
    met = [_mask(_pairs_in(row, domains), numbers) for row in rows]
    price = [max(1, cost(row)) for row in rows]
    first = _fewest(held, columns)
    order = _by_news(sorted(first), [held, met], price)
    order += _by_news([n for n in range(len(rows)) if n not in first], [met], price, order)
    return [rows[n] for n in order]


def _mask(items: Iterable[object], numbers: dict[object, int]) -> int:
    """Some items as bits, numbered as they come."""
    mask = 0
    for item in items:
        mask |= 1 << numbers.setdefault(item, len(numbers))
    return mask


def _pairs_in(row: Row, domains: Domains) -> Iterator[object]:
    """The pairs of labels and of classes in a row."""
    yield from combinations(row.items(), 2)
    yield from combinations([(name, "class", domains[name][label]) for name, label in row.items()], 2)


def _by_news(
    part: Sequence[int], measures: Sequence[Sequence[int]], price: Sequence[int], before: Sequence[int] = ()
) -> list[int]:
    """Some rows in the order of what each adds for its price to those before it, by the first measure in which two differ."""
    seen = [0] * len(measures)
    for row in before:
        seen = [had | measure[row] for had, measure in zip(seen, measures, strict=True)]
    left, order = list(part), list[int]()
    while left:
        news = [[(m[n] & ~had).bit_count() / price[n] for had, m in zip(seen, measures, strict=True)] for n in left]
        best = left.pop(news.index(max(news)))
        seen = [had | measure[best] for had, measure in zip(seen, measures, strict=True)]
        order.append(best)
    return order


def _fewest(rows: Sequence[int], columns: Sequence[int]) -> list[int]:
    """The fewest rows found that hold every label that some row holds; rows and parameters are masks of labels."""
    missing, best = 0, list[int]()
    for number, row in enumerate(rows):
        if row & ~missing:
            best = list(range(number + 1))
        missing |= row
    holders = {label: [n for n, row in enumerate(rows) if row >> label & 1] for label in bits(missing)}
    for size in range(max(((missing & column).bit_count() for column in columns), default=0), len(best)):
        found = _cover(missing, size, rows, columns, holders=holders, steps=iter(range(ORDER_STEPS)))
        if found is not None:
            return found
    return best


def _cover(
    missing: int,
    size: int,
    rows: Sequence[int],
    columns: Sequence[int],
    *,
    holders: Mapping[int, Sequence[int]],
    steps: Iterator[int],
) -> list[int] | None:
    """At most so many rows that hold the missing labels, the rarest label first; None for none within the steps."""
    if not missing:
        return []
    if next(steps, None) is None or any((missing & column).bit_count() > size for column in columns):
        return None
    rarest = min(bits(missing), key=lambda label: len(holders[label]))
    for row in sorted(holders[rarest], key=lambda n: -(rows[n] & missing).bit_count()):
        found = _cover(missing & ~rows[row], size - 1, rows, columns, holders=holders, steps=steps)
        if found is not None:
            return [row, *found]
    return None
