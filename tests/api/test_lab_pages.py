"""The pages that a lab keeps to itself: who gets them, and what they are made of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from functions.analysis.bucket import Bucket
from functions.analysis.handler import handler
from shared.records import aws
from tests.api.conftest import Api

PAGES = "/lab-pages/fimbrialab"


@pytest.fixture
def site(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """The site's bucket, empty."""
    monkeypatch.setenv("FORNIX_SITE_BUCKET", "fornix-site-test")
    monkeypatch.setenv("FORNIX_SITE_URL", "http://site.test")
    client = aws.client("s3")
    client.create_bucket(Bucket="fornix-site-test")
    yield Bucket("fornix-site-test")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="fornix-site-test"):
        for item in page.get("Contents", []):
            client.delete_object(Bucket="fornix-site-test", Key=item["Key"])
    client.delete_bucket(Bucket="fornix-site-test")


def recorded(api: Api, day: str = "2024-07-01") -> str:
    """Return a session that is not public, once its analysis has run."""
    body = {"subject": "FI_001", "start_time": f"{day}T10:00:00"}
    eid: str = api.ok("POST", "/sessions", body)["id"]
    finish(eid)
    return eid


def finish(eid: str) -> None:
    handler({"kind": "session.finished", "session": eid}, None)


def publish(api: Api, eid: str, **change: object) -> None:
    api.ok("PATCH", f"/sessions/{eid}", {"public": True, **change}, user="fimbrialab_manager")
    finish(eid)


ROLES = {
    None: 401,
    "visitor": 403,
    "fimbrialab_member": 200,
    "fimbrialab_manager": 200,
    "septumlab_member": 403,
    "septumlab_manager": 403,
    "admin": 200,
    "fimbrialab_rig": 403,
    "fimbrialab_worker": 403,
}


def test_members_of_the_lab_get_its_pages_and_nobody_else(api: Api, site: Bucket) -> None:
    # Given a session that nobody published
    eid = recorded(api)
    for path in (f"sessions/{eid}.html", f"data/sessions/{eid}.json", "sessions.html"):
        found = {user: api("GET", f"{PAGES}/{path}", user=user) for user in ROLES}
        assert {user: answer.status for user, answer in found.items()} == ROLES
        # Then who is refused reads nothing of it, and is told who may
        for answer in found.values():
            if answer.status != 200:
                assert eid.encode() not in answer.raw
        told = "Members of fimbrialab and administrators may."
        assert told in found["septumlab_member"].body["detail"]
    page = api("GET", f"{PAGES}/sessions/{eid}.html")
    assert b"FI_001" in page.raw
    assert page.headers["Content-Type"].startswith("text/html")


def test_the_site_has_no_byte_of_what_is_not_public(api: Api, site: Bucket) -> None:
    eid = recorded(api)
    assert list(site.names())
    for name in site.names():
        assert eid not in name
        body, _ = site.read(name) or (b"", "")
        assert b"FI_001" not in body, name
        assert eid.encode() not in body, name


def test_what_is_published_leaves_and_what_is_withdrawn_comes_back(api: Api, site: Bucket) -> None:
    eid = recorded(api)
    path = f"sessions/{eid}.html"
    publish(api, eid)
    assert site.read(path)
    assert api("GET", f"{PAGES}/{path}").status == 404
    publish(api, eid, public=False)
    assert not site.read(path)
    assert api("GET", f"{PAGES}/{path}").status == 200
    # An embargo keeps it within the lab until its day
    publish(api, eid, embargo_until="2199-01-01")
    assert not site.read(path)
    assert api("GET", f"{PAGES}/{path}").status == 200


def test_a_mouse_is_shown_whole_while_one_of_its_sessions_is_not_public(
    api: Api, site: Bucket
) -> None:
    first, second = recorded(api, "2024-07-01"), recorded(api, "2024-07-02")
    publish(api, first)
    page = api("GET", f"{PAGES}/data/subjects/FI_001.json")
    assert {first, second} <= set(page.raw.decode().split('"'))
    public, _ = site.read("data/subjects/FI_001.json") or (b"", "")
    assert first.encode() in public
    assert second.encode() not in public


def test_the_nightly_build_finds_what_nobody_announced(api: Api, site: Bucket) -> None:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00"}
    eid = api.ok("POST", "/sessions", body)["id"]
    other = {"subject": "SE_001", "start_time": "2024-07-01T10:00:00"}
    theirs = api.ok("POST", "/sessions", other, user="septumlab_member")["id"]
    assert handler({"kind": "nightly"}, None)["problems"] == []
    assert api("GET", f"{PAGES}/sessions/{eid}.html").status == 200
    # Each lab has its own, and those alone
    assert api("GET", f"{PAGES}/sessions/{theirs}.html").status == 404
    # And what was deleted leaves with the next
    api.ok("DELETE", f"/sessions/{eid}", user="fimbrialab_manager")
    handler({"kind": "nightly"}, None)
    assert api("GET", f"{PAGES}/sessions/{eid}.html").status == 404


HOSTILE = (
    "_state/index.json",
    "../septumlab/sessions.html",
    "..%2Fseptumlab%2Fsessions.html",
    "data/spikes.times.npy",
    "sessions/none.html",
    "%0A.html",
    "sessions",
)


def test_nothing_else_of_the_bucket_can_be_read_by_the_way_of_pages(
    api: Api, site: Bucket
) -> None:
    # Given pages of both labs
    recorded(api)
    theirs = {"subject": "SE_001", "start_time": "2024-07-01T10:00:00"}
    finish(api.ok("POST", "/sessions", theirs, user="septumlab_member")["id"])
    for path in HOSTILE:
        assert api("GET", f"{PAGES}/{path}").status == 404, path


def test_an_upload_says_where_its_session_is_seen(api: Api, site: Bucket) -> None:
    eid = recorded(api)
    entry = {"path": "raw_behavior_data/a.b.npy", "size": 1, "sha256": "0" * 64}
    body = {"session": {"id": eid}, "files": [entry]}
    answer = api.ok("POST", "/uploads", body, user="fimbrialab_rig")
    assert answer["page"] == f"http://site.test/my-lab.html?at=fimbrialab/sessions/{eid}.html"
