"""Accounts: throttle side by side, resets against logins, own passwords, look-alike names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.api.auth import credentials, passwords, throttle, tokens
from functions.api.errors import ApiError, Invalid
from tests.api.conftest import PASSWORD, Answer, Api

USER = "fimbrialab_member"
MANAGER = {"user": "fimbrialab_manager"}


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(passwords.SCRYPT, "n", 16)
    monkeypatch.setattr(throttle, "WINDOW", 10**9)  # one window, whenever the test runs


def login(api: Api, password: str, user: str = USER, **options: Any) -> Answer:
    options.setdefault("user", None)
    return api("POST", "/auth-token", {"username": user, "password": password}, **options)


def me(api: Api, token: str) -> Answer:
    return api("GET", "/me", user=None, headers={"Authorization": f"Token {token}"})


# -- throttle -----------------------------------------------------------------------------------


def outcomes(guesses: list[tuple[str, str, str]]) -> list[str]:
    """Try logins side by side, each as an instance of the function of its own would."""

    def attempt(guess: tuple[str, str, str]) -> str:
        try:
            passwords.login(*guess)
        except Invalid:
            return "wrong"
        except ApiError as error:
            return str(error.status)
        return "in"

    with ThreadPoolExecutor(20) as pool:
        return list(pool.map(attempt, guesses))


def test_no_more_tries_get_through_side_by_side_than_one_after_another(api: Api) -> None:
    passwords.set_password(USER, PASSWORD)
    api.ok("GET", "/me")
    found = outcomes([(USER, f"guess {i}", "192.0.2.1") for i in range(60)])
    assert found.count("wrong") == throttle.TRIES
    assert found.count("429") == 60 - throttle.TRIES


def test_one_machine_cannot_try_many_accounts(api: Api) -> None:
    api.ok("GET", "/me")
    found = outcomes([(f"user{i}", "a guess", "192.0.2.1") for i in range(120)])
    assert found.count("wrong") == throttle.TRIES_OF_SOURCE


def test_many_machines_cannot_try_one_account_nor_lock_its_owner_out(api: Api) -> None:
    passwords.set_password(USER, PASSWORD)
    api.ok("GET", "/me")
    # Given somebody who has logged in from where they work
    assert outcomes([(USER, PASSWORD, "10.0.0.7")]) == ["in"]
    # When many machines guess
    found = outcomes([(USER, "a guess", f"192.0.2.{i}") for i in range(130)])
    assert found.count("wrong") == throttle.TRIES_OF_STRANGERS
    assert outcomes([(USER, PASSWORD, "198.51.100.1")]) == ["429"]
    # Then they still get in there, as often as they like
    assert outcomes([(USER, PASSWORD, "10.0.0.7")] * 15) == ["in"] * 15
    # and so does whoever brings a token of the account.
    token = tokens.issue(USER)
    headers = {"Authorization": f"Token {token}"}
    assert login(api, PASSWORD).status == 429
    assert login(api, PASSWORD, headers=headers).status == 200


def test_right_passwords_are_not_counted(api: Api) -> None:
    passwords.set_password(USER, PASSWORD)
    for _ in range(throttle.TRIES - 1):
        assert login(api, "wrong").status == 400
    for _ in range(5):
        assert login(api, PASSWORD).status == 200
    assert login(api, "wrong").status == 400
    assert login(api, PASSWORD).status == 429


def test_a_users_name_of_any_length_and_kind_is_only_wrong(api: Api) -> None:
    for name in ("x" * 5000, "\0", "é\u202e", "a#b", "../..", "ghost"):
        assert login(api, "a guess", name).status == 400, name


# -- resets -------------------------------------------------------------------------------------


def test_a_login_with_the_former_password_that_is_on_its_way_is_no_good(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interleaving: the old password is found right, it is reset, then the token is issued."""
    passwords.set_password(USER, PASSWORD)
    real = tokens.issue

    def reset_before(*arguments: Any, **options: Any) -> str:
        monkeypatch.setattr(tokens, "issue", real)
        passwords.set_password(USER, "another horse")
        return real(*arguments, **options)

    monkeypatch.setattr(tokens, "issue", reset_before)
    token = login(api, PASSWORD).body["token"]
    assert me(api, token).status == 403
    assert me(api, login(api, "another horse").body["token"]).status == 200


def test_two_resets_at_once_leave_one_password_and_no_former_token(api: Api) -> None:
    passwords.set_password(USER, PASSWORD)
    token = login(api, PASSWORD).body["token"]
    assert me(api, token).status == 200
    before = int(credentials.of_user(USER).generation)
    news = [f"new password {i}" for i in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda new: passwords.set_password(USER, new), news))
    assert int(credentials.of_user(USER).generation) == before + 4
    assert me(api, token).status == 403
    assert sorted(login(api, new).status for new in news) == [200, 400, 400, 400]


def test_who_gets_the_name_of_a_deleted_user_gets_nothing_else(api: Api) -> None:
    body = {"username": "anna", "lab": ["fimbrialab"], "password": PASSWORD}
    api.ok("POST", "/users", body, user="admin")
    token = login(api, PASSWORD, "anna").body["token"]
    assert me(api, token).status == 200
    assert api("DELETE", "/users/anna", user="admin").status == 204
    assert me(api, token).status == 403
    api.ok("POST", "/users", {"username": "anna", "lab": ["fimbrialab"]}, user="admin")
    assert me(api, token).status == 403
    assert login(api, PASSWORD, "anna").status == 400


