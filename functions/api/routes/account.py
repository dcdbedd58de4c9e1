"""Login, who am I, health, the schema."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint, Response

from functions.api.auth import identify, oidc, passwords, tokens
from functions.api.call import Call
from functions.api.errors import Invalid, not_found
from shared.records import env

routes = Blueprint(__name__)


@routes.route("/health", methods=["GET"])
def health() -> dict[str, Any]:
    """Answer that the API is up."""
    return {"status": "ok"}


@routes.route("/auth-token", methods=["POST"])
def login() -> dict[str, Any]:
    """Exchange a user name and password, or a provider's ID token, for a token."""
    call = Call(routes.current_request)
    if isinstance(id_token := call.body.get("id_token"), str):
        return {"token": oidc.login(id_token, identify.address_of(call.request))}
    missing = {
        name: ["This field is required."]
        for name in ("username", "password")
        if not isinstance(call.body.get(name), str) or not call.body[name]
    }
    if missing:
        raise Invalid(missing)
    source = identify.source_of(call.request, call.body["username"])
    return {"token": passwords.login(call.body["username"], call.body["password"], source)}


@routes.route("/auth-token", methods=["DELETE"])
def logout() -> Response:
    """Revoke the token that the request is made with."""
    call = Call(routes.current_request)
    identify.require_account(call.who)
    tokens.revoke(identify.token_of(call.request) or "")
    return Response("", status_code=204)


@routes.route("/public-account", methods=["GET"])
def public_account() -> dict[str, Any]:
    """Say the user name and password of the account that is published for everybody."""
    known = env.public_account()
    if known is None:
        raise not_found("Account")
    return {"username": known[0], "password": known[1]}


@routes.route("/me/password", methods=["POST"])
def change_password() -> dict[str, Any]:
    """Change the caller's own password; the answer has a new token, the former ones end."""
    call = Call(routes.current_request)
    wanted = {
        name: ["This field is required."]
        for name in ("current_password", "password")
        if not isinstance(call.body.get(name), str) or not call.body[name]
    }
    if wanted:
        raise Invalid(wanted)
    who = call.who
    token = passwords.change(
        who.username,
        call.body["current_password"],
        call.body["password"],
        identify.source_of(call.request, who.username),
        (who.username, *who.labs),
    )
    return {"token": token}


@routes.route("/me", methods=["GET"])
def me() -> dict[str, Any]:
    """Say whose token it is."""
    who = Call(routes.current_request).who
    return {"username": who.username, "role": who.role, "labs": list(who.labs)}
