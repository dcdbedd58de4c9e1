"""Many sessions for an export: from a release on a server, or from a folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from lab.exports.folder import FolderSession
from lab.exports.session import ExportSession
from shared.alf import ALFInvalid, parse_session_path
from shared.model.identity import SessionKey
from shared.model.release import ReleasedFile, ReleaseManifest, ReleaseRecord


class SessionToExport(msgspec.Struct, frozen=True):
    """A session to export later.

    Attributes
    ----------
    reference : str
        ``lab/Subjects/subject/date/NNN``.
    content : str
        Digest of its files and facts: while it is the same, so is the export.
    size : int
        Bytes of its files.
    open : callable
        Takes a folder for downloads, and returns the session.
    """

    reference: str
    content: str
    size: int
    open: Callable[[Path], ExportSession]


def of_release(
    client: Any, record: ReleaseRecord, manifest: ReleaseManifest, known: Mapping[str, Any]
) -> Iterator[SessionToExport]:
    """Yield the sessions of a release, each with its files in the release.

    Parameters
    ----------
    client : Client
        Account that sees them: a release has no facts of animals.
    record, manifest
        The version.
    known : mapping
        Facts that the records lack.
    """
    files: dict[str, list[ReleasedFile]] = {released.id: [] for released in manifest.sessions}
    for file in manifest.files:
        if file.id not in record.withdrawn:
            files[file.session].append(file)
    for session in manifest.sessions:
        mine = files[session.id]
        if not mine:
            continue
        digest = hashlib.sha256(repr(sorted(known.items())).encode())
        for file in mine:
            digest.update(f"{file.path} {file.size} {file.sha256 or file.md5}\n".encode())
        yield SessionToExport(
            session.folder,
            digest.hexdigest(),
            sum(file.size for file in mine),
            _opener(client, session.id, frozenset(file.path for file in mine), known),
        )


def _opener(
    client: Any, session: str, paths: frozenset[str], known: Mapping[str, Any]
) -> Callable[[Path], ExportSession]:
    def opened(cache: Path) -> ExportSession:
        from lab.exports.served import ServedSession

        session_served = ServedSession(client, client.get(f"/sessions/{session}"), cache, known)
        session_served.paths = tuple(path for path in session_served.paths if path in paths)
        return session_served

    return opened


def of_folder(root: Path, known: Mapping[str, Any]) -> Iterator[SessionToExport]:
    """Yield the sessions below a folder: a copy of a release, or any other folder."""
    for folder in _sessions_below(root.resolve()):
        session = FolderSession(folder, known)
        digest = hashlib.sha256(repr(sorted(known.items())).encode())
        size = 0
        for path in session.paths:
            stat = session.local(path).stat()
            size += stat.st_size
            digest.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        facts = session.facts
        reference = SessionKey(facts.lab, facts.subject.nickname, facts.date, facts.number).folder
        yield SessionToExport(reference, digest.hexdigest(), size, _opened(session))


def _opened(session: FolderSession) -> Callable[[Path], ExportSession]:
    return lambda _: session


def _sessions_below(root: Path) -> Iterator[Path]:
    """Yield the folders ``SUBJECT/DATE/NNN`` at a folder or below, sorted."""
    for folder, below, _ in os.walk(root):
        path = Path(folder)
        try:
            parse_session_path("/".join(path.parts[-3:]))
        except ALFInvalid:
            below.sort()
            continue
        below.clear()
        yield path
