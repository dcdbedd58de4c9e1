"""The quality of sorted units as pages show it, and their autocorrelograms.

Formulas and names are those of ``clusters.metrics`` (`shared.science.ephys.unit_metrics`): a page
and the file beside it never differ. Spike times are in seconds ascending, amplitudes in volts,
depths in µm along the probe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from shared.science.behaviour.curves import plain
from shared.science.behaviour.psychometric import Floats
from shared.science.ephys.rasters import Ints
from shared.science.ephys.unit_metrics import unit_metrics

if TYPE_CHECKING:
    import pandas as pd

SHOWN = {
    "label": ("label", 1.0),
    "bitwise_fail": ("bitwise_fail", 1.0),
    "n_spikes": ("spike_count", 1.0),
    "sliding_rp_confidence": ("max_confidence", 0.01),
    "noise_cutoff": ("noise_cutoff", 1.0),
    "median_amplitude_uv": ("amp_median", 1e6),
    "presence_ratio": ("presence_ratio", 1.0),
    "missed_spikes_est": ("missed_spikes_est", 1.0),
    "contamination": ("contamination", 1.0),
    "firing_rate": ("firing_rate", 1.0),
    "drift": ("drift", 1.0),
}
"""Column of ``clusters.metrics``, and factor to the page's unit, by the name on pages."""

DIGITS = 5

FAINTEST = 1e-9
"""V that stand for an amplitude that is unknown or zero, of which there is no logarithm."""


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


def units_quality(
    spikes: Mapping[str, Any], metrics: pd.DataFrame | None = None
) -> dict[int, dict[str, Any]]:
    """Return the quality of every unit with spikes.

    Parameters
    ----------
    spikes : mapping
        `times`, `clusters`, `amps`, `depths`.
    metrics : DataFrame, optional
        The file ``clusters.metrics`` beside them, a row for each unit. Its values count; what it
        lacks is calculated by the same formulas.

    Returns
    -------
    dict of cluster to dict
        `label` (0, 1/3, 2/3 or 1: share of the three criteria passed), `bitwise_fail` (1 sliding
        refractory period, 2 noise cutoff, 4 median amplitude), `n_spikes`,
        `sliding_rp_confidence` (0 to 1), `noise_cutoff`, `median_amplitude_uv`,
        `presence_ratio`, `missed_spikes_est`, `contamination`, `firing_rate` (Hz), `drift`
        (µm/h). None where unknown.
    """
    ids, units = np.unique(np.asarray(spikes["clusters"]), return_inverse=True)
    amplitudes = np.asarray(spikes["amps"], float)
    amplitudes = np.where(amplitudes > FAINTEST, amplitudes, FAINTEST)
    times, depths = (np.asarray(spikes[name], float) for name in ("times", "depths"))
    with np.errstate(all="ignore"):  # what cannot be calculated is unknown
        table = unit_metrics(times, units.astype(np.int64), amplitudes, depths, ids.size)
    table.index = ids.astype(np.int64)
    if metrics is not None:
        table = _filed(table, metrics)
    columns = {
        name: plain(table[column].to_numpy(float) * factor, DIGITS)
        for name, (column, factor) in SHOWN.items()
    }
    for name in ("bitwise_fail", "n_spikes"):
        columns[name] = [None if value is None else int(value) for value in columns[name]]
    return {
        int(unit): {name: values[row] for name, values in columns.items()}
        for row, unit in enumerate(ids)
    }


def _filed(table: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """Return a table of units with the values of a file in place of its own."""
    by_unit = metrics.set_index("cluster_id") if "cluster_id" in metrics else metrics
    by_unit = by_unit[~by_unit.index.duplicated()].reindex(table.index)
    known = by_unit.notna().any(axis=1).to_numpy()
    table = table.copy()
    for column, _ in SHOWN.values():
        if column in by_unit:
            own = table[column].to_numpy(float)
            table[column] = np.where(known, by_unit[column].to_numpy(float), own)
    return table


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
