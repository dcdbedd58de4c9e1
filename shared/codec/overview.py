"""Loudness of each channel and second, for pictures of hours at once.

FORMAT.md, section 4, defines the file. A part of the samples is enough, and cheap.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: One in so many samples is used.
EVERY = 8
#: Steps per doubling of the loudness.
STEPS = 8


def overview_path(path: Path) -> Path:
    """Return the path of a recording's overview."""
    return path.with_suffix(".rms.npy")


def seconds_of(samples: NDArray[Any], first: int, sample_rate: float) -> "Sums":
    """Return the sums of a chunk; ``first`` is its first sample's number in the recording."""
    start = -first % EVERY  # the same samples for any length of chunks
    some = samples[start::EVERY].astype(np.float64)
    seconds = ((first + start + EVERY * np.arange(len(some))) / sample_rate).astype(np.int64)
    if not len(some):
        return {}
    cuts = np.flatnonzero(np.diff(seconds, prepend=seconds[0] - 1))
    counts = np.diff(cuts, append=len(some))
    sums = np.add.reduceat(some, cuts, axis=0)
    squares = np.add.reduceat(some * some, cuts, axis=0)
    numbers = seconds[cuts].tolist()
    return dict(zip(numbers, zip(counts.tolist(), sums, squares, strict=True), strict=True))


#: By second: number of samples, and each channel's sum and sum of squares.
Sums = dict[int, tuple[int, NDArray[np.float64], NDArray[np.float64]]]


class Overview:
    """Gathers the sums of chunks."""

    def __init__(self, n_channels: int) -> None:
        self.n_channels = n_channels
        self.sums: Sums = {}

    def add(self, sums: Sums) -> None:
        """Add the sums of a chunk; two chunks may share a second."""
        for second, (count, total, squares) in sums.items():
            before = self.sums.get(second, (0, 0.0, 0.0))
            self.sums[second] = (before[0] + count, before[1] + total, before[2] + squares)

    def levels(self) -> NDArray[np.uint8]:
        """Return seconds × channels, eight steps per doubling: round(8 · log₂(1 + RMS))."""
        levels = np.zeros((max(self.sums, default=-1) + 1, self.n_channels), np.uint8)
        for second, (count, total, squares) in self.sums.items():
            power = np.maximum(squares / count - (total / count) ** 2, 0)
            levels[second] = np.rint(STEPS * np.log2(1 + np.sqrt(power)))
        return levels
