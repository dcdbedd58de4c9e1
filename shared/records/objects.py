"""Objects of the data bucket: read by ranges, compared by checksum, copied."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from concurrent import futures
from contextlib import suppress
from types import MappingProxyType
from typing import Any, BinaryIO, TypeVar

import msgspec
from botocore.exceptions import ClientError

from shared.alf.blocks import LARGE_BLOCK, BlockReader, RangeFile, block_of
from shared.model import json
from shared.model.prefixes import FREED_TAG
from shared.records import aws, env

T = TypeVar("T")

MOST_PARTS = 10_000
"""Most parts of one object (a limit of S3)."""

COPY_AT_ONCE = 5 * 2**30
"""Larger objects are copied in parts (a limit of S3)."""

COPY_PART = 2**29
"""Bytes of such a part; larger if S3's 10,000 parts would not suffice."""

COPY_THREADS = 8
"""Parts copied at once: one after the other, 80 GB would take longer than a function may run."""

HASH_UP_TO = 2 * 2**30
"""Largest object that is read and hashed when S3 does not give its whole checksum, as for objects
sent in parts. For larger ones the checksums of the parts, which S3 has verified, suffice."""


class Stored(msgspec.Struct, frozen=True):
    """S3's facts about an object; ``sha256`` and ``md5`` in hexadecimal if S3 has them."""

    size: int
    sha256: str | None
    md5: str | None


class RangeReader(RangeFile):
    """A seekable file over an object; reads are ranged GETs."""

    def __init__(self, key: str, size: int) -> None:
        super().__init__(size)
        self._key = key

    def fetch(self, start: int, count: int) -> bytes:
        """Get some bytes of the object."""
        answer = aws.client("s3").get_object(
            Bucket=env.data_bucket(), Key=self._key, Range=f"bytes={start}-{start + count - 1}"
        )
        return bytes(answer["Body"].read())


def opened(key: str, size: int) -> BinaryIO:
    """Open an object for reading."""
    return BlockReader(RangeReader(key, size), block_of(key, size))


def head(key: str) -> Stored | None:
    """Return S3's facts about an object; None if it does not exist."""
    try:
        answer = aws.client("s3").head_object(
            Bucket=env.data_bucket(), Key=key, ChecksumMode="ENABLED"
        )
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    checksum, etag = answer.get("ChecksumSHA256", ""), answer["ETag"].strip('"')
    whole = checksum and "-" not in checksum
    return Stored(
        size=answer["ContentLength"],
        sha256=base64.b64decode(checksum).hex() if whole else None,
        # Without a key service an object put in one piece has its MD5 as ETag.
        md5=etag if len(etag) == 32 and not answer.get("SSEKMSKeyId") else None,
    )


def keys(prefix: str) -> set[str]:
    """Return the keys of all objects with a prefix."""
    pages = aws.client("s3").get_paginator("list_objects_v2")
    listing = pages.paginate(Bucket=env.data_bucket(), Prefix=prefix)
    return {item["Key"] for page in listing for item in page.get("Contents", ())}


def sizes(prefix: str, *, after: str = "", delimiter: str = "") -> dict[str, int]:
    """Return the sizes in bytes of all objects with a prefix, by key, in order.

    Parameters
    ----------
    prefix : str
        Prefix of the keys.
    after : str
        Only keys after this one.
    delimiter : str
        Leave out keys that have this text after the prefix.
    """
    pages = aws.client("s3").get_paginator("list_objects_v2")
    more = {"StartAfter": after} if after else {}
    listing = pages.paginate(Bucket=env.data_bucket(), Prefix=prefix, Delimiter=delimiter, **more)
    return {item["Key"]: item["Size"] for page in listing for item in page.get("Contents", ())}


def read(key: str) -> bytes:
    """Return the bytes of an object.

    Raises
    ------
    botocore.exceptions.ClientError
        If there is none.
    """
    return bytes(aws.client("s3").get_object(Bucket=env.data_bucket(), Key=key)["Body"].read())


def write(key: str, body: bytes) -> None:
    """Write an object; an existing one is replaced."""
    aws.client("s3").put_object(Bucket=env.data_bucket(), Key=key, Body=body)


def write_new(key: str, body: bytes) -> bool:
    """Write an object unless it exists; return whether it was written."""
    try:
        aws.client("s3").put_object(Bucket=env.data_bucket(), Key=key, Body=body, IfNoneMatch="*")
    except ClientError as error:
        # 412: it is there; 409: another is writing it at this moment.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412):
            return False
        raise
    return True


def digest(key: str, stored: Stored) -> str | None:
    """Return the SHA-256 of an object in hexadecimal; None if it is too large to compute."""
    if stored.sha256 or stored.size > HASH_UP_TO:
        return stored.sha256
    sha256 = hashlib.sha256()
    body = aws.client("s3").get_object(Bucket=env.data_bucket(), Key=key)["Body"]
    for block in body.iter_chunks(LARGE_BLOCK):
        sha256.update(block)
    return sha256.hexdigest()


def copy(source: str, target: str, size: int) -> None:
    """Copy an object within the bucket; S3 computes the copy's SHA-256, or that of each part."""
    _copy(source, target, size, {})


