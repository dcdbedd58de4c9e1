"""Sitemaps: every page for search engines, in the same parts as the session list.

A part holds at most 50,000 addresses (sitemaps.org): one for the sessions of each month, one for
all other pages, and an index of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from xml.sax.saxutils import escape

from shared.results import addresses
from shared.results.views.rows import ListedSession, ListedSubject

INDEX, PAGES = "sitemap.xml", "sitemaps/pages.xml"

MOST = 50_000
"""Addresses in one part."""

FIXED = ("index.html", "sessions.html", "subjects.html", "probes.html", "labs.html", "daily.html",
         addresses.TRAINING_TIME, "data.html", "about.html")  # fmt: skip

_NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def files(
    site_url: str, subjects: Sequence[ListedSubject], months: Iterable[str]
) -> dict[str, bytes]:
    """Return the index, the part of all pages but the sessions', and the robots file."""
    labs = sorted({subject.lab for subject in subjects})
    pages = [
        *FIXED,
        *map(addresses.lab_page, labs),
        *(addresses.subject_page(subject.subject) for subject in subjects),
        *(addresses.probe_page(probe.id) for subject in subjects for probe in subject.probes),
    ]
    parts = [PAGES, *map(_month, months)]
    base = site_url.rstrip("/")
    return {
        PAGES: _document("urlset", "url", base, pages),
        INDEX: _document("sitemapindex", "sitemap", base, parts),
        "robots.txt": f"User-agent: *\nAllow: /\nSitemap: {base}/{INDEX}\n".encode(),
    }


def month_file(site_url: str, month: str, rows: Iterable[ListedSession]) -> dict[str, bytes]:
    """Return the part of a month's sessions."""
    pages = [addresses.session_page(session.id) for session in rows]
    return {_month(month): _document("urlset", "url", site_url.rstrip("/"), pages)}


def _month(month: str) -> str:
    return f"sitemaps/{month}.xml"


def _document(root: str, element: str, base: str, pages: Iterable[str]) -> bytes:
    entries = "".join(
        f"<{element}><loc>{escape(f'{base}/{page}')}</loc></{element}>\n"
        for page in islice(pages, MOST)
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return f"{head}\n<{root} {_NAMESPACE}>\n{entries}</{root}>\n".encode()
