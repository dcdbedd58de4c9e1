"""The front page: how many data there are, where and since when, and the latest sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from msgspec import Struct

from shared.results import addresses
from shared.results.source import Lab
from shared.results.views.lab import count_statuses, lab_row
from shared.results.views.page import PageFrame, Synthetic, how_synthetic
from shared.results.views.rows import ListedLab, ListedSubject

LATEST = 12
"""Subjects whose latest session is listed."""


class OverviewData(Struct, frozen=True):
    """The data of the front page; `by_lab` has sessions of each of the `months`."""

    counts: dict[str, int]
    months: list[str]
    by_lab: dict[str, list[int]]
    labs: list[ListedLab]
    statuses: dict[str, int]
    synthetic: Synthetic


class OverviewView(Struct, frozen=True):
    """The front page."""

    template: ClassVar[str] = "overview"

    page: PageFrame
    data: OverviewData
    latest: list[ListedSubject]


def overview_view(
    by_lab: Mapping[str, list[ListedSubject]], labs: Mapping[str, Lab]
) -> OverviewView:
    """Return the front page.

    Parameters
    ----------
    by_lab : mapping
        The subjects of each lab that has any, by lab in alphabetical order.
    labs : mapping
        Facts about labs, by name.
    """
    rows = [row for of in by_lab.values() for row in of]
    months = sorted({month for row in rows for month in row.months})
    synthetic = how_synthetic(row.synthetic for row in rows)
    data = OverviewData(
        counts={
            "labs": len(by_lab),
            "subjects": len(rows),
            "sessions": sum(row.n_sessions for row in rows),
            "trials": sum(row.n_trials for row in rows),
            "probes": sum(row.n_probes for row in rows),
        },
        months=months,
        by_lab={
            name: [sum(row.months.get(month, (0, 0))[0] for row in of) for month in months]
            for name, of in by_lab.items()
        },
        labs=[lab_row(labs.get(name, Lab(name)), of) for name, of in by_lab.items()],
        statuses=count_statuses(rows),
        synthetic=synthetic,
    )
    page = PageFrame(
        address="index.html",
        title="Results",
        image=addresses.OVERVIEW_IMAGE,
        synthetic=synthetic,
        attributes={"src": addresses.OVERVIEW_DATA, "land": "assets/land.json"},
    )
    latest = sorted(rows, key=lambda row: (row.last, row.subject), reverse=True)[:LATEST]
    return OverviewView(page, data, latest)
