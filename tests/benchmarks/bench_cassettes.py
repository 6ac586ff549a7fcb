"""What recording and replaying cost as cassettes grow, beside plain vcrpy on the same interactions.

Measured, per interaction, for cassettes of 10 to 10 000 interactions (jobs of fal's queue, 8 in flight, about ten
interactions each: submit, polls, result):

* replay: our ``Tape`` and ``Played`` on a virtual loop, the index built anew each time; the whole replay with engine,
  flows and the history on disk, without the report; vcrpy's ``can_play_response_for`` and ``play_response``, which is
  its work for each request, matched by method and URI (its default, which lets polls of other bodies through) and by
  method, URI and body (which right answers need).
* recording: our journal (rows encoded, masked, written, synced) and the compaction of its cassette from it; vcrpy's
  ``can_play_response_for`` and ``append`` for each request and its save at the end. HTTP is in neither.
* loading: seconds of a process that reads one file, as its own tool writes it (ours, vcrpy's YAML, vcrpy's JSON), and
  the Python objects that it keeps and has at most, as ``tracemalloc`` counts them on a second read.
* the committed cassettes: how many recorded seconds pass in one real second.

How: processor time of this process with all its threads, so that a busy machine disturbs it little; the median of
rounds, in which the ways take turns. vcrpy stops at 1 000 interactions: its work for each grows with their number, and
one replay of 10 000 would take from minutes to hours. Loads and the committed cassettes are timed by the clock.

Decides: whether the tape and the compaction stay linear (10 000 : 100 interactions, goal at most 1.3), and whether a
cassette is better kept as JSON or as YAML.

There is no threshold on time here: only a wrong answer or a call left over makes the script fail.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, partial
from pathlib import Path

from vcr.cassette import Cassette as VcrCassette
from vcr.matchers import body, method, uri
from vcr.record_mode import RecordMode
from vcr.request import Request as VcrRequest
from vcr.serializers import jsonserializer, yamlserializer

from harness import run
from harness.audit import Watch
from harness.cassettes import Slot, slots_under
from harness.clock import NS, RealClock, VirtualClock, run_virtual
from harness.config import Config
from harness.engine import Ended, Options
from harness.flow import Route
from harness.history import FileJournal, call_row, exchange_row, intent_row
from harness.metrics.cost import UsdPrice
from harness.metrics.phases import phases
from harness.model import Call, Plan, Request, Response
from harness.replay import replay
from harness.schedule import Schedule
from harness.secret import Secret
from harness.spec import find
from harness.targets import Request as RunRequest
from harness.targets import Target, targets_of
from harness.transport.cassette import Cassette, Interaction, Played, Tape, read
from harness.transport.redact import Redactor
from tests import fakes
from tests.fakes import FAL, KEY, Provider

ROOT = Path(__file__).resolve().parents[2]
LEVELS, QUICK = (10, 100, 1_000, 10_000), (10, 100)
EACH = 10
"""How many interactions a job has, about."""
Work = Callable[[], object]
Matchers = Sequence[Callable[..., object]]
VCRPY = {"vcrpy, by method and URI": (method, uri), "vcrpy, by method, URI and body": (method, uri, body)}
"""What vcrpy matches on."""
VCRPY_MOST = 1_000


# --- what is recorded ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rehearsal:
    """A run that has ended: its target, and its calls with everything that was exchanged."""

    target: Target
    calls: Sequence[Call]

    @property
    def size(self) -> int:
        """How many interactions it has."""
        return sum(len(call.exchanges) for call in self.calls)


@cache
def rehearsed(interactions: int) -> Rehearsal:
    """A run of about so many interactions, made in virtual time."""
    contract = fakes.spec(FAL)
    cases = fakes.cases(max(1, interactions // EACH))
    route = Route(contract, contract.default_flow, fakes.HOME)
    plan = Plan(contract.target, contract.sha256, contract.default_flow.name, "one-way", 0, cases, {})

    async def main() -> Sequence[Call]:
        provider = Provider(VirtualClock(), seconds=2.8)
        options = Options(confirm=False, schedule=Schedule(fixed=0.4))
        done = await fakes.run([fakes.work(provider, provider.clock, cases)], options=options)
        return sorted(done.record.calls, key=lambda call: call.id)

    return Rehearsal(Target(route, plan, UsdPrice(Decimal("0.04"), "a list"), None, 8, None), run_virtual(main()))


def journal(rehearsal: Rehearsal, directory: Path) -> None:
    """Write a run's rows, as they happened, into a run directory."""
    target, calls = rehearsal.target, rehearsal.calls
    request = RunRequest("record")
    kept = FileJournal(directory, Redactor([Secret(KEY)]))
    try:
        audit = run_virtual(_header(kept, target, request))
        for call in calls:
            kept.append(intent_row(call.id, call.case, None))
            for exchange in call.exchanges:
                kept.append(exchange_row(exchange))
            kept.append(call_row(call, phases(target.route, call)))
        kept.append(run.footer_row(Ended(complete=True, stopped={}, interrupted=False, simulated=True), audit, {}))
    finally:
        kept.close()


