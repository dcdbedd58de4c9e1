"""Each function's role is allowed what the function needs and denied the rest, for real.

A probe function is created with each role of the deployed stack; it makes one call and says how
it ended. So the calls carry exactly the credentials that the function itself has.
"""

from __future__ import annotations

import io
import json
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.local.ministack import ACCOUNT, REGION
from infra.local.seed import LABS
from tests.system import Cloud

pytestmark = pytest.mark.integration

PROBE = """
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

session = botocore.session.get_session()
clients = {}

def handler(event, context):
    name = event["service"]
    if name not in clients:
        clients[name] = session.create_client(name, config=Config(s3={"addressing_style": "path"}))
    try:
        getattr(clients[name], event["operation"])(**event["arguments"])
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return "denied" if "AccessDenied" in code else f"passed, then {code}"
    return "passed"
"""

DATA = f"fornix-data-{ACCOUNT}-{REGION}"
SITE = f"fornix-site-{ACCOUNT}-{REGION}"
KEY = {"pk": {"S": "SES#nobody"}, "sk": {"S": "A"}}

Probe = Callable[[str, str, str, dict[str, Any]], str]


@pytest.fixture(scope="module")
def probe(cloud: Cloud) -> Iterator[Probe]:
    """Return how a call ends that is made with a function's role: "denied" or "passed…"."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as code:
        code.writestr("probe.py", PROBE)
    lambda_ = cloud.client("lambda")
    made: set[str] = set()

    def call(function: str, service: str, operation: str, arguments: dict[str, Any]) -> str:
        name = f"probe-{function}"
        if name not in made:
            role = lambda_.get_function_configuration(FunctionName=f"fornix-{function}")["Role"]
            lambda_.create_function(
                FunctionName=name,
                Role=role,
                Runtime="python3.13",
                Handler="probe.handler",
                Code={"ZipFile": archive.getvalue()},
                Timeout=30,
            )
            made.add(name)
        event = {"service": service, "operation": operation, "arguments": arguments}
        answer = lambda_.invoke(FunctionName=name, Payload=json.dumps(event))
        ended = json.loads(answer["Payload"].read())
        assert isinstance(ended, str), ended
        return ended

    yield call
    for name in made:
        lambda_.delete_function(FunctionName=name)


def get(bucket: str, key: str) -> tuple[str, str, dict[str, Any]]:
    return "s3", "get_object", {"Bucket": bucket, "Key": key}


def put(bucket: str, key: str) -> tuple[str, str, dict[str, Any]]:
    return "s3", "put_object", {"Bucket": bucket, "Key": key, "Body": "x"}


def delete(bucket: str, key: str) -> tuple[str, str, dict[str, Any]]:
    return "s3", "delete_object", {"Bucket": bucket, "Key": key}


def mark(key: str) -> tuple[str, str, dict[str, Any]]:
    tags = {"TagSet": [{"Key": "fornix", "Value": "freed"}]}
    return "s3", "put_object_tagging", {"Bucket": DATA, "Key": key, "Tagging": tags}


def listing(bucket: str, prefix: str) -> tuple[str, str, dict[str, Any]]:
    return "s3", "list_objects_v2", {"Bucket": bucket, "Prefix": prefix}


def send(queue: str) -> tuple[str, str, dict[str, Any]]:
    url = f"http://localhost:4566/{ACCOUNT}/{queue}"
    return "sqs", "send_message", {"QueueUrl": url, "MessageBody": '{"kind": "probe"}'}


def receive(queue: str) -> tuple[str, str, dict[str, Any]]:
    url = f"http://localhost:4566/{ACCOUNT}/{queue}"
    return "sqs", "receive_message", {"QueueUrl": url, "WaitTimeSeconds": 0}


def read_item() -> tuple[str, str, dict[str, Any]]:
    return "dynamodb", "get_item", {"TableName": "fornix", "Key": KEY}


def delete_item() -> tuple[str, str, dict[str, Any]]:
    return "dynamodb", "delete_item", {"TableName": "fornix", "Key": KEY}


def transact() -> tuple[str, str, dict[str, Any]]:
    item = {"Delete": {"TableName": "fornix", "Key": KEY}}
    return "dynamodb", "transact_write_items", {"TransactItems": [item]}


def query(index: str) -> tuple[str, str, dict[str, Any]]:
    return (
        "dynamodb",
        "query",
        {
            "TableName": "fornix",
            "IndexName": index,
            "KeyConditionExpression": f"{index.replace('gsi', 'g')}pk = :x",
            "ExpressionAttributeValues": {":x": {"S": "nobody"}},
        },
    )


def scan(*attributes: str) -> tuple[str, str, dict[str, Any]]:
    named = {"ProjectionExpression": ",".join(attributes)} if attributes else {}
    return "dynamodb", "scan", {"TableName": "fornix", **named}


PASSWORDS = [scan(), scan("pk", "hashed"), scan("salt")]
"""Scans that only the API is allowed.

