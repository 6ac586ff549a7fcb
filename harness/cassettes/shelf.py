"""Where recordings are: found file by file, written whole or not at all, by one run at a time.

Rules
-----
* A target's cassette is ``<provider>/<endpoint>.yaml`` under the first root that has it: ``./cassettes`` (or
  ``--cassettes``), then the packaged ones. Beside it stands the frozen plan, ``<endpoint>.plan.json``; the larger bodies
  of all cassettes of a root are in ``blobs``. A flow that is not the target's default has its name in the file's; a
  bench has cassettes of its own, ``<endpoint>.bench.yaml``.
* Names come from targets, whose form is checked; nothing is written outside its root, nor through a link.
* Bodies are written first, then the plan under a second name, then the cassette: the rename of the cassette is what
  makes a recording the new one. A kill at any instant leaves the former recording or the new one, whole.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import files, resources
from harness.cassettes.frozen import Frozen, from_json
from harness.errors import InputError, OutputError, UsageError
from harness.model import Exchange, RunKind
from harness.spec import Flow, Spec
from harness.strict import StrictError
from harness.transport.cassette import (
    BLOBS,
    Cassette,
    CassetteError,
    interactions_by_call,
    read,
    recorded_by,
    write,
)

LOCAL = Path("cassettes")
_BENCH = ".bench"
_TARGET = re.compile(r"[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class Recording:
    """A cassette and the frozen plan that it answers, known to fit together."""

    cassette: Cassette
    frozen: Frozen


@dataclass(frozen=True, slots=True)
class Slot:
    """The files of one recording under a root; ``name`` is ``provider/endpoint`` or, for another flow, with its name."""

    root: Path
    name: str

    @property
    def cassette(self) -> Path:
        """The vcrpy file."""
        return self.root / f"{self.name}.yaml"

    @property
    def plan(self) -> Path:
        """The frozen plan."""
        return self.root / f"{self.name}.plan.json"

    @property
    def next_plan(self) -> Path:
        """The frozen plan of a recording that was being written; the current one after a kill at the last moment."""
        return self.root / f"{self.name}.plan.next.json"

    @property
    def blobs(self) -> Path:
        """The larger bodies of every cassette of the root."""
        return self.root / BLOBS

    def read(self) -> Recording:
        """The recording, every part of it checked against the others.

        Raises:
            InputError: a file is missing or damaged, or they do not belong together.
        """
        cassette = read(self.cassette, self.blobs)
        wanted = cassette.plan_sha256
        for path in (self.plan, self.next_plan):
            if path.exists() and (frozen := _frozen(path)).sha256 == wanted:
                _require_whole(cassette, frozen)
                return Recording(cassette, frozen)
        if not self.plan.exists():
            raise CassetteError(
                f"{self.plan} is missing, the plan that {self.cassette} answers: restore it, or record again with "
                f"{recorded_by(self.cassette)}"
            )
        raise CassetteError(
            f"{self.cassette} does not answer the plan beside it, {self.plan}: one of them was changed; restore both "
            f"from one commit, or record again with {recorded_by(self.cassette)}"
        )

    def cases(self) -> int:
        """How many cases the recording has; none where there is none that can be read."""
        try:
            return len(self.read().frozen.plan.cases)
        except InputError:
            return 0

    def since(self, recorded_at: str) -> bool:
        """Whether there is a recording of that date, in ISO 8601, or a newer one."""
        try:
            return self.read().frozen.recorded_at >= recorded_at
        except InputError:
            return False

    def write(self, frozen: Frozen, exchanges: Sequence[Exchange], start_ns: int) -> None:
        """Write a recording, the former one staying whole until the last moment.

        Raises:
            OutputError: it cannot be written.
        """
        text, bodies = write(exchanges, start_ns, frozen.sha256)
        try:
            for digest, body in bodies.items():
                if not (self.blobs / digest).exists():
                    self.blobs.mkdir(parents=True, exist_ok=True)
                    files.replace(self.blobs / digest, body, durable=True)
            self.cassette.parent.mkdir(parents=True, exist_ok=True)
            files.replace(self.next_plan, frozen.dump(), durable=True)
            files.replace(self.cassette, text, durable=True)
            self.next_plan.replace(self.plan)
        except OSError as error:
            raise OutputError(
                f"cannot write {self.cassette}: {error.strerror}; the history holds every answer"
            ) from None


def _frozen(path: Path) -> Frozen:
    try:
        return from_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except StrictError as error:
        raise InputError(f"{path}: {error}: restore it, or record again with {recorded_by(path)}") from None
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise InputError(
            f"{path} is no frozen plan ({type(error).__name__}: {str(error)[:80]}): restore it, or record again with "
            f"{recorded_by(path)}"
        ) from None


def _require_whole(cassette: Cassette, frozen: Frozen) -> None:
    """Refuse a cassette that lacks answers of its plan's calls, or has some of calls that were never made."""
    held, known = interactions_by_call(cassette), {case.id for case in frozen.plan.cases}
    for call in frozen.calls:
        if call.case_id not in known:
            raise CassetteError(
                f"{cassette.path}: its plan has a call of {call.case_id}, and no such case: restore both"
            )
        has = len(held.pop(call.call, ()))
        if has != call.interactions:
            raise CassetteError(
                f"{cassette.path} holds {has} of the {call.interactions} answers of {call.case_id}: restore it, or record "
                f"again with {recorded_by(cassette.path)}"
            )
    for others in held.values():
        raise CassetteError(
            f"{cassette.path} holds answers of {others[0].own['case_id']} that its plan has no call for"
        )


