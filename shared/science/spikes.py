"""Sorted spikes: rasters, rates around events, correlograms, drift, and the quality of units.

Arrays are those of ONE files: spike times in seconds ascending, amplitudes in volts, depths in
µm along the probe. What is meant for a page is plain lists, thinned where there are more points
than a page can draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import poisson

from shared.science.behaviour import Trials, column, contrasts, plain
from shared.science.psychometric import Floats

Ints = NDArray[np.int64]
Align = Literal["stimulus", "movement", "feedback"]
Sort = Literal["trial", "contrast", "latency", "feedback"]

ALIGN: dict[Align, str] = {
    "stimulus": "stimOn_times",
    "movement": "firstMovement_times",
    "feedback": "feedback_times",
}
"""Column of the trials each alignment is to."""

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
_MAX_POINTS = 20_000
_SAMPLE = 1 / 30_000

SLIDING_RP_CONTAMINATION = 0.10
SLIDING_RP_CONFIDENCE = 0.90
NOISE_CUTOFF = 5.0
MEDIAN_AMPLITUDE = 50e-6
"""V; with the two before: the three single-unit criteria of the IBL spike-sorting paper."""
_PRESENCE_WINDOW = 10.0
_REFRACTORY = 1.5e-3


def usable_trials(trials: Trials) -> NDArray[np.bool_]:
    """Tell which trials a raster shows: answered, complete, and shorter than 5 s to feedback."""
    duration = column(trials, "feedback_times") - column(trials, "stimOn_times")
    with np.errstate(invalid="ignore"):
        return (column(trials, "choice") != 0) & (duration < _LONGEST_TRIAL)


def around(
    times: ArrayLike, events: ArrayLike, window: tuple[float, float]
) -> tuple[Floats, Ints]:
    """Return spike times relative to each event, and which event each belongs to.

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
        Index into `events`; a spike near two events is there twice.
    """
    spikes, at = np.asarray(times, float), np.asarray(events, float)
    known = np.flatnonzero(np.isfinite(at))
    first = np.searchsorted(spikes, at[known] + window[0])
    last = np.searchsorted(spikes, at[known] + window[1])
    count = last - first
    event = np.repeat(known, count)
    index = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return spikes[np.repeat(first, count) + index] - at[event], event


def raster(
    times: ArrayLike,
    trials: Trials,
    align: Align = "stimulus",
    sort: Sort = "trial",
    window: tuple[float, float] = WINDOW,
    max_points: int = _MAX_POINTS,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the raster of one unit over the usable trials of a session.

    Parameters
    ----------
    times : array, shape (n_spikes,)
        Of one unit, s.
    trials : mapping of columns
    align, sort : str
        See :data:`ALIGN_SORT`; latency is from stimulus to first movement (or to feedback, when
        aligned to movement).
    window : (start, end)
        s.
    max_points : int
        More spikes are thinned at random.
    seed : int
        Of the thinning.

    Returns
    -------
    dict
        `time` (s) and `row` of each spike; `rows`: per row, top to bottom, `trial` (0-based),
        `contrast` (signed percent), `correct`, `side` ('left', 'right' or 'zero') and `mark`
        (s, the event the latency is to); `n_spikes` before thinning.
    """
    kept = np.flatnonzero(usable_trials(trials) & np.isfinite(column(trials, ALIGN[align])))
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
    rows = kept[np.argsort(keys[sort][kept], kind="stable")]
    relative, row = around(times, events[rows], window)
    n_spikes = relative.size
    keep = _thin(n_spikes, max_points, seed)
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


