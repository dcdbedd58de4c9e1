"""The caller of a request, identified once from its Authorization header or its cookie.

Answers are exactly those of the Alyx REST contract: the ONE client logs in again only on a 403
that says ``"Invalid token."``.
"""

from __future__ import annotations

import base64
import hmac
import re
from typing import Any

from functions.api.auth import cookies, passwords, tokens
from functions.api.errors import ApiError, not_signed_in
from shared.catalog.memberships import labs_of
from shared.model.people import ANONYMOUS, Caller
from shared.records import env

_FORM = r"[0-9a-f]{40}"


def address_of(request: Any) -> str:
    """Return the caller's network address.

    Requests to the site's address come through the distribution. It proves itself by a secret and
    adds its caller's address to the header; API Gateway adds the distribution's own address.
    """
    secret = env.front_secret()
    claimed = request.headers.get("x-fornix-front") or ""
    if secret and hmac.compare_digest(claimed.encode("utf-8", "replace"), secret.encode()):
        passed = [
            address.strip()
            for address in (request.headers.get("x-forwarded-for") or "").split(",")
        ]
        if len(passed) >= 2:
            return str(passed[-2])
    return (request.context.get("identity") or {}).get("sourceIp") or ""


def source_of(request: Any, username: str) -> str:
    """Return the source of a login for the throttle: a token of the account, or an address."""
    token = token_of(request)
    if token and caller(request).username == username:
        return tokens.key_of(token)
    return address_of(request)


def caller(request: Any) -> Caller:
    """Return the caller of a request; identified once per request.

    Parameters
    ----------
    request : chalice.app.Request

    Raises
    ------
    ApiError
        403 ``Invalid token.`` if the token is unknown, revoked or expired.
    """
    identified = getattr(request, "fornix_caller", None)
    if identified is None:
        identified = request.fornix_caller = _identify(request)
    return identified


def token_of(request: Any) -> str | None:
    """Return the token from a Token header, a Basic password or a cookie; else None."""
    header = request.headers.get("authorization") or ""
    scheme, _, value = header.partition(" ")
    if scheme.lower() in ("token", "bearer"):
        return value.strip()
    return _basic(request)[1] if header else cookies.token_in(request)


def _basic(request: Any) -> tuple[str, str]:
    """Return the user name and the password of a Basic header; empty without."""
    scheme, _, value = (request.headers.get("authorization") or "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        username, _, password = base64.b64decode(value).decode().partition(":")
    except ValueError:  # no base64, no UTF-8, no ASCII
        raise ApiError(403, "Invalid basic header.") from None
    return username, password


def _identify(request: Any) -> Caller:
    username, password = _basic(request)
    if password and not re.fullmatch(_FORM, password):
        right = passwords.checked(username, password, address_of(request)) is not None
        user = tokens.user_of(username) if right else None
        if user is None:
            raise ApiError(403, "Invalid username/password.")
        return as_caller(user)
    token = token_of(request)
    if not token:
        return ANONYMOUS
    user = tokens.user_of_token(tokens.key_of(token))
    if not request.headers.get("authorization"):
        if user is None:  # browsers keep an expired cookie; its owner signs in again
            return ANONYMOUS
        cookies.check_from_the_site(request)
        return as_caller(user)
    if user is None:
        raise ApiError(403, "Invalid token.")
    return as_caller(user)


def as_caller(user: dict[str, Any]) -> Caller:
    """Return the caller that a user's record describes."""
    return Caller(
        username=user["username"],
        role=user.get("role") or "member",
        labs=labs_of(user),
        is_public=bool(user.get("is_public_user")),
        is_stock_manager=bool(user.get("is_stock_manager")),
        is_husbandry=bool(user.get("is_husbandry")),
    )


def require_account(who: Caller, *, asks: bool = False) -> None:
    """Refuse anonymous callers in the words of the Alyx REST contract; 401 to ask them."""
    if who.role == "anonymous":
        raise not_signed_in(401 if asks else 403)
