"""Bring the tables in step with a server by its feed of changes, not by comparing its lists.

The place in the feed is noted in the database once all that it told is done. Stopped before, the
next run is told the same again, and finds what is done already unchanged.
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
    """Bring the rows of the animals in step of which anything changed; at first of all.

    All are compared, too, where the feed does not reach back to the last run, or the account may
    not follow it. An animal that was refused is told again at the next run.

    Yields
    ------
    SyncStep
    """
    database.create()
    source, made_by = client.settings.url[:255], code_version()
    place = database.place(source, made_by)
    told = _changed(client, place) if place else None
    if told is None:
        begin = _changed(client, None)  # before the lists are read: nothing falls in between
        steps = sync(database, served_subjects(client, cache), forget=forget)
        next_place = begin["next"] if begin else None
    else:
        steps = _sync_some(database, client, cache, told["subjects"], forget)
        next_place = told["next"]
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
    gone = set(ids) & database.known().keys() - {one.id for one in subjects}
    for each in sorted(gone if forget else ()):
        yield SyncStep(each, "removed", database.forget(each))


def _changed(client: Client, since: str | None) -> dict[str, Any] | None:
    """Return the animals that changed and the next place; None if all are to be compared."""
    query = {"since": since} if since else {}
    try:
        found: dict[str, Any] = client.get(FOLLOWING, **query)
    except RequestRefused:  # too long ago, a server without a feed, an account that may not
        return None
    return found
