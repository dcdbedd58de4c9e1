"""What search engines and other sites see: absolute addresses, sitemaps, licence, citation."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from shared.results.build import Site
from shared.results.render import SiteSettings
from shared.results.store import FolderStore

from .conftest import NOW, Shelf, trials_of

SETTINGS = SiteSettings(
    title="Mice of the Fimbria",
    api_url="https://api.example.org",
    site_url="https://results.example.org/",
    citation="The Fimbria Consortium (2026)",
    doi="10.5281/zenodo.1234",
)
LOC = "{http://www.sitemaps.org/schemas/sitemap/0.9}loc"


@pytest.fixture
def shared(shelf: Shelf, store: FolderStore) -> FolderStore:
    """Return a site that knows its address, of two months and a probe."""
    one = shelf.put("FX_001", "2026-01-31", trials_of(60, 1))
    shelf.put_probe(one.id, n_units=2)
    shelf.put("FX 002", "2026-02-01", trials_of(60, 2), lab="septumlab")
    Site(shelf, store, SETTINGS, now=lambda: NOW, images=False).refresh()
    return store


def text(store: FolderStore, key: str) -> str:
    return store.read(key)[0].decode()  # type: ignore[index]


def test_sitemaps_name_every_page_of_the_site_and_no_other(shared: FolderStore) -> None:
    parts = [e.text for e in ElementTree.fromstring(text(shared, "sitemap.xml")).iter(LOC)]
    named = [
        e.text.removeprefix("https://results.example.org/")
        for part in parts
        for e in ElementTree.fromstring(
            text(shared, part.removeprefix("https://results.example.org/"))
        ).iter(LOC)
    ]
    apart = {"404.html", "my-lab.html"}  # nothing to find for who is not signed in
    pages = {key for key in shared.names() if key.endswith(".html")} - apart
    assert len(named) == len(set(named))
    assert set(named) == {page for page in pages if not page.startswith("units/")}
    assert "Sitemap: https://results.example.org/sitemap.xml" in text(shared, "robots.txt")


def test_a_site_without_an_address_has_none(site: Site, shelf: Shelf, store: FolderStore) -> None:
    shelf.put("FX_001", "2026-01-31", trials_of(60, 1))
    site.refresh()
    assert not [key for key in store.names() if key.endswith(".xml")]


def test_pictures_and_pages_have_absolute_addresses(shared: FolderStore) -> None:
    (key,) = [key for key in shared.names("subjects/") if "002" in key]
    html = text(shared, key)
    assert f'<link rel="canonical" href="https://results.example.org/{key}">' in html
    picture = re.findall('property="og:image" content="(.*?)"', html)
    assert picture == ["https://results.example.org/data/subjects/FX~20002.png"]


@pytest.mark.parametrize("folder", ["sessions/", "subjects/", "probes/", "data.html"])
def test_data_pages_say_how_to_use_and_cite_them(shared: FolderStore, folder: str) -> None:
    for key in shared.names(folder):
        html = text(shared, key)
        assert '<a href="https://creativecommons.org/licenses/by/4.0/" rel="license">' in html
        assert '<a href="https://doi.org/10.5281/zenodo.1234">' in html
        assert "The Fimbria Consortium (2026)" in html
        assert re.search(r"version [0-9a-f]{12}", html)


def test_files_behind_a_page_are_links(shared: FolderStore) -> None:
    (session,) = [key for key in shared.names("sessions/") if "FX_001" in text(shared, key)]
    links = re.findall(r'href="(https://api\.example\.org/data/.*?)"', text(shared, session))
    assert len(links) > 5
    assert all(
        link.startswith("https://api.example.org/data/fimbrialab/Subjects/FX_001/2026-01-31/001/")
        for link in links
    )
    assert 'href="data/sessions.pqt"' in text(shared, "data.html")


def test_pages_ask_the_api_below_their_own_address(shelf: Shelf, store: FolderStore) -> None:
    # Given a site whose own address has the API, too
    settings = SiteSettings(
        site_url="https://results.example.org",
        api_url="https://results.example.org/rest",
        asks="/rest",
    )
    one = shelf.put("FX_001", "2026-01-31", trials_of(60, 1))
    Site(shelf, store, settings, now=lambda: NOW, images=False).refresh()
    # Then its pages sign in there, and their policy names no other host
    for key in ("index.html", "my-lab.html", f"sessions/{one.id}.html"):
        page = text(store, key)
        assert 'data-api="/rest"' in page
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
        assert policy
        assert "connect-src &#39;self&#39;;" in policy[1] or "connect-src 'self';" in policy[1]
        assert "://" not in policy[1]
        assert 'href="my-lab.html"' in page or 'href="../my-lab.html"' in page
    # and what a scientist copies has the whole address
    assert "https://results.example.org/rest" in text(store, f"sessions/{one.id}.html")


def test_a_session_s_page_tells_the_quality_of_its_trials(
    shelf: Shelf, store: FolderStore
) -> None:
    # Given a session of two protocols, judged, and one that nobody has judged
    told = {
        "task": "WARNING",
        "_task_goCue_delays": 0.98,
        "_task_iti_delays": None,
        "_task_stimOn_delays": 0.5,
        "task_01": "PASS",
        "_task_01_reward_volumes": 1,
        "behavior": 1,
    }
    one = shelf.put("FX_001", "2026-01-31", trials_of(60, 1))
    shelf.all[one.id] = (replace(shelf.all[one.id][0], quality=told), shelf.all[one.id][1])
    other = shelf.put("FX_001", "2026-02-01", trials_of(60, 2))
    Site(shelf, store, SETTINGS, now=lambda: NOW, images=False).refresh()
    page = text(store, f"sessions/{one.id}.html")
    assert "Quality of the trials of task: WARNING" in page
    assert "Quality of the trials of task_01: PASS" in page
    order = [page.index(name) for name in ("stimOn_delays", "goCue_delays", "reward_volumes")]
    assert order == sorted(order)
    assert "iti_delays" not in page
    assert "Quality of the trials" not in text(store, f"sessions/{other.id}.html")
    # and follows when it is judged anew
    shelf.all[one.id] = (replace(shelf.all[one.id][0], quality={"task": "PASS"}), None)
    Site(shelf, store, SETTINGS, now=lambda: NOW, images=False).refresh()
    assert "Quality of the trials: PASS" in text(store, f"sessions/{one.id}.html")
