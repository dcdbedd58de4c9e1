"""Who calls: passwords, tokens, and what an account is.

Passwords are hashed with scrypt; tokens are random, stored only as SHA-256, expire and can be
revoked. Answers are exactly those of the Alyx REST contract, because the ONE client logs in again
only on a 403 that says ``"Invalid token."``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

from pynamodb.attributes import BinaryAttribute, NumberAttribute, UnicodeAttribute

from functions.api.errors import ApiError, Invalid, not_signed_in
from shared.records import documents, search, times
from shared.records.errors import NotFound
from shared.records.table import Record

TOKEN_LIFE = 30 * 24 * 3600
"""Seconds until a token expires."""

SCRYPT = {"n": 2**14, "r": 8, "p": 5}
"""Cost of a password hash: 16 MB, as OWASP's password storage advice allows for this n and p."""

TRIES = 10
"""Failed logins per user name, and ten times that per address, in `WINDOW`."""

WINDOW = 300
"""Seconds over which failed logins are counted."""

PEOPLE = frozenset({"member", "manager", "administrator"})
_TOKEN = re.compile(r"[0-9a-f]{40}")
MACHINES = frozenset({"rig", "worker"})
ROLES = PEOPLE | MACHINES | {"anonymous"}


@dataclass(frozen=True)
class Caller:
    """Who makes a request.

    Attributes
    ----------
    username : str
        Empty if anonymous.
    role : str
        anonymous, member, manager, administrator, rig or worker.
    labs : tuple of str
        Labs the account belongs to; a machine has one.
    is_public : bool
        Whether only public data are shown, and nothing may be written.
    """

    username: str = ""
    role: str = "anonymous"
    labs: tuple[str, ...] = ()
    is_public: bool = True

    def of_lab(self, lab: str | None) -> bool:
        """Return whether the caller may write records of a lab."""
        return self.role == "administrator" or (lab is not None and lab in self.labs)


ANONYMOUS = Caller()


class Password(Record, discriminator="Password"):
    """The hash of a user's password: ``CRED#username`` / A; apart from the user's record."""

    salt = BinaryAttribute(legacy_encoding=False)
    hashed = BinaryAttribute(legacy_encoding=False)


class Token(Record, discriminator="Token"):
    """An issued token: ``TOK#sha256`` / A, by user in gsi1."""

    username = UnicodeAttribute()
    expires = NumberAttribute()


class Tries(Record, discriminator="Tries"):
    """Failed logins in a window: ``TRY#who#window`` / A."""

    n = NumberAttribute()
    expires = NumberAttribute()


def set_password(username: str, password: str) -> None:
    """Set a user's password and revoke the user's tokens."""
    salt = secrets.token_bytes(16)
    Password(pk=f"CRED#{username}", sk="A", salt=salt, hashed=_hash(password, salt)).save()
    revoke_all(username)


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
    if not _knows(username, password, address):
        raise Invalid({"non_field_errors": ["Unable to log in with provided credentials."]})
    return issue(username)


def _knows(username: str, password: str, address: str) -> bool:
    """Return whether a user's password is right; too many wrong ones are a 429."""
    _throttle(username, address)
    try:
        known = Password.get(f"CRED#{username}", "A", consistent_read=True)
        salt, hashed = known.salt, known.hashed
    except Password.DoesNotExist:
        salt, hashed = b"\0" * 16, b""  # takes as long as a real one, so names cannot be probed
    right = hmac.compare_digest(_hash(password, salt), hashed) and _user(username) is not None
    if not right:
        _count_failure(username, address)
    return right


def address_of(request: Any) -> str:
    """Return the caller's network address."""
    return (request.context.get("identity") or {}).get("sourceIp") or ""


def issue(username: str, life: float = TOKEN_LIFE) -> str:
    """Return a new token of a user, 40 hexadecimal digits.

    Parameters
    ----------
    username : str
    life : float
        Seconds until it expires.
    """
    token = secrets.token_hex(20)
    item = Token(pk=_token_key(token), sk="A", username=username, expires=int(time.time() + life))
    item.g1pk, item.g1sk = f"TOKENS#{username}", item.pk
    item.save()
    return token


def revoke(token: str) -> None:
    """Make a token invalid at once."""
    try:
        item = Token.get(_token_key(token), "A", consistent_read=True)
    except Token.DoesNotExist:
        return
    item.delete()
    _recheck_tokens(item.username)


