"""Tables for SQL: written from sessions, and opened in DuckDB in place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import requests

from lab.client import Unreachable
from lab.exports.session import ExportError
from shared.results.sql import INDEX, SqlIndex, index, put_subject, remove_subjects
from shared.results.store import FolderStore
from shared.science.tables.declared import TABLES
from shared.science.tables.rows import rows_of

if TYPE_CHECKING:
    from lab.exports.datajoint.sources import SourceSubject

TIMEOUT = (10, 60)
BLOCK = 2**17
"""Smallest request in bytes: a footer and the columns of an animal's days come together."""


def write_tables(out: Path, subjects: Sequence[SourceSubject]) -> Iterator[tuple[str, str]]:
    """Write the tables of animals into a folder; only changed animals are written again.

    Yields
    ------
    tuple of str
        Nickname, and the action: ``written``, ``unchanged``, ``removed``.
    """
    store = FolderStore(out)
    former = index(store).subjects
    for animal in subjects:
        made_from = animal.made_from
        if animal.id in former and former[animal.id].made_from == made_from:
            yield animal.nickname, "unchanged"
            continue
        record = animal.load()
        ids = [session.id for session in record.sessions]
        put_subject(store, animal.id, animal.nickname, made_from, ids, rows_of(record), TABLES)
        yield animal.nickname, "written"
    gone = former.keys() - {animal.id for animal in subjects}
    if gone:
        remove_subjects(store, gone, TABLES)
    for key in sorted(gone):
        yield former[key].nickname, "removed"


def read_index(place: str) -> SqlIndex:
    """Return the index of tables.

    Parameters
    ----------
    place : str
        Address of a site, or a folder.

    Raises
    ------
    ExportError
        There are no tables.
    Unreachable
        The site does not answer.
    """
    if not _distant(place):
        if not (Path(place) / INDEX).is_file():
            raise ExportError(f"{place} has no tables: `fornix export sql` writes them")
        return index(FolderStore(place))
    try:
        answer = requests.get(f"{place.rstrip('/')}/{INDEX}", timeout=TIMEOUT)
    except requests.RequestException as error:
        raise Unreachable(f"{place} does not answer ({type(error).__name__})") from None
    if answer.status_code != 200:
        raise ExportError(f"{place} has no tables for SQL (answer {answer.status_code})")
    try:
        return msgspec.json.decode(answer.content, type=SqlIndex)
    except msgspec.MsgspecError as error:
        raise ExportError(f"{place} has tables that this version cannot read: {error}") from error


def connect(place: str, query: str | None = None) -> Any:
    """Return a DuckDB connection with a view of each table.

    Files of a site are read by ranges, and only those that a query needs: each animal has its
    own files, and their names identify it.

    Parameters
    ----------
    place : str
        Address of a site, or a folder.
    query : str, optional
        Query; then only the tables named in it are opened, because each costs a request.
    """
    import duckdb

    sql_index = read_index(place)
    connection = duckdb.connect()
    base = place.rstrip("/")
    if _distant(place):
        connection.register_filesystem(_site_files()(block_size=BLOCK))
    for table, columns in sql_index.columns.items():
        if query is not None and not re.search(rf"\b{table}\b", query, re.IGNORECASE):
            continue
        files = [f"{base}/{key}" for key in sql_index.files(table)]
        if not files:
            typed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            connection.execute(f'CREATE TABLE "{table}" ({typed})')
            continue
        listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
        hive = "hive_partitioning = true, hive_types_autocast = false"
        chosen = ", ".join(f'"{name}"' for name in columns)
        connection.execute(
            f'CREATE VIEW "{table}" AS SELECT {chosen} '  # noqa: S608
            f"FROM read_parquet([{listed}], {hive})"
        )
    return connection


def _site_files() -> Any:
    """Return the file system by which DuckDB reads a site; DuckDB's own is a run-time download."""
    import datetime as dt

    from fsspec.implementations.http import HTTPFileSystem

    class SiteFiles(HTTPFileSystem):
        def modified(self, path: str) -> dt.datetime:
            return dt.datetime(2000, 1, 1, tzinfo=dt.UTC)  # a file's name changes with its content

        def glob(self, path: str, **_: object) -> list[str]:
            return [path]  # the index lists only existing files

    return SiteFiles


def _distant(place: str) -> bool:
    return place.startswith(("http://", "https://"))
