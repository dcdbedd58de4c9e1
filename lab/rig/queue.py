"""The rig's memory on disk: which sessions wait, were uploaded, or failed, and file hashes.

One SQLite file, so that it survives crashes, restarts and long times without network.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

FIRST_RETRY, LONGEST_RETRY = 30.0, 3600.0
"""Seconds until a session that failed is tried again; doubled with each try."""


def default_path() -> Path:
    """Return the path of this user's queue (``FORNIX_RIG_STATE`` overrides)."""
    if override := os.environ.get("FORNIX_RIG_STATE"):
        return Path(override)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home())
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "fornix" / "rig.sqlite"


@dataclass(frozen=True)
class QueuedSession:
    """A session in the queue; ``fingerprint`` shows whether its files have changed since."""

    folder: str
    fingerprint: str
    state: str
    tries: int
    next_try: float
    message: str
    changed: float


class Queue:
    """Sessions to upload. States: ``waiting``, ``done``, ``refused`` (the server said no)."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._db() as db:
            db.execute("pragma journal_mode = wal")
            db.execute(
                "create table if not exists sessions (folder text primary key, fingerprint text,"
                " state text, tries integer, next_try real, message text, changed real)"
            )

    @contextmanager
    def _db(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(str(self.path), timeout=30)) as db, db:
            yield db

    def put(self, folder: Path, fingerprint: str) -> bool:
        """Queue a session, unless these very files are already queued, uploaded or refused."""
        with self._db() as db:
            row = db.execute(
                "select fingerprint from sessions where folder = ?", (str(folder),)
            ).fetchone()
            if row and row[0] == fingerprint:
                return False
            db.execute(
                "insert or replace into sessions values (?, ?, 'waiting', 0, 0, '', ?)",
                (str(folder), fingerprint, time.time()),
            )
        return True

    def mark_of(self, folder: Path) -> str | None:
        """Return the fingerprint of a queued session."""
        with self._db() as db:
            row = db.execute(
                "select fingerprint from sessions where folder = ?", (str(folder),)
            ).fetchone()
        return row[0] if row else None

    def due(self, now: float | None = None) -> list[QueuedSession]:
        """Return the sessions that are due for upload."""
        return self._select(
            "state = 'waiting' and next_try <= ? order by next_try, folder",
            (now if now is not None else time.time(),),
        )

    def entries(self) -> list[QueuedSession]:
        """Return all sessions."""
        return self._select("1 order by folder", ())

    def _select(self, where: str, values: tuple[float, ...]) -> list[QueuedSession]:
        columns = "folder, fingerprint, state, tries, next_try, message, changed"
        with self._db() as db:
            rows = db.execute(f"select {columns} from sessions where {where}", values)  # noqa: S608
            return [QueuedSession(*row) for row in rows]

    def settle(self, entry: QueuedSession, state: str, message: str) -> None:
        """Record that a session is ``done`` or ``refused``, unless its files changed meanwhile."""
        with self._db() as db:
            db.execute(
                "update sessions set state = ?, message = ?, changed = ? where folder = ? and"
                " fingerprint = ?",
                (state, message, time.time(), entry.folder, entry.fingerprint),
            )

    def postpone(self, entry: QueuedSession, message: str, now: float | None = None) -> float:
        """Schedule another try of a session; return in how many seconds."""
        wait = min(LONGEST_RETRY, FIRST_RETRY * 2**entry.tries)
        due = (now if now is not None else time.time()) + wait
        with self._db() as db:
            db.execute(
                "update sessions set tries = tries + 1, next_try = ?, message = ?"
                " where folder = ?",
                (due, message, entry.folder),
            )
        return wait

    def retry(self, folder: str | None = None) -> int:
        """Make sessions due now, also refused ones; return their number.

        Parameters
        ----------
        folder : str, optional
            Folder of one session; by default all that are not done.
        """
        return self._change(
            "update sessions set state = 'waiting', next_try = 0, tries = 0 where ",
            folder,
            "state <> 'done'",
        )

    def forget(self, folder: str | None = None) -> int:
        """Remove sessions from the queue; return their number.

        A session that is still on disk is queued again when its files change.

        Parameters
        ----------
        folder : str, optional
            Folder of one session; by default all that are done or refused.
        """
        return self._change("delete from sessions where ", folder, "state <> 'waiting'")

    def _change(self, statement: str, folder: str | None, otherwise: str) -> int:
        with self._db() as db:
            if folder is None:
                return db.execute(statement + otherwise).rowcount
            return db.execute(statement + "folder = ?", (folder,)).rowcount


def fingerprint(folder: Path, files: list[str]) -> tuple[str, float]:
    """Return an identifier of the files' present content, and the time of the last change."""
    rows, latest = [], 0.0
    for path in files:
        stat = (folder / path).stat()
        rows.append([path, stat.st_size, stat.st_mtime_ns])
        latest = max(latest, stat.st_mtime)
    return json.dumps(rows, separators=(",", ":")), latest