def revoke_all(username: str) -> None:
    """Make all tokens of a user invalid at once."""
    for item in list(Record.gsi1.query(f"TOKENS#{username}")):
        item.delete()
    _recheck_tokens(username)


def _recheck_tokens(username: str) -> None:
    """Change a user's record, so that processes that know the user's tokens read them again."""
    try:
        documents.update(
            "user",
            username,
            lambda body: {**body, "revoked_at": times.now().isoformat()},
            who=username,
            action="revoke tokens",
        )
    except NotFound:
        return


def caller(request: Any) -> Caller:
    """Return who makes a request; worked out once per request.

    Parameters
    ----------
    request : chalice.app.Request

    Raises
    ------
    ApiError
        403 ``Invalid token.`` if the token is unknown, revoked or expired.
    """
    known = getattr(request, "fornix_caller", None)
    if known is None:
        known = request.fornix_caller = _identify(request)
    return known


def token_of(request: Any) -> str | None:
    """Return the token of a request, from a Token header or a Basic password; None without."""
    scheme, _, value = (request.headers.get("authorization") or "").partition(" ")
    if scheme.lower() in ("token", "bearer"):
        return value.strip()
    return _basic(request)[1]


def _basic(request: Any) -> tuple[str, str]:
    """Return the user name and the password of a Basic header; empty without."""
    scheme, _, value = (request.headers.get("authorization") or "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        username, _, password = base64.b64decode(value).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise ApiError(403, "Invalid basic header.") from None
    return username, password


def _identify(request: Any) -> Caller:
    username, password = _basic(request)
    if password and not _TOKEN.fullmatch(password):
        user = _user(username) if _knows(username, password, address_of(request)) else None
        if user is None:
            raise ApiError(403, "Invalid username/password.")
        return as_caller(user)
    token = token_of(request)
    if not token:
        return ANONYMOUS
    user = _user_of_token(_token_key(token))
    if user is None:
        raise ApiError(403, "Invalid token.")
    return as_caller(user)


_known: dict[str, tuple[str, float, int]] = {}
"""Tokens that this process has read: by key, the user's name, until when the token need not be
read again, and the version that the user's record had before it was read. A revocation changes
that record."""

TRUSTED = 60.0
"""Seconds until a known token is read again, should a revocation have been cut short."""

KNOWN = 10_000
"""Tokens that a process remembers at most."""


def _user_of_token(key: str) -> dict[str, Any] | None:
    """Return the user of a token; None if it is unknown, revoked or expired."""
    if key in _known:
        username, until, version = _known[key]
        user = _user(username)
        if user and user["_version"] == version and time.time() <= until:
            return user
        _known.pop(key, None)
    search.table("user")  # is caught up before the token is read, so that none slips through
    try:
        item = Token.get(key, "A", consistent_read=True)
    except Token.DoesNotExist:
        return None
    user = _user(item.username)
    if user is None or item.expires < time.time():
        return None
    if len(_known) >= KNOWN:
        _known.clear()
    until = min(float(item.expires), time.time() + TRUSTED)
    _known[key] = item.username, until, user["_version"]
    return user


def as_caller(user: dict[str, Any]) -> Caller:
    """Return the caller that a user's record describes."""
    return Caller(
        username=user["username"],
        role=user.get("role") or "member",
        labs=tuple(user.get("lab") or ()),
        is_public=bool(user.get("is_public_user")),
    )


def require_account(who: Caller) -> None:
    """Refuse anonymous callers, as the Alyx REST contract words it."""
    if who.role == "anonymous":
        raise not_signed_in()


def _user(username: str) -> dict[str, Any] | None:
    user = search.table("user").get(username)
    return user if user and user.get("is_active", True) else None


def _token_key(token: str) -> str:
    return f"TOK#{hashlib.sha256(token.encode()).hexdigest()}"


def _windows(username: str, address: str) -> list[tuple[str, int]]:
    window = int(time.time() // WINDOW)
    return [(f"TRY#user#{username}#{window}", TRIES), (f"TRY#at#{address}#{window}", TRIES * 10)]


def _throttle(username: str, address: str) -> None:
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


def _count_failure(username: str, address: str) -> None:
    for key, _ in _windows(username, address):
        expires = Tries.expires.set(int(time.time()) + 2 * WINDOW)
        Tries(pk=key, sk="A").update([Tries.n.add(1), expires])
