"""Synchronise the tables with a server by its feed of changes, not by comparing its lists.

The position in the feed is stored in the database after all its changes are done. If a run stops
before, the next run gets the same changes again, and finds the finished ones unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.client import Client, RequestRefused
from lab.exports.datajoint.database import Database
from lab.exports.datajoint.served import served_subjects
from lab.exports.datajoint.sources import code_version
from lab.exports.datajoint.sync import SyncStep, sync

FOLLOWING = "/changes/subjects"


def follow(
    database: Database, client: Client, cache: Path, *, forget: bool = True
) -> Iterator[SyncStep]:
    """Synchronise the animals that have changed; at first all of them.

    All are compared, too, if the feed does not reach back to the last run, or the account may not
    read it. The next run tries a refused animal again.

    Yields
    ------
    SyncStep
    """
    database.create()
    source, made_by = client.settings.url[:255], code_version()
    place = database.place(source, made_by)
    changes = _changed(client, place) if place else None
    if changes is None:
        begin = _changed(client, None)  # before reading the lists, so that no change is missed
        steps = sync(database, served_subjects(client, cache), forget=forget)
        next_place = begin["next"] if begin else None
    else:
        steps = _sync_some(database, client, cache, changes["subjects"], forget)
        next_place = changes["next"]
    refused = False
    for step in steps:
        refused = refused or step.did == "refused"
        yield step
    if next_place and not refused:
        database.keep_place(source, made_by, next_place)


def _sync_some(
    database: Database, client: Client, cache: Path, ids: list[str], forget: bool
) -> Iterator[SyncStep]:
    subjects = served_subjects(client, cache, ids) if ids else []
    yield from sync(database, subjects, forget=False)
    gone = set(ids) & database.known().keys() - {animal.id for animal in subjects}
    for subject_id in sorted(gone if forget else ()):
        yield SyncStep(subject_id, "removed", database.forget(subject_id))


def _changed(client: Client, since: str | None) -> dict[str, Any] | None:
    """Return the changed animals and the next position; None if all have to be compared."""
    query = {"since": since} if since else {}
    try:
        changes: dict[str, Any] = client.get(FOLLOWING, **query)
    except RequestRefused:  # position too old, no feed on this server, or no permission
        return None
    return changes
