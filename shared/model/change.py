"""One committed change of a record, as it goes from the write to feed, journal and lists."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class Change(Struct, frozen=True):
    """One changed record.

    Attributes
    ----------
    at : str
        When, as `shared.model.moment.stamp` writes it; sorts as text.
    kind, key : str
        Which record.
    version : int
        Version of the record; of two changes of a record the higher one is the later.
    row : dict or None
        The record's row from then on; None if it was deleted.
    """

    at: str
    kind: str
    key: str
    version: int
    row: dict[str, Any] | None
