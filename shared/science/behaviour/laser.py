"""Optogenetic stimulation in each trial, where a rig writes it.

The rules are those of the IBL behaviour pipeline (ibllib 4.1.0, ``LaserBool``): rigs write
``laser_stimulation`` and ``laser_probability``; an older one wrote when the laser came on
(``opto_ON_time``), or the value of its output (``optoOUT``, 0 or 255), and the probability once in
its settings (``PROBABILITY_OPTO``).
"""

from __future__ import annotations

import numpy as np

from shared.science.behaviour.raw_task import Floats, RawTask

ON = 255
"""Value of ``optoOUT`` with the laser on."""


def laser(task: RawTask) -> dict[str, Floats]:
    """Return whether the laser was on, and how probable that was.

    Returns
    -------
    dict of array
        ``laserStimulation`` (1, or 0), ``laserProbability`` (0 to 1); shape (trials,). A column
        without any value is left out: sessions without a laser have neither.
    """
    on, probability = _column(task, "laser_stimulation"), _column(task, "laser_probability")
    if "PROBABILITY_OPTO" in task.settings and np.isnan(on).all():
        probability = np.full(len(task.trials), _number(task.settings["PROBABILITY_OPTO"]))
        began, value = _column(task, "opto_ON_time"), _column(task, "optoOUT")
        if np.isnan(began).all():
            on = np.where(value == ON, 1.0, value)
        else:
            on = (~np.isnan(began)).astype(float)
    columns = {"laserStimulation": on, "laserProbability": probability}
    return {name: values for name, values in columns.items() if not np.isnan(values).all()}


def _column(task: RawTask, name: str) -> Floats:
    return np.array([_number(trial.get(name)) for trial in task.trials])


def _number(value: object) -> float:
    """Return a number, NaN for anything else."""
    return float(value) if isinstance(value, (bool, int, float)) else np.nan
