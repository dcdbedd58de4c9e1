"""The true events of a simulated session, for comparison with the extraction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
from lab.simulate.camera import FilmTruth
from lab.simulate.mouse import Floats, Progress


@dataclass(frozen=True)
class Truth:
    """The truth about a simulated session; times in s from the state machine's start.

    Attributes
    ----------
    session : Path
        Folder of the session.
    table : data frame
        n rows with the columns of ``trials.table``; ``firstMovement_times`` is the first encoder
        step of the reporting movement.
    triggers : dict of array
        Shape (n,): stimOnTrigger, goCueTrigger, stimOffTrigger, stimOff (``_times``),
        quiescencePeriod and repNum (training) or included.
    wheel_times, wheel_position : array
        Shape (steps,): s and rad, each step of the encoder.
    performance_easy : float
        Fraction correct at contrasts of 0.5 and above.
    progress : Progress
        The mouse's state for its next session.
    films : mapping
        The truth about each camera's film, by the camera's label.
    lines : mapping
        When each line of the main clock changes, from low, by device (s of that clock).
    """

    session: Path
    table: pd.DataFrame
    triggers: dict[str, np.ndarray]
    wheel_times: Floats
    wheel_position: Floats
    performance_easy: float
    progress: Progress
    films: Mapping[str, FilmTruth] = field(default_factory=dict)
    lines: Mapping[str, Floats] = field(default_factory=dict)


def write_truth(truth: Truth, folder: Path) -> None:
    """Write the truth as ALF files."""
    from shared.alf.io import save

    save(folder / "_ibl_trials.table.pqt", truth.table)
    for name, values in truth.triggers.items():
        save(folder / f"_ibl_trials.{name}.npy", values)
    save(folder / "_ibl_wheel.timestamps.npy", truth.wheel_times)
    save(folder / "_ibl_wheel.position.npy", truth.wheel_position)
