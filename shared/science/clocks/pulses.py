"""Pulses of other devices in a recording: every change of its digital and analog lines.

The rules are those of the IBL pipeline (ibl-neuropixel 1.14.0, ``extract_spikeglx_sync``), and so
are the files, ``_spikeglx_sync.{times,channels,polarities}.npy``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.recordings.spikeglx import SyncColumns

Floats = npt.NDArray[np.float64]

Read = Callable[[int, int, npt.NDArray[np.int64]], npt.NDArray[np.generic]]
"""Reads samples from, to, of some columns; shape (samples, columns)."""

WINDOW = 100.0
"""Length of the windows in which an analog line has one floor (s)."""

PIECE = 1 << 17
"""Samples read at once."""

FLOOR, HIGH = 10, 1.2
"""Percentile of an analog line that is its floor, and volts above it that count as high."""

DIGITAL = 16
"""Lines of a digital word; the numbers of analog lines follow them."""


@dataclass(frozen=True)
class Pulses:
    """Changes of lines, in order of time.

    Attributes
    ----------
    times : array
        Shape (changes,), s from the recording's first sample.
    channels : array
        Shape (changes,): bit of the digital word, or 16 + number of the analog line.
    polarities : array
        Shape (changes,): 1 rises, -1 falls.
    """

    times: Floats
    channels: Floats
    polarities: Floats

    def of(self, channel: int) -> Fronts:
        """Return the changes of one line."""
        mine = self.channels == channel
        return Fronts(self.times[mine], self.polarities[mine])

    def between(self, start: float, end: float) -> Pulses:
        """Return the changes from one moment to another."""
        inside = (self.times >= start) & (self.times <= end)
        return Pulses(self.times[inside], self.channels[inside], self.polarities[inside])

    def files(self, part: str = "") -> dict[str, Floats]:
        """Return the arrays by the name of their file, which includes a probe's name."""
        extra = f".{part}" if part else ""
        return {
            f"_spikeglx_sync.{name}{extra}.npy": getattr(self, name)
            for name in ("times", "channels", "polarities")
        }


@dataclass(frozen=True)
class Fronts:
    """Changes of one line: ``times`` in s, ``polarities`` 1 (rises) or -1; shape (changes,)."""

    times: Floats
    polarities: Floats

    @property
    def rises(self) -> Floats:
        """Times at which the line rose."""
        return self.times[self.polarities == 1]

    def between(self, start: float, end: float) -> Fronts:
        """Return the changes from one moment to another."""
        inside = (self.times >= start) & (self.times <= end)
        return Fronts(self.times[inside], self.polarities[inside])

    def intervals(self) -> Floats:
        """Return the intervals in which the line was high: shape (pulses, 2), s.

        NaN is the end of an interval without a fall. A fall before the first rise is left out.
        """
        times = self.times[1:] if self.polarities.size and self.polarities[0] < 0 else self.times
        if times.size % 2:
            times = np.append(times, np.nan)
        return times.reshape(-1, 2)

    @property
    def alternate(self) -> bool:
        """Whether every rise is followed by a fall, and every fall by a rise."""
        return bool(np.all(np.diff(self.polarities) != 0))


def extract_pulses(read: Read, n_samples: int, rate: float, columns: SyncColumns) -> Pulses:
    """Find every change of a recording's lines, piece by piece.

    Parameters
    ----------
    read : callable
        Reads a piece of the recording.
    n_samples : int
        Length of the recording.
    rate : float
        Samples a second.
    columns : SyncColumns
        The columns of the lines.
    """
    wanted = np.array([columns.word, *columns.analog], np.int64)
    changes = [
        (at + first, channel, rises)
        for first, samples in _windows(read, n_samples, int(WINDOW * rate), wanted)
        for at, channel, rises in _changes(samples, columns.volts)
    ]
    if not changes:
        return Pulses(np.empty(0), np.empty(0), np.empty(0))
    at, channel, rises = (np.concatenate(part) for part in zip(*changes, strict=True))
    order = np.lexsort((channel, at))
    return Pulses(
        at[order] / rate, channel[order].astype(float), np.where(rises[order], 1.0, -1.0)
    )


def _windows(
    read: Read, n: int, length: int, wanted: npt.NDArray[np.int64]
) -> Iterator[tuple[int, npt.NDArray[np.int16]]]:
    """Yield the lines window by window, each with the last sample of the one before it."""
    first = 0
    while n > 1:
        last = min(first + length, n)
        samples = np.empty((last - first, wanted.size), np.int16)
        for start in range(first, last, PIECE):
            stop = min(start + PIECE, last)
            samples[start - first : stop - first] = read(start, stop, wanted)
        yield first, samples
        if last == n:
            return
        first = last - 1


def _changes(
    samples: npt.NDArray[np.int16], volts: float
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]]:
    """Yield sample, channel and rise (or fall) of the changes in one window, line by line."""
    word = samples[:, 0].view(np.uint16)
    at = np.flatnonzero(word[1:] != word[:-1]) + 1
    changed = word[at] ^ word[at - 1]
    for bit in range(DIGITAL):
        mine = (changed >> bit) & 1 == 1
        if mine.any():
            yield at[mine], np.full(int(mine.sum()), bit), (word[at[mine]] >> bit) & 1 == 1
    for number in range(samples.shape[1] - 1):
        # single precision, as the reference
        line = samples[:, number + 1] * np.float32(volts)
        line -= np.percentile(line, FLOOR)
        high = line >= HIGH
        at = np.flatnonzero(high[1:] != high[:-1]) + 1
        yield at, np.full(at.size, DIGITAL + number), high[at]


def counts(pulses: Pulses, wiring: Mapping[str, int]) -> dict[str, int]:
    """Return the number of rises of each wired line."""
    rising = pulses.channels[pulses.polarities == 1]
    return {name: int(np.sum(rising == channel)) for name, channel in wiring.items()}
