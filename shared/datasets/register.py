"""Registration of datasets: the only writer of new ones, with one set of rules for all inputs.

Uploads, ``/register-file``, ``POST /datasets``, imports and restoring all use it:

- A dataset's bytes are never overwritten. The same content again only changes its places; other
  content is refused (`HasOtherContent`), because it needs a new revision.
- A dataset without bytes gets them, unless they are known to differ.
- A protected dataset keeps its content.
- An id chosen by a client is unique.
- The place of the bytes is written once, here (`Dataset.stored_in`).

A small registration is one transaction. A large one is staged: its datasets are written in
batches under the name of their set, and one conditional flip of the session's `Book` makes the
whole set visible (see `shared.datasets.read`). Each transaction holds only while their owner and
the records that they name exist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from shared.datasets.identities import claims
from shared.datasets.named import held_by_session, newly_named
from shared.datasets.partition import Partition, flip, read_partition, stage
from shared.datasets.protection import protected_tags
from shared.datasets.read import mark_defaults, regraded
from shared.model import copies, moment
from shared.model.copies import OWN
from shared.records import leaving
from shared.records.errors import Kept, Missing
from shared.records.items import Dataset, Pointer, Session
from shared.records.leaving import Name
from shared.records.optimistic import retried
from shared.records.table import Record
from shared.records.transactions import ConditionFailed, transaction
from shared.records.writing import hold

AT_ONCE = 40
"""Most datasets of one transaction (which costs double); more are staged."""

MOST = 88
"""Most items of one transaction beside those of feed, audit trail, session and book."""

NOTED_BYTES = 100_000
"""Most names of one registration in the audit trail; the journal and the manifest have all."""

NEW = Record.pk.does_not_exist() | Dataset.batch.exists()
"""Condition of a new dataset: nothing is there, or one that a killed writer left hidden."""

TRIES = 40
"""Most tries; enough for dozens of concurrent writers of one session."""


class HasOtherContent(Kept):
    """The dataset already has other bytes; ``path`` is its path."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"{path} has other content already, and what is registered is never overwritten; "
            "register it as a new revision."
        )


class Protected(Kept):
    """A tag protects the dataset; its content stays as it is."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is protected; register it as a new revision.")


class NoBytes(Missing):
    """The record claims bytes in the own store that no upload brought."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path}: {OWN} has no bytes of it. Upload the file (POST /uploads), name the "
            "repository that has it, or say that it does not exist yet.",
            "dataset",
        )


def register_datasets(
    owner: str,
    new: Sequence[Dataset],
    *,
    manifest: str,
    who: str | None = None,
    belongs_to: Name | None = None,
    partition: Partition | None = None,
    alike: Mapping[str, str] | None = None,
) -> list[Dataset]:
    """Register datasets, all or none; repeating this changes nothing.

    A dataset is identified by its path. One marked as default becomes the default revision.

    Parameters
    ----------
    owner : str
        The session's id, or ``content type#object id``.
    new : sequence of Dataset
        Made by `Dataset.of`.
    manifest : str
        Name of the set, the same at each repetition (e.g. the SHA-256 of the manifest).
    who : str, optional
        User name, for the audit trail; by default ``created_by`` of the datasets.
    belongs_to : (kind, key), optional
        The record that owns the datasets, if it is no session.
    partition : Partition, optional
        What the caller has just read of the owner, to be changed here. If somebody else registers
        meanwhile, it is read again.
    alike : mapping, optional
        What `shared.datasets.identities.sessions_alike` says of the new datasets.

    Returns
    -------
    list of Dataset
        The stored datasets, in the order of ``new``.

    Raises
    ------
    NotFound
        The session does not exist.
    Missing, Leaving
        A record that they belong to or name no longer exists, or is being deleted.
    HasOtherContent, Protected
        An existing dataset has content that may not be replaced.
    Exists
        An id belongs to another dataset.
    Conflict
        Others kept registering to the same session.
    """
    token = hashlib.sha256(manifest.encode()).hexdigest()[:10]
    by = who or next((item.created_by for item in new if item.created_by), None) or "?"
    again = False
    known = partition

    def step() -> list[Dataset]:
        nonlocal again, known
        partition = known or read_partition(owner)
        known = None
        partition.belongs_to = belongs_to
        added, edited = _compare(new, partition)
        was = {path: item.default for path, item in partition.datasets.items()}
        final = {**partition.datasets, **{item.path: item for item in [*edited, *added]}}
        if added or edited:
            mark_defaults(list(final.values()))
            written = {item.path for item in edited}
            others = [item for path, item in partition.datasets.items() if path not in written]
            edited += regraded(others, was)
            final |= {item.path: item for item in edited}
            pointers = claims(owner, partition.datasets, added, alike=alike, look=again)
            again = True
            try:
                _write(partition, added, edited, final, pointers, token=token, by=by)
            except ConditionFailed:
                leaving.check_there(_needs(partition, [*edited, *added]))
                raise
        return [final[item.path] for item in new]

    return retried(step, f"Others keep registering datasets to {owner}; try again.", tries=TRIES)


