"""What the commands share: kinds of options, the configuration, a run with its progress, output that may be cut off.

Rules
-----
* Start-up is lazy: each function imports what it needs when it runs.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import UsageError

if TYPE_CHECKING:
    from decimal import Decimal

    from harness.config import Config
    from harness.engine import Progress
    from harness.ledger import Ledger
    from harness.run import Finished
    from harness.targets import Request

LONGEST_MESSAGE = 1000
SLOWEST, FASTEST = 0.001, 100_000.0


class _Finite(click.FloatRange):
    """A number within bounds, and one at all."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number; ``nan`` passes every comparison and is refused here."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Seconds(_Finite):
    """A positive, finite number of seconds."""

    name = "seconds"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True, max=1e9)


class PerSecond(_Finite):
    """Submits per second, from one in a quarter of an hour to more than any client sends."""

    name = "per second"

    def __init__(self) -> None:
        super().__init__(min=SLOWEST, max=FASTEST)


class Percent(click.ParamType[float]):
    """A share that is written as a percentage (``10%``)."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The share, more than 0 and at most 10 (1000 %)."""
        if isinstance(value, float):
            return value
        try:
            share = float(str(value).removesuffix("%")) / 100
        except ValueError:
            share = math.nan
        if not str(value).endswith("%") or not 0 < share <= 10:
            self.fail(f"{value!r} is not a percentage such as 10%.", param, ctx)
        return share


def usd(amount: str | None) -> Decimal | None:
    """An amount of ``--max-cost``; None where none was given."""
    from decimal import Decimal, InvalidOperation

    try:
        cost = None if amount is None else Decimal(amount)
    except InvalidOperation:
        cost = Decimal(-1)
    if cost is not None and (not cost.is_finite() or cost < 0):
        raise UsageError(f"--max-cost {amount!r} is not an amount in USD")
    return cost


def config() -> Config:
    """The configuration of this directory."""
    from harness.config import load

    return load(Path.cwd())


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Let a pipe be closed by its reader: what the run found out stays its exit status."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def carried_out(specs: Any, request: Request, settings: Config, options: dict[str, Any]) -> Finished:
    """Make a run, with its progress where somebody watches."""
    from rich.console import Console

    from harness.report.terminal import Progress as Bar
    from harness.run import check as run_check

    with Bar(Console(stderr=True), quiet=options["quiet"]) as bar:

        def told(line: str) -> None:
            if not options["quiet"]:
                say(line)

        def moved(progress: Progress, ledger: Ledger) -> None:
            bar.update(progress.done, progress.planned, ledger.billed + ledger.unknown, progress.running)

        return run_check(specs, request, settings, dict(os.environ), moved, say=told)


def say(line: str) -> None:
    """Print a line on standard error: no key in it, nothing that steers a terminal, nothing that a CI system obeys."""
    from harness.report.text import log_line, visible
    from harness.secret import keys_read

    if keys := keys_read():
        from harness.transport.redact import Redactor

        line = Redactor(keys).text(line)
    print(log_line(visible(line, LONGEST_MESSAGE)), file=sys.stderr)  # noqa: T201 - the error line


def print_lines(lines: Iterable[str]) -> None:
    """Lines for a person, in ASCII where they go to no terminal."""
    from harness.report import text

    plain = not sys.stdout.isatty()
    for line in lines:
        safe = text.log_line(line)
        click.echo(text.ascii_only(safe) if plain else safe)
