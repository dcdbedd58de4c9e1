"""Errors of the API's client."""

from __future__ import annotations

from typing import Any


class ClientError(Exception):
    """Base of the client's errors; ``exit_code`` is the command's."""

    exit_code = 1


class NotConfigured(ClientError):
    """No address or no account is known."""

    exit_code = 4


class LoginFailed(ClientError):
    """The server does not accept the user name, password or token."""

    exit_code = 4


class Unreachable(ClientError):
    """The server did not answer, or answered that it is too busy, several times in a row."""

    exit_code = 3


class RequestRefused(ClientError):
    """The server refused the request; ``status`` and ``body`` are its answer."""

    def __init__(self, status: int, body: dict[str, Any], request: str) -> None:
        self.status, self.body = status, body
        super().__init__(f"{plain(body)} ({request} answered {status})")


class WrongAddress(RequestRefused):
    """The address does not answer as the API does: a web page of a site, say."""

    exit_code = 4

    def __init__(self, status: int, url: str, what: str = "otherwise than the API does") -> None:
        why = (
            f"{url} answers {what}: is it the address of the results site? Give that of the "
            "API, which often ends in /v1: `fornix login`, or FORNIX_API_URL"
        )
        super().__init__(status, {"detail": why}, f"GET {url}")


class RecordMissing(RequestRefused):
    """404: the record does not exist."""


class Conflicting(RequestRefused):
    """409: the record has changed, or belongs to another."""


def plain(body: dict[str, Any]) -> str:
    """Return the message of an error body in one line.

    Examples
    --------
    >>> plain({"subject": ["Unknown subject."], "status_code": 400})
    'subject: Unknown subject.'
    """
    if "detail" in body:
        return str(body["detail"])
    parts = (
        f"{field}: {' '.join(map(str, text)) if isinstance(text, list) else text}"
        for field, text in body.items()
        if field != "status_code"
    )
    return "; ".join(parts) or "no reason given"
