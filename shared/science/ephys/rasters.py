"""Sorted spikes around events: rasters and rates, by trial and by depth.

Arrays are those of ONE files: spike times in seconds ascending, amplitudes in volts, depths in
µm along the probe. Values for a page are plain lists, thinned if there are more points
than a page can draw.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.science.behaviour.curves import Trials, column, contrasts, plain
from shared.science.behaviour.psychometric import Floats

Ints = NDArray[np.int64]
Align = Literal["stimulus", "movement", "feedback"]
Sort = Literal["trial", "contrast", "latency", "feedback"]

ALIGN: dict[Align, str] = {
    "stimulus": "stimOn_times",
    "movement": "firstMovement_times",
    "feedback": "feedback_times",
}
"""Column of the trials for each alignment."""

ALIGN_SORT: tuple[tuple[Align, Sort], ...] = (
    ("stimulus", "trial"),
    ("stimulus", "contrast"),
    ("stimulus", "latency"),
    ("stimulus", "feedback"),
    ("movement", "trial"),
    ("movement", "latency"),
    ("movement", "feedback"),
    ("feedback", "trial"),
    ("feedback", "latency"),
)
"""The nine pairs of alignment and order that the cell pages show."""

WINDOW = (-1.0, 1.0)
_LONGEST_TRIAL = 5.0
MAX_POINTS = 20_000


def usable_trials(trials: Trials) -> NDArray[np.bool_]:
    """Tell which trials a raster shows: answered, complete, less than 5 s to feedback."""
    duration = column(trials, "feedback_times") - column(trials, "stimOn_times")
    with np.errstate(invalid="ignore"):
        return (column(trials, "choice") != 0) & (duration < _LONGEST_TRIAL)


def around(
    times: ArrayLike, events: ArrayLike, window: tuple[float, float]
) -> tuple[Floats, Ints]:
    """Return spike times relative to each event, and the event of each spike.

    Parameters
    ----------
    times : array, shape (n_spikes,)
        Ascending, s.
    events : array, shape (n_events,)
        s; NaN has no spikes.
    window : (start, end)
        Relative to the event, s.

    Returns
    -------
    relative : array, shape (n,)
    event : array of int, shape (n,)
        Index into `events`; a spike near two events appears twice.
    """
    spikes, at = np.asarray(times, float), np.asarray(events, float)
    finite = np.flatnonzero(np.isfinite(at))
    first = np.searchsorted(spikes, at[finite] + window[0])
    last = np.searchsorted(spikes, at[finite] + window[1])
    count = last - first
    event = np.repeat(finite, count)
    index = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return spikes[np.repeat(first, count) + index] - at[event], event


def raster(
    times: ArrayLike,
    trials: Trials,
    align: Align = "stimulus",
    sort: Sort = "trial",
    window: tuple[float, float] = WINDOW,
    max_points: int = MAX_POINTS,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the raster of one unit over the usable trials of a session.

    Parameters
    ----------
    times : array, shape (n_spikes,)
        Spikes of one unit, s.
    trials : mapping of columns
    align, sort : str
        See :data:`ALIGN_SORT`; latency is from stimulus to first movement (or to feedback, if
        aligned to movement).
    window : (start, end)
        s.
    max_points : int
        More spikes are thinned at random.
    seed : int
        Seed of the thinning.

    Returns
    -------
    dict
        `time` (s) and `row` of each spike; `rows`: per row, top to bottom, `trial` (0-based),
        `contrast` (signed percent), `correct`, `side` ('left', 'right' or 'zero') and `mark`
        (s, the event the latency is to); `n_spikes` before thinning.
    """
    shown_trials = np.flatnonzero(
        usable_trials(trials) & np.isfinite(column(trials, ALIGN[align]))
    )
    events = column(trials, ALIGN[align])
    other = column(trials, "firstMovement_times" if align == "stimulus" else "stimOn_times")
    if align == "movement":
        other = column(trials, "feedback_times")
    latency = other - events
    contrast = contrasts(trials)
    correct = column(trials, "feedbackType") == 1
    keys: dict[Sort, Floats] = {
        "trial": np.arange(contrast.size, dtype=float),
        "contrast": contrast,
        "latency": np.abs(latency),
        "feedback": correct.astype(float),
    }
    rows = shown_trials[np.argsort(keys[sort][shown_trials], kind="stable")]
    relative, row = around(times, events[rows], window)
    n_spikes = relative.size
    keep = thinned(n_spikes, max_points, seed)
    return {
        "time": plain(relative[keep], 4),
        "row": row[keep].tolist(),
        "n_spikes": int(n_spikes),
        "align": align,
        "sort": sort,
        "window": list(window),
        "rows": [
            {
                "trial": int(i),
                "contrast": float(contrast[i]),
                "correct": bool(correct[i]),
                "side": "left" if contrast[i] < 0 else "right" if contrast[i] > 0 else "zero",
                "mark": round(float(latency[i]), 4) if np.isfinite(latency[i]) else None,
            }
            for i in rows
        ],
    }


