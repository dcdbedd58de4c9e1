"""What the embedded cloud lets in: signatures, roles, and addresses that are signed in advance.

Every test here states a behaviour of AWS that the embedded cloud must share.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.local import ministack
from infra.local.cloud import EmbeddedCloud
from infra.local.deploy import client
from tests.processes import status, until

pytestmark = pytest.mark.integration


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    """Return an AWS error's code."""
    return str(error.value.response["Error"]["Code"])


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
    until(lambda: status("GET", short) == 403, 30)


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
