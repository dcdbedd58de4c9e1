"""``fornix import one``: register what ONE cache tables list.

The tables are read in batches, so that millions of datasets need little memory. The import also
reads tables of older clients: identifiers as pairs of integers, a ``project`` column, no quality
and no default revisions (ONE convention, cache tables).
"""

from __future__ import annotations

import datetime
import json
import math
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow.parquet as pq

from shared.alf.errors import ALFError
from shared.alf.path import SessionPath, parse_dataset_path, parse_session_path, with_uuid

from .bytes import Mover, Remote
from .carrier import Carrier, Row
from .identifiers import as_text, from_int_pairs
from .sessions import Repository, SessionCarrier, dataset_row, session_row

BATCH = 2000
"""Rows read, sent and committed at a time."""

COLUMNS = {
    "sessions": {"id", "lab", "subject", "date", "number"},
    "datasets": {"eid", "id", "rel_path"},
}
"""Required columns; an identifier may be two columns of integers."""

BAD_ROW = (ValueError, TypeError, AttributeError)
"""Errors that a hostile row may raise (an ALFError is a ValueError)."""

MOST_NUMBER = 999
"""Largest number of a session (ONE convention: three digits)."""

QUALITIES = {"NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL"}


class NoTables(Exception):
    """The path has no readable ONE tables; the message says why."""


@contextmanager
def open_tables(path: Path) -> Iterator[tuple[pq.ParquetFile, pq.ParquetFile]]:
    """Open the sessions and datasets tables of a folder or of a ``cache.zip``.

    Raises
    ------
    NoTables
        A table is missing or no Parquet file.
    """
    with TemporaryDirectory() as scratch:
        folder = path if path.is_dir() else _unzip(path, Path(scratch))
        try:
            sessions = pq.ParquetFile(folder / "sessions.pqt")
            datasets = pq.ParquetFile(folder / "datasets.pqt")
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
            raise NoTables(f"{path}: {error}") from error
        with sessions, datasets:
            for name, columns in COLUMNS.items():
                table = sessions if name == "sessions" else datasets
                names = {column.removesuffix("_0") for column in table.schema_arrow.names}
                if missing := columns - names:
                    raise NoTables(f"{path}: {name}.pqt lacks the columns {sorted(missing)}")
            yield sessions, datasets


def _unzip(path: Path, scratch: Path) -> Path:
    """Unpack the two tables of a zip file, from any folder in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                name = info.filename.rpartition("/")[2]
                if name in ("sessions.pqt", "datasets.pqt"):
                    info.filename = name
                    archive.extract(info, scratch)
    except (OSError, zipfile.BadZipFile) as error:
        raise NoTables(f"{path} is neither a folder nor a zip file: {error}") from error
    return scratch


class TablesImport:
    """Registers the sessions and datasets of ONE tables.

    Parameters
    ----------
    sessions, datasets : ParquetFile
        The tables.
    carrier : Carrier
        Sends the rows, with the journal.
    repository : Repository or None
        Repository of the bytes; None: unknown, and the report says so.
    lab : str or None
        Lab of sessions without one in the table.
    mover : Mover, optional
        Fetches the bytes from the repository and uploads them.
    """

    def __init__(
        self,
        sessions: pq.ParquetFile,
        datasets: pq.ParquetFile,
        carrier: Carrier,
        repository: Repository | None,
        lab: str | None = None,
        mover: Mover | None = None,
    ) -> None:
        self.lab = lab
        self.mover = mover
        self.sessions, self.datasets = sessions, datasets
        self.carrier, self.journal = carrier, carrier.journal
        self.target = SessionCarrier(carrier, repository)
        self.repository = repository
        self._latest: dict[tuple[str, str], str] = {}

    def run(self) -> None:
        """Register everything that the journal does not have yet."""
        self._import_batches("sessions", self.sessions, self._carry_sessions)
        if "default_revision" not in self.datasets.schema_arrow.names:
            self._latest = _latest_revisions(self.datasets)
        self._import_batches("datasets", self.datasets, self._carry_datasets)

    def _import_batches(self, name: str, table: pq.ParquetFile, carry: Any) -> None:
        """Carry a table batch by batch, from the row reached so far."""
        reached, total = self.journal.get(name + " row", 0), table.metadata.num_rows
        row = 0
        for batch in _read(table):
            if row >= reached:
                with self.journal.transaction():
                    carry(batch)
                    self.journal.set(name + " row", row + len(batch))
                self.carrier.progress(name, row + len(batch), total)
            row += len(batch)

    def _carry_sessions(self, batch: list[Row]) -> None:
        rows = []
        for entry in batch:
            eid = str(entry.get("id"))
            try:
                eid, session = str(UUID(entry["id"])), _session_path(entry, self.lab)
                projects = _names(entry.get("projects"))
                if problem := self.target.prepare_session(session, projects):
                    raise ValueError(problem)
            except BAD_ROW as error:
                self.journal.mark("session", [eid], "")
                self.carrier.refuse("sessions", eid, *_reason(error))
                continue
            columns = {"task_protocol": entry.get("task_protocol") or "", "projects": projects}
            rows.append(session_row(eid, session, **columns))
            self.journal.mark("session", [eid], session.build())
        for eid in {row["id"] for row in rows} - set(
            self.target.carry_sessions(rows, adopt=False)
        ):
            self.journal.mark("session", [eid], "")

    def _carry_datasets(self, batch: list[Row]) -> None:
        rows = []
        for entry in batch:
            try:
                rows.append(self._dataset(entry))
            except BAD_ROW as error:
                self.carrier.refuse("datasets", str(entry.get("id")), *_reason(error))
        self.target.prepare_datasets(rows)
        refused = self.carrier.carry("datasets", rows)
        if self.mover:
            remotes: dict[str, list[Remote]] = defaultdict(list)
            for dataset in rows:
                if dataset["id"] not in refused:
                    remotes[dataset["session"]].append(self._remote(dataset))
            for eid, files in remotes.items():
                self.mover.move(eid, files)

    def _remote(self, row: Row) -> Remote:
        """Return the repository's file of a dataset."""
        record = row["file_records"][0] if row["file_records"] else None
        url = None
        if record and record["exists"] and self.repository and self.repository.url:
            path = record["relative_path"]
            path = path if self.repository.plain_names else with_uuid(path, row["id"])
            url = f"{self.repository.url.rstrip('/')}/{path}"
        revision = f"#{row['revision']}#" if row["revision"] else ""
        parts = (row["collection"], revision, row["name"])
        path = "/".join(part for part in parts if part)
        return Remote(row["id"], path, url, row["file_size"], row["hash"])

    def _dataset(self, entry: Row) -> Row:
        """Convert a row of the table to one of the API."""
        eid, path = str(UUID(entry["eid"])), entry["rel_path"]
        session = self.journal.state("session", eid)
        if not session:
            raise ValueError(
                "its session was not carried" if session == "" else "it has no session"
            )
        if not isinstance(path, str):
            raise ValueError("the row has no path")
        quality = entry.get("qc") or "NOT_SET"
        if quality not in QUALITIES:
            raise ValueError(f"the quality {quality!r} is none of {', '.join(sorted(QUALITIES))}")
        records = []
        if self.repository is not None:
            record = {
                "data_repository": self.repository.name,
                "exists": bool(entry.get("exists", True)),
            }
            records = [record | {"relative_path": f"{session}/{path}"}]
        return dataset_row(
            UUID(entry["id"]),
            eid,
            path,
            file_size=_size(entry.get("file_size")),
            hash=entry.get("hash") or None,
            qc=quality,
            default_dataset=self._is_default(eid, path, entry.get("default_revision")),
            file_records=records,
        )

    def _is_default(self, eid: str, path: str, said: bool | None) -> bool:
        """Return whether a row is its dataset's default revision: as ``said``, else the latest."""
        if said is not None:
            return bool(said)
        parts = parse_dataset_path(path)
        return parts.revision == self._latest.get((eid, parts.without_revision), parts.revision)


