"""Errors a user can meet: one sentence that says what, where, and what to do.

Each class carries the exit status that the command line ends with; nothing else in the harness knows statuses.
"""

from __future__ import annotations


class HarnessError(Exception):
    """Any error that is the input's, the provider's or the machine's, and not a defect of the harness."""

    exit_status = 4


class UsageError(HarnessError):
    """The command, its options, the configuration or a key cannot be used as given."""

    exit_status = 2


class InputError(HarnessError):
    """An input file or run directory cannot be read."""

    exit_status = 4


class OutputError(HarnessError):
    """An output place cannot be written."""

    exit_status = 4
