"""Ids of datasets and file records that clients chose; each is unique."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.datasets.read import datasets_of
from shared.records import keys
from shared.records.errors import Exists
from shared.records.items import Dataset, Pointer
from shared.records.table import Record
from shared.records.transactions import ConditionFailed, transaction


def claims(
    owner: str, present: Mapping[str, Dataset], added: Sequence[Dataset], *, look: bool = True
) -> dict[str, tuple[Pointer, Any]]:
    """Return the pointers to new datasets, and to their file records, by external ids.

    Each has the condition that the id is not taken.

    Parameters
    ----------
    owner : str
        Owner of the datasets.
    present : mapping
        Its datasets, by path.
    added : sequence of Dataset
        The new ones.
    look : bool
        Whether to look who holds the ids: needed once a condition has failed. It tells apart
        another record that has the id, and one that has it no longer.

    Raises
    ------
    Exists
        An id belongs to another dataset. Ids that may be those of a session's own datasets are
        always looked for, because no condition finds them.
    """
    ids = {item.id: item.path for item in present.values()}
    claimed: dict[str, str] = {}
    for item in added:
        if ids.setdefault(item.id, item.path) != item.path:
            raise Exists(f"{item.uuid} is the id of {ids[item.id]}.", item.uuid)
        if item.has_external_id:
            claimed[keys.external(item.uuid)] = item.id
        claimed |= {f"FRID#{record.id}": "" for record in item.records or () if record.id}
    if not claimed:
        return {}
    wanted = {keys.prefix(digits) for digits in claimed.values() if digits}
    wanted |= {*claimed} if look else set()
    holder_of = {
        pointer.pk: pointer.to
        for pointer in Pointer.batch_get(
            [(key, "A") for key in sorted(wanted)], consistent_read=True
        )
    }
    pointers = {}
    free = Record.pk.does_not_exist() | (Pointer.to == owner)
    for key, digits in claimed.items():
        holders = {holder_of.get(key), holder_of.get(keys.prefix(digits)) if digits else None}
        for holder in holders - {None, owner}:
            if _holds(str(holder), key, digits):
                raise Exists(
                    f"{key.partition('#')[2]} is the id of another record; leave it out, "
                    "or send it with the record it belongs to.",
                    key.partition("#")[2],
                )
        stale = holder_of.get(key)
        condition = free if stale in (None, owner) else free | (Pointer.to == stale)
        pointers[key] = (Pointer(pk=key, sk="A", to=owner), condition)
    return pointers


def _holds(owner: str, key: str, digits: str) -> bool:
    """Return whether a record has a dataset, or a file record, with an id."""
    name = key.partition("#")[2]
    items = datasets_of(owner)
    if digits:
        return any(item.id == digits for item in items)
    return any(record.id == name for item in items for record in item.records or ())


def claim_record_id(owner: str, identity: str) -> None:
    """Claim an id, chosen by a client, for a file record of an owner.

    Raises
    ------
    Exists
        The id belongs to another owner.
    """
    pointer = Pointer(pk=f"FRID#{identity}", sk="A", to=owner)
    try:
        with transaction() as writes:
            writes.save(pointer, Record.pk.does_not_exist() | (Pointer.to == owner))
    except ConditionFailed:
        raise Exists(f"{identity} is the id of another file record.", identity) from None