def _read(table: pq.ParquetFile, columns: list[str] | None = None) -> Iterator[list[Row]]:
    """Yield a table's rows in batches, with identifiers as text and present names."""
    names = table.schema_arrow.names
    for batch in table.iter_batches(BATCH, columns=columns):
        columns_ = {n: batch.column(n).to_pylist() for n in names if n in batch.schema.names}
        for key in ("id", "eid"):
            pair = [columns_.pop(f"{key}_{i}", None) for i in (0, 1)]
            if None not in pair:
                columns_[key] = from_int_pairs(np.array(pair, dtype=np.int64).T)
            elif key in columns_:
                columns_[key] = [as_text(identifier) for identifier in columns_[key]]
        if "project" in columns_:
            columns_["projects"] = columns_.pop("project")
        yield [
            dict(zip(columns_, row, strict=True)) for row in zip(*columns_.values(), strict=True)
        ]


def _latest_revisions(table: pq.ParquetFile) -> dict[tuple[str, str], str]:
    """Return (session, path without revision) → latest revision, for datasets that have one."""
    keys = [n for n in table.schema_arrow.names if n in ("eid", "eid_0", "eid_1")]
    latest: dict[tuple[str, str], str] = {}
    for batch in _read(table, [*keys, "rel_path"]):
        for row in batch:
            if "#" not in (row["rel_path"] or ""):
                continue
            try:
                parts = parse_dataset_path(row["rel_path"])
            except ALFError:
                continue  # reported when the row itself is read
            key = (row["eid"], parts.without_revision)
            latest[key] = max(latest.get(key, ""), parts.revision)
    return latest


def _session_path(entry: Row, default_lab: str | None) -> SessionPath:
    """Return the checked session of a row of the sessions table."""
    lab = entry["lab"] or default_lab
    if not lab:
        raise ValueError("the table names no lab: give --lab")
    if not isinstance(entry["subject"], str):
        raise ValueError("the row has no subject")
    date = entry["date"]
    if isinstance(date, datetime.datetime):
        date = date.date()
    number = _number(entry["number"])
    return parse_session_path(f"{lab}/Subjects/{entry['subject']}/{date}/{number:03d}")


def _number(value: object) -> int:
    """Return a session's number, in any form that tables have."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise ValueError("the number is missing: write that of the session's folder, as 1")
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not number.is_integer() or not 0 <= number <= MOST_NUMBER:
        raise ValueError(f"the number {value!r} is no whole number from 0 to {MOST_NUMBER}")
    return int(number)


def _names(value: object) -> list[str]:
    """Return names from a text with commas, a list, or nothing."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list):
        return []
    return [name for part in parts if isinstance(part, str) and (name := part.strip())]


def _size(value: float | None) -> int | None:
    """Return a file size in bytes; None if the table lacks it."""
    return None if value is None or math.isnan(value) else int(value)


def _reason(problem: Exception) -> tuple[str, str]:
    """Return the reason that rows share, and the detail of this one."""
    if isinstance(problem, ALFError):
        return f"{problem.part}: {problem.rule}", str(problem)
    return str(problem), str(problem)


def origin(table: pq.ParquetFile) -> str:
    """Return the origin that the tables' metadata name."""
    try:
        metadata = json.loads((table.schema_arrow.metadata or {})[b"one_metadata"])
        return str(metadata.get("origin", "unknown"))
    except (KeyError, ValueError):
        return "unknown"
