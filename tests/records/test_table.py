"""The table's base item and the capacity meter, on a real DynamoDB server."""

import botocore.session
import pytest
from botocore.exceptions import ConnectionClosedError
from pynamodb.attributes import (
    BinaryAttribute,
    JSONAttribute,
    ListAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
)
from pynamodb.models import Model

from shared.records import wire
from shared.records.meter import metered
from shared.records.table import Record, connection


def botocores_own():
    """Return a client of DynamoDB that goes botocore's way."""
    return botocore.session.get_session().create_client("dynamodb", region_name="us-east-1")


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
    arguments = {
        "TableName": table,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": "B"}},
    }
    ours, theirs = connection().client.query(**arguments), botocores_own().query(**arguments)
    # Then all agree
    for each in (ours, theirs):
        assert each.pop("ResponseMetadata")["HTTPStatusCode"] == 200
    assert ours == theirs
    slow = Model.from_raw_data.__func__(Record, theirs["Items"][0])  # type: ignore[attr-defined]
    assert (type(quick), quick.attribute_values) == (type(slow), slow.attribute_values)
    assert quick.attribute_values["pk"] == "B"


def test_an_item_of_another_kind_or_without_its_values_is_refused(table: str) -> None:
    Mouse(pk="MOUSE#a", sk="A", weight=1).save()
    with pytest.raises(ValueError, match="A Mouse is no Cage"):
        Cage.get("MOUSE#a", "A")
    connection().client.put_item(TableName=table, Item={"pk": {"S": "X"}, "sk": {"S": "A"}})
    assert Record.get("X", "A").pk == "X"


FIRST = {"pk": {"S": "X"}, "sk": {"S": "A"}, "b": {"B": b"\x00\xff"}}
NOT_THERE = {"ConditionExpression": "attribute_not_exists(pk)"}
RETURNED = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("get_item", {"TableName": "nowhere", "Key": {"pk": {"S": "a"}, "sk": {"S": "A"}}}),
        ("get_item", {"TableName": "fornix", "Key": {"pk": {"S": "a"}}}),
        ("put_item", {"TableName": "fornix", "Item": FIRST, **NOT_THERE}),
        (
            "transact_write_items",
            {
                "TransactItems": [
                    {"Put": {"TableName": "fornix", "Item": {**FIRST, "sk": {"S": "B"}}}},
                    {"Put": {"TableName": "fornix", "Item": FIRST, **NOT_THERE, **RETURNED}},
                ]
            },
        ),
        ("query", {"TableName": "fornix", "KeyConditionExpression": "nonsense"}),
    ],
)
def test_errors_of_the_database_are_botocores_own(
    table: str, operation: str, arguments: dict
) -> None:
    client = connection().client
    client.put_item(TableName=table, Item=FIRST)
    told = []
    for each in (client, botocores_own()):
        with pytest.raises(each.exceptions.ClientError) as error:
            getattr(each, operation)(**arguments)
        answer = dict(error.value.response)
        status = answer.pop("ResponseMetadata")["HTTPStatusCode"]
        answer.pop("Message", None)
        answer.pop("message", None)
        told.append((type(error.value).__name__, str(error.value), status, answer))
    assert told[0] == told[1]


def test_a_connection_that_was_lost_is_made_again(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a client whose connection breaks once
    client = botocores_own()
    session = client._endpoint.http_session
    real = session.send
    lost = iter([ConnectionClosedError(endpoint_url="http://here")])

    def send(request):
        if error := next(lost, None):
            raise error
        return real(request)

    monkeypatch.setattr(session, "send", send)
    wire.shorten(client)
    # When it asks, then it gets an answer, counted once
    with metered() as cost:
        key = {"pk": {"S": "a"}, "sk": {"S": "A"}}
        client.get_item(TableName=table, Key=key, ReturnConsumedCapacity="TOTAL")
    assert (cost.requests, cost.units) == (1, 0.5)
    assert next(lost, None) is None
