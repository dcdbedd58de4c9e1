"""Who is at the device: several people with a PIN each, and sign-in by a provider."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from functions.api.auth import oidc
from tests.app import colony
from tests.app.conftest import PASSWORD, Open, laboratory
from tests.app.served import Site
from tests.app.test_mice import EVERYTHING
from tests.app.test_outbox import saved, weigh
from tests.app.test_screens import AXE, judge
from tests.app.test_start import go
from tests.app.week import ask
from tests.issuer import AUDIENCE, Issuer

pytestmark = pytest.mark.browser

PIN, OTHER = "4711", "080808"


@pytest.fixture(scope="module")
def lab(dynamodb_url: str, aws_url: str) -> Iterator[Site]:
    """A small lab."""
    with laboratory(dynamodb_url, aws_url, animals=100) as site:
        yield site


def share(page: Any) -> None:
    """Make a device one of two people."""
    go(page, "#/account")
    page.get_by_role("button", name="Set my PIN").click()
    page.get_by_label("PIN", exact=True).fill(PIN)
    page.get_by_role("button", name="Set", exact=True).click()
    page.get_by_role("button", name="Add a person").click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_label("User name").fill(colony.COLLEAGUE)
    sheet.get_by_label("Password, once").fill(PASSWORD)
    sheet.get_by_label("Their PIN").fill(OTHER)
    sheet.get_by_role("button", name="Add", exact=True).click()
    expect(sheet).to_have_count(0)


def enter(page: Any, name: str, pin: str) -> None:
    """Come in at a locked device."""
    page.get_by_role("button", name=name).click()
    page.get_by_label("PIN", exact=True).fill(pin)
    page.get_by_role("button", name="Go on").click()


def weighed_by(name: str) -> list[str]:
    today = f"date_range={colony.day(0)},{colony.day(0)}"
    return [each["user"] for each in ask(f"/weighings?nickname={name}&{today}")]


def test_two_people_share_a_tablet_and_each_writes_as_oneself(device: Open, site: Site) -> None:
    page = device("phone")
    page.clock.install()
    share(page)
    # Given one who weighs without a network, and hands the tablet on
    page.context.set_offline(True)
    weigh(page, "FI_101", "23.1")
    page.get_by_role("button", name="Lock, or somebody else").click()
    expect(page.get_by_role("heading", name="Who is it?")).to_be_visible()
    page.evaluate(AXE.read_text() + ";0")
    assert judge(page) == []
    # When the other comes in there, by no wrong PIN, and weighs too
    enter(page, colony.COLLEAGUE, "9999")
    expect(page.get_by_role("alert")).to_have_text("This is not the PIN.")
    page.get_by_label("PIN", exact=True).fill(OTHER)
    page.get_by_role("button", name="Go on").click()
    weigh(page, "FI_102", "23.2")
    # Then both weights are each one's own when there is a network
    page.context.set_offline(False)
    page.evaluate("() => { dispatchEvent(new Event('online')); }")
    saved(page)
    assert (weighed_by("FI_101"), weighed_by("FI_102")) == ([colony.ME], [colony.COLLEAGUE])
    # And left alone it locks, through a reload too, while what was not seen stays hidden
    page.clock.fast_forward("06:00")
    expect(page.get_by_role("heading", name="Who is it?")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Who is it?")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("m")
    expect(page.get_by_role("heading", name="Mice")).to_have_count(0)
    # And no PIN is kept, nor was one sent
    kept = page.evaluate(EVERYTHING)
    assert colony.COLLEAGUE in kept
    assert not any(pin in kept for pin in (PIN, OTHER, PASSWORD))
    # After five wrong ones the password is asked for
    page.get_by_role("button", name=colony.ME).click()
    for _ in range(5):
        page.get_by_label("PIN", exact=True).fill("0000")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_label("PIN", exact=True)).to_have_value("")
    page.get_by_label("PIN", exact=True).fill(PIN)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("alert")).to_contain_text("Sign in with your password")
    page.get_by_role("button", name="By password").click()
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("New PIN").fill(PIN)
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("header.top")).to_contain_text(colony.ME)


def test_a_provider_signs_in_where_the_deployment_has_one(
    device: Open, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a deployment without one, whose page offers none
    page = device("phone", user=None)
    expect(page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Sign in with")).to_have_count(0)
    # And one with an institute's
    issuer = Issuer()
    monkeypatch.setenv("FORNIX_OIDC_ISSUER", issuer.url)
    monkeypatch.setenv("FORNIX_OIDC_AUDIENCE", AUDIENCE)
    oidc._document.cache_clear()
    oidc._keys.cache_clear()
    page.reload()
    offered = page.get_by_role("button", name="Sign in with 127.0.0.1")
    expect(offered).to_be_visible()
    page.evaluate(AXE.read_text() + ";0")
    assert judge(page) == []
    # When somebody signs in there, the page comes back with the lab's animals
    offered.click()
    expect(page.get_by_role("link", name="To weigh")).to_contain_text("FI_120")
    assert page.url.startswith(f"{site.url}/app/")
    assert "code=" not in page.url
    # When an address claims to come from there, nobody is signed in
    stranger = device("phone", user=None)
    stranger.goto(f"{site.url}/app/?code=code0&state=made-up")
    expect(stranger.get_by_role("alert")).to_contain_text("not begun here")
    issuer.server.shutdown()
    issuer.server.server_close()
