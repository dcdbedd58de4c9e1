"""All trials of a subject in one Parquet file: for reuse, and as the builder's memory."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from shared.model.identity import nickname_of
from shared.results.views.rows import (
    SESSION_COLUMNS,
    SUBJECT_COLUMNS,
    ListedSession,
    ListedSubject,
)
from shared.results.views.subject import Published

ARROW = {
    str: pa.string(),
    int: pa.int64(),
    int | None: pa.int64(),
    float | None: pa.float64(),
}
"""Types of the columns in the tables of all sessions and subjects; others are left out."""

_PRINTS = b"fornix_sessions"
_ABOUT = ("session", "session_date", "session_number", "task_protocol")


def pack(trials: Mapping[str, pd.DataFrame], sessions: Mapping[str, Published]) -> bytes:
    """Return one table of the trials of many sessions.

    Parameters
    ----------
    trials : mapping of DataFrame
        By session id.
    sessions : mapping
        By session id; the values for a session's rows, and the fingerprint of its trials,
        which the file's metadata keeps.
    """
    rows_of_session = {
        eid: (row, day) for eid, e in sessions.items() if (row := e.row) and (day := e.day)
    }
    order = sorted(trials, key=lambda eid: (rows_of_session[eid][0].date, eid))
    joined = pd.DataFrame()
    if order:
        joined = pd.concat([trials[eid] for eid in order], ignore_index=True)
    code = np.repeat(np.arange(len(order)), [len(trials[eid]) for eid in order])
    values_by_column = {
        "session": order,
        "session_date": [rows_of_session[eid][0].date for eid in order],
        "session_number": [rows_of_session[eid][0].number for eid in order],
        "task_protocol": [rows_of_session[eid][1].task_protocol for eid in order],
    }
    # Values once per session, repeated by number: dictionary columns.
    repeated = {
        name: pa.DictionaryArray.from_arrays(pa.array(code, pa.int32()), pa.array(values))
        for name, values in values_by_column.items()
    }
    table = pa.Table.from_pandas(joined, preserve_index=False)
    for name, values in repeated.items():
        table = table.append_column(name, values)
    prints = {eid: entry.print for eid, entry in sessions.items()}
    metadata = {**(table.schema.metadata or {}), _PRINTS: json.dumps(prints).encode()}
    out = io.BytesIO()
    # Times hardly repeat: a dictionary for them would only be thrown away again.
    coded = [column.name for column in table.schema if not pa.types.is_floating(column.type)]
    table = table.replace_schema_metadata(metadata)
    pq.write_table(table, out, compression="zstd", use_dictionary=coded)
    return out.getvalue()


def unpack(body: bytes) -> dict[str, tuple[str, pd.DataFrame]]:
    """Return, by session id, the fingerprint and the trials of a packed table."""
    table = pq.read_table(io.BytesIO(body))
    prints = json.loads((table.schema.metadata or {}).get(_PRINTS, b"{}"))
    frame = table.to_pandas()
    parts = {str(eid): part for eid, part in frame.groupby("session", observed=True)}
    empty = frame.iloc[:0]
    return {
        eid: (made_from, parts.get(eid, empty).drop(columns=[*_ABOUT]))
        for eid, made_from in prints.items()
    }


def _shown(column: str, value: Any) -> Any:
    return nickname_of(value) if column == "subject" else value


def catalogue(
    sessions: Sequence[ListedSession], subjects: Sequence[ListedSubject]
) -> dict[str, bytes]:
    """Return the Parquet tables of all sessions and of all subjects.

    Parameters
    ----------
    sessions, subjects : sequence
        Rows of the lists.
    """
    files = {}
    for name, kind, rows, columns in (
        ("sessions", ListedSession, sessions, SESSION_COLUMNS),
        ("subjects", ListedSubject, subjects, (*SUBJECT_COLUMNS, "last_session")),
    ):
        # The types are declared, not guessed: so a table without rows has all columns, too.
        types = get_type_hints(kind)
        schema = pa.schema(
            [(column, ARROW[types[column]]) for column in columns if types[column] in ARROW]
        )
        values = [
            [_shown(column, getattr(row, column)) for row in rows] for column in schema.names
        ]
        out = io.BytesIO()
        pq.write_table(pa.table(values, schema=schema), out, compression="zstd")
        files[f"data/{name}.pqt"] = out.getvalue()
    return files
