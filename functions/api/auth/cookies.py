"""The session of the site's own pages: a cookie that scripts cannot read, which holds a token.

Browsers send it only to the site's own address below ``/rest``, and only from the site's pages
(``SameSite=Strict``). A request that changes something must prove that a script of the site made
it: by a header that no form can send, and by the ``Origin`` that browsers add.

A shared device has one cookie per person; a page names the person by `SEAT`.
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
"""Header that names the person on a shared device; without it, the device's own person."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def name_for(request: Any) -> str:
    """Return the name of the cookie that a request uses: a seat's, or the device's own."""
    seat = request.headers.get(SEAT.lower()) or ""
    return f"{NAME}_{hashlib.sha256(seat.encode()).hexdigest()[:16]}" if seat else NAME


def token_in(request: Any) -> str:
    """Return the token in a request's cookie; empty without a cookie."""
    wanted = name_for(request)
    for part in (request.headers.get("cookie") or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted:
            return str(value)
    return ""


def holding(request: Any, token: str) -> str:
    """Return the header ``Set-Cookie`` that stores a token, or deletes it if there is none."""
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
    """Return whether a page's script sent the request; without credentials it gets 401."""
    return bool(request.headers.get(HEADER.lower()) == "1")


def check_from_the_site(request: Any) -> None:
    """Refuse a change that does not come from a page of the site.

    Raises
    ------
    ApiError
        403 that names the missing header.
    """
    if request.method in SAFE_METHODS:
        return
    site = env.site_url()
    if not is_from_a_page(request):
        raise forbidden(f"With a session's cookie, changes need the header {HEADER}: 1.")
    if not site or request.headers.get("origin") != site:
        raise forbidden(f"With a session's cookie, changes come from pages of {site or 'a site'}.")
