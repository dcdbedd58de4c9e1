"""Records that datasets name: tags, repositories, types, users. They must exist.

As everywhere, the transaction of a write checks that newly named records exist
(`shared.records.leaving`); records named before are not checked again. Records that nobody can
delete need no check: the own store, and the types and formats of the convention. A revision is
part of the path, and needs no record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.model.copies import OWN
from shared.records.items import Dataset, Session
from shared.records.leaving import Name


def is_built_in(kind: str, name: str) -> bool:
    """Return whether a record is one that every installation always has."""
    from shared.alf.dataset_types import DATA_FORMATS, DATASET_TYPES  # slow to import

    if kind == "dataset-type":
        return name in DATASET_TYPES
    if kind == "data-format":
        return any(each.name == name for each in DATA_FORMATS.values())
    return kind == "data-repository" and name == OWN


def names_in(item: Dataset | None) -> set[Name]:
    """Return the (kind, key) of the records that a dataset names."""
    if item is None:
        return set()
    names = {("tag", str(tag)) for tag in item.tags or ()}
    names |= {("data-repository", record.repository) for record in item.records or ()}
    kinds = {"dataset-type": item.dataset_type, "data-format": item.data_format}
    names |= {(kind, name) for kind, name in kinds.items() if name and name != "unknown"}
    if item.created_by:
        names.add(("user", item.created_by))
    return {each for each in names if not is_built_in(*each)}


def newly_named(there: Mapping[str, Dataset], written: Iterable[Dataset]) -> set[Name]:
    """Return the records that datasets name, but the existing ones at their paths did not."""
    new: set[Name] = set()
    for item in written:
        new |= names_in(item) - names_in(there.get(item.path))
    return new


def held_by_session(session: Session | None, names: Iterable[Name]) -> set[Name]:
    """Return the names that the session's own condition covers: its users."""
    users = set(session.users or ()) if session is not None else set()
    return {(kind, key) for kind, key in names if kind == "user" and key in users}
