"""The commands that ask whether something has changed: parsing and printing only.

Rules
-----
* Those of ``cli``; here because there are many of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.compare.names import ACROSS, QUANTILES
from harness.errors import HarnessError, UsageError
from harness.shell import Percent, carried_out, config, print_lines, reader_may_leave, usd

if TYPE_CHECKING:
    from decimal import Decimal

    from harness.compare.confirm import Places
    from harness.report.results import RunResult
    from harness.targets import Request

_ACROSS = click.option(
    "--across", multiple=True, type=click.Choice(ACROSS), help="Compare although this differs between the runs."
)


def _comparing(command: Callable[..., Any]) -> Callable[..., Any]:
    """How two groups of runs are compared, and where the comparison goes."""
    options = (
        click.option(
            "--tolerance", type=Percent(), default="10%", show_default=True, help="A change that does not matter."
        ),
        _ACROSS,
        click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON and nothing else."),
        click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML."),
        click.option("--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Add a summary to FILE."),
        click.option("--quiet", is_flag=True, help="Print nothing."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("base", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--candidate",
    "candidates",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="A run to judge.",
)
@_comparing
@click.option("--confirm", is_flag=True, help="Send again, live, what seems to have regressed, before failing.")
@click.option("--max-cost", metavar="USD", help="Budget of what is sent again (1.00).")
@click.option("--base-url", "base_urls", multiple=True, metavar="PROVIDER[:FLOW]=URL", help="As the runs had it.")
def compare(base: tuple[Path, ...], candidates: tuple[Path, ...], **options: Any) -> int:
    """Compare runs: has a provider changed, and how sure is that?

    BASE and RUN are run directories or folders of them; BASE may be a baseline file.
    """
    from harness.clock import wall_time
    from harness.compare.sources import alike, baseline_of, candidates_of
    from harness.compare.verdicts import compare as compared

    exports = _comparison_exports(options)
    known, mine = baseline_of(base), candidates_of(candidates)
    settings = {
        "tolerance": options["tolerance"],
        "across": options["across"],
        "accepted": known.accepted,
        "today": wall_time().date(),
    }
    older = alike(known.digests, mine.digests)
    found = compared(older, mine.digests, **settings)
    if options["confirm"]:
        found = _confirmed(found, mine, options, lambda some: compared(older, some, **settings))
    return _tell(found, options, exports)


def _confirmed(found: Any, mine: Any, options: dict[str, Any], compared: Callable[[Any], Any]) -> Any:
    """What is left of a comparison after a fresh batch; where none can be sent, the comparison with the reason."""
    from harness.compare.confirm import Places, unconfirmed
    from harness.compare.digest import digests
    from harness.compare.verdicts import confirmed
    from harness.config import base_urls

    limit = usd(options["max_cost"])
    to = Places(base_urls(options["base_urls"]), config(), dict(os.environ))
    try:
        fresh = _fresh(found, mine.places, options, to, limit)
    except HarnessError as error:
        return unconfirmed(found, str(error))
    again = tuple(one for directory in fresh for one in digests(directory))
    return confirmed(found, compared(again), compared((*mine.digests, *again))) if again else found


def _fresh(
    found: Any, runs: dict[str, Path], options: dict[str, Any], to: Places, limit: Decimal | None
) -> tuple[Path, ...]:
    """Send again what seems to have regressed; the directories of the fresh runs."""
    from harness.compare.confirm import batch, sent

    def send(specs: Any, request: Request) -> Path:
        return carried_out(specs, request, to.settings, options).directory

    made = sent(batch(found, runs, to), limit, send)
    for directory in made:
        click.echo(f"sent again: {directory}", err=True)
    return made


def _comparison_exports(options: dict[str, Any]) -> tuple[Path | None, Path | None]:
    """The files that a comparison goes to, tried out."""
    from harness.report import places

    junit, markdown = options["junit"], options["markdown"]
    if junit is not None:
        places.try_out(junit)
    if markdown is not None:
        places.try_out(markdown, append=True)
    return junit, markdown


def _tell(found: Any, options: dict[str, Any], exports: tuple[Path | None, Path | None]) -> int:
    """Print and write a comparison, and return its exit status."""
    from harness.compare import document, show
    from harness.report import places

    junit, markdown = exports
    if junit is not None:
        places.write(junit, show.junit(found))
    if markdown is not None:
        places.append(markdown, lambda size: ("\n\n" if size else "") + show.markdown(found))
    with reader_may_leave():
        if options["as_json"]:
            click.echo(document.dump(found), nl=False)
        elif not options["quiet"]:
            print_lines(show.lines(found))
    return int(found.exit_status)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--number",
    type=click.Choice(list(QUANTILES)),
    default=next(iter(QUANTILES)),
    show_default=True,
    help="What to look at.",
)
@click.option("--tolerance", type=Percent(), default="10%", show_default=True, help="A change that does not matter.")
@_ACROSS
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Draw it, in a page.")
@click.option("--json", "as_json", is_flag=True, help="Print the trends as JSON and nothing else.")
def trend(
    runs: tuple[Path, ...], number: str, tolerance: float, across: tuple[str, ...], html: Path | None, *, as_json: bool
) -> None:
    """Show one number over many runs, and where its level has changed.

    RUNS are folders of run directories, run directories, or baseline files. It judges nothing: see harness compare.
    """
    from harness.compare import trend as trending
    from harness.compare.sources import baseline_of
    from harness.report import places

    if html is not None:
        places.try_out(html)
    found = trending.trends(baseline_of(runs).digests, number, tolerance, across)
    if html is not None:
        places.write(html, trending.page(found, number))
    if as_json:
        click.echo(trending.as_json(found), nl=False)
    else:
        print_lines(trending.lines(found))


@click.group()
def baseline() -> None:
    """What a provider used to be like: digests of past runs, and the failures that are put up with."""


FILE_OPTION = click.option(
    "--file", "place", type=click.Path(path_type=Path), default="harness-baseline.json", show_default=True
)


@baseline.command("update")
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@FILE_OPTION
@click.option("--accept", "names", multiple=True, metavar="ID", help="Put up with a failure that the runs show.")
@click.option("--reason", help="Why it is put up with.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="The last day on which it is.")
@click.option("--replace", "replacing", is_flag=True, help="Drop the runs that cannot be compared with the newest.")
def baseline_update(
    runs: tuple[Path, ...],
    place: Path,
    names: tuple[str, ...],
    reason: str | None,
    until: datetime | None,
    *,
    replacing: bool,
) -> None:
    """Add RUNS to a baseline file, which is made where there is none.

    With --accept, RUNS only show the failure and are not added.
    """
    from harness.clock import wall_time
    from harness.compare import baseline as kept
    from harness.compare.sources import baseline_of
    from harness.report import places

    if names and not (reason and reason.strip() and until):
        raise UsageError("--accept needs --reason and --until: why, and until which day")
    if not names and (reason or until):
        raise UsageError("--reason and --until belong to --accept: name the failure")
    if until is not None and until.date() < wall_time().date():
        raise UsageError(f"--until {until.date()} has passed: name the last day on which the failure is put up with")
    if not names and not runs:
        raise UsageError("there is nothing to add: name runs, or a failure with --accept")
    places.try_out(place)
    before = kept.read(place) if place.exists() else kept.Baseline()
    named = baseline_of(runs).digests
    if names and reason and until:
        after = kept.accepting(before, names, reason, until.date(), named)
    else:
        after, gone = kept.updated(before, named, replacing=replacing)
        print_lines(f"left out: {what}: {why}" for what, why in gone.items())
    kept.write(place, after)
    print_lines([f"{place}: {len(after.digests)} digests, {len(after.accepted)} accepted failures"])


@baseline.command("show")
@FILE_OPTION
def baseline_show(place: Path) -> None:
    """Show what a baseline file holds."""
    from harness.clock import wall_time
    from harness.compare import baseline as kept

    print_lines(kept.lines(kept.read(place), wall_time().date()))


@click.command()
@click.argument("first")
@click.argument("second")
@click.option("--runs", multiple=True, type=click.Path(path_type=Path), metavar="PATH", help="Runs that measured both.")
@click.option("--live", is_flag=True, help="Measure, live, until it is decided.")
@click.option("--pairs", type=click.IntRange(min=1), default=60, show_default=True, help="Pairs at most.")
@click.option("--batch", type=click.IntRange(min=1), default=5, show_default=True, help="Pairs between two looks.")
@click.option("--max-cost", metavar="USD", help="Budget of all that is sent (1.00).")
@click.option(
    "--base-url", "base_urls", multiple=True, metavar="PROVIDER[:FLOW]=URL", help="Another place for a provider."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON and nothing else.")
@click.option("--quiet", is_flag=True, help="No progress.")
def versus(first: str, second: str, **options: Any) -> int:
    """Which of two targets is faster? Pairs that were sent in the same runs decide, as soon as it is certain.

    The evidence may be looked at after any number of pairs: stopping when it is decided needs no correction.
    """
    import json

    from harness.compare.digest import runs_at
    from harness.compare.measure import until_decided
    from harness.compare.pairs import as_json, compared, lines
    from harness.run import result_of
    from harness.spec import find

    specs = find((first, second))
    if len(specs) != 2:
        raise UsageError(f"{first} and {second} name {len(specs)} targets: name two")
    if not options["runs"] and not options["live"]:
        raise UsageError("there is nothing to look at: name runs with --runs, or measure with --live")
    results = [result_of(directory) for directory in runs_at(options["runs"])]
    names = specs[0].target, specs[1].target
    if options["live"]:
        results = until_decided(specs, results, _pace(options), lambda request: _measured(specs, request, options))
    found = compared(results, *names)
    with reader_may_leave():
        if options["as_json"]:
            click.echo(json.dumps(as_json(found), ensure_ascii=False, indent=2))
        else:
            print_lines(lines(found))
    return 3 if found.word in ("undecided", "not comparable") else 0


def _pace(options: dict[str, Any]) -> Any:
    """How the pairs are measured."""
    import sys

    from harness.compare.measure import Pace
    from harness.config import base_urls
    from harness.targets import DEFAULT_MAX_COST, Request

    limit = usd(options["max_cost"])
    request = Request(
        "live",
        kind="bench",
        base_urls=base_urls(options["base_urls"]),
        downloads=False,
        command=("harness", *sys.argv[1:]),
    )
    return Pace(options["pairs"], options["batch"], DEFAULT_MAX_COST if limit is None else limit, request)


def _measured(specs: Any, request: Request, options: dict[str, Any]) -> RunResult:
    """One batch, and where it is."""
    finished = carried_out(specs, request, config(), options)
    click.echo(f"measured: {finished.directory}", err=True)
    return finished.result


_DETECTED = dict(zip(("p50", "p95", "queue", "inference"), QUANTILES, strict=True))
"""What ``--detect`` calls the numbers."""


def detection(
    targets: tuple[str, ...], flow: str | None, wanted: str, past: tuple[Path, ...], *, as_json: bool
) -> None:
    """Print what it takes to see a change of a number, for each target."""
    import json

    from harness.compare.numbers import level_of
    from harness.compare.power import as_json as rendered
    from harness.compare.power import detection as needed
    from harness.compare.power import lines
    from harness.compare.sources import baseline_of
    from harness.metrics.phases import not_separable
    from harness.spec import find
    from harness.targets import Request, flow_of, plan_of

    name, _, share = wanted.partition("=")
    number = _DETECTED.get(name)
    if number is None:
        raise UsageError(
            f"--detect {wanted!r} is not of the form p50=10%: p50, p95, queue or inference, and a percentage"
        )
    change = Percent().convert(share, None, None)
    runs = baseline_of(past).digests
    found = []
    for spec in find(targets):
        chosen = flow_of(spec, flow)
        if why := not_separable(chosen).get(number.split()[0]):
            raise UsageError(
                f"{spec.target} cannot show {number} by its flow {chosen.name}: {why}; name another number or flow"
            )
        asked = plan_of(spec, chosen, Request("simulate", kind="bench", requests=1), config())
        found.append(needed((spec.target, chosen.name), number, change, runs, asked.usd, level=level_of(number)))
    if as_json:
        click.echo(json.dumps({"detections": [rendered(one) for one in found]}, ensure_ascii=False, indent=2))
    else:
        print_lines(line for one in found for line in lines(one))
