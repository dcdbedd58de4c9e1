"""The outbox: pages killed at any step, answers that are lost, two tabs, two devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.app import colony
from tests.app.conftest import Open, laboratory
from tests.app.served import Site
from tests.app.test_start import go
from tests.app.week import PICTURE, ask
from tests.processes import until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lab(dynamodb_url: str, aws_url: str) -> Iterator[Site]:
    """A small lab."""
    with laboratory(dynamodb_url, aws_url, animals=100) as site:
        yield site


def weigh(page: Any, name: str, weight: str) -> None:
    """Type a weight and save it."""
    go(page, f"#/weigh?which=mouse:{name}")
    page.get_by_label(f"Weight, {name}").fill(weight)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".toast")).to_contain_text("Weighed 1 mouse")


def weights(name: str) -> list[float]:
    return [
        each["weight"]
        for each in ask(f"/weighings?nickname={name}&date_range={colony.day(0)},{colony.day(0)}")
    ]


def reopen(page: Any) -> Any:
    """Kill a page and open the app again on the same device."""
    context = page.context
    page.close()
    context.set_offline(False)
    again = context.new_page()
    again.goto(page.url.partition("#")[0])
    return again


def saved(page: Any) -> None:
    expect(page.locator(".sync")).to_contain_text("Saved", timeout=15_000)


def test_killed_before_it_was_sent(device: Open) -> None:
    page = device()
    page.context.set_offline(True)
    weigh(page, "FI_101", "23.1")
    expect(page.locator(".sync")).to_contain_text("1 to send")

    page = reopen(page)

    saved(page)
    assert weights("FI_101") == [23.1]


def test_killed_when_it_was_done_but_not_answered(device: Open, site: Site) -> None:
    page = device()
    site.broken.add("/batch")
    weigh(page, "FI_102", "23.2")
    expect(page.locator(".sync")).to_contain_text("1 to send")
    until(lambda: not site.broken)
    assert weights("FI_102") == [23.2]

    page = reopen(page)

    saved(page)
    assert [each.path for each in site.sent("POST")].count("/batch") >= 2
    assert weights("FI_102") == [23.2]


def test_killed_when_it_was_answered_but_not_yet_forgotten(device: Open, site: Site) -> None:
    page = device()
    # Given a device whose outbox still has what the server answered long ago
    page.context.set_offline(True)
    weigh(page, "FI_103", "23.3")
    kept = page.evaluate(OUTBOX)
    page.context.set_offline(False)
    page.evaluate("() => { dispatchEvent(new Event('online')); }")
    saved(page)
    page.evaluate(PUT_BACK, kept)
    # When it is opened again
    page = reopen(page)
    # Then it is sent again and is done once
    saved(page)
    expect(page.locator(".tile").first).to_be_visible()
    assert weights("FI_103") == [23.3]
    assert page.evaluate(OUTBOX) == []


OUTBOX = """() => new Promise((done) => {
  const asked = indexedDB.open("fornix-notebook");
  asked.onsuccess = () => {
    const all = asked.result.transaction("outbox").objectStore("outbox").getAll();
    all.onsuccess = () => { asked.result.close(); done(all.result); };
  };
})"""
PUT_BACK = """(groups) => new Promise((done) => {
  const asked = indexedDB.open("fornix-notebook");
  asked.onsuccess = () => {
    const tx = asked.result.transaction("outbox", "readwrite");
    for (const each of groups) tx.objectStore("outbox").put(each);
    tx.oncomplete = () => { asked.result.close(); done(true); };
  };
})"""


def test_two_tabs_send_it_once(device: Open, site: Site) -> None:
    first = device()
    second = first.context.new_page()
    second.goto(site.url + "/app/")
    expect(second.locator(".tile").first).to_be_visible()
    first.context.set_offline(True)
    weigh(first, "FI_104", "23.4")

    first.context.set_offline(False)
    for page in (first, second):
        page.evaluate("() => { dispatchEvent(new Event('online')); }")

    saved(first)
    saved(second)
    assert [each.path for each in site.sent("POST")].count("/batch") == 1
    assert weights("FI_104") == [23.4]


def describe(page: Any, name: str, words: str) -> None:
    """Change an animal's description."""
    go(page, f"#/mouse/{name}?tab=details")
    page.get_by_role("button", name="Change", exact=True).click()
    page.get_by_label("Description").fill(words)
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize(("choice", "kept"), [("Keep mine", "shy"), ("Keep theirs", "bold")])
def test_two_devices_change_the_same_animal(device: Open, choice: str, kept: str) -> None:
    name = {"shy": "FI_105", "bold": "FI_106"}[kept]
    here, there = device(), device("desk", colony.STOCK)
    # Given one that is changed here without a network, and there meanwhile
    here.context.set_offline(True)
    describe(here, name, "shy")
    describe(there, name, "bold")
    saved(there)
    # When the network is back
    here.context.set_offline(False)
    here.evaluate("() => { dispatchEvent(new Event('online')); }")
    # Then nobody is overwritten before a person has seen both and chosen
    here.locator(".sync", has_text="need").click()
    card = here.locator(".card")
    expect(card).to_contain_text("shy")
    expect(card).to_contain_text("bold")
    assert ask(f"/subjects/{name}")["description"] == "bold"
    card.get_by_role("button", name=choice).click()
    saved(here)
    assert ask(f"/subjects/{name}")["description"] == kept


