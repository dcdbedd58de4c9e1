"""What a copy tells of its sessions and files: by its manifest, or, ids alone, by ONE's tables."""

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
        What a manifest says of sessions, by id.
    told_files : dict of ReleasedFile
        And of files, as `files`.
    """

    sessions: dict[str, str] = {}
    files: dict[tuple[str, str], str] = {}
    told_sessions: dict[str, ReleasedSession] = {}
    told_files: dict[tuple[str, str], ReleasedFile] = {}

    def session(self, path: str) -> str | None:
        """Return a session's id by its folder, with or without its lab; None if unknown."""
        return self.sessions.get(path) or self.sessions.get(path.rpartition("/Subjects/")[2])

    def about_session(self, eid: str | None) -> dict[str, Any]:
        """Return what is told of a session, as columns of its row.

        The start is on the lab's clock: the lab may have another zone where it is carried to, and
        the day has to stay.
        """
        told = self.told_sessions.get(eid or "")
        if told is None:
            return {}
        start = datetime.fromisoformat(told.start_time) if told.start_time else None
        columns: dict[str, Any] = {"projects": list(told.projects)}
        if told.task_protocol:
            columns["task_protocol"] = told.task_protocol
        if start is not None and start.date().isoformat() == told.date:
            columns["start_time"] = start.replace(tzinfo=None).isoformat()
        return columns

    def about_file(self, eid: str, path: str) -> dict[str, Any]:
        """Return what is told of a file, as columns of its dataset's row."""
        told = self.told_files.get((eid, path))
        if told is None:
            return {}
        columns: dict[str, Any] = {"qc": told.qc}
        return columns | ({"version": told.code_version} if told.code_version else {})


def ids_in(root: Path) -> KnownIds:
    """Return the ids that a folder tells; none of a plain one.

    Raises
    ------
    BadManifest
        Its manifest or its tables are damaged.
    """
    if (root / MANIFEST).is_file():
        manifest = decode_manifest((root / MANIFEST).read_bytes())
        return KnownIds(
            _both({one.folder: one.id for one in manifest.sessions}),
            {(file.session, file.path): file.id for file in manifest.files},
            {one.id: one for one in manifest.sessions},
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
