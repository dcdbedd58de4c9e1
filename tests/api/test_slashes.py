"""Terms with a slash, as the labs' vocabularies have them, on every route that takes one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.api.conftest import Api

ADMIN: dict[str, Any] = {"user": "admin"}
NAMES = ("Behavior training/own tasks", "50 % / half", "a/b/c?d=e#f&g+h", "%2F")


@pytest.mark.parametrize("name", NAMES)
def test_a_term_with_a_slash_is_made_read_and_found_everywhere(api: Api, name: str) -> None:
    # Given a procedure of that name, done in a session
    made = api.ok("POST", "/procedures", {"name": name}, **ADMIN)
    session = {"subject": "FI_001", "start_time": "2024-07-01T09:00:00", "number": 1}
    eid = api.ok("POST", "/sessions", {**session, "procedures": [name]})["id"]
    # Then it is read by its address, also by the one that the server gives
    address = f"/procedures/{quote(name, safe='')}"
    for each in (address, urlsplit(made.get("url") or address).path):
        answer = api("GET", each)
        assert answer.status in (200, 403), each  # 403: there is no such route, by any name
        if answer.status == 200:
            assert answer.body["name"] == name
    # and the session by it, in every way of asking
    text = quote(name, safe="")
    assert name in [row["name"] for row in api.ok("GET", "/procedures?limit=250")["results"]]
    assert api.ok("GET", f"/sessions?procedures={text}")["count"] == 1
    assert api.ok("GET", f"/sessions?django={quote(f'procedures__name,{name}', safe='')}")["count"]
    assert api.ok("GET", f"/sessions/{eid}")["procedures"] == [name]


def test_a_label_is_part_of_an_address_and_has_none(api: Api) -> None:
    for path in ("projects", "tags"):
        answer = api("POST", f"/{path}", {"name": "ibl/neuropixel"}, **ADMIN)
        assert answer.status == 400
        assert answer.body["name"] == ["'ibl/neuropixel': a name has no slashes."]
