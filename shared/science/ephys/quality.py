"""The quality of sorted units: refractory violations, noise cut-off, presence, amplitude.

Spike times are in seconds ascending, amplitudes in volts, depths in µm along the probe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import poisson

from shared.science.behaviour.curves import plain
from shared.science.behaviour.psychometric import Floats
from shared.science.ephys.rasters import Ints

_SAMPLE = 1 / 30_000

SLIDING_RP_CONTAMINATION = 0.10
SLIDING_RP_CONFIDENCE = 0.90
NOISE_CUTOFF = 5.0
MEDIAN_AMPLITUDE = 50e-6
"""V; with the two limits above: the single-unit criteria of the IBL spike-sorting paper."""
_PRESENCE_WINDOW = 10.0
_REFRACTORY = 1.5e-3


def autocorrelogram(
    times: ArrayLike, bin_width: float = 0.2e-3, window: float = 20e-3
) -> dict[str, Any]:
    """Return the rate at which a unit fires some time after its own spikes.

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


def sliding_rp_confidence(
    times: ArrayLike, duration: float, contamination: float = SLIDING_RP_CONTAMINATION
) -> float:
    """Return the confidence that a unit is less contaminated than this.

    Tries every refractory period from 0.5 to 10 ms. If the unit were contaminated at the limit,
    spikes of others would fall into the period at a known rate; fewer mean more confidence.
    The period with most confidence counts (Llobet et al. 2022, sliding refractory period).

    Parameters
    ----------
    times : array, shape (n_spikes,)
        Ascending, s.
    duration : float
        Duration of the recording, s.
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
    """Return how far the lowest amplitudes exceed the expected number; tell if the unit passes.

    A unit cut off by the detection threshold has many spikes in its lowest amplitude bin; a
    complete one has about as few there as in the upper quarter of its distribution.

    Parameters
    ----------
    amplitudes : array, shape (n_spikes,)
        Any unit.
    n_bins : int
        Bins of the amplitude histogram.

    Returns
    -------
    cutoff : float
        Height of the low bin, in standard deviations of the upper quarter's bins; NaN if
        undefined.
    passed : bool
        False if the cutoff is above 5 and the low bin above 10 % of the peak, or if there is
        nothing to compare.
    """
    a = np.asarray(amplitudes, float)
    a = a[np.isfinite(a)]
    if a.size < 2 or a.max() <= 0:
        return float("nan"), False
    heights = np.histogram(a, np.linspace(0, a.max(), n_bins))[0]
    peak = int(heights.argmax())
    above_peak = np.count_nonzero(heights[peak:-1])
    # A quarter of the distribution is half of the part above the peak.
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
        Duration of the recording, s.
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
        `times`, `clusters`, `amps` and, if available, `depths`.
    duration : float, optional
        Duration of the recording, s; default: until the last spike.

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

    Takes the amplitudes as symmetric about their mode: as many are missing at the lower end as
    lie above the level where the upper flank has fallen to the height of the lower end.
    """
    a = np.asarray(amplitudes, float)
    if a.size < 2 or a.min() == a.max():
        return float("nan")
    heights, edges = np.histogram(a, n_bins, density=True)
    width = n_bins // 25
    kernel = np.hanning(2 * width + 1) / width
    # The histogram stays level beyond its edge: a cut must not look like a flank.
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
        # Round first, so that a gap of whole samples does not fall just below its bin.
        bins = np.floor(np.round(gap / bin_width, 6)).astype(np.int64)
        near = bins < n_bins
        if not near.any():
            break
        counts += np.bincount(bins[near], minlength=n_bins)[:n_bins]
        lag += 1
    return counts


def _drift(times: Floats, depths: ArrayLike | None) -> float:
    """Return the path of the unit's depth between windows of 10 s, in µm/h."""
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
