"""The session of the site's own pages: a cookie that scripts cannot read, which holds a token.

It is sent back to the site's own address below ``/rest`` alone, and from its own pages alone
(``SameSite=Strict``). A request that changes something with it has to say that a script of the
site made it: by a header that no form can send, and by the ``Origin`` that browsers put in.

A device that several people share has a cookie for each: a page says by `SEAT` whose it means.
"""

from __future__ import annotations

import hashlib
from typing import Any

from functions.api.auth.tokens import TOKEN_LIFE
from functions.api.errors import forbidden
from shared.records import env

NAME = "fornix_session"
PATH = "/rest"
HEADER = "X-Fornix"
SEAT = "X-Fornix-Seat"
"""Header with who asks, of those who share a device; without it, the device's own person does."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def name_for(request: Any) -> str:
    """Return the name of the cookie that a request means: of a seat, or the device's own."""
    seat = request.headers.get(SEAT.lower()) or ""
    return f"{NAME}_{hashlib.sha256(seat.encode()).hexdigest()[:16]}" if seat else NAME


def token_in(request: Any) -> str:
    """Return the token that a request's cookie holds; empty without."""
    wanted = name_for(request)
    for part in (request.headers.get("cookie") or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted:
            return str(value)
    return ""


def holding(request: Any, token: str) -> str:
    """Return the header ``Set-Cookie`` that keeps a token, or with none that forgets it."""
    parts = [
        f"{name_for(request)}={token}",
        f"Path={PATH}",
        f"Max-Age={TOKEN_LIFE if token else 0}",
        "HttpOnly",
        "SameSite=Strict",
    ]
    if env.site_url().startswith("https://"):
        parts.append("Secure")
    return "; ".join(parts)


def is_from_a_page(request: Any) -> bool:
    """Return whether a script of a page says that it asks; without credentials it is told 401."""
    return bool(request.headers.get(HEADER.lower()) == "1")


def check_from_the_site(request: Any) -> None:
    """Refuse a change that no page of the site asks for.

    Raises
    ------
    ApiError
        403 that says what is missing.
    """
    if request.method in SAFE_METHODS:
        return
    site = env.site_url()
    if not is_from_a_page(request):
        raise forbidden(f"With a session's cookie, changes need the header {HEADER}: 1.")
    if not site or request.headers.get("origin") != site:
        raise forbidden(f"With a session's cookie, changes come from pages of {site or 'a site'}.")
