"""The ONE client's cache tables as Parquet files (ONE convention, cache tables).

Rows are sorted by their index, sizes are never null, and ``hash`` is an MD5 or empty; otherwise
the client warns or fails.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

MIN_API_VERSION = "2.7.0"
BEFORE_QC = "2.6.0"
"""Last version of the client's convention without a column ``qc``."""

QC_ORDER = ["NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL"]


class OneSession(msgspec.Struct, frozen=True):
    """A row of ``sessions.pqt``; ``date`` is ISO, ``projects`` are joined by commas."""

    id: str
    lab: str
    subject: str
    date: str
    number: int
    task_protocol: str = ""
    projects: str = ""


class OneDataset(msgspec.Struct, frozen=True):
    """A row of ``datasets.pqt``; ``file_size`` in bytes, 0 if unknown."""

    eid: str
    id: str
    rel_path: str
    file_size: int = 0
    hash: str = ""
    exists: bool = True
    default_revision: bool = True
    qc: str = "NOT_SET"


def sessions_table(rows: Iterable[OneSession]) -> Any:
    """Return the Arrow table of sessions, sorted by id."""
    import pyarrow as pa

    schema = pa.schema(
        [
            ("id", pa.string()),
            ("lab", pa.string()),
            ("subject", pa.string()),
            ("date", pa.date32()),
            ("number", pa.uint16()),
            ("task_protocol", pa.string()),
            ("projects", pa.string()),
        ]
    )
    plain = [
        {**msgspec.structs.asdict(row), "date": datetime.date.fromisoformat(row.date)}
        for row in sorted(rows, key=lambda row: row.id)
    ]
    return pa.Table.from_pylist(plain, schema)


def datasets_table(rows: Iterable[OneDataset]) -> Any:
    """Return the Arrow table of datasets, sorted by session and id."""
    import pyarrow as pa

    schema = pa.schema(
        [
            ("eid", pa.string()),
            ("id", pa.string()),
            ("rel_path", pa.string()),
            ("file_size", pa.uint64()),
            ("hash", pa.string()),
            ("exists", pa.bool_()),
            ("default_revision", pa.bool_()),
        ]
    )
    ordered = sorted(rows, key=lambda row: (row.eid, row.id))
    plain = [{name: getattr(row, name) for name in schema.names} for row in ordered]
    table = pa.Table.from_pylist(plain, schema)
    if not plain:  # without rows Parquet has no categories; the client adds its own
        return table
    codes = pa.array([QC_ORDER.index(row.qc) for row in ordered], pa.int8())
    qc = pa.DictionaryArray.from_arrays(codes, pa.array(QC_ORDER), ordered=True)
    return table.append_column("qc", qc)


_PANDAS = {"uint16": "uint16", "uint64": "uint64", "bool": "bool"}


def parquet(table: Any, about: Mapping[str, Any]) -> bytes:
    """Return a table as a Parquet file.

    Parameters
    ----------
    table : pyarrow.Table
    about : mapping
        The client's metadata: at least ``date_created`` (``YYYY-MM-DD HH:MM``) and ``origin``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    index = ["eid", "id"] if "eid" in table.column_names else ["id"]
    columns = [
        {
            "name": name,
            "field_name": name,
            "pandas_type": kind,
            "numpy_type": kind,
            "metadata": None,
        }
        for name, kind in (
            (each.name, _PANDAS.get(str(each.type), "object")) for each in table.schema
        )
    ]
    pandas = {"index_columns": index, "column_indexes": [], "columns": columns}
    marked = table.replace_schema_metadata(
        {"one_metadata": json.dumps(about), "pandas": json.dumps(pandas)}
    )
    pq.write_table(marked, sink, compression="snappy")
    return bytes(sink.getvalue().to_pybytes())
