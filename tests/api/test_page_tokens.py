"""Page tokens: signed, for one caller and one query, by keys that change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from functions.api.auth import signing
from tests.api.conftest import Api

MEMBER, OTHER = "fimbrialab_member", "septumlab_member"


@pytest.fixture(autouse=True)
def no_keys() -> Iterator[None]:
    """Processes know no keys from before."""
    signing.forget()
    yield
    signing.forget()


@pytest.fixture
def token(api: Api) -> str:
    """The token of the second page of one caller's list of all sessions."""
    for number in (1, 2, 3):
        body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": number}
        api.ok("POST", "/sessions", body)
    shown = api.ok("GET", "/sessions?limit=1")["next"]
    (found,) = parse_qs(urlsplit(shown).query)["as_of"]
    assert re.fullmatch(r"[0-9a-z]+", found)
    return found


def status(api: Api, query: str, user: str | None = MEMBER, path: str = "/sessions") -> int:
    return api("GET", f"{path}?{query}", user=user).status


def test_a_token_is_good_for_any_page_of_its_list(api: Api, token: str) -> None:
    for page in ("limit=1&offset=1", "limit=2", "offset=2", "limit=1&offset=1&subject="):
        assert status(api, f"{page}&as_of={token}") == 200


def test_a_token_is_good_for_nobody_else_and_nothing_else(api: Api, token: str) -> None:
    assert status(api, f"as_of={token}", user=OTHER) == 400
    assert status(api, f"as_of={token}", user="visitor") == 400
    assert status(api, f"as_of={token}", user=None) == 400
    assert status(api, f"subject=FI_001&as_of={token}") == 400
    assert status(api, f"as_of={token}", path="/datasets") == 400


def test_a_token_that_was_not_made_here_is_refused_with_the_reason(api: Api, token: str) -> None:
    digits, signature = token[:-32], token[-32:]
    for forged in (
        digits,
        signature,
        digits[:-1] + "0" + signature,
        digits + signature[::-1],
        digits + "0" * 32,
        "z" * 12 + signature,
        "é" + signature,
        "x",
        "0" * 500,
    ):
        answer = api("GET", f"/sessions?as_of={forged}")
        assert answer.status == 400, forged
        assert "begin without one" in answer.body["as_of"][0]


def test_keys_change_each_day_and_are_taken_for_two_more(
    api: Api, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = signing.time.time()
    for days, good in ((0, True), (1, True), (2, True), (4, False)):
        monkeypatch.setattr(signing.time, "time", lambda days=days: at + days * signing.ROTATED)
        signed = signing.sign("page", "another")
        signing.forget()  # another process
        assert (status(api, f"limit=1&as_of={token}") == 200) is good, days
        assert signing.is_good("page", "another", signed)
    assert len(list(signing.SigningKey.query("KEY#signing"))) == 4


def test_a_key_that_another_process_made_is_read(api: Api) -> None:
    first = signing.sign("page", "text")
    known = dict(signing._known)
    signing.forget()
    assert signing.is_good("page", "text", first)
    signing._known.update({table: (0.0, {}) for table in known})
    assert signing.is_good("page", "text", first)
    assert not signing.is_good("grant", "text", first)
    assert not signing.is_good("page", "other text", first)
