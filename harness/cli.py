"""The command line: parsing and printing only.

Rules
-----
* Standard output is for what was asked for; with ``--json`` it is exactly report.json. Everything else is on
  standard error.
* An error a user can meet is one line, ``harness: what, where, what to do``, and its exit status; never a traceback.
* Start-up is lazy: each command imports what it needs when it runs.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from harness import __version__
from harness.comparing import baseline, compare, detection, trend, versus
from harness.errors import HarnessError, UsageError
from harness.shell import PerSecond, Seconds, carried_out, config, print_lines, reader_may_leave, say, usd

if TYPE_CHECKING:
    from harness.report.results import RunResult
    from harness.targets import Request

SOURCES = ("replay", "simulate", "live", "record")
TIERS = ("one-way", "core", "pairwise")
COVERS = "Every label, every pair of classes, or every pair of labels"


def main() -> NoReturn:
    """Run the command line; the process ends with the documented exit status."""
    signal.signal(signal.SIGTERM, lambda *_: _leave("terminated", 143))
    try:
        status = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except (click.exceptions.Abort, KeyboardInterrupt):
        _leave("interrupted", 130)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(2)
    except click.UsageError as error:
        where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        _leave(f"{error.format_message()}{where}", 2)
    except click.ClickException as error:
        _leave(error.format_message(), 2)
    except HarnessError as error:
        _leave(str(error), error.exit_status)
    except BrokenPipeError:
        # Whoever read us has gone; a second failure while closing would print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _leave(f"cannot write the output: {error.strerror or error}", 4)
    except Exception as error:  # noqa: BLE001 - a defect of ours: one line, and never a status that blames a provider
        _leave(f"internal error, please report it: {type(error).__name__}: {error}", 4)
    sys.exit(status if isinstance(status, int) else 0)


def _leave(message: str, status: int) -> NoReturn:
    say(f"harness: {message}")
    sys.exit(status)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, package_name="image-api-harness", prog_name="harness")
def cli() -> None:
    """Conformance and benchmark test harness for hosted image-generation APIs."""


@cli.group()
def specs() -> None:
    """What the providers document, as data."""


@specs.command("list")
def specs_list() -> None:
    """List the shipped targets."""
    from harness.spec import find
    from harness.spec.show import console, listing

    listing(find(()), console())


@specs.command("show")
@click.argument("target")
def specs_show(target: str) -> None:
    """Show what a target documents, with the places in its document."""
    from harness.spec import find
    from harness.spec.show import console, show

    for spec in find((target,)):
        show(spec, console())


@specs.command("lint")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--documents",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Verify places in the documents kept here.",
)
def specs_lint(paths: tuple[Path, ...], documents: Path | None) -> int:
    """Point at every fault of spec files; all shipped ones without a path."""
    from harness.spec import shipped_targets
    from harness.spec.lint import lint

    problems = lint(paths or tuple(shipped_targets().values()), documents)
    for problem in problems:
        click.echo(str(problem))
    return 1 if problems else 0


@specs.command("diff")
@click.argument("old")
@click.argument("new")
@click.option("--tier", type=click.Choice(TIERS), default="one-way", show_default=True, help="The plan to compare.")
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON and nothing else.")
def specs_diff(old: str, new: str, tier: str, *, as_json: bool) -> None:
    """Show how two specs of an endpoint differ, and what that means for plans, old verdicts and recordings."""
    from harness.compare.consequences import as_json as rendered
    from harness.compare.consequences import consequences, lines
    from harness.spec import find

    both = [find((name,)) for name in (old, new)]
    for name, named in zip((old, new), both, strict=True):
        if len(named) > 1:
            raise UsageError(f"{name} is {len(named)} targets: name one of {', '.join(spec.target for spec in named)}")
    found = consequences(both[0][0], both[1][0], tier, config().rates)
    if as_json:
        click.echo(rendered(found), nl=False)
    else:
        print_lines(lines(found))


def _run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that check and bench share."""
    options = (
        click.argument("targets", nargs=-1),
        click.option("--replay", is_flag=True, help="Committed cassettes; no network, no key (the default)."),
        click.option("--simulate", is_flag=True, help="The built-in simulator on loopback; no key."),
        click.option("--live", is_flag=True, help="The provider itself; the key comes from the environment."),
        click.option("--record", is_flag=True, help="Like --live, and write the cassette."),
        click.option("--flow", help="One of the target's flows."),
        click.option(
            "--base-url",
            "base_urls",
            multiple=True,
            metavar="PROVIDER[:FLOW]=URL",
            help="Another place for a provider; naming it is trust.",
        ),
        click.option("--tier", type=click.Choice(TIERS), help=f"{COVERS} (core; one-way for --live and --record)."),
        click.option("--no-rejects", is_flag=True, help="Neither rejects nor probes."),
        click.option("--repeats", is_flag=True, help="Add the paid repetitions."),
        click.option("--case", "cases", multiple=True, metavar="GLOB", help="Only these case ids."),
        click.option("--max-cases", type=click.IntRange(min=0), help="The first N accept cases of each target."),
        click.option("--explore", type=click.IntRange(min=0), default=0, help="N further drawn requests per target."),
        click.option(
            "--plan",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Send this plan, as harness plan --json wrote it.",
        ),
        click.option("--max-cost", metavar="USD", help="Budget of the run (1.00 for --live and --record)."),
        click.option(
            "--concurrency",
            type=click.IntRange(min=1),
            show_default="8",
            help="Jobs in flight per target.",
        ),
        click.option(
            "--deadline",
            type=Seconds(),
            show_default="300",
            metavar="S",
            help="Seconds per job.",
        ),
        click.option(
            "--poll-interval",
            type=Seconds(),
            metavar="S",
            help="A fixed step instead of the adaptive one.",
        ),
        click.option("--seed", type=int, show_default="0"),
        click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Run directory (reports/<run-id>)."),
        click.option("--cassettes", type=click.Path(path_type=Path), metavar="DIR", help="Where cassettes are."),
        click.option("--resume", is_flag=True, help="Finish the run in --out."),
        click.option("--json", "as_json", is_flag=True, help="Print report.json and nothing else."),
        click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML."),
        click.option("--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Add a summary to FILE."),
        click.option("--quiet", is_flag=True, help="No progress, no summary."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@cli.command()
@_run_options
def check(**options: Any) -> int:
    """Check targets against what their documents promise."""
    return _ran(request_of(options, given(click.get_current_context())), options)


def _ran(request: Request, options: dict[str, Any]) -> int:
    """Run what was asked for, say how it ended, and return the exit status."""
    from harness.planning.file import targets_in
    from harness.report.export import Exports
    from harness.spec import find

    exports = Exports(options["junit"], options["markdown"])
    exports.try_out(request.out)
    # A run that goes on has its own specs: those named beside it are only compared.
    named = options["targets"] or (targets_in(request.plan) if request.plan else ())
    specs = () if request.resume and not options["targets"] else find(named)
    finished = carried_out(specs, request, config(), options)
    if finished.note:
        say(finished.note)
    for target, reason in finished.ended.stopped.items():
        say(f"{target}: stopped: {reason}")
    for target, reason in finished.ended.left_out.items():
        say(f"{target}: not complete: {reason}")
    for reason in finished.result.document["run"]["audit"]["reasons"]:
        say(f"the measurement is not valid: {reason}")
    for case_id, job_id in finished.unfinished.items():
        say(f"unfinished: {case_id} (job {job_id or 'unknown'})")
    if finished.cassettes and not options["quiet"]:
        click.echo(f"recorded: {', '.join(map(str, finished.cassettes))}", err=True)
    if request.source == "record" and not finished.result.document["run"]["complete"] and not finished.ended.over:
        again = f"the same command with --resume --out {finished.directory} goes on"
        click.echo(f"no cassette was written, since the recording is not complete: {again}", err=True)
    if not (finished.directory / "report.html").exists():
        click.echo(f"no page was drawn: run harness report {finished.directory}", err=True)
    exports.write(finished.result, finished.directory)
    with reader_may_leave():
        if options["as_json"]:
            from harness.report.document import dump

            click.echo(dump(finished.result.document), nl=False)
        elif not options["quiet"] and finished.exit_status < 128:
            _summary(finished.result, finished.directory)
    return finished.exit_status


def _summary(result: RunResult, directory: Path) -> None:
    from rich.console import Console

    from harness.report.terminal import summary

    for note in result.notes:
        click.echo(f"{directory}: {note}", err=True)
    summary(result, Console(), directory / "report.html")


FROZEN = ("tier", "repeats", "explore", "seed", "flow")
"""Options that a plan in a file has decided."""
RECORDED = ("tier", "repeats", "explore", "plan", "concurrency", "deadline", "poll_interval", "seed", "base_urls")
"""Options that a recording has decided."""


def _require_as_recorded(options: dict[str, Any]) -> None:
    for name in RECORDED:
        if options[name] not in (None, False, ()):
            raise _decided("base-url" if name == "base_urls" else name.replace("_", "-"))


def _require_as_frozen(options: dict[str, Any]) -> None:
    for name in FROZEN:
        if options[name] not in (None, False):
            raise UsageError(f"--{name} would change what --plan has decided: leave it out, or plan again")


def _decided(option: str) -> UsageError:
    return UsageError(f"--{option} would change what was recorded: leave it out, or use --simulate or --live")


def given(context: click.Context) -> frozenset[str]:
    """The options that a command line names, as they are typed."""
    named = click.core.ParameterSource.COMMANDLINE
    return frozenset(
        option.opts[-1]
        for option in context.command.params
        if isinstance(option, click.Option) and context.get_parameter_source(option.name or "") is named
    )


def request_of(options: dict[str, Any], given: frozenset[str] = frozenset()) -> Request:
    """The options as a request, ``given`` those that were named; what is not built yet is said here."""
    from harness.config import base_urls
    from harness.targets import Request

    chosen = [name for name in SOURCES if options[name]]
    if len(chosen) > 1:
        raise UsageError(f"--{' and --'.join(chosen)} exclude each other: name one source")
    # A run that goes on has its own source, which one named beside it must not contradict.
    source = chosen[0] if chosen else "live" if options["resume"] else "replay"
    if source == "replay" and not options["resume"]:
        _require_as_recorded(options)
    if options["plan"]:
        _require_as_frozen(options)
    return Request(
        source=source,  # type: ignore[arg-type] # the two that are left
        flow=options["flow"],
        tier=options["tier"] or ("core" if source == "simulate" else "one-way"),
        base_urls=base_urls(options["base_urls"]),
        rejects=not options["no_rejects"],
        repeats=options["repeats"],
        cases=options["cases"],
        max_cases=options["max_cases"],
        explore=options["explore"],
        plan=options["plan"],
        max_cost=usd(options["max_cost"]),
        concurrency=options["concurrency"] or 8,
        deadline_seconds=options["deadline"] or 300.0,
        poll_interval=options["poll_interval"],
        seed=options["seed"] or 0,
        out=options["out"],
        cassettes=options["cassettes"],
        command=("harness", *sys.argv[1:]),
        resume=options["resume"],
        given=given,
    )


@cli.command()
@click.argument("targets", nargs=-1)
@click.option("--flow", help="One of the target's flows.")
@click.option("--tier", type=click.Choice(TIERS), default="one-way", show_default=True, help=COVERS)
@click.option("--repeats", is_flag=True, help="Add the paid repetitions.")
@click.option("--explore", type=click.IntRange(min=0), default=0, help="N further drawn requests per target.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the plans as JSON: check --plan sends what stands there.")
@click.option("--detect", metavar="p50=10%", help="Plan the benches that would show such a change instead.")
@click.option(
    "--past", multiple=True, type=click.Path(path_type=Path), metavar="PATH", help="Runs that tell how runs vary."
)
def plan(
    targets: tuple[str, ...], *, as_json: bool, detect: str | None, past: tuple[Path, ...], **options: Any
) -> None:
    """Show what would be sent, why, and what it costs, in this tier and in the others; send nothing."""
    if detect is not None:
        idle = sorted(given(click.get_current_context()) & {"--tier", "--repeats", "--explore", "--seed"})
        if idle:
            raise UsageError(f"{idle[0]} says nothing of the benches that --detect plans: leave it out")
        detection(targets, options["flow"], detect, past, as_json=as_json)
        return
    if past:
        raise UsageError("--past belongs to --detect: say which change is to be seen")

    from harness.planning.file import dump
    from harness.planning.show import MOST_SHOWN, about, least, show
    from harness.spec import find
    from harness.spec.show import console
    from harness.targets import Request, flow_of, plan_of, price_of

    settings, specs = config(), find(targets)
    offers = []
    for spec in specs:
        flow, asked = flow_of(spec, options["flow"]), Request("live", **options)
        by_tier = {asked.tier: plan_of(spec, flow, asked, settings)}
        for tier in TIERS:
            if tier not in by_tier and least(by_tier[asked.tier], tier) <= MOST_SHOWN:
                by_tier[tier] = plan_of(spec, flow, replace(asked, tier=tier), settings)
        by_tier = {tier: by_tier[tier] for tier in TIERS if tier in by_tier}
        offers.append((spec, by_tier, price_of(spec, settings)))
    if as_json:
        said = {spec.target: about(by_tier, price) for spec, by_tier, price in offers}
        click.echo(dump([by_tier[options["tier"]] for _, by_tier, _ in offers], {"about": said}), nl=False)
        return
    for spec, by_tier, price in offers:
        show(spec, by_tier, options["tier"], price, console())


NOT_IN_BENCH: dict[str, Any] = {
    "tier": None, "no_rejects": True, "repeats": False, "explore": 0, "plan": None,
}  # fmt: skip
"""Options of check that concern conformance alone; a bench refuses them, and runs as if they had these values."""

ONLY_IN_BENCH = {
    "requests": "requests", "warmup": "warmup", "rate": "rate", "arrivals": "arrivals", "downloads": "download",
    "workload": "workload", "slo_seconds": "slo", "precision": "precision", "poll_for": "poll-for", "learn_from": "learn-from",
}  # fmt: skip
"""What a bench is asked for besides, and the option that says it; a recording has decided all of it."""
OPEN_LOOP_CAP = 256
"""The jobs in flight per target that an open loop may have where no --concurrency is named: to meet it spoils the run."""


@cli.command()
@click.option("-n", "--requests", type=click.IntRange(min=1), show_default="20", help="Timed jobs per target.")
@click.option(
    "--warmup",
    type=click.IntRange(min=0),
    show_default="0",
    help="Jobs per target that are sent first and not timed.",
)
@click.option(
    "--rate",
    type=PerSecond(),
    metavar="R",
    help="Open loop: submits per second and target; --concurrency (256) caps it.",
)
@click.option("--arrivals", type=click.Choice(("constant", "poisson")), help="How those come (constant).")
@click.option("--download", "downloads", is_flag=True, help="Fetch the outputs, and time that too.")
@click.option("--workload", type=click.Path(path_type=Path), metavar="FILE", help="Bodies to send, one a line.")
@click.option("--slo", "slo_seconds", type=Seconds(), metavar="S", help="Count the jobs whose total is within S.")
@click.option("--precision", metavar="p95=10%", help="Send until the quantile of total is known so well.")
@click.option("--poll-for", type=click.Choice(("phases", "total")), help="What the polls are to show (phases).")
@click.option("--learn-from", type=click.Path(path_type=Path), metavar="RUN", help="A run to learn the polls from.")
def bench(**options: Any) -> int:
    """Measure latency and cost."""
    return _ran(_bench_request(options), options)


def _in_bench(option: click.Parameter) -> click.Parameter:
    """An option of check in a bench: one that is refused there is not shown."""
    if option.name in NOT_IN_BENCH:
        option = copy(option)
        option.hidden = True  # type: ignore[attr-defined] # a click.Option
    return option


bench.params[:0] = map(_in_bench, check.params)


def _bench_request(options: dict[str, Any]) -> Request:
    from dataclasses import replace

    from harness.metrics.precision import parse as precision

    typed = given(click.get_current_context())
    for name in NOT_IN_BENCH:
        if (option := f"--{name.replace('_', '-')}") in typed:
            raise UsageError(f"{option} says what a check sends, and a bench sends one plain request: leave it out")
    request = request_of({**options, **NOT_IN_BENCH}, typed)
    named = {name: options[name] for name in ONLY_IN_BENCH if options[name] is not None and options[name] is not False}
    if request.source == "replay" and named:
        raise _decided(ONLY_IN_BENCH[next(iter(named))])
    if "arrivals" in named and "rate" not in named and not request.resume:
        raise UsageError("--arrivals says how an open loop sends: name its --rate too")
    learnt = [name for name in ("poll_for", "learn_from") if name in named]
    if learnt and options["poll_interval"] is not None and not request.resume:
        option = ONLY_IN_BENCH[learnt[0]]
        raise UsageError(f"--{option} says how polls are learnt, and --poll-interval fixes them: leave one out")
    if "rate" in named and options["concurrency"] is None:
        named["concurrency"] = OPEN_LOOP_CAP
    if "precision" in named:
        precision(named["precision"])
    changes: dict[str, Any] = {"kind": "bench", "downloads": False} | named
    return replace(request, **changes)


@cli.command()
@click.argument("targets", nargs=-1)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0: any free one.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--queue-seconds", type=click.FloatRange(min=0), help="Median time in the queue.")
@click.option("--inference-seconds", type=click.FloatRange(min=0), help="Median time of an inference.")
@click.option("--capacity", type=click.IntRange(min=1), help="Jobs that run at once, per provider.")
@click.option("--fault", "faults", multiple=True, metavar="ID", help="Plant a fault.")
@click.option("--list-faults", is_flag=True, help="List the faults that can be planted.")
def simulate(
    targets: tuple[str, ...], host: str, port: int, faults: tuple[str, ...], *, list_faults: bool, **times: Any
) -> int:
    """Serve simulated providers over HTTP, to develop against without a key."""
    from dataclasses import replace

    from harness.simulator.server import serve
    from harness.simulator.settings import Settings
    from harness.spec import find

    if list_faults:
        from harness.simulator import list_faults as listed

        click.echo("\n".join(listed(find(targets))))
        return 0
    chosen = {name: value for name, value in times.items() if value is not None}

    def announce(urls: Any) -> None:
        click.echo("\n".join(f"{name}={url}" for name, url in urls.items()))

    ended_by = serve(find(targets), replace(Settings(), **chosen), host, port, announce, faults=faults)
    return 128 + ended_by if ended_by else 0


EXPORTS = {
    "--junit": ("FILE", "Write JUnit XML."),
    "--markdown": ("FILE", "Add a summary to FILE."),
    "--sarif": ("FILE", "Write the findings as SARIF, at the lines of the specs."),
    "--code-quality": ("FILE", "Write the findings as GitLab reads code quality."),
    "--badge": ("FILE", "Write the JSON of a shields.io badge."),
    "--har": ("FILE", "Write every exchange as an HTTP archive."),
    "--csv": ("DIR", "Write findings.csv and measurements.csv."),
    "--parquet": ("DIR", "The same as Parquet; needs pyarrow."),
    "--plots": ("DIR", "Write each figure as SVG and PNG."),
}
"""What ``report`` writes besides the page, by option: what is named, and what for."""


def _export_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, (metavar, words) in reversed(EXPORTS.items()):
        command = click.option(name, type=click.Path(path_type=Path), metavar=metavar, help=words)(command)
    return command


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@_export_options
def report(run: Path, **files: Path | None) -> int:
    """Build the reports of a run directory again from its history."""
    from harness.report.export import Exports
    from harness.run import write_reports

    exports = Exports(**files)
    exports.try_out()
    result = write_reports(run)
    exports.write(result, run)
    for note in result.notes:
        click.echo(f"{run}: {note}", err=True)
    click.echo(str(run / "report.html"))
    return 0


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
def recheck(run: Path) -> int:
    """Judge a run directory's history, or a cassette, by today's specs and checks; send nothing."""
    from harness.run import exit_status, recheck_cassette, write_reports

    result, place = (
        (write_reports(run, with_todays_specs=True), run) if run.is_dir() else recheck_cassette(run, config())
    )
    with reader_may_leave():
        _summary(result, place)
    return exit_status(result)


for command in (compare, baseline, trend, versus):
    cli.add_command(command)


@cli.group()
def cassettes() -> None:
    """What was recorded, and whether it may be committed."""


@cassettes.command("list")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
def cassettes_list(paths: tuple[Path, ...]) -> None:
    """List recordings: those that a replay finds, or those under PATHS."""
    from harness.cassettes.lint import listing, slots_of
    from harness.spec.show import console

    listing(slots_of(paths), console())


@cassettes.command("lint")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
def cassettes_lint(paths: tuple[Path, ...]) -> int:
    """Point at what is wrong with recordings: damage, what does not fit, and anything that looks like a secret."""
    from harness.cassettes.lint import lint, slots_of

    own = {one.credential[1] for one in config().providers.values() if one.credential}
    problems = lint(slots_of(paths), os.environ, own)
    for problem in problems:
        click.echo(problem)
    return 1 if problems else 0
