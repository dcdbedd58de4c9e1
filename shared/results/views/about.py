"""Pages without data: how to get them, about the site, what is missing, members' pages."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from shared.results import addresses
from shared.results.render import SiteSettings
from shared.results.views.page import PageFrame


class GetDataView(Struct, frozen=True):
    """How to get the data: code to connect, to search and to read files; `version` of the data."""

    template: ClassVar[str] = "data"

    page: PageFrame
    connect: str
    search: str
    read: str
    version: str


class AboutView(Struct, frozen=True):
    """About the site."""

    template: ClassVar[str] = "about"

    page: PageFrame


class MissingView(Struct, frozen=True):
    """The page for addresses without a page."""

    template: ClassVar[str] = "missing"

    page: PageFrame


class MyLabView(Struct, frozen=True):
    """The page on which members see their lab's own pages; its script gets them from the API."""

    template: ClassVar[str] = "my_lab"

    page: PageFrame


def data_view(settings: SiteSettings, version: str) -> GetDataView:
    """Return the page on how to get the data of a version."""
    server = settings.api_url or "https://…"
    site = settings.site_url.rstrip("/") or "https://…"
    where = "" if settings.site_url else "  # the address of this page, without data.html"
    return GetDataView(
        PageFrame(address="data.html", title="Get the data"),
        connect="from one.api import ONE\n\n"
        f'one = ONE(base_url="{server}")  # asks once for user name and password',
        search='eids = one.search(lab="LAB", datasets="_ibl_trials.table.pqt")\n'
        'trials = one.load_object(eids[0], "trials", collection="alf")\n'
        'wheel = one.load_object(eids[0], "wheel", collection="alf")\n\n'
        'eids = one.search(datasets="spikes.times.npy")\n'
        'spikes = one.load_object(eids[0], "spikes", collection="alf/probe00")',
        read="import pandas as pd\n\n"
        f'site = "{site}"{where}\n'
        'sessions = pd.read_parquet(f"{site}/data/sessions.pqt")\n'
        'trials = pd.read_parquet(f"{site}/data/subjects/NAME.trials.pqt")',
        version=version,
    )


def about_view() -> AboutView:
    """Return the page about the site."""
    return AboutView(PageFrame(address="about.html", title="About"))


def missing_view() -> MissingView:
    """Return the page for addresses without a page."""
    return MissingView(PageFrame(address="404.html", title="There is no such page", absolute=True))


def my_lab_view() -> MyLabView:
    """Return the page on which members see their lab's private pages."""
    return MyLabView(PageFrame(address=addresses.MY_LAB, title="My lab"))
