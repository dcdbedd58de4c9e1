"""HTTP client of the Fornix API: login, retries with backoff, typed errors.

All writes of the API that this package uses are idempotent, so every request may be repeated.
"""

from __future__ import annotations

import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

log = logging.getLogger(__name__)

TRANSIENT = frozenset({429, 500, 502, 503, 504})
"""Answers after which the same request may succeed later."""

TRIES = 6
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
"""Seconds; the delay doubles with each try and is drawn at random below that (full jitter)."""

TIMEOUT = (10, 60)
"""Seconds to connect and to wait for an answer."""


class ClientError(Exception):
    """Base of what can go wrong when talking to the API; ``exit_code`` is the command's."""

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


class Refused(ClientError):
    """The server refused the request; ``status`` and ``body`` are its answer."""

    def __init__(self, status: int, body: dict[str, Any], request: str) -> None:
        self.status, self.body = status, body
        super().__init__(f"{plain(body)} ({request} answered {status})")


class NotFound(Refused):
    """404: there is no such thing."""


class Conflict(Refused):
    """409: the thing has changed, or belongs to another."""


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


@dataclass(frozen=True)
class Settings:
    """Where the API is and who is asking."""

    url: str
    user: str | None = None
    password: str | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return f"Settings(url={self.url!r}, user={self.user!r})"


def config_path() -> Path:
    """Return the file that ``fornix login`` writes, readable by its owner only."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "fornix" / "config.json"


def settings(url: str | None = None, user: str | None = None) -> Settings:
    """Read the settings from the environment, or else from the file of ``fornix login``.

    An address or user given here goes first.

    Raises
    ------
    NotConfigured
        No address of an API is given.
    """
    env = os.environ.get
    saved: dict[str, str] = {}
    if config_path().exists():
        saved = json.loads(config_path().read_text())
    url = url or env("FORNIX_API_URL") or saved.get("url")
    if not url:
        raise NotConfigured("no server is known: run `fornix login` or set FORNIX_API_URL")
    same = url.rstrip("/") == saved.get("url")
    user = user or env("FORNIX_USER")
    token = env("FORNIX_TOKEN")
    if not token and same and (not user or user == saved.get("user")):
        token, user = saved.get("token"), user or saved.get("user")
    return Settings(url.rstrip("/"), user, env("FORNIX_PASSWORD"), token)


def save_settings(url: str, user: str, token: str) -> Path:
    """Store an address and token for later commands (mode 0600)."""
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"url": url.rstrip("/"), "user": user, "token": token}, file, indent=1)
    os.replace(partial, path)
    return path


def delays(tries: int = TRIES) -> Iterator[float]:
    """Yield the pauses in seconds between ``tries`` tries."""
    for attempt in range(tries - 1):
        yield random.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2**attempt))  # noqa: S311


class Client:
    """Talks JSON to the API as one user; safe to share between threads.

    Parameters
    ----------
    settings
        Address and account; by default those of :func:`settings`.
    sleep
        How to wait between tries.
    transient
        Answers after which a request is tried again.
    """

    def __init__(
        self,
        settings: Settings,
        sleep: Callable[[float], object] = time.sleep,
        transient: frozenset[int] = TRANSIENT,
    ) -> None:
        self.settings = settings
        self.sleep = sleep
        self.transient = transient
        self._token = settings.token
        self._login_lock = threading.Lock()
        self._local = threading.local()

    @property
    def _http(self) -> requests.Session:
        if not hasattr(self._local, "http"):
            self._local.http = requests.Session()
        return self._local.http

    def get(self, path: str, **query: Any) -> Any:
        """GET a path; see :meth:`request`."""
        return self.request("GET", path, query=query)

    def post(self, path: str, body: Any = None) -> Any:
        """POST a JSON body; see :meth:`request`."""
        return self.request("POST", path, body=body if body is not None else {})

    def patch(self, path: str, body: Any) -> Any:
        """PATCH with a JSON body; see :meth:`request`."""
        return self.request("PATCH", path, body=body)

    def request(
        self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None
    ) -> Any:
        """Send a request, logging in first if needed; return the parsed JSON answer.

        Raises
        ------
        Refused
            The server said no (:class:`NotFound` and :class:`Conflict` among them).
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
    ) -> requests.Response:
        """Send one request, again and again while the trouble is transient."""
        pauses = delays()
        while True:
            answer, trouble = None, ""
            try:
                answer = self._http.request(
                    method,
                    self.settings.url + path,
                    params=query or None,
                    json=body,
                    headers={"Authorization": f"Token {token}"} if token else {},
                    timeout=TIMEOUT,
                )
                if answer.status_code not in self.transient:
                    return answer
                trouble = f"answered {answer.status_code}"
            except (requests.ConnectionError, requests.Timeout) as error:
                trouble = f"did not answer ({type(error).__name__})"
            pause = next(pauses, None)
            if pause is None:
                raise Unreachable(f"{self.settings.url} {trouble}, {TRIES} times in a row")
            log.debug("%s %s %s, again in %.1f s", method, path, trouble, pause)
            self.sleep(max(pause, _retry_after(answer)))

    @staticmethod
    def _read(answer: requests.Response, request: str) -> Any:
        """Return an answer's JSON, or raise what it refuses with."""
        try:
            body = answer.json() if answer.content else {}
        except ValueError:
            body = {"detail": f"the answer is not JSON: {answer.text[:200]!r}"}
            if answer.ok:
                raise Refused(answer.status_code, body, request) from None
        if answer.ok:
            return body
        kind = {404: NotFound, 409: Conflict}.get(answer.status_code, Refused)
        raise kind(
            answer.status_code, body if isinstance(body, dict) else {"detail": body}, request
        )


def _retry_after(answer: requests.Response | None) -> float:
    """Return the seconds that a Retry-After header asks for, at most LONGEST_DELAY."""
    text = answer.headers.get("Retry-After", "") if answer is not None else ""
    return min(float(text), LONGEST_DELAY) if text.isdigit() else 0.0