# -- own passwords ------------------------------------------------------------------------------


def test_members_change_their_own_password(api: Api) -> None:
    passwords.set_password(USER, PASSWORD)
    token = login(api, PASSWORD).body["token"]
    headers = {"Authorization": f"Token {token}"}

    def change(present: str, new: str) -> Answer:
        body = {"current_password": present, "password": new}
        return api("POST", "/me/password", body, user=None, headers=headers)

    assert "current_password" in change("wrong", "a new secret").body
    assert "easily guessed" in change(PASSWORD, "password123").body["password"][0]
    assert "easily guessed" in change(PASSWORD, USER).body["password"][0]
    assert me(api, token).status == 200
    changed = change(PASSWORD, "a new secret")
    assert changed.status == 200
    # The former token ends with the former password; the answer has another
    assert me(api, token).status == 403
    assert me(api, changed.body["token"]).body["username"] == USER
    assert login(api, PASSWORD).status == 400
    assert login(api, "a new secret").status == 200


def test_nobody_but_members_changes_a_password_so(api: Api) -> None:
    body = {"current_password": PASSWORD, "password": "a new secret"}
    for user in (None, "visitor", "fimbrialab_rig", "fimbrialab_worker"):
        assert api("POST", "/me/password", body, user=user).status == 403, user


@pytest.mark.parametrize(
    "password",
    ["short", "12345678", "qwertyuiop", "password123", "fimbrialab1", "newcomer", "x" * 129, 12],
)
def test_weak_passwords_are_refused_with_the_reason(api: Api, password: Any) -> None:
    body = {"username": "newcomer", "lab": ["fimbrialab"], "password": password}
    answer = api("POST", "/users", body, **MANAGER)
    assert answer.status == 400
    assert "password" in answer.body
    assert api("GET", "/users/newcomer").status == 404


# -- look-alikes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "Admin",  # case
        "adm1n",  # digits for letters
        "adrnin",  # two letters for one
        "\u0430dmin",  # a Cyrillic letter
        "\uff41dmin",  # a full-width letter
        "admin\u200b",  # a character that is not seen
        "admin ",
        "a\u0301dmin",
        "ad\u00admin",
        "admin\u202e",
        "a/b",
        "",
    ],
)
def test_names_that_look_like_another_users_are_refused(api: Api, name: str) -> None:
    api.ok("POST", "/users", {"username": "admins", "role": "administrator"}, user="admin")
    body = {"lab": ["fimbrialab"], "username": f"{name}s" if name else ""}
    answer = api("POST", "/users", body, **MANAGER)
    assert answer.status == 400
    assert "username" in answer.body


# -- headers ------------------------------------------------------------------------------------


def test_answers_are_neither_kept_nor_taken_for_something_else(api: Api, bucket: str) -> None:
    for method, path, user in (
        ("GET", "/sessions", None),
        ("GET", "/me", USER),
        ("GET", "/me", None),
        ("GET", "/subjects/ghost", USER),
        ("PATCH", "/labs", USER),
        ("POST", "/auth-token", None),
        ("GET", "/data/nothing", None),
        ("GET", "/api/schema", None),
    ):
        headers = {k.lower(): v for k, v in api(method, path, user=user).headers.items()}
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["cache-control"] == "no-store", path
        assert "max-age=" in headers["strict-transport-security"], path


def test_an_account_that_cannot_be_deleted_keeps_its_password(api: Api) -> None:
    # Given somebody who is responsible for an animal
    account = {"username": "jane", "lab": ["fimbrialab"], "password": "correct horse battery"}
    api.ok("POST", "/users", account, user="admin")
    animal = {"nickname": "FI_009", "lab": "fimbrialab", "responsible_user": "jane"}
    api.ok("POST", "/subjects", animal, user="admin")
    given = {"username": "jane", "password": "correct horse battery"}
    token = api.ok("POST", "/auth-token", given, user=None)["token"]
    # When deleting the account is refused, by what names it or by a version that is not the last
    assert api("DELETE", "/users/jane", user="admin").status == 409
    api.ok("PATCH", "/subjects/FI_009", {"responsible_user": "admin"}, user="admin")
    stale = {"If-Match": '"0"'}
    assert api("DELETE", "/users/jane", user="admin", headers=stale).status == 412
    # Then nothing of it has ended
    mine = {"Authorization": f"Token {token}"}
    assert api("GET", "/me", user=None, headers=mine).status == 200
    api.ok("POST", "/auth-token", given, user=None)
    # And once it is deleted, all has, for another account of that name too
    api.ok("DELETE", "/users/jane", user="admin")
    assert api("GET", "/me", user=None, headers=mine).status == 403
    api.ok("POST", "/users", {"username": "jane", "lab": ["fimbrialab"]}, user="admin")
    assert api("GET", "/me", user=None, headers=mine).status == 403
    assert api("POST", "/auth-token", given, user=None).status == 400


def test_a_new_account_has_nothing_of_a_former_one_of_its_name(api: Api) -> None:
    # Given a password that was left behind, as by a deletion that was cut short
    passwords.set_password("mary", "correct horse battery")
    token = tokens.issue("mary")
    api.ok("POST", "/users", {"username": "mary", "lab": ["fimbrialab"]}, user="admin")
    given = {"username": "mary", "password": "correct horse battery"}
    assert api("POST", "/auth-token", given, user=None).status == 400
    mine = {"Authorization": f"Token {token}"}
    assert api("GET", "/me", user=None, headers=mine).status == 403
