"""Errors of the API: every one has the same body, ``{"status_code": n, "detail": …}``.

Errors of validation name the fields instead: ``{"field": ["message"], "status_code": 400}``. These
bodies are the Alyx REST contract's; the ONE client reads them.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any

from chalice.app import Response

from shared.records import errors as records

_log = logging.getLogger(__name__)

JSON = {"Content-Type": "application/json"}


class ApiError(Exception):
    """An error answer.

    Parameters
    ----------
    status : int
        HTTP status.
    detail : str, optional
        Message that says what is wrong and what to do.
    headers : dict, optional
        Headers of the answer.
    **fields
        Further entries of the body.
    """

    def __init__(
        self,
        status: int,
        detail: Any = None,
        headers: dict[str, str] | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}
        self.body = {**fields, "status_code": status}
        if detail is not None:
            self.body = {"detail": detail, **self.body}

    def response(self) -> Response:
        """Return the answer."""
        return Response(self.body, status_code=self.status, headers={**JSON, **self.headers})


class Invalid(ApiError):
    """400: fields of the body or the query are not valid.

    Parameters
    ----------
    fields : dict of str to list of str
        Messages by field.
    """

    def __init__(self, fields: dict[str, list[str]]) -> None:
        super().__init__(400)
        self.body = {**fields, "status_code": 400}


def not_signed_in(status: int = 403) -> ApiError:
    """Return the answer to a request without credentials (403 as the ONE client expects)."""
    return ApiError(status, "Authentication credentials were not provided.")


def forbidden(detail: str = "You do not have permission to perform this action.") -> ApiError:
    """Return the answer to a request that the caller may not make."""
    return ApiError(403, detail)


def not_found(model: str = "record") -> ApiError:
    """Return the answer to a request for something that does not exist."""
    return ApiError(404, f"No {model} matches the given query.")


def response_to(error: Exception) -> Response:
    """Return the answer to any exception; unexpected errors are logged, never shown."""
    if isinstance(error, ApiError):
        return error.response()
    if isinstance(error, records.NotFound):
        return ApiError(404, str(error)).response()
    if isinstance(error, (records.Exists, records.Missing)):
        return ApiError(400, str(error)).response()
    if isinstance(error, records.TooLarge):
        return ApiError(413, str(error)).response()
    if isinstance(error, records.Kept):
        return ApiError(403, str(error), error=str(error)).response()
    if isinstance(error, (records.Stale, records.Leaving)):
        return ApiError(409, str(error)).response()
    if isinstance(error, records.Conflict):
        return ApiError(503, str(error), headers={"Retry-After": "1"}).response()
    reference = uuid.uuid4().hex[:8]
    _log.error("unexpected error %s", reference, exc_info=error)
    return ApiError(500, f"Internal error; reference {reference}.").response()
