"""The ONE client's cache tables, made from the search snapshot (ONE convention, cache tables).

One zip per audience and per tag, under ``cache/`` of the data bucket: ``all`` for accounts,
``public`` for anybody, ``lab/<name>`` for a lab's machines, ``tag/<name>`` per release. A zip with
unchanged rows is not written again.
"""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import msgspec

from shared.alf.cache_tables import (
    BEFORE_QC,
    MIN_API_VERSION,
    OneDataset,
    OneSession,
    datasets_table,
    parquet,
    sessions_table,
)
from shared.catalog import visible
from shared.catalog.damaged import Damaged
from shared.catalog.index import Index, snapshot_is_due
from shared.model import copies, moment
from shared.model.identity import nickname_of, row_id
from shared.model.prefixes import CACHE
from shared.model.quality import QC_NAMES
from shared.records import aws, env, feed
from shared.records.where import Either, Where

log = logging.getLogger(__name__)

Row = dict[str, Any]

KINDS = frozenset({"session", "dataset", "tag", "lab", "data-repository", "subject", "project"})
"""Kinds of records that the tables contain, or that can embargo sessions."""


def build(origin: str = "fornix", *, whole: bool = False) -> dict[str, Any]:
    """Write the tables that have changed.

    A process that has built them before reads the changes since then, and builds only the scopes
    that these concern. The first build of a process, and a whole one, build all.

    Parameters
    ----------
    origin : str
        Name of this installation, which clients compare.
    whole : bool
        Whether to build all scopes.

    Returns
    -------
    dict
        Scope → ``info``, for each scope written.
    """
    place = (env.data_bucket(), env.table())
    if place not in _builders:
        _builders.clear()
        _builders[place] = Builder()
    try:
        return _builders[place].build(origin, whole=whole)
    except Damaged as error:  # also raised if files of the snapshot were deleted meanwhile
        log.warning("%s The tables are built anew.", error)
        _builders[place] = Builder(leave=_builders[place].index)
        return _builders[place].build(origin, whole=True)


def is_snapshot_due() -> bool:
    """Return whether the last build saw many changes since the latest snapshot."""
    return any(snapshot_is_due(builder.index) for builder in _builders.values())


class Builder:
    """Builder of the tables; it keeps its index and the moment of its last build."""

    def __init__(self, leave: Index | None = None) -> None:
        self.index = leave or Index(full=True)
        if leave:
            leave.leave_snapshot()
        self.at = ""
        self.quarter = ""

    def build(self, origin: str, *, whole: bool) -> dict[str, Any]:
        """Write the tables that have changed; see :func:`build`."""
        at = self.index.catch_up()
        now = moment.now()
        quarter = f"{now:%Y-%m-%dT%H}:{now.minute // 15 * 15:02d}"
        scopes = None if whole else self._concerned(quarter)
        written = {}
        for scope in self._scopes() if scopes is None else sorted(scopes):
            if made := _write(scope, *self._rows(scope), origin):
                written[scope] = made
        self.at, self.quarter = at, quarter
        return written

    def _scopes(self) -> list[str]:
        labs = self.index.table("lab").select().values("name")
        tags = self.index.table("tag").select().values("name")
        return ["all", "public", *(f"lab/{x}" for x in labs), *(f"tag/{x}" for x in tags)]

    def _concerned(self, quarter: str) -> set[str] | None:
        """Return the scopes that changes since the last build concern; None for all.

        Releases begin and embargoes end when a day begins in some lab. Offsets of time zones are
        multiples of a quarter of an hour.
        """
        if not self.at:
            return None
        back = moment.stamp(moment.of_stamp(self.at) - feed.OVERLAP)
        changes = self.index.changed_since(back, KINDS)
        if changes is None:  # this process has just started
            changes = self.index.changed_since(self.at, KINDS)
        if changes is None:
            return None
        scopes = {"public"} if quarter != self.quarter else set()
        for change in changes:
            if change.kind in ("lab", "data-repository"):
                return None
            before = self.index.table(change.kind).was(change.key, self.at)
            rows = [row for row in (before, change.row) if row]
            if change.kind == "tag":
                scopes |= {"public", *(f"tag/{row['name']}" for row in rows if change.row)}
            elif change.kind in ("subject", "project"):
                held = [row for row in rows if row.get("embargo_until")]
                scopes |= {"public"} if held else set()
            elif change.kind == "session":
                scopes |= {"all", "public", *(f"lab/{row['lab']}" for row in rows)}
                own = [Where("session", "exact", change.key)]
                tags = self.index.table("dataset").select(own).values("tags")
                scopes |= {f"tag/{tag}" for tag in tags if tag}
            else:
                scopes |= {"all", "public"} | self._of_dataset(change.key, rows)
        return scopes

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
            all_sessions = sessions.rows()
            return all_sessions, self._kept(datasets.select(), {row["id"] for row in all_sessions})
        public = sessions.select(visible.public_sessions(self.index.table)).values("id")
        released = visible.released_tags(self.index.table)
        is_seen = Either(value=[Where("session", "in", public), Where("tags", "in", released)])
        chosen = self._kept(datasets.select([is_seen]), None)
        # Sessions with a public dataset are public here, as they are in the API.
        shown_ids = public | {row["session"] for row in chosen}
        return sessions.select([Where("id", "in", shown_ids)]).all(), chosen

    def _kept(self, selection: Any, ids: set[str] | None) -> list[Row]:
        """Return the datasets of given sessions that are not only on personal repositories."""
        if ids is None:
            ids = self.index.table("session").select().values("id")
        repositories = self.index.table("data-repository").rows()
        personal = {
            dataset["name"] for dataset in repositories if dataset.get("globus_is_personal")
        }
        return [
            dataset
            for dataset in selection.all()
            if dataset["session"] in ids
            and copies.for_everybody(dataset["repositories"], personal)
        ]

    def _owners(self, datasets: list[Row]) -> list[Row]:
        owners = {dataset["session"] for dataset in datasets}
        return self.index.table("session").select([Where("id", "in", owners)]).all()


