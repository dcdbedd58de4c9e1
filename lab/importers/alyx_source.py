"""Read a running Alyx through its REST API: slowly, with retries, and with checks.

Contract: Alyx 3.6 REST. Lists answer ``count`` and ``results`` for any ``limit`` and ``offset``;
429 and 503 carry ``Retry-After``; errors of the server's database appear as 500, and appear again
when the request is repeated.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from lab.client import Client, Settings

PAGE = 1000
"""Rows of one request: the most that Alyx returns."""

BUSY = frozenset({429, 502, 503, 504})
"""Status codes after which a request is repeated."""


class NoAlyx(Exception):
    """The source does not answer as Alyx does."""


class AlyxSource:
    """A running Alyx (or Fornix, which has the same API); several threads may use it.

    Parameters
    ----------
    settings : Settings
        Address and account.
    rate : float
        Requests per second at most; Alyx throttles at 550 per minute. 0: no limit.
    sleep : callable
        Waits a number of seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        rate: float = 8.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = settings.url
        self._client = Client(settings, sleep, transient=BUSY, plain_missing=True)
        self._interval = 1 / rate if rate else 0.0
        self._sleep = sleep
        self._next = 0.0
        self._lock = threading.Lock()

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON at a path, within the rate limit.

        Raises
        ------
        ClientError
            The source refuses or cannot be reached.
        """
        with self._lock:
            now = time.monotonic()
            at = max(self._next, now)
            self._next = at + self._interval
        if at > now:
            self._sleep(at - now)
        return self._client.get(path, **query)

    def page(self, path: str, offset: int, **filters: Any) -> tuple[int, list[Any]]:
        """Return the number of rows of a list and up to ``PAGE`` of them from an offset.

        Raises
        ------
        NoAlyx
            The answer is no list of rows.
        """
        answer = self.get(path, limit=PAGE, offset=offset, **filters)
        if isinstance(answer, list):
            return len(answer), answer[offset:]
        try:
            count, results = int(answer["count"]), answer["results"]
        except (KeyError, TypeError, ValueError):
            results = None
        if not isinstance(results, list):
            raise NoAlyx(f"{self.url}{path} does not answer a list as Alyx does")
        return count, results
