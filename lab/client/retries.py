"""Retries of failed requests: urllib3's retries, with full jitter."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse, Retry

TRANSIENT = frozenset({429, 500, 502, 503, 504})
"""Status codes after which the same request may succeed later."""

TRIES = 6
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
"""Seconds; the limit doubles with each try, and the delay is random below it (full jitter)."""


class Patience(Retry):
    """Tries of one request: every method, connection errors and transient answers alike.

    Parameters
    ----------
    transient
        Status codes after which the request is sent again.
    pause
        Waits a number of seconds.
    """

    def __init__(
        self,
        transient: Collection[int] = TRANSIENT,
        pause: Callable[[float], object] = time.sleep,
        **settings: Any,
    ) -> None:
        self.pause = pause
        settings = {
            "total": TRIES - 1,
            "status_forcelist": transient,
            "allowed_methods": None,
            "raise_on_status": False,
            "backoff_factor": FIRST_DELAY,
            "backoff_max": LONGEST_DELAY,
            "retry_after_max": LONGEST_DELAY,
            **settings,
        }
        super().__init__(**settings)

    def new(self, **settings: Any) -> Patience:
        """Return the remaining tries."""
        return super().new(pause=self.pause, **settings)

    def get_backoff_time(self) -> float:
        """Return a random delay up to the limit of this try (s)."""
        delay = self.backoff_factor * 2 ** max(0, len(self.history) - 1)
        return random.uniform(0, min(self.backoff_max, delay))  # noqa: S311

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        """Wait as long as the server demands, else the delay of this try."""
        demanded = self.get_retry_after(response) if response is not None else None
        self.pause(demanded or self.get_backoff_time())


def patient_session(patience: Retry) -> requests.Session:
    """Return a session that retries all its requests with this patience."""
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=patience))
    return session
