"""Simulated sorted spikes of a probe, in ONE files, for demonstrations and tests of the pages.

Units fire at random, more around the events of the trials they are tuned to, and drift slowly
along the probe. Nothing here is a model of a brain; all of it is synthetic.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

N_CHANNELS = 384
NEAREST, MARGIN = 20.0, 20.0
"""Least distance of two neurons, and how far they may lie beside the sites, µm.

They are ``minimum_distance`` and ``margin_um`` of SpikeInterface's generator of ground truth
(``generate_unit_locations``, 0.105).
"""

EVENTS = ("stimOn_times", "firstMovement_times", "feedback_times")


def simulate_sorting(
    trials: pd.DataFrame, *, seed: int, n_units: int = 40
) -> dict[str, np.ndarray]:
    """Return the files of a probe's sorted spikes.

    Parameters
    ----------
    trials : DataFrame
        Trials table (ONE convention); events in s.
    seed : int
    n_units : int

    Returns
    -------
    dict of array
        By file name: spikes (times s, clusters, amps V, depths µm), clusters (channels, depths,
        waveforms V, waveformsChannels), channels (localCoordinates µm).
    """
    rng = np.random.default_rng(seed)
    end = float(np.nanmax(trials["response_times"])) + 10
    depths = np.sort(rng.uniform(60, 3780, n_units))
    volts = rng.lognormal(np.log(90e-6), 0.45, n_units)
    parts: list[tuple[np.ndarray, ...]] = []
    for unit in range(n_units):
        times = _fire(rng, rng.lognormal(1.2, 0.8), end)
        event = EVENTS[unit % len(EVENTS)]
        if event in trials:
            times = np.concatenate([times, _respond(rng, trials, event, side=unit % 4)])
        times = np.sort(times[(times > 0) & (times < end)])
        times = times[np.diff(times, prepend=-1) > 2e-3]
        sway = 25 * np.sin(times / end * 5) + rng.normal(0, 6, times.size)
        amps = volts[unit] * rng.normal(1, 0.14, times.size).clip(0.3)
        parts.append((times, np.full(times.size, unit), amps, depths[unit] + sway))
    times, clusters, amps, at = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(times, kind="stable")
    y = np.arange(N_CHANNELS) // 2 * 20.0
    coordinates = np.column_stack([np.tile([16.0, 48.0, 0.0, 32.0], N_CHANNELS // 4), y])
    # A separate generator keeps a seed's spikes: each neuron has its own position and shape.
    own = np.random.default_rng([seed, 1])
    places = np.column_stack([_apart(own.uniform(0, 48, n_units), depths, seed), depths])
    shapes = _shapes(own, n_units)
    apart = np.linalg.norm(coordinates[None] - places[:, None], axis=2)
    nearest = apart.argmin(axis=1)
    around = np.clip(nearest[:, None] + np.arange(-8, 8), 0, N_CHANNELS - 1)
    fall = np.exp(-np.take_along_axis(apart - apart.min(axis=1)[:, None], around, axis=1) / 45)
    waveforms = shapes[:, :, None] * fall[:, None, :] * volts[:, None, None]
    return {
        "spikes.times.npy": times[order],
        "spikes.clusters.npy": clusters[order].astype(np.int32),
        "spikes.amps.npy": amps[order],
        "spikes.depths.npy": at[order],
        "clusters.channels.npy": nearest.astype(np.int32),
        "clusters.depths.npy": depths,
        "clusters.waveforms.npy": waveforms.astype(np.float32),
        "clusters.waveformsChannels.npy": around.astype(np.int32),
        "channels.localCoordinates.npy": coordinates,
    }


def write_sorting(files: dict[str, Any], folder: Path) -> None:
    """Write the files of :func:`simulate_sorting` into a collection's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        np.save(folder / name, content)


def _apart(across: np.ndarray, depths: np.ndarray, seed: int) -> np.ndarray:
    """Return positions across the probe (µm) at which no neuron is too near to another.

    Those that are too near are drawn anew, at their depth; where there is no room, the place
    farthest from the others is taken.

    Parameters
    ----------
    across, depths : array of (n_units,)
        Positions, µm; depths ascend.
    seed : int
    """
    rng = np.random.default_rng([seed, 2])
    placed = across.copy()
    for unit in range(1, len(placed)):
        near = np.flatnonzero(depths[unit] - depths[:unit] < NEAREST)
        drawn = np.concatenate([placed[[unit]], rng.uniform(-MARGIN, 48 + MARGIN, 100)])
        gaps = np.hypot(drawn[:, None] - placed[near], depths[unit] - depths[near])
        least = gaps.min(axis=1, initial=NEAREST)
        placed[unit] = drawn[least.argmax()]  # the first of the best: its own place, if it is good
    return placed


def _fire(rng: np.random.Generator, rate: float, end: float) -> np.ndarray:
    return rng.uniform(0, end, rng.poisson(rate * end))


def _respond(rng: np.random.Generator, trials: pd.DataFrame, event: str, side: int) -> np.ndarray:
    """Return extra spikes in the 300 ms after an event, stronger on the unit's own side."""
    at = trials[event].to_numpy(float)
    right = trials["contrastRight"].notna().to_numpy()
    strength = np.where(right == (side % 2 == 0), 9.0, 2.5)
    count = rng.poisson(np.where(np.isfinite(at), strength, 0))
    start = np.repeat(np.nan_to_num(at), count)
    return start + 0.05 + rng.gamma(2.0, 0.06, start.size)


def _shapes(rng: np.random.Generator, n_units: int) -> np.ndarray:
    """Return spikes of 82 samples at 30 kHz: a trough at a third, then a slow hump.

    Shape (units, samples). They are as broad as those of fast-spiking cells, or of others.
    """
    t = (np.arange(82) - 27) / 30
    wide = rng.uniform(0.6, 1.4, n_units)[:, None]
    hump = rng.uniform(0.15, 0.55, n_units)[:, None]
    trough = -np.exp(-((t[None] / (0.13 * wide)) ** 2))
    return trough + hump * np.exp(-(((t[None] - 0.42 * wide) / (0.25 * wide)) ** 2))
