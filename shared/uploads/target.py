"""The session that an upload goes to, which is made when its first file is registered."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from shared.model import moment
from shared.model.identity import SessionKey
from shared.model.session import SessionMetadata
from shared.model.upload import Target, UploadRequest
from shared.records import documents
from shared.records.errors import Conflict, Exists, Missing, NotFound
from shared.records.items import Session
from shared.sessions import store as sessions
from shared.sessions.animals import find_animal, find_in_folder
from shared.uploads.request import InvalidUpload

FREE = frozenset({"projects", "users", "procedures", "location"})
"""Optional references of a session: names deleted meanwhile are left out."""

TRIES = 5
"""Attempts to write a new session while a record that it names is being deleted."""

FIRST_YEAR, LAST_YEAR = 1980, 2100
"""Sessions of other years come from a wrong clock."""


def resolve_target(request: UploadRequest) -> Target:
    """Return the session of a request, with what is needed to create it.

    Raises
    ------
    InvalidUpload
        There is no such session, lab, subject, project or user, or they do not belong together.
    """
    if request.session is not None:
        try:
            return _target(sessions.get(request.session))
        except NotFound as error:
            raise InvalidUpload({"session": [str(error)]}) from None
    key = request.key
    assert key is not None  # noqa: S101 - a request has the one or the other
    problems = []
    lab = documents.find("lab", key.lab)
    if lab is None:
        problems.append(f"There is no lab {key.lab!r}; check the folder above Subjects, or --lab.")
    animal = find_animal(key.lab, key.subject) or documents.find("subject", key.subject)
    if animal is None:
        problems.append(
            f"There is no subject {key.subject!r}; check the folder's name or add the subject "
            "first."
        )
    elif animal.body.get("lab") != key.lab:
        problems.append(f"Subject {key.subject!r} belongs to lab {animal.body.get('lab')!r}.")
    if not FIRST_YEAR <= date.fromisoformat(key.date).year <= LAST_YEAR:
        problems.append(f"date: {key.date} is not between {FIRST_YEAR} and {LAST_YEAR}.")
    if problems:
        raise InvalidUpload({"session": problems})
    existing = find_in_folder(key)
    if existing is not None:
        return _target(existing)
    zone = lab.body.get("timezone") if lab else None
    metadata, problems = _complete(key, request.metadata, zone)
    if problems:
        raise InvalidUpload({"session": problems})
    return Target(key, None, metadata)


def _complete(
    key: SessionKey, metadata: SessionMetadata, zone: str | None
) -> tuple[SessionMetadata, list[str]]:
    """Return the metadata of a new session with its start, and its faults."""
    said = metadata.given()
    problems = [
        f"There is no {sessions.NAMES[field]} {name!r}."
        for field in FREE
        for name in _listed(said.get(field))
        if documents.find(sessions.NAMES[field], name) is None
    ]
    start = metadata.start_time or f"{key.date}T00:00:00"
    try:
        begins = moment.instant(start, zone)
        if begins[:10] != key.date:
            problems.append(f"start_time {begins} is not on the session's day {key.date}.")
        if metadata.end_time and moment.instant(metadata.end_time, zone) < begins:
            problems.append("end_time is before start_time.")
    except (ValueError, TypeError, AttributeError, OverflowError):
        problems.append("start_time and end_time must be ISO times.")
    return msgspec.structs.replace(metadata, start_time=start), problems


def _listed(value: Any) -> list[str]:
    return list(value) if isinstance(value, list | tuple) else [value] if value else []


def _still_there(values: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of a new session without the names of records deleted meanwhile."""
    remaining = dict(values)
    for field in FREE & values.keys():
        kind, value = sessions.NAMES[field], values[field]
        existing = [name for name in _listed(value) if documents.find(kind, name)]
        remaining[field] = (
            existing if isinstance(value, list | tuple) else next(iter(existing), None)
        )
    return {name: value for name, value in remaining.items() if value is not None}


def _target(session: Session) -> Target:
    return Target(session.key, session.id)


def find_session(target: Target) -> Session | None:
    """Return the session of a target, None while it does not exist."""
    key = target.key
    try:
        if target.id is not None:
            return sessions.get(target.id)
        return find_in_folder(key)
    except NotFound:
        return None


def find_or_create_session(target: Target, by: str) -> Session:
    """Return the session of a target, created now if it does not exist.

    Raises
    ------
    NotFound
        The session, subject or lab has gone since the upload was opened.
    """
    if target.id is not None:
        return sessions.get(target.id)
    if (existing := find_session(target)) is not None:
        return existing
    key = target.key
    values = {"users": [by], "type": "Experiment", **target.metadata.given()}
    animal = find_animal(key.lab, key.subject)
    subject = str(animal.body["nickname"]) if animal else key.subject
    for _ in range(TRIES):
        try:
            return sessions.create(
                subject=subject, lab=key.lab, number=key.number, who=by, **values
            )
        except Exists as exists:
            return sessions.get(str(exists.key))
        except Missing as missing:
            if missing.kind in ("subject", "lab"):
                raise
            values = _still_there(values)
    raise Conflict(f"What session {key.short} names is being deleted by others; try again.")
