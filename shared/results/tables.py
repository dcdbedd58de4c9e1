"""All trials of a subject in one Parquet file: for reuse, and as the builder's own memory."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

_PRINTS = b"fornix_sessions"
_ABOUT = ("session", "session_date", "session_number", "task_protocol")


def pack(
    trials: Mapping[str, pd.DataFrame], sessions: Mapping[str, Any], prints: Mapping[str, str]
) -> bytes:
    """Return one table of the trials of many sessions.

    Parameters
    ----------
    trials : mapping of DataFrame
        By session id.
    sessions : mapping
        By session id; what the rows say of their session.
    prints : mapping of str
        By session id, the fingerprint of what its trials are; kept in the file's metadata.
    """
    order = sorted(trials, key=lambda e: (sessions[e]["row"]["date"], e))
    joined = pd.DataFrame()
    if order:
        joined = pd.concat([trials[eid] for eid in order], ignore_index=True)
    code = np.repeat(np.arange(len(order)), [len(trials[eid]) for eid in order])
    rows = [sessions[eid]["row"] for eid in order]
    about = {
        "session": order,
        "session_date": [row["date"] for row in rows],
        "session_number": [row["number"] for row in rows],
        "task_protocol": [sessions[eid]["day"]["task_protocol"] for eid in order],
    }
    # Written once per session and repeated by number: dictionary columns.
    repeated = {
        name: pa.DictionaryArray.from_arrays(pa.array(code, pa.int32()), pa.array(values))
        for name, values in about.items()
    }
    table = pa.Table.from_pandas(joined, preserve_index=False)
    for name, values in repeated.items():
        table = table.append_column(name, values)
    metadata = {**(table.schema.metadata or {}), _PRINTS: json.dumps(dict(prints)).encode()}
    out = io.BytesIO()
    # Times hardly repeat: a dictionary of them would only be thrown away again.
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


def catalogue(sessions: list[dict[str, Any]], subjects: list[dict[str, Any]]) -> dict[str, bytes]:
    """Return the Parquet tables of all sessions and of all subjects.

    Parameters
    ----------
    sessions, subjects : list of dict
        Rows of the lists.
    """
    lists = {"recent", "recent_dates", "months", "probes"}
    about = [{k: v for k, v in row.items() if k not in lists} for row in subjects]
    files = {}
    for name, rows in (("sessions", sessions), ("subjects", about)):
        out = io.BytesIO()
        frame = pd.DataFrame(rows)
        frame.to_parquet(out, index=False, compression="zstd")
        files[f"data/{name}.pqt"] = out.getvalue()
    return files
