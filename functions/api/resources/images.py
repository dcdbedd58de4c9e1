"""Images of the notebook; clients send and get the bytes by S3 addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    Body,
    Resource,
    Row,
    choice,
    datetime,
    declare,
    integer,
    json,
    ref,
    text,
)
from functions.api.resources.of_subject import default_user, now
from functions.api.resources.parts import own_lab
from shared.model.images import FORMATS, MAX_BYTES, arriving_key

if TYPE_CHECKING:
    from functions.api.call import Call

LIFE = 900
"""Seconds for which an upload address of an image is valid."""


def _with_address(shown: Body, row: Row, call: Call) -> Body:
    """Add the address and the headers for the upload (PUT) of an announced image."""
    from shared.records import aws, env

    if row["state"] != "waiting":
        return shown
    bound = {"ContentType": row["content_type"], "ContentLength": row["file_size"]}
    url = aws.client("s3").generate_presigned_url(
        "put_object",
        Params={"Bucket": env.data_bucket(), "Key": arriving_key(row["id"]), **bound},
        ExpiresIn=LIFE,
    )
    headers = {"Content-Type": row["content_type"], "Content-Length": str(row["file_size"])}
    return {**shown, "upload": {"url": url, "headers": headers, "expires_in": LIFE}}


declare(
    Resource(
        path="images",
        kind="image",
        model="misc.image",
        actions="list create delete",
        lab="lab",
        fields={
            "name": text(maximum=255),
            "content_type": choice({name: name for name in FORMATS}, required=True, null=False),
            "file_size": integer(required=True, null=False, minimum=1, maximum=MAX_BYTES),
            "lab": ref("lab", null=False, default=own_lab),
            "user": ref("user", default=default_user),
            "date_time": datetime(default=now, null=False, earliest="1990-01-01", ahead=1),
            "state": text(read_only=True, default="waiting", maximum=16),
            "reason": text(read_only=True, maximum=255),
            "width": integer(read_only=True),
            "height": integer(read_only=True),
            "json": json(),
        },
        show_detail=_with_address,
        order=("-date_time", "id"),
        example={"content_type": "image/jpeg", "file_size": 250_000, "lab": "fimbrialab"},
    ),
)
