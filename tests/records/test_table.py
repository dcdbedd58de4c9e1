"""The table's base item and the capacity meter, on a real DynamoDB server."""

from datetime import UTC, datetime

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
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
        told.append((str(error.value), status, answer))
    assert told[0] == told[1]


def test_a_connection_that_was_lost_is_made_again(
    table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a client whose connection breaks once
    client = wire.DynamoClient()
    key = {"pk": {"S": "a"}, "sk": {"S": "A"}}
    client.get_item(TableName=table, Key=key)
    real = client._connections.post
    lost = iter([ConnectionResetError("Connection reset by peer")])

    def request(*arguments, **named):
        if error := next(lost, None):
            raise error
        return real(*arguments, **named)

    monkeypatch.setattr(client._connections, "post", request)
    # When it asks, then it gets an answer, counted once
    with metered() as cost:
        client.get_item(TableName=table, Key=key, ReturnConsumedCapacity="TOTAL")
    assert (cost.requests, cost.units) == (1, 0.5)
    assert next(lost, None) is None


@pytest.mark.parametrize(
    "unusual",
    [
        {"AWS_PROFILE": "lab"},
        {"AWS_DEFAULT_REGION": "cn-north-1"},
        {"AWS_SECRET_ACCESS_KEY": ""},
        {"HTTPS_PROXY": "http://proxy.lab:3128"},
    ],
)
def test_what_the_environment_of_a_function_does_not_say_is_left_to_botocore(
    unusual: dict[str, str],
) -> None:
    assert wire.Place.of(USUAL) is not None
    assert wire.Place.of(USUAL | unusual) is None


USUAL = {
    "AWS_DEFAULT_REGION": "eu-west-2",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
}


@pytest.mark.parametrize("token", ["", "IQoJb3JpZ2luX2Vj//8="])
@pytest.mark.parametrize("url", ["", "http://127.0.0.1:8000", "https://db.lab.org/"])
@pytest.mark.parametrize("body", [b"", b'{"TableName":"fornix"}', "ä".encode()])
def test_requests_are_signed_as_botocore_signs_them(
    monkeypatch: pytest.MonkeyPatch, token: str, url: str, body: bytes
) -> None:
    # Given where a function sends its requests
    named = {"AWS_SESSION_TOKEN": token, "AWS_ENDPOINT_URL_DYNAMODB": url}
    place = wire.Place.of(USUAL | {name: value for name, value in named.items() if value})
    assert place is not None
    assert place.url == (
        f"{url.rstrip('/')}/" if url else "https://dynamodb.eu-west-2.amazonaws.com/"
    )
    # When a request is signed, by us and by botocore at the same time
    at = datetime.now(UTC)
    ours = place.headers("Query", body, at)
    signer = SigV4Auth(
        Credentials(place.key_id, place.secret, place.token), "dynamodb", place.region
    )
    kept = {name: ours[name] for name in ("content-type", "x-amz-target")}
    request = AWSRequest("POST", place.url, headers=kept, data=body)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: at)
    signer.add_auth(request)
    # Then both send the same
    theirs = {name.lower(): value for name, value in request.headers.items()}
    assert {**theirs, "host": ours["host"]} == ours
