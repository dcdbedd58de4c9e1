"""The pulses of a session's main clock, as a task has found them in its recording.

The clock is an NI board's. Rigs of Neuropixels 3A have none: their devices are wired to the
probes, and the clock is that of the probe that has recorded the most changes of its lines (ibllib
4.1.0, ``get_main_probe_sync``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.science.clocks.pulses import Pulses
from shared.science.clocks.wiring import BOARD, PROBE_3A, read_wiring
from shared.science.errors import RawFileInvalid, RawFileMissing


@dataclass(frozen=True)
class WiredPulses:
    """The pulses of a recording, and the line of each device.

    Attributes
    ----------
    folder : path
        Folder of the recording.
    pulses : Pulses
    wiring : mapping
        Line by the name of the device.
    """

    folder: Path
    pulses: Pulses
    wiring: Mapping[str, int]


def read_main_pulses(session: Path, sync_collection: str) -> WiredPulses:
    """Read the pulses of a session's main clock.

    Parameters
    ----------
    session : path
        The session's folder.
    sync_collection : str
        Folder within it of the board's pulses, or pattern of the folders of the probes'.

    Raises
    ------
    RawFileMissing, RawFileInvalid
        They are missing, or invalid.
    """
    if probes := read_probes_pulses(session, sync_collection):
        return main_of(probes)
    board = session / sync_collection
    return WiredPulses(board, read_pulses(board), read_wiring(board, BOARD))


def main_of(probes: Sequence[WiredPulses]) -> WiredPulses:
    """Return the probe of phase 3A that is the main clock: the one with the most changes."""
    return max(probes, key=lambda one: one.pulses.times.size)


def read_probes_pulses(session: Path, sync_collection: str) -> list[WiredPulses]:
    """Read the pulses that each probe of phase 3A has recorded, in the order of their names.

    Parameters
    ----------
    session, sync_collection
        As for `read_main_pulses`.

    Raises
    ------
    RawFileMissing, RawFileInvalid
        Those of a probe are invalid.
    """
    return [
        WiredPulses(folder, read_pulses(folder, folder.name), read_wiring(folder, PROBE_3A))
        for folder in sorted(session.glob(sync_collection))
        if (folder / f"_spikeglx_sync.times.{folder.name}.npy").is_file()
    ]


def read_pulses(folder: Path, part: str = "") -> Pulses:
    """Read the pulses that a task found in a recording.

    Parameters
    ----------
    folder : path
        Folder of the recording.
    part : str
        Name of the probe, for a probe's pulses.

    Raises
    ------
    RawFileMissing, RawFileInvalid
        They are missing, or invalid.
    """
    from shared.alf.io import load

    extra = f".{part}" if part else ""
    arrays = []
    for name in ("times", "channels", "polarities"):
        path = folder / f"_spikeglx_sync.{name}{extra}.npy"
        if not path.is_file():
            fix = "have the task sync.pulses run on the recording"
            raise RawFileMissing(path.name, f"not in {folder.name}", fix)
        arrays.append(np.asarray(load(path), float).ravel())
    times, channels, polarities = arrays
    sound = times.shape == channels.shape == polarities.shape and np.isfinite(times).all()
    if not (sound and np.all(np.diff(times) >= 0) and np.isin(polarities, (-1, 1)).all()):
        raise RawFileInvalid(
            f"_spikeglx_sync of {folder.name}",
            "times, channels and polarities are not those of pulses in order",
            "have the task sync.pulses run again",
        )
    return Pulses(times, channels, polarities)
