"""The page of a lab: its sessions by month, how its subjects learn and where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from msgspec import Struct

from shared.results import addresses
from shared.results.numbers import rounded
from shared.results.source import Lab
from shared.results.views.page import Crumb, PageFrame, Synthetic, how_synthetic
from shared.results.views.rows import (
    SUBJECT_COLUMNS,
    ListedLab,
    ListedSubject,
    RowsAsColumns,
    columns,
)

COORDINATE_DIGITS = 8
"""Significant digits of a lab's coordinates: a metre."""


class LabData(Struct, frozen=True):
    """The data of a lab's page."""

    lab: Lab
    months: list[str]
    n_sessions: list[int]
    n_trials: list[int]
    statuses: dict[str, int]
    synthetic: Synthetic
    subjects: RowsAsColumns


class LabView(Struct, frozen=True):
    """The page of a lab."""

    template: ClassVar[str] = "lab"

    page: PageFrame
    data: LabData
    row: ListedLab


def lab_view(lab: Lab, subjects: Sequence[ListedSubject]) -> LabView:
    """Return the page of a lab with at least one subject."""
    months = sorted({month for row in subjects for month in row.months})
    totals = {month: [row.months.get(month, (0, 0)) for row in subjects] for month in months}
    synthetic = how_synthetic(row.synthetic for row in subjects)
    row = lab_row(lab, subjects)
    data = LabData(
        lab=replace(lab, latitude=row.latitude, longitude=row.longitude),
        months=months,
        n_sessions=[sum(n for n, _ in of) for of in totals.values()],
        n_trials=[sum(n for _, n in of) for of in totals.values()],
        statuses=count_statuses(subjects),
        synthetic=synthetic,
        subjects=columns(newest_first(subjects), SUBJECT_COLUMNS),
    )
    page = PageFrame(
        address=addresses.lab_page(lab.name),
        title=lab.name,
        description=f"Subjects and sessions of {lab.name}",
        crumbs=(Crumb("labs.html", "Labs"),),
        image=addresses.lab_image(lab.name),
        synthetic=synthetic,
        attributes={"src": addresses.lab_data(lab.name)},
    )
    return LabView(page, data, row)


def lab_row(lab: Lab, subjects: Sequence[ListedSubject]) -> ListedLab:
    """Return a lab's row of the list of labs."""
    return ListedLab(
        name=lab.name,
        institution=lab.institution,
        latitude=rounded(lab.latitude, COORDINATE_DIGITS),
        longitude=rounded(lab.longitude, COORDINATE_DIGITS),
        n_subjects=len(subjects),
        n_sessions=sum(subject.n_sessions for subject in subjects),
        n_trials=sum(subject.n_trials for subject in subjects),
        first=min(subject.first for subject in subjects),
        last=max(subject.last for subject in subjects),
    )


def newest_first(subjects: Sequence[ListedSubject]) -> list[ListedSubject]:
    """Return subjects by their latest session, the newest first."""
    return sorted(subjects, key=lambda row: (row.last, row.subject), reverse=True)


def count_statuses(subjects: Sequence[ListedSubject]) -> dict[str, int]:
    """Return how many subjects have each training status."""
    counts: dict[str, int] = {}
    for subject in subjects:
        if subject.status:
            counts[subject.status] = counts.get(subject.status, 0) + 1
    return counts
