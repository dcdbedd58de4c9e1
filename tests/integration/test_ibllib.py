"""A lab that keeps its server: ibllib's own registration and pipeline, by a worker's account.

ibllib runs in a Python of its own (`make ibllib` installs it there).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.local.seed import connect
from lab.client import Client

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv" / "ibllib" / "bin" / "python"
LAB, SUBJECT, DATE = "fimbrialab", "SYN_101", "2026-05-04"
ENDPOINT = "2b3ba0b6-5f0f-4f62-9d1d-6d8a1c0f1d11"
"""Globus endpoint of the lab's server, by which ibllib knows its data repository."""

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not PYTHON.exists(), reason="`make ibllib` installs ibllib"),
]


RIG = "_iblrig_fimbrialab_behavior_0"


def lab_as_it_is(client: Client) -> None:
    """Make the data repository of the lab's server, and its rig, as an existing lab has them."""
    server = {
        "name": f"{LAB}_server", "hostname": "server.example.org", "data_url": "",
        "globus_path": "/mnt/s0/Data/Subjects/", "globus_endpoint_id": ENDPOINT,
        "globus_is_personal": True,
    }  # fmt: skip
    client.post("/data-repository", server)
    client.patch(f"/labs/{LAB}", {"repositories": [server["name"]]})
    client.post("/locations", {"name": RIG, "lab": LAB})


def recorded(shared_data: Path, folder: Path) -> Path:
    """Return a real session of a rig, given to a mouse of the lab."""
    session = folder / "Subjects" / SUBJECT / DATE / "001"
    raw = session / "raw_behavior_data"
    shutil.copytree(shared_data / "rig_sessions/training_rig5.0.0/raw_behavior_data", raw)
    path = raw / "_iblrig_taskSettings.raw.json"
    about = {
        "SUBJECT_NAME": SUBJECT, "SESSION_DATE": DATE, "SESSION_DATETIME": f"{DATE}T12:15:18",
        "IS_MOCK": False, "PYBPOD_CREATOR": [f"{LAB}_member", "", ""], "SUBJECT_WEIGHT": 23.4,
        "PYBPOD_BOARD": RIG,
    }  # fmt: skip
    path.write_text(json.dumps(json.loads(path.read_text()) | about))
    (session / "_ibl_experiment.description.yaml").write_text(
        "version: 1.0.0\n"
        "devices: {}\n"
        "procedures: [Behavior training/tasks]\n"
        "projects: [synthetic]\n"
        "sync: {bpod: {collection: raw_behavior_data}}\n"
        "tasks:\n"
        "- _iblrig_tasks_trainingChoiceWorld: {collection: raw_behavior_data, sync_label: bpod}\n"
    )
    return session


def test_ibllib_registers_a_real_session_and_its_whole_pipeline_completes(
    cloud: Any, shared_data: Path, tmp_path: Path
) -> None:
    # Given a lab with a server of its own, and a session of a rig
    home = tmp_path / "home"
    globus = home / ".globusonline" / "lta"
    globus.mkdir(parents=True)
    (globus / "client-id.txt").write_text(ENDPOINT)
    lab_as_it_is(connect(cloud.system.home, "admin"))
    session = recorded(shared_data, tmp_path)
    # When its rig registers the session, and its server runs the pipeline as a worker
    accounts = {
        role: [account["username"], account["password"]]
        for role in ("rig", "worker")
        for account in [cloud.credentials[f"{LAB}_{role}"]]
    }
    peer = Path(__file__).with_name("ibllib_peer.py")
    done = subprocess.run(
        [PYTHON, peer, cloud.api_url, json.dumps(accounts), session],
        env={**os.environ, "HOME": str(home), "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    line = next(row for row in done.stdout.splitlines() if row.startswith("RESULT "))
    found = json.loads(line.removeprefix("RESULT "))
    # Then every task is complete
    logs = {name: log for name, (status, log) in found["tasks"].items() if status != "Complete"}
    assert not logs, json.dumps(logs, indent=1)[-6000:]
    assert any(name.startswith("TrainingStatus") for name in found["tasks"])
    # and what it made is registered, judged and known of the mouse
    assert "alf/task_00/_ibl_trials.table.pqt" in found["datasets"] or (
        "alf/_ibl_trials.table.pqt" in found["datasets"]
    )
    assert found["session"]["extended_qc"]["task"]
    assert found["session"]["n_trials"] == 12
    assert found["subject"]["json"]["trained_criteria"]
