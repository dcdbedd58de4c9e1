"""Requests to DynamoDB without botocore's client, which is slow to start and slow per request.

A request is its arguments as signed JSON; an answer is JSON. Botocore handles the unusual cases:
an environment other than that of a function on AWS, and requests that fail for a transient reason
(no connection, throttling, an error of the service), which it retries.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from botocore.exceptions import ClientError

from shared.records import aws, meter
from shared.records.connection import Connections, HttpAnswer

VERSION = "DynamoDB_20120810"
CONTENT_TYPE = "application/x-amz-json-1.0"

OPERATIONS = {
    "batch_get_item": "BatchGetItem",
    "batch_write_item": "BatchWriteItem",
    "delete_item": "DeleteItem",
    "get_item": "GetItem",
    "put_item": "PutItem",
    "query": "Query",
    "scan": "Scan",
    "transact_write_items": "TransactWriteItems",
    "update_item": "UpdateItem",
}
"""Methods of botocore's client that are implemented here; botocore handles all others."""

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
"""Errors that may be transient; botocore decides."""

ELSEWHERE = ("cn-", "us-iso", "eu-iso", "eusc-")
"""Prefixes of regions whose addresses do not end in ``amazonaws.com``."""

UNUSUAL = ("AWS_PROFILE", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "HTTPS_PROXY")
"""Settings of the environment that only botocore supports."""

BINARY_NAME = re.compile(rb'"B"\s*:')
"""The name of a binary value in an answer; the text "B" alone is a key in each session."""


class Place(NamedTuple):
    """The endpoint of requests, and the credentials."""

    url: str
    region: str
    key_id: str
    secret: str
    token: str | None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Place | None:
        """Return the endpoint from the environment of a function; None if it is another kind."""
        region = environment.get("AWS_DEFAULT_REGION", "")
        key_id = environment.get("AWS_ACCESS_KEY_ID")
        secret = environment.get("AWS_SECRET_ACCESS_KEY")
        url = environment.get("AWS_ENDPOINT_URL_DYNAMODB") or environment.get("AWS_ENDPOINT_URL")
        if not url and region and not region.startswith(ELSEWHERE):
            url = f"https://dynamodb.{region}.amazonaws.com"
        unusual = any(environment.get(name) for name in UNUSUAL)
        if unusual or not (url and region and key_id and secret):
            return None
        return cls(
            url.rstrip("/") + "/", region, key_id, secret, environment.get("AWS_SESSION_TOKEN")
        )

    def headers(self, operation: str, body: bytes, at: datetime) -> dict[str, str]:
        """Return the headers of a request, with its signature (AWS Signature Version 4)."""
        stamp = at.strftime("%Y%m%dT%H%M%SZ")
        headers = {
            "content-type": CONTENT_TYPE,
            "host": urlsplit(self.url).netloc,
            "x-amz-date": stamp,
            "x-amz-target": f"{VERSION}.{operation}",
        }
        if self.token:
            headers["x-amz-security-token"] = self.token
        names = sorted(headers)
        lines = [f"{name}:{headers[name]}" for name in names]
        signed = ";".join(names)
        canonical_request = "\n".join(
            ["POST", "/", "", *lines, "", signed, hashlib.sha256(body).hexdigest()]
        )
        scope = [stamp[:8], self.region, "dynamodb", "aws4_request"]
        digest = hashlib.sha256(canonical_request.encode()).hexdigest()
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, "/".join(scope), digest])
        key = hmac.digest(_signing_key(self.secret, *scope), text.encode(), "sha256")
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.key_id}/{'/'.join(scope)}, "
            f"SignedHeaders={signed}, Signature={key.hex()}"
        )
        return headers


@lru_cache(2)
def _signing_key(secret: str, *scope: str) -> bytes:
    """Return the key that signs the requests of a day."""
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return key


