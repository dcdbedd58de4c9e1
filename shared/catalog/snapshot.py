"""Snapshots of the index: one file per kind under ``snapshots/`` of the data bucket."""

from __future__ import annotations

import bisect
import json
import logging
import zlib
from collections.abc import Mapping, Sequence
from concurrent import futures
from functools import partial
from typing import Any

from shared.catalog.damaged import Damaged
from shared.catalog.listings import KEYS, SNAPSHOT_ONLY_FIELDS, row_key
from shared.catalog.rows import Rows
from shared.catalog.versions import Base
from shared.model import moment, prefixes
from shared.records import aws, env

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Concurrent requests to S3."""

GAP, MOST = 65_536, 8_000_000
"""Largest gap between ranges that are fetched as one, and most bytes of such a fetch."""


GZIP = 16 + zlib.MAX_WBITS
"""Tells zlib that the bytes are a gzip file."""


def latest() -> dict[str, Any] | None:
    """Return the description of the latest snapshot; None if there is none."""
    if not env.has_data_bucket():
        return None
    client = aws.client("s3")
    try:
        answer = client.get_object(Bucket=env.data_bucket(), Key=prefixes.SNAPSHOT)
    except (client.exceptions.NoSuchKey, client.exceptions.NoSuchBucket):
        return None
    try:
        description = json.loads(answer["Body"].read())
        moment.of_stamp(description["at"])
        return description if isinstance(description["kinds"], dict) else None
    except (ValueError, KeyError, TypeError):
        log.warning("the snapshot's description cannot be read; scanning the table")
        return None


def read(kind: str, file: Mapping[str, Any], order: tuple[str, ...], full: bool) -> Base:
    """Return the rows of a kind in a file; rows of a large file are read on demand.

    Parameters
    ----------
    kind : str
    file : mapping
        Description of the file, see `write_kind`.
    order : tuple of str
        Fields that the rows are sorted by.
    full : bool
        Whether to load the fields `SNAPSHOT_ONLY_FIELDS` too.

    Raises
    ------
    Damaged
        The file is missing or damaged.
    """
    read, key = partial(_read, file["key"]), file["key"]
    if key.endswith(".jsonl.gz"):
        (body,) = read([(0, file["bytes"])])
        try:
            rows = [json.loads(line) for line in zlib.decompress(body, GZIP).splitlines()]
        except (ValueError, zlib.error) as error:
            raise Damaged(f"{key} cannot be read: {error}") from None
        return Rows(kind, rows, order)
    from shared.catalog.columns import mapped

    skip = frozenset() if full else SNAPSHOT_ONLY_FIELDS.get(kind, frozenset())
    keys = KEYS.get(kind, ("key",))
    return mapped.opened(
        key, read, file["bytes"], skip, order, lambda row: row_key(kind, row), keys
    )


def _read(key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return the bytes of (offset, length)s of a file; distant ones are fetched in parallel."""
    spans = _spans(ranges)
    if len(spans) == 1:
        bodies = [_fetch(key, *spans[0])]
    else:
        with futures.ThreadPoolExecutor(AT_ONCE) as pool:
            bodies = list(pool.map(lambda span: _fetch(key, *span), spans))
    parts, starts = [], [start for start, _ in spans]
    for offset, length in ranges:
        place = bisect.bisect_right(starts, offset) - 1
        start = offset - spans[place][0]
        parts.append(bodies[place][start : start + length])
    return parts


def _spans(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges that cover the given ones; close ranges are merged."""
    spans: list[tuple[int, int]] = []
    for offset, length in sorted(ranges):
        if spans and offset - sum(spans[-1]) <= GAP and offset + length - spans[-1][0] <= MOST:
            start, before = spans[-1]
            spans[-1] = start, max(before, offset + length - start)
        else:
            spans.append((offset, length))
    return spans


def _fetch(key: str, offset: int, length: int) -> bytes:
    client = aws.client("s3")
    byte_range = f"bytes={offset}-{offset + length - 1}"
    try:
        answer = client.get_object(Bucket=env.data_bucket(), Key=key, Range=byte_range)
        return answer["Body"].read()
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket", "InvalidRange", "404"):
            raise Damaged(f"{key}, bytes {offset} to {offset + length}: not there.") from None
        raise


def write(kinds: dict[str, Any], at: str) -> None:
    """Make files the snapshot of a moment; delete older files except the previous snapshot's.

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
        Bucket=env.data_bucket(), Key=prefixes.SNAPSHOT, Body=json.dumps(now).encode()
    )
    _tidy({each["key"] for some in (before, now) for each in some["kinds"].values()})


def write_kind(kind: str, base: Base, at: str) -> dict[str, Any]:
    """Write the rows of a kind; return the file's ``key``, rows (``n``) and ``bytes``."""
    if isinstance(base, Rows):
        import gzip  # the API only reads

        lines = (json.dumps(row, separators=(",", ":")) for row in base.rows)
        body, suffix = gzip.compress("\n".join(lines).encode(), mtime=0), "jsonl.gz"
    else:
        from shared.catalog.columns import mapped

        body, suffix = mapped.pack(base), "columns"
    key = f"{prefixes.SNAPSHOTS}{at.replace(':', '')}/{kind}.{suffix}"
    aws.client("s3").put_object(Bucket=env.data_bucket(), Key=key, Body=body)
    return {"key": key, "n": base.n, "bytes": len(body)}


def _tidy(wanted: set[str]) -> None:
    """Delete the files of snapshots that are not wanted."""
    client = aws.client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(
        Bucket=env.data_bucket(), Prefix=f"{prefixes.SNAPSHOTS}2"
    ):
        for item in page.get("Contents", []):
            if item["Key"] not in wanted:
                client.delete_object(Bucket=env.data_bucket(), Key=item["Key"])
