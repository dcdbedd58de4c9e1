"""The cookie of the site's own pages: who gets one, what it is good for, what it is refused."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any

import pytest

from functions.api.auth import passwords, throttle, tokens
from shared import catalog
from tests.api.conftest import PASSWORD, Answer, Api

SITE = "https://results.example.org"
MEMBER = "fimbrialab_member"
FROM_THE_SITE = {"X-Fornix": "1", "Origin": SITE}


@pytest.fixture(autouse=True)
def site(monkeypatch: pytest.MonkeyPatch, api: Api) -> None:
    monkeypatch.setenv("FORNIX_SITE_URL", SITE)
    monkeypatch.setitem(passwords.SCRYPT, "n", 16)
    passwords.set_password(MEMBER, PASSWORD)


def sign_in(api: Api, headers: dict[str, str] = FROM_THE_SITE, password: str = PASSWORD) -> Answer:
    body = {"username": MEMBER, "password": password}
    return api("POST", "/session", body, user=None, headers=headers)


def cookie_of(answer: Answer) -> Any:
    return SimpleCookie(answer.headers["Set-Cookie"])["fornix_session"]


def with_cookie(answer: Answer, **more: str) -> dict[str, str]:
    return {"Cookie": f"theme=dark; fornix_session={cookie_of(answer).value}", **more}


def test_a_page_signs_in_reads_writes_and_signs_out(api: Api) -> None:
    # Given a member who signs in on the site
    answer = sign_in(api)
    assert (answer.status, answer.body["username"]) == (200, MEMBER)
    cookie = cookie_of(answer)
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"]) == (True, True, "Strict")
    assert (cookie["path"], int(cookie["max-age"])) == ("/rest", tokens.TOKEN_LIFE)
    assert "token" not in answer.body
    # When its page reads and writes with the cookie alone
    known = with_cookie(answer)
    read = api("GET", "/me", user=None, headers=known)
    weighed = api(
        "POST",
        "/weighings",
        {"subject": "FI_001", "weight": 24.1},
        user=None,
        headers={**known, **FROM_THE_SITE},
    )
    # Then both are the member's, until the session ends
    assert read.body["username"] == MEMBER
    assert (weighed.status, weighed.body["user"]) == (201, MEMBER)
    ended = api("DELETE", "/session", user=None, headers={**known, **FROM_THE_SITE})
    assert (ended.status, cookie_of(ended).value, cookie_of(ended)["max-age"]) == (204, "", "0")
    after = api("GET", "/me", user=None, headers={**known, "X-Fornix": "1"})
    assert after.status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Fornix": "1"},
        {"Origin": SITE},
        {"X-Fornix": "1", "Origin": "https://evil.example.org"},
        {"X-Fornix": "1", "Origin": f"{SITE}.evil.example.org"},
        {"X-Fornix": "1", "Origin": "null"},
        {"X-Fornix": "0", "Origin": SITE},
    ],
)
def test_what_no_page_of_the_site_asks_for_changes_nothing(
    api: Api, headers: dict[str, str]
) -> None:
    known = with_cookie(sign_in(api))

    for method, path, body in (
        ("POST", "/weighings", {"subject": "FI_001", "weight": 24.1}),
        ("PATCH", "/subjects/FI_001", {"description": "x"}),
        ("DELETE", "/subjects/FI_002", None),
        ("POST", "/session", {"username": MEMBER, "password": PASSWORD}),
        ("DELETE", "/session", None),
        ("DELETE", "/auth-token", None),
    ):
        answer = api(method, path, body, user=None, headers={**known, **headers})
        assert answer.status == 403, (method, path)
        assert answer.body["detail"].startswith("With a session's cookie, changes ")
    assert api("GET", "/me", user=None, headers=known).status == 200
    assert len(catalog.table("weighing").select()) == 0


def test_without_a_site_there_are_no_sessions(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORNIX_SITE_URL")

    assert sign_in(api).status == 403


def test_over_plain_http_the_cookie_is_not_marked_secure(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORNIX_SITE_URL", "http://127.0.0.1:8001")

    answer = sign_in(api, {"X-Fornix": "1", "Origin": "http://127.0.0.1:8001"})

    assert not cookie_of(answer)["secure"]


def test_wrong_passwords_are_counted_as_those_of_tokens_are(api: Api) -> None:
    statuses = [sign_in(api, password="wrong").status for _ in range(throttle.TRIES + 1)]

    assert statuses == [400] * throttle.TRIES + [429]
    body = {"username": MEMBER, "password": PASSWORD}
    assert api("POST", "/auth-token", body, user=None).status == 429


def test_a_header_counts_before_the_cookie_and_a_dead_cookie_is_no_error(api: Api) -> None:
    known = with_cookie(sign_in(api))
    token = {"Authorization": f"Token {tokens.issue('admin')}"}

    both = api("GET", "/me", user=None, headers={**known, **token})
    dead = {"Cookie": "fornix_session=0123"}

    assert both.body["username"] == "admin"
    assert api("GET", "/health", user=None, headers=dead).status == 200
    assert sign_in(api, {**FROM_THE_SITE, **dead}).status == 200
    assert api("GET", "/me", user=None, headers=dead).status == 403  # as ONE expects it


def test_a_changed_password_ends_other_sessions_and_keeps_this_one(api: Api) -> None:
    here, there = sign_in(api), sign_in(api)
    body = {"current_password": PASSWORD, "password": "quite another staple"}

    changed = api(
        "POST", "/me/password", body, user=None, headers=with_cookie(here, **FROM_THE_SITE)
    )

    assert (changed.status, changed.body) == (200, {})
    assert api("GET", "/me", user=None, headers=with_cookie(changed)).status == 200
    assert api("GET", "/me", user=None, headers=with_cookie(there)).status == 403


def test_behind_the_distribution_tries_are_counted_by_the_callers_address(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORNIX_FRONT", "only the distribution knows")

    def statuses(front: str, n: int = throttle.TRIES + 1) -> list[int]:
        # Each says that it is somebody else; the distribution adds who it is in truth
        tries = [
            {
                **FROM_THE_SITE,
                "X-Fornix-Front": front,
                "X-Forwarded-For": f"198.51.100.{i}, 203.0.113.7, 192.0.2.1",
            }
            for i in range(n)
        ]
        return [sign_in(api, each, password="wrong").status for each in tries]

    assert statuses("only the distribution knows")[-1] == 429
    assert statuses("a guess", 1) == [400]  # another source: the address of the gateway's caller
    assert statuses("a guess")[-1] == 429


def test_people_who_share_a_device_have_a_cookie_each(api: Api) -> None:
    # Given a device of one member, at which another signs in, too
    passwords.set_password("fimbrialab_manager", PASSWORD)
    mine = sign_in(api)
    seat = {"X-Fornix-Seat": "fimbrialab_manager"}
    body = {"username": "fimbrialab_manager", "password": PASSWORD}
    theirs = api("POST", "/session", body, user=None, headers={**FROM_THE_SITE, **seat})
    (name,) = SimpleCookie(theirs.headers["Set-Cookie"])
    both = f"fornix_session={cookie_of(mine).value}; {theirs.headers['Set-Cookie']}"
    # When each asks
    here, there = {"Cookie": both}, {"Cookie": both, **seat}
    # Then it is that one who does, and who ends a session ends their own
    assert api("GET", "/me", user=None, headers=here).body["username"] == MEMBER
    assert api("GET", "/me", user=None, headers=there).body["username"] == "fimbrialab_manager"
    nobody = {"Cookie": both, "X-Fornix-Seat": "anna", "X-Fornix": "1"}
    assert api("GET", "/me", user=None, headers=nobody).status == 401
    ended = api("DELETE", "/session", user=None, headers={**there, **FROM_THE_SITE})
    assert ended.headers["Set-Cookie"].startswith(f"{name}=;")
    assert api("GET", "/me", user=None, headers={**there, "X-Fornix": "1"}).status == 401
    assert api("GET", "/me", user=None, headers=here).body["username"] == MEMBER
