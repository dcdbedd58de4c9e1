"""Registry of the items that lists show, and of their rows.

The search index is made from rows. The rooms that write sessions and tasks also define their rows.
They register them here, so that the index does not import those rooms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from shared.records.table import Record

Row = dict[str, Any]
ToRows = Callable[[Sequence[Any]], Iterable[tuple[str, Row]]]
"""Takes items of one partition, of the kinds it was registered for; returns (kind, row)s."""

LISTED = ("Book", "Dataset", "Doc", "Session", "Task")
"""Discriminators of the items whose rows the index has; each must be registered."""


class RowReader(NamedTuple):
    """The function that turns items of some kinds into rows."""

    models: tuple[type[Record], ...]
    to_rows: ToRows


_readers: list[RowReader] = []
_find_places: list[Callable[[Iterable[str]], set[tuple[str, str]]]] = []


def register(*models: type[Record], to_rows: ToRows) -> None:
    """Register the function that makes rows of some items, one partition at a time."""
    _readers.append(RowReader(models, to_rows))


def readers() -> list[RowReader]:
    """Return the registered readers.

    Raises
    ------
    RuntimeError
        If a listed kind is not registered: a list without it would look complete.
    """
    registered = {m.stored_kind() for r in _readers for m in r.models}
    if missing := set(LISTED) - registered:
        raise RuntimeError(
            f"Import the rooms that write {', '.join(sorted(missing))} before the index is made."
        )
    return list(_readers)


def register_places(find: Callable[[Iterable[str]], set[tuple[str, str]]]) -> None:
    """Register the function that finds datasets by their ids, which the index does not hold."""
    _find_places[:] = [find]


def places(ids: Iterable[str]) -> set[tuple[str, str]]:
    """Return the places (owner, path) of datasets by their ids."""
    return _find_places[0](ids)
