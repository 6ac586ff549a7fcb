"""Record the committed cassettes again: every shipped target, over HTTP, from the simulator, as they then say.

Run by ``make cassettes``. The provider's times are the simulator's default ones; the poll step is fixed, so that a
recording does not hold dozens of polls for each job.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness.simulator import Settings, spawned
from harness.spec import find
from harness.targets import SIMULATED_KEY

ROOT = Path(__file__).resolve().parents[1]
STEP_SECONDS = "0.7"


def main() -> int:
    """Record, and leave the cassettes in the checkout."""
    specs = find(())
    keys = {spec.credential.env: SIMULATED_KEY for spec in specs}
    with tempfile.TemporaryDirectory() as scratch, spawned(specs, Settings(capacity=64)) as urls:
        for old in (ROOT / "cassettes").iterdir():
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        command = [sys.executable, "-m", "harness", "check", "--record", "--max-cost", "50", "--quiet"]
        command += [f"--base-url={name}={url}" for name, url in urls.items()]
        command += ["--poll-interval", STEP_SECONDS, "--out", f"{scratch}/run", "--cassettes", str(ROOT / "cassettes")]
        return subprocess.run(command, env=os.environ | keys, cwd=scratch, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
