"""A bucket, or a folder in one, as a store of a results site."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from shared.records import aws, objects
from shared.results.notebook import cache_control
from shared.results.source import Unreadable
from shared.results.store import ABSENT, ChangedMeanwhile

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".pqt": "application/vnd.apache.parquet",
    ".woff2": "font/woff2",
    ".eh": "application/json",
    ".ico": "image/vnd.microsoft.icon",
    ".xml": "application/xml",
    ".webmanifest": "application/manifest+json",
}

FRESH = "public, max-age=60"
"""Pages follow the data within a minute; browsers then ask by entity tag."""


MADE_OF = "made-of"
"""Metadata of a copy: the key of its source, whose bytes never change."""


class Bucket:
    """A site in an S3 bucket; conditional writes by entity tag.

    Parameters
    ----------
    name : str
        The bucket.
    folder : str
        Prefix of its keys, with a slash at its end; by default it is the whole bucket.
    """

    def __init__(self, name: str, folder: str = "") -> None:
        self.name = name
        self.folder = folder

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Return content and entity tag, None if there is no such object."""
        try:
            answer = aws.client("s3").get_object(Bucket=self.name, Key=self.folder + key)
        except ClientError as error:
            if _code(error) in ("NoSuchKey", "404"):
                return None
            raise
        return answer["Body"].read(), answer["ETag"].strip('"')

    def etag(self, key: str) -> str:
        """Return the entity tag, empty if there is no such object."""
        try:
            answer = aws.client("s3").head_object(Bucket=self.name, Key=self.folder + key)
        except ClientError as error:
            if _code(error) in ("NoSuchKey", "404", "NotFound"):
                return ABSENT
            raise
        return answer["ETag"].strip('"')

    def write(self, key: str, body: bytes, if_match: str | None = None) -> str:
        """Write the object and return its tag; with `if_match` only if it still has that tag."""
        condition: dict[str, Any] = {}
        if if_match is not None:
            condition = {"IfNoneMatch": "*"} if if_match == ABSENT else {"IfMatch": if_match}
        try:
            answer = aws.client("s3").put_object(
                Bucket=self.name,
                Key=self.folder + key,
                Body=body,
                ContentType=_type(key),
                CacheControl=cache_control(key) or FRESH,
                **condition,
            )
        except ClientError as error:
            # 409: another conditional write of the same key is under way; 404: it was deleted.
            if _code(error) in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409"):
                raise ChangedMeanwhile(key) from error
            if condition and _code(error) in ("NoSuchKey", "404"):
                raise ChangedMeanwhile(key) from error
            raise
        return answer["ETag"].strip('"')

    def copy(self, location: str, key: str) -> None:
        """Copy an object of the data bucket within S3, large ones in parts.

        Raises
        ------
        Unreadable
            The source has no such object.
        """
        if _made_of(self.name, self.folder + key) == location:
            return
        head = objects.head(location)
        if head is None:
            raise Unreadable(f"{location} is not in this store")
        metadata = {
            "Metadata": {MADE_OF: location},
            "ContentType": _type(key),
            "CacheControl": FRESH,
        }
        objects.copy_out(location, self.name, self.folder + key, head.size, metadata)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete the objects; those that do not exist are no error."""
        rest = iter(keys)
        while batch := list(islice(rest, 1000)):
            aws.client("s3").delete_objects(
                Bucket=self.name,
                Delete={"Objects": [{"Key": self.folder + key} for key in batch], "Quiet": True},
            )

    def names(self, prefix: str = "") -> Iterator[str]:
        """Yield all names that start with the prefix."""
        pages = aws.client("s3").get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self.name, Prefix=self.folder + prefix):
            for item in page.get("Contents", []):
                yield item["Key"].removeprefix(self.folder)


def _type(key: str) -> str:
    """Return the content type of an object by its name."""
    suffix = key[key.rfind(".") :]
    return TYPES.get(suffix) or mimetypes.guess_type(key)[0] or "application/octet-stream"


def _made_of(bucket: str, key: str) -> str | None:
    """Return which object a copy was made of, None if there is no copy."""
    try:
        return aws.client("s3").head_object(Bucket=bucket, Key=key)["Metadata"].get(MADE_OF)
    except ClientError as error:
        if _code(error) in ("NoSuchKey", "404", "NotFound"):
            return None
        raise


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
