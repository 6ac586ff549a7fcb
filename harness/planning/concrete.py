"""From rows of labels to requests: what a label leaves open is drawn, once, and then it stands in the plan.

Rules
-----
* A row's values are decided by its key and its labels alone: not by the other rows, the process, or the time. Only the
  ranges of a label take turns, in the order of the rows, so that a float is a whole number at least once.
* What is drawn has to be ``wanted``, as the row of plain values is; where no example is, those plain values are sent.
* Members stand in the order of the row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence

from harness.model import Json
from harness.planning.labels import Label

Body = dict[str, Json]


def with_labels(base: Mapping[str, Json], labels: Mapping[str, Label]) -> Body:
    """A body with the values of some labels, and without what they say is absent."""
    body = {name: value for name, value in base.items() if name not in labels}
    return body | {name: label.value for name, label in labels.items() if not label.absent}


def bodies(
    rows: Sequence[Mapping[str, Label]],
    fixed: Mapping[str, Json],
    key: Callable[[Mapping[str, str]], Hashable],
    wanted: Callable[[Body, Body], bool],
) -> Iterator[Body]:
    """A request for each row; ``key`` names its chance, ``wanted`` compares what was drawn with the plain values."""
    turns: Counter[tuple[str, str]] = Counter()
    for row in rows:
        taken = {name: turns[name, label.name] for name, label in row.items()}
        turns.update((name, label.name) for name, label in row.items())
        plain = with_labels(fixed, row)
        drawn = _drawn(row, plain, taken, key, wanted) if any(label.among for label in row.values()) else None
        yield plain if drawn is None else drawn


def _drawn(
    row: Mapping[str, Label],
    plain: Body,
    turns: Mapping[str, int],
    key: Callable[[Mapping[str, str]], Hashable],
    wanted: Callable[[Body, Body], bool],
) -> Body | None:
    from harness.planning import drawing

    def complete(values: Mapping[str, Json]) -> Body:
        return {name: values.get(name, value) for name, value in plain.items()}

    named = {name: label.name for name, label in row.items()}
    return drawing.drawn(drawing.row(row, turns).map(complete), key(named), lambda body: wanted(body, plain))
