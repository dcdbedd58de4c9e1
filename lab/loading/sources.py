"""Where data are: a folder, a zip, a release of a server, a server. Files are read by ranges."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from lab.client import RecordMissing
from lab.releases.remote import ReleaseServer
from shared.alf.path import split_session
from shared.model.identity import uuid4_from
from shared.model.object_index import ObjectIndex
from shared.model.release import (
    ReleasedFile,
    ReleasedSession,
    ReleaseManifest,
    ReleaseRecord,
    ReleaseTerms,
)
from shared.releases.copy import MANIFEST, TABLES
from shared.releases.manifest import BadManifest, decode_manifest


class NoData(LookupError):
    """What was asked for is not there; the message says what is."""


class DataSource(Protocol):
    """Sessions, their files, and the bytes of these."""

    name: str

    def sessions(self) -> Sequence[ReleasedSession]:
        """Return the sessions."""

    def files(self, session: str) -> Sequence[ReleasedFile]:
        """Return the files of a session; raises NoData where there is no such session."""

    def read(self, file: ReleasedFile, start: int, length: int) -> bytes:
        """Return some bytes of a file, by one request where that is over a network."""

    def place(self, file: ReleasedFile) -> tuple[Path | str, int] | None:
        """Return a file on this disk and the offset in it at which the bytes are, if any."""

    def address(self, file: ReleasedFile) -> str:
        """Return an address that answers to ranges, or a path, for readers of their own."""

    def index(self, file: ReleasedFile) -> ObjectIndex | None:
        """Return what lies where in a large file over a network, where that is known."""


class _Indexed:
    """Sessions and files of a manifest."""

    name: str
    manifest: ReleaseManifest
    hidden: frozenset[str] = frozenset()

    def sessions(self) -> Sequence[ReleasedSession]:
        """Return the sessions."""
        return self.manifest.sessions

    @cached_property
    def _by_session(self) -> dict[str, list[ReleasedFile]]:
        found: dict[str, list[ReleasedFile]] = {one.id: [] for one in self.manifest.sessions}
        for file in self.manifest.files:
            if file.id not in self.hidden:
                found[file.session].append(file)
        return found

    @cached_property
    def _folders(self) -> dict[str, str]:
        return {one.id: one.folder.removeprefix("/Subjects/") for one in self.manifest.sessions}

    def files(self, session: str) -> Sequence[ReleasedFile]:
        """Return the files of a session."""
        try:
            return self._by_session[session]
        except KeyError:
            raise NoData(
                f"{self.name} has no session {session}; `sessions` lists its "
                f"{len(self.manifest.sessions)}."
            ) from None

    def index(self, file: ReleasedFile) -> ObjectIndex | None:
        """Return none: what is on this disk needs none."""
        return None

    def path_of(self, file: ReleasedFile) -> str:
        """Return where a file lies in a copy."""
        return f"{self._folders[file.session]}/{file.path}"


class FolderSource(_Indexed):
    """A folder: a copy of a release, a cache of the ONE client, or plain sessions."""

    def __init__(self, root: Path) -> None:
        self.root, self.name = root, str(root)
        if (root / MANIFEST).is_file():
            try:
                self.manifest = decode_manifest((root / MANIFEST).read_bytes())
            except BadManifest as error:
                raise NoData(f"{root}: {error}") from None
        elif all((root / table).is_file() for table in TABLES):
            self.manifest = _of_tables(root)
        else:
            found = (path for path in root.rglob("*") if path.is_file())
            self.manifest = _of_names(
                {path.relative_to(root).as_posix(): path.stat().st_size for path in found}
            )

    def place(self, file: ReleasedFile) -> tuple[str, int]:
        """Return where a file is."""
        return f"{self.name}/{self.path_of(file)}", 0

    def read(self, file: ReleasedFile, start: int, length: int) -> bytes:
        """Return some bytes of a file."""
        with (self.root / self.path_of(file)).open("rb") as source:
            source.seek(start)
            return source.read(length)

    def address(self, file: ReleasedFile) -> str:
        """Return a file's path."""
        return str(self.root / self.path_of(file))


class ZipSource(_Indexed):
    """A zip, or its parts, as it is: stored files are read where they lie."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.name = str(paths[0])
        try:
            self._zips = [(path, zipfile.ZipFile(path)) for path in paths]
        except (OSError, zipfile.BadZipFile) as error:
            raise NoData(f"{paths[0]} is no whole zip: {error}") from None
        self._entries: dict[str, tuple[Path, zipfile.ZipFile, zipfile.ZipInfo]] = {
            info.filename: (path, archive, info)
            for path, archive in self._zips
            for info in archive.infolist()
        }
        if MANIFEST in self._entries:
            try:
                self.manifest = decode_manifest(self._whole(MANIFEST))
            except BadManifest as error:
                raise NoData(f"{paths[0]}: {error}") from None
        else:
            self.manifest = _of_names(
                {name: entry[2].file_size for name, entry in self._entries.items()}
            )
        self._offsets: dict[str, int] = {}

    def _whole(self, name: str) -> bytes:
        _, archive, info = self._entries[name]
        return archive.read(info)

    def place(self, file: ReleasedFile) -> tuple[Path, int] | None:
        """Return where a stored file's bytes begin; None if it is compressed."""
        name = self.path_of(file)
        try:
            path, _, info = self._entries[name]
        except KeyError:
            raise NoData(f"{self.name} has no {name}; are all of its parts here?") from None
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 0x1:
            return None
        if name not in self._offsets:
            with path.open("rb") as source:  # the local header has lengths of its own
                source.seek(info.header_offset + 26)
                named, extra = struct.unpack("<HH", source.read(4))
            self._offsets[name] = info.header_offset + 30 + named + extra
        return path, self._offsets[name]

    def read(self, file: ReleasedFile, start: int, length: int) -> bytes:
        """Return some bytes of a file; of a compressed one by unpacking it."""
        found = self.place(file)
        if found is None:
            return self._whole(self.path_of(file))[start : start + length]
        path, offset = found
        with path.open("rb") as source:
            source.seek(offset + start)
            return source.read(min(length, max(0, file.size - start)))

    def address(self, file: ReleasedFile) -> str:
        """Refuse: readers of their own need a file."""
        raise NoData(f"{file.path} is in a zip: unpack it, or open the release by its address.")


