"""Sorted spikes: the table of units of all probes."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pandas as pd
from hdmf.common import DynamicTableRegion, VectorData, VectorIndex
from numpy.typing import NDArray
from pynwb import NWBFile
from pynwb.misc import Units

from lab.exports.nwb.columns import column, has_values, ragged
from lab.exports.nwb.probes import Electrodes, title
from lab.exports.session import ExportError, ExportSession
from shared.alf.layout import SPIKE_ARRAYS, ObjectFiles, sortings_in

RESOLUTION = 1 / 30_000
"""Seconds of one sample of a Neuropixels probe's action-potential band."""

METRICS = {
    "label": ("ibl_quality_score", "Share of the three quality checks passed."),
    "firing_rate": ("firing_rate", "Spikes a second."),
    "presence_ratio": ("presence_ratio", "Share of the recording in which the unit fires."),
    "presence_ratio_std": ("presence_ratio_std", "Spread of the presence."),
    "slidingRP_viol": ("sliding_rp_violation", "Whether refractory periods are violated."),
    "contamination": ("isi_violations_ratio", "Contamination by interspike intervals."),
    "contamination_alt": ("rp_violation", "Contamination by refractory periods."),
    "noise_cutoff": ("noise_cutoff", "How sharply small spikes are cut off."),
    "missed_spikes_est": ("missed_spikes_estimate", "Estimated share of spikes missed."),
    "drift": ("cumulative_drift_um_per_hour", "Cumulative drift (µm/h)."),
    "amp_std_dB": ("spike_amplitude_std_dB", "Spread of amplitudes (dB)."),
}
"""NWB column and its description, by column of `clusters.metrics`."""

VOLTS = {
    "amp_median": ("median_spike_amplitude_uV", "Median amplitude (µV)."),
    "amp_min": ("min_spike_amplitude_uV", "Smallest amplitude (µV)."),
    "amp_max": ("max_spike_amplitude_uV", "Largest amplitude (µV)."),
}
"""Columns of `clusters.metrics` in volts; NWB files use microvolts."""

TEXTS = {"ks2_label": ("ks2_label", "Label of the sorter.")}


def chosen_sortings(session: ExportSession) -> dict[str, ObjectFiles]:
    """Return each probe's effective sorted spikes: those of the shortest collection, as in ONE."""
    sortings: dict[str, ObjectFiles] = {}
    for files in sorted(
        sortings_in(session.paths, session.preferred), key=lambda one: len(one.collection)
    ):
        probe = next(
            (part for part in files.collection.split("/") if part.startswith("probe")), ""
        )
        if probe and set(SPIKE_ARRAYS) <= files.files.keys():
            sortings.setdefault(probe, files)
    return dict(sorted(sortings.items(), key=operator.itemgetter(0)))


def add_units(nwb: NWBFile, session: ExportSession, electrodes: dict[str, Electrodes]) -> int:
    """Add the units of all probes; return their number.

    Raises
    ------
    ExportError
        Arrays of the spikes differ in length, or refer to missing clusters.
    """
    parts = [
        _Sorting(session, files, electrodes[probe])
        for probe, files in chosen_sortings(session).items()
    ]
    parts = [part for part in parts if part.n]
    if not parts:
        return 0
    common = [name for name in parts[0].table if all(name in part.table for part in parts)]
    rows = pd.concat([part.table[common] for part in parts], ignore_index=True)
    columns: list[VectorData] = []
    ends = _stacked([part.ends for part in parts])
    columns += ragged("spike_times", "Times of the spikes (s).", _joined(parts, "times"), ends)
    columns += ragged(
        "spike_amplitudes_uV", "Amplitude of each spike (µV).", 1e6 * _joined(parts, "amps"), ends
    )
    columns += ragged(
        "spike_distances_from_probe_tip_um",
        "Distance of each spike from the probe's tip (µm).",
        _joined(parts, "depths"),
        ends,
    )
    region = DynamicTableRegion(
        name="electrodes",
        description="Electrode with the largest amplitude.",
        data=rows.pop("electrode").to_numpy(np.int64),
        table=nwb.electrodes,
    )
    columns += [
        region,
        VectorIndex(name="electrodes_index", target=region, data=np.arange(1, len(rows) + 1)),
    ]
    for name in map(str, rows):
        values = rows[name].to_numpy()
        if not pd.api.types.is_numeric_dtype(rows[name]):
            columns.append(column(name, TOLD[name], [str(value) for value in values]))
        elif has_values(values):
            columns.append(column(name, TOLD[name], values))
    nwb.units = Units(
        name="units",
        description="Units found by spike sorting.",
        columns=columns,
        resolution=RESOLUTION,
        electrode_table=nwb.electrodes,
    )
    return len(rows)


