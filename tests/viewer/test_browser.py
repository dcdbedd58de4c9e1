"""The raw voltage of a probe in a real browser: the right samples, few requests, any moment."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.simulate.recording import MICROVOLTS, RATE, simulate_recording, write_recording
from lab.site import server_of
from shared import recordings
from shared.results import assets
from shared.results.build import Site
from shared.results.render import SiteSettings
from shared.results.source import SourceFile
from shared.results.store import FolderStore
from tests.site.conftest import Shelf, trials_of
from tests.site.test_browser import ROOT, SHOTS

pytestmark = pytest.mark.browser

SECONDS, SITES = 4.0, 96


@dataclass
class Recorded:
    """A built site with one probe whose raw recording is there."""

    folder: Path
    page: str
    samples: np.ndarray
    index: dict[str, Any]
    spikes: dict[str, np.ndarray] = field(default_factory=dict)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Given a session with sorted spikes and the recording they come from, on a built site."""
    if not (ROOT / "node_modules" / "fzstd").is_dir():
        pytest.skip("node_modules is not installed: run `npm ci`")
    folder = tmp_path_factory.mktemp("recorded")
    shelf = Shelf()
    one = shelf.put("FX_001", "2026-02-01", trials_of(120, 1), protocol="biased")
    shelf.put_probe(one.id)
    spikes = {name: array for (_, _, name), array in shelf.bytes.items()}
    # Most of the first seconds' spikes are where the recording is.
    samples = simulate_recording(spikes, seconds=SECONDS, channels=SITES, seed=1)
    raw = write_recording(
        samples, spikes["channels.localCoordinates.npy"], folder / "raw_ephys_data" / "probe00"
    )
    recordings.compress(raw, raw.with_suffix(".ebin"), published=True)
    files = tuple(
        SourceFile(str(i), path.name, "raw_ephys_data/probe00", location=str(path))
        for i, path in enumerate(sorted(raw.parent.glob("*")))
        if path.name.endswith((".ebin", ".eh", ".rms.npy"))
    )
    assert len(files) == 3
    session, trials = shelf.all[one.id]
    shelf.all[one.id] = (replace(session, datasets=session.datasets + files), trials)
    store = FolderStore(folder / "site")
    assets.publish(store)
    Site(
        shelf, store, SiteSettings(), now=lambda: datetime(2026, 3, 1, tzinfo=UTC), images=False
    ).refresh()
    index = json.loads(raw.with_suffix(".eh").read_text())
    return Recorded(store.folder, f"probes/{one.id}-probe00.html", samples, index, spikes)


