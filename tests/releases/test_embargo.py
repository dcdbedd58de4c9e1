"""Who sees what from which second on: embargoes of all holders, and reviewers' addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests
from click import ClickException

from functions.analysis import releases as pages
from functions.analysis import sql as site_tables
from functions.analysis.records import Records
from lab.client import Client, ClientError, RecordMissing, RequestRefused
from lab.commands.publish import find_sessions
from lab.exports.datajoint.served import served_subjects
from lab.releases.mirror import mirror_server
from lab.releases.remote import ReleaseServer, find_release, parse_address
from lab.releases.verify import verify_server
from shared import catalog
from shared.catalog import cache_tables
from shared.records import documents
from shared.results import sql
from shared.results.render import SiteSettings
from shared.results.source import is_visible
from shared.results.store import FolderStore
from tests.flow import LAB, SUBJECT
from tests.releases.conftest import TAG, Published

pytestmark = pytest.mark.integration

PROJECT = "embargoed"
SECOND = timedelta(seconds=1)


class Clock:
    """The moment that everything goes by; it only goes forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch
        self.today = datetime.now(UTC).date()
        self.days = 1

    def next_day(self) -> str:
        """Return a day that has not begun yet."""
        self.days += 2
        return (self.today + timedelta(days=self.days)).isoformat()

    def around(self, day: str, zone: str) -> Iterator[tuple[datetime, bool]]:
        """Set the moment to the second before a day begins in a zone, and to when it does."""
        begins = datetime.combine(datetime.fromisoformat(day), time(), ZoneInfo(zone))
        for at, seen in ((begins - SECOND, False), (begins, True)):
            self.patch.setattr("shared.model.moment.now", lambda at=at: at.astimezone(UTC))
            yield at, seen


def status(published: Published, path: str) -> int:
    return requests.get(f"{published.system.url}{path}", timeout=10).status_code


def everybody(published: Published) -> Client:
    """Return a client with the account that is published for everybody."""
    body = {"username": "everybody", "role": "member", "lab": [], "is_active": True}
    documents.create("user", "everybody", body | {"is_public_user": True}, who="test")
    found: Client = published.system.client_of("everybody")
    return found


def exported(anybody: Client, eid: str, cache: Path) -> dict[str, bool]:
    """Return which exports find a session: NWB by its name, DataJoint and SQL by its animal."""
    name = f"{SUBJECT}/2024-07-01/001"
    try:
        named = [one["id"] for one in find_sessions(anybody, name)]
    except ClickException:
        named = []
    animals = served_subjects(anybody, cache)
    rows = {session["id"] for animal in animals for session in animal.sessions}
    return {"NWB": eid in named, "DataJoint": eid in rows}


def seen_by_anybody(
    published: Published, eid: str, at: datetime, store: FolderStore
) -> dict[str, bool]:
    """Return by which ways anybody sees a session."""
    row = published.member.get("/datasets", session=eid)["results"][0]
    address = row["file_records"][0]["data_url"].removeprefix(published.system.url)
    url = published.system.url
    listed = requests.get(f"{url}/sessions?subject={SUBJECT}", timeout=10).json()
    catalog.start_request()
    cache_tables.build()
    tables: Any = cache_tables.info("public")
    records = Records(published.system.flow.bucket, {})
    sessions = {one.id: one for one in records.sessions(SUBJECT)}
    site_tables.refresh(records, store, [SUBJECT], at)
    return {
        "detail": status(published, f"/sessions/{eid}") == 200,
        "list": eid in {one["id"] for one in listed["results"]},
        "dataset": status(published, f"/datasets/{row['id']}") == 200,
        "bytes": status(published, address) == 200,
        "said to members": bool(published.member.get(f"/datasets/{row['id']}")["public"]),
        "tables": tables["tables"]["sessions"]["nrecs"] == 1,
        "site": is_visible(sessions[eid], at),
        "SQL": any(eid in one.sessions for one in sql.index(store).subjects.values()),
    }


