"""Pair the events that two clocks have in common, and convert one clock to the other.

The pairs are those of the IBL pipeline (ibl-neuropixel 1.14.0, ``sync_timestamps``) where it finds
any, and there are also pairs where the clocks drift apart by more than a bin within a session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

BIN = 0.1
"""Events closer than this (s) are one event when the clocks are aligned."""

ROUNDS = 20
"""Most repetitions of pairing and fit; two or three times suffice."""


@dataclass(frozen=True)
class Matched:
    """Events that two clocks have in common.

    Attributes
    ----------
    ours, theirs : array of int
        Shape (pairs,): indices of the events of either clock.
    our_times, their_times : array
        Shape (pairs,), s.
    """

    ours: Indices
    theirs: Indices
    our_times: Floats
    their_times: Floats

    def convert(self, times: Floats) -> Floats:
        """Return the other clock at these times: linear between the pairs and beyond them.

        Beyond the ends the lines through the outer two pairs continue.
        """
        return interpolate(times, self.our_times, self.their_times)

    @property
    def drift(self) -> float:
        """Excess speed of the other clock, in parts per million."""
        slope = np.polyfit(self.our_times, self.their_times - self.our_times, 1)[0]
        return float(slope * 1e6)

    @property
    def residual(self) -> float:
        """Largest distance of an event from a linear relation of the clocks (s)."""
        fit = np.polyfit(self.our_times, self.their_times, 1)
        return float(np.abs(np.polyval(fit, self.our_times) - self.their_times).max())


def interpolate(times: Floats, known: Floats, values: Floats) -> Floats:
    """Interpolate linearly; the outer pieces continue beyond the ends. NaN stays NaN."""
    times = np.asarray(times, float)
    right = np.clip(np.searchsorted(known, times), 1, known.size - 1)
    left = right - 1
    slope = (values[right] - values[left]) / (known[right] - known[left])
    return slope * (times - known[left]) + values[left]


def match_events(ours: Floats, theirs: Floats, tolerance: float = BIN) -> Matched | None:
    """Pair the events of two clocks.

    Parameters
    ----------
    ours, theirs : array
        Times of the same kind of event by either clock, rising, s. Either may lack some, or have
        extra ones.
    tolerance : float
        Distance (s) within which two events are the same; less than most events are apart.

    Returns
    -------
    Matched or None
        None where fewer than two events match.
    """
    if min(ours.size, theirs.size) < 2:
        return None
    offset = _offset(ours, theirs, tolerance)
    pairs = pair_nearest(ours + offset, theirs, tolerance)
    if pairs[0].size < 2:
        return None
    for _ in range(ROUNDS):
        fit = _near_fit(ours[pairs[0]], theirs[pairs[1]])
        again = pair_nearest(fit(ours), theirs, tolerance)
        if again[0].size < 2 or np.array_equal(again, pairs):
            break
        pairs = again
    mine, others = pairs
    return Matched(mine, others, ours[mine], theirs[others])


def _offset(ours: Floats, theirs: Floats, width: float) -> float:
    """Return the shift with which most of our events fall into bins of theirs (s)."""
    start = min(ours[0], theirs[0])
    length = int(np.ceil((max(ours[-1], theirs[-1]) - start) / width)) + 1
    a, b = np.zeros(length), np.zeros(length)
    a[((ours - start) / width).astype(int)] = 1
    b[((theirs - start) / width).astype(int)] = 1
    # Number of coincident events for each shift by whole bins from -(length - 1) on.
    size = 2 * length - 1
    together = np.fft.irfft(np.fft.rfft(b, size) * np.fft.rfft(a, size).conj(), size)
    together = np.rint(np.roll(together, length - 1))
    # Events on both sides of a bin's edge count for two bins: their middle is the shift.
    both = together[1:] + together[:-1]
    best = int(np.argmax(both))
    rough = (best + 0.5 - (length - 1)) * width
    nearest = theirs[np.clip(np.searchsorted(theirs, ours + rough), 0, theirs.size - 1)]
    before = theirs[np.clip(np.searchsorted(theirs, ours + rough) - 1, 0, theirs.size - 1)]
    away = np.concatenate([nearest, before]) - np.concatenate([ours, ours])
    near = away[np.abs(away - rough) <= width]
    return float(np.median(near)) if near.size else rough


def _near_fit(ours: Floats, theirs: Floats) -> Callable[[Floats], Floats]:
    """Return a conversion that follows the pairs, and their linear relation beyond them."""
    slope, shift = np.polyfit(ours, theirs, 1)

    def convert(times: Floats) -> Floats:
        line = slope * times + shift
        return line + np.interp(times, ours, theirs - (slope * ours + shift))

    return convert


def pair_nearest(ours: Floats, theirs: Floats, tolerance: float) -> tuple[Indices, Indices]:
    """Return the pairs of events that are each other's nearest, within a tolerance.

    Parameters
    ----------
    ours, theirs : array
        Rising, s; at least two of either.
    tolerance : float
        s
    """
    forth, back = _nearest(ours, theirs), _nearest(theirs, ours)
    mine = np.flatnonzero(
        (back[forth] == np.arange(ours.size)) & (np.abs(theirs[forth] - ours) < tolerance)
    )
    return mine, forth[mine]


def _nearest(times: Floats, among: Floats) -> Indices:
    right = np.clip(np.searchsorted(among, times), 1, among.size - 1)
    left = right - 1
    return np.where(times - among[left] <= among[right] - times, left, right)
