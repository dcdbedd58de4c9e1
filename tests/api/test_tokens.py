"""Tokens expire and can be revoked, logins are throttled, passwords stay secret."""

from __future__ import annotations

import base64
import logging
import time

import pytest

from functions.api.auth import passwords, throttle, tokens
from shared.records.meter import metered
from shared.records.table import Record
from tests.api.conftest import PASSWORD, Answer, Api

USER = "fimbrialab_member"


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(passwords.SCRYPT, "n", 16)


def me(api: Api, token: str) -> int:
    return api("GET", "/me", user=None, headers={"Authorization": f"Token {token}"}).status


def login(api: Api, password: str, user: str = USER) -> object:
    return api("POST", "/auth-token", {"username": user, "password": password}, user=None)


def test_a_token_expires(api: Api) -> None:
    assert me(api, tokens.issue(USER, life=60)) == 200
    assert me(api, tokens.issue(USER, life=-1)) == 403


def test_a_token_can_be_revoked_at_once(api: Api) -> None:
    token = tokens.issue(USER)
    headers = {"Authorization": f"Token {token}"}
    assert me(api, token) == 200
    assert api("DELETE", "/auth-token", user=None, headers=headers).status == 204
    assert me(api, token) == 403


def test_a_known_token_is_not_read_again_until_its_user_changes(api: Api) -> None:
    token, other = tokens.issue(USER), tokens.issue(USER)

    def reads() -> float:
        with metered() as cost:
            assert me(api, token) == 200
        return cost.by_operation.get("GetItem", 0)

    assert reads() > 0
    assert reads() == 0
    # What another process revokes is seen through the change feed
    tokens.revoke(other)
    assert reads() > 0
    assert me(api, other) == 403
    tokens.revoke("f" * 40)  # no token at all: nothing happens
    assert reads() == 0


def test_a_known_token_expires(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tokens.issue(USER, life=60)
    assert me(api, token) == 200
    now = time.time()
    monkeypatch.setattr(tokens.time, "time", lambda: now + 61)
    assert me(api, token) == 403


def test_a_revocation_cut_short_holds_within_a_minute(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given the process that revokes is killed before it tells, the token ends all the same."""
    token = tokens.issue(USER)
    assert me(api, token) == 200
    monkeypatch.setattr(tokens, "_recheck_tokens", lambda username: None)
    tokens.revoke(token)
    now = time.time()
    monkeypatch.setattr(tokens.time, "time", lambda: now + tokens.TRUSTED + 1)
    assert me(api, token) == 403


def test_a_new_password_or_an_inactive_account_ends_all_tokens(api: Api) -> None:
    token = tokens.issue(USER)
    api.ok("PATCH", f"/users/{USER}", {"password": "another one"}, user="admin")
    assert me(api, token) == 403
    token = login(api, "another one").body["token"]
    api.ok("PATCH", f"/users/{USER}", {"is_active": False}, user="admin")
    assert me(api, token) == 403
    assert login(api, "another one").status == 400


def test_logins_are_throttled_after_failures(api: Api) -> None:
    passwords.set_password(USER, PASSWORD)
    for _ in range(throttle.TRIES):
        assert login(api, "wrong").status == 400
    answer = login(api, PASSWORD)
    assert answer.status == 429
    assert 0 < int(answer.headers["Retry-After"]) <= throttle.WINDOW + 1
    # Others are not locked out by it
    passwords.set_password("admin", PASSWORD)
    assert login(api, PASSWORD, "admin").status == 200


def test_neither_passwords_nor_tokens_are_stored_or_logged(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        api.ok("PATCH", f"/users/{USER}", {"password": "a very secret one"}, user="admin")
        token = login(api, "a very secret one").body["token"]
    raw = str([item.attribute_values for item in Record.scan()])
    assert "a very secret one" not in raw
    assert token not in raw
    ours = "".join(r.getMessage() for r in caplog.records if not r.name.startswith("botocore"))
    assert "a very secret one" not in ours


@pytest.mark.parametrize("body", [{}, {"username": "x"}, {"username": 1, "password": ["x"]}])
def test_a_login_without_credentials_names_the_fields(api: Api, body: dict) -> None:
    answer = api("POST", "/auth-token", body, user=None)
    assert answer.status == 400
    assert "password" in answer.body or "username" in answer.body


@pytest.mark.parametrize("value", ["Token", "Token ", "Basic !!!", "Bearer x", "Token \u00e9"])
def test_hostile_authorization_headers_are_403(api: Api, value: str) -> None:
    answer = api("GET", "/me", user=None, headers={"Authorization": value})
    assert answer.status == 403


def test_a_basic_header_may_carry_the_password_itself(api: Api) -> None:
    passwords.set_password(USER, PASSWORD)

    def me(username: str, secret: str) -> Answer:
        basic = base64.b64encode(f"{username}:{secret}".encode()).decode()
        return api("GET", "/me", user=None, headers={"Authorization": f"Basic {basic}"})

    assert me(USER, PASSWORD).body["username"] == USER
    for username, secret in ((USER, "nope"), ("ghost", PASSWORD), (USER, "f" * 40)):
        assert me(username, secret).status == 403
    # Guessing is counted as it is at the login
    answers = [me(USER, f"guess {i}").status for i in range(throttle.TRIES)]
    assert answers[-1] == 429
    assert me(USER, PASSWORD).status == 429
