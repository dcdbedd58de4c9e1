"""Work with many mice and with one: views, tags, moves by hand, signatures, predictions, paste."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.api.conftest import Api
from tests.app import colony
from tests.app.conftest import PASSWORD, Open, laboratory, shoot
from tests.app.served import Site
from tests.app.test_outbox import saved
from tests.app.test_start import go
from tests.app.week import ask
from tests.processes import until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lab(dynamodb_url: str, aws_url: str) -> Iterator[Site]:
    """A small lab."""
    with laboratory(dynamodb_url, aws_url, animals=100) as site:
        yield site


def keep_view(page: Any, name: str, *, shared: bool) -> None:
    """Keep how the list of mice is looked at now."""
    page.get_by_role("button", name="Keep view").click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_label("Name", exact=True).fill(name)
    if shared:
        sheet.get_by_role("checkbox", name="Tags").check()
        sheet.get_by_role("switch").check()
    sheet.get_by_role("button", name="Keep", exact=True).click()
    expect(sheet).to_have_count(0)


def test_views_and_tags_are_kept_for_oneself_or_for_the_lab(device: Open) -> None:
    page = device("desk")
    go(page, "#/mice")
    # Given animals that are chosen in the list and tagged together
    page.get_by_role("searchbox").fill("FI_10")
    for name in ("FI_101", "FI_102"):
        page.get_by_label(f"Choose {name}").check()
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_label("New tag").fill("cohort 12")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    # When they are looked at by their tag, and this is kept for all and another way for oneself
    page.get_by_role("searchbox").fill("")
    page.get_by_label("Tag", exact=True).select_option("cohort 12")
    expect(page.locator("tbody tr")).to_have_count(2)
    keep_view(page, "Cohort twelve", shared=True)
    expect(page.get_by_role("columnheader", name="Tags")).to_be_visible()
    go(page, "#/mice")
    page.get_by_role("button", name="Weight").click()
    keep_view(page, "Light ones", shared=False)
    saved(page)
    # Then a colleague has the lab's view, with its columns, and not one's own
    other = device("desk", colony.COLLEAGUE)
    go(other, "#/mice")
    expect(other.get_by_label("View", exact=True)).not_to_contain_text("Light ones")
    other.get_by_label("View", exact=True).select_option("Cohort twelve")
    expect(other.locator("tbody tr")).to_have_count(2)
    expect(other.locator("tbody tr").first).to_contain_text("cohort 12")
    # And an animal leaves the group on its own page
    go(other, "#/mouse/FI_102")
    expect(other.locator(".badges")).to_contain_text("cohort 12")
    other.get_by_role("button", name="More…").click()
    other.get_by_role("button", name="Tag", exact=True).click()
    other.get_by_role("checkbox", name="cohort 12").uncheck()
    other.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(other.locator(".badges")).not_to_contain_text("cohort 12")
    saved(other)
    assert ask("/subject-tags/cohort 12")["subjects"] == ["FI_101"]


def cage_of(name: str) -> str:
    (stay,) = (each for each in ask(f"/stays?nickname={name}") if not each["end"])
    return str(ask(f"/cages/{stay['cage']}")["name"])


def test_mice_are_moved_by_a_finger_a_pointer_or_the_keyboard(device: Open) -> None:
    page = device("phone")
    go(page, "#/cages")

    def chip(name: str) -> Any:
        return page.get_by_role("button", name=name, exact=True)

    def middle(found: Any) -> dict[str, float]:
        found.scroll_into_view_if_needed()
        box = found.bounding_box()
        return {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}

    def slot(name: str) -> Any:
        return page.locator(".slot").filter(has=page.get_by_text(name, exact=True))

    # When a finger holds a mouse and carries it to the next cage
    touch = page.context.new_cdp_session(page)
    target = middle(slot("C02"))
    start = middle(chip("FI_101"))
    target = middle(slot("C02")) if page.evaluate("scrollY") else target
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [start]})
    expect(page.locator(".mouse-chip.held")).to_have_text("FI_101")
    touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [target]})
    expect(page.locator(".slot.over")).to_contain_text("C02")
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    # Then it is there
    expect(slot("C02").locator(".mouse-chip").filter(has_text="FI_101")).to_be_visible()
    saved(page)
    assert cage_of("FI_101") == "C02"
    # When a mouse is dragged by a pointer
    desk = device("desk")
    go(desk, "#/cages")
    desk.get_by_role("button", name="FI_102", exact=True).drag_to(
        desk.locator(".slot").filter(has=desk.get_by_text("C03", exact=True))
    )
    # Then it is asked about first, since females are there
    expect(desk.get_by_role("dialog")).to_contain_text(
        "Males and females would be together in C03"
    )
    desk.get_by_role("button", name="Move anyway").click()
    expect(desk.locator(".toast")).to_contain_text("Moved FI_102 to C03")
    saved(desk)
    # When two are chosen by the keyboard, and then the cage
    for name in ("FI_103", "FI_104"):
        desk.get_by_role("button", name=name, exact=True).press("Enter")
    desk.get_by_role("button", name="Put 2 mice into C20").press("Enter")
    expect(desk.locator(".toast")).to_contain_text("Moved FI_103, FI_104 to C20")
    saved(desk)
    assert [cage_of(f"FI_{number}") for number in (102, 103, 104)] == ["C03", "C20", "C20"]


def test_a_signature_is_of_the_record_as_it_was(device: Open) -> None:
    page = device("desk")
    go(page, "#/mouse/FI_105?tab=details")

    def sign(password: str) -> None:
        page.get_by_role("button", name="Sign", exact=True).click()
        sheet = page.get_by_role("dialog")
        sheet.get_by_label("Your password again").fill(password)
        sheet.get_by_role("button", name="Sign", exact=True).click()

    # Given a record that is signed, by nobody who does not know the password
    expect(page.locator(".signatures")).to_contain_text("Nobody has signed it")
    sign("a guess")
    expect(page.get_by_role("alert")).to_contain_text("not your password")
    page.keyboard.press("Escape")
    sign(PASSWORD)
    signed = page.locator(".signatures li").filter(has_text=colony.ME)
    expect(signed).to_contain_text("as it is now")
    # When it is changed
    page.get_by_role("button", name="Change", exact=True).click()
    page.get_by_label("Description").fill("Calm.")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    # Then the signature stays, and says so
    expect(signed).to_contain_text("changed since")
    kept = page.evaluate(EVERYTHING)
    assert "FI_105" in kept
    assert PASSWORD not in kept


EVERYTHING = """async () => {
  const db = await new Promise((done) => {
    const asked = indexedDB.open("fornix-notebook");
    asked.onsuccess = () => done(asked.result);
  });
  const all = [...db.objectStoreNames].map((name) => new Promise((done) => {
    const asked = db.transaction(name).objectStore(name).getAll();
    asked.onsuccess = () => done(asked.result);
  }));
  return JSON.stringify([await Promise.all(all), { ...localStorage }, { ...sessionStorage }]);
}"""


def test_weights_are_pasted_from_a_spreadsheet_and_copied_back(device: Open) -> None:
    page = device("desk")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    go(page, "#/weigh")
    first = page.get_by_label("Weight, FI_101")
    expect(first).to_be_focused()
    # Given two columns of a spreadsheet that writes numbers with commas
    table = "23,4\t0,5\r\n23,9\t0,6\r\n24,1\t\r\n"
    page.evaluate("said => navigator.clipboard.writeText(said)", table)
    # When they are pasted, taken back and pasted again
    page.keyboard.press("Control+V")
    expect(page.get_by_label("Water, FI_102")).to_have_value("0,6")
    page.keyboard.press("Control+Z")
    expect(page.get_by_label("Water, FI_102")).to_have_value("")
    page.keyboard.press("Control+Y")
    # Then three weights and two waters are saved, and a column is copied as it is written
    for _ in range(2):
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Control+C")
    assert page.evaluate("navigator.clipboard.readText()").split() == ["23,4", "23,9", "24,1"]
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".toast")).to_contain_text("Weighed 3 mice, Gave water to 2")
    saved(page)
    today = f"date_range={colony.day(0)},{colony.day(0)}"
    weights = [ask(f"/weighings?nickname=FI_10{i}&{today}")[0]["weight"] for i in (1, 2, 3)]
    assert weights == [23.4, 23.9, 24.1]


def test_a_scale_that_types_goes_down_the_list_by_itself(device: Open) -> None:
    page = device("desk")
    go(page, "#/weigh")
    expect(page.get_by_label("Weight, FI_101")).to_be_focused()
    # A scale types digits and Enter within milliseconds, as a keyboard does
    for weight in ("21.37", "22.08"):
        page.keyboard.type(weight)
        page.keyboard.press("Enter")
    expect(page.get_by_label("Weight, FI_102")).to_have_value("22.08")
    expect(page.get_by_label("Weight, FI_103")).to_be_focused()


def test_the_mouse_page_tells_training_status_and_time_as_the_analysis_has_them(
    device: Open, site: Site, shared_data: Path, tmp_path: Path
) -> None:
    from functions.analysis.training_time import publish_predictions
    from lab.site import _plan, _simulate, build_tree
    from shared.results.render import SiteSettings
    from shared.science.cohort.daily_tables import from_daily_tables
    from shared.science.cohort.predictor import Predictor

    # Given a mouse whose sessions are on the results site
    sessions = [replace(each, subject="FI_106") for each in _plan(2, 0)[0]]
    _simulate(tmp_path / "sessions", 0, sessions)
    build_tree(tmp_path / "sessions", tmp_path / "site", SiteSettings(), quiet=True, images=True)
    site.pages = tmp_path / "site"
    # And a prediction learned from the published cohort: of one of its mice, after seven days
    cohort = from_daily_tables(shared_data / "training_cohort")
    slow = cohort[cohort["training_time"] > 30].head(1)
    others = cohort[~cohort["id"].isin(slow["id"])]
    asked = slow.assign(subject="FI_106", training_time=float("nan"), n_days=7)
    predictor = Predictor.learned(others)
    publish_predictions(site.flow.bucket, predictor, asked, "Right for 4 of 10 mice.")
    (said,) = predictor.predict(asked)
    # When its page is opened
    page = device("phone")
    go(page, "#/mouse/FI_106?tab=sessions")
    # Then the page tells its status, the likeliest time, each chance, and how far to trust them
    expect(page.locator(".status")).to_contain_text("in training")
    low, high = said["range"]
    found = page.locator(".prediction")
    expect(found).to_contain_text(f"After 7 days: most likely trained in {low} to {high} days")
    for label, chance in said["probabilities"].items():
        meter = found.get_by_role("meter", name=f"{label}: {round(100 * chance)} percent")
        expect(meter).to_be_visible()
    expect(found).to_contain_text("Right for 4 of 10 mice.")
    # And shows its figures, and leads there
    figures = page.get_by_role("link", name="Figures of FI_106")
    picture = figures.locator("img")
    picture.scroll_into_view_if_needed()
    until(lambda: picture.evaluate("picture => picture.naturalWidth") > 400)
    shoot(page, "mouse-figures-phone")
    figures.click()
    expect(page).to_have_url(f"{site.url}/subjects/FI_106.html")


def test_a_month_of_sessions_leads_to_the_week_of_a_day(device: Open) -> None:
    page = device("phone")
    go(page, "#/sessions")
    # Given the month, in which today has one session
    page.get_by_role("button", name="Month", exact=True).click()
    cell = page.locator("td.now").get_by_role("button")
    expect(cell).to_have_accessible_name(re.compile("1 session$"))
    shoot(page, "sessions-month-phone")
    # When another month was looked at, and today is tapped
    page.get_by_role("button", name="Month before").click()
    expect(page.locator("td.now")).to_have_count(0)
    page.get_by_role("button", name="This month").click()
    cell.click()
    # Then its week is there, with the session
    expect(page.get_by_role("button", name="Week", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    expect(page.locator(".week .now .session-link")).to_contain_text("FI_101")


def test_the_mouse_page_says_who_may_change_an_animal_that_is_not_ones_own(device: Open) -> None:
    # Given a lab that is not open, and an animal that another answers for
    api, manager = Api(), "fimbrialab_manager"
    me = f"/users/{colony.ME}"
    api.ok("PATCH", me, {"is_husbandry": False}, user="admin")
    api.ok("PATCH", "/subjects/FI_105", {"responsible_user": manager}, user=manager)
    api.ok("PATCH", "/labs/fimbrialab", {"open_lab": False}, user=manager)
    try:
        page = device("phone")
        go(page, "#/mouse/FI_105")
        expect(page.get_by_role("note")).to_contain_text(f"{manager}, whom they let, managers")
        # And offers what everybody may do, and no more
        expect(page.get_by_role("link", name="Weigh", exact=True).first).to_be_visible()
        offered = page.locator(".actions").get_by_role("button")
        expect(offered).to_have_text(["End restriction", "Note", "Tag"])
        go(page, "#/mouse/FI_104")
        expect(page.get_by_role("heading", level=1)).to_contain_text("FI_104")
        expect(page.get_by_role("note")).to_have_count(0)
    finally:
        api.ok("PATCH", "/labs/fimbrialab", {"open_lab": True}, user=manager)
        api.ok("PATCH", me, {"is_husbandry": True}, user="admin")


def test_the_keys_that_the_question_mark_shows_do_what_they_say(device: Open) -> None:
    page = device("desk")
    keys, heading = page.keyboard, page.get_by_role("heading", level=1)
    keys.press("?")
    expect(heading).to_have_text("Keys")
    shown = page.get_by_role("table", name="Keys that work everywhere")
    for row in shown.get_by_role("row").all():
        # Each screen that has a key is reached by it
        pressed = row.locator("kbd").all_inner_texts()
        if pressed[0] == "g":
            target = row.get_by_role("cell").inner_text()
            for key in pressed:
                keys.press(key)
            expect(heading).to_have_text(target)
            go(page, "#/keys")
            expect(heading).to_have_text("Keys")
    keys.press("/")
    expect(page.get_by_role("combobox", name="Find a mouse")).to_be_focused()
    keys.press("Escape")
    expect(page.get_by_role("combobox", name="Find a mouse")).to_be_hidden()
    expect(page.locator("dialog[open], input:focus")).to_have_count(0)
    keys.press("g")
    keys.press("m")
    expect(heading).to_have_text("Mice")
    keys.press("n")
    expect(page.get_by_role("dialog")).to_contain_text("New animal")


def test_what_a_route_of_its_own_did_is_undone_with_all_that_followed(device: Open) -> None:
    page = device("desk", colony.STOCK)
    before = ask("/subjects/FI_110")

    def undone(do: Any) -> None:
        """Do something, take it back by the key, and compare what the server has."""
        do()
        saved(page)
        changed = ask("/subjects/FI_110")
        assert changed != before
        page.keyboard.press("u")
        expect(page.locator(".toast")).to_contain_text("Undone")
        assert {**ask("/subjects/FI_110"), "version": 0} == {**before, "version": 0}

    def transfer() -> None:
        go(page, "#/mouse/FI_110")
        page.get_by_role("button", name="More…").click()
        page.get_by_role("button", name="Transfer").click()
        page.get_by_label("New responsible user").fill(colony.COLLEAGUE)
        page.get_by_label("New responsible user").press("Enter")
        page.get_by_role("dialog").get_by_role("button", name="Transfer").click()
        expect(page.get_by_role("dialog")).to_have_count(0)

    def cull() -> None:
        page.get_by_role("button", name="Cull", exact=True).click()
        page.get_by_role("dialog").get_by_role("radio", name="mild").click()
        page.get_by_role("dialog").get_by_role("button", name="Cull").click()
        expect(page.get_by_role("dialog")).to_have_count(0)

    undone(transfer)
    undone(cull)


def test_the_family_of_a_mouse_says_its_generation(device: Open) -> None:
    page = device()
    go(page, "#/mouse/PV_9001?tab=family")
    expect(page.get_by_text("Generation F1 of Pvalb-Cre")).to_be_visible()
    # An animal of unknown parents says none
    go(page, "#/mouse/FI_101?tab=family")
    expect(page.get_by_role("heading", name="Parents")).to_be_visible()
    expect(page.get_by_text("Generation", exact=False)).to_have_count(0)
