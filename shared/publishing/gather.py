"""The content of a release: the datasets of a tag, with their sessions.

A request reads as many sessions as its time allows. If the tag has more, the result is stored for
the next request, for a day; sessions changed since then are read again. Only a complete content
becomes a manifest, so readers see all of a release or nothing.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent import futures

import msgspec

from shared import catalog
from shared.catalog.rows import Selection
from shared.model import json, prefixes
from shared.model.identity import nickname_of
from shared.model.quality import QC_NAMES
from shared.model.release import ReleasedFile, ReleasedSession
from shared.records import objects
from shared.records.errors import NotFound
from shared.records.items import Dataset, Session
from shared.records.where import Where
from shared.sessions.contents import session_and_datasets

PER_REQUEST = 2_000
"""Most sessions read by one request: an answer of the API may take half a minute."""

STAMPED = ("path", "file_size", "default_dataset", "qc", "version", "created_datetime")
"""Fields of a dataset's row; if one changes, its session is read again."""

AT_ONCE = 16
"""Sessions read concurrently."""

NAMED = 5
"""Most datasets named in a refusal."""


class NotReleasable(ValueError):
    """A tag's datasets cannot become a release; the message names the next step."""


class Gathered(msgspec.Struct, frozen=True):
    """The content of a release, sorted by folder and path."""

    sessions: tuple[ReleasedSession, ...]
    files: tuple[ReleasedFile, ...]

    @property
    def labs(self) -> tuple[str, ...]:
        """The labs whose data it has, sorted."""
        return tuple(sorted({session.lab for session in self.sessions}))


class GatheredSoFar(msgspec.Struct, frozen=True):
    """Progress of reading a tag's sessions; ask again for the rest."""

    done: int
    of: int


class _GatheredSession(msgspec.Struct, frozen=True):
    """A session as read: its datasets with the tag, and those without bytes."""

    id: str
    stamp: str
    session: ReleasedSession | None
    files: tuple[ReleasedFile, ...]
    absent: tuple[str, ...]


def gather(tag: str) -> Gathered | GatheredSoFar:
    """Return the present datasets of a tag, or the progress of reading them.

    Raises
    ------
    NotReleasable
        The tag has no datasets, or the own store lacks the bytes of one.
    """
    stamps = _stamps(tag)
    many = len(stamps) > PER_REQUEST
    sessions = dict(_kept(tag, stamps)) if many else {}
    missing = sorted(stamps.keys() - sessions.keys())[:PER_REQUEST]
    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        fresh = list(pool.map(lambda eid: _read(eid, tag, stamps[eid]), missing))
    sessions |= {each.id: each for each in fresh}
    _refuse_absent(sessions.values())
    if many and fresh:
        _keep(tag, fresh)
    if len(sessions) < len(stamps):
        return GatheredSoFar(len(sessions), len(stamps))
    released = [each for each in sessions.values() if each.session is not None and each.files]
    released.sort(key=lambda each: each.session.folder if each.session else "")
    return Gathered(
        tuple(each.session for each in released if each.session),
        tuple(file for each in released for file in each.files),
    )


def labs_of(tag: str) -> set[str]:
    """Return the labs whose sessions have datasets of a tag."""
    ids = frozenset(_tagged(tag).values("session"))
    sessions = catalog.table("session").select([Where("id", "in", ids)])
    return {str(lab) for lab in sessions.values("lab")}


def tagged_paths(tag: str) -> dict[str, list[str]]:
    """Return the paths of a tag's datasets by session."""
    paths: defaultdict[str, list[str]] = defaultdict(list)
    for dataset in _tagged(tag).all(("session", "path")):
        paths[dataset["session"]].append(dataset["path"])
    return paths


def _tagged(tag: str) -> Selection:
    return catalog.table("dataset").select([Where("tags", "in", frozenset({tag}))])


def _stamps(tag: str) -> dict[str, str]:
    """Return the sessions of a tag, each with a digest of its datasets' rows."""
    rows: defaultdict[str, list[str]] = defaultdict(list)
    for dataset in _tagged(tag).all(("session", *STAMPED)):
        rows[dataset["session"]].append("\x1f".join(str(dataset.get(name)) for name in STAMPED))
    if not rows:
        raise NotReleasable(
            f"No dataset has the tag {tag}: give it to some (`fornix release tag`)."
        )
    if others := sorted(owner for owner in rows if "#" in owner):
        raise NotReleasable(
            f"Datasets of {others[0].partition('#')[0]} have the tag; a release is of sessions' "
            "datasets: take the tag from the others."
        )
    return {
        eid: hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
        for eid, lines in rows.items()
    }


def _place(tag: str) -> str:
    return f"{prefixes.GATHERED}{hashlib.sha256(tag.encode()).hexdigest()}/"


def _kept(tag: str, stamps: dict[str, str]) -> Iterator[tuple[str, _GatheredSession]]:
    """Yield the sessions that earlier requests read and that have not changed since."""
    for key in sorted(objects.keys(_place(tag))):
        for each in json.decode(objects.read(key), tuple[_GatheredSession, ...]):
            if stamps.get(each.id) == each.stamp:
                yield each.id, each


def _keep(tag: str, read: list[_GatheredSession]) -> None:
    data = json.encode(read)
    objects.write_new(f"{_place(tag)}{hashlib.sha256(data).hexdigest()}.json", data)


def _read(eid: str, tag: str, stamp: str) -> _GatheredSession:
    try:
        session, datasets = session_and_datasets(eid, strong=True)
    except NotFound:
        return _GatheredSession(eid, stamp, None, (), ())
    chosen = sorted(
        (item for item in datasets if tag in (item.tags or ())), key=lambda item: item.path
    )
    absent = (item for item in chosen if not (item.in_own_store and item.stored_key))
    return _GatheredSession(
        id=eid,
        stamp=stamp,
        session=_session(session),
        files=tuple(released_file(session, item) for item in chosen),
        absent=tuple(f"{session.key.short}/{item.path}" for item in absent),
    )


def _refuse_absent(found: Iterable[_GatheredSession]) -> None:
    absent = sorted(path for session in found for path in session.absent)
    if absent:
        named = ", ".join(absent[:NAMED]) + (", …" if len(absent) > NAMED else "")
        raise NotReleasable(
            f"The bytes of {len(absent)} datasets are not in the own store ({named}): bring them "
            "(`fornix import … --upload`), or take the tag from them. Of a raw recording that was "
            "freed after its compression, tag the copy (.ebin, .eh)."
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


def released_file(session: Session, item: Dataset) -> ReleasedFile:
    """Return a dataset in the manifest's form."""
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
