"""One committed change of a record, on its way from the write to feed, journal and lists."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Change(Struct, frozen=True):
    """One changed record.

    Attributes
    ----------
    at : str
        Time, as `shared.model.moment.stamp` writes it; sorts as text.
    kind, key : str
        Kind and key of the record.
    version : int
        Version of the record; among its changes, a higher version is later.
    row : dict or None
        The record's new row; None if it was deleted.
    """

    at: str
    kind: str
    key: str
    version: int
    row: dict[str, Any] | None
