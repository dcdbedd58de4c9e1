"""Records that are being deleted: marked first, so that nothing names them from then on.

Whoever deletes a record marks it, looks for what names it, and deletes it in a transaction that
holds only while the mark is its own. Whoever writes the name of a record does so in a transaction
that holds only while that one is there without a mark (`there`). So of a deletion and a write that
names what it deletes, at most one succeeds, however they are interleaved.

The mark is an attribute that no version counts and no journal has. A change of the record takes it
away, and the deletion begins again. A mark whose deletion was cut short is void after `LASTS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.operand import Path

from shared.model import moment
from shared.records import keys
from shared.records.errors import Leaving, Missing
from shared.records.table import Record, connection, table_name
from shared.records.transactions import ConditionFailed

ATTRIBUTE = "leaving"

LASTS = timedelta(seconds=60)
"""How long a mark holds; a request ends after 29 seconds, so no deletion is longer under way."""

IN_TIME = timedelta(seconds=30)
"""How long after its mark a deletion may still be committed."""

Name = tuple[str, str]
"""(kind, key) of a record."""


def place_of(kind: str, key: str) -> tuple[str, str]:
    """Return the key of the item that says that a record is there."""
    return (keys.session(key) if kind == "session" else keys.document(kind, key)), "A"


def there() -> Condition:
    """Return the condition that a record is there and is not being deleted."""
    return Record.pk.exists() & unmarked()


def unmarked() -> Condition:
    """Return the condition that a record is not being deleted, should it be there."""
    void = moment.stamp(moment.now() - LASTS)
    return Path(ATTRIBUTE).does_not_exist() | (Path(ATTRIBUTE) < void)


def marked(mark: str) -> Condition:
    """Return the condition that a record has this mark."""
    return Path(ATTRIBUTE) == mark


def in_time(mark: str) -> bool:
    """Return whether a deletion may still be committed."""
    return moment.of_stamp(mark.partition("#")[0]) > moment.now() - IN_TIME


def new_mark(owner: str) -> str:
    """Return the mark of a deletion that begins now; ``owner`` tells it from others'."""
    return f"{moment.stamp()}#{owner}"


def mark(name: Name, mark: str, *, version: int | None = None) -> None:
    """Mark a record as being deleted.

    Parameters
    ----------
    name : (kind, key)
    mark : str
        See `new_mark`.
    version : int, optional
        That it must have.

    Raises
    ------
    Missing, Leaving, ConditionFailed
        If it is not there; if somebody else is deleting it; if it has another version.
    """
    void = moment.stamp(moment.now() - LASTS)
    arguments: dict[str, Any] = {
        "UpdateExpression": "SET leaving = :mark",
        "ConditionExpression": (
            "attribute_exists(pk) AND (attribute_not_exists(leaving) OR leaving < :void"
            " OR leaving = :mark)"
        ),
        "ExpressionAttributeValues": {":mark": {"S": mark}, ":void": {"S": void}},
    }
    if version is not None:
        arguments["ConditionExpression"] += " AND version = :version"
        arguments["ExpressionAttributeValues"][":version"] = {"N": str(version)}
    try:
        _update(name, arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        check_there([name])
        if version is not None:
            raise ConditionFailed(f"{name[0]} {name[1]!r} was changed meanwhile.") from None
        raise Leaving(f"{name[0]} {name[1]!r} is being deleted.") from None


def unmark(name: Name, mark: str) -> None:
    """Take a mark away again, should it still be there."""
    arguments: dict[str, Any] = {
        "UpdateExpression": "REMOVE leaving",
        "ConditionExpression": "leaving = :mark",
        "ExpressionAttributeValues": {":mark": {"S": mark}},
    }
    try:
        _update(name, arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise


def _update(name: Name, arguments: dict[str, Any]) -> None:
    pk, sk = place_of(*name)
    client: Any = connection().client
    key = {"pk": {"S": pk}, "sk": {"S": sk}}
    client.update_item(
        TableName=table_name(), Key=key, ReturnConsumedCapacity="TOTAL", **arguments
    )


def check_there(names: Iterable[Name]) -> None:
    """Say which of some records is not there, or is being deleted.

    Raises
    ------
    Missing, Leaving
    """
    void = moment.stamp(moment.now() - LASTS)
    client: Any = connection().client
    for kind, key in sorted(names):
        pk, sk = place_of(kind, key)
        item = client.get_item(
            TableName=table_name(),
            Key={"pk": {"S": pk}, "sk": {"S": sk}},
            ConsistentRead=True,
            ReturnConsumedCapacity="TOTAL",
        ).get("Item")
        if item is None:
            raise Missing(f"There is no {kind} {key!r} any more.", kind)
        if item.get(ATTRIBUTE, {}).get("S", "") >= void:
            raise Leaving(f"{kind} {key!r} is being deleted.")
