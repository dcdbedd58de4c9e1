"""Thirty tasks of a laboratory's week, as a person does them; counted in `tests.app.test_week`.

The numbers are those of the comparison with Alyx's pages: how many taps, how many requests besides
the running sync, and whether it has to work in a room without a network.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.api.conftest import Api
from tests.app import colony
from tests.app.colony import NEGATIVES, RESTRICTED, STOCK, UNTESTED, WEANLINGS
from tests.app.hand import Hand

PICTURE = Path(__file__).resolve().parents[2] / "site" / "screenshots" / "unit.png"

Check = Callable[[], None]


@dataclass
class Task:
    """One task.

    Attributes
    ----------
    number, name
        In the comparison.
    taps, requests
        At most.
    offline
        Whether it is also done without a network.
    do
        Does it and returns what checks that it was done, by asking the API.
    user
        Who does it.
    """

    number: int
    name: str
    taps: int
    requests: int
    offline: bool
    do: Callable[[Hand], Check]
    user: str = colony.ME


WEEK: list[Task] = []


def task(
    number: int, taps: int, requests: int, *, offline: bool = False, user: str = colony.ME
) -> Any:
    """Add a function to the week; its first line is the task's name."""

    def add(do: Callable[[Hand], Check]) -> Callable[[Hand], Check]:
        name = (do.__doc__ or "").splitlines()[0].rstrip(".")
        WEEK.append(Task(number, name, taps, requests, offline, do, user))
        return do

    return add


def ask(path: str) -> Any:
    """Return what the API answers to an administrator, without paging."""
    answer = Api().ok("GET", path, user="admin")
    return answer["results"] if isinstance(answer, dict) and "results" in answer else answer


def said(hand: Hand, words: str) -> None:
    """Expect the app to say what was done."""
    expect(hand.page.locator(".toast")).to_contain_text(words)


@task(14, 0, 0, offline=True)
def who_was_not_weighed(hand: Hand) -> Check:
    """Who was not weighed today?"""
    tile = hand.page.locator(".tile").filter(has_text="To weigh")
    for name in RESTRICTED:
        expect(tile).to_contain_text(name)
    return lambda: None


@task(1, 2, 1, offline=True)
def weigh(hand: Hand) -> Check:
    """Weigh twenty mice."""
    hand.tile("To weigh")
    expect(hand.page.get_by_label(f"Weight, {RESTRICTED[0]}")).to_be_focused()
    for i in range(len(RESTRICTED)):
        hand.type(f"{23 + i / 10:.1f}", "Enter")
    hand.tap("Save", exact=True)
    said(hand, "Weighed 20 mice")

    def check() -> None:
        for i, name in enumerate(RESTRICTED):
            weights = ask(f"/weighings?nickname={name}&date_range={colony.day(0)},{colony.day(0)}")
            assert [each["weight"] for each in weights] == [round(23 + i / 10, 1)], name

    return check


@task(23, 1, 1, offline=True)
def undo(hand: Hand) -> Check:
    """Undo a wrong weight."""
    name = "PV_F0"
    hand.page.evaluate("name => { location.hash = `#/weigh?which=mouse:${name}`; }", name)
    hand.page.get_by_label(f"Weight, {name}").fill("21.5")
    hand.page.get_by_role("button", name="Save", exact=True).click()
    said(hand, "Weighed 1 mouse")
    if hand.online:
        expect(hand.page.locator(".sync")).to_contain_text("Saved")
    hand.site.requests.clear()
    hand.tap("Undo")
    expect(hand.page.locator(".toast")).to_contain_text("Undone" if hand.online else "Taken back")

    def check() -> None:
        assert ask(f"/weighings?nickname={name}") == []

    return check


@task(2, 2, 1, offline=True)
def water(hand: Hand) -> Check:
    """Give twenty mice what is still due."""
    hand.tile("Water due")
    expect(hand.page.get_by_label(f"Water, {RESTRICTED[0]}")).not_to_have_value("")
    hand.tap("Save", exact=True)
    said(hand, "Gave water to 20")

    def check() -> None:
        rows = ask(f"/water-status?lab={colony.LAB}")
        assert len(rows) == len(RESTRICTED)
        assert max(row["remaining_water"] for row in rows) < 0.05

    return check


