"""Events for webhooks: the committed changes of records in the change feed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from shared.model import moment
from shared.model.change import Change
from shared.model.identity import dataset_id
from shared.model.notices import State
from shared.model.release import ReleaseState
from shared.model.webhooks import Happening, HookEvent
from shared.tasks.states import Status

NAMESPACE = uuid.UUID("c8b6b0a5-5c0b-4a53-9d50-5f6c6a1d9a55")

NEW = timedelta(hours=1)
"""A record made longer ago than this was changed, not made, by the change."""

LabOf = Callable[[str], str | None]
"""Returns the lab of a session, by its id; None if it is gone."""

Row = Mapping[str, Any]


def events(change: Change, lab_of: LabOf) -> Iterator[HookEvent]:
    """Yield the events of a committed change for webhooks."""
    read = READERS.get(change.kind)
    if read is not None and change.row is not None:
        yield from read(change, change.row, lab_of)


def _event(
    kind: Happening, change: Change, name: str, labs: tuple[str, ...], data: dict[str, object]
) -> HookEvent:
    key = str(uuid.uuid5(NAMESPACE, f"{kind}/{name}"))
    return HookEvent(key, kind, f"{change.at}Z", labs, data)


def _is_new(change: Change, made: Any) -> bool:
    return bool(made) and moment.of_stamp(change.at) - moment.utc(str(made)) < NEW


def _dataset(change: Change, row: Row, lab_of: LabOf) -> Iterator[HookEvent]:
    session, path = str(row["session"]), str(row["path"])
    if "#" in session or not _is_new(change, row.get("created_datetime")):
        return
    lab = lab_of(session)
    if lab is None:
        return
    key = row.get("foreign_id") or dataset_id(session, path)
    data = {"id": key, "session": session, "path": path, "dataset_type": row.get("dataset_type")}
    yield _event(Happening.DATASET, change, key, (lab,), data)


def _task(change: Change, row: Row, lab_of: LabOf) -> Iterator[HookEvent]:
    if row.get("status") != Status.ERRORED.label or not row.get("lab"):
        return
    name = f"{row['id']}/{row.get('attempt') or 0}"
    names = ("id", "name", "session", "attempt")
    data = {field: row.get(field) for field in names}
    yield _event(Happening.TASK, change, name, (str(row["lab"]),), data)


def _release(change: Change, row: Row, lab_of: LabOf) -> Iterator[HookEvent]:
    published = row.get("state") == ReleaseState.PUBLISHED
    if published and _is_new(change, row.get("published")):
        data = {name: row.get(name) for name in ("name", "version", "title", "doi")}
        yield _event(Happening.RELEASE, change, change.key, tuple(row.get("labs") or ()), data)


def _notice(change: Change, row: Row, lab_of: LabOf) -> Iterator[HookEvent]:
    if row.get("status") == State.SENT and row.get("lab") and _is_new(change, row.get("sent_at")):
        names = ("id", "notification_type", "user", "subject", "session", "task")
        data = {name: row.get(name) for name in names}
        yield _event(Happening.NOTICE, change, str(row["id"]), (str(row["lab"]),), data)


READERS: Mapping[str, Callable[[Change, Row, LabOf], Iterator[HookEvent]]] = {
    "dataset": _dataset,
    "task": _task,
    "release": _release,
    "notification": _notice,
}
"""Readers of changes, by kind of record."""
