"""The DynamoDB table: its schema, its base item and its connection.

Keys (all strings): base table ``pk``/``sk``; ``gsi1`` (``g1pk``/``g1sk``, whole item) answers "by
parent entity"; ``gsi2`` (``g2pk``/``g2sk``, a summary) answers "by lab, period or status". Index
attributes that an item leaves empty keep it out of that index (sparse indexes).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Self

from shared.records import env, lean, wire

with lean.without(
    "botocore.client",
    "botocore.config",
    "botocore.credentials",
    "botocore.endpoint",
    "botocore.hooks",
    "botocore.model",
    "botocore.session",
    "botocore.signers",
):  # the parts of PynamoDB's own client; `Record` gives it another
    from pynamodb.attributes import (
        Attribute,
        DiscriminatorAttribute,
        NumberAttribute,
        UnicodeAttribute,
    )
    from pynamodb.connection import Connection
    from pynamodb.connection.table import TableConnection
    from pynamodb.exceptions import AttributeNullError
    from pynamodb.expressions.condition import Condition
    from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, IncludeProjection
    from pynamodb.models import MetaModel, Model

SUMMARY = ["_k", "summary", "state", "lab"]
"""Attributes that ``gsi2`` carries beside the keys; ``summary`` is a small map for list rows."""

TABLE_SCHEMA: dict[str, Any] = {
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": "S"}
        for name in ("pk", "sk", "g1pk", "g1sk", "g2pk", "g2sk")
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "gsi1",
            "KeySchema": [
                {"AttributeName": "g1pk", "KeyType": "HASH"},
                {"AttributeName": "g1sk", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        },
        {
            "IndexName": "gsi2",
            "KeySchema": [
                {"AttributeName": "g2pk", "KeyType": "HASH"},
                {"AttributeName": "g2sk", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": SUMMARY},
        },
    ],
}
"""CreateTable arguments; the CDK construct and the tests build the table from this alone."""

TTL_ATTRIBUTE = "expires"


def table_name() -> str:
    """Return the table's name, set for every function by its environment."""
    return env.table()


class ByParent(GlobalSecondaryIndex):
    """``gsi1``: whole items under their parent entity."""

    class Meta:
        """Index settings."""

        index_name = "gsi1"
        projection = AllProjection()

    g1pk = UnicodeAttribute(hash_key=True)
    g1sk = UnicodeAttribute(range_key=True)


class ByLab(GlobalSecondaryIndex):
    """``gsi2``: summaries by lab, period or status."""

    class Meta:
        """Index settings."""

        index_name = "gsi2"
        projection = IncludeProjection(SUMMARY)

    g2pk = UnicodeAttribute(hash_key=True)
    g2sk = UnicodeAttribute(range_key=True)


class _Value:
    """An attribute of an item, read in a third of the time of PynamoDB's own descriptor.

    On the class it is PynamoDB's attribute, as conditions need it.
    """

    __slots__ = ("_attribute", "_name")

    def __init__(self, attribute: Attribute[Any], name: str) -> None:
        self._attribute, self._name = attribute, name

    def __get__(self, item: Record | None, owner: Any) -> Any:
        return self._attribute if item is None else item.attribute_values.get(self._name)

    def __set__(self, item: Record, value: Any) -> None:
        item.attribute_values[self._name] = value


