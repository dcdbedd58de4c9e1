"""The animals of which anything changed, as the tables of DataJoint follow them."""

from __future__ import annotations

import pytest

from functions.api.routes import changes
from shared import catalog
from shared.records import feed
from tests.api.conftest import Api
from tests.api.test_changes import weigh

WHERE = "/changes/subjects"


def place(api: Api) -> str:
    found: str = api.ok("GET", WHERE)["next"]
    return found


def named(api: Api, since: str) -> set[str]:
    """Return what is told, as nicknames."""
    told = set(api.ok("GET", f"{WHERE}?since={since}")["subjects"])
    rows = api.ok("GET", "/subjects", user="admin")["results"]
    return {row["nickname"] for row in rows if row["id"] in told}


def session(api: Api, subject: str) -> str:
    body = {"subject": subject, "start_time": "2024-07-01T10:00:00", "number": 1}
    url: str = api.ok("POST", "/sessions", body, user="admin")["url"]
    return url.rpartition("/")[2]


def test_an_animal_is_named_for_whatever_is_its_own(api: Api) -> None:
    first, eid = weigh(api), session(api, "FI_001")
    begun = place(api)
    # What is written from now on is of the other animal
    weigh(api, "FI_002")
    assert "FI_002" in named(api, begun)
    for make in (
        lambda: api.ok("DELETE", f"/weighings/{first}", user="admin"),
        lambda: api.ok("PATCH", f"/sessions/{eid}", {"task_protocol": "x"}, user="admin"),
        lambda: api.ok("DELETE", f"/sessions/{eid}", user="admin"),
        lambda: api.ok("PATCH", "/subjects/FI_001", {"description": "calm"}),
        lambda: api.ok("PATCH", "/labs/septumlab", {"timezone": "Asia/Tokyo"}, user="admin"),
    ):
        begun = place(api)
        make()
        assert named(api, begun)
    assert "SE_001" in named(api, begun)


def test_of_an_animal_that_is_deleted_the_id_is_told(api: Api) -> None:
    weigh(api, "FI_002")
    gone = str(api.ok("GET", "/subjects/FI_002")["id"])
    begun = place(api)
    for row in api.ok("GET", "/weighings?nickname=FI_002")["results"]:
        api.ok("DELETE", f"/weighings/{row['id']}", user="admin")
    api.ok("DELETE", "/subjects/FI_002", user="admin")
    answer = api("GET", f"{WHERE}?since={begun}")
    # Or that all are to be compared: a process that began just now knows no former row
    assert answer.status == 410 or gone in answer.body["subjects"]


def test_a_process_that_begins_anew_names_them_from_the_feed_or_says_that_it_cannot(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = place(api)
    mine = weigh(api, "FI_002")
    # Given a process whose index knows nothing of what was before
    index = catalog.current()
    monkeypatch.setattr(type(index), "changed_since", lambda self, at, kinds: None)
    assert named(api, begun) == {"FI_002"}
    # Whose a deleted record was, an earlier entry of the feed tells
    api.ok("DELETE", f"/weighings/{mine}", user="admin")
    assert named(api, begun) == {"FI_002"}
    # and if none does, all are to be compared
    kept = [one for one in feed.since(changes.bookmark_of(begun).at) if one.row is None]
    monkeypatch.setattr(feed, "since", lambda cursor, seen=None: iter([] if seen else kept))
    assert kept
    assert api("GET", f"{WHERE}?since={begun}").status == 410


def test_who_may_not_follow_is_told_so(api: Api) -> None:
    begun = place(api)
    assert api("GET", f"{WHERE}?since=nothing").status == 400
    assert api("GET", f"{WHERE}?since={begun}", user="septumlab_member").status == 410
    assert api("GET", WHERE, user=None).status in (401, 403)
    for machine in ("fimbrialab_rig", "fimbrialab_worker"):
        assert api("GET", WHERE, user=machine).status == 403
