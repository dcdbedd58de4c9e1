"""HTTP client of the Fornix API: login, retries with backoff, typed errors.

All writes of the API that this package uses are idempotent, so every request may be repeated.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests

from lab.client.configuration import EXAMPLE, Settings, address
from lab.client.errors import (
    Conflicting,
    LoginFailed,
    NotConfigured,
    RecordMissing,
    RequestRefused,
    Unreachable,
    WrongAddress,
)
from lab.client.retries import TRANSIENT, TRIES, Patience, patient_session

TIMEOUT = (10, 60)
"""Seconds to connect and to wait for an answer."""


class Client:
    """Talks JSON to the API as one user; safe to share between threads.

    Parameters
    ----------
    settings
        Address and account; by default those of :func:`settings`.
    sleep
        Waits between tries.
    transient
        Status codes after which a request is tried again.
    plain_missing
        Whether a web page with status 404 means a missing record, as it does in Django. Fornix
        always answers JSON, so a page means that the address is not its API's.
    """

    def __init__(
        self,
        settings: Settings,
        sleep: Callable[[float], object] = time.sleep,
        transient: frozenset[int] = TRANSIENT,
        plain_missing: bool = False,
    ) -> None:
        self.settings = replace(settings, url=address(settings.url))
        self.sleep = sleep
        self.transient = transient
        self.plain_missing = plain_missing
        self._token = settings.token
        self._login_lock = threading.Lock()
        self._local = threading.local()

    @property
    def _http(self) -> requests.Session:
        if not hasattr(self._local, "http"):
            self._local.http = patient_session(Patience(self.transient, self.sleep))
        return self._local.http

    def get(self, path: str, **query: Any) -> Any:
        """GET a path; see :meth:`request`."""
        return self.request("GET", path, query=query)

    def me(self) -> dict[str, Any]:
        """Return the account: ``username``, ``role``, ``labs``.

        Raises
        ------
        WrongAddress
            The address does not answer as the API does.
        """
        try:
            who = self.get("/me")
        except RecordMissing as error:
            raise WrongAddress(error.status, self.settings.url) from None
        if not isinstance(who, dict) or "username" not in who:
            raise WrongAddress(200, self.settings.url)
        return who

    def post(self, path: str, body: Any = None) -> Any:
        """POST a JSON body; see :meth:`request`."""
        return self.request("POST", path, body=body if body is not None else {})

    def patch(self, path: str, body: Any) -> Any:
        """PATCH with a JSON body; see :meth:`request`."""
        return self.request("PATCH", path, body=body)

    def send_file(self, method: str, path: str, field: str, file: Path) -> Any:
        """Send a picture as a form, at full size; return the parsed JSON answer.

        Raises
        ------
        RequestRefused, Unreachable
            As :meth:`request`.
        """
        form = {field: (file.name, file.read_bytes()), "width": (None, "orig")}
        token = self._token or self.login()
        return self._read(
            self._send(method, path, None, None, token, files=form), f"{method} {path}"
        )

    def request(
        self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None
    ) -> Any:
        """Send a request, logging in first if needed; return the parsed JSON answer.

        Raises
        ------
        RequestRefused
            The server refuses the request (also :class:`RecordMissing`, :class:`Conflicting`).
        LoginFailed, NotConfigured
            There is no valid account.
        Unreachable
            No answer, or only transient ones, in several tries.
        """
        token = self._token or self.login()
        answer = self._send(method, path, body, query, token)
        if answer.status_code == 403 and "Invalid token." in answer.text:
            if not self.settings.password:
                raise LoginFailed("the token has expired or was revoked: run `fornix login`")
            answer = self._send(method, path, body, query, self.login(stale=token))
        return self._read(answer, f"{method} {path}")

    def location(self, url: str) -> str:
        """Return the redirect target of a file's address; another server's address is unchanged.

        Raises
        ------
        RequestRefused
            The server refuses the request.
        """
        if not url.startswith(self.settings.url):
            return url
        token = self._token or self.login()
        path = url[len(self.settings.url) :].replace("#", "%23")
        answer = self._send("GET", path, None, None, token, follow=False)
        if answer.is_redirect:
            return answer.headers["Location"]
        self._read(answer, f"GET {url}")
        raise RequestRefused(answer.status_code, {"detail": "no redirect to a file"}, url)

    def public_account(self) -> tuple[str, str]:
        """Return user name and password of the account that the server publishes for everybody.

        Raises
        ------
        RecordMissing
            The server publishes none.
        """
        answer = self._send("GET", "/public-account", None, None, None)
        account = self._read(answer, "GET /public-account")
        return account["username"], account["password"]

    def login(self, stale: str | None = None) -> str:
        """Return a token, from the server unless another thread has just got one.

        Raises
        ------
        NotConfigured
            No password or token is known.
        LoginFailed
            The server does not accept them.
        """
        with self._login_lock:
            if self._token and self._token != stale:
                return self._token
            if not (self.settings.user and self.settings.password):
                raise NotConfigured(
                    "not logged in: run `fornix login`, or set FORNIX_USER and FORNIX_PASSWORD"
                )
            account = {"username": self.settings.user, "password": self.settings.password}
            answer = self._send("POST", "/auth-token", account, None, None)
            if answer.status_code in (400, 401, 403):
                raise LoginFailed(
                    f"{self.settings.url} does not accept {self.settings.user}'s password"
                )
            self._token = self._read(answer, "POST /auth-token")["token"]
            return self._token

    def _send(
        self,
        method: str,
        path: str,
        body: Any,
        query: dict[str, Any] | None,
        token: str | None,
        follow: bool = True,
        files: dict[str, Any] | None = None,
    ) -> requests.Response:
        """Send one request; repeat it while the error is transient."""
        try:
            answer = self._http.request(
                method,
                self.settings.url + path,
                params=query or None,
                json=body,
                files=files,
                headers={"Authorization": f"Token {token}"} if token else {},
                timeout=TIMEOUT,
                allow_redirects=follow,
            )
        except (requests.ConnectionError, requests.Timeout) as error:
            trouble = f"did not answer ({type(error).__name__})"
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema):
            raise NotConfigured(
                f"{self.settings.url!r} is no address of a server: {EXAMPLE}"
            ) from None
        except requests.exceptions.ChunkedEncodingError:
            raise Unreachable(f"{self.settings.url} broke off its answer") from None
        else:
            if answer.status_code not in self.transient:
                if not (self.plain_missing and answer.status_code == 404):
                    refuse_page(answer)
                return answer
            trouble = f"answered {answer.status_code}"
        raise Unreachable(f"{self.settings.url} {trouble}, {TRIES} times in a row")

    @staticmethod
    def _read(answer: requests.Response, request: str) -> Any:
        """Return an answer's JSON, or raise the error that it means."""
        try:
            body = answer.json() if answer.content else {}
        except ValueError:
            body = {"detail": f"the answer is not JSON: {answer.text[:200]!r}"}
            if answer.ok:
                raise RequestRefused(answer.status_code, body, request) from None
        if answer.ok:
            return body
        kind = {404: RecordMissing, 409: Conflicting}.get(answer.status_code, RequestRefused)
        raise kind(
            answer.status_code, body if isinstance(body, dict) else {"detail": body}, request
        )


def refuse_page(answer: requests.Response) -> None:
    """Refuse an answer that is a web page: its address belongs to a site.

    Raises
    ------
    WrongAddress
        The answer is a page.
    """
    start = answer.content[:100].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise WrongAddress(answer.status_code, answer.url, "a web page")
    if answer.status_code == 403 and b"Missing Authentication Token" in answer.content[:200]:
        # API Gateway answers so outside its stages, for example above the API's address.
        raise WrongAddress(answer.status_code, answer.url)
