"""The built wheel works outside the checkout, and an editable install finds the specs too."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import harness

ROOT = Path(harness.__file__).resolve().parent.parent


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_the_wheel_runs_outside_the_checkout(tmp_path: Path) -> None:
    """A wheel, installed into an environment of its own, carries the specs and checks a target."""
    run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, ROOT,
        cwd=tmp_path,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "harness",
        next(n for n in names if ".dist-info" in n).split("/")[0],
    }
    home = tmp_path / "env"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel, cwd=tmp_path)
    # The dependencies are this environment's own: the wheel is what is tested, not the index.
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    site = next((home / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(f"{packages}\n")
    out = run(home / "bin" / "harness", "check", "fal", "--simulate", "--max-cases", 2, cwd=tmp_path)
    assert "fal/flux-pro-kontext-multi" in out
    where = run(python, "-c", "import harness; print(harness.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(home)


def test_the_command_runs_from_this_install(tmp_path: Path) -> None:
    """The installed command, editable or not, finds the shipped specs from any directory."""
    command = Path(sys.executable).with_name("harness")
    assert "wavespeed/flux-kontext-pro-multi" in run(command, "specs", "list", cwd=tmp_path)
    assert os.access(command, os.X_OK)
