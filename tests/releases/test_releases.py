"""A tag becomes a release: fixed, versioned, published, withdrawn; through API, S3 and pages."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import requests

from functions.analysis.handler import act
from lab.client import Conflicting, RequestRefused
from shared.records import objects
from shared.releases.manifest import decode_manifest
from tests.flow import LAB
from tests.releases.conftest import TAG, Published


def anonymous(published: Published, path: str, **more: Any) -> requests.Response:
    return requests.get(f"{published.system.url}{path}", timeout=10, **more)


def manifest_of(published: Published, version: int = 1) -> Any:
    record = published.member.get(f"/releases/{TAG}/{version}")
    data = requests.get(
        record["manifest_url"],
        headers={"Authorization": f"Token {published.member.login()}"},
        timeout=10,
    ).content
    return decode_manifest(data, record["manifest"])


def test_a_tag_becomes_a_release_that_tells_of_every_file(published: Published) -> None:
    record = published.create()

    assert (record["name"], record["version"], record["state"]) == (TAG, 1, "created")
    assert (record["n_files"], record["n_sessions"], record["labs"]) == (8, 2, [LAB])
    manifest = manifest_of(published)
    for folder, session in zip(published.folders, manifest.sessions, strict=True):
        assert session.folder in folder.as_posix()
        files = {f.path: f for f in manifest.files if f.session == session.id}
        for path, file in files.items():
            content = (folder / path).read_bytes()
            assert (file.size, file.sha256, file.md5) == (
                len(content),
                hashlib.sha256(content).hexdigest(),
                hashlib.md5(content).hexdigest(),
            )
            assert objects.read(file.place) == content
        assert len(files) == 4


def test_the_same_once_more_is_no_new_version_and_new_content_is_one(
    published: Published,
) -> None:
    first = published.create()
    again = published.create()
    # Given a tag of its own for another release of the same files
    published.tag("other", published.eids[:1])
    same = published.create()
    assert (first["made"], again["made"], same["made"]) == (True, False, False)
    assert again["manifest"] == first["manifest"]
    more = published.create(terms={"title": "Another title"})

    assert (more["version"], more["made"]) == (2, True)
    assert manifest_of(published, 1).terms.title == "Mice that decide"
    assert manifest_of(published, 2).previous == 1
    listed = published.member.get(f"/releases/{TAG}")
    assert [one["version"] for one in listed["results"]] == [1, 2]
    assert published.member.get(f"/releases/{TAG}/latest")["version"] == 2


def test_nobody_sees_a_release_before_it_is_published_and_everybody_after(
    published: Published,
) -> None:
    published.create()
    file = manifest_of(published).files[0]
    for path in (f"/releases/{TAG}", f"/releases/{TAG}/1", f"/releases/{TAG}/1/manifest.json"):
        assert anonymous(published, path).status_code == 404
    assert anonymous(published, "/releases").json()["count"] == 0
    assert anonymous(published, f"/{file.place}").status_code == 401

    published.publish()

    shown = anonymous(published, f"/releases/{TAG}/latest").json()
    assert (shown["state"], shown["created_by"]) == ("published", "")
    data = anonymous(published, f"/releases/{TAG}/1/manifest.json").content
    assert hashlib.sha256(data).hexdigest() == shown["manifest"]
    content = anonymous(published, f"/{file.place.replace('#', '%23')}").content
    assert hashlib.sha256(content).hexdigest() == file.sha256
    datacite = anonymous(published, f"/releases/{TAG}/1/datacite.json").json()
    assert datacite["titles"] == [{"title": "Mice that decide"}]
    assert anonymous(published, f"/releases/{TAG}/1/secrets.json").status_code == 404
    # and publishing again changes nothing
    assert published.publish()["published"] == shown["published"]


def test_a_release_is_published_only_as_it_was_made(published: Published) -> None:
    published.create()
    published.more()
    with pytest.raises(Conflicting, match="create a new version"):
        published.publish()
    assert published.create()["version"] == 2
    published.publish(version=2)


def test_withdrawn_files_leave_tombstones_and_are_public_no_more(published: Published) -> None:
    published.create()
    published.publish()
    file = manifest_of(published).files[0]

    done = published.manager.post(
        f"/releases/{TAG}/1/withdraw", {"datasets": [file.id], "reason": "Wrong mouse."}
    )

    (stone,) = done["tombstones"]
    assert (stone["dataset"], stone["reason"], stone["by"]) == (
        file.id,
        "Wrong mouse.",
        f"{LAB}_manager",
    )
    assert anonymous(published, f"/releases/{TAG}/1").json()["tombstones"][0]["by"] == ""
    assert anonymous(published, f"/{file.place}").status_code == 401
    assert anonymous(published, f"/{manifest_of(published).files[1].place}").status_code == 200
    unknown = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(RequestRefused, match="no dataset"):
        published.manager.post(
            f"/releases/{TAG}/1/withdraw", {"datasets": [unknown], "reason": "?"}
        )


def test_a_withdrawn_version_keeps_its_tombstone_alone(published: Published) -> None:
    published.create()
    published.publish()
    file = manifest_of(published).files[0]

    published.manager.post(f"/releases/{TAG}/1/withdraw", {"reason": "Consent was withdrawn."})

    assert anonymous(published, f"/releases/{TAG}/1").json()["state"] == "withdrawn"
    gone = anonymous(published, f"/releases/{TAG}/1/manifest.json")
    assert (gone.status_code, "Consent" in gone.json()["detail"]) == (410, True)
    assert anonymous(published, f"/{file.place}").status_code == 401
    assert anonymous(published, f"/releases/{TAG}/latest").status_code == 404
    with pytest.raises(Conflicting, match="withdrawn"):
        published.publish()


BAD = [
    ({"tag": "nothing"}, "does not exist"),
    ({"tag": TAG, "name": "../up"}, "no name of a release"),
    ({"tag": TAG, "name": "a" * 65}, "no name of a release"),
    ({"tag": TAG, "title": "x"}, "no such field"),
    ({"tag": TAG, "terms": {"creators": ["Ada"]}}, "Expected"),
    ({"tag": 5}, "Expected"),
    ({}, "required"),
]


def test_a_bad_request_is_told_what_is_wrong_and_a_dry_run_counts(published: Published) -> None:
    for body, words in BAD:
        with pytest.raises(RequestRefused, match=words):
            published.manager.post("/releases", body)
    for role in ("member", "rig", "worker"):
        with pytest.raises(RequestRefused, match=r"(?i)permission|managers"):
            published.system.client(role).post("/releases", {"tag": TAG})
    found = published.create(dry_run=True)
    assert (found["n_files"], found["n_sessions"]) == (8, 2)
    assert published.manager.get("/releases")["count"] == 0
    published.create()
    with pytest.raises(RequestRefused, match=r"(?i)permission|managers"):
        published.member.post(f"/releases/{TAG}/1/publish")
    row = published.member.get("/datasets", session=published.eids[0])["results"][0]
    with pytest.raises(RequestRefused, match="protected"):
        published.manager.request("DELETE", f"/datasets/{row['id']}")


def test_a_published_release_has_a_page_that_machines_read(
    published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = published.system.flow
    site = f"{flow.bucket}-site"
    flow.s3.create_bucket(Bucket=site)
    monkeypatch.setenv("FORNIX_SITE_BUCKET", site)
    monkeypatch.setenv("FORNIX_SITE_URL", "https://site.example.org")
    published.create(terms={"title": "</script><b>&", "description": "<i>short</i>"})
    published.publish()
    published.manager.patch(f"/releases/{TAG}/1", {"doi": "10.1234/fornix.1"})
    for message in flow.messages("analysis"):
        if message["kind"] == "release.changed":
            act(message, None)

    def page(key: str) -> str:
        return flow.s3.get_object(Bucket=site, Key=key)["Body"].read().decode()

    assert f"releases/{TAG}-1.html" in page("releases.html")
    text = page(f"releases/{TAG}-1.html")
    assert "<b>&" not in text.replace("&amp;", "")
    assert "10.1234/fornix.1" in text
    described = json.loads(text.partition('ld+json">')[2].partition("</script>")[0])
    assert described["@type"] == "Dataset"
    assert described["name"] == "</script><b>&"
    assert 50 <= len(described["description"]) <= 5000
    crate = json.loads(page(f"data/releases/{TAG}/1/ro-crate-metadata.json"))
    assert len([e for e in crate["@graph"] if e["@type"] == "File"]) == 8
    # When it is withdrawn, the page is its tombstone
    published.manager.post(f"/releases/{TAG}/1/withdraw", {"reason": "Consent."})
    act({"kind": "release.changed", "name": TAG}, None)
    text = page(f"releases/{TAG}-1.html")
    assert "Withdrawn" in text
    assert "ld+json" not in text
    names = flow.s3.list_objects_v2(Bucket=site, Prefix="data/releases/")
    assert names["KeyCount"] == 0