@task(4, 2, 1, offline=True)
def end_restriction(hand: Hand) -> Check:
    """End a restriction that another user began."""
    hand.find(f"end {RESTRICTED[19]}")
    said(hand, "Ended the restriction")

    def check() -> None:
        (row,) = ask(f"/water-restriction?nickname={RESTRICTED[19]}")
        assert row["end_time"]

    return check


@task(3, 3, 1, offline=True)
def start_restriction(hand: Hand) -> Check:
    """Start a restriction."""
    hand.find("restrict PV_M0")
    hand.page.get_by_label("Reference weight").fill("24,5")
    hand.tap("Start", exact=True)
    said(hand, "Started the restriction")

    def check() -> None:
        (row,) = ask("/water-restriction?nickname=PV_M0")
        assert (row["reference_weight"], row["end_time"]) == (24.5, None)

    return check


@task(5, 9, 4, offline=True)
def surgery(hand: Hand) -> Check:
    """Write down a surgery with its template and two photos."""
    page, name = hand.page, RESTRICTED[1]
    hand.find(f"surgery {name}")
    hand.tap(page.get_by_label("Procedures"))
    hand.type("Headplate", "Enter")
    page.get_by_label("Implant weight").fill("1.3")
    hand.tap(page.get_by_label("Start", exact=True))
    hand.type("10:05", "Tab", "11:20", "Tab", "4.1")
    hand.tap("Carprofen", role="radio")
    hand.tap(page.locator(".photo-add"))
    page.get_by_label("Add pictures").set_input_files([str(PICTURE), str(PICTURE)])
    expect(page.locator(".photo")).to_have_count(2)
    hand.tap("Save", exact=True)
    expect(page.get_by_role("heading", name=name)).to_be_visible()

    def check() -> None:
        (row,) = ask(f"/surgeries?nickname={name}")
        assert row["implant_weight"] == 1.3
        assert row["narrative"].startswith("Anaesthesia from 10:05 to 11:20. Bregma–lambda 4.1 mm")
        (found,) = (
            each
            for each in ask("/notes?content_type=actions.surgery")
            if each["object_id"] == row["id"]
        )
        assert len(found["images"]) == 2

    return check


@task(6, 5, 1, offline=True)
def pair(hand: Hand) -> Check:
    """Start a breeding pair."""
    hand.open("Breeding")
    hand.tap("New pair")
    father, mother = "SST_0041", "SST_0045"
    page = hand.page
    page.get_by_label("Father").fill(father)
    page.get_by_label("Father").press("Enter")
    page.get_by_label("Mother", exact=True).fill(mother)
    page.get_by_label("Mother", exact=True).press("Enter")
    hand.tap("Save", exact=True)
    said(hand, f"Paired {father} and {mother}")

    def check() -> None:
        rows = [each for each in ask("/breeding-pairs?line=Sst-Cre") if each["father"] == father]
        assert [each["mother1"] for each in rows] == [mother]
        assert rows[0]["name"].startswith("SST_BP_")

    return check


@task(7, 4, 1, offline=True)
def litter(hand: Hand) -> Check:
    """Enter a new litter of eight pups, sexed."""
    hand.tile("Births expected")
    hand.tap("New litter of PV_BP_004")
    hand.page.get_by_label("Males", exact=True).fill("5")
    hand.page.get_by_label("Females").fill("3")
    hand.tap("Save", exact=True)
    said(hand, "with 8 pups")

    def check() -> None:
        born = [
            each
            for each in ask("/litters?breeding_pair=PV_BP_004")
            if each["birth_date"] == colony.day(0)
        ]
        pups = ask(f"/subjects?litter={born[0]['name']}")
        assert len(pups) == 8
        assert sorted(each["sex"] for each in pups) == ["F"] * 3 + ["M"] * 5
        assert {(each["line"], each["birth_date"]) for each in pups} == {
            ("Pvalb-Cre", colony.day(0))
        }

    return check


@task(8, 3, 1, offline=True)
def genotype(hand: Hand) -> Check:
    """Genotype eight pups for three sequences."""
    hand.tile("To genotype")
    hand.tap(hand.page.locator(".row-main").filter(has_text="SST_L_001"))
    expect(hand.page.locator(".cell.result").first).to_be_focused()
    for i in range(len(UNTESTED)):
        hand.type("+" if i % 2 else "-", "+", "-")
    hand.tap("Save", exact=True)
    said(hand, "Genotyped 8")

    def check() -> None:
        for i, name in enumerate(UNTESTED):
            tests = {
                each["sequence"]: each["test_result"]
                for each in ask(f"/genotype-tests?nickname={name}")
            }
            assert tests == {
                "Cre": "present" if i % 2 else "absent",
                "Wild type": "present",
                "ChR2": "absent",
            }
            row = ask(f"/subjects/{name}")
            assert [each["zygosity"] for each in row["genotype"]] == [1 if i % 2 else 0]
            assert not row["to_be_genotyped"]

    return check


