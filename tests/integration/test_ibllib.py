"""A lab that keeps its server: ibllib's own registration and pipeline, by a worker's account.

ibllib runs in a Python of its own (`make ibllib` installs it there).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from infra.local.seed import connect
from lab.client import Client
from tests.site.conftest import trials_of

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


def by_ibllib(cloud: Any, roles: tuple[str, ...], session: Path, home: Path) -> dict[str, Any]:
    """Return what ibllib finds with the accounts of some roles."""
    accounts = {
        role: [account["username"], account["password"]]
        for role in roles
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
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return found


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
    found = by_ibllib(cloud, ("rig", "worker"), session, home)
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


def test_brainbox_reads_the_tables_of_a_mouse(cloud: Any, tmp_path: Path) -> None:
    # Given the trials of two sessions, and a night
    mouse = "IBL_001"
    admin = connect(cloud.system.home, "admin")
    admin.post("/subjects", {"nickname": mouse, "lab": LAB})
    tables = [trials_of(120 + day, day) for day in (1, 2)]
    for day, trials in enumerate(tables, start=1):
        alf = tmp_path / "rig" / LAB / "Subjects" / mouse / f"2024-07-0{day}" / "001" / "alf"
        alf.mkdir(parents=True)
        trials.to_parquet(alf / "_ibl_trials.table.pqt")
    sent = subprocess.run(
        [sys.executable, "-m", "lab.cli", "rig", "upload", tmp_path / "rig", "--include", "alf/*"],
        env=cloud.user_env(f"{LAB}_rig"),
        capture_output=True,
        text=True,
    )
    assert sent.returncode == 0, sent.stdout + sent.stderr
    for row in admin.get("/sessions", subject=mouse)["results"]:
        change = {"task_protocol": "_iblrig_tasks_trainingChoiceWorld"}
        admin.patch(f"/sessions/{row['id']}", change)
    cloud.invoke("analysis", {"kind": "nightly"})
    # When a member loads its tables with ibllib installed
    found = by_ibllib(cloud, ("member",), tmp_path / "cache" / mouse, tmp_path / "home")
    # Then they join, brainbox computes with them, and knows when a status was reached
    assert found["first"] == {
        "date": ["2024-07-01"],
        "training_status": ["in training"],
        "session": found["sessions"][:1],
    }
    assert found["statuses"] == ["in training"]
    assert found["n_trials"] == 121 + 122
    easy = pd.concat(tables)
    contrast = easy[["contrastLeft", "contrastRight"]].max(axis=1)
    expected = (easy["feedbackType"][contrast >= 0.5] == 1).mean()
    assert found["performance"] == pytest.approx(expected)
    assert len(found["psychometric"]) == 4
    eid, sessions, days = found["criterion"]
    assert (len(eid), sessions, days) == (36, 1, 0)
