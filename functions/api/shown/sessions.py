"""Sessions as rows of lists and other records show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    Body,
    Row,
)
from shared import catalog
from shared.model.identity import nickname_of

if TYPE_CHECKING:
    from functions.api.call import Call


def short_row(row: Row, call: Call) -> Body:
    """Return a session as rows of lists show it."""
    return {
        "id": row["id"],
        "subject": nickname_of(row["subject"]),
        "start_time": row["start_time"],
        "number": row["number"],
        "lab": row["lab"],
        "projects": list(row["projects"]),
        "url": call.url(f"/sessions/{row['id']}"),
        "task_protocol": row["task_protocol"],
    }


def session_info(eid: str, call: Call) -> Body | None:
    """Return a session as its insertions and trajectories show it; None if there is none."""
    session = catalog.table("session").get(eid)
    if session is None:
        return None
    short = short_row(session, call)
    return {
        name: short[name]
        for name in ("subject", "start_time", "number", "lab", "id", "projects", "task_protocol")
    }
