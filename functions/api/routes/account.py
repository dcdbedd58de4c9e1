"""Login, who am I, health, the schema."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint, Response

from functions.api.auth import identify, passwords, tokens
from functions.api.call import Call
from functions.api.errors import Invalid

routes = Blueprint(__name__)


@routes.route("/health", methods=["GET"])
def health() -> dict[str, Any]:
    """Answer that the API is up."""
    return {"status": "ok"}


@routes.route("/auth-token", methods=["POST"])
def login() -> dict[str, Any]:
    """Exchange a user name and password for a token."""
    call = Call(routes.current_request)
    missing = {
        name: ["This field is required."]
        for name in ("username", "password")
        if not isinstance(call.body.get(name), str) or not call.body[name]
    }
    if missing:
        raise Invalid(missing)
    address = identify.address_of(call.request)
    return {"token": passwords.login(call.body["username"], call.body["password"], address)}


@routes.route("/auth-token", methods=["DELETE"])
def logout() -> Response:
    """Revoke the token that the request is made with."""
    call = Call(routes.current_request)
    identify.require_account(call.who)
    tokens.revoke(identify.token_of(call.request) or "")
    return Response("", status_code=204)


@routes.route("/me", methods=["GET"])
def me() -> dict[str, Any]:
    """Say whose token it is."""
    who = Call(routes.current_request).who
    return {"username": who.username, "role": who.role, "labs": list(who.labs)}
