"""What Fornix relies on in ministack, private parts included; fails loudly on an upgrade.

Every test here states a behaviour of AWS that the embedded cloud must share. When ministack is
raised to a new version, this file decides whether ``infra/local/ministack.py`` still knows it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.local import ministack
from infra.local.cloud import CloudError, EmbeddedCloud
from infra.local.deploy import client
from infra.local.home import Home, Ports
from tests.processes import runs, until

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCloud]:
    """An embedded cloud with nothing deployed."""
    cloud = EmbeddedCloud(Home(tmp_path_factory.mktemp("bare"), Ports.free()))
    cloud.start()
    yield cloud
    cloud.stop()


def status(method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
    """Return the status of a plain HTTP request."""
    request = urllib.request.Request(url, data=body or None, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    """Return an AWS error's code."""
    return str(error.value.response["Error"]["Code"])


# -- private parts -----------------------------------------------------------------------------


def test_the_version_is_the_one_that_is_known() -> None:
    pinned = re.search(r'"ministack==([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert pinned
    assert pinned[1] == ministack.VERSION


def test_the_private_parts_are_as_they_were() -> None:
    # In a process of its own: importing ministack changes logging and event handling for good.
    program = (
        f"SAVED = set({sorted(ministack.SAVED_EACH_SECOND)})"
        + """
import inspect, json
from ministack import app
from ministack.core import iam_actions, iam_evaluator, lambda_runtime, persistence
from ministack.services import cloudwatch_logs, lambda_svc
lambda_svc._emit_lambda_logs({"FunctionName": "f"}, "r", "", False, 1)
print(json.dumps({
    "dynamodb handler": list(inspect.signature(app.SERVICE_HANDLERS["dynamodb"]).parameters),
    "state map": callable(app._build_persistence_save_dict),
    "save_all": list(inspect.signature(persistence.save_all).parameters),
    "not saved": sorted(SAVED - set(app._state_map)),
    "policy": list(inspect.signature(iam_evaluator.parse_policy_document).parameters),
    "items": iam_actions.dynamodb_transaction_checks(
        "dynamodb:TransactWriteItems",
        json.dumps({"TransactItems": [{"Put": {"TableName": "t"}}] * 2}).encode(), "r", "1"
    ),
    "in one context": "resource_arn=item_arn, service_context=item_context"
    in inspect.getsource(app._dispatch_service_request),
    "streams": len(cloudwatch_logs._log_groups["/aws/lambda/f"]["streams"]),
    "root key": list(inspect.signature(iam_evaluator._is_root_key).parameters),
    "drain": list(inspect.signature(lambda_runtime.Worker._drain_stderr_bounded).parameters),
    "read": list(inspect.signature(lambda_runtime.Worker._read_stderr).parameters),
    "surplus": [lambda_runtime._LOCAL_WORKER_TTL, callable(lambda_runtime.reap_idle_workers)],
    "key": list(inspect.signature(lambda_runtime._worker_key).parameters),
    "lend": list(inspect.signature(lambda_runtime.acquire_worker).parameters),
    "lending": "acquire_worker(func_name, config, code_zip, qualifier=qualifier)"
    in inspect.getsource(lambda_svc),
    "processes": (lambda_runtime._workers, type(lambda_runtime._lock).__name__),
    "logs": list(inspect.signature(lambda_svc._emit_lambda_logs).parameters),
}))
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"LAMBDA_WARM_TTL_SECONDS": str(ministack.SURPLUS_SECONDS)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "dynamodb handler": ["method", "path", "headers", "body", "query_params"],
        "state map": True,
        "save_all": ["services"],
        "not saved": [],
        "policy": ["doc"],
        "items": [["dynamodb:PutItem", "arn:aws:dynamodb:r:1:table/t"]] * 2,
        "in one context": True,
        "streams": 1,
        "root key": ["access_key_id"],
        "drain": ["self", "first_line_wait", "idle_confirm", "hard_cap"],
        "read": ["self"],
        "surplus": [ministack.SURPLUS_SECONDS, True],
        "key": ["func_name", "config", "qualifier"],
        "lend": ["func_name", "config", "code_zip", "qualifier", "max_concurrency"],
        "lending": True,
        "processes": [{}, "lock"],
        "logs": ["func", "request_id", "log_text", "error", "duration_ms", "log_source"],
    }


# -- what it keeps to itself -------------------------------------------------------------------


def test_code_is_hashed_once_until_its_file_is_gone(tmp_path: Path) -> None:
    hashed: list[bytes] = []

    def write(code: bytes) -> str:
        hashed.append(code)
        name = hashlib.sha256(code).hexdigest()
        (tmp_path / f"{name}.zip").write_bytes(code)
        return name

    once = ministack._writing_once(write, str(tmp_path))
    first, second = b"first" * 99, b"second" * 99
    name = once(first)
    # When the same code is saved again, and another's after it
    assert (once(first), once(first)) == (name, name)
    assert once(second) != name
    assert hashed == [first, second]
    # When the emulator has deleted the file of code that nothing used for a while
    (tmp_path / f"{name}.zip").unlink()
    assert once(first) == name
    assert hashed == [first, second, first]


def test_a_message_that_comes_while_others_are_deleted_is_kept() -> None:
    # Given a queue in which a message arrives just when its list is gone through
    program = """
import threading
from infra.local import ministack
from ministack.services import sqs

class Arriving(list):
    late = None
    def __iter__(self):
        yield from list.__iter__(self)
        if self.late:
            late, self.late = self.late, None
            self.append(late)

def message(name, **more):
    known = {"id": name, "receipt_handle": None, "receive_count": 0, "visible_at": 0.0}
    return {**known, "sent_at": 0.0, **more}

ministack._lose_no_message(sqs)
queue = {"attributes": {"RedrivePolicy": '{"maxReceiveCount": 3, "deadLetterTargetArn": "dead"}'}}
dead = {"messages": []}
sqs._get_q, sqs._queue_by_arn = (lambda url: queue), (lambda arn: dead)

# When a function's thread deletes what it has handled
queue["messages"] = Arriving([message("a", receipt_handle="1"), message("b")])
queue["messages"].late = message("c")
sqs._delete_messages_for_esm("url", {"1"})
assert [each["id"] for each in queue["messages"]] == ["b", "c"], queue

# or looks for messages that were tried too often
queue["messages"] = Arriving([message("a", receive_count=3), message("b")])
queue["messages"].late = message("c")
sqs._dlq_sweep(queue)
assert [each["id"] for each in queue["messages"]] == ["b", "c"], queue
assert [each["id"] for each in dead["messages"]] == ["a"], dead
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    # Then it is still there
    assert done.returncode == 0, done.stderr


def test_a_poll_ends_when_its_client_hangs_up() -> None:
    """Else the next message would be handed to a worker that is no more."""
    ended: list[str] = []
    told: list[Any] = []

    async def queue(scope: Any, receive: Any, send: Any) -> None:
        request = await receive()
        if request["body"] == b"there is one":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            return
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("poll")

    async def ask(body: bytes) -> None:
        events = iter(
            [
                {"type": "http.request", "body": body[:5], "more_body": True},
                {"type": "http.request", "body": body[5:], "more_body": False},
            ]
        )

        async def receive() -> Any:
            # Whoever is answered stays connected; who waits in vain hangs up.
            if (event := next(events, None)) is not None:
                return event
            if body == b"there is one":
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            told.append(message["status"])

        cloud = SimpleNamespace(_app=SimpleNamespace(app=queue), _may_change=lambda scope: False)
        headers = [(b"authorization", b"x"), (b"x-amz-target", b"AmazonSQS.ReceiveMessage")]
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "headers": headers}
        serve: Any = ministack.Cloud.__call__
        await serve(cloud, scope | {"query_string": b""}, receive, send)

    with ThreadPoolExecutor(1) as apart:  # a browser's loop may be running in this thread
        apart.submit(lambda: asyncio.run(ask(b"there is one"))).result()
        assert (told, ended) == ([200], [])
        apart.submit(lambda: asyncio.run(ask(b"nothing yet"))).result()
    assert (told, ended) == ([200], ["poll"])


def test_everything_listens_on_loopback_only(bare: EmbeddedCloud) -> None:
    pids = {str(pid) for pid in bare.pids().values()}
    inodes = {
        os.readlink(link)[8:-1]
        for pid in pids
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if os.path.islink(link) and os.readlink(link).startswith("socket:[")
    }
    listening = {
        fields[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if (fields := line.split())[3] == "0A" and fields[9] in inodes
    }
    assert len(listening) == 4
    assert {address.split(":")[0] for address in listening} == {"0100007F"}


@pytest.mark.parametrize("path", ["/_ministack/reset", "/_ministack/config", "/_localstack/x"])
def test_housekeeping_is_closed(bare: EmbeddedCloud, path: str) -> None:
    assert status("POST", bare.home.gateway_url + path, b"{}") == 403


def test_a_busy_port_is_named_with_its_option(tmp_path: Path) -> None:
    ports = Ports.free()
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports.site))
        other.listen()
        with pytest.raises(CloudError, match=rf"port {ports.site} \(site\).*--site-port"):
            EmbeddedCloud(Home(tmp_path, ports)).start()


