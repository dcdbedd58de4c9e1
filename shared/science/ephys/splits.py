"""Which of a sorter's units are pieces of one neuron.

A neuron's spikes vary in size, more than noise alone would make them: they shrink in bursts, and
with the tissue's slow motion. Sorters that cluster then cut such a neuron in two, along the size
of its spikes. Two units are taken for pieces of one if

- the shapes of their mean waveforms are alike, whatever their size (cosine, as Kilosort's merges),
- they are no two groups of spikes: along the axis between their means they overlap,
- and they do not fire independently: no more spikes of both within the refractory period than a
  tenth of what chance would give, where chance would give enough of them to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEAR = 50.0
"""µm between the peaks of two pieces at most: two rows of a probe, and its width."""

AROUND = 60.0
"""µm around the peak in which waveforms are compared."""

ALIKE = 0.9
"""Least cosine of the mean waveforms, at the best shift."""

SHIFT = 10
"""Most samples by which two pieces may be aligned differently (a third of a ms at 30 kHz)."""

APART = 2.7
"""Standard deviations between the means from which on two units are two groups of spikes.

The halves of one normal group that was cut through its middle are so far apart (2.66).
"""

FEWEST = 10
"""Spikes that a unit's mean waveform needs to be judged."""

REFRACTORY = 1.5e-3
"""s in which a neuron does not fire again (as `unit_metrics`)."""

DUPLICATE = 0.5e-3
"""s within which spikes of two pieces are one spike, found twice."""

ENOUGH, MOST_OF_CHANCE = 10.0, 0.1
"""Coincidences by chance that are enough to tell, and the share of them that one neuron may have
(`unit_metrics` passes a tenth of foreign spikes)."""


@dataclass(frozen=True)
class Piece:
    """Units of a sorter that may be one neuron.

    Attributes
    ----------
    units
        Their numbers.
    times
        s, ascending.
    peak
        Place of the channel with the largest mean waveform, µm.
    waveforms
        Returns waveforms on given channels, aligned to their peaks; shape (spikes, samples,
        channels). A sample of the spikes is enough.
    """

    units: tuple[int, ...]
    times: Floats
    peak: Floats
    waveforms: Callable[[Ints], Floats]

    def joined(self, other: Piece) -> Piece:
        """Return both as one; a spike that both have counts once."""
        times = np.sort(np.concatenate([self.times, other.times]))
        larger = self if self.times.size >= other.times.size else other

        def both(channels: Ints) -> Floats:
            return np.concatenate([self.waveforms(channels), other.waveforms(channels)])

        once = times[np.diff(times, prepend=-np.inf) > DUPLICATE]
        return Piece(self.units + other.units, once, larger.peak, both)


def neurons(units: Sequence[Piece], places: Floats, duration: float) -> list[tuple[int, ...]]:
    """Return the units of each neuron that was cut in pieces.

    Parameters
    ----------
    units
        The units of a sorter.
    places : array, shape (channels, 2)
        µm.
    duration : float
        Duration of the recording, s.

    Returns
    -------
    list of tuple of int
        Numbers of at least two units.
    """
    waiting = [unit for unit in units if unit.times.size >= FEWEST]
    apart: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    while True:
        for one, other in combinations(waiting, 2):
            if (one.units, other.units) in apart:
                continue
            if _same(one, other, places, duration):
                waiting = [each for each in waiting if each is not one and each is not other]
                waiting.append(one.joined(other))
                break
            apart.add((one.units, other.units))
        else:
            return [each.units for each in waiting if len(each.units) > 1]


def _same(one: Piece, other: Piece, places: Floats, duration: float) -> bool:
    if np.linalg.norm(one.peak - other.peak) > NEAR:
        return False
    channels = np.flatnonzero(np.linalg.norm(places - one.peak, axis=1) <= AROUND)
    return of_one(one.waveforms(channels), other.waveforms(channels)) and not independent(
        one.times, other.times, duration
    )


def of_one(first: Floats, second: Floats) -> bool:
    """Tell whether spikes of two units are one group of one shape.

    Parameters
    ----------
    first, second : array, shape (spikes, samples, channels)
        Waveforms on the same channels near both peaks, aligned to their peaks.
    """
    if min(len(first), len(second)) < FEWEST:
        return False
    means = first.mean(axis=0), second.mean(axis=0)
    alike, shift = likeness(*means)
    if alike < ALIKE:
        return False
    n = first.shape[1] - SHIFT
    ours = first[:, SHIFT:n].reshape(len(first), -1)
    theirs = second[:, SHIFT + shift : n + shift].reshape(len(second), -1)
    return separation(ours, theirs) < APART


def likeness(first: Floats, second: Floats) -> tuple[float, int]:
    """Return the highest cosine of two mean waveforms, and the second's shift to it (samples)."""
    n = len(first) - SHIFT
    middle = first[SHIFT:n].ravel()
    best, at = -1.0, 0
    for shift in range(-SHIFT, SHIFT + 1):
        moved = second[SHIFT + shift : n + shift].ravel()
        size = float(np.linalg.norm(middle) * np.linalg.norm(moved))
        cosine = float(middle @ moved) / size if size else 0.0
        if cosine > best:
            best, at = cosine, shift
    return best, at


def separation(first: Floats, second: Floats) -> float:
    """Return how far two groups are apart along the axis between their means.

    In standard deviations within the groups. A spike is projected on the axis that the others
    give: its own noise would move it away from the other group.

    Parameters
    ----------
    first, second : array, shape (spikes, values)
    """
    one, other = _projected(first, second), -_projected(second, first)
    spread = np.sqrt((one.var() * one.size + other.var() * other.size) / (one.size + other.size))
    return float(abs(one.mean() - other.mean()) / spread) if spread else np.inf


def _projected(group: Floats, other: Floats) -> Floats:
    """Return a group's values along the axis from the other's mean to its own, from its middle."""
    n = len(group)
    own, far = group.mean(axis=0), other.mean(axis=0)
    axes = (n * own - group) / (n - 1) - far
    lengths = np.linalg.norm(axes, axis=1)
    centred = group - (own + far) / 2
    return np.einsum("ij,ij->i", centred, axes) / np.where(lengths > 0, lengths, 1)


def independent(first: Floats, second: Floats, duration: float) -> bool:
    """Tell whether two units surely fire independently, as two neurons do.

    Parameters
    ----------
    first, second : array, shape (spikes,)
        Times in s, ascending.
    duration : float
        Duration of the recording, s.
    """
    window = 2 * (REFRACTORY - DUPLICATE)
    chance = first.size * second.size * window / duration if duration > 0 else 0.0
    within, twice = (
        np.searchsorted(second, first + reach, "right")
        - np.searchsorted(second, first - reach, "left")
        for reach in (REFRACTORY, DUPLICATE)
    )
    near = int((within - twice).sum())
    return chance >= ENOUGH and near > MOST_OF_CHANCE * chance
