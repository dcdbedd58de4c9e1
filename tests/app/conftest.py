"""The app in a real browser, against the API in process, with a lab of 2,000 animals."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from functions.api.app import app
from functions.api.auth import passwords
from shared import catalog
from shared.records import aws
from tests import tables
from tests.api.conftest import Api
from tests.app import colony, served
from tests.app.served import BUILT, ROOT, Site
from tests.flow import Flow
from tests.flow import aws_url as aws_url

pytest.register_assert_rewrite("tests.app.week")

PASSWORD = "correct horse battery"
SIZES = {
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
    "desk": {"viewport": {"width": 1280, "height": 900}},
}
SHOTS = ROOT / ".fornix" / "screenshots" / "app"


def fill_the_day() -> None:
    """Give the day a session, and a task that failed, as a rig and a worker do."""
    api = Api()
    session = {
        "subject": "FI_101",
        "task_protocol": "_iblrig_tasks_trainingChoiceWorld",
        "number": 1,
    }
    made = api.ok("POST", "/sessions", session, user=colony.ME)
    for name in ("TrainingTrials", "AudioCompress"):
        body = {
            "session": made["id"],
            "name": name,
            "executable": f"task.{name}",
            "graph": "local",
        }
        task = api.ok("POST", "/tasks", body, user=colony.ME)
        for status in ("Started", "Errored"):
            api.ok("PATCH", f"/tasks/{task['id']}", {"status": status}, user="admin")


def browsers(origin: str) -> dict[str, Any]:
    """Return who may put pictures, as `infra.storage.Storage.allow_browser` has it."""
    methods = ["GET", "HEAD", "PUT"]
    rule = {"AllowedOrigins": [origin], "AllowedMethods": methods, "AllowedHeaders": ["*"]}
    return {"CORSRules": [rule]}


@contextmanager
def laboratory(dynamodb_url: str, aws_url: str, animals: int = 2000) -> Iterator[Site]:
    """Serve a lab that is in the middle of its week, or one without animals."""
    from shared.records.table import table_name

    if not (BUILT / "index.html").exists():
        pytest.skip("the app is not built: run `make app`")
    tables.create(dynamodb_url, table_name())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(passwords.SCRYPT, "n", 16)
        patch.setenv("AWS_ENDPOINT_URL", aws_url)
        aws.forget()
        flow = Flow()
        for name, value in flow.env.items():
            patch.setenv(name, value)
        catalog.reset_for_tests()
        colony.plant(animals)
        for name in (colony.ME, colony.COLLEAGUE, colony.STOCK):
            passwords.set_password(name, PASSWORD)
        with served.serve(app) as site:
            patch.setenv("FORNIX_API_URL", f"{site.url}/rest")
            patch.setenv("FORNIX_SITE_URL", site.url)
            site.flow = flow
            flow.s3.put_bucket_cors(Bucket=flow.bucket, CORSConfiguration=browsers(site.url))
            if animals:
                fill_the_day()
            yield site
    tables.drop(dynamodb_url, table_name())
    catalog.reset_for_tests()
    aws.forget()


@pytest.fixture(scope="module")
def lab(dynamodb_url: str, aws_url: str) -> Iterator[Site]:
    """A lab that the tests of a module share."""
    with laboratory(dynamodb_url, aws_url) as site:
        yield site


@pytest.fixture
def site(lab: Site) -> Site:
    """The served lab, with nothing counted yet."""
    lab.requests.clear()
    lab.files.clear()
    lab.pages = None
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
        for page in context.pages:
            page.unroute_all(behavior="ignoreErrors")
        context.unroute_all(behavior="ignoreErrors")
        context.close()
    assert not problems, problems


def sign_in(page: Any, user: str = colony.ME, *, tiles: bool = True) -> None:
    """Sign in, and wait until the animals are there, and what is to be done with them."""
    from playwright.sync_api import expect

    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Today")).to_be_visible()
    if tiles:
        expect(page.locator(".tile").first).to_be_visible(timeout=20_000)


def shoot(page: Any, name: str) -> None:
    """Keep a screenshot to be looked at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(SHOTS / f"{name}.png"))


os.environ.setdefault("FORNIX_SITE_URL", "")
