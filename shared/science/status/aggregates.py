"""Tables of all sessions of a mouse, as ONE's aggregates have them.

Tables, columns and rows are those of IBL's own (`_ibl_subjectTrials.table`, version 1.1, and
`_ibl_subjectTraining.table`), as their documentation loads and joins them ("Loading trials and
training status", docs.internationalbrainlab.org). Of their columns of trials, ``phase``,
``position``, ``stimFreeze_times`` and ``stimFreezeTrigger_times`` are missing: no dataset of a
session has them. ``session_number`` is in their version 1.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from shared.model.protocols import protocol_of
from shared.science.status.history import training_history
from shared.science.status.sessions import JudgedSession

ABOUT = (
    *("session", "session_start_time", "session_number", "task_protocol"),
    "protocol_number",
)
"""Columns of a session that each of its trials has."""

BESIDE = {
    "goCueTrigger_times": "goCueTrigger_times",
    "stimOnTrigger_times": "stimOnTrigger_times",
    "stimOffTrigger_times": "stimOffTrigger_times",
    "stimOff_times": "stimOff_times",
    "quiescencePeriod": "quiescence",
}
"""Attributes of trials that are files beside a session's table, and their columns in this one."""


@dataclass(frozen=True)
class SessionTrials:
    """The trials of a protocol in a session.

    Attributes
    ----------
    eid : str
    start_time : str
        ISO, the lab's wall clock.
    number : int
    task_protocol : str
        Of these trials.
    trials : table
        A row for each trial; times in seconds on the session's clock.
    ephys_rig : bool
        Done on an electrophysiology rig.
    delay : float
        Seconds between the start of the session and the first trial.
    protocol_number : int
        Place of the protocol in the session, from 0.
    """

    eid: str
    start_time: str
    number: int
    task_protocol: str
    trials: pd.DataFrame = field(repr=False)
    ephys_rig: bool = False
    delay: float = 0.0
    protocol_number: int = 0


def in_order(sessions: Sequence[SessionTrials]) -> list[SessionTrials]:
    """Return sessions by their start, the protocols of each in their order."""
    return sorted(
        sessions, key=lambda one: (one.start_time, one.number, one.eid, one.protocol_number)
    )


def subject_trials(sessions: Sequence[SessionTrials]) -> pd.DataFrame:
    """Return the trials of all sessions of a mouse, in time.

    A column that a session lacks has no values there.

    Parameters
    ----------
    sessions : sequence of SessionTrials
        At least one, in any order.
    """
    parts = []
    for one in in_order(sessions):
        part = one.trials.drop(columns=[name for name in ABOUT if name in one.trials])
        part = part.rename(columns=BESIDE).assign(
            session=one.eid,
            session_start_time=pd.Timestamp(one.start_time).as_unit("ns"),
            session_number=one.number,
            task_protocol=one.task_protocol,
            protocol_number=one.protocol_number,
        )
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def subject_training(sessions: Sequence[SessionTrials]) -> pd.DataFrame:
    """Return where a mouse reached each training status first, by the rules of brainbox.

    Joined to the trials by ``session`` and filled forward, it gives the status of each session.

    Parameters
    ----------
    sessions : sequence of SessionTrials
        In any order. Protocols of one session and one kind count as one.

    Returns
    -------
    table
        Index ``date`` (ISO), columns ``training_status``, ``session``; in time.
    """
    ordered = in_order(sessions)
    judged = training_history(
        [
            JudgedSession(
                date=runs[0].start_time[:10],
                protocol=runs[0].task_protocol,
                trials=_together(runs),
                number=runs[0].number,
                ephys_rig=runs[0].ephys_rig,
                delay=runs[0].delay,
                eid=runs[0].eid,
            )
            for runs in _sessions(ordered)
        ]
    )
    rows = [(first["date"], status, first["eid"]) for status, first in judged.first.items()]
    table = pd.DataFrame(rows, columns=["date", "training_status", "session"])
    return table.set_index("date")


def _sessions(ordered: Sequence[SessionTrials]) -> list[list[SessionTrials]]:
    """Return the protocols of each session that are of the kind of its first."""
    found: dict[str, list[SessionTrials]] = {}
    for one in ordered:
        runs = found.setdefault(one.eid, [])
        if not runs or protocol_of(runs[0].task_protocol) == protocol_of(one.task_protocol):
            runs.append(one)
    return list(found.values())


def _together(runs: Sequence[SessionTrials]) -> dict[str, pd.Series]:
    """Return the columns of several protocols' trials."""
    trials = pd.concat([one.trials for one in runs], ignore_index=True)
    return {str(name): trials[name] for name in trials}
