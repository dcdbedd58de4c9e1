"""The page of one subject: its training day by day, and how far it is by the status rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shared.results.numbers import rounded
from shared.results.session import Columns
from shared.results.source import Session as FoundSession
from shared.results.source import Subject
from shared.science.behaviour.curves import contrast_heat_map
from shared.science.behaviour.psychometric import PARAMETERS
from shared.science.status.history import History, training_history
from shared.science.status.sessions import Session
from shared.science.status.stages import RANK, Variant

VARIANT: Variant = "brainbox"
"""Whose status rules: those by which the labs judge their mice."""

RECENT = 30
"""Sessions in the small pictures of the lists."""


def day(
    session: FoundSession, content: dict[str, Any], probes: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return what the subject's page needs of one session, beside its row in the list."""
    summary = content.get("summary", {})
    return {
        "start_time": session.start_time,
        "location": session.location,
        "task_protocol": session.task_protocol,
        "delay_start": session.delay_start,
        "median_rt_0": summary.get("median_rt_0"),
        "probes": probes,
    }


def page(
    subject: Subject, sessions: Mapping[str, Any], columns: Mapping[str, Columns]
) -> dict[str, Any]:
    """Return what the subject's page draws.

    Parameters
    ----------
    subject : Subject
    sessions : mapping
        By session id: `row` (see :mod:`shared.results.lists`) and `day` (see :func:`day`).
    columns : mapping
        By session id, the columns of its trials table, of those that have one.

    Returns
    -------
    dict
        `days` in time; `heatmap`; status `first` reached, `status`, `days_to_trained`,
        `sessions_to_trained`; the criteria of the `next` status; `row` for the subject list.
    """
    ordered = sorted(
        sessions.items(), key=lambda item: (item[1]["row"]["date"], item[1]["row"]["number"])
    )
    history = training_history(
        [
            Session(
                date=entry["row"]["date"],
                protocol=entry["day"]["task_protocol"],
                trials=columns[eid],
                number=entry["row"]["number"],
                ephys_rig="ephys" in entry["day"]["location"].lower()
                or entry["row"]["protocol"] == "ephys",
                delay=entry["day"]["delay_start"],
                eid=eid,
            )
            for eid, entry in ordered
            if eid in columns
        ],
        VARIANT,
    )
    judged = {row["eid"]: row for row in history.sessions}
    days = [_day(eid, entry, judged.get(eid)) for eid, entry in ordered]
    map_ = contrast_heat_map(
        (row["date"], columns[row["eid"]], row["protocol"]) for row in history.sessions
    )
    return {
        "variant": VARIANT,
        "status": history.status or "",
        "days_to_trained": history.days_to_trained,
        "sessions_to_trained": history.sessions_to_trained,
        "first": [
            {"status": status, "date": place["date"], "id": place["eid"]}
            for status, place in history.first.items()
        ],
        "next": _next(history),
        "days": days,
        "heatmap": map_,
        "row": _row(subject, days, history, ordered),
    }


def _day(eid: str, entry: Mapping[str, Any], judged: Mapping[str, Any] | None) -> dict[str, Any]:
    row = entry["row"]
    shown = {
        "id": eid,
        **{
            name: row[name]
            for name in (
                "date",
                "number",
                "protocol",
                "n_trials",
                "performance",
                "performance_easy",
                "median_rt",
                "duration",
                "n_probes",
                "synthetic",
            )
        },
        "location": entry["day"]["location"],
    }
    if judged is None:
        return shown | {"status": None, "fit": None}
    return shown | {
        "status": judged["status"],
        "ephys_rig": judged["ephys_rig"],
        "good_enough": judged["good_enough_for_brainwide_map"],
        "bias_shift": rounded(judged["bias_shift"]),
        "fit": {name: rounded(judged["fit"][name]) for name in PARAMETERS},
    }


def _next(history: History) -> dict[str, Any] | None:
    """Return the criteria of the next status with what the last three days measured."""
    if not history.sessions:
        return None
    last = history.sessions[-1]
    window = last["window"]
    # A status never falls, a window does: what comes next is beyond what was reached.
    reached = RANK[last["status"]]
    beyond = [status for status in window["criteria"] if RANK[status] > reached]
    if not beyond:
        return None
    status = min(beyond, key=RANK.__getitem__)
    return {
        "status": status,
        "dates": window["info"]["session_dates"],
        "criteria": [
            {
                "name": criterion["name"],
                "value": _plain(criterion["value"]),
                "rule": criterion["rule"],
                "margin": rounded(criterion["margin"]),
                "pass": criterion["pass"],
            }
            for criterion in window["criteria"][status]
        ],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return rounded(value) if isinstance(value, float) else value


def _row(
    subject: Subject,
    days: list[dict[str, Any]],
    history: History,
    ordered: list[tuple[str, Any]],
) -> dict[str, Any]:
    """Return the subject's row of the subject list."""
    months: dict[str, list[int]] = {}
    for one in days:
        count = months.setdefault(one["date"][:7], [0, 0])
        count[0] += 1
        count[1] += one["n_trials"] or 0
    last = days[-1]
    return {
        "subject": subject.nickname,
        "lab": ordered[-1][1]["row"]["lab"],
        "sex": subject.sex,
        "birth_date": subject.birth_date,
        "line": subject.line,
        "n_sessions": len(days),
        "n_trials": sum(one["n_trials"] or 0 for one in days),
        "first": days[0]["date"],
        "last": last["date"],
        "last_protocol": last["protocol"],
        "last_session": last["id"],
        "performance_easy": last["performance_easy"],
        "recent": [
            None if one["performance_easy"] is None else round(one["performance_easy"], 3)
            for one in days[-RECENT:]
        ],
        "recent_dates": [one["date"] for one in days[-RECENT:]],
        "status": history.status or "",
        "days_to_trained": history.days_to_trained,
        "n_probes": int(np.sum([one["n_probes"] for one in days])),
        "probes": [probe for _, entry in ordered for probe in entry["day"]["probes"]],
        "synthetic": int(any(entry["row"]["synthetic"] for _, entry in ordered)),
        "months": months,
    }
