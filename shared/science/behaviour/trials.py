"""Trials of the IBL decision task from raw rig data.

The rules are those of the IBL behaviour pipeline, for rigs before 5, 5 to 7 and 8: results equal
it to the last digit (times to 1e-9 s). Sides: a position below 0 is on the left; choice -1 is the
report "right" (wheel turned anticlockwise), +1 "left", 0 none.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.science.behaviour import pregenerated
from shared.science.behaviour.laser import laser
from shared.science.behaviour.protocols import is_training
from shared.science.behaviour.raw_task import Floats, RawTask, read_decisions
from shared.science.behaviour.trial_events import (
    PLAY_TONE,
    feedback_times,
    first,
    first_sounds,
    numbers,
)
from shared.science.errors import ExtractionError, TrialInvalid

if TYPE_CHECKING:
    import pandas as pd

    from shared.science.behaviour.wheel_position import WheelTrace

log = logging.getLogger(__name__)

TABLE_COLUMNS = (
    "intervals_0",
    "intervals_1",
    "goCue_times",
    "response_times",
    "choice",
    "stimOn_times",
    "contrastLeft",
    "contrastRight",
    "feedback_times",
    "feedbackType",
    "rewardVolume",
    "probabilityLeft",
    "firstMovement_times",
)
"""Columns of ``trials.table`` in their order."""

SAVED = (
    *("goCueTrigger_times", "stimOnTrigger_times", "stimOffTrigger_times", "stimOff_times"),
    "quiescencePeriod",
)
"""Attributes of all trials that are files beside the table."""

FREEZE = (6, 2, 5)
"""First rig version with states that freeze and hide the stimulus."""
_OUTCOMES = {
    "correct": 1,
    "error": -1,
    "no_go": -1,
    "omit_correct": 0,
    "omit_error": 0,
    "omit_no_go": 0,
    "omit_nogo": 0,
}


def compute_trials(task: RawTask) -> dict[str, np.ndarray]:
    """Compute all attributes of the trials that do not need the wheel.

    Parameters
    ----------
    task : RawTask
        n trials and the task's settings.

    Returns
    -------
    dict of array
        Shape (n,) each; ``intervals`` (n, 2). Times in s from the start of the state machine, NaN
        where an event did not occur: goCueTrigger, goCue, stimOnTrigger, stimOn,
        stimFreezeTrigger, stimOffTrigger, stimOff, response, feedback (``_times``); choice,
        feedbackType (int); contrastLeft, contrastRight, probabilityLeft (0 to 1); rewardVolume
        (ul); quiescencePeriod (s); repNum (int, training); included (bool, other protocols);
        laserStimulation, laserProbability (if there was a laser).

    Raises
    ------
    TrialInvalid
        A trial has no outcome or several, or lacks a value that the task always writes.
    """
    trials = task.trials
    sides = np.sign(numbers(task, "position"))
    correct = np.array([bool(t.get("trial_correct")) for t in trials])
    no_go = ~np.isnan(task.state("no_go")[:, 0])
    contrast = numbers(task, "contrast", _contrast)
    reward = numbers(task, "reward_amount")
    stim_on, freeze, stim_off = _stimulus_triggers(task)
    out = {
        "intervals": np.stack([task.starts, task.ends], axis=1),
        "goCueTrigger_times": task.state(
            "play_tone" if _since(task, PLAY_TONE) else "closed_loop"
        )[:, 0],
        "goCue_times": first_sounds(task),
        "response_times": task.state("closed_loop")[:, 1],
        "choice": np.where(no_go, 0, np.where(correct, -sides, sides)).astype(np.int64),
        "stimOnTrigger_times": stim_on,
        "stimFreezeTrigger_times": freeze,
        "stimOffTrigger_times": stim_off,
        **_stimulus(task, stim_on, freeze, stim_off),
        "contrastLeft": np.where(sides < 0, contrast, np.nan),
        "contrastRight": np.where(sides > 0, contrast, np.nan),
        "feedback_times": feedback_times(task),
        "feedbackType": _feedback_type(task),
        "rewardVolume": np.where(correct, reward, 0.0),
        "probabilityLeft": numbers(task, "stim_probability_left"),
        "quiescencePeriod": numbers(task, "quiescent_period"),
    }
    out |= _repeats(task) if is_training(task.protocol) else _included(task)
    out |= laser(task)
    return out | (pregenerated.correct(task, out) if pregenerated.played_a_sequence(task) else {})


def trials_table(
    trials: Mapping[str, np.ndarray], first_movement_times: Floats | None = None
) -> pd.DataFrame:
    """Put the attributes of the trials into ``trials.table``.

    Parameters
    ----------
    trials : dict of array
        Result of :func:`compute_trials`.
    first_movement_times : array, optional
        Shape (n,), s; NaN everywhere if the wheel is unknown.

    Returns
    -------
    data frame
        n rows, columns :data:`TABLE_COLUMNS`.
    """
    import pandas as pd

    n = len(trials["choice"])
    columns = dict(trials)
    columns["intervals_0"], columns["intervals_1"] = trials["intervals"].T
    columns["firstMovement_times"] = (
        np.full(n, np.nan) if first_movement_times is None else first_movement_times
    )
    return pd.DataFrame({name: columns[name] for name in TABLE_COLUMNS})


@dataclass(frozen=True)
class Extraction:
    """The decisions of a session, extracted from its raw data.

    Attributes
    ----------
    task : RawTask
        The raw trials and settings.
    trials : dict of array
        Result of :func:`compute_trials`.
    wheel : WheelTrace, optional
        None if it cannot be extracted.
    first_movements : array, optional
        ``firstMovement_times``; shape (n,), s.
    """

    task: RawTask
    trials: dict[str, np.ndarray]
    wheel: WheelTrace | None = None
    first_movements: Floats | None = None

    def files(self) -> dict[str, np.ndarray | pd.DataFrame]:
        """Return array or data frame by file name."""
        optional = ("repNum", "included", "laserStimulation", "laserProbability")
        saved_names = (*SAVED, *(name for name in optional if name in self.trials))
        return {
            "_ibl_trials.table.pqt": trials_table(self.trials, self.first_movements),
            **{f"_ibl_trials.{name}.npy": self.trials[name] for name in saved_names},
        }


def extract(session: Path | str, collection: str | None = None) -> Extraction:
    """Extract the trials of a session folder, and the wheel as far as they need it.

    If the wheel cannot be extracted, the trials are, with NaN as ``firstMovement_times`` and a
    warning that says why.

    Parameters
    ----------
    session : path
        Folder with ``raw_behavior_data`` or ``raw_task_data_NN``.
    collection : str, optional
        Name of the folder, if there are several.

    Raises
    ------
    RawFileMissing, RawFileInvalid, TrialInvalid, TaskUnsupported
        Task data or settings are absent, broken or not those of the decision task.
    """
    from shared.science.behaviour.wheel import first_movements_of, wheel_of

    task = read_decisions(session, collection)
    trials = compute_trials(task)
    try:
        wheel = wheel_of(session, task, collection)
        return Extraction(task, trials, wheel, first_movements_of(task, trials, wheel))
    except ExtractionError as error:
        log.warning("firstMovement_times are NaN, as the wheel can not be extracted: %s", error)
        return Extraction(task, trials)


def extract_trials(
    session: Path | str, collection: str | None = None
) -> dict[str, np.ndarray | pd.DataFrame]:
    """Return the files of a session's trials, by name; see :func:`extract`."""
    return extract(session, collection).files()


