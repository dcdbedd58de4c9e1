"""Sessions and their datasets: one partition per session, read by one query.

Visibility: a small registration is one transaction. A large one is staged: its datasets are
written in batches under the name of their set, and one conditional flip of the session's `Book`
makes the whole set visible. Readers pass over what is not in the book.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from shared.records import documents, queues, times
from shared.records.audit import entry
from shared.records.changes import change, changes, first_version
from shared.records.errors import Conflict, Exists, NotFound
from shared.records.items import Book, Dataset, Document, Pointer, Session
from shared.records.table import Record
from shared.records.transactions import Refused, transaction

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

ATTEMPTS = 8
AT_ONCE = 40
"""Datasets that go into one transaction (which costs double); more are staged."""


def get(eid: str, *, strong: bool = True) -> Session:
    """Return a session by id.

    Raises
    ------
    NotFound
        If there is none.
    """
    try:
        return Session.get(f"SES#{eid}", "A", consistent_read=strong)
    except Session.DoesNotExist:
        raise NotFound(f"There is no session {eid}.") from None


def find(subject: str, date: str, number: int) -> Session | None:
    """Return the session of a subject, day (``YYYY-MM-DD``) and number, or None."""
    try:
        guard = Pointer.get(_guard_key(subject, date, number), "A", consistent_read=True)
    except Pointer.DoesNotExist:
        return None
    return get(guard.to)


def of_subject(subject: str, first: str = "", last: str = "9999") -> Iterator[Session]:
    """Yield a subject's sessions between two days (inclusive), oldest first."""
    between = Record.g1sk.between(f"S#{first}", f"S#{last}~")
    return (item for item in Record.gsi1.query(f"SUBJ#{subject}", between))


