"""The session of the site's own pages: a cookie that scripts cannot read, which holds a token.

It is sent back to the site's own address below ``/rest`` alone, and from its own pages alone
(``SameSite=Strict``). A request that changes something with it has to say that a script of the
site made it: by a header that no form can send, and by the ``Origin`` that browsers put in.
"""

from __future__ import annotations

from typing import Any

from functions.api.auth.tokens import TOKEN_LIFE
from functions.api.errors import forbidden
from shared.records import env

NAME = "fornix_session"
PATH = "/rest"
HEADER = "X-Fornix"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def token_in(request: Any) -> str:
    """Return the token that a request's cookie holds; empty without."""
    for part in (request.headers.get("cookie") or "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == NAME:
            return str(value)
    return ""


def holding(token: str) -> str:
    """Return the header ``Set-Cookie`` that keeps a token, or with none that forgets it."""
    parts = [
        f"{NAME}={token}",
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
