"""Recorded time: the calls of a recording, run again on a clock that is a number.

Rules
-----
* The engine, the flows and the checks are those of a live run; only the way out and the pace are recorded. Every answer
  comes at its recorded instant, every question is asked at its own: a job of 45 seconds takes a few milliseconds, and
  each latency is the recorded one to the nanosecond.
* What decided about calls (budget, concurrency, a stop, a confirmation) is the recording's: exactly its calls are made.
* Whatever does not fit is an error that names the case and the file, and never a request: a question that was not
  recorded, one too many, an answer that nobody asks for.
* Nothing is planned, and no generator is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import accumulate
from operator import attrgetter

from harness.cassettes.frozen import AUDITED, Frozen, FrozenCall
from harness.clock import VirtualClock, run_virtual
from harness.engine import Again, Ended, Engine, Options, Progress, RecordEnds, Recorder, Work
from harness.ledger import Ledger
from harness.model import Json, Request, Wait
from harness.targets import Target
from harness.transport.cassette import CassetteError, Played, Tape, recorded_by

POLLS, SUBMITS = ("status", "result"), ("submit", "probe")
"""Steps that ask for a job, and those that may begin one."""


@dataclass(frozen=True, slots=True)
class AsRecorded:
    """The pace of one recorded call."""

    played: Played
    expired: bool
    cut_off: str | None
    deadline_seconds: float

    async def due(self, request: Request) -> None:
        """Wait for the instant at which this was wanted to leave.

        Raises:
            RecordEnds: the recorded run was cut off here.
            CassetteError: this was not recorded.
        """
        if self.cut_off and request.begins and not self.played.tape.left(self.played.call, SUBMITS):
            raise RecordEnds(self.cut_off)
        await self.played.due(request)

    async def poll(self, wait: Wait, accepted_ns: int, deadline_ns: int) -> bool:
        """Whether another poll was made; when it is due is known once it is asked.

        Raises:
            CassetteError: none is left, and the job's deadline had not ended it.
        """
        if self.played.tape.left(self.played.call, POLLS):
            return True
        if not self.expired:
            raise CassetteError(
                f"{self.played.tape.cassette.path}: {self.played.case_id} asks for its job once more than was recorded: "
                f"record it again with {recorded_by(self.played.tape.cassette.path)}"
            )
        await self.played.clock.until(deadline_ns)
        return False

    async def retry(self, tries: int, retry_after: str | None) -> None:
        """At once: the next try waits for its own instant."""


@dataclass(frozen=True)
class _Share:
    """One target's calls on a tape; ``calls`` are those of the cases that are run."""

    target: Target
    tape: Tape
    calls: Sequence[FrozenCall]
    deadline_seconds: float

    def again(self, clock: VirtualClock, start_ns: int) -> Iterator[Again]:
        """The calls, none beginning later than one after it."""
        starts = [start_ns + (self.tape.starts(one.call) or 0) for one in self.calls]
        ordered = list(accumulate(reversed(starts), min))[::-1]
        cases = {case.id: case for case in self.target.plan.cases}
        for call, begins in zip(self.calls, ordered, strict=True):
            played = Played(self.tape, clock, start_ns, call.call, call.case_id)
            yield Again(
                work=Work(self.target.route, played, (), 1, segment=call.segment),
                case=call.case(cases[call.case_id]),
                derived=call.derived,
                pace=AsRecorded(played, call.expired, call.cut_off, self.deadline_seconds),
                start_ns=begins,
                downloads=self.target.conduct.downloads,
            )

    def require_played(self) -> None:
        """Refuse a recording of which something was never asked for."""
        left = list(self.tape.unplayed(call.call for call in self.calls))
        if left:
            one = left[0]
            raise CassetteError(
                f"{self.tape.cassette.path}: {len(left)} recorded answers were never asked for, the first of "
                f"{one.own['case_id']} ({one.request.method} {one.request.uri[:200]}): record it again with "
                f"{recorded_by(self.tape.cassette.path)}"
            )


def share_of(target: Target) -> _Share:
    """The calls of a target's recording that its plan, perhaps narrowed, holds."""
    assert target.recording is not None  # noqa: S101 - the target of a replay
    wanted = {case.id for case in target.plan.cases}
    frozen = target.recording.frozen
    calls = [call for call in frozen.calls if call.case_id in wanted]
    return _Share(target, Tape(target.recording.cassette), calls, frozen.deadline_seconds)


def replay(
    targets: Sequence[Target], begin: Callable[[VirtualClock], Recorder], on_progress: Callable[[Progress], None]
) -> Ended:
    """Run recorded calls again; ``begin`` gives the record on the clock of the replay.

    Raises:
        CassetteError: the recording does not fit the flows any more.
    """
    shares = [share_of(target) for target in targets]

    async def main() -> Ended:
        clock = VirtualClock()
        start_ns = clock.now_ns()
        engine = Engine(clock, begin(clock), Ledger(None), Options(confirm=False), on_progress)
        calls = merge(*(share.again(clock, start_ns) for share in shares), key=attrgetter("start_ns"))
        return await engine.again(list(calls))

    ended = run_virtual(main())
    for share in shares:
        share.require_played()
    return ended


def audit_of(targets: Sequence[Target]) -> Json:
    """The audit of the recordings; of several, the worst of each."""
    audits = [frozen.audit for frozen in _frozen(targets)]
    worst: dict[str, Json] = {
        "valid": all(audit["valid"] for audit in audits),
        "reasons": list(dict.fromkeys(reason for audit in audits for reason in audit["reasons"])),
    }
    for name in AUDITED:
        values = [audit[name] for audit in audits if audit[name] is not None]
        worst[name] = max(values, default=None)
    return worst


def recorded_header(targets: Sequence[Target]) -> Mapping[str, Json]:
    """What a replay's header says of the recordings; of several, the simulator before a provider, the earliest date."""
    frozen = _frozen(targets)
    return {
        "recorded_from": max(one.recorded_from for one in frozen),
        "recorded_at": min(one.recorded_at for one in frozen),
        "seed": frozen[0].plan.seed,
    }


def _frozen(targets: Sequence[Target]) -> list[Frozen]:
    return [target.recording.frozen for target in targets if target.recording]
