"""A release to strangers' tools over real sockets: mirror, verify, zip, ONE, NWB.

Run by ``make sharing``.
"""

from __future__ import annotations

import json
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pynwb = pytest.importorskip("pynwb", reason="the extra [nwb] is not installed")

from tests.exports import sessions  # noqa: E402
from tests.flow import LAB, SUBJECT, System  # noqa: E402
from tests.releases.conftest import TERMS, upload  # noqa: E402
from tests.releases.test_whole_way import fornix  # noqa: E402

pytestmark = pytest.mark.proof

NAME = "2026_Mice"
TRIALS = "alf/_ibl_trials.table.pqt"


def simulated(root: Path) -> tuple[Path, str]:
    """Write a session with behaviour, spikes, a recording, video and the board's lines."""
    folder = sessions.make(root)
    sessions.write_spikes(folder, "probe00", seed=3)
    sessions.write_recording(folder, "probe00")
    sessions.write_camera(folder)
    sessions.write_sync(folder)
    return folder, sessions.DATE


def real(root: Path, data: Path) -> tuple[Path, str]:
    """Take a session of a real rig, as an importer finds it."""
    folder = root / LAB / "Subjects" / SUBJECT / "2024-07-05" / "001"
    shutil.copytree(data / "rig_sessions" / "training_rig5.0.0", folder)
    for path in folder.rglob("*"):  # what it says of itself is another animal
        if path.name.endswith(("taskSettings.raw.json", "description.yaml")):
            path.unlink()
    return folder, "2024-07-05"


@pytest.mark.parametrize("kind", ["simulated", "real"])
def test_from_a_release_to_strangers_tools(
    kind: str, system: System, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # Given a published release
    made = (
        simulated(tmp_path / "rig")
        if kind == "simulated"
        else real(tmp_path / "rig", request.getfixturevalue("shared_data"))
    )
    folder, date = made
    eid = upload(system, folder, date)
    manager = system.client("manager")
    manager.post("/tags", {"name": NAME})
    for row in manager.get("/datasets", session=eid, limit=250)["results"]:
        manager.patch(f"/datasets/{row['id']}", {"tags": [NAME]})
    manager.post("/releases", {"tag": NAME, "name": NAME, "terms": TERMS})
    manager.post(f"/releases/{NAME}/1/publish", {})
    stranger = {"XDG_CONFIG_HOME": str(tmp_path / "none")}
    address = f"{system.url}/releases/{NAME}"
    # When a stranger mirrors it, and takes its zip
    mirror, out = tmp_path / "mirror", tmp_path / "mice.zip"
    fornix(stranger, "mirror", address, mirror)
    assert " 0 faults" in fornix(stranger, "release", "verify", mirror, "--against", address)
    fornix(stranger, "release", "zip", address, "--out", out)
    with zipfile.ZipFile(out) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert fornix(stranger, "release", "diff", mirror, tmp_path / "unpacked") == ""
    # Then ONE loads it without a word
    table = pd.read_parquet(folder / TRIALS)
    loaded = load_silently(tmp_path / "unpacked", eid)
    assert np.array_equal(loaded["choice"], table["choice"])
    # And it becomes NWB that DANDI takes, and a second run has nothing to do
    about = ("--birth-date", "2024-03-01", "--sex", "F", "--raw", "--json")
    export = ("export", "nwb", mirror, "--out", tmp_path / "dandi", *about)
    (line,) = map(json.loads, fornix(stranger, *export).splitlines())
    assert (line["did"], line["why"]) == ("written", "")
    assert len(line["files"]) == (2 if kind == "simulated" else 1)
    (again,) = map(json.loads, fornix(stranger, *export).splitlines())
    assert again["did"] == "kept"
    with pynwb.NWBHDF5IO(str(tmp_path / "dandi" / line["files"][0]), "r") as file:
        trials = file.read().trials.to_dataframe()
        np.testing.assert_array_equal(trials["feedback_time"], table["feedback_times"])
        np.testing.assert_array_equal(trials["probability_left"], table["probabilityLeft"])


def load_silently(root: Path, eid: str) -> Any:
    """Load trials by the real client, for which any warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # ONE-api 3.6.1 itself uses what pandas 3 will remove
        warnings.filterwarnings("ignore", category=pd.errors.Pandas4Warning)
        from one.api import One

        return One(cache_dir=root, mode="local").load_object(eid, "trials")
