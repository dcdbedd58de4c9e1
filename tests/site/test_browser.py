"""The site in a real browser: what visitors do on every kind of page.

Every page is watched: an error on the console, a failed request or one to another host fails the
test. Screenshots stay in ``.fornix/screenshots`` to be looked at.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pandas as pd
import pytest

from shared.results import addresses as places
from shared.results import assets
from shared.results.build import Site
from shared.results.render import SiteSettings, render
from shared.results.source import Lab, Subject
from shared.results.store import FolderStore, encode
from shared.results.views.lists import month_columns, sessions_view
from shared.results.views.rows import ListedSession
from tests.processes import until

from .conftest import Shelf, serve, trials_of

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / ".fornix" / "screenshots"


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    """Return two labs with three mice of three weeks, and a private session among them."""
    shelf = Shelf()
    shelf.places = [
        Lab("fimbrialab", "Institute of the Fimbria", "Europe/London", 51.5, -0.1),
        Lab("septumlab", "Septum University", "America/New_York"),
    ]
    for i, (name, lab) in enumerate(
        [("FX_001", "fimbrialab"), ("FX_002", "fimbrialab"), ("SP_001", "septumlab")]
    ):
        shelf.about[name] = Subject(name, lab, sex="FM"[i % 2], birth_date="2025-10-01")
        for day in range(14):
            biased = day > 9
            shelf.put(
                name,
                f"2026-01-{day + 5:02d}",
                trials_of(300 + 20 * day, 100 * i + day, 0.6 + 0.027 * day, biased),
                lab=lab,
                protocol="biasedChoiceWorld" if biased else "trainingChoiceWorld",
                synthetic=lab == "septumlab",
            )
    shelf.put_probe(
        next(s.id for s, _ in shelf.all.values() if "biased" in s.task_protocol),
        more={"clusters.brainLocationIds_ccf_2017.npy": np.full(12, 672, np.int32)},
    )
    shelf.put("FX_001", "2026-01-25", trials_of(333, 5), public=False, number=9)
    shelf.put("SECRET_1", "2026-01-25", trials_of(333, 6), lab="secretlab", public=False)
    return shelf


@pytest.fixture(scope="module")
def folder(shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a built site."""
    if not (ROOT / "node_modules" / "d3").is_dir():
        pytest.skip("node_modules is not installed: run `npm ci`")
    store = FolderStore(tmp_path_factory.mktemp("site") / "site")
    assets.publish(store)
    Site(
        shelf, store, SiteSettings(), now=lambda: datetime(2026, 3, 1, tzinfo=UTC), images=False
    ).refresh()
    return store.folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Serve the site as `fornix site serve` does."""
    yield from serve(folder)


Opened = Callable[..., Any]


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Opened]:
    """Return a function that opens a page of the site and watches it."""
    contexts: list[Any] = []
    problems: list[str] = []

    def open_(path: str, sizes: dict[str, int] | None = None, **options: Any) -> Any:
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        context = browser.new_context(**options)
        contexts.append(context)

        def failed(request: Any) -> None:
            if "ERR_ABORTED" not in str(request.failure):  # the page was left before it came
                problems.append(f"{path}: {request.url} {request.failure}")

        page = context.new_page()
        page.on(
            "console",
            lambda m: problems.append(f"{path}: {m.text}") if m.type == "error" else None,
        )
        page.on("pageerror", lambda e: problems.append(f"{path}: {e}"))
        page.on("requestfailed", failed)

        def check(request: Any) -> None:
            url = urlparse(request.url)
            if url.scheme in ("http", "https") and url.netloc != urlparse(address).netloc:
                problems.append(f"{path}: request to {request.url}")

        def measure(response: Any) -> None:
            if sizes is not None:
                sizes[response.url] = int(response.headers["content-length"])

        page.on("request", check)
        page.on("response", measure)
        page.goto(address + path)
        page.wait_for_selector("body[data-ready=yes]")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert problems == []


def first(shelf: Shelf, protocol: str) -> str:
    return next(s.id for s, _ in shelf.all.values() if protocol in s.task_protocol and s.public)


def addresses(shelf: Shelf) -> dict[str, str]:
    """Return one address of each kind of page."""
    return {
        "overview": "index.html",
        "sessions": "sessions.html",
        "session-biased": f"sessions/{first(shelf, 'biased')}.html",
        "session-training": f"sessions/{first(shelf, 'training')}.html",
        "subjects": "subjects.html",
        "subject": "subjects/FX_001.html",
        "labs": "labs.html",
        "lab": "labs/fimbrialab.html",
        "daily": "daily.html",
        "probes": "probes.html",
        "probe": f"probes/{first(shelf, 'biased')}-probe00.html",
        "unit": f"units/{first(shelf, 'biased')}-probe00.html#3",
        "data": "data.html",
        "about": "about.html",
        "training-time": "training-time.html",
    }


KINDS = [
    "overview", "sessions", "session-biased", "session-training", "subjects", "subject", "labs",
    "lab", "daily", "probes", "probe", "unit", "data", "about", "training-time",
]  # fmt: skip

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_page_is_drawn(visit: Opened, shelf: Shelf, kind: str, look: str) -> None:
    sizes: dict[str, int] = {}
    page = visit(addresses(shelf)[kind], sizes, **LOOKS[look])
    for figure in page.query_selector_all("figure"):
        figure.scroll_into_view_if_needed()
        figure.wait_for_selector(".plot:not([aria-busy])", state="attached")
        marks = figure.query_selector_all(".plot svg path, .plot svg circle, .plot svg rect")
        name = figure.get_attribute("id")
        assert len(marks) > 1, f"{name} is blank"
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{kind}-{look}.png", full_page=True)
    # Nothing hangs over the side of a phone.
    wide, shown = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= shown
    assert not page.query_selector("[role=status]:has-text('could not be drawn')")
    assert sum(sizes.values()) < 300_000, f"too much over the wire: {sizes}"
    if look != "phone":
        assert accessibility_problems(page) == []


def accessibility_problems(page: Any) -> list[str]:
    """Return what axe-core finds wrong with a page."""
    page.evaluate((ROOT / "node_modules/axe-core/axe.min.js").read_text() + ";0")
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['html'][:150]} {node['failureSummary'][:200]}"
        for violation in result["violations"]
        for node in violation["nodes"]
    ]


def test_plots_are_not_blank_pictures(visit: Opened, shelf: Shelf) -> None:
    from PIL import Image

    page = visit(addresses(shelf)["session-biased"])
    for name in ("psychometric", "chronometric", "timeline"):
        path = SHOTS / f"figure-{name}.png"
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.query_selector(f"#{name} .plot").screenshot(path=path)
        pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
        assert len(np.unique(pixels, axis=0)) > 50


def test_private_sessions_are_not_served(folder: Path, shelf: Shelf) -> None:
    hidden = [s for s, _ in shelf.all.values() if not s.public]
    assert hidden
    for path in folder.rglob("*"):
        if path.is_file():
            body = path.read_bytes()
            for one in hidden:
                assert one.id.encode() not in body
                assert one.id not in path.name
            assert b"SECRET_1" not in body
            assert b"secretlab" not in body


class TestLists:
    def test_search_narrows_as_one_types(self, visit: Opened) -> None:
        page = visit("sessions.html")
        assert page.inner_text("#found") == "42 sessions"
        page.get_by_label("Search").fill("SP_001 biased")
        assert page.inner_text("#found") == "4 of 42 sessions"
        page.get_by_label("Search").fill("2026-01-07")
        assert page.inner_text("#found") == "3 of 42 sessions"

    def test_a_session_is_found_by_its_id(self, visit: Opened, shelf: Shelf) -> None:
        page = visit("sessions.html")
        page.get_by_label("Search").fill(first(shelf, "biased")[:13])
        assert page.inner_text("#found") == "1 of 42 sessions"

    def test_facets_count_and_filter(self, visit: Opened) -> None:
        page = visit("sessions.html")
        options = page.query_selector_all("label:has-text('Lab') option")
        assert [o.inner_text() for o in options] == ["All", "fimbrialab (28)", "septumlab (14)"]
        page.get_by_label("Lab").select_option("septumlab")
        assert page.inner_text("#found") == "14 of 42 sessions"
        protocols = page.query_selector_all("label:has-text('Protocol') option")
        assert [o.inner_text() for o in protocols] == ["All", "biased (4)", "training (10)"]

    def test_a_filtered_list_has_an_address(self, visit: Opened) -> None:
        page = visit("sessions.html")
        page.get_by_label("Protocol").select_option("biased")
        address = page.url
        again = visit("sessions.html" + address[address.index("#") :])
        assert again.inner_text("#found") == "12 of 42 sessions"

    def test_columns_sort_both_ways_and_say_so(self, visit: Opened) -> None:
        page = visit("sessions.html")
        for expected in ("ascending", "descending"):
            page.click("th button:has-text('Trials')")
            assert page.get_attribute("th:has-text('Trials')", "aria-sort") == expected
            values = [
                int(cell.inner_text()) for cell in page.query_selector_all("tbody td:nth-child(5)")
            ]
            assert values == sorted(values, reverse=expected == "descending")

    def test_back_undoes_what_was_chosen(self, visit: Opened) -> None:
        page = visit("sessions.html")
        page.get_by_label("Lab").select_option("septumlab")
        page.click("th button:has-text('Trials')")
        assert page.url.endswith("#lab=septumlab&sort=n_trials")
        page.go_back()
        until(lambda: page.evaluate("!document.querySelector('th[aria-sort]:nth-child(5)')"))
        assert page.inner_text("#found") == "14 of 42 sessions"
        page.go_back()
        until(
            lambda: page.evaluate("document.querySelector('#found').textContent === '42 sessions'")
        )
        assert page.get_by_label("Lab").input_value() == ""
        page.go_forward()
        until(
            lambda: page.evaluate("document.querySelector('#found').textContent.startsWith('14')")
        )

    def test_typing_is_one_step_back(self, visit: Opened) -> None:
        page = visit("sessions.html")
        page.get_by_label("Search").press_sequentially("SP_001")
        assert page.url.endswith("#q=SP_001")
        page.go_back()
        until(
            lambda: page.evaluate("document.querySelector('#found').textContent === '42 sessions'")
        )

    def test_dates_and_numbers_have_ranges(self, visit: Opened) -> None:
        page = visit("sessions.html")
        page.click("summary:has-text('Ranges')")
        page.get_by_label("Date, from").fill("2026-01-06")
        page.get_by_label("Date, to").fill("2026-01-07")
        page.get_by_label("Date, to").blur()
        assert page.inner_text("#found") == "6 of 42 sessions"
        page.get_by_label("Trials, from").fill("330")
        page.get_by_label("Trials, from").blur()
        assert page.inner_text("#found") == "3 of 42 sessions"
        again = visit("sessions.html" + page.url[page.url.index("#") :])
        assert again.inner_text("#found") == "3 of 42 sessions"
        assert again.get_by_label("Date, from").input_value() == "2026-01-06"

    def test_nothing_found_can_be_cleared(self, visit: Opened) -> None:
        page = visit("sessions.html#q=nobody&lab=septumlab")
        assert "No sessions match." in page.inner_text("tbody")
        page.click("button:has-text('Clear filters')")
        assert page.inner_text("#found") == "42 sessions"
        assert "#" not in page.url

    def test_what_is_shown_can_be_saved(self, visit: Opened) -> None:
        page = visit("sessions.html#lab=septumlab&sort=n_trials")
        with page.expect_download() as saving:
            page.click("#csv")
        rows = list(csv.DictReader(Path(saving.value.path()).read_text().splitlines()))
        assert saving.value.suggested_filename == "sessions.csv"
        assert {row["lab"] for row in rows} == {"septumlab"}
        assert [int(row["n_trials"]) for row in rows] == [300 + 20 * day for day in range(14)]
        with page.expect_download() as saving:
            page.click("#parquet")
        table = pd.read_parquet(saving.value.path())
        assert saving.value.suggested_filename == "sessions.pqt"
        assert table["n_trials"].tolist() == [300 + 20 * day for day in range(14)]
        assert table["id"].tolist() == [row["id"] for row in rows]
        assert page.get_attribute("a:has-text('as Parquet')", "href") == "data/sessions.pqt"

    def test_on_a_phone_the_menu_shows_all_and_rows_are_cards(self, visit: Opened) -> None:
        page = visit("sessions.html", **LOOKS["phone"])
        width = page.evaluate("innerWidth")
        for entry in page.query_selector_all("nav a"):
            box = entry.bounding_box()
            assert 0 <= box["x"] < box["x"] + box["width"] <= width
        card = page.query_selector("tbody tr")
        for cell in card.query_selector_all("td"):
            box = cell.bounding_box()
            assert box["x"] + box["width"] <= width
        assert "Trials" in card.evaluate(
            "row => [...row.cells].map((c) => getComputedStyle(c, '::before').content).join()"
        )
        page.get_by_label("Sort by").select_option("n_trials")
        assert "300" in page.inner_text("tbody tr")

    def test_list_to_page_and_back_by_keyboard(self, visit: Opened) -> None:
        page = visit("subjects.html")
        page.get_by_label("Search").focus()
        page.keyboard.type("SP_001")
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == "SP_001":
                break
        page.keyboard.press("Enter")
        page.wait_for_selector("h1:has-text('SP_001')")
        assert page.title().startswith("SP_001")

    def test_a_subject_leads_to_its_sessions(self, visit: Opened) -> None:
        page = visit("subjects/FX_001.html")
        page.click("#days a >> nth=0")
        page.wait_for_selector("h1:has-text('FX_001 · 2026-01-18 · 001')")
        page.wait_for_selector("body[data-ready=yes]")


class TestSession:
    def test_a_block_can_be_hidden(self, visit: Opened, shelf: Shelf) -> None:
        page = visit(addresses(shelf)["session-biased"])
        before = len(page.query_selector_all("#psychometric circle"))
        page.get_by_label("P(left) = 0.2").uncheck()
        assert 0 < len(page.query_selector_all("#psychometric circle")) < before

    def test_the_numbers_behind_a_figure_are_a_table(self, visit: Opened, shelf: Shelf) -> None:
        page = visit(addresses(shelf)["session-training"])
        page.click("#psychometric summary")
        page.wait_for_selector("#psychometric tbody tr")
        rows = page.query_selector_all("#psychometric tbody tr")
        assert len(rows) == 9
        assert rows[0].inner_text().split("\t")[1] == "-100"

    def test_code_is_copied(self, visit: Opened, shelf: Shelf) -> None:
        page = visit(
            addresses(shelf)["session-training"], permissions=["clipboard-read", "clipboard-write"]
        )
        page.click("button.copy")
        page.wait_for_selector("button:has-text('Copied')")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert first(shelf, "training") in copied

    def test_synthetic_data_say_so(self, visit: Opened, shelf: Shelf) -> None:
        eid = next(s.id for s, _ in shelf.all.values() if s.synthetic)
        assert "simulated" in visit(f"sessions/{eid}.html").inner_text("[role=note]")
        assert not visit(addresses(shelf)["subject"]).query_selector("[role=note]")
        assert "Some synthetic" in visit("index.html").inner_text("[role=note]")


class TestUnit:
    def test_the_nine_rasters_can_be_chosen(self, visit: Opened, shelf: Shelf) -> None:
        page = visit(addresses(shelf)["unit"])
        options = page.query_selector_all("#pair option")
        assert len(options) == 9
        before = page.inner_html("#raster .plot")
        page.get_by_label("Aligned to, sorted by").select_option("feedback/latency")
        assert page.inner_html("#raster .plot") != before
        assert "Time from feedback (s)" in page.inner_text("#raster .plot")

    def test_the_next_unit_has_an_address_of_its_own(self, visit: Opened, shelf: Shelf) -> None:
        page = visit(addresses(shelf)["unit"])
        page.click("#next")
        page.wait_for_selector("#which:has-text('Unit 4, 5 of 12')")
        assert page.url.endswith("#4")
        assert "unit = spikes.clusters == 4" in page.inner_text(".code")

    def test_units_tell_their_region(self, visit: Opened, shelf: Shelf) -> None:
        facts = visit(addresses(shelf)["unit"]).inner_text("#facts")
        assert "Region\n672" in facts
        page = visit(addresses(shelf)["probe"])
        page.click("#list th button:has-text('Region')")  # sorted by it, as text
        assert page.inner_text("#list tbody tr:first-child").split()[3] == "672"


class TestHundredThousand:
    def test_a_list_of_100000_sessions_is_shown_at_once_and_searched_quickly(
        self, browser: Any, tmp_path: Path
    ) -> None:
        # Given 100,000 sessions of 60 months
        store = FolderStore(tmp_path / "site")
        assets.publish(store)
        names, total = [], 0
        for month in range(60):
            name = f"{2020 + month // 12}-{month % 12 + 1:02d}"
            rows = [
                ListedSession(
                    id=f"{month:08x}-{i:04x}-4000-8000-000000000000",
                    date=f"{name}-{i % 28 + 1:02d}",
                    number=1,
                    lab=f"lab{i % 12}",
                    subject=f"M_{i % 400:03d}",
                    protocol=("training", "biased", "ephys")[i % 3],
                    project="p",
                    n_trials=i,
                    performance=0.8,
                    performance_easy=0.9,
                    median_rt=0.5,
                    duration=60,
                    n_probes=0,
                    synthetic=1,
                )
                for i in range(1667)
            ]
            total += len(rows)
            names.append([name, len(rows)])
            store.write(places.month_list(name), encode(month_columns(rows)))
        store.write("data/list/index.json", encode({"n": total, "parts": names[::-1]}))
        store.write("sessions.html", render(sessions_view([]), SiteSettings()))
        for address in serve(store.folder):
            page = browser.new_page()
            requests: list[str] = []
            page.on("request", lambda r, to=requests: to.append(urlparse(r.url).path))
            page.goto(address + "sessions.html")
            # Then the first page is there before the rest is loaded,
            page.wait_for_selector("body[data-shown=yes]")
            loaded = [path for path in requests if "/data/list/20" in path]
            assert len(loaded) < 60
            page.wait_for_selector("body[data-ready=yes]")
            assert page.inner_text("#found") == "100,020 sessions"
            assert len(page.query_selector_all("tbody tr")) == 50
            # and searching asks for nothing more.
            requests.clear()
            page.get_by_label("Search").fill("M_007 biased")
            assert page.inner_text("#found").endswith("of 100,020 sessions")
            page.click("th button:has-text('Trials')")
            assert [path for path in requests if "/data/" in path] == []
            page.close()


def test_dark_and_light_can_be_chosen_and_stay(visit: Opened) -> None:
    page = visit("index.html", color_scheme="light")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper
    page.goto(page.url.replace("index.html", "labs.html"))
    assert page.get_attribute("html", "data-theme") == "dark"


def test_unless_one_was_chosen_the_system_s_holds_and_its_change_is_followed(
    visit: Opened,
) -> None:
    page = visit("index.html", color_scheme="dark")
    assert page.get_attribute("html", "data-theme") == "dark"
    page.emulate_media(color_scheme="light")
    page.wait_for_selector('html[data-theme="light"]')


def test_without_script_a_page_still_says_what_it_is(
    browser: Any, address: str, shelf: Shelf
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address + addresses(shelf)["session-biased"])
    assert "Psychometric parameters" in page.inner_text("main")
    assert "one.load_dataset" in page.inner_text("main")
    context.close()


def test_the_state_of_the_build_is_not_served(browser: Any, address: str) -> None:
    context = browser.new_context()
    for path in ("_state/index.json", "%5fstate/index.json", "../site/_state/index.json"):
        assert context.request.get(address + path).status == 404
    context.close()


def test_pages_have_unique_titles_and_one_heading(folder: Path, shelf: Shelf) -> None:
    titles = []
    for path in addresses(shelf).values():
        html = (folder / path.partition("#")[0]).read_text()
        titles += re.findall("<title>(.*)</title>", html)
        assert html.count("<h1>") == 1
        assert '<html lang="en">' in html
    assert len(set(titles)) == len(addresses(shelf))
