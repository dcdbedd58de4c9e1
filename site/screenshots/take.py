"""Take the pictures of the README anew: `make screenshots`.

A demonstration site of simulated mice is built, the training-time page of the real mice of the
paper is added where they are at hand, and a browser looks at four pages.
"""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from lab.site import DAYS, server_of

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COHORT = ROOT.parent / "shared" / "data" / "training_cohort"
WORK = ROOT / ".fornix" / "pictures"
CHROMIUM = "/usr/bin/chromium"

MICE = 4
WIDTH = 1180

HEIGHTS = {"session": 1180, "subject": 1560, "training-time": 1340, "unit": 1180}
"""Pixels of each page that a picture shows."""


def built() -> Path:
    """Build the site; return its folder."""
    fornix = Path(sys.executable).with_name("fornix")
    run = lambda *command: subprocess.run([fornix, *map(str, command)], check=True)  # noqa: E731
    run("site", "demo", WORK, "--sessions", MICE * DAYS)
    if COHORT.is_dir():
        figure = WORK / "training-time"
        if not (figure / "training_time.json").exists():
            run("analyse", "training-time", "--cohort", COHORT, "--out", figure, "--jobs", 2)
        run(
            "site", "build", WORK / "sessions", "--out", WORK / "site",
            "--training-time", figure / "training_time.json",
        )  # fmt: skip
    return WORK / "site"


def pages(site: Path) -> dict[str, str]:
    """Return the address of each page that is shown: of the mouse that went furthest, its last."""
    subjects = sorted(site.glob("subjects/*.html"))
    found = {
        "session": max(site.glob("sessions/*.html"), key=lambda path: path.stat().st_size),
        "subject": subjects[0],
        "unit": next(iter(sorted(site.glob("units/**/*.html")))),
    }
    if (WORK / "training-time" / "training_time.json").exists():  # else the page is empty
        found["training-time"] = site / "training-time.html"
    return {name: path.relative_to(site).as_posix() for name, path in found.items()}


def main() -> None:
    """Build the site and take the pictures."""
    site = built()
    server = server_of(site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, path in pages(site).items():
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHTS[name]})
            page.goto(f"{address}/{path}")
            page.wait_for_selector("body[data-ready=yes]")
            picture = Image.open(io.BytesIO(page.screenshot()))
            picture.convert("RGB").quantize(128).save(HERE / f"{name}.png", optimize=True)
            print(f"{name}: {path}")
            page.close()
        browser.close()
    server.shutdown()


if __name__ == "__main__":
    main()
