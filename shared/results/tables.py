"""All trials of a subject in one Parquet file: for reuse, and as the builder's own memory."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

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
    frames = []
    for eid in sorted(trials, key=lambda e: (sessions[e]["row"]["date"], e)):
        row = sessions[eid]["row"]
        frame = trials[eid].reset_index(drop=True)
        about = {
            "session": eid,
            "session_date": row["date"],
            "session_number": row["number"],
            "task_protocol": sessions[eid]["day"]["task_protocol"],
        }
        frames.append(frame.assign(**about))
    joined = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*_ABOUT])
    for name in _ABOUT:
        joined[name] = joined[name].astype("category" if name != "session_number" else "int32")
    table = pa.Table.from_pandas(joined, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), _PRINTS: json.dumps(dict(prints)).encode()}
    out = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), out, compression="zstd")
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
