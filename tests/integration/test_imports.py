"""Imports into the whole system: gateway, IAM, S3 events, ingest, and ONE-api after it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]

SESSION = "importlab/Subjects/IM_001/2020-06-20/001"
DATASET = str(uuid.uuid4())


def fornix(cloud: Any, *args: Any, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as the administrator of the system."""
    return subprocess.run(
        [sys.executable, "-c", "from lab.cli import main; main()", *map(str, args)],
        env=cloud.user_env("admin") | {"HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("import") / "data"
    folder = root / SESSION / "alf" / "probe00"
    folder.mkdir(parents=True)
    np.save(folder / "spikes.times.npy", np.arange(10.0))
    np.save(folder / f"spikes.amps.{DATASET}.npy", np.ones(10))
    (folder / "._spikes.times.npy").write_bytes(b"\0\5\x16\7")
    return root


def test_a_folder_is_uploaded_and_loaded_by_one(cloud, tree, tmp_path):
    # Given a lab's folder, imported with its bytes
    home = tmp_path / "home"
    home.mkdir()
    done = fornix(cloud, "import", "folder", tree, "--upload", "--json", home=home)
    report = json.loads(done.stdout)
    assert [r["reason"][:11] for r in report["reasons"]] == ["AppleDouble"], done.stderr
    assert done.returncode == 1
    assert report["rows"]["bytes"] == {"created": 2}
    # When its user sets up ONE and loads
    done = fornix(cloud, "one-setup", home=home)
    assert done.returncode == 0, done.stderr
    code = (
        "import json; from one.api import ONE; one = ONE();"
        "eid = one.search(subject='IM_001')[0]; spikes = one.load_object(eid, 'spikes');"
        "print(json.dumps([float(spikes['times'].sum()), float(spikes['amps'].sum()),"
        " one.list_datasets(eid)]))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    # Then the bytes are those of the folder
    assert loaded.returncode == 0, loaded.stderr
    times, amps, datasets = json.loads(loaded.stdout.splitlines()[-1])
    assert (times, amps) == (45.0, 10.0)
    assert datasets == ["alf/probe00/spikes.amps.npy", "alf/probe00/spikes.times.npy"]
    # and a repeat sends nothing
    again = fornix(cloud, "import", "folder", tree, "--upload", "--json", home=home)
    rows = json.loads(again.stdout)["rows"]
    assert (rows["datasets"], rows["bytes"]) == ({"unchanged": 2}, {"unchanged": 2})
