"""Make the example report again, and the pictures of it that the README shows.

Run by ``make screenshots``. All shipped targets are checked over HTTP against the simulator with a fault planted in three of
them, so that the report has something to tell; what it says of a provider is nothing, and it says so. The page and its
report.json go to ``reports/example``; Chromium takes the pictures.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import sync_playwright

from harness.simulator import Settings, spawned
from harness.spec import find
from harness.targets import SIMULATED_KEY

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE, PICTURES = ROOT / "reports" / "example", ROOT / "docs" / "images"
FAULTS = (
    "fal/flux-pro-kontext-multi:only-one-image",
    "wavespeed/flux-kontext-pro-multi:accepts-guidance_scale-above-maximum",
    "fal-gateway/flux-pro-kontext-multi:always-square",
)
STEP_SECONDS = "0.7"
SHOTS: dict[str, tuple[Literal["light", "dark"], int, int, str]] = {
    "report-light": ("light", 1280, 1500, ""),
    "report-dark": ("dark", 1280, 1500, "#latency"),
    "report-phone": ("light", 390, 1500, ""),
}
"""By name: colour scheme, width, height, and the section that the picture begins at."""


def main() -> int:
    """Run, keep the report, take the pictures."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("make screenshots needs Chromium: apt-get install chromium")
    specs = find(())
    keys = {spec.credential.env: SIMULATED_KEY for spec in specs}
    with tempfile.TemporaryDirectory() as scratch, spawned(specs, Settings(capacity=64), faults=FAULTS) as urls:
        command = [sys.executable, "-m", "harness", "check", "--live", "--tier", "core", "--max-cost", "50", "--quiet"]
        command += [f"--base-url={name}={url}" for name, url in urls.items()]
        command += [
            "--poll-interval",
            STEP_SECONDS,
            "--out",
            "run",
        ]  # in the scratch folder, whose name is nobody's business
        done = subprocess.run(command, env=os.environ | keys, cwd=scratch, check=False)
        if done.returncode != 1:  # the planted faults are failures
            return done.returncode or 1
        EXAMPLE.mkdir(parents=True, exist_ok=True)
        for name in ("report.html", "report.json"):
            shutil.copyfile(Path(scratch) / "run" / name, EXAMPLE / name)
    take(chromium)
    return 0


def take(chromium: str) -> None:
    """The pictures, in a palette of 128 colours, which a page like this one does not miss."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, (scheme, width, height, place) in SHOTS.items():
            page = browser.new_page(
                color_scheme=scheme, viewport={"width": width, "height": height}, device_scale_factor=1.5
            )
            page.goto((EXAMPLE / "report.html").as_uri() + place)
            file = PICTURES / f"{name}.png"
            page.screenshot(path=file)
            with Image.open(file) as image:
                image.convert("RGB").quantize(128).save(file, optimize=True)
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
