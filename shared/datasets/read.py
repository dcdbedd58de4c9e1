"""Reading datasets: by session or other owner, by id, and the default revisions.

Visibility: a small registration is one transaction. A large one is staged: its datasets are
written in batches under the name of their set, and one conditional flip of the session's `Book`
makes the whole set visible. Readers skip sets that are not in the book.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any

from shared.datasets.freed import freed
from shared.model.identity import dataset_path, is_uuid
from shared.records import keys, listed
from shared.records.items import Book, Dataset, Pointer
from shared.records.table import Record


def datasets_of(owner: str, *, strong: bool = True) -> list[Dataset]:
    """Return the visible datasets of a session (or ``content type#object id``), by one query."""
    head = "AGG" if "#" in owner else "SES"
    between = Record.sk.between("B", "D~")
    items = list(Record.query(f"{head}#{owner}", between, consistent_read=strong))
    book = next((item for item in items if isinstance(item, Book)), None)
    return visible(book, [item for item in items if isinstance(item, Dataset)])


def owners_of(ids: Iterable[str], *, strong: bool = False) -> list[str]:
    """Return the possible owners (sessions or other records) of datasets, by ids."""
    uuids = {identity for identity in ids if is_uuid(identity)}
    wanted = {(keys.prefix(identity), "A") for identity in uuids}
    wanted |= {(keys.external(identity), "A") for identity in uuids}
    return sorted({item.to for item in Pointer.batch_get(sorted(wanted), consistent_read=strong)})


def places_of(ids: Iterable[str]) -> set[tuple[str, str]]:
    """Return the places (owner, path) of datasets, by ids."""
    wanted = {identity.replace("-", "") for identity in ids}
    datasets = ((owner, item) for owner in owners_of(ids) for item in datasets_of(owner))
    return {(owner, item.path) for owner, item in datasets if item.id in wanted}


def visible(book: Book | None, files: list[Dataset]) -> list[Dataset]:
    """Return the datasets whose set is complete, with ``default`` set."""
    done = set(book.sets or ()) if book else set()
    committed = [item for item in files if item.batch is None or item.batch in done]
    mark_defaults(committed)
    return committed


def mark_defaults(files: Iterable[Dataset]) -> None:
    """Set ``default`` on the revision of each dataset that was last made the default."""
    best: dict[tuple[str, str], Dataset] = {}
    for item in files:
        item.default = False
        key = (item.collection, item.name)
        rank = (item.default_at or "", item.revision or "")
        if item.default_at and (
            key not in best or rank > (best[key].default_at or "", best[key].revision or "")
        ):
            best[key] = item
    for item in best.values():
        item.default = True


def regraded(files: Iterable[Dataset], was: Mapping[str, bool]) -> list[Dataset]:
    """Return copies of the datasets that `mark_defaults` changed, with a new edition.

    Lists take a row only with a new edition. Each copy is written on the condition that the stored
    dataset has the edition before.

    Parameters
    ----------
    files : iterable of Dataset
        After `mark_defaults`.
    was : mapping
        Which ones were the default before, by path.
    """
    changed = []
    for item in files:
        if was.get(item.path, item.default) != item.default:
            newer = Dataset()
            newer.attribute_values = dict(item.attribute_values)
            newer.default, newer.edition = item.default, int(item.edition) + 1
            changed.append(newer)
    return changed


def default_datasets(datasets: Iterable[Dataset]) -> dict[str, Dataset]:
    """Return the default datasets of a session, by path without revision folder."""
    return {
        dataset_path(item.collection, None, item.name): item for item in datasets if item.default
    }


def with_tag(datasets: Iterable[Dataset], tag: str) -> list[Dataset]:
    """Return copies of the datasets with a tag; the latest revision of each is the default.

    The session's own defaults stay unchanged.
    """
    tagged = [copy(item) for item in datasets if tag in (item.tags or ())]
    latest = {(item.collection, item.name): item.revision or "" for item in tagged}
    for item in tagged:
        key = (item.collection, item.name)
        latest[key] = max(latest[key], item.revision or "")
    for item in tagged:
        item.default = (item.revision or "") == latest[item.collection, item.name]
    return tagged


def hashes_by_path(datasets: Iterable[Dataset]) -> dict[str, str | None]:
    """Return the SHA-256 of a session's datasets by path; also of defaults by logical path."""
    items = list(datasets)
    named = {item.path: item for item in items} | default_datasets(items)
    return {path: item.sha256 for path, item in named.items()}


def content_hashes(datasets: Iterable[Dataset]) -> dict[str, str]:
    """Return a hash of each default dataset's content, by path without revision folder.

    The content of a freed file is known, too: what was made from it stays good.
    """
    return {
        path: item.sha256 or item.hash or item.uuid
        for path, item in default_datasets(datasets).items()
        if item.in_own_store or freed(item)
    }


def _rows(items: Sequence[Book | Dataset]) -> Iterator[tuple[str, dict[str, Any]]]:
    book = next((item for item in items if isinstance(item, Book)), None)
    for item in visible(book, [item for item in items if isinstance(item, Dataset)]):
        yield "dataset", item.row()


listed.register(Book, Dataset, to_rows=_rows)
listed.register_places(places_of)
