"""Rows that are about to be written: while a plan is made, lists show what it will have written.

What checks a record reads others from the index. Two records of one plan, a mouse and its first
weight, see each other there only by this.
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
    """Show some rows in the tables of the index, in this thread, until the block ends."""
    token = _rows.set(rows)
    try:
        yield
    finally:
        _rows.reset(token)


def of_kind(kind: str) -> Mapping[str, dict[str, Any] | None]:
    """Return the planned rows of a kind, by key."""
    return (_rows.get() or {}).get(kind, {})
