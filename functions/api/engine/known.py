"""What the names in an import's rows mean, looked up once in a request."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from functions.api.engine.declarations import KINDS
from shared import catalog

if TYPE_CHECKING:
    from functions.api.call import Call


def known(
    call: Call, kind: str, name: tuple[str, ...], find: Callable[[], str | None]
) -> str | None:
    """Return what a name means; an import looks up each name of another kind once.

    Its rows name the same few records, of which it makes and deletes none. If somebody else
    deletes one meanwhile, the transaction that writes the row is refused.

    Parameters
    ----------
    call : Call
    kind : str
        Kind of record that the name is of.
    name : tuple of str
        The name, and what else its meaning depends on.
    find : callable
        Looks it up; None if it means nothing yet.
    """
    if call.imports in (None, kind):
        return find()
    place = (kind, *name)
    if call.names.get(place) is None:
        call.names[place] = find()
    return call.names[place]


def lab_named(kind: str, key: str, call: Call) -> str | None:
    """Return the lab of a named record."""

    def find() -> str | None:
        named = catalog.table(kind).get(key) or {}
        return str(named["lab"]) if named.get("lab") else None

    return known(call, kind, ("lab", key), find)


@lru_cache
def with_labs(kind: str) -> tuple[tuple[str, str], ...]:
    """Return the fields of a kind that name one record of a lab, each with that record's kind."""
    return tuple(
        (name, spec.to)
        for name, spec in KINDS[kind].fields.items()
        if spec.type == "ref" and not spec.many
        if KINDS[spec.to].lab == "lab" and not KINDS[spec.to].title
    )
