"""What a release is made of: the datasets of a tag, with their sessions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec

from shared import catalog
from shared.model.identity import nickname_of
from shared.model.quality import QC_NAMES
from shared.model.release import ReleasedFile, ReleasedSession
from shared.records.errors import NotFound
from shared.records.items import Dataset, Session
from shared.records.where import Where
from shared.sessions.contents import session_and_datasets

MOST_SESSIONS = 2_000
"""Sessions of one release: so many are read within the time that an answer of the API may take."""

AT_ONCE = 16
"""Sessions read at the same time."""

NAMED = 5
"""Datasets named in a refusal."""


class NotReleasable(ValueError):
    """A tag's datasets cannot be a release as they are; the message names the next step."""


class Gathered(msgspec.Struct, frozen=True):
    """The content of a release, sorted by folder and path."""

    sessions: tuple[ReleasedSession, ...]
    files: tuple[ReleasedFile, ...]

    @property
    def labs(self) -> tuple[str, ...]:
        """The labs whose data it has, sorted."""
        return tuple(sorted({session.lab for session in self.sessions}))


def gather(tag: str) -> Gathered:
    """Return what the datasets of a tag are now.

    Raises
    ------
    NotReleasable
        There are none, or too many; or the own store lacks the bytes of one.
    """
    tagged = Where("tags", "in", frozenset({tag}))
    owners = sorted(catalog.table("dataset").select([tagged]).values("session"))
    if not owners:
        raise NotReleasable(
            f"No dataset has the tag {tag}: give it to some (`fornix release tag`)."
        )
    if others := [owner for owner in owners if "#" in owner]:
        raise NotReleasable(
            f"Datasets of {others[0].partition('#')[0]} have the tag; a release is of sessions' "
            "datasets: take the tag from the others."
        )
    if len(owners) > MOST_SESSIONS:
        raise NotReleasable(
            f"The tag is on datasets of {len(owners)} sessions; a release has up to "
            f"{MOST_SESSIONS}: make several, by project or year."
        )
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = [each for each in pool.map(lambda eid: _read(eid, tag), owners) if each]
    found.sort(key=lambda each: each[0].folder)
    _refuse_absent(found)
    return Gathered(
        tuple(_session(session) for session, datasets in found if datasets),
        tuple(_file(session, item) for session, datasets in found for item in datasets),
    )


def _read(eid: str, tag: str) -> tuple[Session, list[Dataset]] | None:
    try:
        session, datasets = session_and_datasets(eid, strong=True)
    except NotFound:
        return None
    chosen = [item for item in datasets if tag in (item.tags or ())]
    return session, sorted(chosen, key=lambda item: item.path)


def _refuse_absent(found: list[tuple[Session, list[Dataset]]]) -> None:
    absent = [
        f"{session.key.short}/{item.path}"
        for session, datasets in found
        for item in datasets
        if not (item.in_own_store and item.stored_key)
    ]
    if absent:
        named = ", ".join(absent[:NAMED]) + (", …" if len(absent) > NAMED else "")
        raise NotReleasable(
            f"The bytes of {len(absent)} datasets are not in the own store ({named}): bring them "
            "(`fornix import … --upload`), or take the tag from them."
        )


def _session(item: Session) -> ReleasedSession:
    return ReleasedSession(
        id=item.id,
        lab=item.lab,
        subject=nickname_of(item.subject),
        date=item.date,
        number=int(item.number),
        start_time=item.start_time,
        task_protocol=item.task_protocol or "",
        projects=tuple(sorted(item.projects or ())),
        users=tuple(sorted(item.users or ())),
    )


def _file(session: Session, item: Dataset) -> ReleasedFile:
    return ReleasedFile(
        id=item.uuid,
        session=session.id,
        path=item.path,
        size=int(item.file_size or 0),
        sha256=item.sha256,
        md5=item.hash,
        place=item.stored_key or "",
        dataset_type=item.dataset_type,
        default=bool(item.default),
        qc=QC_NAMES.get(int(item.qc), "NOT_SET"),
        code_version=item.version,
    )
