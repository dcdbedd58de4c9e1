"""Every screen: nothing that axe finds, in light and dark, on a phone and on a desk; targets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.app.conftest import Open, shoot
from tests.app.served import ROOT
from tests.app.test_start import go

pytestmark = pytest.mark.browser

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
SCREENS = (
    *(
        "today",
        "weigh",
        "mice",
        "mouse/FI_104",
        "mouse/FI_104?tab=water",
        "mouse/FI_104?tab=sessions",
    ),
    *("mouse/PV_9001?tab=family", "mouse/FI_104?tab=details", "mouse/FI_104?tab=changes"),
    *("litters", "litter/PV_L_000", "genotyping", "genotyping?litter=SST_L_001", "breeding"),
    *("breeding?plan", "pair/PV_BP_000", "cages", "cull", "cull?which=negative", "requests"),
    *("sessions", "training", "surgery", "surgery?new", "tasks", "reports", "people", "lists"),
    *("lists/lines", "lists/lines/Pvalb-Cre", "changes", "notifications", "new-line", "outbox"),
    *("account", "keys", "more", "cards?mice=FI_101,FI_102", "nowhere"),
)


def judge(page: Any, rules: str = "{}") -> list[str]:
    """Return what axe finds on a page."""
    found = page.evaluate(f"axe.run({{ resultTypes: ['violations'], ...{rules} }})")
    return [f"{each['id']}: {each['nodes'][0]['html'][:160]}" for each in found["violations"]]


DARK = "{ runOnly: ['color-contrast'] }"
"""In the dark only colours differ."""


SMALL = """() => [...document.querySelectorAll(
    "button, select, summary, .button, .primary, .tile, .segment, .pick-box, input.cell, "
    + "input.input, .tabs a, .top a, .tabbar a"
  )].filter((each) => each.offsetParent && each.getBoundingClientRect().height < 43.5)
  .map((each) => "too low for a finger: " + each.outerHTML.slice(0, 100))"""
"""What is tapped and is less than 44 pixels high."""


@pytest.mark.parametrize(
    ("size", "screens"), [("phone", SCREENS), ("desk", ("today", "weigh", "mice", "mouse/FI_104"))]
)
def test_axe_finds_nothing_on_any_screen(
    device: Open, size: str, screens: tuple[str, ...]
) -> None:
    if not AXE.exists():
        pytest.skip("node_modules is not installed: run `npm ci`")
    page = device(size)
    page.evaluate(AXE.read_text() + ";0")
    problems: dict[str, list[str]] = {}
    for screen in screens:
        go(page, f"#/{screen}")
        expect(page.locator("main h1").first).to_be_visible()
        expect(page.get_by_text("…", exact=True)).to_have_count(0)
        name = screen.replace("/", "_").replace("?", "_")
        shoot(page, f"{name}-{size}")
        found = judge(page)
        page.emulate_media(color_scheme="dark")
        shoot(page, f"{name}-{size}-dark")
        found += judge(page, DARK)
        page.emulate_media(color_scheme="light")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            found.append(f"{wide} pixels too wide")
        if size == "phone":
            found += page.evaluate(SMALL)
        if found:
            problems[screen] = found
    assert not problems, json.dumps(problems, indent=1)


def test_numbers_bring_the_numeric_keyboard(device: Open) -> None:
    page = device("phone")
    go(page, "#/weigh")
    cell = page.get_by_label("Weight, FI_101")

    assert cell.get_attribute("inputmode") == "decimal"
    assert cell.get_attribute("enterkeyhint") == "next"
    expect(cell).to_be_focused()


def test_an_empty_lab_says_what_to_do(device: Open) -> None:
    page = device("phone")
    go(page, "#/lists/subject-tags")

    expect(page.get_by_text("Add one with “New”")).to_be_visible()
