"""``fornix datajoint sync`` by the feed of changes: what it asks, deletes, and is killed at."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pymysql", reason="the extra [datajoint] is not installed")

from lab.client import Client, Settings
from lab.exports.datajoint.database import Database
from lab.exports.datajoint.follow import follow
from lab.transfer.upload import Transfer
from tests.exports import databases, sessions
from tests.flow import DATE, LAB, SESSION, SUBJECT, System

pytestmark = pytest.mark.integration

OTHER = "FI_002"


class Asking(Client):
    """A client whose requests are noted."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.asked: list[str] = []

    def get(self, path: str, **query: Any) -> Any:
        self.asked.append(path)
        return super().get(path, **query)


class Following:
    """A system with two mice in it, and tables that follow it."""

    def __init__(self, system: System, database: Database, root: Path) -> None:
        self.system, self.database, self.root = system, database, root
        self.member, self.admin = system.client("member"), system.client_of("admin")
        self.admin.post("/subjects", {"nickname": OTHER, "lab": LAB})
        for subject in (SUBJECT, OTHER):
            self.record(subject, seed=len(subject))
        self.client = Asking(system.client("member").settings)

    def record(self, subject: str, seed: int) -> None:
        folder = sessions.make(self.root / subject, n=8, seed=seed)
        about = SESSION | {"subject": subject, "start_time": f"{DATE}T10:30:00"}
        paths = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
        assert Transfer(self.member, folder).upload(about, sorted(paths)).state == "registered"

    def step(self) -> dict[str, str]:
        """Follow once; return what was done by mouse, without those that were as they are."""
        self.client.asked.clear()
        steps = follow(self.database, self.client, self.root / "cache")
        return {one.subject: one.did for one in steps if one.did != "unchanged"}


@pytest.fixture
def following(system, tmp_path, tmp_path_factory):
    with (
        databases.running(tmp_path_factory.mktemp("mariadb") / "db") as server,
        Database(server.account()) as database,
    ):
        yield Following(system, database, tmp_path)


def test_only_what_the_feed_names_is_asked_for_and_a_killed_run_goes_on(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert following.step() == {SUBJECT: "written", OTHER: "written"}
    # Given a place that nothing before it reaches into
    monkeypatch.setattr("shared.records.feed.OVERLAP", timedelta(0))
    following.step()
    assert following.step() == {}
    assert following.client.asked == ["/changes/subjects"]
    # When one mouse is weighed, only lists of that mouse are read
    url = following.member.post(
        "/weighings", {"subject": OTHER, "date_time": f"{DATE}T09:00:00", "weight": 22.5}
    )["url"]
    assert following.step() == {OTHER: "written"}
    lists = ("labs", "subjects", "sessions", "datasets", "weighings")
    lists += ("water-administrations", "water-restriction")
    assert following.client.asked[:8] == ["/changes/subjects", *(f"/{name}" for name in lists)]
    # and killed while it writes, the next run is told the same
    following.member.patch(f"/weighings/{url[-36:]}", {"weight": 23.5})
    with monkeypatch.context() as patch:
        patch.setattr(Database, "_write", _killed)
        with pytest.raises(KeyboardInterrupt):
            following.step()
    assert following.step() == {OTHER: "written"}
    assert [row[2] for row in following.database.read("Weighing")] == [23.5]
    # What is deleted goes: a weight, a session, and with its last session the mouse
    following.admin.request("DELETE", f"/weighings/{url[-36:]}")
    assert following.step() == {OTHER: "written"}
    assert following.database.counts()["ibl_action.Weighing"] == 0
    (eid,) = (row["id"] for row in following.member.get("/sessions", subject=OTHER)["results"])
    following.admin.request("DELETE", f"/sessions/{eid}")
    assert list(following.step().values()) == ["removed"]
    assert following.database.counts()["ibl_acquisition.Session"] == 1
    assert following.step() == {}


def _killed(self: Database, cursor: Any, table: Any, rows: Any) -> None:
    if table.name == "Weighing":
        raise KeyboardInterrupt
