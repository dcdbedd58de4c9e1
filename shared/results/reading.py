"""Read the data of the pages from a session's files, in any layout (ONE convention)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shared.alf.layout import SPIKE_ARRAYS, TRIAL_COLUMNS, ObjectFiles, objects
from shared.results.source import SiteSession, Sorting, SourceFile, Unreadable

GO_CUE = "goCueTrigger_times"

TIMES = ("stimOn_times", "response_times")
"""Columns needed for reaction times; without them only choices are shown."""

ASSUMED = {"probabilityLeft": 0.5}
"""Columns that the first versions of the task did not write, and their value then."""

METRICS = ".pqt"
"""Format of ``clusters.metrics``."""

REGIONS = "brainLocationIds_ccf_2017"
"""Attribute of the regions of units, numbers of the Allen CCF."""

CLUSTER_ARRAYS = ("channels", "depths", "waveforms", "waveformsChannels", REGIONS)

Named = Callable[[int], str]
"""Returns the acronym of a region by its number."""


class Read(Protocol):
    """Opens a dataset's bytes."""

    def __call__(self, dataset: SourceFile) -> BinaryIO:
        """Return the bytes as a file."""


def load_trials(session: SiteSession, read: Read) -> pd.DataFrame | None:
    """Return a session's trials, None if it has none; the first protocol's if it has several.

    See `load_run`.
    """
    runs = session.trials
    return load_run(session, runs[0], read) if runs else None