Single items of the credentials' partitions are denied by ``dynamodb:LeadingKeys``, which the
embedded cloud does not know: see ``tests/infra/test_roles.py``.
"""


def assume(role: str) -> tuple[str, str, dict[str, Any]]:
    arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
    return "sts", "assume_role", {"RoleArn": arn, "RoleSessionName": "probe"}


WORKER = f"fornix-worker-{LABS[0]}"
EVERYWHERE_DENIED = [
    ("dynamodb", "delete_table", {"TableName": "fornix"}),
    ("s3", "list_buckets", {}),
    ("s3", "delete_bucket", {"Bucket": DATA}),
    ("s3", "get_bucket_policy", {"Bucket": DATA}),
    ("iam", "list_roles", {}),
    ("lambda", "list_functions", {}),
    ("sqs", "list_queues", {}),
    put(DATA, "elsewhere/x"),
]
DEAD = receive("fornix-ingest-dead")
"""Messages that could not be delivered: the API shows them and sends them again, nobody else."""

ALLOWED = {
    "api": [
        *(read_item(), delete_item(), transact(), query("gsi1"), query("gsi2"), *PASSWORDS),
        *(put(DATA, "incoming/probe/x"), get(DATA, "incoming/probe/x")),
        *(get(DATA, f"{prefix}/x") for prefix in ("data", "manifests", "snapshots", "cache")),
        *(listing(DATA, "incoming/probe/"), send("fornix-ingest"), send("fornix-dispatch")),
        *(DEAD, send("fornix-analysis"), *(send(f"fornix-work-{lab}") for lab in LABS)),
        *(assume(f"fornix-worker-{lab}") for lab in LABS),
    ],
    "ingest": [
        *(read_item(), delete_item(), transact(), query("gsi1")),
        *(get(DATA, "incoming/probe/x"), delete(DATA, "incoming/probe/x")),
        *(put(DATA, f"{prefix}/probe") for prefix in ("data", "quarantine", "manifests")),
        *(listing(DATA, f"{prefix}/") for prefix in ("incoming", "manifests")),
        *(send("fornix-ingest"), send("fornix-dispatch")),
    ],
    "dispatch": [
        *(read_item(), delete_item(), transact(), query("gsi2")),
        *(send(f"fornix-work-{lab}") for lab in LABS),
        *(send("fornix-dispatch"), send("fornix-analysis")),
        *(mark("data/x"), listing(DATA, "data/")),  # raw files that are freed
    ],
    "analysis": [
        # Aggregates; to which partitions of the table this is limited, see test_roles.py.
        *(delete_item(), transact(), put(DATA, "data/aggregates/probe")),
        *(read_item(), query("gsi1"), query("gsi2"), scan("pk", "body"), get(DATA, "data/x")),
        *(put(SITE, "probe.html"), get(SITE, "probe.html"), delete(SITE, "probe.html")),
        *(listing(SITE, ""), put(DATA, "snapshots/probe"), put(DATA, "cache/probe")),
        delete(DATA, "snapshots/probe"),
    ],
    "notices": [
        *(read_item(), delete_item(), transact(), query("gsi1"), scan("pk", "body")),
        *(get(DATA, "snapshots/x"), send("fornix-notices")),
    ],
}

DENIED = {
    "api": [
        *(put(DATA, "data/x"), put(DATA, "manifests/x"), put(DATA, "snapshots/x")),
        *(delete(DATA, "data/x"), delete(DATA, "incoming/x"), delete(DATA, "manifests/x")),
        mark("data/x"),
        *(put(SITE, "x"), get(SITE, "_state/x"), put(DATA, "manifests/-imports/x")),
        *(receive("fornix-ingest"), receive(f"fornix-work-{LABS[0]}")),
        assume("fornix-ingest-us-east-1"),
    ],
    "ingest": [
        *(DEAD, mark("data/x")),
        *(put(DATA, "incoming/x"), put(DATA, "snapshots/x"), put(DATA, "cache/x")),
        *(delete(DATA, "data/x"), delete(DATA, "manifests/x"), delete(DATA, "quarantine/x")),
        *(put(SITE, "x"), get(SITE, "x"), get(DATA, "notes/x")),
        *(send("fornix-analysis"), send(f"fornix-work-{LABS[0]}"), receive("fornix-dispatch")),
        *(scan("pk"), *PASSWORDS, assume(WORKER)),
    ],
    "dispatch": [
        DEAD,
        *(get(DATA, "data/x"), get(DATA, "incoming/x"), put(DATA, "data/x"), get(SITE, "x")),
        *(mark("manifests/x"), delete(DATA, "data/x")),
        *(send("fornix-ingest"), receive("fornix-ingest")),
        *(scan("pk"), *PASSWORDS, assume(WORKER)),
    ],
    "analysis": [
        DEAD,
        *(put(DATA, "data/x"), delete(DATA, "data/x"), mark("data/x"), mark("data/aggregates/x")),
        *(put(DATA, "incoming/x"), put(DATA, "manifests/x"), get(DATA, "incoming/x")),
        *(get(DATA, "quarantine/x"), send("fornix-ingest"), send("fornix-dispatch")),
        *(*PASSWORDS, assume(WORKER)),
    ],
    "notices": [
        DEAD,
        *(put(DATA, "snapshots/x"), get(DATA, "data/x"), get(SITE, "x"), put(SITE, "x")),
        *(send("fornix-dispatch"), *PASSWORDS, assume(WORKER)),
    ],
}


@pytest.mark.parametrize("function", ALLOWED)
def test_a_function_is_allowed_what_it_needs(probe: Probe, function: str) -> None:
    ended = {repr(call): probe(function, *call) for call in ALLOWED[function]}
    assert {call for call, how in ended.items() if how == "denied"} == set()


@pytest.mark.parametrize("function", DENIED)
def test_a_function_is_denied_the_rest(probe: Probe, function: str) -> None:
    calls = DENIED[function] + EVERYWHERE_DENIED
    ended = {repr(call): probe(function, *call) for call in calls}
    assert {call: how for call, how in ended.items() if how != "denied"} == {}


def test_the_worker_role_is_lent_to_the_api_only(cloud: Cloud) -> None:
    # Not even the account's administrator gets it: the trust policy names the API's role.
    with pytest.raises(ClientError) as error:
        cloud.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{WORKER}", RoleSessionName="test"
        )
    assert error.value.response["Error"]["Code"] == "AccessDenied"


def test_a_worker_gets_credentials_for_its_labs_queue_and_nothing_else(cloud: Cloud) -> None:
    # Given the credentials that the API lends a worker
    user = cloud.credentials[f"{LABS[0]}_worker"]
    token = post(cloud, "/auth-token", {k: user[k] for k in ("username", "password")})["token"]
    lent = post(cloud, "/workers/credentials", {}, token)

    def client(service: str) -> Any:
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=cloud.env["AWS_ENDPOINT_URL"],
            region_name=lent["region"],
            aws_access_key_id=lent["access_key_id"],
            aws_secret_access_key=lent["secret_access_key"],
            aws_session_token=lent["session_token"],
        )

    # Then its lab's queue can be read
    sqs = client("sqs")
    assert lent["queue_url"].endswith(f"fornix-work-{LABS[0]}")
    sqs.receive_message(QueueUrl=lent["queue_url"], WaitTimeSeconds=0)

    # And nothing else can be had
    other = lent["queue_url"].replace(LABS[0], LABS[1])
    for refused in (
        lambda: sqs.receive_message(QueueUrl=other, WaitTimeSeconds=0),
        lambda: sqs.send_message(QueueUrl=lent["queue_url"], MessageBody="{}"),
        lambda: sqs.purge_queue(QueueUrl=lent["queue_url"]),
        lambda: client("s3").list_objects_v2(Bucket=DATA, Prefix="data/"),
        lambda: client("s3").get_object(Bucket=DATA, Key="data/x"),
        lambda: client("dynamodb").get_item(TableName="fornix", Key=KEY),
    ):
        with pytest.raises(ClientError) as error:
            refused()
        assert "AccessDenied" in error.value.response["Error"]["Code"]


def post(cloud: Cloud, path: str, body: dict[str, Any], token: str = "") -> Any:
    """Return the API's answer to a POST."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Token {token}"
    request = urllib.request.Request(
        cloud.api_url + path, json.dumps(body).encode(), headers, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
