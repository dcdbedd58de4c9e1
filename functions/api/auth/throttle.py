"""Logins are counted before they are tried, so that parallel tries cannot exceed a limit.

A try takes a place in up to three counts of a time window, each by one atomic conditional write. A
right password gives its places back. The counts are:

- of this account from this source (10),
- of this source (100), against one machine that tries many accounts,
- of this account from sources it has never logged in from (100), against many machines.

A source is a network address, or a token of the account that comes with the request. The owner of
an account can log in even while others try it from everywhere, or while many share one address:
the last two counts do not apply to a source that the account has used before (in the last 90
days), nor to such a token, and strangers cannot take places in the first count.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pynamodb.attributes import NumberAttribute
from pynamodb.exceptions import UpdateError

from functions.api.errors import ApiError
from shared.records.table import Record

TRIES = 10
"""Failed logins of an account from one source in `WINDOW`."""

TRIES_OF_SOURCE = 100
"""Failed logins from one source, whatever the account."""

TRIES_OF_STRANGERS = 100
"""Failed logins of an account from sources it has never logged in from."""

WINDOW = 300
"""Seconds over which failed logins are counted."""

PATIENCE = 8
"""Tries to take a place from a known source."""

REMEMBERED = 90 * 24 * 3600
"""Seconds for which the sources of an account stay known."""

RENEWED = 24 * 3600
"""Seconds after which a known source is written again, so that not every login writes."""


class Tries(Record, discriminator="Tries"):
    """Failed logins in a window: ``TRY#who#window`` / A."""

    n = NumberAttribute()
    expires = NumberAttribute()


class KnownSource(Record, discriminator="KnownSource"):
    """A source that an account has logged in from: ``TRY#known#account#source`` / A."""

    expires = NumberAttribute()


class LoginAttempt:
    """A permitted try at a login; `succeeded` gives its places back."""

    def __init__(self, username: str, source: str) -> None:
        self.username, self.source = _short(username), _short(source)
        self.is_token = source.startswith(
            "TOK#"
        )  # the holder of a token of the account is no stranger
        self.taken: list[str] = []
        self._until = 0.0

    def succeeded(self) -> None:
        """Give the places back, and remember the source."""
        self.give_back()
        if self.is_token:
            return
        expires = int(time.time()) + REMEMBERED
        if self._until < expires - RENEWED:
            KnownSource(pk=self._known, sk="A", expires=expires).save()

    def take(self) -> None:
        """Take a place in every count.

        Raises
        ------
        ApiError
            429 with the time of the next try.
        """
        is_known = self._is_known()
        window = int(time.time() // WINDOW)
        counts = [(f"TRY#pair#{self.username}#{self.source}#{window}", TRIES)]
        if not is_known:
            counts.append((f"TRY#at#{self.source}#{window}", TRIES_OF_SOURCE))
            counts.append((f"TRY#strangers#{self.username}#{window}", TRIES_OF_STRANGERS))
        for key, most in counts:
            # A full count at a known source may be many right logins at the same moment
            if not any(_take(key, most, i) for i in range(PATIENCE if is_known else 1)):
                self.give_back()
                wait = str(int(WINDOW - time.time() % WINDOW) + 1)
                raise ApiError(
                    429,
                    f"Too many failed logins. Try again in {wait} s.",
                    headers={"Retry-After": wait},
                )
            self.taken.append(key)

    def give_back(self) -> None:
        """Give the places back that were taken."""
        for key in self.taken:
            Tries(pk=key, sk="A").update([Tries.n.add(-1)])
        self.taken.clear()

    @property
    def _known(self) -> str:
        return f"TRY#known#{self.username}#{self.source}"

    def _is_known(self) -> bool:
        if self.is_token:
            return True
        try:
            self._until = float(KnownSource.get(self._known, "A").expires)
        except KnownSource.DoesNotExist:
            return False
        return self._until > time.time()


def _take(key: str, most: int, again: int) -> bool:
    """Take a place in a count, after a short pause if it is not the first try."""
    if again:
        time.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - no secret
    try:
        Tries(pk=key, sk="A").update(
            [Tries.n.add(1), Tries.expires.set(int(time.time()) + 2 * WINDOW)],
            condition=Tries.n.does_not_exist() | (Tries.n < most),
        )
    except UpdateError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        return False
    return True


@contextmanager
def attempt(username: str, source: str) -> Iterator[LoginAttempt]:
    """Begin a login; it counts as failed unless `LoginAttempt.succeeded` is called.

    Parameters
    ----------
    username : str
    source : str
        Where it comes from: a network address, or the key of a token of the account.

    Raises
    ------
    ApiError
        429 after too many failures.
    """
    tried = LoginAttempt(username, source)
    tried.take()
    yield tried


def _short(text: str) -> str:
    """Return a text as part of a key, however long it is."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
