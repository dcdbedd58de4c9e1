"""Tables of all sessions of a mouse, as ONE's aggregates have them.

Names of tables and columns are those of IBL's data release ("Loading trials and training status",
docs.internationalbrainlab.org): ``_ibl_subjectTrials.table`` has the columns of the trials and
``session``, ``session_start_time``, ``session_number``, ``task_protocol``;
``_ibl_subjectTraining.table`` has ``date``, ``training_status`` and ``session``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from shared.model.protocols import protocol_of
from shared.science.status.history import training_history
from shared.science.status.sessions import JudgedSession

ABOUT = ("session", "session_start_time", "session_number", "task_protocol")
"""Columns of a session that each of its trials has."""


@dataclass(frozen=True)
class SessionTrials:
    """The trials of a session.

    Attributes
    ----------
    eid : str
    start_time : str
        ISO, the lab's wall clock.
    number : int
    task_protocol : str
    trials : table
        A row for each trial; times in seconds on the session's clock.
    ephys_rig : bool
        Done on an electrophysiology rig.
    delay : float
        Seconds between the start of the session and the first trial.
    """

    eid: str
    start_time: str
    number: int
    task_protocol: str
    trials: pd.DataFrame = field(repr=False)
    ephys_rig: bool = False
    delay: float = 0.0


def in_order(sessions: Sequence[SessionTrials]) -> list[SessionTrials]:
    """Return sessions by their start."""
    return sorted(sessions, key=lambda one: (one.start_time, one.number, one.eid))


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
        part = part.assign(
            session=one.eid,
            session_start_time=pd.Timestamp(one.start_time),
            session_number=one.number,
            task_protocol=one.task_protocol,
        )
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def subject_training(sessions: Sequence[SessionTrials]) -> pd.DataFrame:
    """Return the training status of a mouse after each session, by the rules of brainbox.

    Habituation has the status ``habituation``, unless the mouse had another before.

    Parameters
    ----------
    sessions : sequence of SessionTrials
        In any order.

    Returns
    -------
    table
        Columns ``date`` (ISO), ``training_status``, ``session``; in time.
    """
    judged = training_history(
        [
            JudgedSession(
                date=one.start_time[:10],
                protocol=one.task_protocol,
                trials={name: one.trials[name] for name in one.trials},
                number=one.number,
                ephys_rig=one.ephys_rig,
                delay=one.delay,
                eid=one.eid,
            )
            for one in sessions
        ]
    )
    status = {row["eid"]: row["status"] for row in judged.sessions}
    rows, reached = [], ""
    for one in in_order(sessions):
        known = status.get(one.eid)
        if known is None and not reached and protocol_of(one.task_protocol) == "habituation":
            known = "habituation"
        elif known is not None:
            reached = known
        rows.append((one.start_time[:10], known or reached or None, one.eid))
    return pd.DataFrame(rows, columns=["date", "training_status", "session"])