class _OnServer:
    """Files that are read from a server."""

    server: ReleaseServer

    def place(self, file: ReleasedFile) -> None:
        """Return none: it is not on this disk."""
        return

    def read(self, file: ReleasedFile, start: int, length: int) -> bytes:
        """Return some bytes of a file by one range request."""
        return self.server.read(file, start, length)

    def address(self, file: ReleasedFile) -> str:
        """Return an address that is good for an hour."""
        return self.server.location(file)

    def index(self, file: ReleasedFile) -> ObjectIndex | None:
        """Return what lies where in a large file, as the server knows it."""
        return self.server.index(file)


class ReleaseSource(_OnServer, _Indexed):
    """A release on a server."""

    def __init__(self, server: ReleaseServer, record: ReleaseRecord) -> None:
        self.server, self.name = server, f"{server.url}/releases/{record.name}/{record.version}"
        self.manifest = server.manifest(record)
        self.hidden = record.withdrawn


class ApiSource(_OnServer):
    """A server: every session that the account may see, or anybody."""

    def __init__(self, server: ReleaseServer) -> None:
        self.server, self.name = server, server.url
        self._known: dict[str, tuple[ReleasedSession, list[ReleasedFile]]] = {}

    def sessions(self) -> Sequence[ReleasedSession]:
        """Return the sessions that were loaded from; to search use ONE."""
        return [session for session, _ in self._known.values()]

    def files(self, session: str) -> Sequence[ReleasedFile]:
        """Return the files of a session that the own store has."""
        if session not in self._known:
            try:
                detail = self.server.json(f"/sessions/{session}")
            except RecordMissing:
                raise NoData(f"{self.name} has no session {session}, or not for you.") from None
            self._known[session] = self._read(detail)
        return self._known[session][1]

    def _read(self, detail: Mapping[str, Any]) -> tuple[ReleasedSession, list[ReleasedFile]]:
        session = ReleasedSession(
            id=detail["id"],
            lab=detail["lab"] or "",
            subject=detail["subject"],
            date=detail["start_time"][:10],
            number=int(detail["number"] or 1),
        )
        files = []
        for row in detail["data_dataset_session_related"]:
            address = row["data_url"] or ""
            if not address.startswith(f"{self.server.url}/data/"):
                continue  # on other servers only
            parts = (row["collection"], f"#{row['revision']}#" if row["revision"] else "")
            path = "/".join([*(part for part in parts if part), row["name"]])
            files.append(
                ReleasedFile(
                    id=row["id"],
                    session=session.id,
                    path=path,
                    size=int(row["file_size"] or 0),
                    md5=row["hash"],
                    place=unquote(address.removeprefix(f"{self.server.url}/")),
                    default=str(row["default_revision"]) == "True",
                )
            )
        return session, files


def _of_tables(root: Path) -> ReleaseManifest:
    """Return what the ONE client's tables list."""
    import pyarrow.parquet as pq

    try:
        sessions = {
            str(row["id"]): ReleasedSession(
                str(row["id"]),
                row.get("lab") or "",
                row["subject"],
                str(row["date"])[:10],
                int(row["number"]),
            )
            for row in pq.read_table(root / TABLES[0]).to_pylist()
        }
        files = tuple(
            ReleasedFile(
                id=str(row["id"]),
                session=str(row["eid"]),
                path=row["rel_path"],
                size=int(row.get("file_size") or 0),
                md5=row.get("hash") or None,
                default=bool(row.get("default_revision", True)),
            )
            for row in pq.read_table(root / TABLES[1]).to_pylist()
            if str(row["eid"]) in sessions
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoData(f"{root} has ONE tables that cannot be read: {error}") from None
    return _manifest(tuple(sessions.values()), files)


def _of_names(sizes: Mapping[str, int]) -> ReleaseManifest:
    """Return the sessions that are told by the names of files, and their sizes, alone."""
    sessions: dict[str, ReleasedSession] = {}
    files: list[ReleasedFile] = []
    for name, size in sorted(sizes.items()):
        try:
            session, path = split_session(name)
        except ValueError:
            continue
        if not path:
            continue
        eid = uuid4_from("", "session", session.build())
        sessions[eid] = ReleasedSession(
            eid, session.lab or "", session.subject, session.date.isoformat(), session.number
        )
        identity = uuid4_from(eid.replace("-", "")[:12], eid, path)
        files.append(ReleasedFile(identity, eid, path, size))
    return _manifest(tuple(sessions.values()), tuple(files))


def _manifest(
    sessions: tuple[ReleasedSession, ...], files: tuple[ReleasedFile, ...]
) -> ReleaseManifest:
    return ReleaseManifest("folder", 1, "", "", "", "", ReleaseTerms(), sessions, files)
