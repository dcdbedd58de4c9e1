"""Passwords: stored as a scrypt hash, changed and checked."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from pynamodb.attributes import BinaryAttribute

from functions.api.auth import throttle, tokens
from functions.api.errors import Invalid
from shared.records import optimistic
from shared.records.table import Record

SCRYPT = {"n": 2**14, "r": 8, "p": 5}
"""Cost of a password hash: 16 MB, as OWASP's password storage advice allows for this n and p."""


class Password(Record, discriminator="Password"):
    """The hash of a user's password: ``CRED#username`` / A; apart from the user's record."""

    salt = BinaryAttribute(legacy_encoding=False)
    hashed = BinaryAttribute(legacy_encoding=False)


def set_password(username: str, password: str) -> None:
    """Set a user's password and revoke the user's tokens."""
    salt = secrets.token_bytes(16)
    stored = Password(pk=f"CRED#{username}", sk="A", salt=salt, hashed=_hash(password, salt))
    optimistic.save_all([stored])
    tokens.revoke_all(username)


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, maxmem=2**26, **SCRYPT)


def login(username: str, password: str, address: str = "") -> str:
    """Return a new token.

    Parameters
    ----------
    username, password : str
        Credentials.
    address : str
        Caller's network address, for throttling.

    Raises
    ------
    ApiError
        400 if the credentials are wrong, 429 after too many failures.
    """
    if not knows(username, password, address):
        raise Invalid({"non_field_errors": ["Unable to log in with provided credentials."]})
    return tokens.issue(username)


def knows(username: str, password: str, address: str) -> bool:
    """Return whether a user's password is right; too many wrong ones are a 429."""
    throttle.check(username, address)
    try:
        known = Password.get(f"CRED#{username}", "A", consistent_read=True)
        salt, hashed = known.salt, known.hashed
    except Password.DoesNotExist:
        salt, hashed = b"\0" * 16, b""  # takes as long as a real one, so names cannot be probed
    right = (
        hmac.compare_digest(_hash(password, salt), hashed) and tokens.user_of(username) is not None
    )
    if not right:
        throttle.count_failure(username, address)
    return right
