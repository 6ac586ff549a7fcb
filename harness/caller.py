"""One job at a time, for users' own tests: ``provider.call(body)`` sends a body and returns what happened.

Everything that protects a run protects a call too: the key is bound to its origin, a submit leaves once, the budget
holds over all calls of a provider.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from harness.clock import RealClock
from harness.config import Config
from harness.engine import Engine
from harness.errors import UsageError
from harness.ledger import Ledger
from harness.model import Call, Case, Exchange, Json
from harness.run import options_of, simulated, tls_of, wire_of, work_of
from harness.spec import Spec
from harness.targets import DEFAULT_MAX_COST, Request, Target, targets_of


@contextmanager
def opened(spec: Spec, request: Request, settings: Config, environment: Mapping[str, str]) -> Iterator[Provider]:
    """A provider to call, for as long as the context lasts; simulated when the request says so.

    Raises:
        UsageError: the target cannot be used as asked.
    """
    with simulated([spec], request) as resolved:
        (target,) = targets_of([spec], replace(resolved, only=frozenset()), settings, environment)
        limit = request.max_cost if request.max_cost is not None else settings.max_cost
        if limit is None and request.source != "simulate":
            limit = DEFAULT_MAX_COST
        direct = settings if request.source != "simulate" else replace(settings, proxy=None)
        yield Provider(target, resolved, direct, Ledger(limit), tls_of(settings))


@dataclass
class Provider:
    """One target, ready to be called; ``spec`` and ``base_url`` say which and where."""

    target: Target
    request: Request
    settings: Config
    ledger: Ledger
    tls: ssl.SSLContext
    calls: int = 0

    @property
    def spec(self) -> Spec:
        """What the target documents."""
        return self.target.route.spec

    @property
    def base_url(self) -> str:
        """Where it is called."""
        return self.target.route.base_url

    def call(self, body: Mapping[str, Json]) -> Call:
        """Send one request body, see its job to the end, and fetch its outputs.

        Raises:
            UsageError: the body does not fit into what is left of the budget.
        """
        self.calls += 1
        whole = {**self.spec.constants, **self.target.route.flow.body, **body}
        images = self.spec.images_asked(whole)
        case = Case(
            id=f"{self.spec.target}/call/{self.calls}",
            target=self.spec.target,
            body=whole,
            expect="either",
            why="a request of the user's own",
            images=images,
            usd=self.target.price.amount * images,
        )
        kept = _Kept()
        asyncio.run(self._run(case, kept))
        if kept.ended is None:
            raise UsageError(
                f"the call costs {case.usd} USD, over what is left of {self.ledger.limit} USD: raise the budget"
            )
        return kept.ended

    async def _run(self, case: Case, kept: _Kept) -> None:
        clock = RealClock()
        wire = wire_of([self.target], self.settings, clock, self.tls)
        work = replace(work_of(self.target, wire), cases=[case])
        options = replace(options_of(self.request), confirm=False)
        try:
            await Engine(clock, kept, self.ledger, options).run([work])
        finally:
            await wire.aclose()


@dataclass
class _Kept:
    """A recorder that keeps the one call."""

    ended: Call | None = None

    async def intent(self, call: str, case: Case, derived: str | None) -> None:
        """Nothing to keep: the test's process is the record."""

    def exchange(self, exchange: Exchange) -> None:
        """Nothing to keep: the call holds its exchanges."""

    def call(self, call: Call) -> None:
        """Keep the call."""
        self.ended = call
