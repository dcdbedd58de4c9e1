"""The ONE client's cache tables, made from the search snapshot (ONE convention, cache tables).

One zip per audience and per tag, under ``cache/`` of the data bucket: ``all`` for accounts,
``public`` for anybody, ``lab/<name>`` for a lab's machines, ``tag/<name>`` per release. A zip
whose rows have not changed since it was made is left as it is.
"""

from __future__ import annotations

import io
import json
from typing import Any

from shared.catalog import visible
from shared.catalog.index import Index
from shared.model import copies, moment
from shared.model.identity import row_id
from shared.model.quality import QC_NAMES
from shared.records import aws, env, feed
from shared.records.where import Either, Where

MIN_API_VERSION = "2.7.0"
BEFORE_QC = "2.6.0"
"""Last version of the client's convention whose tables have no column ``qc``."""

QC_ORDER = ["NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL"]

Row = dict[str, Any]

KINDS = frozenset({"session", "dataset", "tag", "lab", "data-repository"})
"""Kinds of records that the tables are made of."""


def build(origin: str = "fornix", *, whole: bool = False) -> dict[str, Any]:
    """Write the tables that have changed.

    A process that has built them before reads what has changed since, and looks only at the scopes
    that this concerns; the first build of a process, and a whole one, look at all.

    Parameters
    ----------
    origin : str
        Name of this installation, which clients compare.
    whole : bool
        Look at all scopes.

    Returns
    -------
    dict
        Scope → ``info``, for each scope written.
    """
    place = (env.data_bucket(), env.table())
    if place not in _builders:
        _builders.clear()
        _builders[place] = Builder()
    return _builders[place].build(origin, whole=whole)


class Builder:
    """An index that is kept from build to build, and what was built from it last."""

    def __init__(self) -> None:
        self.index = Index(full=True)
        self.at = ""
        self.hour = ""

    def build(self, origin: str, *, whole: bool) -> dict[str, Any]:
        """Write the tables that have changed; see :func:`build`."""
        at = self.index.catch_up()
        hour = moment.now().isoformat()[:13]
        scopes = None if whole else self._concerned(hour)
        written = {}
        for scope in self._scopes() if scopes is None else sorted(scopes):
            if made := _write(scope, *self._rows(scope), origin):
                written[scope] = made
        self.at, self.hour = at, hour
        return written

    def _scopes(self) -> list[str]:
        labs = self.index.table("lab").select().values("name")
        tags = self.index.table("tag").select().values("name")
        return ["all", "public", *(f"lab/{x}" for x in labs), *(f"tag/{x}" for x in tags)]

    def _concerned(self, hour: str) -> set[str] | None:
        """Return the scopes that what changed since the last build concerns; None for all.

        Releases begin, and embargoes end, at hours of some lab's day.
        """
        if not self.at:
            return None
        back = moment.stamp(moment.of_stamp(self.at) - feed.OVERLAP)
        changes = self.index.changed_since(back, KINDS)
        if changes is None:  # this process began a moment ago
            changes = self.index.changed_since(self.at, KINDS)
        if changes is None:
            return None
        found = {"public"} if hour != self.hour else set()
        for change in changes:
            if change.kind in ("lab", "data-repository"):
                return None
            before = self.index.table(change.kind).was(change.key, self.at)
            rows = [row for row in (before, change.row) if row]
            if change.kind == "tag":
                found |= {"public", *(f"tag/{row['name']}" for row in rows if change.row)}
            elif change.kind == "session":
                found |= {"all", "public", *(f"lab/{row['lab']}" for row in rows)}
                own = [Where("session", "exact", change.key)]
                tags = self.index.table("dataset").select(own).values("tags")
                found |= {f"tag/{tag}" for tag in tags if tag}
            else:
                found |= {"all", "public"} | self._of_dataset(change.key, rows)
        return found

    def _of_dataset(self, key: str, rows: list[Row]) -> set[str]:
        owner = key.partition("|")[0]
        sessions = self.index.table("session")
        session = sessions.get(owner) or sessions.was(owner, self.at)
        labs = {f"lab/{session['lab']}"} if session else set()
        return labs | {f"tag/{tag}" for row in rows for tag in row["tags"]}

    def _rows(self, scope: str) -> tuple[list[Row], list[Row]]:
        """Return the sessions and datasets of a scope."""
        kind, _, name = scope.partition("/")
        datasets, sessions = self.index.table("dataset"), self.index.table("session")
        if kind == "lab":
            own = sessions.select([Where("lab", "exact", name)]).all()
            ids = {row["id"] for row in own}
            return own, self._kept(datasets.select([Where("session", "in", ids)]), ids)
        if kind == "tag":
            chosen = self._kept(datasets.select([Where("tags", "in", {name})]), None)
            return self._owners(chosen), chosen
        if kind == "all":
            every = sessions.rows()
            return every, self._kept(datasets.select(), {row["id"] for row in every})
        public = sessions.select(visible.public_sessions(self.index.table)).values("id")
        released = visible.released_tags(self.index.table)
        seen = Either(value=[Where("session", "in", public), Where("tags", "in", released)])
        chosen = self._kept(datasets.select([seen]), None)
        # A session of which anybody may see a dataset is known to everybody, as to the API.
        known = public | {row["session"] for row in chosen}
        return sessions.select([Where("id", "in", known)]).all(), chosen

    def _kept(self, selection: Any, ids: set[str] | None) -> list[Row]:
        """Return the datasets of known sessions that somebody else than their maker can read."""
        if ids is None:
            ids = self.index.table("session").select().values("id")
        repositories = self.index.table("data-repository").rows()
        personal = {row["name"] for row in repositories if row.get("globus_is_personal")}
        return [
            row
            for row in selection.all()
            if row["session"] in ids and copies.for_everybody(row["repositories"], personal)
        ]

    def _owners(self, datasets: list[Row]) -> list[Row]:
        owners = {row["session"] for row in datasets}
        return self.index.table("session").select([Where("id", "in", owners)]).all()


_builders: dict[tuple[str, str], Builder] = {}
"""The one of this process, by bucket and table."""


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
