"""Ids of datasets that clients chose; each is unique.

File records have none: a dataset has at most one on each repository, and its id follows from both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.datasets.read import datasets_of
from shared.records import keys
from shared.records.errors import Exists
from shared.records.items import Dataset, Pointer
from shared.records.table import Record


def sessions_alike(items: Iterable[Dataset]) -> dict[str, str]:
    """Return the sessions whose ids begin like external ids of datasets, by partition of that.

    They may have a dataset of their own with such an id.
    """
    return _held({keys.prefix(item.id) for item in items if item.has_external_id})


def claims(
    owner: str,
    present: Mapping[str, Dataset],
    added: Sequence[Dataset],
    *,
    alike: Mapping[str, str] | None = None,
    look: bool = True,
) -> dict[str, tuple[Pointer, Any]]:
    """Return the pointers to new datasets with external ids.

    Each has the condition that the id is not taken.

    Parameters
    ----------
    owner : str
        Owner of the datasets.
    present : mapping
        Its datasets, by path.
    added : sequence of Dataset
        The new ones.
    alike : mapping, optional
        What `sessions_alike` says of them, if it was asked before. No condition finds the datasets
        of these sessions.
    look : bool
        Whether to look who holds the ids: needed once a condition has failed. It tells apart
        another dataset that has the id, and one that has it no longer.

    Raises
    ------
    Exists
        An id belongs to another dataset.
    """
    ids = {item.id: item.path for item in present.values()}
    claimed: dict[str, Dataset] = {}
    for item in added:
        if ids.setdefault(item.id, item.path) != item.path:
            raise Exists(f"{item.uuid} is the id of {ids[item.id]}.", item.uuid)
        if item.has_external_id:
            claimed[keys.external(item.uuid)] = item
    if not claimed:
        return {}
    alike = sessions_alike(added) if alike is None else alike
    holder_of = _held(claimed) if look else {}
    pointers = {}
    free = Record.pk.does_not_exist() | (Pointer.to == owner)
    for key, item in claimed.items():
        stale = holder_of.get(key)
        for holder in {stale, alike.get(keys.prefix(item.id))} - {None, owner}:
            if any(other.id == item.id for other in datasets_of(str(holder))):
                raise Exists(
                    f"{item.uuid} is the id of another record; leave it out, "
                    "or send it with the record it belongs to.",
                    item.uuid,
                )
        condition = free if stale in (None, owner) else free | (Pointer.to == stale)
        pointers[key] = (Pointer(pk=key, sk="A", to=owner), condition)
    return pointers


def _held(partitions: Iterable[str]) -> dict[str, str]:
    """Return what the pointers of some partitions lead to."""
    wanted = [(key, "A") for key in sorted(partitions)]
    found = Pointer.batch_get(wanted, consistent_read=True) if wanted else ()
    return {pointer.pk: pointer.to for pointer in found}
