"""The README's pictures of the notebook app, of the lab that its tests use: `make screenshots`."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import tests.conftest  # noqa: F401 - names an account that is none
from tests.app.conftest import SIZES, laboratory, sign_in
from tests.app.served import ROOT
from tests.conftest import CHROMIUM, FLAGS
from tests.processes import free_port, serving

OUT = ROOT / "site" / "screenshots"
WEIGHTS = ("21.7", "22.0", "19.1", "24.9", "22.6", "23.4")


def keep(shot: bytes, name: str) -> None:
    """Write a picture as the others are: 128 colours."""
    picture = Image.open(io.BytesIO(shot)).convert("RGB").quantize(128)
    picture.save(OUT / f"{name}.png", optimize=True)


def take(url: str) -> None:
    """Take the pictures of a served lab."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name, screen in (("notebook-today", "today"), ("notebook-weigh", "weigh")):
            context = browser.new_context(**{**SIZES["phone"], "device_scale_factor": 2})
            page = context.new_page()
            page.goto(f"{url}/app/")
            sign_in(page)
            page.locator(".tile", has_text="Water due").wait_for()
            if screen == "weigh":
                page.get_by_role("link", name="To weigh").click()
                page.get_by_label("Weight, FI_101").wait_for()
                for weight in WEIGHTS:
                    page.keyboard.type(weight)
                    page.keyboard.press("Enter")
            keep(page.screenshot(), name)
            context.close()
        context = browser.new_context(**SIZES["desk"])
        page = context.new_page()
        page.goto(f"{url}/app/")
        sign_in(page)
        page.evaluate("location.hash = '#/mouse/FI_104?tab=water'")
        page.locator(".chart svg").wait_for()
        page.get_by_role("button", name="Why these numbers?").click()
        page.locator(".explanation").wait_for()
        page.evaluate("scrollTo(0, 0)")
        keep(page.screenshot(), "notebook-mouse")
        browser.close()


def main() -> None:
    """Serve the lab and take the pictures."""
    binary = ROOT / "node_modules" / "@dynoxide" / "linux-x64" / "dynoxide"
    table, cloud = free_port(), free_port()
    env = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(cloud)}
    with (
        tempfile.TemporaryDirectory() as folder,
        serving([binary, "serve", "--port", str(table)], table) as dynamodb,
        serving(
            [Path(sys.executable).with_name("ministack")], cloud, env=env, cwd=Path(folder)
        ) as aws,
    ):
        os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = dynamodb
        with laboratory(dynamodb, aws) as site:
            take(site.url)


if __name__ == "__main__":
    main()
