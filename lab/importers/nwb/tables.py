"""Datasets of a session from the content of an NWB file; here trials, wheel, sorted spikes.

Files of `lab.exports.nwb` are read by the inverse of its mapping. The trials of other files keep
their columns in a separate table (``alf/nwb``), since their meaning in our tasks is unknown; the
units of other files give their spike times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.exports.nwb.trials import CHOICES, TIMES
from lab.exports.nwb.units import METRICS, TEXTS, VOLTS
from lab.importers.nwb.made import MadeDataset, camel, folder_of, times_of
from lab.importers.nwb.passive import passive_of
from lab.importers.nwb.recordings import recordings_of, sync_of
from lab.importers.nwb.tracking import TRACKED, frame_times_of, tracking_of

OURS = {
    "gabor_stimulus_contrast",
    "gabor_stimulus_side",
    "mouse_wheel_choice",
    "is_mouse_rewarded",
}
"""Columns that identify trials of the International Brain Laboratory's mapping."""

NUMBERS = {
    "reward_volume_uL": "rewardVolume",
    "probability_left": "probabilityLeft",
    "quiescence_period": "quiescencePeriod",
    **{shown: name for name, (shown, _) in TIMES.items()},
}
"""Attribute of the trials by NWB column, for numbers that need no conversion."""

ALWAYS = ("stimOn_times", "goCue_times", "firstMovement_times", "response_times", "feedback_times")
"""Times that every table of trials has (IBL); an export leaves out columns without any value."""

Note = Callable[[str], None]


def datasets_of(nwb: Any, note: Note) -> Iterator[MadeDataset]:
    """Yield the datasets of an NWB file.

    Parameters
    ----------
    nwb : pynwb.NWBFile
        The open file.
    note : callable
        Called with each part that is left in the file, and why.
    """
    tables = dict(nwb.intervals or {})
    several = any(re.fullmatch(r"trials_task_\d\d", name) for name in tables)
    for name, table in sorted(tables.items()):
        if name == "trials" or name.startswith("trials_"):
            yield _trials(name, table.to_dataframe(), several)
        elif name not in ("epochs", "invalid_times") or len(table):
            note(f"the intervals {name} stay in the file")
    yield from _wheel(nwb, several)
    if nwb.units is not None:
        yield from _units(nwb, note)
    yield from tracking_of(nwb, note)
    yield from passive_of(nwb, note)
    series = dict(nwb.acquisition)
    yield from recordings_of(nwb, series, note)
    yield from sync_of(series)
    yield from frame_times_of(series)
    for name in sorted(series):
        shape = "×".join(map(str, getattr(getattr(series[name], "data", None), "shape", ()) or ()))
        note(f"acquisition/{name} ({type(series[name]).__name__} {shape}) stays in the file")
    for name in sorted(set(nwb.processing) - {"wheel", "passive_protocol", *TRACKED}):
        note(f"processing/{name} stays in the file")


def _collection(name: str, several: bool) -> str:
    """Return the folder of a protocol; a single protocol needs no folder of its own."""
    task = re.search(r"task_\d\d$", name.lower())
    return f"alf/{task[0]}" if task else "alf/task_00" if several else "alf"


def _trials(name: str, table: pd.DataFrame, several: bool) -> MadeDataset:
    intervals = {"intervals_0": table["start_time"], "intervals_1": table["stop_time"]}
    if not set(table) >= OURS:
        rest = table.drop(columns=["start_time", "stop_time"])
        plain = [column for column in rest if not rest[column].map(_is_object).any()]
        plain_table = pd.DataFrame(intervals | {column: rest[column] for column in plain})
        return MadeDataset(
            f"alf/nwb/_nwb_{camel(name)}.table.pqt", plain_table.reset_index(drop=True)
        )
    left = table["gabor_stimulus_side"] == "left"
    contrast = table["gabor_stimulus_contrast"] / 100
    turns = {word: turn for turn, word in CHOICES.items()}
    columns = intervals | {
        "choice": table["mouse_wheel_choice"].map(turns).fillna(0).astype(np.int64),
        "contrastLeft": contrast.where(left),
        "contrastRight": contrast.where(~left),
        "feedbackType": pd.Series(np.where(table["is_mouse_rewarded"], 1, -1), table.index),
        **{ours: table[nwb_name] for nwb_name, ours in NUMBERS.items() if nwb_name in table},
    }
    empty = pd.Series(np.nan, table.index)
    columns |= {each: empty for each in ALWAYS if each not in columns}
    folder = _collection(name, several)
    made = pd.DataFrame(columns).reset_index(drop=True)
    return MadeDataset(f"{folder}/_ibl_trials.table.pqt", made)


def _is_object(value: Any) -> bool:
    """Return whether a value of a table is an object, such as a link to a series."""
    return not isinstance(value, (str, bytes, int, float, bool, np.generic, type(None)))


def _wheel(nwb: Any, several: bool) -> Iterator[MadeDataset]:
    if "wheel" not in nwb.processing:
        return
    for name, part in sorted(nwb.processing["wheel"].data_interfaces.items()):
        folder = _collection(name, several)
        if name.startswith("WheelPosition"):
            yield MadeDataset(f"{folder}/_ibl_wheel.position.npy", np.asarray(part.data, float))
            yield MadeDataset(f"{folder}/_ibl_wheel.timestamps.npy", times_of(part))
        elif name.startswith("WheelMovementIntervals"):
            moves = part.to_dataframe()
            bounds = moves[["start_time", "stop_time"]].to_numpy(float)
            yield MadeDataset(f"{folder}/_ibl_wheelMoves.intervals.npy", bounds)
            if "peak_amplitude" in moves:
                peaks = moves["peak_amplitude"].to_numpy(float)
                yield MadeDataset(f"{folder}/_ibl_wheelMoves.peakAmplitude.npy", peaks)


