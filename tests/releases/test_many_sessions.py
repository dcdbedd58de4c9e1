"""Releases of more sessions than one request reads: in parts, restartable, all or nothing."""

from __future__ import annotations

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from lab.releases.stepwise import until_done
from shared.datasets import register
from shared.model.prefixes import GATHERED
from shared.publishing import gather, store
from shared.records import objects
from shared.records.items import Dataset
from shared.sessions import contents
from shared.sessions import store as sessions
from tests.flow import LAB, SUBJECT, System
from tests.releases.conftest import TAG, TERMS, Published

BODY = {"tag": TAG, "name": TAG, "terms": TERMS}


@pytest.fixture
def one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request reads one session, and takes a tag from three datasets."""
    monkeypatch.setattr(gather, "PER_REQUEST", 1)
    monkeypatch.setattr(store, "UNTAGGED", 3)


def read_sessions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which each session is added that is read for a release."""
    read: list[str] = []

    def counted(eid: str, **more: Any) -> Any:
        read.append(eid)
        return contents.session_and_datasets(eid, **more)

    monkeypatch.setattr(gather, "session_and_datasets", counted)
    return read


def answers(published: Published, path: str, body: Any) -> list[Any]:
    """Ask until it is done, as the command does; return all answers."""
    told: list[str] = []
    last = until_done(published.manager, path, body, told.append)
    return [*told, last]


def test_a_large_tag_is_read_in_parts_and_nothing_is_seen_before_the_last(
    published: Published, one_each: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.more()
    read = read_sessions(monkeypatch)
    first = published.manager.post("/releases", BODY)
    assert first == {"done": 1, "of": 3}
    assert published.manager.get("/releases")["count"] == 0
    assert published.system.flow.keys("releases/") == []

    *told, made = answers(published, "/releases", BODY)

    assert told == ["2 of 3 sessions read"]
    assert (made["n_sessions"], made["n_files"], made["made"]) == (3, 12, True)
    assert sorted(read) == sorted(published.eids)
    assert len(published.system.flow.keys("releases/")) == 1
    # and publishing reads nothing again that is as it was
    (shown,) = answers(published, f"/releases/{TAG}/1/publish", {})
    assert shown["state"] == "published"
    assert len(read) == 3


def test_what_changed_between_two_parts_is_read_again(
    published: Published, one_each: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.manager.post("/releases", BODY)
    read = read_sessions(monkeypatch)
    # Given that the session that was read loses a file, and another comes
    gone = min(published.eids)
    row = published.manager.get("/datasets", session=gone)["results"][0]
    published.manager.patch(f"/datasets/{row['id']}", {"tags": []})
    published.more()

    *told, made = answers(published, "/releases", BODY)

    assert (made["n_sessions"], made["n_files"], told) == (
        3,
        11,
        ["1 of 3 sessions read", "2 of 3 sessions read"],
    )
    assert sorted(read) == sorted(published.eids)
    manifest = store.manifest_of(store.find(TAG, 1))
    assert row["id"] not in {file.id for file in manifest.files}


def test_a_large_version_is_withdrawn_in_parts_while_another_stays(
    published: Published, one_each: None
) -> None:
    answers(published, "/releases", BODY)
    answers(published, f"/releases/{TAG}/1/publish", {})
    # Given a second version, with a session more
    published.more()
    answers(published, "/releases", BODY)
    answers(published, f"/releases/{TAG}/2/publish", {})

    *told, done = answers(published, f"/releases/{TAG}/2/withdraw", {"reason": "Consent."})

    assert (told, done["left"], len(done["tombstones"])) == (["1 files are left"], 0, 1)
    first, second = (store.manifest_of(store.find(TAG, version)) for version in (1, 2))
    kept = {file.id for file in first.files}
    for file in second.files:
        answer = requests.get(f"{published.system.url}/{file.place}", timeout=10)
        assert answer.status_code == (200 if file.id in kept else 401)


def test_nobody_but_a_manager_makes_the_server_read(
    published: Published, one_each: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_sessions(monkeypatch)
    for role in ("member", "rig", "worker"):
        answer = requests.post(
            f"{published.system.url}/releases",
            json=BODY,
            headers={"Authorization": f"Token {published.system.client(role).login()}"},
            timeout=10,
        )
        assert answer.status_code == 403
    assert read == []
    assert published.system.flow.keys(GATHERED) == []


SESSIONS, FACTS = 5_000, 4


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_a_release_of_five_thousand_sessions(system: System) -> None:
    """Small facts: four of a session, of which the bytes are one object's."""
    content = b"[]"
    digest = hashlib.sha256(content).hexdigest()

    def session(number: int) -> None:
        day = f"2024-{1 + number // 28 % 12:02}-{1 + number % 28:02}T10:00:00"
        made = sessions.create(
            subject=SUBJECT,
            start_time=day,
            who="tests",
            lab=LAB,
            zone="UTC",
            number=1 + number // 336,
        )
        files = [
            Dataset.of(
                made.id,
                f"alf/licks.notes{i}.json",
                file_size=len(content),
                sha256=digest,
                hash=hashlib.md5(content).hexdigest(),
                stored_in=made.key.folder,
                tags=[TAG],
            )
            for i in range(FACTS)
        ]
        register.register_datasets(made.id, files, manifest=made.id, who="tests")

    manager = system.client("manager")
    manager.post("/tags", {"name": TAG})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(session, range(SESSIONS)))
    told: list[str] = []
    began = time.monotonic()
    made = until_done(manager, "/releases", BODY, told.append)
    print(f"created in {time.monotonic() - began:.1f} s: {told}")
    assert told == ["2,000 of 5,000 sessions read", "4,000 of 5,000 sessions read"]
    assert (made["n_sessions"], made["n_files"]) == (SESSIONS, SESSIONS * FACTS)
    began = time.monotonic()
    shown = until_done(manager, f"/releases/{TAG}/1/publish", {}, told.append)
    print(f"published in {time.monotonic() - began:.1f} s")
    assert (shown["state"], len(told)) == ("published", 2)
    record = store.find(TAG, 1)
    manifest = store.manifest_of(record)
    print(f"manifest of {len(objects.read(store.manifest_key(record))):,} B")
    assert len({file.id for file in manifest.files}) == SESSIONS * FACTS
