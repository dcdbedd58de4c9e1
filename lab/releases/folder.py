"""A plain folder of sessions as a release, without any server."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import msgspec

from lab.importers.folder import FoundFile, FoundSession, Stray, scan
from lab.importers.identifiers import derived
from lab.transfer import HashCache, Hashes
from shared.alf.dataset_types import match_dataset_type
from shared.alf.errors import ALFError
from shared.alf.path import parse_dataset_path
from shared.model.identity import uuid4_from
from shared.model.release import (
    ReleasedFile,
    ReleasedSession,
    ReleaseManifest,
    ReleaseTerms,
)
from shared.releases.copy import BESIDE
from shared.releases.proving import Block, blocks_of


class LeftOut(msgspec.Struct, frozen=True):
    """A file that is no dataset and is left out, and why."""

    path: str
    reason: str


class FolderRelease(msgspec.Struct, frozen=True):
    """A folder's sessions as a release.

    Attributes
    ----------
    manifest : ReleaseManifest
    files : dict of Path
        Path of each file on disk, by its path in the copy.
    left_out : list of LeftOut
    sums : dict of int
        CRC-32 of each file, from the reading that gave its SHA-256, by its path in the copy.
    """

    manifest: ReleaseManifest
    files: dict[str, Path]
    left_out: list[LeftOut]
    sums: dict[str, int]

    def blocks(self, path: str, file: ReleasedFile) -> Iterator[Block]:
        """Return a file's bytes."""
        return blocks_of(self.files[path])


class NothingToRelease(ValueError):
    """The folder has no session."""


def folder_release(
    root: Path,
    name: str,
    terms: ReleaseTerms,
    *,
    lab: str | None = None,
    date: str | None = None,
    hashes: HashCache | None = None,
) -> FolderRelease:
    """Return a folder's sessions as a release; the same folder gives the same release.

    Parameters
    ----------
    root : Path
        ``[lab/Subjects/]subject/date/number/…`` at it or below.
    name : str
        Name of the release.
    terms : ReleaseTerms
    lab : str, optional
        Lab of sessions whose path names none.
    date : str, optional
        Day (ISO) of the release; by default that of the latest session, so that the release does
        not depend on the day it is made.
    hashes : HashCache, optional

    Raises
    ------
    NothingToRelease
        There is no session, or none with a known lab.
    """
    found: list[tuple[FoundSession, ReleasedSession]] = []
    left_out: list[LeftOut] = []
    for entry in scan(root):
        if isinstance(entry, Stray):
            if entry.path.name not in BESIDE:
                left_out.append(LeftOut(_shown(entry.path, root), entry.reason))
            continue
        left_out += [
            LeftOut(_shown(entry.folder / path, root), reason)
            for path, reason, _ in entry.problems
        ]
        found.append((entry, _session(entry, lab)))
    places = {
        f"{session.folder}/{file.path}": file.on_disk
        for entry, session in found
        for file in entry.files
    }
    digests = _hashed(places.values(), hashes or HashCache())
    if not found:
        raise NothingToRelease(
            f"{root} has no session: a session is a folder [LAB/Subjects/]SUBJECT/DATE/NUMBER."
        )
    manifest = ReleaseManifest(
        name=name,
        version=1,
        tag="",
        created=f"{date or max(session.date for _, session in found)}T00:00:00+00:00",
        created_by="",
        content="",
        terms=terms,
        sessions=tuple(sorted((session for _, session in found), key=lambda one: one.folder)),
        files=tuple(file for each in found for file in _files(*each, digests)),
    )
    sums = {path: digests[place].crc for path, place in places.items()}
    return FolderRelease(with_content(manifest), places, left_out, sums)


def _hashed(paths: Collection[Path], hashes: HashCache) -> dict[Path, Hashes]:
    """Return the hashes of files, of several at once: hashing one takes a processor."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return dict(zip(paths, pool.map(hashes.of, paths), strict=True))


def with_content(manifest: ReleaseManifest) -> ReleaseManifest:
    """Return a manifest with the digest of its files, sorted as on the server."""
    from shared.releases.manifest import content_digest

    order = {session.id: i for i, session in enumerate(manifest.sessions)}
    files = tuple(sorted(manifest.files, key=lambda file: (order[file.session], file.path)))
    return msgspec.structs.replace(manifest, files=files, content=content_digest(files))


def _session(found: FoundSession, lab: str | None) -> ReleasedSession:
    path = found.session
    own = path.lab or lab
    if own is None:
        raise NothingToRelease(f"{found.folder}: no folder names the lab; give it with --lab.")
    session = msgspec.structs.replace(path, lab=own)
    return ReleasedSession(
        id=str(derived("session", session.build())),
        lab=own,
        subject=path.subject,
        date=path.date.isoformat(),
        number=path.number,
    )


def _files(
    found: FoundSession, session: ReleasedSession, hashed: Mapping[Path, Hashes]
) -> Iterator[ReleasedFile]:
    latest = found.latest_revisions()
    for file in found.files:
        digests = hashed[file.on_disk]
        parts = parse_dataset_path(file.path)
        yield ReleasedFile(
            id=_id(file, session),
            session=session.id,
            path=file.path,
            size=digests.size,
            sha256=digests.sha256,
            md5=digests.md5,
            dataset_type=_type(parts.filename),
            default=parts.revision == latest[parts.without_revision],
        )


def _id(file: FoundFile, session: ReleasedSession) -> str:
    if isinstance(file.uuid, UUID):
        return str(file.uuid)
    return uuid4_from(session.id.replace("-", "")[:12], session.id, file.path)


def _type(name: str) -> str:
    try:
        return match_dataset_type(name).name
    except ALFError:
        return "unknown"


def _shown(path: Path, root: Path) -> str:
    text = path.as_posix()
    return re.sub(f"^{re.escape(root.resolve().as_posix())}/?", "", text)
