"""One judge of what the public sees: API, lists, downloads, cache tables, page tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared import catalog
from shared.catalog import cache_tables
from tests.api.conftest import Api, bring
from tests.api.test_files import eid as eid
from tests.api.test_files import register

MANAGER = "fimbrialab_manager"
PUBLIC = (None, "visitor")


def private_session(api: Api, subject: str = "FI_001", **more: Any) -> str:
    body = {"subject": subject, "start_time": "2024-07-02T10:00:00", "number": 1, **more}
    made: str = api.ok("POST", "/sessions", body)["id"]
    return made


def dataset_of(api: Api, session: str, name: str = "trials.table.pqt") -> str:
    made: str = api.ok("POST", "/datasets", {"session": session, "name": name})["id"]
    return made


def publish(api: Api, session: str, **more: Any) -> None:
    api.ok("PATCH", f"/sessions/{session}", {"public": True, **more}, user=MANAGER)


def release(api: Api, dataset: str, tag: str = "paper") -> None:
    if api("GET", f"/tags/{tag}").status == 404:
        api.ok("POST", "/tags", {"name": tag, "public": True}, user=MANAGER)
    api.ok("PATCH", f"/datasets/{dataset}", {"tags": [tag]}, user=MANAGER)


def ids(api: Api, path: str, user: str | None) -> set[str]:
    return {row["id"] for row in api.ok("GET", path, user=user)["results"]}


def test_an_embargoed_session_is_public_nowhere(api: Api, eid: str, bucket: str) -> None:
    # Given a session that is marked public, under embargo
    api.ok(**register(api, "alf/trials.table.pqt"))
    bring(api, eid)
    publish(api, eid, embargo_until="2099-01-01")
    # Then a member is told that its dataset is not public
    (row,) = api.ok("GET", f"/datasets?session={eid}")["results"]
    assert row["public"] == 0
    assert api.ok("GET", "/datasets?public=True")["count"] == 0
    assert api.ok("GET", "/datasets?public=False")["count"] == 1
    # and the public finds nothing of it, in any way
    for user in PUBLIC:
        assert api("GET", f"/sessions/{eid}", user=user).status == 404
        assert api("GET", f"/datasets/{row['id']}", user=user).status == 404
        assert ids(api, "/sessions", user) == ids(api, "/datasets", user) == set()
    address = row["file_records"][0]["data_url"].removeprefix("http://fornix.test")
    assert api("GET", address, user=None).status == 401
    catalog.write_snapshot()
    cache_tables.build()
    about = cache_tables.info("public")
    assert about
    assert [table["nrecs"] for table in about["tables"].values()] == [0, 0]


@pytest.mark.parametrize(
    ("zone", "opens"),
    [("UTC", "2026-03-02T00:00:00Z"), ("America/New_York", "2026-03-02T05:00:00Z")],
)
def test_an_embargo_ends_for_everything_at_the_same_second(
    api: Api,
    eid: str,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    zone: str,
    opens: str,
) -> None:
    api.ok("PATCH", "/labs/fimbrialab", {"timezone": zone}, user="admin")
    api.ok(**register(api, "alf/trials.table.pqt"))
    bring(api, eid)
    publish(api, eid, embargo_until="2026-03-02")
    (row,) = api.ok("GET", f"/datasets?session={eid}")["results"]
    address = row["file_records"][0]["data_url"].removeprefix("http://fornix.test")
    at = datetime.fromisoformat(opens)
    for now, seen in ((at - timedelta(seconds=1), False), (at, True)):
        monkeypatch.setattr("shared.model.moment.now", lambda now=now: now)
        assert (api("GET", f"/sessions/{eid}", user=None).status == 200) is seen
        assert ids(api, "/sessions", None) == ({eid} if seen else set())
        assert ids(api, "/datasets", None) == ({row["id"]} if seen else set())
        assert (api("GET", address, user=None).status == 302) is seen
        assert api.ok("GET", f"/datasets/{row['id']}")["public"] == int(seen)
        cache_tables.build()
        about = cache_tables.info("public")
        assert about
        assert about["tables"]["sessions"]["nrecs"] == int(seen)


def test_a_public_release_is_the_same_for_api_downloads_and_cache_tables(
    api: Api, eid: str, bucket: str
) -> None:
    # Given a private session with two datasets, of which one is in a public release
    api.ok(**register(api, "alf/trials.table.pqt"))
    bring(api, eid)
    hidden = dataset_of(api, eid, "spikes.times.npy")
    api.ok("PATCH", f"/sessions/{eid}", {"narrative": "a secret", "json": {"a": 1}})
    api.ok("POST", "/notes", {"content_type": "session", "object_id": eid, "text": "secret"})
    api.ok("POST", "/insertions", {"session": eid, "name": "probe00"})
    rows = api.ok("GET", f"/datasets?session={eid}&name=trials.table.pqt")["results"]
    (released,) = (row["id"] for row in rows)
    release(api, released)
    catalog.write_snapshot()
    cache_tables.build()
    for user in PUBLIC:
        # Then anybody sees that dataset and no other
        assert ids(api, "/datasets", user) == {released}
        assert api("GET", f"/datasets/{hidden}", user=user).status == 404
        # and of the session what identifies it, with that dataset
        shown = api.ok("GET", f"/sessions/{eid}", user=user)
        assert shown["subject"] == "FI_001"
        assert [d["id"] for d in shown["data_dataset_session_related"]] == [released]
        assert (shown["narrative"], shown["json"]) == ("", {})
        assert shown["notes"] == shown["probe_insertion"] == shown["users"] == []
        assert ids(api, "/sessions", user) == ids(api, "/sessions?tag=paper", user) == {eid}
        # which is not found by what is not shown
        for query in (
            "django=narrative__icontains,secret",
            "django=id," + eid,
            "json=a,1",
            "users=fimbrialab_member",
            "procedures=x",
        ):
            assert ids(api, f"/sessions?{query}", user) == set(), query
        assert ids(api, f"/insertions?session={eid}", user) == set()
        assert ids(api, "/insertions?django=session__narrative,a secret", user) == set()
    # and both of the public's cache tables hold just that.
    for scope in ("public", "tag/paper"):
        about = cache_tables.info(scope)
        assert about
        assert {name: each["nrecs"] for name, each in about["tables"].items()} == {
            "sessions": 1,
            "datasets": 1,
        }


def test_what_is_withdrawn_is_withdrawn_for_page_tokens_too(api: Api) -> None:
    # Given a visitor with the first of two pages, by session, by release
    sessions = [private_session(api, number=n) for n in range(1, 4)]
    datasets = [dataset_of(api, each) for each in sessions]
    for each in sessions[:2]:
        publish(api, each)
    release(api, datasets[2])
    first = {
        path: api.ok("GET", f"/{path}?limit=1", user=None) for path in ("sessions", "datasets")
    }
    assert [page["count"] for page in first.values()] == [3, 3]
    # When they are withdrawn
    for each in sessions:
        api.ok("PATCH", f"/sessions/{each}", {"public": False}, user=MANAGER)
    api.ok("PATCH", f"/datasets/{datasets[2]}", {"tags": []}, user=MANAGER)
    # Then the next page, of the moment of the first, shows nothing of them.
    for page in first.values():
        following = page["next"].removeprefix("http://fornix.test")
        assert api.ok("GET", following, user=None)["results"] == []
        assert api.ok("GET", following, user=None)["count"] == 0


def test_a_page_token_shows_nothing_of_the_time_before_something_was_published(api: Api) -> None:
    # Given a token of a moment at which sessions and datasets are private, with what they say then
    for number in (8, 9):
        publish(api, private_session(api, number=number))
    hidden = [private_session(api, number=number) for number in (1, 2)]
    datasets = [dataset_of(api, each) for each in hidden]
    for each in hidden:
        api.ok("PATCH", f"/sessions/{each}", {"task_protocol": "a secret"}, user=MANAGER)
    first = api.ok("GET", "/sessions?limit=1", user=None)
    assert first["count"] == 2
    # When they are made fit to be seen and published, one by itself, one by a release
    for each in hidden:
        api.ok("PATCH", f"/sessions/{each}", {"task_protocol": "plain"}, user=MANAGER)
    publish(api, hidden[0])
    release(api, datasets[1])
    assert len(ids(api, "/sessions", None)) == 4
    # Then the pages of that moment show neither, and go on counting what they counted
    for limit in (1, 10):
        page = (
            first["next"].removeprefix("http://fornix.test").replace("limit=1", f"limit={limit}")
        )
        shown = api.ok("GET", page, user=None)
        assert shown["count"] == 2
        assert b"a secret" not in api("GET", page, user=None).raw


def test_the_embargo_of_another_zone_does_not_open_a_session_early(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.ok("PATCH", "/labs/fimbrialab", {"timezone": "America/Los_Angeles"}, user="admin")
    api.ok("PATCH", "/labs/septumlab", {"timezone": "Asia/Tokyo"}, user="admin")
    west = private_session(api)
    east = api.ok(
        "POST",
        "/sessions",
        {"subject": "SE_001", "start_time": "2024-07-02T10:00:00"},
        user="septumlab_member",
    )["id"]
    publish(api, west, embargo_until="2026-03-02")
    body = {"public": True, "embargo_until": "2026-03-02"}
    api.ok("PATCH", f"/sessions/{east}", body, user="septumlab_manager")
    assert ids(api, "/sessions", MANAGER) == {west, east}  # all is read before clocks go back
    at = datetime(2026, 3, 1, 20, tzinfo=UTC)  # the 2nd in Tokyo, noon of the 1st in California
    monkeypatch.setattr("shared.model.moment.now", lambda: at)
    assert ids(api, "/sessions", None) == {east}