def _needs(partition: Partition, written: Sequence[Dataset]) -> set[Name]:
    """Return the records that must exist when datasets are written."""
    owner = partition.belongs_to if partition.session is None else ("session", partition.owner)
    return newly_named(partition.datasets, written) | ({owner} if owner else set())


def _write(
    partition: Partition,
    added: list[Dataset],
    edited: list[Dataset],
    final: dict[str, Dataset],
    pointers: dict[str, tuple[Pointer, Any]],
    *,
    token: str,
    by: str,
) -> None:
    """Write the changes, on the condition that nobody has registered since the last read.

    Raises
    ------
    ConditionFailed
        Somebody has.
    """
    staged = len(added) + len(edited) > AT_ONCE
    if staged:
        stage(added, token)
    touched = {(item.collection, item.name) for item in [*edited, *added]}
    rows = [
        (f"{partition.owner}|{item.path}", int(item.edition), item.row())
        for item in final.values()
        if (item.collection, item.name) in touched
    ]
    named = _needs(partition, [*edited, *added]) - {("session", partition.owner)}
    by_session = held_by_session(partition.session, named)
    # The flip shows the set with its last part: what is new is in no earlier part.
    direct = edited if staged else [*edited, *added]
    parts = _parts([*pointers.values()], direct, max(1, MOST - len(named)))
    for place, (claimed, some) in enumerate(parts, 1):
        last = place == len(parts)
        with transaction() as writes:
            for pointer, condition in claimed:
                writes.save(pointer, condition=condition)
            for item in some:
                old = partition.datasets.get(item.path)
                writes.save(
                    item,
                    condition=Dataset.edition == old.edition if old is not None else NEW,
                )
            if not last:
                continue
            if partition.session is not None:
                has = leaving.there()
                for _, user in sorted(by_session):
                    has &= Session.users.contains(user)
                writes.check(Session, partition.pk, "A", has)
            hold(writes, named - by_session)
            flip(writes, partition, token if staged else None)
            for row in rows:
                writes.row("dataset", *row)
            if staged:
                writes.journal(added)
            paths = sorted(item.path for item in [*edited, *added])
            writes.audit(by, "register", "session", partition.owner, None, _noted(paths))


def _parts(
    claimed: list[tuple[Pointer, Any]], direct: list[Dataset], most: int
) -> list[tuple[list[tuple[Pointer, Any]], list[Dataset]]]:
    """Split writes into those of several transactions; the last has the last datasets.

    Few datasets are so all in the last one, which has their rows: a process killed before it
    leaves claims alone, which nobody sees.
    """
    parts: list[tuple[list[tuple[Pointer, Any]], list[Dataset]]] = []
    n, end = len(claimed), len(claimed) + len(direct)
    while end > 0 or not parts:
        start = max(0, end - most)
        parts.insert(
            0, (claimed[start : min(end, n)], direct[max(0, start - n) : max(0, end - n)])
        )
        end = start
    return parts


def _noted(paths: list[str]) -> dict[str, Any]:
    """Return the audit entry of a registration: as many names as an item holds."""
    sizes = accumulate(len(path.encode()) for path in paths)
    few = [path for path, size in zip(paths, sizes, strict=True) if size <= NOTED_BYTES]
    more = {"more": len(paths) - len(few)} if len(few) < len(paths) else {}
    return {"datasets": few, **more}


