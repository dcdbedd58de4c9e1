"""Passwords: stored as a scrypt hash, changed and checked."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

from functions.api.auth import credentials, throttle, tokens
from functions.api.errors import ApiError, Invalid

SCRYPT = {"n": 2**14, "r": 8, "p": 5}
"""Cost of a password hash: 16 MB, as OWASP's password storage advice allows for this n and p."""

SHORTEST = 8
LONGEST = 128
"""Characters of a password (NIST SP 800-63B asks for 8 and at least 64); zxcvbn reads 100."""

WEAKEST = 2
"""Least score of zxcvbn: over a million guesses, far more than the throttle of logins allows."""


NONE = (b"\0" * 16, b"")
"""Salt and hash of an account without a password."""


def set_password(username: str, password: str) -> None:
    """Set a user's password and revoke all tokens of the user."""
    credentials.replace(username, *hashed(password))
    tokens.clear(username)


def hashed(password: str) -> tuple[bytes, bytes]:
    """Return salt and hash of a new password."""
    salt = secrets.token_bytes(16)
    return salt, _hash(password, salt)


def weakness(password: str, about: Iterable[str] = ()) -> str | None:
    """Explain why a password is too weak; None if it is strong enough.

    Parameters
    ----------
    password : str
    about : iterable of str
        Facts that others know of the user: the name, the lab, the address.
    """
    from zxcvbn import zxcvbn  # its word lists take 50 ms to read, and logins do not need them

    if len(password) < SHORTEST:
        return f"A password has at least {SHORTEST} characters."
    if len(password) > LONGEST:
        return f"A password has at most {LONGEST} characters."
    guessable = [part for text in about for part in (text, *re.split(r"[\W_]+", text)) if part]
    estimate = zxcvbn(password[:100], user_inputs=[*guessable, "fornix", "alyx"])
    if estimate["score"] >= WEAKEST:
        return None
    sentences = [estimate["feedback"]["warning"], *estimate["feedback"]["suggestions"]]
    return " ".join(
        ["This password is easily guessed.", *(sentence for sentence in sentences if sentence)]
    )


def login(username: str, password: str, source: str = "") -> str:
    """Return a new token.

    Parameters
    ----------
    username, password : str
        Credentials.
    source : str
        Where the login comes from, for the throttle.

    Raises
    ------
    ApiError
        400 if the credentials are wrong, 429 after too many failures.
    """
    generation = checked(username, password, source)
    if generation is None:
        raise Invalid({"non_field_errors": ["Unable to log in with provided credentials."]})
    return tokens.issue(username, generation=generation)


def change(username: str, present: str, new: str, source: str, about: Iterable[str]) -> str:
    """Change a user's own password; return a new token, as the former ones are revoked.

    Raises
    ------
    ApiError
        400 if the present password is wrong or the new one weak, 429 after too many failures.
    """
    if checked(username, present, source) is None:
        raise Invalid({"current_password": ["This is not your password."]})
    if weak := weakness(new, about):
        raise Invalid({"password": [weak]})
    set_password(username, new)
    return tokens.issue(username)


def checked(username: str, password: str, source: str) -> int | None:
    """Return the generation of an account whose password is right; None if it is not.

    Raises
    ------
    ApiError
        429 after too many wrong ones.
    """
    with throttle.attempt(username, source) as attempt:
        account = credentials.of_user(username)
        # A missing account takes as long as an existing one, so that names cannot be probed
        right = hmac.compare_digest(_hash(password, account.salt), account.hashed)
        if not right or tokens.user_of(username) is None:
            return None
        attempt.succeeded()
        return int(account.generation or 0)


def _hash(password: str, salt: bytes) -> bytes:
    try:
        return hashlib.scrypt(password.encode(), salt=salt, maxmem=2**26, **SCRYPT)
    except UnicodeEncodeError:
        raise ApiError(400, "The password is no text.") from None