@pytest.fixture(scope="module")
def address(recorded: Recorded) -> Iterator[str]:
    server = server_of(recorded.folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


class Visit:
    """An opened page, and what it asked the server for."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 1000}, **options}
        )
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.ranges: list[tuple[str, int]] = []
        self.page.on(
            "console", lambda m: self.problems.append(m.text) if m.type == "error" else None
        )
        self.page.on("pageerror", lambda e: self.problems.append(str(e)))
        self.context.on("request", self._keep)
        self.page.goto(url)
        self.ready()

    def _keep(self, request: Any) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        if asked:
            name = request.url.rpartition(".")[2]
            self.ranges.append((name, int(asked[2]) - int(asked[1]) + 1))

    def ready(self, pattern: str = r"\d") -> str:
        """Wait until the recording is drawn; return what it says it shows."""
        from playwright.sync_api import expect

        figure = self.page.locator("#recording")
        expect(figure).to_have_attribute("data-state", re.compile(pattern))
        expect(self.page.locator("#recording-image")).not_to_have_attribute("aria-busy", "true")
        return str(figure.get_attribute("data-state"))

    def asked(self, name: str) -> list[int]:
        """Return the sizes of the ranges of files of that extension."""
        return [size for extension, size in self.ranges if extension == name]


@pytest.fixture
def visit(browser: Any, address: str, recorded: Recorded) -> Iterator[Any]:
    opened: list[Visit] = []

    def open_(fragment: str = "", **options: Any) -> Visit:
        one = Visit(browser, address + recorded.page + fragment, **options)
        opened.append(one)
        return one

    yield open_
    for one in opened:
        one.context.close()
        assert one.problems == []


def test_a_moment_takes_one_request_and_a_tenth_of_a_second_of_data(
    visit: Any, recorded: Recorded
) -> None:
    """Given a link to a moment, when it is opened, then few bytes come by one range request."""
    one = visit("#t=1.22&w=0.02&f=none")
    assert one.ready().startswith("1.2200 0.02 none ap")
    chunks = recorded.index["chunk_sizes"]
    assert len(one.asked("ebin")) == 1
    assert one.asked("ebin")[0] <= 2 * max(chunks)
    # A move within the same chunk asks for nothing.
    one.page.locator("#recording-image").press("ArrowRight")
    one.ready(r"1\.225")
    assert len(one.asked("ebin")) == 1


WORKER = """async ([worker, data, index, from, to]) => {
  const asked = new Worker(worker, { type: "module" });
  const answer = (message) => new Promise((resolve) => {
    asked.onmessage = (event) => resolve(event.data);
    asked.postMessage(message);
  });
  const { answer: info } = await answer({ id: 1, open: { data, index } });
  const view = { from, to, filter: "none", width: 9999 };
  const { answer: seen } = await answer({ id: 2, view });
  return { info, values: Array.from(seen.values) };
}"""


def test_the_worker_returns_the_very_samples(visit: Any, address: str, recorded: Recorded) -> None:
    """Given a stretch across chunks, when the page's worker reads it, then every sample is right.

    In µV, sites in order of depth, less each site's mean, as the page draws it unfiltered.
    """
    one = visit("#t=0.1")
    folder = f"{address}recordings/{recorded.page[len('probes/') : -len('.html')]}/ap"
    worker = f"{address}assets/recording-worker.js"
    first, last = 2_500, 6_700
    found = one.page.evaluate(WORKER, [worker, f"{folder}.ebin", f"{folder}.eh", first, last])
    assert found["info"]["sites"] == sorted(found["info"]["sites"], key=lambda c: c // 2)
    wanted = recorded.samples[first:last, found["info"]["sites"]].astype(float) * MICROVOLTS
    wanted -= wanted.mean(axis=0)
    got = np.reshape(found["values"], (SITES, last - first)).T
    np.testing.assert_allclose(got, wanted, atol=1e-3)


def test_the_next_spike_of_a_unit_is_found(visit: Any, recorded: Recorded) -> None:
    """Given a unit, when its next spike is asked for, then the page goes there."""
    times, clusters = recorded.spikes["spikes.times.npy"], recorded.spikes["spikes.clusters.npy"]
    unit = int(clusters[np.searchsorted(times, 1.0)])
    one = visit(f"#t=0.2&w=0.02&u={unit}")
    own = times[(clusters == unit) & (times < SECONDS - 0.1)]
    middle = 0.21
    for _ in range(2):
        wanted = own[own > middle + 1e-4][0]
        one.page.locator("#recording-next").click()
        shown = one.ready(re.escape(f"{wanted - 0.01:.4f}"[:-1]))
        assert abs(float(shown.split()[0]) + 0.01 - wanted) < 2e-4
        middle = wanted


def test_a_units_page_leads_to_its_spikes(visit: Any, address: str, recorded: Recorded) -> None:
    """Given a unit's page, when its link is followed, then its first spike is shown."""
    clusters = recorded.spikes["spikes.clusters.npy"]
    times = recorded.spikes["spikes.times.npy"]
    depths = recorded.spikes["clusters.depths.npy"]
    unit = int(np.flatnonzero(depths < 20 * SITES / 2)[0])
    one = visit()
    one.page.goto(address + recorded.page.replace("probes/", "units/") + f"#{unit}")
    one.page.get_by_role("link", name="Its spikes in the raw voltage").click()
    wanted = times[clusters == unit][0]
    expected = min(max(0, wanted - 0.05), SECONDS - 0.1)
    assert abs(float(one.ready().split()[0]) - expected) < 1e-3


def test_on_a_phone_by_touch_and_on_both_papers(visit: Any) -> None:
    """Given a phone, when the page is opened, then nothing is too wide, and dragging moves."""
    for scheme in ("light", "dark"):
        one = visit(
            "#t=1.0&w=0.1&f=high",
            viewport={"width": 390, "height": 844},
            color_scheme=scheme,
            has_touch=True,
            device_scale_factor=2,
        )
        assert one.page.evaluate("document.documentElement.scrollWidth") <= 390
        box = one.page.locator("#recording-image").bounding_box()
        one.page.mouse.move(box["x"] + 250, box["y"] + 100)
        one.page.mouse.down()
        one.page.mouse.move(box["x"] + 150, box["y"] + 100, steps=4)
        one.page.mouse.up()
        assert float(one.ready(r"1\.0[1-9]").split()[0]) > 1.01
        SHOTS.mkdir(parents=True, exist_ok=True)
        one.page.locator("#recording").screenshot(path=SHOTS / f"recording-phone-{scheme}.png")


def test_a_picture_of_the_desktop(visit: Any) -> None:
    """Given the desktop, then the picture can be looked at, and no rule of access is broken."""
    one = visit("#t=1.0&w=0.1&f=shared&g=100")
    SHOTS.mkdir(parents=True, exist_ok=True)
    one.page.locator("#recording").screenshot(path=SHOTS / "recording-desktop.png")
    source = (ROOT / "node_modules/axe-core/axe.min.js").read_text()
    session = one.context.new_cdp_session(one.page)
    session.send("Page.setBypassCSP", {"enabled": True})
    one.page.evaluate(source)
    found = one.page.evaluate("axe.run('#recording').then((r) => r.violations)")
    assert [each["id"] for each in found] == []


def test_a_damaged_recording_says_so_and_the_rest_of_the_page_stays(
    browser: Any, address: str, recorded: Recorded
) -> None:
    """Given a chunk that was damaged, when it is shown, then the page says what is wrong."""
    name = recorded.page[len("probes/") : -len(".html")]
    path = recorded.folder / "recordings" / name / "ap.ebin"
    data = path.read_bytes()
    broken = bytearray(data)
    broken[64 + 500] ^= 1
    path.unlink()  # a link to the session's own file, which is not to be changed
    path.write_bytes(broken)
    try:
        one = Visit(browser, address + recorded.page + "#t=3.5")  # another chunk: it is shown
        one.page.locator("#recording-t").fill("0.01")
        one.page.locator("#recording-t").press("Enter")
        one.page.get_by_text("The recording cannot be read: a damaged chunk.").wait_for()
        assert one.page.locator("#drift svg").count() > 0
        one.context.close()
    finally:
        path.write_bytes(data)


def test_rate_is_the_probes(recorded: Recorded) -> None:
    assert recorded.index["sample_rate"] == RATE