def autocorrelogram(
    times: ArrayLike, bin_width: float = 0.2e-3, window: float = 20e-3
) -> dict[str, Any]:
    """Return how often a unit fires some time after itself.

    Parameters
    ----------
    times : array, shape (n_spikes,)
        Ascending, s.
    bin_width, window : float
        s; the correlogram reaches from −window to +window.

    Returns
    -------
    dict
        `lag` (bin centres, ms), `count` of pairs, and `rate` (Hz) given a spike at 0.
    """
    n_bins = round(window / bin_width)
    half = _pair_counts(np.asarray(times, float), bin_width, n_bins)
    counts = np.concatenate([half[::-1], half])
    lag = (np.arange(-n_bins, n_bins) + 0.5) * bin_width * 1e3
    n = np.asarray(times).size
    rate = counts / (n * bin_width) if n else np.zeros(counts.size)
    return {"lag": plain(lag, 4), "count": counts.tolist(), "rate": plain(rate, 3)}


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
    max_points: int = _MAX_POINTS,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the spikes of all depths in a stretch of time, of an example trial say.

    Returns
    -------
    dict
        `time` (s), `depth` (µm) and `amplitude` (µV) of each spike, thinned at random to at most
        `max_points`; `n_spikes` before.
    """
    t = np.asarray(times, float)
    first, last = np.searchsorted(t, [start, end])
    at = first + _thin(int(last - first), max_points, seed)
    return {
        "time": plain(t[at], 4),
        "depth": plain(np.asarray(depths, float)[at], 1),
        "amplitude": plain(np.asarray(amplitudes, float)[at] * 1e6, 1),
        "n_spikes": int(last - first),
    }


def amplitude_over_time(
    times: ArrayLike, amplitudes: ArrayLike, max_points: int = _MAX_POINTS, seed: int = 0
) -> dict[str, Any]:
    """Return the amplitudes (µV) of a unit against time (s), thinned at random."""
    t, a = np.asarray(times, float), np.asarray(amplitudes, float)
    at = _thin(t.size, max_points, seed)
    return {"time": plain(t[at], 2), "amplitude": plain(a[at] * 1e6, 1), "n_spikes": t.size}


def depth_peth(
    times: ArrayLike,
    depths: ArrayLike,
    events: ArrayLike,
    window: tuple[float, float] = WINDOW,
    bin_width: float = 0.02,
    depth_bin: float = 80.0,
    baseline: tuple[float, float] = (-0.4, 0.0),
) -> dict[str, Any]:
    """Return rates around events by depth, as z-scores of the time before them.

    Parameters
    ----------
    times, depths : arrays, shape (n_spikes,)
        Of all units, ascending in time; s and µm.
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


def sliding_rp_confidence(
    times: ArrayLike, duration: float, contamination: float = SLIDING_RP_CONTAMINATION
) -> float:
    """Return how sure one can be that a unit is less contaminated than this.

    Tries every refractory period from 0.5 to 10 ms: were the unit contaminated at the limit, the
    spikes of others would fall into the period at a known rate; the fewer do, the surer one is.
    The surest period counts (Llobet et al. 2022, sliding refractory period).

    Parameters
    ----------
    times : array, shape (n_spikes,)
        Ascending, s.
    duration : float
        Of the recording, s.
    contamination : float
        Fraction of the firing rate.

    Returns
    -------
    float
        Between 0 and 1; 0 without spikes.
    """
    t = np.asarray(times, float)
    if t.size == 0 or duration <= 0:
        return 0.0
    n_bins = round(10e-3 / _SAMPLE)
    violations = np.cumsum(_pair_counts(t, _SAMPLE, n_bins))
    period = (np.arange(n_bins) + 1) * _SAMPLE
    expected = 2 * t.size * contamination * (t.size / duration) * period
    confidence = 1 - poisson.cdf(violations, expected)
    return float(confidence[period >= 0.5e-3].max())