class _Kind(MetaModel):
    """The class of `Record` and of its subclasses, whose attributes are each a `_Value`."""

    def __init__(cls, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        model: Any = cls
        for name, attribute in model.get_attributes().items():
            if not isinstance(attribute, DiscriminatorAttribute):
                setattr(cls, name, _Value(attribute, name))

    def __dir__(cls) -> set[str]:
        """Return the names that items have beyond PynamoDB's, which looks at them all in turn."""
        inherited = set(Model.__mro__)
        own = [vars(base) for base in cls.__mro__ if base not in inherited]
        return {name for names in own for name in names}


class Record(Model, metaclass=_Kind):
    """Base of every stored item; subclasses add attributes.

    ``_k`` names the subclass: ``class Session(Record, discriminator="Session")``.
    """

    class Meta:
        """Table settings; endpoint and region come from the standard AWS environment."""

        table_name = table_name()

    pk = UnicodeAttribute(hash_key=True)
    sk = UnicodeAttribute(range_key=True)
    kind = DiscriminatorAttribute(attr_name="_k")
    g1pk = UnicodeAttribute(null=True)
    g1sk = UnicodeAttribute(null=True)
    g2pk = UnicodeAttribute(null=True)
    g2sk = UnicodeAttribute(null=True)
    gsi1 = ByParent()
    gsi2 = ByLab()

    @classmethod
    def _get_connection(cls) -> TableConnection:
        """Return the one connection that all kinds of item share."""
        if cls is not Record:
            return Record._get_connection()
        made = cls._connection
        table: TableConnection = super()._get_connection()
        if table is not made:
            table.connection._client = wire.DynamoClient()  # type: ignore[assignment]
        return table

    @classmethod
    def stored_kind(cls) -> str:
        """Return the name of this class in the table."""
        return str(_KIND.serialize(cls))

    def serialize(self, null_check: bool = True) -> dict[str, dict[str, Any]]:
        """Return the stored form, in a third of PynamoDB's time.

        Raises
        ------
        AttributeNullError
            If a value is missing that the item must have, and ``null_check`` is true.
        """
        values = self.attribute_values
        stored = {"_k": {"S": self.stored_kind()}}
        for name, attribute, write in _writers(type(self)):
            value = values.get(name)
            if value is not None:
                value = write(value)
            if value is not None:
                stored[attribute.attr_name] = {attribute.attr_type: value}
            elif null_check and not attribute.null:
                raise AttributeNullError(name)
        return stored

    def get_save_kwargs_from_instance(
        self,
        condition: Condition | None = None,
        return_values_on_condition_failure: str | None = None,
    ) -> dict[str, Any]:
        """Return the arguments of a ``Put``, as PynamoDB does."""
        table = self._get_connection().table_name
        arguments: dict[str, Any] = {"TableName": table, "Item": self.serialize()}
        if condition is not None:
            arguments |= _written(condition)
        if return_values_on_condition_failure is not None:
            arguments["ReturnValuesOnConditionCheckFailure"] = return_values_on_condition_failure
        return arguments

    @classmethod
    def from_raw_data(cls, data: dict[str, Any]) -> Self:
        """Return an item from its stored form, in a third of PynamoDB's time.

        Raises
        ------
        ValueError
            If the item is of another kind.
        """
        stored = data.get("_k")
        model = _KIND.deserialize(stored["S"]) if stored else cls
        if not issubclass(model, cls):
            raise ValueError(f"A {model.__name__} is no {cls.__name__}.")
        attributes, defaults = _plan(model)
        item: Self = model.__new__(model)
        values = item.attribute_values = {
            name: value() if callable(value) else value for name, value in defaults
        }
        for stored_name, value in data.items():
            if not value or "NULL" in value or stored_name not in attributes:
                continue
            name, attribute, kind, read = attributes[stored_name]
            if kind in value:
                values[name] = read(value[kind])
            else:
                values[name] = attribute.deserialize(attribute.get_value(value))
        return item


_KIND = Record.get_attributes()["kind"]


def _written(condition: Condition) -> dict[str, Any]:
    """Return a condition as arguments; those of one that many items share are made once."""
    made: dict[str, Any] | None = vars(condition).get("_written")
    if made is None:
        names: dict[str, str] = {}
        values: dict[str, Any] = {}
        made = {"ConditionExpression": condition.serialize(names, values)}
        made["ExpressionAttributeNames"] = {short: name for name, short in names.items()}
        if values:
            made["ExpressionAttributeValues"] = values
        vars(condition)["_written"] = made
    return made


def _number(text: str) -> int | float:
    """Return a number; nearly all are integers."""
    return int(text) if text.isdecimal() else json.loads(text)


def _digits(number: float) -> str:
    """Return the text of a number; nearly all are integers."""
    return str(number) if type(number) is int else json.dumps(number)


WRITERS: dict[type, Callable[[Any], Any]] = {NumberAttribute: _digits}
"""Writers of the commonest attribute that PynamoDB writes slowly, in its form."""

QUICK: dict[type, Callable[[str], Any]] = {UnicodeAttribute: str, NumberAttribute: _number}
"""Readers of the commonest attributes; they do what PynamoDB does, in one step."""


@lru_cache
def _plan(
    model: type[Record],
) -> tuple[dict[str, tuple[str, Attribute[Any], str, Any]], list[Any]]:
    """Return how to read a model's items: name, attribute and reader by stored name; defaults.

    The reader takes values of the attribute's own type; the attribute itself takes others.
    """
    declared = model.get_attributes().items()
    attributes = {
        attribute.attr_name: (
            name,
            attribute,
            attribute.attr_type if type(attribute) in QUICK else "",
            QUICK.get(type(attribute)),
        )
        for name, attribute in declared
    }
    return attributes, [
        (name, attribute.default) for name, attribute in declared if attribute.default is not None
    ]


@lru_cache
def _writers(model: type[Record]) -> list[tuple[str, Attribute[Any], Callable[[Any], Any]]]:
    """Return how to write a model's items: name, attribute and its serializer; not the kind."""
    return [
        (name, attribute, WRITERS.get(type(attribute)) or attribute.serialize)
        for name, attribute in model.get_attributes().items()
        if attribute is not _KIND
    ]


def connection() -> Connection:
    """Return the low-level connection that transactions and the meter share with the models."""
    return Record._get_connection().connection
