"""Which stored items are listed, and what their rows are: told by the rooms that write them.

The search index is made from rows. What a session's or a task's row is, is known where sessions
and tasks are written; those rooms register it here, so that the index needs none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from shared.records.table import Record

Row = dict[str, Any]
ToRows = Callable[[Sequence[Any]], Iterable[tuple[str, Row]]]
"""Takes the items of one partition that it was registered for; returns (kind, row)s."""

LISTED = ("Book", "Dataset", "Doc", "Session", "Task")
"""Discriminators of the items whose rows the index has; each must be registered."""


class RowReader(NamedTuple):
    """How the items of some kinds become rows."""

    models: tuple[type[Record], ...]
    to_rows: ToRows


_readers: list[RowReader] = []
_find_places: list[Callable[[Iterable[str]], set[tuple[str, str]]]] = []


def register(*models: type[Record], to_rows: ToRows) -> None:
    """Say what the rows of some items are; those of one partition come together."""
    _readers.append(RowReader(models, to_rows))


def readers() -> list[RowReader]:
    """Return what was registered.

    Raises
    ------
    RuntimeError
        If something that is listed was not: a list without it would look complete.
    """
    known = {m.stored_kind() for r in _readers for m in r.models}
    if missing := set(LISTED) - known:
        raise RuntimeError(
            f"Import the rooms that write {', '.join(sorted(missing))} before the index is made."
        )
    return list(_readers)


def register_places(find: Callable[[Iterable[str]], set[tuple[str, str]]]) -> None:
    """Say how datasets are found by their ids, of which the index has none."""
    _find_places[:] = [find]


def places(ids: Iterable[str]) -> set[tuple[str, str]]:
    """Return where datasets are, by their ids: (owner, path)."""
    return _find_places[0](ids)
