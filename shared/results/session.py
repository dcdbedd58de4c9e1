"""The page of one session: what the mouse saw, chose and how fast, as plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.results.lists import protocol
from shared.results.numbers import column, rounded
from shared.results.source import Session
from shared.science.behaviour.curves import contrasts, median, reaction_times, session_plots

Columns = dict[str, NDArray[np.float64]]

ROLLING_CORRECT = 30
"""Trials in the rolling fraction correct."""


def contents(sessions: Sequence[tuple[Session, Columns]]) -> list[dict[str, Any]]:
    """Return what each session's page draws, all curves of all sessions fitted in one go.

    Parameters
    ----------
    sessions : sequence of (Session, dict of array)
        With the columns of its trials table (ONE convention), at least one trial.

    Returns
    -------
    list of dict
        JSON-ready: `summary`, `blocks` (see :func:`shared.science.behaviour.session_plots`) and
        `trials`, one entry per trial in each column.
    """
    plots = session_plots(
        (trials, protocol(session.task_protocol)) for session, trials in sessions
    )
    return [
        {
            "summary": _summary(trials, plot),
            "blocks": plot["blocks"],
            "trials": _trials(trials, plot),
        }
        for (_, trials), plot in zip(sessions, plots, strict=True)
    ]


def columns_of(trials: pd.DataFrame) -> Columns:
    """Return a table's numeric columns as arrays of float by their names."""
    numeric = trials.select_dtypes(["number", "bool"])
    return dict(zip(map(str, numeric.columns), numeric.to_numpy(float).T.copy(), strict=True))


def _summary(trials: Columns, plot: dict[str, Any]) -> dict[str, Any]:
    contrast = contrasts(trials)
    rt = reaction_times(trials)
    return {
        "n_trials": plot["n_trials"],
        "n_correct": int((trials["feedbackType"] == 1).sum()),
        "n_no_go": int((trials["choice"] == 0).sum()),
        "performance": rounded(plot["performance"]),
        "performance_easy": rounded(plot["performance_easy"]),
        "median_rt": rounded(plot["median_reaction_time"]),
        "median_rt_0": rounded(median(rt[contrast == 0])),
        "bias_shift": rounded(plot["bias_shift"]),
        "duration": _minutes(trials),
    }


def _trials(trials: Columns, plot: dict[str, Any]) -> dict[str, Any]:
    correct = trials["feedbackType"] == 1
    rolling = np.full(correct.size, np.nan)
    if correct.size >= ROLLING_CORRECT:
        window = np.ones(ROLLING_CORRECT) / ROLLING_CORRECT
        rolling[ROLLING_CORRECT - 1 :] = np.convolve(correct, window, mode="valid")
    return {
        "contrast": column(contrasts(trials), 2),
        "choice": column(trials["choice"], 0),
        "feedback": column(trials["feedbackType"], 0),
        "p_left": column(trials["probabilityLeft"], 2),
        "rt": column(reaction_times(trials), 3),
        "rt_rolling": column(np.array(plot["reaction_time_by_trial"]["rolling_median"], float), 3),
        "correct_rolling": column(rolling, 3),
    }


def _minutes(trials: Columns) -> float | None:
    """Return the session's duration from the first trial to the last, in minutes."""
    name = next((n for n in ("intervals_0", "stimOn_times") if n in trials), None)
    times = trials[name][np.isfinite(trials[name])] if name else np.zeros(0)
    return rounded((times[-1] - times[0]) / 60) if times.size > 1 else None
