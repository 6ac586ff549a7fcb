"""Every fault, in virtual time: what the user is told, what is paid for, how often a body leaves, how long it takes."""

from __future__ import annotations

from collections import Counter

from tests.hostile.faults import FAULTS, run


def test_every_fault_has_the_verdict_that_a_user_expects():
    """Each row: check and verdict, the run's verdict, exit status and charge; posts, cancels and time within bounds."""
    found, posts, cancels = {}, {}, {}
    late: dict[str, float] = {}
    for fault in FAULTS:
        outcome, queue = run(fault)
        found[fault.name] = outcome.compared(fault.shows)
        posts[fault.name] = max(queue.posts.values()) <= fault.posts
        cancels[fault.name] = queue.asked["cancel"]
        late |= {fault.name: outcome.seconds} if outcome.seconds > fault.within else {}
    assert found == {fault.name: fault.expected for fault in FAULTS}
    assert [name for name, within in posts.items() if not within] == []
    assert cancels == {fault.name: fault.cancels for fault in FAULTS}
    assert late == {}


def test_a_call_is_posted_once_and_confirmed_once():
    """Over all faults: a call has one post, or was never taken before; a case has one confirming call at most."""
    for fault in FAULTS:
        outcome, _ = run(fault)
        calls = outcome.journal.history().calls
        taken = {call.id: [e for e in call.of("submit") if not _never_taken(e)] for call in calls}
        assert {name for name, sent in taken.items() if len(sent) > 1} == set()
        confirming = Counter(call.case.id for call in calls if call.derived == "confirmation")
        assert max(confirming.values(), default=0) <= 1


def _never_taken(exchange) -> bool:
    answer = exchange.response
    return answer.status == 429 if answer is not None else not exchange.reply.left


def test_the_list_is_long_and_its_names_are_unique():
    """At least 30 faults beside the healthy run."""
    assert (len(FAULTS) > 30, len({fault.name for fault in FAULTS})) == (True, len(FAULTS))
