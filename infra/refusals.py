"""API Gateway's own refusals of requests, in the API's body shape for each kind.

Only these answers can ask for the credentials of a private file: API Gateway renames the header
``WWW-Authenticate`` in a function's answers, but not in its own. So it first asks the function
whether a download needs an account (a Lambda authorizer on ``functions.api.app.CHALLENGED``) and
then refuses the request itself, with `CHALLENGE`.
"""

from __future__ import annotations

from typing import Any

CHALLENGE = 'Basic realm="Fornix data: user name and API token"'
"""Makes a client send its Basic credentials; ONE's downloads need it."""

STATUS = {
    "ACCESS_DENIED": 401,  # 403 by default; only the authorizer of downloads denies access
    "API_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_CONFIGURATION_ERROR": 500,
    "AUTHORIZER_FAILURE": 500,
    "BAD_REQUEST_BODY": 400,
    "BAD_REQUEST_PARAMETERS": 400,
    "EXPIRED_TOKEN": 403,
    "INTEGRATION_FAILURE": 504,
    "INTEGRATION_TIMEOUT": 504,
    "INVALID_API_KEY": 403,
    "INVALID_SIGNATURE": 403,
    "MISSING_AUTHENTICATION_TOKEN": 403,  # its kind for an unknown path or method
    "QUOTA_EXCEEDED": 429,
    "REQUEST_TOO_LARGE": 413,
    "RESOURCE_NOT_FOUND": 404,
    "THROTTLED": 429,
    "UNAUTHORIZED": 401,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "WAF_FILTERED": 403,
}
"""Statuses by kind of refusal; by default API Gateway's own. A template cannot read the status, so
each kind has a template with its status."""

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "Cache-Control": "no-store",
}
"""Headers of every refusal, the same as of the API's answers (``functions.api.app.SAFE``)."""

NOT_SIGNED_IN = '"Authentication credentials were not provided."'


def gateway_responses(site_url: str) -> dict[str, dict[str, Any]]:
    """Return the gateway responses by kind, as an OpenAPI definition holds them.

    Parameters
    ----------
    site_url
        Origin whose pages may read them; ``*`` for all: they contain no personal data.
    """
    return {kind: _response(kind, status, site_url) for kind, status in STATUS.items()}


def _response(kind: str, status: int, site_url: str) -> dict[str, Any]:
    headers = {"Access-Control-Allow-Origin": site_url, **SAFE}
    detail = "$context.error.messageString"  # including quotation marks
    if kind == "ACCESS_DENIED":
        headers["WWW-Authenticate"] = CHALLENGE
        detail = NOT_SIGNED_IN
    if status == 429:
        headers["Retry-After"] = "1"
    return {
        "statusCode": str(status),
        "responseParameters": {
            f"gatewayresponse.header.{name}": f"'{value}'" for name, value in headers.items()
        },
        "responseTemplates": {
            "application/json": f'{{"status_code": {status}, "detail": {detail}}}'
        },
    }