@task(9, 5, 1, offline=True)
def wean(hand: Hand) -> Check:
    """Wean eight pups into two new cages."""
    hand.tile("To wean")
    hand.tap(hand.page.locator(".row-main").filter(has_text="PV_L_000"))
    hand.tap("Wean", exact=True)
    hand.tap("Wean 8")
    said(hand, "Weaned 8")

    def check() -> None:
        cages = set()
        for name in WEANLINGS:
            assert ask(f"/subjects/{name}")["wean_date"] == colony.day(0)
            (stay,) = ask(f"/stays?nickname={name}")
            cages.add(stay["cage"])
        assert len(cages) == 2

    return check


@task(10, 3, 1, offline=True)
def move(hand: Hand) -> Check:
    """Move a mouse to another cage."""
    name = RESTRICTED[2]
    hand.find(f"move {name}")
    hand.page.get_by_role("combobox", name="Cage").fill("C20")
    hand.type("Enter")
    hand.tap("Move", exact=True)
    said(hand, f"Moved {name}")
    hand.page.evaluate("name => { location.hash = `#/mouse/${name}`; }", name)
    expect(hand.page.locator(".facts")).to_contain_text("C20")

    def check() -> None:
        stays = ask(f"/stays?nickname={name}")
        assert [bool(each["end"]) for each in sorted(stays, key=lambda s: s["start"])] == [
            True,
            False,
        ]

    return check


@task(12, 5, 1, offline=True)
def cull_many(hand: Hand) -> Check:
    """Cull twelve negatives of a line, with reasons."""
    hand.tile("To cull")
    hand.tap("No useful genotype", role="radio")
    hand.tap("CO2", role="radio")
    hand.tap("mild", role="radio")
    hand.tap("Cull 12")
    said(hand, "Culled 12 mice")

    def check() -> None:
        for name in NEGATIVES:
            (row,) = ask(f"/culls?nickname={name}")
            assert (row["cull_reason"], row["severity"]) == ("No useful genotype", "mild")
            mouse = ask(f"/subjects/{name}")
            assert (mouse["alive"], mouse["death_date"], mouse["to_be_culled"]) == (
                False,
                colony.day(0),
                False,
            )

    return check


@task(11, 4, 1, offline=True)
def cull_one(hand: Hand) -> Check:
    """Cull one mouse with method, reason and severity."""
    hand.find("cull VIP_0002")
    # Method and reason are those of the last cull
    hand.tap("moderate", role="radio")
    hand.tap("Cull", exact=True)
    said(hand, "Culled VIP_0002")

    def check() -> None:
        (row,) = ask("/culls?nickname=VIP_0002")
        assert (row["severity"], row["cull_method"]) == ("moderate", "CO2")

    return check


@task(13, 4, 0, offline=True)
def plan(hand: Hand) -> Check:
    """Plan a cross for ten heterozygous animals of two heterozygous parents."""
    hand.find("plan a cross")
    hand.choose(hand.page.get_by_role("combobox", name="Line", exact=True), "Pvalb-Cre")
    first = hand.page.locator("tbody tr").first
    expect(first).to_contain_text("×")
    expect(first.get_by_role("cell").first).to_have_text("1")
    return lambda: None


@task(15, 4, 2, offline=True)
def note(hand: Hand) -> Check:
    """Write a note with a picture on today's session."""
    page = hand.page
    hand.tile("Sessions today")
    hand.tap("Note", exact=True)
    page.get_by_label("Text", exact=True).fill("Good day, stopped early.")
    hand.tap(page.locator(".photo-add"))
    page.get_by_label("Add picture").set_input_files(str(PICTURE))
    expect(page.locator(".photo")).to_have_count(1)
    hand.tap(page.get_by_role("dialog").get_by_role("button", name="Save"))
    expect(page.locator(".note")).to_contain_text("Good day")

    def check() -> None:
        (session,) = ask(f"/sessions?subject={RESTRICTED[0]}")
        notes = ask(f"/sessions/{session['id']}")["notes"]
        assert [(each["text"], "/images/" in each["image"]) for each in notes] == [
            ("Good day, stopped early.", True)
        ]

    return check


