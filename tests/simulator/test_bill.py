"""The money log: what a simulated account has charged, as its own word against a run's report."""

from __future__ import annotations

from decimal import Decimal

import httpx
import pytest

from harness.clock import VirtualClock, run_virtual
from harness.simulator import LEDGER, application, planted

FAL = "fal/flux-pro-kontext-multi"


@pytest.fixture
def billed(lab):
    """Send bodies one after the other; the target's bill in this process, and the ledger over HTTP."""

    def run(spec, *bodies, faults=(), variants=(), key=True, flow=None):
        async def main():
            variations, settings = planted([spec], lab.SETTINGS, faults, variants)
            app = application([spec], settings, VirtualClock(), variations)
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url=lab.ORIGIN, timeout=None) as client:
                for body in bodies:
                    caller = lab.Caller(client, spec, spec.flows[flow] if flow else spec.default_flow)
                    await (caller.run(body) if key else caller.submit(body, headers={}))
                answer = await client.get(LEDGER)
            return app.ledger[spec.target], answer.json()["targets"][spec.target]

        return run_virtual(main())

    return run


def test_accepted_submits_are_paid(billed, lab, spec):
    """Every accepted submit is paid with the images that it asks for, in the price's currency."""
    count = 3 if spec.parameter("count") else 1
    bill, told = billed(spec, lab.body_of(spec), lab.body_of(spec, count=3))
    assert (bill.submits, bill.refused, bill.paid_requests) == (2, 0, 2)
    assert (bill.images_asked, bill.images_delivered) == (1 + count, 1 + count)
    assert bill.amount == spec.price.amount * (1 + count)
    assert told == {
        "submits": 2,
        "refused": 0,
        "paid_requests": 2,
        "images_asked": 1 + count,
        "images_delivered": 1 + count,
        "amount": str(bill.amount),
        "currency": spec.price.currency,
    }


def test_refused_bodies_are_free(billed, lab, spec):
    """At once or late, a refusal costs nothing."""
    bill, _ = billed(spec, lab.body_of(spec, prompt=12345), lab.body_of(spec, prompt=12345))
    assert (bill.submits, bill.refused, bill.paid_requests, bill.amount) == (2, 2, 0, Decimal(0))


def test_a_refused_key_costs_nothing(billed, lab):
    """A request that is not let in is no submit."""
    bill, _ = billed(lab.SPECS[FAL], lab.body_of(lab.SPECS[FAL]), key=False)
    assert (bill.submits, bill.paid_requests) == (0, 0)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("500-on-every-submit", (1, 0, 0, 0)),
        ("accepts-num_images-above-maximum", (1, 1, 5, 5)),
        ("completes-empty", (1, 1, 4, 0)),
        ("refuses-num_images-4", (1, 0, 0, 0)),
    ],
)
def test_faults_on_the_bill(billed, lab, fault, expected):
    """A planted 500 and a wrong refusal are free; a body accepted by mistake is paid in full."""
    spec = lab.SPECS[FAL]
    body = lab.body_of(spec, count=5 if "above" in fault else 4)
    bill, _ = billed(spec, body, faults=[f"{FAL}:{fault}"])
    assert (bill.submits, bill.paid_requests, bill.images_asked, bill.images_delivered) == expected


def test_asked_and_delivered_may_differ(billed, lab):
    """What was asked for is billed, what was delivered is counted apart."""
    spec = lab.SPECS[FAL]
    bill, _ = billed(spec, lab.body_of(spec, count=4), faults=[f"{FAL}:only-one-image"])
    assert (bill.paid_requests, bill.images_asked, bill.images_delivered) == (1, 4, 1)


def test_a_billed_refusal_is_on_the_bill(billed, lab):
    """Where a refusal counts billable units it is paid."""
    spec = lab.SPECS[FAL]
    bill, _ = billed(spec, lab.body_of(spec, prompt=5), variants=[f"{FAL}:bills-refusals"])
    assert (bill.refused, bill.paid_requests, bill.images_asked) == (1, 1, 1)


def test_each_target_has_its_own_bill(lab):
    """Endpoints of one account are billed apart, and both from the beginning."""
    specs = [lab.SPECS["umodelverse/flux-kontext-pro"], lab.SPECS["umodelverse/flux-kontext-pro-multi"]]
    app = application(specs, lab.SETTINGS)
    assert {target: bill.submits for target, bill in app.ledger.items()} == {spec.target: 0 for spec in specs}
