"""``pytest --harness TARGET``: a conformance run as pytest items, one for each case.

Rules
-----
* Collection plans and sends nothing. The first item that is about to run sends every selected case, concurrently; the
  items then judge what came back.
* ``fail`` fails the item, ``unknown`` is an error of its set-up, ``warn`` passes with a report section.
* Under xdist each case is sent once: the first worker to take the lock runs the selected cases, the others wait and
  read its history.
* Every option of ``harness check`` exists as ``--harness-<option>`` and is parsed by that command.
* Nothing of the harness but its command line is imported until ``--harness`` or a fixture asks for it.
* No report shows a key: messages, tracebacks with their locals, captured output and logs are masked before pytest, its
  JUnit XML or another plugin sees them. What a test prints past pytest's capture (``-s``) is its own.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from harness.cli import check as check_command
from harness.cli import given, request_of
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.caller import Provider
    from harness.model import Finding, Judged
    from harness.report.results import RunResult, TargetResult
    from harness.secret import Secret
    from harness.spec import Spec
    from harness.targets import Request

SOURCES = ("replay", "simulate", "live", "record")
NOT_HERE = frozenset({"targets", *SOURCES, "as_json", "quiet", "junit", "markdown"})
"""Options of ``check`` that pytest has itself, or that print."""


def _options() -> Iterator[tuple[str, click.Option]]:
    for option in check_command.params:
        if isinstance(option, click.Option) and option.name not in NOT_HERE:
            yield option.opts[-1].removeprefix("--"), option


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--harness``, ``--harness-source`` and the options of ``harness check``."""
    group = parser.getgroup("harness", "conformance of image-generation APIs")
    group.addoption("--harness", action="append", metavar="TARGET", help="check a target; repeatable")
    group.addoption("--harness-source", choices=SOURCES, help="where answers come from (replay)")
    for name, option in _options():
        action = "store_true" if option.is_flag else "append" if option.multiple else "store"
        group.addoption(f"--harness-{name}", action=action, help=option.help)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker that names a test's target."""
    config.addinivalue_line("markers", "harness(target): the target that the `provider` fixture calls")


