"""Facts about a session that its trials give."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def session_facts(table: pd.DataFrame, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a session that its trials fill.

    Parameters
    ----------
    table : DataFrame
        ``trials.table`` of the session.
    settings : mapping
        The rig's; its start of the session is naive, the lab's wall clock.

    Returns
    -------
    dict
        ``n_trials``, ``n_correct_trials`` (those rewarded), and ``end_time`` (ISO): the rig's
        start of the session plus the end of the last trial, or what the rig wrote.
    """
    facts: dict[str, Any] = {
        "n_trials": len(table),
        "n_correct_trials": int(np.sum(table["feedbackType"].to_numpy() == 1)),
    }
    said = settings.get("SESSION_END_TIME")
    start = settings.get("SESSION_START_TIME") or settings.get("SESSION_DATETIME")
    try:
        if said:
            facts["end_time"] = datetime.fromisoformat(str(said)).isoformat()
        elif start and len(table):
            last = timedelta(seconds=float(np.nanmax(table["intervals_1"].to_numpy())))
            facts["end_time"] = (datetime.fromisoformat(str(start)) + last).isoformat()
    except (ValueError, OverflowError):
        pass  # an invalid start: the session keeps its values
    return facts
