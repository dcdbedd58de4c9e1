"""The pages of a probe and its units, from one set of sorted-spike files (ONE convention)."""

from __future__ import annotations

import io
from typing import Any, BinaryIO, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from shared.results.numbers import column, rounded
from shared.results.session import Columns
from shared.results.source import Dataset, Session, Sorting, attribute
from shared.science.ephys.drift import amplitude_over_time, depth_raster, drift_map
from shared.science.ephys.quality import autocorrelogram, units_quality
from shared.science.ephys.rasters import (
    ALIGN,
    ALIGN_SORT,
    Align,
    depth_peth,
    psth_by_event,
    raster,
    usable_trials,
)

GOOD = 1.0
"""Label of a unit that passes all three single-unit criteria."""

RASTER_POINTS = 4000
"""Spikes of one raster, more are thinned: a page can not show more."""

EXAMPLE_SECONDS = 6.0
"""Length of the stretch of all spikes around an example trial."""

DRIFT_CELLS = 300_000

WAVEFORM_CHANNELS = 8

QUALITY = (
    "label",
    "bitwise_fail",
    "n_spikes",
    "firing_rate",
    "median_amplitude_uv",
    "presence_ratio",
    "contamination",
    "sliding_rp_confidence",
    "noise_cutoff",
    "missed_spikes_est",
    "drift",
)


class Read(Protocol):
    """Opens a dataset's bytes."""

    def __call__(self, dataset: Dataset) -> BinaryIO:
        """Return the bytes as a file."""


def probe_id(session: Session, collection: str) -> str:
    """Return the name of a probe's page: the session's id, the probe, the sorter if named."""
    return "-".join([session.id, *collection.split("/")[1:]])


def load_sorting(session: Session, collection: str, read: Read) -> Sorting | None:
    """Load sorted spikes, None if times, clusters, amplitudes or depths are missing.

    Raises
    ------
    ValueError
        If the arrays of the spikes differ in length.
    """
    objects: dict[str, dict[str, NDArray[Any]]] = {}
    metrics = None
    for dataset in session.datasets:
        chosen = session.find(dataset.name, collection)
        if dataset.collection != collection or chosen != dataset:
            continue
        name = attribute(dataset)
        if dataset.name.endswith(".npy") and name in _WANTED:
            kind, _, column_name = name.partition(".")
            loaded = np.load(read(dataset), allow_pickle=False)
            objects.setdefault(kind, {})[column_name] = loaded
        elif name == "clusters.metrics" and dataset.name.endswith(".pqt"):
            metrics = pd.read_parquet(read(dataset))
    found = objects.get("spikes", {})
    if not {"times", "clusters", "amps", "depths"} <= set(found):
        return None
    if len({len(values) for values in found.values()}) > 1:
        sizes = ", ".join(f"{name} {len(values)}" for name, values in sorted(found.items()))
        raise ValueError(f"spikes of {session.reference} differ in length: {sizes}")
    return Sorting(
        collection, found, objects.get("clusters", {}), metrics, objects.get("channels", {})
    )


_WANTED = frozenset(
    {f"spikes.{name}" for name in ("times", "clusters", "amps", "depths")}
    | {f"clusters.{name}" for name in ("channels", "depths", "waveforms", "waveformsChannels")}
    | {"channels.localCoordinates"}
)


def contents(
    session: Session, sorting: Sorting, trials: Columns | None
) -> tuple[dict[str, Any], dict[int, dict[str, Any]], bytes]:
    """Return what a probe's page and those of its units draw.

    Parameters
    ----------
    session : Session
    sorting : Sorting
    trials : dict of array, optional
        The session's trials; without them there is nothing to align to.

    Returns
    -------
    probe : dict
        JSON-ready: `units` (columns), `drift` (axes of the picture), `example`, `peth`.
    units : dict
        By cluster, JSON-ready.
    drift : bytes
        PNG of spikes by time and depth, dark where there are more; its background is clear.
    """
    s = sorting.spikes
    quality = units_quality(s)
    depth = _cluster_depths(sorting)
    ids = sorted(quality)
    units = {name: [rounded(quality[i][name]) for i in ids] for name in QUALITY}
    aligned = trials is not None and "stimOn_times" in trials and "feedback_times" in trials
    picture, drift = _drift(sorting)
    probe = {
        "units": {"cluster": ids, "depth": [rounded(depth.get(i)) for i in ids], **units},
        "summary": {
            "n_units": len(ids),
            "n_good": sum(1 for i in ids if quality[i]["label"] >= GOOD),
            "n_spikes": int(s["times"].size),
            "duration": rounded(float(s["times"][-1]) / 60) if s["times"].size else None,
        },
        "drift": drift,
        "example": _example(sorting, trials if aligned else None),
        "peth": _depth_peth(sorting, trials) if aligned and trials is not None else None,
    }
    each = {
        i: _unit(sorting, i, trials if aligned else None)
        | {"cluster": i, "depth": rounded(depth.get(i)), "quality": _plain(quality[i])}
        for i in ids
    }
    return probe, each, picture


def _plain(quality: dict[str, Any]) -> dict[str, Any]:
    return {name: rounded(quality[name]) for name in QUALITY}


