"""Marks on records that are being deleted, so that no new record refers to them.

A deletion marks the record, looks for references to it, and deletes it in a transaction on the
condition that the mark is still its own. A write that refers to a record does so on the condition
that the record exists and has no mark (`there`). So at most one of a deletion and a write that
refers to the record succeeds, in any order of their steps.

The mark is an attribute outside the record's version and the journal. A change of the record
removes it, and the deletion starts again. A mark of an interrupted deletion is void after `LASTS`.
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
"""Lifetime of a mark; a request ends after 29 seconds, so no deletion takes longer."""

IN_TIME = timedelta(seconds=30)
"""Time after its mark within which a deletion may be committed."""

Name = tuple[str, str]
"""(kind, key) of a record."""


def place_of(kind: str, key: str) -> tuple[str, str]:
    """Return the key of the item that shows that a record exists."""
    return (keys.session(key) if kind == "session" else keys.document(kind, key)), "A"


def there() -> Condition:
    """Return the condition that a record exists and is not being deleted."""
    return Record.pk.exists() & unmarked()


def unmarked() -> Condition:
    """Return the condition that a record, if it exists, is not being deleted."""
    void = moment.stamp(moment.now() - LASTS)
    return Path(ATTRIBUTE).does_not_exist() | (Path(ATTRIBUTE) < void)


def marked(mark: str) -> Condition:
    """Return the condition that a record has this mark."""
    return Path(ATTRIBUTE) == mark


def in_time(mark: str) -> bool:
    """Return whether a deletion may still be committed."""
    return moment.of_stamp(mark.partition("#")[0]) > moment.now() - IN_TIME


def new_mark(owner: str) -> str:
    """Return the mark of a deletion that begins now; ``owner`` makes it unique."""
    return f"{moment.stamp()}#{owner}"


def mark(name: Name, mark: str, *, version: int | None = None) -> None:
    """Mark a record as being deleted.

    Parameters
    ----------
    name : (kind, key)
    mark : str
        See `new_mark`.
    version : int, optional
        Version that the record must have.

    Raises
    ------
    Missing, Leaving, ConditionFailed
        If it does not exist; if somebody else is deleting it; if it has another version.
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
    """Remove a mark if it is still there."""
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
    """Check that records exist and are not being deleted.

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