@task(16, 2, 0, offline=True)
def history(hand: Hand) -> Check:
    """See a mouse's whole history."""
    hand.find(RESTRICTED[0])
    timeline = hand.page.locator(".timeline")
    for words in ("23 g", "1 ml", "trainingChoiceWorld"):
        expect(timeline).to_contain_text(words)
    return lambda: None


@task(17, 3, 1)
def explanation(hand: Hand) -> Check:
    """See its weights, thresholds, and why."""
    hand.find(RESTRICTED[0])
    hand.tap("Weight & water", role="link")
    # The least allowed weight is drawn for each day of the restriction, not for today alone
    expect(hand.page.locator(".chart path.min")).to_have_attribute("d", re.compile(r"(L.*){15}"))
    hand.tap("Why these numbers?")
    table = hand.page.locator(".explanation")
    expect(table).to_contain_text("reference weight")
    expect(table).to_contain_text("minimum weight")
    return lambda: None


@task(18, 2, 1)
def report(hand: Hand) -> Check:
    """Read the report of the week."""
    hand.open("Reports")
    expect(hand.page.locator("tbody")).to_contain_text(RESTRICTED[0])
    return lambda: None


@task(19, 4, 1, offline=True)
def request(hand: Hand) -> Check:
    """Ask for four mice of a line."""
    hand.open("Requests")
    hand.tap("New request")
    page = hand.page
    page.get_by_role("combobox", name="Line").fill("Vip")
    page.get_by_role("combobox", name="Line").press("Enter")
    page.get_by_label("How many").fill("4")
    hand.tap("Ask", exact=True)
    said(hand, "Asked for 4 of Vip-Cre")

    def check() -> None:
        (row,) = ask("/subject-requests?line=Vip-Cre")
        assert (row["count"], row["user"]) == (4, colony.ME)

    return check


@task(20, 5, 1, offline=True, user=STOCK)
def fulfil(hand: Hand) -> Check:
    """Fulfil that request."""
    hand.tile("Requests")
    hand.tap("Fulfil 4 of Vip-Cre for fimbrialab_member")
    hand.tap("Take the youngest 4")
    hand.tap("Give 4")
    said(hand, "Gave 4 Vip-Cre")

    def check() -> None:
        (row,) = ask("/subject-requests?line=Vip-Cre")
        mine = ask(f"/subjects?responsible_user={colony.ME}&line=Vip-Cre")
        assert len(mine) == 4
        assert {each["request"] for each in mine} == {row["id"]}

    return check


@task(21, 3, 1, offline=True)
def transfer(hand: Hand) -> Check:
    """Give a mouse to a colleague."""
    name = RESTRICTED[5]
    hand.find(f"transfer {name}")
    hand.page.get_by_label("New responsible user").fill("anna")
    hand.type("Enter")
    hand.tap("Transfer", exact=True)
    said(hand, f"Transferred {name} to anna")

    def check() -> None:
        assert ask(f"/subjects/{name}")["responsible_user"] == "anna"

    return check


@task(22, 2, 1)
def changes(hand: Hand) -> Check:
    """See who changed what, from what."""
    hand.open("Changes")
    first = hand.page.locator(".changes > li").first
    expect(first).to_contain_text("fimbrialab_")
    expect(first.locator("ins").first).to_be_visible()
    return lambda: None


@task(24, 3, 0, offline=True)
def cards(hand: Hand) -> Check:
    """Print ten cage cards with QR codes."""
    hand.page.evaluate("() => { window.printed = 0; window.print = () => { window.printed++; }; }")
    hand.open("Cages")
    hand.tap("Print cards", role="link")
    expect(hand.page.locator(".print-card")).to_have_count(10)
    expect(hand.page.get_by_role("img", name="QR code").first).to_be_visible()
    assert hand.page.evaluate("() => window.printed") == 1
    return lambda: None