_builders: dict[tuple[str, str], Builder] = {}
"""The builder of this process, by bucket and table."""


def reset_for_tests() -> None:
    """Drop the builder of this process, e.g. when the table was replaced (for tests)."""
    _builders.clear()


def info(scope: str) -> dict[str, Any] | None:
    """Return the description of a scope's tables; None if there are none."""
    client = aws.client("s3")
    try:
        answer = client.get_object(Bucket=env.data_bucket(), Key=f"{CACHE}{scope}/cache_info.json")
    except client.exceptions.NoSuchKey:
        return None
    return json.loads(answer["Body"].read())


def zip_key(scope: str) -> str:
    """Return the S3 key of a scope's zip."""
    return f"{CACHE}{scope}/cache.zip"


def _write(scope: str, sessions: list[Row], datasets: list[Row], origin: str) -> Any:
    import hashlib

    ordered = [_session(row) for row in sorted(sessions, key=lambda row: row["id"])]
    files = sorted(map(_dataset, datasets), key=lambda row: (row.eid, row.id))
    rows = (
        [msgspec.structs.asdict(row) for row in ordered],
        [msgspec.structs.asdict(row) for row in files],
    )
    content_digest = hashlib.sha256(json.dumps([*rows], default=str).encode()).hexdigest()
    before = info(scope)
    if before and before.get("content") == content_digest:
        return None
    description: dict[str, Any] = {
        "date_created": moment.now().strftime("%Y-%m-%d %H:%M"),
        "origin": origin,
        "min_api_version": MIN_API_VERSION,
        "content": content_digest,
    }
    if scope.startswith("tag/"):
        description["database_tags"] = [scope.removeprefix("tag/")]
    tables = {"sessions": sessions_table(ordered), "datasets": datasets_table(files)}
    if not files:
        description["min_api_version"] = BEFORE_QC
    import zipfile  # not at the top, because the API only needs names of this module

    packed = io.BytesIO()
    description["tables"] = {
        name: {"nrecs": table.num_rows, "size": table.nbytes} for name, table in tables.items()
    }
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, table in tables.items():
            archive.writestr(f"{name}.pqt", parquet(table, description))
        archive.writestr("cache_info.json", json.dumps(description))
    client = aws.client("s3")
    client.put_object(Bucket=env.data_bucket(), Key=zip_key(scope), Body=packed.getvalue())
    client.put_object(
        Bucket=env.data_bucket(),
        Key=f"{CACHE}{scope}/cache_info.json",
        Body=json.dumps(description).encode(),
    )
    return description


def _session(row: Row) -> OneSession:
    return OneSession(
        id=row["id"],
        lab=row["lab"],
        subject=nickname_of(row["subject"]),
        date=row["date"],
        number=row["number"],
        task_protocol=row["task_protocol"] or "",
        projects=",".join(row["projects"]),
    )


def _dataset(row: Row) -> OneDataset:
    return OneDataset(
        eid=row["session"],
        id=row_id(row),
        rel_path=row["path"],
        file_size=row["file_size"] or 0,
        hash=row["hash"] or "",
        default_revision=bool(row["default_dataset"]),
        qc=QC_NAMES.get(row["qc"], "NOT_SET"),
    )
