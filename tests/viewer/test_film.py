"""Films in a real browser: the frame that is asked for is the one that is shown, to the pixel."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.simulate.board import BoardClock
from lab.simulate.camera import Scene, SimulatedCamera, add_film
from lab.site import server_of
from shared.results import assets
from shared.results.build import Site
from shared.results.render import SiteSettings
from shared.results.source import SourceFile
from shared.results.store import FolderStore
from tests.processes import until
from tests.site.conftest import Shelf, trials_of

pytestmark = pytest.mark.browser

READ = """() => {
  const film = document.getElementById("film-picture");
  const canvas = new OffscreenCanvas(film.videoWidth, film.videoHeight);
  const pen = canvas.getContext("2d");
  pen.drawImage(film, 0, 0);
  const size = film.videoWidth / 16;
  const y = film.videoHeight - size / 2;
  let number = 0;
  for (let i = 0; i < 16; i++) {
    const bright = pen.getImageData(size * (i + 0.5), y, 1, 1).data[0] > 128;
    number = number * 2 + bright;
  }
  return number;
}"""
"""What the number is that is written in the frame on the screen."""


@dataclass
class Filmed:
    """A built site with a session that has a film."""

    folder: Path
    page: str
    times: np.ndarray
    starts: np.ndarray


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Filmed:
    """Given a session with trials, a wheel and a film with lost frames, on a built site."""
    folder = tmp_path_factory.mktemp("filmed")
    shelf = Shelf()
    trials = trials_of(30, 1)
    one = shelf.put("FX_001", "2026-02-01", trials)
    wheel = np.linspace(0, 20, 2000)
    position = np.sin(wheel)
    scene = Scene(wheel, position, np.array([3.0, 3.1]), 18.0)
    film = add_film(folder, scene, BoardClock(offset=0, drift=0), SimulatedCamera(before=150))
    alf = folder / "alf"
    alf.mkdir()
    np.save(alf / "_ibl_leftCamera.times.npy", film.times)
    np.save(alf / "_ibl_wheel.timestamps.npy", wheel)
    np.save(alf / "_ibl_wheel.position.npy", position)
    files = [film.path, *sorted(alf.iterdir())]
    known = tuple(
        SourceFile(str(i), path.name, path.parent.name, location=str(path))
        for i, path in enumerate(files)
    )
    session, table = shelf.all[one.id]
    shelf.all[one.id] = (replace(session, datasets=session.datasets + known), table)
    store = FolderStore(folder / "site")
    assets.publish(store)
    Site(
        shelf, store, SiteSettings(), now=lambda: datetime(2026, 3, 1, tzinfo=UTC), images=False
    ).refresh()
    return Filmed(
        store.folder, f"sessions/{one.id}.html", film.times, trials["stimOn_times"].to_numpy()
    )


@pytest.fixture(scope="module")
def address(filmed: Filmed) -> Iterator[str]:
    server = server_of(filmed.folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


class Page:
    """An opened page of a session with a film."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 1000}, **options}
        )
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.asked: list[str] = []
        self.page.on(
            "console", lambda m: self.problems.append(m.text) if m.type == "error" else None
        )
        self.page.on("pageerror", lambda e: self.problems.append(str(e)))
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url)

    def shows(self, frame: int) -> None:
        """Wait until the page says that a frame is shown."""
        from playwright.sync_api import expect

        expect(self.page.locator("#film")).to_have_attribute(
            "data-state", re.compile(rf"left {frame} ")
        )

    def number(self) -> int:
        """Return the number in the picture."""
        return int(self.page.evaluate(READ))

    def close(self) -> None:
        self.context.close()


def written(frame: int) -> int:
    """Return the number that is written in a frame: three are lost on the way."""
    kept = [n for n in range(5000) if n not in SimulatedCamera().lost]
    return kept[frame]


def frame_at(filmed: Filmed, t: float) -> int:
    return int(np.searchsorted(filmed.times, t, side="right") - 1)


def test_any_frame_is_shown_that_is_asked_for(browser: Any, filmed: Filmed, address: str) -> None:
    """Given addresses of moments, when they are opened and stepped, then the frame is exact."""
    first = frame_at(filmed, filmed.times[90])
    url = f"{address}{filmed.page}#film=left&t={filmed.times[90]:.4f}&w=5"
    visit = Page(browser, url)
    visit.shows(first)
    assert visit.number() == written(first)
    picture = visit.page.locator("#film-picture")
    picture.focus()
    at = first
    for key, by in [("ArrowRight", 1), ("Shift+ArrowRight", 10), ("ArrowLeft", -1)] * 3:
        visit.page.keyboard.press(key)
        at += by
        visit.shows(at)
        assert visit.number() == written(at)
    # from one trial to the next
    visit.page.get_by_role("button", name="Next trial").click()
    coming = next(s for s in filmed.starts if frame_at(filmed, s) > at)
    at = frame_at(filmed, coming)
    visit.shows(at)
    assert visit.number() == written(at)
    assert f"t={filmed.times[at]:.4f}" in visit.page.url
    assert visit.problems == []
    visit.close()


def test_a_film_that_plays_says_which_frames_are_seen(
    browser: Any, filmed: Filmed, address: str
) -> None:
    visit = Page(browser, f"{address}{filmed.page}#film=left&t={filmed.times[10]:.4f}")
    visit.shows(10)
    visit.page.get_by_role("button", name="Play or pause").click()
    figure = visit.page.locator("#film")
    until(lambda: int(str(figure.get_attribute("data-state")).split()[1]) > 20)
    visit.page.get_by_role("button", name="Play or pause").click()
    until(lambda: visit.page.evaluate("() => document.querySelector('#film-picture').paused"))

    def settled() -> bool:
        said = int(str(figure.get_attribute("data-state")).split()[1])
        return visit.number() == written(said)

    until(settled)
    assert visit.problems == []
    visit.close()


def test_nothing_of_a_film_is_read_before_it_is_looked_at_and_it_fits_a_phone(
    browser: Any, filmed: Filmed, address: str
) -> None:
    """Given a phone, then films are fetched on arrival only, and nothing is wider."""
    visit = Page(browser, f"{address}{filmed.page}", viewport={"width": 390, "height": 600})
    visit.page.locator("#psychometric svg").first.wait_for()
    assert not any("/films/" in url for url in visit.asked)
    visit.page.locator("#film").scroll_into_view_if_needed()
    visit.shows(frame_at(filmed, next(s for s in filmed.starts if s >= filmed.times[0])))
    wide = visit.page.evaluate("() => document.documentElement.scrollWidth")
    assert wide <= 390
    drawn = visit.page.evaluate(
        "() => { const c = document.getElementById('film-beside');"
        " return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v); }"
    )
    assert drawn
    assert visit.problems == []
    visit.close()
