"""Simulated sessions of an ephys rig: behaviour, a board that is the main clock, and a probe.

Each of them has its own clock, with a known offset and drift.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lab.simulate.board import COLLECTION, BoardClock
from lab.simulate.camera import SimulatedCamera
from lab.simulate.recording import ProbeDrift, SimulatedProbe, write_probe
from lab.simulate.spikes import simulate_sorting
from lab.simulate.truth import Truth

PROBE = "probe00"


@dataclass(frozen=True)
class EphysRig:
    """An ephys rig.

    Attributes
    ----------
    board
        The main clock.
    probe
        The probe's clock relative to the board's.
    channels, units
        Simulated sites of the probe, and neurons along all of it.
    cameras
        Cameras with films; these need PyAV, as the extra ``video`` installs it.
    """

    board: BoardClock = field(default_factory=BoardClock)
    probe: ProbeDrift = field(default_factory=lambda: ProbeDrift(offset=0.004, drift=-12.0))
    channels: int = 64
    units: int = 120
    cameras: tuple[SimulatedCamera, ...] = (SimulatedCamera(),)


def add_probe(truth: Truth, rig: EphysRig, *, seed: int) -> dict[str, np.ndarray]:
    """Write the recording of a probe beside the board's; return its sorted spikes.

    Parameters
    ----------
    truth : Truth
        A session simulated with the rig's board.
    rig : EphysRig
    seed : int

    Returns
    -------
    dict of array
        As `lab.simulate.spikes.simulate_sorting`; times are the main clock's (s).
    """
    folder = truth.session / COLLECTION
    table = truth.table.copy()
    for name in map(str, table.columns):
        if name.endswith("_times"):
            table[name] = rig.board.read(table[name].to_numpy())
    sorting = simulate_sorting(table, seed=seed, n_units=rig.units)
    probe = SimulatedProbe(sorting, channels=rig.channels, seed=seed, drift=rig.probe)
    seconds = _board_seconds(folder, rig.board.rate)
    write_probe(probe, sorting["channels.localCoordinates.npy"], seconds, folder / PROBE)
    return sorting


def _board_seconds(folder: Path, rate: float) -> float:
    """Return the duration of the board's recording in a session: two columns of two bytes (s)."""
    (path,) = folder.glob("*.nidq.bin")
    return path.stat().st_size / 4 / rate
