"""The tables of IBL-pipeline as Parquet, for SQL without a server.

A file for each animal and table, in Hive's layout: ``sql/TABLE/subject_uuid=…/DIGEST.parquet``,
and ``sql/index.json`` which names them. Iceberg was weighed: its readers are extensions that
DuckDB and others fetch at run time, and its metadata cost several more requests per query. Here
an animal's rows are replaced as a whole, so that a list of files is enough.

Names of files change with their content. New files are written before the index names them, and
old ones are removed after it has dropped them: all files that a reader sees in the index exist.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from shared.results.store import SiteStore, load, update
from shared.science.tables.declared import TABLES, ColumnKind, DeclaredColumn, DeclaredTable
from shared.science.tables.rows import Row, Rows

FOLDER = "sql/"
INDEX = "sql/index.json"

KEPT_BY_LABS = frozenset({"action"})
"""Schemas that belong to the labs, and never to a public site: weights and water."""

PUBLIC_TABLES = tuple(table for table in TABLES if table.schema not in KEPT_BY_LABS)

ARROW_TYPES = {
    ColumnKind.TEXT: pa.string(),
    ColumnKind.UUID: pa.string(),
    ColumnKind.INTEGER: pa.int64(),
    ColumnKind.NUMBER: pa.float64(),
    ColumnKind.FLAG: pa.bool_(),
    ColumnKind.DATE: pa.date32(),
    ColumnKind.TIME: pa.timestamp("us"),
}

SQL_TYPES = {
    ColumnKind.TEXT: "varchar",
    ColumnKind.UUID: "varchar",
    ColumnKind.INTEGER: "bigint",
    ColumnKind.NUMBER: "double",
    ColumnKind.FLAG: "boolean",
    ColumnKind.DATE: "date",
    ColumnKind.TIME: "timestamp",
}
"""The same types in SQL: DuckDB's and Athena's, except text, which is ``string`` in Athena."""


class SqlSubject(msgspec.Struct, frozen=True):
    """An animal in the tables.

    Attributes
    ----------
    made_from : str
        Identifies the state from which its rows were made.
    sessions : list of str
        Ids.
    files : dict of str
        Key of its file by table; tables without rows of it are left out.
    shared : dict
        Its rows of the tables that all animals share, as JSON.
    """

    nickname: str
    made_from: str
    sessions: list[str]
    files: dict[str, str]
    shared: dict[str, list[list[Any]]]


class SqlIndex(msgspec.Struct, frozen=True):
    """The content of the tables.

    Attributes
    ----------
    columns : dict
        Types of the columns by table.
    subjects : dict
        By id.
    shared : dict of str
        Key of the file of each table that animals share.
    """

    columns: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    subjects: dict[str, SqlSubject] = msgspec.field(default_factory=dict)
    shared: dict[str, str] = msgspec.field(default_factory=dict)

    def files(self, table: str) -> list[str]:
        """Return the keys of a table's files."""
        if table in self.shared:
            return [self.shared[table]]
        keys = (subject.files.get(table) for subject in self.subjects.values())
        return sorted(key for key in keys if key)


def index(store: SiteStore) -> SqlIndex:
    """Return the content of the tables."""
    return load(store, INDEX, SqlIndex)[0] or SqlIndex()


def put_subject(
    store: SiteStore,
    key: str,
    nickname: str,
    made_from: str,
    sessions: Iterable[str],
    rows: Rows,
    tables: Iterable[DeclaredTable] = PUBLIC_TABLES,
) -> None:
    """Replace the rows of an animal.

    Parameters
    ----------
    store : SiteStore
    key : str
        Its UUID.
    made_from : str
    sessions : iterable of str
        Ids of the sessions in the rows.
    rows : dict
        By table, see `shared.science.tables.rows`.
    tables : iterable of DeclaredTable
        The tables to write.
    """
    chosen = list(tables)
    files, shared = {}, {}
    for table in chosen:
        of_table = rows.get(table.name, [])
        if not table.of_subject:
            shared[table.parquet_name] = [list(row) for row in of_table]
        elif of_table:
            body = parquet(table, of_table)
            place = f"{FOLDER}{table.parquet_name}/subject_uuid={key}/{_digest(body)}.parquet"
            store.write(place, body)
            files[table.parquet_name] = place
    subject = SqlSubject(nickname, made_from, sorted(sessions), files, shared)
    _change(store, chosen, {key: subject})


def remove_subjects(
    store: SiteStore, keys: Iterable[str], tables: Iterable[DeclaredTable] = PUBLIC_TABLES
) -> None:
    """Remove animals."""
    _change(store, list(tables), dict.fromkeys(keys))


def _change(
    store: SiteStore, tables: list[DeclaredTable], changes: Mapping[str, SqlSubject | None]
) -> None:
    """Change the index, and remove the files that it no longer names."""
    former: dict[str, SqlIndex] = {}

    def change(before: SqlIndex | None) -> SqlIndex:
        old = before or SqlIndex()
        former["index"] = old
        subjects = {**old.subjects}
        for key, subject in changes.items():
            subjects.pop(key, None)
            if subject is not None:
                subjects[key] = subject
        return SqlIndex(_columns(tables), subjects, _write_shared(store, tables, subjects))

    after = update(store, INDEX, SqlIndex, change)
    gone = _keys(former["index"]) - _keys(after)
    store.delete(sorted(gone))


def _write_shared(
    store: SiteStore, tables: list[DeclaredTable], subjects: Mapping[str, SqlSubject]
) -> dict[str, str]:
    """Write the tables that animals share; return their keys."""
    keys = {}
    for table in tables:
        if table.of_subject:
            continue
        name, width = table.parquet_name, len(table.key)
        rows = {
            tuple(row[:width]): tuple(row)
            for subject in subjects.values()
            for row in subject.shared.get(name, [])
        }
        body = parquet(table, [rows[key] for key in sorted(rows)])
        keys[name] = f"{FOLDER}{name}/{_digest(body)}.parquet"
        store.write(keys[name], body)
    return keys


def _keys(found: SqlIndex) -> set[str]:
    of_subjects = {key for subject in found.subjects.values() for key in subject.files.values()}
    return of_subjects | set(found.shared.values())


def _columns(tables: Iterable[DeclaredTable]) -> dict[str, dict[str, str]]:
    return {
        table.parquet_name: {column.name: SQL_TYPES[column.kind] for column in plain(table)}
        for table in tables
    }


def plain(table: DeclaredTable) -> list[DeclaredColumn]:
    """Return the columns of these tables; arrays, such as times of spikes, are in ONE files."""
    return [column for column in table.columns if column.kind in SQL_TYPES]


def parquet(table: DeclaredTable, rows: list[Row]) -> bytes:
    """Return rows as a Parquet file, in the order of the table's key."""
    width = len(table.key)
    ordered = sorted(rows, key=lambda row: row[:width])
    columns = [
        pa.array([row[place] for row in ordered], ARROW_TYPES[column.kind])
        for place, column in enumerate(table.columns)
        if column.kind in ARROW_TYPES
    ]
    out = io.BytesIO()
    names = [column.name for column in plain(table)]
    pq.write_table(pa.table(columns, names=names), out, compression="zstd")
    return out.getvalue()


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
