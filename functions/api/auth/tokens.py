"""Tokens: random, stored only as SHA-256; they expire and can be revoked.

A token carries the generation of its account. A new password, or a revocation of all tokens,
raises the generation: so a login with the former password that ends later gets an invalid token.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import Any

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from functions.api.auth import credentials
from shared import catalog
from shared.model import moment
from shared.records import documents, keys
from shared.records.errors import NotFound
from shared.records.table import Record

TOKEN_LIFE = 30 * 24 * 3600
"""Seconds until a token expires."""


class Token(Record, discriminator="Token"):
    """An issued token: ``TOK#sha256`` / A, by user in gsi1."""

    username = UnicodeAttribute()
    expires = NumberAttribute()
    generation = NumberAttribute(default=0)


def issue(username: str, life: float = TOKEN_LIFE, generation: int | None = None) -> str:
    """Return a new token of a user, 40 hexadecimal digits.

    Parameters
    ----------
    username : str
    life : float
        Seconds until it expires.
    generation : int, optional
        Generation of the account when its credentials were checked; the present one by default.
    """
    token = secrets.token_hex(20)
    item = Token(
        pk=key_of(token),
        sk="A",
        username=username,
        expires=int(time.time() + life),
        generation=_generation(username) if generation is None else generation,
    )
    item.g1pk, item.g1sk = keys.tokens_of(username), item.pk
    item.save()
    return token


def revoke(token: str) -> None:
    """Make a token invalid at once."""
    try:
        item = Token.get(key_of(token), "A", consistent_read=True)
    except Token.DoesNotExist:
        return
    item.delete()
    _recheck_tokens(item.username)


def clear(username: str) -> None:
    """Remove the tokens of former generations; processes that cached them read them again."""
    remove(username)
    _recheck_tokens(username)


def remove(username: str) -> None:
    """Remove tokens of ended generations; they are invalid already."""
    for item in list(Record.gsi1.query(keys.tokens_of(username))):
        item.delete()


def _recheck_tokens(username: str) -> None:
    """Change a user's record, so that processes that cached the user's tokens read them again."""
    try:
        documents.update(
            "user",
            username,
            lambda body: {**body, "revoked_at": moment.now().isoformat()},
            who=username,
            action="revoke tokens",
        )
    except NotFound:
        return


_known: dict[str, tuple[str, float, int]] = {}
"""Cached tokens by key: the user's name, the time until which the token need not be read again,
and the version of the user's record before it was read. A revocation changes that record."""

TRUSTED = 60.0
"""Seconds until a cached token is read again, in case a revocation was interrupted."""

KNOWN = 10_000
"""Most tokens in a process's cache."""


def user_of_token(key: str) -> dict[str, Any] | None:
    """Return the user of a token; None if it is unknown, revoked or expired."""
    if key in _known:
        username, until, version = _known[key]
        user = user_of(username)
        if user and user["_version"] == version and time.time() <= until:
            return user
        _known.pop(key, None)
    catalog.table(
        "user"
    )  # the index catches up before the token is read, so that no revocation is missed
    try:
        item = Token.get(key, "A", consistent_read=True)
    except Token.DoesNotExist:
        return None
    user = user_of(item.username)
    if user is None or item.expires < time.time():
        return None
    if int(item.generation or 0) != _generation(item.username):
        return None
    if len(_known) >= KNOWN:
        _known.clear()
    until = min(float(item.expires), time.time() + TRUSTED)
    _known[key] = item.username, until, user["_version"]
    return user


def user_of(username: str) -> dict[str, Any] | None:
    """Return the record of an active user; None if there is none."""
    user = catalog.table("user").get(username)
    return user if user and user.get("is_active", True) else None


def _generation(username: str) -> int:
    return int(credentials.of_user(username).generation or 0)


def key_of(token: str) -> str:
    """Return the partition of a token."""
    return f"TOK#{hashlib.sha256(token.encode()).hexdigest()}"
