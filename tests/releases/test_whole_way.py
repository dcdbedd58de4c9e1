"""A session from the rig to a stranger's ONE: upload, tag, release, publish, page, zip, load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from functions.analysis.handler import act
from tests.flow import LAB, SUBJECT, System
from tests.releases.conftest import upload, write_session

pytestmark = pytest.mark.integration

FORNIX = Path(sys.executable).with_name("fornix")
NAME = "2026_Mice"


def fornix(env: dict[str, str], *arguments: object, code: int = 0) -> str:
    """Run a command as a user does; return what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORNIX_")}
    done = subprocess.run(
        [FORNIX, *map(str, arguments)], env=kept | env, capture_output=True, text=True
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout


def test_from_the_rig_to_a_stranger_s_one(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a session that a client uploaded, and a site
    folder = tmp_path / "rig" / LAB / "Subjects" / SUBJECT / "2024-07-01" / "001"
    written = write_session(folder)
    eid = upload(system, folder, "2024-07-01")
    site = f"{system.flow.bucket}-site"
    system.flow.s3.create_bucket(Bucket=site)
    monkeypatch.setenv("FORNIX_SITE_BUCKET", site)
    manager = system.environment("manager") | {"XDG_CONFIG_HOME": str(tmp_path / "none")}
    stranger = {"XDG_CONFIG_HOME": str(tmp_path / "none")}
    address = f"{system.url}/releases/{NAME}"
    # When it is tagged, released and published
    dry = json.loads(fornix(manager, "release", "tag", NAME, SUBJECT, "--dry-run", "--json"))
    assert (dry["datasets"], dry["done"]) == (4, False)
    assert "4 datasets of 1 sessions tagged" in fornix(manager, "release", "tag", NAME, SUBJECT)
    assert "4 datasets of 1 sessions lost" in fornix(manager, "release", "untag", NAME, SUBJECT)
    assert "0 datasets" in fornix(manager, "release", "untag", NAME, SUBJECT)
    assert "4 datasets of 1 sessions tagged" in fornix(manager, "release", "tag", NAME, SUBJECT)
    create = ("release", "create", NAME, "--title", "Mice", "--creator", "Garrett, Ada;;Fimbria")
    assert "would be made" in fornix(manager, *create, "--dry-run")
    assert "made: 2026_Mice@1, 4 files of 1 sessions" in fornix(manager, *create)
    assert "unchanged: 2026_Mice@1" in fornix(manager, *create)
    fornix(stranger, "release", "zip", address, "--out", tmp_path / "early.zip", code=1)
    assert "would be public" in fornix(manager, "release", "publish", NAME, "--dry-run")
    assert "is public now" in fornix(manager, "release", "publish", NAME, "--doi", "10.1234/a")
    # Then it has a page
    for message in system.flow.messages("analysis"):
        if message["kind"] == "release.changed":
            act(message, None)
    page = system.flow.s3.get_object(Bucket=site, Key=f"releases/{NAME}-1.html")["Body"].read()
    assert b"10.1234/a" in page
    # and anybody verifies it, takes the zip and loads it with ONE
    assert "4 files, 0 faults" in fornix(stranger, "release", "verify", address)
    quick = fornix(stranger, "release", "verify", address, "--quick", "--json")
    assert json.loads(quick)["size"] == 4
    assert json.loads(fornix(stranger, "release", "list", system.url, "--json"))[0]["name"] == NAME
    out = tmp_path / "mice.zip"
    fornix(stranger, "release", "zip", address, "--out", out)
    assert "0 faults" in fornix(stranger, "release", "verify", out, "--against", address)
    with zipfile.ZipFile(out) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert fornix(stranger, "release", "diff", tmp_path / "unpacked", out) == ""
    loaded = load_with_one(tmp_path / "unpacked", eid)
    assert np.array_equal(loaded["wheel"]["position"], written["alf/_ibl_wheel.position.npy"])
    assert np.array_equal(
        loaded["trials"]["choice"], written["alf/_ibl_trials.table.pqt"]["choice"]
    )
    # When a file is withdrawn, the next zip has it no more
    row = next(
        row
        for row in system.client("manager").get("/datasets", session=eid)["results"]
        if row["name"] == "spikes.times.npy"
    )
    told = fornix(
        manager, "release", "withdraw", NAME, "--dataset", row["id"], "--reason", "Wrong probe."
    )
    assert "1 datasets of 2026_Mice@1 withdrawn" in told
    fornix(stranger, "release", "zip", address, "--out", tmp_path / "less.zip")
    with zipfile.ZipFile(tmp_path / "less.zip") as archive:
        assert not any("spikes" in name for name in archive.namelist())
    assert "0 faults" in fornix(stranger, "release", "verify", tmp_path / "less.zip")


def load_with_one(root: Path, eid: str) -> dict[str, Any]:
    """Load two objects by the real client, as anybody does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from one.api import One

        one = One(cache_dir=root, mode="local")
        return {name: one.load_object(eid, name) for name in ("trials", "wheel")}
