"""Insertions of datasets, by their collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import Row
from functions.api.engine.visible import belonging
from shared.model.identity import split_path
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call


def probe_of(collection: str) -> str:
    """Return the probe of a collection: its second part."""
    parts = collection.split("/")
    return parts[1] if len(parts) > 1 else ""


DATASETS = "_datasets"
"""Field of an insertion's row: its session's datasets, if they were read with the session."""


def insertion_datasets(row: Row, call: Call) -> list[Row]:
    """Return the datasets of an insertion: those of its session in a folder of its name."""
    of_probes = Where("collection", "test", lambda c: bool(probe_of(c or "")))
    datasets = row.get(DATASETS)
    if datasets is None:
        datasets = belonging(call, row, "dataset", "session", by="session", wheres=[of_probes])
    return [
        dataset
        for dataset in datasets
        if probe_of(split_path(dataset["path"])[0] or "") == row["name"]
    ]
