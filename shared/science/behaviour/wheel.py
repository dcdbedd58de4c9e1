"""Extract the wheel of a session from its raw files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from shared.science.behaviour.raw_encoder import (
    in_one_range,
    read_encoder_events,
    read_encoder_positions,
)
from shared.science.behaviour.raw_task import Floats, RawTask, find_collection, read_decisions
from shared.science.behaviour.wheel_movements import (
    QUIESCENT_PERIOD,
    find_movements,
    first_movement_times,
)
from shared.science.behaviour.wheel_position import WheelTrace, wheel_position


def extract_wheel(session: Path | str, collection: str | None = None) -> dict[str, np.ndarray]:
    """Extract wheel position and movements of a session folder.

    Parameters
    ----------
    session : path
        Folder with ``raw_behavior_data`` or ``raw_task_data_NN``.
    collection : str, optional
        Name of the folder, if there are several.

    Returns
    -------
    dict of array
        ``_ibl_wheel.position.npy`` (samples,) rad, ``_ibl_wheel.timestamps.npy`` (samples,) s,
        ``_ibl_wheelMoves.intervals.npy`` (moves, 2) s, ``_ibl_wheelMoves.peakAmplitude.npy``
        (moves,) rad.

    Raises
    ------
    RawFileMissing, RawFileInvalid
        A raw file is absent, empty or broken.
    WheelUnsynchronised
        The encoder's events do not match those of the state machine, for example because the
        encoder files are truncated or of another session.
    """
    return files_of_wheel(wheel_of(session, read_decisions(session, collection), collection))


def files_of_wheel(wheel: WheelTrace) -> dict[str, np.ndarray]:
    """Return the wheel and its movements as files; shapes and units as of `extract_wheel`."""
    moves = find_movements(wheel.times, wheel.position)
    return {
        "_ibl_wheel.timestamps.npy": wheel.times,
        "_ibl_wheel.position.npy": wheel.position,
        "_ibl_wheelMoves.intervals.npy": moves.intervals,
        "_ibl_wheelMoves.peakAmplitude.npy": moves.peak_amplitude,
    }


def wheel_of(session: Path | str, task: RawTask, collection: str | None = None) -> WheelTrace:
    """Return the wheel's position of a session folder; raises as `extract_wheel`."""
    folder = find_collection(session, collection)
    duration = float(task.ends[-1] - task.starts[0])
    positions = read_encoder_positions(folder, duration)
    events = in_one_range(positions, read_encoder_events(folder, duration))
    return WheelTrace(*wheel_position(positions, events, task))


def first_movements_of(
    task: RawTask, trials: Mapping[str, np.ndarray], wheel: WheelTrace
) -> Floats:
    """Return ``trials.firstMovement_times``; shape (trials,), s."""
    quiescent = task.settings.get("QUIESCENT_PERIOD")
    return first_movement_times(
        find_movements(wheel.times, wheel.position),
        trials["goCue_times"],
        trials["feedback_times"],
        QUIESCENT_PERIOD if quiescent is None else quiescent,
    )