async def _header(kept: FileJournal, target: Target, request: RunRequest) -> Mapping[str, object]:
    clock = VirtualClock()
    kept.append(run.header_row("bench", [target], request, clock))
    audit: Mapping[str, object] = Watch(clock).audit()
    return audit


def slot_of(place: Path) -> Slot:
    """Where the cassette is, under a place."""
    return Slot(place / "cassettes", FAL)


def compaction(place: Path) -> None:
    """Write the cassette of a run directory."""
    run.keep_recording(place / "run", {FAL: slot_of(place)}, Watch(RealClock()).audit())


# --- replays ---------------------------------------------------------------------------------------------------------


def tape(cassette: Cassette) -> None:
    """Ask for every interaction on a virtual loop, each call's in its own task."""
    calls: dict[str, list[Interaction]] = {}
    for one in cassette.interactions:
        calls.setdefault(one.own["call"], []).append(one)

    async def ask(played: Played, recorded: Sequence[Interaction]) -> None:
        for one in recorded:
            request = Request(one.own["step"], one.request.method, one.request.uri, one.request.body)
            await played.due(request)
            sent = await played.send(request, seconds=60)
            assert isinstance(sent.reply, Response)
            assert sent.reply.body == one.received, f"{one.own['case_id']} was given another answer"

    async def main() -> None:
        clock, playing = VirtualClock(), Tape(cassette)
        start = clock.now_ns()
        async with asyncio.TaskGroup() as group:
            for call, recorded in calls.items():
                await clock.until(start + recorded[0].timing["intended_ns"])
                group.create_task(ask(Played(playing, clock, start, call, recorded[0].own["case_id"]), recorded))
        assert not list(playing.unplayed(calls)), "an answer is left over"

    run_virtual(main())


def whole(place: Path, targets: Sequence[Target]) -> None:
    """Run a recording again with engine, flows and a history on disk."""
    with tempfile.TemporaryDirectory(dir=place) as directory:
        kept = FileJournal(Path(directory), Redactor(()))
        try:
            replay(
                targets, lambda clock: run.HistoryRecorder(kept, targets, Watch(clock), durable=False), lambda _: None
            )
        finally:
            kept.close()


def plain_replay(path: Path, match_on: Matchers) -> Work:
    """What plain vcrpy does to play every interaction of a file once."""
    loaded = VcrCassette.load(path=str(path), record_mode=RecordMode.NONE, match_on=match_on)

    def play() -> None:
        loaded.rewind()
        for request in loaded.requests:
            assert loaded.can_play_response_for(request)
            loaded.play_response(request)
        assert loaded.all_played

    return play


