"""Does a replay depend on the version of Hypothesis? The committed cassettes, replayed beside three of them.

Run by hand (it installs packages, so ``make bench`` leaves it out): ``python tests/benchmarks/check_hypothesis_versions.py``
with the versions to compare as arguments, or none for the three below.

How: each version is installed into a virtual environment of its own, which otherwise sees the packages of this one; there
``harness check`` replays every committed cassette. The reports are compared without the members of ``run`` that two
replays may differ in. Beside each stands a hash of what Hypothesis draws from our strategy for one seed: where these
hashes differ, generating would have given other requests, and the replay still gave the same ones.

There is no figure here: a report that differs makes the script fail.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("6.150.0", "6.160.0", "6.170.15")
OF_A_REPLAY = ("id", "started_at", "finished_at", "command")
DRAW = """
import hashlib, json
from importlib.metadata import version
from hypothesis import given, seed, settings
import harness
from harness import strategies

drawn = []

@seed(0)
@settings(max_examples=20, database=None)
@given(strategies.requests(harness.load("fal/flux-pro-kontext-multi")))
def draw(body):
    drawn.append(body)

draw()
print(version("hypothesis"), hashlib.sha256(json.dumps(drawn).encode()).hexdigest()[:12])
"""


def environment_with(version: str, place: Path) -> Path:
    """The interpreter of a virtual environment with a version of Hypothesis, and the packages of this one."""
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", f"hypothesis=={version}"]
    subprocess.run(install, check=True)
    packages = next((place / "lib").glob("python*/site-packages"))
    # A path of a .pth file comes after the environment's own packages.
    paths = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "others.pth").write_text("\n".join(paths) + "\n", encoding="utf-8")
    return python


def replayed(python: Path, directory: Path) -> tuple[str, str]:
    """What Hypothesis is and draws there, and the report of a replay of every committed cassette."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    drawn = subprocess.run(
        [python, "-c", DRAW], env=environment, capture_output=True, text=True, check=True, cwd=directory
    )
    command = [str(python), "-m", "harness", "check", "--json", "--out", str(directory / "run")]
    command += ["--cassettes", str(ROOT / "cassettes")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=directory)
    report = json.loads(done.stdout)
    for name in OF_A_REPLAY:
        del report["run"][name]
    return drawn.stdout.strip(), json.dumps(report)


def main() -> int:
    """Compare, and print a line for each version."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("versions", nargs="*", default=VERSIONS)
    versions = parser.parse_args().versions
    reports: set[str] = set()
    print(f"{'Hypothesis':14}{'drawn':16}report of the replay")
    print("-" * 50)
    for version in versions:
        with tempfile.TemporaryDirectory() as directory:
            python = environment_with(version, Path(directory) / "venv")
            seen, report = replayed(python, Path(directory))
        name, drawn = seen.split()
        assert name == version, f"{name} was imported instead of {version}"
        print(f"{name:14}{drawn:16}{hashlib.sha256(report.encode()).hexdigest()[:12]}", flush=True)
        reports.add(report)
    print("the reports are the same" if len(reports) == 1 else "the reports differ")
    return len(reports) - 1


if __name__ == "__main__":
    sys.exit(main())