def _cluster_depths(sorting: Sorting) -> dict[int, float]:
    """Return the median depth of each unit's spikes in µm."""
    frame = pd.DataFrame(
        {"cluster": sorting.spikes["clusters"], "depth": sorting.spikes["depths"]}
    )
    return {int(str(i)): float(d) for i, d in frame.groupby("cluster")["depth"].median().items()}


def _drift(sorting: Sorting) -> tuple[bytes, dict[str, Any]]:
    s = sorting.spikes
    map_ = drift_map(s["times"], s["depths"], max_cells=DRIFT_CELLS)
    value = np.array(map_["value"], float)
    if not value.size:
        value = np.zeros((1, 1))
    # Counts span orders of magnitude; the busiest thousandth would hide the rest.
    top = max(float(np.quantile(value, 0.999)), 1.0)
    shade = np.clip(np.log1p(value) / np.log1p(top), 0, 1)
    pixels = np.zeros((*shade.shape, 2), np.uint8)
    pixels[..., 1] = np.round(255 * shade)
    out = io.BytesIO()
    Image.fromarray(pixels[::-1], "LA").save(out, "PNG", compress_level=6)
    time, depth = map_["time"] or [0.0], map_["depth"] or [0.0]
    return out.getvalue(), {
        "time": [time[0], time[-1] + map_["time_bin"]],
        "depth": [depth[0], depth[-1] + map_["depth_bin"]],
        "most": rounded(top),
        "time_bin": map_["time_bin"],
    }


def _example(sorting: Sorting, trials: Columns | None) -> dict[str, Any]:
    """Return all spikes around a trial in the middle of the session."""
    s = sorting.spikes
    start, events = float(s["times"][s["times"].size // 2]) if s["times"].size else 0.0, {}
    if trials is not None:
        usable = np.flatnonzero(usable_trials(trials))
        if usable.size:
            trial = usable[usable.size // 2]
            start = float(trials["stimOn_times"][trial]) - 1.5
            events = {
                label: rounded(float(trials[name][trial]), 8)
                for label, name in ALIGN.items()
                if name in trials
            }
    drawn = depth_raster(
        s["times"], s["depths"], s["amps"], start, start + EXAMPLE_SECONDS, RASTER_POINTS
    )
    return drawn | {"start": rounded(start, 8), "end": start + EXAMPLE_SECONDS, "events": events}


def _depth_peth(sorting: Sorting, trials: Columns) -> dict[str, Any]:
    s = sorting.spikes
    peth = depth_peth(s["times"], s["depths"], trials["stimOn_times"], (-0.4, 1.0))
    return {name: peth[name] for name in ("time", "depth", "z", "n")}


def _unit(sorting: Sorting, cluster: int, trials: Columns | None) -> dict[str, Any]:
    mine = sorting.spikes["clusters"] == cluster
    times, amps = sorting.spikes["times"][mine], sorting.spikes["amps"][mine]
    shown: dict[str, Any] = {
        "autocorrelogram": autocorrelogram(times),
        "amplitudes": amplitude_over_time(times, amps, 3000),
        "waveform": _waveform(sorting, cluster),
    }
    if trials is not None:
        aligns = [a for a, name in ALIGN.items() if name in trials]
        pairs = [pair for pair in ALIGN_SORT if pair[0] in aligns]
        shown["pairs"] = [list(pair) for pair in pairs]
        # One raster per event; the page puts its rows into the other orders.
        shown["rasters"] = {align: _raster(times, trials, align) for align in aligns}
        shown["psth"] = {align: psth_by_event(times, trials, align) for align in aligns}
    return shown


def _raster(times: NDArray[Any], trials: Columns, align: Align) -> dict[str, Any]:
    """Return a raster in order of trials, its rows as columns."""
    drawn = raster(times, trials, align, "trial", max_points=RASTER_POINTS)
    rows = drawn["rows"]
    return {
        "time": column(np.array(drawn["time"], float), 3),
        "row": drawn["row"],
        "n_spikes": drawn["n_spikes"],
        "trial": [row["trial"] for row in rows],
        "contrast": [rounded(row["contrast"]) for row in rows],
        "correct": [int(row["correct"]) for row in rows],
        "mark": column(np.array([row["mark"] for row in rows], float), 3),
    }


def _waveform(sorting: Sorting, cluster: int) -> dict[str, Any] | None:
    """Return the mean waveform (µV) on the channels where it is largest."""
    waveforms = sorting.clusters.get("waveforms")
    if waveforms is None or cluster >= len(waveforms):
        return None
    mean = np.asarray(waveforms[cluster], float) * 1e6
    largest = np.sort(np.argsort(-np.ptp(mean, axis=0), kind="stable")[:WAVEFORM_CHANNELS])
    channels = sorting.clusters.get("waveformsChannels")
    numbers = (
        np.asarray(channels[cluster])[largest].astype(int) if channels is not None else largest
    )
    places = sorting.channels.get("localCoordinates")
    known = places is not None and numbers.max(initial=-1) < len(places)
    return {
        "channel": numbers.tolist(),
        "x": column(places[numbers, 0], 1) if known and places is not None else None,
        "y": column(places[numbers, 1], 1) if known and places is not None else None,
        "time": column((np.arange(len(mean)) - len(mean) // 3) / 30, 3),
        "value": [column(mean[:, i], 1) for i in largest],
    }
