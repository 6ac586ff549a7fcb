"""A run's result in the files that a CI system reads, beside its run directory.

Rules
-----
* Where they go is tried out before the run: nothing is paid for and then not told.
* JUnit XML replaces its file and is kept in the run directory too; Markdown is added to its file, so that the file may
  be ``$GITHUB_STEP_SUMMARY``, and leaves room for what stands there already.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from harness.errors import OutputError, UsageError
from harness.report import junit, markdown, places
from harness.report.results import RunResult

JUNIT = "junit.xml"
"""Its name in a run directory."""


@dataclass(frozen=True)
class Exports:
    """The files asked for; None for those that were not."""

    junit: Path | None = None
    markdown: Path | None = None

    def try_out(self, run: Path | None = None) -> None:
        """Find out whether the files can be written; ``run`` is a directory that the run itself makes, if it is known.

        Raises:
            OutputError: one of them cannot.
            UsageError: they are the same file.
        """
        if self.junit is not None and self.markdown is not None and _same(self.junit, self.markdown):
            raise UsageError(f"--junit and --markdown both name {self.junit}: name two files")
        for path, append in ((self.junit, False), (self.markdown, True)):
            if path is not None and not (run is not None and _same(path.parent, run)):
                places.try_out(path, append=append)

    def write(self, result: RunResult, directory: Path) -> None:
        """Write them.

        Raises:
            OutputError: one of them cannot be written, any more.
        """
        try:
            if self.junit is not None:
                rendered = junit.render(result)
                places.write(directory / JUNIT, rendered)
                places.write(self.junit, rendered)
            if self.markdown is not None:
                places.append(self.markdown, lambda size: _added(result, size))
        except OutputError as error:
            again = f"harness report {shlex.quote(str(directory))}"
            raise OutputError(f"{error}; the run is kept, and {again} takes the same option") from None


def _added(result: RunResult, size: int) -> str:
    # A blank line ends whatever paragraph or HTML stands before.
    before = "\n\n" if size else ""
    return before + markdown.render(result, max(0, markdown.LIMIT - size - len(before)))


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