TOLD = {
    "probe_name": "Probe that recorded the unit.",
    "unit_name": "Number of the cluster in the ONE files.",
    "cluster_uuid": "Identifier that stays with the cluster.",
    "spike_count": "Number of spikes.",
    "distance_from_probe_tip_um": "Distance of the unit from the probe's tip (µm).",
    "max_electrode": "Channel of the raw file with the largest amplitude.",
    "peak_to_trough_duration_ms": "From peak to trough (ms); negative when the trough is first.",
    **dict(METRICS.values()),
    **dict(VOLTS.values()),
    **dict(TEXTS.values()),
}
"""Descriptions of the columns with one value a unit."""


class _Sorting:
    """One probe's units: spikes in the order of units, and a table with a row for each."""

    def __init__(self, session: ExportSession, files: ObjectFiles, electrodes: Electrodes) -> None:
        where = files.collection
        spikes = session.load(files, SPIKE_ARRAYS)
        sizes = {name: np.shape(values) for name, values in spikes.items()}
        if len(set(sizes.values())) > 1:
            raise ExportError(f"the spikes in {where} differ in length: {sizes}")
        clusters_at = session.first("clusters", where)
        clusters = session.load(clusters_at) if clusters_at else {}
        owners = np.asarray(spikes["clusters"], np.int64)
        n_clusters = _length(clusters)
        if owners.size and (
            owners.min() < 0 or (n_clusters is not None and owners.max() >= n_clusters)
        ):
            raise ExportError(f"spikes.clusters in {where} names clusters that are not there")
        total = n_clusters if n_clusters is not None else int(owners.max(initial=-1)) + 1
        counts = np.bincount(owners, minlength=total)
        numbers = np.flatnonzero(counts)
        self.n = len(numbers)
        # Stable: within a unit the spikes stay in the order of time.
        order = np.argsort(owners, kind="stable")
        self.times = np.asarray(spikes["times"], float)[order]
        self.amps = np.asarray(spikes["amps"], float)[order]
        self.depths = np.asarray(spikes["depths"], float)[order]
        self.ends = np.cumsum(counts[numbers])
        self.table = _table(clusters, numbers, counts, electrodes)


def peak_channels(clusters: dict[str, Any]) -> NDArray[np.int64]:
    """Return the channel of the largest amplitude of each cluster."""
    return np.asarray(clusters["channels"]).astype(np.int64)


def _length(clusters: dict[str, Any]) -> int | None:
    lengths = [len(v) for name, v in clusters.items() if name in ("channels", "depths", "metrics")]
    return max(lengths) if lengths else None


def _table(
    clusters: dict[str, Any],
    numbers: NDArray[np.int64],
    counts: NDArray[np.int64],
    electrodes: Electrodes,
) -> pd.DataFrame:
    """Return a row for each unit that has spikes."""
    rows = pd.DataFrame({"unit_name": [str(n) for n in numbers], "spike_count": counts[numbers]})
    rows.insert(0, "probe_name", title(electrodes.probe))
    peaks = peak_channels(clusters)[numbers] if "channels" in clusters else 0 * numbers
    if peaks.size and not (peaks.min() >= 0 and peaks.max() < len(electrodes.rows)):
        raise ExportError(
            f"clusters.channels of {electrodes.probe} names channel {peaks.max()}, "
            f"but the probe has {len(electrodes.rows)}"
        )
    rows["electrode"], rows["max_electrode"] = electrodes.rows[peaks], electrodes.raw[peaks]
    if "depths" in clusters:
        depths = np.asarray(clusters["depths"], float)[numbers]
        rows["distance_from_probe_tip_um"] = depths
    if "peakToTrough" in clusters:
        rows["peak_to_trough_duration_ms"] = np.asarray(clusters["peakToTrough"], float)[numbers]
    uuids = clusters.get("uuids")
    if uuids is not None:
        values = np.asarray(uuids).reshape(len(uuids), -1)[:, 0]
        rows["cluster_uuid"] = [str(values[n]) for n in numbers]
    metrics = clusters.get("metrics")
    if isinstance(metrics, pd.DataFrame):
        _add_metrics(rows, metrics, numbers)
    return rows


def _add_metrics(rows: pd.DataFrame, metrics: pd.DataFrame, numbers: NDArray[np.int64]) -> None:
    """Add the metrics of units; a table with `cluster_id` may lack some units."""
    if "cluster_id" in metrics:
        metrics = metrics.set_index("cluster_id")
    metrics = metrics[~metrics.index.duplicated()].reindex(numbers)
    for names, factor in ((METRICS, 1.0), (VOLTS, 1e6)):
        for name, (nwb_name, _) in names.items():
            if name in metrics:
                rows[nwb_name] = factor * metrics[name].to_numpy(float)
    for name, (nwb_name, _) in TEXTS.items():
        if name in metrics:
            rows[nwb_name] = metrics[name].fillna("").astype(str).to_numpy(object)


def _stacked(ends: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the ends of rows in the concatenated values of all parts."""
    before = np.cumsum([0, *(part[-1] for part in ends[:-1])])
    return np.concatenate([part + start for part, start in zip(ends, before, strict=True)])


def _joined(parts: list[_Sorting], name: str) -> NDArray[np.float64]:
    return np.concatenate([getattr(part, name) for part in parts])