def _compare(new: Sequence[Dataset], partition: Partition) -> tuple[list[Dataset], list[Dataset]]:
    """Split datasets into new ones and existing ones to change; equal ones drop out.

    Raises
    ------
    HasOtherContent, Protected
        An existing dataset may not change in this way.
    """
    added, edited = [], []
    for item in new:
        old = partition.datasets.get(item.path)
        if old is not None:
            if (changed := merged(old, item)) is not None:
                write_key(partition, changed)
                edited.append(changed)
            continue
        write_key(partition, item)
        item.batch = None
        added.append(item)
    return added, edited


def write_key(partition: Partition, item: Dataset) -> None:
    """Set the place of the bytes of a dataset that is in the own store."""
    if item.in_own_store and item.stored_in is None:
        item.stored_in = partition.folder


def merged(old: Dataset, new: Dataset) -> Dataset | None:
    """Return a dataset updated by a new registration of its path; None if nothing changes.

    Raises
    ------
    HasOtherContent
        It has bytes, and the new content is known to differ.
    Protected
        It is protected, and the new content is not known to be the same.
    """
    other = differs(old, new)
    if has_bytes(old):
        if other:
            raise HasOtherContent(old.path)
        if has_bytes(new):
            return None
    elif not old.checksums.agree(new.checksums) and _protected(old):
        if has_bytes(new) and not other:
            pass  # it was registered without its bytes
        else:
            raise Protected(old.path)
    item = Dataset()
    item.attribute_values = dict(old.attribute_values)
    if other:  # facts about the former content no longer hold
        item.hash, item.file_size, item.rows = new.hash, new.file_size, new.rows
        item.records = list(new.records)
        item.version, item.provenance = new.version, new.provenance
    else:
        # A registration of other places must not change the place in the own store.
        new_records = [r for r in new.records if not (has_bytes(old) and r.repository == OWN)]
        item.records = copies.merged(old.records, new_records)
    if not has_bytes(old):
        for name in ("sha256", "hash", "file_size", "rows", "provenance", "stored_in"):
            if getattr(new, name) is not None:
                setattr(item, name, getattr(new, name))
        if item.stored_in is not None:  # the bytes came to an existing place
            item.data_format = new.data_format or old.data_format
    for name in ("version", "dataset_type"):
        if getattr(new, name) not in (None, "unknown"):
            setattr(item, name, getattr(new, name))
    if int(new.qc or 0):
        item.qc = new.qc
    item.tags, item.json = old.tags or new.tags, old.json if new.json is None else new.json
    item.default = new.default
    if new.default != old.default:
        item.default_at = new.default_at
    if _values(item) == _values(old) and item.default == old.default:
        return None
    item.edition = int(old.edition) + 1
    item.changed = moment.now().isoformat()
    return item


def _values(item: Dataset) -> dict[str, Any]:
    return {name: value for name, value in item.attribute_values.items() if value is not None}


def has_bytes(item: Dataset) -> bool:
    """Return whether the dataset's content was uploaded and checked."""
    return item.sha256 is not None


def differs(old: Dataset, new: Dataset) -> bool:
    """Return whether the contents of two datasets are known to differ."""
    if old.checksums.differ(new.checksums):
        return True
    if old.checksums.agree(new.checksums):
        return False
    sizes = old.file_size, new.file_size
    return None not in sizes and int(sizes[0]) != int(sizes[1])


def keep_content(item: Dataset, hash: str | None, size: int | None) -> None:
    """Check that a manual change does not claim other content for a dataset.

    Raises
    ------
    HasOtherContent
        It has bytes, and the new hash or size is not theirs.
    Protected
        It is protected.
    """
    if hash in (None, item.hash) and size in (None, item.file_size):
        return
    if has_bytes(item):
        raise HasOtherContent(item.path)
    if _protected(item):
        raise Protected(item.path)


def _protected(item: Dataset) -> bool:
    return bool(item.tags) and not protected_tags().isdisjoint(item.tags)
