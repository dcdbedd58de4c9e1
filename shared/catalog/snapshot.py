"""The index at rest: one file a kind under ``snapshots/`` of the data bucket."""

from __future__ import annotations

import bisect
import gzip
import json
import logging
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
"""Requests to S3 at a time."""

GAP, MOST = 65_536, 8_000_000
"""Ranges that are no further apart are fetched as one, which is no longer than this."""


def latest() -> dict[str, Any] | None:
    """Return what the latest snapshot holds, None if there is none."""
    if not env.has_data_bucket():
        return None
    client = aws.client("s3")
    try:
        answer = client.get_object(Bucket=env.data_bucket(), Key=prefixes.SNAPSHOT)
    except (client.exceptions.NoSuchKey, client.exceptions.NoSuchBucket):
        return None
    try:
        found = json.loads(answer["Body"].read())
        moment.of_stamp(found["at"])
        return found if isinstance(found["kinds"], dict) else None
    except (ValueError, KeyError, TypeError):
        log.warning("the snapshot's description cannot be read; scanning the table")
        return None


def read(kind: str, file: Mapping[str, Any], order: tuple[str, ...], full: bool) -> Base:
    """Return the rows of a kind that a file holds; those of a large one as they are asked for.

    Parameters
    ----------
    kind : str
    file : mapping
        As `write_kind` describes it.
    order : tuple of str
        What the rows are sorted by.
    full : bool
        Whether to have the fields `SNAPSHOT_ONLY_FIELDS` too.

    Raises
    ------
    Damaged
        The file is not there, or not as it was written.
    """
    read, key = partial(_read, file["key"]), file["key"]
    if key.endswith(".jsonl.gz"):
        (body,) = read([(0, file["bytes"])])
        try:
            rows = [json.loads(line) for line in gzip.decompress(body).splitlines()]
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise Damaged(f"{key} cannot be read: {error}") from None
        return Rows(kind, rows, order)
    from shared.catalog.columns import mapped

    skip = frozenset() if full else SNAPSHOT_ONLY_FIELDS.get(kind, frozenset())
    keys = KEYS.get(kind, ("key",))
    return mapped.opened(
        key, read, file["bytes"], skip, order, lambda row: row_key(kind, row), keys
    )


def _read(key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return the bytes of (offset, length)s of a file; those far apart are fetched in parallel."""
    spans = _spans(ranges)
    if len(spans) == 1:
        bodies = [_fetch(key, *spans[0])]
    else:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            bodies = list(pool.map(lambda span: _fetch(key, *span), spans))
    found, starts = [], [start for start, _ in spans]
    for offset, length in ranges:
        place = bisect.bisect_right(starts, offset) - 1
        start = offset - spans[place][0]
        found.append(bodies[place][start : start + length])
    return found


def _spans(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges that cover some others, with those put together that are close."""
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
    asked = f"bytes={offset}-{offset + length - 1}"
    try:
        answer = client.get_object(Bucket=env.data_bucket(), Key=key, Range=asked)
        return answer["Body"].read()
    except client.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchBucket", "InvalidRange", "404"):
            raise Damaged(f"{key}, bytes {offset} to {offset + length}: not there.") from None
        raise


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
        Bucket=env.data_bucket(), Key=prefixes.SNAPSHOT, Body=json.dumps(now).encode()
    )
    _tidy({each["key"] for some in (before, now) for each in some["kinds"].values()})


def write_kind(kind: str, base: Base, at: str) -> dict[str, Any]:
    """Write the rows of a kind; return where they are (``key``), how many (``n``, ``bytes``)."""
    if isinstance(base, Rows):
        lines = (json.dumps(row, separators=(",", ":")) for row in base.rows)
        body, suffix = gzip.compress("\n".join(lines).encode(), mtime=0), "jsonl.gz"
    else:
        from shared.catalog.columns import mapped

        body, suffix = mapped.pack(base), "columns"
    key = f"{prefixes.SNAPSHOTS}{at.replace(':', '')}/{kind}.{suffix}"
    aws.client("s3").put_object(Bucket=env.data_bucket(), Key=key, Body=body)
    return {"key": key, "n": base.n, "bytes": len(body)}


def _tidy(wanted: set[str]) -> None:
    """Delete files of snapshots that neither this nor the one before names."""
    client = aws.client("s3")
    for page in client.get_paginator("list_objects_v2").paginate(
        Bucket=env.data_bucket(), Prefix=f"{prefixes.SNAPSHOTS}2"
    ):
        for item in page.get("Contents", []):
            if item["Key"] not in wanted:
                client.delete_object(Bucket=env.data_bucket(), Key=item["Key"])
