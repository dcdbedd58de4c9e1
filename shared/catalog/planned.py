"""Planned rows: while a plan is made, lists show the rows that it will write.

Checks of a record read other records from the index. By this module, two new records of one plan,
for example a mouse and its first weight, see each other there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Rows = Mapping[str, Mapping[str, dict[str, Any] | None]]
"""Kind → key → row as it will be; None if it will be deleted."""

_rows: ContextVar[Rows | None] = ContextVar("planned", default=None)


@contextmanager
def planned(rows: Rows) -> Iterator[None]:
    """Show rows in the tables of the index, in this thread, until the block ends."""
    token = _rows.set(rows)
    try:
        yield
    finally:
        _rows.reset(token)


def of_kind(kind: str) -> Mapping[str, dict[str, Any] | None]:
    """Return the planned rows of a kind, by key."""
    return (_rows.get() or {}).get(kind, {})
