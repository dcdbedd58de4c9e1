"""The ONE client's cache tables, made from the search snapshot (ONE convention, cache tables).

One zip per audience and per tag, under ``cache/`` of the data bucket: ``all`` for accounts,
``public`` for anybody, ``lab/<name>`` for a lab's machines, ``tag/<name>`` per release. A zip
whose rows have not changed since it was made is left as it is.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

from shared.catalog import visible
from shared.catalog.index import Index
from shared.model import copies, moment
from shared.model.identity import row_id
from shared.model.quality import QC_NAMES
from shared.records import aws, env

MIN_API_VERSION = "2.7.0"
BEFORE_QC = "2.6.0"
"""Last version of the client's convention whose tables have no column ``qc``."""

QC_ORDER = ["NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL"]

Row = Mapping[str, Any]


def build(origin: str = "fornix") -> dict[str, Any]:
    """Write the tables that have changed.

    Parameters
    ----------
    origin : str
        Name of this installation, which clients compare.

    Returns
    -------
    dict
        Scope → ``info``, for each scope written.
    """
    index = Index(full=True)
    index.catch_up()
    sessions = {row["id"]: row for row in index.table("session").rows()}
    personal = {
        row["name"]
        for row in index.table("data-repository").rows()
        if row.get("globus_is_personal")
    }
    datasets: list[Row] = [
        row
        for row in index.table("dataset").rows()
        if row["session"] in sessions and copies.for_everybody(row["repositories"], personal)
    ]
    open_sessions = index.table("session").select(visible.public_sessions(index.table))
    public = open_sessions.values("id")
    released = visible.released_tags(index.table)
    public_rows = [
        row for row in datasets if row["session"] in public or released & set(row["tags"])
    ]
    known = public | {row["session"] for row in public_rows}
    scopes: dict[str, tuple[list[Row], list[Row]]] = {
        "all": (list(sessions.values()), datasets),
        # A session of which anybody may see a dataset is known to everybody, as to the API.
        "public": ([sessions[eid] for eid in known], public_rows),
    }
    for lab in index.table("lab").select().values("name"):  # for its rigs and workers
        own = {eid for eid, row in sessions.items() if row["lab"] == lab}
        scopes[f"lab/{lab}"] = (
            [sessions[eid] for eid in own],
            [row for row in datasets if row["session"] in own],
        )
    for tag in index.table("tag").select().values("name"):
        chosen = [row for row in datasets if tag in row["tags"]]
        owners = {row["session"] for row in chosen}
        scopes[f"tag/{tag}"] = ([sessions[eid] for eid in owners], chosen)
    written = {}
    for scope, (some_sessions, some_datasets) in scopes.items():
        if made := _write(scope, some_sessions, some_datasets, origin):
            written[scope] = made
    return written


def info(scope: str) -> dict[str, Any] | None:
    """Return what is said of a scope's tables; None if there are none."""
    client = aws.client("s3")
    try:
        answer = client.get_object(Bucket=env.data_bucket(), Key=f"cache/{scope}/cache_info.json")
    except client.exceptions.NoSuchKey:
        return None
    return json.loads(answer["Body"].read())


def zip_key(scope: str) -> str:
    """Return the S3 key of a scope's zip."""
    return f"cache/{scope}/cache.zip"


def _write(scope: str, sessions: list[Row], datasets: list[Row], origin: str) -> Any:
    import hashlib

    ordered = [_session(row) for row in sorted(sessions, key=lambda row: row["id"])]
    files = sorted((_dataset(row) for row in datasets), key=lambda row: (row["eid"], row["id"]))
    mark = hashlib.sha256(json.dumps([ordered, files], default=str).encode()).hexdigest()
    before = info(scope)
    if before and before.get("content") == mark:
        return None
    about: dict[str, Any] = {
        "date_created": moment.now().strftime("%Y-%m-%d %H:%M"),
        "origin": origin,
        "min_api_version": MIN_API_VERSION,
        "content": mark,
    }
    if scope.startswith("tag/"):
        about["database_tags"] = [scope.removeprefix("tag/")]
    tables = {"sessions": _session_table(ordered), "datasets": _dataset_table(files)}
    if not files:  # without rows Parquet has no categories; the client gives such a table its own
        tables["datasets"] = tables["datasets"].drop_columns(["qc"])
        about["min_api_version"] = BEFORE_QC
    import zipfile  # the API takes but names from here

    packed = io.BytesIO()
    about["tables"] = {
        name: {"nrecs": table.num_rows, "size": table.nbytes} for name, table in tables.items()
    }
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, table in tables.items():
            archive.writestr(f"{name}.pqt", _parquet(table, about))
        archive.writestr("cache_info.json", json.dumps(about))
    client = aws.client("s3")
    client.put_object(Bucket=env.data_bucket(), Key=zip_key(scope), Body=packed.getvalue())
    client.put_object(
        Bucket=env.data_bucket(),
        Key=f"cache/{scope}/cache_info.json",
        Body=json.dumps(about).encode(),
    )
    return about


def _session(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "lab": row["lab"],
        "subject": row["subject"],
        "date": row["date"],
        "number": row["number"],
        "task_protocol": row["task_protocol"] or "",
        "projects": ",".join(row["projects"]),
    }


def _dataset(row: Row) -> dict[str, Any]:
    return {
        "eid": row["session"],
        "id": row_id(row),
        "rel_path": row["path"],
        "file_size": row["file_size"] or 0,
        "hash": row["hash"] or "",
        "exists": True,
        "default_revision": bool(row["default_dataset"]),
        "qc": QC_NAMES.get(row["qc"], "NOT_SET"),
    }


def _session_table(rows: list[dict[str, Any]]) -> Any:
    from datetime import date

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
    dated = [{**row, "date": date.fromisoformat(row["date"])} for row in rows]
    return pa.Table.from_pylist(dated, schema)


def _dataset_table(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    qc = pa.DictionaryArray.from_arrays(
        pa.array([QC_ORDER.index(row["qc"]) for row in rows], pa.int8()),
        pa.array(QC_ORDER),
        ordered=True,
    )
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
    plain = [{name: row[name] for name in schema.names} for row in rows]
    return pa.Table.from_pylist(plain, schema).append_column("qc", qc)


_PANDAS = {"uint16": "uint16", "uint64": "uint64", "bool": "bool"}


def _parquet(table: Any, about: dict[str, Any]) -> bytes:
    """Return a table as a file; its metadata say for pandas which columns are the index."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    index = [name for name in ("eid", "id") if name in table.column_names]
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
    return sink.getvalue().to_pybytes()
