"""Zips come back: ours with their ids, others' by their names; hostile ones not at all."""

from __future__ import annotations

import json
import os
import stat
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lab.releases.folder import folder_release
from lab.releases.unpack import HostileZip, unpack
from shared.datasets.read import datasets_of
from shared.model.release import ReleaseTerms
from shared.records import objects
from shared.releases.copy import copied_files
from shared.releases.describe import ReleaseAddresses
from shared.releases.zipped import write_zip
from shared.sessions import store as sessions
from tests.flow import LAB, SUBJECT, System
from tests.releases.conftest import write_session

FORNIX = Path(sys.executable).with_name("fornix")
WHERE = f"{LAB}/Subjects/{SUBJECT}/2024-07-01/001"


def run(system: System, tmp_path: Path, *arguments: object, code: int = 0) -> dict[str, Any]:
    from functions.api.auth import tokens

    env = os.environ | {
        "FORNIX_API_URL": system.url,
        "FORNIX_TOKEN": tokens.issue("admin"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    done = subprocess.run(
        [FORNIX, "import", *map(str, arguments), "--json"],
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout.startswith("{") else {"said": done.stderr}


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A zip of ours, of a session that the system has not."""
    write_session(tmp_path / "data" / WHERE)
    made = folder_release(tmp_path / "data", "mice", ReleaseTerms())
    return write_zip(
        copied_files(made.manifest, ReleaseAddresses()), tmp_path / "mice.zip", made.blocks
    )


@pytest.mark.integration
def test_our_zip_comes_back_with_its_ids_and_bytes(
    system: System, tmp_path: Path, ours: Path
) -> None:
    made = folder_release(tmp_path / "data", "mice", ReleaseTerms()).manifest

    run(system, tmp_path, "zip", ours, "--dry-run")
    assert sessions.find(SUBJECT, "2024-07-01", 1) is None
    run(system, tmp_path, "zip", ours)

    found = sessions.find(SUBJECT, "2024-07-01", 1)
    assert found is not None
    assert found.id == made.sessions[0].id
    stored = {item.path: item for item in datasets_of(found.id)}
    assert {path: item.uuid for path, item in stored.items()} == {
        file.path: file.id for file in made.files
    }
    for file in made.files:
        item = stored[file.path]
        assert item.sha256 == file.sha256
        assert (
            objects.read(item.stored_key or "")
            == (tmp_path / "data" / WHERE / file.path).read_bytes()
        )
    # and once more changes nothing
    again = run(system, tmp_path, "zip", ours)
    assert again["source"].startswith("zip")
    assert len(datasets_of(found.id)) == len(made.files)


@pytest.mark.integration
def test_a_copy_s_folder_is_taken_up_by_another_fornix_with_its_ids(
    system: System, tmp_path: Path, ours: Path
) -> None:
    made = folder_release(tmp_path / "data", "mice", ReleaseTerms()).manifest
    with zipfile.ZipFile(ours) as archive:
        archive.extractall(tmp_path / "mirror")

    run(system, tmp_path, "folder", tmp_path / "mirror", "--upload")

    stored = {item.path: item for item in datasets_of(made.sessions[0].id)}
    assert {path: (item.uuid, item.sha256) for path, item in stored.items()} == {
        file.path: (file.id, file.sha256) for file in made.files
    }


@pytest.mark.integration
def test_the_zip_of_others_comes_by_its_names(system: System, tmp_path: Path) -> None:
    write_session(tmp_path / "data" / WHERE)
    path = tmp_path / "theirs.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((tmp_path / "data").rglob("*")):
            archive.write(file, "deposit/" + file.relative_to(tmp_path / "data").as_posix())
        archive.writestr("deposit/read me.txt", "hello")
    report = run(system, tmp_path, "zip", path, code=1)  # one file is no dataset
    found = sessions.find(SUBJECT, "2024-07-01", 1)
    assert found is not None
    assert len(datasets_of(found.id)) == 4
    assert "read me.txt" in json.dumps(report)


def hostile(path: Path, name: str, **more: Any) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo(name)
        for key, value in more.items():
            setattr(info, key, value)
        archive.writestr(info, b"content")
    return path


NAMES = [
    "../evil.npy",
    "/etc/passwd",
    "a/../../evil.npy",
    "..\\evil.npy",
    "C:/evil.npy",
    "a//b.npy",
    "con.npy",
    "a/aux",
    "trailing./x.npy",
    "bad\x01name",
    "e\u0301.npy",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_out_or_is_none_is_refused(tmp_path: Path, name: str) -> None:
    path = hostile(tmp_path / "a.zip", name)
    with pytest.raises(HostileZip):
        unpack([path], tmp_path / "out")
    assert list((tmp_path / "out").rglob("*")) == []


def test_links_bombs_duplicates_and_overlaps_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    link = hostile(tmp_path / "link.zip", "a.b.npy", external_attr=(stat.S_IFLNK | 0o777) << 16)
    with pytest.raises(HostileZip, match="link"):
        unpack([link], out)
    # two files of one name, to some eyes
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a/spikes.times.npy", b"1")
        archive.writestr("A/Spikes.times.npy", b"2")
    with pytest.raises(HostileZip, match="Two files"):
        unpack([tmp_path / "two.zip"], out)
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        archive.writestr("a/b.c", b"1")
        archive.writestr("a/b.c/d.e", b"2")
    with pytest.raises(HostileZip, match="a file and a folder"):
        unpack([tmp_path / "both.zip"], out)
    # a file that grows a thousand times
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.of.npy", bytes(60_000_000))
    with pytest.raises(HostileZip, match="would grow"):
        unpack([tmp_path / "bomb.zip"], out)
    # two entries that share bytes
    data = bytearray(hostile(tmp_path / "one.zip", "a.b.npy").read_bytes())
    at = data.index(b"PK\x01\x02")
    entry, end = bytes(data[at : data.index(b"PK\x05\x06")]), bytearray(data[-22:])
    twice = entry.replace(b"a.b.npy", b"c.d.npy")
    struct.pack_into("<HHL", end, 8, 2, 2, 2 * len(entry))
    (tmp_path / "overlap.zip").write_bytes(bytes(data[:at]) + entry + twice + bytes(end))
    with pytest.raises(HostileZip, match="overlaps"):
        unpack([tmp_path / "overlap.zip"], out)
    assert list(out.rglob("*")) == []


def test_a_damaged_zip_leaves_no_wrong_file_and_a_good_one_goes_on(
    tmp_path: Path, ours: Path
) -> None:
    with zipfile.ZipFile(ours) as archive:
        info = archive.getinfo(f"{WHERE}/alf/probe00/spikes.times.npy")
        place = info.header_offset + 30 + len(info.filename) + 1000
    damaged = bytearray(ours.read_bytes())
    damaged[place] ^= 1
    (tmp_path / "damaged.zip").write_bytes(damaged)
    with pytest.raises(zipfile.BadZipFile):
        unpack([tmp_path / "damaged.zip"], tmp_path / "out")
    assert not list((tmp_path / "out").rglob("spikes.times.npy"))
    # Given the whole zip, only what is missing is written
    before = {p: p.stat().st_ino for p in (tmp_path / "out").rglob("*.npy")}
    unpack([ours], tmp_path / "out")
    assert all(path.stat().st_ino == inode for path, inode in before.items())
    assert list((tmp_path / "out").rglob("spikes.times.npy"))
