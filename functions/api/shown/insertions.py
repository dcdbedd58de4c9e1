"""Insertions as other records know them: by the collection of their datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    Body,
    Row,
)
from functions.api.engine.visible import related
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call


def probe_of(collection: str) -> str:
    """Return the probe that a collection belongs to: its second part."""
    parts = collection.split("/")
    return parts[1] if len(parts) > 1 else ""


def insertion_datasets(row: Row, call: Call) -> list[Body]:
    """Return the datasets of an insertion: those of its session in a folder of its name."""
    mine = [
        Where("session", "exact", row["session"]),
        Where("collection", "test", lambda c: probe_of(c or "") == row["name"]),
    ]
    return related(call, "dataset", mine).all()
