"""Progress of an import in one file, so that a killed import continues.

The journal is a SQLite database. Rows sent, the server's refusals and the position reached in the
source are committed in one transaction, after the server has answered. A process killed in between
sends its last rows again, which changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS fact (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS item (step TEXT, id TEXT, state TEXT NOT NULL,
                                 PRIMARY KEY (step, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS item_state ON item (step, state, id);
CREATE TABLE IF NOT EXISTS tally (resource TEXT, outcome TEXT, n INTEGER NOT NULL,
                                  UNIQUE (resource, outcome));
CREATE TABLE IF NOT EXISTS refusal (resource TEXT, id TEXT, reason TEXT, detail TEXT,
                                    PRIMARY KEY (resource, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS note (text TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
"""


class JournalInUse(RuntimeError):
    """Another process is importing with this journal."""


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit all changes inside together, or none of them."""
    db.execute("BEGIN")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


class Journal:
    """Facts, items, tallies, refusals and notes of one import.

    Parameters
    ----------
    path : Path or None
        The file; None uses memory (for a dry run).

    Raises
    ------
    JournalInUse
        Another process holds it.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=0.2)
        try:
            # The lock lasts until the file is closed or the process ends in any way.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript("PRAGMA journal_mode = WAL; BEGIN IMMEDIATE;" + SCHEMA)
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._db.close()
            if "locked" not in str(error):
                raise
            raise JournalInUse(f"another import is running with the journal {path}") from error

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Commit all changes inside together, or none of them."""
        return transaction(self._db)

    def clear(self) -> None:
        """Forget everything: the next pass starts from the beginning."""
        with self.transaction():
            for table in ("fact", "item", "tally", "refusal", "note"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - names are literals

    def get(self, key: str, default: Any = None) -> Any:
        """Return a fact, e.g. the position reached in a list."""
        row = self._db.execute("SELECT value FROM fact WHERE key = ?", (key,)).fetchone()
        return default if row is None else json.loads(row[0])

    def set(self, key: str, value: Any) -> None:
        """Store a fact."""
        self._db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (key, json.dumps(value)))

    def mark(self, step: str, ids: Iterable[str], state: str) -> None:
        """Give items of a step a state, e.g. sessions ``'done'``."""
        rows = ((step, _text(i), state) for i in ids)
        self._db.executemany("INSERT OR REPLACE INTO item VALUES (?, ?, ?)", rows)

    def add(self, step: str, ids: Iterable[str], state: str) -> list[str]:
        """Give a state to items without one; return these, each once."""
        new = []
        for i in ids:
            done = self._db.execute(
                "INSERT OR IGNORE INTO item VALUES (?, ?, ?)", (step, _text(i), state)
            )
            if done.rowcount:
                new.append(i)
        return new

    def state(self, step: str, id_: str) -> str | None:
        """Return an item's state."""
        row = self._db.execute(
            "SELECT state FROM item WHERE step = ? AND id = ?", (step, _text(id_))
        ).fetchone()
        return None if row is None else row[0]

    def states(self, step: str) -> list[tuple[str, str]]:
        """Return (item, state) of a step that has few items."""
        rows = self._db.execute("SELECT id, state FROM item WHERE step = ?", (step,))
        return rows.fetchall()

    def items(self, step: str, state: str, limit: int) -> list[str]:
        """Return up to ``limit`` items of a step that are in a state."""
        rows = self._db.execute(
            "SELECT id FROM item WHERE step = ? AND state = ? ORDER BY id LIMIT ?",
            (step, state, limit),
        )
        return [row[0] for row in rows]

    def count(self, step: str, state: str | None = None) -> int:
        """Count the items of a step, of one state or all."""
        query = "SELECT count(*) FROM item WHERE step = ?1 AND (?2 IS NULL OR state = ?2)"
        return self._db.execute(query, (step, state)).fetchone()[0]

    def tally(self, resource: str, outcome: str, n: int = 1) -> None:
        """Add to the number of rows of a resource that ended in an outcome."""
        if n:
            self._db.execute(
                "INSERT INTO tally VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
                (resource, outcome, n),
            )

    def tallies(self) -> dict[str, dict[str, int]]:
        """Return resource → outcome → number of rows."""
        result: dict[str, dict[str, int]] = {}
        for resource, outcome, n in self._db.execute("SELECT * FROM tally ORDER BY rowid"):
            result.setdefault(resource, {})[outcome] = n
        return result

    def refuse(self, resource: str, id_: str, reason: str, detail: str) -> None:
        """Record a row that could not be carried, and why."""
        self._db.execute(
            "INSERT OR REPLACE INTO refusal VALUES (?, ?, ?, ?)",
            (resource, _text(id_), _text(reason), _text(detail)),
        )

    def refusals(self) -> Iterator[dict[str, str]]:
        """Iterate over the rows that could not be carried."""
        for resource, id_, reason, detail in self._db.execute("SELECT * FROM refusal"):
            yield {"resource": resource, "id": id_, "reason": reason, "detail": detail}

    def reasons(self) -> list[tuple[str, str, int, str]]:
        """Return (resource, reason, number of rows, one example), the most frequent first."""
        return self._db.execute(
            "SELECT resource, reason, count(*) AS n, min(detail) FROM refusal"
            " GROUP BY resource, reason ORDER BY n DESC, resource, reason"
        ).fetchall()

    def note(self, text: str, n: int = 1) -> None:
        """Record a remark for the report, and count repetitions."""
        self._db.execute(
            "INSERT INTO note VALUES (?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
            (_text(text), n),
        )

    def notes(self) -> dict[str, int]:
        """Return remark → how often."""
        return dict(self._db.execute("SELECT text, n FROM note").fetchall())


def _text(text: str) -> str:
    """Replace bytes that are not Unicode (file names may hold any) by escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
