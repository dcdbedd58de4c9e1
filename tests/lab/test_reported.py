"""Inputs that users reported, by the way they take: uploaded by a rig, run by a worker."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.datasets.read import datasets_of
from shared.sessions import store as sessions
from shared.work import read
from tests.flow import SUBJECT
from tests.processes import ended, run, until

pytestmark = pytest.mark.integration

FORNIX = Path(sys.executable).with_name("fornix")

REPORTED = {
    # input: trials, whether the wheel comes out, what the log of the trials says
    "ssv-without-trailing-space": (12, True, ""),
    "task-data-partial-last-line": (12, True, "its 12 whole trials are used"),
    "trial-lines-doubled": (12, True, "line 6 is there already"),
    "wheel-short-aborted-session": (4, True, ""),
    "encoder-rollover-at-second-event": (12, True, ""),
}

REFUSED = "settings-json-not-an-object"


def test_what_was_reported_has_the_right_values(system, shared_data, tmp_path):
    # Given the reported sessions on a rig, each at a number of its own
    day = "2024-02-29"
    for number, name in enumerate(REPORTED, start=1):
        source = shared_data / "reported" / name / "sessions" / "FI_001" / day / "001"
        shutil.copytree(source, tmp_path / "data" / SUBJECT / day / f"{number:03d}")
    home = {"XDG_STATE_HOME": str(tmp_path / "state")}

    def fornix(role, *arguments):
        env = os.environ | system.environment(role) | home
        return subprocess.Popen(
            [FORNIX, *map(str, arguments)],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    # and settings that are a list, or the text of settings
    for number, day_of in enumerate((day, "2024-03-01"), start=8):
        source = shared_data / "reported" / REFUSED / "sessions" / "FI_001" / day_of / "001"
        shutil.copytree(source, tmp_path / "data" / SUBJECT / day / f"{number:03d}")
    # When a rig uploads them and a worker runs what follows
    out = run(fornix("rig", "rig", "upload", tmp_path / "data", "--json"), code=1)
    reports = ended(out)
    assert [report["state"] for report in reports] == [*["registered"] * 5, "partial", "partial"]
    # Then what is no object is refused, and what was found is said
    for report, said in zip(reports[5:], ("a list", "a text"), strict=True):
        (refused,) = [file for file in report["files"] if "reason" in file]
        assert refused["path"].endswith("_iblrig_taskSettings.raw.json")
        assert f"{said}, where an object of names and values is needed" in refused["reason"]
    found = [sessions.find(SUBJECT, day, number) for number in range(1, 6)]
    until(lambda: all(read.of_session(session.id) for session in found))
    run(fornix("worker", "worker", "--until-idle", "4"))
    # Then all that can be used is used, and what cannot says the true reason
    for session, (name, (n_trials, wheel, said)) in zip(found, REPORTED.items(), strict=True):
        tasks = {task.name: task for task in read.of_session(session.id)}
        paths = {item.path for item in datasets_of(session.id)}
        trials = tasks["task.trials"]
        assert said in (trials.log or ""), name
        assert trials.status == ("Complete"), name
        assert ("alf/_ibl_wheel.position.npy" in paths) == wheel, name
        shown = system.client("member").get(f"/sessions/{session.id}")
        assert shown["n_trials"] == n_trials, name
