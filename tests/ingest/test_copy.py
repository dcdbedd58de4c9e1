"""Objects above S3's limit of one copy: in parts, whole, with their checksums, or not at all."""

from __future__ import annotations

import base64
import hashlib

import pytest
from botocore.exceptions import ClientError

from shared.datasets.read import datasets_of
from shared.records import aws, objects
from shared.sessions import store as sessions
from tests.flow import DATE, SUBJECT

SIZE, PART = 1_000_003, 300_000
CONTENT = hashlib.shake_128(b"a large file").digest(SIZE)


@pytest.fixture
def small_limits(monkeypatch):
    """S3's limits, as if they were a hundred thousandth: a copy takes four parts."""
    monkeypatch.setattr(objects, "COPY_AT_ONCE", SIZE - 1)
    monkeypatch.setattr(objects, "COPY_PART", PART)


@pytest.fixture
def asked(monkeypatch):
    """Parts that S3 is asked to copy: number and range."""
    found = {}
    s3 = aws.client("s3")
    send = s3.upload_part_copy

    def upload_part_copy(**arguments):
        found[arguments["PartNumber"]] = arguments["CopySourceRange"]
        return send(**arguments)

    monkeypatch.setattr(s3, "upload_part_copy", upload_part_copy)
    return found


def checksum(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def under_way(flow) -> list[str]:
    listed = flow.s3.list_multipart_uploads(Bucket=flow.bucket)
    return [each["Key"] for each in listed.get("Uploads", ())]


def test_a_large_object_is_copied_in_parts(flow, small_limits, asked):
    flow.s3.put_object(Bucket=flow.bucket, Key="incoming/u/x.bin", Body=CONTENT)
    objects.copy("incoming/u/x.bin", "data/x.bin", SIZE)
    # Then the parts follow each other without gap or overlap, up to the last byte
    assert dict(sorted(asked.items())) == {
        1: "bytes=0-299999",
        2: "bytes=300000-599999",
        3: "bytes=600000-899999",
        4: "bytes=900000-1000002",
    }
    assert flow.s3.get_object(Bucket=flow.bucket, Key="data/x.bin")["Body"].read() == CONTENT
    assert under_way(flow) == []


def test_the_checksum_that_s3_answers_for_each_part_is_handed_back(
    flow, small_limits, monkeypatch
):
    # Given S3 as AWS documents it; the emulator computes no checksums of copies
    s3, completed = aws.client("s3"), []
    create, copy = s3.create_multipart_upload, s3.upload_part_copy

    def create_multipart_upload(**arguments):
        assert arguments["ChecksumAlgorithm"] == "SHA256"
        return create(**arguments)

    def upload_part_copy(**arguments):
        first, last = map(int, arguments["CopySourceRange"].removeprefix("bytes=").split("-"))
        answer = copy(**arguments)
        answer["CopyPartResult"]["ChecksumSHA256"] = checksum(CONTENT[first : last + 1])
        return answer

    monkeypatch.setattr(s3, "create_multipart_upload", create_multipart_upload)
    monkeypatch.setattr(s3, "upload_part_copy", upload_part_copy)
    monkeypatch.setattr(s3, "complete_multipart_upload", lambda **a: completed.append(a))
    flow.s3.put_object(Bucket=flow.bucket, Key="incoming/u/x.bin", Body=CONTENT)
    objects.copy("incoming/u/x.bin", "data/x.bin", SIZE)
    # Then S3 is told them when the parts are joined, so that it can compare
    (joined,) = completed
    assert [
        (part["PartNumber"], part["ChecksumSHA256"]) for part in joined["MultipartUpload"]["Parts"]
    ] == [
        (number, checksum(CONTENT[start : start + PART]))
        for number, start in enumerate(range(0, SIZE, PART), start=1)
    ]


def test_at_the_limit_it_is_one_copy_with_the_whole_checksum(flow, small_limits, asked):
    content = CONTENT[:-1]
    arguments = {"Body": content, "ChecksumSHA256": checksum(content)}
    flow.s3.put_object(Bucket=flow.bucket, Key="incoming/u/x.bin", **arguments)
    objects.copy("incoming/u/x.bin", "data/x.bin", SIZE - 1)
    assert asked == {}
    assert objects.head("data/x.bin").sha256 == hashlib.sha256(content).hexdigest()


def test_more_than_ten_thousand_parts_are_never_asked_for(flow, small_limits, asked, monkeypatch):
    monkeypatch.setattr(objects, "MOST_PARTS", 3)
    flow.s3.put_object(Bucket=flow.bucket, Key="incoming/u/x.bin", Body=CONTENT)
    objects.copy("incoming/u/x.bin", "data/x.bin", SIZE)
    assert sorted(asked) == [1, 2, 3]
    assert flow.s3.get_object(Bucket=flow.bucket, Key="data/x.bin")["Body"].read() == CONTENT


def test_a_copy_that_fails_leaves_nothing(flow, small_limits):
    # Given a source that is shorter than it was said to be, so that its last part is refused
    flow.s3.put_object(Bucket=flow.bucket, Key="incoming/u/x.bin", Body=CONTENT[:PART])
    with pytest.raises(ClientError):
        objects.copy("incoming/u/x.bin", "data/x.bin", SIZE)
    assert under_way(flow) == []
    assert flow.keys("data/") == []


def test_an_upload_of_such_a_file_is_registered_with_its_bytes(flow, small_limits, asked):
    # When a file above the limit is uploaded
    path = "raw_ephys_data/probe00/_spikeglx_ephysData_g0_t0.imec0.ap.bin"
    answer = flow.upload({path: CONTENT})
    # Then it is copied in parts to its place, with the checksum that the client promised
    assert flow.describe(answer["id"])["state"] == "registered"
    assert sorted(asked) == [1, 2, 3, 4]
    session = sessions.find(SUBJECT, DATE, 1)
    (item,) = datasets_of(session.id)
    assert item.sha256 == hashlib.sha256(CONTENT).hexdigest()
    stored = flow.s3.get_object(Bucket=flow.bucket, Key=item.stored_key)
    assert stored["Body"].read() == CONTENT
    assert under_way(flow) == []


def test_what_has_its_place_is_not_overwritten_though_it_was_not_listed(flow, monkeypatch):
    # Given a place that was taken after it was looked for: S3 itself refuses the second copy
    for name in ("a", "b"):
        flow.s3.put_object(Bucket=flow.bucket, Key=f"incoming/u/{name}", Body=name.encode() * 9)
    monkeypatch.setattr(objects, "COPY_AT_ONCE", 8)
    assert objects.copy_new("incoming/u/a", "data/x.bin", 9)
    assert not objects.copy_new("incoming/u/b", "data/x.bin", 9)
    assert objects.read("data/x.bin") == b"a" * 9
    assert under_way(flow) == []


def test_a_copy_in_one_piece_says_that_there_is_none_yet(flow, monkeypatch):
    # The embedded cloud does not know the header of this request; S3 does (and its policy asks)
    flow.s3.put_object(Bucket=flow.bucket, Key="incoming/u/a", Body=b"a")
    sent = []
    s3 = aws.client("s3")

    def keep(request, **_):
        sent.append(request.headers)

    s3.meta.events.register_first("before-send.s3.CopyObject", keep)
    assert objects.copy_new("incoming/u/a", "data/x.bin", 1)
    assert [headers["If-None-Match"] for headers in sent] == [b"*"]
    # And what it answers then is no copy
    refusal = ClientError({"ResponseMetadata": {"HTTPStatusCode": 412}}, "CopyObject")

    def refuse(**arguments):
        raise refusal

    monkeypatch.setattr(s3, "copy_object", refuse)
    assert not objects.copy_new("incoming/u/a", "data/x.bin", 1)
