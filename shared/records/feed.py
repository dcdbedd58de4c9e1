"""The change feed: all changes since a moment, with strong consistency and without an index.

`shared.records.transactions` writes one small item with each transaction, in one partition per day
(``CHG#2026-01-31`` / time and a random tail). The item carries the changed rows of the search
index. So readers catch up by one query, and the index as of any recent moment can be rebuilt,
which makes a page token a consistent snapshot. The stored items, from which the journal in S3 is
written, lie in partitions of their own: DynamoDB charges a query by the size of whole items, and
every request reads the last seconds of the feed. A partition takes about 500 changes a second.
Items expire after `KEPT`.
"""

from __future__ import annotations

import json
import secrets
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from pynamodb.attributes import BinaryAttribute, NumberAttribute

from shared.model import moment
from shared.model.change import Change
from shared.records.table import Record, connection, table_name

OVERLAP = timedelta(seconds=60)
"""Readers start this far back: clocks of writers differ, and a write takes a while to commit."""

NEAR = timedelta(seconds=5)
"""Readers start only so far back most times: clocks within a region differ by milliseconds."""

FAR_EVERY = timedelta(seconds=10)
"""Interval at which readers go back by all of `OVERLAP`."""

KEPT = timedelta(days=4)
"""Lifetime of the feed's items; older snapshots of the index are useless."""

FEED = "CHG"
IMAGES = "CHG#items"
SECRETS = "CHGX"
"""Partitions by day: of the index's rows, of the journal's items, and of its credentials, which
only the journal may read."""

IN_TABLE = {"_k": {"S": "@"}}
"""Stands for an item that readers get from the table, because it never or hardly changes."""

RESET = "*"
"""Kind of the change after a restore: the table was replaced, so readers start again."""

LARGEST = 300_000
"""Most bytes of one item of the feed (DynamoDB takes 400 kB)."""


class FeedEntry(Record, discriminator="Change"):
    """The changes of one transaction: new rows of the index, or new items of the table.

    Attributes
    ----------
    rows : bytes
        ``[[kind, key, version, row or null], …]``, for the index.
    images : bytes
        ``[[pk, sk, order, item or null], …]``, for the journal, which alone reads them: items in
        DynamoDB's JSON, null for a deleted one; ``order`` is the item's version if it has one.
    sealed : bytes
        Images of credentials, in a partition and under a name that only the journal may read.
    """

    rows = BinaryAttribute(legacy_encoding=False, attr_name="r", null=True)
    images = BinaryAttribute(legacy_encoding=False, attr_name="i", null=True)
    sealed = BinaryAttribute(legacy_encoding=False, null=True)
    expires = NumberAttribute()


def first_version() -> int:
    """Return the first version of a new record: the milliseconds since 1970.

    A record that is deleted and made again then has a higher version than before.
    """
    return int(time.time() * 1000)


def entries(
    rows: Sequence[Any], images: Sequence[Any], *, secret: bool = False
) -> list[FeedEntry]:
    """Return the feed's items for one transaction.

    Parameters
    ----------
    rows, images : sequence
        Rows and images in the form of `FeedEntry`.
    secret : bool
        Whether the images go to the partition that only the journal may read.
    """
    feed, attribute = (SECRETS, "sealed") if secret else (IMAGES, "images")
    return [
        *_entries(FEED, "rows", rows, _json),
        *_entries(feed, attribute, images, msgspec.json.encode),
    ]


def _json(rows: Sequence[Any]) -> bytes:
    """Return rows as JSON in which what is not a number stays so; msgspec would write null."""
    return json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode()


def _entries(
    feed: str, attribute: str, changed: Sequence[Any], encode: Callable[[Sequence[Any]], bytes]
) -> list[FeedEntry]:
    """Return items with some rows or images; several if one would be too large."""
    if not changed:
        return []
    at = moment.now()
    packed = zlib.compress(encode(changed), 6)
    if len(packed) > LARGEST and len(changed) > 1:
        half = len(changed) // 2
        parts = (changed[:half], changed[half:])
        return [entry for part in parts for entry in _entries(feed, attribute, part, encode)]
    entry = FeedEntry(
        pk=f"{feed}#{at:%Y-%m-%d}",
        sk=f"{moment.stamp(at)}#{secrets.token_hex(4)}",
        expires=int((at + KEPT).timestamp()),
    )
    setattr(entry, attribute, packed)
    return [entry]


def since(cursor: str, seen: set[str] | None = None) -> Iterator[Change]:
    """Yield the changes at or after a moment, oldest first, by strongly consistent reads.

    Parameters
    ----------
    cursor : str
        A `shared.model.moment.stamp`.
    seen : set of str, optional
        Names of items read before; they are skipped, and new names are added.
    """
    for name, packed in packed_since(cursor, "r"):
        if seen is not None:
            if name in seen:
                continue
            seen.add(name)
        at = name.partition("#")[0]
        for kind, key, version, row in json.loads(zlib.decompress(packed)):
            yield Change(at, kind, key, version, row)


def packed_since(cursor: str, attribute: str, feed: str = FEED) -> Iterator[tuple[str, bytes]]:
    """Yield the names and one attribute of the feed's items since a moment, oldest first."""
    day = moment.of_stamp(cursor).date()
    last = (moment.now() + OVERLAP).date()  # a writer's clock may be ahead of midnight
    while day <= last:
        for item in _items(f"{feed}#{day:%Y-%m-%d}", cursor, attribute):
            if attribute in item:
                yield item["sk"]["S"], item[attribute]["B"]
        day += timedelta(days=1)


def _items(partition: str, cursor: str, attribute: str) -> Iterator[dict[str, Any]]:
    """Yield the raw items of a day since a moment; raw for speed, as every request reads them."""
    arguments: dict[str, Any] = {
        "TableName": table_name(),
        "KeyConditionExpression": "pk = :day AND sk >= :cursor",
        "ExpressionAttributeValues": {":day": {"S": partition}, ":cursor": {"S": cursor}},
        "ProjectionExpression": f"sk,{attribute}",
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
