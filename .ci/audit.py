"""Are there known vulnerabilities in what is locked? Skipped, with the reason, where no advisory service answers.

Exit status: 0 when every locked package was looked up and none is affected, or nothing could be looked up; 1 when one
is affected. What was not looked up is never called sound.
"""

from __future__ import annotations

import json
import subprocess
import sys

LOCKS = ("requirements.lock", "requirements-dev.lock")


def main() -> int:
    """Look every locked package up."""
    files = [word for lock in LOCKS for word in ("--requirement", lock)]
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    done = subprocess.run(  # noqa: S603 - our own words
        [*command, "--timeout", "10", "--format", "json", *files], capture_output=True, text=True, check=False
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"audit skipped: no advisory service answers: {reason[:300]}")
        return 0
    known = [one for one in packages if "skip_reason" not in one]
    if not known:
        print(f"audit skipped: the advisory service knows none of the {len(packages)} locked packages")
        return 0
    affected = [(one, found) for one in known for found in one["vulns"]]
    for one, found in affected:
        fixed = ", ".join(found["fix_versions"]) or "no version yet"
        print(f"{one['name']} {one['version']}: {found['id']}, fixed in {fixed}")
    print(f"audited {len(known)} of {len(packages)} locked packages: {len(affected)} known vulnerabilities")
    return 1 if affected else 0


if __name__ == "__main__":
    sys.exit(main())
