"""A lab's private pages for its members, shown on the site's page "My lab"."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError
from chalice.app import Blueprint, Response

from functions.api import permissions
from functions.api.auth import identify
from functions.api.errors import ApiError, not_found
from shared.access import policy
from shared.records import aws, env
from shared.results import addresses

routes = Blueprint(__name__)

TYPES = {
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "png": "image/png",
    "pqt": "application/octet-stream",
}
"""Content types by suffix; the last two are bytes, which need the header ``Accept``."""

MOST_BYTES = 4_400_000
"""Most bytes of an answer: Lambda's 6 MB, less the overhead of base64."""

LONGEST_KEY = 1024
"""Most bytes of a key in S3."""


@routes.route("/lab-pages/{lab}/{path+}", methods=["GET"])
def page(lab: str) -> Response:
    """Return a page of a lab, or a file behind it."""
    request: Any = routes.current_request
    lab, path = unquote(lab), unquote((request.uri_params or {}).get("path", ""))
    permissions.require(policy.may_see_pages(identify.caller(request), lab))
    kind = TYPES.get(path.rpartition(".")[2])
    if kind is None or path.startswith("_"):  # the builders' state is private
        raise not_found("page")
    key = addresses.lab_pages(lab) + path
    if {"", ".", ".."} & set(path.split("/")) or len(key.encode("utf-8", "replace")) > LONGEST_KEY:
        raise not_found("page")
    body = _read(key)
    binary = kind in (TYPES["png"], TYPES["pqt"])
    return Response(body if binary else body.decode(), headers={"Content-Type": kind})


def _read(key: str) -> bytes:
    try:
        answer = aws.client("s3").get_object(Bucket=env.data_bucket(), Key=key)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
            raise not_found("page") from None
        raise
    if answer["ContentLength"] > MOST_BYTES:
        raise ApiError(413, "The file is too large to be shown; load the data with ONE instead.")
    body: bytes = answer["Body"].read()
    return body
