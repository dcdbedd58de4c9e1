"""The change feed: what changed since a moment, read strongly, without an index.

One small item per change, written in the same transaction as the change itself, in one partition
per day (``CHG#2026-01-31`` / time and a random tail). An item carries the rows of the search index
that changed, so that catching up is one query whatever changed, and so that the index as of any
recent moment can be rebuilt: that is what makes a page token a consistent snapshot. A partition
takes about 500 changes a second. Items expire after `KEPT`.
"""

from __future__ import annotations

import json
import secrets
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pynamodb.attributes import BinaryAttribute, NumberAttribute, UnicodeAttribute

from shared.model import moment
from shared.model.change import Change
from shared.records.table import Record, connection, table_name

OVERLAP = timedelta(seconds=60)
"""Readers go this far back: clocks of writers differ, and a write takes a while to commit."""

NEAR = timedelta(seconds=5)
"""In between they go back only so far: clocks within a region differ by milliseconds."""

FAR_EVERY = timedelta(seconds=10)
"""How often readers go back by all of `OVERLAP`."""

KEPT = timedelta(days=4)
"""How long the feed reaches back; an older snapshot of the index is of no use."""

Row = Mapping[str, Any]


class FeedEntry(Record, discriminator="Change"):
    """One or more rows of the index that changed together."""

    what = UnicodeAttribute(attr_name="w")
    rows = BinaryAttribute(legacy_encoding=False, attr_name="r")
    expires = NumberAttribute()


def first_version() -> int:
    """Return the first version of a new record: the milliseconds since 1970.

    A record that is deleted and made again then has a higher version than before.
    """
    return int(time.time() * 1000)


def changes(kind: str, rows: Sequence[tuple[str, int, Row | None]]) -> FeedEntry:
    """Return the feed item for some changed rows of a kind; save it with the change itself.

    Parameters
    ----------
    kind : str
        Kind of record, e.g. ``"session"``.
    rows : sequence of (key, version, row)
        ``row`` holds JSON values; None says that the record was deleted.
    """
    at = datetime.now(UTC)
    text = json.dumps([list(row) for row in rows], separators=(",", ":"), ensure_ascii=False)
    return FeedEntry(
        pk=f"CHG#{at:%Y-%m-%d}",
        sk=f"{moment.stamp(at)}#{secrets.token_hex(4)}",
        what=kind,
        rows=zlib.compress(text.encode(), 6),
        expires=int((at + KEPT).timestamp()),
    )


def change(kind: str, key: str, version: int, row: Row | None) -> FeedEntry:
    """Return the feed item for one changed row (see `changes`)."""
    return changes(kind, [(key, version, row)])


def since(cursor: str, seen: set[str] | None = None) -> Iterator[Change]:
    """Yield what changed at or after a moment, oldest first, by strongly consistent reads.

    Parameters
    ----------
    cursor : str
        A `shared.model.moment.stamp`.
    seen : set of str, optional
        Items read before, which are passed over; those read now are added.
    """
    day = moment.of_stamp(cursor).date()
    last = (datetime.now(UTC) + OVERLAP).date()  # a writer's clock may be ahead of midnight
    while day <= last:
        for item in _items(f"CHG#{day:%Y-%m-%d}", cursor):
            name = item["sk"]["S"]
            if seen is not None:
                if name in seen:
                    continue
                seen.add(name)
            at = name.partition("#")[0]
            for key, version, row in json.loads(zlib.decompress(item["r"]["B"])):
                yield Change(at, item["w"]["S"], key, version, row)
        day += timedelta(days=1)


def _items(partition: str, cursor: str) -> Iterator[dict[str, Any]]:
    """Yield the raw items of a day since a moment; every request reads them, so they stay raw."""
    arguments: dict[str, Any] = {
        "TableName": table_name(),
        "KeyConditionExpression": "pk = :day AND sk >= :cursor",
        "ExpressionAttributeValues": {":day": {"S": partition}, ":cursor": {"S": cursor}},
        "ConsistentRead": True,
        "ReturnConsumedCapacity": "TOTAL",
    }
    client: Any = connection().client
    while True:
        page = client.query(**arguments)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]
