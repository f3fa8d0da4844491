"""Takes the picture of the README from the report of a real run: python docs/report_picture.py [RUN].

RUN: the folder of a finished run of suite.toml; without it the suite is run. Needs the package playwright and Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
PICTURE = Path(__file__).parent / "pictures" / "report.png"
WIDTH, HEIGHT = 1280, 1500
_COLORS = 128


def main(run: Path | None) -> Path:
    """Write docs/pictures/report.png."""
    with tempfile.TemporaryDirectory() as folder:
        if run is None:
            run = Path(folder) / "run"
            subprocess.run([sys.executable, "-m", "harness", "run", ROOT / "suite.toml", "--output", run], check=True)
        else:
            subprocess.run([sys.executable, "-m", "harness", "report", run], check=True)
        shot = Path(folder) / "shot.png"
        _photograph(run / "report.html", shot)
        # Few colors suffice for a page, and take a third of the space.
        Image.open(shot).convert("RGB").quantize(_COLORS).save(PICTURE, optimize=True)
    return PICTURE


def _photograph(page: Path, target: Path) -> None:
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("needs Chromium, e.g. Debian's package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        view.goto(page.resolve().as_uri())
        view.wait_for_selector("#pareto-plot .main-svg")
        view.wait_for_timeout(500)  # pictures are drawn as they come into sight
        view.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
