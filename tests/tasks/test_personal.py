"""ibllib's personal projects, unmodified, as a lab's own tasks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lab.tasks import personal
from lab.tasks.trouble import MachineTrouble
from tests.tasks.packages import installed_beside, run_task

PLUGIN = Path(__file__).parent / "projects_plugin"
IBLLIB = Path(sys.executable).parents[1] / "ibllib" / "bin" / "python"
PROTOCOL = "nate_optoBiasedChoiceWorld"

PLAN = """
import json, sys
from shared.tasks.planning import plan, unprocessed
eid = "4ecb5d24-f5cc-402c-be28-9d0f7cb14b3a"
raw = ["_iblrig_taskData.raw.jsonable", "_iblrig_taskSettings.raw.json"]
raw += ["_iblrig_encoderEvents.raw.ssv", "_iblrig_encoderPositions.raw.ssv"]
paths = [f"raw_task_data_00/{name}" for name in raw]
about = {"tasks": [{sys.argv[1]: {"collection": "raw_task_data_00", "extractors": ["A", "B"]}}]}
def told(description, protocol):
    tasks = plan(eid, paths, description, protocol)
    return [[t.name, t.arguments.get("extractors")] for t in tasks]
print(json.dumps([told(None, sys.argv[1]), told(about, None), told(None, "biasedChoiceWorld")]))
print(json.dumps(unprocessed(paths, about, None)))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The environment of a Python that has the plug-in installed as a package of its own."""
    return installed_beside(PLUGIN, tmp_path_factory.mktemp("installed"))


def test_the_project_s_task_stands_in_the_place_of_the_usual_ones(site):
    done = subprocess.run(
        [sys.executable, "-c", PLAN, PROTOCOL],
        env=site,
        capture_output=True,
        text=True,
        check=True,
    )
    plans, told = map(json.loads, done.stdout.splitlines())
    # By the protocol's name, by the description, and not for others
    assert plans == [
        [["projects.trials", ""]],
        [["projects.trials", "A,B"]],
        [["task.trials", None], ["task.wheel", None]],
    ]
    assert told == []


def test_without_ibllib_the_task_is_left_to_another_computer(tmp_path, monkeypatch):
    monkeypatch.delenv(personal.PYTHON, raising=False)
    with pytest.raises(MachineTrouble) as caught:
        personal.extract(tmp_path, tmp_path / "out", {"collection": "c"})
    assert caught.value.kind == "environment"
    assert "set FORNIX_IBLLIB to the Python that has it" in str(caught.value)
    # Nor is a Python of any use that has it not
    monkeypatch.setenv(personal.PYTHON, sys.executable)
    with pytest.raises(MachineTrouble) as caught:
        personal.extract(tmp_path, tmp_path, {"collection": "c", "output_collection": "alf"})
    assert "No module named 'ibllib'" in str(caught.value)


@pytest.fixture
def session(shared_data, tmp_path):
    """A real session, said to be of a protocol with a laser in every second trial."""
    folder = tmp_path / "fimbrialab" / "Subjects" / "SYN_001" / "2024-01-08" / "001"
    real = shared_data / "rig_sessions" / "training_rig5.0.0" / "raw_behavior_data"
    raw = Path(shutil.copytree(real, folder / "raw_behavior_data"))
    settings = raw / "_iblrig_taskSettings.raw.json"
    laser = {"OPTO_TTL_STATES": ["stim_on"], "OPTO_STOP_STATES": ["reward", "error"]}
    about = json.loads(settings.read_text()) | laser
    about |= {"PYBPOD_PROTOCOL": PROTOCOL, "PROBABILITY_OPTO_STIM": 0.5}
    settings.write_text(json.dumps(about))
    data = raw / "_iblrig_taskData.raw.jsonable"
    trials = [json.loads(line) for line in data.read_text().splitlines()]
    lines = [json.dumps(one | {"opto_stimulation": n % 2 == 1}) for n, one in enumerate(trials)]
    data.write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.proof
@pytest.mark.skipif(not IBLLIB.exists(), reason="ibllib is not installed: make ibllib")
@pytest.mark.skipif("FORNIX_PROJECTS" not in os.environ, reason="no checkout of the projects")
def test_a_lab_s_project_runs_as_it_is(site, session, tmp_path):
    env = site | {personal.PYTHON: str(IBLLIB)}
    env["PYTHONPATH"] += os.pathsep + os.environ["FORNIX_PROJECTS"]
    before = {path: path.read_bytes() for path in session.rglob("*") if path.is_file()}
    arguments = {
        "collection": "raw_behavior_data",
        "output_collection": "alf/task_00",
        "extractors": "OptoTrialsBpod,TrainingStatus",
    }
    run_task("projects.trials", session, tmp_path / "out", arguments, env)
    made = tmp_path / "out" / "alf" / "task_00"
    table = pd.read_parquet(made / "_ibl_trials.table.pqt")
    intervals = np.load(made / "_ibl_laserStimulation.intervals.npy")
    assert intervals.shape == (len(table) // 2, 2)
    assert {path: path.read_bytes() for path in session.rglob("*") if path.is_file()} == before
