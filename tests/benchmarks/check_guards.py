"""Do the tests fail when a guard is removed? Each guard is cut out of a copy of the tree, and its tests are run there.

Measured: for each guard, whether its tests pass with it and fail without it. How: the tree is copied, one place in one
file is replaced, the named tests are run in a process of their own, and the file is put back. How to read it: a guard
whose tests pass without it is not tested, and makes the script fail; so does a place that is not in the file any more.

Decides: whether docs/threats.md may name these tests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIVE = "tests/transport/test_live.py"
COPIED = ("harness", "specs", "cassettes", "tests", "pyproject.toml", "README.md", "docs")


@dataclass(frozen=True)
class Guard:
    """A guard: where it stands, what is left without it, and the tests that say so."""

    name: str
    file: str
    here: str
    without: str
    tests: tuple[str, ...]


GUARDS = (
    Guard(
        "a key leaves for its own origin only", "harness/secret.py",
        "if not request.authenticated or origin(request.url) not in self.origins:", "if not request.authenticated:",
        ("tests/test_secret.py", f"{LIVE}::test_the_key_goes_to_the_bound_origin_only"),
    ),
    Guard(
        "every address of a name is public", "harness/transport/guard.py",
        'if not is_public(address["host"]):', "if False:",
        (f"{LIVE}::test_a_name_that_leads_inside_is_refused",),
    ),
    Guard(
        "a literal address is public", "harness/transport/wire.py",
        "if is_address(host) and not is_public(host):", "if False:",
        (f"{LIVE}::test_no_spelling_of_an_inner_address_is_contacted",),
    ),
    Guard(
        "only https abroad", "harness/transport/wire.py",
        'if scheme != "https":', 'if scheme not in ("http", "https"):',
        (f"{LIVE}::test_what_cannot_be_fetched_is_refused_and_not_raised", "tests/hostile/test_hostile.py"),
    ),
    Guard(
        "a proxy is asked for checked addresses", "harness/transport/live.py",
        'if self._proxy is None or self._resolver is None or is_address(url.host or ""):', "if True:",
        (f"{LIVE}::test_a_proxy_is_asked_for_the_checked_address_and_hears_of_no_other",),
    ),
    Guard(
        "environment proxies are ignored", "harness/transport/live.py",
        "trust_env=False,", "trust_env=True,",
        (f"{LIVE}::test_environment_proxies_are_ignored",),
    ),
    Guard(
        "an answer has a limit on the wire", "harness/transport/wire.py",
        "if received > self.limits.wire_bytes:", "if False:",
        (f"{LIVE}::test_an_answer_that_breaks_a_limit_is_cut_off",),
    ),
    Guard(
        "an answer has a limit decoded", "harness/transport/wire.py",
        "if self._made > self._limit:", "if False:",
        (f"{LIVE}::test_an_answer_that_breaks_a_limit_is_cut_off",),
    ),
    Guard(
        "a time limit is absolute", "harness/transport/wire.py",
        "async with asyncio.timeout(seconds):", "async with asyncio.timeout(seconds * 40):",
        (f"{LIVE}::test_a_drip_ends_at_the_limit",),
    ),
    Guard(
        "pixels are read before they are decoded", "harness/checks/outputs.py",
        "if width * height > MAX_PIXELS:", "if False:",
        ("tests/checks/test_outputs.py",),
    ),
    Guard(
        "JSON has no duplicate names", "harness/strict.py",
        "if len(value) != len(pairs):", "if False:",
        ("tests/test_strict.py",),
    ),
    Guard(
        "YAML counts what aliases repeat", "harness/strict.py",
        "self.nodes += max(size, 1)", "self.nodes += 1",
        ("tests/test_strict.py",),
    ),
    Guard(
        "patterns are given a moment", "harness/validation.py",
        "regex.search(pattern, text, timeout=PATTERN_SECONDS)", "regex.search(pattern, text, timeout=PATTERN_SECONDS * 60)",
        ("tests/test_validation.py",),
    ),
    Guard(
        "references are not fetched", "harness/validation.py",
        "return made(schema, registry=registry)", "return made(schema)",
        ("tests/test_validation.py",),
    ),
    Guard(
        "every row passes the redactor", "harness/history.py",
        "cleaned = self._redactor.examine(line)", "cleaned = type(self._redactor)(()).examine(line)",
        ("tests/test_history.py",),
    ),
    Guard(
        "rows are searched together before they are written", "harness/history.py",
        "if self._redactor.finds(lines) is None:", "if True:",
        ("tests/test_history.py",),
    ),
    Guard(
        "a line on standard error is masked", "harness/shell.py",
        "line = Redactor(keys).text(line)", "Redactor(keys)",
        ("tests/hostile/test_processes.py::test_what_is_printed_at_the_end_holds_no_key_and_steers_nothing",),
    ),
    Guard(
        "a pytest report is masked", "harness/pytest_plugin.py",
        "        _mask(report, keys)", "        pass",
        ("tests/test_plugin.py::test_no_report_shows_a_key",),
    ),
    Guard(
        "an intent is durable before its submit", "harness/engine.py",
        "await self.recorder.intent(call.id, call.case, call.derived)",
        "asyncio.ensure_future(self.recorder.intent(call.id, call.case, call.derived))",
        ("tests/test_engine.py::test_an_intent_is_durable_before_its_submit_leaves",),
    ),
    Guard(
        "a submit that may have left is not sent again", "harness/flow.py",
        'return "unknown" if reply.left else "again"', 'return "again"',
        ("tests/hostile/test_faults.py", "tests/test_engine.py"),
    ),
    Guard(
        "a run that cannot be recorded ends", "harness/run.py",
        "self._journal.check()  #", "pass  #",
        ("tests/hostile/test_processes.py::test_a_disk_that_fills_up_names_the_jobs_in_flight",),
    ),
    Guard(
        "one run in one place", "harness/history.py",
        "fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass",
        ("tests/test_history.py",),
    ),
    Guard(
        "HTML is escaped", "harness/report/html/__init__.py",
        "autoescape=True,", "autoescape=False,",
        ("tests/report/test_html.py", "tests/hostile/test_fuzz.py"),
    ),
)  # fmt: skip


def passes(tree: Path, tests: tuple[str, ...]) -> bool:
    """Whether tests pass in a tree; the first failure ends them."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    # An editable install would otherwise put this tree before that one.
    done = subprocess.run(
        command, cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True, timeout=900, check=False
    )
    return done.returncode == 0


def main() -> None:
    """Remove each guard in turn, and print what became of its tests."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="guards whose name holds this")
    options = parser.parse_args()
    chosen, untested = [guard for guard in GUARDS if options.only in guard.name], 0
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        for name in COPIED:
            source = ROOT / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, tree / name)
        print(f"{'guard':50}{'with it':>9}{'without':>9}")
        print("-" * 68)
        for guard in chosen:
            path = tree / guard.file
            whole = path.read_text()
            if whole.count(guard.here) != 1:
                sys.exit(f"{guard.file}: {guard.here!r} does not stand there once")
            sound = passes(tree, guard.tests)
            path.write_text(whole.replace(guard.here, guard.without))
            tested = not passes(tree, guard.tests)
            path.write_text(whole)
            untested += not (sound and tested)
            print(f"{guard.name:50}{'pass' if sound else 'FAIL':>9}{'fail' if tested else 'PASS':>9}", flush=True)
    print(f"guards whose tests fail without them: {len(chosen) - untested} of {len(chosen)}")
    sys.exit(bool(untested))


if __name__ == "__main__":
    main()