def noise_cutoff(amplitudes: ArrayLike, n_bins: int = 100) -> tuple[float, bool]:
    """Return how far the lowest amplitudes stick out, and whether the unit passes.

    A unit cut off by the detection threshold has many spikes in its lowest amplitude bin; a
    whole one has about as few there as in the upper quarter of its distribution.

    Parameters
    ----------
    amplitudes : array, shape (n_spikes,)
        Any unit.
    n_bins : int
        Of the amplitude histogram.

    Returns
    -------
    cutoff : float
        Height of the low bin, in standard deviations of the upper quarter's bins; NaN if it
        cannot be told.
    passed : bool
        False only if the cutoff is known, above 5, and the low bin above 10 % of the peak, or if
        nothing can be told.
    """
    a = np.asarray(amplitudes, float)
    a = a[np.isfinite(a)]
    if a.size < 2 or a.max() <= 0:
        return float("nan"), False
    heights = np.histogram(a, np.linspace(0, a.max(), n_bins))[0]
    peak = int(heights.argmax())
    above_peak = np.count_nonzero(heights[peak:-1])
    # A quarter of the whole is half of what lies above the peak.
    high = heights[int(np.ceil(0.5 * above_peak + peak)) :]
    high = high[high > 0]
    filled = heights[heights > 0]
    if high.size == 0 or high.std() == 0 or filled.size < 2:
        return float("nan"), False
    low = filled[1]
    cutoff = float((low - high.mean()) / high.std())
    return cutoff, not (cutoff > NOISE_CUTOFF and low > 0.1 * heights.max())


def unit_quality(
    times: ArrayLike,
    amplitudes: ArrayLike,
    duration: float,
    depths: ArrayLike | None = None,
) -> dict[str, Any]:
    """Return the metrics and the label of one unit.

    Parameters
    ----------
    times, amplitudes : arrays, shape (n_spikes,)
        Ascending, s; V.
    duration : float
        Of the recording, s.
    depths : array, shape (n_spikes,), optional
        µm, for the drift.

    Returns
    -------
    dict
        `label` (0, 1/3, 2/3 or 1: share of the three criteria passed), `bitwise_fail` (1 sliding
        refractory period, 2 noise cutoff, 4 median amplitude), `sliding_rp_confidence`,
        `noise_cutoff`, `median_amplitude_uv`, `presence_ratio`, `missed_spikes_est`,
        `contamination`, `firing_rate` (Hz), `drift` (µm/h), `n_spikes`. None where unknown.
    """
    t, a = np.asarray(times, float), np.asarray(amplitudes, float)
    confidence = sliding_rp_confidence(t, duration)
    cutoff, noise_passed = noise_cutoff(a)
    finite = a[np.isfinite(a)]
    amplitude = float(np.median(finite)) if finite.size else float("nan")
    failed = [
        confidence < SLIDING_RP_CONFIDENCE,
        not noise_passed,
        not amplitude > MEDIAN_AMPLITUDE,
    ]
    numbers = {
        "sliding_rp_confidence": confidence,
        "noise_cutoff": cutoff,
        "median_amplitude_uv": amplitude * 1e6,
        "presence_ratio": presence_ratio(t, duration),
        "missed_spikes_est": missed_spikes(finite),
        "contamination": contamination(t, duration),
        "firing_rate": t.size / duration if duration > 0 else float("nan"),
        "drift": _drift(t, depths),
    }
    return {
        "label": (3 - sum(failed)) / 3,
        "bitwise_fail": sum(int(bad) << bit for bit, bad in enumerate(failed)),
        "n_spikes": int(t.size),
        **{name: plain(np.array([value]), 5)[0] for name, value in numbers.items()},
    }


def units_quality(spikes: Mapping[str, Any], duration: float | None = None) -> dict[int, dict]:
    """Return :func:`unit_quality` of every unit of an object `spikes`.

    Parameters
    ----------
    spikes : mapping
        `times`, `clusters`, `amps` and, if there, `depths`.
    duration : float, optional
        Of the recording, s; default: until the last spike.

    Returns
    -------
    dict of cluster to dict
    """
    times, clusters = np.asarray(spikes["times"], float), np.asarray(spikes["clusters"])
    if duration is None:
        duration = float(times[-1]) if times.size else 0.0
    order = np.argsort(clusters, kind="stable")
    ids, first = np.unique(clusters[order], return_index=True)
    depths = np.asarray(spikes["depths"], float) if "depths" in spikes else None
    out = {}
    for cluster, index in zip(ids, np.split(order, first[1:]), strict=True):
        own_depths = depths[index] if depths is not None else None
        amplitudes = np.asarray(spikes["amps"], float)[index]
        out[int(cluster)] = unit_quality(times[index], amplitudes, duration, own_depths)
    return out


