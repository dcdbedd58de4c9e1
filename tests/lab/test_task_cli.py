"""Running tasks on this computer, without a server, on real sessions."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from lab.tasks.cli import task
from shared.tasks.registry import BUILT_IN


def fornix_task(*arguments):
    result = CliRunner().invoke(task, [str(argument) for argument in arguments])
    assert not result.exception or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def golden(shared_data):
    return shared_data / "rig_sessions" / "training_rig5.0.0"


@pytest.mark.parametrize("name", ["task.trials", "task.wheel"])
def test_a_task_gives_the_golden_files(golden, tmp_path, name):
    result = fornix_task("run", name, golden, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert f"{name}: Complete" in result.output
    stem = "_ibl_" + name.partition(".")[2]
    written = {path.name for path in (tmp_path / "alf").iterdir()}
    assert written == {path.name for path in (golden / "alf").glob(f"{stem}*")}
    for path in (tmp_path / "alf").iterdir():
        expected = golden / "alf" / path.name
        if path.suffix == ".npy":
            found = np.load(path)
            np.testing.assert_allclose(found, np.load(expected), rtol=0, atol=1e-9)
        else:
            pd.testing.assert_frame_equal(
                pd.read_parquet(path), pd.read_parquet(expected), rtol=0, atol=1e-9
            )


def test_the_run_record_says_from_what_and_with_what(golden, tmp_path):
    result = fornix_task("run", "task.wheel", golden, "--out", tmp_path, "--json")
    ((outcome,)) = (json.loads(result.stdout),)
    record = outcome[0]["record"]
    assert record["task"] == "task.wheel"
    assert record["parameters"] == {"collection": "raw_behavior_data", "output_collection": "alf"}
    assert {one["path"].rpartition("/")[2] for one in record["inputs"]} == {
        "_iblrig_taskData.raw.jsonable",
        "_iblrig_taskSettings.raw.json",
        "_iblrig_encoderEvents.raw.ssv",
        "_iblrig_encoderPositions.raw.ssv",
    }
    assert {one["path"] for one in record["outputs"]} == set(outcome[0]["outputs"])
    assert all(len(one["sha256"]) == 64 for one in record["inputs"] + record["outputs"])
    assert {"python", "numpy", "platform"} <= set(record["environment"])


def test_a_truncated_wheel_is_told_and_trials_come_out(shared_data, tmp_path):
    session = shared_data / "rig_sessions" / "training_rig4_truncated"
    assert fornix_task("run", "task.trials", session, "--out", tmp_path).exit_code == 0
    result = fornix_task("run", "task.wheel", session, "--out", tmp_path)
    assert result.exit_code == 1
    assert "task.wheel: Errored" in result.output
    assert "_iblrig_encoder" in result.output


def test_missing_inputs_are_named(golden, tmp_path):
    shutil.copytree(golden / "raw_behavior_data", tmp_path / "s" / "raw_behavior_data")
    (tmp_path / "s" / "raw_behavior_data" / "_iblrig_encoderEvents.raw.ssv").unlink()
    result = fornix_task("run", "task.wheel", tmp_path / "s", "--out", tmp_path)
    assert result.exit_code == 1
    assert "needs raw_behavior_data/_iblrig_encoderEvents.raw.ssv" in result.output


def test_each_protocol_of_a_session_is_run(golden, tmp_path):
    for n in (0, 1):
        shutil.copytree(golden / "raw_behavior_data", tmp_path / "s" / f"raw_task_data_{n:02}")
    result = fornix_task("run", "task.trials", tmp_path / "s", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out" / "alf").iterdir()) == [
        "task_00",
        "task_01",
    ]
    one = fornix_task(
        "run",
        "task.trials",
        tmp_path / "s",
        "--out",
        tmp_path / "one",
        "-a",
        "collection=raw_task_data_01",
        "-a",
        "output_collection=alf/task_01",
    )
    assert one.exit_code == 0
    assert [path.name for path in (tmp_path / "one" / "alf").iterdir()] == ["task_01"]


def test_an_unknown_task_names_those_there_are(golden, tmp_path):
    result = fornix_task("run", "task.nothing", golden, "--out", tmp_path)
    assert result.exit_code == 1
    assert "task.trials, task.wheel" in result.output


def test_the_list_shows_signatures():
    rows = json.loads(fornix_task("installed", "--json").stdout)
    parents = {row["name"]: row["parents"] for row in rows}
    assert list(parents) == sorted(BUILT_IN)
    assert parents["task.trials"] == []
    assert parents["task.wheel_nidq"] == ["sync.pulses", "task.trials_nidq"]
    assert parents["ephys.sort"] == ["ephys.compress", "ephys.align"]
    text = fornix_task("installed").stdout
    assert "task.wheel  (after task.trials)" in text
    assert "input  raw_behavior_data/_iblrig_encoderPositions.raw.ssv" in text
