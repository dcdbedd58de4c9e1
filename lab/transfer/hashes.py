"""Digests of files, kept on disk, so that a resumed upload reads no file twice."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from shared.model.crc import crc32

BLOCK = 2**20
"""Bytes read, hashed and sent at a time."""


class Changed(Exception):
    """A file has changed since it was announced."""


@dataclass(frozen=True)
class Hashes:
    """Size in bytes, time of change, hexadecimal digests and CRC-32 of a file, of one reading."""

    size: int
    changed: int
    sha256: str
    md5: str
    crc: int


class HashCache:
    """Hashes by path, size and time of change, so that a resumed upload reads no file twice.

    Parameters
    ----------
    path
        SQLite file; None disables the cache.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as db, db:
                db.execute("drop table if exists hashes")  # of versions without CRC-32
                db.execute(
                    "create table if not exists sums (path text primary key, size integer,"
                    " changed integer, sha256 text, md5 text, crc integer)"
                )

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(str(self._path), timeout=30)

    def of(self, path: Path, notice: Callable[[int], None] = lambda size: None) -> Hashes:
        """Return the hashes of a file, from the cache if it has not changed.

        Raises
        ------
        Changed
            The file changes while it is read.
        """
        stat = path.stat()
        # A folder's name may not be valid UTF-8, which SQLite refuses.
        key = str(path.resolve()).encode("utf-8", "backslashreplace").decode()
        now = (stat.st_size, stat.st_mtime_ns)
        if self._path is not None:
            with self._lock, closing(self._connect()) as db:
                row = db.execute(
                    "select size, changed, sha256, md5, crc from sums where path = ?", (key,)
                ).fetchone()
            if row and row[:2] == now:
                notice(stat.st_size)
                return Hashes(*row)
        sha256, md5, crc = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                sha256.update(block)
                md5.update(block)
                crc = crc32(block, crc)
                notice(len(block))
        after = path.stat()
        if (after.st_size, after.st_mtime_ns) != now:
            raise Changed(f"{path.name} changed while it was read; is it still being written?")
        hashes = Hashes(*now, sha256.hexdigest(), md5.hexdigest(), crc)
        if self._path is not None:
            with self._lock, closing(self._connect()) as db, db:
                row = (key, hashes.size, hashes.changed, hashes.sha256, hashes.md5, hashes.crc)
                db.execute("insert or replace into sums values (?, ?, ?, ?, ?, ?)", row)
        return hashes
