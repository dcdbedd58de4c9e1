"""Read what the pages show from the files of a session (ONE convention)."""

from __future__ import annotations

from typing import Any, BinaryIO, Protocol

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shared.results.source import TRIALS, Dataset, Session, Sorting, attribute


class Read(Protocol):
    """Opens a dataset's bytes."""

    def __call__(self, dataset: Dataset) -> BinaryIO:
        """Return the bytes as a file."""


GO_CUE = "_ibl_trials.goCueTrigger_times.npy"


def load_trials(session: Session, read: Read) -> pd.DataFrame | None:
    """Return a session's trials, None if it has no table.

    Where a stimulus onset was not seen, reaction times count from the go cue's trigger, which is
    a file of its own.

    Parameters
    ----------
    session : Session
    read : callable
        Opens a dataset's bytes.
    """
    table = session.find(TRIALS)
    if table is None:
        return None
    # One thread: builders run side by side already, and the table is small.
    file = pq.ParquetFile(read(table))
    trials = file.read(use_threads=False).to_pandas(use_threads=False)
    cue = session.find(GO_CUE)
    if cue and "stimOn_times" in trials and trials["stimOn_times"].isna().any():
        times = np.load(read(cue), allow_pickle=False)
        if times.shape == (len(trials),):
            trials["goCueTrigger_times"] = times
    return trials


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
