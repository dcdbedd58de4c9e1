"""Transport of an upload's bytes: addresses, parts, sizes of the files that have arrived."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Any

from shared.model.upload import FileRequest
from shared.records import aws, env
from shared.records.errors import Stale
from shared.records.objects import MOST_PARTS
from shared.uploads.keys import incoming_key
from shared.uploads.request import InvalidUpload

URL_SECONDS = 900
"""Lifetime of a presigned address."""


PART_SIZE = 16 * 2**20
"""Bytes of a part of a large file; more where S3's 10,000 parts would not suffice."""


MULTIPART_FROM = 32 * 2**20
"""Files of at least so many bytes are sent in parts."""


class Incomplete(Stale):
    """Something has still to arrive before this can be done."""


_SHA256 = r"[0-9a-f]{64}"


def arrived(upload: str) -> dict[str, int]:
    """Return the sizes in bytes of the files that have arrived, by path."""
    prefix = incoming_key(upload, "")
    pages = aws.client("s3").get_paginator("list_objects_v2")
    return {
        item["Key"].removeprefix(prefix): item["Size"]
        for page in pages.paginate(Bucket=env.data_bucket(), Prefix=prefix)
        for item in page.get("Contents", ())
    }


def b64(digest: str) -> str:
    """Return a hexadecimal digest as S3 writes it, in base64."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


def parts_of(size: int) -> tuple[int, int]:
    """Return the size in bytes of a large file's parts, and their number."""
    mebibyte = 2**20
    least = -(-size // MOST_PARTS)
    part = max(PART_SIZE, -(-least // mebibyte) * mebibyte)
    return part, max(1, -(-size // part))


def address(upload: str, file: FileRequest) -> dict[str, Any]:
    """Return the way to send a file: one PUT, or parts."""
    if file.size >= MULTIPART_FROM:
        part_size, n_parts = parts_of(file.size)
        return {"method": "multipart", "part_size": part_size, "n_parts": n_parts}
    headers = {"x-amz-checksum-sha256": b64(file.sha256), "If-None-Match": "*"}
    url = aws.client("s3").generate_presigned_url(
        "put_object",
        Params={
            "Bucket": env.data_bucket(),
            "Key": incoming_key(upload, file.path),
            "ContentLength": file.size,
            "ChecksumSHA256": headers["x-amz-checksum-sha256"],
            "IfNoneMatch": "*",
        },
        ExpiresIn=URL_SECONDS,
    )
    return {"method": "put", "url": url, "headers": headers}


def sign_parts(
    upload: str, file: FileRequest, wanted: Iterable[tuple[int, str]]
) -> list[dict[str, Any]]:
    """Return an address for each part of a large file, or that it is already stored.

    Parameters
    ----------
    upload, file
        The file.
    wanted
        Numbers of the parts, from 1, and the SHA-256 of each in hexadecimal.

    Raises
    ------
    InvalidUpload
        The file has no such part.
    """
    part_size, n_parts = parts_of(file.size)
    s3 = aws.client("s3")
    multipart = _multipart(upload, file.path, create=True)
    stored = {part["PartNumber"]: part for part in _stored_parts(upload, file.path, multipart)}
    answer = []
    for number, sha256 in wanted:
        if not 1 <= number <= n_parts or not re.fullmatch(_SHA256, sha256):
            text = f"Parts are numbered 1 to {n_parts}, each with its SHA-256 in hexadecimal."
            raise InvalidUpload({"parts": [text]})
        size = min(part_size, file.size - (number - 1) * part_size)
        checksum = b64(sha256)
        have = stored.get(number, {})
        if have.get("ChecksumSHA256") == checksum and have.get("Size") == size:
            answer.append({"number": number, "state": "stored"})
            continue
        url = s3.generate_presigned_url(
            "upload_part",
            Params={
                "Bucket": env.data_bucket(),
                "Key": incoming_key(upload, file.path),
                "UploadId": multipart,
                "PartNumber": number,
                "ContentLength": size,
                "ChecksumSHA256": checksum,
            },
            ExpiresIn=URL_SECONDS,
        )
        headers = {"x-amz-checksum-sha256": checksum}
        answer.append({"number": number, "state": "wanted", "url": url, "headers": headers})
    return answer


def assemble(upload: str, file: FileRequest) -> None:
    """Join the parts of a large file; does nothing if that is already done.

    Raises
    ------
    Incomplete
        Parts are missing; the message says which.
    """
    s3 = aws.client("s3")
    if arrived(upload).get(file.path) == file.size:
        return
    _, n_parts = parts_of(file.size)
    multipart = _multipart(upload, file.path, create=False)
    stored = list(_stored_parts(upload, file.path, multipart)) if multipart else []
    lacking = sorted(set(range(1, n_parts + 1)) - {part["PartNumber"] for part in stored})
    if lacking:
        some = ", ".join(map(str, lacking[:10])) + (" …" if len(lacking) > 10 else "")
        raise Incomplete(f"{file.path}: {len(lacking)} of {n_parts} parts are missing ({some})")
    s3.complete_multipart_upload(
        Bucket=env.data_bucket(),
        Key=incoming_key(upload, file.path),
        UploadId=multipart,
        MultipartUpload={
            "Parts": [
                {name: part[name] for name in ("PartNumber", "ETag", "ChecksumSHA256")}
                for part in stored
            ]
        },
    )


def _multipart(upload: str, path: str, *, create: bool) -> str | None:
    """Return a file's multipart upload under way, or begin one."""
    s3, key = aws.client("s3"), incoming_key(upload, path)
    listed = s3.list_multipart_uploads(Bucket=env.data_bucket(), Prefix=key).get("Uploads", ())
    mine = sorted((item["Initiated"], item["UploadId"]) for item in listed if item["Key"] == key)
    if mine:
        return mine[0][1]
    if not create:
        return None
    return s3.create_multipart_upload(
        Bucket=env.data_bucket(), Key=key, ChecksumAlgorithm="SHA256"
    )["UploadId"]


def _stored_parts(upload: str, path: str, multipart: str | None) -> Iterator[dict[str, Any]]:
    """Yield the parts that S3 already has, in order."""
    pages = aws.client("s3").get_paginator("list_parts")
    for page in pages.paginate(
        Bucket=env.data_bucket(), Key=incoming_key(upload, path), UploadId=multipart
    ):
        yield from page.get("Parts", ())