class Shelf:
    """The roots that are looked through, in order; recordings are written to the first."""

    def __init__(self, chosen: Path | None = None) -> None:
        self.first = chosen or LOCAL
        self.roots = (self.first, resources.shipped("cassettes"))

    def find(self, spec: Spec, flow: Flow, kind: RunKind = "check") -> Slot:
        """Where a target's recording is.

        Raises:
            InputError: no root has one.
        """
        slots = [Slot(root, _name(spec, flow, kind)) for root in self.roots]
        for slot in slots:
            if slot.cassette.is_file():
                return slot
        raise InputError(
            f"there is no {'bench ' if kind == 'bench' else ''}cassette of {spec.target} ({flow.name}) in "
            f"{' or '.join(str(root) for root in self.roots)}: record one with harness {kind} {spec.target} --record, or use "
            "--simulate"
        )

    def place(self, spec: Spec, flow: Flow, kind: RunKind = "check") -> Slot:
        """Where a target's recording is written."""
        return Slot(self.first, _name(spec, flow, kind))

    def slots(self) -> Iterator[Slot]:
        """Every recording that a replay would find, by name."""
        found: dict[str, Slot] = {}
        for root in self.roots:
            for slot in slots_under(root):
                found.setdefault(slot.name, slot)
        yield from (found[name] for name in sorted(found))


def slots_under(root: Path, provider: str = "*") -> Iterator[Slot]:
    """The recordings of one root, or of one provider there."""
    folders = root.iterdir() if provider == "*" else [root / provider]
    for folder in sorted(folder for folder in folders if folder.is_dir()) if root.is_dir() else ():
        for path in sorted(folder.glob("*.yaml")):
            yield Slot(root, f"{folder.name}/{path.stem}")


def slot_at(path: Path) -> Slot:
    """The recording that a cassette's path names.

    Raises:
        InputError: it is not the path of a cassette.
    """
    if path.suffix != ".yaml" or not path.is_file():
        raise InputError(f"cannot read {path}: it is neither a folder nor a cassette (…/<provider>/<endpoint>.yaml)")
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
    return Slot(path.parent.parent if path.parent.name else whole.parent.parent, f"{whole.parent.name}/{path.stem}")


def _name(spec: Spec, flow: Flow, kind: RunKind) -> str:
    if not _TARGET.fullmatch(spec.target) or spec.target.endswith(_BENCH):
        raise UsageError(f"{spec.path}: the target {spec.target[:80]!r} cannot be a file's name: use provider/endpoint")
    name = spec.target if flow.name == spec.default_flow.name else f"{spec.target}@{flow.name}"
    return f"{name}{_BENCH}" if kind == "bench" else name


@contextmanager
def written_by_one(slots: Sequence[Slot]) -> Iterator[None]:
    """Hold the places of some recordings, and know that they can be written, before anything is paid.

    Raises:
        UsageError: another run is recording there.
        OutputError: they cannot be written.
    """
    held: list[int] = []
    try:
        for folder in sorted({slot.cassette.parent for slot in slots} | {slot.blobs for slot in slots}):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                held.append(os.open(folder, os.O_RDONLY | os.O_NOFOLLOW))
                probe = folder / f".writable.{os.getpid()}"
                probe.write_bytes(b"")
                probe.unlink()
                if folder.name != BLOBS:
                    fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"another run is recording into {folder}: wait for it, or name another --cassettes"
                ) from None
            except OSError as error:
                raise OutputError(f"cannot write recordings into {folder}: {error.strerror}") from None
        yield
    finally:
        for file in held:
            os.close(file)
