"""The app in a real browser, against the API in process, with a lab of 2,000 animals."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from functions.api.app import app
from functions.api.auth import passwords
from shared import catalog
from tests.app import colony, served
from tests.app.served import BUILT, ROOT, Site

PASSWORD = "correct horse battery"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SIZES = {
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
    "desk": {"viewport": {"width": 1280, "height": 900}},
}
SHOTS = ROOT / ".fornix" / "screenshots" / "app"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Return Debian's Chromium."""
    if not Path(CHROMIUM).exists():
        pytest.skip("chromium is not installed: the app cannot be opened")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def lab(dynamodb_url: str) -> Iterator[Site]:
    """A lab of 2,000 animals, served; the tests of this folder share it."""
    import botocore.session

    from shared.records.table import TABLE_SCHEMA, table_name

    if not (BUILT / "index.html").exists():
        pytest.skip("the app is not built: run `make app`")
    client = botocore.session.get_session().create_client(
        "dynamodb", endpoint_url=dynamodb_url, region_name="us-east-1"
    )
    client.create_table(TableName=table_name(), BillingMode="PAY_PER_REQUEST", **TABLE_SCHEMA)
    patch = pytest.MonkeyPatch()
    patch.setitem(passwords.SCRYPT, "n", 16)
    catalog.reset_for_tests()
    colony.plant()
    for name in (colony.ME, colony.COLLEAGUE, colony.STOCK):
        passwords.set_password(name, PASSWORD)
    with served.serve(app) as site:
        patch.setenv("FORNIX_API_URL", f"{site.url}/rest")
        patch.setenv("FORNIX_SITE_URL", site.url)
        yield site
    patch.undo()
    client.delete_table(TableName=table_name())
    catalog.reset_for_tests()


@pytest.fixture
def site(lab: Site) -> Site:
    """The served lab, with nothing counted yet."""
    lab.requests.clear()
    lab.broken.clear()
    lab.forms = None
    return lab


Open = Callable[..., Any]


@pytest.fixture
def device(browser: Any, site: Site) -> Iterator[Open]:
    """Return a function that takes a new device: a page that is watched for errors."""
    contexts: list[Any] = []
    problems: list[str] = []

    def take(size: str = "phone", user: str | None = colony.ME, **options: Any) -> Any:
        context = browser.new_context(**{**SIZES[size], "locale": "en-GB", **options})
        contexts.append(context)
        page = context.new_page()
        expected = getattr(take, "expected", ())

        def hear(message: Any) -> None:
            quiet = (
                "ERR_INTERNET_DISCONNECTED",
                "ERR_EMPTY_RESPONSE",
                "Failed to load resource",
                *expected,
            )
            if message.type == "error" and not any(each in message.text for each in quiet):
                problems.append(message.text)

        page.on("console", hear)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"{site.url}/app/")
        if user:
            sign_in(page, user)
        return page

    yield take
    for context in contexts:
        context.close()
    assert not problems, problems


def sign_in(page: Any, user: str = colony.ME) -> None:
    """Sign in, and wait until the animals are there."""
    from playwright.sync_api import expect

    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Today")).to_be_visible()
    expect(page.locator(".tile").first).to_be_visible(timeout=20_000)


def shoot(page: Any, name: str) -> None:
    """Keep a screenshot to be looked at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SHOTS / f"{name}.png"))


os.environ.setdefault("FORNIX_SITE_URL", "")
