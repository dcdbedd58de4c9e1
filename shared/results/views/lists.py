"""The pages that are lists: sessions, subjects, probes, labs, and where every subject stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from msgspec import Struct

from shared.results.source import Lab
from shared.results.views.lab import lab_row, newest_first
from shared.results.views.page import PageFrame, how_synthetic
from shared.results.views.rows import (
    PROBE_COLUMNS,
    SESSION_COLUMNS,
    SUBJECT_COLUMNS,
    ListedLab,
    ListedSession,
    ListedSubject,
    RowsAsColumns,
    columns,
)

DAILY_COLUMNS = (*SUBJECT_COLUMNS, "last_session", "recent_dates")


class SessionParts(Struct, frozen=True):
    """The list of sessions: how many there are, and its parts by month, newest first."""

    n: int
    parts: list[tuple[str, int]]


class ListView(Struct, frozen=True):
    """A list that the page's script fetches, in one piece or in parts."""

    template: ClassVar[str] = "list"

    page: PageFrame
    data: RowsAsColumns | SessionParts
    kind: str


class DailyView(Struct, frozen=True):
    """Where every subject stands."""

    template: ClassVar[str] = "daily"

    page: PageFrame
    data: RowsAsColumns


class LabsView(Struct, frozen=True):
    """The list of labs."""

    template: ClassVar[str] = "labs"

    page: PageFrame
    labs: list[ListedLab]


def month_columns(rows: Sequence[ListedSession]) -> RowsAsColumns:
    """Return a month's part of the session list, newest first."""
    ordered = sorted(rows, key=lambda r: (r.date, r.subject, r.number), reverse=True)
    return columns(ordered, SESSION_COLUMNS)


def sessions_view(subjects: Sequence[ListedSubject]) -> ListView:
    """Return the list of sessions."""
    months: dict[str, int] = {}
    for subject in subjects:
        for name, (n, _) in subject.months.items():
            months[name] = months.get(name, 0) + n
    parts = [(name, months[name]) for name in sorted(months, reverse=True)]
    page = PageFrame(
        address="sessions.html",
        title="Sessions",
        synthetic=how_synthetic(subject.synthetic for subject in subjects),
        attributes={"src": "data/list/index.json"},
    )
    return ListView(page, SessionParts(sum(months.values()), parts), "sessions")


def subjects_view(subjects: Sequence[ListedSubject]) -> ListView:
    """Return the list of subjects."""
    page = PageFrame(
        address="subjects.html",
        title="Subjects",
        synthetic=how_synthetic(subject.synthetic for subject in subjects),
        attributes={"src": "data/subjects.json"},
    )
    return ListView(page, columns(newest_first(subjects), SUBJECT_COLUMNS), "subjects")


def probes_view(subjects: Sequence[ListedSubject]) -> ListView:
    """Return the list of probes."""
    probes = sorted(
        (probe for subject in subjects for probe in subject.probes),
        key=lambda probe: (probe.date, probe.id),
        reverse=True,
    )
    page = PageFrame(
        address="probes.html",
        title="Probes",
        synthetic=how_synthetic(probe.synthetic for probe in probes),
        attributes={"src": "data/probes.json"},
    )
    return ListView(page, columns(probes, PROBE_COLUMNS), "probes")


def daily_view(subjects: Sequence[ListedSubject]) -> DailyView:
    """Return where every subject stands."""
    ordered = sorted(subjects, key=lambda row: (row.last, row.lab, row.subject), reverse=True)
    page = PageFrame(
        address="daily.html",
        title="Daily summary",
        synthetic=how_synthetic(row.synthetic for row in subjects),
        attributes={"src": "data/daily.json"},
    )
    return DailyView(page, columns(ordered, DAILY_COLUMNS))


def labs_view(by_lab: Mapping[str, Sequence[ListedSubject]], labs: Mapping[str, Lab]) -> LabsView:
    """Return the list of labs."""
    page = PageFrame(
        address="labs.html",
        title="Labs",
        synthetic=how_synthetic(subject.synthetic for of in by_lab.values() for subject in of),
    )
    return LabsView(page, [lab_row(labs.get(name, Lab(name)), of) for name, of in by_lab.items()])
