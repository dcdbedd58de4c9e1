"""Trials of habituation: a stimulus comes, moves to the centre by itself, and water is given.

The rules are those of the IBL behaviour pipeline (ibllib 4.1.0, ``HabituationTrials``). The state
machine of this task names its states misleadingly: before rig 8.13, ``trial_start`` is the grey
screen that ends the trial before, so its end is the true start of a trial; since then it is called
``iti``. A trial's stimulus goes off in the grey screen of the trial after it, so that the last
trial of a session has no end and is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shared.model.protocols import protocol_of
from shared.science.behaviour.raw_task import Floats, RawTask
from shared.science.behaviour.trial_events import feedback_times, first_sounds, numbers
from shared.science.errors import RawFileInvalid, TaskUnsupported, TrialInvalid

FIRST_RIG = (5, 0, 0)
"""Rigs before this one are not extracted, as in the reference."""

RENAMED = (8, 13, 0)
"""First rig version with descriptive names of states."""

FLIPS = 3
"""Flips of the sync square in a whole trial: stimulus off, on, in the centre."""

SAVED = (
    *("contrastLeft", "contrastRight", "feedback_times", "feedbackType", "goCue_times"),
    *("goCueTrigger_times", "intervals", "rewardVolume", "stimOff_times", "stimOffTrigger_times"),
    *("stimOn_times", "stimOnTrigger_times"),
)
"""Attributes that are files; the others serve the checks of quality."""


def compute_habituation(task: RawTask) -> dict[str, np.ndarray]:
    """Compute all attributes of the trials of habituation.

    Parameters
    ----------
    task : RawTask
        n + 1 trials and the task's settings.

    Returns
    -------
    dict of array
        Shape (n,) each; ``intervals`` (n, 2). Times in s from the start of the state machine, NaN
        where an event did not occur: stimOnTrigger, stimOn, stimCenterTrigger, stimCenter,
        stimOffTrigger, stimOff, goCueTrigger, goCue, feedback, itiIn (``_times``); contrastLeft,
        contrastRight, rewardVolume (ul), feedbackType (always 1), position (deg), phase (rad).

    Raises
    ------
    TaskUnsupported
        Another protocol, or a rig before version 5.
    RawFileInvalid
        Fewer than two trials.
    TrialInvalid
        A stimulus comes on before its trial begins, or a trial lacks a value or a state.
    """
    _check(task)
    sides = np.sign(numbers(task, "position"))
    contrast = numbers(task, "contrast")
    grey = _grey_screen(task)
    starts, ends = grey[:, 1], np.append(grey[1:, 0], np.nan)
    on, centre = task.state("stim_on")[:, 0], task.state("stim_center")[:, 0]
    flips = task.events("BNC1")
    # With fewer flips it is unknown which is missing.
    off = np.array([flip[0] if flip.size == FLIPS else np.nan for flip in flips[1:]] + [np.nan])
    out: dict[str, np.ndarray] = {
        "feedbackType": np.ones(len(task.trials), np.int8),
        "rewardVolume": numbers(task, "reward_amount"),
        "stimOff_times": off,
        "contrastLeft": np.where(sides < 0, contrast, np.nan),
        "contrastRight": np.where(sides > 0, contrast, np.nan),
        "feedback_times": feedback_times(task),
        "stimOn_times": _shown(flips, centre),
        "stimOnTrigger_times": on,
        "intervals": np.stack([starts, np.fmax(ends, off)], axis=1),
        "goCue_times": first_sounds(task),
        "goCueTrigger_times": on.copy(),
        "itiIn_times": ends,
        "stimOffTrigger_times": ends.copy(),
        "stimCenterTrigger_times": centre,
        "stimCenter_times": _centred(flips, centre),
        "position": numbers(task, "position"),
        "phase": numbers(task, "stim_phase"),
    }
    whole = {name: values[:-1] for name, values in out.items()}
    early = np.flatnonzero(whole["stimOn_times"] < whole["intervals"][:, 0])
    if early.size:
        raise TrialInvalid(
            f"_iblrig_taskData.raw.jsonable: trial {early[0] + 1}",
            "its stimulus comes on before the trial begins",
            "look at the rig's photodiode: its flips are not those of this task",
        )
    return whole


def saved(trials: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the attributes that are files, by file name."""
    return {f"_ibl_trials.{name}.npy": trials[name] for name in SAVED}


def _check(task: RawTask) -> None:
    if protocol_of(task.protocol) != "habituation":
        raise TaskUnsupported(
            task.protocol or "a protocol without a name",
            "is not habituation",
            "run task.trials, which is for the decision task",
        )
    if task.version < FIRST_RIG:
        raise TaskUnsupported(
            task.protocol,
            f"not supported: habituation of rig {'.'.join(map(str, task.version))}, before 5.0.0, "
            "has no pulses of screen and sound",
            "nothing is missing: the raw files are kept, and this task can be left out",
        )
    if len(task.trials) < 2:
        raise RawFileInvalid(
            "_iblrig_taskData.raw.jsonable",
            "one trial, whose end the next trial would say",
            "the task was stopped before a trial ended: nothing to extract",
        )


def _grey_screen(task: RawTask) -> Floats:
    """Return start and end of the last visit to the grey screen in each trial. Shape (n, 2).

    Unknown where a trial did not visit it: then the times of that trial are unknown.
    """
    states = task.trials[0]["behavior_data"]["States timestamps"]
    legacy = "post_reward" not in states and "trial_start" in states
    name = "iti" if task.version >= RENAMED and not legacy else "trial_start"
    for trial, raw in enumerate(task.trials, start=1):
        if not raw["behavior_data"]["States timestamps"].get(name):
            raise TrialInvalid(
                f"_iblrig_taskData.raw.jsonable: trial {trial}",
                f"the state {name!r} is not there",
                "check that the session is of habituation",
            )
    return task.state(name, visit=-1)


def _shown(flips: list[Floats], centre: Floats) -> Floats:
    """Return when the stimulus came on: the second flip, if all flips were seen."""
    return np.array(
        [
            flip[1] if flip.size == FLIPS or (flip.size == 2 and (flip < at).all()) else np.nan
            for flip, at in zip(flips, centre, strict=True)
        ]
    )


def _centred(flips: list[Floats], centre: Floats) -> Floats:
    """Return when the stimulus was in the centre: the last flip, if all flips were seen."""
    return np.array(
        [
            flip[-1] if flip.size == FLIPS or np.sum(flip > at) == 1 else np.nan
            for flip, at in zip(flips, centre, strict=True)
        ]
    )
