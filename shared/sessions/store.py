"""Sessions: find, create and change them; subject, day and number are unique."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from shared.model import moment
from shared.records import documents, keys, leaving, listed
from shared.records.errors import Exists, NotFound
from shared.records.feed import first_version
from shared.records.items import Document, Pointer, Session
from shared.records.optimistic import retried
from shared.records.table import Record
from shared.records.transactions import ConditionFailed, Transaction, transaction
from shared.records.writing import hold
from shared.sessions.contents import session_contents
from shared.work import write

ATTEMPTS = 8

NAMES: Mapping[str, str] = {
    "subject": "subject",
    "lab": "lab",
    "location": "location",
    "parent_session": "session",
    "procedures": "procedure",
    "projects": "project",
    "users": "user",
}
"""Attributes that name other records, with their kinds; these records must exist."""

OF_SUBJECT: Mapping[str, str] = {
    "lab": "lab",
    "projects": "project",
    "responsible_user": "user",
}
"""Attributes in which a session mostly names what its subject names, with their kinds."""

GONE = "GONE"
"""Partition of the notes about deleted sessions whose contents are not deleted completely."""


def get(eid: str, *, strong: bool = True) -> Session:
    """Return a session by id.

    Raises
    ------
    NotFound
        If there is none.
    """
    try:
        return Session.get(keys.session(eid), "A", consistent_read=strong)
    except Session.DoesNotExist:
        raise NotFound(f"There is no session {eid}.") from None


def find(subject: str, date: str, number: int) -> Session | None:
    """Return the session of a subject, day (``YYYY-MM-DD``) and number, or None."""
    try:
        guard = Pointer.get(keys.unique_session(subject, date, number), "A", consistent_read=True)
    except Pointer.DoesNotExist:
        return None
    return get(guard.to)


def of_subject(subject: str, first: str = "", last: str = "9999") -> Iterator[Session]:
    """Yield a subject's sessions between two days (inclusive), oldest first."""
    between = Record.g1sk.between(f"S#{first}", f"S#{last}~")
    return (item for item in Record.gsi1.query(keys.of_subject(subject), between))


def create(
    *,
    subject: str,
    start_time: str,
    who: str,
    lab: str | None = None,
    zone: str | None = None,
    number: int | None = None,
    id: str | None = None,
    animal: Mapping[str, Any] | None = None,
    **values: Any,
) -> Session:
    """Create a session; its subject, day and number are unique, by a guard item.

    Parameters
    ----------
    subject : str
        Nickname.
    start_time : str
        ISO time; naive is the lab's wall clock.
    who : str
        User name, for the audit trail.
    lab : str, optional
        The subject's lab by default.
    zone : str, optional
        The lab's time zone, if the caller knows it; it is looked up by default.
    number : int, optional
        The next free number of the day by default.
    id : str, optional
        A UUID of version 4; a random one by default.
    animal : mapping, optional
        The subject's row, if the caller knows it. While the subject stays so, one check of it
        covers all that it names, and the session need not check these one by one.
    **values
        Other attributes of `Session`.

    Raises
    ------
    NotFound, Missing, Leaving
        If there is no such subject or lab, or if another record that the session names is missing
        or being deleted.
    Exists
        If the subject has a session of that number on that day; ``key`` is its id.
    ValueError
        If the time cannot be read.
    """
    if not lab or not zone:
        lab = lab or str(documents.get("subject", subject).body["lab"])
        zone = documents.get("lab", lab).body.get("timezone")
    start = moment.instant(start_time, zone)
    if values.get("end_time"):
        values["end_time"] = moment.instant(values["end_time"], zone)
    day = start[:10]
    now = moment.now().isoformat()

    def step() -> Session:
        nonlocal animal
        chosen = number if number is not None else _next_number(subject, day)
        eid = id or str(uuid.uuid4())
        item = Session(
            pk=keys.session(eid),
            sk="A",
            id=eid,
            subject=subject,
            lab=lab,
            start_time=start,
            date=day,
            number=chosen,
            version=first_version(),
            **{"created": now, "auto_datetime": moment.naive(now), **values},
        )
        _index(item)
        prefix = Pointer(pk=keys.prefix(eid), sk="A", to=eid)
        guard = Pointer(pk=keys.unique_session(subject, day, chosen), sk="A", to=eid)
        try:
            with transaction() as writes:
                writes.record(
                    "session",
                    eid,
                    None,
                    item.row(),
                    who,
                    item=item,
                    version=int(item.version),
                    condition=Record.pk.does_not_exist(),
                )
                writes.save(guard, condition=Record.pk.does_not_exist())
                writes.save(prefix, condition=Record.pk.does_not_exist())
                _hold(writes, names_in(item.row()), animal)
                if id is not None:  # contents of a deleted session with this id may remain
                    writes.check(Pointer, GONE, eid, Pointer.pk.does_not_exist())
        except ConditionFailed:
            leaving.check_there(names_in(item.row()))
            animal = None  # it may have changed
            if number is not None and (existing := find(subject, day, number)):
                name = f"{subject}/{day}/{number:03d}"
                raise Exists(f"Session {name} already exists.", existing.id) from None
            if id is not None and _exists(item.pk):
                raise Exists(f"Session {eid} already exists.", eid) from None
            if id is not None and _exists(prefix.pk):
                raise Exists("A session whose id starts alike already exists.") from None
            raise
        return item

    return retried(step, f"No free session number for {subject} on {day}.", tries=ATTEMPTS)


