"""Trials: the table of the first protocol, and one more for each other protocol."""

from __future__ import annotations

from typing import Any

import numpy as np
from hdmf.common import VectorData
from numpy.typing import NDArray
from pynwb import NWBFile
from pynwb.epoch import TimeIntervals

from lab.exports.nwb.columns import column, has_values
from lab.exports.session import ExportError, ExportSession
from shared.alf.layout import trials_in

TIMES = {
    "stimOn_times": ("gabor_stimulus_onset_time", "The grating appears, as seen on the screen."),
    "goCue_times": ("auditory_cue_time", "The go cue is heard."),
    "firstMovement_times": ("wheel_movement_onset_time", "The wheel starts to move."),
    "response_times": ("choice_registration_time", "The wheel passes a threshold, or time is up."),
    "feedback_times": ("feedback_time", "Reward or noise begins."),
    "stimOff_times": ("gabor_stimulus_offset_time", "The grating disappears."),
}
"""NWB column and its description, by attribute of the trials (all in seconds of the session)."""

CHOICES = {-1: "counter_clockwise", 0: "none", 1: "clockwise"}
"""Direction of the wheel by `trials.choice` (IBL-to-nwb; checked against dandiset 000409)."""

WHOLE = ("intervals", "choice", "contrastLeft", "contrastRight", "feedbackType")


def add_trials(nwb: NWBFile, session: ExportSession) -> int:
    """Add the trials of a session; return their number.

    Raises
    ------
    ExportError
        Columns are missing, or differ in length.
    """
    total = 0
    for number, files in enumerate(trials_in(session.paths, session.preferred)):
        trials = session.load(files)
        columns = _columns(trials, files.collection)
        total += len(columns[0].data)
        if number == 0:
            nwb.trials = TimeIntervals(name="trials", description=_TRIALS, columns=columns)
        else:
            name = f"trials_{files.collection.rpartition('/')[2]}"
            nwb.add_time_intervals(TimeIntervals(name=name, description=_TRIALS, columns=columns))
    return total


_TRIALS = "Trials of a task. Times are seconds from the start of the session."


def _columns(trials: dict[str, Any], collection: str) -> list[VectorData]:
    missing = [name for name in WHOLE if name not in trials]
    if missing:
        raise ExportError(f"the trials in {collection} have no {', '.join(missing)}")
    lengths = {name: len(values) for name, values in trials.items() if hasattr(values, "__len__")}
    n = lengths["choice"]
    if any(length != n for length in lengths.values()):
        description = ", ".join(f"{name} {length}" for name, length in sorted(lengths.items()))
        raise ExportError(
            f"the columns of the trials in {collection} differ in length: {description}"
        )
    starts, stops = np.asarray(trials["intervals"], float).T
    columns = [
        column("start_time", "Start of the trial (s).", starts),
        column("stop_time", "End of the trial (s).", stops),
    ]
    if has_values(quiet := _numbers(trials, "quiescencePeriod", n)):
        columns.append(column("quiescence_period", "Time the wheel had to be still (s).", quiet))
    for name, (title, description) in TIMES.items():
        if has_values(times := _numbers(trials, name, n)):
            columns.append(column(title, description, times))
    left = np.asarray(trials["contrastLeft"], float)
    right = np.asarray(trials["contrastRight"], float)
    on_left = np.isfinite(left)
    contrast = 100 * np.where(on_left, left, right)
    columns += [
        column("gabor_stimulus_contrast", "Contrast of the grating (%).", contrast),
        column(
            "gabor_stimulus_side",
            "Side on which the grating appears.",
            np.where(on_left, "left", "right").tolist(),
        ),
        column(
            "mouse_wheel_choice",
            "How the mouse turned the wheel; clockwise answers left.",
            [CHOICES.get(int(choice), "none") for choice in trials["choice"]],
        ),
        column(
            "is_mouse_rewarded",
            "Whether the answer was right, and rewarded.",
            np.asarray(trials["feedbackType"]) == 1,
        ),
    ]
    if has_values(volume := _numbers(trials, "rewardVolume", n)):
        columns.append(column("reward_volume_uL", "Water given (µl).", volume))
    if has_values(odds := _numbers(trials, "probabilityLeft", n)):
        columns += _blocks(odds)
    return columns


def _blocks(odds: NDArray[np.float64]) -> list[VectorData]:
    kinds = np.where(odds > 0.5, "left_block", np.where(odds < 0.5, "right_block", "unbiased"))
    changes = np.diff(odds, prepend=odds[:1]) != 0
    return [
        column("probability_left", "Probability that the grating is on the left.", odds),
        column("block_type", "Which side is the likelier one.", kinds.tolist()),
        column("block_index", "Number of the block, from 0.", np.cumsum(changes)),
    ]


def _numbers(trials: dict[str, Any], name: str, n: int) -> NDArray[np.float64]:
    return np.asarray(trials[name], float) if name in trials else np.full(n, np.nan)
