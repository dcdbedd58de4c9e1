"""Values and events of each trial that several tasks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from shared.science.behaviour.raw_task import Floats, RawTask
from shared.science.errors import TrialInvalid

PLAY_TONE = (5, 0, 0)
"""First rig version with a state that plays the go tone and sound pulses in the data."""

SOUND_LENGTH = 0.1
"""Length of the go tone in s; its end minus this replaces a missed start."""

SAME_SOUND = 0.020
"""Sound pulses closer than this (s) are one: some sound cards send each twice."""


def numbers(task: RawTask, name: str, convert: Callable[[Any], Any] = lambda v: v) -> Floats:
    """Return a value that every trial has, as numbers. Shape (trials,).

    Raises
    ------
    TrialInvalid
        A trial lacks it, or it is not a finite number.
    """
    fault = ""
    try:
        values = np.array([convert(t[name]) for t in task.trials], dtype=float)
        if values.ndim != 1 or not np.isfinite(values).all():
            fault = "a value is not finite"
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        fault = f"{type(error).__name__}: {error}"
    if fault:
        raise TrialInvalid(
            f"_iblrig_taskData.raw.jsonable: {name}",
            f"not a number in every trial ({fault})",
            "check that the session is of the decision task",
        )
    return values


def first(times: Floats) -> float:
    """Return the first of some times, NaN if there are none."""
    return float(times[0]) if times.size else np.nan


def first_sounds(task: RawTask) -> Floats:
    """Return the first sound of each trial; calculated from its end if the start was missed."""
    high, low = task.events("BNC2High"), task.events("BNC2Low")
    return np.array(
        [first(h) if h.size else first(lo) - SOUND_LENGTH for h, lo in zip(high, low, strict=True)]
    )


def feedback_times(task: RawTask) -> Floats:
    """Return when water or noise was given in each trial. Shape (trials,), s."""
    reward = task.state("reward")[:, 0]
    if task.version < PLAY_TONE:
        error, no_go = task.state("error")[:, 0], task.state("no_go")[:, 0]
        return np.where(~np.isnan(reward), reward, np.where(~np.isnan(error), error, no_go))
    noise = []
    for sounds in task.events("BNC2High"):
        distinct = np.delete(sounds, np.flatnonzero(np.diff(sounds) < SAME_SOUND) + 1)
        # The first sound is the go tone.
        noise.append(distinct[-1] if distinct.size >= 2 else np.nan)
    return np.where(~np.isnan(reward), reward, noise)
