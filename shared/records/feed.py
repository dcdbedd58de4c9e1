"""The change feed: what changed since a moment, read strongly, without an index.

One small item per transaction, written with it by `shared.records.transactions`, in one partition
per day (``CHG#2026-01-31`` / time and a random tail). It carries the rows of the search index that
changed, so that catching up is one query whatever changed, and so that the index as of any recent
moment can be rebuilt: that is what makes a page token a consistent snapshot. It also carries the
items themselves, from which the journal in S3 is written. A partition takes about 500 changes a
second. Items expire after `KEPT`.
"""

from __future__ import annotations

import json
import secrets
import time
import zlib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from pynamodb.attributes import BinaryAttribute, NumberAttribute

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

FEED = "CHG"
SECRETS = "CHGX"
"""Partitions by day: of what is listed or journaled, and of credentials, which only the journal
may read."""

IN_TABLE = {"_k": {"S": "@"}}
"""Stands for an item that is to be read from the table: it never changes, or hardly."""

RESET = "*"
"""Kind of a change that says: the table was replaced, what was read before does not count."""

LARGEST = 300_000
"""Bytes of one item of the feed at most (DynamoDB takes 400 kB)."""


class FeedEntry(Record, discriminator="Change"):
    """What one transaction changed: rows of the index, and the items as they are from then on.

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
    """Return the feed's items for what one transaction changes; more than one if it is much.

    Parameters
    ----------
    rows, images : sequence
        As `FeedEntry` holds them.
    secret : bool
        Whether they go to the partition that only the journal reads.
    """
    if not rows and not images:
        return []
    at = moment.now()
    texts = [
        json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode() if rows else b"",
        msgspec.json.encode(images) if images else b"",
    ]
    packed = [zlib.compress(text, 6) if text else None for text in texts]
    if sum(len(part or b"") for part in packed) > LARGEST and len(rows) + len(images) > 1:
        some, few = len(rows) // 2, len(images) // 2
        halves = (
            ((rows, []), ([], images))  # the rows of one, the item of one: nothing to halve
            if rows and images and not (some and few)
            else ((rows[:some], images[:few]), (rows[some:], images[few:]))
        )
        return [each for half in halves for each in entries(*half, secret=secret)]
    return [
        FeedEntry(
            pk=f"{SECRETS if secret else FEED}#{at:%Y-%m-%d}",
            sk=f"{moment.stamp(at)}#{secrets.token_hex(4)}",
            rows=packed[0],
            images=None if secret else packed[1],
            sealed=packed[1] if secret else None,
            expires=int((at + KEPT).timestamp()),
        )
    ]


def since(cursor: str, seen: set[str] | None = None) -> Iterator[Change]:
    """Yield what changed at or after a moment, oldest first, by strongly consistent reads.

    Parameters
    ----------
    cursor : str
        A `shared.model.moment.stamp`.
    seen : set of str, optional
        Items read before, which are passed over; those read now are added.
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
    """Yield the raw items of a day since a moment; every request reads them, so they stay raw."""
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