def plain_recording(interactions: Sequence[Interaction], match_on: Matchers) -> None:
    """What plain vcrpy does to record some interactions and to save them."""
    with tempfile.TemporaryDirectory() as directory:
        made = VcrCassette.load(path=f"{directory}/x.yaml", record_mode=RecordMode.ONCE, match_on=match_on)
        for one in interactions:
            request = VcrRequest(one.request.method, one.request.uri, one.request.body, dict(one.request.headers))
            assert not made.can_play_response_for(request)
            plainly = {name: one.response[name] for name in ("status", "headers", "body")}
            made.append(request, plainly)
        made._save()


# --- measuring -------------------------------------------------------------------------------------------------------


def cpu(work: Work) -> float:
    """Processor seconds of a piece of work."""
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def wall(work: Work) -> float:
    """Seconds of a piece of work by the clock."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def record_again(rehearsal: Rehearsal, place: Path) -> None:
    """Record a run from its first row to its cassette, in a place of its own."""
    with tempfile.TemporaryDirectory(dir=place) as directory:
        journal(rehearsal, Path(directory) / "run")
        compaction(Path(directory))


def ways(level: int, place: Path) -> tuple[int, Mapping[str, Work], Mapping[str, Work]]:
    """How many interactions a level has, and the ways to replay and to record them, ready to be measured."""
    rehearsal = rehearsed(level)
    journal(rehearsal, place / "run")
    compaction(place)
    slot = slot_of(place)
    cassette = read(slot.cassette, slot.blobs)
    request = RunRequest("replay", cassettes=place / "cassettes")
    targets = targets_of([rehearsal.target.route.spec], request, Config(), {})
    replays: dict[str, Work] = {"our tape": lambda: tape(cassette), "our whole replay": lambda: whole(place, targets)}
    recordings: dict[str, Work] = {"our journal and compaction": lambda: record_again(rehearsal, place)}
    for name, match_on in VCRPY.items() if level <= VCRPY_MOST else ():
        replays[name] = plain_replay(slot.cassette, match_on)
        recordings[name] = partial(plain_recording, cassette.interactions, match_on)
    return len(cassette.interactions), replays, recordings


def rounds_of(name: str, level: int, *, quick: bool) -> int:
    """How many turns a way has at a level."""
    if quick or (name in VCRPY and level > 100):
        return 1
    return {10: 15, 100: 9, 1_000: 5}.get(level, 3)


def costs_of(works: Mapping[str, Work], size: int, level: int, *, quick: bool) -> Mapping[str, float]:
    """Microseconds of processor time for each interaction, the median of interleaved rounds."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(max(rounds_of(name, level, quick=quick) for name in works)):
        for name, work in works.items():
            if turn < rounds_of(name, level, quick=quick):
                found[name].append(cpu(work) / size * 1e6)
    return {name: statistics.median(costs) for name, costs in found.items()}


def table(title: str, sizes: Sequence[int], found: Sequence[Mapping[str, float]]) -> str:
    """The costs of every way at every level, and what the last level costs beside that of about 100."""
    head = f"{title:34}" + "".join(f"{size:>12,}".replace(",", " ") for size in sizes) + f"{'last : 100':>12}"
    lines = [head, "-" * len(head)]
    for name in found[0]:
        cells = [f"{costs[name]:9.0f} µs" if name in costs else f"{'–':>12}" for costs in found]
        known = [costs[name] for costs in found if name in costs]
        lines.append(f"{name:34}" + "".join(cells) + f"{known[-1] / known[1]:12.2f}")
    return "\n".join(lines)


# --- loading ---------------------------------------------------------------------------------------------------------


def load(tool: str, path: Path) -> None:
    """Read a file with a tool, and print the seconds and the bytes of Python objects, kept and at most."""
    read_it: Work = {
        "ours": lambda: read(path, path.parent),
        "vcrpy, YAML": lambda: VcrCassette.load(path=str(path), serializer=yamlserializer),
        "vcrpy, JSON": lambda: VcrCassette.load(path=str(path), serializer=jsonserializer),
    }[tool]
    seconds = wall(read_it)
    tracemalloc.start()
    kept = read_it()
    print(json.dumps([seconds, *tracemalloc.get_traced_memory()]))
    del kept


