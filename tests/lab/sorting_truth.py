"""Sorted spikes held against those that a simulation has put into a recording."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

WITHIN = 0.4e-3
"""Seconds by which a spike that was found may be off."""

FOUND = 0.8
"""Agreement from which on a unit counts as found (SpikeInterface's ``well_detected_score``)."""

LOUD, OFTEN, MARGIN = 50e-6, 100, 40.0
"""A unit is well isolated with so many V, spikes, and µm from outer sites.

50 µV are the IBL's limit, and 8 times the simulated noise: SpikeForest's limit of signal to noise.
Units near others are not left out, however like theirs a unit's waveform is: `TrueUnit.likeness`
says how much.
"""

LAGS = range(-4, 5)
"""Samples by which two waveforms are shifted to find how alike they are."""


@dataclass(frozen=True)
class TrueUnit:
    """A simulated unit: its number, depth (µm), amplitude (V), spikes, and what was made of it.

    ``agreement`` is that of the best of the sorted ones, ``errors`` how far spikes are off (s).
    ``likeness`` is the cosine of its waveform and that of the recorded unit that is most like it
    (SpikeInterface's similarity of templates): 1 where only the amplitudes differ.
    """

    number: int
    depth: float
    volts: float
    n_spikes: int
    agreement: float
    errors: np.ndarray
    isolated: bool
    likeness: float = 0.0

    @property
    def found(self) -> bool:
        """Whether one sorted unit is it."""
        return self.agreement >= FOUND


def pairs(true: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return how far each matched spike is off (s): the nearest within `WITHIN`, each once."""
    if not found.size:
        return np.empty(0)
    at = np.searchsorted(found, true)
    left, right = np.clip(at - 1, 0, found.size - 1), np.clip(at, 0, found.size - 1)
    nearest = np.where(np.abs(found[left] - true) <= np.abs(found[right] - true), left, right)
    apart = found[nearest] - true
    # A missed spike's nearest one is another's: of two true ones, the nearer takes it.
    order = np.argsort(np.abs(apart), kind="stable")
    _, first = np.unique(nearest[order], return_index=True)
    apart = apart[np.sort(order[first])]
    return apart[np.abs(apart) <= WITHIN]


def compare(
    true: dict[str, np.ndarray], spikes: dict[str, np.ndarray], highest: float, seconds: float
) -> Iterator[TrueUnit]:
    """Yield each unit that was put in, with what was found of it.

    Parameters
    ----------
    true
        Files of `lab.simulate.spikes.simulate_sorting`.
    spikes
        ``times`` and ``clusters`` of what was sorted.
    highest
        Depth of the highest site that was recorded, µm.
    seconds
        What was recorded.
    """
    times, clusters = true["spikes.times.npy"], true["spikes.clusters.npy"]
    sorted_units = [
        spikes["times"][spikes["clusters"] == n] for n in np.unique(spikes["clusters"])
    ]
    alike = likeness(true, highest)
    for unit, depth in enumerate(true["clusters.depths.npy"]):
        if depth > highest:
            continue
        mine = (clusters == unit) & (times < seconds)
        own, volts = times[mine], float(np.median(true["spikes.amps.npy"][mine]))
        matched = [pairs(own, each) for each in sorted_units]
        agreement = [
            len(each) / (own.size + found.size - len(each))
            for each, found in zip(matched, sorted_units, strict=True)
        ]
        best = int(np.argmax(agreement)) if agreement else 0
        yield TrueUnit(
            number=unit,
            depth=float(depth),
            volts=volts,
            n_spikes=int(own.size),
            agreement=max(agreement, default=0.0),
            errors=matched[best] if matched else np.empty(0),
            likeness=alike[unit],
            isolated=volts >= LOUD and own.size >= OFTEN and MARGIN <= depth <= highest - MARGIN,
        )


def likeness(true: dict[str, np.ndarray], highest: float) -> dict[int, float]:
    """Return for each recorded unit how like its waveform is to the most similar other one's."""
    (recorded,) = np.nonzero(true["clusters.depths.npy"] <= highest)
    waveforms, places = (
        true[f"clusters.{name}.npy"][recorded] for name in ("waveforms", "waveformsChannels")
    )
    whole = np.zeros((len(recorded), waveforms.shape[1], int(places.max(initial=0)) + 1))
    for each, waveform, place in zip(whole, waveforms, places, strict=True):
        each[:, place] = waveform
    whole /= np.linalg.norm(whole, axis=(1, 2), keepdims=True)
    flat = whole.reshape(len(recorded), -1)
    cosines = np.max([np.roll(whole, lag, 1).reshape(flat.shape) @ flat.T for lag in LAGS], axis=0)
    np.fill_diagonal(cosines, 0)
    return dict(zip(recorded.tolist(), cosines.max(axis=1, initial=0).tolist(), strict=True))
