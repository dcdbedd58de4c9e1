"""Rows of the lists, and their compact form: columns with dictionaries for repeated text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.results.source import Session, sortings

DICTIONARY = frozenset(
    {"lab", "subject", "protocol", "last_protocol", "project", "sex", "status", "line"}
)
"""Columns whose few different values are stored once and referred to by number."""

SESSION_COLUMNS = (
    "id",
    "date",
    "number",
    "lab",
    "subject",
    "protocol",
    "project",
    "n_trials",
    "performance",
    "performance_easy",
    "median_rt",
    "duration",
    "n_probes",
    "synthetic",
)


def protocol(task_protocol: str) -> str:
    """Return what kind of session a protocol is, as people say it.

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


def session_row(session: Session, content: dict[str, Any]) -> dict[str, Any]:
    """Return a session's row of the session list."""
    summary = content.get("summary", {})
    figures = ("n_trials", "performance", "performance_easy", "median_rt", "duration")
    return {
        "id": session.id,
        "date": session.date,
        "number": session.number,
        "lab": session.lab,
        "subject": session.subject,
        "protocol": protocol(session.task_protocol),
        "project": ", ".join(session.projects),
        **{name: summary.get(name) for name in figures},
        "n_probes": len(sortings(session)),
        "synthetic": int(session.synthetic),
    }


def columns(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Return rows as columns.

    Returns
    -------
    dict
        ``n`` rows and ``columns``: for each a list, or ``{"values", "codes"}`` where few
        different texts repeat.
    """
    out: dict[str, Any] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if name in DICTIONARY:
            different = sorted({str(v or "") for v in values})
            code = {value: i for i, value in enumerate(different)}
            out[name] = {"values": different, "codes": [code[str(v or "")] for v in values]}
        else:
            out[name] = values
    return {"n": len(rows), "columns": out}
