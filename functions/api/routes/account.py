"""Login, the caller's account, health, the schema."""

from __future__ import annotations

import re
from typing import Any

from chalice.app import Blueprint, Response

from functions.api import permissions
from functions.api.auth import cookies, identify, oidc, passwords, tokens
from functions.api.call import Call
from functions.api.engine import read_values
from functions.api.engine.declarations import KINDS, RESOURCES
from functions.api.engine.plan import planned
from functions.api.engine.rules import METHODS, rule_of
from functions.api.errors import Invalid, not_found
from shared import catalog
from shared.access import policy
from shared.model.people import Caller
from shared.records import env
from shared.records.where import Where

routes = Blueprint(__name__)

EMAIL = r"[^@\s<>\"',;]{1,64}@[^@\s<>\"',;]+\.[^@\s<>\"',;.]+"
"""Pattern of one e-mail address."""


@routes.route("/health", methods=["GET"])
def health() -> dict[str, Any]:
    """Answer that the API is up."""
    return {"status": "ok"}


def sign_in(call: Call) -> str:
    """Return a token for the credentials of a body: name and password, or a provider's.

    A provider's credentials are an ID token (``id_token``), or from a page of the site ``code``
    with its ``code_verifier`` and ``nonce``.

    Raises
    ------
    ApiError
        400 if the credentials are wrong, 429 after too many failures.
    """
    if isinstance(id_token := call.body.get("id_token"), str):
        return oidc.login(id_token, identify.address_of(call.request))
    if "code" in call.body:
        _require(call, "code", "code_verifier", "nonce")
        proof = oidc.Proof(call.body["code"], call.body["code_verifier"], call.body["nonce"])
        return oidc.login_by_code(proof, identify.address_of(call.request))
    _require(call, "username", "password")
    source = identify.source_of(call.request, call.body["username"])
    return passwords.login(call.body["username"], call.body["password"], source)


def _require(call: Call, *names: str) -> None:
    missing = {
        name: ["This field is required."]
        for name in names
        if not isinstance(call.body.get(name), str) or not call.body[name]
    }
    if missing:
        raise Invalid(missing)


@routes.route("/auth-token", methods=["POST"])
def login() -> dict[str, Any]:
    """Exchange a user name and password, or a provider's ID token, for a token."""
    return {"token": sign_in(Call(routes.current_request))}


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
    account = env.public_account()
    if account is None:
        raise not_found("Account")
    return {"username": account[0], "password": account[1]}


@routes.route("/me/password", methods=["POST"])
def change_password() -> Response:
    """Change the caller's own password; the answer has a new token, the former ones end.

    A session of the site's pages gets the token in its cookie, where scripts cannot read it.
    """
    call = Call(routes.current_request)
    _require(call, "current_password", "password")
    who = call.who
    token = passwords.change(
        who.username,
        call.body["current_password"],
        call.body["password"],
        identify.source_of(call.request, who.username),
        (who.username, *who.labs),
    )
    if cookies.token_in(call.request):
        return Response({}, headers={"Set-Cookie": cookies.holding(call.request, token)})
    return Response({"token": token})


@routes.route("/me", methods=["GET"])
def me() -> dict[str, Any]:
    """Say whose token it is, what its account may do, and what its labs have set."""
    return describe(Call(routes.current_request).who)


@routes.route("/me", methods=["PATCH"])
def change_me() -> dict[str, Any]:
    """Change the caller's own names, address, quiet hours and display settings."""
    call = Call(routes.current_request)
    permissions.require(policy.may_set_own(call.body))
    resource = KINDS["user"]
    new = read_values.read_body(resource, call.body, call, partial=True)
    if (email := new.get("email")) and not re.fullmatch(EMAIL, email):
        raise Invalid({"email": ["Write an e-mail address, as anna@example.org."]})
    username = call.who.username
    planned(
        call, lambda plan: plan.change(resource, username, lambda body: {**body, **new}, given=new)
    )
    catalog.start_request()
    return describe(call.who)


def describe(who: Caller) -> dict[str, Any]:
    """Return the description and the rights of an account."""
    user = catalog.table("user").get(who.username) or {}
    names = user.keys() & {"first_name", "last_name", "is_stock_manager", "is_husbandry"}
    return {
        "username": who.username,
        "role": who.role,
        "labs": list(who.labs),
        **{name: user[name] for name in sorted(names)},
        "lab_settings": {lab: _settings(lab) for lab in who.labs},
        "permissions": _permissions(who),
        "delegates": sorted(user.get("allowed_users") or ()),
        "delegating": _delegating(who),
        "notification_rules": _rules(who),
        "preferences": user.get("preferences") or {},
        "quiet_hours": user.get("quiet_hours") or "",
        **({} if who.is_public else {"email": user.get("email") or ""}),
    }


def _settings(lab: str) -> dict[str, Any]:
    """Return a lab's settings: its zone, its ratios, its housing defaults."""
    laboratory = catalog.table("lab").get(lab) or {}
    spec = KINDS["lab"].fields
    names = [n for n in spec if n not in ("name", "json", "repositories", "address")]
    return {name: laboratory.get(name, spec[name].default) for name in names}


def _permissions(who: Caller) -> dict[str, list[str]]:
    """Return the actions that the account may use, by path of the resource."""
    allowed = {}
    for path, resource in sorted(RESOURCES.items()):
        actions = [action for action in METHODS if resource.has(action)]
        if permitted := [
            action for action in actions if policy.may_use(rule_of(resource, action), who)
        ]:
            allowed[path] = permitted
    return allowed


def _delegating(who: Caller) -> list[str]:
    """Return the users who let the caller change the records they are responsible for."""
    where = Where("allowed_users", "exact", who.username)
    names: set[str] = catalog.table("user").select([where]).values("username")
    return sorted(names)


def _rules(who: Caller) -> list[dict[str, Any]]:
    """Return the caller's rules for notices."""
    if "notification-rule" not in KINDS:
        return []
    rules = catalog.table("notification-rule").select([Where("user", "exact", who.username)])
    fields = KINDS["notification-rule"].fields
    return [
        {"id": rule["id"], **{name: rule.get(name) for name in fields if name != "user"}}
        for rule in rules.all()
    ]
