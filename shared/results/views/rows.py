"""Rows of the lists, and their compact form: columns with dictionaries for repeated text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

DICTIONARY = frozenset(
    {"lab", "subject", "protocol", "last_protocol", "project", "sex", "status", "line", "problem"}
)
"""Columns with few different values, which are stored once and referred to by number."""


class ListedSession(Struct, frozen=True, kw_only=True):
    """A session in the list of sessions; rates are fractions, `median_rt` s, `duration` min.

    `problem` says which part of it could not be shown.
    """

    id: str
    date: str
    number: int
    lab: str
    subject: str
    protocol: str
    project: str
    n_trials: int | None = None
    performance: float | None = None
    performance_easy: float | None = None
    median_rt: float | None = None
    duration: float | None = None
    n_probes: int = 0
    synthetic: int = 0
    problem: str = ""


class ListedProbe(Struct, frozen=True, kw_only=True):
    """A probe in the list of probes."""

    id: str
    session: str
    date: str
    lab: str
    subject: str
    name: str
    n_units: int
    n_good: int
    n_spikes: int
    synthetic: int


class ListedSubject(Struct, frozen=True, kw_only=True):
    """A subject in the list of subjects, with its numbers for labs and overview.

    Attributes
    ----------
    recent, recent_dates : list
        Fraction correct on easy trials of the latest sessions, and their dates.
    Sessions and trials by month (YYYY-MM).
        By month (YYYY-MM), its sessions and trials.
    """

    subject: str
    lab: str
    sex: str
    birth_date: str
    line: str
    n_sessions: int
    n_trials: int
    first: str
    last: str
    last_protocol: str
    last_session: str
    performance_easy: float | None
    recent: list[float | None]
    recent_dates: list[str]
    status: str
    days_to_trained: int | None
    n_probes: int
    probes: list[ListedProbe]
    synthetic: int
    months: dict[str, tuple[int, int]]


class ListedLab(Struct, frozen=True, kw_only=True):
    """A lab in the list of labs; coordinates in degrees where known."""

    name: str
    institution: str
    latitude: float | None
    longitude: float | None
    n_subjects: int
    n_sessions: int
    n_trials: int
    first: str
    last: str


class RowsAsColumns(Struct, frozen=True):
    """Rows as columns: each a list, or ``{"values", "codes"}`` if few texts repeat."""

    n: int
    columns: dict[str, Any]


SESSION_COLUMNS = ListedSession.__struct_fields__

PROBE_COLUMNS = tuple(name for name in ListedProbe.__struct_fields__ if name != "session")

SUBJECT_COLUMNS = tuple(
    name
    for name in ListedSubject.__struct_fields__
    if name not in ("last_session", "recent_dates", "probes", "months")
)


def columns(rows: Sequence[Struct], names: Sequence[str]) -> RowsAsColumns:
    """Return some fields of rows as columns."""
    out: dict[str, Any] = {}
    for name in names:
        values = [getattr(row, name) for row in rows]
        if name in DICTIONARY:
            different = sorted(set(values))
            code = {value: i for i, value in enumerate(different)}
            out[name] = {"values": different, "codes": [code[value] for value in values]}
        else:
            out[name] = values
    return RowsAsColumns(len(rows), out)


def protocol(task_protocol: str) -> str:
    """Return the kind of session of a protocol, for people.

    Examples
    --------
    >>> protocol("_iblrig_tasks_biasedChoiceWorld6.4.2")
    'biased'
    """
    name = task_protocol.lower()
    for kind in ("habituation", "training", "biased", "ephys", "passive", "advanced"):
        if kind in name:
            return kind
    return task_protocol or "unknown"
