"""NWB files of releases: ordered when a version is published, listed, hidden with their content.

A worker of each session's lab writes them. They are datasets of the sessions with a separate tag
(`nwb_tag`), so a release's content stays unchanged. They are visible with the release, and never
without it, by the rules for all tags.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent import futures
from contextlib import suppress

from shared import catalog
from shared.datasets.edit import update_dataset
from shared.model.messages import SessionRegistered
from shared.model.release import ReleasedFile, ReleasedSession, ReleaseRecord, nwb_tag
from shared.publishing.gather import AT_ONCE, released_file, tagged_paths
from shared.records import documents, queues
from shared.records.errors import Exists, NotFound
from shared.records.items import Dataset
from shared.sessions.contents import session_and_datasets


def order(
    record: ReleaseRecord, sessions: Iterable[ReleasedSession], *, raw: bool, who: str
) -> None:
    """Order NWB files of a version's sessions; existing ones stay.

    Parameters
    ----------
    raw : bool
        Whether raw recordings are copied, too. Once they are, later versions have theirs copied.
    """
    tag = nwb_tag(record.tag)
    body = {
        "name": tag,
        "description": f"NWB files of {record.tag}",
        "public": True,
        "protected": False,
        "hash": None,
        "json": {"release": record.name} | ({"raw": "copy"} if raw else {}),
    }
    try:
        documents.create("tag", tag, body, who=who)
    except Exists:
        if raw:
            documents.update("tag", tag, lambda old: old | {"json": body["json"]}, who=who)
    queues.notify_all(
        "dispatch", [SessionRegistered(session.id, again=True) for session in sessions]
    )


def hide(tag: str, sessions: Collection[str], *, who: str) -> None:
    """Hide the NWB files of sessions that lost released files; order new ones."""
    hidden = nwb_tag(tag)

    def edit(item: Dataset) -> None:
        item.tags = [each for each in item.tags or () if each != hidden]

    for eid, paths in tagged_paths(hidden).items():
        for path in paths if eid in sessions else ():
            with suppress(NotFound):
                update_dataset(eid, path, edit, who=who)
    queues.notify_all("dispatch", [SessionRegistered(eid, again=True) for eid in sessions])


def nwb_files(
    record: ReleaseRecord, sessions: Iterable[str], offset: int = 0, limit: int | None = None
) -> tuple[int, list[ReleasedFile]]:
    """Return the number of a version's sessions with NWB files, and the files of some of them.

    Parameters
    ----------
    record : ReleaseRecord
    sessions : iterable of str
        Sessions of the version.
    offset, limit : int
        Sessions to skip, and most sessions to read.
    """
    tag = nwb_tag(record.tag)
    paths = tagged_paths(tag)
    wanted = sorted(paths.keys() & set(sessions))
    chosen = wanted[offset : None if limit is None else offset + limit]

    def read(eid: str) -> list[ReleasedFile]:
        with suppress(NotFound):
            session, datasets = session_and_datasets(eid, strong=True)
            tagged = (item for item in datasets if tag in (item.tags or ()))
            return [released_file(session, item) for item in tagged]
        return []

    with futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return len(wanted), [file for files in pool.map(read, chosen) for file in files]


def ordered(tag: str) -> bool:
    """Return whether NWB files are made from the datasets with a tag."""
    return catalog.table("tag").get(nwb_tag(tag)) is not None
