"""Changing and deleting the record of one dataset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shared.datasets.read import mark_defaults, revisions_of
from shared.model import moment
from shared.model.messages import SessionRegistered
from shared.records import queues
from shared.records.errors import Conflict, NotFound
from shared.records.items import Dataset, Pointer
from shared.records.transactions import Refused, transaction

ATTEMPTS = 8


def update_dataset(
    owner: str,
    path: str,
    edit: Callable[[Dataset], None],
    *,
    who: str,
) -> Dataset:
    """Change one dataset in place; tried again when somebody else was faster.

    Raises
    ------
    NotFound, Conflict
        If it is not there; if others kept writing it.
    """
    for _ in range(ATTEMPTS):
        group = revisions_of(owner, path)
        item = next((each for each in group if each.path == path), None)
        if item is None:
            raise NotFound(f"There is no dataset {path}.")
        before = item.row()
        was = item.default
        edit(item)
        if item.default != was:
            item.default_at = moment.now().isoformat() if item.default else None
        edition = int(item.edition)
        item.edition, item.changed = edition + 1, moment.now().isoformat()
        if item.default != was:
            mark_defaults(group)
        try:
            with transaction() as writes:
                writes.save(item, condition=Dataset.edition == edition)
                rows = group if item.default != was else [item]
                listed = [(f"{owner}|{e.path}", int(e.edition), e.row()) for e in rows]
                for row in listed:
                    writes.row("dataset", *row)
                writes.audit(who, "update", "dataset", item.uuid, before, item.row())
        except Refused:
            continue
        if item.default != was:
            _tell_dispatch(owner)
        return item
    raise Conflict(f"Dataset {path} is being changed by others; try again.")


def delete_dataset(owner: str, path: str, *, who: str) -> None:
    """Delete the record of a dataset (its bytes are kept); an older default shows again.

    Raises
    ------
    NotFound
        If there is none.
    """
    group = revisions_of(owner, path)
    item = next((each for each in group if each.path == path), None)
    if item is None:
        raise NotFound(f"There is no dataset {path}.")
    rest = [each for each in group if each is not item]
    mark_defaults(rest)
    with transaction() as writes:
        writes.delete(item)
        if item.foreign:
            writes.delete(Pointer(pk=f"DSID#{item.uuid}", sk="A"))
        rows: list[Any] = [(f"{owner}|{path}", int(item.edition) + 1, None)]
        rows += [(f"{owner}|{each.path}", int(each.edition), each.row()) for each in rest]
        for row in rows:
            writes.row("dataset", *row)
        writes.audit(who, "delete", "dataset", item.uuid, item.row(), None)
    if item.default:
        _tell_dispatch(owner)


def _tell_dispatch(owner: str) -> None:
    """Say that other datasets of a session are the default ones now: its tasks may run again."""
    if "#" not in owner:
        queues.notify("dispatch", SessionRegistered(owner))