def _units(nwb: Any, note: Note) -> Iterator[MadeDataset]:
    """Yield the spikes and clusters of each probe."""
    units = nwb.units
    if "spike_times" not in units.colnames:
        note("the units have no spike times, and stay in the file")
        return
    rows = pd.DataFrame({name: _plain_column(units, name) for name in _plain_names(units)})
    rows.index = pd.RangeIndex(len(units))
    probes = _probes(units, rows)
    for probe in sorted(set(probes)):
        mine = np.flatnonzero(np.asarray(probes) == probe)
        yield from _sorting(units, rows.iloc[mine], mine, f"alf/{probe}")
        yield from _channels(nwb, probe)


def _channels(nwb: Any, probe: str) -> Iterator[MadeDataset]:
    """Yield the places of a probe's channels, in the order of the raw file that units refer to."""
    table = nwb.electrodes
    if table is None or not {"rel_x", "rel_y", "group_name"} <= set(table.colnames):
        return
    names = [folder_of(str(name)) for name in table["group_name"].data[:]]
    mine = np.flatnonzero(np.asarray(names) == probe)
    if len(mine):
        places = np.column_stack([np.asarray(table[n].data[:], float) for n in ("rel_x", "rel_y")])
        yield MadeDataset(f"alf/{probe}/channels.localCoordinates.npy", places[mine])
        yield MadeDataset(f"alf/{probe}/channels.rawInd.npy", np.arange(len(mine)))


def _plain_names(units: Any) -> list[str]:
    ragged = {
        column.name.removesuffix("_index") for column in units.columns if "_index" in column.name
    }
    left = {"electrodes", "electrode_group", "waveform_mean", "waveform_sd"}
    return [name for name in units.colnames if name not in ragged | left]


def _plain_column(units: Any, name: str) -> Any:
    values = units[name].data[:]
    return list(values) if np.ndim(values) != 1 else values


def _probes(units: Any, rows: pd.DataFrame) -> list[str]:
    """Return the folder of each unit's probe."""
    if "probe_name" in rows:
        return [str(name)[:1].lower() + str(name)[1:] for name in rows["probe_name"]]
    if "electrode_group" in units.colnames:
        return [folder_of(group.name) for group in units["electrode_group"].data[:]]
    return ["probe00"] * len(units)


def _sorting(
    units: Any, rows: pd.DataFrame, mine: NDArray[np.int64], where: str
) -> Iterator[MadeDataset]:
    """Yield one probe's spikes in the order of time, and a row for each of its clusters."""
    names = rows["unit_name"] if "unit_name" in rows else pd.Series(mine)
    numbers = pd.to_numeric(names, errors="coerce").to_numpy(float)
    is_numbered = np.isfinite(numbers).all() and len(set(numbers)) == len(numbers)
    clusters = numbers.astype(np.int64) if is_numbered else np.arange(len(mine))
    times = [np.asarray(units.get_unit_spike_times(int(n)), float) for n in mine]
    owners = np.repeat(clusters, [len(spikes) for spikes in times])
    joined = np.concatenate(times) if times else np.empty(0)
    # Stable, so that simultaneous spikes stay in the order of their clusters.
    order = np.argsort(joined, kind="stable")
    yield MadeDataset(f"{where}/spikes.times.npy", joined[order])
    yield MadeDataset(f"{where}/spikes.clusters.npy", owners[order])
    for name, nwb_name, factor in (
        ("amps", "spike_amplitudes_uV", 1e6),
        ("depths", "spike_distances_from_probe_tip_um", 1.0),
    ):
        if nwb_name in units.colnames:
            values = [np.asarray(units[nwb_name][int(n)], float) for n in mine]
            yield MadeDataset(f"{where}/spikes.{name}.npy", np.concatenate(values)[order] / factor)
    total = int(clusters.max(initial=-1)) + 1
    for name, nwb_name in (
        ("channels", "max_electrode"),
        ("depths", "distance_from_probe_tip_um"),
        ("peakToTrough", "peak_to_trough_duration_ms"),
    ):
        if nwb_name in rows:
            whole = name == "channels"
            column = np.zeros(total, np.int64) if whole else np.full(total, np.nan)
            column[clusters] = rows[nwb_name].to_numpy()
            yield MadeDataset(f"{where}/clusters.{name}.npy", column)
    yield MadeDataset(f"{where}/clusters.metrics.pqt", _metrics(rows, clusters))


def _metrics(rows: pd.DataFrame, clusters: NDArray[np.int64]) -> pd.DataFrame:
    """Return the metrics of clusters under the ONE files' names; other columns keep theirs."""
    ours = {nwb_name: (name, 1.0) for name, (nwb_name, _) in METRICS.items()}
    ours |= {nwb_name: (name, 1e6) for name, (nwb_name, _) in VOLTS.items()}
    metrics: dict[str, Any] = {"cluster_id": clusters}
    for column in rows:
        values = rows[column].to_numpy()
        if column in ours and np.issubdtype(values.dtype, np.number):
            name, factor = ours[column]
            metrics[name] = values / factor
        elif column == "cluster_uuid":
            metrics["uuids"] = values.astype(str)
        elif column in TEXTS or not (values.dtype == object and len(values) and _nested(values)):
            metrics[str(column)] = values
    return pd.DataFrame(metrics)


def _nested(values: NDArray[Any]) -> bool:
    return not all(isinstance(value, (str, bytes)) for value in values)