def update(
    eid: str,
    edit: Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]],
    *,
    who: str,
) -> Session:
    """Change attributes of a session; tried again when somebody else was faster.

    Parameters
    ----------
    eid : str
        The session.
    edit : mapping or callable
        New values, or a function of the present attributes that returns them.
    who : str
        User name, for the audit trail.

    Raises
    ------
    NotFound, Exists, Missing, Leaving, Conflict
        If the session does not exist; if another session has the new day and number; if a record
        that it names now is missing or being deleted; if others kept writing.
    """

    def step() -> tuple[Session, bool]:
        item = get(eid)
        before = item.row()
        old_key = keys.unique_session(item.subject, item.date, int(item.number))
        values = dict(edit(dict(item.attribute_values)) if callable(edit) else edit)
        zone = None
        for name in ("start_time", "end_time"):
            if values.get(name):
                zone = zone or documents.get("lab", item.lab).body.get("timezone")
                values[name] = moment.instant(values[name], zone)
        if all(getattr(item, name) == value for name, value in values.items()):
            return item, False
        for name, value in values.items():
            setattr(item, name, value)
        item.date = item.start_time[:10]
        version = int(item.version)
        item.version = version + 1
        item.auto_datetime = moment.naive(moment.now().isoformat())
        moved = before["start_time"] != moment.naive(item.start_time)
        _index(item)
        key = keys.unique_session(item.subject, item.date, int(item.number))
        new_names = names_in(item.row()) - names_in(before)
        try:
            with transaction() as writes:
                writes.record(
                    "session",
                    eid,
                    before,
                    item.row(),
                    who,
                    item=item,
                    version=version + 1,
                    condition=(Session.version == version) & leaving.unmarked(),
                )
                hold(writes, new_names)
                if key != old_key:
                    guard = Pointer(pk=key, sk="A", to=eid)
                    writes.save(guard, condition=Record.pk.does_not_exist())
                    writes.delete(Pointer(pk=old_key, sk="A"))
        except ConditionFailed:
            leaving.check_there({("session", eid), *new_names})
            if key != old_key and _exists(key):
                raise Exists("Another session has this subject, day and number.") from None
            raise
        return item, moved

    item, moved = retried(step, f"Session {eid} is being changed by others; try again.", tries=40)
    if moved:
        _move_inside(item, who)
    return item


def _move_inside(session: Session, who: str) -> None:
    """Give the contents of a session its new start, by which lists are sorted."""
    start = str(moment.naive(session.start_time))

    def move(body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "session_start": start}

    for items in session_contents(session.id, strong=True)[2].values():
        for item in items:
            if "session_start" in item.body:
                documents.update(item.what, item.id, move, who=who)
    write.update_session_start(session.id, start)


def names_in(row: Mapping[str, Any]) -> set[leaving.Name]:
    """Return the (kind, key) of the records that a session names."""
    return _named(row, NAMES)


def _named(row: Mapping[str, Any], attributes: Mapping[str, str]) -> set[leaving.Name]:
    """Return the (kind, key) of the records that some attributes of a row name."""
    names: set[leaving.Name] = set()
    for name, kind in attributes.items():
        value = row.get(name)
        keys = value if isinstance(value, list | tuple) else [value]
        names.update((kind, str(key)) for key in keys if key)
    return names


def _hold(writes: Transaction, names: set[leaving.Name], animal: Mapping[str, Any] | None) -> None:
    """Let a transaction hold only while the records that a session names exist and stay.

    Records that the subject names too cannot be deleted while the subject is as it was read.
    """
    with_animal: set[leaving.Name] = set()
    if animal is not None:
        with_animal = _named(animal, OF_SUBJECT) & names
    if animal is not None and with_animal:
        name = ("subject", str(animal["nickname"]))
        same = leaving.there() & (Document.version == int(animal["_version"]))
        writes.check(Document, *leaving.place_of(*name), same)
        with_animal.add(name)
    hold(writes, names - with_animal)


def _exists(pk: str, sk: str = "A") -> bool:
    try:
        Record.get(pk, sk, consistent_read=True, attributes_to_get=["pk", "_k"])
    except Record.DoesNotExist:
        return False
    return True


def _next_number(subject: str, day: str) -> int:
    """Return the next free number of a day; the guard refuses a racing second."""
    number = 1
    while _exists(keys.unique_session(subject, day, number)):
        number += 1
    return number


def _index(item: Session) -> None:
    """Set the index keys of a session."""
    number = f"{int(item.number):03d}"
    item.g1pk, item.g1sk = keys.of_subject(item.subject), f"S#{item.date}#{number}"
    item.g2pk, item.g2sk = keys.of_lab(item.lab, item.date[:4]), f"{item.date}#{item.id}"


def _rows(items: Sequence[Session]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in items:
        yield "session", {**item.row(), "key": item.id, "_version": int(item.version)}


listed.register(Session, to_rows=_rows)
