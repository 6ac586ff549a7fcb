"""What a command line names, read: run directories, folders of them, histories, baseline files.

Rules
-----
* A path that is a file and no history is a baseline file; of several, the accepted failures count together.
* A baseline of checks and benches, live and simulated, is asked only for runs of the candidates' kind and mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.compare import baseline
from harness.compare.baseline import Baseline
from harness.compare.digest import Digest, digests, runs_at
from harness.errors import UsageError
from harness.history import FILE


@dataclass(frozen=True)
class Candidates:
    """Candidate runs, and where each of them is."""

    digests: tuple[Digest, ...]
    places: dict[str, Path]


def baseline_of(paths: Sequence[Path]) -> Baseline:
    """The runs and accepted failures that some paths hold.

    Raises:
        InputError: one of them cannot be read.
    """
    files = [path for path in paths if path.is_file() and path.name != FILE]
    kept = [baseline.read(path) for path in files]
    found = {(one.run, one.target): one for each in kept for one in each.digests}
    for directory in runs_at([path for path in paths if path not in files]):
        found |= {(one.run, one.target): one for one in digests(directory)}
    ordered = sorted(found.values(), key=lambda one: (one.started_at, one.run))
    return Baseline(tuple(ordered), tuple(one for each in kept for one in each.accepted))


def candidates_of(paths: Sequence[Path]) -> Candidates:
    """The runs that are to be judged.

    Raises:
        UsageError: none is named, or they are checks and benches.
        InputError: one of them cannot be read.
    """
    found, places = list[Digest](), dict[str, Path]()
    for directory in runs_at(paths):
        mine = digests(directory)
        found += mine
        places |= {one.run: directory for one in mine}
    if not found:
        raise UsageError("no candidate is named: say which run is to be judged with --candidate RUN")
    if len({one.kind for one in found}) > 1:
        raise UsageError("the candidates are checks and benches: compare them one kind at a time")
    return Candidates(tuple(found), places)


def alike(runs: Sequence[Digest], candidates: Sequence[Digest]) -> tuple[Digest, ...]:
    """Of each target the runs of the candidates' kind and mode; all of it where there is none, so that what differs is said."""
    wanted = {(one.target, one.kind, one.key.mode) for one in candidates}
    named = [((one.target, one.kind, one.key.mode) in wanted, one) for one in runs]
    has = {one.target for like, one in named if like}
    return tuple(one for like, one in named if like or one.target not in has)
