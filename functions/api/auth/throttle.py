"""Failed logins are counted, and too many of them are refused for a while."""

from __future__ import annotations

import time

from pynamodb.attributes import NumberAttribute

from functions.api.errors import ApiError
from shared.records.table import Record

TRIES = 10
"""Failed logins per user name, and ten times that per address, in `WINDOW`."""

WINDOW = 300
"""Seconds over which failed logins are counted."""


class Tries(Record, discriminator="Tries"):
    """Failed logins in a window: ``TRY#who#window`` / A."""

    n = NumberAttribute()
    expires = NumberAttribute()


def _windows(username: str, address: str) -> list[tuple[str, int]]:
    window = int(time.time() // WINDOW)
    return [(f"TRY#user#{username}#{window}", TRIES), (f"TRY#at#{address}#{window}", TRIES * 10)]


def check(username: str, address: str) -> None:
    """Refuse a login after too many failures.

    Raises
    ------
    ApiError
        429 that says when to try again.
    """
    for key, most in _windows(username, address):
        try:
            if Tries.get(key, "A").n < most:
                continue
        except Tries.DoesNotExist:
            continue
        wait = str(int(WINDOW - time.time() % WINDOW) + 1)
        raise ApiError(
            429, f"Too many failed logins. Try again in {wait} s.", headers={"Retry-After": wait}
        )


def count_failure(username: str, address: str) -> None:
    """Count a failed login of a user name and of an address."""
    for key, _ in _windows(username, address):
        expires = Tries.expires.set(int(time.time()) + 2 * WINDOW)
        Tries(pk=key, sk="A").update([Tries.n.add(1), expires])
