"""``fornix import folder``: register an ALF tree on disk.

A session is a folder ``[lab/Subjects/]subject/YYYY-MM-DD/number``; everything below it belongs to
it. Files whose names do not follow the grammar are reported and left in place: one stray name must
not spoil the rest (ONE convention).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import msgspec

from lab.transfer import Changed
from shared.alf.errors import ALFError, ALFInvalid
from shared.alf.path import (
    SessionPath,
    parse_dataset_path,
    parse_session_path,
    uuid_in,
    without_uuid,
)

from .bytes import Uploader
from .carrier import Carrier, Row
from .identifiers import derived
from .known import KnownIds
from .sessions import Repository, SessionCarrier, dataset_row, session_row

DATE_LIKE = re.compile(r"\d{4}-\d{2}-\d{2}")
JUNK = {".DS_Store", "Thumbs.db", "desktop.ini"}
"""Files that operating systems leave behind; the report does not list them."""


@dataclass(frozen=True)
class FoundFile:
    """One file of a session.

    Attributes
    ----------
    path : str
        Path within the session, with ``/``, without a UUID in the name.
    uuid : UUID or None
        The identifier in the name.
    on_disk : Path
        Path on disk.
    size : int
        Bytes.
    modified : int
        When it was written last (ns).
    """

    path: str
    uuid: UUID | None
    on_disk: Path
    size: int
    modified: int


@dataclass
class FoundSession:
    """One session's folder.

    Attributes
    ----------
    session : SessionPath
        Its identity; ``lab`` is None if no folder names it.
    folder : Path
        Path on disk.
    files : list of FoundFile
        Its datasets.
    problems : list of (str, str, str)
        Path relative to the session, reason and detail of each file that is left out.
    """

    session: SessionPath
    folder: Path
    files: list[FoundFile] = field(default_factory=list)
    problems: list[tuple[str, str, str]] = field(default_factory=list)

    def fingerprint(self) -> str:
        """Return a text that changes when a file comes, goes or gets another size or time."""
        states = [(file.path, file.size, file.modified) for file in self.files]
        return hashlib.sha256(repr((states, self.problems)).encode()).hexdigest()

    def latest_revisions(self) -> dict[str, str]:
        """Return the latest revision of each dataset by its path without one."""
        latest: dict[str, str] = {}
        for file in self.files:
            parts = parse_dataset_path(file.path)
            key = parts.without_revision
            latest[key] = max(latest.get(key, ""), parts.revision)
        return latest


@dataclass(frozen=True)
class Stray:
    """A file or folder that belongs to no session."""

    path: Path
    reason: str
    detail: str
    n_files: int = 1


def scan(root: Path) -> Iterator[FoundSession | Stray]:
    """Walk a tree in a fixed order; hold one session's files in memory at a time.

    Parameters
    ----------
    root : Path
        Any folder at or above the sessions: that of all labs, one lab, ``Subjects``, a subject,
        a day or a session.
    """
    root = Path(os.path.abspath(root))
    yield from _scan_folder(root)


def _scan_folder(folder: Path) -> Iterator[FoundSession | Stray]:
    if DATE_LIKE.fullmatch(folder.parent.name) and folder.name.isdecimal():
        yield _read_session(folder)
        return
    entries = _entries(folder)
    if entries is None:
        yield Stray(folder, "the folder cannot be read", "", 0)
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if DATE_LIKE.fullmatch(folder.name) and not entry.name.isdecimal():
                reason = "the folder below the date is no session number"
                yield Stray(path, reason, "name it by one to three digits", _count_files(path))
            else:
                yield from _scan_folder(path)
        elif entry.is_symlink() and path.is_dir():
            yield Stray(path, "a link to a folder is not followed", "", 0)
        elif entry.name not in JUNK:
            yield Stray(path, "the file is in no session folder", "")


def _read_session(folder: Path) -> FoundSession | Stray:
    """Read one session's folder."""
    try:
        session = _session_path(folder)
    except ALFInvalid as error:
        return Stray(folder, error.rule, str(error), _count_files(folder))
    session_found = FoundSession(session, folder)
    names: dict[str, str] = {}
    for path in _files_below(folder, session_found):
        relative = path.relative_to(folder).as_posix()
        try:
            state = path.stat()
            parse_dataset_path(without_uuid(relative))
        except ALFError as error:
            reason = f"{error.part}: {error.rule}"
            if path.name.startswith("._"):
                reason = "AppleDouble file (macOS's own record beside a file)"
            session_found.problems.append((relative, reason, str(error)))
            continue
        except OSError as error:
            session_found.problems.append((relative, "the file cannot be read", str(error)))
            continue
        bare = without_uuid(relative)
        if bare in names:
            reason = "another file has the same name but for the UUID in it"
            session_found.problems.append((relative, reason, f"{relative} and {names[bare]}"))
            continue
        names[bare] = relative
        session_found.files.append(
            FoundFile(bare, uuid_in(path.name), path, state.st_size, state.st_mtime_ns)
        )
    return session_found


def _session_path(folder: Path) -> SessionPath:
    """Read which session a folder is from its last three or five names."""
    parts = folder.parts
    depth = 5 if len(parts) > 5 and parts[-4] == "Subjects" else 3
    return parse_session_path("/".join(parts[-depth:]))


def _files_below(folder: Path, found: FoundSession) -> Iterator[Path]:
    """Yield the files below a folder in a fixed order; remember unreadable folders."""
    entries = _entries(folder)
    if entries is None:
        relative = folder.relative_to(found.folder).as_posix()
        found.problems.append((relative, "the folder cannot be read", ""))
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _files_below(path, found)
        elif entry.is_symlink() and path.is_dir():
            relative = path.relative_to(found.folder).as_posix()
            found.problems.append((relative, "a link to a folder is not followed", ""))
        elif entry.name not in JUNK:
            yield path


