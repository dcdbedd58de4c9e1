"""The rows of a dump, stored in a file until their turn comes, with the outcome of each."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.importers.dump.reading import NO_MODEL, DumpRow
from lab.importers.journal import transaction

SCHEMA = """
CREATE TABLE row (n INTEGER PRIMARY KEY, model TEXT NOT NULL, pk TEXT NOT NULL, natural_key TEXT,
                  owner TEXT, fields TEXT NOT NULL, state TEXT NOT NULL, name TEXT,
                  reason TEXT, detail TEXT);
CREATE UNIQUE INDEX row_pk ON row (model, pk);
CREATE INDEX row_natural ON row (model, natural_key) WHERE natural_key IS NOT NULL;
CREATE INDEX row_owner ON row (model, owner) WHERE owner IS NOT NULL;
CREATE INDEX row_name ON row (model, name) WHERE name IS NOT NULL;
CREATE INDEX row_state ON row (model, state, n);
CREATE INDEX row_stay ON row (json_extract(fields, '$.housing'))
    WHERE model = 'misc.housingsubject';
CREATE INDEX row_cage ON row (json_extract(fields, '$.cage_name')) WHERE model = 'misc.housing';
CREATE TABLE tally (model TEXT, outcome TEXT, n INTEGER NOT NULL, UNIQUE (model, outcome));
"""

WAITING = "waiting"
"""Its turn has not come."""

SENT = "sent"
"""The server has the row (created or unchanged: see the tallies)."""

HERE = (SENT, "kept", "to send", "within")
"""States of rows that others may refer to."""

REPEATED = "a later row of the dump has the same primary key"


@dataclass(frozen=True)
class Shelved:
    """One stored row of the dump.

    Attributes
    ----------
    n : int
        Its position in the dump.
    model, pk : str
    fields : dict
    state : str
    name : str or None
        Name by which other rows refer to it here, once it has been carried.
    reason : str or None
        Why it was not carried.
    """

    n: int
    model: str
    pk: str
    fields: dict[str, Any]
    state: str
    name: str | None
    reason: str | None


class Shelf:
    """Rows of one dump.

    Parameters
    ----------
    path : Path or None
        The file; None stores them in a temporary one.
    """

    def __init__(self, path: Path | None) -> None:
        self._db = sqlite3.connect(path or "", isolation_level=None)
        # The file survives any end of the process; after a crash of the machine it is made again.
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;")

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Commit all changes inside together, or none of them."""
        return transaction(self._db)

    def fill(
        self,
        rows: Iterable[DumpRow],
        natural: Callable[[DumpRow], str | None],
        owner: Callable[[DumpRow], str | None],
        strip: Callable[[DumpRow], dict[str, Any]],
        progress: Callable[[int], None],
    ) -> None:
        """Put all rows on the shelf; of two with one primary key the later one counts.

        Parameters
        ----------
        rows : iterable of DumpRow
        natural, owner : callable
            Return a row's natural key, and the primary key of the row that it is a part of.
        strip : callable
            Returns the stored fields, without secrets.
        progress : callable
            Called with the number of rows done.
        """
        for table in ("row", "tally"):
            self._db.execute(f"DROP TABLE IF EXISTS {table}")
        self._db.executescript(SCHEMA)
        with self.transaction():
            for n, row in enumerate(rows, 1):
                key = natural(row)
                pk = row.pk if row.pk is not None else key if key is not None else f"#{n}"
                if row.model == NO_MODEL:
                    pk = f"#{n}"
                self._db.execute(
                    "UPDATE row SET pk = pk || ' #' || n, natural_key = NULL, owner = NULL,"
                    " state = 'not carried', reason = ?3, detail = pk"
                    " WHERE model = ?1 AND pk = ?2",
                    (row.model, pk, REPEATED),
                )
                fields = json.dumps(strip(row), separators=(",", ":"))
                self._db.execute(
                    "INSERT INTO row (n, model, pk, natural_key, owner, fields, state)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (n, row.model, pk, key, owner(row), fields, WAITING),
                )
                if n % 1000 == 0:
                    progress(n)

    # Reading

    COLUMNS = "n, model, pk, fields, state, name, reason"

    def _rows(self, where: str, *values: Any) -> list[Shelved]:
        query = f"SELECT {self.COLUMNS} FROM row WHERE {where}"  # noqa: S608 - literals only
        return [
            Shelved(n, model, pk, json.loads(fields), state, name, reason)
            for n, model, pk, fields, state, name, reason in self._db.execute(query, values)
        ]

    def find(self, model: str, key: Any) -> Shelved | None:
        """Return the row of a reference: by primary key, or by natural key (a list)."""
        if isinstance(key, list):
            rows = self._rows("model = ? AND natural_key = ? LIMIT 1", model, natural_text(key))
        else:
            rows = self._rows("model = ? AND pk = ?", model, str(key).lower())
        return rows[0] if rows else None

    def parts(self, model: str, owner: str) -> list[Shelved]:
        """Return the rows of a model that are parts of a row, in the dump's order."""
        return self._rows("model = ? AND owner = ? ORDER BY n", model, owner)

    def stays_in(self, housing: str) -> list[Shelved]:
        """Return the stays in a housing, in the dump's order."""
        where = (
            "model = 'misc.housingsubject' AND json_extract(fields, '$.housing') = ? ORDER BY n"
        )
        return self._rows(where, housing)

    def housings_named(self, cage: str) -> list[Shelved]:
        """Return the housings with a cage's name, in any lab."""
        where = "model = 'misc.housing' AND json_extract(fields, '$.cage_name') = ? ORDER BY n"
        return self._rows(where, cage)

    def first(self, model: str, limit: int) -> list[Shelved]:
        """Return the first rows of a model."""
        return self._rows("model = ? ORDER BY n LIMIT ?", model, limit)

    def waiting(self, model: str, after: int, limit: int) -> list[Shelved]:
        """Return waiting rows of a model, in the dump's order."""
        where = "model = ? AND state = ? AND n > ? ORDER BY n LIMIT ?"
        return self._rows(where, model, WAITING, after, limit)

    def numbered(self, numbers: Iterable[int]) -> list[Shelved]:
        """Return rows by their positions in the dump."""
        return [row for n in numbers for row in self._rows("n = ?", n)]

    def count(self, model: str, state: str | None = None) -> int:
        """Count the rows of a model, of one state or all."""
        query = "SELECT count(*) FROM row WHERE model = ?1 AND (?2 IS NULL OR state = ?2)"
        return self._db.execute(query, (model, state)).fetchone()[0]

    def models(self) -> list[str]:
        """Return the models of the dump, in its order."""
        rows = self._db.execute("SELECT model FROM row GROUP BY model ORDER BY min(n)")
        return [model for (model,) in rows]

    def is_taken(self, model: str, name: str, n: int) -> bool:
        """Return whether another row of a model has this name here."""
        query = "SELECT 1 FROM row WHERE model = ? AND name = ? AND n != ? LIMIT 1"
        return self._db.execute(query, (model, name, n)).fetchone() is not None

    # Writing

    def name(self, row: Shelved, name: str) -> None:
        """Set the name by which others refer to a row here."""
        self._db.execute("UPDATE row SET name = ? WHERE n = ?", (name, row.n))

    def mark(self, row: Shelved, state: str, reason: str = "", detail: str = "") -> None:
        """Set the outcome of a row."""
        self._db.execute(
            "UPDATE row SET state = ?, reason = ?, detail = ? WHERE n = ?",
            (state, reason, detail, row.n),
        )

    def mark_all(self, model: str, state: str, reason: str = "") -> None:
        """Set the outcome of all waiting rows of a model."""
        self._db.execute(
            "UPDATE row SET state = ?, reason = ?, detail = '' WHERE model = ? AND state = ?",
            (state, reason, model, WAITING),
        )

    def tally(self, model: str, outcome: str, n: int) -> None:
        """Add to the number of rows of a model that the server created, or had."""
        self._db.execute(
            "INSERT INTO tally VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
            (model, outcome, n),
        )

    # Account

    def account(self) -> list[tuple[str, str, str, int]]:
        """Return (model, state, reason, rows); the reason of rows sent is the outcome."""
        rows = self._db.execute(
            "SELECT model, state, coalesce(reason, ''), count(*) FROM row WHERE state != ?"
            " GROUP BY 1, 2, 3 UNION ALL SELECT model, ?, outcome, n FROM tally"
            " WHERE n > 0",
            (SENT, SENT),
        )
        return rows.fetchall()

    def refused(self) -> Iterator[tuple[str, str, str, str]]:
        """Iterate over (model, pk, reason, detail) of rows that could not be carried."""
        return self._db.execute(
            "SELECT model, pk, reason, coalesce(nullif(detail, ''), reason) FROM row"
            " WHERE state = 'not carried' ORDER BY n"
        )


def natural_text(key: list[Any]) -> str:
    """Return a natural key as the text that the shelf stores."""
    return str(key[0]) if len(key) == 1 else json.dumps(key)