def _request(config: pytest.Config) -> Request:
    """The options as ``harness check`` understands them."""
    words: list[str] = []
    source = config.getoption("--harness-source")
    if source:
        words.append(f"--{source}")
    for name, option in _options():
        value = config.getoption(f"--harness-{name}")
        if option.is_flag:
            words += [f"--{name}"] if value else []
        elif value is not None:
            words += [f"--{name}={item}" for item in (value if isinstance(value, list) else [value])]
    try:
        context = check_command.make_context("harness", words)
        return request_of(context.params, given(context))
    except (click.ClickException, HarnessError) as error:
        message = error.format_message() if isinstance(error, click.ClickException) else str(error)
        raise pytest.UsageError(f"harness: {message}") from None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add one item for each case of the plan, before ``-k`` and ``-m`` select."""
    targets = config.getoption("--harness")
    if not targets:
        return
    from harness import targets as deciding
    from harness.config import load
    from harness.spec import find

    request = _request(config)
    try:
        specs, settings = find(tuple(targets)), load(Path.cwd())
        plans = [deciding.plan_of(spec, deciding.flow_of(spec, request.flow), request, settings) for spec in specs]
    except HarnessError as error:
        raise pytest.UsageError(f"harness: {error}") from None
    run = _Run(session, specs, request)
    root = _Collector.from_parent(session, name="harness", nodeid="harness")
    items.extend(CaseItem.from_parent(root, name=case.id, run=run) for plan in plans for case in plan.cases)


class _Collector(pytest.Collector):
    """The parent of the items; their node ids begin with its name."""

    def collect(self) -> list[pytest.Item]:
        """Nothing: the items are made from the plan."""
        return []


class NotConformant(Exception):
    """A case failed, or nothing can be said about it; ``findings`` say why."""

    def __init__(self, text: str) -> None:
        super().__init__(text)


class CaseItem(pytest.Item):
    """One case of a plan."""

    def __init__(self, *, run: _Run, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.run = run
        self.add_marker("harness")

    def setup(self) -> None:
        """See to it that the case has been sent; an unknown verdict is an error."""
        _, judged = self.run.judged(self.name)
        if judged.verdict == "unknown":
            raise NotConformant(self._text("unknown") or "the case was not sent: see the run's reasons")

    def runtest(self) -> None:
        """Fail with the findings, or attach the warnings."""
        _, judged = self.run.judged(self.name)
        if judged.verdict == "fail":
            raise NotConformant(self._text("fail"))
        if judged.verdict == "warn":
            self.add_report_section("call", "harness", self._text("warn"))

    def _text(self, verdict: str) -> str:
        target, judged = self.run.judged(self.name)
        return "\n\n".join(_shown(finding, judged, target) for finding in judged.findings if finding.verdict == verdict)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The findings alone: the harness's own frames would say nothing about the provider."""
        if isinstance(excinfo.value, (NotConformant, HarnessError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        """Where the item comes from, for reports."""
        return "harness", None, self.name


def _shown(finding: Finding, judged: Judged, target: TargetResult) -> str:
    """A finding as a failing test shows it."""
    from harness.flow import Route
    from harness.report.document import shown_by
    from harness.report.text import command, log_line, visible

    route = Route(target.spec, target.flow, target.base_url)
    lines = [f"{finding.check}: {finding.message}"]
    if finding.expected or finding.observed:
        lines.append(f"expected {finding.expected or '-'}, observed {finding.observed or '-'}")
    if finding.source is not None:
        lines.append(f"{finding.source.document}, {finding.source.where}: {finding.source.states}")
    lines.append(command(shown_by(route, judged.case, finding), 4000))
    return "\n".join(log_line(visible(line, 4000)) for line in lines)


class _Run:
    """The run that a session's items share; it happens once, however many workers there are."""

    def __init__(self, session: pytest.Session, specs: Sequence[Spec], request: Request) -> None:
        self._session, self._specs, self._request = session, specs, request
        self._judged: dict[str, tuple[TargetResult, Judged]] | None = None
        self._error: HarnessError | None = None

    def judged(self, case_id: str) -> tuple[TargetResult, Judged]:
        """The verdict on a case.

        Raises:
            HarnessError: the run could not be made.
        """
        if self._error is not None:
            raise self._error
        if self._judged is None:
            try:
                result = self._result()
            except HarnessError as error:
                self._error = error
                raise
            self._judged = {one.case.id: (target, one) for target in result.targets for one in target.judged}
        return self._judged[case_id]

    def _result(self) -> RunResult:
        from dataclasses import replace

        from harness import run
        from harness.config import load

        worker = getattr(self._session.config, "workerinput", None)
        selected = frozenset(item.name for item in self._session.items if isinstance(item, CaseItem))
        request = replace(self._request, only=selected)
        if worker is None:
            return run.check(self._specs, request, load(Path.cwd()), dict(os.environ)).result
        shared = Path(tempfile.gettempdir()) / f"harness-{os.getuid()}-{worker['testrunuid']}"
        with _locked(shared):
            directory = self._request.out or shared / "run"
            if not (directory / "report.json").exists():
                run.check(self._specs, replace(request, out=directory), load(Path.cwd()), dict(os.environ))
            return run.result_of(directory)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Mask the keys that this process has read in what a report shows."""
    report = yield
    from harness.secret import keys_read

    if keys := keys_read():
        _mask(report, keys)
    return report


def _mask(report: pytest.TestReport, keys: Sequence[Secret]) -> None:
    from harness.transport.redact import Redactor

    redactor = Redactor(keys)
    report.sections = [(title, redactor.text(said)) for title, said in report.sections]
    if report.longrepr is not None and not isinstance(report.longrepr, tuple):
        # Frames and locals are objects that print themselves: what they print, without its colours, takes their place.
        shown = report.longreprtext
        if redactor.finds(shown.encode("utf-8", "surrogatepass")):
            # Line by line: locals can be longer than what is masked at once, and the rest is worth reading.
            report.longrepr = redactor.text("\n".join(map(redactor.text, shown.splitlines())))


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    directory.mkdir(mode=0o700, exist_ok=True)
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Simulated:
    """A simulated provider that serves for the length of a test: its base URL and a key that it takes."""

    base_url: str
    key: str


@pytest.fixture
def simulator() -> Iterator[Callable[..., Simulated]]:
    """``simulator(target, faults=())`` serves a target's default flow over HTTP until the test ends."""
    from harness.simulator import Settings, spawned
    from harness.spec import find
    from harness.targets import SIMULATED_KEY

    with ExitStack() as stack:

        def serve(target: str, faults: Sequence[str] = ()) -> Simulated:
            (spec,) = find((target,))
            urls = stack.enter_context(spawned([spec], Settings.quick(), faults=faults))
            return Simulated(urls[f"{spec.provider}:{spec.default_flow.name}"], SIMULATED_KEY)

        yield serve


@pytest.fixture
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    """``provider.call(body)`` sends one job to the target of the ``harness`` marker, or of ``--harness``."""
    from harness.caller import opened
    from harness.config import load
    from harness.spec import find

    marker = request.node.get_closest_marker("harness")
    named = (marker.args[0],) if marker and marker.args else tuple(request.config.getoption("--harness") or ())
    specs = find(named) if named else ()
    if len(specs) != 1:
        raise pytest.UsageError(
            'the provider fixture needs one target: mark the test with harness("provider/endpoint")'
        )
    with opened(specs[0], _request(request.config), load(Path.cwd()), dict(os.environ)) as provider:
        yield provider
