"""The table's base item and the capacity meter, on a real DynamoDB server."""

import pytest
from botocore.parsers import JSONParser
from pynamodb.attributes import (
    BinaryAttribute,
    JSONAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.models import Model

from shared.records.table import Record, connection, metered


class Mouse(Record, discriminator="Mouse"):
    weight = NumberAttribute()


class Cage(Record, discriminator="Cage"):
    picture = BinaryAttribute(legacy_encoding=False, attr_name="p", null=True)
    notes = JSONAttribute(null=True)
    mice: ListAttribute = ListAttribute(of=UnicodeAttribute, default=list)
    tags: UnicodeSetAttribute = UnicodeSetAttribute(null=True)
    room = UnicodeAttribute(default="B", null=True)
    number = NumberAttribute(default_for_new=7, null=True)


CAGES = [
    {"picture": b"\x00\xff", "notes": {"B": "text"}, "mice": ["a", "B"], "tags": {"B", "c"}},
    {"notes": [1, None, "x"], "room": "", "number": 0},
    {},
]


def test_an_item_comes_back_as_its_own_class_and_its_cost_is_metered(table: str) -> None:
    # Given one item filed under a parent
    with metered() as cost:
        Mouse(pk="MOUSE#a", sk="A", g1pk="LAB#x", g1sk="a", weight=20.5).save()
    # Then base table and gsi1 were each charged one write unit
    assert (cost.requests, cost.units) == (1, 2.0)
    # When it is read through the index
    found = list(Record.gsi1.query("LAB#x"))
    # Then it is a Mouse again
    assert [(type(item), item.weight) for item in found] == [(Mouse, 20.5)]


@pytest.mark.parametrize("fields", CAGES)
def test_items_are_read_as_pynamodb_and_botocore_read_them(table: str, fields: dict) -> None:
    # Given an item with values of every type, some named as types are
    Cage(pk="B", sk="A", **fields).save()
    # When it is read by a query, and by the libraries' own slower ways
    (quick,) = list(Record.query("B"))
    answers = []
    client = connection().client

    def keep(response_dict: dict, **_: object) -> None:
        answers.append(response_dict)

    client.meta.events.register("before-parse.dynamodb.Query", keep)
    key = {":pk": {"S": "B"}}
    ours = client.query(
        TableName=table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues=key
    )
    client.meta.events.unregister("before-parse.dynamodb.Query", keep)
    shape = client.meta.service_model.operation_model("Query").output_shape
    # Then all agree
    theirs = JSONParser().parse(answers[0], shape)
    assert ours["ResponseMetadata"].items() >= theirs.pop("ResponseMetadata").items()
    assert {name: ours[name] for name in theirs} == theirs
    slow = Model.from_raw_data.__func__(Record, theirs["Items"][0])  # type: ignore[attr-defined]
    assert (type(quick), quick.attribute_values) == (type(slow), slow.attribute_values)
    assert quick.attribute_values["pk"] == "B"


def test_an_item_of_another_kind_or_without_its_values_is_refused(table: str) -> None:
    Mouse(pk="MOUSE#a", sk="A", weight=1).save()
    with pytest.raises(ValueError, match="A Mouse is no Cage"):
        Cage.get("MOUSE#a", "A")
    connection().client.put_item(TableName=table, Item={"pk": {"S": "X"}, "sk": {"S": "A"}})
    assert Record.get("X", "A").pk == "X"


def test_errors_of_the_database_are_botocores_own(table: str) -> None:
    client = connection().client
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_item(TableName="nowhere", Key={"pk": {"S": "a"}, "sk": {"S": "A"}})
