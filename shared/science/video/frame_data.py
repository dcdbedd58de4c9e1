"""Data that a rig writes of each frame beside a film: number, time, state of the pins.

Rigs since 2021 write one file, ``_iblrig_leftCamera.frameData.bin``: four float64 a frame, the
computer's clock (ticks of 100 ns), the camera's, the frame's number, and the pins. Before, each
had a file: ``.timestamps.ssv``, ``.frame_counter.bin``, ``.GPIO.bin``. The rules are those of the
IBL pipeline (ibllib 4.1.0, ``raw_data_loaders``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.science.clocks.pulses import Floats
from shared.science.errors import RawFileInvalid

Integers = npt.NDArray[np.int64]

COLUMNS = 4
"""Numbers per frame in ``frameData.bin``."""

SYNC_PIN = 28
"""Bit of the fourth pin, to which rigs signal the sounds.

The states of a camera's four pins are the highest bits of a 32-bit word.
"""

CYCLES, WRAP = 8000.0, 128
"""Ticks a second of a camera's clock, and the seconds after which it restarts."""


@dataclass(frozen=True)
class FrameData:
    """Data of the frames of one camera.

    Attributes
    ----------
    count : array of int or None
        Shape (frames,): number of each frame from 0; a gap where frames were lost.
    times : array or None
        Shape (frames,): by the camera's clock, s.
    pin : array of bool or None
        Shape (frames,): the pin of the sounds.
    """

    count: Integers | None = None
    times: Floats | None = None
    pin: npt.NDArray[np.bool_] | None = None

    @property
    def rises(self) -> Integers:
        """Frames at which the pin rose; empty without pins."""
        return self._fronts(1)

    @property
    def falls(self) -> Integers:
        """Frames at which the pin fell."""
        return self._fronts(-1)

    def _fronts(self, sense: int) -> Integers:
        if self.pin is None or not self.pin.size:
            return np.empty(0, np.int64)
        steps = np.diff(self.pin.astype(np.int8), prepend=0)
        return np.flatnonzero(steps == sense)


def read_frame_data(folder: Path, camera: str) -> FrameData:
    """Read a rig's data of a camera's frames; missing data are None.

    Parameters
    ----------
    folder : path
        ``raw_video_data`` of a session.
    camera : str
        ``left``, ``right``, ``body``, …

    Raises
    ------
    RawFileInvalid
        A file is cut short, or has another format.
    """
    stem = f"_iblrig_{camera}Camera."
    if path := _newest(folder, f"{stem}frameData*.bin"):
        numbers = _doubles(path)
        if numbers.size % COLUMNS:
            raise RawFileInvalid(path.name, "it ends within a frame", "copy it from the rig again")
        rows = numbers.reshape(-1, COLUMNS).astype(np.int64)
        if not rows.size:
            return FrameData()
        times = seconds_of(rows[:, 1])
        return FrameData(rows[:, 2] - rows[0, 2], times - times[0], _pin(rows[:, 3]))
    counter = _newest(folder, f"{stem}frame_counter*.bin")
    pins = _newest(folder, f"{stem}GPIO*.bin")
    stamps = _newest(folder, f"{stem}timestamps*.ssv")
    count = _doubles(counter).astype(np.int64) if counter else np.empty(0, np.int64)
    states = _doubles(pins).astype(np.int64) if pins else np.empty(0, np.int64)
    return FrameData(
        count - count[0] if count.size else None,
        _stamps(stamps) if stamps else None,
        _pin(states) if states.size else None,
    )


def seconds_of(stamps: Integers) -> Floats:
    """Return the seconds of a camera's 32-bit stamps, without its turns of 128 s.

    The highest 7 bits count seconds, the next 13 eight-thousandths of one.
    """
    words = np.asarray(stamps, np.int64)
    seconds = ((words >> 25) & 0x7F) + ((words >> 12) & 0x1FFF) / CYCLES
    return seconds + np.cumsum(np.diff(seconds, prepend=seconds[:1]) < 0) * WRAP


def stamps_of(seconds: Floats) -> Integers:
    """Return a camera's stamps at some seconds: the inverse of `seconds_of`."""
    ticks = np.floor(np.asarray(seconds) % WRAP * CYCLES).astype(np.int64)
    return ((ticks // int(CYCLES)) << 25) | ((ticks % int(CYCLES)) << 12)


def _newest(folder: Path, pattern: str) -> Path | None:
    return next(iter(sorted(folder.glob(pattern))), None)


def _doubles(path: Path) -> Floats:
    size = path.stat().st_size
    if size % 8:
        raise RawFileInvalid(path.name, "it ends within a number", "copy it from the rig again")
    numbers = np.fromfile(path, np.float64)
    if not np.isfinite(numbers).all() or np.abs(numbers).max(initial=0) > 2**62:
        raise RawFileInvalid(path.name, "it holds no numbers of frames", "copy it again")
    return numbers


def _pin(states: Integers) -> npt.NDArray[np.bool_]:
    return (states >> SYNC_PIN) & 1 == 1


def _stamps(path: Path) -> Floats:
    """Return the camera's times in a file of two columns, one of them an integer."""
    lines = path.read_text(errors="replace").splitlines()
    matches = [re.search(r"(?:^|\s)(\d{1,10})(?:\s|$)", line) for line in lines if line.strip()]
    if not matches or None in matches:
        raise RawFileInvalid(
            path.name, "not every line has a camera's stamp", "copy it from the rig again"
        )
    return seconds_of(np.array([int(each[1]) for each in matches if each], np.int64))