def cull(page: Any, name: str) -> None:
    """Cull a mouse from its page."""
    go(page, f"#/mouse/{name}")
    page.get_by_role("button", name="More…").click()
    page.get_by_role("button", name="Cull", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("radio", name="mild").click()
    dialog.get_by_role("button", name="Cull").click()
    expect(dialog).to_have_count(0)


def test_what_the_server_refuses_stays_until_somebody_decides(device: Open) -> None:
    page, other = device(), device("desk", colony.STOCK)
    # Given a mouse that is culled here without a network, and there meanwhile
    page.context.set_offline(True)
    cull(page, "FI_107")
    cull(other, "FI_107")
    saved(other)
    # When it is sent
    page.context.set_offline(False)
    page.evaluate("() => { dispatchEvent(new Event('online')); }")
    # Then the refusal is shown in the server's words, and can be given up
    page.locator(".sync", has_text="need").click()
    expect(page.locator(".card .error").first).to_be_visible()
    page.get_by_role("button", name="Give up").click()
    saved(page)
    (row,) = ask("/culls?nickname=FI_107")
    assert row["user"] == colony.STOCK


def test_names_that_another_device_gave_meanwhile_are_given_anew(device: Open) -> None:
    here, there = device(), device("desk", colony.STOCK)

    def born(page: Any, males: str) -> None:
        go(page, "#/pair/PV_BP_004")
        page.get_by_role("button", name="New litter").click()
        page.get_by_label("Males", exact=True).fill(males)
        page.get_by_role("dialog").get_by_role("button", name="Save").click()
        expect(page.locator(".toast")).to_contain_text("New litter")

    # Given two litters of one line, entered on two devices that do not know of each other
    here.context.set_offline(True)
    born(here, "2")
    born(there, "3")
    saved(there)
    here.context.set_offline(False)
    here.evaluate("() => { dispatchEvent(new Event('online')); }")
    # When the second gets new names
    here.locator(".sync", has_text="need").click()
    here.get_by_role("button", name="With new names").click()
    saved(here)
    # Then both are there, whole
    litters = ask("/litters?breeding_pair=PV_BP_004")
    today = [each["name"] for each in litters if each["birth_date"] == colony.day(0)]
    assert len(today) == 2
    assert sorted(len(ask(f"/subjects?litter={name}")) for name in today) == [2, 3]


def photographed(page: Any, name: str) -> None:
    """Write a note with a picture on an animal."""
    go(page, f"#/mouse/{name}")
    page.get_by_role("button", name="Note", exact=True).click()
    chosen = page.get_by_label("Add picture")
    assert chosen.get_attribute("accept") == "image/*"  # phones offer their camera
    chosen.set_input_files(str(PICTURE))
    expect(page.locator(".photo")).to_have_count(1)
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def notes(name: str) -> list[dict[str, Any]]:
    subject = ask(f"/subjects/{name}")["id"]
    return [each for each in ask("/notes") if each["object_id"] == subject]


def shown(page: Any) -> None:
    """Expect the picture of the timeline to be seen."""
    picture = page.locator(".timeline img.picture")
    expect(picture).to_have_js_property("complete", True)
    expect(picture).not_to_have_js_property("naturalWidth", 0)


def test_a_picture_goes_before_its_note_and_comes_back_small(device: Open, site: Site) -> None:
    # Given a picture that is taken without a network, in a page that is then killed
    page = device()
    page.context.set_offline(True)
    photographed(page, "FI_108")
    shown(page)
    # When the app is opened where there is one
    page = reopen(page)
    saved(page)
    # Then its bytes went straight to the bucket, and the note names it
    asked = [each.path for each in site.sent("POST") if each.path != "/session"]
    assert asked == ["/images", "/batch"]
    (note,) = notes("FI_108")
    (image,) = note["images"]
    assert max(each.sent for each in site.requests if each.path == "/images") < 400
    # And when it has been looked into, any device shows it small
    site.flow.until(lambda: ask("/images")[0]["state"] == "ready")
    other = device("desk", colony.COLLEAGUE)
    go(other, "#/mouse/FI_108")
    shown(other)
    (size,) = {each.path for each in site.requests if each.path.startswith("/images/")}
    assert size == f"/images/{image}?size=200"


@pytest.mark.parametrize(("lost", "name"), [("/images", "FI_109"), ("/batch", "FI_110")])
def test_a_picture_is_not_there_twice_whichever_answer_is_lost(
    device: Open, site: Site, lost: str, name: str
) -> None:
    before = {each["id"] for each in ask("/images")}
    page = device()
    site.broken.add(lost)
    photographed(page, name)
    until(lambda: not site.broken)

    page = reopen(page)

    saved(page)
    assert [each.path for each in site.sent("POST")].count(lost) >= 2
    (note,) = notes(name)
    assert {each["id"] for each in ask("/images")} - before == set(note["images"])
    assert page.evaluate(OUTBOX) == []