class DynamoClient:
    """A DynamoDB client with the methods of botocore's, for PynamoDB and own requests."""

    _request_signer = None  # PynamoDB checks whether botocore's has credentials

    def __init__(self) -> None:
        self._place = Place.of(os.environ)
        self._connections = _connections(self._place.url) if self._place else None

    def __getattr__(self, name: str) -> Any:
        """Return a method or any other attribute of botocore's client."""
        operation = OPERATIONS.get(name)
        if operation is None:
            return getattr(aws.client("dynamodb"), name)
        return lambda **arguments: self._make_api_call(operation, arguments)

    def _make_api_call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Make a request and return its answer, as botocore's client does."""
        response = self._send(operation, msgspec.json.encode(arguments))
        if response is None:
            return _usual(operation, arguments)
        content = response.data
        headers = response.headers
        checksum = headers.get("x-amz-crc32")
        if response.status >= 500 or (checksum and int(checksum) != zlib.crc32(content)):
            return _usual(operation, arguments)
        if response.status >= 300:
            code, answer = _error(content)
            if code in PASSING:
                return _usual(operation, arguments)
            answer["ResponseMetadata"] = _metadata(response.status, headers)
            raise ClientError(answer, operation)  # type: ignore[arg-type]
        answer = _decoded(content)
        answer["ResponseMetadata"] = _metadata(response.status, headers)
        meter.count(operation, answer)
        return answer

    def _send(self, operation: str, body: bytes) -> HttpAnswer | None:
        """Return the answer to a request; None if botocore must make it."""
        if self._place is None or self._connections is None:
            return None
        headers = self._place.headers(operation, body, datetime.now(UTC))
        try:
            return self._connections.post(headers, body)
        except OSError:
            return None


def _connections(url: str) -> Connections:
    """Return open connections to a host that trust botocore's certificates."""
    import botocore

    trusted = os.path.join(os.path.dirname(botocore.__file__), "cacert.pem")
    return Connections(url, os.environ.get("AWS_CA_BUNDLE") or trusted)


def _usual(operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return botocore's answer to a request."""
    answer: dict[str, Any] = aws.client("dynamodb")._make_api_call(operation, arguments)
    meter.count(operation, answer)
    return answer


def _decoded(content: bytes) -> dict[str, Any]:
    """Return the JSON of an answer, with bytes where it has binary values."""
    read = _decoded_bytes if BINARY_NAME.search(content) else msgspec.json.decode
    answer: dict[str, Any] = read(content or b"{}")
    return answer


def _decoded_bytes(content: bytes) -> dict[str, Any]:
    """Return the JSON of an answer; binary values (``{"B": text}``) are bytes."""
    answer: dict[str, Any] = msgspec.json.decode(content)
    _to_bytes(answer)
    return answer


def _to_bytes(container: dict[str, Any] | list[Any]) -> None:
    """Replace the text of binary values in a JSON object or array by their bytes."""
    for value in container.values() if type(container) is dict else container:
        if type(value) is dict:
            if len(value) == 1:
                if type(text := value.get("B")) is str:
                    value["B"] = binascii.a2b_base64(text)
                    continue
                if "S" in value or "N" in value:  # nearly all others
                    continue
            _to_bytes(value)
        elif type(value) is list:
            _to_bytes(value)


def _error(content: bytes) -> tuple[str, dict[str, Any]]:
    """Return the code of a refusal, and the content of botocore's exception."""
    answer: dict[str, Any] = _decoded_bytes(content or b"{}")
    code = str(answer.pop("__type", "Unknown")).rpartition("#")[2]
    message = answer.pop("message", None) or answer.pop("Message", "")
    return code, {"Error": {"Code": code, "Message": message}, **answer}


def _metadata(status: int, headers: dict[str, str]) -> dict[str, Any]:
    return {
        "RequestId": headers.get("x-amzn-requestid", ""),
        "HTTPStatusCode": status,
        "HTTPHeaders": headers,
    }