def presence_ratio(times: ArrayLike, duration: float, window: float = _PRESENCE_WINDOW) -> float:
    """Return the fraction of windows of the recording in which the unit fires."""
    n = int(np.ceil(duration / window))
    if n == 0:
        return float("nan")
    filled = np.unique((np.asarray(times, float) // window).astype(int))
    return float(np.count_nonzero((filled >= 0) & (filled < n)) / n)


def contamination(times: ArrayLike, duration: float, refractory: float = _REFRACTORY) -> float:
    """Return the estimated fraction of foreign spikes (Hill et al. 2011); 0.5 at worst.

    Parameters
    ----------
    times : array, shape (n_spikes,)
        Ascending, s.
    duration : float
        s.
    refractory : float
        Period in which a neuron cannot fire again, s.
    """
    t = np.asarray(times, float)
    if t.size == 0:
        return float("nan")
    violations = np.count_nonzero(np.diff(t) < refractory)
    inside = 1 - 2 * violations * duration / (refractory * t.size**2)
    return 0.5 if inside < 0 else float((1 - np.sqrt(inside)) / 2)


def missed_spikes(amplitudes: ArrayLike, n_bins: int = 500) -> float:
    """Return the estimated fraction of spikes below the detection threshold, 0 to 0.5.

    Takes the amplitudes as symmetric about their mode: as many are missing below the least as
    lie above the level where the upper flank has fallen as low as the lower one starts.
    """
    a = np.asarray(amplitudes, float)
    if a.size < 2 or a.min() == a.max():
        return float("nan")
    heights, edges = np.histogram(a, n_bins, density=True)
    width = n_bins // 25
    kernel = np.hanning(2 * width + 1) / width
    # Beyond its edge the histogram goes on level: a cut must not look like a flank.
    smooth = np.convolve(np.pad(heights, width, mode="edge"), kernel, mode="valid")
    peak = int(smooth.argmax())
    level = int(np.argmin(np.abs(smooth[peak:] - smooth[0]))) + peak
    share = heights[level:].sum() * (edges[1] - edges[0])
    return float(min(share, 0.5))


def _pair_counts(times: Floats, bin_width: float, n_bins: int) -> Ints:
    """Count the pairs of spikes by the time between them, in bins from 0 up."""
    counts = np.zeros(n_bins, np.int64)
    lag = 1
    while lag < times.size:
        gap = times[lag:] - times[:-lag]
        # Rounding first, so that a gap of whole samples does not fall just below its bin.
        bins = np.floor(np.round(gap / bin_width, 6)).astype(np.int64)
        near = bins < n_bins
        if not near.any():
            break
        counts += np.bincount(bins[near], minlength=n_bins)[:n_bins]
        lag += 1
    return counts


def _drift(times: Floats, depths: ArrayLike | None) -> float:
    """Return the way the unit's depth moves, from one window of 10 s to the next, in µm/h."""
    if depths is None or times.size == 0:
        return float("nan")
    d = np.asarray(depths, float)
    ok = np.isfinite(d)
    window = (times[ok] // _PRESENCE_WINDOW).astype(int)
    if window.size == 0 or window[-1] == window[0]:
        return float("nan")
    n = np.bincount(window - window[0])
    mean = (np.bincount(window - window[0], d[ok]) / np.maximum(n, 1))[n > 0]
    hours = (window[-1] - window[0]) * _PRESENCE_WINDOW / 3600
    return float(np.abs(np.diff(mean)).sum() / hours)


def _thin(n: int, most: int, seed: int) -> Ints:
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def rasters(
    times: ArrayLike, trials: Trials, pairs: Sequence[tuple[Align, Sort]] = ALIGN_SORT
) -> list[dict[str, Any]]:
    """Return the rasters of a cell page, one per pair of alignment and order."""
    return [raster(times, trials, align, sort) for align, sort in pairs]
