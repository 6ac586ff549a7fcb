"""What is the least request that shows what an explored one has shown? Asked of a simulator, never of a provider.

Rules
-----
* A failing explored request is shrunk by Hypothesis, within the strategy that it was drawn from, and then tried without each
  of the members that are left. What a request shows are the checks that it fails.
* Each check is minimised once for a target, for at most ``MOST_REQUESTS``; a request is asked about once.
* A search is a generator without I/O: it yields a case to send and is sent its call (None: it was not sent, and shows
  nothing). Hypothesis runs in a thread that waits for each answer.
* The least request that shows it is found again in the record by ``checks``, which needs neither the search nor Hypothesis.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread

from harness.checks import failed
from harness.flow import Route
from harness.model import Call, Case, Json, Plan
from harness.planning import exploring
from harness.planning.labels import canonical
from harness.planning.partitions import partition

MOST_REQUESTS = 300

Search = Generator[Case, "Call | None", None]
Shows = Callable[[Mapping[str, Json]], bool]


def minimised(route: Route, plan: Plan, assets: Sequence[str], calls: Iterable[Call]) -> Search:
    """Ask about smaller requests than the explored ones that have failed a check."""
    known: set[str] = set()
    for call in calls:
        if call.derived is not None or not exploring.is_explored(call.case):
            continue
        for check in sorted(failed(route, plan, call) - known):
            known.add(check)
            yield from _asking(route, plan, call.case, check, partial(_shrink, route, plan, call.case, assets))


def _shrink(route: Route, plan: Plan, case: Case, assets: Sequence[str], shows: Shows) -> None:
    """Ask whether smaller requests show the same, with Hypothesis first and member by member then."""
    from harness.planning import drawing

    spec = route.spec
    fixed = {**spec.constants, **route.flow.body}
    labels = {one.name: partition(one, spec, assets) for one in spec.parameters if one.name not in fixed}
    strategy, least = exploring.requests(spec, fixed, labels), dict(case.body)

    def both(drawn: tuple[Mapping[str, str], dict[str, Json]]) -> bool:
        nonlocal least
        if not shows(drawn[1]):
            return False
        least = drawn[1]
        return True

    key = exploring.key_of(spec, strategy, plan.seed, case)
    if key is not None:
        drawing.shrunk(strategy, key, both)
    needed = {name for name, domain in labels.items() if not any(label.absent for label in domain)} | {*fixed}
    for name in [name for name in least if name not in needed]:
        without = {other: value for other, value in least.items() if other != name}
        if exploring.allows(spec, without) and shows(without):
            least = without


def _asking(route: Route, plan: Plan, case: Case, check: str, work: Callable[[Shows], None]) -> Search:
    """Run some work in a thread; its questions are yielded as cases, and answered by what their calls show."""
    asked: SimpleQueue[Mapping[str, Json] | BaseException | None] = SimpleQueue()
    answers: SimpleQueue[bool | None] = SimpleQueue()
    known = {canonical(dict(case.body)): True}

    def shows(body: Mapping[str, Json]) -> bool:
        name = canonical(dict(body))
        if name not in known:
            if len(known) > MOST_REQUESTS:
                return False
            asked.put(body)
            answer = answers.get()
            if answer is None:
                raise _Abandoned
            known[name] = answer
        return known[name]

    def run() -> None:
        try:
            with suppress(_Abandoned):
                work(shows)
            asked.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for it
            asked.put(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        while (question := asked.get()) is not None:
            if isinstance(question, BaseException):
                raise question
            call = yield case.sent_as(question, route.spec.images_asked(question))
            answers.put(call is not None and check in failed(route, plan, call))
    finally:
        answers.put(None)
        thread.join()


class _Abandoned(BaseException):
    """Nobody answers any more; no exception that Hypothesis would take for a failing example."""