def create(
    *,
    subject: str,
    start_time: str,
    who: str,
    lab: str | None = None,
    number: int | None = None,
    id: str | None = None,
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
    number : int, optional
        The next free number of the day by default.
    id : str, optional
        A UUID of version 4; a random one by default.
    **values
        Other attributes of `Session`.

    Raises
    ------
    NotFound
        If there is no such subject or lab.
    Exists
        If the subject has a session of that number on that day; ``key`` is its id.
    ValueError
        If the time is not one.
    """
    animal = documents.get("subject", subject).body
    lab = lab or animal["lab"]
    zone = documents.get("lab", lab).body.get("timezone")
    start = times.instant(start_time, zone)
    if values.get("end_time"):
        values["end_time"] = times.instant(values["end_time"], zone)
    day = start[:10]
    now = times.now().isoformat()
    eid = id or str(uuid.uuid4())
    for attempt in range(ATTEMPTS):
        chosen = number if number is not None else _next_number(subject, day)
        item = Session(
            pk=f"SES#{eid}",
            sk="A",
            id=eid,
            subject=subject,
            lab=lab,
            start_time=start,
            date=day,
            number=chosen,
            version=first_version(),
            **{"created": now, "auto_datetime": times.naive(now), **values},
        )
        _index(item)
        prefix = Pointer(pk=f"EID#{eid.replace('-', '')[:12]}", sk="A", to=eid)
        guard = Pointer(pk=_guard_key(subject, day, chosen), sk="A", to=eid)
        try:
            with transaction() as writes:
                writes.save(item, condition=Record.pk.does_not_exist())
                writes.save(guard, condition=Record.pk.does_not_exist())
                writes.save(prefix, condition=Record.pk.does_not_exist())
                writes.save(change("session", eid, int(item.version), item.row()))
                writes.save(entry(who, "create", "session", eid, None, item.row()))
            return item
        except Refused:
            if (there := find(subject, day, chosen)) and number is not None:
                name = f"{subject}/{day}/{chosen:03d}"
                raise Exists(f"Session {name} already exists.", there.id) from None
            if id is not None and _exists(f"SES#{eid}"):
                raise Exists(f"Session {eid} already exists.", eid) from None
            if not there and attempt == ATTEMPTS - 1:
                raise Exists("A session whose id starts alike already exists.") from None
            eid = id or str(uuid.uuid4())
    raise Conflict(f"No free session number for {subject} on {day}.")


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
    NotFound, Exists, Conflict
        If it is not there; if another session has the new day and number; if others kept writing.
    """
    for _ in range(ATTEMPTS):
        item = get(eid)
        before = item.row()
        old_key = _guard_key(item.subject, item.date, int(item.number))
        values = dict(edit(dict(item.attribute_values)) if callable(edit) else edit)
        zone = None
        for name in ("start_time", "end_time"):
            if values.get(name):
                zone = zone or documents.get("lab", item.lab).body.get("timezone")
                values[name] = times.instant(values[name], zone)
        if all(getattr(item, name) == value for name, value in values.items()):
            return item
        for name, value in values.items():
            setattr(item, name, value)
        item.date = item.start_time[:10]
        version = int(item.version)
        item.version = version + 1
        item.auto_datetime = times.naive(times.now().isoformat())
        moved = before["start_time"] != times.naive(item.start_time)
        _index(item)
        key = _guard_key(item.subject, item.date, int(item.number))
        try:
            with transaction() as writes:
                writes.save(item, condition=Session.version == version)
                if key != old_key:
                    guard = Pointer(pk=key, sk="A", to=eid)
                    writes.save(guard, condition=Record.pk.does_not_exist())
                    writes.delete(Pointer(pk=old_key, sk="A"))
                writes.save(change("session", eid, version + 1, item.row()))
                writes.save(entry(who, "update", "session", eid, before, item.row()))
            if moved:
                _move_inside(item, who)
            return item
        except Refused:
            if key != old_key and _exists(key):
                raise Exists("Another session has this subject, day and number.") from None
    raise Conflict(f"Session {eid} is being changed by others; try again.")


def _move_inside(session: Session, who: str) -> None:
    """Give what is within a session its new start, by which lists are sorted."""
    from shared.work import write

    start = str(times.naive(session.start_time))

    def move(body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "session_start": start}

    for items in contents(session.id, strong=True)[2].values():
        for item in items:
            if "session_start" in item.body:
                documents.update(item.what, item.id, move, who=who)
    write.update_session_start(session.id, start)


def delete(eid: str, *, who: str) -> None:
    """Delete a session with its datasets' records and the documents in it (bytes are kept).

    Raises
    ------
    NotFound
        If there is none.
    """
    from shared.work.item import Task

    item = get(eid)
    rest = [part for part in Record.query(f"SES#{eid}", consistent_read=True) if part.sk != "A"]
    gone: dict[str, list[tuple[str, int, None]]] = defaultdict(list)
    with Record.batch_write() as batch:
        for part in rest:
            if isinstance(part, Dataset):
                gone["dataset"].append((f"{eid}|{part.path}", int(part.edition) + 1, None))
            elif isinstance(part, Document):
                gone[part.what].append((part.id, int(part.version) + 1, None))
                batch.delete(Pointer(pk=f"DOC#{part.what}#{part.id}", sk="A"))
            elif isinstance(part, Task):
                gone["task"].append((part.id, int(part.edition) + 1, None))
            batch.delete(part)
    for kind, rows in gone.items():
        changes(kind, rows).save()
    with transaction() as writes:
        writes.delete(item)
        guard = _guard_key(item.subject, item.date, int(item.number))
        writes.delete(Pointer(pk=guard, sk="A"))
        writes.delete(Pointer(pk=f"EID#{eid.replace('-', '')[:12]}", sk="A"))
        writes.save(change("session", eid, int(item.version) + 1, None))
        writes.save(entry(who, "delete", "session", eid, item.row(), None))


def session_and_datasets(eid: str, *, strong: bool = False) -> tuple[Session, list[Dataset]]:
    """Return a session and its visible datasets by one query (see `contents`).

    Raises
    ------
    NotFound
        If there is no such session.
    """
    session, datasets, _ = contents(eid, strong=strong)
    return session, datasets


def contents(
    eid: str, *, strong: bool = False
) -> tuple[Session, list[Dataset], dict[str, list[Document]]]:
    """Return a session, its visible datasets and the documents in it, by one query.

    Returns
    -------
    session : Session
    datasets : list of Dataset
        With ``default`` set.
    documents : dict
        By kind: insertions, fields of view, notes, waterings.

    Raises
    ------
    NotFound
        If there is no such session.
    """
    session: Session | None = None
    book: Book | None = None
    files: list[Dataset] = []
    others: dict[str, list[Document]] = defaultdict(list)
    for item in Record.query(f"SES#{eid}", Record.sk < "I", consistent_read=strong):
        if isinstance(item, Dataset):
            files.append(item)
        elif isinstance(item, Session):
            session = item
        elif isinstance(item, Book):
            book = item
        elif isinstance(item, Document):
            others[item.what].append(item)
    if session is None:
        raise NotFound(f"There is no session {eid}.")
    return session, visible(book, files), others


def datasets(owner: str, *, strong: bool = True) -> list[Dataset]:
    """Return the visible datasets of a session (or ``content type#object id``), by one query."""
    head = "AGG" if "#" in owner else "SES"
    between = Record.sk.between("B", "D~")
    items = list(Record.query(f"{head}#{owner}", between, consistent_read=strong))
    book = next((item for item in items if isinstance(item, Book)), None)
    return visible(book, [item for item in items if isinstance(item, Dataset)])


def find_dataset(identity: str) -> tuple[Session | None, Dataset]:
    """Return a dataset by its id, with its session (None for an aggregate).

    Raises
    ------
    NotFound
        If there is none that is visible.
    """
    missing = NotFound(f"There is no dataset {identity}.")
    if len(identity) > 36:  # longer than a key may be, perhaps
        raise missing
    digits = identity.replace("-", "")
    try:
        owner = Pointer.get(f"EID#{digits[:12]}", "A", consistent_read=True).to
    except Pointer.DoesNotExist:
        try:
            owner = Pointer.get(f"DSID#{identity}", "A", consistent_read=True).to
        except Pointer.DoesNotExist:
            raise missing from None
    if "#" in owner:
        session, files = None, datasets(owner)
    else:
        session, files, _ = contents(owner, strong=True)
    for item in files:
        if item.id == digits:
            return session, item
    raise missing


def owners(ids: Iterable[str]) -> list[str]:
    """Return the sessions (or other records) that datasets may belong to, by their ids."""
    known = {each for each in ids if _UUID.fullmatch(each)}
    keys = {(f"EID#{each.replace('-', '')[:12]}", "A") for each in known}
    keys |= {(f"DSID#{each}", "A") for each in known}
    return sorted({item.to for item in Pointer.batch_get(sorted(keys))})


def places(ids: Iterable[str]) -> set[tuple[str, str]]:
    """Return where datasets are, by their ids: (owner, path)."""
    wanted = {each.replace("-", "") for each in ids}
    found = ((owner, item) for owner in owners(ids) for item in datasets(owner))
    return {(owner, item.path) for owner, item in found if item.id in wanted}


def register_datasets(
    owner: str,
    new: Sequence[Dataset],
    *,
    manifest: str,
    who: str | None = None,
    extra: Callable[[Any], None] | None = None,
) -> list[Dataset]:
    """Register datasets, all or none; the same again is no change.

    A dataset is found again by its place. If its content is the same its record is kept, else it
    is updated; one marked default becomes the default of its revisions.

    Parameters
    ----------
    owner : str
        The session's id, or ``content type#object id``.
    new : sequence of Dataset
        Made by `Dataset.of`.
    manifest : str
        Name of the set, the same when it is sent again (e.g. the SHA-256 of the manifest).
    who : str, optional
        User name, for the audit trail; by default who the datasets say made them.
    extra : callable, optional
        Adds writes to the transaction that makes the set visible.

    Returns
    -------
    list of Dataset
        As they are now, in the order of ``new``.

    Raises
    ------
    NotFound
        If there is no such session.
    Conflict
        If others kept registering to the same session.
    """
    head = "AGG" if "#" in owner else "SES"
    token = hashlib.sha256(manifest.encode()).hexdigest()[:10]
    for _ in range(ATTEMPTS):
        present = list(
            Record.query(f"{head}#{owner}", Record.sk.between("A", "D~"), consistent_read=True)
        )
        if head == "SES" and not any(isinstance(item, Session) for item in present):
            raise NotFound(f"There is no session {owner}.")
        book = next((item for item in present if isinstance(item, Book)), None)
        there = {item.sk: item for item in present if isinstance(item, Dataset)}
        seen = {item.sk: item for item in visible(book, list(there.values()))}
        added, edited = _compare(new, seen)
        if not added and not edited and not extra:
            return [seen[item.sk] for item in new]
        staged = len(added) + len(edited) > AT_ONCE
        if staged:
            _stage(added, token)
        direct = edited if staged else [*edited, *added]
        final = {**seen, **{item.sk: item for item in [*edited, *added]}}
        _mark_defaults(list(final.values()))
        touched = {(item.collection, item.name) for item in [*edited, *added]}
        rows = [
            (f"{owner}|{item.path}", int(item.edition), item.row())
            for item in final.values()
            if (item.collection, item.name) in touched
        ]
        try:
            # The flip: the first transaction shows the set, what is left over only edits records.
            for start in range(0, max(len(direct), 1), AT_ONCE):
                with transaction() as writes:
                    for item in direct[start : start + AT_ONCE]:
                        condition = (
                            Dataset.edition == item.edition - 1
                            if item.sk in seen
                            else (Record.pk.does_not_exist() | Dataset.batch.exists())
                        )
                        writes.save(item, condition=condition)
                        if item.sk not in seen and item.foreign:
                            writes.save(
                                Pointer(pk=f"DSID#{item.uuid}", sk="A", to=owner),
                                condition=Record.pk.does_not_exist() | (Pointer.to == owner),
                            )
                    if start:
                        continue
                    _flip(writes, f"{head}#{owner}", book, token if staged else None)
                    writes.save(changes("dataset", rows))
                    by = who or next((item.created_by for item in new if item.created_by), "?")
                    paths = {item.path: item.hash for item in [*edited, *added]}
                    writes.save(entry(by, "register", "session", owner, None, paths))
                    if extra:
                        extra(writes)
            return [final[item.sk] for item in new]
        except Refused:
            for item in edited:
                item.edition = int(item.edition) - 1
    raise Conflict(f"Others keep registering datasets to {owner}; try again.")


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
        group = _siblings(owner, path)
        item = next((each for each in group if each.path == path), None)
        if item is None:
            raise NotFound(f"There is no dataset {path}.")
        before = item.row()
        was = item.default
        edit(item)
        if item.default != was:
            item.default_at = times.now().isoformat() if item.default else None
        edition = int(item.edition)
        item.edition, item.changed = edition + 1, times.now().isoformat()
        if item.default != was:
            _mark_defaults(group)
        try:
            with transaction() as writes:
                writes.save(item, condition=Dataset.edition == edition)
                rows = group if item.default != was else [item]
                listed = [(f"{owner}|{e.path}", int(e.edition), e.row()) for e in rows]
                writes.save(changes("dataset", listed))
                writes.save(entry(who, "update", "dataset", item.uuid, before, item.row()))
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
    group = _siblings(owner, path)
    item = next((each for each in group if each.path == path), None)
    if item is None:
        raise NotFound(f"There is no dataset {path}.")
    rest = [each for each in group if each is not item]
    _mark_defaults(rest)
    with transaction() as writes:
        writes.delete(item)
        if item.foreign:
            writes.delete(Pointer(pk=f"DSID#{item.uuid}", sk="A"))
        rows: list[Any] = [(f"{owner}|{path}", int(item.edition) + 1, None)]
        rows += [(f"{owner}|{each.path}", int(each.edition), each.row()) for each in rest]
        writes.save(changes("dataset", rows))
        writes.save(entry(who, "delete", "dataset", item.uuid, item.row(), None))
    if item.default:
        _tell_dispatch(owner)


def _tell_dispatch(owner: str) -> None:
    """Say that other datasets of a session are the default ones now: its tasks may run again."""
    if "#" not in owner:
        queues.tell("dispatch", kind="session.registered", session=owner)


def _guard_key(subject: str, date: str, number: int) -> str:
    return f"UNIQ#{subject}#{date}#{int(number)}"


def _exists(pk: str, sk: str = "A") -> bool:
    try:
        Record.get(pk, sk, consistent_read=True, attributes_to_get=["pk", "_k"])
    except Record.DoesNotExist:
        return False
    return True


def _next_number(subject: str, day: str) -> int:
    """Return the next free number of a day; the guard refuses a racing second."""
    number = 1
    while _exists(_guard_key(subject, day, number)):
        number += 1
    return number


def _index(item: Session) -> None:
    """Set the index keys of a session."""
    number = f"{int(item.number):03d}"
    item.g1pk, item.g1sk = f"SUBJ#{item.subject}", f"S#{item.date}#{number}"
    item.g2pk, item.g2sk = f"LAB#{item.lab}#{item.date[:4]}", f"{item.date}#{item.id}"


def visible(book: Book | None, files: list[Dataset]) -> list[Dataset]:
    """Return the datasets whose set is complete, with ``default`` set."""
    done = set(book.sets or ()) if book else set()
    shown = [item for item in files if item.batch is None or item.batch in done]
    _mark_defaults(shown)
    return shown


def _mark_defaults(files: Iterable[Dataset]) -> None:
    """Set ``default`` on the latest of each group of revisions that was made default."""
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


def _compare(
    new: Sequence[Dataset], seen: dict[str, Dataset]
) -> tuple[list[Dataset], list[Dataset]]:
    """Split datasets into those to add and those there to change; the same ones drop out."""
    added, edited = [], []
    for item in new:
        old = seen.get(item.sk)
        if old is None:
            added.append(item)
            continue
        same = (
            all(
                getattr(item, name) in (None, getattr(old, name))
                for name in ("hash", "sha256", "file_size", "version", "dataset_type", "rows")
            )
            and (item.records or []) == (old.records or [])
            and int(item.qc or 0) == int(old.qc or 0)
            and item.default == old.default
        )
        if same:
            continue
        item.id, item.created, item.created_by = old.id, old.created, old.created_by
        item.tags, item.json = item.tags or old.tags, item.json or old.json
        if item.hash is not None and item.hash == old.hash:  # what is known of the same bytes
            for name in ("sha256", "file_size", "rows", "provenance"):
                if getattr(item, name) is None:
                    setattr(item, name, getattr(old, name))
        if item.default and old.default:
            item.default_at = old.default_at
        item.edition = int(old.edition) + 1
        item.changed = times.now().isoformat()
        edited.append(item)
    return added, edited


def _stage(added: Sequence[Dataset], token: str) -> None:
    """Write datasets that nobody sees yet."""
    with Dataset.batch_write() as batch:
        for item in added:
            item.batch = token
            batch.save(item)
            if item.foreign:
                batch.save(Pointer(pk=f"DSID#{item.uuid}", sk="A", to=item.owner))


def _flip(writes: Any, pk: str, book: Book | None, token: str | None) -> None:
    """Add the write to the book that makes a set visible; it also orders registrations."""
    version = int(book.version) if book else 0
    sets = set(book.sets or ()) if book else set()
    fresh = Book(
        pk=pk, sk="B", version=version + 1, sets=(sets | {token} if token else sets) or None
    )
    condition = (Book.version == version) if book else Record.pk.does_not_exist()
    writes.save(fresh, condition=condition)


def _siblings(owner: str, path: str) -> list[Dataset]:
    """Return the visible revisions of a dataset, itself among them."""
    probe = Dataset.of(owner, path)
    group = (probe.collection, probe.name)
    return [each for each in datasets(owner) if (each.collection, each.name) == group]
