import asyncio
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from harness.clock import VirtualClock, run_virtual
from harness.ledger import Ledger

CENTS = st.integers(0, 12).map(lambda n: Decimal(n) / 100)
SECONDS = st.integers(0, 40).map(lambda n: n / 10)
JOBS = st.lists(
    st.tuples(SECONDS, CENTS, SECONDS, st.sampled_from(("yes", "no", "unknown")), st.none() | SECONDS), max_size=12
)


def spent(ledger):
    return ledger.billed, ledger.unknown, ledger.reserved


async def play(ledger, jobs):
    """Jobs that arrive, reserve, last and settle; some give up waiting. The amounts after each step, and the answers."""
    clock, amounts, answers = VirtualClock(), [], {}

    async def one(number, job):
        arrival, usd, lasts, billed, gives_up = job
        await clock.sleep(arrival)
        try:
            async with asyncio.timeout(gives_up):
                granted = await ledger.reserve(usd)
        except TimeoutError:
            return
        answers[number] = granted
        amounts.append(sum(spent(ledger)))
        if granted:
            await clock.sleep(lasts)
            ledger.settle(usd, billed)
            amounts.append(sum(spent(ledger)))

    await asyncio.gather(*(one(number, job) for number, job in enumerate(jobs)))
    return amounts, answers


@given(jobs=JOBS, limit=st.integers(0, 30).map(lambda n: Decimal(n) / 100), before=CENTS)
def test_the_limit_holds_at_every_instant(jobs, limit, before):
    """Billed + unknown + reserved never exceeds the limit, whoever comes, waits, gives up and settles in any order."""
    ledger = Ledger(limit, unknown=min(before, limit))
    amounts, answers = run_virtual(play(ledger, jobs))
    assert (all(amount <= limit for amount in amounts), ledger.reserved) == (True, Decimal(0))
    paid = {
        kind: sum((j[1] for n, j in enumerate(jobs) if answers.get(n) and j[3] == kind), Decimal(0))
        for kind in ("yes", "unknown")
    }
    assert (ledger.billed, ledger.unknown) == (paid["yes"], paid["unknown"] + min(before, limit))


@given(jobs=JOBS)
def test_no_limit_refuses_nobody(jobs):
    """A run that costs nothing has no limit, and no submit waits."""
    _, answers = run_virtual(play(Ledger(None), jobs))
    assert answers == dict.fromkeys(range(len(jobs)), True)


def test_a_submit_that_does_not_fit_waits_for_a_release():
    """What does not fit waits while something is in flight; a refusal makes room, in the order of asking."""

    async def main():
        ledger, order = Ledger(Decimal("0.10")), []

        async def ask(name, usd):
            order.append((name, await ledger.reserve(Decimal(usd))))

        await ask("first", "0.08")
        others = [asyncio.create_task(ask("second", "0.08")), asyncio.create_task(ask("third", "0.02"))]
        await asyncio.sleep(1)
        assert order == [("first", True)]
        ledger.settle(Decimal("0.08"), "no")
        await asyncio.gather(*others)
        return order, ledger.reserved

    assert run_virtual(main()) == ([("first", True), ("second", True), ("third", True)], Decimal("0.10"))


def test_the_budget_is_spent_when_nothing_is_in_flight():
    """What does not fit with nothing in flight never will; an unknown charge keeps its place for ever."""

    async def main():
        ledger = Ledger(Decimal("0.10"))
        assert await ledger.reserve(Decimal("0.08"))
        waiting = asyncio.create_task(ledger.reserve(Decimal("0.08")))
        await asyncio.sleep(1)
        ledger.settle(Decimal("0.08"), "unknown")
        return (
            await waiting,
            await ledger.reserve(Decimal("0.03")),
            await ledger.reserve(Decimal("0.02")),
            spent(ledger),
        )

    assert run_virtual(main()) == (False, False, True, (0, Decimal("0.08"), Decimal("0.02")))


def test_a_reservation_granted_to_someone_who_left_is_given_back():
    """A waiter that is cancelled in the very turn in which it is served leaves no reservation behind."""

    async def main():
        ledger = Ledger(Decimal("0.10"))
        await ledger.reserve(Decimal("0.10"))
        waiting = asyncio.create_task(ledger.reserve(Decimal("0.10")))
        await asyncio.sleep(1)
        ledger.settle(Decimal("0.10"), "no")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return waiting.cancelled(), spent(ledger)

    assert run_virtual(main()) == (True, (0, 0, 0))


def test_a_run_that_goes_on_starts_with_what_it_had_cost():
    """Earlier charges count against the limit; what cut-off calls hold is in flight until they have ended."""

    async def main():
        ledger = Ledger(Decimal("0.10"), unknown=Decimal("0.02"), billed=Decimal("0.03"), reserved=Decimal("0.04"))
        waiting = asyncio.create_task(ledger.reserve(Decimal("0.05")))
        await asyncio.sleep(1)
        assert not waiting.done()
        ledger.settle(Decimal("0.04"), "no")
        return await waiting, spent(ledger)

    assert run_virtual(main()) == (True, (Decimal("0.03"), Decimal("0.02"), Decimal("0.05")))
