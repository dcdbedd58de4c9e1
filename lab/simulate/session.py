"""Simulate a mouse on a rig: raw sessions in the formats of rig 5 and rig 8.

The files are those of a real rig, so all later steps can be tried with sessions of real length.
Their settings say that they are synthetic (``"SYNTHETIC": true``).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.alf import SessionPath

if TYPE_CHECKING:
    pass
from lab.simulate.board import (
    BoardClock,
    board_signals,
    stopped_at,
    write_board,
    write_description,
)
from lab.simulate.camera import (
    COLLECTION,
    Scene,
    SimulatedCamera,
    add_film,
    heard_by_state_machine,
)
from lab.simulate.course import Course
from lab.simulate.files import PROTOCOLS, VERSIONS, RigFiles
from lab.simulate.mouse import (
    BIASED,
    GAIN_LATER,
    LAST_PHASE,
    REWARD_MIN,
    TRAINING,
    Chooser,
    Progress,
    biased_decisions,
    next_day,
    training_decisions,
)
from lab.simulate.truth import Truth, write_truth


def simulate_session(
    folder: Path | str,
    *,
    seed: int,
    subject: str,
    date: datetime.date,
    number: int = 1,
    rig_version: int = 5,
    day: int = 0,
    performance: float = 0.5,
    n_trials: int = 700,
    protocol: str = TRAINING,
    progress: Progress | None = None,
    last_phase: int = LAST_PHASE,
    threshold: float | None = None,
    lab: str = "",
    weight: float = 24.0,
    collection: str = "raw_behavior_data",
    truth_folder: Path | str | None = None,
    board: BoardClock | None = None,
    cameras: Sequence[SimulatedCamera] = (),
) -> Truth:
    """Simulate one session and write its raw files.

    The same arguments give the same files, byte for byte.

    Parameters
    ----------
    folder : path
        Folder for ``<subject>/<date>/<NNN>/<collection>``, by convention ``<lab>/Subjects``.
    seed : int
        Seed; together with subject, date and number it fixes the session.
    subject, date, number
        The session.
    rig_version : {5, 8}
        Format of the files.
    day : int
        Day of training, from 0; written in the settings.
    performance : float
        Fraction correct on easy contrasts, 0 to 1, for drawing the trials.
    n_trials : int
        Number of trials, at least 1.
    protocol : {'training', 'biased'}
        Task.
    progress : Progress, optional
        The mouse's state after the session before; by default a mouse new to the task.
    last_phase : int
        Training phase beyond which the experimenter does not let the mouse pass.
    threshold : float, optional
        Threshold of the psychometric function in percent contrast; by default set by performance.
    lab : str
        Laboratory in the settings.
    weight : float
        Weight of the mouse in g.
    collection : str
        Folder of the raw files.
    truth_folder : path, optional
        Folder for the truth, as ALF files.
    board : BoardClock, optional
        The main clock of an ephys rig: its recording is written, too, and a description.
    cameras : sequence of SimulatedCamera
        Their films are written, too; without a board, the first is signed to the state machine.

    Returns
    -------
    Truth
        The results of an exact extraction, and the mouse's progress.

    Raises
    ------
    ValueError
        A number is out of its range, or the rig version or protocol is unknown.
    ALFInvalid
        The subject or number cannot be in a session path.
    """
    path = SessionPath(None, subject, date, number)
    if rig_version not in VERSIONS or protocol not in PROTOCOLS:
        raise ValueError(f"rig {rig_version}, {protocol!r}: choose rig 5 or 8, training or biased")
    if not 0 <= last_phase <= LAST_PHASE or (threshold is not None and threshold <= 0):
        raise ValueError(f"phase {last_phase}, threshold {threshold}: 0 to 5, above 0")
    if n_trials < 1 or not 0 <= performance <= 1:
        raise ValueError(f"{n_trials} trials, performance {performance}: at least 1, 0 to 1")
    identity = int.from_bytes(path.build().encode(), "little")
    rng = np.random.default_rng([seed, *_words(identity)])
    progress = progress or Progress()
    mouse = Chooser(performance, threshold)
    if protocol == BIASED:
        decisions, after = biased_decisions(rng, n_trials, mouse), progress
    else:
        decisions, after = training_decisions(rng, n_trials, mouse, progress, last_phase)
    if protocol == BIASED:
        progress = replace(progress, reward=REWARD_MIN, gain=GAIN_LATER)
    course = Course.run(rng, decisions, performance, progress, rig_version)
    if cameras and board is None:
        course = replace(course, events=course.events | heard_by_state_machine(course, cameras[0]))
    session = Path(folder) / path.short
    raw = session / collection
    raw.mkdir(parents=True, exist_ok=True)
    files = RigFiles(raw, rng, course, decisions, progress, path, rig_version, protocol)
    files.write({"day": day, "seed": seed, "lab": lab, "weight": weight})
    truth = course.truth(session, decisions, progress, protocol)
    if board is not None:
        lines = board_signals(course, board)
        truth = replace(truth, lines=lines)
        if not board.is_probe:
            write_board(lines, board, session)
        write_description(session, files.task_protocol, collection, _devices(cameras))
    if cameras:
        main = board or BoardClock(offset=0.0, drift=0.0)
        sounds = board_signals(course, main)["audio"]
        wheel = main.read(truth.wheel_times), truth.wheel_position
        scene = Scene(*wheel, sounds, stopped_at(course))
        films = {each.label: add_film(session, scene, main, each) for each in cameras}
        truth = replace(truth, films=films)
    water = float(truth.table["rewardVolume"].sum()) / 1000
    responses = int(np.count_nonzero(decisions.choice))
    truth = replace(truth, progress=next_day(after, responses, water, weight))
    if truth_folder is not None:
        write_truth(truth, Path(truth_folder))
    return truth


def _devices(cameras: Sequence[SimulatedCamera]) -> dict[str, Any] | None:
    """Return the cameras in the form of an experiment description."""
    cameras_by_label = {
        camera.label: {
            "collection": COLLECTION,
            "sync_label": f"{camera.label}_camera",
            "fps": int(camera.rate),
            "width": camera.width,
            "height": camera.height,
        }
        for camera in cameras
    }
    return {"cameras": cameras_by_label} if cameras_by_label else None


def _words(number: int) -> list[int]:
    """Return an integer of any size as words for a seed sequence."""
    return [(number >> shift) & 0xFFFFFFFF for shift in range(0, max(number.bit_length(), 1), 32)]
