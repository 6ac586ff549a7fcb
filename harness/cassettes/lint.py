"""What recordings there are, and whether they may be committed.

Rules
-----
* A recording is whole when its cassette, its plan and every stored body are there and belong together, and current when
  the spec that it was made for has not changed.
* Nothing that looks like a credential may be in any of its files: the keys that the environment holds are searched in
  every spelling that the redactor knows; anything else by its look.
* A problem is one line: the file, what, and what to do.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cassettes.frozen import disagreement
from harness.cassettes.shelf import Recording, Shelf, Slot, slot_at, slots_under
from harness.errors import HarnessError, InputError
from harness.secret import Secret
from harness.spec import Spec, find, load, shipped_targets
from harness.transport.cassette import BLOB, BLOBS
from harness.transport.redact import Redactor, suspicious


def slots_of(paths: Sequence[Path]) -> list[Slot]:
    """The recordings that paths name: cassettes, or folders of them; what a replay finds for none.

    Raises:
        InputError: a path is neither.
    """
    if not paths:
        return list(Shelf().slots())
    found: list[Slot] = []
    for path in paths:
        named = list(_named(path))
        if not named:
            raise InputError(f"{path} holds no recording (<provider>/<endpoint>.yaml): name the folder that does")
        found += named
    return list(dict.fromkeys(found))


def _named(path: Path) -> Iterator[Slot]:
    """The recordings that a path is about; a hook names every changed file, a plan or a stored body too."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
    if path.is_dir():
        yield from slots_under(path)
        yield from slots_under(whole.parent, whole.name)
    elif path.parent.name == BLOBS and path.is_file():
        yield from slots_under(path.parent.parent)
    elif path.name.endswith(".plan.json"):
        yield slot_at(_cassette_of(path))
    else:
        yield slot_at(path)


def listing(slots: Sequence[Slot], to: Console) -> None:
    """Print a table of recordings."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("recording", "answers", "cases", "from", "at", "spec"):
        table.add_column(name, justify="right" if name in ("answers", "cases") else "left", no_wrap=name == "recording")
    for slot in slots:
        table.add_row(*map(Text, _row(slot)))
    to.print(table)


def _row(slot: Slot) -> Sequence[str]:
    try:
        recording = slot.read()
    except HarnessError as error:
        return slot.name, "", "", str(error), "", ""
    frozen, spec = recording.frozen, _spec(recording)
    state = "unknown" if spec is None else "as recorded" if disagreement(frozen, spec) is None else "changed since"
    answers, cases = len(recording.cassette.interactions), len(frozen.plan.cases)
    return slot.name, str(answers), str(cases), frozen.recorded_from, frozen.recorded_at[:10], state


def _spec(recording: Recording) -> Spec | None:
    path = shipped_targets().get(recording.frozen.plan.target)
    return None if path is None else load(path, shipped=True)


def lint(slots: Sequence[Slot], environment: Mapping[str, str], variables: Collection[str] = ()) -> list[str]:
    """Everything that is wrong with recordings and with what lies beside them, a line each.

    ``variables`` may hold keys, as those that the shipped specs name.
    """
    variables = {*variables, *(spec.credential.env for spec in find(()))}
    redactor = Redactor(Secret(environment[name].strip()) for name in sorted(variables) if environment.get(name))
    problems: list[str] = []
    for slot in slots:
        problems += _problems(slot)
    for root in dict.fromkeys(slot.root for slot in slots):
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            problems += _secrets(path, redactor)
        problems += _orphans(root)
    return problems


def _problems(slot: Slot) -> Iterator[str]:
    try:
        recording = slot.read()
    except InputError as error:
        yield str(error)
        return
    spec = _spec(recording)
    reason = disagreement(recording.frozen, spec) if spec is not None else None
    if reason is not None:
        yield f"{slot.cassette}: the spec has changed since it was recorded {reason}; record it again"
    if slot.next_plan.exists():
        yield f"{slot.next_plan}: left by a recording that was cut off; record it again, or delete it"
    for digest in sorted(recording.cassette.stored()):
        try:
            recording.cassette.body(f"{BLOB}{digest}".encode())
        except InputError as error:
            yield str(error)


def _secrets(path: Path, redactor: Redactor) -> Iterator[str]:
    try:
        data = path.read_bytes()
    except OSError:
        return  # gone since it was listed
    how = redactor.finds(data)
    if how is not None:
        yield f"{path}: holds a key ({how}): do not commit it; revoke the key if it was ever committed"
    for what in suspicious(data):
        yield f"{path}: holds what looks like a secret: {what}; record it again, or mask it"


def _cassette_of(plan: Path) -> Path:
    """The cassette that a plan lies beside."""
    return plan.with_name(plan.name.removesuffix(".plan.json") + ".yaml")


def _orphans(root: Path) -> Iterator[str]:
    """Stored bodies that no recording of a root names."""
    named: set[str] = set()
    alone = [path for path in sorted(root.glob("*/*.plan.json")) if not _cassette_of(path).is_file()]
    for path in alone:
        yield f"{path}: a plan without its cassette; restore {_cassette_of(path).name}, or delete the plan"
    if alone:
        return  # what the lost cassettes name is no orphan
    for slot in slots_under(root):
        try:
            named |= slot.read().cassette.stored()
        except InputError:
            return  # said above; its bodies would all be called orphans
    for path in sorted((root / BLOBS).glob("*")):
        if path.name not in named:
            yield f"{path}: a stored body that no cassette names; delete it"