def psth(
    times: ArrayLike,
    events: ArrayLike,
    window: tuple[float, float] = WINDOW,
    bin_width: float = 0.025,
) -> dict[str, Any]:
    """Return the firing rate around events, mean and standard error over events.

    Parameters
    ----------
    times : array, shape (n_spikes,)
        Ascending, s.
    events : array, shape (n_events,)
        s; NaN is left out.
    window : (start, end)
        s.
    bin_width : float
        s.

    Returns
    -------
    dict
        `time` (bin centres, s), `mean` and `error` (Hz, one per bin; None without events) and
        `n`, the events.
    """
    at = np.asarray(events, float)
    at = at[np.isfinite(at)]
    n_bins = round((window[1] - window[0]) / bin_width)
    relative, event = around(times, at, window)
    bins = np.clip(((relative - window[0]) / bin_width).astype(int), 0, n_bins - 1)
    counts = np.zeros((at.size, n_bins))
    np.add.at(counts, (event, bins), 1)
    rate = counts / bin_width
    nothing = np.full(n_bins, np.nan)
    mean = rate.mean(axis=0) if at.size else nothing
    error = rate.std(axis=0, ddof=1) / np.sqrt(at.size) if at.size > 1 else nothing
    centres = window[0] + (np.arange(n_bins) + 0.5) * bin_width
    return {
        "time": plain(centres, 5),
        "mean": plain(mean, 3),
        "error": plain(error, 3),
        "n": at.size,
    }


def psth_by_event(
    times: ArrayLike, trials: Trials, align: Align = "stimulus", bin_width: float = 0.025
) -> dict[str, dict[str, Any]]:
    """Return the rates around an event of left, right, incorrect and all usable trials.

    Returns
    -------
    dict
        `left`, `right` (correct trials of that side), `incorrect`, `all`, each as :func:`psth`.
    """
    kept, contrast = usable_trials(trials), contrasts(trials)
    correct = column(trials, "feedbackType") == 1
    events = column(trials, ALIGN[align])
    groups = {
        "left": kept & correct & (contrast < 0),
        "right": kept & correct & (contrast > 0),
        "incorrect": kept & ~correct,
        "all": kept,
    }
    return {name: psth(times, events[group], WINDOW, bin_width) for name, group in groups.items()}


def depth_peth(
    times: ArrayLike,
    depths: ArrayLike,
    events: ArrayLike,
    window: tuple[float, float] = WINDOW,
    bin_width: float = 0.02,
    depth_bin: float = 80.0,
    baseline: tuple[float, float] = (-0.4, 0.0),
) -> dict[str, Any]:
    """Return rates around events by depth, as z-scores of the baseline.

    Parameters
    ----------
    times, depths : arrays, shape (n_spikes,)
        Spikes of all units, ascending in time; s and µm.
    events : array, shape (n_events,)
        s; NaN is left out.
    window, baseline : (start, end)
        s.
    bin_width, depth_bin : float
        s and µm.

    Returns
    -------
    dict
        `time` (bin centres, s), `depth` (lower edges, µm), `z` and `rate` (Hz): one row per
        depth. z is None where the baseline does not vary.
    """
    t, d = np.asarray(times, float), np.asarray(depths, float)
    ok = np.isfinite(d)
    t, d = t[ok], d[ok]
    at = np.asarray(events, float)
    at = at[np.isfinite(at)]
    n_bins = round((window[1] - window[0]) / bin_width)
    centres = window[0] + (np.arange(n_bins) + 0.5) * bin_width
    first = np.floor(d.min() / depth_bin) * depth_bin if d.size else 0.0
    n_depths = int((d.max() - first) // depth_bin) + 1 if d.size else 0
    rate, z = np.zeros((n_depths, n_bins)), np.full((n_depths, n_bins), np.nan)
    before = (centres >= baseline[0]) & (centres < baseline[1])
    band = ((d - first) // depth_bin).astype(int)
    for i in range(n_depths if at.size else 0):
        relative, _ = around(t[band == i], at, window)
        counts = np.histogram(relative, n_bins, window)[0]
        rate[i] = counts / (at.size * bin_width)
        spread = rate[i, before].std()
        if spread > 0:
            z[i] = (rate[i] - rate[i, before].mean()) / spread
    return {
        "time": plain(centres, 4),
        "depth": plain(first + np.arange(n_depths) * depth_bin, 1),
        "z": [plain(row, 2) for row in z],
        "rate": [plain(row, 2) for row in rate],
        "n": int(at.size),
    }


def thinned(n: int, most: int, seed: int) -> Ints:
    """Return the indices of at most `most` of `n` points, drawn at random, ascending."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))
