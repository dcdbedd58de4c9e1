"""``GET /export``: what is stored of a kind, by pages, for administrators alone."""

from __future__ import annotations

from functions.api.routes import exports
from tests.api.conftest import Api


def test_all_rows_of_a_kind_come_by_pages_with_their_ids(api: Api, monkeypatch) -> None:
    monkeypatch.setattr(exports, "MOST_ROWS", 3)
    names = [f"Food {n}" for n in range(7)]
    for name in names:
        api.ok("POST", "/foods", {"name": name}, user="admin")
    found, after, pages = [], "", 0
    while after is not None and pages < 9:
        answer = api.ok("GET", f"/export?resource=foods&after={after}", user="admin")
        found += answer["rows"]
        after, pages = answer["next"], pages + 1
    assert [row["name"] for row in found if row["name"] in names] == names
    assert len({row["id"] for row in found}) == len(found)
    assert pages == -(-len(found) // 3)


def test_an_answer_holds_a_few_megabytes_at_most(api: Api, monkeypatch) -> None:
    monkeypatch.setattr(exports, "MOST_BYTES", 400)
    for n in range(3):
        body = {"name": f"Food {n}", "description": "x" * 300}
        api.ok("POST", "/foods", body, user="admin")
    answer = api.ok("GET", "/export?resource=foods", user="admin")
    assert len(answer["rows"]) == 1
    assert answer["next"] == answer["rows"][0]["name"]


def test_no_password_is_shown_and_unknown_kinds_are_named(api: Api) -> None:
    rows = api.ok("GET", "/export?resource=users", user="admin")["rows"]
    assert rows
    assert not any("password" in row for row in rows)
    for wrong in ("", "nonsense", "sessions"):
        answer = api("GET", f"/export?resource={wrong}", user="admin")
        assert answer.status == 400
        assert "lines" in str(answer.body["resource"])
    assert api("GET", "/export?resource=users", user="fimbrialab_manager").status == 403
