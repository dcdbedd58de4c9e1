"""Every output says how it was made, and can be made again and compared (`fornix rerun`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from lab.client import RecordMissing
from lab.tasks.rerun import difference
from shared.datasets.read import datasets_of
from shared.sessions import store as sessions
from tests.flow import DATE, SUBJECT

TABLE = "alf/_ibl_trials.table.pqt"
RAW = "raw_behavior_data/_iblrig_taskData.raw.jsonable"


@pytest.fixture
def processed(system, worker, shared_data):
    """A real session whose trials a worker has made; its datasets by path."""
    folder = shared_data / "rig_sessions" / "training_rig5.0.0" / "raw_behavior_data"
    names = ("_iblrig_taskData.raw.jsonable", "_iblrig_taskSettings.raw.json")
    system.flow.upload({f"raw_behavior_data/{n}": (folder / n).read_bytes() for n in names})
    worker.run(most=1)
    assert worker.reports[0]["status"] == "Complete"
    eid = sessions.find(SUBJECT, DATE, 1).id
    return {item.path: item for item in datasets_of(eid)}


@pytest.fixture
def rerun(system, tmp_path):
    def call(*arguments, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "lab.cli", "rerun", *map(str, arguments), "--json"],
            env=os.environ | system.environment("member"),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        return json.loads(done.stdout) if done.stdout else done.stderr

    return call


@pytest.mark.integration
def test_an_output_is_made_again_from_its_record(system, processed, rerun, tmp_path):
    # Given the record of a dataset, as the API gives it
    made = processed[TABLE].uuid
    member = system.client("member")
    record = member.get(f"/datasets/{made}/run-record")
    raw = next(each for each in record["inputs"] if each["path"] == RAW)
    assert (raw["id"], raw["sha256"]) == (processed[RAW].uuid, processed[RAW].sha256)
    assert {each["sha256"] for each in record["outputs"]} >= {processed[TABLE].sha256}
    assert record["host"]
    task = member.get("/tasks", session=record["session"], name="task.trials")["results"][0]["id"]
    assert member.get(f"/tasks/{task}")["run_record"] == record
    assert {"python", "numpy", "platform"} <= set(record["environment"])
    # What came as it is has none
    with pytest.raises(RecordMissing) as caught:
        member.get(f"/datasets/{processed[RAW].uuid}/run-record")
    assert "was made by no task here" in str(caught.value)
    # When it is made again, by the id of the dataset
    said = rerun(made)
    # Then all comes out the same
    assert said["same"]
    assert said["status"] == "Complete"
    assert {each["verdict"] for each in said["outputs"]} == {"same bytes"}
    assert {each["path"] for each in said["outputs"]} == {p for p in processed if "alf/" in p}
    # A record of other code and other outputs is told apart, output by output
    spoilt = record | {"version": "0.0.1"}
    spoilt["outputs"] = [each | {"sha256": "0" * 64} for each in record["outputs"]]
    (tmp_path / "record.json").write_text(json.dumps(spoilt))
    said = rerun(tmp_path / "record.json", code=1)
    assert not said["same"]
    assert "the first run's file is not to be had" in said["outputs"][0]["note"]
    assert ["fornix", "0.0.1", record["version"]] in said["changed"]
    # An input that is gone, or another one, is named
    spoilt["inputs"] = [each | {"sha256": "0" * 64} for each in record["inputs"]]
    (tmp_path / "record.json").write_text(json.dumps(spoilt))
    assert "came with SHA-256" in rerun(tmp_path / "record.json", code=1)


def write(path, value):
    if path.suffix == ".npy":
        np.save(path, value)
    elif path.suffix == ".pqt":
        pd.DataFrame(value).to_parquet(path)
    else:
        path.write_text(value)
    return path


@pytest.mark.parametrize(
    ("name", "one", "two", "words"),
    [
        ("a.npy", [1.0, np.nan], [1.0, np.nan], ""),
        ("a.npy", [1.0, 2.0], [1.0, 2.5], "1 of 2 values differ, by 0.5 at most"),
        ("a.npy", [1.0, np.nan], [1.0, 2.0], "1 of 2 values differ, by nan at most"),
        ("a.npy", [1.0], [1.0, 2.0], "shape (1,) became (2,)"),
        ("a.npy", ["a"], ["b"], "1 of 1 values differ"),
        ("a.pqt", {"x": [1], "y": [2.0]}, {"x": [1], "y": [2.0]}, ""),
        ("a.pqt", {"x": [1]}, {"x": [3]}, "x: 1 of 1 values differ, by 2 at most"),
        ("a.pqt", {"x": [1]}, {"z": [1]}, "columns ['x'] became ['z']"),
        ("a.json", "{}", "{ }", "the bytes differ"),
    ],
)
def test_files_are_compared_by_value(tmp_path, name, one, two, words):
    for folder, value in (("first", one), ("second", two)):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / name, value)
    assert difference(tmp_path / "first" / name, tmp_path / "second" / name) == words
