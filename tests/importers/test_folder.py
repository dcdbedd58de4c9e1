"""Registering an ALF tree on disk, with what real trees contain beside ALF files."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import Any

import pytest

from lab.importers.carrier import Carrier
from lab.importers.folder import FolderImport, FoundSession, Stray, scan
from lab.importers.journal import Journal
from lab.importers.sessions import Repository, RepositoryTaken

NAS = Repository("nas", "https://nas.example.org/data", plain_names=True)


def put(root: Path, *paths: str) -> Path:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.encode())
    return root


def run(root: Path, fornix: Any, journal: Journal | None = None, lab: Any = None) -> Journal:
    journal = journal or Journal()
    FolderImport(root, Carrier(fornix, journal), NAS, lab).run()
    return journal


SESSION = "cortexlab/Subjects/KS022/2020-06-20/001"


def test_a_session_with_its_files(fornix, tmp_path):
    # Given a lab's folder with one session
    path = "alf/probe00/#2024-05-06#/spikes.times.npy"
    root = put(tmp_path / "data", f"{SESSION}/{path}", f"{SESSION}/alf/probe00/spikes.times.npy")
    # When it is imported
    journal = run(root, fornix)
    # Then session, lab and subject are there
    (session,) = fornix.rows["sessions"].values()
    assert (session["lab"], session["subject"], session["number"]) == ("cortexlab", "KS022", 1)
    assert session["start_time"] == "2020-06-20T00:00:00"
    assert fornix.rows["subjects"]["KS022"]["lab"] == "cortexlab"
    # and the dataset by reference, the later revision being the default
    rows = {r["revision"]: r for r in fornix.rows["datasets"].values()}
    assert rows["2024-05-06"] == {
        "session": session["id"],
        "name": "spikes.times.npy",
        "collection": "alf/probe00",
        "revision": "2024-05-06",
        "file_size": len(f"{SESSION}/{path}"),
        "hash": hashlib.md5(f"{SESSION}/{path}".encode()).hexdigest(),
        "default_dataset": True,
        "file_records": [
            {
                "data_repository": "nas",
                "relative_path": f"{SESSION}/{path}",
                "exists": True,
            }
        ],
    }
    assert rows[None]["default_dataset"] is False
    # in a repository whose files have their own names
    assert fornix.rows["data-repository"]["nas"]["json"] == {"plain_names": True}
    assert list(journal.refusals()) == []


def test_another_repository_of_that_name_is_not_used(fornix, tmp_path):
    root = put(tmp_path / "data", f"{SESSION}/alf/a.b.npy")
    fornix.rows["data-repository"] = {"nas": {"name": "nas", "data_url": NAS.url}}
    with pytest.raises(RepositoryTaken, match="UUIDs"):
        run(root, fornix)
    elsewhere = {"data_url": "https://x.org", "json": {"plain_names": True}}
    fornix.rows["data-repository"] = {"nas": elsewhere}
    with pytest.raises(RepositoryTaken, match=r"https://x\.org"):
        run(root, fornix)
    assert "sessions" not in fornix.rows


def test_ids_are_the_same_at_each_repeat(fornix, tmp_path):
    root = put(tmp_path / "data", f"{SESSION}/alf/a.b.npy", f"{SESSION}/alf/c.d.npy")
    run(root, fornix)
    first = {resource: set(rows) for resource, rows in fornix.rows.items()}
    journal = run(root, fornix)
    assert {resource: set(rows) for resource, rows in fornix.rows.items()} == first
    assert journal.tallies() == {"sessions": {"unchanged": 1}, "datasets": {"unchanged": 2}}
    (eid,) = first["sessions"]
    assert uuid.UUID(eid).version == 4


def test_a_uuid_in_the_name_is_the_datasets_id(fornix, tmp_path):
    did = str(uuid.uuid4())
    root = put(tmp_path / "data", f"{SESSION}/alf/a.b.{did}.npy")
    run(root, fornix)
    row = fornix.rows["datasets"][did]
    assert row["name"] == "a.b.npy"
    assert row["file_records"] == [
        {
            "data_repository": "nas",
            "relative_path": f"{SESSION}/alf/a.b.{did}.npy",
            "exists": True,
        }
    ]


@pytest.mark.parametrize(
    "start", ["", "cortexlab", "cortexlab/Subjects", "cortexlab/Subjects/KS022", SESSION]
)
def test_the_path_may_be_any_folder_above_a_session(fornix, tmp_path, start):
    put(tmp_path / "data", f"{SESSION}/alf/a.b.npy")
    run(tmp_path / "data" / start, fornix)
    (session,) = fornix.rows["sessions"].values()
    assert session["lab"] == "cortexlab"
    (dataset,) = fornix.rows["datasets"].values()
    path = dataset["file_records"][0]["relative_path"]
    assert f"{start}/{path}".lstrip("/") == f"{SESSION}/alf/a.b.npy"


def test_without_a_lab_in_the_path_one_must_be_given(fornix, tmp_path):
    root = put(tmp_path / "data", "KS022/2020-06-20/001/alf/a.b.npy")
    journal = run(root, fornix)
    reasons = {r["resource"]: r["reason"] for r in journal.refusals()}
    assert "give --lab" in reasons["sessions"]
    assert reasons["files"] == "its session is not carried"
    journal = run(root, fornix, lab="cortexlab")
    assert list(journal.refusals()) == []
    (dataset,) = fornix.rows["datasets"].values()
    path = "KS022/2020-06-20/001/alf/a.b.npy"
    assert dataset["file_records"][0]["relative_path"] == path


def test_what_is_not_alf_is_reported_and_the_rest_arrives(fornix, tmp_path):
    root = put(
        tmp_path / "data",
        f"{SESSION}/alf/spikes.times.npy",
        f"{SESSION}/alf/._spikes.times.npy",
        f"{SESSION}/alf/bad-name.with.dots",
        f"{SESSION}/notes.txt",
        f"{SESSION}/.DS_Store",
        f"{SESSION}/#r#/late/a.b.npy",
        "cortexlab/Subjects/KS022/2020-13-45/001/alf/a.b.npy",
        "cortexlab/Subjects/KS022/2020-06-20/1000/alf/a.b.npy",
        "cortexlab/Subjects/KS022/2020-06-20/001_old/alf/a.b.npy",
        "cortexlab/Subjects/KS022/2020-06-20/001_old/alf/c.d.npy",
        "cortexlab/Subjects/bad name/2020-06-20/001/alf/a.b.npy",
        "cortexlab/Subjects/readme.md",
    )
    journal = run(root, fornix)
    assert len(fornix.rows["sessions"]) == 1
    assert [r["name"] for r in fornix.rows["datasets"].values()] == ["spikes.times.npy"]
    told = {r["id"].removeprefix("data/"): r["reason"] for r in journal.refusals()}
    subject = "cortexlab/Subjects/KS022"
    assert "AppleDouble" in told.pop(f"{SESSION}/alf/._spikes.times.npy")
    assert "calendar" in told.pop(f"{subject}/2020-13-45/001")
    assert "digits" in told.pop(f"{subject}/2020-06-20/1000")
    assert "no session number" in told.pop(f"{subject}/2020-06-20/001_old")
    assert "subject" in told.pop("cortexlab/Subjects/bad name/2020-06-20/001")
    assert "in no session folder" in told.pop("cortexlab/Subjects/readme.md")
    assert set(told) == {
        f"{SESSION}/alf/bad-name.with.dots",
        f"{SESSION}/notes.txt",
        f"{SESSION}/#r#/late/a.b.npy",
    }
    # .DS_Store is not worth a line; each other file is counted
    assert journal.tallies()["files"] == {"not carried": 10}


def test_an_unpadded_number_is_padded_and_told(fornix, tmp_path):
    path = "cortexlab/Subjects/KS022/2020-06-20/1/alf/a.b.npy"
    journal = run(put(tmp_path / "data", path), fornix)
    (session,) = fornix.rows["sessions"].values()
    assert session["number"] == 1
    (dataset,) = fornix.rows["datasets"].values()
    assert dataset["file_records"][0]["relative_path"] == path
    assert "session folders whose number has not three digits: padded" in journal.notes()


def test_two_folders_that_are_one_session(fornix, tmp_path):
    root = put(tmp_path / "data", f"{SESSION}/alf/a.b.npy", f"{SESSION[:-3]}1/alf/a.b.npy")
    journal = run(root, fornix)
    assert len(fornix.rows["datasets"]) == 1
    assert any("two folders are one session; 001" in r["reason"] for r in journal.refusals())


def test_names_that_differ_only_in_their_uuid(fornix, tmp_path):
    names = [f"{SESSION}/alf/a.b.{uuid.uuid4()}.npy" for _ in range(2)]
    journal = run(put(tmp_path / "data", *names), fornix)
    assert len(fornix.rows["datasets"]) == 1
    (refusal,) = journal.refusals()
    assert "same name" in refusal["reason"]


def test_a_session_that_is_there_under_another_id_gets_the_files(fornix, tmp_path):
    eid = str(uuid.uuid4())
    row = {"id": eid, "subject": "KS022", "start_time": "2020-06-20T14:03:07", "number": 1}
    fornix.rows["sessions"] = {eid: row}
    journal = run(put(tmp_path / "data", f"{SESSION}/alf/a.b.npy"), fornix)
    (dataset,) = fornix.rows["datasets"].values()
    assert dataset["session"] == eid
    assert journal.tallies()["sessions"] == {"kept": 1}


def test_a_subject_of_another_lab_is_not_taken_over(fornix, tmp_path):
    fornix.rows["subjects"] = {"KS022": {"nickname": "KS022", "lab": "otherlab"}}
    journal = run(put(tmp_path / "data", f"{SESSION}/alf/a.b.npy"), fornix)
    assert "sessions" not in fornix.rows
    assert any(r["reason"] == "the subject belongs to lab otherlab" for r in journal.refusals())


def test_links_and_names_of_any_bytes(fornix, tmp_path):
    root = put(tmp_path / "data", f"{SESSION}/alf/a.b.npy", f"{SESSION}/alf/ü.b.npy")
    (root / SESSION / "loop").symlink_to(root)
    (root / SESSION / "alf" / "c.d.npy").symlink_to(root / SESSION / "alf" / "a.b.npy")
    (root / SESSION / "alf" / "dangling.link.npy").symlink_to("nowhere")
    bad = bytes(root / SESSION) + b"/alf/\xff.b.npy"
    Path(bad.decode(errors="surrogateescape")).write_bytes(b"x")
    journal = run(root, fornix)
    assert {r["name"] for r in fornix.rows["datasets"].values()} == {
        "a.b.npy",
        "c.d.npy",
        "ü.b.npy",
    }
    reasons = sorted(r["reason"].split(":")[0] for r in journal.refusals())
    assert reasons == ["a link to a folder is not followed", "object", "the file cannot be read"]


def test_a_killed_import_does_not_read_again_what_is_done(fornix, tmp_path, monkeypatch):
    subject = "cortexlab/Subjects/KS022"
    root = put(tmp_path / "data", *(f"{subject}/2020-06-{d}/001/a.b.npy" for d in range(10, 20)))
    calls = 0

    def kill(resource: str) -> None:
        nonlocal calls
        calls += resource == "datasets"
        if calls == 5 and resource == "datasets":
            raise KeyboardInterrupt

    fornix.before = kill
    journal = Journal(tmp_path / "journal.sqlite")
    with pytest.raises(KeyboardInterrupt):
        run(root, fornix, journal)
    journal.close()
    read: list[Path] = []
    monkeypatch.setattr("lab.importers.folder.md5_of", lambda p: read.append(p) or "0" * 32)
    journal = Journal(tmp_path / "journal.sqlite")
    run(root, fornix, journal)
    assert [p.parent.parent.name for p in read] == [f"2020-06-{d}" for d in range(14, 20)]
    assert len(fornix.rows["datasets"]) == 10
    journal.close()


def test_a_scan_is_in_a_fixed_order(tmp_path):
    root = put(tmp_path / "data", f"{SESSION}/c.d.npy", f"{SESSION}/a.b.npy", "stray.txt")
    found, stray = scan(root)
    assert isinstance(found, FoundSession)
    assert [f.path for f in found.files] == ["a.b.npy", "c.d.npy"]
    assert isinstance(stray, Stray)
