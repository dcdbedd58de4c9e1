"""The first minute: sign in, the lab's animals, every list, the next visit without a network."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import expect

from shared import catalog
from shared.notices import store
from shared.results.notebook import cache_control
from shared.science.notices.due import LabFacts, Notice
from shared.science.notices.recipients import NoticeRule, Person
from tests.app import colony
from tests.app.conftest import PASSWORD, Open, shoot, sign_in
from tests.app.served import Site, forms
from tests.processes import until

pytestmark = pytest.mark.browser


def go(page: Any, address: str) -> None:
    """Go to a screen by its address."""
    page.evaluate("address => { location.hash = address; }", address)


def test_a_member_signs_in_and_sees_what_is_to_be_done(device: Open, site: Site) -> None:
    page = device()

    expect(page.get_by_role("link", name="To weigh")).to_contain_text("FI_101")
    loads = [each for each in site.requests if each.path.startswith("/changes")]
    # 2,000 animals and their weights of 60 days, compressed
    assert sum(each.received for each in loads) < 150_000
    assert page.evaluate("document.cookie") == ""
    shoot(page, "today-phone")


def test_a_wrong_password_is_told_and_nothing_is_kept(device: Open, site: Site) -> None:
    page = device(user=None)
    page.get_by_label("User name").fill(colony.ME)
    page.get_by_label("Password").fill(PASSWORD + "!")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_be_visible()
    assert not [each for each in site.requests if each.path.startswith("/changes")]


def test_every_declared_resource_has_a_list_and_a_form(device: Open) -> None:
    page = device("desk")
    for resource in forms()["resources"]:
        go(page, f"#/lists/{resource['path']}")
        expect(page.get_by_role("heading", level=1)).to_have_text(resource["label"])
        if resource["actions"].get("create") == "member":
            page.get_by_role("button", name="New", exact=True).click()
            sheet = page.get_by_role("dialog")
            expect(sheet.get_by_role("button", name="Save")).to_be_visible()
            page.keyboard.press("Escape")
            page.keyboard.press("Escape")
            expect(sheet).to_have_count(0)


def test_a_field_added_to_a_declaration_is_in_the_form(device: Open, site: Site) -> None:
    # Given an API whose sources have one more field
    found = forms()
    (source,) = (each for each in found["resources"] if each["path"] == "sources")
    source["fields"].append({"name": "phone", "label": "Telephone", "type": "text", "length": 30})
    site.forms = json.dumps(found).encode()
    # When the form is opened
    page = device("desk")
    go(page, "#/lists/sources")
    page.get_by_role("button", name="New", exact=True).click()
    # Then the field is there, with its bound
    assert page.get_by_label("Telephone").get_attribute("maxlength") == "30"


def test_the_next_visit_needs_no_network(device: Open) -> None:
    page = device()
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.reload()
    expect(page.locator(".tile").first).to_be_visible()
    # Given a room without a network
    page.context.set_offline(True)
    # When the app is opened again
    page.reload()
    # Then the animals are there, and screens that were not opened before open
    expect(page.get_by_role("link", name="To weigh")).to_contain_text("FI_101")
    go(page, "#/mouse/FI_101")
    expect(page.get_by_role("heading", name="FI_101")).to_be_visible()
    go(page, "#/lists/lines")
    expect(page.get_by_role("link", name="Pvalb-Cre")).to_be_visible()


def test_the_second_start_fetches_the_page_alone(device: Open, site: Site) -> None:
    # Given a first visit, whose files are kept for good by their names
    page = device()
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    first = [each.path for each in site.files]
    hashed = [each for each in first if cache_control(each[1:]) != "no-cache"]
    # None was fetched twice, though the page and its worker both want them
    assert len(hashed) == len(set(hashed)) > 20
    # When the app is opened again
    site.files.clear()
    page.reload()
    expect(page.locator(".tile").first).to_be_visible()
    # Then the page and the worker are asked for, and nothing else
    assert {each.path for each in site.files} <= {"/app/", "/app/sw.js"}
    assert sum(each.received for each in site.files) < 4_000


def test_signing_out_leaves_nothing_on_the_device(device: Open) -> None:
    page = device()
    go(page, "#/account")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()

    left = page.evaluate(
        """async () => {
          const db = await new Promise((done) => {
            const asked = indexedDB.open("fornix-notebook");
            asked.onsuccess = () => done(asked.result);
          });
          const counts = [...db.objectStoreNames].map((name) => new Promise((done) => {
            const asked = db.transaction(name).objectStore(name).count();
            asked.onsuccess = () => done(asked.result);
          }));
          return (await Promise.all(counts)).reduce((sum, each) => sum + each, 0);
        }"""
    )
    assert left == 0
    # And another person sees that person's animals only
    sign_in(page, colony.COLLEAGUE)


def test_a_notice_leads_to_its_animal_and_is_marked_as_read(device: Open, site: Site) -> None:
    # Given what the hourly schedule writes down
    catalog.start_request()
    facts = LabFacts(colony.LAB, datetime.now(UTC))
    notice = Notice("mouse_water", "FI_101", "today", "FI_101 is thirsty", subject="FI_101")
    store.tell(notice, facts, Person(colony.ME, (colony.LAB,)), NoticeRule())
    # When its person looks
    page = device()
    go(page, "#/notifications")
    told = page.get_by_role("listitem").filter(has_text="FI_101 is thirsty")
    told.get_by_role("button", name="Mark as read").click()
    # Then it is known everywhere, and leads to the animal
    expect(told.get_by_role("button", name="Mark as read")).to_have_count(0)
    told.get_by_role("link", name="FI_101").click()
    expect(page).to_have_url(re.compile("#/mouse/FI_101"))


DRAFTS = """() => new Promise((found) => {
    const asked = indexedDB.open("fornix-notebook");
    asked.onsuccess = () => {
        const all = asked.result.transaction("drafts").objectStore("drafts").getAll();
        all.onsuccess = () => { asked.result.close(); found(JSON.stringify(all.result)); };
    };
})"""


def test_a_form_that_was_not_sent_is_as_it_was_after_a_reload(device: Open) -> None:
    # Given a form that was begun
    page = device("desk")
    go(page, "#/lists/projects")
    page.get_by_role("button", name="New", exact=True).click()
    page.get_by_label("Name").fill("Half a name")
    until(lambda: "Half a name" in page.evaluate(DRAFTS))
    # When the page is loaded anew
    page.reload()
    page.get_by_role("button", name="New", exact=True).click()
    # Then it goes on where it was, and once it is sent nothing is left of it
    expect(page.get_by_label("Name")).to_have_value("Half a name")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Name")).to_have_count(0)
    until(lambda: page.evaluate(DRAFTS) == "[]")


def test_a_newer_notebook_is_offered(device: Open) -> None:
    # Given a server whose declarations have changed since the app was loaded
    page = device("phone")
    page.route(
        re.compile(r"/changes"),
        lambda route: route.fulfill(
            json={**(answer := route.fetch()).json(), "forms": "changed"}, response=answer
        ),
    )
    # When the device asks for changes again
    page.reload()
    # Then it says so, and loads the app anew by one tap
    with page.expect_navigation():
        page.get_by_role("button", name="Load it").click()
