"""The index at rest: one file a kind under ``snapshots/`` of the data bucket."""

from __future__ import annotations

import gzip
import io
import json
import logging
from typing import Any

from shared.catalog.listings import KEYS, SNAPSHOT_ONLY_FIELDS, row_key
from shared.catalog.rows import Rows
from shared.catalog.versions import Base
from shared.model import moment
from shared.records import aws, env

log = logging.getLogger(__name__)


def latest() -> dict[str, Any] | None:
    """Return what the latest snapshot holds, None if there is none."""
    if not env.has_data_bucket():
        return None
    client = aws.client("s3")
    try:
        answer = client.get_object(Bucket=env.data_bucket(), Key="snapshots/latest.json")
    except (client.exceptions.NoSuchKey, client.exceptions.NoSuchBucket):
        return None
    try:
        found = json.loads(answer["Body"].read())
        moment.of_stamp(found["at"])
        return found if isinstance(found["kinds"], dict) else None
    except (ValueError, KeyError, TypeError):
        log.warning("the snapshot's description cannot be read; scanning the table")
        return None


def read(kind: str, key: str, order: tuple[str, ...], full: bool) -> Base:
    """Return the rows of a kind that a file holds."""
    body = aws.client("s3").get_object(Bucket=env.data_bucket(), Key=key)["Body"].read()
    if key.endswith(".jsonl.gz"):
        rows = [json.loads(line) for line in gzip.decompress(body).splitlines()]
        return Rows(kind, rows, order)
    from shared.catalog.columns import table

    skip = frozenset() if full else SNAPSHOT_ONLY_FIELDS.get(kind, frozenset())
    return table.read_parquet(
        io.BytesIO(body), skip, order, lambda row: row_key(kind, row), KEYS.get(kind, ("key",))
    )


def write(kinds: dict[str, Any], at: str) -> None:
    """Make some files the snapshot of a moment; older files are deleted, but for the last ones.

    Parameters
    ----------
    kinds : dict
        ``{kind: {key, n, bytes}}``, as `write_kind` returns them.
    at : str
        The moment.
    """
    before: dict[str, Any] = latest() or {"kinds": {}}
    now: dict[str, Any] = {"at": at, "kinds": kinds}
    aws.client("s3").put_object(
        Bucket=env.data_bucket(), Key="snapshots/latest.json", Body=json.dumps(now).encode()
    )
    _tidy({each["key"] for some in (before, now) for each in some["kinds"].values()})


def write_kind(kind: str, base: Base, at: str) -> dict[str, Any]:
    """Write the rows of a kind; return where they are (``key``), how many (``n``, ``bytes``)."""
    if isinstance(base, Rows):
        lines = (json.dumps(row, separators=(",", ":")) for row in base.rows)
        body, suffix = gzip.compress("\n".join(lines).encode(), mtime=0), "jsonl.gz"
    else:
        body, suffix = base.to_parquet(), "parquet"
    key = f"snapshots/{at.replace(':', '')}/{kind}.{suffix}"
    aws.client("s3").put_object(Bucket=env.data_bucket(), Key=key, Body=body)
    return {"key": key, "n": base.n, "bytes": len(body)}


def _tidy(wanted: set[str]) -> None:
    """Delete files of snapshots that neither this nor the one before names."""
    client = aws.client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(
        Bucket=env.data_bucket(), Prefix="snapshots/2"
    ):
        for item in page.get("Contents", []):
            if item["Key"] not in wanted:
                client.delete_object(Bucket=env.data_bucket(), Key=item["Key"])