def test_an_embargo_of_session_subject_or_project_ends_at_the_second_for_everything(
    published: Published, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    eid, store = published.eids[0], FolderStore(tmp_path / "site")
    anybody = everybody(published)
    manager, admin = published.manager, published.system.client_of("admin")
    admin.post("/projects", {"name": PROJECT})
    manager.patch(f"/sessions/{eid}", {"public": True, "projects": [PROJECT]})
    holders = (f"/sessions/{eid}", f"/subjects/{SUBJECT}", f"/projects/{PROJECT}")
    clock = Clock(monkeypatch)
    for zone in ("UTC", "America/New_York"):
        admin.patch(f"/labs/{LAB}", {"timezone": zone})
        for holder in holders:
            day = clock.next_day()
            manager.patch(holder, {"embargo_until": day})
            for at, seen in clock.around(day, zone):
                found = seen_by_anybody(published, eid, at, store)
                found |= exported(anybody, eid, tmp_path)
                assert found == dict.fromkeys(found, seen), (zone, holder, at)
    # The last of several days counts
    first, last = clock.next_day(), clock.next_day()
    manager.patch(holders[0], {"embargo_until": last})
    manager.patch(holders[1], {"embargo_until": first})
    for at, seen in clock.around(last, zone):
        assert seen_by_anybody(published, eid, at, store)["bytes"] is seen
    # and a member may not end one
    for holder in holders[1:]:
        with pytest.raises(RequestRefused, match=r"embargo_until|permission"):
            published.member.patch(holder, {"embargo_until": None})


def test_an_embargo_of_a_release_ends_at_the_second_for_everything(
    published: Published, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    admin = published.system.client_of("admin")
    published.create()
    manifest = find_and_read(published)
    file = manifest.files[0]
    anybody = ReleaseServer(published.system.url)
    store = FolderStore(tmp_path / "site")
    clock = Clock(monkeypatch)
    for zone in ("UTC", "Asia/Tokyo"):
        admin.patch(f"/labs/{LAB}", {"timezone": zone})
        day = clock.next_day()
        published.publish(embargo_until=day)
        for at, seen in clock.around(day, zone):
            catalog.start_request()
            cache_tables.build()
            tables: Any = cache_tables.info("public")
            found = {
                "record": status(published, f"/releases/{TAG}/1") == 200,
                "list": bool(
                    requests.get(f"{published.system.url}/releases", timeout=10).json()["count"]
                ),
                "manifest": status(published, f"/releases/{TAG}/1/manifest.json") == 200,
                "bytes": status(published, f"/{file.place}") == 200,
                "tables of the tag": status(published, f"/cache/info/{TAG}") == 200,
                "tables": tables["tables"]["datasets"]["nrecs"] == 8,
                "pages": pages.refresh(store, SiteSettings())["shown"] == 1,
                "zip, load, verify": found_by_anybody(published),
                "mirror": bool(list(mirror_server(anybody, tmp_path / zone.replace("/", "-")))),
            }
            assert found == dict.fromkeys(found, seen), (zone, at)
    with pytest.raises(RequestRefused, match="no day"):
        published.publish(embargo_until="soon")


def found_by_anybody(published: Published) -> bool:
    """Return whether commands without an account find the release by its address."""
    try:
        ReleaseServer(published.system.url).record(TAG)
    except RecordMissing:
        return False
    return True


def find_and_read(published: Published) -> Any:
    server = ReleaseServer(published.system.url, published.member.login())
    return server.manifest(server.record(TAG))


def test_reviewers_see_a_release_for_a_time_and_no_more_than_it(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a release of the first session alone, that nobody else sees
    published.tag("other", published.eids[1:])
    published.create()
    published.manager.post("/releases", {"tag": "other"})
    made = published.manager.post(
        f"/releases/{TAG}/1/reviewers", {"days": 7, "note": "Reviewer 2"}
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    monkeypatch.delenv("FORNIX_API_URL")
    # Then its address opens all of it, without an account
    assert parse_address(made["url"]) == (published.system.url, TAG, "1")
    server, record = find_release(made["url"])
    assert verify_server(server, record).faults == []
    # but no other release, session or list
    assert [one.key for one in server.releases()] == [f"{TAG}@1"]
    with pytest.raises(RecordMissing):
        server.record("other")
    token = server.grant or ""
    url = published.system.url
    for path in (f"/sessions/{published.eids[0]}", f"/releases/{TAG}/1"):
        wrong = token[:-2] + ("aa" if token[-2:] != "aa" else "bb")
        assert requests.get(f"{url}{path}?review={wrong}", timeout=10).status_code == 404
    assert (
        requests.get(f"{url}/sessions/{published.eids[0]}?review={token}", timeout=10).status_code
        != 200
    )
    # and the list of addresses has no secret
    (row,) = published.manager.get(f"/releases/{TAG}/1/reviewers")["results"]
    assert (row["id"], row["note"]) == (made["id"], "Reviewer 2")
    assert token.partition(".")[2] not in str(row)
    with pytest.raises(RequestRefused, match=r"(?i)permission|managers"):
        published.member.get(f"/releases/{TAG}/1/reviewers")
    # until the second at which it expires
    expires = datetime.fromisoformat(made["expires"])
    for at, seen in ((expires - SECOND, True), (expires, False)):
        with monkeypatch.context() as patch:
            patch.setattr("shared.model.moment.now", lambda at=at: at)
            assert (status(published, f"/releases/{TAG}/1?review={token}") == 200) is seen
    # or it is revoked
    published.manager.request("DELETE", f"/releases/{TAG}/1/reviewers/{made['id']}")
    with pytest.raises(ClientError):
        find_release(made["url"])
    file = find_and_read(published).files[0]
    assert status(published, f"/{file.place}?review={token}") == 401
    for body, words in (
        ({"days": 0}, "1 to 366"),
        ({"days": 400}, "1 to 366"),
        ({"x": 1}, "field"),
    ):
        with pytest.raises(RequestRefused, match=words):
            published.manager.post(f"/releases/{TAG}/1/reviewers", body)
    assert re.fullmatch(r"[0-9a-f]{16}", made["id"])
