"""Requests to DynamoDB without the walk along its model that botocore makes for each.

A request is its arguments as JSON, signed; an answer is its JSON. botocore's client takes about
ten times as long for a small one as DynamoDB does. What is unusual is left to it: a request that
fails for a passing reason (no connection, throttled, an error of the service) is made again by
botocore, with its waits and tries.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError

from shared.records import meter

VERSION = "DynamoDB_20120810"

PASSING = frozenset(
    {
        "InternalServerError",
        "ItemCollectionSizeLimitExceededException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "UnrecognizedClientException",
        "ExpiredTokenException",
        "InvalidSignatureException",
    }
)
"""Errors that another try may not meet; botocore decides."""


def shorten(client: Any) -> Any:
    """Let a botocore client of DynamoDB make its requests by the short way; return it."""
    usual = client._make_api_call
    send = client._endpoint.http_session.send
    region = client.meta.region_name
    url = client.meta.endpoint_url

    def call(operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        request = AWSRequest(
            "POST",
            url,
            headers={
                "X-Amz-Target": f"{VERSION}.{operation}",
                "Content-Type": "application/x-amz-json-1.0",
            },
            data=msgspec.json.encode(arguments),
        )
        signer = client._request_signer
        credentials = signer._credentials.get_frozen_credentials()
        SigV4Auth(credentials, "dynamodb", region).add_auth(request)
        try:
            response = send(request.prepare())
            content = response.content
        except BotoCoreError:
            return _usual(operation, arguments)
        headers = {name.lower(): value for name, value in response.headers.items()}
        checksum = headers.get("x-amz-crc32")
        if response.status_code >= 500 or (checksum and int(checksum) != zlib.crc32(content)):
            return _usual(operation, arguments)
        if response.status_code >= 300:
            code, answer = _error(content)
            if code in PASSING:
                return _usual(operation, arguments)
            answer["ResponseMetadata"] = _metadata(response.status_code, headers)
            raise client.exceptions.from_code(code)(answer, operation)
        answer = json.loads(content or b"{}", object_hook=_with_bytes)
        answer["ResponseMetadata"] = _metadata(response.status_code, headers)
        meter.count(operation, answer)
        return answer

    def _usual(operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = usual(operation, arguments)
        meter.count(operation, answer)
        return answer

    client._make_api_call = call
    return client


def _with_bytes(value: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON object of an answer with its binary value (``{"B": text}``) as bytes."""
    text = value.get("B")
    if type(text) is str and len(value) == 1:
        return {"B": base64.b64decode(text)}
    return value


def _error(content: bytes) -> tuple[str, dict[str, Any]]:
    """Return the code of a refusal, and what callers of botocore find in its exception."""
    told: dict[str, Any] = json.loads(content or b"{}", object_hook=_with_bytes)
    code = str(told.pop("__type", "Unknown")).rpartition("#")[2]
    message = told.pop("message", None) or told.pop("Message", "")
    return code, {"Error": {"Code": code, "Message": message}, **told}


def _metadata(status: int, headers: dict[str, str]) -> dict[str, Any]:
    return {
        "RequestId": headers.get("x-amzn-requestid", ""),
        "HTTPStatusCode": status,
        "HTTPHeaders": headers,
    }
