"""A run's result in the files that other programs read, beside its run directory.

Rules
-----
* Where they go is tried out before the run: nothing is paid for and then not told.
* JUnit XML replaces its file and is kept in the run directory too; Markdown is added to its file, so that the file may
  be ``$GITHUB_STEP_SUMMARY``, and leaves room for what stands there already. Every other file is replaced.
* An option that names a folder makes it, and writes files of fixed names into it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from harness.errors import OutputError, UsageError
from harness.report import junit, markdown, places
from harness.report.results import RunResult

JUNIT = "junit.xml"
"""Its name in a run directory."""
FOLDERS = ("csv", "parquet", "plots")
"""The options that name a folder."""


@dataclass(frozen=True)
class Exports:
    """The files and folders asked for, by the name of their option; None for those that were not."""

    junit: Path | None = None
    markdown: Path | None = None
    sarif: Path | None = None
    code_quality: Path | None = None
    badge: Path | None = None
    har: Path | None = None
    csv: Path | None = None
    parquet: Path | None = None
    plots: Path | None = None

    def try_out(self, run: Path | None = None) -> None:
        """Find out whether the files can be written; ``run`` is a directory that the run itself makes, if it is known.

        Raises:
            OutputError: one of them cannot.
            UsageError: two are the same file, or one needs what is not installed.
        """
        files = [(name, path) for name, path in self._asked() if name not in FOLDERS]
        for place, (name, path) in enumerate(files):
            for other, earlier in files[:place]:
                if _same(path, earlier):
                    raise UsageError(f"{_option(other)} and {_option(name)} both name {earlier}: name two files")
        if self.parquet is not None:
            from harness.report.tables import require_parquet

            require_parquet()
        for name, path in files:
            if not (run is not None and _same(path.parent, run)):
                places.try_out(path, append=name == "markdown")
        for name, path in self._asked():
            if name in FOLDERS:
                places.folder(path)

    def write(self, result: RunResult, directory: Path) -> None:
        """Write them.

        Raises:
            OutputError: one of them cannot be written, any more.
        """
        try:
            for name, path in self._asked():
                if name == "markdown":
                    places.append(path, lambda size: _added(result, size))
                elif name in FOLDERS:
                    for file, content in _FILES[name](result):
                        places.write(path / file, content)
                else:
                    rendered = _TEXTS[name](result)
                    if name == "junit":
                        places.write(directory / JUNIT, rendered)
                    places.write(path, rendered)
        except OutputError as error:
            again = f"harness report {shlex.quote(str(directory))}"
            raise OutputError(f"{error}; the run is kept, and {again} takes the same option") from None

    def _asked(self) -> Iterator[tuple[str, Path]]:
        for field in fields(self):
            path = getattr(self, field.name)
            if path is not None:
                yield field.name, path


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _sarif(result: RunResult) -> str:
    from harness.report.sarif import render

    return render(result)


def _code_quality(result: RunResult) -> str:
    from harness.report.codequality import render

    return render(result)


def _badge(result: RunResult) -> str:
    from harness.report.badge import render

    return render(result)


def _har(result: RunResult) -> str:
    from harness.report.har import render
    from harness.report.text import mode_line

    if result.history is None:
        raise OutputError("an HTTP archive is made from a run's history, and there is none")
    return render(result.history, mode_line(result.document["run"]))


def _csv(result: RunResult) -> Iterator[tuple[str, str]]:
    from harness.report.tables import as_csv, tables

    for table in tables(result):
        yield f"{table.name}.csv", as_csv(table)


def _parquet(result: RunResult) -> Iterator[tuple[str, bytes]]:
    from harness.report.tables import as_parquet, tables

    for table in tables(result):
        yield f"{table.name}.parquet", as_parquet(table)


def _plots(result: RunResult) -> Iterator[tuple[str, str | bytes]]:
    from harness.report import plots

    for name, plot in plots.plots_of(result.targets).items():
        yield f"{name}.svg", plots.file(plot, plots.WIDE)
        yield f"{name}.png", plots.png(plot, plots.WIDE)


_TEXTS: Mapping[str, Callable[[RunResult], str]] = {
    "junit": junit.render,
    "sarif": _sarif,
    "code_quality": _code_quality,
    "badge": _badge,
    "har": _har,
}
_FILES: Mapping[str, Callable[[RunResult], Iterator[tuple[str, str | bytes]]]] = {
    "csv": _csv,
    "parquet": _parquet,
    "plots": _plots,
}


def _added(result: RunResult, size: int) -> str:
    # A blank line ends whatever paragraph or HTML stands before.
    before = "\n\n" if size else ""
    return before + markdown.render(result, max(0, markdown.LIMIT - size - len(before)))


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
