"""Pictures of the notebook app, of the lab that its tests use.

``python -m tests.app.pictures`` takes those of the README anew (`make screenshots`);
``python -m tests.app.pictures --sheets [PART ...]`` takes every screen, on a phone and on a desk,
in light and dark, with 2,000 animals, with none and with a server that has problems, as sheets to
be looked at (`make app-pictures`).
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from playwright.sync_api import expect, sync_playwright

import tests.conftest  # noqa: F401 - names an account that is none
from tests.app.conftest import SHOTS, SIZES, laboratory, sign_in
from tests.app.served import ROOT, Site
from tests.app.test_screens import SCREENS
from tests.conftest import CHROMIUM, FLAGS
from tests.processes import free_port, serving

OUT = ROOT / "site" / "screenshots"
WEIGHTS = ("21.7", "22.0", "19.1", "24.9", "22.6", "23.4")
ACROSS = {"phone": 6, "desk": 3}
DOWN = 2
"""Pictures of a sheet."""
SCALE = {"phone": 0.78, "desk": 0.5}
OURS = {"locale": "en-GB"}
TITLE = 26
"""Pixels of what stands above each picture."""


def keep(shot: bytes, name: str) -> None:
    """Write a picture as the others are: 128 colours."""
    picture = Image.open(io.BytesIO(shot)).convert("RGB").quantize(128)
    picture.save(OUT / f"{name}.png", optimize=True)


def of_readme(browser: Any, url: str) -> None:
    """Take the README's pictures of a served lab."""
    for name, screen in (("notebook-today", "today"), ("notebook-weigh", "weigh")):
        context = browser.new_context(**{**SIZES["phone"], "device_scale_factor": 2, **OURS})
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
    context = browser.new_context(**SIZES["desk"], **OURS)
    page = context.new_page()
    page.goto(f"{url}/app/")
    sign_in(page)
    page.evaluate("location.hash = '#/mouse/FI_104?tab=water'")
    page.locator('.chart path.min[d*="L"]').wait_for(state="attached")
    page.locator(".facts .pct").wait_for()
    page.get_by_role("button", name="Why these numbers?").click()
    page.locator(".explanation").wait_for()
    page.evaluate("scrollTo(0, 0)")
    keep(page.screenshot(), "notebook-mouse")


def shots(page: Any, screens: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Yield each screen as it is shown when nothing more is awaited."""
    for screen in screens:
        page.evaluate("address => { location.hash = address; }", f"#/{screen}")
        page.locator("main h1").first.wait_for()
        expect(page.get_by_text("…", exact=True)).to_have_count(0)
        page.evaluate("document.activeElement?.blur()")
        yield screen, page.screenshot()


def sheets(pictures: list[tuple[str, bytes]], size: str, name: str) -> None:
    """Put pictures on sheets, each below what it is called."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    box = SIZES[size]["viewport"]
    width, height = (round(SCALE[size] * box[side]) for side in ("width", "height"))
    most = ACROSS[size] * DOWN
    for n in range(0, len(pictures), most):
        sheet = Image.new("RGB", (ACROSS[size] * (width + 8), DOWN * (height + TITLE)), "white")
        draw = ImageDraw.Draw(sheet)
        for i, (screen, shot) in enumerate(pictures[n : n + most]):
            x, y = i % ACROSS[size] * (width + 8), i // ACROSS[size] * (height + TITLE)
            draw.text((x + 4, y + 6), screen, fill="black", font_size=14)
            picture = Image.open(io.BytesIO(shot)).convert("RGB").resize((width, height))
            sheet.paste(picture, (x, y + TITLE))
        sheet.save(SHOTS / f"sheet-{name}-{n // most + 1}.png")


EMPTY = tuple(each for each in SCREENS if not any(mark in each for mark in "/?="))
"""Screens that a lab without animals has, too."""

BROKEN = (
    *("today", "reports", "changes", "mouse/FI_104?tab=water", "mouse/FI_104?tab=sessions"),
    *("mouse/FI_104?tab=details", "tasks", "lists/datasets", "lists/sources/none", "outbox"),
)
"""Screens that ask the server."""


def of_all(browser: Any, site: Site, parts: list[str], *, empty: bool = False) -> None:
    """Take every screen of a served lab."""
    for size in SIZES:
        for scheme in ("light", "dark"):
            name = f"{'empty' if empty else 'all'}-{size}-{scheme}"
            if (parts and name not in parts) or (empty and scheme == "dark"):
                continue
            context = browser.new_context(**SIZES[size], **OURS, color_scheme=scheme)
            page = context.new_page()
            page.goto(f"{site.url}/app/")
            sign_in(page, tiles=not empty)
            sheets(list(shots(page, EMPTY if empty else SCREENS)), size, name)
            if not empty and scheme == "light":
                context.route("**/rest/**", lambda route: route.fulfill(status=500, body="{}"))
                sheets(list(shots(page, BROKEN)), size, f"broken-{size}")
            context.close()


@contextmanager
def servers() -> Iterator[tuple[str, str]]:
    """Run a table and a cloud, and yield their addresses."""
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
        yield dynamodb, aws


def main(asked: list[str]) -> None:
    """Serve the lab and take the pictures."""
    with servers() as (dynamodb, aws), sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with laboratory(dynamodb, aws) as site:
            if "--sheets" not in asked:
                of_readme(browser, site.url)
                return
            parts = [each for each in asked if each != "--sheets"]
            of_all(browser, site, parts)
        with laboratory(dynamodb, aws, animals=0) as site:
            of_all(browser, site, parts, empty=True)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
