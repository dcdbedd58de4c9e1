"""Known ids and facts of a copy's sessions and files: from its manifest, or from ONE's tables."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from shared.model.identity import SessionKey
from shared.model.release import ReleasedFile, ReleasedSession
from shared.releases.copy import MANIFEST, TABLES
from shared.releases.manifest import BadManifest, decode_manifest


class KnownIds(msgspec.Struct, frozen=True):
    """Ids by place.

    Attributes
    ----------
    sessions : dict of str
        Id by ``lab/Subjects/subject/date/NNN``, and by the same without lab.
    files : dict of str
        Id by (session's id, path within it).
    told_sessions : dict of ReleasedSession
        Sessions of a manifest, by id.
    told_files : dict of ReleasedFile
        Files of a manifest, by the same keys as `files`.
    """

    sessions: dict[str, str] = {}
    files: dict[tuple[str, str], str] = {}
    told_sessions: dict[str, ReleasedSession] = {}
    told_files: dict[tuple[str, str], ReleasedFile] = {}

    def session(self, path: str) -> str | None:
        """Return a session's id by its folder, with or without its lab; None if unknown."""
        return self.sessions.get(path) or self.sessions.get(path.rpartition("/Subjects/")[2])

    def about_session(self, eid: str | None) -> dict[str, Any]:
        """Return the known facts of a session, as columns of its row.

        The start is on the lab's clock: the lab may have another zone in the target, and the day
        must stay.
        """
        session = self.told_sessions.get(eid or "")
        if session is None:
            return {}
        start = datetime.fromisoformat(session.start_time) if session.start_time else None
        columns: dict[str, Any] = {"projects": list(session.projects)}
        if session.task_protocol:
            columns["task_protocol"] = session.task_protocol
        if start is not None and start.date().isoformat() == session.date:
            columns["start_time"] = start.replace(tzinfo=None).isoformat()
        return columns

    def about_file(self, eid: str, path: str) -> dict[str, Any]:
        """Return the known facts of a file, as columns of its dataset's row."""
        file = self.told_files.get((eid, path))
        if file is None:
            return {}
        columns: dict[str, Any] = {"qc": file.qc}
        return columns | ({"version": file.code_version} if file.code_version else {})


def ids_in(root: Path) -> KnownIds:
    """Return the ids that a folder's manifest or tables hold; none for a plain folder.

    Raises
    ------
    BadManifest
        Its manifest or its tables are damaged.
    """
    if (root / MANIFEST).is_file():
        manifest = decode_manifest((root / MANIFEST).read_bytes())
        return KnownIds(
            _both({session.folder: session.id for session in manifest.sessions}),
            {(file.session, file.path): file.id for file in manifest.files},
            {session.id: session for session in manifest.sessions},
            {(file.session, file.path): file for file in manifest.files},
        )
    if all((root / name).is_file() for name in TABLES):
        return _of_tables(root)
    return KnownIds()


def _both(sessions: dict[str, str]) -> dict[str, str]:
    return sessions | {path.rpartition("/Subjects/")[2]: eid for path, eid in sessions.items()}


def _of_tables(root: Path) -> KnownIds:
    """Return the ids of ONE's tables; those of older clients (pairs of integers) are not read."""
    import pyarrow.parquet as pq

    try:
        sessions = pq.read_table(root / TABLES[0]).to_pylist()
        datasets = pq.read_table(root / TABLES[1]).to_pylist()
        folders = {
            SessionKey(
                row.get("lab") or "", row["subject"], str(row["date"])[:10], int(row["number"])
            ).folder: str(row["id"])
            for row in sessions
        }
        files = {(str(row["eid"]), str(row["rel_path"])): str(row["id"]) for row in datasets}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadManifest(f"{root} has ONE tables that cannot be read: {error}") from None
    return KnownIds(_both(folders), files)
