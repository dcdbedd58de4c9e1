"""The table of a probe's units as the IBL keeps it, ``clusters.metrics``: columns and formulas.

Names and rules are those of brainbox (ibllib 4.1.0, ``quick_unit_metrics``, ``compute_labels``)
and of its refractory test (slidingRP); ``make ephys`` compares every column with theirs. Times
are in s, amplitudes in V, depths in µm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.stats import poisson

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RATE = 30_000
"""Samples a second for counting intervals."""

PRESENCE, REFRACTORY, DUPLICATE = 10.0, 1.5e-3, 1e-4
"""Windows of presence; refractory period; spikes closer than this are duplicates (s)."""

PERIODS, FROM, BELOW = 300, 15, 60
"""Refractory periods to try, in samples; the first that counts; those within 2 ms."""

SHARES = np.arange(0.5, 35, 0.5)
"""Contaminations to try (%)."""

MOST_CONTAMINATED, CONFIDENT = 10.0, 90.0
"""A unit passes if it has at most this contamination (%) with this confidence (%)."""

RARELY = 0.5
"""Least spikes a second with which a unit without violations passes despite low confidence."""

MOST_CUT, LEAST_AMPLITUDE = 5.0, 50e-6
"""Noise cut-off below which, and amplitude (V) above which, a unit passes."""

BINS, QUARTER = 100, 0.25
"""Edges of amplitude bins for the noise cut-off, and the share of bins to compare."""

PER_BIN, SMOOTH, LEAST_BINS = 10, 4, 50
"""Spikes per bin, smoothing in bins, and fewest bins for the missed spikes."""


def unit_metrics(
    times: Floats,
    clusters: Ints,
    amplitudes: Floats,
    depths: Floats,
    n_clusters: int | None = None,
) -> pd.DataFrame:
    """Return the metrics of a probe's units.

    Parameters
    ----------
    times, clusters, amplitudes, depths : array, shape (n_spikes,)
        In order of time (s; number of the unit; V; µm).
    n_clusters : int, optional
        Units, some of which may have no spikes; by default up to the last one with spikes.

    Returns
    -------
    DataFrame
        A row for each unit, by its number: ``cluster_id``, ``label`` (share of the three criteria
        that are passed: 0, 1/3, 2/3, 1), ``bitwise_fail`` (1 refractory period, 2 noise cut-off, 4
        amplitude), and the values behind them. NaN where there are no spikes.
    """
    import pandas as pd

    n = int(clusters.max(initial=-1)) + 1 if n_clusters is None else n_clusters
    first, last = (float(times[0]), float(times[-1])) if times.size else (0.0, 0.0)
    order = np.argsort(clusters, kind="stable")
    ends = np.cumsum(np.bincount(clusters, minlength=n))
    rows: list[dict[str, Any]] = []
    for cluster, index in enumerate(np.split(order, ends[:-1])) if n else ():
        row: dict[str, Any] = {"cluster_id": cluster, "spike_count": int(index.size)}
        row["firing_rate"] = index.size / (last - first) if last > first else np.nan
        if index.size:
            own = times[index]
            row |= _amplitudes(amplitudes[index])
            row |= _intervals(own, first, last)
            row |= _refractory(own)
            row |= _presence(own, first, last)
            way = np.abs(np.diff(depths[index])).sum()
            row["drift"] = way / (last - first) * 3600 if last > first else np.nan
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    passed = np.column_stack(
        [
            table["max_confidence"].to_numpy(float) >= CONFIDENT,
            table["noise_cutoff"].to_numpy(float) < MOST_CUT,
            table["amp_median"].to_numpy(float) > LEAST_AMPLITUDE,
        ]
    )
    table["label"] = passed.mean(axis=1)
    table["bitwise_fail"] = (~passed @ np.array([1, 2, 4])).astype(np.uint8)
    return table.astype({"cluster_id": "int64", "spike_count": "int64"})


COLUMNS = (
    *("cluster_id", "label", "bitwise_fail", "spike_count", "firing_rate"),
    *("amp_min", "amp_max", "amp_median", "amp_std_dB", "noise_cutoff", "missed_spikes_est"),
    *("contamination", "contamination_alt", "presence_ratio", "presence_ratio_std", "drift"),
    *("slidingRP_viol", "slidingRP_viol_forced", "max_confidence", "min_contamination"),
    "n_spikes_below2",
)
"""Columns of the table."""


def _amplitudes(amplitudes: Floats) -> dict[str, float]:
    decibel = 20 * np.log10(amplitudes)
    return {
        "amp_min": float(amplitudes.min()),
        "amp_max": float(amplitudes.max()),
        "amp_median": float(10 ** (np.median(decibel) / 20)),
        "amp_std_dB": float(decibel.std(ddof=1)) if amplitudes.size > 1 else np.nan,
        "noise_cutoff": cut_off(amplitudes),
        "missed_spikes_est": missed(amplitudes),
    }


def cut_off(amplitudes: Floats) -> float:
    """Return how far the second lowest amplitude bin exceeds the highest quarter's bins.

    In standard deviations of these bins; NaN if undefined.
    """
    if amplitudes.size < 2:
        return float("nan")
    heights = np.histogram(amplitudes, np.linspace(0, amplitudes.max(), BINS))[0]
    peak = int(heights.argmax())
    above = np.count_nonzero(heights[peak:-1])
    high = heights[int(np.ceil(2 * QUARTER * above + peak)) :]
    high, filled = high[high > 0], heights[heights > 0]
    if not high.size or filled.size < 2 or not (spread := high.std()) > 0:
        return float("nan")
    return float((filled[1] - high.mean()) / spread)


def missed(amplitudes: Floats) -> float:
    """Return the share of spikes below the threshold, were the amplitudes symmetric (0 to 0.5)."""
    if amplitudes.size <= PER_BIN * LEAST_BINS:
        return float("nan")
    heights = np.histogram(amplitudes, amplitudes.size // PER_BIN, density=True)[0]
    smooth = gaussian_filter1d(heights, SMOOTH)
    peak = int(smooth.argmax())
    level = peak + int(np.argmin(np.abs(smooth[peak:] - smooth[0])))
    return float(min(smooth[level:].sum() / smooth.sum(), 0.5))


def _intervals(times: Floats, first: float, last: float) -> dict[str, float]:
    """Return both estimates of contamination (Hill et al. 2011)."""
    single = np.delete(times, np.flatnonzero(np.diff(times) <= DUPLICATE) + 1)
    violations = np.count_nonzero(np.diff(single) < REFRACTORY)
    allowed = 2 * single.size * (REFRACTORY - DUPLICATE)
    rate = single.size / (last - first) if last > first else np.nan
    near = np.count_nonzero(np.diff(times) < REFRACTORY)
    constant = (times[-1] - times[0]) * near / (2 * REFRACTORY * times.size**2)
    return {
        "contamination": float(violations / allowed / rate),
        "contamination_alt": float(np.abs(np.roots([-1, 1, constant])).min()),
    }


def _refractory(times: Floats) -> dict[str, float]:
    """Return whether the unit has surely little contamination (Llobet et al. 2022, sliding)."""
    samples = (times * RATE).astype(np.int64)
    pairs = _pairs(samples)
    # The firing rate at a random moment, from the spikes one to two seconds after each.
    later = np.searchsorted(samples, samples + 2 * RATE) - np.searchsorted(samples, samples + RATE)
    rate = float(later.sum() / times.size)
    period = (np.arange(PERIODS) + 1) / RATE
    expected = rate * SHARES[:, None] / 100 * period * 2 * times.size
    confidence = 100 * (1 - poisson.cdf(np.cumsum(pairs), expected))[:, FROM:]
    sure = np.flatnonzero((confidence >= CONFIDENT).any(axis=1))
    least = float(SHARES[sure[0]]) if sure.size else float("nan")
    passed = bool(least <= MOST_CONTAMINATED)
    within = int(pairs[: BELOW + 1].sum())
    return {
        "slidingRP_viol": float(passed),
        "slidingRP_viol_forced": float(not sure.size and within == 0 and rate > RARELY),
        "max_confidence": float(confidence[np.argmax(SHARES >= MOST_CONTAMINATED)].max()),
        "min_contamination": least,
        "n_spikes_below2": float(within),
    }


def _pairs(samples: Ints) -> Ints:
    """Return the number of pairs of spikes by the samples between them, up to `PERIODS`."""
    counts = np.zeros(PERIODS, np.int64)
    for step in range(1, samples.size):
        apart = samples[step:] - samples[:-step]
        near = apart[apart < PERIODS]
        if not near.size:
            break
        counts += np.bincount(near, minlength=PERIODS)
    return counts


def _presence(times: Floats, first: float, last: float) -> dict[str, float]:
    windows = np.arange(first, last + PRESENCE / 2, PRESENCE).size
    # Spikes beyond the last whole window count to it.
    at = np.minimum(np.floor((times - first) / PRESENCE).astype(np.int64), windows - 1)
    counts = np.bincount(at, minlength=windows)
    return {
        "presence_ratio": float(np.count_nonzero(counts) / windows),
        "presence_ratio_std": float(counts.std()),
    }
