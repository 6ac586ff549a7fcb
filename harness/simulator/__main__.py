"""``python -m harness.simulator SPEC…``: the simulator as a child process of a run; people use ``harness simulate``.

It writes one line to standard output, a JSON object with the base URL of each ``provider:flow``, once it accepts
connections. ``--fault ID`` plants a fault, ``--variant ID`` a healthy variant; both can be repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from harness.errors import HarnessError
from harness.simulator.server import LOOPBACK, serve
from harness.simulator.settings import Settings
from harness.spec.load import load


def main(arguments: list[str] | None = None) -> int:
    """Serve the named specs until told to end; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m harness.simulator")
    parser.add_argument("specs", nargs="+", type=Path)
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fault", dest="faults", action="append", default=[])
    parser.add_argument("--variant", dest="variants", action="append", default=[])
    parser.add_argument("--until-stdin-closes", action="store_true")
    for name, kind in _KINDS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind)
    given = parser.parse_args(arguments)
    settings = {f.name: getattr(given, f.name) for f in fields(Settings) if getattr(given, f.name) is not None}
    try:
        serve(
            [load(path) for path in given.specs],
            Settings(**settings),
            given.host,
            given.port,
            _announce,
            faults=given.faults,
            variants=given.variants,
            lifeline=sys.stdin.buffer if given.until_stdin_closes else None,
        )
    except HarnessError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return 0


_KINDS: Mapping[str, type] = {
    "seed": int,
    "queue_seconds": float,
    "inference_seconds": float,
    "sigma": float,
    "capacity": int,
    "epoch": float,
}


def _announce(urls: Mapping[str, str]) -> None:
    sys.stdout.write(json.dumps(urls) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