def _entries(folder: Path) -> list[os.DirEntry[str]] | None:
    """Return a folder's entries by name; None if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda e: e.name)
    except OSError:
        return None


def _count_files(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


class FolderImport:
    """Registers the sessions of an ALF tree.

    Parameters
    ----------
    root : Path
        The tree.
    carrier : Carrier
        Sends the rows, with the journal.
    repository : Repository or None
        Keeps the bytes, under plain names: its address serves the files below ``root``.
        None: they are uploaded.
    lab : str or None
        Lab of sessions whose path does not name one.
    uploader : Uploader, optional
        Uploads the bytes.
    known : KnownIds, optional
        Ids from a manifest or tables in the tree; others are derived from names.
    beside : collection of str
        Files that are expected in the tree's root beside sessions.
    """

    def __init__(
        self,
        root: Path,
        carrier: Carrier,
        repository: Repository | None,
        lab: str | None,
        uploader: Uploader | None = None,
        known: KnownIds | None = None,
        beside: Collection[str] = frozenset(),
    ) -> None:
        self.beside = beside
        self.uploader = uploader
        self.known = known or KnownIds()
        self.root = Path(os.path.abspath(root))
        self.carrier, self.journal = carrier, carrier.journal
        self.target = SessionCarrier(carrier, repository)
        self.repository = repository
        self.lab = lab

    def run(self) -> None:
        """Register everything that the journal does not have yet."""
        n = 0
        for entry in scan(self.root):
            if isinstance(entry, Stray):
                self._report_stray(entry)
                continue
            n += 1
            files = entry.fingerprint()
            if self.journal.state("folder", str(entry.folder)) != files:
                with self.journal.transaction():
                    self._carry(entry)
                    self.journal.mark("folder", [str(entry.folder)], files)
            self.carrier.progress("sessions", n, None)

    def _report_stray(self, stray: Stray) -> None:
        if stray.path.parent == self.root and stray.path.name in self.beside:
            return
        with self.journal.transaction():
            if not self.journal.add("stray", [str(stray.path)], "told"):
                return
            detail = f"{stray.path}: {stray.detail or stray.reason}"
            if stray.n_files > 1:
                detail += f" ({stray.n_files} files)"
            path = str(stray.path.relative_to(self.root.parent))
            self.carrier.refuse("files", path, stray.reason, detail, n=stray.n_files)

    def _carry(self, found: FoundSession) -> None:
        """Send one session and its datasets."""
        session = msgspec.structs.replace(found.session, lab=found.session.lab or self.lab)
        folder = found.folder.relative_to(self.root.parent).as_posix()
        for path, reason, detail in found.problems:
            self.carrier.refuse("files", f"{folder}/{path}", reason, detail)
        known_id = self.known.session(session.build())
        columns = self.known.about_session(known_id)
        problem = self._second_folder(session, found.folder)
        problem = problem or self.target.prepare_session(session, columns.get("projects", ()))
        if problem:
            self.carrier.refuse("sessions", folder, problem, f"{folder}: {problem}")
            self._leave(found, folder)
            return
        if len(found.folder.name) != 3:
            self.journal.note("session folders whose number has not three digits: padded")
        eid_told = UUID(known_id) if known_id else derived("session", session.build())
        session_sent = session_row(eid_told, session, **columns)
        eid = self.target.carry_sessions([session_sent], adopt=True).get(session_sent["id"])
        if eid is None:
            self._leave(found, folder)
            return
        rows = [*self._dataset_rows(found, eid)]
        self.target.prepare_datasets(rows)
        self.carrier.carry("datasets", rows)
        if self.uploader and found.files:
            self.uploader.send(eid, {file.path: file.on_disk for file in found.files})

    def _second_folder(self, session: SessionPath, folder: Path) -> str | None:
        """Return a problem if another folder is the same session, like ``1`` and ``001``."""
        first = self.journal.state("session folder", session.build())
        if first is None:
            self.journal.mark("session folder", [session.build()], str(folder))
        elif first != str(folder):
            return f"two folders are one session; {Path(first).name} is the one carried"
        return None

    def _leave(self, found: FoundSession, folder: str) -> None:
        for file in found.files:
            reason = "its session is not carried"
            self.carrier.refuse("files", f"{folder}/{file.path}", reason)

    def _dataset_rows(self, found: FoundSession, eid: str) -> Iterator[Row]:
        """Yield the rows of a session's datasets, reading each file for its checksum."""
        latest = found.latest_revisions()
        for file in found.files:
            try:
                md5 = self._md5(file.on_disk)
            except (OSError, Changed) as error:
                path = file.on_disk.relative_to(self.root.parent).as_posix()
                self.carrier.refuse("files", path, "the file cannot be read", str(error))
                continue
            parts = parse_dataset_path(file.path)
            known_id = self.known.files.get((eid, file.path))
            yield dataset_row(
                file.uuid or (UUID(known_id) if known_id else None),
                eid,
                file.path,
                file_size=file.size,
                hash=md5,
                default_dataset=parts.revision == latest[parts.without_revision],
                **self.known.about_file(eid, file.path),
                file_records=self._records(file),
            )

    def _md5(self, path: Path) -> str:
        return self.uploader.hashes.of(path).md5 if self.uploader else md5_of(path)

    def _records(self, file: FoundFile) -> list[Row]:
        if self.repository is None:
            return []
        path = file.on_disk.relative_to(self.root).as_posix()
        return [{"data_repository": self.repository.name, "relative_path": path, "exists": True}]


def md5_of(path: Path) -> str:
    """Return the MD5 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, _md5).hexdigest()


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)
