"""Sources of data: a folder, a zip, a release of a server, a server. Files are read by ranges."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote

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
    ReleaseState,
    ReleaseTerms,
)
from shared.releases.copy import MANIFEST, TABLES
from shared.releases.manifest import BadManifest, decode_manifest


class NoData(LookupError):
    """The requested data do not exist; the message says what exists."""


class DataSource(Protocol):
    """Sessions, their files, and the files' bytes."""

    name: str

    def sessions(self) -> Sequence[ReleasedSession]:
        """Return the sessions."""

    def files(self, session: str) -> Sequence[ReleasedFile]:
        """Return the files of a session; raises NoData if there is no such session."""

    def read(self, file: ReleasedFile, start: int, length: int) -> bytes:
        """Return some bytes of a file, over a network by one request."""

    def place(self, file: ReleasedFile) -> tuple[Path | str, int] | None:
        """Return a file on this disk and the offset of the bytes in it, if any."""

    def address(self, file: ReleasedFile) -> str:
        """Return an address that answers ranges, or a path, for external readers."""

    def lasting_address(self, file: ReleasedFile) -> str:
        """Return an address or path that is good as long as the data are there, where possible."""

    def index(self, file: ReleasedFile) -> ObjectIndex | None:
        """Return the index of a large file over a network, if known."""


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
        files: dict[str, list[ReleasedFile]] = {
            session.id: [] for session in self.manifest.sessions
        }
        for file in self.manifest.files:
            if file.id not in self.hidden:
                files[file.session].append(file)
        return files

    @cached_property
    def _folders(self) -> dict[str, str]:
        return {
            session.id: session.folder.removeprefix("/Subjects/")
            for session in self.manifest.sessions
        }

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
        """Return none: files on this disk need no index."""
        return None

    def path_of(self, file: ReleasedFile) -> str:
        """Return a file's path in a copy."""
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
            paths_found = (path for path in root.rglob("*") if path.is_file())
            self.manifest = _of_names(
                {path.relative_to(root).as_posix(): path.stat().st_size for path in paths_found}
            )

    def place(self, file: ReleasedFile) -> tuple[str, int]:
        """Return a file's path."""
        return f"{self.name}/{self.path_of(file)}", 0

    def read(self, file: ReleasedFile, start: int, length: int) -> bytes:
        """Return some bytes of a file."""
        with (self.root / self.path_of(file)).open("rb") as source:
            source.seek(start)
            return source.read(length)

    def address(self, file: ReleasedFile) -> str:
        """Return a file's path."""
        return str(self.root / self.path_of(file))

    lasting_address = address


class ZipSource(_Indexed):
    """A zip, or its parts, without unpacking: stored files are read in place."""

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
                {name: info.file_size for name, (_, _, info) in self._entries.items()}
            )
        self._offsets: dict[str, int] = {}

    def _whole(self, name: str) -> bytes:
        _, archive, info = self._entries[name]
        return archive.read(info)

    def place(self, file: ReleasedFile) -> tuple[Path, int] | None:
        """Return the offset of a stored file's bytes; None if it is compressed."""
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
        """Return some bytes of a file; a compressed file is unpacked first."""
        location = self.place(file)
        if location is None:
            return self._whole(self.path_of(file))[start : start + length]
        path, offset = location
        with path.open("rb") as source:
            source.seek(offset + start)
            return source.read(min(length, max(0, file.size - start)))

    def address(self, file: ReleasedFile) -> str:
        """Refuse: external readers need a file."""
        raise NoData(f"{file.path} is in a zip: unpack it, or open the release by its address.")

    lasting_address = address


class _OnServer:
    """Files on a server."""

    server: ReleaseServer

    def place(self, file: ReleasedFile) -> None:
        """Return none: the file is not on this disk."""
        return

    def read(self, file: ReleasedFile, start: int, length: int) -> bytes:
        """Return some bytes of a file by one range request."""
        return self.server.read(file, start, length)

    def address(self, file: ReleasedFile) -> str:
        """Return an address that is valid for an hour."""
        return self.server.location(file)

    lasting_address = address

    def index(self, file: ReleasedFile) -> ObjectIndex | None:
        """Return the index of a large file, if the server has one."""
        return self.server.index(file)


class ReleaseSource(_OnServer, _Indexed):
    """A release on a server."""

    def __init__(self, server: ReleaseServer, record: ReleaseRecord) -> None:
        self.server, self.name = server, f"{server.url}/releases/{record.name}/{record.version}"
        self.manifest = server.manifest(record)
        self.hidden, self.public = record.withdrawn, record.state is ReleaseState.PUBLISHED

    def lasting_address(self, file: ReleasedFile) -> str:
        """Return the server's own address of a public file, which leads to its bytes."""
        return f"{self.server.url}/{quote(file.place)}" if self.public else self.address(file)


class ApiSource(_OnServer):
    """A server: every session that the account may see; public ones without an account."""

    def __init__(self, server: ReleaseServer) -> None:
        self.server, self.name = server, server.url
        self._known: dict[str, tuple[ReleasedSession, list[ReleasedFile]]] = {}

    def sessions(self) -> Sequence[ReleasedSession]:
        """Return the sessions loaded so far; to search use ONE."""
        return [session for session, _ in self._known.values()]

    def files(self, session: str) -> Sequence[ReleasedFile]:
        """Return the files of a session in the server's own store."""
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
        for dataset in detail["data_dataset_session_related"]:
            address = dataset["data_url"] or ""
            if not address.startswith(f"{self.server.url}/data/"):
                continue  # on other servers only
            parts = (
                dataset["collection"],
                f"#{dataset['revision']}#" if dataset["revision"] else "",
            )
            path = "/".join([*(part for part in parts if part), dataset["name"]])
            files.append(
                ReleasedFile(
                    id=dataset["id"],
                    session=session.id,
                    path=path,
                    size=int(dataset["file_size"] or 0),
                    md5=dataset["hash"],
                    place=unquote(address.removeprefix(f"{self.server.url}/")),
                    default=str(dataset["default_revision"]) == "True",
                )
            )
        return session, files


def _of_tables(root: Path) -> ReleaseManifest:
    """Return the manifest of a folder's ONE tables."""
    import pyarrow.parquet as pq

    try:
        sessions = {
            str(record["id"]): ReleasedSession(
                str(record["id"]),
                record.get("lab") or "",
                record["subject"],
                str(record["date"])[:10],
                int(record["number"]),
            )
            for record in pq.read_table(root / TABLES[0]).to_pylist()
        }
        files = tuple(
            ReleasedFile(
                id=str(record["id"]),
                session=str(record["eid"]),
                path=record["rel_path"],
                size=int(record.get("file_size") or 0),
                md5=record.get("hash") or None,
                default=bool(record.get("default_revision", True)),
            )
            for record in pq.read_table(root / TABLES[1]).to_pylist()
            if str(record["eid"]) in sessions
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoData(f"{root} has ONE tables that cannot be read: {error}") from None
    return _manifest(tuple(sessions.values()), files)


def _of_names(sizes: Mapping[str, int]) -> ReleaseManifest:
    """Return the manifest of a tree, from the names and sizes of its files alone."""
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
