"""The session that an upload goes to, which is made when its first file is registered."""

from __future__ import annotations

from shared.model import moment
from shared.records import documents
from shared.records.errors import Exists, NotFound
from shared.records.items import Session
from shared.sessions import store as sessions
from shared.uploads.request import METADATA, InvalidUpload, Request, Target


def resolve_target(request: Request) -> Target:
    """Return the session that a request goes to, with what is needed to make it.

    Raises
    ------
    InvalidUpload
        There is no such session, lab, subject, project or user, or they do not belong together.
    """
    wanted = request.session
    if "id" in wanted:
        try:
            return _target(sessions.get(wanted["id"]))
        except NotFound as error:
            raise InvalidUpload({"session": [str(error)]}) from None
    subject, lab = wanted["subject"], wanted["lab"]
    problems = []
    lab_record = documents.find("lab", lab)
    if lab_record is None:
        problems.append(f"There is no lab {lab!r}; check the folder above Subjects, or --lab.")
    animal = documents.find("subject", subject)
    if animal is None:
        problems.append(
            f"There is no subject {subject!r}; check the folder's name or add the subject first."
        )
    elif animal.body.get("lab") != lab:
        problems.append(f"Subject {subject!r} belongs to lab {animal.body.get('lab')!r}.")
    if problems:
        raise InvalidUpload({"session": problems})
    existing = sessions.find(subject, wanted["date"], wanted["number"])
    if existing is not None:
        return _target(existing)
    for field_name, kind in (("projects", "project"), ("users", "user")):
        problems += [
            f"There is no {kind} {name!r}."
            for name in wanted.get(field_name, ())
            if documents.find(kind, str(name)) is None
        ]
    metadata = {name: wanted[name] for name in METADATA if name in wanted}
    zone = lab_record.body.get("timezone") if lab_record else None
    metadata.setdefault("start_time", f"{wanted['date']}T00:00:00")
    try:
        start = moment.instant(metadata["start_time"], zone)
        if start[:10] != wanted["date"]:
            problems.append(f"start_time {start} is not on the session's day {wanted['date']}.")
        if metadata.get("end_time"):
            moment.instant(metadata["end_time"], zone)
    except (ValueError, TypeError, AttributeError):
        problems.append("start_time and end_time must be ISO times.")
    if problems:
        raise InvalidUpload({"session": problems})
    return Target(lab, subject, wanted["date"], wanted["number"], None, metadata)


def _target(session: Session) -> Target:
    return Target(session.lab, session.subject, session.date, int(session.number), session.id)


def find_or_create_session(target: Target, by: str) -> Session:
    """Return the session of a target, made now if need be.

    Raises
    ------
    NotFound
        The subject or lab has gone since the upload was opened.
    """
    if target.id is not None:
        return sessions.get(target.id)
    existing = sessions.find(target.subject, target.date, target.number)
    if existing is not None:
        return existing
    values = {"users": [by], "type": "Experiment", **target.metadata}
    try:
        return sessions.create(
            subject=target.subject, lab=target.lab, number=target.number, who=by, **values
        )
    except Exists as exists:
        return sessions.get(str(exists.key))