def loads(place: Path, size: int) -> str:
    """What a process needs to read one cassette, in each tool's own form, for each 1 000 interactions."""
    slot = slot_of(place)
    plain = VcrCassette.load(path=str(slot.cassette), record_mode=RecordMode.NONE)
    paths = {"ours": slot.cassette}
    for tool, serializer in (("vcrpy, YAML", yamlserializer), ("vcrpy, JSON", jsonserializer)):
        paths[tool] = place / f"{tool[-4:]}.txt"
        plain._path, plain._serializer = str(paths[tool]), serializer
        plain._save(force=True)
    head = f"{f'reading {size} interactions':34}{'for 1 000':>12}{'kept':>12}{'at most':>12}{'file':>12}"
    lines = [head, "-" * len(head)]
    for tool, path in paths.items():
        command = [sys.executable, __file__, "--load", tool, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, *bytes_ = json.loads(done.stdout)
        sizes = "".join(f"{number / size / 1e3:9.1f} MB" for number in (*bytes_, path.stat().st_size))
        lines.append(f"{tool:34}{seconds / size * 1e6:9.0f} ms{sizes}")
    return "\n".join(lines)


# --- the committed cassettes -----------------------------------------------------------------------------------------


def committed() -> str:
    """How much recorded time passes in a second, of each committed cassette and of all at once."""
    head = f"{'committed cassette':42}{'answers':>9}{'recorded':>11}{'replay':>11}{'× time':>8}{'with report':>13}{'× time':>8}"
    lines = [head, "-" * len(head)]
    targets = tuple(slot.name for slot in slots_under(ROOT / "cassettes"))
    for named, chosen in [*((name, (name,)) for name in targets), ("all, at once", targets)]:
        lines.append(committed_row(named, chosen))
    return "\n".join(lines)


def committed_row(name: str, chosen: tuple[str, ...]) -> str:
    """One line: without the report, and as ``harness check`` does it, with report.json and the page."""
    request, specs = RunRequest("replay", cassettes=ROOT / "cassettes"), find(chosen)
    targets = targets_of(specs, request, Config(), {})
    interactions = [one for target in targets if target.recording for one in target.recording.cassette.interactions]
    recorded = max(one.timing["received_ns"] for one in interactions) / NS
    with tempfile.TemporaryDirectory() as directory:
        alone = wall(lambda: whole(Path(directory), targets))
        reported = wall(lambda: run.check(specs, replace(request, out=Path(directory) / "run"), Config(), {}))
    return (
        f"{name:42}{len(interactions):9}{recorded:9.1f} s{alone * 1e3:8.0f} ms{recorded / alone:8.0f}"
        f"{reported * 1e3:10.0f} ms{recorded / reported:8.0f}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="up to 100 interactions, one round: shows that it runs")
    parser.add_argument("--load", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        load(given.load[0], Path(given.load[1]))
        return
    sizes: list[int] = []
    replays: list[Mapping[str, float]] = []
    recordings: list[Mapping[str, float]] = []
    print("processor time for each interaction, median of interleaved rounds")
    for level in QUICK if given.quick else LEVELS:
        with tempfile.TemporaryDirectory() as directory:
            size, to_replay, to_record = ways(level, Path(directory))
            sizes.append(size)
            replays.append(costs_of(to_replay, size, level, quick=given.quick))
            recordings.append(costs_of(to_record, size, level, quick=given.quick))
            if level == (QUICK if given.quick else LEVELS)[-1]:
                reading = loads(Path(directory), size)
    print(table("replay", sizes, replays), table("recording", sizes, recordings), reading, committed(), sep="\n\n")


if __name__ == "__main__":
    main()