# -- credentials and permissions ---------------------------------------------------------------


def assumed(bare: EmbeddedCloud, role: str, service: str) -> Any:
    """Return a client with an hour's credentials of a role."""
    sts: Any = client(bare.home, "sts")
    lent = sts.assume_role(
        RoleArn=f"arn:aws:iam::{ministack.ACCOUNT}:role/{role}", RoleSessionName="test"
    )["Credentials"]
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=bare.home.gateway_url,
        region_name=ministack.REGION,
        aws_access_key_id=lent["AccessKeyId"],
        aws_secret_access_key=lent["SecretAccessKey"],
        aws_session_token=lent["SessionToken"],
    )


@pytest.fixture(scope="module")
def role(bare: EmbeddedCloud) -> str:
    """Name of a role that may read one prefix, one queue and one table."""
    iam: Any = client(bare.home, "iam")
    client(bare.home, "s3").create_bucket(Bucket="permissions")  # type: ignore[attr-defined]
    for name in ("mine", "other"):
        client(bare.home, "sqs").create_queue(QueueName=name)  # type: ignore[attr-defined]
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    iam.create_role(
        RoleName="reader",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    allowed = [
        {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::permissions/open/*"},
        {
            "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::permissions",
            "Condition": {"StringLike": {"s3:prefix": ["open/*"]}},
        },
        {"Action": "sqs:ReceiveMessage", "Resource": "arn:aws:sqs:*:*:mine"},
        {"Action": ["dynamodb:GetItem"], "Resource": "arn:aws:dynamodb:*:*:table/people"},
    ]
    statements = [{"Effect": "Allow", **statement} for statement in allowed]
    iam.put_role_policy(
        RoleName="reader",
        PolicyName="reads",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}),
    )
    return "reader"


@pytest.mark.parametrize("key", ["the root key", "test", ministack.ACCOUNT, "111122223333"])
def test_a_wrong_secret_is_refused(bare: EmbeddedCloud, key: str) -> None:
    if key == "the root key":
        key, _ = bare.home.root_credentials()
    for service, call in (("s3", "list_buckets"), ("sqs", "list_queues"), ("iam", "list_users")):
        guessing = boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=bare.home.gateway_url,
            region_name=ministack.REGION,
            aws_access_key_id=key,
            aws_secret_access_key="test",
        )
        with pytest.raises(ClientError) as error:
            getattr(guessing, call)()
        assert code(error) in ("SignatureDoesNotMatch", "InvalidClientTokenId")


def test_without_credentials_nothing_is_had(bare: EmbeddedCloud) -> None:
    s3: Any = client(bare.home, "s3")
    s3.create_bucket(Bucket="private")
    s3.put_object(Bucket="private", Key="a", Body=b"a")
    url = f"{bare.home.gateway_url}/private"
    for method, address in (
        ("GET", url),
        ("GET", f"{url}/a"),
        ("HEAD", f"{url}/a"),
        ("PUT", f"{url}/b"),
        ("DELETE", f"{url}/a"),
        ("DELETE", url),
        ("GET", bare.home.gateway_url),
    ):
        assert status(method, address) == 403, (method, address)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for action in (b"ListUsers&Version=2010-05-08", b"GetSessionToken&Version=2011-06-15"):
        assert status("POST", bare.home.gateway_url, b"Action=" + action, form) == 403


def test_a_role_is_held_to_its_prefix(bare: EmbeddedCloud, role: str) -> None:
    root: Any = client(bare.home, "s3")
    for key in ("open/a", "closed/a"):
        root.put_object(Bucket="permissions", Key=key, Body=b"x")
    s3 = assumed(bare, role, "s3")
    assert s3.get_object(Bucket="permissions", Key="open/a")["Body"].read() == b"x"
    assert s3.list_objects_v2(Bucket="permissions", Prefix="open/")["KeyCount"] == 1
    for refused in (
        lambda: s3.get_object(Bucket="permissions", Key="closed/a"),
        lambda: s3.put_object(Bucket="permissions", Key="open/b", Body=b"y"),
        lambda: s3.list_objects_v2(Bucket="permissions", Prefix="closed/"),
        lambda: s3.list_objects_v2(Bucket="permissions"),
    ):
        with pytest.raises(ClientError) as error:
            refused()
        assert code(error) == "AccessDenied"


def test_a_role_is_held_to_its_queue(bare: EmbeddedCloud, role: str) -> None:
    root: Any = client(bare.home, "sqs")
    sqs = assumed(bare, role, "sqs")
    mine = root.get_queue_url(QueueName="mine")["QueueUrl"]
    other = root.get_queue_url(QueueName="other")["QueueUrl"]
    assert "Messages" not in sqs.receive_message(QueueUrl=mine, WaitTimeSeconds=0)
    with pytest.raises(ClientError) as error:
        sqs.receive_message(QueueUrl=other, WaitTimeSeconds=0)
    assert "AccessDenied" in code(error)


def test_table_requests_pass_through_permissions_to_the_table(
    bare: EmbeddedCloud, role: str
) -> None:
    root: Any = client(bare.home, "dynamodb")
    root.create_table(
        TableName="people",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    root.put_item(TableName="people", Item={"pk": {"S": "USER#a"}})
    dynamodb = assumed(bare, role, "dynamodb")
    found = dynamodb.get_item(TableName="people", Key={"pk": {"S": "USER#a"}})
    assert found["Item"] == {"pk": {"S": "USER#a"}}
    for refused in (dynamodb.list_tables, lambda: dynamodb.scan(TableName="people")):
        with pytest.raises(ClientError) as error:
            refused()
        assert code(error) == "AccessDeniedException"
    with pytest.raises(ClientError) as error:
        dynamodb.put_item(TableName="people", Item={"pk": {"S": "USER#b"}})
    assert code(error) == "AccessDeniedException"
    # And each action on each table that a transaction has is checked, whatever came before
    own = {"Get": {"TableName": "people", "Key": {"pk": {"S": "USER#a"}}}}
    read = dynamodb.transact_get_items(TransactItems=[own])
    assert [each["Item"] for each in read["Responses"]] == [{"pk": {"S": "USER#a"}}]
    for refused in (
        lambda: dynamodb.transact_get_items(
            TransactItems=[own, own, {"Get": {**own["Get"], "TableName": "others"}}]
        ),
        lambda: dynamodb.transact_write_items(
            TransactItems=[{"Put": {"TableName": "people", "Item": {"pk": {"S": "USER#b"}}}}]
        ),
    ):
        with pytest.raises(ClientError) as error:
            refused()
        assert code(error) == "AccessDeniedException"


# -- presigned addresses -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket(bare: EmbeddedCloud) -> str:
    """Name of an empty bucket."""
    client(bare.home, "s3").create_bucket(Bucket="presigned")  # type: ignore[attr-defined]
    return "presigned"


def presigned_put(bare: EmbeddedCloud, bucket: str, key: str, body: bytes) -> tuple[str, Any]:
    """Return an upload address with size, checksum and If-None-Match signed, and its headers."""
    headers = {
        "Content-Length": str(len(body)),
        "x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
        "If-None-Match": "*",
    }
    url = client(bare.home, "s3").generate_presigned_url(
        "put_object",
        Params={
            "Bucket": bucket,
            "Key": key,
            "ContentLength": len(body),
            "ChecksumSHA256": headers["x-amz-checksum-sha256"],
            "IfNoneMatch": "*",
        },
    )
    return url, headers


def test_a_presigned_upload_takes_exactly_the_announced_bytes_once(
    bare: EmbeddedCloud, bucket: str
) -> None:
    body = b"spikes" * 100
    url, headers = presigned_put(bare, bucket, "once", body)
    assert status("PUT", url, b"other!" * 100, headers) == 400  # checksum
    assert status("PUT", url, body[:-1], {**headers, "Content-Length": "599"}) == 403  # size
    assert status("PUT", url, body, {**headers, "If-None-Match": "x"}) == 403  # signed header
    assert status("PUT", url, body, headers) == 200
    assert status("PUT", url, body, headers) == 412  # it is there already


def test_an_address_is_good_for_its_key_only_and_for_its_time(
    bare: EmbeddedCloud, bucket: str
) -> None:
    s3: Any = client(bare.home, "s3")
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a"})
    assert status("GET", url) == 200
    assert status("GET", url.replace("/a?", "/once?")) == 403
    assert status("GET", url.split("?")[0]) == 403
    short = s3.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": "a"}, ExpiresIn=1
    )
    time.sleep(2.1)
    assert status("GET", short) == 403


def test_multipart_parts_are_checked_and_the_whole_has_a_composite_checksum(
    bare: EmbeddedCloud, bucket: str
) -> None:
    s3: Any = client(bare.home, "s3")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big", ChecksumAlgorithm="SHA256")
    identity = {"Bucket": bucket, "Key": "big", "UploadId": upload["UploadId"]}
    parts = []
    for number, body in enumerate((b"a" * 5 * 2**20, b"b" * 10), start=1):
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        url = s3.generate_presigned_url(
            "upload_part",
            Params={**identity, "PartNumber": number, "ChecksumSHA256": checksum},
        )
        headers = {"x-amz-checksum-sha256": checksum}
        assert status("PUT", url, b"c" * len(body), headers) == 400
        assert status("PUT", url, body, headers) == 200
    listed = s3.list_parts(**identity)["Parts"]
    parts = [{k: p[k] for k in ("PartNumber", "ETag", "ChecksumSHA256")} for p in listed]
    done = s3.complete_multipart_upload(**identity, MultipartUpload={"Parts": parts})
    assert done["ChecksumSHA256"].endswith("-2")


def test_all_versions_of_an_object_can_be_read_and_none_is_kept_in_memory(
    bare: EmbeddedCloud,
) -> None:
    s3: Any = client(bare.home, "s3")
    s3.create_bucket(Bucket="versions")
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    server = bare.pids()["server"]

    def memory() -> int:
        (line,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{server}/status").read_text())
        return int(line) // 1024

    before = memory()
    bodies = [bytes([number]) * 8_000_000 for number in range(20)]
    versions = [s3.put_object(Bucket="versions", Key="a", Body=b)["VersionId"] for b in bodies]
    s3.delete_object(Bucket="versions", Key="a")
    for version, body in zip(versions, bodies, strict=True):
        there = s3.get_object(Bucket="versions", Key="a", VersionId=version)["Body"].read()
        assert there == body
    # 160 MB were written; what is left of that is what the allocator has not given back.
    assert memory() - before < 100


# -- durability --------------------------------------------------------------------------------


def test_nothing_is_lost_when_everything_is_killed(tmp_path: Path) -> None:
    # Given a cloud with an object, a queue with messages, a role and a table
    cloud = EmbeddedCloud(Home(tmp_path, Ports.free()))
    cloud.start()
    try:
        s3: Any = client(cloud.home, "s3")
        sqs: Any = client(cloud.home, "sqs")
        dynamodb: Any = client(cloud.home, "dynamodb")
        s3.create_bucket(Bucket="kept")
        s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket="kept", Key="data/a.npy", Body=b"bytes", ContentType="x/y")
        queue = sqs.create_queue(QueueName="kept")["QueueUrl"]
        for number in range(30):
            sqs.send_message(QueueUrl=queue, MessageBody=str(number))
        client(cloud.home, "iam").create_role(  # type: ignore[attr-defined]
            RoleName="kept", AssumeRolePolicyDocument='{"Version":"2012-10-17","Statement":[]}'
        )
        dynamodb.create_table(
            TableName="kept",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        dynamodb.put_item(TableName="kept", Item={"pk": {"S": "a"}})
        state = tmp_path / "cloud" / "state" / "sqs.json"
        assert until(lambda: state.exists() and '"29"' in state.read_text(), 15)

        # When its processes are killed, an object having arrived a moment before
        s3.put_object(Bucket="kept", Key="data/b.npy", Body=b"late")
        cloud.kill()
        cloud.start()

        # Then everything is there
        assert s3.get_object(Bucket="kept", Key="data/a.npy")["ContentType"] == "x/y"
        assert s3.get_object(Bucket="kept", Key="data/b.npy")["Body"].read() == b"late"
        listed = s3.list_objects_v2(Bucket="kept", Prefix="data/")["Contents"]
        assert [entry["Key"] for entry in listed] == ["data/a.npy", "data/b.npy"]
        count = sqs.get_queue_attributes(
            QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]["ApproximateNumberOfMessages"]
        assert count == "30"
        assert client(cloud.home, "iam").get_role(RoleName="kept")  # type: ignore[attr-defined]
        assert dynamodb.get_item(TableName="kept", Key={"pk": {"S": "a"}})["Item"]
    finally:
        cloud.stop()


def test_started_on_other_ports_it_knows_its_queues_again(tmp_path: Path) -> None:
    # Given a queue with a message
    cloud = EmbeddedCloud(Home(tmp_path, Ports.free()))
    cloud.start()
    sqs: Any = client(cloud.home, "sqs")
    queue = sqs.create_queue(QueueName="kept")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="hello")
    cloud.stop()
    # When the same folder is started elsewhere
    cloud = EmbeddedCloud(Home(tmp_path, Ports.free()))
    cloud.start()
    try:
        # Then the queue has the address that belongs to it now, and its message
        sqs = client(cloud.home, "sqs")
        url = sqs.get_queue_url(QueueName="kept")["QueueUrl"]
        assert url != queue
        assert f":{cloud.home.ports.gateway}/" in url
        assert [m["Body"] for m in sqs.receive_message(QueueUrl=url)["Messages"]] == ["hello"]
    finally:
        cloud.stop()


def test_the_processes_end_with_their_supervisor(tmp_path: Path) -> None:
    # Given a supervisor in a process of its own
    program = (
        "import sys, time; from infra.local.cloud import EmbeddedCloud;"
        "from infra.local.home import Home, Ports;"
        "c = EmbeddedCloud(Home(sys.argv[1], Ports.free())); c.start();"
        "print(*c.pids().values(), flush=True); time.sleep(600)"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout
    pids = [int(pid) for pid in supervisor.stdout.readline().split()]
    assert len(pids) == 2

    # When it is killed
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()

    # Then so are the cloud's processes
    assert until(lambda: not any(runs(pid) for pid in pids), 15)


def test_without_dynoxide_the_table_is_ministacks_and_is_kept_too(tmp_path: Path) -> None:
    cloud = EmbeddedCloud(Home(tmp_path, Ports.free()), own_dynamodb=True)
    cloud.start()
    try:
        assert set(cloud.pids()) == {"server"}
        dynamodb: Any = client(cloud.home, "dynamodb")
        dynamodb.create_table(
            TableName="kept",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        dynamodb.put_item(TableName="kept", Item={"pk": {"S": "the-item"}})
        state = tmp_path / "cloud" / "state" / "dynamodb.json"
        assert until(lambda: state.exists() and "the-item" in state.read_text(), 15)
        cloud.kill()
        cloud.start()
        assert dynamodb.get_item(TableName="kept", Key={"pk": {"S": "the-item"}})["Item"]
    finally:
        cloud.stop()
    with pytest.raises(CloudError, match="made with ministack"):
        EmbeddedCloud(cloud.home).start()
