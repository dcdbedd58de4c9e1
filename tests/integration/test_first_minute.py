"""The first minute: from what `make run` prints to a weighed mouse, by what the pages say."""

from __future__ import annotations

import datetime as dt
import io
import re
from typing import Any

import pytest
from playwright.sync_api import expect
from rich.console import Console

from infra.local.demo import rows
from infra.local.home import Home
from infra.local.report import describe
from infra.local.seed import connect
from infra.local.showcase import colony
from tests.system import Cloud

pytestmark = [pytest.mark.integration, pytest.mark.browser]

STEPS = 3
"""Things to tap at most: sign in, where mice are weighed, save."""


def printed(home: Home) -> str:
    """Return what a running system says of itself."""
    said = io.StringIO()
    describe(home, Console(file=said, width=200))
    return said.getvalue()


def test_a_newcomer_weighs_a_mouse_by_what_the_page_itself_says(
    processed: Cloud, browser: Any
) -> None:
    # Given the mice of `make run`
    home = processed.system.home
    colony(home, dt.date.today())
    # And a newcomer with a phone, and the address that is printed below "the lab's notebook"
    address = re.search(r"the lab's notebook.*\n\s*(\S+)", printed(home))
    assert address is not None
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.method) if "/rest/" in r.url else None)
    page.goto(address[1])
    taps = 0

    def tap(found: Any) -> None:
        nonlocal taps
        taps += 1
        found.first.click()

    # When they take what each page offers first: name and password are filled in already
    tap(page.get_by_role("button", name="Sign in", exact=True))
    expect(page.get_by_role("heading", name="Today")).to_be_visible()
    tap(page.get_by_role("link", name="Weigh", exact=True))
    weight = page.locator(":focus")
    expect(weight).to_have_attribute("inputmode", "decimal")
    name = str(weight.get_attribute("aria-label")).removeprefix("Weight, ")
    # (a little more than last time; what looks like a slip is asked about)
    last = weight.locator("xpath=ancestor::tr").locator("td").first.inner_text()
    grams = round(float(re.findall(r"[\d.]+", last)[0]) + 0.3, 1)
    weight.fill(str(grams))
    tap(page.get_by_role("button", name="Save", exact=True))
    # Then the page says that it is done, the server has it, and it was no more than this
    expect(page.locator(".toast")).to_contain_text("Weighed 1 mouse")
    expect(page.locator(".sync")).to_contain_text("Saved")
    member = connect(home, "fimbrialab_member")
    weights = [each["weight"] for each in rows(member.get("/weighings", nickname=name))]
    assert grams in weights
    assert taps == STEPS
    assert asked.count("POST") == 2, asked
    context.close()
