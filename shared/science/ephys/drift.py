"""Spikes over time and depth, which show how the brain moved along the probe."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shared.science.behaviour.curves import plain
from shared.science.ephys.rasters import MAX_POINTS, thinned


def drift_map(
    times: ArrayLike,
    depths: ArrayLike,
    amplitudes: ArrayLike | None = None,
    time_bin: float = 1.0,
    depth_bin: float = 20.0,
    max_cells: int = 400_000,
) -> dict[str, Any]:
    """Return spike counts by time and depth, which show how the brain moved along the probe.

    Parameters
    ----------
    times, depths : arrays, shape (n_spikes,)
        s and µm.
    amplitudes : array, shape (n_spikes,), optional
        V; given, each spike counts with its amplitude in µV.
    time_bin, depth_bin : float
        s and µm; the time bin is widened if there would be more cells than a page can draw.
    max_cells : int

    Returns
    -------
    dict
        `time` (s) and `depth` (µm): left and lower edges of the cells; `value`: one row per
        depth; `time_bin`, `depth_bin` as used.
    """
    t, d = np.asarray(times, float), np.asarray(depths, float)
    weight = np.ones(t.size) if amplitudes is None else np.asarray(amplitudes, float) * 1e6
    ok = np.isfinite(t) & np.isfinite(d) & np.isfinite(weight)
    t, d, weight = t[ok], d[ok], weight[ok]
    if t.size == 0:
        return {"time": [], "depth": [], "value": [], "time_bin": time_bin, "depth_bin": depth_bin}
    first_depth = np.floor(d.min() / depth_bin) * depth_bin
    n_depths = int((d.max() - first_depth) // depth_bin) + 1
    wanted = (t[-1] - t[0]) / time_bin * n_depths
    time_bin *= max(1.0, float(np.ceil(wanted / max_cells)))
    first_time = np.floor(t.min() / time_bin) * time_bin
    n_times = int((t.max() - first_time) // time_bin) + 1
    row = ((d - first_depth) // depth_bin).astype(int)
    col = ((t - first_time) // time_bin).astype(int)
    value = np.bincount(row * n_times + col, weight, n_depths * n_times).reshape(n_depths, n_times)
    return {
        "time": plain(first_time + np.arange(n_times) * time_bin, 3),
        "depth": plain(first_depth + np.arange(n_depths) * depth_bin, 3),
        "value": [plain(line, 1) for line in value],
        "time_bin": time_bin,
        "depth_bin": depth_bin,
    }


def depth_raster(
    times: ArrayLike,
    depths: ArrayLike,
    amplitudes: ArrayLike,
    start: float,
    end: float,
    max_points: int = MAX_POINTS,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the spikes of all depths in a stretch of time, for example around a trial.

    Returns
    -------
    dict
        `time` (s), `depth` (µm) and `amplitude` (µV) of each spike, thinned at random to at most
        `max_points`; `n_spikes` before.
    """
    t = np.asarray(times, float)
    first, last = np.searchsorted(t, [start, end])
    at = first + thinned(int(last - first), max_points, seed)
    return {
        "time": plain(t[at], 4),
        "depth": plain(np.asarray(depths, float)[at], 1),
        "amplitude": plain(np.asarray(amplitudes, float)[at] * 1e6, 1),
        "n_spikes": int(last - first),
    }


def amplitude_over_time(
    times: ArrayLike, amplitudes: ArrayLike, max_points: int = MAX_POINTS, seed: int = 0
) -> dict[str, Any]:
    """Return the amplitudes (µV) of a unit against time (s), thinned at random."""
    t, a = np.asarray(times, float), np.asarray(amplitudes, float)
    at = thinned(t.size, max_points, seed)
    return {"time": plain(t[at], 2), "amplitude": plain(a[at] * 1e6, 1), "n_spikes": t.size}
