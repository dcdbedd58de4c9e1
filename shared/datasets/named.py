"""What datasets name: tags, repositories, types, users. It must be there when it is named.

As everywhere, what a write names anew is held in its transaction (`shared.records.leaving`), what
was named before is not asked for again. Not held is what nobody can delete: the own store, and the
types and formats of the convention. A revision is a part of the path, and needs no record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.model.copies import OWN
from shared.records.items import Dataset, Session
from shared.records.leaving import Name


def is_built_in(kind: str, name: str) -> bool:
    """Return whether a record is one that every installation has, and keeps."""
    from shared.alf.dataset_types import DATA_FORMATS, DATASET_TYPES  # thousands of lines

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
    """Return what datasets name that those at their places did not."""
    new: set[Name] = set()
    for item in written:
        new |= names_in(item) - names_in(there.get(item.path))
    return new


def held_by_session(session: Session | None, names: Iterable[Name]) -> set[Name]:
    """Return what need not be held by itself: the users that a session has, while it has them."""
    users = set(session.users or ()) if session is not None else set()
    return {(kind, key) for kind, key in names if kind == "user" and key in users}
