"""The rows of all kinds by a scan of the whole table: slow, for a new or lost index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from shared.catalog.listings import Row
from shared.records import listed
from shared.records.table import Record, connection, table_name


def scan() -> dict[str, list[Row]]:
    """Return the rows of all kinds."""
    readers = listed.readers()
    models = {model for reader in readers for model in reader.models}
    rows: dict[str, list[Row]] = defaultdict(list)
    for _, items in groupby(_items(models), key=lambda item: item.pk):
        partition = list(items)
        for reader in readers:
            if own_items := [item for item in partition if isinstance(item, reader.models)]:
                for kind, row in reader.to_rows(own_items):
                    rows[kind].append(row)
    return dict(rows)


def _items(models: Iterable[type[Record]]) -> Iterator[Record]:
    """Yield the items of some kinds, partition by partition."""
    # Attributes are named, because roles without access to credentials may not read whole items.
    names = sorted({each.attr_name for m in models for each in m.get_attributes().values()})
    by_kind = {model.stored_kind(): model for model in models}
    arguments: dict[str, Any] = {
        "TableName": table_name(),
        "ConsistentRead": True,
        "ProjectionExpression": ",".join(f"#{n}" for n in range(len(names))),
        "ExpressionAttributeNames": {f"#{n}": name for n, name in enumerate(names)},
    }
    client: Any = connection().client
    while True:
        page = client.scan(**arguments)
        for raw in page["Items"]:
            if model := by_kind.get(raw.get("_k", {}).get("S", "")):
                yield model.from_raw_data(raw)
        if "LastEvaluatedKey" not in page:
            return
        arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]
