"""Changing and deleting the record of one dataset.

Both fail if anything was registered in the session since it was read: the default revision, and so
the rows in lists, depend on all revisions.
"""

from __future__ import annotations

from collections.abc import Callable

from shared.datasets.freed import relying_on
from shared.datasets.named import names_in
from shared.datasets.partition import check_unflipped, flip, read_partition
from shared.datasets.read import mark_defaults, regraded
from shared.datasets.register import NoBytes, has_bytes, write_key
from shared.model import moment
from shared.model.messages import SessionRegistered
from shared.records import keys, leaving, queues
from shared.records.errors import Kept, NotFound
from shared.records.items import Dataset, Pointer, Session
from shared.records.optimistic import retried
from shared.records.transactions import ConditionFailed, transaction
from shared.records.writing import hold


def update_dataset(
    owner: str, path: str, edit: Callable[[Dataset], None], *, who: str, alone: bool = False
) -> Dataset:
    """Change one dataset in place; try again if another writer was faster.

    With ``alone``, also if another dataset of the session came or went meanwhile.

    Raises
    ------
    NotFound, NoBytes, Missing, Leaving, Conflict
        If it does not exist; if it would claim bytes that were never uploaded; if a record that it
        newly names does not exist, or is being deleted; if others kept writing it.
    """

    def step() -> tuple[Dataset, bool]:
        partition = read_partition(owner)
        item = partition.datasets.get(path)
        if item is None:
            raise NotFound(f"There is no dataset {path}.")
        before, was, edition = item.row(), item.default, int(item.edition)
        claimed, named = item.in_own_store, names_in(item)
        edit(item)
        if item.in_own_store and not claimed and not has_bytes(item):
            raise NoBytes(item.path)
        write_key(partition, item)
        moved = item.default != was
        if moved:
            item.default_at = moment.now().isoformat() if item.default else None
        item.edition, item.changed = edition + 1, moment.now().isoformat()
        group = _revisions(partition.datasets, item)
        others: list[Dataset] = []
        if moved:
            defaults = {each.path: each.default for each in group if each is not item}
            mark_defaults(group)
            others = regraded(group, defaults)
        new = names_in(item) - named
        try:
            with transaction() as writes:
                writes.save(item, condition=Dataset.edition == edition)
                for each in others:
                    writes.save(each, condition=Dataset.edition == int(each.edition) - 1)
                if partition.session is not None and item.tags != before["tags"]:
                    # A tag may protect it, and a deletion of the session must see that.
                    writes.check(Session, partition.pk, "A", leaving.there())
                hold(writes, new)
                if moved:
                    flip(writes, partition)
                elif alone or len(group) > 1:
                    check_unflipped(writes, partition)
                for each in [item, *others]:
                    writes.row("dataset", f"{owner}|{each.path}", int(each.edition), each.row())
                writes.audit(who, "update", "dataset", item.uuid, before, item.row())
        except ConditionFailed:
            leaving.check_there(new)
            raise
        return item, moved

    item, moved = retried(step, f"Dataset {path} is being changed by others; try again.")
    if moved:
        _tell_dispatch(owner)
    return item


def delete_dataset(
    owner: str, path: str, *, who: str, check: Callable[[Dataset], None] | None = None
) -> None:
    """Delete the record of a dataset, but not its bytes; an older revision becomes the default.

    ``check`` gets the dataset just before the deletion, and may raise to keep it.

    Raises
    ------
    NotFound, Kept, Conflict
        If it does not exist; if it is the only copy of a freed file; if others kept writing it.
    """

    def step() -> Dataset:
        partition = read_partition(owner)
        item = partition.datasets.pop(path, None)
        if item is None:
            raise NotFound(f"There is no dataset {path}.")
        if relying := relying_on(path, partition.datasets.values()):
            raise Kept(f"{path} stays: it is the only copy of {relying.path}, which was freed.")
        if check:
            check(item)
        rest = _revisions(partition.datasets, item)
        was = {each.path: each.default for each in rest}
        mark_defaults(rest)
        others = regraded(rest, was)
        with transaction() as writes:
            writes.delete(item, condition=Dataset.edition == int(item.edition))
            for each in others:
                writes.save(each, condition=Dataset.edition == int(each.edition) - 1)
            flip(writes, partition)
            if item.has_external_id:
                writes.delete(Pointer(pk=keys.external(item.uuid), sk="A"))
            writes.row("dataset", f"{owner}|{path}", int(item.edition) + 1, None)
            for each in others:
                writes.row("dataset", f"{owner}|{each.path}", int(each.edition), each.row())
            writes.audit(who, "delete", "dataset", item.uuid, item.row(), None)
        return item

    if retried(step, f"Dataset {path} is being changed by others; try again.").default:
        _tell_dispatch(owner)


def _revisions(datasets: dict[str, Dataset], item: Dataset) -> list[Dataset]:
    """Return all revisions of a dataset among the session's datasets."""
    group = (item.collection, item.name)
    return [
        dataset for dataset in datasets.values() if (dataset.collection, dataset.name) == group
    ]


def _tell_dispatch(owner: str) -> None:
    """Notify dispatch that a session's defaults have changed, so that tasks may run again."""
    if "#" not in owner:
        queues.notify("dispatch", SessionRegistered(owner))