@task(25, 3, 1, user=STOCK)
def rename(hand: Hand) -> Check:
    """Rename a stock mouse."""
    hand.find("rename AI_0003")
    hand.page.get_by_label("New name").fill("AI_Rosa")
    hand.tap("Rename", exact=True)
    expect(hand.page.get_by_role("dialog")).to_have_count(0)
    expect(hand.page.locator(".sync")).to_contain_text("Saved")

    def check() -> None:
        assert ask("/subjects/AI_Rosa")["line"] == "Ai32"

    return check


@task(26, 12, 1, user=STOCK)
def line(hand: Hand) -> Check:
    """Make a line with two alleles and six rules."""
    page = hand.page
    hand.find("new line")
    page.get_by_label("Name *", exact=True).fill("Ntsr1-Cre;Ai14")
    page.get_by_label("Nickname").fill("NT")
    hand.tap(page.get_by_label("Allele, first allele"))
    hand.type("Ntsr1", "Tab", "Ntsr1-F, Ntsr1-WT", "Tab", "Ai14", "Tab", "Ai14-F, Ai14-WT")
    hand.tap(page.get_by_label("Allele, rule 1"))
    for allele in ("Ntsr1", "Ai14"):
        for first, second, zygosity in (("+", "-", "+/+"), ("+", "+", "+/-"), ("-", "+", "-/-")):
            hand.type(
                allele,
                "Tab",
                f"{allele}-F",
                "Tab",
                first,
                "Tab",
                f"{allele}-WT",
                "Tab",
                second,
                "Tab",
                zygosity,
                "Tab",
            )
    hand.tap("Save line, 2 alleles, 6 rules")
    said(hand, "New line")
    expect(page.locator(".sync")).to_contain_text("Saved")

    def check() -> None:
        assert ask("/lines/Ntsr1-Cre;Ai14")["alleles"] == ["Ntsr1", "Ai14"]
        assert len(ask("/zygosity-rules?line=Ntsr1-Cre;Ai14")) == 6

    return check


@task(27, 2, 1)
def retry(hand: Hand) -> Check:
    """See which tasks failed and why, and try one again."""
    hand.tile("Failed tasks")
    hand.tap("Try TrainingTrials again")
    said(hand, "Trying TrainingTrials again")
    expect(hand.page.locator(".sync")).to_contain_text("Saved")

    def check() -> None:
        states = {each["name"]: each["status"] for each in ask("/tasks")}
        assert states == {"TrainingTrials": "Waiting", "AudioCompress": "Errored"}

    return check


@task(28, 5, 2, offline=True)
def adverse(hand: Hand) -> Check:
    """Write down an adverse effect with severity and photo."""
    page, name = hand.page, RESTRICTED[3]
    hand.find(f"adverse {name}")
    page.get_by_label("Adverse effects").fill("Wound at the left ear.")
    hand.tap("moderate", role="radio")
    hand.tap(page.locator(".photo-add"))
    page.get_by_label("Add picture").set_input_files(str(PICTURE))
    expect(page.locator(".photo")).to_have_count(1)
    hand.tap("Save", exact=True)
    said(hand, f"Adverse effect of {name}")

    def check() -> None:
        row = ask(f"/subjects/{name}")
        assert (row["adverse_effects"], row["actual_severity"]) == (
            "Wound at the left ear.",
            "moderate",
        )

    return check


@task(29, 3, 1)
def annual(hand: Hand) -> Check:
    """Read the annual return."""
    hand.find("annual")
    expect(hand.page.get_by_role("region", name="Lists of the return")).to_contain_text(
        "Transgenic"
    )
    return lambda: None


FIVE = (
    "An animal changes hands",
    "A weight is near or below its threshold",
    "Water is due",
    "A restricted animal was not weighed",
    "A birth is expected",
)


@task(30, 6, 1)
def notifications(hand: Hand) -> Check:
    """Choose my notifications."""
    hand.find("notifications")
    for kind in FIVE:
        rule = hand.page.get_by_role("group", name=kind)
        hand.tap(rule.get_by_role("button", name="Lab"))
    # Going elsewhere saves what was chosen
    hand.page.keyboard.press("g")
    hand.page.keyboard.press("t")
    said(hand, "Changed my notifications")
    expect(hand.page.locator(".sync")).to_contain_text("Saved")

    def check() -> None:
        rules = Api().ok("GET", "/notification-rules", user=colony.ME)
        rows = rules["results"] if isinstance(rules, dict) else rules
        assert {each["subjects_scope"] for each in rows} == {"lab"}
        assert len(rows) == len(FIVE)

    return check