def save(outputs: Mapping[str, Any], folder: Path | str) -> list[Path]:
    """Save extracted files into a folder (by convention ``alf``) and return their paths.

    Each file appears under its name only when it is complete.
    """
    from shared.alf.io import save as save_file

    return [save_file(Path(folder) / name, content) for name, content in outputs.items()]


def _since(task: RawTask, version: tuple[int, int, int]) -> bool:
    return task.version >= version


def _contrast(value: Any) -> Any:
    """Return a contrast; training rigs before 8 wrap it in an object."""
    return value["value"] if isinstance(value, dict) else value


def _stimulus_triggers(task: RawTask) -> tuple[Floats, Floats, Floats]:
    """Return when the state machine asked for stimulus on, freeze and off."""
    no_go = task.state("no_go")[:, 0]
    freeze = np.full(len(task.trials), np.nan)
    if _since(task, FREEZE):
        reward, error = task.state("freeze_reward")[:, 0], task.state("freeze_error")[:, 0]
        freeze = np.where(~np.isnan(no_go), np.nan, np.where(np.isnan(reward), error, reward))
        off = task.state("hide_stim")[:, 0]
    elif _since(task, PLAY_TONE):
        off = task.state("exit_state")[:, 0]
    else:
        return task.state("stim_on")[:, 0], freeze, task.state("trial_start")[:, 0]
    return task.state("stim_on")[:, 0], freeze, np.where(np.isnan(no_go), off, no_go)


def _stimulus(task: RawTask, on: Floats, freeze: Floats, off: Floats) -> dict[str, Floats]:
    """Return when the screen changed: the first flip of the sync square after each trigger."""
    until = freeze if _since(task, FREEZE) else off
    flips = task.events("BNC1")
    onsets = [first(f[(a < f) & (f < b)]) for f, a, b in zip(flips, on, until, strict=True)]
    gone = [first(f[a < f]) for f, a in zip(flips, off, strict=True)]
    return {"stimOn_times": np.array(onsets), "stimOff_times": np.array(gone)}


def _feedback_type(task: RawTask) -> np.ndarray:
    visited = {name: ~np.isnan(task.state(name)[:, 0]) for name in _OUTCOMES}
    count = np.sum(list(visited.values()), axis=0)
    if (count != 1).any():
        i = int(np.flatnonzero(count != 1)[0])
        names = [name for name in visited if visited[name][i]]
        raise TrialInvalid(
            f"_iblrig_taskData.raw.jsonable: trial {i + 1}",
            f"one outcome expected, found {names or 'none'}",
            "remove the trial if the task was stopped during it",
        )
    kinds = np.array([np.where(visited[name], kind, 0) for name, kind in _OUTCOMES.items()])
    return kinds.sum(axis=0, dtype=np.int64)


def _repeats(task: RawTask) -> dict[str, np.ndarray]:
    """Return the running count of consecutive repeats."""
    counts, count = np.zeros(len(task.trials), np.int64), 0
    for i, trial in enumerate(task.trials):
        contrast = trial.get("contrast")
        old = isinstance(contrast, dict) and contrast.get("type") == "RepeatContrast"
        count = count + 1 if trial.get("debias_trial", old) else 0
        counts[i] = count
    return {"repNum": counts}


def _included(task: RawTask) -> dict[str, np.ndarray]:
    """Return which trials came before the mouse disengaged."""
    included = np.ones(len(task.trials), dtype=bool)
    triggered = task.settings.get("SUBJECT_DISENGAGED_TRIGGERED", False)
    number = task.settings.get("SUBJECT_DISENGAGED_TRIALNUM")
    if _since(task, PLAY_TONE) and triggered is not False and number is not None:
        included[int(number) - 1 :] = False
    return {"included": included}
