"""Sessions of the site's pages: signing in and out by a cookie on the site's own address."""

from __future__ import annotations

from typing import Any

import msgspec
from chalice.app import Blueprint, Response

from functions.api.auth import cookies, identify, oidc, tokens
from functions.api.call import Call
from functions.api.routes.account import describe, sign_in

routes = Blueprint(__name__)


@routes.route("/session", methods=["GET"])
def ways() -> dict[str, Any]:
    """Say how people sign in besides their password: by a provider, or not."""
    offer = oidc.offer()
    return {"oidc": msgspec.to_builtins(offer) if offer else None}


@routes.route("/session", methods=["POST"])
def begin() -> Response:
    """Exchange credentials, as ``POST /auth-token`` takes them, for a cookie; say whose it is."""
    call = Call(routes.current_request)
    cookies.check_from_the_site(call.request)
    token = sign_in(call)
    user: Any = tokens.user_of_token(tokens.key_of(token))
    return Response(
        describe(identify.as_caller(user)),
        headers={"Set-Cookie": cookies.holding(call.request, token)},
    )


@routes.route("/session", methods=["DELETE"])
def end() -> Response:
    """Revoke the cookie's token and forget the cookie, whatever has become of the token."""
    request: Any = routes.current_request
    cookies.check_from_the_site(request)
    if token := cookies.token_in(request):
        tokens.revoke(token)
    return Response("", status_code=204, headers={"Set-Cookie": cookies.holding(request, "")})