def load_run(
    session: SiteSession, files: ObjectFiles, read: Read, more: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the trials of one protocol of a session.

    Only numeric columns are kept. Where no stimulus onset was seen, reaction times start at the
    go cue's trigger, which is in a separate file.

    Parameters
    ----------
    session : SiteSession
    files : ObjectFiles
        One of `SiteSession.trials`.
    read : callable
        Opens a dataset's bytes.
    more : sequence of str
        Columns that are wanted, too, where they are files beside the table.

    Raises
    ------
    Unreadable
        A file is damaged, or columns are missing or differ in length.
    """
    arrays = files.columns()
    if files.table:
        trials = _table(session, files.table, read)
        wanted = [*TRIAL_COLUMNS, *TIMES, *ASSUMED, *more]
        onsets = trials.get("stimOn_times")
        if onsets is None or onsets.isna().any():
            wanted.append(GO_CUE)
        names = [name for name in dict.fromkeys(wanted) if name in arrays and name not in trials]
        for name in names:
            values = load_array(session, arrays[name], read)
            if values.shape == (len(trials),):
                trials[name] = values
    else:
        trials = _joined({name: load_array(session, path, read) for name, path in arrays.items()})
    missing = [name for name in TRIAL_COLUMNS if name not in trials]
    if missing:
        raise Unreadable(f"the trials in {files.collection} have no {', '.join(missing)}")
    for name, value in ASSUMED.items():
        if name not in trials:
            trials[name] = value
    return trials


def gaps(trials: pd.DataFrame) -> list[str]:
    """Return sentences on what cannot be shown of trials because columns are missing.

    The missing columns are added, without values.
    """
    missing = [name for name in TIMES if name not in trials]
    for name in missing:
        trials[name] = np.nan
    if not missing:
        return []
    return [f"The trials have no {' and no '.join(missing)}: there are no reaction times."]


def load_sorting(
    session: SiteSession, collection: str, read: Read, named: Named = str
) -> Sorting | None:
    """Load sorted spikes, None if times, clusters, amplitudes or depths are missing.

    Parameters
    ----------
    session : SiteSession
    collection : str
        Folder of the spikes.
    read : callable
        Opens a dataset's bytes.
    named : callable
        Returns the acronym of a region by its number; by default the number stands for it.

    Raises
    ------
    Unreadable
        A file is damaged, or the arrays of the spikes differ in length.
    """
    arrays = {
        kind: _files(session, kind, collection) for kind in ("spikes", "clusters", "channels")
    }
    if not set(SPIKE_ARRAYS) <= arrays["spikes"].keys():
        return None
    spikes = {name: load_array(session, arrays["spikes"][name], read) for name in SPIKE_ARRAYS}
    if len({values.shape for values in spikes.values()}) > 1 or spikes["times"].ndim != 1:
        sizes = ", ".join(f"{name} {_shape(values)}" for name, values in sorted(spikes.items()))
        raise Unreadable(f"the spikes in {collection} differ in length: {sizes}")
    if not all(np.issubdtype(values.dtype, np.number) for values in spikes.values()):
        raise Unreadable(f"the spikes in {collection} are not all numbers")
    if "samples" in arrays["spikes"]:
        spikes["samples"] = load_array(session, arrays["spikes"]["samples"], read)
    clusters = {
        name: load_array(session, path, read)
        for name, path in arrays["clusters"].items()
        if name in CLUSTER_ARRAYS
    }
    channels = {
        name: load_array(session, path, read)
        for name, path in arrays["channels"].items()
        if name == "localCoordinates"
    }
    metrics = _files(session, "clusters", collection, METRICS).get("metrics")
    return Sorting(
        collection, spikes, clusters, channels,
        None if metrics is None else _table(session, metrics, read),
        _regions(clusters.pop(REGIONS, None), named),
    )  # fmt: skip


def _regions(numbers: NDArray[Any] | None, named: Named) -> dict[int, str]:
    """Return the acronym of the region of each cluster."""
    if numbers is None or numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer):
        return {}
    acronyms = {int(each): named(int(each)) for each in np.unique(numbers)}
    return {cluster: acronyms[int(each)] for cluster, each in enumerate(numbers)}


def load_array(session: SiteSession, path: str, read: Read) -> NDArray[Any]:
    """Return an array of a session.

    Raises
    ------
    Unreadable
        The file is damaged.
    """
    with _explained(path, "NumPy array"):
        return np.asarray(np.load(read(session.dataset(path)), allow_pickle=False))


def _files(session: SiteSession, kind: str, collection: str, end: str = ".npy") -> dict[str, str]:
    """Return the files of an object in a collection by attribute: its arrays, or its tables."""
    candidates = objects(session.paths, kind, session.preferred)
    found = next((files.files for files in candidates if files.collection == collection), {})
    return {name: path for name, path in found.items() if path.endswith(end)}


def _joined(columns: dict[str, NDArray[Any]]) -> pd.DataFrame:
    """Return columns from separate files as one table."""
    flat: dict[str, NDArray[Any]] = {}
    for name, values in columns.items():
        if values.ndim == 2 and values.shape[1] == 2:
            flat[f"{name}_0"], flat[f"{name}_1"] = values.T
        elif values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1):
            flat[name] = values.reshape(-1)
    if len({len(values) for values in flat.values()}) > 1:
        sizes = ", ".join(f"{name} {len(values)}" for name, values in sorted(flat.items()))
        raise Unreadable(f"the columns of the trials differ in length: {sizes}")
    return _numeric(pd.DataFrame(flat))


def _table(session: SiteSession, path: str, read: Read) -> pd.DataFrame:
    with _explained(path, "Parquet table"):
        # One thread: builders run side by side already, and the table is small.
        file = pq.ParquetFile(read(session.dataset(path)))
        table = file.read(use_threads=False)
        # The file's own types decide: asking pandas takes longer than reading.
        numeric = [field.name for field in table.schema if _is_number(field.type)]
        if len(numeric) < table.num_columns or len(set(numeric)) < len(numeric):
            names = [field.name for field in table.schema]
            first = [i for i in range(len(names)) if names.index(names[i]) == i]
            table = table.select([i for i in first if _is_number(table.schema.field(i).type)])
        return table.to_pandas(use_threads=False)


def _numeric(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of numbers, each name once."""
    numeric = table.loc[:, ~table.columns.duplicated()].select_dtypes(["number", "bool"])
    numeric.columns = numeric.columns.map(str)
    return numeric.copy()


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _shape(values: NDArray[Any]) -> str:
    return " × ".join(map(str, values.shape)) or "no"


@contextmanager
def _explained(path: str, kind: str) -> Iterator[None]:
    """Say which file cannot be read; other failures, such as the network's, pass on."""
    try:
        yield
    except Unreadable:
        raise
    except (pa.ArrowException, ValueError, EOFError, KeyError, TypeError) as error:
        raise Unreadable(f"{path} is not a whole {kind}") from error
