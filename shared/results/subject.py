"""The page of one subject: its training day by day."""

from __future__ import annotations

from typing import Any

from shared.results.lists import protocol
from shared.results.source import Session, Subject


def day(session: Session, content: dict[str, Any]) -> dict[str, Any]:
    """Return what the subject's page needs of one session."""
    blocks = content.get("blocks", [])
    return {
        "start": session.start_time,
        "protocol": protocol(session.task_protocol),
        "location": session.location,
        "delay_start": session.delay_start,
        "summary": content.get("summary"),
        "fits": [{"p_left": b["probability_left"], **b["psychometric"]["fit"]} for b in blocks],
    }


def _ordered(sessions: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return sorted(
        sessions.items(), key=lambda item: (item[1]["row"]["date"], item[1]["row"]["number"])
    )


def row(subject: Subject, sessions: dict[str, Any]) -> dict[str, Any] | None:
    """Return a subject's row of the subject list, None without published sessions."""
    if not sessions:
        return None
    entries = _ordered(sessions)
    rows = [entry["row"] for _, entry in entries]
    months: dict[str, list[int]] = {}
    for one in rows:
        count = months.setdefault(one["date"][:7], [0, 0])
        count[0] += 1
        count[1] += one["n_trials"] or 0
    return {
        "subject": subject.nickname,
        "lab": rows[-1]["lab"],
        "sex": subject.sex,
        "birth_date": subject.birth_date,
        "line": subject.line,
        "n_sessions": len(rows),
        "n_trials": sum(r["n_trials"] or 0 for r in rows),
        "first": rows[0]["date"],
        "last": rows[-1]["date"],
        "last_protocol": rows[-1]["protocol"],
        "last_session": entries[-1][0],
        "last_number": rows[-1]["number"],
        "performance_easy": rows[-1]["performance_easy"],
        "recent": [r["performance_easy"] for r in rows[-30:]],
        "recent_dates": [r["date"] for r in rows[-30:]],
        "status": "",
        "n_probes": sum(r["n_probes"] for r in rows),
        "synthetic": max(r["synthetic"] for r in rows),
        "months": months,
    }


def page(subject: Subject, sessions: dict[str, Any]) -> dict[str, Any]:
    """Return what the subject's page draws."""
    return {
        "days": [
            {
                "id": eid,
                "date": entry["row"]["date"],
                "number": entry["row"]["number"],
                **entry["day"],
            }
            for eid, entry in _ordered(sessions)
        ],
    }