def copy_new(source: str, target: str, size: int) -> bool:
    """Copy an object within the bucket unless the target exists; return whether it was copied.

    S3 itself checks this at the moment at which the copy begins to exist.
    """
    try:
        _copy(source, target, size, {"IfNoneMatch": "*"})
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 412:
            return False
        raise
    return True


def copy_out(source: str, to: str, target: str, size: int, about: Mapping[str, Any]) -> None:
    """Copy an object into another bucket, within S3.

    Parameters
    ----------
    source, size
        Key in the data bucket, and bytes.
    to, target
        The other bucket, and the key there.
    about : mapping
        Properties of the copy in S3 (``Metadata``, ``ContentType``, …).
    """
    _copy(source, target, size, {}, to, about)


def _copy(
    source: str,
    target: str,
    size: int,
    conditions: dict[str, str],
    to: str = "",
    about: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    to = to or env.data_bucket()
    if size > COPY_AT_ONCE:
        _copy_in_parts(source, target, size, conditions, to, about)
        return
    replaced = {"MetadataDirective": "REPLACE"} if about else {}
    aws.client("s3").copy_object(
        Bucket=to,
        Key=target,
        CopySource={"Bucket": env.data_bucket(), "Key": source},
        ChecksumAlgorithm="SHA256",
        **conditions,
        **about,
        **replaced,
    )


def _copy_in_parts(
    source: str,
    target: str,
    size: int,
    conditions: dict[str, str],
    to: str,
    about: Mapping[str, Any],
) -> None:
    """Copy a large object; a failed copy leaves nothing behind."""
    s3 = aws.client("s3")
    new = s3.create_multipart_upload(Bucket=to, Key=target, ChecksumAlgorithm="SHA256", **about)
    upload = {"Bucket": to, "Key": target, "UploadId": new["UploadId"]}
    length = max(COPY_PART, -(-size // MOST_PARTS))

    def one(number: int) -> dict[str, Any]:
        start = (number - 1) * length
        last = min(start + length, size) - 1
        copied = s3.upload_part_copy(
            **upload,
            PartNumber=number,
            CopySource={"Bucket": env.data_bucket(), "Key": source},
            CopySourceRange=f"bytes={start}-{last}",
        )["CopyPartResult"]
        checksums = {name: copied[name] for name in ("ETag", "ChecksumSHA256") if name in copied}
        return {"PartNumber": number, **checksums}

    try:
        with futures.ThreadPoolExecutor(COPY_THREADS) as pool:
            parts = list(pool.map(one, range(1, -(-size // length) + 1)))
        s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **conditions)
    except BaseException:
        with suppress(ClientError):  # the bucket's lifecycle deletes the rest after a week
            s3.abort_multipart_upload(**upload)
        raise


def delete(keys: Iterable[str]) -> None:
    """Delete objects; missing ones do not matter."""
    left = list(keys)
    for start in range(0, len(left), 1000):
        aws.client("s3").delete_objects(
            Bucket=env.data_bucket(),
            Delete={
                "Objects": [{"Key": key} for key in left[start : start + 1000]],
                "Quiet": True,
            },
        )


def mark_freed(key: str) -> None:
    """Mark an object as freed: the bucket's rule lets it expire; one that is gone is no error."""
    tag, value = FREED_TAG
    s3 = aws.client("s3")
    try:
        s3.put_object_tagging(
            Bucket=env.data_bucket(),
            Key=key,
            Tagging={"TagSet": [{"Key": tag, "Value": value}]},
        )
    except ClientError as error:
        # 404 or 405: it has expired already, and a delete marker is in its place.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (404, 405):
            raise


def is_marked_freed(key: str) -> bool:
    """Return whether an object is marked as freed."""
    tag, value = FREED_TAG
    found = aws.client("s3").get_object_tagging(Bucket=env.data_bucket(), Key=key)["TagSet"]
    return {"Key": tag, "Value": value} in found


def unmark_freed(key: str) -> None:
    """Take an object's mark as freed from it, so that it stays."""
    aws.client("s3").delete_object_tagging(Bucket=env.data_bucket(), Key=key)


def read_object(key: str, kind: type[T]) -> T | None:
    """Return a typed object stored as JSON in the data bucket; None if it does not exist.

    Raises
    ------
    Faulty
        It is not of that type.
    """
    s3 = aws.client("s3")
    try:
        content = s3.get_object(Bucket=env.data_bucket(), Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    return json.decode(content, kind)


def put_json(key: str, value: Any, **conditions: Any) -> None:
    """Store a typed object as JSON."""
    aws.client("s3").put_object(
        Bucket=env.data_bucket(),
        Key=key,
        Body=json.encode(value),
        ContentType="application/json",
        **conditions,
    )


def write_once(key: str, value: T) -> T:
    """Store a typed object as JSON unless one exists; return the stored one."""
    try:
        put_json(key, value, IfNoneMatch="*")
    except ClientError as error:
        # 412: it is there; 409: another is writing it at this moment.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (409, 412):
            raise
        stored = read_object(key, type(value))
        if stored is None:
            raise
        return stored
    return value
